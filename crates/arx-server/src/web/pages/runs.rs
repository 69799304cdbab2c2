//! All runs, by page.

use arx_journal::World;
use arx_types::RunId;
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use crate::web::input::{Asked, Asker, escaped};
use crate::web::views::{self, run};
use crate::web::{Problem, Web, text};

const STATUSES: [&str; 7] =
    ["running", "parked", "succeeded", "failed", "needs_attention", "interrupted", "cancelled"];

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    workflow: Option<String>,
    status: Option<String>,
    world: Option<String>,
    before: Option<RunId>,
}

/// A field that a form left empty asks for nothing.
pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

pub(super) async fn show(
    State(web): State<Web>,
    asker: Asker,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let status = given(&wanted.status).map(run::status).transpose()?;
    let world: Option<World> = given(&wanted.world).map(str::parse).transpose()?;
    let asked = run::Asked {
        workflow: given(&wanted.workflow).map(str::to_owned),
        status,
        world,
        before: wanted.before.clone(),
        limit: views::PAGE,
    };
    let (page, names) =
        web.read(move |reader| Ok((run::list(reader, &asked)?, reader.workflow_names()?))).await?;
    let query = query(&wanted);
    let next = page.next.as_ref().map(|next| format!("/runs?{query}before={next}"));
    let first = wanted.before.as_ref().map(|_| format!("/runs?{query}"));
    let body = html! {
        div.head { div { h1 { "Runs" } p.dim { "Every run with what it did, the newest first." } } }
        section.card aria-label="Runs" {
            div.in { (filters(&wanted, &names)) }
            div #runs data-live[wanted.before.is_none()] {
                @if page.items.is_empty() {
                    @if query.is_empty() {
                        (parts::empty("Nothing ran yet.", html! {
                            "Try " (parts::command("arx run critical-vuln-escalation --simulate"))
                        }))
                    } @else {
                        (parts::empty("No run fits.", html! { a href="/runs" { "Show all runs" } }))
                    }
                } @else { (parts::runs(&page.items, web.app.world.as_str(), now, true)) }
            }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::live(&shell, "Runs", "/runs", "/api/v1/events", body))
}

/// The filters as a query, to be gone on with.
fn query(wanted: &Wanted) -> String {
    let mut query = String::new();
    for (name, value) in [
        ("workflow", given(&wanted.workflow)),
        ("status", given(&wanted.status)),
        ("world", given(&wanted.world)),
    ] {
        if let Some(value) = value {
            query.push_str(&format!("{name}={}&", escaped(value)));
        }
    }
    query
}

fn filters(wanted: &Wanted, names: &[String]) -> Markup {
    html! {
        form.filters method="get" action="/runs" role="search" {
            label { "Workflow"
                select name="workflow" {
                    option value="" { "all" }
                    @for name in names {
                        option value=(name) selected[given(&wanted.workflow) == Some(name)] { (name) }
                    }
                }
            }
            label { "Status"
                select name="status" {
                    option value="" { "all" }
                    @for status in STATUSES {
                        option value=(status) selected[given(&wanted.status) == Some(status)] { (text::words(status)) }
                    }
                }
            }
            button type="submit" { "Show" }
            label.wide data-js hidden { "Find on this page"
                input type="search" data-find data-filter="runs" autocomplete="off";
            }
        }
    }
}
