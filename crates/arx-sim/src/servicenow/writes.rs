//! Writes: by clients, which the ledger records, and by people behind their backs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::render::{instant, stamp};
use super::store::{ROWS_MAX, Row, Store, Values};
use super::tables::{self, Kind, Table};
use super::{Problem, ServiceNow, State, is_true, seed};
use crate::Vendor;
use crate::environment::SNOW_USERNAME;
use crate::faults::Fault;
use crate::http::{Reply, Request};
use crate::ledger::{Entry, Ledger, Write, lock};
use crate::world::Shared;

/// Who edits records behind a client's back.
const COLLEAGUE: &str = "dana.whitfield";
/// Columns of which every change leaves a row in `sys_audit`.
const AUDITED: [&str; 5] = ["state", "assignment_group", "assigned_to", "close_code", "u_repatch"];
/// A ledger entry's title is no longer than this.
const TITLE_CHARS_MAX: usize = 120;

/// What the ledger holds of one write: the record after it and the rows it added elsewhere.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// The moment of the patch wave, so that a restart sees the same one.
    wave: Timestamp,
    table: String,
    record: Values,
    work_notes: Option<String>,
    journal: Vec<Values>,
    audit: Vec<Values>,
}

/// The moment of the wave that earlier writes were made in.
pub(crate) fn wave_time(ledger: &Ledger) -> Option<Timestamp> {
    let entries = ledger.of(Vendor::ServiceNow);
    entries.first().and_then(|entry| entry.state.get("wave")?.as_str()?.parse().ok())
}

/// Replays what clients wrote.
pub(super) fn restore(store: &mut Store, entries: &[Entry]) {
    for entry in entries {
        let Ok(written) = serde_json::from_value::<Written>(entry.state.clone()) else { continue };
        let Some(table) = tables::find(&written.table) else { continue };
        store.put_values(table, written.record);
        for (name, rows) in [("sys_journal_field", written.journal), ("sys_audit", written.audit)] {
            if let Some(table) = tables::find(name) {
                rows.into_iter().for_each(|row| store.put_values(table, row));
            }
        }
    }
}

/// One change to one record, before it is made.
struct Change<'c> {
    who: &'c str,
    now: Timestamp,
    seed: u64,
}

/// What a change left behind.
#[derive(Default)]
struct Traces {
    /// Whether anything of the record is other than before.
    has_changed: bool,
    journal: Vec<Row>,
    audit: Vec<Row>,
}

impl ServiceNow {
    pub(super) fn update(
        &self,
        req: &Request,
        table: &'static Table,
        id: &str,
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        let body = body(req)?;
        let mut state = lock(&self.state);
        let state = &mut *state;
        let found = state.store.get(table, id).filter(|(_, row)| !row.is_restricted);
        let (owner, row) = found.ok_or_else(Problem::no_record)?;
        let mut fields = self.stored(req, &state.store, owner, &body);
        let struck = faults.iter().filter_map(|fault| match fault {
            Fault::IgnoredFields(names) => Some(names),
            _ => None,
        });
        let ignored: Vec<&String> =
            row.ignored.iter().chain(&state.ignored).chain(struck.flatten()).collect();
        // INVARIANT (silent ACL): the reply is 200 and says nothing of fields that were dropped.
        fields.retain(|(name, _)| !ignored.contains(&name));
        if !state.can_close {
            fields.retain(|(name, value)| !(name == "state" && value == "7"));
        }
        data_policy(owner, row, &fields)?;
        let change = Change { who: SNOW_USERNAME, now: self.shared.now(), seed: self.shared.seed };
        let traces = state.apply(&change, owner, id, &fields);
        self.committed(req, state, owner, id, traces, "table.update", 200)
    }

    pub(super) fn create(&self, req: &Request, table: &'static Table) -> Result<Reply, Problem> {
        let body = body(req)?;
        let Some((prefix, first)) = table.numbers else {
            let detail = "ACL Exception Insert Failed due to security constraints";
            return Err(Problem::new(403, "Operation Failed", detail));
        };
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.store.len(table) >= ROWS_MAX {
            return Err(Problem::new(500, "Insert failed", "too many rows"));
        }
        let fields = self.stored(req, &state.store, table, &body);
        data_policy(table, &Row::default(), &fields)?;
        let id = state.store.next_id(self.shared.seed);
        let now = stamp(self.shared.now().as_second());
        let number = format!("{prefix}{:07}", first + state.store.len(table) as u64);
        let mut row = Row::of(&[
            ("sys_id", &id),
            ("number", &number),
            ("sys_created_on", &now),
            ("sys_created_by", SNOW_USERNAME),
            ("sys_class_name", table.name),
            ("opened_at", &now),
            ("active", "true"),
            ("state", "1"),
        ]);
        if table.name == "incident" {
            row.set("incident_state", "1");
        }
        state.store.put(table, row);
        let change = Change { who: SNOW_USERNAME, now: self.shared.now(), seed: self.shared.seed };
        let traces = state.apply(&change, table, &id, &fields);
        if let Some((_, row)) = state.store.get_mut(table, &id) {
            row.set("sys_mod_count", "0");
            row.set("sys_updated_on", now);
            row.set("sys_updated_by", SNOW_USERNAME);
        }
        let reply = self.committed(req, state, table, &id, traces, "table.create", 201)?;
        Ok(reply.header("location", format!("{}{}/{id}", req.origin, req.path)))
    }

