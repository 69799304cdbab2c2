//! The patch wave: its figures, that its facts bear its outcomes out, and what time does to it.

use std::collections::BTreeMap;

use super::{Bed, texts};
use crate::estate::{DAY, Estate};
use crate::wave::{Case, Ci, HOUR, Seen, Wave};
use crate::{Expected, Options, Scenario};

const AT: i64 = 1_795_000_000;

fn wave(scenario: &str) -> (Estate, Wave) {
    let scenario: Scenario = scenario.parse().unwrap();
    let estate = Estate::new(&scenario, 0);
    let wave = Wave::new(&scenario, &estate, jiff::Timestamp::from_second(AT).unwrap());
    (estate, wave)
}

/// CVEs and QIDs that the ticket names, in its fields or else in its texts.
fn named(case: &Case) -> Vec<String> {
    if !case.cve.is_empty() || !case.qid.is_empty() {
        return [&case.cve, &case.qid].into_iter().filter(|t| !t.is_empty()).cloned().collect();
    }
    let text = format!("{} {}", case.title, case.description).to_uppercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("CVE-")).map(str::to_owned).collect()
}

/// The outcome as the bare facts have it, judged in the simplest way there is.
fn judged(estate: &Estate, at: i64, case: &Case) -> Expected {
    if !case.ignored.is_empty() || case.state.is_some() {
        return Expected::Unusable;
    }
    let wanted = named(case);
    let time = case.work_end.or(case.patched_at).or(case.entered);
    let known = match &case.ci {
        Ci::Item { name, .. } => !name.contains('^'),
        Ci::Text(name) => name.to_lowercase().starts_with(&case.host.name),
        Ci::Deleted | Ci::None => false,
    };
    let (Some(time), true, false) = (time, known, wanted.is_empty()) else {
        return Expected::Inconclusive;
    };
    let scan = match case.scanned.as_slice() {
        [host] => {
            let is_named = host.dns.starts_with(&case.host.name) || host.agent == case.host.agent;
            let is_fresh = host.authenticated.is_some_and(|scan| scan > time);
            let found = |wanted: &String| {
                host.detections.iter().find(|detection| {
                    let qid = &estate.qids[detection.qid];
                    qid.qid.to_string() == *wanted
                        || qid.cves.iter().any(|cve| cve.eq_ignore_ascii_case(wanted))
                })
            };
            let found: Vec<_> = wanted.iter().map(found).collect();
            match (is_named && is_fresh, found.iter().any(Option::is_none)) {
                (true, false) if found.iter().flatten().all(|d| d.status == "Fixed") => Some(true),
                (true, false) => Some(false),
                _ => None,
            }
        }
        _ => None,
    };
    let silent = |seen: Seen| matches!(seen, Seen::At(then) if then < at - 14 * DAY);
    let alive: Vec<_> = case.sensors.iter().filter(|sensor| !silent(sensor.seen)).collect();
    let sensor = match (alive.as_slice(), case.sensors.len()) {
        ([], 0) => None,
        ([], _) => Some(false),
        ([one], _) if one.status != "normal" || one.reduced == Some("yes") => Some(false),
        ([one], _) if one.state == Some("online") && one.reduced == Some("no") => Some(true),
        _ => None,
    };
    match (scan, sensor) {
        (Some(true), Some(true)) => Expected::Verified,
        (Some(false), _) | (_, Some(false)) => Expected::Failed,
        _ => Expected::Inconclusive,
    }
}

fn figures(scenario: &str) -> BTreeMap<(&'static str, Expected), usize> {
    let (estate, wave) = wave(scenario);
    assert_eq!(wave.at, AT / HOUR * HOUR);
    let mut counts = BTreeMap::new();
    for case in &wave.cases {
        assert_eq!(
            judged(&estate, wave.at, case),
            case.expected,
            "{} {}",
            case.host.name,
            case.title
        );
        *counts.entry((case.table, case.expected)).or_default() += 1;
    }
    counts
}

