//! What a GraphQL error asks of the reader: wait, renew, ask for less, or give up.

use std::time::Duration;

use arx_gateway::{Call, CallError, Response};
use serde_json::Value;

/// Longest text of a vendor that is repeated.
const MESSAGE_UNITS_MAX: usize = 300;
/// Longest pause that an error's extensions can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A refusal, in the order of what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) status: u16,
    pub(super) message: String,
    /// How long to wait, where the vendor says.
    pub(super) retry_after: Option<Duration>,
}

/// What can be done about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The token is no longer accepted: a fresh one may be.
    Unauthenticated,
    /// The service account may not read this.
    Unauthorized,
    /// Too many requests: wait.
    RateLimited,
    /// The vendor failed: the same request may succeed.
    Internal,
    /// The tenant's schema lacks something that was asked for: ask for less.
    Schema,
    /// The request is refused for good.
    Refused,
}

impl Refusal {
    /// The refusal in a reply's `errors`, or in a status without any.
    pub(super) fn of(status: u16, errors: &Value, response: &Response) -> Self {
        let first = match errors {
            Value::Array(errors) => errors.first().unwrap_or(&Value::Null),
            other => other,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let message = first.get("message").and_then(text).or_else(|| text(first));
        let extensions = first.get("extensions").unwrap_or(&Value::Null);
        let code = extensions.get("code").and_then(Value::as_str).unwrap_or_default();
        let inner = extensions.pointer("/http/status").and_then(Value::as_u64);
        let inner = inner.and_then(|status| u16::try_from(status).ok());
        let words = message.unwrap_or_else(|| response.excerpt());
        let kind = kind(code, inner.unwrap_or(status), &words.to_ascii_lowercase());
        let message = if code.is_empty() { words } else { format!("{code}: {words}") };
        let message = crate::text::one_line(&message, MESSAGE_UNITS_MAX);
        Self {
            kind,
            status: inner.unwrap_or(status),
            message,
            retry_after: retry_after(extensions, response),
        }
    }

    /// The error that ends the read.
    pub(super) fn into_error(self, call: &Call<'_>) -> CallError {
        let vendor = call.http.spec().title;
        let message = call.http.scrub(&self.message);
        let variables = format!("{} and {}", super::CLIENT_ID, super::CLIENT_SECRET);
        match self.kind {
            Kind::Unauthenticated => CallError::Credential { vendor, variables, message },
            Kind::Unauthorized => {
                let hint = if self.message.starts_with("FORBIDDEN_IP") {
                    "the tenant does not allow requests from this address"
                } else {
                    "the service account needs the scope `read:vulnerabilities`"
                };
                let message = format!("{message}; {hint}");
                CallError::Credential { vendor, variables, message }
            }
            Kind::RateLimited | Kind::Internal => CallError::Unreachable { vendor, message },
            Kind::Schema | Kind::Refused => {
                let status = (self.status >= 400).then_some(self.status);
                CallError::Refused { vendor, status, message }
            }
        }
    }
}

fn kind(code: &str, status: u16, words: &str) -> Kind {
    match code {
        "UNAUTHENTICATED" => return Kind::Unauthenticated,
        "UNAUTHORIZED" | "FORBIDDEN" | "FORBIDDEN_IP" => return Kind::Unauthorized,
        "RATE_LIMIT_EXCEEDED" | "TOO_MANY_REQUESTS" => return Kind::RateLimited,
        "INTERNAL" | "INTERNAL_SERVER_ERROR" | "SERVICE_UNAVAILABLE" | "TIMEOUT" => {
            return Kind::Internal;
        }
        _ => {}
    }
    let about_schema = code == "GRAPHQL_VALIDATION_FAILED"
        || (code.starts_with("VALIDATION") && !code.contains("VARIABLE"))
        || SCHEMA_WORDS.iter().any(|known| words.contains(known));
    match status {
        _ if about_schema => Kind::Schema,
        401 => Kind::Unauthenticated,
        403 => Kind::Unauthorized,
        429 => Kind::RateLimited,
        500.. => Kind::Internal,
        _ => Kind::Refused,
    }
}

/// How servers word that a schema lacks a field or a type.
const SCHEMA_WORDS: &[&str] = &[
    "cannot query field",
    "unknown type",
    "unknown field",
    "unknown fragment",
    "undefined field",
    "undefined type",
    "no such field",
    "no such type",
    "can never be of type",
    "doesn't exist on type",
    "does not exist on type",
];

fn retry_after(extensions: &Value, response: &Response) -> Option<Duration> {
    let header = arx_gateway::http::standard_pushback(429, &response.headers);
    if let Some(arx_gateway::Pushback::For(wait)) = header {
        return Some(wait.min(RETRY_AFTER_MAX));
    }
    let seconds =
        ["retryAfter", "retry_after"].iter().find_map(|key| extensions.get(key)?.as_f64());
    let wait = Duration::try_from_secs_f64(seconds?).ok()?;
    Some(wait.min(RETRY_AFTER_MAX))
}
