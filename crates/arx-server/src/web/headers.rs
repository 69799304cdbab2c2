//! What every answer has, and what is refused before any route is looked for.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use tracing::Instrument as _;

use super::guard::{self, BODY_BYTES_MAX};
use super::{Problem, Web, pages};

/// How long a handler may take before it is given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Nothing but our own files and forms, nothing inline, in nobody's frame.
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                   connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                   base-uri 'none'";

/// Puts what holds for all routes around them.
pub(crate) fn wrap(router: Router, web: Web) -> Router {
    let missing = web.clone();
    router
        .fallback(move |request: Request| not_found(missing, request))
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(web, around))
}

async fn around(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = ulid::Ulid::new().to_string();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = path.unwrap_or_else(|| "none".to_owned());
    let is_api = request.uri().path().starts_with("/api/");
    // A span says where, never what: a link's secret stands in the path, a search in the query.
    let span = tracing::info_span!("request", %id, %method, %route);
    let host = host_of(&mut request).unwrap_or_default();
    let answered = async {
        if !web.settings.is_ours(&host) {
            return Problem::new(
                StatusCode::MISDIRECTED_REQUEST,
                "ARX-E003",
                "this host name is not one of this server",
            )
            .hint("`arx serve --public-url` says which names it has")
            .into_response();
        }
        match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                Problem::new(StatusCode::GATEWAY_TIMEOUT, "ARX-E005", "the answer took too long")
                    .into_response()
            }
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    if is_api {
        response = spoken(response);
    }
    put(response.headers_mut(), &web, &id);
    let took = begun.elapsed();
    web.metrics.answered(&route, &method, response.status(), took);
    span.in_scope(|| {
        tracing::debug!(status = response.status().as_u16(), ms = took.as_millis(), "answered");
    });
    response
}

/// The host that a request is for.
fn host_of(request: &mut Request) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    request.headers().get(header::HOST)?.to_str().ok().map(str::to_owned)
}

fn put(headers: &mut HeaderMap, web: &Web, id: &str) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CSP);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: browsers would then hide from our own forms where they come from.
    set(header::REFERRER_POLICY, "same-origin");
    set(header::CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=()",
    );
    if web.settings.is_secure() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
}

/// An answer of the framework itself, such as one to a body that is too large, as a problem.
fn spoken(response: Response) -> Response {
    let status = response.status();
    let is_ours = response.extensions().get::<Problem>().is_some();
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let reason = status.canonical_reason().unwrap_or("the request was refused").to_lowercase();
    let mut spoken = Problem::new(status, "ARX-E001", reason).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        spoken.headers_mut().insert(header::ALLOW, allow.clone());
    }
    spoken
}

/// Nobody who is not signed in learns what there is and what not.
async fn not_found(web: Web, request: Request) -> Response {
    let path = request.uri().path();
    let problem = Problem::new(StatusCode::NOT_FOUND, "ARX-E010", "there is nothing here");
    if path.starts_with("/api/") || path.starts_with("/assets/") {
        return problem.into_response();
    }
    match guard::caller(&web, request.headers()).await {
        Ok(Some(caller)) => {
            let problem = problem.hint("the overview leads to everything there is");
            pages::with_problem(problem.into_response(), Some(&caller), &web)
        }
        Ok(None) if *request.method() == Method::GET => Redirect::to("/sign-in").into_response(),
        Ok(None) => problem.into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "ARX-E001", "this cannot be done with this method")
}
