//! A small instance behind a loopback server: tables of rows, with what a test breaks in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arx_gateway::GateError;
use arx_testkit::TestGate;
use serde_json::{Map, Value, json};
use url::Url;

use super::super::{INSTANCE, PASSWORD, ServiceNow, USERNAME};
use crate::scripted::{Asked, Reply, Scripted};

/// A secret that no message may show.
pub(super) const CANARY: &str = "canary-password";
/// Ids that look like the vendor's.
pub(super) const CI: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(super) fn id(n: usize) -> String {
    format!("{n:032x}")
}

/// What a test's instance holds.
#[derive(Clone, Default)]
pub(super) struct Tables(Arc<Mutex<BTreeMap<String, Vec<Value>>>>);

impl Tables {
    pub fn with(self, table: &str, rows: Vec<Value>) -> Self {
        self.0.lock().expect("not poisoned").insert(table.to_owned(), rows);
        self
    }

    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.0.lock().expect("not poisoned").get(table).cloned().unwrap_or_default()
    }

    pub fn change(&self, table: &str, change: impl FnOnce(&mut Vec<Value>)) {
        change(self.0.lock().expect("not poisoned").entry(table.to_owned()).or_default());
    }

    /// Answers as a plain instance does, except that it ignores the terms of every query but
    /// those on `sys_id`, `element_id` and `name`: whoever asks has to look at what comes.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let (table, record) = place(asked);
        if asked.line.starts_with("PATCH ") {
            return self.patched(&table, record.as_deref().unwrap_or_default(), &asked.body);
        }
        if !self.0.lock().expect("not poisoned").contains_key(&table) {
            return failure(400, &format!("Invalid table {table}"), None);
        }
        let rows = self.rows(&table);
        match record {
            Some(id) => match rows.iter().find(|row| row["sys_id"] == json!(id)) {
                Some(row) => reply(&json!({ "result": row })),
                None => failure(404, "No Record found", Some("Record doesn't exist or ACL")),
            },
            None => listed(asked, &matching(asked, rows)),
        }
    }

    /// Takes an update: fields into the record, the note into the journal.
    pub fn patched(&self, table: &str, id: &str, body: &str) -> Reply {
        let body: Map<String, Value> = serde_json::from_str(body).expect("a JSON object");
        let mut shown = Value::Null;
        self.change(table, |rows| {
            let Some(row) = rows.iter_mut().find(|row| row["sys_id"] == json!(id)) else { return };
            for (name, value) in &body {
                if name != "work_notes" {
                    row[name] = value.clone();
                }
            }
            let count: u64 = row["sys_mod_count"].as_str().expect("text").parse().expect("a count");
            row["sys_mod_count"] = json!((count + 1).to_string());
            row["sys_updated_by"] = json!("arx.bot");
            shown = row.clone();
        });
        if shown.is_null() {
            return failure(404, "No Record found", None);
        }
        if let Some(note) = body.get("work_notes") {
            self.change("sys_journal_field", |rows| {
                let entry = json!({"sys_id": super::world::id(rows.len() + 900),
                    "element_id": id, "element": "work_notes", "value": note});
                rows.push(entry);
            });
        }
        reply(&json!({ "result": shown }))
    }
}

fn matching(asked: &Asked, rows: Vec<Value>) -> Vec<Value> {
    let query = param(asked, "sysparm_query");
    let mut rows = rows;
    for term in query.split('^') {
        for field in ["sys_id", "element_id", "name"] {
            let values = term
                .strip_prefix(&format!("{field}="))
                .or_else(|| term.strip_prefix(&format!("{field}IN")));
            if let Some(values) = values {
                let values: Vec<&str> = values.split(',').collect();
                rows.retain(|row| row[field].as_str().is_some_and(|v| values.contains(&v)));
            }
        }
        if let Some(text) = term.strip_prefix("valueLIKE") {
            rows.retain(|row| row["value"].as_str().is_some_and(|value| value.contains(text)));
        }
    }
    rows
}

/// The table and the record of a request.
pub(super) fn place(asked: &Asked) -> (String, Option<String>) {
    let path = url(asked).path().trim_start_matches("/api/now/table/").to_owned();
    match path.split_once('/') {
        Some((table, record)) => (table.to_owned(), Some(record.to_owned())),
        None => (path, None),
    }
}