    /// Records the write and answers with the row as it is now.
    #[expect(clippy::too_many_arguments, reason = "the end of both writes")]
    fn committed(
        &self,
        req: &Request,
        state: &State,
        table: &'static Table,
        id: &str,
        traces: Traces,
        operation: &'static str,
        status: u16,
    ) -> Result<Reply, Problem> {
        let (_, row) = state.store.get(table, id).ok_or_else(Problem::no_record)?;
        if traces.has_changed {
            self.record(state, table, id, row, traces, operation);
        }
        if req.header("x-no-response-body") == Some("true") {
            return Ok(Reply::empty(status).committed());
        }
        let shown = self.view(req, &state.store).row(table, row);
        Ok(Reply::json(status, &json!({ "result": shown })).committed())
    }

    /// Puts a write into the ledger.
    fn record(
        &self,
        state: &State,
        table: &'static Table,
        id: &str,
        row: &Row,
        traces: Traces,
        operation: &'static str,
    ) {
        let notes: Vec<&str> = traces
            .journal
            .iter()
            .filter(|entry| entry.get("element") == "work_notes")
            .map(|entry| entry.get("value"))
            .collect();
        let label = state.store.label(table, "state", row.get("state"));
        let title = format!(
            "{} {}: {}",
            row.get("number"),
            label.unwrap_or_else(|| row.get("state")),
            row.get("short_description")
        );
        let written = Written {
            wave: Timestamp::from_second(self.shared.wave.at).unwrap_or_default(),
            table: table.name.to_owned(),
            record: row.values.clone(),
            work_notes: (!notes.is_empty()).then(|| notes.join("\n\n")),
            journal: traces.journal.into_iter().map(|row| row.values).collect(),
            audit: traces.audit.into_iter().map(|row| row.values).collect(),
        };
        self.shared.record(Write {
            vendor: Vendor::ServiceNow,
            operation,
            id: id.to_owned(),
            key: Some(json!(row.get("number"))),
            title: title.chars().take(TITLE_CHARS_MAX).collect(),
            state: serde_json::to_value(&written).unwrap_or_default(),
        });
    }

    /// The fields of a body as they would be stored; unknown ones are dropped without a word.
    fn stored(
        &self,
        req: &Request,
        store: &Store,
        table: &'static Table,
        body: &Map<String, Value>,
    ) -> Vec<(String, String)> {
        let has_labels = is_true(req, "sysparm_input_display_value");
        let mut fields = Vec::new();
        for (name, value) in body {
            let Some(kind) = table.kind(name) else { continue };
            if matches!(name.as_str(), "sys_id" | "sys_mod_count" | "sys_class_name" | "number") {
                continue;
            }
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let text =
                if has_labels { self.unlabelled(store, table, name, kind, text) } else { text };
            // State is a number underneath: a label leaves it as it was.
            let is_number = name == "state" || name == "incident_state" || kind == Kind::Integer;
            if is_number && !text.is_empty() && text.parse::<i64>().is_err() {
                continue;
            }
            fields.push((name.clone(), text));
        }
        fields
    }

    /// `sysparm_input_display_value=true`: labels, names and local times become what is stored.
    fn unlabelled(
        &self,
        store: &Store,
        table: &'static Table,
        name: &str,
        kind: Kind,
        text: String,
    ) -> String {
        let found = match kind {
            Kind::Choice => store.choice_value(table, name, &text).map(str::to_owned),
            Kind::DateTime => instant(&text, &self.zone).map(|at| stamp(at.as_second())),
            Kind::Reference(target) => tables::find(target).and_then(|target| {
                store.find(target, target.display, &text).map(|row| row.id().to_owned())
            }),
            _ => None,
        };
        found.unwrap_or(text)
    }
}

fn body(req: &Request) -> Result<Map<String, Value>, Problem> {
    match req.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(Problem::new(
            400,
            "Exception while reading request",
            "The payload is not valid JSON.",
        )),
    }
}

