//! Runs, and the workflow versions they started with. Who drives one is in [`crate::leases`].
//!
//! A run that has ended stays ended: no write moves it back.

#[cfg(test)]
mod tests;

use arx_types::{Digest, RunId, RunMode, RunStatus};
use jiff::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use crate::column::{Bytes32, Micros, Text, Worded, signed, unsigned};
use crate::conditions::Conditions;
use crate::{JournalError, Lease, Packed, Reader, Tx, World};

/// The most runs that one listing returns.
pub const RUNS_LISTED_MAX: usize = 1000;
/// The most names of workflows that one listing returns.
pub const WORKFLOWS_LISTED_MAX: usize = 10_000;

/// One content-addressed version of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowVersion {
    /// The digest of the bundle.
    pub digest: Digest,
    /// The workflow's name.
    pub name: String,
    /// The text of `arx.yaml`.
    pub manifest: String,
    /// The text of `workflow.py`.
    pub source: String,
    /// The version of its policy.
    pub policy_version: String,
}

/// A run to be recorded.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its identifier.
    pub id: RunId,
    /// The workflow's name.
    pub workflow: String,
    /// The recorded version it runs.
    pub version: Digest,
    /// The version of the policy it runs under.
    pub policy_version: String,
    /// Where its effects happen.
    pub world: World,
    /// Who started it.
    pub actor: String,
    /// `config` as the workflow sees it.
    pub inputs: Packed,
    /// How it was started, such as `dry_run`.
    pub args: Packed,
}

/// A recorded run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its identifier.
    pub id: RunId,
    /// The workflow's name.
    pub workflow: String,
    /// The version it runs.
    pub version: Digest,
    /// The version of the policy it runs under.
    pub policy_version: String,
    /// Where its effects happen.
    pub world: World,
    /// Where it stands.
    pub status: RunStatus,
    /// Who started it.
    pub actor: String,
    /// `config` as the workflow sees it.
    pub inputs: Packed,
    /// How it was started.
    pub args: Packed,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
    /// The lease on it, which may be over; `None` while nobody drives it.
    pub lease: Option<Lease>,
    /// Minutes that it saved a person, by its own report.
    pub minutes_saved: u64,
    /// What lists show of its report, where it has one.
    pub figures: Option<Packed>,
}

/// What a run reports, and what lists show of it without reading the whole.
#[derive(Clone, Debug)]
pub struct NewReport {
    /// Everything.
    pub report: Packed,
    /// The few figures of it that lists show.
    pub figures: Packed,
    /// Minutes that it saved a person.
    pub minutes_saved: u64,
}

impl Run {
    /// Whether it runs against real vendors.
    #[must_use]
    pub fn mode(&self) -> RunMode {
        self.world.mode()
    }
}

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// In this world.
    pub world: Option<World>,
    /// In this state.
    pub status: Option<RunStatus>,
    /// Older than this run; the last one of the page before.
    pub before: Option<RunId>,
    /// At most so many; 0 and more than [`RUNS_LISTED_MAX`] mean that.
    pub limit: usize,
}

const COLUMNS: &str = "id, workflow, version, policy_version, world, status, actor, inputs, args, \
                       started_at, ended_at, owner, epoch, leased_until, minutes_saved, figures";

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let owner: Option<String> = row.get(11)?;
    let until: Option<Micros> = row.get(13)?;
    let epoch = unsigned(row.get(12)?);
    let id = row.get::<_, Text<RunId>>(0)?.0;
    Ok(Run {
        lease: owner.zip(until).map(|(owner, until)| Lease {
            run: id.clone(),
            owner,
            epoch,
            until: until.0,
        }),
        id,
        workflow: row.get(1)?,
        version: row.get::<_, Bytes32>(2)?.0,
        policy_version: row.get(3)?,
        world: row.get::<_, Text<World>>(4)?.0,
        status: row.get::<_, Worded<RunStatus>>(5)?.0,
        actor: row.get(6)?,
        inputs: row.get(7)?,
        args: row.get(8)?,
        started_at: row.get::<_, Micros>(9)?.0,
        ended_at: row.get::<_, Option<Micros>>(10)?.map(|at| at.0),
        minutes_saved: unsigned(row.get(14)?),
        figures: row.get(15)?,
    })
}

