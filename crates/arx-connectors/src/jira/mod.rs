//! Jira: one ticket per effect key, on Cloud and on Data Center.
//!
//! The vendor has no idempotency key. Every create carries a marker (label and issue property),
//! is sent once, and is never repeated before [`trace`] has shown that no ticket carries its
//! marker. Ids are discovered per project ([`schema`]) and what a project does not have is left
//! out rather than losing the ticket ([`draft`]).
//! Never a search as proof of absence: it lags behind by minutes.
//!
//! Start at [`Jira`]'s `perform` and `settle`.

mod document;
mod draft;
#[cfg(fuzzing)]
pub mod fuzzing;
mod operations;
mod project;
mod schema;
mod site;
#[cfg(test)]
mod tests;
mod trace;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arx_gateway::http::{parse_base, standard_pushback};
use arx_gateway::{
    Auth, BudgetReading, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError,
    HeaderMap, Pushback, RateLimit, Request, Response, Settlement, Variable, Variables,
};
use arx_types::EffectKey;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use draft::Draft;
use operations::{CREATE, Link, READ, Sought, Wanted};
use project::Project;
use site::{Deployment, Site};
use trace::{Marker, Walk, Walked};
use wire::{Complaint, Issue};

const URL: &str = "JIRA_URL";
const EMAIL: &str = "JIRA_EMAIL";
const API_TOKEN: &str = "JIRA_API_TOKEN";
const PROJECT_KEY: &str = "JIRA_PROJECT_KEY";

/// How often one `perform` may send a create: each but the first after the vendor refused, so
/// that nothing happened, and a field gave way.
const SENDS_MAX: usize = 8;
/// How long a create whose reply was lost may still be on its way through the vendor, unless the
/// setting `in_flight_ms` says. Before that, not finding it proves nothing.
const IN_FLIGHT: Duration = Duration::from_secs(15);
/// Longest that the setting can say.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(600);
/// How long a create can wait for the rate budget before it is sent, and then some: an intent
/// older than this has nothing on its way.
const INTENT_STALE: SignedDuration = SignedDuration::from_hours(3);
/// How long the search may lag behind; the vendor speaks of seconds, sometimes minutes.
const SEARCH_LAG_MAX: SignedDuration = SignedDuration::from_secs(120);
/// Longest `globalId` of a remote link.
const GLOBAL_ID_BYTES_MAX: usize = 255;
/// Most effects whose creates are remembered as unsettled.
const UNSETTLED_MAX: usize = 10_000;
/// Most concessions to projects' screens that are remembered.
const CONCEDED_MAX: usize = 1_000;

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "jira",
    title: "Jira",
    variables: &[
        Variable { name: URL, required: true, secret: false },
        Variable { name: API_TOKEN, required: true, secret: true },
        Variable { name: PROJECT_KEY, required: true, secret: false },
        Variable { name: EMAIL, required: false, secret: false },
    ],
    operations: operations::OPERATIONS,
    hosts: &[".atlassian.net", ".atlassian.com"],
    // Per endpoint and method at the vendor; here for all of them together.
    rate: Some(RateLimit { requests: 100, per: Duration::from_secs(1) }),
    in_flight_max: 8,
    // As long as the search may lag behind. Direct reads usually settle sooner.
    settle_for: Duration::from_secs(120),
};

/// The connector.
#[derive(Debug, Default)]
pub struct Jira {
    site: OnceCell<Site>,
    projects: Mutex<BTreeMap<String, Arc<Project>>>,
    /// Creates that were begun and have no certain outcome.
    unsettled: Mutex<HashMap<EffectKey, Attempt>>,
    /// How far fields had to give way, by project, issue type and wish.
    conceded: Mutex<HashMap<String, (usize, Option<String>)>>,
    no_bulk: AtomicBool,
}

/// A create that was begun.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    /// A key number taken before it was sent.
    floor: Option<u64>,
    /// The last moment at which it can have been sent.
    since: Instant,
}

