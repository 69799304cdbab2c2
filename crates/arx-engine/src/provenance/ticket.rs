//! Where the outcome of a ticket comes from: what each system said, as it was recorded.
//!
//! The rules are those of `docs/verification.md`, "Checking a verification".

use arx_journal::{Journal, JournalError, Packed};
use arx_types::{Digest, RunId};
use serde::Serialize;
use serde_json::{Value, json};

/// The step that verifies.
const VERIFY: &str = "arx.verify";

/// One read behind a verification.
#[derive(Clone, Debug, Serialize)]
pub struct Read {
    /// What was read: `tickets`, `scans`, `sensors`.
    pub what: &'static str,
    /// The digest that the verification commits to; none where it was not read.
    pub digest: Option<String>,
    /// Whether a recorded result of the run hashes to it.
    pub holds: bool,
    /// What it says of the ticket or its host; null where it says nothing.
    pub says: Value,
}

/// A ticket of one run with everything behind its outcome.
#[derive(Clone, Debug, Serialize)]
pub struct TicketProvenance {
    /// The ticket as the workflow saw it.
    pub ticket: Value,
    /// The verification that the audit log names.
    pub verification: String,
    /// Whether the recorded outcomes hash to it.
    pub verification_holds: bool,
    /// What it rests on.
    pub reads: Vec<Read>,
}

impl TicketProvenance {
    /// What effects on the ticket are named by.
    #[must_use]
    pub fn key(&self) -> &str {
        text(&self.ticket, "key")
    }
}

/// Traces a ticket of a run by its number; `None` where the run verified no such ticket.
///
/// # Errors
/// When the record cannot be read.
pub async fn trace_ticket(
    journal: &Journal,
    run: &RunId,
    number: &str,
) -> Result<Option<TicketProvenance>, JournalError> {
    let (run, number) = (run.clone(), number.trim().to_owned());
    journal
        .read(move |reader| {
            let steps = reader.steps(&run)?;
            for step in steps.iter().filter(|step| step.operation == VERIFY) {
                let verified: Value = step.payload.unpack()?;
                if let Some(ticket) = in_verification(&verified, &number) {
                    let payloads = steps.iter().map(|step| &step.payload);
                    return traced(&verified, ticket, payloads).map(Some);
                }
            }
            Ok(None)
        })
        .await
}

fn in_verification<'v>(verified: &'v Value, number: &str) -> Option<&'v Value> {
    let tickets = verified.get("tickets")?.as_array()?;
    tickets.iter().find(|ticket| text(ticket, "id").eq_ignore_ascii_case(number))
}

fn traced<'p>(
    verified: &Value,
    ticket: &Value,
    payloads: impl Iterator<Item = &'p Packed>,
) -> Result<TicketProvenance, JournalError> {
    let asked = verified.get("reads").cloned().unwrap_or_default();
    let names = ["tickets", "scans", "sensors"];
    let mut reads: Vec<Read> = names
        .map(|what| Read {
            what,
            digest: asked.get(what).and_then(Value::as_str).map(str::to_owned),
            holds: false,
            says: Value::Null,
        })
        .into();
    let mut found: [Option<Value>; 3] = [None, None, None];
    for payload in payloads {
        let bytes = payload.unpack_bytes()?;
        let digest = Digest::of_bytes(&bytes).to_string();
        for (read, found) in reads.iter_mut().zip(&mut found) {
            if found.is_none() && read.digest.as_deref() == Some(digest.as_str()) {
                read.holds = true;
                *found = serde_json::from_slice(&bytes).ok();
            }
        }
    }
    let id = ticket.pointer("/ticket/id").and_then(Value::as_str).unwrap_or_default();
    let [tickets, scans, sensors] = &found;
    let raw = named(tickets.as_ref(), "tickets", "id", id);
    let host = raw.as_ref().map(|raw| text(raw, "host").to_owned()).unwrap_or_default();
    let says = [
        raw.unwrap_or_default(),
        named(scans.as_ref(), "hosts", "host", &host).unwrap_or_default(),
        named(sensors.as_ref(), "hosts", "host", &host).unwrap_or_default(),
    ];
    for (read, says) in reads.iter_mut().zip(says) {
        read.says = says;
    }
    let judged = verified.get("tickets").cloned().unwrap_or_default();
    let verification = text(verified, "verification").to_owned();
    let again = Digest::of_json(&json!({ "reads": asked, "tickets": judged }));
    Ok(TicketProvenance {
        ticket: ticket.clone(),
        verification_holds: again.is_ok_and(|again| again.to_string() == verification),
        verification,
        reads,
    })
}

/// The element of a read's list whose field has this value.
fn named(read: Option<&Value>, list: &str, field: &str, value: &str) -> Option<Value> {
    let elements = read?.get(list)?.as_array()?;
    elements.iter().find(|element| text(element, field) == value).cloned()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
