//! Facts that connectors keep between runs.

use std::collections::BTreeMap;

use async_trait::async_trait;

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
