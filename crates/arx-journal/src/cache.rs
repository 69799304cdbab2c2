//! The cache: facts that a vendor can always be asked for again, such as the Qualys
//! KnowledgeBase.
//!
//! Nothing here is evidence; losing it costs time only.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use crate::column::Micros;
use crate::{JournalError, Packed, Reader, Tx};

/// The most entries that one read or write takes.
pub const ENTRIES_MAX: usize = 10_000;

impl Tx<'_> {
    /// Keeps values under a connector and kind, as fetched now; a present one is replaced.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when there are more than [`ENTRIES_MAX`].
    pub fn put_cached(
        &mut self,
        connector: &str,
        kind: &str,
        entries: &[(String, Packed)],
    ) -> Result<(), JournalError> {
        check_count(entries.len())?;
        let now = Micros(self.now());
        for (key, value) in entries {
            self.execute(
                "INSERT INTO cache (connector, kind, key, value, fetched_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (connector, kind, key) \
                 DO UPDATE SET value = excluded.value, fetched_at = excluded.fetched_at",
                params![connector, kind, key, value, now],
            )?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Those of the keys that are there and were fetched at `since` or later.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when there are more than [`ENTRIES_MAX`] keys.
    pub fn cached(
        &self,
        connector: &str,
        kind: &str,
        keys: &[String],
        since: Timestamp,
    ) -> Result<BTreeMap<String, Packed>, JournalError> {
        check_count(keys.len())?;
        let sql = "SELECT value FROM cache WHERE connector = ?1 AND kind = ?2 AND key = ?3 \
                   AND fetched_at >= ?4";
        let mut found = BTreeMap::new();
        for key in keys {
            let params = params![connector, kind, key, Micros(since)];
            if let Some(value) = self.row(sql, params, |row| row.get(0))? {
                found.insert(key.clone(), value);
            }
        }
        Ok(found)
    }
}

fn check_count(n: usize) -> Result<(), JournalError> {
    if n > ENTRIES_MAX {
        let reason = format!("{n} entries at once are more than {ENTRIES_MAX}");
        return Err(JournalError::Invalid { what: "cache entries", reason });
    }
    Ok(())
}
