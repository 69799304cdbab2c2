//! A human says what became of an effect that nobody could find out.
//!
//! INVARIANT (nobody else decides meanwhile): the settlement is recorded only while nobody drives
//! the workflow, whoever drove it before is fenced off in the same transaction, and the journal
//! takes it only for the attempt that was shown.

use std::sync::Arc;

use arx_audit::LeafKind;
use arx_journal::{
    Effect, Journal, JournalError, LeafDraft, Packed, Process, Run, SettleOutcome, Settlement,
    World,
};
use arx_types::{Digest, EffectKey, EffectState};
use serde_json::{Value, json};

use crate::{EngineError, start};

/// The longest identifier or address of a vendor's record.
pub const ID_BYTES_MAX: usize = 2000;

/// What somebody says of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It happened.
    Happened {
        /// The vendor's identifier of it.
        id: String,
        /// Its address, which the workflow may pass on.
        url: Option<String>,
    },
    /// It did not happen, and may be tried again.
    DidNotHappen,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The effect as it was before.
    pub effect: Effect,
    /// The run that intended it.
    pub run: Run,
    /// What the workflow will see, where it happened.
    pub result: Option<Value>,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// An identifier that no vendor has.
    #[error("an identifier is printable, not empty and at most {ID_BYTES_MAX} bytes")]
    Identifier,
    /// There is no such effect.
    #[error("there is no effect `{effect}`")]
    Missing {
        /// What was asked for.
        effect: String,
    },
    /// Another effect stands for this one, and is the one to settle.
    #[error("`{effect}` is covered by `{cover}`")]
    Covered {
        /// The effect.
        effect: String,
        /// The one that stands for it.
        cover: String,
    },
    /// It is settled.
    #[error("`{effect}` is {state} already")]
    Already {
        /// The effect.
        effect: String,
        /// Where it stands.
        state: &'static str,
    },
    /// It was settled, or intended anew, while this was said.
    #[error("`{effect}` is {state} meanwhile")]
    Meanwhile {
        /// The effect.
        effect: String,
        /// Where it stands.
        state: &'static str,
    },
    /// Somebody drives the workflow, or the record cannot be kept.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<JournalError> for SettleError {
    fn from(error: JournalError) -> Self {
        Self::Engine(EngineError::Journal(error))
    }
}

/// An effect's name in the audit log: a simulated one begins with its world.
#[must_use]
pub fn log_key(world: &World, key: &EffectKey) -> String {
    match world.scenario() {
        None => key.to_string(),
        Some(_) => format!("{world}/{key}"),
    }
}

/// Records what somebody says of an effect.
///
/// # Errors
/// See [`SettleError`].
pub async fn settle(
    journal: &Journal,
    process: &Arc<Process>,
    (world, key): (&World, &EffectKey),
    who: &str,
    said: &Said,
    reason: Option<&str>,
) -> Result<Settled, SettleError> {
    let result = result(said, who)?;
    let wanted = (world.clone(), key.clone());
    let (effect, run) = journal
        .read(move |reader| {
            let Some(effect) = reader.effect(&wanted.0, &wanted.1)? else { return Ok(None) };
            let run = reader.run(&effect.run)?;
            Ok(run.map(|run| (effect, run)))
        })
        .await?
        .ok_or_else(|| SettleError::Missing { effect: log_key(world, key) })?;
    start::refuse_driven(journal, process, &effect.workflow, &effect.world).await?;
    refuse_what_is_settled(&effect)?;

    let settlement = settlement(&effect, result.as_ref(), who, reason)?;
    let leaf = leaf(&run, &effect, result.as_ref(), who, reason);
    let (workflow, world, key) =
        (effect.workflow.clone(), effect.world.clone(), effect.key.clone());
    let process = Arc::clone(process);
    let outcome = journal
        .try_write(move |tx| {
            if let Some(lease) = tx.fence_off(&workflow, &world, &process)? {
                return Err(EngineError::Held { workflow, lease });
            }
            Ok(tx.settle_effect(&world, &key, &settlement, leaf)?)
        })
        .await?;
    if let SettleOutcome::Refused(present) = outcome {
        let effect = log_key(&present.world, &present.key);
        return Err(SettleError::Meanwhile { effect, state: present.state.as_str() });
    }
    // Signed, so that it cannot be cut off unseen.
    journal.checkpoint().await?;
    Ok(Settled { effect, run, result })
}

/// What the workflow will see of an effect that happened.
fn result(said: &Said, who: &str) -> Result<Option<Value>, SettleError> {
    let Said::Happened { id, url } = said else { return Ok(None) };
    for text in [Some(id), url.as_ref()].into_iter().flatten() {
        let is_plain = !text.trim().is_empty() && !text.chars().any(char::is_control);
        if !is_plain || text.len() > ID_BYTES_MAX {
            return Err(SettleError::Identifier);
        }
    }
    Ok(Some(json!({ "id": id.trim(), "url": url, "settled_by": who })))
}

/// Where nobody drives the workflow, an intent without outcome was left behind, whatever its run's
/// status says.
fn refuse_what_is_settled(effect: &Effect) -> Result<(), SettleError> {
    let name = log_key(&effect.world, &effect.key);
    if let Some(cover) = &effect.covered_by {
        let cover = log_key(&effect.world, cover);
        return Err(SettleError::Covered { effect: name, cover });
    }
    match effect.state {
        EffectState::Unknown | EffectState::Intended => Ok(()),
        EffectState::Done | EffectState::Failed => {
            Err(SettleError::Already { effect: name, state: effect.state.as_str() })
        }
    }
}

fn settlement(
    effect: &Effect,
    result: Option<&Value>,
    who: &str,
    reason: Option<&str>,
) -> Result<Settlement, JournalError> {
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Ok(match result {
        Some(value) => Settlement {
            state: EffectState::Done,
            attempt: effect.attempts,
            result: Some(Packed::json(value)?),
            detail: Some(format!("{who} says that it happened{because}")),
        },
        None => Settlement {
            state: EffectState::Failed,
            attempt: effect.attempts,
            result: None,
            detail: Some(format!("{who} says that it did not happen{because}")),
        },
    })
}

fn leaf(
    run: &Run,
    effect: &Effect,
    result: Option<&Value>,
    who: &str,
    reason: Option<&str>,
) -> LeafDraft {
    let mut leaf = LeafDraft::new(LeafKind::Settle, who)
        .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
        .about(&effect.operation, Some(&effect.key), Some(&effect.params_sha256))
        .in_world(&effect.world)
        .with("settled_by", who)
        .with("was", effect.state.as_str())
        .with("attempt", effect.attempts);
    if let Some(reason) = reason {
        leaf = leaf.with("reason", reason);
    }
    match result {
        None => leaf.status("failed"),
        Some(value) => {
            let digest = Digest::of_json(value).unwrap_or_else(|_| Digest::of_bytes(b""));
            let id = value.get("id").cloned().unwrap_or_default();
            leaf.status("done").result(digest).with("id", id)
        }
    }
}
