//! Registrations: which version of a workflow runs by itself, and whether it is paused.

#[cfg(test)]
mod tests;

use arx_types::Digest;
use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::column::{Bytes32, Micros, signed};
use crate::{JournalError, Reader, Tx};

/// The most registrations that there may be.
pub const REGISTRATIONS_MAX: usize = 10_000;

/// A registered workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The workflow's name.
    pub workflow: String,
    /// The version that its next runs start with.
    pub version: Digest,
    /// When this version was registered.
    pub registered_at: Timestamp,
    /// By whom.
    pub registered_by: String,
    /// Times of the schedule count from here, exclusively.
    pub due_after: Timestamp,
    /// Since when its schedule is paused, and by whom; it can still be run by hand.
    pub paused: Option<(Timestamp, String)>,
}

const COLUMNS: &str =
    "workflow, version, registered_at, registered_by, due_after, paused_at, paused_by";

fn read_registration(row: &Row<'_>) -> rusqlite::Result<Registration> {
    let (at, by): (Option<Micros>, Option<String>) = (row.get(5)?, row.get(6)?);
    Ok(Registration {
        workflow: row.get(0)?,
        version: row.get::<_, Bytes32>(1)?.0,
        registered_at: row.get::<_, Micros>(2)?.0,
        registered_by: row.get(3)?,
        due_after: row.get::<_, Micros>(4)?.0,
        paused: at.zip(by).map(|(at, by)| (at.0, by)),
    })
}

impl Tx<'_> {
    /// Registers a recorded version of a workflow, in the place of the one before. A pause stays;
    /// times that were due before now are nobody's.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when there are too many.
    pub fn register(
        &mut self,
        workflow: &str,
        version: &Digest,
        by: &str,
    ) -> Result<(), JournalError> {
        let sql = "SELECT count(*) FROM registrations WHERE workflow <> ?1";
        let others: i64 = self.row(sql, [workflow], |row| row.get(0))?.unwrap_or(0);
        if others >= signed(REGISTRATIONS_MAX as u64) {
            let reason = format!("more than {REGISTRATIONS_MAX} workflows");
            return Err(JournalError::Invalid { what: "registration", reason });
        }
        let now = Micros(self.now());
        self.execute(
            "INSERT INTO registrations (workflow, version, registered_at, registered_by, due_after) \
             VALUES (?1, ?2, ?3, ?4, ?3) ON CONFLICT (workflow) DO UPDATE SET \
             version = ?2, registered_at = ?3, registered_by = ?4, due_after = max(due_after, ?3)",
            params![workflow, Bytes32(*version), now, by],
        )
        .map(drop)
    }

    /// Takes a workflow off the schedule; false when it is not registered.
    pub fn unregister(&mut self, workflow: &str) -> Result<bool, JournalError> {
        let sql = "DELETE FROM registrations WHERE workflow = ?1";
        Ok(self.execute(sql, [workflow])? == 1)
    }

    /// Pauses a registered workflow's schedule; false when there is nothing to pause.
    pub fn pause_schedule(&mut self, workflow: &str, by: &str) -> Result<bool, JournalError> {
        let n_changed = self.execute(
            "UPDATE registrations SET paused_at = ?2, paused_by = ?3 \
             WHERE workflow = ?1 AND paused_at IS NULL",
            params![workflow, Micros(self.now()), by],
        )?;
        Ok(n_changed == 1)
    }

    /// Ends a pause; times that were due in it are nobody's. False when it is not paused.
    pub fn resume_schedule(&mut self, workflow: &str) -> Result<bool, JournalError> {
        let n_changed = self.execute(
            "UPDATE registrations SET paused_at = NULL, paused_by = NULL, \
             due_after = max(due_after, ?2) WHERE workflow = ?1 AND paused_at IS NOT NULL",
            params![workflow, Micros(self.now())],
        )?;
        Ok(n_changed == 1)
    }
}

impl Reader<'_> {
    /// A workflow's registration.
    pub fn registration(&self, workflow: &str) -> Result<Option<Registration>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM registrations WHERE workflow = ?1");
        self.row(&sql, [workflow], read_registration)
    }

    /// Every registration, by name.
    pub fn registrations(&self) -> Result<Vec<Registration>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM registrations ORDER BY workflow");
        self.rows(&sql, [], read_registration)
    }
}
