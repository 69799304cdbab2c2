//! Evidence in words: for the run's summary and for the ticket's work notes.

use std::fmt::Write as _;

use arx_types::{HostNames, HostScan, Ticket};
use jiff::Timestamp;

use super::Statement;
use super::outcome::{Answer, Outcome};

/// Vulnerabilities named one by one in a line.
const LISTED_MAX: usize = 4;
/// Detections named one by one in the evidence.
const DETECTIONS_MAX: usize = 20;

/// A time as people read it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long ago, coarsely.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(at).as_secs() / 60;
    match minutes {
        ..=1 => "just now".to_owned(),
        2..120 => format!("{minutes} min ago"),
        120..2880 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

/// A few names, and how many more.
pub(super) fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED_MAX).map(String::as_str).collect();
    let mut text = shown.join(", ");
    if let Some(more) = names.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// What was patched and when.
pub(super) fn patched(ticket: &Ticket) -> String {
    let what = match ticket.vulnerabilities.as_slice() {
        [] => "nothing named".to_owned(),
        names => list(names),
    };
    match ticket.patched_at {
        Some(at) => format!("{what}, {}", time(at)),
        None => what,
    }
}

/// Why the outcome is what it is.
pub(super) fn reason(
    ticket: &Ticket,
    outcome: Outcome,
    scanner: &Statement,
    sensor: &Statement,
) -> String {
    if let Some(why) = &ticket.unusable {
        return why.clone();
    }
    if !ticket.missing.is_empty() {
        return ticket.missing.join("; ");
    }
    let named = [("Qualys", scanner), ("CrowdStrike", sensor)];
    let decisive = match outcome {
        Outcome::Verified => {
            let fixed = "fixed since the patch";
            let healthy = "the host is healthy";
            return match (scanner.answer, sensor.answer) {
                (Answer::Yes, Answer::Yes) => format!("{fixed}, and {healthy}"),
                (Answer::Yes, _) => fixed.to_owned(),
                _ => healthy.to_owned(),
            };
        }
        Outcome::Failed => Answer::No,
        Outcome::Inconclusive | Outcome::Unusable => Answer::Unknown,
    };
    let said: Vec<String> = named
        .iter()
        .filter(|(_, statement)| statement.answer == decisive)
        .map(|(source, statement)| format!("{source}: {}", statement.text))
        .collect();
    said.join("; ")
}

/// The evidence, line by line, as a work note holds it.
pub(super) fn evidence(
    ticket: &Ticket,
    host: Option<&HostNames>,
    scan: Option<&HostScan>,
    outcome: Outcome,
    reason: &str,
    scanner: &Statement,
    sensor: &Statement,
) -> String {
    let headline = match outcome {
        Outcome::Verified => "Patch verified",
        Outcome::Failed => "Patch failed, to be patched again",
        Outcome::Inconclusive => "Patch not verified yet",
        Outcome::Unusable => "Ticket cannot be verified",
    };
    let mut lines = vec![format!("{headline}: {reason}.")];
    lines.push(format!("Host: {}", host.map_or("not known", |host| host.name.as_str())));
    lines.push(format!("Patched: {}{}", patched(ticket), patched_source(ticket)));
    lines.push(format!("Qualys: {}", scanner.text));
    let records = scan.map(|scan| scan.records.as_slice()).unwrap_or_default();
    if let [record] = records {
        let concerning: Vec<_> = super::scanner::concerning(record, ticket).collect();
        for detection in concerning.iter().take(DETECTIONS_MAX) {
            let tested = detection.tested_at.map_or_else(|| "never".to_owned(), time);
            let (check, status) = (&detection.check, detection.status.as_str());
            let mut line = format!("- {check} {status}, tested {tested}");
            if let Some(at) = detection.fixed_at {
                let _ = write!(line, ", fixed {}", time(at));
            }
            lines.push(line);
        }
        if concerning.len() > DETECTIONS_MAX {
            lines.push(format!("- and {} more", concerning.len() - DETECTIONS_MAX));
        }
    }
    lines.push(format!("CrowdStrike: {}", sensor.text));
    lines.join("\n")
}

fn patched_source(ticket: &Ticket) -> String {
    match ticket.patched_at_source.as_str() {
        "" => String::new(),
        source => format!(" ({source})"),
    }
}
