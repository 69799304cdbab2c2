//! Where an effect comes from, as a picture: sources, findings, the merge, the vulnerability, what
//! was done. The whole run in bands of a few groups; one item with every finding behind it.

use std::collections::BTreeMap;

use arx_engine::provenance::{self, Provenance, SourceFinding, TicketProvenance};
use arx_journal::{JournalError, LeafProof};
use arx_types::RunId;
use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use crate::web::input::{Asked, Asker, Named};
use crate::web::views::effect::EffectView;
use crate::web::views::run::{self, RunDetail, Told, field, outcomes};
use crate::web::{Problem, Web, text, times};

/// Findings of one source that are drawn one by one.
const FINDINGS_DRAWN: usize = 6;
/// Findings of one source that are listed.
const FINDINGS_LISTED: usize = 200;
/// The height of a box and the room between two.
const BOX: f64 = 46.0;
const GAP: f64 = 14.0;
/// The width of a box and the room between two columns.
const WIDE: f64 = 192.0;
const ACROSS: f64 = 58.0;

/// One box of a picture.
struct Node {
    title: String,
    sub: String,
    class: &'static str,
    href: Option<String>,
    /// How much flows through it, for the width of the bands.
    weight: f64,
}

impl Node {
    fn new(title: impl Into<String>, sub: impl Into<String>, class: &'static str) -> Self {
        Self { title: title.into(), sub: sub.into(), class, href: None, weight: 1.0 }
    }

    fn weighing(mut self, weight: u64) -> Self {
        self.weight = weight as f64;
        self
    }

    fn to(mut self, href: Option<String>) -> Self {
        self.href = href;
        self
    }
}

