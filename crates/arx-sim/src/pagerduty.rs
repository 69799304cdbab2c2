//! PagerDuty: the REST API's incidents and what they refer to, and the Events API.
//!
//! One difference is deliberate: an event is processed at once, where PagerDuty takes seconds.
//! Start at [`ROUTES`]; incidents live in [`incidents`], the fixed account in [`account`].

mod account;
mod events;
mod incidents;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::Vendor;
use crate::environment::PAGERDUTY_API_KEY;
use crate::faults::Fault;
use crate::http::{Reply, Request, Route};
use crate::ledger::lock;
use crate::world::{Refusal, Service, Shared};
use account::{ESCALATION_POLICIES, PRIORITIES, SERVICES, USERS};
use incidents::Incidents;

pub(crate) use account::{FROM_EMAIL, SERVICE_ID, incident_url};
pub(crate) use incidents::{Incident, Status};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("POST", "/incidents", "incidents.create"),
    ("GET", "/incidents", "incidents.list"),
    ("GET", "/incidents/{}", "incidents.get"),
    ("PUT", "/incidents/{}", "incidents.update"),
    ("POST", "/incidents/{}/notes", "notes.create"),
    ("GET", "/incidents/{}/notes", "notes.list"),
    ("GET", "/priorities", "priorities.list"),
    ("GET", "/services", "services.list"),
    ("GET", "/services/{}", "services.get"),
    ("GET", "/users", "users.list"),
    ("GET", "/users/{}", "users.get"),
    ("GET", "/escalation_policies", "escalation_policies.list"),
    ("GET", "/escalation_policies/{}", "escalation_policies.get"),
    ("GET", "/abilities", "abilities.list"),
    ("GET", "/abilities/{}", "abilities.get"),
    ("POST", "/v2/enqueue", "events.enqueue"),
];

/// The media type that every REST request must accept.
const ACCEPT: &str = "application/vnd.pagerduty+json;version=2";
/// The documented limit, as the headers say; the simulator does not count.
const RATE_LIMIT: &str = "960";
const PAGE_DEFAULT: usize = 25;
const PAGE_MAX: usize = 100;
/// `offset + limit` beyond this is refused.
const DEPTH_MAX: usize = 10_000;
const ABILITIES: [&str; 4] =
    ["coordinated_responding", "event_rules", "service_support_hours", "urgencies"];

pub(crate) struct PagerDuty {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub incidents: Incidents,
    /// Whether the account has priorities; without them the list is empty.
    pub has_priorities: bool,
}

/// A refused request, in PagerDuty's error object.
struct Problem {
    status: u16,
    code: u32,
    message: &'static str,
    errors: Vec<String>,
}

impl Problem {
    fn new(status: u16, code: u32, message: &'static str) -> Self {
        Self { status, code, message, errors: Vec::new() }
    }

    fn because(mut self, error: impl Into<String>) -> Self {
        self.errors.push(error.into());
        self
    }

    /// 2001, the code for input that makes no sense.
    fn input(error: impl Into<String>) -> Self {
        Self::new(400, 2001, "Invalid Input Provided").because(error)
    }

    /// 2002, the code for arguments that fit nothing in the account.
    fn arguments(error: impl Into<String>) -> Self {
        Self::new(400, 2002, "Arguments Caused Error").because(error)
    }

    fn not_found() -> Self {
        Self::new(404, 2100, "Not Found")
    }

    fn reply(&self) -> Reply {
        let mut error = json!({ "message": self.message, "code": self.code });
        if let (false, Value::Object(error)) = (self.errors.is_empty(), &mut error) {
            error.insert("errors".to_owned(), json!(self.errors));
        }
        Reply::json(self.status, &json!({ "error": error }))
    }
}

impl PagerDuty {
    pub fn new(shared: Arc<Shared>) -> Self {
        let incidents = Incidents::restore(&shared.ledger.of(Vendor::PagerDuty));
        let state = Mutex::new(State { incidents, has_priorities: true });
        Self { shared, state }
    }

