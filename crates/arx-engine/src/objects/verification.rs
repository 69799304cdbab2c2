//! `arx.verify(tickets, scans, sensors, inputs)`: facts of three systems held against each other.
//!
//! What was read stays here under the digest of its record; a workflow passes it on by that
//! digest. The verification commits to the reads by the same digests, so that from the leaf of a
//! closed ticket the way leads back to what each system said.

use std::sync::Arc;

use arx_audit::LeafKind;
use arx_gateway::RunContext;
use arx_types::{Digest, HostNames, HostScan, HostSensors, Ticket};
use arx_workflow::verify::{Criteria, Facts, Outcome, VerifiedTicket, verify};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{ObjectError, Objects};
use crate::report::Gathered;

/// The field by which a connector says that a read is evidence, and of which kind: `tickets`,
/// `scans` or `sensors`.
pub(crate) const EVIDENCE: &str = "evidence";
/// The name of a read's handle.
const HANDLE: &str = "$evidence";
/// What stands in an effect key for a ticket has at most so many characters.
const NAME_CHARS_MAX: usize = 64;

/// A read of tickets, as the connector returned it.
#[derive(Deserialize)]
struct TicketsRead {
    table: String,
    /// The field that holds a ticket's state.
    state_field: Option<String>,
    /// What a verified ticket is given; none where tickets get notes and nothing else.
    #[serde(default)]
    resolve: Value,
    tickets: Vec<Ticket>,
    hosts: Vec<HostNames>,
}

/// A read of scans or sensors.
#[derive(Deserialize)]
struct HostsRead<T> {
    hosts: Vec<T>,
    complete: bool,
}