impl Tx<'_> {
    /// Records a workflow version; recording it again changes nothing.
    pub fn put_workflow_version(&mut self, version: &WorkflowVersion) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO workflow_versions \
             (digest, name, manifest, source, policy_version, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (digest) DO NOTHING",
            params![
                Bytes32(version.digest),
                version.name,
                version.manifest,
                version.source,
                version.policy_version,
                Micros(self.now()),
            ],
        )?;
        Ok(())
    }

    /// Records a run as running from now on. Its workflow version must be recorded before.
    pub fn start_run(&mut self, run: &NewRun) -> Result<(), JournalError> {
        self.execute(
            "INSERT INTO runs (id, workflow, version, policy_version, world, status, actor, \
             inputs, args, started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                run.id.as_str(),
                run.workflow,
                Bytes32(run.version),
                run.policy_version,
                run.world.as_str(),
                RunStatus::Running.as_str(),
                run.actor,
                run.inputs,
                run.args,
                Micros(self.now()),
            ],
        )?;
        Ok(())
    }

    /// Moves a run to another status; ends it where the status is an end.
    ///
    /// # Errors
    /// [`JournalError::Conflict`] when the run has ended already: in particular, a cancelled run
    /// never resumes.
    pub fn set_run_status(&mut self, run: &RunId, status: RunStatus) -> Result<(), JournalError> {
        let present = self.status_of(run)?;
        if !present.is_unfinished() {
            return Err(JournalError::Conflict {
                what: format!("run `{run}` is {present} already"),
            });
        }
        let ended_at = (!status.is_unfinished()).then(|| Micros(self.now()));
        self.execute(
            "UPDATE runs SET status = ?2, ended_at = ?3 WHERE id = ?1",
            params![run.as_str(), status.as_str(), ended_at],
        )?;
        Ok(())
    }

    /// Keeps a run's report; a later one takes its place.
    pub fn put_report(&mut self, run: &RunId, report: &NewReport) -> Result<(), JournalError> {
        let sql = "UPDATE runs SET report = ?2, figures = ?3, minutes_saved = ?4 WHERE id = ?1";
        let minutes = signed(report.minutes_saved);
        match self.execute(sql, params![run.as_str(), report.report, report.figures, minutes])? {
            0 => Err(no_run(run)),
            _ => Ok(()),
        }
    }
}