#[test]
fn harbourlines_wave() {
    // The default scenario is the same without what cannot be worked on.
    let mut usable = figures("awkward");
    usable.remove(&("incident", Expected::Unusable));
    assert_eq!(figures("default"), usable);
    let found: Vec<_> = figures("awkward").into_iter().collect();
    use Expected::{Failed, Inconclusive, Unusable, Verified};
    assert_eq!(
        found,
        [
            (("change_task", Verified), 1),
            (("change_task", Failed), 1),
            (("incident", Verified), 13),
            (("incident", Failed), 7),
            (("incident", Inconclusive), 16),
            (("incident", Unusable), 2),
            (("sn_vul_vulnerable_item", Verified), 1),
            (("u_patch_task", Verified), 1),
            (("u_patch_task", Failed), 1),
            (("u_patch_task", Inconclusive), 1),
        ]
    );
}

/// The document's table of tickets is true, line by line.
#[tokio::test]
async fn the_document_lists_the_wave() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulators.md");
    let page = std::fs::read_to_string(page).unwrap();
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with("| INC")).collect();
    let bed = Bed::awkward().await;
    let tickets = bed.control.tickets();
    let tickets: Vec<_> = tickets
        .iter()
        .filter(|ticket| ticket.table == "incident" && ticket.expected.is_some())
        .collect();
    let (_, wave) = wave("awkward");
    let cases: Vec<_> = wave.cases.iter().filter(|case| case.table == "incident").collect();
    assert_eq!((told.len(), cases.len()), (tickets.len(), tickets.len()));
    for ((line, ticket), case) in told.iter().zip(&tickets).zip(&cases) {
        let expected = format!("{:?}", case.expected).to_lowercase();
        assert_eq!(ticket.expected, Some(case.expected));
        let start = format!("| {} | `{}` | ", ticket.number, case.host.name);
        assert!(line.starts_with(&start), "{line}: {start}");
        assert!(line.ends_with(&format!(" | {expected} |")), "{line}: {expected}");
    }
}

#[test]
fn a_generated_wave_has_its_size_and_a_mix() {
    let counts = figures("generated:tickets=1000,cves=400");
    assert_eq!(counts.values().sum::<usize>(), 1_000);
    let share = |expected| counts[&("incident", expected)];
    assert!((650..750).contains(&share(Expected::Verified)), "{counts:?}");
    assert!((110..190).contains(&share(Expected::Failed)), "{counts:?}");
    assert_eq!(figures("generated"), BTreeMap::new());
    assert_eq!(figures("empty"), BTreeMap::new());
}

#[test]
fn every_host_of_a_wave_is_its_own() {
    for scenario in ["default", "generated:tickets=2000"] {
        let (_, wave) = wave(scenario);
        let ids: Vec<u64> = wave.scanned().iter().map(|host| host.host_id).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{scenario}");
        let sensors = wave.sensors();
        let aids: std::collections::BTreeSet<&str> =
            sensors.iter().map(|sensor| sensor.aid.as_str()).collect();
        assert_eq!(aids.len(), sensors.len(), "{scenario}");
    }
}

const STATUSES: &str = "status=New,Active,Re-Opened,Fixed";

