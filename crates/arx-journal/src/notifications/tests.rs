use super::*;
use crate::testing::{Fixture, packed, read, run_id, write};
use crate::{Clock as _, Journal};

fn queue(journal: &Journal) {
    write(journal, |tx| {
        tx.queue_notification(&NewNotification {
            kind: NotificationKind::RunFailed,
            run: run_id(1),
            approval: None,
            payload: packed("message"),
        })
    })
    .unwrap();
}

fn claim(fixture: &Fixture, journal: &Journal, target: Target) -> Vec<Notification> {
    let until = fixture.clock.now() + SignedDuration::from_secs(60);
    write(journal, move |tx| tx.claim_notifications(target, until)).unwrap()
}

#[test]
fn a_message_is_taken_by_one_and_delivered_once() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    let other = fixture.open().unwrap();
    queue(&journal);
    let taken = claim(&fixture, &journal, Target::Slack);
    assert_eq!((taken.len(), taken[0].attempts), (1, 1));
    assert_eq!(claim(&fixture, &other, Target::Slack).len(), 0, "somebody has it");
    assert_eq!(claim(&fixture, &other, Target::Webhook).len(), 1, "each target for itself");
    // Whoever took it died.
    fixture.clock.advance_secs(60);
    let again = claim(&fixture, &other, Target::Slack);
    assert_eq!((again[0].id == taken[0].id, again[0].attempts), (true, 2));
    let id = again[0].id.clone();
    write(&other, move |tx| tx.deliver_notification(&id)).unwrap();
    // The first one comes back and says that it failed.
    let (id, next) = (taken[0].id.clone(), Some(fixture.clock.now()));
    write(&journal, move |tx| tx.fail_notification(&id, "late", next)).unwrap();
    fixture.clock.advance_secs(600);
    assert_eq!(claim(&fixture, &journal, Target::Slack).len(), 0);
    let listed = read(&journal, |reader| reader.notifications(10));
    let slack = listed.iter().find(|message| message.target == Target::Slack).unwrap();
    assert!(slack.delivered_at.is_some() && slack.failed.is_none());
}

#[test]
fn what_is_stale_or_given_up_is_not_sent_and_forgotten_later() {
    let fixture = Fixture::new();
    let (journal, _) = fixture.with_run();
    queue(&journal);
    fixture.clock.advance_secs(24 * 3600);
    let due =
        |target| read(&journal, |reader| reader.notification_due(target, fixture.clock.now()));
    assert!(due(Target::Slack));
    assert_eq!(claim(&fixture, &journal, Target::Slack).len(), 0);
    assert!(!due(Target::Slack) && due(Target::Webhook));
    fixture.clock.advance_secs(30 * 24 * 3600);
    queue(&journal);
    assert_eq!(read(&journal, |reader| reader.notifications(10)).len(), 2);
}
