//! Incidents: create with its idempotency key, look up, update, annotate.

use std::collections::BTreeSet;

use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::{self, Account, ESCALATION_POLICIES, PRIORITIES, SERVICES, USERS, User};
use super::{PagerDuty, Problem, page};
use crate::Vendor;
use crate::faults::mix;
use crate::http::{Reply, Request};
use crate::ledger::{Entry, Write, lock};

/// Notes on one incident.
const NOTES_MAX: usize = 2_000;
/// Longer spans of `since` to `until` are refused.
const RANGE_DAYS_MAX: i64 = 184;
const RANGE_DAYS_DEFAULT: i64 = 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Triggered,
    Acknowledged,
    Resolved,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Triggered => "triggered",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    fn read(text: &str) -> Option<Self> {
        [Self::Triggered, Self::Acknowledged, Self::Resolved]
            .into_iter()
            .find(|status| status.name() == text)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Note {
    pub id: String,
    pub content: String,
    pub user: String,
    pub created_at: Timestamp,
}

/// One incident, as it is kept and as the ledger holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub id: String,
    pub number: u64,
    pub title: String,
    pub status: Status,
    /// `None` where an alert of the Events API made the incident.
    pub incident_key: Option<String>,
    pub alert_keys: Vec<String>,
    pub service: String,
    pub priority: Option<String>,
    pub urgency: String,
    pub escalation_policy: Option<String>,
    pub assignee: Option<String>,
    pub details: Option<Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub notes: Vec<Note>,
}

#[derive(Default)]
pub(crate) struct Incidents {
    all: Vec<Incident>,
}

impl Incidents {
    /// The incidents as the last ledger line about each left them.
    pub fn restore(entries: &[Entry]) -> Self {
        let mut found = Self::default();
        for entry in entries {
            if let Ok(incident) = serde_json::from_value::<Incident>(entry.state.clone()) {
                match found.get_mut(&incident.id) {
                    Some(known) => *known = incident,
                    None => found.all.push(incident),
                }
            }
        }
        found
    }

    pub fn get(&self, id: &str) -> Option<&Incident> {
        self.all.iter().find(|incident| incident.id == id)
    }

    pub fn get_mut(&mut self, id: &str) -> Option<&mut Incident> {
        self.all.iter_mut().find(|incident| incident.id == id)
    }

    /// INVARIANT (one open incident per service and key): callers look here first, under one lock.
    pub fn open_with_key(&self, service: &str, key: &str) -> Option<&Incident> {
        self.all.iter().find(|incident| {
            incident.status != Status::Resolved
                && incident.service == service
                && (incident.incident_key.as_deref() == Some(key)
                    || incident.alert_keys.iter().any(|alert| alert == key))
        })
    }

    pub fn next_number(&self) -> u64 {
        self.all.len() as u64 + 1
    }

    pub fn push(&mut self, incident: Incident) {
        self.all.push(incident);
    }

    pub fn all(&self) -> &[Incident] {
        &self.all
    }
}

/// An id of the vendor's shape: letters and digits, `Q` first.
pub(super) fn incident_id(seed: u64, number: u64) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKLMNPQRSTVWXY";
    let bits = (u128::from(mix(seed, 21, number)) << 64) | u128::from(mix(seed, 22, number));
    let symbol = |i: u32| {
        let at = (bits >> (i * 5)) as usize & 31;
        SYMBOLS.get(at).copied().map_or('0', char::from)
    };
    std::iter::once('Q').chain((0..13).map(symbol)).collect()
}

impl Incident {
    pub fn write(&self, operation: &'static str) -> Write {
        let key = self.incident_key.clone().or_else(|| self.alert_keys.first().cloned());
        Write {
            vendor: Vendor::PagerDuty,
            operation,
            id: self.id.clone(),
            key: key.map(Value::from),
            title: self.title.clone(),
            state: serde_json::to_value(self).unwrap_or_default(),
        }
    }

