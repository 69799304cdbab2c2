//! Fires: every time that a schedule was due or a person asked for a run, and what became of it.
//!
//! INVARIANT (once due, once fired): the times of a schedule are recorded in their order, each
//! once, however the clock moves; [`Reader::last_due`] says how far that is. A fire that waits
//! becomes a run in the transaction that begins the run.

#[cfg(test)]
mod tests;

use arx_types::RunId;
use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::column::{Micros, Text, Word, Worded, signed, unsigned};
use crate::{JournalError, Reader, Tx, World};

/// The most fires that one listing returns.
pub const FIRES_LISTED_MAX: usize = 1000;

/// Why something fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FireCause {
    /// Its schedule is due.
    Schedule,
    /// Its schedule was due while nobody could start it.
    CatchUp,
    /// A person asked for it.
    Person,
}

/// What became of a fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FireState {
    /// It has not been started.
    Waiting,
    /// It became a run.
    Started,
    /// It was left out, for a reason.
    Skipped,
    /// It could not be started, for a reason.
    Failed,
}

impl FireCause {
    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch_up",
            Self::Person => "person",
        }
    }
}

impl FireState {
    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
        }
    }
}

impl Word for FireCause {
    const KIND: &'static str = "cause of a fire";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Schedule, Self::CatchUp, Self::Person].into_iter().find(|one| one.as_str() == text)
    }
}

impl Word for FireState {
    const KIND: &'static str = "state of a fire";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Started, Self::Skipped, Self::Failed]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
}

/// A fire to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFire {
    /// Where its run has its effects.
    pub world: World,
    /// The workflow.
    pub workflow: String,
    /// Why.
    pub cause: FireCause,
    /// The first time that it stands for.
    pub due_at: Timestamp,
    /// The last time that it stands for; mostly the same.
    pub last_due_at: Timestamp,
    /// How many times it stands for.
    pub n_due: u64,
    /// When its run may begin.
    pub not_before: Timestamp,
    /// Who causes it.
    pub actor: String,
    /// Why it is left out, where it is.
    pub skipped: Option<String>,
}

/// A recorded fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fire {
    /// Its number.
    pub n: u64,
    /// Where its run has its effects.
    pub world: World,
    /// The workflow.
    pub workflow: String,
    /// Why.
    pub cause: FireCause,
    /// The first time that it stands for.
    pub due_at: Timestamp,
    /// The last time that it stands for.
    pub last_due_at: Timestamp,
    /// How many times it stands for.
    pub n_due: u64,
    /// When its run may begin.
    pub not_before: Timestamp,
    /// Who causes it.
    pub actor: String,
    /// What became of it.
    pub state: FireState,
    /// Why it was left out or could not be started.
    pub reason: Option<String>,
    /// The run that it became.
    pub run: Option<RunId>,
    /// When that was decided.
    pub decided_at: Option<Timestamp>,
}

const COLUMNS: &str = "n, world, workflow, cause, due_at, last_due_at, n_due, not_before, actor, \
                       state, reason, run, decided_at";

fn read_fire(row: &Row<'_>) -> rusqlite::Result<Fire> {
    Ok(Fire {
        n: unsigned(row.get(0)?),
        world: row.get::<_, Text<World>>(1)?.0,
        workflow: row.get(2)?,
        cause: row.get::<_, Worded<FireCause>>(3)?.0,
        due_at: row.get::<_, Micros>(4)?.0,
        last_due_at: row.get::<_, Micros>(5)?.0,
        n_due: unsigned(row.get(6)?),
        not_before: row.get::<_, Micros>(7)?.0,
        actor: row.get(8)?,
        state: row.get::<_, Worded<FireState>>(9)?.0,
        reason: row.get(10)?,
        run: row.get::<_, Option<Text<RunId>>>(11)?.map(|run| run.0),
        decided_at: row.get::<_, Option<Micros>>(12)?.map(|at| at.0),
    })
}

