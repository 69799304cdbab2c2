//! PagerDuty: one incident per effect key.
//!
//! The vendor refuses a second *open* incident with the same `incident_key` on one service, so a
//! repeated create cannot page twice while the first is open; [`PagerDuty`] recognises that
//! refusal and adopts the incident. After a human resolves it the key is free again, and only
//! the look-up over all statuses (and the effect journal) knows that it was used.
//! Never a reason not to page: a priority or an escalation policy that the account does not
//! have is left out, and the result says so.
//!
//! Start at [`PagerDuty`]'s `perform`; what the vendor says is read in `wire`.

#[cfg(fuzzing)]
pub mod fuzzing;
mod lookup;
mod operations;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arx_gateway::http::{parse_base, standard_pushback};
use arx_gateway::{
    Auth, BudgetReading, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError,
    HeaderMap, Pushback, RateLimit, Request, Response, Settlement, Variable, Variables,
};
use arx_types::EffectKey;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use lookup::Search;
use operations::{CREATE, Draft, READ, Wanted};
use wire::{Complaint, Incident, Page, Priority, Refusal};

const API_KEY: &str = "PAGERDUTY_API_KEY";
const SERVICE_ID: &str = "PAGERDUTY_SERVICE_ID";
const FROM_EMAIL: &str = "PAGERDUTY_FROM_EMAIL";
const API_URL: &str = "PAGERDUTY_API_URL";
/// The service region of the United States; the European one is set by [`API_URL`].
const API_URL_DEFAULT: &str = "https://api.pagerduty.com";

/// How often one `perform` may send a create: as asked for, and again after the vendor refused
/// (so that nothing happened) without the priority and without the escalation policy.
const SENDS_MAX: usize = 3;
/// How often an incident that the vendor says exists is looked for.
const ADOPTION_LOOKS_MAX: u32 = 5;
/// First pause between those looks; doubles each time.
const ADOPTION_PAUSE: Duration = Duration::from_millis(200);
/// Longest look at what a start may do without.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// Largest page of priorities.
const PRIORITIES_PAGE: usize = 100;
/// Most pages of priorities that are read.
const PRIORITY_PAGES_MAX: usize = 10;
/// How long a failed look-up of priorities is not tried again, so that it delays one page of
/// many and not each.
const PRIORITIES_FAILURE_KEPT: Duration = Duration::from_secs(60);
/// Most effects remembered as refused duplicates that could not be found.
const DUPLICATES_MAX: usize = 10_000;

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "pagerduty",
    title: "PagerDuty",
    variables: &[
        Variable { name: API_KEY, required: true, secret: true },
        Variable { name: SERVICE_ID, required: true, secret: false },
        Variable { name: FROM_EMAIL, required: false, secret: false },
        Variable { name: API_URL, required: false, secret: false },
    ],
    operations: operations::OPERATIONS,
    hosts: &[".pagerduty.com"],
    rate: Some(RateLimit { requests: 960, per: Duration::from_secs(60) }),
    // The vendor advises to serialise requests per token; a few at once hide the latency.
    in_flight_max: 4,
    // Incidents are readable as soon as they exist, so the first look that is answered tells;
    // the rest is patience with a vendor that does not answer.
    settle_for: Duration::from_secs(120),
};

/// The connector.
#[derive(Debug, Default)]
pub struct PagerDuty {
    priorities: tokio::sync::Mutex<Priorities>,
    /// Effects that the vendor refused as duplicates although no look-up showed the incident.
    /// They exist, so no look-up may call them absent.
    duplicates: Mutex<BTreeSet<EffectKey>>,
}

#[derive(Debug, Default)]
enum Priorities {
    #[default]
    NotAsked,
    Known(Arc<Vec<Priority>>),
    Failed {
        at: Instant,
        why: String,
    },
}