#[async_trait]
impl Connector for Jira {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError> {
        let missing = || EndpointError { variable: URL, problem: "is not set".to_owned() };
        let mut base = parse_base(URL, variables.get(URL).ok_or_else(missing)?)?;
        base.set_query(None);
        base.set_fragment(None);
        let wrong = |variable| move |problem| EndpointError { variable, problem };
        Deployment::setting(settings).map_err(wrong("connectors.jira.settings.deployment"))?;
        in_flight(settings).map_err(wrong("connectors.jira.settings.in_flight_ms"))?;
        let auth = if variables.is_set(EMAIL) {
            Auth::Basic { user: EMAIL, password: API_TOKEN }
        } else {
            Auth::Authorization { prefix: "Bearer ", credential: API_TOKEN }
        };
        Ok(Endpoint { base, auth })
    }

    /// Asks who we are: with a credential that is not accepted other reads may fall back to an
    /// anonymous user, who sees nothing and is told so with status 200.
    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        let site = self.site(call).await?;
        site::probe(call, site).await?;
        match call.variables.get(PROJECT_KEY) {
            Some(key) => schema::known_project(call, site, key).await,
            None => Ok(()),
        }
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        match call.operation {
            CREATE => self.create(call).await,
            READ => self.read(call).await,
            other => Err(call.parameters(format!("`{other}` is not implemented"))),
        }
    }

    async fn settle(
        &self,
        call: Call<'_>,
        intended_at: Timestamp,
        last: bool,
    ) -> Result<Settlement, CallError> {
        if call.operation != CREATE {
            let why = format!("`{}` leaves nothing to look up", call.operation);
            return Ok(Settlement::Unknown { why });
        }
        let (effect, wanted) = asked(call)?;
        let attempt = self.attempt(effect);
        let age = call.now.duration_since(intended_at);
        let in_flight = in_flight(call.settings)
            .map_err(|problem| call.parameters(format!("the setting `in_flight_ms` {problem}")))?;
        let pending = if age > INTENT_STALE {
            Duration::ZERO
        } else {
            in_flight.saturating_sub(attempt.since.elapsed())
        };
        if last {
            // After this look the answer stands, so the create must not be on its way any more.
            tokio::time::sleep(pending).await;
        }
        let quiet = last || pending.is_zero();
        let walked = match self.look(call, &wanted, effect, attempt, intended_at).await {
            Ok(walked) => walked,
            Err(error) => return Ok(Settlement::Unknown { why: error.to_string() }),
        };
        let absent = match walked {
            Walked::Found(issue) => {
                let site = self.site(call).await?;
                self.forget(effect);
                let warnings = link_warnings(call, site, &issue, &wanted).await;
                return Ok(Settlement::Happened(outcome(site, &issue, true, &warnings)));
            }
            // INVARIANT (absence is proven): nothing of this effect is on its way any more, and
            // every key that its ticket could have was read from the vendor's store, not from
            // its index.
            Walked::Nowhere { .. } if quiet => true,
            Walked::GaveUp => last && age >= SEARCH_LAG_MAX,
            Walked::Nowhere { from, to } => {
                let project = &wanted.project;
                let why = format!(
                    "no ticket from {project}-{from} to {project}-{to} is this effect's, but the \
                     create may still be on its way"
                );
                return Ok(Settlement::Unknown { why });
            }
        };
        if !absent {
            let why = format!(
                "the search shows no ticket with label `{}`, and project `{}` has too many \
                 recent tickets to read each",
                Marker::new(effect).label,
                wanted.project
            );
            return Ok(Settlement::Unknown { why });
        }
        // INVARIANT (who sees nothing proves nothing): all of this was read by a user who is
        // known to the vendor and may see the project.
        Ok(match site::sees(call, self.site(call).await?, &wanted.project).await {
            Ok(()) => Settlement::Absent,
            Err(error) => Settlement::Unknown { why: error.to_string() },
        })
    }

    fn pushback(&self, status: u16, headers: &HeaderMap, _body: &[u8]) -> Option<Pushback> {
        match standard_pushback(status, headers)? {
            Pushback::Unspecified => match reset_in(headers) {
                Some(wait) if !wait.is_zero() => Some(Pushback::For(wait)),
                _ => Some(Pushback::Unspecified),
            },
            told => Some(told),
        }
    }

    fn budget(&self, headers: &HeaderMap) -> Option<BudgetReading> {
        let remaining = header(headers, "x-ratelimit-remaining")?.parse().ok()?;
        Some(BudgetReading { remaining, reset_in: reset_in(headers)? })
    }
}

