//! What durability means, and the embedded implementation of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arx_audit::LeafKind;
use arx_journal::{
    Claim, Journal, JournalError, LeafDraft, Lease, NewReport, Packed, Process, Run, Step,
    StepOutcome, Stop, Tx, WorkflowVersion, World,
};
use arx_types::{Digest, RunId, RunStatus};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Workflow;

/// How long a process may be silent before another one may take its runs over. As long as a
/// request waits for its reply, so that what was sent has mostly been answered by then.
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(30);

/// The address of a step: by content, not by order, so that calls which finish in another order
/// on replay find their results all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepKey {
    /// Digest of the operation and its canonical parameters.
    pub content: Digest,
    /// Which of the run's calls with this content, from 0.
    pub occurrence: u32,
}

/// A step as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedStep {
    /// Its address.
    pub key: StepKey,
    /// Its place in the order in which results reached the workflow, from 0.
    pub position: u64,
    /// What was called.
    pub operation: String,
    /// Whether the workflow got a value or an exception.
    pub raised: bool,
    /// The value, or the exception, as JSON text: a merge of many vulnerabilities is several
    /// times as large as a tree of values.
    pub payload: Arc<str>,
}

/// A run about to begin.
#[derive(Clone)]
pub struct NewRun {
    /// Its identifier.
    pub id: RunId,
    /// Where its effects happen.
    pub world: World,
    /// Who starts it.
    pub actor: String,
    /// Decide and record, and send no write.
    pub dry_run: bool,
    /// The fire that it comes of, where it was not started by hand.
    pub fire: Option<u64>,
}

/// Why durability could not be had. Nothing further may be sent.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The workflow is driven already in this world.
    #[error("`{workflow}` is already running: {}", holder(lease))]
    Held {
        /// The workflow.
        workflow: String,
        /// Which run, and by whom.
        lease: Lease,
    },
    /// The workflow must not act.
    #[error("`{}` is stopped since {} by `{}`: {}", stop.workflow, stop.at, stop.by, stop.reason)]
    Stopped {
        /// Since when, by whom and why.
        stop: Box<Stop>,
    },
    /// There is no such run.
    #[error("there is no run `{run}`")]
    NoRun {
        /// What was asked for.
        run: RunId,
    },
}

/// Who holds a lease, in words; a process's name begins with the system's number of it.
fn holder(lease: &Lease) -> String {
    let number = lease.owner.split('-').next().unwrap_or_default();
    format!("run {} in process {number}", lease.run)
}

/// Keeps runs and their steps.
///
/// Obligations: what a method returned `Ok` for survives the death of the process at any later
/// instant. `record` is called once for a step and in any order of positions; `history` returns
/// exactly what was recorded, ordered by position. A run that ended stays ended. A workflow is
/// driven under one lease at a time in one world, and `record`, `conclude` and `renew` fail under
/// a lease that another one has followed.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Begins a run of this version of a workflow.
    async fn begin(&self, workflow: &Workflow, run: &NewRun) -> Result<Lease, EngineError>;

    /// Goes on with a run that has not ended, and records who asked for it.
    async fn resume(&self, run: &RunId, who: &str) -> Result<Lease, EngineError>;

    /// Says that the owner of a lease is alive.
    async fn renew(&self, lease: &Lease) -> Result<(), EngineError>;

    /// The steps of a run, in order of position.
    async fn history(&self, run: &RunId) -> Result<Vec<RecordedStep>, EngineError>;

    /// Records a step before the workflow sees its result.
    async fn record(&self, lease: &Lease, step: RecordedStep) -> Result<(), EngineError>;

    /// Moves a run to another status, with its leaf in the audit log, and gives the lease up.
    async fn conclude(
        &self,
        lease: &Lease,
        status: RunStatus,
        report: &Value,
        detail: Map<String, Value>,
    ) -> Result<(), EngineError>;

    /// When a run began; `None` where there is no such run.
    async fn started_at(&self, run: &RunId) -> Result<Option<Timestamp>, EngineError>;
}

