use std::collections::BTreeSet;

use arx_audit::{Action, Leaf, LeafKind, Verdict as Decided};
use arx_sim::{Entry, Vendor};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Remains, Verdict};
use crate::company::{Effect, Flow, What};

const EPISODE: &str = "critical-vuln-escalation/CVE-2099-00001/1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn entry(vendor: Vendor, operation: &str, key: Value, state: Value) -> Entry {
    let (id, title) = ("1".to_owned(), "one".to_owned());
    let operation = operation.to_owned();
    Entry { n: 1, at: at(100), vendor, operation, id, key: Some(key), title, state }
}

fn page() -> Entry {
    entry(Vendor::PagerDuty, "incidents.create", json!(format!("{EPISODE}/page")), json!({}))
}

fn leaf(seq: u64, kind: LeafKind) -> Leaf {
    let mut leaf = Leaf::new(seq, at(50), kind, "tester");
    leaf.action = Some(Action {
        connector: "pagerduty".to_owned(),
        operation: "incidents:create".to_owned(),
        effect_key: Some(format!("{EPISODE}/page")),
        params_sha256: None,
    });
    leaf
}

/// A page with its permit, its intent and its outcome.
fn whole() -> Remains {
    let mut permit = leaf(0, LeafKind::Decision);
    permit.verdict = Some(Decided::Permit);
    let mut intent = leaf(1, LeafKind::Intent);
    intent.detail = Some(Map::from_iter([("decision".to_owned(), json!(0))]));
    let mut outcome = leaf(2, LeafKind::Outcome);
    outcome.status = Some("done".to_owned());
    Remains {
        flow: Flow::Escalation,
        intended: BTreeSet::from([Effect { of: EPISODE.to_owned(), what: What::Page }]),
        ledger: vec![page()],
        leaves: vec![permit, intent, outcome],
        attention: BTreeSet::new(),
        findings: Vec::new(),
        one_clock: true,
    }
}

/// What is wrong, after a change to what is not.
#[track_caller]
fn check(change: impl FnOnce(&mut Remains), wanted: &str, counts: [usize; 5]) {
    let mut remains = whole();
    change(&mut remains);
    let verdict = remains.judge();
    let Verdict { in_ledgers, duplicated, lost, left, permitted, ref complaints, .. } = verdict;
    assert_eq!([in_ledgers, duplicated, lost, left, permitted], counts, "{verdict:?}");
    assert!(complaints.iter().any(|text| text.contains(wanted)), "{complaints:?}");
}

#[test]
fn what_is_as_promised_is_not_complained_about() {
    let verdict = whole().judge();
    let good =
        Verdict { intended: 1, in_ledgers: 1, verifies: true, permitted: 1, ..Verdict::default() };
    assert_eq!(verdict, good);
}

#[test]
fn whatever_is_not_as_promised_is_found() {
    check(|r| r.ledger.push(page()), "2 times", [2, 1, 0, 0, 1]);
    check(|r| r.ledger.push(page()), "no outcome in the log", [2, 1, 0, 0, 1]);
    check(|r| r.ledger.clear(), "lost", [0, 0, 1, 0, 0]);
    check(|r| r.ledger.clear(), "at no vendor", [0, 0, 1, 0, 0]);
    check(|r| r.intended.clear(), "1 times", [1, 1, 0, 0, 1]);
    check(|r| r.findings.push("broken".to_owned()), "audit: broken", [1, 0, 0, 0, 1]);
    check(|r| r.leaves.truncate(2), "no outcome in the log", [1, 0, 0, 0, 0]);
    check(|r| r.leaves[1].kind = LeafKind::Merge, "no intent in the log", [1, 0, 0, 0, 0]);
    check(|r| r.leaves[0].verdict = Some(Decided::Deny), "no permit", [1, 0, 0, 0, 0]);
    check(|r| r.leaves[0].kind = LeafKind::Merge, "no decision before", [1, 0, 0, 0, 0]);
    check(|r| r.leaves[1].at = at(101), "intended at", [1, 0, 0, 0, 0]);
    let again = |r: &mut Remains| r.leaves.push(Leaf { seq: 3, ..r.leaves[2].clone() });
    check(again, "done 2 times", [1, 0, 0, 0, 1]);
}

#[test]
fn what_a_human_was_told_of_is_not_lost() {
    let mut remains = whole();
    remains.ledger.clear();
    remains.leaves.truncate(2);
    remains.attention.insert(format!("{EPISODE}/page"));
    let verdict = remains.judge();
    assert_eq!((verdict.lost, verdict.left), (0, 1));
    assert!(verdict.complaints.is_empty(), "{verdict:?}");
}

/// One write to a ticket may bring several things about; each counts for itself.
#[test]
fn a_write_to_a_ticket_is_what_it_changed() {
    #[track_caller]
    fn check(state: Value, wanted: &[What]) {
        let entry = entry(Vendor::ServiceNow, "table.update", json!("INC0000001"), state);
        let found: Vec<What> = super::effects_of(&entry).into_iter().map(|e| e.what).collect();
        assert_eq!(found, wanted);
    }
    let state = |value: &str| json!({"fieldname": "state", "newvalue": value});
    let note = json!({"element": "work_notes"});
    check(json!({"audit": [state("6")], "journal": [note]}), &[What::Closing, What::Note]);
    check(json!({"audit": [state("2")], "journal": [note]}), &[What::Flag, What::Note]);
    check(json!({"audit": [], "journal": [note, note]}), &[What::Note, What::Note]);
    check(json!({}), &[What::Other("servicenow table.update".to_owned())]);
}
