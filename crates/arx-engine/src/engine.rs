//! What durability means, and the embedded implementation of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arx_audit::LeafKind;
use arx_journal::{
    Journal, JournalError, LeafDraft, Packed, Run, Step, StepOutcome, WorkflowVersion, World,
};
use arx_types::{Digest, RunId, RunStatus};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Workflow;

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
}

/// Why durability could not be had. Nothing further may be sent.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no such run.
    #[error("there is no run `{run}`")]
    NoRun {
        /// What was asked for.
        run: RunId,
    },
}

/// Keeps runs and their steps.
///
/// Obligations: what a method returned `Ok` for survives the death of the process at any later
/// instant. `record` is called once for a step and in any order of positions; `history` returns
/// exactly what was recorded, ordered by position. A run that ended stays ended.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Begins a run of this version of a workflow.
    async fn begin(&self, workflow: &Workflow, run: &NewRun) -> Result<(), EngineError>;

    /// The steps of a run, in order of position.
    async fn history(&self, run: &RunId) -> Result<Vec<RecordedStep>, EngineError>;

    /// Records a step before the workflow sees its result.
    async fn record(&self, run: &RunId, step: RecordedStep) -> Result<(), EngineError>;

    /// Moves a run to another status, with its leaf in the audit log.
    async fn conclude(
        &self,
        run: &RunId,
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
}

impl Embedded {
    /// An engine over a journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal }
    }
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
    async fn begin(&self, workflow: &Workflow, run: &NewRun) -> Result<(), EngineError> {
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
        let dry_run = run.dry_run;
        self.journal
            .write(move |tx| {
                tx.put_workflow_version(&version)?;
                tx.start_run(&record)?;
                let mut leaf = LeafDraft::new(LeafKind::Run, record.actor.as_str())
                    .of_run(&record.id, &record.workflow, &record.version, &record.policy_version)
                    .status("started")
                    .with("inputs_sha256", inputs.to_string())
                    .with("dry_run", dry_run);
                if record.world.scenario().is_some() {
                    leaf = leaf.with("world", record.world.as_str());
                }
                tx.append_leaf(leaf).map(drop)
            })
            .await?;
        Ok(())
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

    async fn record(&self, run: &RunId, step: RecordedStep) -> Result<(), EngineError> {
        let step = Step {
            key: step.key.content,
            occurrence: step.key.occurrence,
            position: step.position,
            operation: step.operation,
            outcome: if step.raised { StepOutcome::Raised } else { StepOutcome::Value },
            payload: Packed::bytes(step.payload.as_bytes())?,
        };
        let id = run.clone();
        self.journal.write(move |tx| tx.put_step(&id, &step)).await?;
        Ok(())
    }

    async fn conclude(
        &self,
        run: &RunId,
        status: RunStatus,
        report: &Value,
        detail: Map<String, Value>,
    ) -> Result<(), EngineError> {
        let report = Packed::json(report)?;
        let id = run.clone();
        self.journal
            .write(move |tx| {
                let run = tx
                    .run(&id)?
                    .ok_or_else(|| JournalError::NotFound { kind: "run", id: id.to_string() })?;
                let mut leaf = run_leaf(&run, &run.actor, status.as_str());
                leaf.detail.extend(detail);
                tx.append_leaf(leaf)?;
                tx.put_report(&id, &report)?;
                tx.set_run_status(&id, status)
            })
            .await?;
        Ok(())
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
