//! How a run comes to be driven: which connectors are ready, what an earlier process left
//! unfinished, and how a recorded run goes on or is given up.
//!
//! INVARIANT (own version): a run that goes on does so on the texts, inputs and flags that it
//! started with, whatever the bundle says by now.
//! INVARIANT (cancelled stays cancelled): a cancelled run and what it asked for never come back;
//! the journal refuses.

use std::sync::Arc;

use arx_audit::LeafKind;
use arx_gateway::{ConnectorSpec, Gateway, SetupError};
use arx_journal::{Clock, Journal, JournalError, LeafDraft, Process, Run, RunFilter, World};
use arx_types::{ApprovalId, RunId, RunStatus};
use arx_workflow::Diagnostic;
use arx_workflow::bundle::Manifest;
use rand::Rng as _;
use serde_json::Value;

use crate::engine::{existing, run_leaf};
use crate::registry::{self, Registered};
use crate::{EngineError, NewRun, Workflow};

/// Whether the inputs set a connector aside: `qualys_enabled: false` does, for an optional one.
/// Nothing is then asked of it, not even its variables.
#[must_use]
pub fn is_set_aside(manifest: &Manifest, inputs: &Value, connector: &str) -> bool {
    let optional = manifest.connectors.get(connector).is_some_and(|binding| binding.optional);
    optional && inputs.get(format!("{connector}_enabled")) == Some(&Value::Bool(false))
}

/// Connectors that cannot be used, by what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// These stop the start: required ones, and optional ones that are configured by half.
    pub missing: Vec<SetupError>,
    /// The workflow goes on without these: optional ones that nobody configured.
    pub left_out: Vec<SetupError>,
}

/// Sorts what is wrong with a gate's connectors.
#[must_use]
pub fn readiness(
    gateway: &Gateway,
    manifest: &Manifest,
    inputs: &Value,
    catalogue: &[&'static ConnectorSpec],
) -> Readiness {
    let mut readiness = Readiness::default();
    for error in gateway.setup_errors() {
        let connector = error.connector();
        if is_set_aside(manifest, inputs, connector) {
            continue;
        }
        let n_required = catalogue
            .iter()
            .filter(|spec| spec.name == connector)
            .flat_map(|spec| spec.variables)
            .filter(|variable| variable.required)
            .count();
        match error {
            SetupError::Missing { names, .. }
                if gateway.is_optional(connector) && names.len() == n_required =>
            {
                readiness.left_out.push(error.clone());
            }
            SetupError::Missing { .. } | SetupError::Endpoint { .. } => {
                readiness.missing.push(error.clone());
            }
        }
    }
    readiness
}

/// A run that is about to be recorded, with an identifier of its own.
#[must_use]
pub fn new_run(clock: &dyn Clock, world: World, actor: &str, dry_run: bool) -> NewRun {
    let unix_ms = u64::try_from(clock.now().as_millisecond()).unwrap_or(0);
    let id = RunId::from_parts(unix_ms, rand::rng().random());
    NewRun { id, world, actor: actor.to_owned(), dry_run, fire: None }
}

/// The runs of a workflow that an earlier process left and that go on by themselves, the oldest
/// first: those that were interrupted, that wait for approval, or whose process died. Whether one
/// has a living process is found out by [`crate::Engine::resume`].
///
/// A run that needs attention waits for its human and holds up nobody. A dry run and a real one
/// never go on in each other's place.
///
/// # Errors
/// When the journal cannot be read.
pub async fn unfinished(
    journal: &Journal,
    workflow: &str,
    world: &World,
    dry_run: bool,
) -> Result<Vec<Run>, JournalError> {
    let (workflow, world) = (workflow.to_owned(), world.clone());
    let mut found: Vec<Run> = journal
        .read(move |reader| {
            let mut found = Vec::new();
            for status in [RunStatus::Running, RunStatus::Interrupted, RunStatus::Parked] {
                found.extend(reader.runs(&RunFilter {
                    workflow: Some(workflow.clone()),
                    world: Some(world.clone()),
                    status: Some(status),
                    ..RunFilter::default()
                })?);
            }
            Ok::<_, JournalError>(found)
        })
        .await?;
    found.retain(|run| is_dry(run) == dry_run);
    found.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
    Ok(found)
}

/// Whether a recorded run is what would be started now: same version, same inputs.
#[must_use]
pub fn is_same(run: &Run, workflow: &Workflow) -> bool {
    run.version == workflow.version
        && run.inputs.unpack::<Value>().is_ok_and(|inputs| inputs == workflow.inputs)
}

/// Whether a recorded run only decides.
#[must_use]
pub fn is_dry(run: &Run) -> bool {
    let args: Value = run.args.unpack().unwrap_or_default();
    args.get("dry_run").and_then(Value::as_bool).unwrap_or(false)
}

/// Why a recorded run cannot be driven by this program.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The journal cannot be read, or lacks the version.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// This program does not understand the version that the run started with.
    #[error("the recorded version of `{workflow}` is not understood: {}", first(diagnostics))]
    Version {
        /// The workflow.
        workflow: String,
        /// What is wrong with it by now.
        diagnostics: Vec<Diagnostic>,
    },
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics.first().map_or_else(|| "its policy".to_owned(), ToString::to_string)
}

