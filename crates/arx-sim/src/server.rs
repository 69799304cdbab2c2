//! The port: plain HTTP and TLS on one listener, faults around the services.
//!
//! The first byte of a connection tells TLS from HTTP. Here and nowhere else are connections
//! reset, replies dropped and bodies cut.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Response, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::faults::{Fault, Stage};
use crate::http::{Payload, Reply, Request, pairs, route};
use crate::rows;
use crate::world::{Refusal, Service, World};

#[expect(clippy::disallowed_types, reason = "the accepting side: it connects to nobody")]
type TcpStream = tokio::net::TcpStream;

/// The largest request body that is read.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Connections served at once; further ones wait.
const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take for its first byte, its TLS handshake and its request head.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Accepts connections until `stop` changes, then drops every one.
pub(crate) async fn run(
    listener: TcpListener,
    tls: TlsAcceptor,
    world: Arc<World>,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (tls, world) = (tls.clone(), world.clone());
                connections.spawn(async move {
                    let _place = place;
                    if let Err(error) = connection(stream, tls, world).await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "accept failed"),
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, world: Arc<World>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let reset = Arc::new(AtomicBool::new(false));
    let mut first = [0u8; 1];
    let n = tokio::time::timeout(HANDSHAKE_MAX, stream.peek(&mut first)).await??;
    let secure = n == 1 && first == [TLS_HANDSHAKE];
    let stream = if secure {
        Stream::Tls(Box::new(tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await??))
    } else {
        Stream::Plain(stream)
    };
    let wire = Wire { stream, reset: reset.clone() };
    let service = service_fn(move |request| {
        let (world, reset) = (world.clone(), reset.clone());
        async move {
            let answer = answer(&world, request, secure).await;
            if answer.is_err() {
                reset.store(true, Ordering::Relaxed);
            }
            answer
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_MAX * 4)
        .serve_connection(TokioIo::new(wire), service)
        .await
        .map_err(io::Error::other)
}

/// The connection ends here without a reply.
#[derive(Debug, thiserror::Error)]
#[error("the connection was reset on purpose")]
struct Cut;

async fn answer(
    world: &World,
    request: hyper::Request<Incoming>,
    secure: bool,
) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), BODY_BYTES_MAX).await else {
        return Ok(Reply::text(413, "request body too large").into_response());
    };
    let host = head.headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or("localhost");
    let request = Request {
        origin: format!("{}://{host}", if secure { "https" } else { "http" }),
        method: head.method,
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default().as_bytes()),
        headers: head.headers,
        body,
    };
    let Some(service) = world.services().into_iter().find(|s| s.claims(&request.path)) else {
        return Ok(Reply::text(404, "no simulated service answers this path").into_response());
    };
    served(world, service, &request).await
}

async fn served(
    world: &World,
    service: &dyn Service,
    request: &Request,
) -> Result<Response<Body>, Cut> {
    let vendor = service.vendor();
    world.shared.count(vendor);
    if world.shared.is_down(vendor) {
        return Err(Cut);
    }
    let found = route(service.routes(), request);
    let operation = found.as_ref().map_or("unknown", |(operation, _)| *operation);
    let operation = service.refine(operation, request);
    let faults = &world.shared.faults;

    for fault in faults.strike(world.shared.now(), vendor, operation, Stage::Before) {
        let refusal = match fault {
            Fault::Latency(delay) => {
                tokio::time::sleep(delay).await;
                continue;
            }
            Fault::OverLimit { wait_s } => Refusal::OverLimit { after_s: wait_s },
            Fault::TooMany { after_s } => Refusal::TooMany { after_s: after_s.unwrap_or(1) },
            Fault::TooManyBare => return Ok(Reply::empty(429).into_response()),
            Fault::ServerError => Refusal::ServerError,
            Fault::Unavailable => Refusal::Unavailable,
            _ => return Err(Cut),
        };
        return Ok(service.refuse(request, refusal).into_response());
    }

    let within = faults.strike(world.shared.now(), vendor, operation, Stage::Within);
    let mut reply = match found {
        Some((_, open)) => {
            if within.contains(&Fault::Twice) {
                // What the first of the two was told is lost on the way.
                drop(service.answer(request, operation, &open, &within));
            }
            service.answer(request, operation, &open, &within)
        }
        None => service.missing(request),
    };
    if reply.committed {
        for fault in faults.strike(world.shared.now(), vendor, operation, Stage::Committed) {
            match fault {
                Fault::ErrorAfter => reply = service.refuse(request, Refusal::ServerError),
                _ => return Err(Cut),
            }
        }
    }
    if let Some(fault) = faults.strike(world.shared.now(), vendor, operation, Stage::Reply).first()
    {
        return Ok(match fault {
            Fault::Doubled => doubled(reply).await,
            _ => shortened(reply, *fault == Fault::Truncate).await,
        });
    }
    Ok(reply.into_response())
}

/// The whole body of a reply.
async fn whole(payload: Payload) -> Bytes {
    match payload {
        Payload::Whole(bytes) => bytes,
        Payload::Stream(chunks) => {
            let parts: Vec<Bytes> = chunks.collect().await;
            parts.concat().into()
        }
    }
}

/// The reply with every row of its lists twice; one without a list as it is.
async fn doubled(reply: Reply) -> Response<Body> {
    let Reply { status, mut headers, payload, committed } = reply;
    headers.retain(|(name, _)| *name != "content-length");
    let body = whole(payload).await;
    let body = rows::doubled(&body).unwrap_or(body);
    Reply { status, headers, payload: Payload::Whole(body), committed }.into_response()
}

/// Half of the reply: `broken` promises the whole length and breaks off, else the short body is
/// framed as if it were complete.
async fn shortened(reply: Reply, broken: bool) -> Response<Body> {
    let Reply { status, mut headers, payload, committed } = reply;
    headers.retain(|(name, _)| *name != "content-length");
    let whole = whole(payload).await;
    let half = whole.slice(..whole.len() / 2);
    let reply = Reply { status, headers, payload: Payload::Whole(half.clone()), committed };
    if !broken {
        return reply.into_response();
    }
    let mut response = reply.into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, whole.len().into());
    let parts = [Ok(half), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
    *response.body_mut() = Body::from_stream(futures_util::stream::iter(parts));
    response
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that, when dropped on purpose, resets the connection instead of closing it.
struct Wire {
    stream: Stream,
    reset: Arc<AtomicBool>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let tcp = match &self.stream {
                Stream::Plain(tcp) => tcp,
                Stream::Tls(tls) => tls.get_ref().0,
            };
            // A client that sees an orderly close instead learns the same: no reply.
            let _ = tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Stream::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self.stream, Stream::Plain(_))
    }
}
