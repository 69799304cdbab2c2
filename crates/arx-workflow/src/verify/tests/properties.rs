//! Whatever the facts, missing evidence closes no ticket.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn times() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((-2_i64..200).prop_map(hours_ago))
}

fn any_record() -> impl Strategy<Value = ScannedHost> {
    let detection = (
        select(vec!["QID-376157", "QID-45123", "QID-1"]),
        select(vec!["CVE-2021-44228", "QID-45123", "CVE-2020-0001"]),
        select(DetectionStatus::ALL.to_vec()),
        times(),
        times(),
    );
    let detection = detection.prop_map(|(check, stands_for, status, tested_at, fixed_at)| {
        let mut detection = super::detection(check, stands_for, status, 0);
        detection.tested_at = tested_at;
        detection.fixed_at = fixed_at;
        detection
    });
    let parts = (times(), times(), any::<bool>(), proptest::collection::vec(detection, 0..5));
    parts.prop_map(|(scanned_at, authenticated_at, contradicted, detections)| ScannedHost {
        scanned_at,
        authenticated_at,
        contradicts: if contradicted { vec!["other".to_owned()] } else { Vec::new() },
        detections,
        ..record()
    })
}

fn any_sensor() -> impl Strategy<Value = Sensor> {
    let connection = select(vec![Connection::Online, Connection::Offline, Connection::Unknown]);
    let parts = (times(), connection, any::<Option<bool>>(), any::<Option<bool>>());
    parts.prop_map(|(last_seen, connection, reduced_functionality, contained)| Sensor {
        last_seen,
        connection,
        reduced_functionality,
        contained,
        ..sensor()
    })
}

fn any_ticket() -> impl Strategy<Value = Ticket> {
    let named = vec!["CVE-2021-44228".to_owned(), "QID-45123".to_owned()];
    let missing = proptest::collection::vec(Just("no host is named".to_owned()), 0..2);
    let host = option::of(Just("ci-1".to_owned()));
    let parts = (host, proptest::sample::subsequence(named, 0..=2), times(), missing);
    parts.prop_map(|(host, vulnerabilities, patched_at, missing)| Ticket {
        host,
        vulnerabilities,
        patched_at,
        missing,
        ..ticket()
    })
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let unread = || option::weighted(0.1, Just("it was not read".to_owned()));
    let scan = (proptest::collection::vec(any_record(), 0..3), unread());
    let sensors = (proptest::collection::vec(any_sensor(), 0..3), unread());
    let parts = (any_ticket(), option::weighted(0.9, scan), option::weighted(0.9, sensors));
    parts.prop_map(|(ticket, scan, sensors)| Facts {
        notes_only: false,
        incomplete: false,
        tickets: vec![ticket],
        hosts: vec![host()],
        scans: scan.map(|(records, unread)| vec![HostScan { unread, ..super::scan(records) }]),
        sensors: sensors
            .map(|(sensors, unread)| vec![HostSensors { unread, ..super::sensors(sensors) }]),
    })
}

/// Whether the scanner's facts, looked at plainly, prove every vulnerability fixed.
fn proves_fixed(facts: &Facts) -> bool {
    let ticket = &facts.tickets[0];
    let (Some(patched_at), Some(scans)) = (ticket.patched_at, &facts.scans) else { return false };
    let scan = &scans[0];
    let [record] = scan.records.as_slice() else { return false };
    let is_after = |at: Option<Timestamp>| at.is_some_and(|at| at > patched_at);
    let all_fixed = ticket.vulnerabilities.iter().all(|name| {
        let mut of_it = record
            .detections
            .iter()
            .filter(|d| &d.check == name || d.vulnerabilities.contains(name))
            .peekable();
        of_it.peek().is_some()
            && of_it.all(|d| {
                d.status == DetectionStatus::Fixed && is_after(d.tested_at.max(d.fixed_at))
            })
    });
    scan.unread.is_none()
        && record.contradicts.is_empty()
        && is_after(record.authenticated_at)
        && all_fixed
}

/// Whether the sensors' facts, looked at plainly, prove the host healthy.
fn proves_health(facts: &Facts) -> bool {
    let Some(hosts) = &facts.sensors else { return false };
    let healthy = |sensor: &Sensor| {
        sensor.connection == Connection::Online
            && sensor.reduced_functionality == Some(false)
            && sensor.contained == Some(false)
            && sensor.last_seen.is_some_and(|at| at >= hours_ago(24))
    };
    hosts[0].unread.is_none() && hosts[0].sensors.iter().filter(|s| healthy(s)).count() == 1
}

fn is_complete(facts: &Facts) -> bool {
    let ticket = &facts.tickets[0];
    ticket.host.is_some()
        && ticket.patched_at.is_some()
        && !ticket.vulnerabilities.is_empty()
        && ticket.missing.is_empty()
}

proptest! {
    #[test]
    fn missing_evidence_closes_no_ticket(facts in any_facts()) {
        if judge(&facts, &Criteria::default()).outcome == Outcome::Verified {
            prop_assert!(is_complete(&facts) && proves_fixed(&facts) && proves_health(&facts));
        }
        if judge(&facts, &either()).outcome == Outcome::Verified {
            prop_assert!(is_complete(&facts) && (proves_fixed(&facts) || proves_health(&facts)));
        }
    }

    /// Evidence that was there and is taken away never makes a ticket verified.
    #[test]
    fn less_evidence_never_helps(facts in any_facts()) {
        for criteria in [Criteria::default(), either()] {
            let before = judge(&facts, &criteria).outcome;
            for (scans, sensors) in [(true, false), (false, true), (false, false)] {
                let mut less = facts.clone();
                if !scans { less.scans = None; }
                if !sensors { less.sensors = None; }
                let after = judge(&less, &criteria).outcome;
                // Under `either` a source that spoke against the patch may be the one taken away.
                let explained = before == Outcome::Verified || before == Outcome::Failed;
                prop_assert!(after != Outcome::Verified || explained);
            }
        }
    }
}