impl Jira {
    async fn create(&self, call: Call<'_>) -> Result<Value, CallError> {
        let (effect, wanted) = asked(call)?;
        let marker = Marker::new(effect);
        let site = self.site(call).await?;
        let project = self.project(&wanted.project);
        let screen = project.screen(call, site, wanted.issue_type.as_deref()).await?;
        let draft = Draft::new(&wanted, &screen, site.deployment, &marker);
        let mut draft = draft.map_err(|message| call.parameters(message))?;
        let place = format!("{}\n{}\n", wanted.project, wanted.issue_type.as_deref().unwrap_or(""));
        draft.concede(|signature| self.conceded(&format!("{place}{signature}")));

        if let Some(issue) = self.present(call, site, &project, &marker, effect).await {
            let warnings = link_warnings(call, site, &issue, &wanted).await;
            return Ok(outcome(site, &issue, true, &warnings));
        }
        // INVARIANT (the floor is noted before the send): the ticket's key will be above it.
        let floor = project.floor(call, site).await;
        self.begin(effect, floor);
        let sent = send(call, site, &mut draft).await;
        match &sent {
            Err(CallError::OutcomeUnknown { .. }) => self.begin(effect, floor),
            Err(CallError::Refused { .. }) => {
                project.forget_screens().await;
                self.forget(effect);
            }
            Ok(_) | Err(_) => self.forget(effect),
        }
        let issue = sent?;
        for (signature, next, words) in draft.concessions() {
            self.remember_concession(format!("{place}{signature}"), next, words);
        }
        if let Some(number) = issue.number_in(&project.key) {
            project.note(number);
        }
        let mut warnings = draft.warnings;
        warnings.extend(link(call, site, &issue, wanted.link.as_ref()).await);
        Ok(outcome(site, &issue, false, &warnings))
    }

    async fn read(&self, call: Call<'_>) -> Result<Value, CallError> {
        let sought = Sought::read(call.params, call.variables.get(PROJECT_KEY));
        let site = self.site(call).await?;
        let key = match sought.map_err(|message| call.parameters(message))? {
            Sought::Key(key) => Some(key),
            Sought::Effect { effect_key, project } => {
                let effect: EffectKey = effect_key
                    .parse()
                    .map_err(|error: arx_types::IdError| call.parameters(error.to_string()))?;
                let found = Marker::new(&effect).search(call, site, &project).await?;
                found.map(|(issue, _)| issue.key)
            }
        };
        let Some(key) = key else { return Ok(json!({ "issues": [] })) };
        let fields = "summary,status,priority,labels,resolution,created,updated";
        let request = Request::get(&format!("{}/issue/{key}", site.api)).query("fields", fields);
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        if reply.status == 404 {
            return Ok(json!({ "issues": [] }));
        }
        if !reply.is_success() {
            return Err(call.refused(&reply, &Complaint::of(&reply).message()));
        }
        let issue: Option<Value> = reply.json().ok();
        let shown = issue.and_then(|issue| wire::shown(&issue, &site.browse));
        let shown = shown.ok_or_else(|| malformed(call, "an issue", &reply))?;
        Ok(json!({ "issues": [shown] }))
    }

    /// A ticket of this effect that is there already, although no create of it is remembered:
    /// the record of an earlier run was lost. One that is done is of an earlier episode then,
    /// unless this process itself may have made it.
    async fn present(
        &self,
        call: Call<'_>,
        site: &Site,
        project: &Project,
        marker: &Marker,
        effect: &EffectKey,
    ) -> Option<Issue> {
        if project.label_search.lasts() {
            return None;
        }
        let begun = self.unsettled().contains_key(effect);
        match marker.search(call, site, &project.key).await {
            Ok(found) => {
                let (issue, reply) = found?;
                (begun || !wire::is_done(&reply)).then_some(issue)
            }
            Err(_) => {
                // This look is a second net. Creating must not depend on the search.
                project.label_search.begin();
                None
            }
        }
    }

