//! Effects: those that need a human first, with the form that says what became of them.

use arx_journal::{EffectPage, World};
use arx_types::{EffectKey, Role, RunId};
use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use super::runs::given;
use crate::web::input::{Asked, Asker, escaped};
use crate::web::views::effect::{self, EffectView};
use crate::web::{Problem, Web, text, times, views};

const STATES: [&str; 4] = ["intended", "done", "failed", "unknown"];

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    state: Option<String>,
    run: Option<RunId>,
    after: Option<String>,
}

pub(super) async fn list(
    State(web): State<Web>,
    asker: Asker,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let state = given(&wanted.state).map(effect::state).transpose()?;
    let after = given(&wanted.after).map(effect::cursor).transpose()?;
    let later = after.is_some();
    let asked =
        EffectPage { run: wanted.run.clone(), state, after, limit: views::PAGE, world: None };
    let (attention, page) = web
        .read(move |reader| Ok((effect::attention(reader)?, effect::list(reader, asked)?)))
        .await?;
    let mut query = String::new();
    if let Some(run) = &wanted.run {
        query.push_str(&format!("run={run}&"));
    }
    if let Some(state) = given(&wanted.state) {
        query.push_str(&format!("state={}&", escaped(state)));
    }
    let next = page.next.map(|next| format!("/effects?{query}after={}", escaped(&next)));
    let first = later.then(|| format!("/effects?{query}"));
    let body = html! {
        div.head { div { h1 { "Effects" }
            p.dim { "Every write at a vendor. One that is done is never sent again; one that nobody could find out about waits for a human." } } }
        @if !later {
            section.card #attention data-live aria-labelledby="h-attention" {
                header { h2 #h-attention { "Need a human" } }
                @if attention.is_empty() {
                    (parts::empty("No effect needs a human.", html! { "When a reply is lost and the vendor cannot say either, it appears here." }))
                } @else { (table(&attention, now, true)) }
            }
        }
        section.card aria-labelledby="h-all" {
            header { h2 #h-all { @match &wanted.run { Some(run) => { "Effects of " (parts::run_link(run.as_str())) } None => "All effects" } } }
            div.in {
                form.filters method="get" action="/effects" role="search" {
                    @if let Some(run) = &wanted.run { input type="hidden" name="run" value=(run); }
                    label { "State" select name="state" {
                        option value="" { "all" }
                        @for state in STATES { option value=(state) selected[given(&wanted.state) == Some(state)] { (state) } }
                    } }
                    button type="submit" { "Show" }
                }
            }
            @if page.items.is_empty() {
                (parts::empty("No effect yet.", html! { "Pages, tickets and notes appear here once a run made them." }))
            } @else { (table(&page.items, now, false)) }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::live(&shell, "Effects", "/effects", "/api/v1/events", body))
}

fn settle_path(effect: &EffectView) -> String {
    format!("/effects/settle?world={}&effect={}", escaped(&effect.world), escaped(&effect.effect))
}

fn table(effects: &[EffectView], now: Timestamp, settling: bool) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.hidden { "Effects, the newest intent first" }
            thead { tr { th scope="col" { "State" } th scope="col" { "Effect" } th scope="col" { "Operation" } th scope="col" { "Run" } th scope="col" { "Intended" } th scope="col" { span.hidden { "Act" } } } }
            tbody { @for effect in effects { tr {
                td { (parts::status(&effect.state)) }
                th scope="row" { (effect.effect)
                    @if effect.world != "live" { " " span.tag { (effect.world) } }
                    @if let Some(cover) = &effect.covered_by { div.sub { "with " (cover) } }
                    @if let Some(detail) = &effect.detail { div.sub { (text::shortened(detail, 160)) } } }
                td { (effect.operation) }
                td { (parts::run_link(&effect.run)) }
                td.nowrap { (times::ago(effect.intended_at.0, now)) }
                td { @if settling { a.btn href=(settle_path(effect)) { "Look and settle" } }
                    @else if let Some(url) = effect.url() { a href=(url) rel="noreferrer noopener" { "open" } } }
            } } }
        } }
    }
}

