//! Steps: what a run's calls returned, by content, in the order it was delivered.
//!
//! A step is never changed: a run that resumes gets exactly what it got before.

#[cfg(test)]
mod tests;

use arx_types::{Digest, RunId};
use jiff::Timestamp;
use rusqlite::params;

use crate::column::{Bytes32, Micros, Word, Worded, signed, unsigned};
use crate::{JournalError, Packed, Reader, Tx};

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The digest of the operation and its canonical parameters.
    pub key: Digest,
    /// Which of the run's calls with this key it is, from 0.
    pub occurrence: u32,
    /// Its place in the order of delivery, unique within the run.
    pub position: u64,
    /// What was called, e.g. `pagerduty.incidents:create` or `arx.merge`.
    pub operation: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// The value, or the exception.
    pub payload: Packed,
}

/// How a step ended, as the workflow saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It returned a value.
    Value,
    /// It raised an exception.
    Raised,
}

impl StepOutcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Raised => "raised",
        }
    }
}

impl Word for StepOutcome {
    const KIND: &'static str = "step outcome";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Value, Self::Raised].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl Tx<'_> {
    /// Records a step.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the run has this step, or one at this position, already.
    pub fn put_step(&mut self, run: &RunId, step: &Step) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO steps (run, key, occurrence, position, operation, outcome, payload, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                run.as_str(),
                Bytes32(step.key),
                step.occurrence,
                signed(step.position),
                step.operation,
                step.outcome.as_str(),
                step.payload,
                Micros(self.now()),
            ],
        )?;
        Ok(())
    }
}

impl Reader<'_> {
    /// Every step of a run, in the order of delivery.
    pub fn steps(&self, run: &RunId) -> Result<Vec<Step>, JournalError> {
        self.rows(
            "SELECT key, occurrence, position, operation, outcome, payload FROM steps \
             WHERE run = ?1 ORDER BY position",
            [run.as_str()],
            |row| {
                Ok(Step {
                    key: row.get::<_, Bytes32>(0)?.0,
                    occurrence: row.get(1)?,
                    position: unsigned(row.get(2)?),
                    operation: row.get(3)?,
                    outcome: row.get::<_, Worded<StepOutcome>>(4)?.0,
                    payload: row.get(5)?,
                })
            },
        )
    }

    /// How many steps a run has, and when the last was recorded.
    pub fn step_progress(&self, run: &RunId) -> Result<(u64, Option<Timestamp>), JournalError> {
        let sql = "SELECT count(*), max(at) FROM steps WHERE run = ?1";
        let progress = self.row(sql, [run.as_str()], |row| {
            Ok((unsigned(row.get(0)?), row.get::<_, Option<Micros>>(1)?.map(|at| at.0)))
        })?;
        Ok(progress.unwrap_or((0, None)))
    }
}
