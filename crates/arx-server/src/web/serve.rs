//! Connections: accepted up to a limit, over TLS where that is set up, and ended in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::Peer;

/// The most connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 512;
/// How long a client may take for its TLS handshake, and for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long answers under way may still take at the end.
const END_WITHIN: Duration = Duration::from_secs(5);
/// How long nothing is accepted after accepting failed, as when files run out.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is broken.
    #[error("connections cannot be accepted: {0}")]
    Listener(#[source] std::io::Error),
}

/// Answers connections until `shutdown` is done, then ends those that there are.
///
/// # Errors
/// Where the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    listener.local_addr().map_err(ServeError::Listener)?;
    let acceptor = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (end, ending) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &room) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, peer, place)) = accepted else {
            tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            continue;
        };
        let (router, acceptor, ending) = (router.clone(), acceptor.clone(), ending.clone());
        connections.spawn(async move {
            let _place = place;
            match acceptor {
                None => connection(stream, peer, router, ending).await,
                Some(acceptor) => {
                    let shaken = tokio::time::timeout(HEAD_WITHIN, acceptor.accept(stream)).await;
                    if let Ok(Ok(stream)) = shaken {
                        connection(stream, peer, router, ending).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let _ = end.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // Live streams have no end of their own; what is left is dropped with the set.
    let _ = tokio::time::timeout(END_WITHIN, all).await;
    Ok(())
}

#[expect(clippy::disallowed_types, reason = "a connection that somebody made to us")]
type Accepted = (tokio::net::TcpStream, SocketAddr, OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            None
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut ending: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ended_by(&mut ending) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits until the server ends, or is gone.
async fn ended_by(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|end| *end).await;
}