pub(super) async fn settle(
    State(web): State<Web>,
    asker: Asker,
    Asked(one): Asked<One>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let (world, key) = one.parse()?;
    let wanted = (world.clone(), key.clone());
    let (effect, needs) = web
        .read(move |reader| {
            let found = reader.effect(&wanted.0, &wanted.1)?;
            let open = reader.effects_needing_attention()?;
            let needs = open.iter().any(|open| open.key == wanted.1 && open.world == wanted.0);
            Ok((found.as_ref().map(EffectView::of), needs))
        })
        .await?;
    let effect = effect.ok_or_else(|| Problem::missing("effect", key.as_str()))?;
    let body = html! {
        div.head { div {
            p.crumbs { a href="/effects" { "Effects" } }
            h1 { (effect.operation) " " (parts::status(&effect.state)) }
            p.mono { (effect.effect) " " (parts::copy(&effect.effect)) }
        } }
        div.grid {
            div.stack.w7 {
                @if let Some(detail) = &effect.detail { div.notice.warn { p { (detail) } } }
                section.card aria-labelledby="h-sent" {
                    header { h2 #h-sent { "What was to be sent" } }
                    div.in { @match &effect.params { Some(params) => (parts::params(params)), None => p.dim { "It stands with another effect." } } }
                }
                @if let Some(result) = &effect.result {
                    section.card aria-labelledby="h-result" { header { h2 #h-result { "What came back" } } div.in { (parts::params(result)) } }
                }
            }
            div.stack.w5 {
                @if needs && shell.is(Role::Admin) { (form(&shell, &effect)) }
                @else if needs { div.notice { p { "An admin has to say what became of it." } } }
                section.card aria-labelledby="h-facts" {
                    header { h2 #h-facts { "Record" } }
                    div.in { dl.facts {
                        dt { "World" } dd { (effect.world) }
                        dt { "Workflow" } dd { (parts::workflow_link(&effect.workflow)) }
                        dt { "Run" } dd { (parts::run_link(&effect.run)) }
                        dt { "Attempts" } dd { (effect.attempts) }
                        dt { "Intended" } dd { (times::full(effect.intended_at.0, now)) " " a href={ "/audit/leaf/" (effect.intent_seq) } { "leaf" } }
                        @if let Some(at) = effect.settled_at { dt { "Settled" } dd { (times::full(at.0, now)) @if let Some(seq) = effect.outcome_seq { " " a href={ "/audit/leaf/" (seq) } { "leaf" } } } }
                    } }
                }
            }
        }
    };
    Ok(layout::render(&shell, "Effect", "/effects", body))
}

/// Which effect, as it comes: what cannot be read is told in our own words.
#[derive(Deserialize)]
pub(super) struct One {
    world: String,
    effect: String,
}

impl One {
    fn parse(&self) -> Result<(World, EffectKey), Problem> {
        let key = self.effect.parse().map_err(|_| Problem::missing("effect", &self.effect))?;
        Ok((self.world.parse()?, key))
    }
}

fn form(shell: &Shell, effect: &EffectView) -> Markup {
    html! {
        section.card aria-labelledby="h-settle" {
            header { h2 #h-settle { "Say what became of it" } }
            div.in {
                p.dim { "Look at the vendor first. What happened is never sent again; what did not happen may be tried again." }
                form.form method="post" action="/effects/settle" {
                    (shell.csrf())
                    input type="hidden" name="world" value=(effect.world);
                    input type="hidden" name="effect" value=(effect.effect);
                    fieldset.form {
                        legend.hidden { "Did it happen?" }
                        label.row { input type="radio" name="happened" value="yes" required; span { strong { "It happened" } } }
                        label { "The vendor’s identifier of it" input name="id" maxlength="2000" autocomplete="off"; }
                        label { "Its address " span.dim { "optional" } input name="url" type="url" maxlength="2000" autocomplete="off"; }
                        label.row { input type="radio" name="happened" value="no"; span { strong { "It did not happen" } ", and may be tried again" } }
                    }
                    label { "How you know" textarea name="reason" required maxlength="2000" {} }
                    div { button.main type="submit" { "Settle" } }
                }
            }
        }
    }
}