/// Columns of boxes from left to right, each box joined to some of the next column.
struct Picture {
    columns: Vec<(&'static str, Vec<Node>)>,
    /// From a box (column, place) to one of the next column, with how much goes that way.
    flows: Vec<((usize, usize), usize, f64, &'static str)>,
    label: String,
}

impl Picture {
    fn draw(&self) -> Markup {
        let rows = self.columns.iter().map(|(_, nodes)| nodes.len()).max().unwrap_or(1).max(1);
        let height = 28.0 + rows as f64 * (BOX + GAP);
        let width = self.columns.len() as f64 * (WIDE + ACROSS) - ACROSS;
        let middle = |column: usize, place: usize| {
            let n = self.columns.get(column).map_or(1, |(_, nodes)| nodes.len()) as f64;
            let top = 28.0 + (height - 28.0 - n * (BOX + GAP)) / 2.0 + GAP / 2.0;
            (column as f64 * (WIDE + ACROSS), top + place as f64 * (BOX + GAP))
        };
        let most = self.flows.iter().map(|flow| flow.2).fold(1.0, f64::max);
        html! {
            svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(self.label)
                viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) {
                @for (n, (label, _)) in self.columns.iter().enumerate() {
                    text.t-dim x=(n as f64 * (WIDE + ACROSS)) y="13" font-size="12" { (label) }
                }
                @for ((column, place), to, weight, class) in &self.flows {
                    @let (x, y) = middle(*column, *place);
                    @let (x2, y2) = middle(column + 1, *to);
                    @let (from, half) = (x + WIDE, x + WIDE + ACROSS / 2.0);
                    @let (y, y2) = (y + BOX / 2.0, y2 + BOX / 2.0);
                    path class={ "flow " (class) } stroke-width=(format!("{:.1}", 1.5 + 12.0 * weight / most.max(12.0)))
                        d=(format!("M{from} {y} C{half} {y} {half} {y2} {x2} {y2}")) {}
                }
                @for (column, (_, nodes)) in self.columns.iter().enumerate() {
                    @for (place, node) in nodes.iter().enumerate() {
                        @let (x, y) = middle(column, place);
                        @match &node.href {
                            Some(href) => a href=(href) { (self::node(node, x, y)) },
                            None => (self::node(node, x, y)),
                        }
                    }
                }
            }
        }
    }
}

fn node(node: &Node, x: f64, y: f64) -> Markup {
    html! {
        g {
            title { (node.title) " " (node.sub) }
            rect class={ "box " (node.class) } x=(x) y=(y) width=(WIDE) height=(BOX) rx="7" {}
            text.t-strong x=(x + 11.0) y=(y + 19.5) font-size="13" { (text::shortened(&node.title, 20)) }
            text.t-dim x=(x + 11.0) y=(y + 36.0) font-size="12" { (text::shortened(&node.sub, 25)) }
        }
    }
}

/// A whole run: however many items it had, a few bands.
pub(super) fn whole(detail: &RunDetail, told: &Told) -> Markup {
    let figures = detail.run.figures.clone().unwrap_or_default();
    if told.items.iter().any(|item| item.get("qualys").is_some()) {
        return tickets(&figures, told);
    }
    let sources: Vec<Node> = detail
        .sources
        .iter()
        .map(|source| {
            let class = if source.complete { "info" } else { "warn" };
            let ending = if source.complete { "" } else { ", not to the end" };
            let sub = format!("{}{ending}", text::count(source.findings_read, "finding"));
            Node::new(source.source.clone(), sub, class).weighing(source.findings_read)
        })
        .collect();
    let merge = Node::new(
        "Merge",
        format!(
            "{} into {}",
            text::grouped(figures.findings_read),
            text::count(figures.merged, "vulnerability")
                .replace("vulnerabilitys", "vulnerabilities")
        ),
        "main",
    );
    let counts = &figures.counts;
    let groups = [
        ("Paged", counts.paged, "one P1 incident each", "good"),
        ("Grouped", counts.grouped, "named in one P1 incident", "good"),
        ("Already open", counts.already_open, "paged in an earlier run", ""),
        ("Below threshold", counts.below_threshold, "recorded, not acted on", ""),
        ("Failed", counts.failed, "see the items", "bad"),
    ];
    let groups: Vec<_> = groups.into_iter().filter(|(_, n, ..)| *n > 0).collect();
    let outcomes: Vec<Node> = groups
        .iter()
        .map(|(name, n, sub, class)| {
            Node::new(format!("{} {name}", text::grouped(*n)), *sub, class)
        })
        .collect();
    let deeds = deeds(told);
    let mut flows = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        flows.push(((0, place), 0, source.weight, ""));
    }
    for (place, (_, n, _, class)) in groups.iter().enumerate() {
        let class = if class.is_empty() { "dim" } else { class };
        flows.push(((1, 0), place, *n as f64, class));
        for (to, deed) in deeds.iter().enumerate() {
            let n = told
                .items
                .iter()
                .filter(|item| {
                    !field(item, deed.1).is_empty()
                        && is_in(item, groups.get(place).map_or("", |g| g.0))
                })
                .count();
            if n > 0 {
                flows.push(((2, place), to, n as f64, "good"));
            }
        }
    }
    let mut columns =
        vec![("Sources", sources), ("Merge", vec![merge]), ("Vulnerabilities", outcomes)];
    if !deeds.is_empty() {
        columns.push(("At the vendors", deeds.into_iter().map(|(node, _)| node).collect()));
    }
    let label = "From the sources' findings over the merge to what was done".to_owned();
    Picture { columns, flows, label }.draw()
}

/// Whether an item belongs to a group of the picture.
fn is_in(item: &serde_json::Value, group: &str) -> bool {
    let words = outcomes(item);
    let group = group.to_lowercase().replace(' ', "_");
    let first = ["paged", "grouped", "already_open", "failed"]
        .into_iter()
        .find(|word| words.contains(word))
        .unwrap_or("failed");
    first == group
}

/// What stands at the vendors, with the field of an item that links to it.
fn deeds(told: &Told) -> Vec<(Node, &'static str)> {
    let n =
        |name: &str| told.items.iter().filter(|item| !field(item, name).is_empty()).count() as u64;
    [
        ("incident", "Incidents", "linked from the items"),
        ("ticket", "Tickets", "linked from the items"),
    ]
    .into_iter()
    .filter(|(name, ..)| n(name) > 0)
    .map(|(name, title, sub)| {
        (Node::new(format!("{} {title}", text::grouped(n(name))), sub, "good"), name)
    })
    .collect()
}