    /// Runs a change that no client asked for.
    pub fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.state))
    }

    fn serve(&self, req: &Request, operation: &str, open: &[&str]) -> Result<Reply, Problem> {
        if operation == "events.enqueue" {
            return Ok(self.enqueue(req));
        }
        let expected = format!("Token token={PAGERDUTY_API_KEY}");
        if req.header("authorization") != Some(expected.as_str()) {
            return Err(Problem::new(401, 2006, "Authentication failed"));
        }
        let accepts = |value: &str| value.split_whitespace().collect::<String>().contains(ACCEPT);
        if !req.header("accept").is_some_and(accepts) {
            return Err(Problem::input(format!("the Accept header must be {ACCEPT}")));
        }
        let id = open.first().copied().unwrap_or_default();
        match operation {
            "incidents.create" => self.create(req),
            "incidents.list" => self.list_incidents(req),
            "incidents.get" => self.get_incident(req, id),
            "incidents.update" => self.update(req, id),
            "notes.create" => self.create_note(req, id),
            "notes.list" => self.list_notes(id),
            "priorities.list" => {
                let has_priorities = lock(&self.state).has_priorities;
                let all = if has_priorities { PRIORITIES } else { &[] };
                let all = all.iter().map(|p| account::priority_json(&req.origin, p)).collect();
                page(req, "priorities", all)
            }
            "services.list" => {
                let all = SERVICES.iter().map(|s| account::service_json(&req.origin, s));
                page(req, "services", matching(req, all.collect()))
            }
            "services.get" => {
                let found = SERVICES.iter().find(|service| service.id == id);
                one("service", found.map(|s| account::service_json(&req.origin, s)))
            }
            "users.list" => {
                let all = USERS.iter().map(|u| account::user_json(&req.origin, u));
                page(req, "users", matching(req, all.collect()))
            }
            // `/users/me` needs a user's own token; this key is the account's.
            "users.get" if id == "me" => Err(Problem::input(
                "This endpoint can only be accessed with a user-level API token",
            )),
            "users.get" => {
                let found = USERS.iter().find(|user| user.id == id);
                one("user", found.map(|u| account::user_json(&req.origin, u)))
            }
            "escalation_policies.list" => {
                let all = ESCALATION_POLICIES.iter().map(|p| account::policy_json(&req.origin, p));
                page(req, "escalation_policies", matching(req, all.collect()))
            }
            "escalation_policies.get" => {
                let found = ESCALATION_POLICIES.iter().find(|(policy, _)| *policy == id);
                one("escalation_policy", found.map(|p| account::policy_json(&req.origin, p)))
            }
            "abilities.list" => Ok(Reply::json(200, &json!({ "abilities": ABILITIES }))),
            "abilities.get" if ABILITIES.contains(&id) => Ok(Reply::empty(204)),
            "abilities.get" => Err(Problem::new(402, 2014, "Missing ability")),
            _ => Err(Problem::not_found()),
        }
    }
}

fn one(name: &str, found: Option<Value>) -> Result<Reply, Problem> {
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(Reply::json(200, &json!({ name: found })))
}

/// `query=` keeps what has the text in its name or e-mail.
fn matching(req: &Request, mut all: Vec<Value>) -> Vec<Value> {
    if let Some(wanted) = req.query("query").map(str::to_lowercase) {
        all.retain(|item| {
            ["name", "email"].iter().any(|field| {
                let text = item.get(*field).and_then(Value::as_str).unwrap_or_default();
                text.to_lowercase().contains(&wanted)
            })
        });
    }
    all
}

/// One page of a list, by `offset` and `limit`.
fn page(req: &Request, name: &str, all: Vec<Value>) -> Result<Reply, Problem> {
    let limit = req.number("limit").unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let offset = req.number("offset").unwrap_or(0);
    if offset.saturating_add(limit) > DEPTH_MAX {
        return Err(Problem::arguments(format!(
            "Offset+limit exceeds maximum allowed value of {DEPTH_MAX}"
        )));
    }
    let total = all.len();
    let shown: Vec<Value> = all.into_iter().skip(offset).take(limit).collect();
    let more = offset + shown.len() < total;
    let total = (req.query("total") == Some("true")).then_some(total);
    Ok(Reply::json(
        200,
        &json!({ name: shown, "limit": limit, "offset": offset, "total": total, "more": more }),
    ))
}

impl Service for PagerDuty {
    fn vendor(&self) -> Vendor {
        Vendor::PagerDuty
    }

    fn claims(&self, path: &str) -> bool {
        const ROOTS: [&str; 7] = [
            "incidents",
            "priorities",
            "services",
            "users",
            "escalation_policies",
            "abilities",
            "v2",
        ];
        path.split('/').nth(1).is_some_and(|root| ROOTS.contains(&root))
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn answer(&self, req: &Request, operation: &str, open: &[&str], _faults: &[Fault]) -> Reply {
        let reply = self.serve(req, operation, open).unwrap_or_else(|problem| problem.reply());
        if operation == "events.enqueue" { reply } else { with_rate_headers(reply, None) }
    }

    fn missing(&self, _req: &Request) -> Reply {
        Problem::not_found().reply()
    }

    fn refuse(&self, req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { after_s } | Refusal::OverLimit { after_s } => {
                if req.path == "/v2/enqueue" {
                    return Reply::json(429, &json!({ "status": "throttle exceeded" }));
                }
                let reply = Problem::new(429, 2020, "Rate Limit Exceeded").reply();
                with_rate_headers(reply, Some(after_s))
            }
            Refusal::ServerError => Problem::new(500, 2000, "Internal Error").reply(),
            Refusal::Unavailable => Reply::html(503, "Service Unavailable".to_owned()),
        }
    }
}

fn with_rate_headers(reply: Reply, reset_s: Option<u64>) -> Reply {
    let (remaining, reset) = match reset_s {
        Some(seconds) => ("0", seconds.to_string()),
        None => ("959", "60".to_owned()),
    };
    reply
        .header("ratelimit-limit", RATE_LIMIT)
        .header("ratelimit-remaining", remaining)
        .header("ratelimit-reset", reset)
}