impl Tx<'_> {
    /// Records a fire, and gives its number; `None` when that time of the schedule is recorded
    /// already.
    pub fn put_fire(&mut self, fire: &NewFire) -> Result<Option<u64>, JournalError> {
        let skipped = fire.skipped.is_some();
        let state = if skipped { FireState::Skipped } else { FireState::Waiting };
        let n = self.row(
            "INSERT INTO fires (world, workflow, cause, due_at, last_due_at, n_due, not_before, \
             actor, state, reason, decided_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
             ON CONFLICT (workflow, world, last_due_at) WHERE cause <> 'person' DO NOTHING \
             RETURNING n",
            params![
                fire.world.as_str(),
                fire.workflow,
                fire.cause.as_str(),
                Micros(fire.due_at),
                Micros(fire.last_due_at),
                signed(fire.n_due),
                Micros(fire.not_before),
                fire.actor,
                state.as_str(),
                fire.skipped,
                skipped.then(|| Micros(self.now())),
            ],
            |row| row.get(0),
        )?;
        Ok(n.map(unsigned))
    }

    /// Makes a waiting fire the run that it becomes; called in the write that begins the run.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when it no longer waits.
    pub fn start_fire(&mut self, n: u64, run: &RunId) -> Result<Fire, JournalError> {
        self.decide_fire(n, FireState::Started, None, Some(run))?
            .ok_or_else(|| JournalError::Conflict { what: format!("fire {n} is decided already") })
    }

    /// Leaves a waiting fire out, or says that it could not be started; `None` when it no longer
    /// waits.
    pub fn drop_fire(
        &mut self,
        n: u64,
        failed: bool,
        reason: &str,
    ) -> Result<Option<Fire>, JournalError> {
        let state = if failed { FireState::Failed } else { FireState::Skipped };
        self.decide_fire(n, state, Some(reason), None)
    }

    fn decide_fire(
        &mut self,
        n: u64,
        state: FireState,
        reason: Option<&str>,
        run: Option<&RunId>,
    ) -> Result<Option<Fire>, JournalError> {
        let sql = format!(
            "UPDATE fires SET state = ?2, reason = ?3, run = ?4, decided_at = ?5 \
             WHERE n = ?1 AND state = 'waiting' RETURNING {COLUMNS}"
        );
        let run = run.map(RunId::as_str);
        let now = Micros(self.now());
        self.row(&sql, params![signed(n), state.as_str(), reason, run, now], read_fire)
    }
}

impl Reader<'_> {
    /// A fire by its number.
    pub fn fire(&self, n: u64) -> Result<Option<Fire>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM fires WHERE n = ?1");
        self.row(&sql, [signed(n)], read_fire)
    }

    /// The last time of a workflow's schedule that is recorded in a world.
    pub fn last_due(
        &self,
        workflow: &str,
        world: &World,
    ) -> Result<Option<Timestamp>, JournalError> {
        let sql = "SELECT max(last_due_at) FROM fires \
                   WHERE workflow = ?1 AND world = ?2 AND cause <> 'person'";
        let last = self.row(sql, [workflow, world.as_str()], |row| {
            row.get::<_, Option<Micros>>(0).map(|at| at.map(|at| at.0))
        })?;
        Ok(last.flatten())
    }

    /// The fires of a world that wait and may begin by `now`, in the order in which they were
    /// due, at most `limit`.
    pub fn waiting_fires(
        &self,
        world: &World,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Fire>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM fires WHERE world = ?1 AND state = 'waiting' \
             AND not_before <= ?2 ORDER BY not_before, n LIMIT ?3"
        );
        self.rows(&sql, params![world.as_str(), Micros(now), signed(limit as u64)], read_fire)
    }

    /// How many fires of a workflow wait.
    pub fn n_waiting(&self, workflow: &str, world: &World) -> Result<u64, JournalError> {
        let sql = "SELECT count(*) FROM fires \
                   WHERE world = ?2 AND state = 'waiting' AND workflow = ?1";
        let n = self.row(sql, [workflow, world.as_str()], |row| row.get(0))?;
        Ok(unsigned(n.unwrap_or(0)))
    }

    /// The fires of a workflow in a world, newest first, at most [`FIRES_LISTED_MAX`]; older than
    /// fire `before` where that is given.
    pub fn fires(
        &self,
        workflow: &str,
        world: &World,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Fire>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM fires WHERE workflow = ?1 AND world = ?2 \
             AND n < ?3 ORDER BY n DESC LIMIT ?4"
        );
        let before = before.map_or(i64::MAX, signed);
        let limit = signed(limit.min(FIRES_LISTED_MAX) as u64);
        self.rows(&sql, params![workflow, world.as_str(), before, limit], read_fire)
    }

    /// What a run was started by, where it was fired.
    pub fn fire_of(&self, run: &RunId) -> Result<Option<Fire>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM fires WHERE run = ?1");
        self.row(&sql, [run.as_str()], read_fire)
    }
}