#[async_trait]
impl Connector for PagerDuty {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, _: &Value) -> Result<Endpoint, EndpointError> {
        let base = parse_base(API_URL, variables.get(API_URL).unwrap_or(API_URL_DEFAULT))?;
        let auth = Auth::Authorization { prefix: "Token token=", credential: API_KEY };
        Ok(Endpoint { base, auth })
    }

    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        let request = with_headers(Request::get("/priorities"), call);
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        match reply.status {
            // Priorities depend on the account's plan; without them paging works all the same.
            402 | 404 => {}
            _ if reply.is_success() => {}
            _ => return Err(call.refused(&reply, &complaint(&reply).message())),
        }
        known_service(call).await
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        match call.operation {
            CREATE => self.create(call).await,
            READ => read(call).await,
            other => Err(call.parameters(format!("`{other}` is not implemented"))),
        }
    }

    async fn settle(
        &self,
        call: Call<'_>,
        _intended_at: Timestamp,
        _last: bool,
    ) -> Result<Settlement, CallError> {
        if call.operation != CREATE {
            let why = format!("`{}` leaves nothing to look up", call.operation);
            return Ok(Settlement::Unknown { why });
        }
        let (draft, _) = draft(call)?;
        let search = Search { incident_key: &draft.incident_key, service: &draft.service };
        let found = match search.run(call).await {
            Ok(found) => found,
            Err(error) => return Ok(Settlement::Unknown { why: error.to_string() }),
        };
        if let Some(oldest) = found.first() {
            return Ok(Settlement::Happened(outcome(oldest, &draft, true, &[])));
        }
        if self.is_known_duplicate(call.effect) {
            let why = format!(
                "an open incident with key `{}` exists on service `{}`, but a search over all \
                 statuses does not show it",
                draft.incident_key, draft.service
            );
            return Ok(Settlement::Unknown { why });
        }
        // INVARIANT (absence is safe at once): should the lost create still arrive, it and the
        // repetition carry the same key, and the vendor takes only the first of the two; the
        // other is refused as a duplicate, and adopted.
        Ok(Settlement::Absent)
    }

    fn pushback(&self, status: u16, headers: &HeaderMap, _body: &[u8]) -> Option<Pushback> {
        match standard_pushback(status, headers)? {
            Pushback::Unspecified => match seconds(headers, "ratelimit-reset") {
                Some(wait) if !wait.is_zero() => Some(Pushback::For(wait)),
                _ => Some(Pushback::Unspecified),
            },
            told => Some(told),
        }
    }

    fn budget(&self, headers: &HeaderMap) -> Option<BudgetReading> {
        let remaining = header(headers, "ratelimit-remaining")?.parse().ok()?;
        Some(BudgetReading { remaining, reset_in: seconds(headers, "ratelimit-reset")? })
    }
}

impl PagerDuty {
    async fn create(&self, call: Call<'_>) -> Result<Value, CallError> {
        let (mut draft, priority) = draft(call)?;
        let mut warnings = Vec::new();
        if let Some(name) = priority {
            match self.priority_id(call, &name).await {
                Ok(id) => draft.priority = Some(id),
                Err(why) => warnings.push(format!("paged without a priority: {why}")),
            }
        }
        for _ in 0..SENDS_MAX {
            let request = with_headers(Request::post("/incidents"), call).json(&draft.body());
            let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
            if reply.is_success() {
                return created(call, &reply, &draft, &warnings);
            }
            let complaint = complaint(&reply);
            match complaint.about(reply.status) {
                Refusal::Duplicate => return self.adopt(call, &draft, &warnings).await,
                Refusal::Priority if draft.priority.take().is_some() => {
                    *self.priorities.lock().await = Priorities::NotAsked;
                    let why = complaint.message();
                    warnings.push(format!("paged without a priority: {why}"));
                }
                Refusal::EscalationPolicy if draft.escalation_policy.is_some() => {
                    let id = draft.escalation_policy.take().unwrap_or_default();
                    let why = complaint.message();
                    warnings.push(format!(
                        "paged by the service's own escalation policy, not by `{id}`: {why}"
                    ));
                }
                Refusal::From => return Err(from_refused(call, &reply, &complaint)),
                // The vendor gave up waiting for itself; it may have finished all the same.
                _ if reply.status == 408 => return Err(unknown(call, &complaint.message())),
                Refusal::Priority | Refusal::EscalationPolicy | Refusal::Other => {
                    return Err(call.refused(&reply, &complaint.message()));
                }
            }
        }
        Err(CallError::Refused {
            vendor: SPEC.title,
            status: None,
            message: "neither with nor without its optional parts was the incident taken"
                .to_owned(),
        })
    }

