//! Requests that connectors build, and the replies they read.

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::HttpError;

/// Largest reply body that is held in memory, unless the request says otherwise.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest reply body that is streamed; a runaway reply ends there.
pub const STREAM_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// What a reply's own word on its length may make us set aside before anything has come.
const PREALLOCATED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time for one request from connection to the end of a buffered body.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a request may be sent again when its outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It changes nothing, or repeats harmlessly; transient failures are retried.
    Safe,
    /// It may have an effect; it is repeated only where it provably never arrived.
    Once,
}

/// Body of a request.
#[derive(Clone, Debug)]
pub(crate) enum RequestBody {
    None,
    Bytes { content_type: &'static str, bytes: Bytes },
}

/// A request relative to the connector's endpoint.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) replay: Replay,
    pub(crate) timeout: Duration,
    pub(crate) body_bytes_max: usize,
    pub(crate) fresh_until: Option<Instant>,
}

impl Request {
    fn new(method: Method, path: &str, replay: Replay) -> Self {
        Self {
            method,
            path: path.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: RequestBody::None,
            replay,
            timeout: REQUEST_TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
            fresh_until: None,
        }
    }

    /// A GET of `path` (which may carry a query of its own); safe to replay.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path, Replay::Safe)
    }

    /// A POST to `path`, sent once unless [`Self::replay_safe`] says that it only reads.
    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path, Replay::Once)
    }

    /// A PUT to `path`; idempotent by RFC 9110 section 9.2.2, but sent once all the same unless
    /// [`Self::replay_safe`] says otherwise.
    #[must_use]
    pub fn put(path: &str) -> Self {
        Self::new(Method::PUT, path, Replay::Once)
    }

    /// A PATCH of `path`, sent once.
    #[must_use]
    pub fn patch(path: &str) -> Self {
        Self::new(Method::PATCH, path, Replay::Once)
    }

    /// Declares that repeating this request repeats no effect: a query by POST, an upsert.
    #[must_use]
    pub fn replay_safe(mut self) -> Self {
        self.replay = Replay::Safe;
        self
    }

    /// Adds a query parameter; repeated names are kept in order.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Sets a header. A value that HTTP cannot carry is left out of the request.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(mut self, value: &Value) -> Self {
        let bytes = Bytes::from(value.to_string());
        self.body = RequestBody::Bytes { content_type: "application/json", bytes };
        self
    }

    /// Sets a form body, percent-encoded as the URL Standard says.
    #[must_use]
    pub fn form<'a>(mut self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let encoded =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = RequestBody::Bytes {
            content_type: "application/x-www-form-urlencoded",
            bytes: Bytes::from(encoded),
        };
        self
    }

    /// Time for the whole request; for a streamed reply, longest pause between two pieces.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long from now the request may wait for its turn. What it was built on is old by then,
    /// and it ends as [`HttpError::Stale`] without having been sent.
    #[must_use]
    pub fn fresh_for(mut self, wait: Duration) -> Self {
        self.fresh_until = Some(Instant::now() + wait);
        self
    }

    /// Largest reply body accepted.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }
}

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Reply headers.
    pub headers: HeaderMap,
    /// Reply body, complete and decoded.
    pub body: Bytes,
}

impl Response {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The first characters of the body on one line, for messages.
    #[must_use]
    pub fn excerpt(&self) -> String {
        excerpt(&self.body)
    }
}

/// The first characters of a body on one line, for messages.
pub(crate) fn excerpt(body: &[u8]) -> String {
    const EXCERPT_CHARS_MAX: usize = 200;
    let start = body.get(..body.len().min(4 * EXCERPT_CHARS_MAX)).unwrap_or_default();
    let text = String::from_utf8_lossy(start);
    // Messages end up on terminals, which control characters would command.
    let gap = |c: char| c.is_whitespace() || c.is_control();
    let words: Vec<&str> = text.split(gap).filter(|word| !word.is_empty()).collect();
    let words = words.join(" ");
    let mut short: String = words.chars().take(EXCERPT_CHARS_MAX).collect();
    if short.len() < words.len() {
        short.push('…');
    }
    if short.is_empty() { "(empty reply)".to_owned() } else { short }
}

/// A reply whose body is read piece by piece.
pub struct StreamingResponse {
    /// HTTP status.
    pub status: u16,
    /// Reply headers.
    pub headers: HeaderMap,
    pub(crate) body: futures_util::stream::BoxStream<'static, reqwest::Result<Bytes>>,
    pub(crate) pause_max: Duration,
    pub(crate) bytes_read: u64,
    /// Holds the vendor's place for a request in flight until the body is read.
    pub(crate) _place: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl StreamingResponse {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks, pauses for longer than the request's timeout, or the body is
    /// larger than [`STREAM_BYTES_MAX`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let next = tokio::time::timeout(self.pause_max, self.body.next()).await;
        let piece = match next {
            Err(_) => return Err(HttpError::Interrupted { why: "the reply stalled".to_owned() }),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(HttpError::Interrupted { why: super::describe(&error) });
            }
            Ok(Some(Ok(piece))) => piece,
        };
        self.bytes_read += piece.len() as u64;
        if self.bytes_read > STREAM_BYTES_MAX {
            return Err(HttpError::TooLarge { bytes_max: STREAM_BYTES_MAX });
        }
        Ok(Some(piece))
    }

    /// The whole rest of the body, at most `bytes_max`.
    ///
    /// # Errors
    /// As [`Self::chunk`], and when the body is larger.
    pub async fn collect(mut self, bytes_max: usize) -> Result<Response, HttpError> {
        // Known lengths are taken at once: a buffer that doubles holds twice as much in the end.
        let length = self.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut body = BytesMut::with_capacity(length.min(bytes_max).min(PREALLOCATED_BYTES_MAX));
        while let Some(piece) = self.chunk().await? {
            if body.len() + piece.len() > bytes_max {
                return Err(HttpError::TooLarge { bytes_max: bytes_max as u64 });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Response { status: self.status, headers: self.headers, body: body.freeze() })
    }
}
