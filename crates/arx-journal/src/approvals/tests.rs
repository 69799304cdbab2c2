use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::Journal;
use crate::testing::{Fixture, packed, read, run_id, write};

const HOUR: i64 = 3600;

fn id(n: u128) -> ApprovalId {
    ApprovalId::from_parts(1, n)
}

fn digest(name: &str) -> Digest {
    Digest::of_bytes(name.as_bytes())
}

/// Asks for actions by name.
fn ask(journal: &Journal, n: u128, quorum: u32, actions: &[&str]) -> Result<(), JournalError> {
    let actions = actions
        .iter()
        .map(|name| NewAction {
            digest: digest(name),
            operation: "jira.issues:create".parse().unwrap(),
            preview: packed(name),
            effect_key: Some(format!("demo/{name}").parse().unwrap()),
            risk: None,
            reason: "risk_threshold".to_owned(),
        })
        .collect();
    write(journal, move |tx| {
        tx.request_approval(&NewApproval {
            id: id(n),
            run: run_id(1),
            workflow: "demo".to_owned(),
            requester: "alice".to_owned(),
            approvers: vec!["role:approver".to_owned()],
            quorum,
            expires_at: tx.now() + SignedDuration::from_secs(HOUR),
            severity: arx_types::RiskClass::Medium,
            escalate_to: Vec::new(),
            remind_at: None,
            escalate_at: None,
            actions,
        })
    })
}

fn vote_on(
    journal: &Journal,
    n: u128,
    who: &'static str,
    vote: Vote,
    actions: Option<&'static [u32]>,
) -> Result<(&'static str, Vec<u32>), String> {
    let outcome = write(journal, move |tx| tx.vote(&id(n), who, &vote, actions)).unwrap();
    match outcome {
        VoteOutcome::Recorded { state, decided } => Ok((state.as_str(), decided)),
        VoteOutcome::Refused(refusal) => Err(refusal.to_string()),
    }
}

fn yes(journal: &Journal, who: &'static str) -> Result<(&'static str, Vec<u32>), String> {
    vote_on(journal, 1, who, Vote::Approve, None)
}

fn no(journal: &Journal, who: &'static str) -> Result<(&'static str, Vec<u32>), String> {
    vote_on(journal, 1, who, Vote::Deny { reason: "not now".to_owned() }, None)
}

fn take(journal: &Journal, name: &str) -> TakenApproval {
    let digest = digest(name);
    write(journal, move |tx| tx.take_approval(&run_id(1), &digest)).unwrap()
}

fn approved(n: u128, by: &[&str]) -> TakenApproval {
    let by = by.iter().map(|who| (*who).to_owned()).collect();
    TakenApproval::Approved { approval: id(n), by }
}

fn state(journal: &Journal, n: u128) -> ApprovalState {
    read(journal, |reader| reader.approval(&id(n))).unwrap().state
}

#[test]
fn a_yes_is_used_once() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    assert_eq!(take(&journal, "a"), TakenApproval::None);
    ask(&journal, 1, 1, &["a", "b"]).unwrap();
    assert_eq!(take(&journal, "a"), TakenApproval::Pending { approval: id(1) });
    assert_eq!(yes(&journal, "bob"), Ok(("approved", vec![0, 1])));
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]));
    assert_eq!(take(&journal, "a"), TakenApproval::None);
    assert_eq!(state(&journal, 1), ApprovalState::Approved);
    assert_eq!(take(&journal, "other"), TakenApproval::None, "bound to the digest");
    assert_eq!(take(&journal, "b"), approved(1, &["bob"]));
    assert_eq!(state(&journal, 1), ApprovalState::Used);
    // Asked for again, it needs another yes.
    ask(&journal, 2, 1, &["a"]).unwrap();
    assert_eq!(take(&journal, "a"), TakenApproval::Pending { approval: id(2) });
}

