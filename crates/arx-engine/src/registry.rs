//! Registration: which version of a workflow runs by itself, what changes with a new one, and who
//! paused it.
//!
//! INVARIANT (nothing unseen): a version takes the place of the one that the reviewer saw it
//! compared with, or of none; where another one came in between, it is refused.
//!
//! Runs that are under way or parked go on with the version that they started with: it is theirs,
//! and not the registration's (`crate::start`, own version).

mod changes;
pub mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arx_audit::LeafKind;
use arx_gateway::ConnectorSpec;
use arx_journal::{
    Fire, FireCause, Journal, JournalError, LeafDraft, NewFire, Registration, Stop, Tx,
    WorkflowVersion, World,
};
use arx_policy::{Policy, PolicyError};
use arx_types::Digest;
use arx_workflow::Diagnostic;
use arx_workflow::bundle::{Bundle, parse};
use jiff::Timestamp;
use serde_json::json;

pub use changes::Change;

use crate::Workflow;
use changes::Version;

/// Changes that stand in the leaf; it counts all of them.
const CHANGES_RECORDED_MAX: usize = 200;
/// The longest words for one side of a change in the leaf, in characters.
const WORDS_RECORDED_MAX: usize = 200;

/// A version of a bundle beside the one that is registered.
#[derive(Clone, Debug)]
pub struct Review {
    /// The version that would be registered.
    pub bundle: Bundle,
    /// Its compiled policy.
    pub policy: Arc<Policy>,
    /// What is registered now.
    pub registered: Option<Registration>,
    /// What of it changes; empty too where this program no longer understands the version that is
    /// registered, as [`Review::is_comparable`] says.
    pub changes: Vec<Change>,
    /// Whether the two could be compared.
    pub is_comparable: bool,
}

impl Review {
    /// Whether this very version is registered.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.registered.as_ref().is_some_and(|now| now.version == self.bundle.version)
    }

    /// How many changes let more happen.
    #[must_use]
    pub fn n_wider(&self) -> usize {
        self.changes.iter().filter(|change| change.wider).count()
    }
}

/// Why something about a registration cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The record cannot be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The policy does not compile.
    #[error("the policy does not compile: {}", words(errors))]
    Policy {
        /// What is wrong with it.
        errors: Vec<PolicyError>,
    },
    /// The workflow is not registered.
    #[error("`{workflow}` is not registered")]
    NotRegistered {
        /// The workflow.
        workflow: String,
    },
    /// The workflow must not act.
    #[error("`{}` is stopped since {} by `{}`: {}", stop.workflow, stop.at, stop.by, stop.reason)]
    Stopped {
        /// Since when, by whom and why.
        stop: Box<Stop>,
    },
    /// Another version was registered since the review.
    #[error("another version of `{workflow}` was registered in the meantime")]
    Outdated {
        /// The workflow.
        workflow: String,
    },
}

