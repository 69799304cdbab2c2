//! Verdicts, effects and what is recorded of them.

use std::sync::Arc;
use std::time::Duration;

use arx_audit::LeafKind;
use arx_gateway::{CallError, GateError, Settlement};
use arx_journal::{JournalError, LeafFilter};
use arx_testkit::{TestGate, action};
use arx_types::{EffectState, Verdict};
use serde_json::{Value, json};

use crate::fake::{Desk, Do, environment, refused, unknown};

const CREATE: &str = "desk.notes:create";

async fn gate(policy: Value, desk: &Arc<Desk>) -> TestGate {
    let desk = Arc::clone(desk) as Arc<dyn arx_gateway::Connector>;
    TestGate::under(policy, desk, environment("http://127.0.0.1:9"), Value::Null, None).await
}

fn permit_all() -> Value {
    json!({
        "risk_threshold": 100,
        "rules": [{ "name": "all", "effect": "permit", "connector": "*", "operation": "*" }],
    })
}

fn answer() -> Do {
    Do::Answer(json!({ "id": "N1" }))
}

/// Kinds and statuses of the leaves of the run, oldest first.
async fn leaves(gate: &TestGate) -> Vec<String> {
    let leaves = gate
        .journal
        .read(|reader| reader.leaves(&LeafFilter::default()))
        .await
        .unwrap_or_else(|error: JournalError| panic!("{error}"));
    let mut lines: Vec<_> = leaves
        .iter()
        .map(|leaf| {
            let leaf = leaf.decode().unwrap();
            let verdict = leaf.verdict.map(|verdict| format!("{verdict:?}")).unwrap_or_default();
            let status = leaf.status.unwrap_or_default();
            (leaf.seq, format!("{:?} {verdict}{status}", leaf.kind))
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

async fn state(gate: &TestGate, effect: &str) -> Option<EffectState> {
    let key = format!("test/{effect}").parse().unwrap();
    let world = gate.ctx.world.clone();
    let effect = gate.journal.read(move |reader| reader.effect(&world, &key)).await;
    effect.unwrap_or_else(|error: JournalError| panic!("{error}")).map(|effect| effect.state)
}

#[tokio::test]
async fn a_done_effect_is_answered_from_the_record() {
    let desk = Desk::new(vec![answer()], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let first = gate.write(CREATE, json!({ "text": "a" }), "a/1/note").await.unwrap();
    assert!(first.effect.unwrap().new);
    let second = gate.write(CREATE, json!({ "text": "changed" }), "a/1/note").await.unwrap();
    assert_eq!(second.value, json!({ "id": "N1" }));
    assert_eq!(desk.n_performed(), 1);
    assert_eq!(
        leaves(&gate).await,
        ["Decision Permit", "Intent ", "Outcome done", "Outcome recorded"]
    );
    assert!(gate.journal.verify(vec![]).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_calls_at_once_for_one_effect_send_one() {
    let desk = Desk::new(vec![answer()], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let call = || gate.write(CREATE, json!({}), "a/1/note");
    let (one, two, three) = tokio::join!(call(), call(), call());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(desk.n_performed(), 1);
}

#[tokio::test]
async fn a_lost_reply_is_looked_up_before_anything_else() {
    #[track_caller]
    fn check(settled: Vec<Settlement>, sends: usize, happened: bool, desk: &Desk, ok: bool) {
        assert_eq!(desk.n_performed(), sends, "{settled:?}");
        assert_eq!(ok, happened, "{settled:?}");
    }
    let found = Settlement::Happened(json!({ "id": "N7" }));
    let not_yet = Settlement::Unknown { why: "not yet".to_owned() };
    for (settlements, sends, happened) in [
        (vec![found.clone()], 1, true),
        (vec![not_yet.clone(), found], 1, true),
        (vec![Settlement::Absent], 2, true),
        (vec![not_yet], 1, false),
    ] {
        let desk = Desk::new(vec![Do::Fail(unknown()), answer()], settlements.clone());
        let gate = gate(permit_all(), &desk).await;
        let result = gate.write(CREATE, json!({}), "a/1/note").await;
        if let Err(error) = &result {
            assert!(matches!(error, GateError::NeedsAttention { .. }), "{error}");
            assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Unknown));
        }
        check(settlements, sends, happened, &desk, result.is_ok());
        let verified = gate.journal.verify(vec![]).await.unwrap();
        assert!(verified.is_ok(), "{:?}", verified.findings);
    }
}

#[tokio::test]
async fn a_refused_write_failed_and_may_be_tried_again() {
    let desk = Desk::new(vec![Do::Fail(refused()), answer()], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let error = gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Call(CallError::Refused { .. })), "{error}");
    assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Failed));
    gate.write(CREATE, json!({}), "a/1/note").await.unwrap();
    assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Done));
}

