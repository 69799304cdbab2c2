//! Episodes: how long a vulnerability has been there, and how many times it came back.
//!
//! INVARIANT (one open episode): a vulnerability has at most one open episode for each workflow
//! and world. Only a complete read may close any; what is complete is the caller's to know.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use arx_types::RunId;
use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::column::{Micros, Text};
use crate::{JournalError, Reader, Tx, World};

/// One episode of a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The vulnerability.
    pub vulnerability: String,
    /// Which of its episodes, from 1.
    pub n: u32,
    /// When it opened.
    pub opened_at: Timestamp,
    /// The run that opened it.
    pub opened_by: RunId,
    /// When it closed, if it has.
    pub closed_at: Option<Timestamp>,
    /// The run that closed it.
    pub closed_by: Option<RunId>,
}

const COLUMNS: &str = "vulnerability, n, opened_at, opened_by, closed_at, closed_by";

fn read_episode(row: &Row<'_>) -> rusqlite::Result<Episode> {
    Ok(Episode {
        vulnerability: row.get(0)?,
        n: row.get(1)?,
        opened_at: row.get::<_, Micros>(2)?.0,
        opened_by: row.get::<_, Text<RunId>>(3)?.0,
        closed_at: row.get::<_, Option<Micros>>(4)?.map(|at| at.0),
        closed_by: row.get::<_, Option<Text<RunId>>>(5)?.map(|id| id.0),
    })
}

impl Tx<'_> {
    /// The open episode of a vulnerability, which is opened where there is none; it is new when
    /// `opened_by` is this run.
    pub fn open_episode(
        &mut self,
        world: &World,
        workflow: &str,
        vulnerability: &str,
        scope: &str,
        run: &RunId,
    ) -> Result<Episode, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM episodes WHERE world = ?1 AND workflow = ?2 \
             AND vulnerability = ?3 ORDER BY n DESC LIMIT 1"
        );
        let last =
            self.row(&sql, params![world.as_str(), workflow, vulnerability], read_episode)?;
        let n = match last {
            Some(open) if open.closed_at.is_none() => {
                self.see_episode(world, workflow, &open, scope)?;
                return Ok(open);
            }
            Some(closed) => closed.n + 1,
            None => 1,
        };
        let sql = format!(
            "INSERT INTO episodes (world, workflow, vulnerability, n, opened_at, opened_by, scope) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING {COLUMNS}"
        );
        let now = Micros(self.now());
        let values = params![world.as_str(), workflow, vulnerability, n, now, run.as_str(), scope];
        self.row(&sql, values, read_episode)?.ok_or_else(|| JournalError::Conflict {
            what: format!("the episode of `{vulnerability}` was not opened"),
        })
    }

    /// Closes every open episode whose vulnerability a complete read no longer shows, and returns
    /// them. Only a read of the same `scope` as the one that showed a vulnerability last can tell
    /// that it is gone: a run that reads one source fewer closes nothing of that source.
    pub fn close_missing(
        &mut self,
        world: &World,
        workflow: &str,
        shown: &BTreeSet<String>,
        scope: &str,
        run: &RunId,
    ) -> Result<Vec<Episode>, JournalError> {
        let now = self.now();
        let sql = format!(
            "SELECT {COLUMNS} FROM episodes WHERE world = ?1 AND workflow = ?2 \
             AND closed_at IS NULL AND scope = ?3 ORDER BY vulnerability"
        );
        let open = self.rows(&sql, [world.as_str(), workflow, scope], read_episode)?;
        let mut closed = Vec::new();
        for episode in open.into_iter().filter(|open| !shown.contains(&open.vulnerability)) {
            self.execute(
                "UPDATE episodes SET closed_at = ?5, closed_by = ?6 WHERE world = ?1 \
                 AND workflow = ?2 AND vulnerability = ?3 AND n = ?4",
                params![
                    world.as_str(),
                    workflow,
                    episode.vulnerability,
                    episode.n,
                    Micros(now),
                    run.as_str()
                ],
            )?;
            let (closed_at, closed_by) = (Some(now), Some(run.clone()));
            closed.push(Episode { closed_at, closed_by, ..episode });
        }
        Ok(closed)
    }

    /// Remembers the scope of a read that shows an open episode's vulnerability.
    fn see_episode(
        &self,
        world: &World,
        workflow: &str,
        episode: &Episode,
        scope: &str,
    ) -> Result<(), JournalError> {
        self.execute(
            "UPDATE episodes SET scope = ?5 WHERE world = ?1 AND workflow = ?2 \
             AND vulnerability = ?3 AND n = ?4",
            params![world.as_str(), workflow, episode.vulnerability, episode.n, scope],
        )?;
        Ok(())
    }
}

impl Reader<'_> {
    /// The open episodes of a workflow in a world, by vulnerability.
    pub fn open_episodes(
        &self,
        world: &World,
        workflow: &str,
    ) -> Result<Vec<Episode>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM episodes WHERE world = ?1 AND workflow = ?2 \
             AND closed_at IS NULL ORDER BY vulnerability"
        );
        self.rows(&sql, [world.as_str(), workflow], read_episode)
    }

    /// Every episode of a vulnerability, oldest first.
    pub fn episodes(
        &self,
        world: &World,
        workflow: &str,
        vulnerability: &str,
    ) -> Result<Vec<Episode>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM episodes WHERE world = ?1 AND workflow = ?2 \
             AND vulnerability = ?3 ORDER BY n"
        );
        self.rows(&sql, [world.as_str(), workflow, vulnerability], read_episode)
    }
}
