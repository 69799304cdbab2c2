use std::time::Duration;

use arx_journal::Vote;

use super::*;
use crate::approvals::tend::deadlines;

#[test]
fn a_reminder_comes_half_way_and_an_end_before_the_escalation() {
    #[track_caller]
    fn check(expires: i64, after: i64, escalates: bool, expected: (i64, Option<i64>)) {
        let now = Timestamp::UNIX_EPOCH;
        let minutes = |n| SignedDuration::from_mins(n);
        let (remind, escalate) = deadlines(now, minutes(expires), minutes(after), escalates);
        let since = |at: Timestamp| at.as_second() / 60;
        assert_eq!((remind.map(since), escalate.map(since)), (Some(expected.0), expected.1));
    }
    check(600, 240, true, (120, Some(240)));
    check(600, 240, false, (300, None));
    check(60, 240, true, (30, None));
    check(240, 240, true, (120, None));
    assert_eq!(
        deadlines(Timestamp::MAX, MINUTE, MINUTE, true),
        (None, None),
        "no calendar holds it"
    );
}

async fn happened(fixture: &Fixture) -> Vec<(u128, Happened)> {
    let due = tend(&fixture.journal, fixture.now()).await.unwrap();
    let n = |due: &Due| (1..9).find(|n| due.approval.id == id(*n)).unwrap();
    due.iter().map(|due| (n(due), due.what)).collect()
}

fn kinds(fixture: &Fixture) -> Vec<&'static str> {
    let queued = fixture.journal.read_blocking(|reader| reader.notifications(100)).unwrap();
    let slack = queued.iter().rev().filter(|one| one.target == arx_journal::Target::Slack);
    slack.map(|one| one.kind.as_str()).collect()
}

#[tokio::test]
async fn time_reminds_asks_others_and_ends_each_once() {
    let fixture = Fixture::new();
    fixture.add("bob", Role::Approver);
    fixture.add("carol", Role::Approver);
    fixture.add("dave", Role::Admin);
    let (now, digest) = (fixture.now(), Digest::of_bytes(b"a"));
    let mut asked = request(1, 1, now, &[digest]);
    asked.approvers = vec!["carol".to_owned()];
    asked.escalate_to = vec!["role:admin".to_owned()];
    (asked.remind_at, asked.escalate_at) = (Some(now + 10 * MINUTE), Some(now + 20 * MINUTE));
    fixture.ask(asked.clone());
    // Another is decided before anything is due.
    fixture.ask(NewApproval { id: id(2), ..asked.clone() });
    let yes = Voter::said("carol", "").unwrap();
    let decided = cast(&fixture.journal, &id(2), &yes, &Vote::Approve, None).await.unwrap();
    assert_eq!(decided.decided, [0]);

    let pass = |minutes: u64| fixture.clock.advance(Duration::from_secs(60 * minutes));
    let vote = async |who: &str| {
        let voter = Voter::said(who, "").unwrap();
        let cast = cast(&fixture.journal, &id(1), &voter, &Vote::Approve, None).await;
        cast.map(|cast| cast.state.as_str()).map_err(|error| error.to_string())
    };
    assert_eq!(happened(&fixture).await, []);
    pass(10);
    assert_eq!(happened(&fixture).await, [(1, Happened::Reminded)]);
    assert_eq!(happened(&fixture).await, []);
    assert!(vote("dave").await.unwrap_err().contains("not among the approvers: carol"));
    pass(10);
    assert_eq!(happened(&fixture).await, [(1, Happened::Escalated)]);
    assert_eq!(happened(&fixture).await, []);
    assert_eq!(fixture.approval(1).approvers, ["carol", "role:admin"]);
    assert!(vote("bob").await.unwrap_err().contains("not among the approvers"));
    pass(40);
    let over = happened(&fixture).await;
    assert_eq!(over, [(1, Happened::Expired), (2, Happened::Expired)]);
    assert_eq!(happened(&fixture).await, []);
    assert!(vote("dave").await.unwrap_err().contains("expired"));
    let told = ["approval_reminder", "approval_escalated", "approval_expired", "approval_expired"];
    assert_eq!(kinds(&fixture), told);
    assert_eq!(fixture.journal.read_blocking(|reader| reader.scrub()).unwrap(), []);
}

#[tokio::test]
async fn whoever_is_asked_as_well_decides() {
    let fixture = Fixture::new();
    fixture.add("dave", Role::Admin);
    let (now, digest) = (fixture.now(), Digest::of_bytes(b"a"));
    fixture.ask(NewApproval {
        approvers: vec!["carol".to_owned()],
        escalate_to: vec!["role:admin".to_owned()],
        remind_at: Some(now + MINUTE),
        escalate_at: Some(now + 2 * MINUTE),
        ..request(1, 1, now, &[digest])
    });
    // Nobody looked for a while: one word is enough.
    fixture.clock.advance(Duration::from_secs(300));
    assert_eq!(happened(&fixture).await, [(1, Happened::Escalated)]);
    let voter = Voter::proven("dave", Proof::Session(Role::Admin));
    let cast = cast(&fixture.journal, &id(1), &voter, &Vote::Approve, None).await.unwrap();
    assert_eq!((cast.state.as_str(), cast.by.as_str()), ("approved", "dave"));
}

#[tokio::test]
async fn an_end_wins() {
    let fixture = Fixture::new();
    let (now, digest) = (fixture.now(), Digest::of_bytes(b"a"));
    fixture.ask(NewApproval {
        escalate_to: vec!["role:admin".to_owned()],
        remind_at: Some(now + MINUTE),
        escalate_at: Some(now + 2 * MINUTE),
        ..request(1, 1, now, &[digest])
    });
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(happened(&fixture).await, [(1, Happened::Expired)]);
    assert_eq!(fixture.approval(1).approvers, ["role:approver"]);
}