    /// Looks for the ticket of a create whose reply was lost: by search, then key by key. What
    /// fails is no reason not to look on, but a reason not to call the ticket absent.
    async fn look(
        &self,
        call: Call<'_>,
        wanted: &Wanted,
        effect: &EffectKey,
        attempt: Attempt,
        intended_at: Timestamp,
    ) -> Result<Walked, CallError> {
        let marker = Marker::new(effect);
        let site = self.site(call).await?;
        let project = self.project(&wanted.project);
        let mut failure = None;
        match marker.search(call, site, &project.key).await {
            Ok(Some((issue, _))) => return Ok(Walked::Found(issue)),
            Ok(None) => {}
            Err(error) => failure = Some(error),
        }
        let mut behind = SignedDuration::ZERO;
        match trace::highest(call, site, &project.key).await {
            Ok((top, clock)) => {
                project.note(top);
                // One that looks ahead of ours counts for nothing: where ours was set back since
                // the intent, the walk would end before the ticket.
                behind = clock.map_or(behind, |clock| call.now.duration_since(clock).max(behind));
            }
            Err(error) => failure = failure.or(Some(error)),
        }
        let Some(top) = project.highest().max(attempt.floor) else {
            return match failure {
                Some(error) => Err(error),
                None => Ok(Walked::GaveUp),
            };
        };
        let walk = Walk {
            site,
            project: &project.key,
            marker: &marker,
            floor: attempt.floor,
            top,
            intended_at: intended_at.saturating_sub(behind).unwrap_or(intended_at),
            no_bulk: &self.no_bulk,
        };
        match (walk.run(call).await?, failure) {
            (Walked::Nowhere { .. } | Walked::GaveUp, Some(error)) => Err(error),
            (walked, _) => Ok(walked),
        }
    }

    async fn site(&self, call: Call<'_>) -> Result<&Site, CallError> {
        self.site.get_or_try_init(|| site::detect(call)).await
    }

    fn project(&self, key: &str) -> Arc<Project> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let project = projects.entry(key.to_owned()).or_insert_with(|| Arc::new(Project::new(key)));
        Arc::clone(project)
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, HashMap<EffectKey, Attempt>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a create is, or may still be, on its way. An earlier attempt's floor stands:
    /// its ticket would be the older one.
    fn begin(&self, effect: &EffectKey, floor: Option<u64>) {
        let mut unsettled = self.unsettled();
        let since = Instant::now();
        if let Some(known) = unsettled.get_mut(effect) {
            known.since = since;
            known.floor = known.floor.or(floor);
            return;
        }
        if unsettled.len() < UNSETTLED_MAX {
            unsettled.insert(effect.clone(), Attempt { floor, since });
        }
    }

    /// What is known of a create. One of another process, which may have ended or lost its run
    /// just now, was sent before this one is first asked about it.
    fn attempt(&self, effect: &EffectKey) -> Attempt {
        let unknown = Attempt { floor: None, since: Instant::now() };
        let mut unsettled = self.unsettled();
        if unsettled.len() < UNSETTLED_MAX {
            return *unsettled.entry(effect.clone()).or_insert(unknown);
        }
        // Not among those remembered, so it may have been sent just now.
        unsettled.get(effect).copied().unwrap_or(unknown)
    }

    fn forget(&self, effect: &EffectKey) {
        self.unsettled().remove(effect);
    }

    fn conceded(&self, wish: &str) -> Option<(usize, Option<String>)> {
        self.conceded.lock().unwrap_or_else(PoisonError::into_inner).get(wish).cloned()
    }

    fn remember_concession(&self, wish: String, next: usize, words: Option<String>) {
        let mut conceded = self.conceded.lock().unwrap_or_else(PoisonError::into_inner);
        if conceded.len() < CONCEDED_MAX {
            conceded.insert(wish, (next, words));
        }
    }
}

