use arx_types::{Operation, OperationSpec, Target, Verdict};
use insta::assert_snapshot;

use super::{CONTAIN, CREATE, Call, READ, compile, limit, rule, when};
use crate::{Beyond, Effect, PolicyDef};

fn explain(def: &PolicyDef, call: &Call) -> String {
    let decision = compile(def).decide(&call.request());
    format!(
        "{} by {}\n{}",
        decision.verdict,
        decision.rule.as_deref().unwrap_or("nothing"),
        decision.reasons.join("\n")
    )
}

fn rules(rules: &[crate::RuleDef]) -> PolicyDef {
    PolicyDef { rules: rules.to_vec(), ..PolicyDef::default() }
}

#[test]
fn an_unknown_operation_is_denied_without_a_score() {
    let mut call = Call::new("wiz", READ);
    call.spec = None;
    call.operation = Operation::new("wiz", "findings:raed");
    let def = rules(&[rule("all", Effect::Permit, "*", "*")]);
    assert_snapshot!(explain(&def, &call), @r#"
    DENY by nothing
    no catalogue has an operation `wiz.findings:raed`
    "#);
    assert_eq!(compile(&def).decide(&call.request()).risk, None);
}

#[test]
fn an_unbound_operation_is_denied_whatever_permits_it() {
    let def = rules(&[rule("all", Effect::Permit, "*", "*")]);
    assert_snapshot!(explain(&def, &Call::new("jira", CREATE)), @r#"
    DENY by nothing
    `jira.incidents:create` is not bound in arx.yaml
    rule `all` permits `jira.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
    // Bound is exact: a connector that is bound does not bring all its operations.
    assert_snapshot!(explain(&def, &Call::new("pagerduty", READ)), @r#"
    DENY by nothing
    `pagerduty.findings:read` is not bound in arx.yaml
    rule `all` permits `pagerduty.findings:read`
    risk score 20 is not above the threshold of 70
    "#);
}

#[test]
fn a_deny_rule_wins_and_is_named() {
    let def = rules(&[
        rule("page", Effect::Permit, "pagerduty", "incidents:*"),
        rule("ask", Effect::Escalate, "pagerduty", "*"),
        rule("freeze", Effect::Deny, "*", "*:{create,update}"),
        rule("freeze-too", Effect::Deny, "{pagerduty,jira}", "*"),
    ]);
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    DENY by freeze
    rule `freeze` denies `pagerduty.incidents:create`
    rule `freeze-too` denies `pagerduty.incidents:create`
    rule `page` permits `pagerduty.incidents:create`
    rule `ask` escalates `pagerduty.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
}

#[test]
fn what_no_rule_matches_is_denied() {
    let def = rules(&[rule("read", Effect::Permit, "wiz", "findings:read")]);
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    DENY by nothing
    no permit or escalate rule matches `pagerduty.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
    let def = rules(&[when(rule("page", Effect::Permit, "*", "*"), "target == 'dev'")]);
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    DENY by nothing
    the condition of rule `page` is false
    no permit or escalate rule matches `pagerduty.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
}

#[test]
fn an_escalate_rule_wins_over_a_permit_rule() {
    let def = rules(&[
        rule("page", Effect::Permit, "pagerduty", "*"),
        rule("ask", Effect::Escalate, "pagerduty", "*:create"),
    ]);
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    ESCALATE by ask
    rule `page` permits `pagerduty.incidents:create`
    rule `ask` escalates `pagerduty.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
    let alone = rules(&[rule("ask", Effect::Escalate, "pagerduty", "*:create")]);
    assert_snapshot!(explain(&alone, &Call::new("pagerduty", CREATE)), @r#"
    ESCALATE by ask
    rule `ask` escalates `pagerduty.incidents:create`
    risk score 35 is not above the threshold of 70
    "#);
}

#[test]
fn without_a_human_in_the_loop_an_escalate_rule_permits() {
    let mut def = rules(&[rule("ask", Effect::Escalate, "*", "*")]);
    def.hitl = false;
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    PERMIT by ask
    rule `ask` would escalate, but `hitl: false` makes it a permit
    risk score 35 is not above the threshold of 70
    "#);
    // The threshold still stands.
    assert_snapshot!(explain(&def, &Call::new("crowdstrike", CONTAIN)), @r#"
    ESCALATE by risk_threshold
    rule `ask` would escalate, but `hitl: false` makes it a permit
    risk score 85 is above the threshold of 70
    "#);
}

#[test]
fn limits_hold_back_the_write_after_the_last() {
    let mut def = rules(&[rule("page", Effect::Permit, "pagerduty", "*")]);
    def.hitl = false;
    def.limits = vec![
        limit("pagerduty.incidents:create", 50, Beyond::Escalate),
        limit("{jira,servicenow}.*", 0, Beyond::Deny),
        limit("*", 60, Beyond::Deny),
    ];
    let counted =
        |counts: &[u32]| Call { counts: counts.to_vec(), ..Call::new("pagerduty", CREATE) };
    assert_snapshot!(explain(&def, &counted(&[49, 9, 59])), @r#"
    PERMIT by page
    rule `page` permits `pagerduty.incidents:create`
    49 of 50 per 1h passed on `pagerduty.incidents:create`
    59 of 60 per 1h passed on `*`
    risk score 35 is not above the threshold of 70
    "#);
    assert_snapshot!(explain(&def, &counted(&[50, 9, 59])), @r#"
    ESCALATE by limit pagerduty.incidents:create
    rule `page` permits `pagerduty.incidents:create`
    the limit of 50 per 1h on `pagerduty.incidents:create` is reached
    59 of 60 per 1h passed on `*`
    risk score 35 is not above the threshold of 70
    "#);
    assert_snapshot!(explain(&def, &counted(&[50, 9, 60])), @r#"
    DENY by limit *
    rule `page` permits `pagerduty.incidents:create`
    the limit of 50 per 1h on `pagerduty.incidents:create` is reached
    the limit of 60 per 1h on `*` is reached
    risk score 35 is not above the threshold of 70
    "#);
    assert_snapshot!(explain(&def, &counted(&[49])), @r#"
    DENY by limit *
    rule `page` permits `pagerduty.incidents:create`
    49 of 50 per 1h passed on `pagerduty.incidents:create`
    what passed under the limit on `*` is not known
    risk score 35 is not above the threshold of 70
    "#);
}

#[test]
fn limits_are_on_writes() {
    let mut def = rules(&[rule("read", Effect::Permit, "wiz", "*")]);
    def.limits = vec![limit("*", 0, Beyond::Deny)];
    assert_snapshot!(explain(&def, &Call::new("wiz", READ)), @r#"
    PERMIT by read
    rule `read` permits `wiz.findings:read`
    risk score 30 is not above the threshold of 70
    "#);
}

#[test]
fn only_a_score_above_the_threshold_escalates() {
    let mut def = rules(&[rule("page", Effect::Permit, "pagerduty", "*")]);
    def.risk_threshold = 35;
    assert_eq!(
        compile(&def).decide(&Call::new("pagerduty", CREATE).request()).verdict,
        Verdict::Permit
    );
    def.risk_threshold = 34;
    assert_snapshot!(explain(&def, &Call::new("pagerduty", CREATE)), @r#"
    ESCALATE by risk_threshold
    rule `page` permits `pagerduty.incidents:create`
    risk score 35 is above the threshold of 34
    "#);
}

#[test]
fn what_is_only_named_cannot_be_permitted() {
    let named = OperationSpec { implemented: false, ..READ };
    let def = rules(&[
        rule("all", Effect::Permit, "*", "*"),
        when(rule("later", Effect::Deny, "wiz", "*"), "target == 'production'"),
    ]);
    assert_snapshot!(explain(&def, &Call::new("wiz", named)), @r#"
    DENY by nothing
    the condition of rule `later` is false
    `wiz.findings:read` is only named in the catalogue and cannot be called
    rule `all` permits `wiz.findings:read`
    risk score 30 is not above the threshold of 70
    "#);
    let call = Call { target: Target::Production, ..Call::new("wiz", named) };
    assert_snapshot!(explain(&def, &call), @r#"
    DENY by later
    rule `later` denies `wiz.findings:read`
    `wiz.findings:read` is only named in the catalogue and cannot be called
    rule `all` permits `wiz.findings:read`
    risk score 30 is not above the threshold of 70
    "#);
}
