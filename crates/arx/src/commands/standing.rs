//! What a policy says about an operation before anything is known of the call: no parameters, no
//! target, nothing counted yet.
//!
//! It must never be kinder than the gate: where a condition or a count decides, the answer is
//! "depends".

use std::collections::BTreeMap;

use arx_policy::{Effect, Glob, Policy, PolicyDef, RuleDef, score};
use arx_types::{Access, Operation, OperationSpec, Target};

/// What a policy says, from the strictest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Says {
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
    pub(super) fn as_str(self) -> &'static str {
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
pub(super) enum Denial {
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
pub(super) struct Standing {
    pub(super) says: Says,
    /// Why it is denied, where it is.
    pub(super) denial: Option<Denial>,
    /// Whether a limit bounds it.
    pub(super) limited: bool,
    /// Whether a human may be asked.
    pub(super) may_escalate: bool,
    /// The rules that match it, as they are written.
    rules: Vec<RuleDef>,
}

impl Standing {
    /// Whether two standings rest on the same rules.
    pub(super) fn has_rules_of(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

/// Rules that match an operation by name.
pub(super) fn matches(rule: &RuleDef, operation: &Operation) -> bool {
    let is_match = |glob: &str, name: &str| Glob::new(glob).is_ok_and(|glob| glob.is_match(name));
    is_match(&rule.connector, &operation.connector) && is_match(&rule.operation, &operation.name)
}

/// What a policy says about an operation of the catalogue.
pub(super) fn of(policy: &Policy, operation: &Operation, spec: &OperationSpec) -> Standing {
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

/// Every operation of every catalogue, by name.
pub(super) fn catalogue() -> BTreeMap<Operation, &'static OperationSpec> {
    arx_connectors::ALL
        .iter()
        .flat_map(|vendor| {
            let connector = vendor.spec.name;
            vendor
                .spec
                .operations
                .iter()
                .map(move |spec| (Operation::new(connector, spec.name), spec))
        })
        .collect()
}

/// Whether nobody can answer a request of this policy.
pub(super) fn nobody_may_approve(def: &PolicyDef) -> bool {
    def.approvals.approvers.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(yaml: &str) -> Policy {
        let text = format!(
            "apiVersion: arx/v1\nkind: Workflow\nmetadata: {{ name: t }}\nconnectors:\n  \
             jira: {{ operations: [\"issues:create\"] }}\n  \
             wiz: {{ operations: [\"*\"] }}\npolicy:\n{yaml}"
        );
        let manifest =
            arx_workflow::bundle::parse("arx.yaml", &text, &crate::context::catalogue()).unwrap();
        Policy::compile(&manifest.policy, &manifest.bound()).unwrap()
    }

    #[track_caller]
    fn check(yaml: &str, operation: &str, says: Says, denial: Option<Denial>) {
        let policy = policy(yaml);
        let operation: Operation = operation.parse().unwrap();
        let catalogue = catalogue();
        let spec = catalogue[&operation];
        let standing = of(&policy, &operation, spec);
        assert_eq!((standing.says, standing.denial), (says, denial));
    }

    const PERMIT: &str =
        "  rules: [{ name: t, effect: permit, connector: \"*\", operation: \"*\" }]\n";

    #[test]
    fn a_policy_is_read_before_any_call() {
        let create = "jira.issues:create";
        check(PERMIT, create, Says::Permitted, None);
        check(PERMIT, "jira.issues:read", Says::Denied, Some(Denial::Unbound));
        check(PERMIT, "wiz.findings:update", Says::Denied, Some(Denial::Named));
        check("  rules: []\n", create, Says::Denied, Some(Denial::NoRule));
        let denies = format!(
            "{}, {{ name: d, effect: deny, connector: jira, operation: \"*\" }}]\n",
            PERMIT.trim_end().trim_end_matches(']')
        );
        check(&denies, create, Says::Denied, Some(Denial::Rule("d".to_owned())));
        check(&denies.replace("\"*\" }]", "\"*\", when: 'false' }]"), create, Says::Depends, None);
        let asks = PERMIT.replace("permit", "escalate");
        check(&asks, create, Says::Escalated, None);
        check(&format!("  hitl: false\n{asks}"), create, Says::Permitted, None);
        check(&format!("  risk_threshold: 30\n{PERMIT}"), create, Says::Escalated, None);
        check(&format!("  risk_threshold: 45\n{PERMIT}"), create, Says::Depends, None);
    }
}