fn tickets(figures: &run::Figures, told: &Told) -> Markup {
    let counts = &figures.counts;
    let read = figures.tickets_read.unwrap_or(told.items.len() as u64);
    let asked =
        |name: &str| told.items.iter().filter(|item| !field(item, name).is_empty()).count() as u64;
    let reads = vec![
        Node::new("Qualys", format!("{} spoken of", text::grouped(asked("qualys"))), "info"),
        Node::new(
            "CrowdStrike",
            format!("{} spoken of", text::grouped(asked("crowdstrike"))),
            "info",
        ),
    ];
    let groups = [
        ("Verified", counts.verified, "resolved with evidence", "good"),
        ("Flagged", counts.flagged, "to be patched again", "bad"),
        ("Inconclusive", counts.inconclusive, "noted, left open", "warn"),
        ("Failed", counts.failed, "see the items", "bad"),
    ];
    let groups: Vec<_> = groups.into_iter().filter(|(_, n, ..)| *n > 0).collect();
    let outcomes = groups
        .iter()
        .map(|(name, n, sub, class)| {
            Node::new(format!("{} {name}", text::grouped(*n)), *sub, class)
        })
        .collect();
    let mut flows = vec![
        ((0, 0), 0, 1.0, ""),
        ((0, 0), 1, 1.0, ""),
        ((1, 0), 0, 1.0, ""),
        ((1, 1), 0, 1.0, ""),
    ];
    for (place, (_, n, _, class)) in groups.iter().enumerate() {
        flows.push(((2, 0), place, *n as f64, class));
    }
    let columns = vec![
        ("Tickets", vec![Node::new("ServiceNow", text::count(read, "ticket"), "info")]),
        ("Evidence", reads),
        ("Judged", vec![Node::new("Verification", "all evidence, by rule", "main")]),
        ("Outcome", outcomes),
    ];
    let label = "From the tickets over the evidence to their outcome".to_owned();
    Picture { columns, flows, label }.draw()
}

