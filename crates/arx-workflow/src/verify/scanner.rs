//! What the scanner says: was the host scanned since the patch, and what of each vulnerability.

use arx_types::{DetectionStatus, HostDetection, HostScan, ScannedHost, Ticket};
use jiff::{SignedDuration, Timestamp};

use super::Statement;
use super::criteria::{AbsentMeans, Criteria};
use super::outcome::Answer;
use super::words;

/// What the scanner says of everything that a ticket claims to have patched: one vulnerability
/// that is still there speaks against it, one that cannot be told leaves it open.
pub(super) fn statement(
    ticket: &Ticket,
    scan: Option<&HostScan>,
    criteria: &Criteria,
    now: Timestamp,
) -> Statement {
    let unknown = |reason: &str, text: String| Statement::new(Answer::Unknown, reason, text);
    let Some(patched_at) = ticket.patched_at else {
        return unknown("no_patch_time", "no time to look for a rescan after".to_owned());
    };
    if ticket.vulnerabilities.is_empty() {
        return unknown("nothing_named", "nothing to look for".to_owned());
    }
    let record = match one_record(scan) {
        Ok(record) => record,
        Err(statement) => return statement,
    };
    let each: Vec<Statement> = ticket
        .vulnerabilities
        .iter()
        .map(|vulnerability| of_vulnerability(record, vulnerability, patched_at, criteria))
        .collect();
    // What was seen after the patch is evidence whoever looked: only its absence needs a scan
    // that could see.
    if let Some(still) = joined(&each, Answer::No) {
        return still;
    }
    if let Err(statement) = rescanned(record, patched_at, criteria, now) {
        return statement;
    }
    if let Some(open) = joined(&each, Answer::Unknown) {
        return open;
    }
    let scanned = record.authenticated_at.map(words::time).unwrap_or_default();
    let said = |reason: &str| {
        let of = each.iter().zip(&ticket.vulnerabilities);
        let of = of.filter(|(statement, _)| statement.reason == reason);
        of.map(|(_, vulnerability)| vulnerability.clone()).collect::<Vec<_>>()
    };
    let (fixed, absent) = (said("fixed"), said("absent"));
    let mut parts = Vec::new();
    if !fixed.is_empty() {
        parts.push(format!("{} fixed", words::list(&fixed)));
    }
    if !absent.is_empty() {
        let absent = words::list(&absent);
        parts.push(format!("{absent} listed in no status, which `absent_means` takes for fixed"));
    }
    let reason = if absent.is_empty() { "fixed" } else { "absent" };
    Statement::new(Answer::Yes, reason, format!("{}, scanned {scanned}", parts.join("; ")))
}

/// Whether a detection stands for a vulnerability.
fn stands_for(detection: &HostDetection, vulnerability: &str) -> bool {
    let mut names = std::iter::once(&detection.check).chain(&detection.vulnerabilities);
    names.any(|name| name.eq_ignore_ascii_case(vulnerability))
}

/// Detections that stand for any vulnerability of a ticket, each once.
pub(super) fn concerning<'r>(
    record: &'r ScannedHost,
    ticket: &'r Ticket,
) -> impl Iterator<Item = &'r HostDetection> {
    record.detections.iter().filter(|detection| {
        ticket.vulnerabilities.iter().any(|vulnerability| stands_for(detection, vulnerability))
    })
}

/// The one record that is the host.
fn one_record(scan: Option<&HostScan>) -> Result<&ScannedHost, Statement> {
    let unknown = |reason: &str, text: String| Statement::new(Answer::Unknown, reason, text);
    let Some(scan) = scan else {
        return Err(unknown("not_asked", "the scanner was not asked about the host".to_owned()));
    };
    if let Some(why) = &scan.unread {
        return Err(unknown("unread", why.clone()));
    }
    let record = match scan.records.as_slice() {
        [] => return Err(unknown("host_unknown", "the host is not known to the scanner".into())),
        [record] => record,
        several => {
            let ids: Vec<&str> = several.iter().map(|record| record.id.as_str()).collect();
            let text = format!("{} records may be the host: {}", ids.len(), ids.join(", "));
            return Err(unknown("host_ambiguous", text));
        }
    };
    if !record.contradicts.is_empty() {
        let text = format!(
            "the record with the host's {} has something else of another host: {}",
            record.matched_by.join(" and "),
            record.contradicts.join(", ")
        );
        return Err(unknown("host_contradicted", text));
    }
    Ok(record)
}

