//! The outcome over all its inputs, and how each source comes to its answer.

use super::*;

/// Every combination of mode, completeness and answers has its outcome written down here.
#[test]
fn the_whole_table() {
    use Answer::{No, Unknown, Yes};
    use Outcome::{Failed, Inconclusive, Verified};
    // scanner, sensor, under `both`, under `either`
    let table = [
        (Yes, Yes, Verified, Verified),
        (Yes, No, Failed, Failed),
        (Yes, Unknown, Inconclusive, Verified),
        (No, Yes, Failed, Failed),
        (No, No, Failed, Failed),
        (No, Unknown, Failed, Failed),
        (Unknown, Yes, Inconclusive, Verified),
        (Unknown, No, Failed, Failed),
        (Unknown, Unknown, Inconclusive, Inconclusive),
    ];
    let mut seen = std::collections::HashSet::new();
    for (scanner, sensor, both, either) in table {
        assert!(seen.insert((scanner, sensor)), "{scanner:?} {sensor:?} stands there twice");
        assert_eq!(outcome(Mode::Both, true, scanner, sensor), both, "{scanner:?} {sensor:?}");
        assert_eq!(outcome(Mode::Either, true, scanner, sensor), either, "{scanner:?} {sensor:?}");
        for mode in [Mode::Both, Mode::Either] {
            assert_eq!(outcome(mode, false, scanner, sensor), Inconclusive);
        }
    }
    assert_eq!(seen.len(), Answer::ALL.len() * Answer::ALL.len());
}

/// What the scanner's facts come to, with a healthy sensor beside them.
#[test]
fn scanner() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut HostScan), answer: Answer, reason: &str) {
        let mut scan = scan(vec![record()]);
        change(&mut scan);
        let verified = judge(&facts(ticket(), scan, sensors(vec![sensor()])), &Criteria::default());
        let said = (verified.scanner.answer, verified.scanner.reason.as_str());
        assert_eq!(said, (answer, reason), "{}", verified.scanner.text);
        let expected = outcome(Mode::Both, true, answer, Answer::Yes);
        assert_eq!(verified.outcome, expected);
    }
    use Answer::{No, Unknown, Yes};
    use DetectionStatus::{Active, Fixed, New, ReOpened};
    check(|_| {}, Yes, "fixed");
    check(|scan| scan.records.clear(), Unknown, "host_unknown");
    check(|scan| scan.records.push(record()), Unknown, "host_ambiguous");
    check(|scan| scan.unread = Some("page lost".to_owned()), Unknown, "unread");
    check(|scan| scan.records[0].contradicts.push("db02".to_owned()), Unknown, "host_contradicted");
    for status in [New, Active, ReOpened] {
        let seen = |hours| detection("QID-376157", "CVE-2021-44228", status, hours);
        check(|scan| scan.records[0].detections[0] = seen(24), No, "still_there");
        // Seen before the patch only: nobody has looked since.
        check(|scan| scan.records[0].detections[0] = seen(72), Unknown, "not_tested");
        // A second check of the same vulnerability that still finds it.
        check(|scan| scan.records[0].detections.push(seen(24)), No, "still_there");
        // Seen after the patch by a scan that was not authenticated: it is there all the same.
        let unauthenticated = |scan: &mut HostScan| {
            scan.records[0].authenticated_at = None;
            scan.records[0].detections[0] = seen(24);
        };
        check(unauthenticated, No, "still_there");
    }
    let before = detection("QID-376157", "CVE-2021-44228", Fixed, 72);
    check(|scan| scan.records[0].detections[0] = before, Unknown, "not_tested");
    let at_the_patch = detection("QID-376157", "CVE-2021-44228", Fixed, 48);
    check(|scan| scan.records[0].detections[0] = at_the_patch, Unknown, "not_tested");
    check(|scan| drop(scan.records[0].detections.remove(0)), Unknown, "absent");
    check(|scan| scan.records[0].authenticated_at = None, Unknown, "not_authenticated");
    check(
        |scan| scan.records[0].authenticated_at = Some(hours_ago(72)),
        Unknown,
        "not_authenticated",
    );
    let not_since = |scan: &mut HostScan| {
        scan.records[0].authenticated_at = Some(hours_ago(72));
        scan.records[0].scanned_at = Some(hours_ago(72));
    };
    check(not_since, Unknown, "not_rescanned");
    let never = |scan: &mut HostScan| {
        scan.records[0].authenticated_at = None;
        scan.records[0].scanned_at = None;
    };
    check(never, Unknown, "never_scanned");
}

