use arx_policy::Policy;
use arx_workflow::bundle::Bundle;

use super::super::changes::{Version, between};
use super::{catalogue, manifest};

const YAML: &str = "apiVersion: arx/v1\nkind: Workflow\nmetadata: { name: t, owner: me }\n\
    schedule: { cron: '0 * * * *' }\nconnectors:\n  jira: { operations: ['issues:create'] }\n\
    policy:\n  rules:\n    - { name: t, effect: permit, connector: jira, operation: '*' }\n  \
    limits:\n    - { operation: 'jira.issues:create', max: 10, per: 1h, beyond: deny }\n  \
    approvals: { approvers: [bob], quorum: 2 }\ninputs: { size: 1 }\n";

fn bundle(yaml: &str) -> (Bundle, Policy) {
    let manifest = manifest(yaml);
    let policy = Policy::compile(&manifest.policy, &manifest.bound()).unwrap();
    (Bundle::new(manifest, yaml.to_owned(), "async def main(): pass\n".to_owned()), policy)
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(YAML.contains(from), "{from}");
    let (old, old_policy) = bundle(YAML);
    let (new, new_policy) = bundle(&YAML.replace(from, to));
    let changes = between(
        &Version { bundle: &old, policy: &old_policy },
        &Version { bundle: &new, policy: &new_policy },
        &catalogue(),
    );
    let changes: Vec<String> = changes
        .iter()
        .map(|change| {
            let wider = if change.wider { " WIDER" } else { "" };
            format!("{} {}: {} -> {}{wider}", change.what, change.name, change.was, change.now)
        })
        .collect();
    assert_eq!(changes, expected);
}

#[test]
fn what_lets_more_pass_is_wider() {
    check("max: 10", "max: 10", &[]);
    check(
        "max: 10",
        "max: 20",
        &["limit jira.issues:create: 10 per 1h, then deny -> 20 per 1h, then deny WIDER"],
    );
    check(
        "max: 10",
        "max: 5",
        &["limit jira.issues:create: 10 per 1h, then deny -> 5 per 1h, then deny"],
    );
    check(
        "per: 1h",
        "per: 30m",
        &["limit jira.issues:create: 10 per 1h, then deny -> 10 per 30m, then deny WIDER"],
    );
    check(
        "beyond: deny",
        "beyond: escalate",
        &["limit jira.issues:create: 10 per 1h, then deny -> 10 per 1h, then escalate WIDER"],
    );
    check(
        "limits:\n    - { operation: 'jira.issues:create', max: 10, per: 1h, beyond: deny }",
        "limits: []",
        &["limit jira.issues:create: 10 per 1h, then deny -> none WIDER"],
    );
    check(
        "['issues:create']",
        "['issues:*']",
        &[
            "permission jira.issues:read: denied -> permitted WIDER",
            "binding jira: issues:create -> issues:* WIDER",
        ],
    );
    check(
        "connectors:\n",
        "connectors:\n  wiz: { operations: ['findings:read'] }\n",
        &["binding wiz: none -> findings:read WIDER"],
    );
    check(
        "effect: permit",
        "effect: escalate",
        &["permission jira.issues:create: permitted -> put to a human"],
    );
    check("quorum: 2", "quorum: 1", &["approvals quorum: 2 -> 1 WIDER"]);
    check("[bob]", "[bob, carol]", &["approvals approvers: bob -> bob, carol WIDER"]);
    check(
        "policy:\n",
        "policy:\n  risk_threshold: 90\n",
        &["policy risk_threshold: 70 -> 90 WIDER"],
    );
    check("policy:\n", "policy:\n  hitl: false\n", &["policy hitl: true -> false WIDER"]);
    check("'0 * * * *'", "'5 * * * *'", &["schedule schedule: 0 * * * * UTC -> 5 * * * * UTC"]);
    check("size: 1", "size: 2", &["input size: 1 -> 2"]);
    check("owner: me", "owner: you", &["metadata owner: me -> you"]);
}
