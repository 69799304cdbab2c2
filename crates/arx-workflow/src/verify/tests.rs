mod decided;
mod digests;
mod properties;

use arx_types::{
    Connection, DetectionStatus, HostDetection, HostNames, HostScan, HostSensors, ScannedHost,
    Sensor, Ticket,
};
use jiff::{SignedDuration, Timestamp};

use super::*;

/// The moment of every test.
fn now() -> Timestamp {
    "2026-11-15T10:00:00Z".parse().expect("a time")
}

fn hours_ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

/// A ticket for two vulnerabilities on one host, patched two days ago.
fn ticket() -> Ticket {
    Ticket {
        id: "46e18c0fa9fe19810066a0083f76bd56".to_owned(),
        number: "INC0010023".to_owned(),
        title: "Patch log4j on web01".to_owned(),
        state: "10".to_owned(),
        mod_count: "3".to_owned(),
        host: Some("ci-1".to_owned()),
        environment: "production".to_owned(),
        vulnerabilities: vec!["CVE-2021-44228".to_owned(), "QID-45123".to_owned()],
        patched_at: Some(hours_ago(48)),
        patched_at_source: "work_end".to_owned(),
        ..Ticket::default()
    }
}

fn host() -> HostNames {
    HostNames {
        id: "ci-1".to_owned(),
        name: "web01".to_owned(),
        names: vec!["web01".to_owned()],
        ips: vec!["10.0.0.1".to_owned()],
        agent_ids: Vec::new(),
    }
}

fn detection(check: &str, stands_for: &str, status: DetectionStatus, hours: i64) -> HostDetection {
    HostDetection {
        check: check.to_owned(),
        vulnerabilities: vec![stands_for.to_owned()],
        status,
        tested_at: Some(hours_ago(hours)),
        fixed_at: (status == DetectionStatus::Fixed).then(|| hours_ago(hours)),
    }
}

/// Scanned and authenticated a day ago, both vulnerabilities fixed.
fn record() -> ScannedHost {
    ScannedHost {
        id: "4711".to_owned(),
        matched_by: vec!["ip".to_owned()],
        contradicts: Vec::new(),
        scanned_at: Some(hours_ago(24)),
        authenticated_at: Some(hours_ago(24)),
        detections: vec![
            detection("QID-376157", "CVE-2021-44228", DetectionStatus::Fixed, 24),
            detection("QID-45123", "QID-45123", DetectionStatus::Fixed, 24),
        ],
        unexplained: 0,
    }
}

fn scan(records: Vec<ScannedHost>) -> HostScan {
    HostScan { host: "ci-1".to_owned(), records, unread: None }
}

fn sensor() -> Sensor {
    Sensor {
        id: "aid-1".to_owned(),
        hostname: "WEB01".to_owned(),
        last_seen: Some(hours_ago(1)),
        connection: Connection::Online,
        reduced_functionality: Some(false),
        contained: Some(false),
        version: "7.10.17706.0".to_owned(),
    }
}

fn sensors(sensors: Vec<Sensor>) -> HostSensors {
    HostSensors { host: "ci-1".to_owned(), sensors, unread: None }
}

fn facts(ticket: Ticket, scan: HostScan, sensors: HostSensors) -> Facts {
    Facts {
        tickets: vec![ticket],
        hosts: vec![host()],
        scans: Some(vec![scan]),
        sensors: Some(vec![sensors]),
        notes_only: false,
        incomplete: false,
    }
}

fn judge(facts: &Facts, criteria: &Criteria) -> VerifiedTicket {
    let mut verified = verify(facts, criteria, now());
    assert_eq!(verified.len(), facts.tickets.len());
    verified.remove(0)
}

fn either() -> Criteria {
    Criteria { verification: Mode::Either, ..Criteria::default() }
}
