//! ServiceNow: tickets that wait for verification, and what is written to them.
//!
//! The vendor drops invalid terms of a query, ignores fields that the account may not write,
//! leaves out those that it may not read, and sends half a document with status 200. So every
//! row is checked against what was asked for ([`tickets`]), every write is read before and after
//! ([`update`]), and no reply counts before it is whole ([`rows`], [`listing`]).
//! Never a write to a record that changed since it was read, never a second note of one effect.
//!
//! Start at [`ServiceNow`]'s `perform` and `settle`.

mod choices;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hosts;
mod instance;
mod listing;
mod operations;
mod patch;
mod query;
mod rows;
#[cfg(test)]
mod tests;
mod tickets;
mod trace;
mod update;
mod vulnerabilities;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arx_gateway::http::{is_loopback, standard_pushback};
use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, HeaderMap, Pushback,
    Request, Response, Settlement, Variable, Variables,
};
use arx_types::EffectKey;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use operations::{READ, UPDATE};
use rows::{Trouble, complaint};
use update::Update;

const INSTANCE: &str = "SNOW_INSTANCE";
const USERNAME: &str = "SNOW_USERNAME";
const PASSWORD: &str = "SNOW_PASSWORD";

/// How long an update may still be on its way through the instance after its connection or its
/// sender was lost, unless the setting `in_flight_ms` says: the instance cuts its transactions at
/// 60 seconds.
const IN_FLIGHT: Duration = Duration::from_secs(65);
/// The same on loopback, where no instance is.
const IN_FLIGHT_LOOPBACK: Duration = Duration::from_secs(10);
/// Longest that the setting can say.
const IN_FLIGHT_MAX: Duration = Duration::from_secs(600);
/// How long an update can wait for its turn before it is sent, and then some: an intent older
/// than this has nothing on its way.
const INTENT_STALE: SignedDuration = SignedDuration::from_hours(3);
/// How long a login that was refused is not tried again: an instance locks accounts that fail
/// several times in a row, and a run has many requests.
const LOGIN_REFUSED_KEPT: Duration = Duration::from_secs(300);
/// Most effects whose updates are remembered as unsettled.
const UNSETTLED_MAX: usize = 10_000;

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "servicenow",
    title: "ServiceNow",
    variables: &[
        Variable { name: INSTANCE, required: true, secret: false },
        Variable { name: USERNAME, required: true, secret: false },
        Variable { name: PASSWORD, required: true, secret: true },
    ],
    operations: operations::OPERATIONS,
    hosts: &[".service-now.com"],
    // Limits are rules of each instance's administrator; there is none by default.
    rate: None,
    // An instance has a handful of workers for such calls, which others use too.
    in_flight_max: 8,
    // A record can be read as soon as it is written; the rest is patience with an instance that
    // does not answer.
    settle_for: Duration::from_secs(10),
};

/// The connector.
#[derive(Debug, Default)]
pub struct ServiceNow {
    choices: tokio::sync::Mutex<choices::Kept>,
    /// Updates that were sent and have no certain outcome, with the last moment at which they
    /// can have been sent.
    unsettled: Mutex<HashMap<EffectKey, Option<Instant>>>,
    /// When the login was refused, and in what words.
    login_refused: Mutex<Option<(Instant, String)>>,
}

#[async_trait]
impl Connector for ServiceNow {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError> {
        let missing = || EndpointError { variable: INSTANCE, problem: "is not set".to_owned() };
        let base = instance::base(variables.get(INSTANCE).ok_or_else(missing)?)?;
        in_flight(settings).map_err(|problem| EndpointError {
            variable: "connectors.servicenow.settings.in_flight_ms",
            problem,
        })?;
        Ok(Endpoint { base, auth: Auth::Basic { user: USERNAME, password: PASSWORD } })
    }

    /// One ticket. That the account may not read the table proves its login all the same.
    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        let request = Request::get("/api/now/table/incident")
            .header("accept", "application/json")
            .query("sysparm_limit", "1")
            .query("sysparm_fields", "sys_id");
        let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
        if reply.is_success() {
            return rows::rows(&reply).map(drop).map_err(|trouble| unreadable(call, &trouble));
        }
        match reply.status {
            400 | 403 | 404 if rows::is_vendors(&reply) => Ok(()),
            401 => Err(call.refused(&reply, &complaint(&reply))),
            status => Err(CallError::Refused {
                vendor: SPEC.title,
                status: Some(status),
                message: call
                    .http
                    .scrub(&format!("no instance answers at {INSTANCE}: {}", complaint(&reply))),
            }),
        }
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        self.check_login()?;
        let performed = match call.operation {
            READ => tickets::read(self, call).await,
            UPDATE => self.update(call).await,
            other => Err(call.parameters(format!("`{other}` is not implemented"))),
        };
        if let Err(error) = &performed {
            self.note_login(error);
        }
        performed
    }

    async fn settle(
        &self,
        call: Call<'_>,
        intended_at: Timestamp,
        last: bool,
    ) -> Result<Settlement, CallError> {
        if call.operation != UPDATE {
            let why = format!("`{}` leaves nothing to look up", call.operation);
            return Ok(Settlement::Unknown { why });
        }
        let update = Update::of(call)?;
        let effect = call.effect.ok_or_else(|| call.parameters("needs an effect key"))?;
        let in_flight = in_flight(call.settings)
            .map_err(|problem| call.parameters(format!("the setting `in_flight_ms` {problem}")))?;
        let in_flight = in_flight.unwrap_or(match is_loopback(call.http.base()) {
            true => IN_FLIGHT_LOOPBACK,
            false => IN_FLIGHT,
        });
        let pending = if call.now.duration_since(intended_at) > INTENT_STALE {
            Duration::ZERO
        } else {
            let sent_at = self.sent_at(effect);
            sent_at.map_or(Duration::ZERO, |at| in_flight.saturating_sub(at.elapsed()))
        };
        if last {
            // After this look the answer stands, so the update must not be on its way any more.
            tokio::time::sleep(pending).await;
        }
        let looked = match self.check_login() {
            Ok(()) => update.settle(call, last || pending.is_zero()).await,
            Err(error) => Err(error),
        };
        let settled = match looked {
            Ok(settled) => settled,
            Err(error) => {
                self.note_login(&error);
                return Ok(Settlement::Unknown { why: error.to_string() });
            }
        };
        match settled {
            Settlement::Happened(_) | Settlement::Absent => self.forget(effect),
            Settlement::Unknown { .. } => {}
        }
        Ok(settled)
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
}

