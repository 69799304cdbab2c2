//! The record: found by kind, run, workflow, actor or text; each leaf with its proof; checked now;
//! given away.

use arx_audit::verify_checkpoint;
use arx_journal::LeafFilter;
use arx_types::RunId;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::run::leaf_words;
use super::runs::given;
use super::{lineage, parts};
use crate::web::api::audit::{KINDS, Look, kind};
use crate::web::input::{Asked, Asker, Named, escaped};
use crate::web::views::audit::{ProofView, VerifyView};
use crate::web::{Problem, Web, text, times, views};

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    kind: Option<String>,
    run: Option<String>,
    workflow: Option<String>,
    actor: Option<String>,
    text: Option<String>,
    before: Option<u64>,
}

pub(super) async fn list(
    State(web): State<Web>,
    asker: Asker,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let run: Option<RunId> = given(&wanted.run)
        .map(|text| text.parse().map_err(|_| Problem::missing("run", text)))
        .transpose()?;
    let filter = LeafFilter {
        run,
        kind: given(&wanted.kind).map(kind).transpose()?,
        before: wanted.before,
        limit: views::PAGE,
    };
    let look = Look {
        workflow: given(&wanted.workflow).map(str::to_owned),
        actor: given(&wanted.actor).map(str::to_owned),
        text: given(&wanted.text).map(str::to_owned),
    };
    let (found, size, checkpoint) = web
        .read(move |reader| {
            Ok((look.search(reader, &filter)?, reader.tree_size()?, reader.last_checkpoint()?))
        })
        .await?;
    let query = query(&wanted);
    let next = found
        .reached
        .filter(|_| found.more)
        .map(|reached| format!("/audit?{query}before={reached}"));
    let first = wanted.before.map(|_| format!("/audit?{query}"));
    let body = html! {
        div.head {
            div { h1 { "Audit log" }
                p.dim { (text::grouped(size)) " leaves of one Merkle tree; nothing in it is ever changed." } }
            div.acts {
                form method="post" action="/audit/verify" { (shell.csrf()) button.main type="submit" { "Verify now" } }
                a.btn href="/audit/checkpoint.txt" { "Checkpoint" }
            }
        }
        section.card aria-label="Leaves" {
            div.in {
                (filters(&wanted))
                @if let Some(checkpoint) = &checkpoint {
                    p.small.dim { "Signed up to leaf " (text::grouped(checkpoint.size.saturating_sub(1))) ", " (times::ago(checkpoint.at, now)) ". Keep a checkpoint elsewhere: a log that is cut or written anew no longer begins with it." }
                }
            }
            @if found.found.is_empty() {
                @if found.more {
                    (parts::empty("Nothing fits among the leaves looked at.", html! { "Older ones are left: go on with “Next”." }))
                } @else if query.is_empty() {
                    (parts::empty("The log is empty.", html! { "The first registration or run begins it." }))
                } @else { (parts::empty("No leaf fits.", html! { a href="/audit" { "Show all leaves" } })) }
            } @else {
                div.scroll { table.cards {
                    caption.hidden { "Leaves, the newest first" }
                    thead { tr { th.num scope="col" { "Leaf" } th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Workflow" } th scope="col" { "By" } } }
                    tbody { @for stored in &found.found { tr {
                        td.num { a href={ "/audit/leaf/" (stored.seq) } { (text::grouped(stored.seq)) } }
                        @match stored.decode() {
                            Err(error) => td colspan="4" { (parts::status("failed")) " " (error) },
                            Ok(leaf) => {
                                td.nowrap { (times::ago(leaf.at, now)) }
                                td { div.what { (leaf_words(&leaf)) } }
                                td { @if let Some(workflow) = &leaf.workflow { (parts::workflow_link(&workflow.name)) }
                                    @if let Some(run) = &leaf.run { div.sub { (parts::run_link(run)) } } }
                                td { (leaf.actor) }
                            }
                        }
                    } } }
                } }
            }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::render(&shell, "Audit log", "/audit", body))
}

fn query(wanted: &Wanted) -> String {
    let mut query = String::new();
    for (name, value) in [
        ("kind", &wanted.kind),
        ("run", &wanted.run),
        ("workflow", &wanted.workflow),
        ("actor", &wanted.actor),
        ("text", &wanted.text),
    ] {
        if let Some(value) = given(value) {
            query.push_str(&format!("{name}={}&", escaped(value)));
        }
    }
    query
}

fn filters(wanted: &Wanted) -> Markup {
    let field = |name: &str, label: &str, value: &Option<String>| {
        html! { label { (label) input name=(name) value=[given(value)] autocomplete="off"; } }
    };
    html! {
        form.filters method="get" action="/audit" role="search" {
            label { "Kind" select name="kind" {
                option value="" { "all" }
                @for kind in KINDS { option value=(kind.as_str()) selected[given(&wanted.kind) == Some(kind.as_str())] { (kind.as_str()) } }
            } }
            (field("run", "Run", &wanted.run))
            (field("workflow", "Workflow", &wanted.workflow))
            (field("actor", "By", &wanted.actor))
            label.wide { "Text" input name="text" type="search" value=[given(&wanted.text)] data-find autocomplete="off"; }
            button type="submit" { "Search" }
        }
    }
}

pub(super) async fn leaf(
    State(web): State<Web>,
    asker: Asker,
    Named(seq): Named<u64>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let proof = web
        .read(move |reader| reader.leaf_proof(seq))
        .await?
        .ok_or_else(|| Problem::missing("leaf", &seq.to_string()))?;
    let view = ProofView::of(&proof);
    let signed = proof.checkpoint.as_ref().map(|checkpoint| {
        let read = verify_checkpoint(web.journal().vkey(), &checkpoint.note);
        read.is_ok_and(|read| read.size == proof.size && read.root == proof.root)
    });
    let leaf = proof.leaf.decode();
    let pretty = serde_json::to_string_pretty(&view.leaf.leaf).unwrap_or_default();
    let body = html! {
        div.head { div {
            p.crumbs { a href="/audit" { "Audit log" } }
            h1 { "Leaf " (text::grouped(seq)) }
            @match &leaf {
                Ok(leaf) => { div.acts { (leaf_words(leaf)) } p.dim { "recorded " (times::full(leaf.at, now)) " by " (leaf.actor) } }
                Err(error) => div.notice.bad { p { (error) } },
            }
        }
        div.acts {
            @if seq > 0 { a.btn href={ "/audit/leaf/" (seq - 1) } rel="prev" { "← Before" } }
            a.btn href={ "/audit/leaf/" (seq + 1) } rel="next" { "After →" }
        } }
        section.card aria-labelledby="h-proof" {
            header { h2 #h-proof { "That it is in the log" } }
            div.in {
                @if view.holds { p { (parts::status("holds")) " The leaf’s hash leads to the root of the tree of " (text::grouped(view.tree_size)) " leaves." } }
                @else { p { (parts::status("does not hold")) " The leaf’s hash does NOT lead to the root: the record was changed or damaged." } }
                @match signed {
                    Some(true) => p { (parts::status("holds")) " A checkpoint with that root is signed by this log’s key." },
                    Some(false) => p { (parts::status("does not hold")) " The checkpoint’s signature does NOT hold." },
                    None => p { (parts::status("waiting")) " It is newer than every signed checkpoint; the next one covers it." },
                }
            }
            div.picture { (lineage::proof(&proof, view.holds)) }
            div.in {
                dl.facts {
                    dt { "Leaf hash" } dd { code { (view.hash) } " " (parts::copy(&view.hash)) }
                    dt { "Root" } dd { code { (view.root) } " " (parts::copy(&view.root)) }
                    dt { "Key" } dd { code { (web.journal().vkey()) } }
                }
                @if let Some(checkpoint) = &view.checkpoint { details { summary { "Signed checkpoint" } pre { (checkpoint.note) } } }
            }
        }
        section.card aria-labelledby="h-content" {
            header { h2 #h-content { "Content" } @if let Ok(leaf) = &leaf { @if let Some(run) = &leaf.run { span { "of run " (parts::run_link(run)) } } } }
            div.in { pre { (pretty) } p.small.dim { "The exact bytes are in the API: " code { "/api/v1/audit/leaves/" (seq) } } }
        }
    };
    Ok(layout::render(&shell, &format!("Leaf {seq}"), "/audit", body))
}

/// What a check of the whole record said.
pub(crate) fn verified(shell: &Shell, view: &VerifyView, now: Timestamp) -> Page {
    let body = html! {
        div.head { div { p.crumbs { a href="/audit" { "Audit log" } }
            h1 { @if view.ok { "The record holds " (parts::status("holds")) } @else { "The record " (parts::status("does not hold")) } }
            p.dim { "Every leaf, the tree and the signatures were derived again from what is stored, " (times::exact(now)) ", in " (view.took_ms) " ms." } } }
        div.figures {
            div { span.l { "leaves" } span.n { (text::grouped(view.leaves)) } }
            div { span.l { "signed" } span.n { (text::grouped(view.signed_leaves)) } }
            div { span.l { "checkpoints agree" } span.n { (text::grouped(view.checkpoints)) } }
            div.bad[!view.findings.is_empty() || !view.storage.is_empty()] { span.l { "findings" } span.n { (text::grouped(view.findings.len() as u64 + view.storage.len() as u64 + view.findings_left_out)) } }
        }
        @for finding in view.findings.iter().chain(&view.storage) { div.notice.bad { p { (finding) } } }
        @if !view.ok { div.notice.warn { p { "Stop ARX, copy the state directory aside, change nothing, and compare with a checkpoint that was kept elsewhere." } p.dim { "It may be damage, tampering or an older backup; " (parts::command("arx audit verify")) " tells more." } } }
        section.card aria-labelledby="h-root" {
            header { h2 #h-root { "To be kept elsewhere" } }
            div.in { dl.facts { dt { "Root" } dd { code { (view.root) } " " (parts::copy(&view.root)) } dt { "Key" } dd { code { (view.vkey) } } }
                p.dim { "Without a checkpoint that was kept elsewhere nobody can tell a log that its operator wrote anew. " a href="/audit/checkpoint.txt" { "Download the checkpoint" } } }
        }
    };
    layout::render(shell, "Verified", "/audit", body)
}

/// The signed checkpoint as a file.
pub(super) async fn checkpoint(State(web): State<Web>) -> Result<Response, Problem> {
    let found = web.read(|reader| reader.last_checkpoint()).await?;
    let found = found.ok_or_else(|| {
        Problem::missing("checkpoint", "newest")
            .hint("the log is empty: a run or a registration begins it")
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"arx-checkpoint-{}.txt\"", found.size),
        ),
    ];
    Ok((headers, found.note).into_response())
}

/// The evidence bundle of a run as a file.
pub(super) async fn evidence(
    State(web): State<Web>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    crate::web::api::audit::bundle(&web, &run, None).await
}
