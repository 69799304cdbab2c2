use arx_policy::Policy;
use arx_types::Operation;

use super::{catalogue, manifest};
use crate::registry::standing::{Denial, Says, of, operations};

fn policy(yaml: &str) -> Policy {
    let text = format!(
        "apiVersion: arx/v1\nkind: Workflow\nmetadata: {{ name: t }}\nconnectors:\n  \
         jira: {{ operations: [\"issues:create\"] }}\n  \
         wiz: {{ operations: [\"*\"] }}\npolicy:\n{yaml}"
    );
    let manifest = manifest(&text);
    Policy::compile(&manifest.policy, &manifest.bound()).unwrap()
}

#[track_caller]
fn check(yaml: &str, operation: &str, says: Says, denial: Option<Denial>) {
    let policy = policy(yaml);
    let operation: Operation = operation.parse().unwrap();
    let spec = operations(&catalogue())[&operation];
    let standing = of(&policy, &operation, spec);
    assert_eq!((standing.says, standing.denial), (says, denial));
}

const PERMIT: &str = "  rules: [{ name: t, effect: permit, connector: \"*\", operation: \"*\" }]\n";

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
