//! What is asked of the gate, and what comes back.

use std::sync::Arc;

use arx_audit::LeafKind;
use arx_journal::{JournalError, LeafDraft, World};
use arx_policy::Policy;
use arx_types::{ApprovalId, Decision, Digest, EffectKey, FindingSink, Operation, RunId, Target};
use serde::Serialize;
use serde_json::Value;

use crate::connector::CallError;

/// The run on whose behalf a call is made. The same for every call of a run.
#[derive(Clone)]
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// The epoch of the lease under which this process drives it.
    pub epoch: u64,
    /// The workflow's name; effect keys begin with it.
    pub workflow: String,
    /// Digest of the bundle.
    pub version: Digest,
    /// The compiled policy.
    pub policy: Arc<Policy>,
    /// Where effects happen.
    pub world: World,
    /// Who started the run.
    pub actor: String,
    /// Decide and record, and send no write.
    pub dry_run: bool,
}

impl RunContext {
    /// A leaf about this run.
    #[must_use]
    pub fn leaf(&self, kind: LeafKind) -> LeafDraft {
        let policy = self.policy.version().to_string();
        let leaf = LeafDraft::new(kind, self.actor.as_str()).of_run(
            &self.run,
            &self.workflow,
            &self.version,
            &policy,
        );
        match self.world.scenario() {
            None => leaf,
            Some(_) => leaf.with("world", self.world.as_str()),
        }
    }

    /// Facts about the run that conditions may use.
    pub(crate) fn facts(&self) -> Value {
        serde_json::json!({
            "id": self.run.as_str(),
            "workflow": self.workflow,
            "version": self.version.to_string(),
            "mode": self.world.mode(),
            "actor": self.actor,
            "dry_run": self.dry_run,
        })
    }
}

/// One call that a workflow wants to make.
#[derive(Clone)]
pub struct Action {
    /// What to call.
    pub operation: Operation,
    /// With what; no credential and no effect key among them.
    pub params: Value,
    /// The environment it acts on, where the operation has one.
    pub target: Target,
    /// What the write *is*, across runs.
    pub effect: Option<EffectKey>,
    /// Further effects that this one write brings about.
    pub covers: Vec<EffectKey>,
    /// What it follows from: merges and vulnerabilities by digest.
    pub lineage: Vec<String>,
    /// Where findings go, for operations that stream them.
    pub findings: Option<Arc<dyn FindingSink>>,
}

impl Action {
    /// What an approval is bound to: the workflow's version, the policy's version, the operation,
    /// the effects, the target and the parameters.
    pub(crate) fn digest(
        &self,
        ctx: &RunContext,
        params_sha256: Digest,
    ) -> Result<Digest, GateError> {
        let bound = serde_json::json!({
            "workflow_version": ctx.version,
            "policy_version": ctx.policy.version(),
            "operation": self.operation.to_string(),
            "effect": self.effect,
            "covers": self.covers,
            "target": self.target,
            "params_sha256": params_sha256,
        });
        Digest::of_json(&bound).map_err(|error| {
            GateError::Call(CallError::Parameters {
                operation: self.operation.to_string(),
                message: error.to_string(),
            })
        })
    }
}

/// What became of a call that went through.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The connector's value.
    pub value: Value,
    /// For a write: what became of its effect.
    pub effect: Option<EffectReply>,
}

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectReply {
    /// Its key.
    pub key: EffectKey,
    /// Whether it was brought about in this run, rather than in an earlier one.
    pub new: bool,
    /// The write that brought it about, where that was one for several effects.
    pub covered_by: Option<EffectKey>,
}

/// A call that a human must decide.
#[derive(Clone, Debug)]
pub struct Escalation {
    /// What the approval will be bound to.
    pub digest: Digest,
    /// The decision, with its reasons and score.
    pub decision: Decision,
    /// The call as it will be sent, without secrets.
    pub action: EscalatedAction,
    /// The request that already asks for it, if there is one.
    pub pending: Option<ApprovalId>,
}

/// The call that an approval shows.
#[derive(Clone, Debug, Serialize)]
pub struct EscalatedAction {
    /// What.
    pub operation: Operation,
    /// With what.
    pub params: Value,
    /// Digest of the canonical parameters, as the audit log names the call.
    pub params_sha256: Digest,
    /// Its effect.
    pub effect: Option<EffectKey>,
    /// What it follows from.
    pub lineage: Vec<String>,
}

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The gate denied it; nothing was sent, and the denial is recorded.
    #[error("{operation} is denied: {}", decision.reasons.join("; "))]
    Denied {
        /// What was denied.
        operation: Operation,
        /// The decision.
        decision: Box<Decision>,
    },
    /// A human must decide; the run parks.
    #[error("{} waits for approval", .0.action.operation)]
    Escalated(Box<Escalation>),
    /// A human said no.
    #[error("{operation} was denied by a human: {reason}")]
    Refused {
        /// What was refused.
        operation: Operation,
        /// The words.
        reason: String,
    },
    /// Nobody decided in time.
    #[error("the approval of {operation} expired")]
    Expired {
        /// What was not decided.
        operation: Operation,
    },
    /// Whether the effect happened is not known, and the vendor cannot tell.
    #[error("the outcome of `{effect}` is unknown: {why}")]
    NeedsAttention {
        /// The effect.
        effect: EffectKey,
        /// What was looked at.
        why: String,
    },
    /// The connector is not available in this run.
    #[error("{connector} is not available: {why}")]
    Unavailable {
        /// The connector.
        connector: String,
        /// Why.
        why: String,
    },
    /// The call itself failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The record could not be kept; the call does not happen.
    #[error("the call is not recorded, so it does not happen: {0}")]
    Journal(#[from] JournalError),
}
