//! Any number of tickets, each with a host of its own: a deterministic mix of outcomes.

use super::{Case, Ci, Expected, HOUR, Seen};
use crate::estate::{DAY, Estate, GeneratedScenario};
use crate::faults::mix;

pub(super) fn cases(size: &GeneratedScenario, estate: &Estate, at: i64) -> Vec<Case> {
    (0..size.tickets).map(|n| case(size.seed, estate, at, n)).collect()
}

/// Out of a hundred: 70 verified, 15 failed, 15 inconclusive.
fn case(seed: u64, estate: &Estate, at: i64, n: u64) -> Case {
    let chance = mix(seed, 31, n);
    let name = format!("wave-{:05}", n + 1);
    let os = if n.is_multiple_of(3) { "Windows Server 2019 Standard" } else { "Ubuntu 22.04" };
    // QIDs of several CVEs would make one ticket's CVE depend on another's; the others do not.
    let index = (mix(seed, 32, n) as usize % estate.qids.len().max(1)) / 10 * 10 + 5;
    let qid = estate.qids.get(index).or(estate.qids.first());
    let (number, cve) = qid.map_or((0, ""), |q| (q.qid, q.cves.first().map_or("", String::as_str)));
    let case =
        Case::plain(n, at, &name, os).titled(&format!("Patch {cve} on {{host}}")).with(|case| {
            match n % 3 {
                0 => case.cve = cve.to_owned(),
                1 => case.description = format!("Rolled out with the monthly wave: {cve}."),
                _ => case.qid = number.to_string(),
            }
        });
    let inconclusive = Expected::Inconclusive;
    match chance % 100 {
        0..70 => case.detected(estate, number, "Fixed"),
        70..78 => case.detected(estate, number, "Active").expecting(Expected::Failed),
        78..81 => case.detected(estate, number, "Re-Opened").expecting(Expected::Failed),
        81..85 => case
            .detected(estate, number, "Fixed")
            .sensor(|s| (s.seen, s.state) = (Seen::At(at - 21 * DAY), Some("offline")))
            .expecting(Expected::Failed),
        85..89 => case
            .scan(|s| {
                let before = at - 5 * DAY;
                (s.scanned, s.authenticated) = (Some(before), Some(before));
            })
            .detected(estate, number, "Active")
            .expecting(inconclusive),
        89..92 => case
            .scan(|s| s.authenticated = Some(at - 9 * DAY))
            .detected(estate, number, "Fixed")
            .expecting(inconclusive),
        92..94 => case.with(|case| case.scanned.clear()).expecting(inconclusive),
        94..96 => case
            .detected(estate, number, "Fixed")
            .with(|case| case.sensors.clear())
            .expecting(inconclusive),
        96..98 => case
            .detected(estate, number, "Fixed")
            .second_sensor(at, |s| s.seen = Seen::Ago(HOUR / 4))
            .expecting(inconclusive),
        _ => case
            .detected(estate, number, "Fixed")
            .with(|case| case.ci = Ci::None)
            .expecting(inconclusive),
    }
}