#[tokio::test]
async fn a_vendor_that_keeps_failing_without_effect_is_given_up_on() {
    let fails = (0..20).map(|_| Do::Fail(unknown())).collect();
    let desk = Desk::new(fails, vec![Settlement::Absent]);
    let gate = gate(permit_all(), &desk).await;
    let error = gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Call(CallError::Unreachable { .. })), "{error}");
    assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Failed));
}

#[tokio::test]
async fn what_is_denied_is_never_sent_and_always_recorded() {
    let rules = |rules: Value| json!({ "risk_threshold": 100, "rules": rules });
    let permit = json!({ "name": "all", "effect": "permit", "connector": "*", "operation": "*" });
    let deny =
        json!({ "name": "no", "effect": "deny", "connector": "desk", "operation": "*:create" });
    let broken = json!({
        "name": "odd", "effect": "deny", "connector": "desk", "operation": "*", "when": "params.x > 1",
    });
    for (policy, operation) in [
        (rules(json!([])), CREATE),
        (rules(json!([permit, deny])), CREATE),
        (rules(json!([permit, broken])), CREATE),
        (rules(json!([permit])), "desk.notes:delete"),
        (rules(json!([permit])), "desk.notes:burn"),
        (rules(json!([permit])), "other.notes:create"),
    ] {
        let desk = Desk::new(vec![], vec![]);
        let gate = gate(policy, &desk).await;
        let error = gate.write(operation, json!({}), "a/1/note").await.unwrap_err();
        assert!(matches!(error, GateError::Denied { .. }), "{operation}: {error}");
        assert_eq!(desk.n_performed(), 0);
        assert_eq!(leaves(&gate).await, ["Decision Deny"], "{operation}");
        assert_eq!(state(&gate, "a/1/note").await, None);
    }
}

#[tokio::test]
async fn a_stopped_workflow_is_denied_everything() {
    let desk = Desk::new(vec![], vec![]);
    let gate = gate(permit_all(), &desk).await;
    gate.journal.write(|tx| tx.stop_workflow("test", "alice", "drill")).await.unwrap();
    for call in [
        gate.write(CREATE, json!({}), "a/1/note").await.map(drop),
        gate.read("desk.notes:read", json!({}), None).await.map(drop),
    ] {
        let error = call.unwrap_err();
        assert!(error.to_string().contains("stopped by alice: drill"), "{error}");
    }
}