/// A recorded run at the version it started with.
pub struct Recorded {
    /// What its `arx.yaml` says.
    pub manifest: Manifest,
    /// What is driven.
    pub workflow: Workflow,
    /// How it was started.
    pub run: NewRun,
}

/// Reads a recorded run with its texts, inputs and flags.
///
/// # Errors
/// See [`RecordedError`].
pub async fn recorded(
    journal: &Journal,
    run: &Run,
    catalogue: &[&'static ConnectorSpec],
) -> Result<Recorded, RecordedError> {
    let not_understood =
        |diagnostics| RecordedError::Version { workflow: run.workflow.clone(), diagnostics };
    let version = registry::version(journal, &run.version, catalogue).await?;
    let Registered { bundle, mut workflow } = version.map_err(not_understood)?;
    let manifest = bundle.manifest;
    workflow.inputs = run.inputs.unpack()?;
    let run = NewRun {
        id: run.id.clone(),
        world: run.world.clone(),
        actor: run.actor.clone(),
        dry_run: is_dry(run),
        fire: None,
    };
    Ok(Recorded { manifest, workflow, run })
}

/// That nobody drives a workflow in a world, as far as one look tells; [`crate::Engine::begin`]
/// and [`crate::Engine::resume`] have the last word.
///
/// # Errors
/// [`EngineError::Held`] when somebody does.
pub async fn refuse_driven(
    journal: &Journal,
    process: &Arc<Process>,
    workflow: &str,
    world: &World,
) -> Result<(), EngineError> {
    let (name, world, process) = (workflow.to_owned(), world.clone(), Arc::clone(process));
    let now = journal.clock().now();
    let lease = journal.read(move |reader| reader.driven(&name, &world, now, &process)).await?;
    match lease {
        None => Ok(()),
        Some(lease) => Err(EngineError::Held { workflow: workflow.to_owned(), lease }),
    }
}

/// Gives a run up that nobody drives, with everything that it still asks for. Gives the approvals
/// that were withdrawn.
///
/// # Errors
/// [`EngineError::Held`] when it or another run of its workflow is driven, and
/// [`JournalError::Conflict`] when it has ended already.
pub async fn cancel(
    journal: &Journal,
    process: &Arc<Process>,
    run: &RunId,
    who: &str,
) -> Result<Vec<ApprovalId>, EngineError> {
    let (id, who, process) = (run.clone(), who.to_owned(), Arc::clone(process));
    let withdrawn = journal
        .try_write(move |tx| {
            let run = existing(tx, &id)?;
            if let Some(lease) = tx.fence_off(&run.workflow, &run.world, &process)? {
                return Err(EngineError::Held { workflow: run.workflow, lease });
            }
            tx.set_run_status(&id, RunStatus::Cancelled)?;
            let withdrawn = tx.cancel_approvals(&id)?;
            for approval in &withdrawn {
                let leaf = LeafDraft::new(LeafKind::Approval, who.as_str())
                    .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
                    .status("cancelled")
                    .with("approval", approval.id.as_str())
                    .in_world(&run.world);
                tx.append_leaf(leaf)?;
            }
            tx.append_leaf(run_leaf(&run, &who, RunStatus::Cancelled.as_str()))?;
            Ok(withdrawn.into_iter().map(|approval| approval.id).collect())
        })
        .await?;
    journal.checkpoint().await?;
    Ok(withdrawn)
}
