//! Who may: the check before every handler.
//!
//! A session proves itself by its cookie, which a browser sends along whoever made it ask; so
//! every request of a session that changes something carries the session's CSRF token and comes
//! from one of our own pages. A token proves itself by a header that no browser sends by itself.

use std::net::SocketAddr;

use arx_types::Role;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::routes::{Needs, Rule, Speaks};
use super::{Problem, Web, cookies, pages};
use crate::identity::{Caller, Via};

/// The largest body that is read.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The form field, and the header, with the CSRF token.
pub(crate) const CSRF_FIELD: &str = "csrf";
const CSRF_HEADER: &str = "x-csrf-token";

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What stands before one route.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) web: Web,
    pub(crate) rule: Rule,
}

/// Lets a request through to its handler, or answers it.
pub(crate) async fn check(State(post): State<Post>, request: Request, next: Next) -> Response {
    let speaks = post.rule.speaks;
    let path = request.uri().path().to_owned();
    match pass(&post, request).await {
        Ok((request, caller)) => {
            let response = next.run(request).await;
            match speaks {
                Speaks::Json => response,
                Speaks::Html => pages::with_problem(response, caller.as_ref(), &post.web),
            }
        }
        Err(Refusal::SignIn) if speaks == Speaks::Html => {
            // Only our own paths come back: nobody is led elsewhere after signing in.
            let next = match post.rule.method == Method::GET && path != "/" {
                true => format!("/sign-in?next={}", super::input::escaped(&path)),
                false => "/sign-in".to_owned(),
            };
            Redirect::to(&next).into_response()
        }
        Err(Refusal::SignIn) => {
            let problem = Problem::new(
                StatusCode::UNAUTHORIZED,
                "ARX-E003",
                "nobody is signed in, and there is no API token that is good",
            )
            .hint("send `Authorization: Bearer TOKEN`; `arx tokens` makes one");
            let mut response = problem.into_response();
            let bearer = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
            response
        }
        Err(Refusal::Problem(problem, caller)) => {
            let response = problem.into_response();
            match speaks {
                Speaks::Json => response,
                Speaks::Html => pages::with_problem(response, caller.as_ref(), &post.web),
            }
        }
    }
}

enum Refusal {
    SignIn,
    Problem(Problem, Option<Caller>),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem, None)
    }
}

async fn pass(post: &Post, mut request: Request) -> Result<(Request, Option<Caller>), Refusal> {
    let Post { web, rule } = post;
    let changes = !matches!(rule.method, Method::GET | Method::HEAD);
    let from_loopback = is_from_loopback(&request);
    let role = match rule.needs {
        Needs::Nothing => return Ok((request, None)),
        Needs::ViewerOrLoopback if from_loopback => return Ok((request, None)),
        Needs::OwnPage => {
            if changes {
                refuse_foreign(request.headers())?;
            }
            return Ok((request, None));
        }
        Needs::ViewerOrLoopback => Role::Viewer,
        Needs::Role(role) => role,
    };
    let caller = caller(web, request.headers()).await?.ok_or(Refusal::SignIn)?;
    if changes && matches!(caller.via, Via::Session { .. }) {
        refuse_foreign(request.headers())?;
        let (back, given) = csrf_of(request).await?;
        request = back;
        if !caller.has_csrf(given.as_deref()) {
            let problem = Problem::forbidden("the form is not one of this session")
                .hint("load the page again and send it once more");
            return Err(Refusal::Problem(problem, Some(caller)));
        }
    }
    if caller.role < role {
        let problem = Problem::forbidden(format!(
            "`{}` is {}, and this needs {}",
            caller.name,
            a(caller.role),
            a(role),
        ))
        .hint("an admin can change roles");
        return Err(Refusal::Problem(problem, Some(caller)));
    }
    request.extensions_mut().insert(caller.clone());
    Ok((request, Some(caller)))
}

/// Whether somebody asks on this very machine, and not through a proxy on it: whoever that asks for
/// is elsewhere.
fn is_from_loopback(request: &Request) -> bool {
    let headers = request.headers();
    let is_forwarded = ["forwarded", "via", "x-forwarded-for", "x-real-ip"]
        .into_iter()
        .any(|name| headers.contains_key(name));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = url::Url::parse(&format!("http://{host}/")).ok();
    let names_loopback = match url.as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let peer = request.extensions().get::<Peer>();
    names_loopback && !is_forwarded && peer.is_some_and(|peer| peer.0.ip().is_loopback())
}

fn a(role: Role) -> &'static str {
    match role {
        Role::Viewer => "a viewer",
        Role::Approver => "an approver",
        Role::Admin => "an admin",
    }
}

/// Whom a request comes from: the owner of its token, or else of its session.
pub(crate) async fn caller(web: &Web, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok().and_then(|text| text.split_once(' '));
        return match bearer {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(web.app.identity.token(token.trim()).await?)
            }
            // A credential that is not understood is none; the cookie does not stand in for it.
            Some(_) | None => Ok(None),
        };
    }
    match cookies::session(headers, &web.settings) {
        Some(cookie) => Ok(web.app.identity.session(cookie).await?),
        None => Ok(None),
    }
}

/// Refuses what another site's page sends. Browsers say where a request comes from in a header
/// that pages cannot set; one that says nothing is not taken.
fn refuse_foreign(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = match (text("sec-fetch-site"), text("origin"), text("host")) {
        (Some(site), ..) => site == "same-origin",
        (None, Some(origin), Some(host)) => {
            let of_origin = origin.split_once("://").map(|(_, host)| host);
            of_origin.is_some_and(|of_origin| of_origin.eq_ignore_ascii_case(host))
        }
        (None, ..) => false,
    };
    match is_own {
        true => Ok(()),
        false => Err(Problem::forbidden("the request comes from another site, or does not say")
            .hint("use the console's own pages; programs send an API token")),
    }
}

/// The CSRF token of a request, in its header or its form, and the request again.
async fn csrf_of(request: Request) -> Result<(Request, Option<String>), Problem> {
    if let Some(value) = request.headers().get(CSRF_HEADER) {
        let given = value.to_str().ok().map(str::to_owned);
        return Ok((request, given));
    }
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "ARX-E001", "the form is too large")
    })?;
    let given = url::form_urlencoded::parse(&bytes)
        .find_map(|(name, value)| (name == CSRF_FIELD).then(|| value.into_owned()));
    Ok((Request::from_parts(parts, Body::from(bytes)), given))
}