/// The embedded engine: the journal of this state directory.
#[derive(Clone)]
pub struct Embedded {
    journal: Journal,
    process: Arc<Process>,
}

impl Embedded {
    /// An engine over a journal, for the runs of a process.
    #[must_use]
    pub fn new(journal: Journal, process: Arc<Process>) -> Self {
        Self { journal, process }
    }
}

/// Claims a run inside the transaction that begins it or goes on with it.
fn claim(tx: &mut Tx<'_>, run: &Run, process: &Process) -> Result<Lease, EngineError> {
    match tx.claim_run(&run.id, process, LEASE_TTL)? {
        Claim::Granted(lease) => Ok(lease),
        Claim::Held(lease) => Err(EngineError::Held { workflow: run.workflow.clone(), lease }),
    }
}

/// A run that is there.
pub(crate) fn existing(tx: &Tx<'_>, run: &RunId) -> Result<Run, EngineError> {
    tx.run(run)?.ok_or_else(|| EngineError::NoRun { run: run.clone() })
}

/// The audit leaf of a run's change of status.
pub(crate) fn run_leaf(run: &Run, actor: &str, status: &str) -> LeafDraft {
    let leaf = LeafDraft::new(LeafKind::Run, actor)
        .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
        .status(status);
    match run.world.scenario() {
        None => leaf,
        Some(_) => leaf.with("world", run.world.as_str()),
    }
}

#[async_trait]
impl Engine for Embedded {
    async fn begin(&self, workflow: &Workflow, run: &NewRun) -> Result<Lease, EngineError> {
        let policy_version = workflow.policy.version().to_string();
        let version = WorkflowVersion {
            digest: workflow.version,
            name: workflow.name.clone(),
            manifest: workflow.manifest.clone(),
            source: workflow.source.clone(),
            policy_version: policy_version.clone(),
        };
        let record = arx_journal::NewRun {
            id: run.id.clone(),
            workflow: workflow.name.clone(),
            version: workflow.version,
            policy_version,
            world: run.world.clone(),
            actor: run.actor.clone(),
            inputs: Packed::json(&workflow.inputs)?,
            args: Packed::json(&json!({ "dry_run": run.dry_run }))?,
        };
        let inputs = Digest::of_json(&workflow.inputs).unwrap_or_else(|_| Digest::of_bytes(b""));
        let (dry_run, fire) = (run.dry_run, run.fire);
        let process = Arc::clone(&self.process);
        self.journal
            .try_write(move |tx| {
                if let Some(stop) = tx.active_stop(&record.workflow)? {
                    return Err(EngineError::Stopped { stop: Box::new(stop) });
                }
                tx.put_workflow_version(&version)?;
                tx.start_run(&record)?;
                let lease = claim(tx, &existing(tx, &record.id)?, &process)?;
                let mut leaf = LeafDraft::new(LeafKind::Run, record.actor.as_str())
                    .of_run(&record.id, &record.workflow, &record.version, &record.policy_version)
                    .status("started")
                    .with("inputs_sha256", inputs.to_string())
                    .with("dry_run", dry_run);
                if record.world.scenario().is_some() {
                    leaf = leaf.with("world", record.world.as_str());
                }
                if let Some(fire) = fire {
                    let fire = tx.start_fire(fire, &record.id)?;
                    leaf = leaf
                        .with("fire", fire.n)
                        .with("cause", fire.cause.as_str())
                        .with("due_at", fire.due_at.to_string());
                }
                tx.append_leaf(leaf)?;
                Ok(lease)
            })
            .await
    }

    async fn resume(&self, run: &RunId, who: &str) -> Result<Lease, EngineError> {
        let (id, who, process) = (run.clone(), who.to_owned(), Arc::clone(&self.process));
        self.journal
            .try_write(move |tx| {
                let run = existing(tx, &id)?;
                let lease = claim(tx, &run, &process)?;
                tx.set_run_status(&id, RunStatus::Running)?;
                tx.append_leaf(run_leaf(&run, &who, "resumed"))?;
                Ok(lease)
            })
            .await
    }

