//! What ran, what it did, what waits, and that it can be proven.

use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{self, Page, Shell};
use super::parts;
use crate::web::input::Asker;
use crate::web::views::approval::ApprovalHead;
use crate::web::views::overview::{self, Overview, VendorView};
use crate::web::{Problem, Web, text, times};

pub(super) async fn show(State(web): State<Web>, asker: Asker) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let vendors = web.app.daemon.vendors().into_iter().map(VendorView::of).collect();
    let (library, world) = (web.library.clone(), web.app.world.clone());
    let seen =
        web.read(move |reader| overview::read(reader, &library, &world, vendors, now)).await?;
    let body = html! {
        div.head { div {
            h1 { "Overview" }
            p.dim { "What ran, what it did, what waits for a person." }
        } }
        div #stops data-live { (stops(&seen, now)) }
        div #figures data-live { (figures(&seen)) }
        div.grid {
            div.stack.w7 {
                section.card #waiting data-live aria-labelledby="h-waiting" { (waiting(&seen, now)) }
                section.card #last data-live aria-labelledby="h-last" { (last(&seen, now)) }
            }
            div.stack.w5 {
                section.card #next data-live aria-labelledby="h-next" { (next(&seen, now)) }
                section.card #vendors data-live aria-labelledby="h-vendors" { (self::vendors(&seen, now)) }
                section.card #record data-live aria-labelledby="h-record" { (record(&seen, now)) }
            }
        }
    };
    Ok(layout::live(&shell, "Overview", "/", "/api/v1/events", body))
}

fn stops(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        @for stop in &seen.stops {
            div.notice.bad {
                p { strong { (parts::workflow_link(&stop.workflow)) " is stopped" }
                    " since " (times::ago(stop.at.0, now)) " by " (stop.by) ": " (stop.reason) }
                p.small.dim { "The gate denies every further call. Lift it on the workflow’s page." }
            }
        }
    }
}

fn figures(seen: &Overview) -> Markup {
    let figure = |path: &str, n: String, label: &str, class: &str| {
        html! { a class=(class) href=(path) { span.l { (label) } span.n { (n) } } }
    };
    let alarm = |n: u32, class: &'static str| if n > 0 { class } else { "" };
    html! {
        div.figures {
            (figure("/approvals", seen.n_waiting.to_string(), "Waiting for approval",
                alarm(seen.n_waiting.n, "warn")))
            (figure("/effects", seen.n_attention.to_string(), "Need a human",
                alarm(seen.n_attention.n, "bad")))
            (figure("/runs?status=running", seen.n_running.to_string(), "Running", ""))
            (figure("/runs?status=parked", seen.n_parked.to_string(), "Parked", ""))
            (figure("/runs?status=failed", seen.n_failed.to_string(), "Failed",
                alarm(seen.n_failed.n, "bad")))
            (figure("/runs", text::hours(seen.minutes_saved), "Saved in 30 days", ""))
        }
    }
}

fn waiting(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        header { h2 #h-waiting { "Waiting for you" } a href="/approvals" { "All approvals" } }
        @if seen.waiting.is_empty() && seen.attention.is_empty() {
            (parts::empty("Nothing waits.", html! {
                "Calls that the policy puts to a human appear here, with everything needed to decide."
            }))
        } @else {
            ul.list {
                @for approval in &seen.waiting { (waiting_line(approval, now)) }
                @for effect in &seen.attention { li {
                    div {
                        (parts::status(&effect.state)) " "
                        a href={ "/effects/settle?world=" (parts::path(&effect.world)) "&effect=" (parts::path(&effect.effect)) } { (effect.effect) }
                        div.small.dim { "nobody could find out whether this happened; look at the vendor" }
                    }
                    div.small.dim { (times::ago(effect.intended_at.0, now)) }
                } }
            }
        }
    }
}

