//! A server that asks the simulators once for each request and then repeats what they said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// Largest request that is taken.
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
struct Kept {
    status: u16,
    content_type: Option<String>,
    body: Bytes,
}

struct Replay {
    simulators: String,
    server: Mutex<String>,
    client: reqwest::Client,
    kept: Mutex<HashMap<(String, Bytes), Kept>>,
}

/// Starts the server; gives its address.
pub(crate) async fn serve(simulators: String) -> Result<String> {
    // Refused when it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("http://{}", listener.local_addr()?);
    let replay = Arc::new(Replay {
        simulators,
        server: Mutex::new(server.clone()),
        client: reqwest::Client::builder().no_proxy().build()?,
        kept: Mutex::default(),
    });
    let app = Router::new().fallback(answer).with_state(replay);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(server)
}

async fn answer(State(replay): State<Arc<Replay>>, request: Request) -> Response {
    match replay.reply(request).await {
        Ok(kept) => {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kept.content_type.and_then(|kind| kind.parse().ok()) {
                headers.insert(header::CONTENT_TYPE, kind);
            }
            let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, headers, Body::from(kept.body)).into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Replay {
    async fn reply(&self, request: Request) -> Result<Kept> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await?;
        let key = (format!("{} {}", parts.method, parts.uri), body.clone());
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(kept.clone());
        }
        let mut headers = parts.headers.clone();
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        // What is kept is plain, for clients that cannot unpack.
        headers.remove(header::ACCEPT_ENCODING);
        let reply = self
            .client
            .request(parts.method, format!("{}{}", self.simulators, parts.uri))
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let status = reply.status().as_u16();
        let content_type = reply.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let mut body = reply.bytes().await?;
        // Pages name the address of the next one.
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Ok(text) = std::str::from_utf8(&body)
            && text.contains(&self.simulators)
        {
            body = Bytes::from(text.replace(&self.simulators, &server));
        }
        let kept = Kept { status, content_type, body };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, kept.clone());
        Ok(kept)
    }
}