#[tokio::test]
async fn scans_are_told_with_their_dates() {
    let now = "2026-11-22T10:30:00Z".parse().ok();
    let bed = Bed::start(Options { now, ..Options::default() }).await;
    let detections = async |rest: &str| {
        let path = format!("/api/5.0/fo/asset/host/vm/detection/?action=list&{STATUSES}{rest}");
        bed.qualys(&path).await.expect(200).body
    };
    let hosts = async |rest: &str| {
        bed.qualys(&format!("/api/5.0/fo/asset/host/?action=list{rest}")).await.expect(200).body
    };
    // By address, one and several, and by range.
    let one = detections("&ips=10.40.0.3").await;
    assert_eq!(texts(&one, "DNS"), ["pay-app-21.harbourline.example"]);
    assert_eq!(texts(&one, "STATUS"), ["Fixed"]);
    assert_eq!(texts(&one, "LAST_FIXED_DATETIME"), texts(&one, "LAST_VM_SCANNED_DATE"));
    assert_eq!(texts(&hosts("&ips=10.40.0.3-10.40.0.6,10.40.0.8").await, "IP").len(), 5);
    assert_eq!(texts(&detections("&ips=10.40.0.3-10.40.0.6&qids=9100001").await, "QID").len(), 2);
    // Two networks know one address.
    let twice = hosts("&ips=10.40.0.26").await;
    assert_eq!(texts(&twice, "NETWORK_ID"), ["0", "7301"]);
    assert_eq!(texts(&hosts("&ips=10.40.0.26&network_ids=7301").await, "ID").len(), 1);
    // Scanned, and not with a login.
    let remote = hosts("&ips=10.40.0.24").await;
    assert_eq!(texts(&remote, "TRACKING_METHOD"), ["IP"]);
    assert!(texts(&remote, "LAST_VM_AUTH_SCANNED_DATE") < texts(&remote, "LAST_VM_SCANNED_DATE"));
    // Listed as a host, in no status for what was asked.
    assert_eq!(texts(&hosts("&ips=10.40.0.28").await, "ID").len(), 1);
    assert_eq!(texts(&detections("&ips=10.40.0.28&qids=9100002").await, "ID").len(), 0);
    assert_eq!(texts(&hosts("&ips=10.40.0.25").await, "ID").len(), 0, "not known at all");
    // Pages reach from the estate into the wave.
    let page = hosts("&truncation_limit=225").await;
    assert!(texts(&page, "URL")[0].contains("&id_min=9000"), "{:?}", texts(&page, "URL"));

    assert_eq!(bed.control.rescan("pay-app-25", true), 1);
    assert_eq!(bed.control.rescan("nobody", true), 0);
    let again = detections("&ips=10.40.0.23").await;
    assert_eq!(texts(&again, "LAST_VM_AUTH_SCANNED_DATE"), ["2026-11-22T10:30:00Z"]);
    assert_eq!(texts(&again, "STATUS"), ["Active"]);
    let tested = "2026-11-22T10:45:00Z".parse().unwrap();
    assert!(bed.control.set_detection("PAY-APP-25", 9_100_015, "Fixed", tested));
    assert!(bed.control.set_detection("10.40.0.23", 9_100_018, "New", tested));
    assert!(!bed.control.set_detection("pay-app-25", 9_100_015, "Gone", tested));
    assert!(!bed.control.set_detection("nobody", 9_100_015, "Fixed", tested));
    let fixed = detections("&ips=10.40.0.23").await;
    assert_eq!(texts(&fixed, "STATUS"), ["Fixed", "New"]);
    assert_eq!(texts(&fixed, "LAST_FIXED_DATETIME"), ["2026-11-22T10:45:00Z"]);
}

#[tokio::test]
async fn the_wave_hides_from_a_read_of_what_is_critical_and_open() {
    let (default, empty) = (Bed::default().await, "generated:tickets=50,detections=0".parse());
    let open = "/api/5.0/fo/asset/host/vm/detection/?action=list&severities=5&status=New,Active,Re-Opened&id_min=9000000";
    assert_eq!(texts(&default.qualys(open).await.body, "QID").len(), 0);
    let bed = Bed::start(Options { scenario: empty.unwrap(), ..Options::default() }).await;
    let all = format!("/api/5.0/fo/asset/host/vm/detection/?action=list&{STATUSES}");
    assert!(texts(&bed.qualys(&all).await.body, "QID").len() >= 45);
    let waiting = bed.snow("GET", "incident?state=15", None).await;
    assert_eq!(waiting.header("x-total-count"), "50");
}