#[tokio::test]
async fn who_lost_the_run_to_another_process_is_refused_everything() {
    let desk = Desk::new(vec![], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let n_leaves = leaves(&gate).await.len();
    let _other = gate.take_over().await;
    for call in [
        gate.write(CREATE, json!({}), "a/1/note").await.map(drop),
        gate.read("desk.notes:read", json!({}), None).await.map(drop),
    ] {
        let error = call.unwrap_err();
        assert!(matches!(error, GateError::Journal(JournalError::Fenced { .. })), "{error}");
    }
    assert_eq!((desk.n_performed(), state(&gate, "a/1/note").await), (0, None));
    assert_eq!(leaves(&gate).await.len(), n_leaves, "nothing is recorded for it either");
}

#[tokio::test]
async fn limits_and_threshold_escalate_and_an_approval_is_used_once() {
    let policy = json!({
        "risk_threshold": 100,
        "rules": [{ "name": "all", "effect": "permit", "connector": "*", "operation": "*" }],
        "limits": [{ "operation": CREATE, "max": 1, "per": "1h", "beyond": "escalate" }],
    });
    let desk = Desk::new(vec![answer(), answer()], vec![]);
    let gate = gate(policy, &desk).await;
    gate.write(CREATE, json!({ "n": 1 }), "a/1/note").await.unwrap();
    let error = gate.write(CREATE, json!({ "n": 2 }), "b/1/note").await.unwrap_err();
    let GateError::Escalated(escalation) = error else { panic!("{error}") };
    assert_eq!(escalation.decision.verdict, Verdict::Escalate);
    assert_eq!(desk.n_performed(), 1);

    approve(&gate, &escalation, CREATE).await;
    // An approval is bound to the parameters: others are not covered.
    let error = gate.write(CREATE, json!({ "n": 3 }), "b/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Escalated(_)), "{error}");
    gate.write(CREATE, json!({ "n": 2 }), "b/1/note").await.unwrap();
    assert_eq!(desk.n_performed(), 2);
    let error = gate.write(CREATE, json!({ "n": 2 }), "c/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Escalated(_)), "{error}");
}

async fn approve(gate: &TestGate, escalation: &arx_gateway::Escalation, operation: &str) {
    request(gate, escalation, operation, Some(arx_journal::Vote::Approve)).await;
}

/// Asks for approval, has a vote cast, and records both as the command line does.
async fn request(
    gate: &TestGate,
    escalation: &arx_gateway::Escalation,
    operation: &str,
    vote: Option<arx_journal::Vote>,
) {
    use arx_journal::{LeafDraft, NewAction, NewApproval, Packed, Vote};
    let request = NewApproval {
        id: arx_types::ApprovalId::from_parts(1, 1),
        run: gate.ctx.run.clone(),
        workflow: "test".to_owned(),
        requester: gate.ctx.actor.clone(),
        approvers: vec!["role:approver".to_owned()],
        quorum: 1,
        expires_at: gate.journal.clock().now() + jiff::SignedDuration::from_hours(1),
        severity: arx_types::RiskClass::Medium,
        escalate_to: Vec::new(),
        remind_at: None,
        escalate_at: None,
        actions: vec![NewAction {
            digest: escalation.digest,
            operation: operation.parse().unwrap(),
            preview: Packed::json(&escalation.action).unwrap(),
            effect_key: escalation.action.effect.clone(),
            risk: None,
            reason: "limit".to_owned(),
        }],
    };
    let id = request.id.clone();
    let leaf = LeafDraft::new(LeafKind::Approval, "alice")
        .of_run(&gate.ctx.run, "test", &gate.ctx.version, &gate.ctx.policy.version().to_string())
        .with("approval", id.as_str());
    gate.journal
        .write(move |tx| {
            tx.request_approval(&request)?;
            let Some(vote) = vote else { return Ok(()) };
            tx.vote(&id, "alice", &vote, None)?;
            let status = if vote == Vote::Approve { "approved" } else { "denied" };
            tx.append_leaf(leaf.status(status)).map(drop)
        })
        .await
        .unwrap_or_else(|error: JournalError| panic!("{error}"));
}

#[tokio::test]
async fn a_dry_run_decides_and_sends_nothing() {
    let desk = Desk::new(vec![], vec![]);
    let mut gate = gate(permit_all(), &desk).await;
    Arc::make_mut(&mut gate.ctx).dry_run = true;
    let reply = gate.write(CREATE, json!({}), "a/1/note").await.unwrap();
    assert_eq!(reply.value["dry_run"], json!(true));
    assert_eq!(leaves(&gate).await, ["Decision Permitdry_run"]);
    assert_eq!(state(&gate, "a/1/note").await, None);
}

/// A dry run tells of one write for many what the real run tells, though nothing is on record.
#[tokio::test]
async fn a_dry_run_remembers_what_it_covered() {
    let desk = Desk::new(vec![], vec![]);
    let mut gate = gate(permit_all(), &desk).await;
    Arc::make_mut(&mut gate.ctx).dry_run = true;
    let reply = gate.gateway.call(&gate.ctx, group("group/1/note", &["a/1/note"])).await.unwrap();
    assert_eq!(reply.effect.unwrap().covered_by, None);
    for (key, covered_by) in [("a/1/note", Some("test/group/1/note")), ("b/1/note", None)] {
        let effect = gate.write(CREATE, json!({}), key).await.unwrap().effect.unwrap();
        assert_eq!(effect.covered_by.as_ref().map(ToString::to_string).as_deref(), covered_by);
    }
}

#[tokio::test]
async fn keys_and_parameters_are_bounded() {
    let desk = Desk::new(vec![], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let mut foreign = action(CREATE, json!({}));
    foreign.effect = Some("other/a/1/note".parse().unwrap());
    let error = gate.gateway.call(&gate.ctx, foreign).await.unwrap_err();
    assert!(error.to_string().contains("must begin with `test/`"), "{error}");
    let error = gate.gateway.call(&gate.ctx, action(CREATE, json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("a write needs `effect=`"), "{error}");
    let large = json!({ "text": "x".repeat(2 << 20) });
    let error = gate.write(CREATE, large, "a/1/note").await.unwrap_err();
    assert!(error.to_string().contains("bytes of parameters"), "{error}");
}

#[tokio::test]
async fn one_write_may_stand_for_many() {
    let desk = Desk::new(vec![answer()], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let mut group = action(CREATE, json!({}));
    group.effect = Some("test/group/1/note".parse().unwrap());
    group.covers = vec!["test/a/1/note".parse().unwrap(), "test/b/1/note".parse().unwrap()];
    gate.gateway.call(&gate.ctx, group).await.unwrap();
    let covered = gate.write(CREATE, json!({}), "a/1/note").await.unwrap();
    assert_eq!(covered.effect.unwrap().covered_by.unwrap().as_str(), "test/group/1/note");
    assert_eq!(desk.n_performed(), 1);
}

#[tokio::test]
async fn secrets_reach_neither_results_nor_errors_nor_the_journal() {
    let canary = "canary-3f9a1c";
    let said = format!("token {canary} is fine");
    let leak = CallError::Refused { vendor: "Desk", status: Some(400), message: said.clone() };
    let desk = Desk::new(vec![Do::Answer(json!({ "echo": [said] })), Do::Fail(leak)], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let params = json!({ "text": format!("params with {canary}") });
    let reply = gate.write(CREATE, params.clone(), "a/1/note").await.unwrap();
    assert!(!reply.value.to_string().contains(canary), "{}", reply.value);
    let error = gate.write(CREATE, params, "b/1/note").await.unwrap_err();
    assert!(!error.to_string().contains(canary), "{error}");
    let effects = gate.journal.read(|reader| reader.effects(&Default::default())).await;
    for effect in effects.unwrap_or_else(|error: JournalError| panic!("{error}")) {
        let params: Value = effect.params.unpack().unwrap();
        assert!(!params.to_string().contains(canary), "{params}");
        assert!(!effect.detail.unwrap_or_default().contains(canary));
    }
    let leaves = gate.journal.read(|reader| reader.leaves(&LeafFilter::default())).await;
    for leaf in leaves.unwrap_or_else(|error: JournalError| panic!("{error}")) {
        assert!(!String::from_utf8_lossy(&leaf.bytes).contains(canary));
        assert_ne!(leaf.decode().unwrap().kind, LeafKind::Stop);
    }
}

#[tokio::test]
async fn a_missing_credential_leaves_no_vendor_and_says_which() {
    let desk = Desk::new(vec![], vec![]) as Arc<dyn arx_gateway::Connector>;
    let gate = TestGate::under(
        permit_all(),
        Arc::clone(&desk),
        environment("http://127.0.0.1:9"),
        Value::Null,
        Some(Duration::ZERO),
    )
    .await;
    let binding = arx_gateway::Binding {
        connector: desk,
        optional: false,
        rate: None,
        settle_for: None,
        settings: Value::Null,
    };
    let environment = arx_gateway::Environment::from_pairs([(
        "DESK_URL".to_owned(),
        "http://desk.example".to_owned(),
    )]);
    let gateway = arx_gateway::Gateway::new(
        gate.journal.clone(),
        vec![binding],
        &environment,
        &arx_gateway::Budgets::default(),
    );
    let said: Vec<_> = gateway.setup_errors().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["Desk needs DESK_TOKEN"]);
}

/// Has a human asked, and asks the gate again once the policy would permit.
async fn permitted_by_now(vote: Option<arx_journal::Vote>) -> (Result<(), GateError>, usize) {
    let policy = json!({
        "hitl": true,
        "risk_threshold": 100,
        "rules": [
            { "name": "all", "effect": "permit", "connector": "*", "operation": "*" },
            {
                "name": "ask", "effect": "escalate", "connector": "*", "operation": "*",
                "when": "run.actor == 'test'",
            },
        ],
    });
    let desk = Desk::new(vec![answer()], vec![]);
    let mut gate = gate(policy, &desk).await;
    let error = gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    let GateError::Escalated(escalation) = error else { panic!("{error}") };
    request(&gate, &escalation, CREATE, vote).await;
    Arc::make_mut(&mut gate.ctx).actor = "schedule".to_owned();
    let result = gate.write(CREATE, json!({}), "a/1/note").await;
    let verified = gate.journal.verify(vec![]).await.unwrap();
    assert!(verified.is_ok(), "{:?}", verified.findings);
    (result.map(drop), desk.n_performed())
}

#[tokio::test]
async fn what_humans_answered_stands_when_the_policy_would_permit_by_now() {
    use arx_journal::Vote;
    let no = Vote::Deny { reason: "not at night".to_owned() };
    let (result, sent) = permitted_by_now(Some(no)).await;
    assert!(matches!(result, Err(GateError::Refused { .. })), "{result:?}");
    assert_eq!(sent, 0);
    let (result, sent) = permitted_by_now(None).await;
    assert!(matches!(result, Err(GateError::Escalated(_))), "{result:?}");
    assert_eq!(sent, 0);
    let (result, sent) = permitted_by_now(Some(Vote::Approve)).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(sent, 1);
}

fn group(key: &str, covers: &[&str]) -> arx_gateway::Action {
    let mut group = action(CREATE, json!({ "covers": covers }));
    group.effect = Some(format!("test/{key}").parse().unwrap());
    group.covers = covers.iter().map(|key| format!("test/{key}").parse().unwrap()).collect();
    group
}

#[tokio::test]
async fn a_group_never_names_again_what_may_have_happened() {
    let found = || Settlement::Happened(json!({ "id": "N7" }));
    let not_yet = || Settlement::Unknown { why: "not yet".to_owned() };
    for (second, settled, sends, error) in [
        // The earlier group is found: what it covered is done, and only the rest may be written.
        (&["a/1/note", "b/1/note", "c/1/note"][..], found(), 1, Some("leave it out")),
        (&["a/1/note"], found(), 1, None),
        (&["a/1/note", "c/1/note"], Settlement::Absent, 2, None),
        (&["a/1/note", "c/1/note"], not_yet(), 1, Some("is unknown")),
    ] {
        let settlements = vec![not_yet(), settled.clone()];
        let desk = Desk::new(vec![Do::Fail(unknown()), answer()], settlements);
        let desk_connector = Arc::clone(&desk) as Arc<dyn arx_gateway::Connector>;
        let environment = environment("http://127.0.0.1:9");
        let at_once = Some(Duration::ZERO);
        let gate =
            TestGate::under(permit_all(), desk_connector, environment, Value::Null, at_once).await;
        let first = group("group/1/note", &["a/1/note", "b/1/note"]);
        let lost = gate.gateway.call(&gate.ctx, first).await.unwrap_err();
        assert!(matches!(lost, GateError::NeedsAttention { .. }), "{lost}");
        let result = gate.gateway.call(&gate.ctx, group("group/2/note", second)).await;
        match (result, error) {
            (Ok(_), None) => {}
            (Err(got), Some(wanted)) => assert!(got.to_string().contains(wanted), "{got}"),
            (result, wanted) => panic!("{settled:?}: {result:?}, not {wanted:?}"),
        }
        assert_eq!(desk.n_performed(), sends, "{settled:?}");
        let verified = gate.journal.verify(vec![]).await.unwrap();
        assert!(verified.is_ok(), "{:?}", verified.findings);
    }
}

#[tokio::test]
async fn those_who_find_at_once_that_nothing_happened_agree() {
    let not_yet = || Settlement::Unknown { why: "not yet".to_owned() };
    let settlements = vec![not_yet(), Settlement::Absent];
    let desk = Desk::new(vec![Do::Fail(unknown()), answer(), answer()], settlements);
    let connector = Arc::clone(&desk) as Arc<dyn arx_gateway::Connector>;
    let environment = environment("http://127.0.0.1:9");
    let gate =
        TestGate::under(permit_all(), connector, environment, Value::Null, Some(Duration::ZERO))
            .await;
    let group = group("group/1/note", &["a/1/note", "b/1/note"]);
    let lost = gate.gateway.call(&gate.ctx, group).await.unwrap_err();
    assert!(matches!(lost, GateError::NeedsAttention { .. }), "{lost}");
    let (a, b) = tokio::join!(
        gate.write(CREATE, json!({}), "a/1/note"),
        gate.write(CREATE, json!({}), "b/1/note")
    );
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    assert_eq!(desk.n_performed(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_covered_effect_waits_for_the_write_that_covers_it() {
    let desk = Desk::new(vec![answer()], vec![Settlement::Absent]);
    let gate = gate(permit_all(), &desk).await;
    let group = group("group/1/note", &["a/1/note", "b/1/note"]);
    let (whole, a, b) = tokio::join!(
        gate.gateway.call(&gate.ctx, group),
        gate.write(CREATE, json!({}), "a/1/note"),
        gate.write(CREATE, json!({}), "b/1/note")
    );
    assert!(whole.is_ok() && a.is_ok() && b.is_ok(), "{whole:?} {a:?} {b:?}");
    assert_eq!((desk.n_performed(), *desk.looked.lock().unwrap()), (1, 0));
}

#[tokio::test]
async fn an_effect_key_is_that_of_one_operation() {
    let desk = Desk::new(vec![answer()], vec![]);
    let gate = gate(permit_all(), &desk).await;
    gate.write(CREATE, json!({}), "a/1/note").await.unwrap();
    let error = gate.write("desk.notes:burn", json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Denied { .. }), "{error}");
    let error = gate.write("desk.notes:change", json!({}), "a/1/note").await.unwrap_err();
    assert!(error.to_string().contains("is already that of desk.notes:create"), "{error}");
    let error = gate.write("desk.notes:read", json!({}), "b/1/note").await.unwrap_err();
    assert!(error.to_string().contains("a read takes no"), "{error}");
    assert_eq!(desk.n_performed(), 1);
    assert!(gate.journal.verify(vec![]).await.unwrap().is_ok());
}

#[tokio::test]
async fn neither_a_stop_nor_a_rehearsal_touches_what_is_unsettled() {
    let not_yet = Settlement::Unknown { why: "not yet".to_owned() };
    let desk = Desk::new(vec![Do::Fail(unknown())], vec![not_yet]);
    let mut gate = gate(permit_all(), &desk).await;
    gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    let looked = *desk.looked.lock().unwrap();
    Arc::make_mut(&mut gate.ctx).dry_run = true;
    let rehearsed = gate.write(CREATE, json!({}), "a/1/note").await.unwrap();
    assert_eq!(rehearsed.value["dry_run"], json!(true));
    Arc::make_mut(&mut gate.ctx).dry_run = false;
    gate.journal.write(|tx| tx.stop_workflow("test", "alice", "drill")).await.unwrap();
    let error = gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Denied { .. }), "{error}");
    assert_eq!(*desk.looked.lock().unwrap(), looked);
    assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Unknown));
}

#[tokio::test]
async fn an_outcome_is_recorded_however_much_the_vendor_says() {
    let said =
        CallError::Refused { vendor: "Desk", status: Some(400), message: "no ".repeat(200_000) };
    let desk = Desk::new(vec![Do::Fail(said)], vec![]);
    let gate = gate(permit_all(), &desk).await;
    let error = gate.write(CREATE, json!({}), "a/1/note").await.unwrap_err();
    assert!(matches!(error, GateError::Call(CallError::Refused { .. })));
    assert_eq!(state(&gate, "a/1/note").await, Some(EffectState::Failed));
    let twice = group("group/1/note", &["b/1/note", "b/1/note"]);
    let error = gate.gateway.call(&gate.ctx, twice).await.unwrap_err();
    assert!(error.to_string().contains("names `test/b/1/note` twice"), "{error}");
    let covers: Vec<String> = (0..2_001).map(|n| format!("{n}/1/note")).collect();
    let covers: Vec<&str> = covers.iter().map(String::as_str).collect();
    let error = gate.gateway.call(&gate.ctx, group("group/1/note", &covers)).await.unwrap_err();
    assert!(error.to_string().contains("write several groups"), "{error}");
}

/// A clock that is set back makes every intent younger; looking at the vendor ends all the same.
#[tokio::test]
async fn looking_ends_in_time_although_the_clock_is_set_back() {
    let not_yet = Settlement::Unknown { why: "not yet".to_owned() };
    let desk = Desk::new(vec![Do::Fail(unknown())], vec![not_yet]);
    let gate = gate(permit_all(), &desk).await;
    let needs = gate.write(CREATE, json!({}), "a/1/note").await;
    assert!(matches!(needs, Err(GateError::NeedsAttention { .. })), "{needs:?}");
    gate.clock.step_back(Duration::from_secs(3600));
    let again = gate.write(CREATE, json!({}), "a/1/note");
    let again = tokio::time::timeout(Duration::from_secs(20), again).await.expect("it ends");
    assert!(matches!(again, Err(GateError::NeedsAttention { .. })), "{again:?}");
    assert_eq!(
        (desk.n_performed(), state(&gate, "a/1/note").await),
        (1, Some(EffectState::Unknown))
    );
}