#[test]
fn every_vote_is_listed_with_its_words() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 2, &["a", "b"]).unwrap();
    ask(&journal, 2, 1, &["a"]).unwrap();
    yes(&journal, "bob").unwrap();
    let no = Vote::Deny { reason: "not now".to_owned() };
    vote_on(&journal, 1, "carol", no.clone(), Some(&[1])).unwrap();
    let votes = read(&journal, |reader| reader.votes(&id(1)));
    let votes: Vec<_> =
        votes.iter().map(|cast| (cast.action, cast.who.as_str(), &cast.vote)).collect();
    assert_eq!(votes, [(0, "bob", &Vote::Approve), (1, "bob", &Vote::Approve), (1, "carol", &no),]);
    assert_eq!(read(&journal, |reader| reader.votes(&id(2))), []);
}

#[test]
fn an_approval_that_was_taken_in_a_write_that_failed_is_not_used() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 1, &["a"]).unwrap();
    yes(&journal, "bob").unwrap();
    let digest = digest("a");
    let failed: Result<(), JournalError> = write(&journal, move |tx| {
        tx.take_approval(&run_id(1), &digest)?;
        Err(JournalError::Stopped)
    });
    assert!(failed.is_err());
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]));
}

#[test]
fn another_run_cannot_use_it() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 1, &["a"]).unwrap();
    yes(&journal, "bob").unwrap();
    let digest = digest("a");
    let taken = write(&journal, move |tx| tx.take_approval(&run_id(2), &digest)).unwrap();
    assert_eq!(taken, TakenApproval::None);
}

#[test]
fn votes_that_do_not_count_are_refused_with_the_reason() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 2, &["a", "b"]).unwrap();
    let refused = |result: Result<(&'static str, Vec<u32>), String>| result.unwrap_err();
    assert_eq!(refused(yes(&journal, "alice")), "`alice` started the run and cannot decide on it");
    assert_eq!(refused(no(&journal, "alice")), "`alice` started the run and cannot decide on it");
    assert_eq!(yes(&journal, "bob"), Ok(("pending", vec![])));
    assert_eq!(refused(yes(&journal, "bob")), "`bob` has voted on action 1 already");
    assert_eq!(refused(no(&journal, "bob")), "`bob` has voted on action 1 already");
    let some = |who, actions| vote_on(&journal, 1, who, Vote::Approve, Some(actions));
    assert_eq!(refused(some("carol", &[2])), "the approval has no action 2");
    assert_eq!(refused(some("carol", &[0, 0])), "`carol` has voted on action 0 already");
    assert_eq!(some("carol", &[0]), Ok(("pending", vec![0])));
    assert_eq!(refused(some("dave", &[1, 0])), "action 0 of the approval is approved already");
    assert_eq!(yes(&journal, "dave"), Ok(("approved", vec![1])));
    assert_eq!(refused(yes(&journal, "erin")), "the approval is approved already");
    let error = write(&journal, |tx| tx.vote(&id(9), "bob", &Vote::Approve, None)).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no approval `{}`", id(9)));
}

#[test]
fn one_no_is_enough_and_says_why() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 2, &["a"]).unwrap();
    yes(&journal, "bob").unwrap();
    assert_eq!(no(&journal, "carol"), Ok(("denied", vec![0])));
    let denied = TakenApproval::Denied {
        approval: id(1),
        reason: "not now".to_owned(),
        by: Some("carol".to_owned()),
    };
    assert_eq!(take(&journal, "a"), denied);
    assert_eq!(take(&journal, "a"), denied);
}

#[test]
fn some_actions_may_be_approved_and_others_denied() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 1, &["a", "b", "c"]).unwrap();
    let deny = || Vote::Deny { reason: "no".to_owned() };
    assert_eq!(vote_on(&journal, 1, "bob", Vote::Approve, Some(&[0])), Ok(("pending", vec![0])));
    assert_eq!(vote_on(&journal, 1, "bob", deny(), Some(&[1])), Ok(("pending", vec![1])));
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]), "what is approved need not wait");
    assert_eq!(take(&journal, "c"), TakenApproval::Pending { approval: id(1) });
    assert_eq!(vote_on(&journal, 1, "bob", deny(), None), Ok(("used", vec![2])));
    let actions = read(&journal, |reader| reader.approval_actions(&id(1)));
    let size = read(&journal, |reader| reader.approval_size(&id(1)));
    let first = actions.first().map(|action| action.action.operation.clone());
    assert_eq!(size, (actions.len() as u64, first));
    assert_eq!(read(&journal, |reader| reader.approval_size(&id(99))), (0, None));
    let states: Vec<_> = actions.iter().map(|action| action.state.as_str()).collect();
    assert_eq!(states, ["used", "denied", "denied"]);
    assert_eq!(actions[2].action.preview, packed("c"));
    assert_eq!(actions[2].action.effect_key.as_ref().unwrap().as_str(), "demo/c");
}

