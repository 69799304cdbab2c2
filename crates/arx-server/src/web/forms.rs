//! The forms of the console: what a session asks for, which the guard has found to be its own.
//! Each ends with the page that shows what came of it, so that loading it again repeats nothing.

use arx_engine::settle::Said;
use arx_journal::{Vote, World};
use arx_types::{ApprovalId, EffectKey, Role, RunId, TokenId};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Extension, RequestPartsExt as _};
use secrecy::SecretString;

use super::guard::Peer;
use super::input::{Asker, Form, Named, own_path, reason};
use super::pages::{self, Shell};
use super::routes::{Needs, Table};
use super::{Problem, Web, acts, cookies};
use crate::identity::{Invited, JoinError, NewSession, SignInError};

/// Adds the forms' routes.
pub(crate) fn add(table: Table) -> Table {
    let (viewer, admin) = (Needs::Role(Role::Viewer), Needs::Role(Role::Admin));
    table
        .form("/sign-in", Needs::OwnPage, sign_in)
        .form("/join/{link}", Needs::OwnPage, join)
        .form("/sign-out", viewer, sign_out)
        .form("/approvals/{id}/vote", Needs::Role(Role::Approver), vote)
        .form("/runs/{id}/cancel", admin, cancel)
        .form("/runs/{id}/resume", admin, resume)
        .form("/workflows/{name}/{act}", admin, workflow)
        .form("/effects/settle", admin, settle)
        .form("/audit/verify", viewer, verify)
        .form("/people", admin, add_person)
        .form("/people/{name}/{act}", admin, person)
        .form("/tokens", viewer, new_token)
        .form("/tokens/{id}/revoke", viewer, revoke)
}

/// The address of whoever signs in, for the limit on attempts.
#[derive(Clone, Copy)]
struct From(std::net::IpAddr);

impl axum::extract::FromRequestParts<Web> for From {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _web: &Web,
    ) -> Result<Self, Problem> {
        let unknown = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        let peer = parts.extract::<Extension<Peer>>().await;
        Ok(Self(peer.map_or(unknown, |Extension(peer)| peer.0.ip())))
    }
}