fn words(errors: &[PolicyError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A registered version that this program understands.
#[derive(Clone)]
pub struct Registered {
    /// The bundle.
    pub bundle: Bundle,
    /// What is driven.
    pub workflow: Workflow,
}

/// Compares a bundle with the version of its workflow that is registered.
///
/// # Errors
/// When its policy does not compile or the journal cannot be read.
pub async fn review(
    journal: &Journal,
    bundle: Bundle,
    catalogue: &[&'static ConnectorSpec],
) -> Result<Review, RegistryError> {
    let manifest = &bundle.manifest;
    let policy = Policy::compile(&manifest.policy, &manifest.bound())
        .map_err(|errors| RegistryError::Policy { errors })?;
    let name = manifest.metadata.name.clone();
    let registered = journal.read(move |reader| reader.registration(&name)).await?;
    let mut review = Review {
        policy: Arc::new(policy),
        changes: Vec::new(),
        is_comparable: true,
        bundle,
        registered,
    };
    let Some(now) = &review.registered else { return Ok(review) };
    match version(journal, &now.version, catalogue).await? {
        Err(_) => review.is_comparable = false,
        Ok(before) => {
            review.changes = changes::between(
                &Version { bundle: &before.bundle, policy: &before.workflow.policy },
                &Version { bundle: &review.bundle, policy: &review.policy },
                catalogue,
            );
        }
    }
    Ok(review)
}

/// A recorded version, or what is wrong with it by now.
///
/// # Errors
/// When the journal cannot be read or does not have it.
pub async fn version(
    journal: &Journal,
    digest: &Digest,
    catalogue: &[&'static ConnectorSpec],
) -> Result<Result<Registered, Vec<Diagnostic>>, JournalError> {
    let digest = *digest;
    let recorded = journal
        .read(move |reader| reader.workflow_version(&digest))
        .await?
        .ok_or_else(|| JournalError::NotFound { kind: "version", id: digest.to_string() })?;
    let operations: Vec<_> = catalogue.iter().map(|spec| (spec.name, spec.operations)).collect();
    let manifest = match parse("arx.yaml", &recorded.manifest, &operations) {
        Ok(manifest) => manifest,
        Err(diagnostics) => return Ok(Err(diagnostics)),
    };
    let bundle = Bundle::new(manifest, recorded.manifest, recorded.source);
    Ok(Workflow::new(&bundle, catalogue)
        .map(|workflow| Registered { bundle, workflow })
        .map_err(|_| Vec::new()))
}

/// Registers a reviewed version; nothing is recorded where it is registered already.
///
/// # Errors
/// [`RegistryError::Outdated`] when another version was registered since the review.
pub async fn register(journal: &Journal, review: &Review, who: &str) -> Result<(), RegistryError> {
    if review.is_registered() {
        return Ok(());
    }
    let bundle = &review.bundle;
    let name = bundle.manifest.metadata.name.clone();
    let version = WorkflowVersion {
        digest: bundle.version,
        name: name.clone(),
        manifest: bundle.yaml_text.clone(),
        source: bundle.workflow_text.clone(),
        policy_version: review.policy.version().to_string(),
    };
    let leaf = registered_leaf(review, who);
    let seen = review.registered.as_ref().map(|registered| registered.version);
    let who = who.to_owned();
    journal
        .try_write(move |tx| {
            if tx.registration(&name)?.map(|now| now.version) != seen {
                return Err(RegistryError::Outdated { workflow: name });
            }
            tx.put_workflow_version(&version)?;
            tx.register(&name, &version.digest, &who)?;
            tx.append_leaf(leaf)?;
            Ok(())
        })
        .await?;
    Ok(journal.checkpoint().await.map(drop)?)
}

fn registered_leaf(review: &Review, who: &str) -> LeafDraft {
    let manifest = &review.bundle.manifest;
    let mut leaf = LeafDraft::new(LeafKind::Register, who).status("registered");
    leaf.workflow = Some(arx_audit::Workflow {
        name: manifest.metadata.name.clone(),
        version: review.bundle.version.to_string(),
    });
    leaf.policy_version = Some(review.policy.version().to_string());
    if let Some(owner) = &manifest.metadata.owner {
        leaf = leaf.with("owner", owner.as_str());
    }
    if let Some(schedule) = &manifest.schedule {
        leaf = leaf.with("schedule", schedule.cron.as_str());
        leaf = leaf.with("timezone", schedule.timezone.as_str());
    }
    let Some(previous) = &review.registered else { return leaf };
    let listed = review.changes.iter().take(CHANGES_RECORDED_MAX);
    leaf.with("previous", previous.version.to_string())
        .with("n_changes", review.changes.len())
        .with("n_wider", review.n_wider())
        .with("changes", listed.map(in_leaf).collect::<Vec<_>>())
}

/// A change as a leaf says it: what and where, without the values of inputs.
fn in_leaf(change: &Change) -> serde_json::Value {
    let short = |text: &str| text.chars().take(WORDS_RECORDED_MAX).collect::<String>();
    match change.what {
        "input" | "connector" => json!({ "what": change.what, "name": change.name }),
        _ => json!({
            "what": change.what,
            "name": change.name,
            "was": short(&change.was),
            "now": short(&change.now),
            "wider": change.wider,
        }),
    }
}

/// Takes a workflow off the schedule. What is under way goes on.
///
/// # Errors
/// [`RegistryError::NotRegistered`].
pub async fn unregister(journal: &Journal, workflow: &str, who: &str) -> Result<(), RegistryError> {
    change(journal, workflow, who, "unregistered", |tx, name, _| tx.unregister(name)).await?;
    Ok(())
}

/// Pauses a schedule: the workflow runs when a person asks, and not by itself. False when it is
/// paused already.
///
/// # Errors
/// [`RegistryError::NotRegistered`].
pub async fn pause(journal: &Journal, workflow: &str, who: &str) -> Result<bool, RegistryError> {
    change(journal, workflow, who, "paused", |tx, name, who| tx.pause_schedule(name, who)).await
}

/// Ends a pause; what was due in it is nobody's. False when it is not paused.
///
/// # Errors
/// [`RegistryError::NotRegistered`].
pub async fn resume(journal: &Journal, workflow: &str, who: &str) -> Result<bool, RegistryError> {
    change(journal, workflow, who, "resumed", |tx, name, _| tx.resume_schedule(name)).await
}

/// A change of a registration and its leaf, in one transaction.
async fn change(
    journal: &Journal,
    workflow: &str,
    who: &str,
    status: &'static str,
    make: impl FnOnce(&mut Tx<'_>, &str, &str) -> Result<bool, JournalError> + Send + 'static,
) -> Result<bool, RegistryError> {
    let (name, who) = (workflow.to_owned(), who.to_owned());
    let changed = journal
        .try_write(move |tx| {
            let registration = tx.registration(&name)?.ok_or_else(|| not_registered(&name))?;
            let changed = make(tx, &name, &who)?;
            if changed {
                tx.append_leaf(leaf(&registration, &who, status))?;
            }
            Ok::<_, RegistryError>(changed)
        })
        .await?;
    journal.checkpoint().await?;
    Ok(changed)
}

/// The leaf of what happens to a registration or its schedule.
fn leaf(registration: &Registration, who: &str, status: &str) -> LeafDraft {
    let kind = match status {
        "unregistered" => LeafKind::Register,
        _ => LeafKind::Schedule,
    };
    let mut leaf = LeafDraft::new(kind, who).status(status);
    leaf.workflow = Some(arx_audit::Workflow {
        name: registration.workflow.clone(),
        version: registration.version.to_string(),
    });
    leaf
}

/// The leaf of a fire that was left out when it was due.
#[must_use]
pub fn skipped_leaf(
    registration: &Registration,
    fire: &NewFire,
    n: u64,
    reason: &str,
) -> LeafDraft {
    let leaf = leaf(registration, &fire.actor, "skipped").with("fire", n);
    fire_detail(leaf, fire.cause, fire.due_at, fire.last_due_at, fire.n_due, &fire.world)
        .with("reason", reason)
}

fn fire_detail(
    leaf: LeafDraft,
    cause: FireCause,
    due_at: Timestamp,
    last_due_at: Timestamp,
    n_due: u64,
    world: &World,
) -> LeafDraft {
    let leaf = leaf.with("cause", cause.as_str()).with("due_at", due_at.to_string());
    let leaf = match n_due {
        1 => leaf,
        n => leaf.with("last_due_at", last_due_at.to_string()).with("n_due", n),
    };
    match world.scenario() {
        None => leaf,
        Some(_) => leaf.with("world", world.as_str()),
    }
}

/// Leaves a waiting fire out, or says that it could not be started; nothing happens to one that no
/// longer waits.
///
/// # Errors
/// When it cannot be recorded.
pub async fn drop_fire(
    journal: &Journal,
    n: u64,
    failed: bool,
    reason: &str,
) -> Result<(), JournalError> {
    let reason = reason.to_owned();
    journal
        .write(move |tx| {
            let Some(fire) = tx.drop_fire(n, failed, &reason)? else { return Ok(()) };
            let mut leaf = LeafDraft::new(LeafKind::Schedule, fire.actor.as_str())
                .status(if failed { "failed" } else { "skipped" })
                .with("fire", n);
            let version = tx.registration(&fire.workflow)?.map(|now| now.version.to_string());
            leaf.workflow = Some(arx_audit::Workflow {
                version: version.unwrap_or_else(|| "*".to_owned()),
                name: fire.workflow,
            });
            let Fire { cause, due_at, last_due_at, n_due, world, .. } = fire;
            let leaf = fire_detail(leaf, cause, due_at, last_due_at, n_due, &world);
            tx.append_leaf(leaf.with("reason", reason)).map(drop)
        })
        .await
}

fn not_registered(workflow: &str) -> RegistryError {
    RegistryError::NotRegistered { workflow: workflow.to_owned() }
}

/// Asks for a run of a registered workflow as soon as it may begin; gives the number of the fire.
///
/// # Errors
/// [`RegistryError::NotRegistered`] and [`RegistryError::Stopped`].
pub async fn fire_now(
    journal: &Journal,
    world: &World,
    workflow: &str,
    who: &str,
) -> Result<u64, RegistryError> {
    let (name, world, who) = (workflow.to_owned(), world.clone(), who.to_owned());
    journal
        .try_write(move |tx| {
            tx.registration(&name)?.ok_or_else(|| not_registered(&name))?;
            if let Some(stop) = tx.active_stop(&name)? {
                return Err(RegistryError::Stopped { stop: Box::new(stop) });
            }
            let now = tx.now();
            let fire = NewFire {
                world,
                workflow: name,
                cause: FireCause::Person,
                due_at: now,
                last_due_at: now,
                n_due: 1,
                not_before: now,
                actor: who,
                skipped: None,
            };
            let n = tx.put_fire(&fire)?;
            Ok(n.ok_or_else(|| JournalError::Conflict { what: "it fires already".to_owned() })?)
        })
        .await
}