    async fn renew(&self, lease: &Lease) -> Result<(), EngineError> {
        let lease = lease.clone();
        Ok(self.journal.write(move |tx| tx.renew_lease(&lease, LEASE_TTL)).await?)
    }

    async fn history(&self, run: &RunId) -> Result<Vec<RecordedStep>, EngineError> {
        let id = run.clone();
        let steps: Vec<Step> = self
            .journal
            .read(move |reader| reader.steps(&id))
            .await
            .map_err(|e: JournalError| e)?;
        let unpack = |step: Step| -> Result<RecordedStep, EngineError> {
            Ok(RecordedStep {
                key: StepKey { content: step.key, occurrence: step.occurrence },
                position: step.position,
                operation: step.operation,
                raised: match step.outcome {
                    StepOutcome::Value => false,
                    StepOutcome::Raised => true,
                },
                payload: String::from_utf8(step.payload.unpack_bytes()?)
                    .map_err(|error| JournalError::Invalid {
                        what: "step",
                        reason: error.to_string(),
                    })?
                    .into(),
            })
        };
        steps.into_iter().map(unpack).collect()
    }

    async fn record(&self, lease: &Lease, step: RecordedStep) -> Result<(), EngineError> {
        let step = Step {
            key: step.key.content,
            occurrence: step.key.occurrence,
            position: step.position,
            operation: step.operation,
            outcome: if step.raised { StepOutcome::Raised } else { StepOutcome::Value },
            payload: Packed::bytes(step.payload.as_bytes())?,
        };
        let lease = lease.clone();
        let write = self.journal.try_write_unguarded(move |tx: &mut Tx<'_>| {
            tx.check_lease(&lease.run, lease.epoch)?;
            tx.put_step(&lease.run, &step)
        });
        Ok(write.await?)
    }

    async fn conclude(
        &self,
        lease: &Lease,
        status: RunStatus,
        report: &Value,
        detail: Map<String, Value>,
    ) -> Result<(), EngineError> {
        let report = NewReport {
            figures: Packed::json(&crate::report::figures(report))?,
            minutes_saved: report.get("time_saved_minutes").and_then(Value::as_u64).unwrap_or(0),
            report: Packed::json(report)?,
        };
        let lease = lease.clone();
        self.journal
            .try_write(move |tx| {
                tx.check_lease(&lease.run, lease.epoch)?;
                let run = existing(tx, &lease.run)?;
                let mut leaf = run_leaf(&run, &run.actor, status.as_str());
                leaf.detail.extend(detail);
                tx.append_leaf(leaf)?;
                tx.put_report(&run.id, &report)?;
                tx.set_run_status(&run.id, status)?;
                crate::notices::of_run(tx, &run, status)?;
                Ok(tx.release_lease(&lease)?)
            })
            .await
    }

    async fn started_at(&self, run: &RunId) -> Result<Option<Timestamp>, EngineError> {
        let id = run.clone();
        let run: Option<Run> =
            self.journal.read(move |reader| reader.run(&id)).await.map_err(|e: JournalError| e)?;
        Ok(run.map(|run| run.started_at))
    }
}

/// Counts calls by content, to give each its address.
#[derive(Default)]
pub(crate) struct Addresses {
    seen: BTreeMap<Digest, u32>,
}

impl Addresses {
    /// The address of the next call of this operation with these parameters.
    pub(crate) fn next(&mut self, operation: &str, params: &Map<String, Value>) -> StepKey {
        let content = Digest::of_json(&json!({ "operation": operation, "params": params }))
            .unwrap_or_else(|_| Digest::of_bytes(operation.as_bytes()));
        let seen = self.seen.entry(content).or_default();
        let key = StepKey { content, occurrence: *seen };
        *seen += 1;
        key
    }
}
