//! What a policy says about an operation before anything is known of the call: no parameters, no
//! target, nothing counted yet.
//!
//! It must never be kinder than the gate: where a condition or a count decides, the answer is
//! "depends".

use std::collections::BTreeMap;

use arx_gateway::ConnectorSpec;
use arx_policy::{Effect, Glob, Policy, PolicyDef, RuleDef, score};
use arx_types::{Access, Operation, OperationSpec, Target};

/// What a policy says, from the strictest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Says {
    /// No call passes.
    Denied,
    /// Every call is put to a human.
    Escalated,
    /// A condition decides, or the risk score does.
    Depends,
    /// It passes, within the limits.
    Permitted,
}

impl Says {
    /// In words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Escalated => "put to a human",
            Self::Depends => "depends on the call",
            Self::Permitted => "permitted",
        }
    }
}

/// Why an operation that is denied is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// `connectors` does not bind it.
    Unbound,
    /// The catalogue only names it.
    Named,
    /// A rule denies it always.
    Rule(String),
    /// No rule lets it pass.
    NoRule,
}

/// What a policy says about one operation.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What it says.
    pub says: Says,
    /// Why it is denied, where it is.
    pub denial: Option<Denial>,
    /// Whether a limit bounds it.
    pub limited: bool,
    /// Whether a human may be asked.
    pub may_escalate: bool,
    /// The rules that match it, as they are written.
    rules: Vec<RuleDef>,
}

impl Standing {
    /// Whether two standings rest on the same rules.
    #[must_use]
    pub fn has_rules_of(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

/// Rules that match an operation by name.
#[must_use]
pub fn matches(rule: &RuleDef, operation: &Operation) -> bool {
    let is_match = |glob: &str, name: &str| Glob::new(glob).is_ok_and(|glob| glob.is_match(name));
    is_match(&rule.connector, &operation.connector) && is_match(&rule.operation, &operation.name)
}

/// What a policy says about an operation of the catalogue.
#[must_use]
pub fn of(policy: &Policy, operation: &Operation, spec: &OperationSpec) -> Standing {
    let def = policy.def();
    let rules: Vec<RuleDef> =
        def.rules.iter().filter(|rule| matches(rule, operation)).cloned().collect();
    // With `hitl: false` an escalate rule is a permit rule.
    let effect = |rule: &RuleDef| match rule.effect {
        Effect::Escalate if !def.hitl => Effect::Permit,
        effect => effect,
    };
    let some = |wanted: Effect, always: bool| {
        rules.iter().find(|rule| effect(rule) == wanted && rule.when.is_none() == always)
    };
    let is_write = spec.access == Access::Write;
    let limits: Vec<_> =
        policy.limits().iter().filter(|limit| is_write && limit.matches(operation)).collect();
    let scores = scores(operation, spec);
    let (lowest, highest) = scores;
    let threshold = def.risk_threshold;
    let may_escalate = some(Effect::Escalate, true).is_some()
        || some(Effect::Escalate, false).is_some()
        || highest > threshold
        || limits.iter().any(|limit| limit.beyond() == arx_policy::Beyond::Escalate);

    let lets_pass = [Effect::Permit, Effect::Escalate]
        .into_iter()
        .any(|wanted| some(wanted, true).is_some() || some(wanted, false).is_some());
    let denial = if !policy.is_bound(operation) {
        Some(Denial::Unbound)
    } else if !spec.implemented {
        Some(Denial::Named)
    } else if let Some(rule) = some(Effect::Deny, true) {
        Some(Denial::Rule(rule.name.clone()))
    } else if !lets_pass {
        Some(Denial::NoRule)
    } else {
        None
    };
    let says = if denial.is_some() {
        Says::Denied
    } else if some(Effect::Escalate, true).is_some() || lowest > threshold {
        Says::Escalated
    } else if some(Effect::Permit, true).is_none()
        || some(Effect::Deny, false).is_some()
        || some(Effect::Escalate, false).is_some()
        || highest > threshold
    {
        Says::Depends
    } else {
        Says::Permitted
    };
    Standing {
        says,
        may_escalate: denial.is_none() && may_escalate,
        denial,
        limited: !limits.is_empty(),
        rules,
    }
}

/// The lowest and the highest score that a call can have.
fn scores(operation: &Operation, spec: &OperationSpec) -> (u8, u8) {
    /// More writes than the highest step of the frequency factor.
    const MANY_WRITES: u32 = 1000;
    let lowest = score(operation, spec, Target::None, 0).score;
    let highest = score(operation, spec, Target::Production, MANY_WRITES).score;
    (lowest, highest)
}

/// Every operation of a catalogue, by name.
#[must_use]
pub fn operations(
    catalogue: &[&'static ConnectorSpec],
) -> BTreeMap<Operation, &'static OperationSpec> {
    let of = |spec: &&'static ConnectorSpec| {
        let connector = spec.name;
        spec.operations.iter().map(move |spec| (Operation::new(connector, spec.name), spec))
    };
    catalogue.iter().flat_map(of).collect()
}

/// Whether nobody can answer a request of this policy.
#[must_use]
pub fn nobody_may_approve(def: &PolicyDef) -> bool {
    def.approvals.approvers.is_empty()
}