/// What the sensor's facts come to, with a fixed vulnerability beside them.
#[test]
fn sensor_health() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Vec<Sensor>), answer: Answer, reason: &str) {
        let mut found = vec![sensor()];
        change(&mut found);
        let verified =
            judge(&facts(ticket(), scan(vec![record()]), sensors(found)), &Criteria::default());
        let said = (verified.sensor.answer, verified.sensor.reason.as_str());
        assert_eq!(said, (answer, reason), "{}", verified.sensor.text);
        assert_eq!(verified.outcome, outcome(Mode::Both, true, Answer::Yes, answer));
    }
    use Answer::{No, Unknown, Yes};
    let silent = || Sensor {
        id: "aid-0".to_owned(),
        last_seen: Some(hours_ago(24 * 40)),
        connection: Connection::Offline,
        ..sensor()
    };
    check(|_| {}, Yes, "alive");
    check(Vec::clear, Unknown, "host_unknown");
    check(|found| found.push(silent()), Yes, "alive");
    check(
        |found| found.push(Sensor { id: "aid-2".to_owned(), ..sensor() }),
        Unknown,
        "host_ambiguous",
    );
    check(|found| found[0] = silent(), No, "silent");
    check(|found| found[0].contained = Some(true), No, "contained");
    check(|found| found[0].reduced_functionality = Some(true), No, "reduced_functionality");
    check(|found| found[0].connection = Connection::Offline, Unknown, "offline");
    check(|found| found[0].connection = Connection::Unknown, Unknown, "connection_unknown");
    check(|found| found[0].last_seen = None, Unknown, "last_seen_unknown");
    check(|found| found[0].last_seen = Some(hours_ago(48)), Unknown, "last_seen_contradicts");
    check(|found| found[0].reduced_functionality = None, Unknown, "functionality_unknown");
    check(|found| found[0].contained = None, Unknown, "containment_unknown");
    // A host without its functions is not healthy because it is offline as well.
    let worse = |found: &mut Vec<Sensor>| {
        found[0].connection = Connection::Offline;
        found[0].reduced_functionality = Some(true);
    };
    check(worse, No, "reduced_functionality");
    // A clock that is ahead of ours.
    check(|found| found[0].last_seen = Some(hours_ago(-1)), Yes, "alive");
}

/// What a ticket lacks keeps it open under either criterion, whatever the sources say.
#[test]
fn incomplete_tickets() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Ticket), expected: Outcome) {
        let mut ticket = ticket();
        change(&mut ticket);
        let facts = facts(ticket, scan(vec![record()]), sensors(vec![sensor()]));
        for criteria in [Criteria::default(), either()] {
            let verified = judge(&facts, &criteria);
            assert_eq!(verified.outcome, expected, "{criteria:?}");
            assert!(!verified.reason.is_empty());
        }
    }
    check(|_| {}, Outcome::Verified);
    check(|ticket| ticket.host = None, Outcome::Inconclusive);
    check(|ticket| ticket.host = Some("ci-9".to_owned()), Outcome::Inconclusive);
    check(|ticket| ticket.vulnerabilities.clear(), Outcome::Inconclusive);
    check(|ticket| ticket.patched_at = None, Outcome::Inconclusive);
    check(|ticket| ticket.missing.push("no host is named".to_owned()), Outcome::Inconclusive);
    check(|ticket| ticket.unusable = Some("its state is gone".to_owned()), Outcome::Unusable);
}