/// Whether a scan that can see everything ended after the patch, and not too long ago.
fn rescanned(
    record: &ScannedHost,
    patched_at: Timestamp,
    criteria: &Criteria,
    now: Timestamp,
) -> Result<(), Statement> {
    let unknown = |reason: &str, text: String| Err(Statement::new(Answer::Unknown, reason, text));
    let since = words::time(patched_at);
    match (record.authenticated_at, record.scanned_at) {
        (Some(at), _) if at > patched_at => {
            let Some(max) = criteria.rescan_max_age else { return Ok(()) };
            let max = SignedDuration::try_from(max).unwrap_or(SignedDuration::MAX);
            if now.duration_since(at) > max {
                let text = format!("the rescan of {} is too old", words::time(at));
                return unknown("rescan_too_old", text);
            }
            Ok(())
        }
        (_, Some(at)) if at > patched_at => {
            let text = format!("the rescan of {} was not authenticated", words::time(at));
            unknown("not_authenticated", text)
        }
        (_, Some(at)) | (Some(at), None) => {
            let text = format!("not rescanned since {since}; last scan {}", words::time(at));
            unknown("not_rescanned", text)
        }
        (None, None) => unknown("never_scanned", "the scanner names no scan of the host".into()),
    }
}

fn of_vulnerability(
    record: &ScannedHost,
    vulnerability: &str,
    patched_at: Timestamp,
    criteria: &Criteria,
) -> Statement {
    let detections: Vec<&HostDetection> =
        record.detections.iter().filter(|known| stands_for(known, vulnerability)).collect();
    if detections.is_empty() {
        return match criteria.absent_means {
            AbsentMeans::Fixed if record.unexplained > 0 => {
                let n = record.unexplained;
                let text = format!(
                    "{vulnerability} is not listed, but {n} detections that the KnowledgeBase does not explain may be of it"
                );
                Statement::new(Answer::Unknown, "unexplained", text)
            }
            AbsentMeans::Fixed => {
                let text = format!("{vulnerability} listed in no status, which counts as fixed");
                Statement::new(Answer::Yes, "absent", text)
            }
            AbsentMeans::Inconclusive => {
                let text = format!("{vulnerability} is listed in no status");
                Statement::new(Answer::Unknown, "absent", text)
            }
        };
    }
    let mut stale = None;
    for detection in detections {
        let tested_at = match detection.status {
            DetectionStatus::Fixed => detection.tested_at.max(detection.fixed_at),
            DetectionStatus::New | DetectionStatus::Active | DetectionStatus::ReOpened => {
                detection.tested_at
            }
        };
        let status = detection.status.as_str();
        let is_since = tested_at.is_some_and(|at| at > patched_at);
        match detection.status {
            DetectionStatus::Fixed if is_since => {}
            DetectionStatus::New | DetectionStatus::Active | DetectionStatus::ReOpened
                if is_since =>
            {
                let at = tested_at.map(words::time).unwrap_or_default();
                let check = &detection.check;
                let text = if check.eq_ignore_ascii_case(vulnerability) {
                    format!("{vulnerability} still {status}, tested {at}")
                } else {
                    format!("{vulnerability} still {status} by {check}, tested {at}")
                };
                return Statement::new(Answer::No, "still_there", text);
            }
            _ => {
                let at = tested_at.map_or_else(|| "never".to_owned(), words::time);
                let text = format!("{vulnerability} {status}, not tested since the patch ({at})");
                stale = Some(Statement::new(Answer::Unknown, "not_tested", text));
            }
        }
    }
    let fixed = || Statement::new(Answer::Yes, "fixed", format!("{vulnerability} fixed"));
    stale.unwrap_or_else(fixed)
}

/// Those that give an answer, as one.
fn joined(each: &[Statement], answer: Answer) -> Option<Statement> {
    let mut with = each.iter().filter(|statement| statement.answer == answer);
    let mut first = with.next()?.clone();
    for statement in with {
        first.text = format!("{}; {}", first.text, statement.text);
        if first.reason != statement.reason {
            "several".clone_into(&mut first.reason);
        }
    }
    Some(first)
}