    fn json(&self, origin: &str, has_body: bool) -> Value {
        let (created, updated) = (time(self.created_at), time(self.updated_at));
        let service = SERVICES.iter().find(|service| service.id == self.service);
        let service_name = service.map_or("", |service| service.name);
        let priority = self.priority.as_ref().and_then(|id| {
            let found = PRIORITIES.iter().find(|(priority, ..)| priority == id)?;
            Some(account::priority_json(origin, found))
        });
        let assignee = self.assignee.as_deref().unwrap_or("PUSRMIR");
        let assignee_name = USERS.iter().find(|user| user.id == assignee).map_or("", |u| u.name);
        let assignments = if self.status == Status::Resolved {
            json!([])
        } else {
            json!([{
                "at": created,
                "assignee": account::reference(origin, "user", "users", assignee, assignee_name),
            }])
        };
        let mut value = json!({
            "id": self.id,
            "type": "incident",
            "summary": format!("[#{}] {}", self.number, self.title),
            "self": format!("{origin}/incidents/{}", self.id),
            "html_url": account::incident_url(&self.id),
            "incident_number": self.number,
            "title": self.title,
            "description": self.title,
            "created_at": created,
            "updated_at": updated,
            "status": self.status.name(),
            "incident_key": self.incident_key,
            "service": account::reference(
                origin, "service", "services", &self.service, service_name,
            ),
            "assignments": assignments,
            "assigned_via": if self.assignee.is_some() {
                "direct_assignment"
            } else {
                "escalation_policy"
            },
            "last_status_change_at": updated,
            "resolved_at": (self.status == Status::Resolved).then_some(&updated),
            "alert_counts": { "all": self.alert_keys.len(), "triggered": 0, "resolved": 0 },
            "is_mergeable": true,
            "escalation_policy": self
                .escalation_policy
                .as_deref()
                .or(service.map(|service| service.policy))
                .map(|id| account::policy_reference(origin, id)),
            "teams": [],
            "pending_actions": [],
            "acknowledgements": [],
            "priority": priority,
            "urgency": self.urgency,
        });
        if let (true, Value::Object(value)) = (has_body, &mut value) {
            let body = json!({ "type": "incident_body", "details": self.details });
            value.insert("body".to_owned(), body);
        }
        value
    }
}

/// The vendor writes whole seconds.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The requester that the `From` header names.
fn requester(req: &Request) -> Result<&'static User, Problem> {
    let Some(email) = req.header("from").map(str::trim).filter(|email| !email.is_empty()) else {
        return Err(Problem::new(
            400,
            2016,
            "You must specify a user's email address in the \"From\" header to perform this action",
        ));
    };
    USERS
        .iter()
        .find(|user| user.email.eq_ignore_ascii_case(email))
        .ok_or_else(|| Problem::new(400, 1008, "Requester User Not Found"))
}

/// The object under the wrapper's name.
fn wrapped(req: &Request, name: &str) -> Result<Value, Problem> {
    let object = || {
        if !req.has_content_type("application/json") {
            return None;
        }
        req.json()?.get(name).filter(|inner| inner.is_object()).cloned()
    };
    object().ok_or_else(|| Problem::input("params must be a Hash"))
}

fn text<'v>(value: &'v Value, name: &str) -> Result<Option<&'v str>, Problem> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::input(format!("{name} must be a String"))),
    }
}

/// The id inside a reference object of the wanted type.
fn reference<'v>(value: &'v Value, name: &str) -> Result<Option<&'v str>, Problem> {
    let Some(inner) = value.get(name).filter(|inner| !inner.is_null()) else { return Ok(None) };
    let kind = text(inner, "type")?.unwrap_or_default();
    if kind != name && kind.strip_suffix("_reference") != Some(name) {
        return Err(Problem::input(format!("{name} has a wrong type: {kind}")));
    }
    let id = text(inner, "id")?.filter(|id| !id.is_empty());
    id.map(Some).ok_or_else(|| Problem::input(format!("{name}.id cannot be empty")))
}

fn service_of(incident: &Value) -> Result<&'static Account, Problem> {
    let id = reference(incident, "service")?
        .ok_or_else(|| Problem::input("Service cannot be empty."))?;
    let found = SERVICES.iter().find(|service| service.id == id);
    found.ok_or_else(|| Problem::arguments("Service not found"))
}

fn priority_of(incident: &Value, is_enabled: bool) -> Result<Option<String>, Problem> {
    let Some(id) = reference(incident, "priority")? else { return Ok(None) };
    if !is_enabled || !PRIORITIES.iter().any(|(priority, ..)| *priority == id) {
        return Err(Problem::new(400, 1020, "Invalid Priority"));
    }
    Ok(Some(id.to_owned()))
}

fn urgency_of(incident: &Value) -> Result<Option<&str>, Problem> {
    match text(incident, "urgency")? {
        Some(urgency) if urgency != "high" && urgency != "low" => {
            Err(Problem::input("Urgency must be high or low"))
        }
        urgency => Ok(urgency),
    }
}

/// Policy or assignee: one or the other.
fn routing_of(incident: &Value) -> Result<(Option<String>, Option<String>), Problem> {
    let policy = reference(incident, "escalation_policy")?;
    let assignments = incident.get("assignments").and_then(Value::as_array);
    let assignee = match assignments.map(Vec::as_slice) {
        None | Some([]) => None,
        Some([one]) => one.pointer("/assignee/id").and_then(Value::as_str),
        Some(_) => return Err(Problem::input("Only one assignee is allowed")),
    };
    if policy.is_some() && assignee.is_some() {
        return Err(Problem::input("Cannot specify both assignments and an escalation policy"));
    }
    if let Some(policy) = policy
        && !ESCALATION_POLICIES.iter().any(|(known, _)| *known == policy)
    {
        return Err(Problem::new(400, 1014, "Escalation Policy Not Found"));
    }
    if let Some(assignee) = assignee
        && !USERS.iter().any(|user| user.id == assignee)
    {
        return Err(Problem::arguments("Assignee not found"));
    }
    Ok((policy.map(str::to_owned), assignee.map(str::to_owned)))
}

