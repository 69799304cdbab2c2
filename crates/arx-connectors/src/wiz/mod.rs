//! Wiz: open vulnerability findings, read page by page over GraphQL.
//!
//! A refused query is never "no findings": errors inside HTTP 200 fail the read, and a read that
//! ends early says that it is incomplete. Start at [`read`] for paging, at [`wire`] for what a
//! page looks like.

#[cfg(fuzzing)]
pub mod fuzzing;
mod loose;
mod operations;
mod read;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arx_gateway::http::parse_base;
use arx_gateway::{
    Auth, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, RateLimit,
    Settlement, Variable, Variables,
};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::text;

const CLIENT_ID: &str = "WIZ_CLIENT_ID";
const CLIENT_SECRET: &str = "WIZ_CLIENT_SECRET";
const API_URL: &str = "WIZ_API_URL";
const AUTH_URL: &str = "WIZ_AUTH_URL";

/// The path that ends every Wiz API address.
const GRAPHQL_PATH: &str = "/graphql";
/// The path of every token endpoint.
const TOKEN_PATH: &str = "/oauth/token";
/// Domains whose token endpoint is `auth.` and the domain.
const AUTH_DOMAINS: &[&str] =
    &["app.wiz.io", "gov.wiz.io", "test.wiz.io", "demo.wiz.io", "app.wiz.us"];
/// Token hosts of tenants on the older Auth0 back end, which name another audience.
const AUTH0_HOSTS: &[&str] =
    &["auth.wiz.io", "auth0.gov.wiz.io", "auth0.test.wiz.io", "auth0.demo.wiz.io"];

/// The catalogue entry.
pub static SPEC: ConnectorSpec = ConnectorSpec {
    name: "wiz",
    title: "Wiz",
    variables: &[
        Variable { name: CLIENT_ID, required: true, secret: true },
        Variable { name: CLIENT_SECRET, required: true, secret: true },
        Variable { name: API_URL, required: true, secret: false },
        Variable { name: AUTH_URL, required: false, secret: false },
    ],
    operations: operations::OPERATIONS,
    hosts: &[".wiz.io", ".wiz.us"],
    // Ten queries a second for a service account, of which the vendor's clients use 80 %.
    rate: Some(RateLimit { requests: 8, per: Duration::from_secs(1) }),
    in_flight_max: 5,
    // Nothing is written, so nothing is looked for.
    settle_for: Duration::ZERO,
};

/// One Wiz tenant.
#[derive(Debug, Default)]
pub struct Wiz {
    /// Index into [`wire::FIELD_SETS`] of the richest field set that the tenant's schema takes.
    field_set: AtomicUsize,
}

#[async_trait]
impl Connector for Wiz {
    fn spec(&self) -> &'static ConnectorSpec {
        &SPEC
    }

    fn endpoint(&self, variables: &Variables, settings: &Value) -> Result<Endpoint, EndpointError> {
        let api = variables.get(API_URL).unwrap_or_default();
        endpoint(api, variables.get(AUTH_URL), audience_setting(settings)?)
    }

    async fn probe(&self, call: Call<'_>) -> Result<(), CallError> {
        call.http.ensure_token(call.permit).await.map_err(|error| call.failed(error))
    }

    async fn perform(&self, call: Call<'_>) -> Result<Value, CallError> {
        match call.operation {
            operations::FINDINGS_READ => read::findings(call, &self.field_set).await,
            _ => Err(call.parameters("has no implementation")),
        }
    }

    async fn settle(&self, _: Call<'_>, _: Timestamp, _: bool) -> Result<Settlement, CallError> {
        Ok(Settlement::Unknown { why: "ARX writes nothing to Wiz".to_owned() })
    }
}

fn endpoint(
    api: &str,
    auth: Option<&str>,
    audience: Option<String>,
) -> Result<Endpoint, EndpointError> {
    let base = api_url(api)?;
    let token_url = match auth {
        Some(text) => auth_url(text)?,
        None => derived_token_url(&base)?,
    };
    let audience = audience.unwrap_or_else(|| audience_of(&token_url).to_owned());
    let auth = Auth::ClientCredentials {
        token_url,
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        form: vec![("audience", audience)],
    };
    Ok(Endpoint { base, auth })
}

/// The GraphQL endpoint: the address as written, with `/graphql` where it does not end so.
fn api_url(text: &str) -> Result<Url, EndpointError> {
    let mut url = parse_base(API_URL, text)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.ends_with(GRAPHQL_PATH) { path } else { path + GRAPHQL_PATH };
    url.set_path(&path);
    bare(&mut url);
    Ok(url)
}

/// The token endpoint that someone configured; its path may be left out.
fn auth_url(text: &str) -> Result<Url, EndpointError> {
    let mut url = parse_base(AUTH_URL, text)?;
    if url.path().trim_end_matches('/').is_empty() {
        url.set_path(TOKEN_PATH);
    }
    bare(&mut url);
    Ok(url)
}

/// The token endpoint that belongs to an API address: the domain's `auth` host, or for any host
/// that is not Wiz' own (a simulator, a gateway) the same origin.
fn derived_token_url(api: &Url) -> Result<Url, EndpointError> {
    let host = api.host_str().unwrap_or_default().to_ascii_lowercase();
    let is_under = |domain: &&&str| {
        host.strip_suffix(**domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if let Some(domain) = AUTH_DOMAINS.iter().find(is_under) {
        return parse_base(AUTH_URL, &format!("https://auth.{domain}{TOKEN_PATH}"));
    }
    let mut url = api.clone();
    url.set_path(TOKEN_PATH);
    Ok(url)
}

fn audience_of(token_url: &Url) -> &'static str {
    let host = token_url.host_str().unwrap_or_default();
    let is_auth0 = AUTH0_HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host));
    if is_auth0 { "beyond-api" } else { "wiz-api" }
}

fn audience_setting(settings: &Value) -> Result<Option<String>, EndpointError> {
    let error = |problem: String| EndpointError { variable: "connectors.wiz.settings", problem };
    let settings = match settings {
        Value::Null => return Ok(None),
        Value::Object(settings) => settings,
        _ => return Err(error("must be a mapping".to_owned())),
    };
    if let Some(unknown) = settings.keys().find(|key| *key != "audience") {
        return Err(error(format!(
            "has no `{}`; there is `audience`",
            text::one_line(unknown, 80)
        )));
    }
    match settings.get("audience") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(audience)) if !audience.is_empty() => Ok(Some(audience.clone())),
        Some(_) => Err(error("needs a text for `audience`, e.g. `wiz-api`".to_owned())),
    }
}

fn bare(url: &mut Url) {
    url.set_query(None);
    url.set_fragment(None);
}
