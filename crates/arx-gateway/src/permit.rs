//! The permit: proof that the gate let a call through.

use arx_types::{EffectKey, Operation, RunId};

/// Proof that one call was permitted, and that its decision (and for a write its intent) is on
/// disk.
///
/// INVARIANT (the type system is the gate): every field is private and only this crate builds
/// one; nothing is sent without a `&Permit`.
///
/// ```compile_fail,E0451
/// let permit = arx_gateway::Permit { run: None, decision_seq: 0 };
/// ```
///
/// ```compile_fail,E0624
/// let permit = arx_gateway::Permit::mint(None, "jira.issues:create".parse().unwrap(), None, 0);
/// ```
#[derive(Debug)]
pub struct Permit {
    run: Option<RunId>,
    operation: Operation,
    effect: Option<EffectKey>,
    decision_seq: u64,
}

impl Permit {
    pub(crate) fn mint(
        run: Option<RunId>,
        operation: Operation,
        effect: Option<EffectKey>,
        decision_seq: u64,
    ) -> Self {
        Self { run, operation, effect, decision_seq }
    }

    /// The run it was given to; `None` for a credential check outside any run.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        self.run.as_ref()
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