pub(super) fn param(asked: &Asked, name: &str) -> String {
    let url = url(asked);
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn url(asked: &Asked) -> Url {
    let path = asked.line.split_once(' ').expect("a method").1;
    Url::parse(&format!("http://instance{path}")).expect("an address")
}

pub(super) fn reply(body: &Value) -> Reply {
    Reply::ok(body.to_string()).header("content-type", "application/json;charset=UTF-8")
}

pub(super) fn failure(status: u16, message: &str, detail: Option<&str>) -> Reply {
    let body = json!({"error": {"message": message, "detail": detail}, "status": "failure"});
    Reply::new(status, body.to_string()).header("content-type", "application/json")
}

/// The page of rows that is asked for, with their count and only the fields asked for.
pub(super) fn listed(asked: &Asked, rows: &[Value]) -> Reply {
    let number = |name: &str| param(asked, name).parse().unwrap_or(0_usize);
    let (offset, limit) = (number("sysparm_offset"), number("sysparm_limit"));
    let fields = param(asked, "sysparm_fields");
    let fields: Vec<&str> = fields.split(',').collect();
    let shown = |row: &Value| match row {
        Value::Object(row) => row
            .iter()
            .filter(|(name, _)| fields.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    };
    let page: Vec<Value> = rows.iter().skip(offset).take(limit).map(shown).collect();
    reply(&json!({ "result": page })).header("x-total-count", &rows.len().to_string())
}

pub(super) fn choice(table: &str, element: &str, value: &str, label: &str) -> Value {
    json!({
        "sys_id": CI, "name": table, "element": element, "value": value, "label": label,
        "language": "en", "inactive": "false",
    })
}

pub(super) fn choices() -> Vec<Value> {
    let mut retired = choice("incident", "state", "10", "Pending verification");
    retired["inactive"] = json!("true");
    let mut german = choice("incident", "state", "6", "Gelöst");
    german["language"] = json!("de");
    vec![
        choice("incident", "state", "1", "New"),
        choice("incident", "state", "2", "In Progress"),
        choice("incident", "state", "3", "On Hold"),
        choice("incident", "state", "6", "Resolved"),
        choice("incident", "state", "11", "Pending Verification"),
        german,
        retired,
        choice("incident", "close_code", "Solution provided", "Solution provided"),
        choice("incident", "close_code", "user_error", "User error"),
        choice("task", "state", "-5", "Pending"),
        choice("task", "state", "3", "Closed Complete"),
        // Rows that nobody asked for.
        choice("problem", "state", "11", "Resolved"),
        choice("incident", "impact", "12", "Pending Verification"),
    ]
}

/// A ticket that lacks nothing.
pub(super) fn ticket(n: usize) -> Value {
    json!({
        "sys_id": id(n), "number": format!("INC{n:07}"), "state": "11", "sys_mod_count": "3",
        "sys_updated_on": "2026-03-09 10:00:00", "sys_updated_by": "alice",
        "short_description": format!("Patch web{n:02}"),
        "description": "Fixes CVE-2021-44228.", "cmdb_ci": CI,
        "work_end": "2026-03-09 08:00:00", "close_code": "", "close_notes": "",
        "assignment_group": "", "u_flag": "false",
    })
}

pub(super) fn item() -> Value {
    json!({
        "sys_id": CI, "name": "WEB01", "fqdn": "web01.acme.example", "host_name": "",
        "dns_domain": "", "ip_address": "10.0.0.1", "used_for": "Production",
    })
}

/// An instance with these tickets and everything that they need.
pub(super) fn tables(tickets: Vec<Value>) -> Tables {
    Tables::default()
        .with("incident", tickets)
        .with("sys_choice", choices())
        .with("cmdb_ci", vec![item()])
        .with("sys_audit", vec![])
        .with("sys_journal_field", vec![])
}

/// A gate over an instance that answers as the test says.
pub(super) async fn gate(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (TestGate, Scripted) {
    let server = Scripted::start(answer).await;
    let gate = gate_to(&server.url, json!({"in_flight_ms": 0})).await;
    (gate, server)
}

pub(super) async fn gate_to(url: &str, settings: Value) -> TestGate {
    let variables = [(INSTANCE, url), (USERNAME, "arx.bot"), (PASSWORD, CANARY)];
    let variables: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settle_for = Some(Duration::from_millis(1));
    TestGate::new(Arc::new(ServiceNow::default()), variables, settings, settle_for).await
}

pub(super) fn wanted() -> Value {
    json!({"pending_state": "pending  verification"})
}

/// Reads; an error is its message, which never shows the secret.
pub(super) async fn read(gate: &TestGate, params: Value) -> Result<Value, String> {
    let read = gate.read("servicenow.incidents:read", params, None).await;
    read.map_err(|error| message(&error))
}

pub(super) fn message(error: &GateError) -> String {
    let message = error.to_string();
    assert!(!message.contains(CANARY), "a secret in `{message}`");
    message
}
