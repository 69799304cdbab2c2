//! Stopping a workflow, and letting it act again.
//!
//! The stop and its leaf are one transaction; the gate asks for it in the transaction that decides,
//! so that nothing of a running process has to be told.

use arx_audit::{LeafKind, Workflow};
use arx_journal::{Journal, JournalError, LeafDraft, RunFilter, Stop};
use arx_types::{RunId, RunStatus};

/// What stands for every version of a workflow in a leaf.
const EVERY_VERSION: &str = "*";
/// Runs under way that are named.
const NAMED_MAX: usize = 100;

/// That a workflow is stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// Whether it was not before; the first stop stands.
    pub changed: bool,
    /// The stop that holds.
    pub stop: Stop,
    /// Its runs under way, whose further calls are denied.
    pub under_way: Vec<RunId>,
}

/// Stops a workflow: the gate denies every further call, and no run begins.
///
/// # Errors
/// When it cannot be recorded.
pub async fn stop(
    journal: &Journal,
    workflow: &str,
    who: &str,
    reason: &str,
) -> Result<Stopped, JournalError> {
    let (name, who, reason) = (workflow.to_owned(), who.to_owned(), reason.to_owned());
    let stopped = journal
        .write(move |tx| {
            let changed = tx.stop_workflow(&name, &who, &reason)?;
            if changed {
                tx.append_leaf(leaf(&who, &name, "stopped").with("reason", reason.as_str()))?;
            }
            let missing = || JournalError::NotFound { kind: "stop", id: name.clone() };
            let stop = tx.active_stop(&name)?.ok_or_else(missing)?;
            let under_way = tx.runs(&RunFilter {
                workflow: Some(name.clone()),
                status: Some(RunStatus::Running),
                limit: NAMED_MAX,
                ..RunFilter::default()
            })?;
            let under_way = under_way.into_iter().map(|run| run.id).collect();
            Ok(Stopped { changed, stop, under_way })
        })
        .await?;
    // Signed, so that it cannot be cut off unseen.
    journal.checkpoint().await?;
    Ok(stopped)
}

/// Lets a stopped workflow act again; false when it is not stopped. It starts no run.
///
/// # Errors
/// When it cannot be recorded.
pub async fn lift(journal: &Journal, workflow: &str, who: &str) -> Result<bool, JournalError> {
    let (name, who) = (workflow.to_owned(), who.to_owned());
    let lifted = journal
        .write(move |tx| {
            let lifted = tx.lift_stop(&name, &who)?;
            if lifted {
                tx.append_leaf(leaf(&who, &name, "started"))?;
            }
            Ok(lifted)
        })
        .await?;
    journal.checkpoint().await?;
    Ok(lifted)
}

/// The leaf of a stop or of its end.
fn leaf(who: &str, workflow: &str, status: &str) -> LeafDraft {
    let mut leaf = LeafDraft::new(LeafKind::Stop, who).status(status);
    leaf.workflow = Some(Workflow { name: workflow.to_owned(), version: EVERY_VERSION.to_owned() });
    leaf
}
