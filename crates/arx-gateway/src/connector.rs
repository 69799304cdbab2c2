//! What a connector is to the gate: a catalogue, an endpoint, and three things it can do with a
//! permit in hand.
//!
//! A connector builds requests and reads replies. It never holds a secret (it names the variables
//! that hold them), never opens a connection of its own, and never decides whether it may act.

use std::sync::Arc;
use std::time::Duration;

use arx_types::{EffectKey, FindingSink, OperationSpec, SinkError};
use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::cache::Cache;
use crate::credentials::Variables;
use crate::http::{GovernedHttp, HttpError, RateLimit, Response};
use crate::permit::Permit;

/// A vendor's catalogue entry: everything known without talking to it.
#[derive(Debug)]
pub struct ConnectorSpec {
    /// The service's name, `pagerduty`.
    pub name: &'static str,
    /// The service's name for people, `PagerDuty`.
    pub title: &'static str,
    /// Environment variables it is configured by.
    pub variables: &'static [Variable],
    /// Operations, including those that are only named so that refusing them is recorded.
    pub operations: &'static [OperationSpec],
    /// Host suffixes of the vendor's own service; its documented limit is the default there.
    pub hosts: &'static [&'static str],
    /// The vendor's documented limit on those hosts.
    pub rate: Option<RateLimit>,
    /// Most requests in flight at once, anywhere.
    pub in_flight_max: usize,
    /// How long [`Connector::settle`] keeps looking before it answers, unless arx.yaml says.
    pub settle_for: Duration,
}

impl ConnectorSpec {
    /// The catalogue entry of an operation.
    #[must_use]
    pub fn operation(&self, name: &str) -> Option<&'static OperationSpec> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}

/// An environment variable that configures a connector.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its exact name.
    pub name: &'static str,
    /// Whether the connector works without it.
    pub required: bool,
    /// Whether its value must never be seen.
    pub secret: bool,
}

/// Where the vendor is and how a request proves who sends it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Base of every request path, without a trailing slash in its path.
    pub base: Url,
    /// How the credential is added.
    pub auth: Auth,
}

/// How a credential is added to a request, by the names of the variables that hold it.
#[derive(Clone, Debug)]
pub enum Auth {
    /// RFC 7617 Basic.
    Basic {
        /// Variable of the user name.
        user: &'static str,
        /// Variable of the password.
        password: &'static str,
    },
    /// `Authorization: <prefix><value>`, e.g. `Bearer ` or `Token token=`.
    Authorization {
        /// Text before the credential, with its space.
        prefix: &'static str,
        /// Variable of the credential.
        credential: &'static str,
    },
    /// OAuth 2.0 client credentials (RFC 6749 section 4.4), client id and secret in the form.
    ClientCredentials {
        /// Token endpoint.
        token_url: Url,
        /// Variable of the client id.
        client_id: &'static str,
        /// Variable of the client secret.
        client_secret: &'static str,
        /// Further form fields, e.g. `audience`.
        form: Vec<(&'static str, String)>,
    },
}

/// A variable whose value makes no endpoint.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{variable} {problem}")]
pub struct EndpointError {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong with it, never its value where it is secret.
    pub problem: String,
}

/// One permitted call.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// Proof that the gate permitted it.
    pub permit: &'a Permit,
    /// The only way to the vendor.
    pub http: &'a GovernedHttp,
    /// `resource:verb`.
    pub operation: &'a str,
    /// Parameters as the workflow gave them.
    pub params: &'a Value,
    /// The effect's key; present for writes.
    pub effect: Option<&'a EffectKey>,
    /// Where findings go; present for operations that stream findings.
    pub findings: Option<&'a Arc<dyn FindingSink>>,
    /// `connectors.<name>.settings` of arx.yaml.
    pub settings: &'a Value,
    /// Facts that outlive a run, such as a scanner's knowledge base.
    pub cache: &'a dyn Cache,
    /// Non-secret configuration variables.
    pub variables: &'a Variables,
    /// The journal's time when the call began.
    pub now: Timestamp,
}

/// What `settle` found out about an effect whose outcome is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// It happened; the same value that the write would have returned.
    Happened(Value),
    /// It provably did not happen; sending it (again) makes one effect.
    Absent,
    /// The vendor cannot tell.
    Unknown {
        /// What was looked at, for the human who decides.
        why: String,
    },
}

