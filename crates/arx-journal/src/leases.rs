//! Leases: which process drives a run.
//!
//! A run is driven by one process at a time, and so is a workflow in one world. The process
//! renews its lease while it lives. Another one may take the run over once the lease is over or
//! its process is dead; from then on the journal takes nothing from the former owner.
//!
//! INVARIANT (fencing): every grant has a new epoch, and [`Reader::check_lease`] is asked inside
//! the transaction that records a decision, an intent, a step or an end, so that an owner that
//! was slow, stopped or cut off can no longer act, whatever it believes.
//!
//! Outcomes are not fenced: whoever learned how an effect turned out may say so, for the attempt
//! that it is about ([`Tx::settle_effect`]).

#[cfg(test)]
mod tests;

use std::time::Duration;

use arx_types::RunId;
use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use crate::column::{Micros, Text, signed, unsigned};
use crate::runs::no_run;
use crate::{JournalError, Process, Reader, Tx, World};

/// A process's claim to drive a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: RunId,
    /// The name of the process.
    pub owner: String,
    /// Grows with every grant; what is asked for under an older one is refused.
    pub epoch: u64,
    /// When the claim ends unless it is renewed, by the journal's clock.
    pub until: Timestamp,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The run is the caller's.
    Granted(Lease),
    /// This lease stands in the way: another process drives this run, or another run of the same
    /// workflow in the same world.
    Held(Lease),
}

impl Tx<'_> {
    /// Claims an unfinished run for a process until `ttl` from now, unless something stands in
    /// the way as [`Tx::fence_off`] says.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the run has ended, [`JournalError::NotFound`] when there is
    /// none.
    pub fn claim_run(
        &mut self,
        run: &RunId,
        process: &Process,
        ttl: Duration,
    ) -> Result<Claim, JournalError> {
        let present = self.run(run)?.ok_or_else(|| no_run(run))?;
        if !present.status.is_unfinished() {
            let what = format!("run `{run}` is {} already", present.status);
            return Err(JournalError::Conflict { what });
        }
        if let Some(lease) = self.fence_off(&present.workflow, &present.world, process)? {
            return Ok(Claim::Held(lease));
        }
        let until = later(self.now(), ttl);
        let epoch = self.row(
            "UPDATE runs SET owner = ?2, epoch = epoch + 1, leased_until = ?3 WHERE id = ?1 \
             RETURNING epoch",
            params![run.as_str(), process.name(), Micros(until)],
            |row| row.get(0),
        )?;
        let epoch = unsigned(epoch.ok_or_else(|| no_run(run))?);
        let owner = process.name().to_owned();
        Ok(Claim::Granted(Lease { run: run.clone(), owner, epoch, until }))
    }

    /// Takes the runs of a workflow in a world from owners that are dead or whose lease is over,
    /// unless one of them is driven: then its lease is returned and nothing is changed.
    pub fn fence_off(
        &mut self,
        workflow: &str,
        world: &World,
        process: &Process,
    ) -> Result<Option<Lease>, JournalError> {
        if let Some(lease) = self.driven(workflow, world, self.now(), process)? {
            return Ok(Some(lease));
        }
        self.execute(
            "UPDATE runs SET owner = NULL, leased_until = NULL \
             WHERE workflow = ?1 AND world = ?2 AND ended_at IS NULL AND owner IS NOT NULL",
            params![workflow, world.as_str()],
        )?;
        Ok(None)
    }

    /// Prolongs a lease to `ttl` from now. One that is over and that nobody took is prolonged,
    /// too: its owner was slow and alone.
    ///
    /// # Errors
    /// As [`Reader::check_lease`].
    pub fn renew_lease(&mut self, lease: &Lease, ttl: Duration) -> Result<(), JournalError> {
        self.check_lease(&lease.run, lease.epoch)?;
        let until = Micros(later(self.now(), ttl));
        let sql = "UPDATE runs SET leased_until = ?2 WHERE id = ?1";
        self.execute(sql, params![lease.run.as_str(), until]).map(drop)
    }

    /// Gives a lease up; nothing happens when it is no longer the caller's.
    pub fn release_lease(&mut self, lease: &Lease) -> Result<(), JournalError> {
        let sql = "UPDATE runs SET owner = NULL, leased_until = NULL WHERE id = ?1 AND epoch = ?2";
        self.execute(sql, params![lease.run.as_str(), signed(lease.epoch)]).map(drop)
    }
}

impl Reader<'_> {
    /// That a run is still driven under this epoch; asked inside the write that relies on it.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when another process took the run over, or it was given up.
    pub fn check_lease(&self, run: &RunId, epoch: u64) -> Result<(), JournalError> {
        let sql = "SELECT owner IS NOT NULL AND epoch = ?2 AND ended_at IS NULL FROM runs \
                   WHERE id = ?1";
        let holds = self.row(sql, params![run.as_str(), signed(epoch)], |row| row.get(0))?;
        if holds == Some(true) { Ok(()) } else { Err(JournalError::Fenced { run: run.clone() }) }
    }

    /// The lease under which a workflow is driven in a world: one that is not over by `now`, and
    /// whose process is not known to be dead.
    pub fn driven(
        &self,
        workflow: &str,
        world: &World,
        now: Timestamp,
        process: &Process,
    ) -> Result<Option<Lease>, JournalError> {
        let sql = "SELECT id, owner, epoch, leased_until FROM runs WHERE workflow = ?1 \
                   AND world = ?2 AND ended_at IS NULL AND owner IS NOT NULL";
        let leases = self.rows(sql, params![workflow, world.as_str()], |row| {
            Ok(Lease {
                run: row.get::<_, Text<RunId>>(0)?.0,
                owner: row.get(1)?,
                epoch: unsigned(row.get(2)?),
                until: row.get::<_, Micros>(3)?.0,
            })
        })?;
        Ok(leases.into_iter().find(|lease| lease.until > now && process.may_live(&lease.owner)))
    }
}

/// An end that no calendar holds is none: such a lease is over at once.
fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(now)
}
