//! The request and the reply as the simulated services see them.
//!
//! Services are plain functions from [`Request`] to [`Reply`]; sockets, faults and TLS stay in
//! [`crate::server`]. Start at [`route`], which matches a request against a service's table.

use std::pin::Pin;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use base64::Engine as _;
use bytes::Bytes;
use futures_util::Stream;
use serde_json::Value;

/// The pieces of a streamed body.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// One request, read whole.
#[derive(Debug)]
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Scheme and authority as the client wrote them, for the links that replies carry.
    pub origin: String,
}

/// Parses `a=b&c=d`, decoding percent escapes and plus signs.
pub(crate) fn pairs(text: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text).map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The last value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// Every value of a repeated query parameter.
    pub fn queries<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.query(name).and_then(|text| text.parse().ok())
    }

    /// The body as JSON, when it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn has_content_type(&self, wanted: &str) -> bool {
        self.header("content-type").is_some_and(|value| {
            value.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(wanted))
        })
    }

    /// User and password of a Basic `Authorization` header.
    pub fn basic(&self) -> Option<(String, String)> {
        let value = self.header("authorization")?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let raw = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
        let text = String::from_utf8(raw).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The token of a `Bearer` header.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

/// What a reply carries.
pub(crate) enum Payload {
    Whole(Bytes),
    Stream(Chunks),
}

/// One reply.
pub(crate) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub payload: Payload,
    /// A write was accepted and is in the ledger: faults "after commit" strike only these.
    pub committed: bool,
}

impl Reply {
    fn with_type(status: u16, content_type: &str, payload: Payload) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, payload, committed: false }
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self::raw_json(status, value.to_string())
    }

    pub fn raw_json(status: u16, text: String) -> Self {
        let payload = Payload::Whole(text.into());
        Self::with_type(status, "application/json;charset=UTF-8", payload)
    }

    /// A large document in pieces, of a length known beforehand.
    pub fn json_pieces(pieces: Vec<Bytes>) -> Self {
        let n_bytes: usize = pieces.iter().map(Bytes::len).sum();
        let chunks = Box::pin(futures_util::stream::iter(pieces));
        Self::with_type(200, "application/json;charset=UTF-8", Payload::Stream(chunks))
            .header("content-length", n_bytes.to_string())
    }

    pub fn xml(status: u16, text: String) -> Self {
        Self::with_type(status, "application/xml", Payload::Whole(text.into()))
    }

    pub fn xml_stream(chunks: Chunks) -> Self {
        Self::with_type(200, "application/xml", Payload::Stream(chunks))
    }

    pub fn text(status: u16, text: &str) -> Self {
        let payload = Payload::Whole(text.to_owned().into());
        Self::with_type(status, "text/plain;charset=UTF-8", payload)
    }

    pub fn html(status: u16, text: String) -> Self {
        Self::with_type(status, "text/html;charset=UTF-8", Payload::Whole(text.into()))
    }

    pub fn empty(status: u16) -> Self {
        let payload = Payload::Whole(Bytes::new());
        Self { status, headers: Vec::new(), payload, committed: false }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn committed(mut self) -> Self {
        self.committed = true;
        self
    }

    /// The reply as hyper sends it.
    pub fn into_response(self) -> Response<Body> {
        let body = match self.payload {
            Payload::Whole(bytes) => Body::from(bytes),
            Payload::Stream(chunks) => {
                use futures_util::StreamExt as _;
                Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// One endpoint: method, path pattern (`{}` stands for one segment) and operation name.
pub(crate) type Route = (&'static str, &'static str, &'static str);

/// The operation a request asks for, with the segments its pattern left open.
pub(crate) fn route<'r>(table: &[Route], req: &'r Request) -> Option<(&'static str, Vec<&'r str>)> {
    table.iter().find_map(|(method, pattern, name)| {
        if req.method.as_str() != *method {
            return None;
        }
        captures(pattern, &req.path).map(|open| (*name, open))
    })
}

fn captures<'r>(pattern: &str, path: &'r str) -> Option<Vec<&'r str>> {
    let mut wanted = pattern.split('/');
    let mut found = path.strip_suffix('/').unwrap_or(path).split('/');
    let mut open = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(open),
            (Some("{}"), Some(segment)) if !segment.is_empty() => open.push(segment),
            (Some(want), Some(segment)) if want == segment => {}
            _ => return None,
        }
    }
}