impl PagerDuty {
    pub(super) fn create(&self, req: &Request) -> Result<Reply, Problem> {
        let requester = requester(req)?;
        let asked = wrapped(req, "incident")?;
        if text(&asked, "type")? != Some("incident") {
            return Err(Problem::input("Incident type must be incident"));
        }
        let title = text(&asked, "title")?.filter(|title| !title.trim().is_empty());
        let title = title.ok_or_else(|| Problem::input("Title can't be blank"))?;
        let service = service_of(&asked)?;
        let urgency = urgency_of(&asked)?.unwrap_or("high").to_owned();
        let (escalation_policy, assignee) = routing_of(&asked)?;
        let key = text(&asked, "incident_key")?.filter(|key| !key.is_empty());
        let details = match asked.get("body").filter(|body| !body.is_null()) {
            None => None,
            Some(body) => {
                if text(body, "type")? != Some("incident_body") {
                    return Err(Problem::input("Body type must be incident_body"));
                }
                text(body, "details")?.map(Value::from)
            }
        };

        let mut state = lock(&self.state);
        let priority = priority_of(&asked, state.has_priorities)?;
        if let Some(key) = key
            && state.incidents.open_with_key(service.id, key).is_some()
        {
            return Err(Problem::arguments(
                "Open incident with matching dedup key already exists on this service",
            ));
        }
        let number = state.incidents.next_number();
        let id = incident_id(self.shared.seed, number);
        let now = self.shared.now();
        let incident = Incident {
            // Without a key, the vendor makes one.
            incident_key: Some(key.map_or_else(
                || format!("{:032x}", mix(self.shared.seed, 23, number)),
                str::to_owned,
            )),
            number,
            title: title.to_owned(),
            // An incident assigned to the requester is born acknowledged and notifies nobody.
            status: if assignee.as_deref() == Some(requester.id) {
                Status::Acknowledged
            } else {
                Status::Triggered
            },
            alert_keys: Vec::new(),
            service: service.id.to_owned(),
            priority,
            urgency,
            escalation_policy,
            assignee,
            details,
            created_at: now,
            updated_at: now,
            notes: Vec::new(),
            id,
        };
        self.shared.record(incident.write("incidents.create"));
        let reply = json!({ "incident": incident.json(&req.origin, true) });
        state.incidents.push(incident);
        Ok(Reply::json(201, &reply).committed())
    }

    pub(super) fn update(&self, req: &Request, id: &str) -> Result<Reply, Problem> {
        requester(req)?;
        let asked = wrapped(req, "incident")?;
        if !matches!(text(&asked, "type")?, Some("incident_reference" | "incident")) {
            return Err(Problem::input("Incident type must be incident_reference"));
        }
        let status = match text(&asked, "status")? {
            None => None,
            Some(text) => {
                let status = Status::read(text).filter(|status| *status != Status::Triggered);
                Some(status.ok_or_else(|| {
                    Problem::input("Incident status must be acknowledged or resolved")
                })?)
            }
        };
        let title = text(&asked, "title")?.map(str::to_owned);
        let urgency = urgency_of(&asked)?.map(str::to_owned);

        let mut state = lock(&self.state);
        let priority = priority_of(&asked, state.has_priorities)?;
        let incident = state.incidents.get_mut(id).ok_or_else(Problem::not_found)?;
        if incident.status == Status::Resolved {
            return Err(Problem::input("Incident Already Resolved"));
        }
        if let Some(status) = status {
            incident.status = status;
        }
        if let Some(title) = title {
            incident.title = title;
        }
        if let Some(urgency) = urgency {
            incident.urgency = urgency;
        }
        if priority.is_some() {
            incident.priority = priority;
        }
        incident.updated_at = self.shared.now();
        self.shared.record(incident.write("incidents.update"));
        let reply = json!({ "incident": incident.json(&req.origin, false) });
        Ok(Reply::json(200, &reply).committed())
    }

    pub(super) fn get_incident(&self, req: &Request, id: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let incident = state.incidents.get(id).ok_or_else(Problem::not_found)?;
        let has_body = req.queries("include[]").any(|part| part == "body");
        Ok(Reply::json(200, &json!({ "incident": incident.json(&req.origin, has_body) })))
    }

