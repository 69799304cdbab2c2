//! CrowdStrike Falcon: the health of the sensors on hosts.
//!
//! A reply with errors is never "no hosts", a host name that a query could misread is not asked
//! for, and a tenant of another region is named and not followed. Start at [`read`] for the way
//! from names to sensors, at [`wire`] for what a reply looks like.

#[cfg(fuzzing)]
pub mod fuzzing;
mod operations;
mod read;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

use arx_gateway::http::{parse_base, standard_pushback};
use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, HeaderMap, Pushback,
    RateLimit, Settlement, Variable, Variables,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::text;

const CLIENT_ID: &str = "CS_CLIENT_ID";
const CLIENT_SECRET: &str = "CS_CLIENT_SECRET";
const BASE_URL: &str = "CS_BASE_URL";

/// Where settings are written.
const SETTINGS: &str = "connectors.crowdstrike.settings";
/// The region that a tenant is in unless [`BASE_URL`] says otherwise.
const REGION_DEFAULT: &str = "https://api.crowdstrike.com";
/// The vendor's regions and their hosts.
const REGIONS: &[(&str, &str)] = &[
    ("us-1", "api.crowdstrike.com"),
    ("us-2", "api.us-2.crowdstrike.com"),
    ("us-3", "api.us-3.crowdstrike.com"),
    ("eu-1", "api.eu-1.crowdstrike.com"),
    ("us-gov-1", "api.laggar.gcw.crowdstrike.com"),
    ("us-gov-2", "api.us-gov-2.crowdstrike.mil"),
];
/// Paths of API calls begin so; an address that was copied with one is cut there.
const API_SEGMENTS: &[&str] = &["oauth2", "devices"];
/// The path of the token endpoint.
const TOKEN_PATH: &str = "/oauth2/token";
/// A wait that is told as an instant is later than this one, in 2001; a smaller number is none.
const EPOCH_SECONDS_MIN: i64 = 1_000_000_000;

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "crowdstrike",
    title: "CrowdStrike",
    variables: &[
        Variable { name: CLIENT_ID, required: true, secret: true },
        Variable { name: CLIENT_SECRET, required: true, secret: true },
        Variable { name: BASE_URL, required: false, secret: false },
    ],
    operations: operations::OPERATIONS,
    hosts: &[".crowdstrike.com", ".crowdstrike.mil"],
    rate: Some(RateLimit { requests: 6000, per: Duration::from_secs(60) }),
    in_flight_max: 8,
    // Nothing is written, so nothing is looked for.
    settle_for: Duration::ZERO,
};

/// One CrowdStrike tenant.
#[derive(Debug, Default)]
pub struct CrowdStrike;

#[async_trait]
impl Connector for CrowdStrike {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError> {
        endpoint(variables.get(BASE_URL), settings)
    }

    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        read::probe(call).await
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        match call.operation {
            operations::HOSTS_READ => read::hosts(call).await,
            _ => Err(call.parameters("has no implementation")),
        }
    }

    async fn settle(&self, _: Call<'_>, _: Timestamp, _: bool) -> Result<Settlement, CallError> {
        Ok(Settlement::Unknown { why: "ARX writes nothing to CrowdStrike".to_owned() })
    }

    fn pushback(&self, status: u16, headers: &HeaderMap, _: &[u8]) -> Option<Pushback> {
        if status == 429
            && let Some(wait) = retry_after(headers)
        {
            return Some(Pushback::For(wait));
        }
        standard_pushback(status, headers)
    }
}

/// The wait that `X-Ratelimit-Retryafter` means: it is an instant, which is compared with the
/// reply's own `Date` so that the two clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let until: i64 = text("x-ratelimit-retryafter")?.parse().ok()?;
    let sent = jiff::fmt::rfc2822::parse(text("date")?).ok()?.timestamp().as_second();
    let seconds = until.saturating_sub(sent).max(1);
    (until >= EPOCH_SECONDS_MIN).then(|| Duration::from_secs(seconds.unsigned_abs()))
}

fn endpoint(base: Option<&str>, settings: &Value) -> Result<Endpoint, EndpointError> {
    let base = base_url(base.unwrap_or(REGION_DEFAULT))?;
    let mut token_url = base.clone();
    token_url.set_path(&format!("{}{TOKEN_PATH}", base.path().trim_end_matches('/')));
    let form = member_cid(settings)?.map(|cid| ("member_cid", cid)).into_iter().collect();
    let auth = Auth::ClientCredentials {
        token_url,
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        form,
    };
    Ok(Endpoint { base, auth })
}

/// The API's address, from an address, a host or the name of a region.
fn base_url(text: &str) -> Result<Url, EndpointError> {
    let known = REGIONS.iter().find(|(region, _)| region.eq_ignore_ascii_case(text));
    let text = known.map_or(text, |(_, host)| host);
    let address = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = parse_base(BASE_URL, &address)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    if let Some(rest) = host.strip_prefix("falcon.")
        && rest.contains("crowdstrike.")
    {
        let problem = format!("is the console's address; the API's is `https://api.{rest}`");
        return Err(EndpointError { variable: BASE_URL, problem });
    }
    let segments = url.path().split('/').take_while(|segment| !API_SEGMENTS.contains(segment));
    let path = segments.collect::<Vec<_>>().join("/");
    url.set_path(path.trim_end_matches('/'));
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// The child tenant that a parent's credential is used for.
fn member_cid(settings: &Value) -> Result<Option<String>, EndpointError> {
    let error = |problem: String| EndpointError { variable: SETTINGS, problem };
    let settings = match settings {
        Value::Null => return Ok(None),
        Value::Object(settings) => settings,
        _ => return Err(error("must be a mapping".to_owned())),
    };
    if let Some(unknown) = settings.keys().find(|key| *key != "member_cid") {
        return Err(error(format!(
            "has no `{}`; there is `member_cid`",
            text::one_line(unknown, 80)
        )));
    }
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match settings.get("member_cid") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cid)) if plain(cid) => Ok(Some(cid.clone())),
        Some(_) => Err(error("needs letters and digits for `member_cid`".to_owned())),
    }
}