/// Why a permitted call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The parameters make no request; nothing was sent.
    #[error("{operation}: {message}")]
    Parameters {
        /// The operation.
        operation: String,
        /// What is wrong and what to write instead.
        message: String,
    },
    /// Inputs or settings do not fit the vendor's account, such as a state that it does not have;
    /// nothing was sent that changes anything.
    #[error("configuration: {message}")]
    Configuration {
        /// What does not fit, by the key of arx.yaml, and what would.
        message: String,
    },
    /// The vendor answered, and refused; for a write this means that nothing happened.
    #[error("{vendor} refused the request{}: {message}", status.map(|s| format!(" with status {s}")).unwrap_or_default())]
    Refused {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// HTTP status, where the refusal was one.
        status: Option<u16>,
        /// The vendor's words.
        message: String,
    },
    /// What the write expected to find is no longer so; nothing was sent.
    #[error("{vendor}: left alone: {message}")]
    Moved {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// What was expected and what was found.
        message: String,
    },
    /// The vendor does not accept the credential.
    #[error("{vendor} does not accept {variables}: {message}")]
    Credential {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// Names of the variables that hold the credential.
        variables: String,
        /// The vendor's words.
        message: String,
    },
    /// Nothing came back within the limits, and nothing can have happened.
    #[error("{vendor} cannot be reached: {message}")]
    Unreachable {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// What went wrong last.
        message: String,
    },
    /// The vendor answered something that is not its own protocol.
    #[error("{vendor} sent a reply that cannot be read: {message}")]
    Malformed {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// What was expected and what came.
        message: String,
    },
    /// The request was sent and its outcome is not known.
    #[error("{vendor}: outcome unknown: {message}")]
    OutcomeUnknown {
        /// Name of the vendor, for people.
        vendor: &'static str,
        /// What went wrong.
        message: String,
    },
    /// Findings could not be taken.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// How long the vendor asks to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Wait this long before any request.
    For(Duration),
    /// Wait; the vendor does not say how long.
    Unspecified,
}

/// What reply headers tell about the vendor's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetReading {
    /// Requests left.
    pub remaining: u64,
    /// Until the budget is whole again.
    pub reset_in: Duration,
}

/// One vendor.
///
/// Obligations: `perform` sends a write at most once for one call (retries of a write are the
/// gate's, after `settle`); a timeout after sending is [`CallError::OutcomeUnknown`], never
/// `Refused` or `Unreachable`; `settle` changes nothing at the vendor that repeats an effect.
#[async_trait]
pub trait Connector: Send + Sync {
    /// The catalogue entry.
    fn spec(&self) -> &'static ConnectorSpec;

    /// Where the vendor is, from configuration variables. Secret values cannot be read here.
    ///
    /// # Errors
    /// The variable whose value makes no endpoint.
    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError>;

    /// The cheapest request that shows whether the credential is accepted.
    async fn probe(&self, call: Call<'_>) -> Result<(), CallError>;

    /// Performs a permitted operation.
    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError>;

    /// Finds out what became of a write that was intended at `intended_at` and has no outcome.
    /// Looks once; the gate repeats it until `settle_for` has passed since `intended_at`.
    /// `last` says that this is the final look, after which absence must be proven or denied.
    async fn settle(
        &self,
        call: Call<'_>,
        intended_at: Timestamp,
        last: bool,
    ) -> Result<Settlement, CallError>;

    /// Whether a reply asks to wait. The body is the first part of it, enough for error codes.
    fn pushback(&self, status: u16, headers: &HeaderMap, _body: &[u8]) -> Option<Pushback> {
        crate::http::standard_pushback(status, headers)
    }

    /// What a reply's headers tell about the rate budget.
    fn budget(&self, _headers: &HeaderMap) -> Option<BudgetReading> {
        None
    }
}

impl Call<'_> {
    /// The error of a failed request, in the words of this call's vendor.
    #[must_use]
    pub fn failed(&self, error: HttpError) -> CallError {
        self.http.call_error(error)
    }

    /// The error for a reply that is a refusal: credential problems (401, 403) name the
    /// variables, the rest carries the vendor's `message`.
    #[must_use]
    pub fn refused(&self, response: &Response, message: &str) -> CallError {
        self.http.refusal(response.status, message)
    }

    /// A parameter error of this call's operation.
    #[must_use]
    pub fn parameters(&self, message: impl Into<String>) -> CallError {
        CallError::Parameters {
            operation: format!("{}.{}", self.http.spec().name, self.operation),
            message: message.into(),
        }
    }
}
