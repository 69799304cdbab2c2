//! One run: where it stands, what it did in which order, and why.

use arx_audit::{Leaf, LeafKind, Verdict};
use arx_journal::StoredLeaf;
use arx_types::{RunId, RunStatus};
use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::layout::{self, Page, Shell};
use super::{lineage, parts};
use crate::web::input::{Asked, Asker, Named};
use crate::web::views::approval::{self, ApprovalHead};
use crate::web::views::audit::details;
use crate::web::views::effect::{self, EffectView};
use crate::web::views::run::{self, RunDetail, Told, field, outcomes};
use crate::web::{Problem, Web, text, times};

/// Leaves of the timeline on one page.
const TIMELINE: usize = 100;
/// Items on one page.
const ITEMS: usize = 100;
/// Effects shown; the list of effects has them all.
const EFFECTS: usize = 50;
/// Steps on one page.
const STEPS: usize = 200;

#[derive(Deserialize)]
pub(super) struct Wanted {
    after: Option<u64>,
    item: Option<usize>,
}

struct Seen {
    detail: RunDetail,
    told: Told,
    leaves: Vec<StoredLeaf>,
    effects: Vec<EffectView>,
    approvals: Vec<ApprovalHead>,
}

pub(super) async fn show(
    State(web): State<Web>,
    asker: Asker,
    Named(id): Named<RunId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let (of, after) = (id.clone(), wanted.after);
    let seen = web
        .read(move |reader| {
            let Some((detail, told)) = run::detail(reader, &of)? else { return Ok(None) };
            let page = arx_journal::EffectPage {
                run: Some(of.clone()),
                limit: EFFECTS,
                ..arx_journal::EffectPage::default()
            };
            let mut approvals = Vec::new();
            for approval in reader.approvals(Some(&of), None)?.iter().take(20) {
                approvals.push(approval::head(reader, approval, now)?);
            }
            Ok(Some(Seen {
                leaves: reader.leaves_of_run(&of, after, TIMELINE + 1)?,
                effects: effect::list(reader, page)?.items,
                approvals,
                detail,
                told,
            }))
        })
        .await?
        .ok_or_else(|| Problem::missing("run", id.as_str()))?;
    let from = wanted.item.unwrap_or(0);
    let body = html! {
        div #head data-live { (head(&shell, &seen.detail, now)) }
        div.stack #state data-live { (notices(&seen, now)) }
        @if let Some(figures) = &seen.detail.run.figures {
            div.figures {
                @if seen.told.items.iter().all(|item| item.get("qualys").is_none()) {
                    div { span.l { "findings read" } span.n { (text::grouped(figures.findings_read)) } }
                    div { span.l { "vulnerabilities" } span.n { (text::grouped(figures.merged)) } }
                }
                @if let Some(tickets) = figures.tickets_read {
                    div { span.l { "tickets read" } span.n { (text::grouped(tickets)) } }
                }
                @for (word, n) in figures.counts.shown() {
                    div.bad[word == "failed" || word == "denied"] {
                        span.l { (word) } span.n { (text::grouped(n)) }
                    }
                }
                div { span.l { "time saved" } span.n { (text::hours(seen.detail.run.minutes_saved)) } }
            }
        }
        @if !seen.told.items.is_empty() {
            section.card aria-labelledby="h-lineage" {
                header { h2 #h-lineage { "From source to effect" } span.small.dim { "choose an item below to follow it" } }
                div.picture { (lineage::whole(&seen.detail, &seen.told)) }
            }
            section.card aria-labelledby="h-items" { (items(&seen, from)) }
        }
        div.grid {
            section.card.w8 #timeline data-live[after.is_none()] aria-labelledby="h-time" {
                (timeline(&seen, after, now))
            }
            div.stack.w4 {
                (effects(&seen))
                (facts(&seen.detail, now))
            }
        }
    };
    let events = format!("/api/v1/runs/{id}/events");
    let title = format!("{} {}", seen.detail.run.workflow, parts::short(id.as_str()));
    Ok(layout::live(&shell, &title, "/runs", &events, body))
}

