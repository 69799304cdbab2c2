//! The session's cookie.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::Settings;

/// Over TLS a browser takes a cookie of this name only from this very host, over TLS, for `/`.
const NAME_SECURE: &str = "__Host-arx";
const NAME: &str = "arx";

fn name(settings: &Settings) -> &'static str {
    if settings.is_secure() { NAME_SECURE } else { NAME }
}

/// The session that a browser says it has.
pub(crate) fn session<'h>(headers: &'h HeaderMap, settings: &Settings) -> Option<&'h str> {
    let wanted = name(settings);
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

/// The header that gives a browser its session.
pub(crate) fn give(
    settings: &Settings,
    cookie: &SecretString,
    now: Timestamp,
    expires_at: Timestamp,
) -> Option<HeaderValue> {
    let seconds = expires_at.duration_since(now).as_secs().max(0);
    let value = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{}",
        name(settings),
        cookie.expose_secret(),
        if settings.is_secure() { "; Secure" } else { "" },
    );
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header that takes it away again.
pub(crate) fn take(settings: &Settings) -> HeaderValue {
    match settings.is_secure() {
        true => HeaderValue::from_static(
            "__Host-arx=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0; Secure",
        ),
        false => HeaderValue::from_static("arx=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    }
}