impl Objects {
    /// A read becomes a handle that the workflow may look at: passing it on sends the handle
    /// alone.
    pub(crate) fn reveal_evidence(
        &self,
        gathered: &mut Gathered,
        source: &str,
        payload: &Arc<str>,
        mut value: Value,
    ) -> Value {
        let Value::Object(fields) = &mut value else { return value };
        if let Some(tickets) = fields.get("tickets").and_then(Value::as_array) {
            gathered.tickets_read = Some(gathered.tickets_read.unwrap_or(0) + tickets.len() as u64);
        }
        let warnings = fields.remove("warnings");
        for text in warnings.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str)
        {
            self.warn_of(gathered, format!("{source}: {text}"));
        }
        if fields.get("complete").and_then(Value::as_bool) == Some(false) {
            let why = fields.get("why").and_then(Value::as_str).unwrap_or("it ended early");
            self.warn_of(gathered, format!("{source} was not read to its end: {why}"));
            gathered.failed_reads.push(source.to_owned());
        }
        let handle = Digest::of_bytes(payload.as_bytes()).to_string();
        self.state().evidence.insert(handle.clone(), Arc::clone(payload));
        let mut visible = Map::new();
        visible.insert(HANDLE.to_owned(), json!(handle));
        visible.append(fields);
        Value::Object(visible)
    }

    fn warn_of(&self, gathered: &mut Gathered, line: String) {
        self.observer().log("warning", &line);
        gathered.warnings.push(line);
    }

    /// `arx.verify(tickets, scans, sensors, inputs)`.
    pub(crate) async fn verify(
        &self,
        ctx: &RunContext,
        params: &Map<String, Value>,
    ) -> Result<String, ObjectError> {
        let args = params.get("args").and_then(Value::as_array);
        let arg = |n: usize| args.and_then(|args| args.get(n)).filter(|arg| !arg.is_null());
        let inputs = arg(3).cloned().unwrap_or(Value::Null);
        let criteria = Criteria::from_inputs(&inputs)
            .map_err(|error| ObjectError::Invalid(error.to_string()))?;
        let (read, tickets) =
            self.evidence::<TicketsRead>(arg(0), "tickets")?.ok_or_else(|| missing("tickets"))?;
        let scans = self.evidence::<HostsRead<HostScan>>(arg(1), "scans")?;
        let sensors = self.evidence::<HostsRead<HostSensors>>(arg(2), "sensors")?;
        let reads = json!({
            "tickets": tickets,
            "scans": scans.as_ref().map(|(_, handle)| handle),
            "sensors": sensors.as_ref().map(|(_, handle)| handle),
        });
        let facts = Facts {
            tickets: read.tickets,
            hosts: read.hosts,
            notes_only: read.resolve.is_null(),
            incomplete: scans.as_ref().is_some_and(|(read, _)| !read.complete)
                || sensors.as_ref().is_some_and(|(read, _)| !read.complete),
            scans: scans.map(|(read, _)| read.hosts),
            sensors: sensors.map(|(read, _)| read.hosts),
        };
        let verified = verify(&facts, &criteria, self.journal.clock().now());
        let place = Place { table: read.table, state_field: read.state_field };
        let tickets: Vec<Value> =
            verified.iter().map(|ticket| shown(&ctx.workflow, &place, ticket)).collect();
        let id = Digest::of_json(&json!({ "reads": reads, "tickets": tickets }))
            .map_err(|error| ObjectError::Invalid(error.to_string()))?;
        let count = |outcome| verified.iter().filter(|t| t.outcome == outcome).count();
        let leaf = ctx
            .leaf(LeafKind::Merge)
            .result(id)
            .with("reads", reads.clone())
            .with("tickets", verified.len())
            .with("verified", count(Outcome::Verified))
            .with("failed", count(Outcome::Failed))
            .with("inconclusive", count(Outcome::Inconclusive))
            .with("unusable", count(Outcome::Unusable));
        let (run, epoch) = (ctx.run.clone(), ctx.epoch);
        let recorded = self.journal.write(move |tx| {
            tx.check_lease(&run, epoch)?;
            tx.append_leaf(leaf)
        });
        let leaf = recorded.await?;
        let signature = format!("ARX run {}, audit leaf {}", ctx.run, leaf.seq);
        let verification = json!({
            "verification": id,
            "reads": reads,
            "signature": signature,
            "tickets": tickets,
        });
        Ok(verification.to_string())
    }

    /// What a read of a kind returned, by the handle that was passed on.
    fn evidence<T: DeserializeOwned>(
        &self,
        arg: Option<&Value>,
        kind: &str,
    ) -> Result<Option<(T, String)>, ObjectError> {
        let Some(arg) = arg else { return Ok(None) };
        let handle = arg.get(HANDLE).and_then(Value::as_str).ok_or_else(|| missing(kind))?;
        let payload = self.state().evidence.get(handle).cloned().ok_or_else(|| missing(kind))?;
        let read: Value = serde_json::from_str(&payload).map_err(|_| missing(kind))?;
        if read.get(EVIDENCE).and_then(Value::as_str) != Some(kind) {
            return Err(missing(kind));
        }
        let read = T::deserialize(read).map_err(|_| missing(kind))?;
        Ok(Some((read, handle.to_owned())))
    }

    pub(crate) fn reveal_verification(&self, gathered: &mut Gathered, payload: &str) -> Value {
        let mut payload: Value = serde_json::from_str(payload).unwrap_or_default();
        let id = payload.get("verification").and_then(Value::as_str).unwrap_or_default().to_owned();
        let signature = payload.get("signature").and_then(Value::as_str).unwrap_or_default();
        let signature = format!("\n{signature}");
        let tickets = payload.get_mut("tickets").and_then(Value::as_array_mut);
        let mut state = self.state();
        for ticket in tickets.into_iter().flatten() {
            if let Some(Value::String(evidence)) = ticket.get_mut("evidence") {
                evidence.push_str(&signature);
            }
            let text = |field: &str| ticket.get(field).and_then(Value::as_str).unwrap_or_default();
            gathered.order.push(text("id").to_owned());
            let lineage =
                vec![format!("merge:{id}"), format!("ticket:{}:{}", text("id"), text("digest"))];
            state.lineage.insert(text("key").to_owned(), lineage);
        }
        drop(state);
        payload
    }
}

fn missing(kind: &str) -> ObjectError {
    ObjectError::Invalid(format!("arx.verify() needs what a read of {kind} returned in this run"))
}

/// Where a read's tickets are.
struct Place {
    table: String,
    state_field: Option<String>,
}

/// A ticket as the workflow sees it, but for the signature under its evidence.
fn shown(workflow: &str, place: &Place, ticket: &VerifiedTicket) -> Value {
    let is_name = |text: &&str| {
        !text.is_empty()
            && text.len() <= NAME_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let digest = ticket.digest.short();
    let name = [ticket.id.as_str(), ticket.ticket.id.as_str()].into_iter().find(is_name);
    let state = &ticket.ticket;
    json!({
        "id": ticket.id,
        "key": format!("{workflow}/{}/{digest}", name.unwrap_or("ticket")),
        "digest": ticket.digest,
        "title": ticket.title,
        "url": ticket.url,
        "host": ticket.host,
        "environment": ticket.environment,
        "patched": ticket.patched,
        "scanner": ticket.scanner.text,
        "sensor": ticket.sensor.text,
        "outcome": ticket.outcome,
        "reason": ticket.reason,
        "unread": ticket.unread,
        "evidence": ticket.evidence,
        "ticket": {
            "table": place.table,
            "id": state.id,
            "number": ticket.id,
            "expect": {
                "field": place.state_field,
                "state": state.state,
                "mod_count": state.mod_count,
            },
        },
    })
}