pub(super) fn waiting_line(approval: &ApprovalHead, now: Timestamp) -> Markup {
    html! {
        li {
            div {
                a href={ "/approvals/" (approval.id) } {
                    @match &approval.operation {
                        Some(operation) => (operation),
                        None => (approval.id),
                    }
                    @if approval.n_actions > 1 { " and " (text::count(approval.n_actions - 1, "more action")) }
                }
                div.small.dim {
                    (approval.workflow) " · asked by " (approval.requester)
                    " · " (approval.severity.to_lowercase()) " risk"
                }
            }
            div.small.dim {
                "expires " (times::ago(approval.expires_at.0, now))
            }
        }
    }
}

fn last(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        header { h2 #h-last { "Last runs" } a href="/runs" { "All runs" } }
        @if seen.runs.is_empty() {
            (parts::empty("Nothing ran yet.", html! {
                "Register a workflow with " (parts::command("arx register --config arx.yaml"))
                ", or run one now on its page."
            }))
        } @else {
            (parts::run_list(&seen.runs, &seen.world, now))
        }
    }
}

fn next(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        header { h2 #h-next { "Next fires" } a href="/workflows" { "Workflows" } }
        @if seen.next.is_empty() {
            (parts::empty("No schedule is due.", html! {
                "A registered workflow with a " code { "schedule" } " in its arx.yaml fires by itself."
            }))
        } @else {
            ul.list { @for fire in &seen.next { li {
                div { (parts::workflow_link(&fire.workflow)) }
                div.small { (times::ago(fire.at.0, now)) span.dim { " · " (times::exact(fire.at.0)) } }
            } } }
        }
    }
}

fn vendors(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        header { h2 #h-vendors { "Vendors" } }
        @if seen.vendors.is_empty() {
            (parts::empty("No vendor was asked since the daemon started.", html! {
                "Health and what is left of each rate budget appear with the first run."
            }))
        } @else {
            div.scroll { table {
                caption.hidden { "Vendors, their health and rate budgets" }
                thead { tr {
                    th scope="col" { "Vendor" } th scope="col" { "Last answer" } th scope="col" { "Budget" }
                } }
                tbody { @for vendor in &seen.vendors { tr {
                    th scope="row" { (vendor.title) div.sub { (vendor.host) } }
                    td {
                        @if vendor.is_failing() { (parts::status("failed")) } @else if vendor.last_success.is_some() { (parts::status("done")) }
                        @if let Some(at) = vendor.last_success { div.sub { "well " (times::ago(at.0, now)) } }
                        @if let (true, Some(why)) = (vendor.is_failing(), &vendor.last_failure) {
                            div.sub { (text::shortened(why, 120)) }
                        }
                    }
                    td { (budget(vendor, now)) }
                } } }
            } }
        }
    }
}

fn budget(vendor: &VendorView, now: Timestamp) -> Markup {
    html! {
        @if let Some(until) = vendor.held_until.filter(|until| until.0 > now) {
            (parts::status("paused")) div.sub { "asked to be left alone until " (times::ago(until.0, now)) }
        } @else if let (Some(limit), Some(seconds)) = (vendor.limit, vendor.limit_seconds) {
            (limit) " in " (seconds) " s"
            @if let Some(available) = vendor.available {
                div.sub { (text::grouped(available.into())) " left now" }
            }
        } @else {
            span.dim { "no limit" }
        }
    }
}

fn record(seen: &Overview, now: Timestamp) -> Markup {
    html! {
        header { h2 #h-record { "The record" } a href="/audit" { "Audit log" } }
        div.in {
            dl.facts {
                dt { "Leaves" } dd { (text::grouped(seen.leaves)) }
                dt { "Signed" } dd {
                    @match &seen.checkpoint {
                        Some(checkpoint) => {
                            (text::grouped(checkpoint.size)) " leaves, " (times::ago(checkpoint.at.0, now))
                        }
                        None => span.dim { "nothing is signed yet" }
                    }
                }
                dt { "World" } dd { (seen.world) }
            }
        }
    }
}