#[test]
fn one_action_asked_for_twice_needs_two_uses() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 1, &["a", "a"]).unwrap();
    vote_on(&journal, 1, "bob", Vote::Approve, Some(&[1])).unwrap();
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]));
    assert_eq!(take(&journal, "a"), TakenApproval::Pending { approval: id(1) });
    yes(&journal, "bob").unwrap();
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]));
    assert_eq!(take(&journal, "a"), TakenApproval::None);
}

#[test]
fn time_and_cancelling_end_it_for_good() {
    #[track_caller]
    fn check(voted: bool, end: fn(&Fixture, &Journal), vote: &str, taken: TakenApproval) {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        ask(&journal, 1, 1, &["a"]).unwrap();
        if voted {
            yes(&journal, "bob").unwrap();
        }
        end(&fixture, &journal);
        assert_eq!(take(&journal, "a"), taken);
        assert_eq!(yes(&journal, "carol").unwrap_err(), vote);
        assert_eq!(take(&journal, "a"), taken, "a late vote changed nothing");
    }
    let over = |fixture: &Fixture, _: &Journal| fixture.clock.advance_secs(HOUR);
    let swept = |fixture: &Fixture, journal: &Journal| {
        fixture.clock.advance_secs(HOUR);
        let expired = write(journal, |tx| tx.expire_approvals()).unwrap();
        assert_eq!(
            expired.iter().map(|one| one.state).collect::<Vec<_>>(),
            [ApprovalState::Expired]
        );
        assert!(write(journal, |tx| tx.expire_approvals()).unwrap().is_empty());
    };
    let cancelled = |_: &Fixture, journal: &Journal| {
        let withdrawn = write(journal, |tx| tx.cancel_approvals(&run_id(1))).unwrap();
        assert_eq!(withdrawn.len(), 1);
    };
    let expired = || TakenApproval::Expired { approval: id(1) };
    let at = "the approval expired at 2026-01-01T01:00:00Z";
    check(false, over, at, expired());
    check(false, swept, at, expired());
    check(true, over, "the approval is approved already", expired());
    check(true, swept, at, expired());
    let withdrawn = || TakenApproval::Denied {
        approval: id(1),
        reason: "the request was cancelled".to_owned(),
        by: None,
    };
    check(false, cancelled, "the approval is cancelled already", withdrawn());
    check(true, cancelled, "the approval is cancelled already", withdrawn());
}

#[test]
fn a_second_before_the_end_is_in_time() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    ask(&journal, 1, 1, &["a"]).unwrap();
    fixture.clock.advance_secs(HOUR - 1);
    assert!(write(&journal, |tx| tx.expire_approvals()).unwrap().is_empty());
    yes(&journal, "bob").unwrap();
    assert_eq!(take(&journal, "a"), approved(1, &["bob"]));
}

#[test]
fn requests_that_would_approve_themselves_are_refused() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    let said = |result: Result<(), JournalError>| result.unwrap_err().to_string();
    assert_eq!(said(ask(&journal, 1, 1, &[])), "approval cannot be recorded: it asks for nothing");
    assert_eq!(
        said(ask(&journal, 1, 0, &["a"])),
        "approval cannot be recorded: a quorum of none would approve by itself"
    );
    ask(&journal, 1, 1, &["a"]).unwrap();
    assert!(matches!(ask(&journal, 1, 1, &["a"]), Err(JournalError::Conflict { .. })));
}

