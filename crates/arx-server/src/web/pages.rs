//! The console's pages, rendered here and whole without any script.

mod account;
mod approvals;
mod audit;
mod effects;
mod layout;
mod lineage;
mod overview;
mod parts;
mod people;
mod run;
mod runs;
mod workflows;

use arx_types::Role;
use axum::response::{IntoResponse as _, Response};
use maud::html;

use super::routes::{Needs, Table};
use super::{Problem, Web, assets, metrics};
use crate::identity::Caller;

pub(crate) use account::{invited, join_page, secret_once, sign_in_page};
pub(crate) use audit::verified;
pub(crate) use layout::Shell;

/// Adds the pages' routes.
pub(crate) fn add(table: Table) -> Table {
    let viewer = Needs::Role(Role::Viewer);
    assets::add(table)
        .plain("/healthz", Needs::Nothing, metrics::health)
        .plain("/readyz", Needs::Nothing, metrics::ready)
        .plain("/metrics", Needs::ViewerOrLoopback, metrics::show)
        .page("/sign-in", Needs::OwnPage, account::sign_in)
        .page("/join/{link}", Needs::OwnPage, account::join)
        .page("/", viewer, overview::show)
        .page("/runs", viewer, runs::show)
        .page("/runs/{id}", viewer, run::show)
        .page("/runs/{id}/steps", viewer, run::steps)
        .page("/runs/{id}/item", viewer, lineage::show)
        .page("/runs/{id}/evidence.json", viewer, audit::evidence)
        .page("/approvals", viewer, approvals::list)
        .page("/approvals/{id}", viewer, approvals::show)
        .page("/workflows", viewer, workflows::list)
        .page("/workflows/{name}", viewer, workflows::show)
        .page("/effects", viewer, effects::list)
        .page("/effects/settle", viewer, effects::settle)
        .page("/audit", viewer, audit::list)
        .page("/audit/checkpoint.txt", viewer, audit::checkpoint)
        .page("/audit/leaf/{seq}", viewer, audit::leaf)
        .page("/people", Needs::Role(Role::Admin), people::list)
        .page("/tokens", viewer, people::tokens)
}

/// The page in place of a problem that a handler answered with.
pub(crate) fn with_problem(response: Response, caller: Option<&Caller>, web: &Web) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let body = html! {
        div.notice.bad role="alert" {
            h1 { (problem.status().canonical_reason().unwrap_or("Error")) }
            p { (problem.detail()) }
            @if let Some(hint) = problem.hint_text() { p.dim { (hint) } }
            p.small.dim { code { (problem.code_text()) } }
        }
        @if caller.is_some() { p { a href="/" { "To the overview" } } }
    };
    let shell = Shell::of_problem(caller, web);
    let mut page = layout::render(&shell, "Not done", "", body).into_response();
    *page.status_mut() = problem.status();
    page
}