impl Reader<'_> {
    /// A workflow version by its digest.
    pub fn workflow_version(
        &self,
        digest: &Digest,
    ) -> Result<Option<WorkflowVersion>, JournalError> {
        self.row(
            "SELECT digest, name, manifest, source, policy_version FROM workflow_versions \
             WHERE digest = ?1",
            [Bytes32(*digest)],
            |row| {
                Ok(WorkflowVersion {
                    digest: row.get::<_, Bytes32>(0)?.0,
                    name: row.get(1)?,
                    manifest: row.get(2)?,
                    source: row.get(3)?,
                    policy_version: row.get(4)?,
                })
            },
        )
    }

    /// The names of all workflows of which a version is recorded.
    pub fn workflow_names(&self) -> Result<Vec<String>, JournalError> {
        let sql = "SELECT DISTINCT name FROM workflow_versions ORDER BY name LIMIT ?1";
        self.rows(sql, [signed(WORKFLOWS_LISTED_MAX as u64)], |row| row.get(0))
    }

    /// A run.
    pub fn run(&self, id: &RunId) -> Result<Option<Run>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE id = ?1");
        self.row(&sql, [id.as_str()], read_run)
    }

    /// A run's report, where it has one.
    pub fn report(&self, id: &RunId) -> Result<Option<Packed>, JournalError> {
        let sql = "SELECT report FROM runs WHERE id = ?1";
        Ok(self.row(sql, [id.as_str()], |row| row.get(0))?.flatten())
    }

    /// Runs, newest first.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>, JournalError> {
        let (sql, values) = Conditions::default()
            .given("workflow = ?", filter.workflow.clone())
            .given("world = ?", filter.world.as_ref().map(|world| world.as_str().to_owned()))
            .given("status = ?", filter.status.map(|status| status.as_str().to_owned()))
            .given(
                "n < (SELECT n FROM runs WHERE id = ?)",
                filter.before.as_ref().map(|id| id.as_str().to_owned()),
            )
            .page(&format!("SELECT {COLUMNS} FROM runs"), "n DESC", filter.limit, RUNS_LISTED_MAX);
        self.rows(&sql, params_from_iter(values), read_run)
    }

    /// The newest run of a workflow in a world that has not ended.
    pub fn unfinished_run(
        &self,
        workflow: &str,
        world: &World,
    ) -> Result<Option<Run>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM runs WHERE workflow = ?1 AND world = ?2 AND ended_at IS NULL \
             ORDER BY n DESC LIMIT 1"
        );
        self.row(&sql, [workflow, world.as_str()], read_run)
    }

    /// Runs of a world that may go on by themselves, the oldest first, at most `limit`: fired ones
    /// that were interrupted or whose process may have died, and any for which people have
    /// answered: they decided on what was asked, or settled what nobody could find out. The number stands
    /// for the answers so far; it changes with each.
    pub fn resumable_runs(
        &self,
        world: &World,
        limit: usize,
    ) -> Result<Vec<(Run, u64)>, JournalError> {
        // By run and not by state: there may be many of a state, and few of a run.
        let of_run = "approvals INDEXED BY approvals_by_run";
        let answers = format!(
            "(SELECT count(*) FROM {of_run} JOIN votes ON votes.approval = approvals.n \
             WHERE approvals.run = runs.id) + (SELECT coalesce(sum(CASE state \
             WHEN 'pending' THEN 0 WHEN 'expired' THEN 2 ELSE 1 END), 0) FROM {of_run} \
             WHERE run = runs.id) + (SELECT count(*) FROM effects INDEXED BY effects_by_run \
             WHERE run = runs.id AND settled_at IS NOT NULL)"
        );
        let undecided =
            format!("EXISTS (SELECT 1 FROM {of_run} WHERE run = runs.id AND state = 'pending')");
        let decided_in_part = format!(
            "EXISTS (SELECT 1 FROM {of_run} JOIN approval_actions AS actions \
             ON actions.approval = approvals.n WHERE approvals.run = runs.id \
             AND approvals.state = 'pending' AND actions.state = 'approved')"
        );
        let unsettled = "EXISTS (SELECT 1 FROM effects INDEXED BY effects_by_run \
                         WHERE run = runs.id AND state IN ('intended', 'unknown'))";
        let sql = format!(
            "SELECT {COLUMNS}, {answers} AS answers FROM runs WHERE world = ?1 \
             AND ended_at IS NULL AND ((status IN ('interrupted', 'running') \
             AND EXISTS (SELECT 1 FROM fires WHERE run = runs.id)) OR (status = 'parked' AND (NOT {undecided} OR {decided_in_part})) \
             OR (status = 'needs_attention' AND NOT {unsettled})) ORDER BY n LIMIT ?2"
        );
        self.rows(&sql, params![world.as_str(), signed(limit as u64)], |row| {
            Ok((read_run(row)?, unsigned(row.get("answers")?)))
        })
    }

    pub(crate) fn status_of(&self, run: &RunId) -> Result<RunStatus, JournalError> {
        let sql = "SELECT status FROM runs WHERE id = ?1";
        let status = self.row(sql, [run.as_str()], |row| row.get::<_, Worded<RunStatus>>(0))?;
        status.map(|status| status.0).ok_or_else(|| no_run(run))
    }
}

pub(crate) fn no_run(run: &RunId) -> JournalError {
    JournalError::NotFound { kind: "run", id: run.to_string() }
}
