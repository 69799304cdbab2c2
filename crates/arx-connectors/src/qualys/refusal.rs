//! What a reply that is no list comes to.

use arx_gateway::{Call, CallError, Response};

use super::answer::{Answer, Kind};
use super::{PASSWORD, USERNAME};

/// The error of a reply whose status is one.
pub(super) fn refused(call: &Call<'_>, response: &Response) -> CallError {
    match Answer::of_body(&response.body) {
        Some(answer) => answered(call, response.status, &answer),
        None => call.refused(response, &response.excerpt()),
    }
}

/// The error of an answer.
pub(super) fn answered(call: &Call<'_>, status: u16, answer: &Answer) -> CallError {
    let vendor = call.http.spec().title;
    let message = call.http.scrub(&answer.message());
    match answer.kind() {
        Kind::Account => CallError::Credential {
            vendor,
            variables: format!("{USERNAME} and {PASSWORD}"),
            message,
        },
        Kind::Wait(_) | Kind::Internal(_) => CallError::Unreachable { vendor, message },
        Kind::Refused if matches!(status, 401 | 403) => CallError::Credential {
            vendor,
            variables: format!("{USERNAME} and {PASSWORD}"),
            message,
        },
        Kind::Refused => {
            CallError::Refused { vendor, status: (status >= 400).then_some(status), message }
        }
    }
}

/// The error of a reply that cannot be read.
pub(super) fn malformed(call: &Call<'_>, message: &str) -> CallError {
    let message = call.http.scrub(message);
    CallError::Malformed { vendor: call.http.spec().title, message }
}
