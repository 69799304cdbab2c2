//! Workflows: what each may do, when it runs, which versions there were, and its switches.

use arx_types::Role;
use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use crate::web::input::{Asked, Asker, Named};
use crate::web::views::run::{self, RunView};
use crate::web::views::workflow::{self, FireView, WorkflowDetail, WorkflowHead};
use crate::web::{Problem, Web, text, times, views};

/// Fires and runs shown on a workflow's page.
const SHOWN: usize = 10;

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    after: Option<String>,
    before: Option<u64>,
}

pub(super) async fn list(
    State(web): State<Web>,
    asker: Asker,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let (library, after) = (web.library.clone(), wanted.after.clone());
    let page = web
        .read(move |reader| workflow::list(reader, &library, after.as_deref(), views::PAGE, now))
        .await?;
    let next = page.next.map(|next| format!("/workflows?after={}", parts::path(&next)));
    let first = wanted.after.map(|_| "/workflows".to_owned());
    let body = html! {
        div.head { div { h1 { "Workflows" } p.dim { "What runs here, by itself or when asked." } } }
        section.card aria-label="Workflows" {
            div #workflows data-live {
                @if page.items.is_empty() {
                    (parts::empty("No workflow is registered.", html! {
                        "Begin with one of the library: " (parts::command("arx register --config critical-vuln-escalation"))
                    }))
                } @else { (table(&page.items, now)) }
            }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::live(&shell, "Workflows", "/workflows", "/api/v1/events", body))
}

fn table(items: &[WorkflowHead], now: Timestamp) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.hidden { "Workflows by name" }
            thead { tr { th scope="col" { "Workflow" } th scope="col" { "State" } th scope="col" { "Next" } th scope="col" { "Last run" } th scope="col" { "Owner" } } }
            tbody { @for item in items { tr {
                th scope="row" { (parts::workflow_link(&item.name))
                    @if let Some(description) = &item.description { div.sub { (text::shortened(description, 140)) } } }
                td { (state(item)) }
                td.nowrap { @match item.next { Some(at) => (times::ago(at.0, now)), None => span.dim { "—" } } }
                td { @match &item.last_run {
                    Some(run) => { (parts::status(&run.status)) div.sub { (times::ago(run.started_at.0, now)) " · " a href={ "/runs/" (run.id) } { "show" } } }
                    None => span.dim { "never ran" }
                } }
                td { @match &item.owner { Some(owner) => (owner), None => span.dim { "—" } } }
            } } }
        } }
    }
}

fn state(item: &WorkflowHead) -> Markup {
    html! {
        @if item.stopped.is_some() { (parts::status("stopped")) }
        @else { @match &item.registered {
            Some(registered) if registered.paused_at.is_some() => (parts::status("paused")),
            Some(_) => (parts::status("registered")),
            None => span.dim { "not registered" },
        } }
    }
}

struct Seen {
    detail: WorkflowDetail,
    fires: views::Page<FireView>,
    runs: Vec<RunView>,
    under_way: Vec<String>,
}

pub(super) async fn show(
    State(web): State<Web>,
    asker: Asker,
    Named(name): Named<String>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let (library, world, of) = (web.library.clone(), web.app.world.clone(), name.clone());
    let before = wanted.before;
    let seen = web
        .read(move |reader| {
            let Some(detail) = workflow::detail(reader, &library, &of, now)? else {
                return Ok(None);
            };
            let asked =
                run::Asked { workflow: Some(of.clone()), limit: SHOWN, ..run::Asked::default() };
            Ok(Some(Seen {
                fires: workflow::fires(reader, &world, &of, before, SHOWN)?,
                runs: run::list(reader, &asked)?.items,
                under_way: workflow::under_way(reader, &of)?,
                detail,
            }))
        })
        .await?
        .ok_or_else(|| Problem::missing("workflow", &name))?;
    let detail = &seen.detail;
    let body = html! {
        div #head data-live { (head(&shell, &seen, now)) }
        div.grid {
            div.stack.w7 {
                (permissions(detail))
                section.card #runs data-live aria-labelledby="h-runs" {
                    header { h2 #h-runs { "Runs" } a href={ "/runs?workflow=" (parts::path(&name)) } { "All" } }
                    @if seen.runs.is_empty() { (parts::empty("It never ran.", html! { "“Run now” starts it, or its schedule does." })) }
                    @else { (parts::run_list(&seen.runs, web.app.world.as_str(), now)) }
                }
            }
            div.stack.w5 {
                (schedule(detail, now))
                section.card #fires data-live[before.is_none()] aria-labelledby="h-fires" { (fires(&seen, &name, before.is_some(), now)) }
                (versions(detail, now))
                @if shell.is(Role::Admin) { (switches(&shell, detail)) }
            }
        }
    };
    Ok(layout::live(&shell, &name, "/workflows", "/api/v1/events", body))
}