/// The way of a leaf to the root of its tree: at each step the hash beside it joins in.
pub(super) fn proof(proof: &LeafProof, holds: bool) -> Markup {
    let class = if holds { "good" } else { "bad" };
    let step = 38.0;
    let n = proof.path.len() as f64;
    let (width, height) = (620.0, 52.0 + n * step);
    let short = |hash: &arx_audit::Hash| hex::encode(hash.0).chars().take(16).collect::<String>();
    // From below: whether the hash beside stands left of the way, as RFC 9162 folds it.
    let mut sides = Vec::new();
    let (mut at, mut last) = (proof.leaf.seq, proof.size.saturating_sub(1));
    for _ in &proof.path {
        while at % 2 == 0 && at == last && last > 0 {
            (at, last) = (at / 2, last / 2);
        }
        sides.push(at % 2 == 1);
        (at, last) = (at / 2, last / 2);
    }
    html! {
        svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox={ "0 0 " (width) " " (height) }
            width=(width) height=(height)
            aria-label=(format!("Inclusion proof of {} hashes", proof.path.len())) {
            @for (n, (hash, left)) in proof.path.iter().zip(&sides).enumerate() {
                @let y = height - 26.0 - (n as f64 + 1.0) * step;
                @let x = if *left { 10.0 } else { 400.0 };
                @let edge = if *left { 220.0 } else { 400.0 };
                path class={ "flow " (class) } stroke-width="2" d=(format!("M310 {} L310 {}", y + step + 2.0, y + 12.0)) {}
                path.flow.dim stroke-width="2" d=(format!("M{edge} {} L310 {}", y + 20.0, y + 12.0)) {}
                rect.box x=(x) y=(y + 7.0) width="210" height="26" rx="5" {}
                text.t-mono.t-dim x=(x + 12.0) y=(y + 24.0) font-size="12" { (short(hash)) "…" }
                circle class={ "box " (class) } cx="310" cy=(y + 12.0) r="5" {}
            }
            rect class={ "box " (class) } x="205" y=(height - 28.0) width="210" height="26" rx="5" {}
            text.t-mono x="217" y=(height - 11.0) font-size="12" { "leaf " (proof.leaf.seq) " " (text::shortened(&short(&proof.hash), 8)) }
            @if proof.path.is_empty() { path class={ "flow " (class) } stroke-width="2" d=(format!("M310 {} L310 24", height - 28.0)) {} }
            rect.box.main x="205" y="1" width="210" height="26" rx="5" {}
            text.t-mono x="217" y="18" font-size="12" { "root " (short(&proof.root)) "…" }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    id: String,
}

/// One item of a run, with everything behind it.
pub(super) async fn show(
    State(web): State<Web>,
    asker: Asker,
    Named(run): Named<RunId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let name = wanted.id;
    let of = run.clone();
    let (detail, told) = web
        .read(move |reader| run::detail(reader, &of))
        .await?
        .ok_or_else(|| Problem::missing("run", run.as_str()))?;
    let item = told.items.iter().find(|item| field(item, "id") == name).cloned();
    let vulnerability = provenance::trace(web.journal(), &run, &name).await?;
    let ticket = match &vulnerability {
        Some(_) => None,
        None => provenance::trace_ticket(web.journal(), &run, &name).await?,
    };
    if item.is_none() && vulnerability.is_none() && ticket.is_none() {
        return Err(Problem::missing("item of this run called", &name));
    }
    let deeds = effects_about(&web, &run, &name, vulnerability.as_ref(), ticket.as_ref()).await?;
    let title = item.as_ref().map(|item| field(item, "title").to_owned()).unwrap_or_default();
    let body = html! {
        div.head { div {
            p.crumbs { a href="/runs" { "Runs" } " / " (parts::run_link(run.as_str())) " / item" }
            h1 { (name) }
            @if !title.is_empty() { p { (title) } }
            @if let Some(item) = &item {
                p { @for word in outcomes(item) { (parts::status(word)) " " } (super::run::vendor_links(item)) }
            }
        } }
        @if let Some(error) = item.as_ref().and_then(|item| item.pointer("/error/message")?.as_str()) {
            div.notice.bad { p { (error) } }
        }
        @if let Some(found) = &vulnerability { (vulnerability_page(found, &deeds, &detail)) }
        @if let Some(found) = &ticket { (ticket_page(found, &deeds)) }
        (effects(&deeds))
        @if let Some(item) = &item {
            section.card aria-labelledby="h-item" {
                header { h2 #h-item { "As the workflow reported it" } }
                div.in { (parts::params(item)) }
            }
        }
    };
    Ok(layout::render(&shell, &name, "/runs", body))
}

/// Effects whose key names the item, whichever run had them.
async fn effects_about(
    web: &Web,
    run: &RunId,
    name: &str,
    vulnerability: Option<&Provenance>,
    ticket: Option<&TicketProvenance>,
) -> Result<Vec<EffectView>, Problem> {
    let mut names = vec![name.to_owned()];
    if let Some(found) = vulnerability {
        names.push(found.vulnerability.clone());
        names.extend(found.aliases.iter().map(|alias| alias.name.clone()));
    }
    names.extend(ticket.map(|ticket| ticket.key().to_owned()).filter(|key| !key.is_empty()));
    names.sort();
    names.dedup();
    let run = run.clone();
    web.read(move |reader| {
        let Some(run) = reader.run(&run)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for name in &names {
            for episode in reader.episodes(&run.world, &run.workflow, name)? {
                for what in ["page", "ticket"] {
                    let key = format!("{}/{name}/{}/{what}", run.workflow, episode.n);
                    if let Ok(key) = key.parse()
                        && let Some(effect) = reader.effect(&run.world, &key)?
                    {
                        found.push(EffectView::of(&effect));
                    }
                }
            }
        }
        if found.is_empty() {
            let of_run = reader.effects_of_run(&run.id)?;
            let about = of_run.iter().filter(|effect| {
                effect.key.as_str().split('/').any(|part| names.iter().any(|name| name == part))
            });
            found.extend(about.map(EffectView::of));
        }
        Ok::<_, JournalError>(found)
    })
    .await
}

fn effect_node(effect: &EffectView) -> Node {
    let class = match effect.state.as_str() {
        "done" => "good",
        "intended" => "info",
        _ => "bad",
    };
    Node::new(effect.operation.clone(), effect.state.clone(), class)
        .to(effect.url().map(str::to_owned))
}

fn vulnerability_page(found: &Provenance, deeds: &[EffectView], detail: &RunDetail) -> Markup {
    let mut by_source: BTreeMap<&str, Vec<&SourceFinding>> = BTreeMap::new();
    for finding in &found.findings {
        by_source.entry(&finding.source).or_default().push(finding);
    }
    let mut sources = Vec::new();
    let mut findings = Vec::new();
    let mut flows = Vec::new();
    for (place, (source, listed)) in by_source.iter().enumerate() {
        let n = listed.len();
        sources.push(Node::new((*source).to_owned(), text::count(n as u64, "finding"), "info"));
        let one_by_one = if n > FINDINGS_DRAWN { FINDINGS_DRAWN - 1 } else { n };
        for finding in listed.iter().take(one_by_one) {
            flows.push(((0, place), findings.len(), 1.0, ""));
            findings.push(Node::new(finding.id.clone(), finding.asset.clone(), ""));
        }
        if n > one_by_one {
            flows.push(((0, place), findings.len(), 1.0, ""));
            let more = Node::new(format!("and {} more", n - one_by_one), "listed below", "");
            findings.push(more.to(Some("#findings".to_owned())));
        }
    }
    for place in 0..findings.len() {
        flows.push(((1, place), 0, 1.0, ""));
    }
    let class = if found.lineage_holds { "main" } else { "bad" };
    let held = if found.lineage_holds { "hashes hold" } else { "hashes do NOT hold" };
    let merge = Node::new("Merge", format!("{} · {held}", found.merge.short()), class);
    let own = Node::new(found.vulnerability.clone(), found.title.clone(), "main");
    flows.push(((2, 0), 0, 1.0, if found.lineage_holds { "good" } else { "bad" }));
    let done: Vec<Node> = deeds.iter().map(effect_node).collect();
    for (place, deed) in done.iter().enumerate() {
        flows.push(((3, 0), place, 1.0, deed.class));
    }
    let mut columns = vec![
        ("Source", sources),
        ("Finding and asset", findings),
        ("Merge", vec![merge]),
        ("Vulnerability", vec![own]),
    ];
    if !done.is_empty() {
        columns.push(("Page and ticket", done));
    }
    let label = format!("Where {} comes from and what was done", found.vulnerability);
    html! {
        section.card aria-labelledby="h-picture" {
            header { h2 #h-picture { "Where it comes from, and what was done" } }
            div.picture { (Picture { columns, flows, label }.draw()) }
            div.in {
                @if found.lineage_holds {
                    p { (parts::status("holds")) " The findings hash to what the merge committed to in the audit log." }
                } @else {
                    p { (parts::status("does not hold")) " The findings do NOT hash to what the merge committed to: the record was changed or damaged." }
                }
                @if let Some(why) = &found.below_threshold { p { "Not acted on: " (why) } }
                @if !found.merged_because.is_empty() {
                    div { h3 { "One vulnerability because" } ul { @for why in &found.merged_because { li { (why) } } } }
                }
                @if !found.aliases.is_empty() {
                    div { h3 { "Names" } ul { @for alias in &found.aliases { li { strong { (alias.name) } ": " (alias.why) } } } }
                }
                dl.facts {
                    dt { "Merge" } dd { (parts::digest(&found.merge.to_string())) }
                    dt { "Lineage" } dd { (parts::digest(&found.lineage.to_string())) }
                    dt { "Run" } dd { (parts::run_link(&detail.run.id)) }
                }
            }
        }
        section.card #findings aria-labelledby="h-findings" {
            header { h2 #h-findings { "Findings" } span.small.dim { (text::grouped(found.findings.len() as u64)) " in all" } }
            div.scroll { table.cards {
                caption.hidden { "Source findings that count for this vulnerability" }
                thead { tr { th scope="col" { "Source" } th scope="col" { "Finding" } th scope="col" { "Asset" } th scope="col" { "Digest" } } }
                tbody { @for (source, listed) in &by_source { @for finding in listed.iter().take(FINDINGS_LISTED) { tr {
                    td { (source) } th scope="row" { (finding.id) } td { (finding.asset) } td { code { (finding.digest.short()) } }
                } } } }
            } }
            @if found.findings.len() > FINDINGS_LISTED {
                p.empty { "The API has all of them: " code { "/api/v1/runs/" (detail.run.id) "/lineage?item=" (found.vulnerability) } }
            }
        }
    }
}

fn ticket_page(found: &TicketProvenance, deeds: &[EffectView]) -> Markup {
    let reads: Vec<Node> = found
        .reads
        .iter()
        .map(|read| {
            let (sub, class) = match (read.digest.is_some(), read.holds, read.says.is_null()) {
                (false, ..) => ("not read", ""),
                (true, false, _) => ("does NOT hash to the record", "bad"),
                (true, true, true) => ("says nothing of it", "warn"),
                (true, true, false) => ("as recorded", "info"),
            };
            Node::new(read.what, sub, class)
        })
        .collect();
    let mut flows: Vec<_> = (0..reads.len()).map(|place| ((0, place), 0, 1.0, "")).collect();
    let outcome = field(&found.ticket, "outcome").to_owned();
    let class = match outcome.as_str() {
        "verified" => "good",
        "failed" => "bad",
        _ => "warn",
    };
    let held = if found.verification_holds { "hashes hold" } else { "hashes do NOT hold" };
    flows.push(((1, 0), 0, 1.0, class));
    let done: Vec<Node> = deeds.iter().map(effect_node).collect();
    for (place, deed) in done.iter().enumerate() {
        flows.push(((2, 0), place, 1.0, deed.class));
    }
    let mut columns = vec![
        ("What was read", reads),
        (
            "Judged",
            vec![Node::new(
                "Verification",
                held,
                if found.verification_holds { "main" } else { "bad" },
            )],
        ),
        ("Outcome", vec![Node::new(outcome, field(&found.ticket, "reason").to_owned(), class)]),
    ];
    if !done.is_empty() {
        columns.push(("Written", done));
    }
    let label = "What the outcome of the ticket rests on".to_owned();
    html! {
        section.card aria-labelledby="h-picture" {
            header { h2 #h-picture { "What its outcome rests on" } }
            div.picture { (Picture { columns, flows, label }.draw()) }
            div.in {
                @for read in &found.reads {
                    details { summary { (read.what) @if !read.holds && read.digest.is_some() { " (does not hash to the record)" } }
                        pre { (serde_json::to_string_pretty(&read.says).unwrap_or_default()) } }
                }
                dl.facts { dt { "Verification" } dd { (parts::digest(&found.verification)) } }
            }
        }
    }
}

fn effects(deeds: &[EffectView]) -> Markup {
    html! {
        @if !deeds.is_empty() {
            section.card aria-labelledby="h-deeds" {
                header { h2 #h-deeds { "Effects" } }
                div.scroll { table.cards {
                    caption.hidden { "Effects about this item" }
                    thead { tr { th scope="col" { "State" } th scope="col" { "Operation" } th scope="col" { "Effect" } th scope="col" { "Settled" } th scope="col" { "Record" } } }
                    tbody { @for effect in deeds { tr {
                        td { (parts::status(&effect.state)) }
                        td { (effect.operation) @if let Some(url) = effect.url() { " " a href=(url) rel="noreferrer noopener" { "open" } } }
                        th scope="row" { (effect.effect)
                            @if let Some(cover) = &effect.covered_by { div.sub { "with " (cover) } }
                            @if let Some(why) = &effect.detail { div.sub { (text::shortened(why, 160)) } } }
                        td.nowrap { @match effect.settled_at { Some(at) => (times::exact(at.0)), None => span.dim { "—" } } }
                        td { a href={ "/audit/leaf/" (effect.intent_seq) } { "intent" }
                            @if let Some(seq) = effect.outcome_seq { " · " a href={ "/audit/leaf/" (seq) } { "outcome" } } }
                    } } }
                } }
            }
        }
    }
}