/// Fields that a state cannot be entered without.
fn data_policy(
    table: &'static Table,
    row: &Row,
    fields: &[(String, String)],
) -> Result<(), Problem> {
    let after = |name: &str| {
        fields.iter().rev().find(|(known, _)| known == name).map_or(row.get(name), |(_, v)| v)
    };
    const CLOSING: &[(&str, &str)] =
        &[("close_code", "Resolution code"), ("close_notes", "Resolution notes")];
    let mandatory: &[(&str, &str)] = match (table.name, after("state")) {
        ("incident", "6" | "7") => CLOSING,
        ("incident", "3") => &[("hold_reason", "On hold reason")],
        ("change_task" | "u_patch_task", "3") => {
            &[("close_code", "Close code"), ("close_notes", "Close notes")]
        }
        _ => &[],
    };
    let missing: Vec<&str> = mandatory
        .iter()
        .filter(|(name, _)| after(name).is_empty())
        .map(|(_, label)| *label)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "Data Policy Exception: The following fields are mandatory: {}",
        missing.join(", ")
    );
    Err(Problem::new(403, "Operation Failed", detail))
}

impl State {
    /// A colleague changes a record in the same second.
    pub(super) fn edit(
        &mut self,
        shared: &Shared,
        table: &'static Table,
        id: &str,
        fields: &[(&str, &str)],
    ) -> bool {
        let fields: Vec<(String, String)> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let change = Change { who: COLLEAGUE, now: shared.now(), seed: shared.seed };
        let is_there = self.store.get(table, id).is_some();
        self.apply(&change, table, id, &fields);
        is_there
    }

    /// Makes a change with everything that the instance does on its own because of it.
    fn apply(
        &mut self,
        change: &Change<'_>,
        table: &'static Table,
        id: &str,
        fields: &[(String, String)],
    ) -> Traces {
        let now = stamp(change.now.as_second());
        let Some((_, before)) = self.store.get(table, id) else { return Traces::default() };
        let (before, mut after) = (before.clone(), before.clone());
        let mut traces = Traces::default();
        for (name, value) in fields {
            if table.kind(name) == Some(Kind::Journal) {
                if !value.is_empty() {
                    traces.journal.push(Row::of(&[
                        ("sys_id", &self.store.next_id(change.seed)),
                        ("element_id", id),
                        ("name", table.name),
                        ("element", name),
                        ("value", value),
                        ("sys_created_on", &now),
                        ("sys_created_by", change.who),
                    ]));
                }
            } else {
                after.set(name, value.as_str());
            }
        }
        business_rules(table, &before, &mut after, fields, change.who, &now);
        for name in AUDITED {
            if before.get(name) != after.get(name) {
                traces.audit.push(Row::of(&[
                    ("sys_id", &self.store.next_id(change.seed)),
                    ("tablename", table.name),
                    ("documentkey", id),
                    ("fieldname", name),
                    ("oldvalue", before.get(name)),
                    ("newvalue", after.get(name)),
                    ("user", change.who),
                    ("sys_created_on", &now),
                    ("sys_created_by", change.who),
                ]));
            }
        }
        // A write that changes nothing does not count as one.
        traces.has_changed = after.values != before.values || !traces.journal.is_empty();
        if traces.has_changed {
            let count: u64 = before.get("sys_mod_count").parse().unwrap_or(0);
            after.set("sys_mod_count", (count + 1).to_string());
            if !fields.iter().any(|(name, _)| name == "sys_updated_on") {
                after.set("sys_updated_on", now);
            }
            after.set("sys_updated_by", change.who);
        }
        self.store.put(table, after);
        for (name, rows) in [("sys_journal_field", &traces.journal), ("sys_audit", &traces.audit)] {
            if let Some(table) = tables::find(name) {
                rows.iter().for_each(|row| self.store.put(table, row.clone()));
            }
        }
        traces
    }
}

fn business_rules(
    table: &'static Table,
    before: &Row,
    after: &mut Row,
    fields: &[(String, String)],
    who: &str,
    now: &str,
) {
    if table.name != "incident" {
        return;
    }
    let sent = |name: &str| fields.iter().any(|(known, _)| known == name);
    // The two states mirror each other; the one that was sent leads.
    if sent("incident_state") && !sent("state") {
        let state = after.get("incident_state").to_owned();
        after.set("state", state);
    } else {
        let state = after.get("state").to_owned();
        after.set("incident_state", state);
    }
    if before.get("state") == after.get("state") {
        return;
    }
    let user = seed::user_id(who);
    match after.get("state") {
        "6" => {
            after.set("resolved_at", now);
            after.set("resolved_by", user);
        }
        "7" => {
            after.set("closed_at", now);
            after.set("closed_by", user);
            after.set("active", "false");
        }
        _ if matches!(before.get("state"), "6" | "7") => {
            let count: u64 = after.get("reopen_count").parse().unwrap_or(0);
            after.set("reopen_count", (count + 1).to_string());
            for name in ["resolved_at", "resolved_by", "closed_at", "closed_by"] {
                after.set(name, "");
            }
            after.set("active", "true");
        }
        _ => {}
    }
}