fn button(shell: &Shell, name: &str, act: &str, label: &str, class: &str) -> Markup {
    html! {
        form method="post" action={ "/workflows/" (parts::path(name)) "/" (act) } {
            (shell.csrf()) button type="submit" class=(class) { (label) }
        }
    }
}

fn head(shell: &Shell, seen: &Seen, now: Timestamp) -> Markup {
    let head = &seen.detail.head;
    html! {
        div.stack {
            div.head {
                div {
                    p.crumbs { a href="/workflows" { "Workflows" } }
                    h1 { (head.name) " " (state(head)) }
                    @if let Some(description) = &head.description { p { (description) } }
                    @if let Some(owner) = &head.owner { p.dim { "answers for it: " (owner) } }
                }
                @if shell.is(Role::Admin) {
                    div.acts {
                        @if let Some(registered) = &head.registered {
                            @if head.stopped.is_none() { (button(shell, &head.name, "run", "Run now", "main")) }
                            @if registered.paused_at.is_some() { (button(shell, &head.name, "resume", "Resume schedule", "")) }
                            @else if seen.detail.schedule.is_some() { (button(shell, &head.name, "pause", "Pause schedule", "")) }
                        }
                        @if head.stopped.is_some() { (button(shell, &head.name, "start", "Lift the stop", "main")) }
                    }
                }
            }
            @if let Some(stop) = &head.stopped {
                div.notice.bad {
                    p { strong { "Stopped" } " since " (times::full(stop.at.0, now)) " by " (stop.by) ": " (stop.reason) }
                    p.dim { "The gate denies every further call, running runs park, and new runs are refused." }
                }
            }
            @if let Some((at, by)) = head.registered.as_ref().and_then(|registered| registered.paused_at.zip(registered.paused_by.as_deref())) {
                div.notice.warn { p { "The schedule is paused since " (times::full(at.0, now)) " by " (by) "." } }
            }
            @if !seen.detail.understood {
                div.notice.bad { p { "This program does not understand the recorded version of this workflow." } p.dim { "Register it again: " (parts::command("arx register --config arx.yaml")) } }
            }
            @for run in &seen.under_way { div.notice { p { "Run " (parts::run_link(run)) " is under way." } } }
        }
    }
}