/// Sends a create, giving way where the vendor refuses.
async fn send(call: Call<'_>, site: &Site, draft: &mut Draft) -> Result<Issue, CallError> {
    let path = format!("{}/issue", site.api);
    let mut refusal = None;
    for _ in 0..SENDS_MAX {
        let request = Request::post(&path).json(&draft.body());
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        if reply.is_success() {
            let body: Option<Value> = reply.json().ok();
            // Without its key it happened all the same, and has yet to be found.
            return body.as_ref().and_then(Issue::read).ok_or_else(|| {
                unknown(call, &format!("taken, but the reply is `{}`", reply.excerpt()))
            });
        }
        let complaint = Complaint::of(&reply);
        let message = complaint.message();
        // The vendor gave up waiting for itself; it may have finished all the same.
        if reply.status == 408 {
            return Err(unknown(call, &message));
        }
        let error = call.refused(&reply, &message);
        if !matches!(reply.status, 400 | 422) || !draft.yield_to(&complaint) {
            return Err(error);
        }
        refusal = Some(error);
    }
    Err(refusal.unwrap_or_else(|| call.parameters("was refused")))
}

/// Links a ticket to the page it belongs to. The vendor updates a link with the same `globalId`,
/// so this can be repeated; the ticket stands without it.
async fn link(call: Call<'_>, site: &Site, issue: &Issue, link: Option<&Link>) -> Option<String> {
    let link = link?;
    let body = json!({
        "globalId": global_id(link),
        "relationship": "escalated by",
        "object": {"url": link.url, "title": link.title},
    });
    let path = format!("{}/issue/{}/remotelink", site.api, issue.key);
    let request = Request::post(&path).replay_safe().json(&body);
    let why = match call.http.send(call.permit, request).await {
        Ok(reply) if reply.is_success() => return None,
        Ok(reply) => call.refused(&reply, &Complaint::of(&reply).message()),
        Err(error) => call.failed(error),
    };
    Some(format!("not linked to {}: {why}", link.url))
}

async fn link_warnings(call: Call<'_>, site: &Site, issue: &Issue, wanted: &Wanted) -> Vec<String> {
    link(call, site, issue, wanted.link.as_ref()).await.into_iter().collect()
}

/// What makes a remote link the same link when it is set again.
fn global_id(link: &Link) -> String {
    let system = url::Url::parse(&link.url).map(|url| url.origin().ascii_serialization());
    let id = link.id.as_deref().unwrap_or(&link.url);
    let whole = format!("system={}&id={id}", system.unwrap_or_default());
    if whole.len() <= GLOBAL_ID_BYTES_MAX {
        return whole;
    }
    format!("sha256={}", hex::encode(Sha256::digest(whole.as_bytes())))
}

/// How long a create may be on its way, as set or by default.
fn in_flight(settings: &Value) -> Result<Duration, String> {
    let Some(value) = settings.get("in_flight_ms").filter(|value| !value.is_null()) else {
        return Ok(IN_FLIGHT);
    };
    let wait = value.as_u64().map(Duration::from_millis).filter(|wait| *wait <= IN_FLIGHT_MAX);
    wait.ok_or_else(|| format!("is not a number up to {}", IN_FLIGHT_MAX.as_millis()))
}

/// What a create is asked for.
fn asked<'a>(call: Call<'a>) -> Result<(&'a EffectKey, Wanted), CallError> {
    let effect = call.effect.ok_or_else(|| call.parameters("needs an effect key"))?;
    let wanted = Wanted::read(call.params, call.variables.get(PROJECT_KEY));
    Ok((effect, wanted.map_err(|message| call.parameters(message))?))
}

/// What a create returns, whether sent now or found later.
fn outcome(site: &Site, issue: &Issue, adopted: bool, warnings: &[String]) -> Value {
    json!({
        "id": issue.id,
        "key": issue.key,
        "url": format!("{}/browse/{}", site.browse, issue.key),
        "adopted": adopted,
        "warnings": warnings,
    })
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

/// Until the budget is whole again, by the vendor's own clock.
fn reset_in(headers: &HeaderMap) -> Option<Duration> {
    let now = jiff::fmt::rfc2822::parse(header(headers, "date")?).ok()?.timestamp();
    let reset: Timestamp = header(headers, "x-ratelimit-reset")?.parse().ok()?;
    Some(Duration::try_from(reset.duration_since(now)).unwrap_or_default())
}
