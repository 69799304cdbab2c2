//! Stops: workflows that must not act, from now until somebody lifts it.
//!
//! The gate asks in the transaction that decides, so that a stop holds for the very next call.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::column::{Micros, signed};
use crate::{JournalError, Reader, Tx};

/// The most stops that one listing returns.
pub const STOPS_LISTED_MAX: usize = 1000;

/// A stop of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The workflow.
    pub workflow: String,
    /// Since when.
    pub at: Timestamp,
    /// Who stopped it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when, if it was lifted.
    pub lifted_at: Option<Timestamp>,
    /// Who lifted it.
    pub lifted_by: Option<String>,
}

const COLUMNS: &str = "workflow, at, by, reason, lifted_at, lifted_by";

fn read_stop(row: &Row<'_>) -> rusqlite::Result<Stop> {
    Ok(Stop {
        workflow: row.get(0)?,
        at: row.get::<_, Micros>(1)?.0,
        by: row.get(2)?,
        reason: row.get(3)?,
        lifted_at: row.get::<_, Option<Micros>>(4)?.map(|at| at.0),
        lifted_by: row.get(5)?,
    })
}

impl Tx<'_> {
    /// Stops a workflow; false when it is stopped already, and the first stop stands.
    pub fn stop_workflow(
        &mut self,
        workflow: &str,
        by: &str,
        reason: &str,
    ) -> Result<bool, JournalError> {
        let n_changed = self.execute(
            "INSERT INTO stops (workflow, at, by, reason) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (workflow) WHERE lifted_at IS NULL DO NOTHING",
            params![workflow, Micros(self.now()), by, reason],
        )?;
        Ok(n_changed == 1)
    }

    /// Lets a stopped workflow act again; false when it is not stopped.
    pub fn lift_stop(&mut self, workflow: &str, by: &str) -> Result<bool, JournalError> {
        let n_changed = self.execute(
            "UPDATE stops SET lifted_at = ?2, lifted_by = ?3 \
             WHERE workflow = ?1 AND lifted_at IS NULL",
            params![workflow, Micros(self.now()), by],
        )?;
        Ok(n_changed == 1)
    }
}

impl Reader<'_> {
    /// The stop that holds for a workflow, if any.
    pub fn active_stop(&self, workflow: &str) -> Result<Option<Stop>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM stops WHERE workflow = ?1 AND lifted_at IS NULL");
        self.row(&sql, [workflow], read_stop)
    }

    /// Every stop, newest first, at most [`STOPS_LISTED_MAX`].
    pub fn stops(&self) -> Result<Vec<Stop>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM stops ORDER BY n DESC LIMIT ?1");
        self.rows(&sql, [signed(STOPS_LISTED_MAX as u64)], read_stop)
    }
}
