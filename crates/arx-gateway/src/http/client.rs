//! The one HTTP client that requests leave by.
#![expect(clippy::disallowed_types, reason = "everything else is sent through GovernedHttp")]

use std::time::Duration;

use url::Url;

use super::describe;

/// Time to establish a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are dropped before common servers drop them, so that a request is rarely
/// written into a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How ARX names itself to vendors.
const USER_AGENT: &str =
    concat!("arx/", env!("CARGO_PKG_VERSION"), " (security workflows under governance)");

pub(crate) type Client = reqwest::Client;

/// Whether the system's trust store can be used for https.
///
/// # Errors
/// Why not.
pub fn check_trust_store() -> Result<(), String> {
    let base = Url::parse("https://localhost").map_err(|error| error.to_string())?;
    client_for(&base).map(drop).map_err(|error| describe(&error))
}

/// A client for one endpoint: no redirects, the system's trust store, the environment's proxies.
pub(crate) fn client_for(base: &Url) -> reqwest::Result<Client> {
    // Installing it twice is refused and harmless: the first stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .gzip(true);
    // A credential in plain http is for loopback; a proxy would carry it elsewhere.
    let builder = if base.scheme() == "http" { builder.no_proxy() } else { builder };
    builder.build()
}