    /// The incident that the vendor says is open already. Its refusal does not name it.
    async fn adopt(
        &self,
        call: Call<'_>,
        draft: &Draft,
        warnings: &[String],
    ) -> Result<Value, CallError> {
        let search = Search { incident_key: &draft.incident_key, service: &draft.service };
        let mut last = "a search over all statuses does not show it".to_owned();
        for look in 0..ADOPTION_LOOKS_MAX {
            if look > 0 {
                tokio::time::sleep(ADOPTION_PAUSE.saturating_mul(1 << (look - 1))).await;
            }
            match search.run(call).await {
                Ok(found) => {
                    let open = found.iter().find(|incident| incident.is_open());
                    if let Some(incident) = open.or(found.first()) {
                        return Ok(outcome(incident, draft, true, warnings));
                    }
                }
                Err(error) => last = error.to_string(),
            }
        }
        if let Some(effect) = call.effect {
            let mut known = self.duplicates.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() < DUPLICATES_MAX {
                known.insert(effect.clone());
            }
        }
        Err(unknown(call, &format!("an open incident carries this key, but {last}")))
    }

    fn is_known_duplicate(&self, effect: Option<&EffectKey>) -> bool {
        let known = self.duplicates.lock().unwrap_or_else(PoisonError::into_inner);
        effect.is_some_and(|effect| known.contains(effect))
    }

    /// The id of the priority called `name`, or why there is none.
    async fn priority_id(&self, call: Call<'_>, name: &str) -> Result<String, String> {
        let known = self.priorities(call).await?;
        if let Some(priority) = wire::priority_named(&known, name) {
            return Ok(priority.id.clone());
        }
        let shown = crate::text::one_line(name, 80);
        if known.is_empty() {
            return Err(format!("the account has no priorities, so no `{shown}`"));
        }
        let names: Vec<&str> = known.iter().map(|priority| priority.name.as_str()).collect();
        Err(format!("the account has no priority `{shown}`; it has {}", names.join(", ")))
    }

    async fn priorities(&self, call: Call<'_>) -> Result<Arc<Vec<Priority>>, String> {
        // The lock is held while asking, so that many pages at once ask once.
        let mut kept = self.priorities.lock().await;
        match &*kept {
            Priorities::Known(known) => return Ok(Arc::clone(known)),
            Priorities::Failed { at, why } if at.elapsed() < PRIORITIES_FAILURE_KEPT => {
                return Err(why.clone());
            }
            Priorities::Failed { .. } | Priorities::NotAsked => {}
        }
        match read_priorities(call).await {
            Ok(known) => {
                let known = Arc::new(known);
                *kept = Priorities::Known(Arc::clone(&known));
                Ok(known)
            }
            Err(error) => {
                let why = format!("the account's priorities cannot be read: {error}");
                *kept = Priorities::Failed { at: Instant::now(), why: why.clone() };
                Err(why)
            }
        }
    }
}

async fn read_priorities(call: Call<'_>) -> Result<Vec<Priority>, CallError> {
    let mut known = Vec::new();
    for page in 0..PRIORITY_PAGES_MAX {
        let mut request = Request::get("/priorities").query("limit", PRIORITIES_PAGE.to_string());
        if page > 0 {
            request = request.query("offset", (page * PRIORITIES_PAGE).to_string());
        }
        let request = with_headers(request, call);
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        // Not in the account's plan, or switched off.
        if matches!(reply.status, 402 | 404) {
            return Ok(known);
        }
        if !reply.is_success() {
            return Err(call.refused(&reply, &complaint(&reply).message()));
        }
        let body: Option<Value> = reply.json().ok();
        let list = body.and_then(|body| Page::read(&body, "priorities", PRIORITIES_PAGE));
        let list = list.ok_or_else(|| malformed(call, "a list of priorities", &reply))?;
        known.extend(list.items.iter().filter_map(Priority::read));
        if !list.more {
            break;
        }
    }
    Ok(known)
}

/// Whether the account has the service that is paged by default. A credential that may not look
/// at services pages all the same: only one that sees some, and not this one, is told so.
async fn known_service(call: Call<'_>) -> Result<(), CallError> {
    let service = call.variables.get(SERVICE_ID);
    // What is no id is told to whoever uses it: inputs may name another service.
    let Some(service) = service.and_then(|id| operations::checked_id(SERVICE_ID, id).ok()) else {
        return Ok(());
    };
    let look = async |path: &str| {
        let request = with_headers(Request::get(path), call);
        let sent = call.http.send(call.permit, request);
        tokio::time::timeout(LOOK_MAX, sent).await.ok()?.ok()
    };
    let Some(reply) = look(&format!("/services/{service}")).await else { return Ok(()) };
    if reply.status != 404 || !complaint(&reply).is_not_found() {
        return Ok(());
    }
    let Some(list) = look("/services?limit=1").await else { return Ok(()) };
    let body: Option<Value> = list.json().ok();
    let some = body.as_ref().and_then(|body| body.get("services")?.as_array()?.first());
    // Whoever has no list, and says so in other words, knows services by their id.
    let only_by_id = list.status == 404 && !complaint(&list).is_not_found();
    if some.is_none() && !only_by_id {
        return Ok(());
    }
    let told = complaint(&reply).message();
    Err(CallError::Refused {
        vendor: SPEC.title,
        status: Some(404),
        message: format!("no service has the {SERVICE_ID} that is set: {told}"),
    })
}