fn head(shell: &Shell, detail: &RunDetail, now: Timestamp) -> Markup {
    let run = &detail.run;
    let unfinished = run.state().is_some_and(RunStatus::is_unfinished);
    let is_admin = shell.is(arx_types::Role::Admin);
    html! {
        div.head {
            div {
                p.crumbs { a href="/runs" { "Runs" } " / " span.mono { (run.id) } " " (parts::copy(&run.id)) }
                h1 { (parts::workflow_link(&run.workflow)) " " (parts::status(&run.status)) }
                p.dim {
                    "started " (times::full(run.started_at.0, now)) " by " (run.actor)
                    @if let Some(end) = run.ended_at {
                        " · took " (times::took(end.0.duration_since(run.started_at.0)))
                    }
                    @if run.dry_run { " · " span.tag { "dry run: nothing is sent" } }
                    @if run.world != "live" { " · " span.tag { (run.world) } }
                }
            }
            div.acts {
                a.btn href={ "/runs/" (run.id) "/evidence.json" } { "Evidence" }
                @if unfinished && is_admin {
                    @if run.status == "interrupted" {
                        form method="post" action={ "/runs/" (run.id) "/resume" } {
                            (shell.csrf()) button type="submit" { "Go on now" }
                        }
                    }
                    form method="post" action={ "/runs/" (run.id) "/cancel" }
                        data-confirm="Give this run up, with everything it still asks for? It never resumes." {
                        (shell.csrf()) button.bad type="submit" { "Cancel run" }
                    }
                }
            }
        }
    }
}

fn notices(seen: &Seen, now: Timestamp) -> Markup {
    let detail = &seen.detail;
    html! {
            @if let Some(error) = &detail.error {
                div.notice.bad {
                    p { strong { (error.kind) } ": " (error.message) }
                    @if let Some(hint) = &error.hint { p.dim { (hint) } }
                    @if let Some(traceback) = &error.traceback {
                        details { summary { "Where in the workflow" } pre { (traceback) } }
                    }
                }
            }
            @for approval in seen.approvals.iter().filter(|approval| approval.state == "pending") {
                div.notice.warn {
                    p { strong { "Waits for approval: " }
                        a href={ "/approvals/" (approval.id) } { (text::count(approval.n_actions, "action")) }
                        ", expires " (times::ago(approval.expires_at.0, now)) }
                }
            }
            @for attention in &detail.needs_attention {
                div.notice.bad {
                    p { strong { "Needs a human: " }
                        a href={ "/effects/settle?world=" (parts::path(&detail.run.world)) "&effect=" (parts::path(&attention.effect)) } { (attention.effect) } }
                    p.dim { (attention.why) }
                }
            }
            @for source in detail.sources.iter().filter(|source| !source.complete) {
                div.notice.warn {
                    p { strong { (source.source) " was not read to its end" } }
                    @if let Some(why) = &source.why { p.dim { (why) } }
                }
            }
            @if !detail.warnings.is_empty() {
                details { summary { (text::count(detail.warnings.len() as u64, "warning")) }
                    ul { @for warning in &detail.warnings { li.notice.warn { (warning) } } } }
            }
    }
}

fn items(seen: &Seen, from: usize) -> Markup {
    let id = &seen.detail.run.id;
    let all = &seen.told.items;
    let end = all.len().min(from.saturating_add(ITEMS));
    let shown = all.get(from.min(end)..end).unwrap_or_default();
    let next = (end < all.len()).then(|| format!("/runs/{id}?item={end}#h-items"));
    let first = (from > 0).then(|| format!("/runs/{id}#h-items"));
    html! {
        header {
            h2 #h-items { "Items" }
            span.small.dim { (text::grouped(all.len() as u64)) " in all, the most severe first" }
        }
        div.scroll { table.cards #items-table {
            caption.hidden { "Items with what was done to each" }
            thead { tr {
                th scope="col" { "Item" } th scope="col" { "What" } th scope="col" { "Outcome" } th scope="col" { "At the vendors" }
            } }
            tbody { @for item in shown { (item_row(id, item)) } }
        } }
        (parts::pages(first.as_deref(), next))
    }
}

