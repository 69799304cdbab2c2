//! What several pages are made of.

use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use crate::web::text;
use crate::web::times;
use crate::web::views::approval::RiskView;
use crate::web::views::run::{Counts, RunView};

/// The longest value of a parameter that is shown before it is folded.
const VALUE_CHARS_SHOWN: usize = 400;

/// A word of a status, coloured by what it means.
pub(super) fn status(word: &str) -> Markup {
    let class = match word {
        "succeeded" | "done" | "approved" | "used" | "PERMIT" | "verified" | "paged"
        | "ticketed" | "started" | "resumed" | "registered" | "holds" => "good",
        "running" | "intended" | "waiting" => "info",
        "parked" | "pending" | "interrupted" | "ESCALATE" | "inconclusive" | "vote" | "paused"
        | "skipped" => "warn",
        "failed" | "needs_attention" | "unknown" | "denied" | "expired" | "DENY" | "stopped"
        | "flagged" | "does not hold" => "bad",
        _ => "",
    };
    html! { span class={ "pill " (class) } { (text::words(word)) } }
}

/// The counts of a run on one line.
pub(super) fn counts(counts: &Counts) -> Markup {
    let shown = counts.shown();
    html! {
        @for (n, (word, count)) in shown.iter().enumerate() {
            @if n > 0 { " · " }
            span.nowrap { (text::grouped(*count)) " " (word) }
        }
    }
}

/// A short form of an identifier, linked.
pub(super) fn run_link(id: &str) -> Markup {
    html! { a.mono href={ "/runs/" (id) } title=(id) { (short(id)) } }
}

/// The end of an identifier, which tells it from its neighbours.
pub(super) fn short(id: &str) -> String {
    let n = id.chars().count();
    match n > 12 {
        true => format!("…{}", id.chars().skip(n - 8).collect::<String>()),
        false => id.to_owned(),
    }
}

/// A digest, shortened, with a button that copies it.
pub(super) fn digest(full: &str) -> Markup {
    let short: String = full.strip_prefix("sha256:").unwrap_or(full).chars().take(12).collect();
    html! { code title=(full) { (short) } " " (copy(full)) }
}

/// A button that copies a text, where there is a script to do it.
pub(super) fn copy(text: &str) -> Markup {
    html! {
        button.copy type="button" data-copy=(text) data-js hidden
            aria-label={ "Copy " (text) } { "copy" }
    }
}

/// A workflow, linked.
pub(super) fn workflow_link(name: &str) -> Markup {
    html! { a href={ "/workflows/" (path(name)) } { (name) } }
}

/// A name as it may stand in a path.
pub(super) fn path(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The way to the next page of a list.
pub(super) fn pages(first: Option<&str>, next: Option<String>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav.pages aria-label="Pages" {
                @if let Some(first) = first { a href=(first) { "← First" } }
                @if let Some(next) = next { a href=(next) rel="next" { "Next →" } }
            }
        }
    }
}

/// What stands where nothing is.
pub(super) fn empty(what: &str, next: Markup) -> Markup {
    html! { div.empty { strong { (what) } span { (next) } } }
}

/// A command to be typed.
pub(super) fn command(text: &str) -> Markup {
    html! { code { (text) } " " (copy(text)) }
}