fn permissions(detail: &WorkflowDetail) -> Markup {
    html! {
        section.card aria-labelledby="h-may" {
            header { h2 #h-may { "What it may do" } @if let Some(approvals) = &detail.approvals { span.small.dim { "asks above risk " (approvals.risk_threshold) } } }
            div.in {
                @if detail.permissions.is_empty() { p.dim { "Nothing is known of its permissions." } }
                ul.sentences {
                    @for permission in &detail.permissions {
                        @let (mark, class) = match permission.says.as_str() {
                            "denied" => ("✕", "denied"),
                            "permitted" if permission.writes => ("✎", ""),
                            "permitted" => ("✓", ""),
                            _ => ("?", ""),
                        };
                        li class=(class) { span aria-hidden="true" { (mark) }
                            span { (permission.sentence) " " span.small.dim { "(" (permission.operation) ", " (permission.class) ")" } } }
                    }
                }
                @if let Some(approvals) = &detail.approvals {
                    div { h3 { "Who decides what it asks" } p {
                        @if approvals.approvers.is_empty() { "Nobody: what it asks waits until it expires." }
                        @else { (approvals.quorum) " of " (approvals.approvers.join(", ")) ", within " (approvals.expires) }
                    } }
                }
            }
        }
    }
}

fn schedule(detail: &WorkflowDetail, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="h-schedule" {
            header { h2 #h-schedule { "Schedule" } }
            @match &detail.schedule {
                None => (parts::empty("It has no schedule.", html! { "It runs when somebody asks." })),
                Some(schedule) => div.in {
                    p { code { (schedule.cron) } " " (schedule.timezone) " · overlap " (schedule.overlap) " · after a downtime " (schedule.catch_up) }
                    @if let Some(own) = &schedule.instead_of {
                        p.small.dim { "This daemon was told to run everything so; its own schedule is " code { (own) } "." }
                    }
                    @if detail.head.registered.is_some() {
                        ol { @for at in &schedule.next { li { (times::exact(at.0)) " " span.dim { (times::relative(at.0, now)) } } } }
                    } @else { p.dim { "It is not registered, so nothing fires: " (parts::command("arx register --config arx.yaml")) } }
                }
            }
        }
    }
}

fn fires(seen: &Seen, name: &str, later: bool, now: Timestamp) -> Markup {
    let name = parts::path(name);
    let next =
        seen.fires.next.as_ref().map(|next| format!("/workflows/{name}?before={next}#h-fires"));
    let first = later.then(|| format!("/workflows/{name}#h-fires"));
    html! {
        header { h2 #h-fires { "Fires and skips" } }
        @if seen.fires.items.is_empty() { (parts::empty("It was not due yet.", html! { "Each time that it is due is kept here with what came of it." })) }
        @else {
            ul.list { @for fire in &seen.fires.items { li {
                div { (parts::status(&fire.state)) " " (text::words(&fire.cause))
                    @if let Some(reason) = &fire.reason { div.small.dim { (reason) } }
                    @if fire.n_due > 1 { div.small.dim { "stands for " (fire.n_due) " times" } } }
                div.small { (times::ago(fire.due_at.0, now))
                    @if let Some(run) = &fire.run { " · " (parts::run_link(run)) } }
            } } }
        }
        (parts::pages(first.as_deref(), next))
    }
}

fn versions(detail: &WorkflowDetail, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="h-versions" {
            header { h2 #h-versions { "Versions" } }
            ul.list { @for version in &detail.versions { li {
                div { (parts::digest(&version.version))
                    @if detail.head.registered.as_ref().is_some_and(|registered| registered.version == version.version) { " " (parts::status("registered")) }
                    div.small.dim { "policy " (parts::digest(&version.policy_version)) } }
                div.small.dim { (times::ago(version.recorded_at.0, now)) }
            } } }
        }
    }
}

fn switches(shell: &Shell, detail: &WorkflowDetail) -> Markup {
    let head = &detail.head;
    html! {
        section.card aria-labelledby="h-switches" {
            header { h2 #h-switches { "Stop and remove" } }
            div.in {
                @if head.stopped.is_none() {
                    form.form method="post" action={ "/workflows/" (parts::path(&head.name)) "/stop" } {
                        (shell.csrf())
                        p.dim { "Denies every further call at the gate within a second, parks what runs, and refuses new runs until it is lifted." }
                        label { "Why" input name="reason" required maxlength="2000" autocomplete="off"; }
                        div { button.bad type="submit" { "Stop this workflow" } }
                    }
                }
                @if head.registered.is_some() {
                    form method="post" action={ "/workflows/" (parts::path(&head.name)) "/unregister" }
                        data-confirm="Take this workflow off the schedule? Its record stays." {
                        (shell.csrf()) button type="submit" { "Unregister" }
                    }
                }
            }
        }
    }
}
