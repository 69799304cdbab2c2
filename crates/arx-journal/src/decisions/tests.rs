use arx_types::Verdict::{Deny, Escalate, Permit};
use proptest::prelude::*;

use super::*;
use crate::Journal;
use crate::approvals::{NewAction, NewApproval};
use crate::testing::{Fixture, leaf, packed, read, run_id, write};

fn approval_id() -> ApprovalId {
    ApprovalId::from_parts(1, 1)
}

fn decide(
    journal: &Journal,
    operation: &str,
    access: Access,
    verdict: Verdict,
    approval: Option<ApprovalId>,
) {
    let operation = operation.parse().unwrap();
    write(journal, move |tx| decide_in(tx, operation, access, verdict, approval)).unwrap();
}

fn decide_in(
    tx: &mut Tx<'_>,
    operation: Operation,
    access: Access,
    verdict: Verdict,
    approval: Option<ApprovalId>,
) -> Result<(), JournalError> {
    let seq = tx.append_leaf(leaf("gate"))?.seq;
    tx.put_decision(&NewDecision {
        seq,
        run: run_id(1),
        workflow: "demo".to_owned(),
        world: World::live(),
        operation,
        access,
        verdict,
        approval,
        effect_key: Some("demo/a".parse().unwrap()),
        request: packed("request"),
    })
}

fn ask(journal: &Journal) {
    write(journal, |tx| {
        let action = NewAction {
            digest: arx_types::Digest::of_bytes(b"action"),
            operation: "jira.issues:create".parse().unwrap(),
            preview: packed("preview"),
            effect_key: None,
            risk: None,
            reason: "risk".to_owned(),
        };
        tx.request_approval(&NewApproval {
            id: approval_id(),
            run: run_id(1),
            workflow: "demo".to_owned(),
            requester: "alice".to_owned(),
            approvers: vec![],
            quorum: 1,
            expires_at: tx.now() + jiff::SignedDuration::from_hours(1),
            severity: arx_types::RiskClass::Medium,
            escalate_to: Vec::new(),
            remind_at: None,
            escalate_at: None,
            actions: vec![action],
        })
    })
    .unwrap();
}

#[test]
fn only_writes_that_were_let_through_count_and_only_for_a_while() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal);
    let (page, ticket) = ("pagerduty.incidents:create", "jira.issues:create");
    decide(&journal, page, Access::Write, Permit, None);
    fixture.clock.advance_secs(1800);
    decide(&journal, page, Access::Write, Permit, None);
    decide(&journal, ticket, Access::Write, Escalate, Some(approval_id()));
    decide(&journal, ticket, Access::Write, Escalate, None);
    decide(&journal, page, Access::Write, Deny, None);
    decide(&journal, "wiz.findings:read", Access::Read, Permit, None);
    let count = |world: World, workflow: &str| {
        let since = journal.clock().now() - jiff::SignedDuration::from_hours(1);
        let workflow = workflow.to_owned();
        write(&journal, move |tx| {
            let mut of = |counted, connector: &'static str| {
                tx.count_writes(&world, &workflow, counted, since, u32::MAX, &|| {
                    Box::new(move |operation| {
                        connector.is_empty() || operation.connector == connector
                    })
                })
            };
            let limit = |n| Counted::Limit { policy: Digest::of_bytes(b"p"), n };
            let all = of(Counted::All, "")?;
            Ok((all, of(limit(0), "pagerduty")?, of(limit(1), "jira")?))
        })
        .unwrap()
    };
    assert_eq!(count(World::live(), "demo"), (3, 2, 1));
    fixture.clock.advance_secs(1799);
    assert_eq!(count(World::live(), "demo"), (3, 2, 1));
    fixture.clock.advance_secs(1);
    assert_eq!(count(World::live(), "demo"), (2, 1, 1), "an hour later, to the second");
    assert_eq!(count(World::live(), "other"), (0, 0, 0));
    assert_eq!(count(World::simulate("x"), "demo"), (0, 0, 0));
}

#[test]
fn decisions_are_read_in_order_a_page_at_a_time() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    for verdict in [Permit, Deny, Escalate] {
        decide(&journal, "jira.issues:create", Access::Write, verdict, None);
    }
    let list = |filter: DecisionFilter| -> Vec<(u64, Verdict)> {
        read(&journal, |reader| reader.decisions(&filter))
            .iter()
            .map(|recorded| (recorded.decision.seq, recorded.decision.verdict))
            .collect()
    };
    assert_eq!(list(DecisionFilter::default()), [(0, Permit), (1, Deny), (2, Escalate)]);
    assert_eq!(
        list(DecisionFilter { after: Some(0), limit: 1, ..Default::default() }),
        [(1, Deny)]
    );
    assert_eq!(list(DecisionFilter { run: Some(run_id(9)), ..Default::default() }), []);
    let all = read(&journal, |reader| reader.decisions(&DecisionFilter::default()));
    let first = &all[0].decision;
    assert_eq!(
        (&first.run, first.access, &first.request),
        (&run, Access::Write, &packed("request"))
    );
    assert_eq!(first.effect_key.as_ref().map(EffectKey::as_str), Some("demo/a"));
}

/// Seconds that a clock steps, either way.
const STEPS: std::ops::Range<i64> = -5400..5400;
/// How far is counted in the property test.
const MAX: u32 = 4;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However decisions and questions share transactions, and whichever way the clock steps: the
    /// count is that of the record.
    #[test]
    fn a_count_within_a_transaction_is_that_of_the_record(
        writes in prop::collection::vec(
            prop::collection::vec((any::<bool>(), any::<bool>(), STEPS, STEPS), 1..6),
            1..8,
        )
    ) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        let mut record: Vec<(bool, Timestamp)> = Vec::new();
        for steps in writes {
            let clock = std::sync::Arc::clone(&fixture.clock);
            let counts = write(&journal, move |tx| {
                let mut counts = Vec::new();
                for (is_page, is_permitted, before, between) in steps {
                    clock.advance_secs(before);
                    let since = tx.now() - jiff::SignedDuration::from_hours(1);
                    let mut count = |counted, of: &dyn Fn() -> Matches| {
                        tx.count_writes(&World::live(), "demo", counted, since, MAX, of)
                    };
                    let limit = Counted::Limit { policy: Digest::of_bytes(b"p"), n: 0 };
                    let is_page_of = || -> Matches {
                        Box::new(|operation| operation.connector == "pagerduty")
                    };
                    let pages = count(limit, &is_page_of)?;
                    let all = count(Counted::All, &|| Box::new(|_| true))?;
                    clock.advance_secs(between);
                    counts.push((pages, all, since, is_page, is_permitted, tx.now()));
                    let operation = match is_page {
                        true => "pagerduty.incidents:create",
                        false => "jira.issues:create",
                    };
                    let verdict = if is_permitted { Permit } else { Deny };
                    decide_in(tx, operation.parse().unwrap(), Access::Write, verdict, None)?;
                }
                Ok(counts)
            })
            .unwrap();
            for (pages, all, since, is_page, is_permitted, now) in counts {
                let after = |only_pages: bool| {
                    let counted = record.iter().filter(|(page, at)| *at > since && (*page || !only_pages));
                    u32::try_from(counted.count()).unwrap().min(MAX)
                };
                prop_assert_eq!((pages, all), (after(true), after(false)));
                if is_permitted {
                    record.push((is_page, now));
                }
            }
        }
    }
}
