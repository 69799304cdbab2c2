//! Whether a patch is proven: what a ticket claims, held against what the scanner saw since and
//! what the sensor on the host says.
//!
//! Pure: facts and criteria in, an outcome with its reasons out. It never turns a fact that is
//! missing into one that speaks for the patch. Start at [`verify`]; [`outcome`] is the whole
//! decision, [`scanner`] and [`sensor`] are how each source comes to its answer.

mod criteria;
mod outcome;
mod scanner;
mod sensor;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use arx_types::{Digest, HostNames, HostScan, HostSensors, ScannedHost, Ticket};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use criteria::{AbsentMeans, Criteria, CriteriaError, Mode};
pub use outcome::{Answer, Outcome, outcome};

/// The facts that one verification rests on.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The tickets.
    pub tickets: Vec<Ticket>,
    /// Their hosts.
    pub hosts: Vec<HostNames>,
    /// What the scanner says; none where it was not asked.
    pub scans: Option<Vec<HostScan>>,
    /// What the sensors say; none where nobody was asked.
    pub sensors: Option<Vec<HostSensors>>,
    /// Whether a source was not read to its end, so that it may answer another time.
    pub incomplete: bool,
    /// Whether tickets get notes and nothing else.
    pub notes_only: bool,
}

/// What one source says about one ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Whether it speaks for the patch.
    pub answer: Answer,
    /// The reason in a word, such as `not_rescanned`; stable, for machines.
    pub reason: String,
    /// The reason as a sentence without its full stop, for people.
    pub text: String,
}

impl Statement {
    fn new(answer: Answer, reason: &str, text: impl Into<String>) -> Self {
        Self { answer, reason: reason.to_owned(), text: text.into() }
    }
}

/// A ticket with what was found out about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTicket {
    /// The ticket's number, or its id where it has none.
    pub id: String,
    /// Its first line.
    pub title: String,
    /// Where people read it.
    pub url: String,
    /// Name of its host; empty where it names none that is known.
    pub host: String,
    /// Environment of the host, as risk scores name it.
    pub environment: String,
    /// What was patched and when.
    pub patched: String,
    /// What the scanner says.
    pub scanner: Statement,
    /// What the sensor says.
    pub sensor: Statement,
    /// Whether a source failed to answer this time, which is no evidence and nothing to tell.
    pub unread: bool,
    /// What follows.
    pub outcome: Outcome,
    /// Why, in one line.
    pub reason: String,
    /// The evidence as lines of a work note.
    pub evidence: String,
    /// Commits to what the outcome rests on. Facts that move by themselves, such as when a living
    /// sensor was last heard of, are not in it: the same evidence has the same digest tomorrow.
    pub digest: Digest,
    /// What a write to the ticket expects to find.
    pub ticket: TicketState,
}

/// A ticket as it was when it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketState {
    /// The ticket system's identifier.
    pub id: String,
    /// Stored value of its state.
    pub state: String,
    /// How often it had been changed.
    pub mod_count: String,
}

/// Judges every ticket, in the order in which they were given.
#[must_use]
pub fn verify(facts: &Facts, criteria: &Criteria, now: Timestamp) -> Vec<VerifiedTicket> {
    let hosts: BTreeMap<&str, &HostNames> =
        facts.hosts.iter().map(|host| (host.id.as_str(), host)).collect();
    let scans = facts.scans.as_ref().map(|scans| {
        scans.iter().map(|scan| (scan.host.as_str(), scan)).collect::<BTreeMap<_, _>>()
    });
    let sensors = facts.sensors.as_ref().map(|sensors| {
        sensors.iter().map(|host| (host.host.as_str(), host)).collect::<BTreeMap<_, _>>()
    });
    let judge = |ticket: &Ticket| {
        let host = ticket.host.as_deref();
        let scanner = match (&scans, host) {
            (None, _) => Statement::new(Answer::Unknown, "not_asked", "the scanner was not asked"),
            (Some(_), None) => Statement::new(Answer::Unknown, "no_host", "no host to look for"),
            (Some(scans), Some(host)) => {
                scanner::statement(ticket, scans.get(host).copied(), criteria, now)
            }
        };
        let sensor = match (&sensors, host) {
            (None, _) => Statement::new(Answer::Unknown, "not_asked", "no sensor was asked"),
            (Some(_), None) => Statement::new(Answer::Unknown, "no_host", "no host to look for"),
            (Some(sensors), Some(host)) => {
                sensor::statement(sensors.get(host).copied(), criteria, now)
            }
        };
        let scan = scans.as_ref().zip(host).and_then(|(scans, host)| scans.get(host).copied());
        let host = host.and_then(|id| hosts.get(id).copied());
        judged(ticket, host, scan, [scanner, sensor], criteria, facts)
    };
    facts.tickets.iter().map(judge).collect()
}

