//! Qualys: detections on hosts, streamed, and the CVEs of each from the KnowledgeBase; and what
//! the last scans of given hosts saw.
//!
//! Bodies can be gigabytes, errors come inside HTTP 200, and the address of the next page comes
//! from the reply: so documents are read host by host, their root is checked, and of that address
//! only what asks for another page of the same list is used. Start at [`pages`] for paging, at
//! [`wire`] for a page, at [`knowledge`] for the way from a QID to its CVEs, at [`scans`] for how
//! hosts are recognised.

mod answer;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hosts;
mod knowledge;
mod operations;
mod pages;
mod read;
mod refusal;
mod scans;
mod settings;
#[cfg(test)]
mod tests;
mod versions;
mod wire;
mod xml;

use std::time::Duration;

use arx_gateway::http::{parse_base, standard_pushback};
use arx_gateway::{
    Auth, BudgetReading, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError,
    HeaderMap, Pushback, RateLimit, Settlement, Variable, Variables,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use answer::Answer;
use settings::Settings;
use versions::Versions;

const URL: &str = "QUALYS_URL";
const USERNAME: &str = "QUALYS_USERNAME";
const PASSWORD: &str = "QUALYS_PASSWORD";

/// What `X-Requested-With` says; every call must carry one.
const REQUESTED_WITH: &str = "arx";
/// Paths of API calls begin so; an address that was copied with one is cut there.
const API_SEGMENTS: &[&str] = &["api", "msp"];

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "qualys",
    title: "Qualys",
    variables: &[
        Variable { name: URL, required: true, secret: false },
        Variable { name: USERNAME, required: true, secret: false },
        Variable { name: PASSWORD, required: true, secret: true },
    ],
    operations: operations::OPERATIONS,
    hosts: &[
        ".qualys.com",
        ".qualys.eu",
        ".qualys.it",
        ".qualys.in",
        ".qualys.ca",
        ".qualys.ae",
        ".qualys.co.uk",
        ".qualys.com.au",
        ".qualysksa.com",
        ".qualys.us",
    ],
    rate: Some(RateLimit { requests: 300, per: Duration::from_secs(3600) }),
    in_flight_max: 2,
    // Nothing is written, so nothing is looked for.
    settle_for: Duration::ZERO,
};

/// One Qualys subscription.
#[derive(Debug)]
pub struct Qualys {
    detection_versions: Versions,
    kb_versions: Versions,
    host_versions: Versions,
    /// Held while detections stream. Of the two requests that may be in flight one then stays
    /// for the KnowledgeBase, without which the stream cannot go on.
    stream: tokio::sync::Mutex<()>,
}

impl Default for Qualys {
    fn default() -> Self {
        Self {
            detection_versions: Versions::new(&["5.0", "2.0", "4.0", "3.0"]),
            kb_versions: Versions::new(&["3.0", "2.0", "4.0"]),
            host_versions: Versions::new(&["5.0", "2.0", "4.0", "3.0"]),
            stream: tokio::sync::Mutex::default(),
        }
    }
}

#[async_trait]
impl Connector for Qualys {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError> {
        Settings::read(settings).map_err(|problem| EndpointError {
            variable: "connectors.qualys.settings",
            problem: format!("cannot be used: {problem}"),
        })?;
        let base = base(variables.get(URL).unwrap_or_default())?;
        Ok(Endpoint { base, auth: Auth::Basic { user: USERNAME, password: PASSWORD } })
    }

    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        read::probe(call, self).await
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        match call.operation {
            operations::FINDINGS_READ => read::findings(call, self).await,
            operations::SCANS_READ => scans::scans(call, self).await,
            _ => Err(call.parameters("has no implementation")),
        }
    }

    async fn settle(&self, _: Call<'_>, _: Timestamp, _: bool) -> Result<Settlement, CallError> {
        Ok(Settlement::Unknown { why: "ARX writes nothing to Qualys".to_owned() })
    }

    fn pushback(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Option<Pushback> {
        let answer = Answer::of_body(body).map(|answer| (answer.kind(), answer));
        match answer {
            // The header counts down to the second; the words may be rounded.
            Some((answer::Kind::Wait(pushback), answer)) if answer.is_rate() => {
                Some(header_seconds(headers, "x-ratelimit-towait-sec").unwrap_or(pushback))
            }
            Some((answer::Kind::Wait(pushback), _)) => Some(pushback),
            Some(_) => standard_pushback(status, headers),
            None if status == 409 => header_seconds(headers, "x-ratelimit-towait-sec"),
            None => standard_pushback(status, headers),
        }
    }

    fn budget(&self, headers: &HeaderMap) -> Option<BudgetReading> {
        let remaining = header_number(headers, "x-ratelimit-remaining")?;
        let reset_in = header_number(headers, "x-ratelimit-towait-sec")?;
        Some(BudgetReading { remaining, reset_in: Duration::from_secs(reset_in) })
    }
}

/// The address without what belongs to single calls.
fn base(text: &str) -> Result<url::Url, EndpointError> {
    let mut base = parse_base(URL, text)?;
    let segments = base.path().split('/').take_while(|segment| !API_SEGMENTS.contains(segment));
    let path = segments.collect::<Vec<_>>().join("/");
    base.set_path(path.trim_end_matches('/'));
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

fn header_number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A wait of at least a second; a header that says zero says nothing.
fn header_seconds(headers: &HeaderMap, name: &str) -> Option<Pushback> {
    let seconds = header_number(headers, name).filter(|seconds| *seconds > 0)?;
    Some(Pushback::For(Duration::from_secs(seconds)))
}
