//! Signing in, joining by a one-time link, and secrets that are shown once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use crate::identity::{Invited, PASSWORD_CHARS_MIN};
use crate::web::input::{Asked, Named, own_path};
use crate::web::{Problem, Web, assets};

#[derive(Default, Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

fn brand() -> Markup {
    html! { p.brand { img src=(assets::path("icon.svg")) alt=""; "ARX" } }
}

pub(super) async fn sign_in(State(web): State<Web>, Asked(next): Asked<Next>) -> Page {
    sign_in_page(&web, next.next.as_deref(), None)
}

pub(crate) fn sign_in_page(web: &Web, next: Option<&str>, wrong: Option<&str>) -> Page {
    let body = html! {
        (brand())
        section.card { div.in {
            h1 { "Sign in" }
            @if let Some(wrong) = wrong { div.notice.bad role="alert" { p { (wrong) } } }
            form.form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(own_path(next));
                label { "Name" input name="name" required autofocus autocomplete="username" autocapitalize="none" spellcheck="false"; }
                label { "Password" input name="password" type="password" required autocomplete="current-password"; }
                div { button.main type="submit" { "Sign in" } }
            }
        } }
        p.small.dim { "No password yet? The first start prints a one-time link, and an admin makes one for everybody else. Forgotten: " code { "arx users reset NAME" } "." }
    };
    layout::render(&Shell::nobody(web), "Sign in", "", body)
}

/// Looking at a link uses nothing up.
pub(super) async fn join(
    State(web): State<Web>,
    Named(link): Named<String>,
) -> Result<Response, Problem> {
    let invited = web.app.identity.link(&link).await?;
    Ok(match invited {
        Some(invited) => join_page(&web, &link, &invited, None).into_response(),
        None => (StatusCode::GONE, dead_link(&web)).into_response(),
    })
}

fn dead_link(web: &Web) -> Page {
    let body = html! {
        (brand())
        div.notice.bad { h1 { "This link is no good any more" }
            p { "A one-time link works once, within 24 hours." }
            p.dim { "Ask an admin for another, or on the machine itself: " code { "arx users reset NAME" } } }
        p { a href="/sign-in" { "Sign in" } }
    };
    layout::render(&Shell::nobody(web), "Link", "", body)
}

pub(crate) fn join_page(web: &Web, link: &str, invited: &Invited, wrong: Option<&str>) -> Page {
    let body = html! {
        (brand())
        section.card { div.in {
            h1 { @match &invited.name { Some(name) => { "Welcome, " (name) } None => "Welcome" } }
            p.dim { "You will be " (invited.role.as_str()) ". Choose your password" @if invited.name.is_none() { " and the name that the record shows" } "." }
            @if let Some(wrong) = wrong { div.notice.bad role="alert" { p { (wrong) } } }
            form.form method="post" action={ "/join/" (parts::path(link)) } {
                @match &invited.name {
                    Some(name) => input type="hidden" name="name" value=(name) autocomplete="username";,
                    None => label { "Name" input name="name" required autofocus maxlength="64" autocomplete="username" autocapitalize="none" spellcheck="false"; },
                }
                label { "Password " span.dim { "at least " (PASSWORD_CHARS_MIN) " characters" } input name="password" type="password" required minlength=(PASSWORD_CHARS_MIN) autocomplete="new-password"; }
                label { "The same again" input name="again" type="password" required autocomplete="new-password"; }
                div { button.main type="submit" { "Begin" } }
            }
        } }
    };
    layout::render(&Shell::nobody(web), "Join", "", body)
}

/// A link that somebody else is to be given; shown this once.
pub(crate) fn invited(shell: &Shell, name: &str, url: &str) -> Page {
    let body = html! {
        div.head { div { p.crumbs { a href="/people" { "People" } } h1 { "A link for " (name) } } }
        div.notice.good {
            p { "Give them this link over a channel that you trust. It works once, within 24 hours, and is not shown again." }
            pre { (url) } div { (parts::copy(url)) }
        }
        p { a href="/people" { "Back to people" } }
    };
    layout::render(shell, "A link", "/people", body)
}

/// A token's secret; shown this once.
pub(crate) fn secret_once(shell: &Shell, label: &str, secret: &SecretString) -> Page {
    let body = html! {
        div.head { div { p.crumbs { a href="/tokens" { "Your API tokens" } } h1 { "Token for " (label) } } }
        div.notice.good {
            p { "Copy it now: only its digest is kept, and it is not shown again." }
            pre { (secret.expose_secret()) } div { (parts::copy(secret.expose_secret())) }
        }
        p { a href="/tokens" { "Back to your tokens" } }
    };
    layout::render(shell, "New token", "/tokens", body)
}