fn item_row(run: &str, item: &Value) -> Markup {
    let id = field(item, "id");
    let title = match field(item, "title") {
        "" => field(item, "reason"),
        title => title,
    };
    let error = item.pointer("/error/message").and_then(Value::as_str);
    html! {
        tr {
            th scope="row" { a href={ "/runs/" (run) "/item?id=" (parts::path(id)) } { (id) }
                @if !field(item, "host").is_empty() { div.sub { (field(item, "host")) } } }
            td { (text::shortened(title, 110)) @if let Some(error) = error { div.sub { (text::shortened(error, 200)) } } }
            td.nowrap { @for word in outcomes(item) { (parts::status(word)) " " } }
            td { (vendor_links(item)) }
        }
    }
}

/// What a run made at vendors for an item.
pub(super) fn vendor_links(item: &Value) -> Markup {
    let links = [("incident", field(item, "incident")), ("ticket", field(item, "ticket"))];
    html! {
        @if !field(item, "did").is_empty() { (text::shortened(field(item, "did"), 80)) " " }
        @for (label, url) in links.into_iter().filter(|(_, url)| !url.is_empty()) {
            @match text::link(url) {
                Some(link) => { a href=(link) rel="noreferrer noopener" { (label) } " " }
                None => { (label) " " (text::shortened(url, 60)) " " }
            }
        }
    }
}

fn timeline(seen: &Seen, after: Option<u64>, now: Timestamp) -> Markup {
    let id = &seen.detail.run.id;
    let more = seen.leaves.len() > TIMELINE;
    let shown = seen.leaves.get(..TIMELINE.min(seen.leaves.len())).unwrap_or_default();
    let next =
        shown.last().filter(|_| more).map(|leaf| format!("/runs/{id}?after={}#h-time", leaf.seq));
    let first = after.map(|_| format!("/runs/{id}#h-time"));
    html! {
        header {
            h2 #h-time { "Timeline" }
            span.small { a href={ "/runs/" (id) "/steps" } { (text::count(seen.detail.n_steps, "step")) } }
        }
        @if shown.is_empty() {
            (parts::empty("Nothing is recorded yet.", html! { "Each decision, intent and outcome appears here as it is recorded." }))
        } @else {
            ol.line { @for stored in shown { (leaf_line(stored, now)) } }
        }
        (parts::pages(first.as_deref(), next))
    }
}

/// A leaf as one line of a timeline.
pub(super) fn leaf_line(stored: &StoredLeaf, now: Timestamp) -> Markup {
    html! {
        li {
            @match stored.decode() {
                Err(error) => {
                    span.at { a href={ "/audit/leaf/" (stored.seq) } { (stored.seq) } }
                    div.what { (parts::status("failed")) " " (error) }
                }
                Ok(leaf) => {
                    span.at { time datetime=(leaf.at.to_string()) title=(times::relative(leaf.at, now)) {
                        (leaf.at.strftime("%H:%M:%S%.3f")) } }
                    div.what { (leaf_words(&leaf)) }
                }
            }
        }
    }
}

/// What a leaf says, in one line.
pub(super) fn leaf_words(leaf: &Leaf) -> Markup {
    html! {
        a.kind href={ "/audit/leaf/" (leaf.seq) } { (leaf.kind.as_str()) }
        @if let Some(verdict) = leaf.verdict { (verdict_pill(verdict)) }
        @if let Some(status) = &leaf.status { (parts::status(status)) }
        @if let Some(action) = &leaf.action {
            span { (action.connector) "." (action.operation) }
            @if let Some(key) = &action.effect_key {
                span.dim title=(key) { (shorter_key(leaf, key)) }
            }
        }
        @if let Some(risk) = &leaf.risk { span.tag { "risk " (risk.score) } }
        @if let Some(rule) = &leaf.rule { span.dim { "by " (rule) } }
        @if leaf.kind == LeafKind::Run || leaf.kind == LeafKind::Approval { span.dim { (leaf.actor) } }
        @for (name, text) in details(leaf) {
            @if name == "approval" {
                span.dim { a href={ "/approvals/" (text) } { (parts::short(&text)) } }
            } @else {
                span.dim { (name) " " (text) }
            }
        }
    }
}

