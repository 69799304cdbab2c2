//! The same evidence has the same digest tomorrow; new evidence has another.

use super::*;

fn base() -> Facts {
    facts(ticket(), scan(vec![record()]), sensors(vec![sensor()]))
}

/// Changes facts and says whether that is new evidence.
#[track_caller]
fn check(from: &Facts, change: impl FnOnce(&mut Facts), is_new: bool) {
    let before = judge(from, &Criteria::default());
    let mut facts = from.clone();
    change(&mut facts);
    let after = judge(&facts, &Criteria::default());
    assert_eq!(before.digest != after.digest, is_new, "{} / {}", before.reason, after.reason);
}

fn record_of(facts: &mut Facts) -> &mut ScannedHost {
    &mut facts.scans.as_mut().expect("scans")[0].records[0]
}

fn sensor_of(facts: &mut Facts) -> &mut Sensor {
    &mut facts.sensors.as_mut().expect("sensors")[0].sensors[0]
}

#[test]
fn verified() {
    check(&base(), |_| {}, false);
    check(&base(), |facts| sensor_of(facts).last_seen = Some(hours_ago(2)), false);
    check(&base(), |facts| sensor_of(facts).version = "7.11.0.0".to_owned(), false);
    check(&base(), |facts| facts.tickets[0].mod_count = "9".to_owned(), false);
    check(&base(), |facts| facts.tickets[0].title = "other words".to_owned(), false);
    // Somebody reopens the ticket: only a scan after that can close it again.
    check(&base(), |facts| record_of(facts).authenticated_at = Some(hours_ago(2)), true);
    check(&base(), |facts| facts.tickets[0].patched_at = Some(hours_ago(47)), true);
    check(&base(), |facts| sensor_of(facts).contained = Some(true), true);
}

/// What other tickets on the host ask for is no evidence of this one.
#[test]
fn other_tickets() {
    let other = || detection("QID-1", "CVE-2020-0001", DetectionStatus::Active, 3);
    check(&base(), |facts| record_of(facts).detections.push(other()), false);
    let names = |facts: &mut Facts| {
        record_of(facts).detections[0].vulnerabilities.push("CVE-2021-45046".to_owned());
    };
    check(&base(), names, false);
}

#[test]
fn inconclusive() {
    let mut unseen = base();
    record_of(&mut unseen).authenticated_at = None;
    check(&unseen, |facts| record_of(facts).scanned_at = Some(hours_ago(2)), false);
    check(&unseen, |facts| facts.tickets[0].patched_at = Some(hours_ago(47)), false);
    check(&unseen, |facts| sensor_of(facts).last_seen = Some(hours_ago(3)), false);
    check(&unseen, |facts| record_of(facts).scanned_at = Some(hours_ago(72)), true);
    check(&unseen, |facts| record_of(facts).authenticated_at = Some(hours_ago(24)), true);
    check(&unseen, |facts| sensor_of(facts).connection = Connection::Offline, true);
}