/// The answer that gives a browser its session.
fn begun(web: &Web, session: &NewSession, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    let cookie = cookies::give(&web.settings, &session.cookie, web.now(), session.expires_at);
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// The form again, with what was wrong.
fn again(status: StatusCode, page: impl axum::response::IntoResponse) -> Response {
    let mut response = page.into_response();
    *response.status_mut() = status;
    response
}

async fn sign_in(State(web): State<Web>, from: From, form: Form) -> Response {
    let (name, password) = (form.text("name"), form.exactly("password"));
    let next = own_path(form.text("next"));
    let (Some(name), Some(password)) = (name, password) else {
        let page = pages::sign_in_page(&web, Some(next), Some("type a name and a password"));
        return again(StatusCode::UNPROCESSABLE_ENTITY, page);
    };
    match web.app.identity.sign_in(name, SecretString::from(password), from.0).await {
        Ok(session) => begun(&web, &session, next),
        Err(error) => {
            let wait = match &error {
                SignInError::Wait { wait } => Some(wait.as_secs().max(1)),
                SignInError::Wrong | SignInError::Busy(_) | SignInError::Journal(_) => None,
            };
            let problem = acts::of_sign_in(error);
            let page = pages::sign_in_page(&web, Some(next), Some(problem.detail()));
            let mut response = again(problem.status(), page);
            if let Some(seconds) = wait {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
    }
}

async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(cookie) = cookies::session(&headers, &web.settings) {
        web.app.identity.sign_out(cookie).await?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().append(header::SET_COOKIE, cookies::take(&web.settings));
    Ok(response)
}

async fn join(
    State(web): State<Web>,
    Named(link): Named<String>,
    form: Form,
) -> Result<Response, Problem> {
    let invited = web.app.identity.link(&link).await?;
    let invited: Invited = invited.ok_or_else(|| {
        Problem::new(StatusCode::GONE, "ARX-E003", "this link is no good any more")
            .hint("ask an admin for another")
    })?;
    let wrong =
        |status, text: &str| Ok(again(status, pages::join_page(&web, &link, &invited, Some(text))));
    let (name, password) =
        (form.text("name").unwrap_or(""), form.exactly("password").unwrap_or(""));
    if form.exactly("again") != Some(password) {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, "the two passwords are not the same");
    }
    match web.app.identity.join(&link, name, SecretString::from(password)).await {
        Ok(session) => Ok(begun(&web, &session, "/")),
        Err(JoinError::Journal(error)) => Err(error.into()),
        Err(error) => {
            let problem = acts::of_join(error);
            wrong(problem.status(), problem.detail())
        }
    }
}

async fn vote(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<ApprovalId>,
    form: Form,
) -> Result<Redirect, Problem> {
    let places = form.all("action").map(|place| {
        place.parse::<u32>().map_err(|_| Problem::unprocessable("that is no action of the request"))
    });
    let places: Vec<u32> = places.collect::<Result<_, _>>()?;
    if places.is_empty() {
        return Err(Problem::unprocessable("choose at least one action"));
    }
    let vote = match form.text("vote") {
        Some("approve") => Vote::Approve,
        Some("deny") => {
            let given = form.text("reason").unwrap_or_default();
            let reason = reason(given).map_err(|problem| problem.hint("say why not"))?;
            Vote::Deny { reason }
        }
        Some(_) | None => return Err(Problem::unprocessable("a vote is `approve` or `deny`")),
    };
    acts::vote(&web, &caller, &id, &vote, Some(places)).await?;
    Ok(Redirect::to(&format!("/approvals/{id}")))
}

async fn cancel(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<RunId>,
) -> Result<Redirect, Problem> {
    acts::cancel(&web, &caller, &id).await?;
    Ok(Redirect::to(&format!("/runs/{id}")))
}

async fn resume(State(web): State<Web>, Named(id): Named<RunId>) -> Result<Redirect, Problem> {
    acts::resume(&web, &id).await?;
    Ok(Redirect::to(&format!("/runs/{id}")))
}

async fn workflow(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named((name, act)): Named<(String, String)>,
    form: Form,
) -> Result<Redirect, Problem> {
    let back = format!("/workflows/{}", super::input::escaped(&name).replace('+', "%20"));
    match act.as_str() {
        "pause" => drop(acts::pause(&web, &caller, &name).await?),
        "resume" => drop(acts::unpause(&web, &caller, &name).await?),
        "run" => drop(acts::run_now(&web, &caller, &name).await?),
        "start" => drop(acts::lift(&web, &caller, &name).await?),
        "stop" => {
            let reason = reason(form.text("reason").unwrap_or_default())?;
            acts::stop(&web, &caller, &name, &reason).await?;
        }
        "unregister" => acts::unregister(&web, &caller, &name).await?,
        act => return Err(Problem::missing("such act", act)),
    }
    Ok(Redirect::to(&back))
}

async fn settle(
    State(web): State<Web>,
    Asker(caller): Asker,
    form: Form,
) -> Result<Redirect, Problem> {
    let (world, key) = (form.text("world").unwrap_or(""), form.text("effect").unwrap_or(""));
    let world: World = world.parse()?;
    let effect: EffectKey = key.parse().map_err(|_| Problem::missing("effect", key))?;
    let said = match (form.text("happened"), form.text("id")) {
        (Some("yes"), Some(id)) => {
            Said::Happened { id: id.to_owned(), url: form.text("url").map(str::to_owned) }
        }
        (Some("yes"), None) => {
            let text = "say which record at the vendor it is";
            return Err(Problem::unprocessable(text));
        }
        (Some("no"), _) => Said::DidNotHappen,
        (Some(_) | None, _) => return Err(Problem::unprocessable("say whether it happened")),
    };
    let reason = reason(form.text("reason").unwrap_or_default())?;
    acts::settle(&web, &caller, (&world, &effect), &said, &reason).await?;
    Ok(Redirect::to("/effects"))
}

async fn verify(State(web): State<Web>, asker: Asker) -> Result<Response, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let view = super::api::audit::verify_now(&web, Vec::new()).await?;
    Ok(pages::verified(&shell, &view, web.now()).into_response())
}

fn role(form: &Form) -> Result<Role, Problem> {
    let word = form.text("role").unwrap_or_default();
    Role::parse(word).ok_or_else(|| Problem::unprocessable("that is no role"))
}

async fn add_person(State(web): State<Web>, asker: Asker, form: Form) -> Result<Response, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let name = form.text("name").ok_or_else(|| Problem::unprocessable("say who"))?;
    let (url, _) = acts::add_person(&web, &asker.0, name, role(&form)?).await?;
    Ok(pages::invited(&shell, name, &url).into_response())
}

async fn person(
    State(web): State<Web>,
    asker: Asker,
    Named((name, act)): Named<(String, String)>,
    form: Form,
) -> Result<Response, Problem> {
    let (identity, by) = (&web.app.identity, asker.0.name.as_str());
    match act.as_str() {
        "role" => {
            let role = role(&form)?;
            identity.set_role(by, &name, role).await.map_err(acts::of_people)?;
        }
        "disable" => drop(identity.disable(by, &name).await.map_err(acts::of_people)?),
        "enable" => drop(identity.enable(by, &name).await.map_err(acts::of_people)?),
        "reset" => {
            let shell = Shell::of(&web, &asker).await?;
            let (url, _) = acts::reset_person(&web, &asker.0, &name).await?;
            return Ok(pages::invited(&shell, &name, &url).into_response());
        }
        act => return Err(Problem::missing("such act", act)),
    }
    Ok(Redirect::to("/people").into_response())
}

async fn new_token(State(web): State<Web>, asker: Asker, form: Form) -> Result<Response, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let label = form.text("label").ok_or_else(|| Problem::unprocessable("say what it is for"))?;
    let days = form.text("days").and_then(|days| days.parse().ok());
    let days = days.ok_or_else(|| Problem::unprocessable("say for how many days"))?;
    let made = acts::new_token(&web, &asker.0, label, role(&form)?, days).await?;
    Ok(pages::secret_once(&shell, label, &made.secret).into_response())
}

async fn revoke(
    State(web): State<Web>,
    Asker(caller): Asker,
    Named(id): Named<TokenId>,
    headers: HeaderMap,
) -> Result<Redirect, Problem> {
    acts::revoke(&web, &caller, &id).await?;
    // An admin comes from the list of everybody's.
    let of_people = headers
        .get(header::REFERER)
        .and_then(|referer| referer.to_str().ok())
        .is_some_and(|referer| referer.ends_with("/people"));
    Ok(Redirect::to(if of_people { "/people" } else { "/tokens" }))
}
