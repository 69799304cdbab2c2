//! Adds the credential to a request, and renews access tokens.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::{HttpError, request};
use crate::connector::Auth;
use crate::credentials::Secrets;

/// Tokens are renewed this long before they end, or after nine tenths of a short life.
const RENEW_EARLY: Duration = Duration::from_secs(60);
/// Life of a token whose reply does not say.
const TOKEN_LIFE_DEFAULT: Duration = Duration::from_secs(900);
/// Longest life that is believed.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Largest reply of a token endpoint.
const TOKEN_BYTES_MAX: usize = 256 * 1024;

/// An access token and when to stop using it.
#[derive(Debug)]
pub(crate) struct Token {
    value: SecretString,
    renew_at: Instant,
    /// Counts renewals, so that many callers with one stale token cause one renewal.
    pub(crate) generation: u64,
}

impl Token {
    pub(crate) fn is_fresh(&self) -> bool {
        Instant::now() < self.renew_at
    }

    pub(crate) fn header(&self) -> Option<HeaderValue> {
        sensitive(&format!("Bearer {}", self.value.expose_secret()))
    }

    pub(crate) fn secret(&self) -> SecretString {
        self.value.clone()
    }
}

/// A standing credential's header: its value, and the encoded part that no text may show.
pub(crate) fn header(
    auth: &Auth,
    secrets: &Secrets,
    user: Option<&str>,
) -> Option<(HeaderValue, SecretString)> {
    match auth {
        Auth::Basic { user: _, password } => {
            let password = secrets.get(password)?.expose_secret();
            let encoded = STANDARD.encode(format!("{}:{password}", user.unwrap_or_default()));
            Some((sensitive(&format!("Basic {encoded}"))?, SecretString::from(encoded)))
        }
        Auth::Authorization { prefix, credential } => {
            let credential = secrets.get(credential)?;
            let value = sensitive(&format!("{prefix}{}", credential.expose_secret()))?;
            Some((value, credential.clone()))
        }
        Auth::ClientCredentials { .. } => None,
    }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The fields of a token reply (RFC 6749 section 5.1) that matter.
#[derive(Deserialize)]
struct TokenReply {
    access_token: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

/// Reads a token endpoint's answer.
pub(crate) async fn read_token(
    reply: reqwest::Response,
    generation: u64,
    issued_at: Instant,
) -> Result<Token, HttpError> {
    let status = reply.status().as_u16();
    let body = request::StreamingResponse {
        status,
        headers: reply.headers().clone(),
        body: Box::pin(reply.bytes_stream()),
        pause_max: request::REQUEST_TIMEOUT,
        bytes_read: 0,
        _place: None,
    }
    .collect(TOKEN_BYTES_MAX)
    .await?;
    if !body.is_success() {
        return Err(HttpError::TokenRefused { status, message: oauth_error(&body) });
    }
    let reply: TokenReply = body.json().map_err(|_| HttpError::TokenRefused {
        status,
        message: "the token endpoint's reply holds no access_token".to_owned(),
    })?;
    let seconds = reply.expires_in.as_ref().and_then(|value| {
        value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    });
    let life = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(TOKEN_LIFE_DEFAULT)
        .min(TOKEN_LIFE_MAX);
    let margin = RENEW_EARLY.min(life / 10);
    Ok(Token {
        value: SecretString::from(reply.access_token),
        renew_at: issued_at + (life - margin),
        generation,
    })
}

/// The words of an OAuth error reply (RFC 6749 section 5.2), of one that lists `errors` with a
/// `message`, or of any other.
fn oauth_error(reply: &request::Response) -> String {
    let value: serde_json::Value = reply.json().unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    if let Some(listed) = value.pointer("/errors/0/message").and_then(|v| v.as_str()) {
        return request::excerpt(listed.as_bytes());
    }
    let words = match (text("error"), text("error_description")) {
        (Some(error), Some(description)) => format!("{error}: {description}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => return reply.excerpt(),
    };
    request::excerpt(words.as_bytes())
}
