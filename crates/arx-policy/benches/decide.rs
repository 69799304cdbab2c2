//! What one decision costs, with twenty rules over three globbed columns.
#![allow(missing_docs, reason = "a bench has no public items")]

use std::collections::BTreeMap;

use arx_policy::{Beyond, Effect, LimitDef, Period, Policy, PolicyDef, Request, RuleDef};
use arx_types::{Access, Operation, OperationSpec, RiskClass, Target};
use divan::{Bencher, black_box};
use serde_json::json;

const RULES: usize = 20;
const CREATE: OperationSpec = OperationSpec {
    name: "incidents:create",
    class: RiskClass::Medium,
    access: Access::Write,
    targeted: false,
    implemented: true,
    summary: "Opens an incident.",
};

fn main() {
    divan::main();
}

#[expect(clippy::expect_used, reason = "a bench may stop at a broken fixture")]
fn policy(conditions: usize) -> Policy {
    let globs = [
        (Effect::Deny, "{wiz,qualys}", "*:{create,update,write,delete,execute}"),
        (Effect::Permit, "{wiz,qualys}", "findings:read"),
        (Effect::Permit, "pagerduty", "incidents:*"),
        (Effect::Permit, "jira", "issues:*"),
        (Effect::Escalate, "crowdstrike", "hosts:{contain,isolate}"),
    ];
    let rules =
        globs.iter().cycle().take(RULES).enumerate().map(|(i, (effect, connector, operation))| {
            RuleDef {
                name: format!("rule-{i}"),
                effect: *effect,
                connector: (*connector).to_owned(),
                operation: (*operation).to_owned(),
                when: (i / globs.len() < conditions)
                    .then(|| "params.severity == 'CRITICAL'".to_owned()),
            }
        });
    let def = PolicyDef {
        rules: rules.collect(),
        limits: vec![LimitDef {
            operation: "pagerduty.incidents:create".to_owned(),
            max: 50,
            per: Period::HOUR,
            beyond: Beyond::Escalate,
        }],
        ..PolicyDef::default()
    };
    let bound = BTreeMap::from([("pagerduty".to_owned(), vec!["incidents:create".to_owned()])]);
    Policy::compile(&def, &bound).expect("the policy of the bench is sound")
}

/// `conditions` of the four matching rules carry a `when:`.
#[divan::bench(args = [0, 1, 4])]
fn decide_with_conditions(bencher: Bencher<'_, '_>, conditions: usize) {
    let policy = policy(conditions);
    let operation = Operation::new("pagerduty", "incidents:create");
    let params =
        json!({"severity": "CRITICAL", "title": "CVE-2026-0001", "assets": ["a", "b", "c"]});
    let run = json!({"id": "run_1", "workflow": "critical-vuln-escalation", "mode": "live"});
    let request = Request {
        operation: &operation,
        spec: Some(&CREATE),
        params: &params,
        target: Target::None,
        run: &run,
        now: jiff::Timestamp::UNIX_EPOCH,
        writes_last_hour: 12,
        limit_counts: &[3],
    };
    bencher.bench_local(|| black_box(&policy).decide(black_box(&request)));
}
