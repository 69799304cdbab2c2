//! The permit: proof that the gate let a call through.

use arx_types::{EffectKey, Operation, RunId};

/// The lease that a permit was given under.
///
/// INVARIANT (fencing): the journal is asked whether it still stands when the call is decided,
/// and again right before a write is sent.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    /// The run.
    pub(crate) run: RunId,
    /// The epoch of the lease on it.
    pub(crate) epoch: u64,
}

/// Proof that one call was permitted, and that its decision (and for a write its intent) is on
/// disk.
///
/// INVARIANT (the type system is the gate): every field is private and only this crate builds
/// one; nothing is sent without a `&Permit`.
///
/// ```compile_fail,E0451
/// let permit = arx_gateway::Permit { tenure: None, decision_seq: 0 };
/// ```
///
/// ```compile_fail,E0624
/// let permit = arx_gateway::Permit::mint(None, "jira.issues:create".parse().unwrap(), None, 0);
/// ```
#[derive(Debug)]
pub struct Permit {
    tenure: Option<Tenure>,
    operation: Operation,
    effect: Option<EffectKey>,
    decision_seq: u64,
}

impl Permit {
    pub(crate) fn mint(
        tenure: Option<Tenure>,
        operation: Operation,
        effect: Option<EffectKey>,
        decision_seq: u64,
    ) -> Self {
        Self { tenure, operation, effect, decision_seq }
    }

    /// The run it was given to; `None` for a credential check outside any run.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        self.tenure.as_ref().map(|tenure| &tenure.run)
    }

    /// Under which lease; `None` for a credential check outside any run.
    pub(crate) fn tenure(&self) -> Option<&Tenure> {
        self.tenure.as_ref()
    }

    /// What it permits.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// The effect it permits, for a write.
    #[must_use]
    pub fn effect(&self) -> Option<&EffectKey> {
        self.effect.as_ref()
    }

    /// Sequence number of the audit leaf that records the decision.
    #[must_use]
    pub fn decision_seq(&self) -> u64 {
        self.decision_seq
    }
}
