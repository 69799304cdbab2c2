use arx_policy::{Beyond, Effect, Period};
use arx_types::RiskClass;
use insta::assert_snapshot;
use serde_json::json;

use super::{HEAD, parsed, with_inputs};
use crate::bundle::{Bundle, CatchUp, InputKind, Overlap};

/// The example of the format's specification.
pub(crate) const EXAMPLE: &str = r#"apiVersion: arx/v1
kind: Workflow
metadata: { name: critical-vuln-escalation, owner: secops@example.com, description: …, time_saved: { per: escalation, minutes: 30 } }
entrypoint: workflow.py
schedule: { cron: "0 */2 * * *", timezone: UTC, overlap: forbid, catch_up: latest }
connectors:
  wiz:       { operations: ["findings:read"] }
  qualys:    { operations: ["findings:read"], optional: true }
  pagerduty: { operations: ["incidents:create", "incidents:read"] }
  jira:      { operations: ["issues:create", "issues:read"] }
policy:
  hitl: false
  risk_threshold: 70
  rules:
    - { name: deny-scanner-changes, effect: deny,   connector: "{wiz,qualys}", operation: "*:{create,update,write,delete,execute}" }
    - { name: read-findings,        effect: permit, connector: "{wiz,qualys}", operation: "findings:read" }
    - { name: page,                 effect: permit, connector: pagerduty, operation: "incidents:*" }
    - { name: ticket,               effect: permit, connector: jira, operation: "issues:*" }
  limits:
    - { operation: "pagerduty.incidents:create", max: 50, per: 1h, beyond: escalate }
  approvals: { approvers: ["role:approver"], expires: 1h, quorum: 1 }
inputs:
  severities: [CRITICAL]
  qualys_enabled: true
"#;

#[test]
fn the_example_of_the_specification_is_a_bundle() {
    let manifest = parsed(EXAMPLE);
    assert_eq!(manifest.metadata.name, "critical-vuln-escalation");
    assert_eq!(manifest.metadata.owner.as_deref(), Some("secops@example.com"));
    let saved =
        manifest.metadata.time_saved.as_ref().map(|saved| (saved.per.as_str(), saved.minutes));
    assert_eq!(saved, Some(("escalation", 30)));
    let schedule = manifest.schedule.as_ref().unwrap();
    assert_eq!((schedule.overlap, schedule.catch_up), (Overlap::Forbid, CatchUp::Latest));
    assert!(manifest.connectors["qualys"].optional && !manifest.connectors["wiz"].optional);
    assert_eq!(manifest.bound()["jira"], ["issues:create", "issues:read"]);
    let policy = &manifest.policy;
    assert!(!policy.hitl);
    assert_eq!(policy.rules.len(), 4);
    assert_eq!(policy.rules[0].effect, Effect::Deny);
    assert_eq!((policy.limits[0].per, policy.limits[0].beyond), (Period::HOUR, Beyond::Escalate));
    assert_eq!(policy.approvals.approvers, ["role:approver"]);
    assert_eq!(manifest.config(), json!({"qualys_enabled": true, "severities": ["CRITICAL"]}));
}

#[test]
fn the_example_on_the_page_of_the_format_is_a_bundle() {
    let page = include_str!("../../../../../docs/spec/arx-yaml.md");
    let example = page.split("```yaml\n").find(|block| block.starts_with("apiVersion")).unwrap();
    let manifest = parsed(example.split("```").next().unwrap());
    assert_eq!(manifest.inputs["min_cvss"].max, Some(10.0));
}

