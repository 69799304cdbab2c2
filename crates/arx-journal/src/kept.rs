//! The note that a checkpoint was given away, for whoever asks how far the log can be held to
//! account. It is a memory and no proof: the proof is the checkpoint, wherever it is now.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{JournalError, Reader, Tx};

/// The key in `meta`.
const KEY: &str = "checkpoint_kept";

/// A checkpoint that was written to a place outside of the state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCheckpoint {
    /// How many leaves it commits to.
    pub size: u64,
    /// Where it was put, in the words of whoever did.
    pub place: String,
    /// When.
    pub at: Timestamp,
}

impl Tx<'_> {
    /// Notes that a checkpoint was put somewhere outside; the last one is remembered.
    pub fn note_kept_checkpoint(&mut self, size: u64, place: &str) -> Result<(), JournalError> {
        let kept = KeptCheckpoint { size, place: place.to_owned(), at: self.now() };
        let text = serde_json::to_string(&kept).map_err(|error| JournalError::Invalid {
            what: "kept checkpoint",
            reason: error.to_string(),
        })?;
        self.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [KEY, text.as_str()],
        )?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The last checkpoint that was put somewhere outside.
    pub fn kept_checkpoint(&self) -> Result<Option<KeptCheckpoint>, JournalError> {
        let sql = "SELECT value FROM meta WHERE key = ?1";
        let text: Option<String> = self.row(sql, [KEY], |row| row.get(0))?;
        text.map(|text| {
            serde_json::from_str(&text)
                .map_err(|error| JournalError::corrupt(format!("`{KEY}` in `meta`: {error}")))
        })
        .transpose()
    }
}