impl ServiceNow {
    async fn update(&self, call: Call<'_>) -> Result<Value, CallError> {
        let update = Update::of(call)?;
        let effect = call.effect.ok_or_else(|| call.parameters("needs an effect key"))?;
        let mut answered = false;
        let written = update.perform(call, || self.begin(effect), &mut answered).await;
        match &written {
            // The wait for a reply may have been long; what is on its way is younger.
            Err(CallError::OutcomeUnknown { .. }) if !answered => self.begin(effect),
            Err(CallError::OutcomeUnknown { .. }) => self.note(effect, None),
            Ok(_) | Err(_) => self.forget(effect),
        }
        written
    }

    /// Refuses to ask while the login is known to be refused.
    fn check_login(&self) -> Result<(), CallError> {
        let refused = self.login_refused.lock().unwrap_or_else(PoisonError::into_inner);
        match &*refused {
            Some((at, words)) if at.elapsed() < LOGIN_REFUSED_KEPT => Err(CallError::Credential {
                vendor: SPEC.title,
                variables: format!("{USERNAME} and {PASSWORD}"),
                message: words.clone(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn note_login(&self, error: &CallError) {
        let CallError::Credential { message, .. } = error else { return };
        let mut refused = self.login_refused.lock().unwrap_or_else(PoisonError::into_inner);
        let known = refused.as_ref().is_some_and(|(at, _)| at.elapsed() < LOGIN_REFUSED_KEPT);
        if !known {
            *refused = Some((Instant::now(), message.clone()));
        }
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, HashMap<EffectKey, Option<Instant>>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, effect: &EffectKey) {
        self.note(effect, Some(Instant::now()));
    }

    /// Remembers when an update was sent; none says that the instance has answered it.
    fn note(&self, effect: &EffectKey, sent_at: Option<Instant>) {
        let mut unsettled = self.unsettled();
        if unsettled.len() < UNSETTLED_MAX || unsettled.contains_key(effect) {
            unsettled.insert(effect.clone(), sent_at);
        }
    }

    /// The last moment at which an update of this effect can have been sent; none where nothing
    /// of it is on its way. What another process sent, which may have ended just now, was sent
    /// before this one is first asked about it.
    fn sent_at(&self, effect: &EffectKey) -> Option<Instant> {
        let now = Instant::now();
        let mut unsettled = self.unsettled();
        if unsettled.len() < UNSETTLED_MAX {
            return *unsettled.entry(effect.clone()).or_insert(Some(now));
        }
        // Not among those remembered, so it may have been sent just now.
        unsettled.get(effect).copied().unwrap_or(Some(now))
    }

    fn forget(&self, effect: &EffectKey) {
        self.unsettled().remove(effect);
    }
}

/// The setting `in_flight_ms`.
fn in_flight(settings: &Value) -> Result<Option<Duration>, String> {
    match settings.get("in_flight_ms") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let wait = value.as_u64().map(Duration::from_millis);
            wait.filter(|wait| *wait <= IN_FLIGHT_MAX).map(Some).ok_or_else(|| {
                format!("is not a whole number of at most {} ms", IN_FLIGHT_MAX.as_millis())
            })
        }
    }
}

/// When the administrator's limit is whole again: `X-RateLimit-Reset` is an instant, and is
/// compared with the reply's own clock.
fn reset_in(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let reset: i64 = text("x-ratelimit-reset")?.parse().ok()?;
    let date = jiff::fmt::rfc2822::parse(text("date")?).ok()?.timestamp();
    Duration::try_from(Timestamp::from_second(reset).ok()?.duration_since(date)).ok()
}

/// The error for a table or record that the vendor does not give.
fn refused(call: Call<'_>, reply: &Response, table: &str) -> CallError {
    let words = complaint(reply);
    if reply.status == 401 {
        return call.refused(reply, &words);
    }
    let advice = match reply.status {
        403 => format!("the account may not read table `{table}`; give it a role that may"),
        400 | 404 => format!("there is no table `{table}`, or the account may not read it"),
        _ => format!("table `{table}`"),
    };
    CallError::Refused {
        vendor: SPEC.title,
        status: Some(reply.status),
        message: call.http.scrub(&format!("{advice}: {words}")),
    }
}

fn unreadable(call: Call<'_>, trouble: &Trouble) -> CallError {
    CallError::Malformed { vendor: SPEC.title, message: call.http.scrub(&trouble.to_string()) }
}
