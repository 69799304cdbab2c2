//! Facts that connectors keep between runs.

use std::collections::BTreeMap;

use arx_journal::{Journal, JournalError, Packed};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

/// Why the cache gave no answer. A connector goes on without it.
#[derive(Debug, thiserror::Error)]
#[error("the cache cannot be used: {0}")]
pub struct CacheError(pub String);

/// Keyed facts that outlive a run and that a vendor can always be asked for again.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The values kept under `kind` for those of `keys` that are there and not older than
    /// `max_age`.
    async fn get(
        &self,
        kind: &str,
        keys: &[String],
        max_age: std::time::Duration,
    ) -> Result<BTreeMap<String, Vec<u8>>, CacheError>;

    /// Keeps values under `kind`.
    async fn put(&self, kind: &str, entries: Vec<(String, Vec<u8>)>) -> Result<(), CacheError>;
}

/// The journal as a cache, for one connector.
pub(crate) struct JournalCache {
    journal: Journal,
    connector: &'static str,
}

impl JournalCache {
    pub(crate) fn new(journal: Journal, connector: &'static str) -> Self {
        Self { journal, connector }
    }
}

#[async_trait]
impl Cache for JournalCache {
    async fn get(
        &self,
        kind: &str,
        keys: &[String],
        max_age: std::time::Duration,
    ) -> Result<BTreeMap<String, Vec<u8>>, CacheError> {
        let age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let since = self.journal.clock().now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let (connector, kind, keys) = (self.connector, kind.to_owned(), keys.to_vec());
        let packed = self
            .journal
            .read(move |reader| reader.cached(connector, &kind, &keys, since))
            .await
            .map_err(|error: JournalError| CacheError(error.to_string()))?;
        let unpack = |(key, value): (String, Packed)| Ok((key, value.unpack_bytes()?));
        packed
            .into_iter()
            .map(unpack)
            .collect::<Result<_, JournalError>>()
            .map_err(|error| CacheError(error.to_string()))
    }

    async fn put(&self, kind: &str, entries: Vec<(String, Vec<u8>)>) -> Result<(), CacheError> {
        let (connector, kind) = (self.connector, kind.to_owned());
        let packed: Vec<(String, Packed)> = entries
            .into_iter()
            .map(|(key, value)| Ok((key, Packed::bytes(&value)?)))
            .collect::<Result<_, JournalError>>()
            .map_err(|error| CacheError(error.to_string()))?;
        self.journal
            .write(move |tx| tx.put_cached(connector, &kind, &packed))
            .await
            .map_err(|error| CacheError(error.to_string()))
    }
}
