//! Doors for the fuzzer into the readers of replies and the checks of parameters.
//!
//! Compiled under `cfg(fuzzing)` alone, so that no build of the product has them. Each takes bytes
//! as they would arrive, runs the code that reads them in earnest, and asserts what must hold
//! whatever they are. Start at `fuzz/fuzz_targets/`, where each is called from one target.

pub use crate::crowdstrike::fuzzing as crowdstrike;
pub use crate::jira::fuzzing as jira;
pub use crate::pagerduty::fuzzing as pagerduty;
pub use crate::qualys::fuzzing as qualys;
pub use crate::servicenow::fuzzing as servicenow;
pub use crate::wiz::fuzzing as wiz;

use arx_gateway::{HeaderMap, Response};
use serde_json::Value;

/// What a message must be: one line that a person can read, and no command to a terminal.
pub(crate) fn check_refusal(message: &str) {
    assert!(!message.trim().is_empty(), "refused without a reason");
    check_words(message);
}

/// The same of words that a vendor may leave empty.
pub(crate) fn check_words(message: &str) {
    assert!(!message.chars().any(char::is_control), "no line of words: {message:?}");
}

/// A reply of one body, without headers.
pub(crate) fn reply(status: u16, body: &[u8]) -> Response {
    Response { status, headers: HeaderMap::new(), body: body.to_vec().into() }
}

/// Whether a text holds a character that no identifier in an address or a query may hold.
pub(crate) fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(plain)
}

/// Checks the parameters of an operation, as `perform` does before it sends anything.
pub fn parameters(operation: &str, params: &Value) {
    let checked = match operation {
        "wiz.findings:read" => wiz::parameters(params),
        "qualys.findings:read" => qualys::parameters_of_findings(params),
        "qualys.scans:read" => qualys::parameters_of_scans(params),
        "servicenow.incidents:read" => servicenow::parameters_of_read(params),
        "servicenow.incidents:update" => servicenow::parameters_of_update(params),
        "crowdstrike.hosts:read" => crowdstrike::parameters(params),
        "pagerduty.incidents:read" => pagerduty::parameters_of_read(params),
        "pagerduty.incidents:create" => pagerduty::parameters_of_create(params),
        "jira.issues:read" => jira::parameters_of_read(params),
        "jira.issues:create" => jira::parameters_of_create(params),
        // An operation that is implemented and not listed here would never be fuzzed.
        other => Err(format!("`{other}` is unknown here")),
    };
    if let Err(message) = checked {
        check_refusal(&message);
    }
}

/// The operations whose parameters [`parameters`] checks.
pub const OPERATIONS: &[&str] = &[
    "wiz.findings:read",
    "qualys.findings:read",
    "qualys.scans:read",
    "servicenow.incidents:read",
    "servicenow.incidents:update",
    "crowdstrike.hosts:read",
    "pagerduty.incidents:read",
    "pagerduty.incidents:create",
    "jira.issues:read",
    "jira.issues:create",
];