#[test]
fn what_is_left_out_has_a_default() {
    let manifest = parsed(&format!("{HEAD}policy: {{}}\n"));
    let text = serde_json::to_string_pretty(&manifest).unwrap();
    assert_snapshot!(text, @r#"
    {
      "apiVersion": "arx/v1",
      "kind": "Workflow",
      "metadata": {
        "name": "small"
      },
      "entrypoint": "workflow.py",
      "connectors": {},
      "policy": {
        "hitl": true,
        "risk_threshold": 70,
        "rules": [],
        "limits": [],
        "approvals": {
          "approvers": [],
          "expires": "1h",
          "quorum": 1,
          "escalate_to": [
            "role:admin"
          ],
          "escalate_after": {
            "medium": "4h",
            "high": "1h",
            "critical": "15m"
          }
        }
      },
      "inputs": {}
    }
    "#);
    let nulls =
        "schedule:\nconnectors: null\nentrypoint: ~\ninputs:\npolicy:\n  rules:\n  limits:\n";
    assert_eq!(parsed(&format!("{HEAD}{nulls}")), manifest);
}

#[test]
fn approvals_say_who_is_asked_after_whom() {
    let approvals = "policy:\n  approvals:\n    approvers: [bob]\n    escalate_to: [\"role:admin\", carol]\n    escalate_after: { high: 30m }\n";
    let approvals = parsed(&format!("{HEAD}{approvals}")).policy.approvals;
    assert_eq!(approvals.escalate_to, ["role:admin", "carol"]);
    let after = |class| approvals.escalate_after.of(class).to_string();
    let classes = [RiskClass::Low, RiskClass::Medium, RiskClass::High, RiskClass::Critical];
    assert_eq!(classes.map(after), ["4h", "4h", "30m", "15m"]);
    let none = parsed(&format!("{HEAD}policy: {{ approvals: {{ escalate_to: [] }} }}\n"));
    assert_eq!(none.policy.approvals.escalate_to, [""; 0]);
}

#[test]
fn connectors_take_rates_durations_and_settings() {
    #[track_caller]
    fn check(rate: &str, requests: u32, per: &str) {
        let text = format!(
            "{HEAD}connectors:\n  qualys:\n    operations: [\"findings:*\", 'scans:{{read,execute}}']\n    rate: {rate}\n    settle_for: 1m30s\n    settings: {{ api_version: \"5.0\", batch: 200, strict: true }}\npolicy: {{}}\n"
        );
        let qualys = &parsed(&text).connectors["qualys"];
        let rate = qualys.rate.unwrap();
        assert_eq!((rate.requests, rate.per), (requests, per.parse().unwrap()));
        assert_eq!(qualys.settle_for, Some(Period::from_secs(90)));
        assert_eq!(qualys.operations, ["findings:*", "scans:{read,execute}"]);
        let settings = json!(qualys.settings);
        assert_eq!(settings, json!({"api_version": "5.0", "batch": 200, "strict": true}));
    }
    check("960/1m", 960, "1m");
    check("{ requests: 960, per: 1m }", 960, "1m");
    check("{ max: 3, per: 1s }", 3, "1s");
    check("' 2000 / 5m '", 2000, "5m");
}

#[test]
fn anchors_work_within_limits() {
    let text = format!(
        "{HEAD}connectors:\n  wiz: {{ operations: &read [\"findings:read\"] }}\n  qualys: {{ operations: *read }}\npolicy: {{}}\n"
    );
    assert_eq!(parsed(&text).bound()["qualys"], ["findings:read"]);
}

#[test]
fn an_input_is_of_the_type_of_its_default() {
    let manifest = with_inputs(
        "flag: true\ncount: 3\nratio: 0.5\nname: x\nlist: [a, b]\nmixed: [a, 1]\nempty: []\nopen: {}\nnothing: null\nnested: { a: 1, b: { c: x } }",
    );
    let kind = |name: &str| (manifest.inputs[name].kind, manifest.inputs[name].items);
    assert_eq!(kind("flag"), (InputKind::Bool, None));
    assert_eq!(kind("count"), (InputKind::Int, None));
    assert_eq!(kind("ratio"), (InputKind::Float, None));
    assert_eq!(kind("name"), (InputKind::String, None));
    assert_eq!(kind("list"), (InputKind::List, Some(InputKind::String)));
    assert_eq!(kind("mixed"), (InputKind::List, None));
    assert_eq!(kind("empty"), (InputKind::List, None));
    assert_eq!(kind("open"), (InputKind::Map, None));
    assert_eq!(kind("nothing"), (InputKind::Any, None));
    assert!(manifest.inputs["nothing"].nullable && !manifest.inputs["count"].nullable);
    assert_eq!(manifest.inputs["nested"].fields["b"].fields["c"].kind, InputKind::String);
    assert_eq!(manifest.config()["nested"], json!({"a": 1, "b": {"c": "x"}}));
}

#[test]
fn a_declared_input_says_more() {
    let manifest = with_inputs(
        "min_cvss: { type: float, default: 7, min: 0, max: 10, description: 'Base score.' }\nlevel: { type: string, default: high, values: [high, low] }\nlimit: { type: int, default: null, min: 1 }\nother: { type: int, nullable: true }\nlevels: { type: list, default: [high], values: [high, low] }\nissue: { type: Bug, priority: high }",
    );
    let input = &manifest.inputs["min_cvss"];
    assert_eq!((input.min, input.max), (Some(0.0), Some(10.0)));
    assert_eq!(input.description.as_deref(), Some("Base score."));
    assert!(manifest.inputs["limit"].nullable);
    assert_eq!(
        manifest.config(),
        json!({
            "issue": {"type": "Bug", "priority": "high"}, "level": "high", "levels": ["high"],
            "limit": null, "min_cvss": 7.0, "other": null,
        }),
        "a map whose `type` is no type is a map"
    );
}

#[test]
fn the_version_follows_every_byte() {
    let manifest = parsed(EXAMPLE);
    let bundle = |yaml: &str, python: &str| {
        Bundle::new(manifest.clone(), yaml.to_owned(), python.to_owned()).version
    };
    let base = bundle("ab", "c");
    assert_eq!(base, bundle("ab", "c"));
    assert_ne!(base, bundle("a", "bc"), "no byte moves between the texts");
    assert_ne!(base, bundle("ab", "c\n"));
    assert_ne!(base, bundle("c", "ab"));
}
