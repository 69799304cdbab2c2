//! A small journal with a row of every sort, each with its leaf as the product writes it.

use std::collections::BTreeSet;

use arx_audit::{LeafKind, Verdict, Workflow};
use arx_types::{
    Access, ApprovalId, Digest, EffectKey, EffectState, LinkId, Operation, Role, RunId, RunStatus,
    TokenId,
};
use serde_json::{Value, json};

use crate::people::{NewLink, NewSession, NewToken};
use crate::testing::{Fixture, WORKFLOW, run_id, start, version, write};
use crate::{
    FireCause, Intended, Journal, LeafDraft, NewAction, NewApproval, NewDecision, NewFire,
    NewIntent, NewNotification, NotificationKind, Packed, SettleOutcome, Settlement, Step,
    StepOutcome, TakenApproval, Tx, Vote, World,
};

pub(super) fn run() -> RunId {
    run_id(1)
}

pub(super) fn approval() -> ApprovalId {
    ApprovalId::from_parts(1_767_225_600_000, 7)
}

fn key(name: &str) -> EffectKey {
    format!("demo/{name}/1/page").parse().unwrap()
}

fn operation() -> Operation {
    "pagerduty.incidents:create".parse().unwrap()
}

fn params() -> Digest {
    Digest::of_bytes(b"params")
}

fn of_run(kind: LeafKind, actor: &str) -> LeafDraft {
    LeafDraft::new(kind, actor).of_run(&run(), WORKFLOW, &version().digest, "p1")
}

fn about(kind: LeafKind, name: &str) -> LeafDraft {
    of_run(kind, "alice").about(&operation(), Some(&key(name)), Some(&params()))
}

fn packed(value: &Value) -> Packed {
    Packed::json(value).unwrap()
}

fn decide(tx: &mut Tx<'_>, name: &str, verdict: Verdict, approval: Option<ApprovalId>) -> u64 {
    let mut leaf = about(LeafKind::Decision, name);
    leaf.verdict = Some(verdict);
    if let Some(approval) = &approval {
        leaf = leaf.with("approval", approval.as_str());
    }
    let seq = tx.append_leaf(leaf).unwrap().seq;
    tx.put_decision(&NewDecision {
        seq,
        run: run(),
        workflow: WORKFLOW.to_owned(),
        world: World::live(),
        operation: operation(),
        access: Access::Write,
        verdict: match (verdict, &approval) {
            (Verdict::Permit, None) => arx_types::Verdict::Permit,
            _ => arx_types::Verdict::Escalate,
        },
        approval,
        effect_key: Some(key(name)),
        request: packed(&json!({ "params": { "title": name } })),
    })
    .unwrap();
    seq
}

fn page(tx: &mut Tx<'_>, name: &str, covers: Vec<EffectKey>) {
    let intent = NewIntent {
        world: World::live(),
        key: key(name),
        run: run(),
        workflow: WORKFLOW.to_owned(),
        operation: operation(),
        params_sha256: params(),
        params: packed(&json!({ "title": "t".repeat(2000) })),
        covers: covers.clone(),
    };
    let covers: Vec<String> = covers.iter().map(ToString::to_string).collect();
    let leaf = about(LeafKind::Intent, name).with("covers", covers);
    assert!(matches!(tx.intend_effect(&intent, leaf).unwrap(), Intended::Fresh { .. }));
}

fn settle(tx: &mut Tx<'_>, name: &str, state: EffectState, result: Option<Value>) {
    let mut leaf = about(LeafKind::Outcome, name).status(state.as_str());
    if let Some(result) = &result {
        leaf = leaf.result(Digest::of_json(result).unwrap());
    }
    let result = result.as_ref().map(packed);
    let settlement = Settlement { state, attempt: 1, result, detail: None };
    let settled = tx.settle_effect(&World::live(), &key(name), &settlement, leaf).unwrap();
    assert!(matches!(settled, SettleOutcome::Settled(_)));
}