#[test]
fn settings() {
    let absent = |scan: &mut HostScan| scan.records[0].detections.clear();
    let mut scan = scan(vec![record()]);
    absent(&mut scan);
    let facts = facts(ticket(), scan, sensors(vec![sensor()]));
    assert_eq!(judge(&facts, &Criteria::default()).outcome, Outcome::Inconclusive);
    let fixed = Criteria { absent_means: AbsentMeans::Fixed, ..Criteria::default() };
    let verified = judge(&facts, &fixed);
    assert_eq!(verified.outcome, Outcome::Verified);
    assert!(verified.evidence.contains("listed in no status, which"), "{}", verified.evidence);
    // A detection that nobody can explain may be the one that is missing.
    let mut unexplained = facts.clone();
    unexplained.scans.as_mut().expect("scans")[0].records[0].unexplained = 1;
    assert_eq!(judge(&unexplained, &fixed).outcome, Outcome::Inconclusive);
    // Absence needs a scan that could have seen it.
    let mut unseen = facts.clone();
    unseen.scans.as_mut().expect("scans")[0].records[0].authenticated_at = None;
    assert_eq!(judge(&unseen, &fixed).outcome, Outcome::Inconclusive);

    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let strict = Criteria { rescan_max_age: Some(hours(12)), ..fixed.clone() };
    assert_eq!(judge(&facts, &strict).scanner.reason, "rescan_too_old");
    let strict = Criteria { sensor_max_age: hours(1) / 2, ..fixed };
    assert_eq!(judge(&facts, &strict).sensor.reason, "last_seen_contradicts");
}

#[test]
fn one_source_alone() {
    let mut facts = facts(ticket(), scan(vec![record()]), sensors(vec![sensor()]));
    facts.sensors = None;
    assert_eq!(judge(&facts, &Criteria::default()).outcome, Outcome::Inconclusive);
    assert_eq!(judge(&facts, &either()).outcome, Outcome::Verified);
    facts.scans = None;
    assert_eq!(judge(&facts, &either()).outcome, Outcome::Inconclusive);
}

#[test]
fn words_for_people() {
    let verified = judge(
        &facts(ticket(), scan(vec![record()]), sensors(vec![sensor()])),
        &Criteria::default(),
    );
    insta::assert_snapshot!(verified.evidence, @r"
    Patch verified: fixed since the patch, and the host is healthy.
    Host: web01
    Patched: CVE-2021-44228, QID-45123, 2026-11-13 10:00 UTC (work_end)
    Qualys: CVE-2021-44228, QID-45123 fixed, scanned 2026-11-14 10:00 UTC
    - QID-376157 Fixed, tested 2026-11-14 10:00 UTC, fixed 2026-11-14 10:00 UTC
    - QID-45123 Fixed, tested 2026-11-14 10:00 UTC, fixed 2026-11-14 10:00 UTC
    CrowdStrike: online, all functions, seen 60 min ago, sensor 7.10.17706.0
    ");
}

#[test]
fn criteria_of_inputs() {
    #[track_caller]
    fn refused(inputs: Value, expected: &str) {
        let error = Criteria::from_inputs(&inputs).expect_err("refused");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(Criteria::from_inputs(&json!({})), Ok(Criteria::default()));
    let given = json!({"verification": "either", "sensor_max_age": "2d", "rescan_max_age": "36h",
        "absent_means": "fixed", "servicenow": {}});
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let expected = Criteria {
        verification: Mode::Either,
        sensor_max_age: hours(48),
        rescan_max_age: Some(hours(36)),
        absent_means: AbsentMeans::Fixed,
    };
    assert_eq!(Criteria::from_inputs(&given), Ok(expected));
    refused(
        json!({"verification": "all"}),
        "`verification` is `all`, but must be `both` or `either`",
    );
    refused(
        json!({"sensor_max_age": 24}),
        "`sensor_max_age` is `24`, but must be a duration such as `24h` or `7d`",
    );
    refused(
        json!({"rescan_max_age": "0"}),
        "`rescan_max_age` is `0`, but must be a duration such as `24h` or `7d`",
    );
    refused(
        json!({"absent_means": true}),
        "`absent_means` is `true`, but must be `inconclusive` or `fixed`",
    );
}

use std::time::Duration;