fn judged(
    ticket: &Ticket,
    host: Option<&HostNames>,
    scan: Option<&HostScan>,
    [scanner, sensor]: [Statement; 2],
    criteria: &Criteria,
    facts: &Facts,
) -> VerifiedTicket {
    let is_complete = ticket.missing.is_empty()
        && ticket.host.is_some()
        && ticket.patched_at.is_some()
        && !ticket.vulnerabilities.is_empty();
    let outcome = if ticket.unusable.is_some() {
        Outcome::Unusable
    } else {
        outcome(criteria.verification, is_complete, scanner.answer, sensor.answer)
    };
    let reason = words::reason(ticket, outcome, &scanner, &sensor);
    // A ticket that is never moved is judged again every day: its times are nothing new.
    let has_times = !facts.notes_only && matches!(outcome, Outcome::Verified | Outcome::Failed);
    let seen = scan.map(|scan| {
        let records = scan.records.iter();
        records.map(|record| seen(record, ticket, has_times)).collect()
    });
    let patched_at = ticket.patched_at.filter(|_| has_times);
    let digest = digest(ticket, seen, patched_at, outcome, [&scanner, &sensor], criteria);
    let unread = facts.incomplete && [&scanner, &sensor].iter().any(|said| said.reason == "unread");
    VerifiedTicket {
        title: ticket.title.clone(),
        url: ticket.url.clone(),
        host: host.map(|host| host.name.clone()).unwrap_or_default(),
        environment: ticket.environment.clone(),
        patched: words::patched(ticket),
        evidence: words::evidence(ticket, host, scan, outcome, &reason, &scanner, &sensor),
        ticket: TicketState {
            id: ticket.id.clone(),
            state: ticket.state.clone(),
            mod_count: ticket.mod_count.clone(),
        },
        id: if ticket.number.is_empty() { ticket.id.clone() } else { ticket.number.clone() },
        unread,
        scanner,
        sensor,
        outcome,
        reason,
        digest,
    }
}

/// What the outcome rests on: everything that would be new evidence if it changed. Where nothing
/// is decided, another scan that shows the same is nothing new; where something was, it is: a
/// ticket that comes back is judged again by what was seen since.
fn digest(
    ticket: &Ticket,
    records: Option<Vec<Value>>,
    patched_at: Option<Timestamp>,
    outcome: Outcome,
    [scanner, sensor]: [&Statement; 2],
    criteria: &Criteria,
) -> Digest {
    let evidence: Value = json!({
        "ticket": ticket.id,
        "host": ticket.host,
        "vulnerabilities": ticket.vulnerabilities,
        "patched_at": patched_at,
        "missing": ticket.missing,
        "unusable": ticket.unusable,
        "verification": criteria.verification,
        "outcome": outcome,
        "scanner": { "answer": scanner.answer, "reason": scanner.reason, "records": records },
        "sensor": { "answer": sensor.answer, "reason": sensor.reason },
    });
    // Strings, numbers and times always have a canonical form.
    Digest::of_json(&evidence).unwrap_or_else(|_| Digest::of_bytes(ticket.id.as_bytes()))
}

/// What a record says of a ticket's own vulnerabilities: another ticket on the same host changes
/// nothing of it.
fn seen(record: &ScannedHost, ticket: &Ticket, with_times: bool) -> Value {
    let detections: Vec<Value> = scanner::concerning(record, ticket)
        .map(|detection| {
            let times = with_times.then_some((detection.tested_at, detection.fixed_at));
            json!([detection.check, detection.status, times])
        })
        .collect();
    let scans = with_times.then_some((record.scanned_at, record.authenticated_at));
    json!({ "id": record.id, "scans": scans, "detections": detections })
}