/// Each of these is one write, so that a torn log ends between two of them.
pub(super) const WRITES: &[fn(&mut Tx<'_>)] = &[
    |tx| {
        let mut leaf = LeafDraft::new(LeafKind::Register, "bob").status("registered");
        let digest = version().digest;
        let version = digest.to_string();
        leaf.workflow = Some(Workflow { name: WORKFLOW.to_owned(), version });
        tx.register(WORKFLOW, &digest, "bob").unwrap();
        let now = tx.now();
        let fire = NewFire {
            world: World::live(),
            workflow: WORKFLOW.to_owned(),
            cause: FireCause::Schedule,
            due_at: now,
            last_due_at: now,
            n_due: 1,
            not_before: now,
            actor: "schedule".to_owned(),
            skipped: Some("missed".to_owned()),
        };
        tx.put_fire(&fire).unwrap();
        tx.append_leaf(leaf).unwrap();
        tx.append_leaf(of_run(LeafKind::Run, "alice").status("started")).unwrap();
    },
    |tx| {
        decide(tx, "CVE-1", Verdict::Permit, None);
        page(tx, "CVE-1", vec![key("CVE-2")]);
    },
    |tx| {
        let step = Step {
            key: Digest::of_bytes(b"step"),
            occurrence: 0,
            position: 0,
            operation: "arx.merge".to_owned(),
            outcome: StepOutcome::Value,
            payload: packed(&json!({ "findings": 3 })),
        };
        tx.put_step(&run(), &step).unwrap();
        tx.put_cached("qualys", "kb", &[("1".to_owned(), packed(&json!({ "qid": 1 })))]).unwrap();
        tx.append_leaf(LeafDraft::new(LeafKind::Register, "bob")).unwrap();
    },
    |tx| settle(tx, "CVE-1", EffectState::Done, Some(json!({ "id": "INCIDENT" }))),
    |tx| {
        tx.request_approval(&NewApproval {
            id: approval(),
            run: run(),
            workflow: WORKFLOW.to_owned(),
            requester: "alice".to_owned(),
            approvers: vec!["role:approver".to_owned()],
            quorum: 1,
            expires_at: tx.now() + jiff::SignedDuration::from_hours(1),
            severity: arx_types::RiskClass::Medium,
            escalate_to: Vec::new(),
            remind_at: None,
            escalate_at: None,
            actions: vec![NewAction {
                digest: params(),
                operation: operation(),
                preview: packed(&json!({ "title": "CVE-3" })),
                effect_key: Some(key("CVE-3")),
                risk: Some(packed(&json!({ "score": 80 }))),
                reason: "more than one".to_owned(),
            }],
        })
        .unwrap();
        let leaf = of_run(LeafKind::Approval, "alice").status("requested");
        let leaf = leaf.with("quorum", 1).with("approvers", vec!["role:approver"]);
        tx.append_leaf(leaf.with("approval", approval().as_str())).unwrap();
        tx.queue_notification(&NewNotification {
            kind: NotificationKind::ApprovalRequested,
            run: run(),
            approval: Some(approval()),
            payload: packed(&json!({ "n_actions": 1 })),
        })
        .unwrap();
    },
    |tx| {
        tx.vote(&approval(), "bob", &Vote::Approve, None).unwrap();
        let mut leaf = about(LeafKind::Approval, "CVE-3").status("approved");
        leaf.actor = "bob".to_owned();
        tx.append_leaf(leaf.with("approval", approval().as_str()).with("action", 0)).unwrap();
    },
    |tx| {
        let taken = tx.take_approval(&run(), &params()).unwrap();
        assert!(matches!(taken, TakenApproval::Approved { .. }));
        decide(tx, "CVE-3", Verdict::Permit, Some(approval()));
    },
    |tx| {
        tx.open_episode(&World::live(), WORKFLOW, "CVE-2", "all", &run()).unwrap();
        let leaf = of_run(LeafKind::Episode, "alice").status("opened");
        tx.append_leaf(leaf.with("episodes", vec!["CVE-2/1"])).unwrap();
    },
    |tx| {
        tx.close_missing(&World::live(), WORKFLOW, &BTreeSet::new(), "all", &run()).unwrap();
        let leaf = of_run(LeafKind::Episode, "alice").status("closed");
        tx.append_leaf(leaf.with("episodes", vec!["CVE-2/1"])).unwrap();
    },
    |tx| {
        tx.put_lineage("dataset", 0, &packed(&json!(["finding"]))).unwrap();
        tx.link_merge(&params(), "dataset", &run()).unwrap();
        tx.append_leaf(of_run(LeafKind::Merge, "alice").result(params())).unwrap();
    },
    |tx| {
        tx.stop_workflow("other", "bob", "no").unwrap();
        let mut leaf = LeafDraft::new(LeafKind::Stop, "bob").status("stopped");
        leaf.workflow = Some(Workflow { name: "other".to_owned(), version: "*".to_owned() });
        tx.append_leaf(leaf).unwrap();
    },
    |tx| {
        tx.put_report(
            &run(),
            &crate::NewReport {
                report: packed(&json!({ "paged": 1 })),
                figures: packed(&json!({})),
                minutes_saved: 30,
            },
        )
        .unwrap();
        tx.set_run_status(&run(), RunStatus::Succeeded).unwrap();
        tx.append_leaf(of_run(LeafKind::Run, "alice").status("succeeded")).unwrap();
    },
    |tx| {
        let link = |n, secret: &[u8]| NewLink {
            id: LinkId::from_parts(1, n),
            digest: Digest::of_bytes(secret),
            expires_at: tx.now() + jiff::SignedDuration::from_hours(24),
        };
        let (first, second) = (link(1, b"first"), link(2, b"second"));
        assert!(tx.make_first_link(&first, "arx").unwrap());
        tx.use_link(&first.digest, "Ada", &"$argon2id$hash".into()).unwrap();
        tx.add_person("Bo", Role::Viewer, "Ada").unwrap();
        tx.make_link("Bo", &second, "Ada").unwrap();
    },
    |tx| {
        let expires_at = tx.now() + jiff::SignedDuration::from_hours(24);
        let digest = Digest::of_bytes(b"cookie");
        tx.start_session("ada", &NewSession { digest, expires_at, from: None }).unwrap();
        let token = NewToken {
            id: TokenId::from_parts(1, 1),
            digest: Digest::of_bytes(b"token"),
            label: "ci".to_owned(),
            role: Role::Viewer,
            expires_at,
        };
        tx.make_token("bo", &token, "Ada").unwrap();
    },
];

/// Fills a journal and signs it.
pub(super) fn fill(fixture: &Fixture) -> Journal {
    let journal = fixture.open().unwrap();
    start(&journal, &run());
    for one in WRITES {
        write(&journal, move |tx| {
            one(tx);
            Ok(())
        })
        .unwrap();
    }
    let key = std::sync::Arc::clone(journal.key());
    write(&journal, move |tx| tx.checkpoint(&key)).unwrap();
    journal
}
