//! What a request that has no answer comes to, in words that say what to change.

use arx_gateway::http::HttpError;
use arx_gateway::{Call, CallError, Response};

use super::wire::{self, Complaint};
use super::{BASE_URL, CLIENT_ID, CLIENT_SECRET, REGIONS};

/// What else a refusal of an accepted token can mean.
const SCOPE: &str = "the API client needs the scope `Hosts: READ`, and this machine's address \
                     must be among those that the tenant allows, where it restricts them";
/// What the token endpoint says to a machine whose address is not allowed.
const DENIED: &str = "access denied";

/// The error of a request without a reply.
pub(super) fn failed(call: &Call<'_>, error: HttpError) -> CallError {
    let vendor = call.http.spec().title;
    match error {
        HttpError::RedirectedAway { host } => {
            let region = REGIONS.iter().find(|(_, known)| known.eq_ignore_ascii_case(&host));
            let message = match region {
                Some((region, host)) => {
                    format!("the tenant is in region {region}; set {BASE_URL} to `https://{host}`")
                }
                None => format!(
                    "redirected to `{host}`, which is not followed; set {BASE_URL} to the \
                     address of the tenant's region"
                ),
            };
            CallError::Refused { vendor, status: None, message: call.http.scrub(&message) }
        }
        HttpError::TokenRefused { status: 403, message } if message.contains(DENIED) => {
            let message = format!(
                "{message}; this machine's address may not be among those that the tenant allows"
            );
            call.failed(HttpError::TokenRefused { status: 403, message })
        }
        other => call.failed(other),
    }
}

/// The error of a reply whose status is one.
pub(super) fn refused(call: &Call<'_>, response: &Response) -> CallError {
    of_status(call, response.status, &wire::words(response))
}

/// The error of a complaint inside a reply whose status is none.
pub(super) fn complained(call: &Call<'_>, complaint: &Complaint) -> CallError {
    match complaint.code {
        401 | 403 => of_status(call, complaint.code, &complaint.words),
        429 | 500.. => CallError::Unreachable {
            vendor: call.http.spec().title,
            message: call.http.scrub(&complaint.words),
        },
        _ => CallError::Refused {
            vendor: call.http.spec().title,
            status: None,
            message: call.http.scrub(&complaint.words),
        },
    }
}

fn of_status(call: &Call<'_>, status: u16, words: &str) -> CallError {
    let vendor = call.http.spec().title;
    let message = if status == 403 { format!("{words}; {SCOPE}") } else { words.to_owned() };
    let message = call.http.scrub(&message);
    match status {
        401 | 403 => CallError::Credential {
            vendor,
            variables: format!("{CLIENT_ID} and {CLIENT_SECRET}"),
            message,
        },
        _ => CallError::Refused { vendor, status: Some(status), message },
    }
}

/// The error of a reply that is not the vendor's protocol.
pub(super) fn malformed(call: &Call<'_>, message: &str) -> CallError {
    CallError::Malformed { vendor: call.http.spec().title, message: call.http.scrub(message) }
}