/// Runs as a table.
pub(super) fn runs(runs: &[RunView], world: &str, now: Timestamp, with_workflow: bool) -> Markup {
    html! {
        div.scroll {
            table.cards #runs-table {
                caption.hidden { "Runs, the newest first" }
                thead { tr {
                    th scope="col" { "Status" }
                    @if with_workflow { th scope="col" { "Workflow" } }
                    th scope="col" { "What it did" }
                    th scope="col" { "Started" }
                    th scope="col" { "Took" }
                    th scope="col" { "By" }
                    th scope="col" { "Run" }
                } }
                tbody {
                    @for run in runs { tr {
                        td { (status(&run.status)) }
                        @if with_workflow { td { (workflow_link(&run.workflow)) } }
                        td {
                            @match &run.figures {
                                Some(figures) => {
                                    (counts(&figures.counts))
                                    @if let Some(error) = &figures.error {
                                        div.sub { (text::shortened(error, 140)) }
                                    }
                                }
                                None => span.dim { "—" }
                            }
                            @if run.dry_run { " " span.tag { "dry run" } }
                            @if run.world != world { " " span.tag title=(run.world) { (run.world) } }
                        }
                        td.nowrap { (times::ago(run.started_at.0, now)) }
                        td.nowrap {
                            @let end = run.ended_at.map_or(now, |at| at.0);
                            @if run.ended_at.is_some() || run.status == "running" {
                                (times::took(end.duration_since(run.started_at.0)))
                            } @else { span.dim { "—" } }
                        }
                        td { (run.actor) }
                        td { (run_link(&run.id)) }
                    } }
                }
            }
        }
    }
}

/// Runs as a short list.
pub(super) fn run_list(runs: &[RunView], world: &str, now: Timestamp) -> Markup {
    html! {
        ul.list { @for run in runs { li.run {
            div { (status(&run.status)) }
            div {
                a href={ "/runs/" (run.id) } { (run.workflow) }
                div.small.dim {
                    @if let Some(figures) = &run.figures { (counts(&figures.counts)) }
                    @if run.dry_run { " " span.tag { "dry run" } }
                    @if run.world != world { " " span.tag title=(run.world) { (run.world) } }
                }
            }
            div.small.dim { (times::ago(run.started_at.0, now)) }
        } } }
    }
}

/// Points out of a hundred as a bar. Its width is an attribute: styles in markup are refused.
pub(super) fn bar(points: u8, of: u8, class: &str) -> Markup {
    let width = u32::from(points.min(of)) * 110 / u32::from(of.max(1));
    html! {
        svg.meter viewBox="0 0 110 8" width="110" height="8" aria-hidden="true" {
            rect.rail x="0" y="1" width="110" height="6" rx="3" {}
            rect class={ "bar " (class) } x="0" y="1" width=(width) height="6" rx="3" {}
        }
    }
}

/// A risk score with each of its factors.
pub(super) fn risk(risk: &RiskView) -> Markup {
    let class = match risk.score {
        0..50 => "",
        50..80 => "warn",
        80.. => "bad",
    };
    html! {
        table {
            caption { strong { "Risk " (risk.score) } " " span.dim {
                (risk.class)
                @if risk.raw != risk.score { ", " (risk.raw) " before the bounds of its class" }
            } }
            thead.hidden { tr { th scope="col" { "Factor" } th scope="col" { "Points" } th scope="col" { "On" } } }
            tbody {
                @for factor in &risk.factors { tr {
                    th scope="row" { (factor.name) }
                    td.nowrap { (bar(factor.points, 50, class)) " " (factor.points) }
                    td.dim { (factor.on) }
                } }
            }
        }
    }
}

/// Parameters, one under the other; what is not given is left out.
pub(super) fn params(params: &Value) -> Markup {
    let Some(fields) = params.as_object() else {
        return html! { pre { (params.to_string()) } };
    };
    html! {
        dl.facts {
            @for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                dt { (name) }
                dd { (self::value(value)) }
            }
        }
    }
}

/// A value as people read it.
pub(super) fn value(value: &Value) -> Markup {
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Object(_) | Value::Array(_) => {
            serde_json::to_string_pretty(value).unwrap_or_default()
        }
        other => other.to_string(),
    };
    let is_long = shown.chars().count() > VALUE_CHARS_SHOWN;
    html! {
        @if let Some(url) = text::link(&shown) {
            a href=(url) rel="noreferrer noopener" { (url) }
        } @else if is_long {
            details {
                summary { (text::shortened(&shown, 120)) }
                pre { (shown) }
            }
        } @else if shown.contains('\n') {
            pre { (shown) }
        } @else {
            (shown)
        }
    }
}