#[test]
fn approvals_are_listed_newest_first() {
    let fixture = Fixture::new();
    let (journal, run) = fixture.with_run();
    ask(&journal, 1, 1, &["a"]).unwrap();
    ask(&journal, 2, 2, &["b"]).unwrap();
    yes(&journal, "bob").unwrap();
    let list = |run: Option<&RunId>, state| {
        let found = read(&journal, |reader| reader.approvals(run, state));
        found.into_iter().map(|approval| approval.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None), [id(2), id(1)]);
    assert_eq!(list(Some(&run), Some(ApprovalState::Pending)), [id(2)]);
    assert_eq!(list(Some(&run_id(9)), None), []);
    let approval = read(&journal, |reader| reader.approval(&id(2))).unwrap();
    assert_eq!((approval.quorum, approval.approvers), (2, vec!["role:approver".to_owned()]));
    let lasts = approval.expires_at.duration_since(approval.requested_at);
    assert_eq!(lasts, SignedDuration::from_hours(1));
}

/// What may happen to an approval, in any order.
#[derive(Clone, Debug)]
enum Event {
    Vote { who: usize, is_yes: bool, action: Option<u32> },
    Wait(i64),
    Sweep,
    Cancel,
    Take(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..4_usize, prop::bool::weighted(0.8), prop::option::of(0..3_u32))
            .prop_map(|(who, is_yes, action)| Event::Vote { who, is_yes, action }),
        2 => (1..2000_i64).prop_map(Event::Wait),
        1 => Just(Event::Sweep),
        1 => Just(Event::Cancel),
        6 => (0..3_usize).prop_map(Event::Take),
    ];
    prop::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// No way leads from a refusal, the end of the time, a cancelling or too few votes to an
    /// approved action, and none to using one twice.
    #[test]
    fn nothing_but_enough_votes_in_time_lets_an_action_through(events in events(), quorum in 1..3_u32) {
        const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
        const ACTIONS: [&str; 3] = ["a", "b", "c"];
        const EACH: [&[u32]; 3] = [&[0], &[1], &[2]];
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        ask(&journal, 1, quorum, &ACTIONS).unwrap();
        let mut said_yes: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        let mut said_no: Vec<u32> = Vec::new();
        let mut used: Vec<usize> = Vec::new();
        let (mut waited, mut is_cancelled) = (0, false);
        for event in events {
            match event {
                Event::Vote { who, is_yes, action } => {
                    let who = PEOPLE[who];
                    let before = read(&journal, |reader| reader.approval_actions(&id(1)));
                    let vote = if is_yes { Vote::Approve } else { Vote::Deny { reason: "no".to_owned() } };
                    let on = action.map(|n| EACH[n as usize]);
                    let recorded = vote_on(&journal, 1, who, vote, on).is_ok();
                    prop_assert!(!recorded || (who != "alice" && waited < HOUR && !is_cancelled));
                    for open in before.iter().filter(|one| one.state == ActionState::Pending) {
                        if !recorded || action.is_some_and(|n| n != open.n) {
                            continue;
                        }
                        let yeses = said_yes.entry(open.n).or_default();
                        // A vote on all leaves out what this person has voted on.
                        if yeses.contains(&who) {
                            continue;
                        }
                        if is_yes { yeses.push(who) } else { said_no.push(open.n) }
                    }
                }
                Event::Wait(secs) => {
                    waited += secs;
                    fixture.clock.advance_secs(secs);
                }
                Event::Sweep => drop(write(&journal, |tx| tx.expire_approvals()).unwrap()),
                Event::Cancel => {
                    write(&journal, |tx| tx.cancel_approvals(&run_id(1))).unwrap();
                    is_cancelled = true;
                }
                Event::Take(action) => {
                    if let TakenApproval::Approved { by, .. } = take(&journal, ACTIONS[action]) {
                        let n = action as u32;
                        prop_assert!(by.len() >= quorum as usize);
                        prop_assert_eq!(Some(by.len()), said_yes.get(&n).map(Vec::len));
                        prop_assert!(!said_no.contains(&n));
                        prop_assert!(waited < HOUR && !is_cancelled);
                        prop_assert!(!used.contains(&action));
                        used.push(action);
                    }
                }
            }
        }
    }
}
