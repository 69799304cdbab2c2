use serde_json::json;

use super::*;
use crate::sample;

/// What one leaf of a script says.
#[derive(Clone, Copy)]
enum Says {
    Permit,
    Escalate,
    Deny,
    Approved,
    ApprovedCall,
    Refused,
    Intent,
    Outcome(&'static str),
    Settle(&'static str),
}
use Says::*;

fn leaf(seq: u64, run: &str, says: Says, action: Action) -> Leaf {
    let kind = match says {
        Permit | Escalate | Deny => LeafKind::Decision,
        Approved | ApprovedCall | Refused => LeafKind::Approval,
        Intent => LeafKind::Intent,
        Outcome(_) => LeafKind::Outcome,
        Settle(_) => LeafKind::Settle,
    };
    sample::leaf(seq, kind, |leaf| {
        leaf.run = Some(run.to_owned());
        leaf.action = (!matches!(says, Approved)).then_some(action);
        leaf.verdict = match says {
            Permit => Some(Verdict::Permit),
            Escalate => Some(Verdict::Escalate),
            Deny => Some(Verdict::Deny),
            Approved | ApprovedCall | Refused | Intent | Outcome(_) | Settle(_) => None,
        };
        leaf.status = match says {
            Approved | ApprovedCall => Some("approved".to_owned()),
            Refused => Some("denied".to_owned()),
            Outcome(status) | Settle(status) => Some(status.to_owned()),
            Permit | Escalate | Deny | Intent => None,
        };
    })
}

fn violations(scope: Scope, leaves: impl IntoIterator<Item = Leaf>) -> Vec<String> {
    let mut observer = Observer::new(scope);
    let mut findings = Findings::default();
    leaves.into_iter().for_each(|leaf| observer.observe(&leaf, &mut findings));
    findings.list.iter().map(ToString::to_string).collect()
}

fn effect() -> Action {
    sample::page()
}

fn read() -> Action {
    Action { operation: "incidents:read".into(), effect_key: None, ..sample::page() }
}

#[track_caller]
fn check(action: Action, script: &[(&str, Says)], expected: &[&str]) {
    let leaves =
        script.iter().zip(0..).map(|((run, says), seq)| leaf(seq, run, *says, action.clone()));
    assert_eq!(violations(Scope::Log, leaves), expected);
}

const NO_PERMIT: &str = "intent of `pagerduty.incidents:create` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run";
const NO_READ_PERMIT: &str = "outcome of `pagerduty.incidents:read` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run";
const KEY: &str = sample::EFFECT_KEY;

#[test]
fn an_intent_needs_a_permit_of_its_own_run() {
    check(effect(), &[("a", Permit), ("a", Intent), ("a", Outcome("done"))], &[]);
    check(effect(), &[("a", Intent)], &[&format!("leaf 0: {NO_PERMIT}")]);
    check(effect(), &[("a", Intent), ("a", Permit)], &[&format!("leaf 0: {NO_PERMIT}")]);
    check(effect(), &[("a", Deny), ("a", Intent)], &[&format!("leaf 1: {NO_PERMIT}")]);
    check(effect(), &[("b", Permit), ("a", Intent)], &[&format!("leaf 1: {NO_PERMIT}")]);
    check(effect(), &[("a", Permit), ("a", Intent), ("a", Intent)], &[]);
}

#[test]
fn a_permit_is_for_exactly_one_call() {
    let other = |spoil: fn(&mut Action)| {
        let mut action = effect();
        spoil(&mut action);
        let leaves = [leaf(0, "a", Permit, effect()), leaf(1, "a", Intent, action)];
        violations(Scope::Log, leaves).len()
    };
    assert_eq!(other(|_| ()), 0);
    assert_eq!(other(|action| action.params_sha256 = None), 1);
    assert_eq!(other(|action| action.effect_key = Some("another".into())), 1);
    assert_eq!(other(|action| action.connector = "jira".into()), 1);
    assert_eq!(other(|action| action.operation = "incidents:delete".into()), 1);
}

#[test]
fn an_escalation_needs_an_approval_after_it() {
    check(effect(), &[("a", Escalate), ("a", Approved), ("a", Intent)], &[]);
    check(effect(), &[("a", Escalate), ("a", ApprovedCall), ("a", Intent)], &[]);
    check(effect(), &[("a", Escalate), ("a", Approved), ("a", Permit), ("a", Intent)], &[]);
    let found = [format!("leaf 2: {NO_PERMIT}")];
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    check(effect(), &[("a", Escalate), ("a", Refused), ("a", Intent)], &found);
    check(effect(), &[("a", Escalate), ("b", Approved), ("a", Intent)], &found);
    check(effect(), &[("a", Approved), ("a", Escalate), ("a", Intent)], &found);
    check(effect(), &[("a", Deny), ("a", Approved), ("a", Intent)], &found);
}

#[test]
fn an_effect_is_announced_and_done_once() {
    let unannounced =
        |seq, kind| format!("leaf {seq}: {kind} of the effect `{KEY}` without an earlier intent");
    check(effect(), &[("a", Outcome("done"))], &[&unannounced(0, "outcome")]);
    check(effect(), &[("a", Permit), ("a", Settle("done"))], &[&unannounced(1, "settle")]);
    // A later run adopts what an earlier one announced.
    check(effect(), &[("a", Permit), ("a", Intent), ("b", Settle("absent"))], &[]);
    let first = [("a", Permit), ("a", Intent), ("a", Outcome("unknown"))];
    let again = [("b", Permit), ("b", Intent), ("b", Outcome("done"))];
    check(effect(), &[first, again].concat(), &[]);
    let third = [("c", Permit), ("c", Intent)];
    check(
        effect(),
        &[first.as_slice(), &again, &third].concat(),
        &[&format!("leaf 7: intent of the effect `{KEY}`, which was already done")],
    );
    check(effect(), &[again.as_slice(), &[("c", Permit), ("c", Outcome("done"))]].concat(), &[]);
}

#[test]
fn a_read_needs_a_permit_and_no_intent() {
    check(read(), &[("a", Permit), ("a", Outcome("done"))], &[]);
    check(read(), &[("a", Deny), ("a", Outcome("done"))], &[&format!("leaf 1: {NO_READ_PERMIT}")]);
    check(read(), &[("a", Deny), ("a", Outcome("failed"))], &[]);
}

fn with_detail(mut leaf: Leaf, detail: serde_json::Value) -> Leaf {
    leaf.detail = detail.as_object().cloned();
    leaf
}

#[test]
fn a_permit_by_an_approval_needs_that_approval() {
    let script = |approved: &[&str]| {
        let given = approved.iter().map(|approval| {
            with_detail(leaf(1, "a", Approved, effect()), json!({ "approval": approval }))
        });
        let permit = with_detail(leaf(2, "a", Permit, effect()), json!({"approval": "apr_1"}));
        let intent = leaf(3, "a", Intent, effect());
        violations(Scope::Log, given.chain([permit, intent]))
    };
    let refused = [
        "leaf 2: PERMIT by the approval `apr_1`, which was not given before".to_owned(),
        format!("leaf 3: {NO_PERMIT}"),
    ];
    assert_eq!(script(&["apr_2", "apr_1"]), [""; 0]);
    assert_eq!(script(&["apr_2"]), refused);
    assert_eq!(script(&[]), refused);
}

#[test]
fn a_dry_run_permits_nothing() {
    let mut permit = leaf(0, "a", Permit, effect());
    permit.status = Some("dry_run".to_owned());
    let intent = leaf(1, "a", Intent, effect());
    assert_eq!(violations(Scope::Log, [permit, intent]), [format!("leaf 1: {NO_PERMIT}")]);
}

#[test]
fn an_effect_may_cover_others() {
    let key = |key: &str| Action { effect_key: Some(key.to_owned()), ..effect() };
    let grouped = |covers| {
        vec![
            leaf(0, "a", Permit, key("simulated/group")),
            with_detail(leaf(1, "a", Intent, key("simulated/group")), covers),
            leaf(2, "a", Outcome("done"), key("simulated/group")),
            leaf(3, "a", Outcome("recorded"), key("simulated/one")),
            leaf(4, "b", Permit, key("simulated/one")),
            leaf(5, "b", Intent, key("simulated/one")),
        ]
    };
    let done = "leaf 5: intent of the effect `simulated/one`, which was already done";
    let unannounced = "leaf 3: outcome of the effect `simulated/one` without an earlier intent";
    let covers = json!({"covers": ["simulated/one", "simulated/two"]});
    assert_eq!(violations(Scope::Log, grouped(covers)), [done]);
    let covers = json!({"covers": ["one"], "world": "simulated"});
    assert_eq!(violations(Scope::Log, grouped(covers)), [done]);
    assert_eq!(violations(Scope::Log, grouped(json!({"covers": ["two"]}))), [unannounced]);
}

#[test]
fn one_runs_leaves_do_not_show_an_earlier_runs_intent() {
    let leaves = || [leaf(0, "b", Permit, effect()), leaf(1, "b", Outcome("done"), effect())];
    assert_eq!(violations(Scope::Run, leaves()).len(), 0);
    assert_eq!(violations(Scope::Log, leaves()).len(), 1);
}

#[track_caller]
fn check_incomplete(says: Says, spoil: fn(&mut Leaf), expected: &str) {
    let mut leaf = leaf(0, "a", says, effect());
    spoil(&mut leaf);
    let found = violations(Scope::Log, [leaf]);
    assert_eq!(found, [format!("leaf 0: {expected}")]);
}

#[test]
fn a_leaf_says_what_its_kind_must_say() {
    check_incomplete(Permit, |leaf| leaf.verdict = None, "decision has no `verdict`");
    check_incomplete(Permit, |leaf| leaf.action = None, "decision has no `action`");
    check_incomplete(Intent, |leaf| leaf.action = None, "intent has no `action`");
    let run = sample::leaf(0, LeafKind::Run, |leaf| leaf.run = None);
    assert_eq!(violations(Scope::Log, [run]), ["leaf 0: run has no `run`"]);
    check_incomplete(
        Intent,
        |leaf| leaf.action.as_mut().unwrap().effect_key = None,
        "intent has no `action.effect_key`",
    );
    check_incomplete(Outcome("done"), |leaf| leaf.action = None, "outcome has no `action`");
}

#[test]
fn a_score_lies_within_its_class() {
    let found = |class, score| {
        let mut leaf = leaf(0, "a", Permit, effect());
        leaf.risk = Some(crate::Risk { class, raw: score, score, factors: Default::default() });
        violations(Scope::Log, [leaf]).len()
    };
    let bounds = [
        (RiskClass::Low, 0, 49),
        (RiskClass::Medium, 25, 79),
        (RiskClass::High, 60, 100),
        (RiskClass::Critical, 85, 100),
    ];
    for (class, lowest, highest) in bounds {
        assert_eq!((found(class, lowest), found(class, highest)), (0, 0));
        assert_eq!(found(class, highest + 1), 1);
        assert_eq!(found(class, lowest.wrapping_sub(1)), 1);
    }
}

#[test]
fn a_run_that_counts_its_leaves_counts_right() {
    let ended = |seq, counted: u64| {
        sample::leaf(seq, LeafKind::Run, |leaf| {
            leaf.detail = json!({ "run_leaves": counted }).as_object().cloned();
        })
    };
    let before = || sample::leaf(0, LeafKind::Episode, |_| ());
    assert!(violations(Scope::Log, [before(), before(), ended(2, 2), ended(3, 3)]).is_empty());
    assert_eq!(
        violations(Scope::Log, [before(), ended(1, 2)]),
        ["leaf 1 says that 2 leaves of its run come before it, 1 do"]
    );
}