async fn read(call: Call<'_>) -> Result<Value, CallError> {
    let wanted = Wanted::read(call.params, call.variables.get(SERVICE_ID));
    match wanted.map_err(|message| call.parameters(message))? {
        Wanted::Id(id) => {
            let request = with_headers(Request::get(&format!("/incidents/{id}")), call);
            let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
            if reply.status == 404 {
                return Ok(json!({ "incidents": [] }));
            }
            if !reply.is_success() {
                return Err(call.refused(&reply, &complaint(&reply).message()));
            }
            let body: Option<Value> = reply.json().ok();
            let incident = body.and_then(|body| Incident::in_envelope(&body));
            let incident = incident.ok_or_else(|| malformed(call, "an incident", &reply))?;
            Ok(json!({ "incidents": [incident.shown()] }))
        }
        Wanted::Key { incident_key, service } => {
            let search = Search { incident_key: &incident_key, service: &service };
            let found = search.run(call).await?;
            let shown: Vec<Value> = found.iter().map(Incident::shown).collect();
            Ok(json!({ "incidents": shown }))
        }
    }
}

/// The incident that a call asks for, and the name of the priority it should have.
fn draft(call: Call<'_>) -> Result<(Draft, Option<String>), CallError> {
    let effect = call.effect.ok_or_else(|| call.parameters("needs an effect key"))?;
    let draft = Draft::read(call.params, effect.as_str(), call.variables.get(SERVICE_ID));
    draft.map_err(|message| call.parameters(message))
}

/// The result of a create that the vendor took.
fn created(
    call: Call<'_>,
    reply: &Response,
    draft: &Draft,
    warnings: &[String],
) -> Result<Value, CallError> {
    let body: Option<Value> = reply.json().ok();
    match body.and_then(|body| Incident::in_envelope(&body)) {
        Some(incident) => Ok(outcome(&incident, draft, false, warnings)),
        // It happened, but under a name that has yet to be found out.
        None => Err(unknown(call, &format!("taken, but the reply is `{}`", reply.excerpt()))),
    }
}

/// What a create returns, whether sent now or found later.
fn outcome(incident: &Incident, draft: &Draft, adopted: bool, warnings: &[String]) -> Value {
    json!({
        "id": incident.id,
        "number": incident.number,
        "url": incident.url,
        "status": incident.status.as_deref().unwrap_or("triggered"),
        "incident_key": draft.incident_key,
        "service": incident.service.as_deref().unwrap_or(&draft.service),
        "adopted": adopted,
        "warnings": warnings,
    })
}

/// The headers that the vendor wants on every request, GET included.
fn with_headers(request: Request, call: Call<'_>) -> Request {
    let request = request
        .header("accept", "application/vnd.pagerduty+json;version=2")
        .header("content-type", "application/json");
    match call.variables.get(FROM_EMAIL) {
        Some(email) => request.header("from", email),
        None => request,
    }
}

fn complaint(reply: &Response) -> Complaint {
    Complaint::read(reply.json::<Value>().ok().as_ref(), reply.excerpt())
}

fn from_refused(call: Call<'_>, reply: &Response, complaint: &Complaint) -> CallError {
    let advice = match call.variables.get(FROM_EMAIL) {
        Some(email) => format!("{FROM_EMAIL} is `{email}`, which is no user of the account"),
        None => format!("set {FROM_EMAIL} to the address of a user of the account"),
    };
    CallError::Refused {
        vendor: SPEC.title,
        status: Some(reply.status),
        message: format!("{}; {advice}", call.http.scrub(&complaint.message())),
    }
}

fn unknown(call: Call<'_>, message: &str) -> CallError {
    CallError::OutcomeUnknown { vendor: SPEC.title, message: call.http.scrub(message) }
}

fn malformed(call: Call<'_>, expected: &str, reply: &Response) -> CallError {
    let message = format!("expected {expected}, got `{}`", reply.excerpt());
    CallError::Malformed { vendor: SPEC.title, message: call.http.scrub(&message) }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn seconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    let seconds: f64 = header(headers, name)?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