    pub(super) fn list_incidents(&self, req: &Request) -> Result<Reply, Problem> {
        let mut statuses = BTreeSet::new();
        for text in req.queries("statuses[]") {
            let status = Status::read(text);
            statuses.insert(status.ok_or_else(|| {
                Problem::input("statuses must be triggered, acknowledged or resolved")
            })?);
        }
        let (since, until) = range(req, self.shared.now())?;
        let key = req.query("incident_key");
        let services: Vec<&str> = req.queries("service_ids[]").collect();
        let urgencies: Vec<&str> = req.queries("urgencies[]").collect();
        let users: Vec<&str> = req.queries("user_ids[]").collect();
        let is_wanted = |incident: &&Incident| {
            let by_key = match key {
                None => true,
                // A blank key is no filter at all: every open incident comes back.
                Some("") => incident.status != Status::Resolved,
                Some(key) => {
                    incident.incident_key.as_deref() == Some(key)
                        || incident.alert_keys.iter().any(|alert| alert == key)
                }
            };
            by_key
                && (statuses.is_empty() || statuses.contains(&incident.status))
                && (services.is_empty() || services.contains(&incident.service.as_str()))
                && (urgencies.is_empty() || urgencies.contains(&incident.urgency.as_str()))
                && (users.is_empty()
                    || incident.assignee.as_deref().is_some_and(|user| users.contains(&user)))
                && since.is_none_or(|since| incident.created_at >= since)
                && until.is_none_or(|until| incident.created_at <= until)
        };
        let has_body = req.queries("include[]").any(|part| part == "body");

        let state = lock(&self.state);
        let mut found: Vec<&Incident> = state.incidents.all().iter().filter(is_wanted).collect();
        match req.query("sort_by") {
            None | Some("created_at:asc" | "created_at" | "incident_number:asc") => {}
            Some("created_at:desc" | "incident_number:desc") => found.reverse(),
            Some(other) => return Err(Problem::input(format!("cannot sort by {other}"))),
        }
        let found = found.into_iter().map(|i| i.json(&req.origin, has_body)).collect();
        page(req, "incidents", found)
    }

    pub(super) fn create_note(&self, req: &Request, id: &str) -> Result<Reply, Problem> {
        let user = requester(req)?;
        let asked = wrapped(req, "note")?;
        let content = text(&asked, "content")?.filter(|content| !content.is_empty());
        let content = content.ok_or_else(|| Problem::input("Content can't be blank"))?;
        let mut state = lock(&self.state);
        let incident = state.incidents.get_mut(id).ok_or_else(Problem::not_found)?;
        if incident.notes.len() >= NOTES_MAX {
            return Err(Problem::input(format!("an incident holds at most {NOTES_MAX} notes")));
        }
        let note = Note {
            id: format!("PNOTE{:02}", incident.notes.len() + 1),
            content: content.to_owned(),
            user: user.id.to_owned(),
            created_at: self.shared.now(),
        };
        let reply = json!({ "note": note_json(&req.origin, &note) });
        incident.notes.push(note);
        self.shared.record(incident.write("notes.create"));
        Ok(Reply::json(200, &reply).committed())
    }

    pub(super) fn list_notes(&self, id: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let incident = state.incidents.get(id).ok_or_else(Problem::not_found)?;
        let notes: Vec<Value> = incident.notes.iter().map(|note| note_json("", note)).collect();
        Ok(Reply::json(200, &json!({ "notes": notes })))
    }
}

fn note_json(origin: &str, note: &Note) -> Value {
    let name = USERS.iter().find(|user| user.id == note.user).map_or("", |user| user.name);
    json!({
        "id": note.id,
        "user": account::reference(origin, "user", "users", &note.user, name),
        "channel": { "summary": "The PagerDuty website or APIs" },
        "content": note.content,
        "created_at": time(note.created_at),
    })
}

/// `since` and `until`; without them the last month.
fn range(req: &Request, now: Timestamp) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    if req.query("date_range") == Some("all") {
        return Ok((None, None));
    }
    let days = |n: i64| -> Span { (n * 24).hours() };
    let read = |name: &str| {
        let parse = |text: &str| {
            let whole =
                if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
            whole.parse().map_err(|_| Problem::input(format!("{name} is not an ISO 8601 date")))
        };
        req.query(name).map(parse).transpose()
    };
    let until: Option<Timestamp> = read("until")?;
    let end = until.unwrap_or(now);
    let since: Option<Timestamp> = read("since")?;
    let start = since.or_else(|| end.checked_sub(days(RANGE_DAYS_DEFAULT)).ok());
    if let Some(start) = start
        && end.duration_since(start).as_hours() > RANGE_DAYS_MAX * 24
    {
        return Err(Problem::input("The date range may span at most 6 months"));
    }
    Ok((start, until))
}