/// An effect's key without the world and the workflow that stand beside it.
fn shorter_key<'k>(leaf: &Leaf, key: &'k str) -> &'k str {
    let world = leaf.detail.as_ref().and_then(|detail| detail.get("world")?.as_str());
    let below = |key: &'k str, of: Option<&str>| {
        of.and_then(|of| key.strip_prefix(of)?.strip_prefix('/')).unwrap_or(key)
    };
    below(below(key, world), leaf.workflow.as_ref().map(|workflow| workflow.name.as_str()))
}

pub(super) fn verdict_pill(verdict: Verdict) -> Markup {
    parts::status(verdict.as_str())
}

fn effects(seen: &Seen) -> Markup {
    let id = &seen.detail.run.id;
    html! {
        section.card aria-labelledby="h-effects" {
            header { h2 #h-effects { "Effects" } a href={ "/effects?run=" (id) } { "All" } }
            @if seen.effects.is_empty() {
                (parts::empty("Nothing was written at a vendor.", html! { "Reads leave no effect; the timeline has them." }))
            } @else {
                ul.list { @for effect in seen.effects.iter().take(12) { li {
                    div { (parts::status(&effect.state)) " " (effect.operation)
                        div.small.dim { (effect.effect) } }
                    div.small { @if let Some(url) = effect.url() { a href=(url) rel="noreferrer noopener" { "open" } } }
                } } }
            }
        }
    }
}

fn facts(detail: &RunDetail, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="h-facts" {
            header { h2 #h-facts { "Under which rules" } }
            div.in {
                dl.facts {
                    dt { "Version" } dd { (parts::digest(&detail.run.version)) }
                    dt { "Policy" } dd { (parts::digest(&detail.run.policy_version)) }
                    dt { "Asked for" } dd {
                        @if detail.approvals.is_empty() { span.dim { "nothing" } }
                        @for approval in &detail.approvals { a href={ "/approvals/" (approval) } { (parts::short(approval)) } " " }
                    }
                    dt { "Driven by" } dd {
                        @match &detail.owner { Some(owner) => code { (owner) }, None => span.dim { "nobody now" } }
                    }
                    dt { "Seen" } dd { (times::exact(now)) }
                }
                details { summary { "Inputs" } (parts::params(&detail.inputs)) }
                @if let Some(conservation) = &detail.conservation {
                    details { summary { "Every finding accounted for" } pre { (serde_json::to_string_pretty(conservation).unwrap_or_default()) } }
                }
                details { summary { "Log, live" } ul #log .mono.small {} p.small.dim { "Lines appear while the run goes on." } }
            }
        }
    }
}

/// The steps of a run, by page.
pub(super) async fn steps(
    State(web): State<Web>,
    asker: Asker,
    Named(id): Named<RunId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let (of, after) = (id.clone(), wanted.after);
    let page = web
        .read(move |reader| match reader.run(&of)? {
            Some(_) => run::steps(reader, &of, after, STEPS).map(Some),
            None => Ok(None),
        })
        .await?
        .ok_or_else(|| Problem::missing("run", id.as_str()))?;
    let next = page.next.map(|next| format!("/runs/{id}/steps?after={next}"));
    let first = after.map(|_| format!("/runs/{id}/steps"));
    let body = html! {
        div.head { div {
            p.crumbs { a href="/runs" { "Runs" } " / " (parts::run_link(id.as_str())) }
            h1 { "Steps" }
            p.dim { "What the workflow’s calls returned, in the order in which it saw them. A run that goes on replays these and sends nothing again." }
        } }
        section.card aria-label="Steps" {
            @if page.items.is_empty() {
                (parts::empty("No step is recorded.", html! { "The first one appears when the first call returns." }))
            } @else {
                div.scroll { table {
                    caption.hidden { "Steps" }
                    thead { tr { th.num scope="col" { "#" } th scope="col" { "Call" } th scope="col" { "Returned" } th scope="col" { "Recorded" } } }
                    tbody { @for step in &page.items { tr {
                        td.num { (step.position) }
                        th scope="row" { (step.operation) }
                        td { @if step.raised { (parts::status("failed")) " an exception" } @else { "a value" } }
                        td { (times::exact(step.at.0)) }
                    } } }
                } }
            }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::render(&shell, "Steps", "/runs", body))
}
