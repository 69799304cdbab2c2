//! What waits for a human: the list, and one page for each request with everything that is needed
//! for deciding, and the form that does it.

use arx_types::{ApprovalId, Role};
use axum::extract::State;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{self, Page, Shell};
use super::parts;
use super::runs::given;
use crate::web::input::{Asked, Asker, Named};
use crate::web::views::approval::{self, ActionView, ApprovalDetail, ApprovalHead};
use crate::web::{Problem, Web, text, times, views};

/// Actions up to which each is shown whole.
const WHOLE_MAX: usize = 3;

const STATES: [(&str, &str); 6] = [
    ("", "Waiting"),
    ("approved", "Approved"),
    ("used", "Used"),
    ("denied", "Denied"),
    ("expired", "Expired"),
    ("all", "All"),
];

#[derive(Default, Deserialize)]
pub(super) struct Wanted {
    state: Option<String>,
    before: Option<ApprovalId>,
}

pub(super) async fn list(
    State(web): State<Web>,
    asker: Asker,
    Asked(wanted): Asked<Wanted>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let word = given(&wanted.state).unwrap_or("");
    let state = match word {
        "" => Some(arx_journal::ApprovalState::Pending),
        "all" => None,
        word => Some(approval::state_named(word)?),
    };
    let before = wanted.before.clone();
    let page = web
        .read(move |reader| approval::list(reader, state, before.as_ref(), views::PAGE, now))
        .await?;
    let query = if word.is_empty() { String::new() } else { format!("state={word}&") };
    let next = page.next.map(|next| format!("/approvals?{query}before={next}"));
    let first = wanted.before.map(|_| format!("/approvals?{query}"));
    let body = html! {
        div.head { div { h1 { "Approvals" }
            p.dim { "Calls that the policy puts to a human. A request expires; silence is never a yes." } } }
        section.card aria-label="Approvals" {
            div.in { nav.acts aria-label="State" {
                @for (state, label) in STATES {
                    a.btn href={ "/approvals" @if !state.is_empty() { "?state=" (state) } }
                        aria-current=[(state == word).then_some("page")]
                        .main[state == word] { (label) }
                }
            } }
            div #approvals data-live {
                @if page.items.is_empty() {
                    @if word.is_empty() {
                        (parts::empty("Nothing waits for a decision.", html! {
                            "When a rule, a limit or the risk threshold asks, the request appears here. "
                            a href="/approvals?state=all" { "Show earlier ones" }
                        }))
                    } @else { (parts::empty("No such request.", html! { a href="/approvals" { "Show what waits" } })) }
                } @else { (table(&page.items, now)) }
            }
            (parts::pages(first.as_deref(), next))
        }
    };
    Ok(layout::live(&shell, "Approvals", "/approvals", "/api/v1/events", body))
}

fn table(items: &[ApprovalHead], now: Timestamp) -> Markup {
    html! {
        div.scroll { table.cards {
            caption.hidden { "Requests for approval, the newest first" }
            thead { tr {
                th scope="col" { "State" } th scope="col" { "Asks to" } th scope="col" { "Workflow" }
                th scope="col" { "Risk" } th scope="col" { "Asked" } th scope="col" { "Expires" }
            } }
            tbody { @for approval in items { tr {
                td { (parts::status(&approval.state)) }
                th scope="row" {
                    a href={ "/approvals/" (approval.id) } {
                        (approval.operation.as_deref().unwrap_or("nothing"))
                    }
                    @if approval.n_actions > 1 { div.sub { "and " (text::count(approval.n_actions - 1, "more action")) } }
                }
                td { (parts::workflow_link(&approval.workflow)) div.sub { (parts::run_link(&approval.run)) } }
                td { (approval.severity.to_lowercase()) }
                td { (times::ago(approval.requested_at.0, now)) div.sub { "by " (approval.requester) } }
                td.nowrap { (times::ago(approval.expires_at.0, now)) }
            } } }
        } }
    }
}

pub(super) async fn show(
    State(web): State<Web>,
    asker: Asker,
    Named(id): Named<ApprovalId>,
) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let of = id.clone();
    let detail = web
        .read(move |reader| approval::detail(reader, &of, now))
        .await?
        .ok_or_else(|| Problem::missing("approval", id.as_str()))?;
    let head = &detail.head;
    let is_open = head.state == "pending" && detail.actions.iter().any(ActionView::is_open);
    let is_own = head.requester.eq_ignore_ascii_case(shell.name());
    let body = html! {
        div.head { div {
            p.crumbs { a href="/approvals" { "Approvals" } " / " span.mono { (head.id) } " " (parts::copy(&head.id)) }
            h1 { (text::count(head.n_actions, "action")) " of " (head.workflow) " " (parts::status(&head.state)) }
            p.dim {
                "asked " (times::full(head.requested_at.0, now)) " by " (head.requester) " for run " (parts::run_link(&head.run))
            }
        } }
        @let may = is_open && shell.is(Role::Approver) && !is_own;
        div.grid {
            div.stack.w8 { @for action in &detail.actions { (one(&detail, action, may)) } }
            div.w4 { div.follow {
                @if may { (ballot(&shell, &detail)) }
                @else if is_open { (standing(&shell, is_own)) }
                (terms(&detail, now))
            } }
        }
    };
    let title = format!("Approval {}", parts::short(id.as_str()));
    Ok(layout::render(&shell, &title, "/approvals", body))
}

fn standing(shell: &Shell, is_own: bool) -> Markup {
    html! {
        @if is_own {
            div.notice.warn { p { "You started this run, so somebody else has to decide." } }
        } @else if !shell.is(Role::Approver) {
            div.notice { p { "You may look; deciding needs an approver." } }
        }
    }
}

fn terms(detail: &ApprovalDetail, now: Timestamp) -> Markup {
    let head = &detail.head;
    html! {
        section.card aria-labelledby="h-terms" {
            header { h2 #h-terms { "Terms" } }
            div.in { dl.facts {
                dt { "Expires" } dd { (times::full(head.expires_at.0, now)) }
                dt { "Asked are" } dd {
                    @if head.approvers.is_empty() { "nobody: by its policy no one can approve this" }
                    @else { (head.approvers.join(", ")) }
                }
                dt { "Needed" } dd { (head.quorum) " yes for each action; one no is enough" }
                dt { "Bound to" } dd { "workflow and policy version, operation and parameters: any change makes it worthless, and each yes is used once" }
            } }
        }
    }
}

/// What an action is about, in the words of what would be sent.
fn about(action: &ActionView) -> &str {
    let names = ["title", "summary", "short_description", "number"];
    let text = |name| action.params.get(name).and_then(serde_json::Value::as_str);
    names.into_iter().find_map(text).or(action.effect.as_deref()).unwrap_or_default()
}

fn one(detail: &ApprovalDetail, action: &ActionView, may: bool) -> Markup {
    let id = format!("action-{}", action.n);
    let yes = action.votes.iter().filter(|vote| vote.vote == "approve").count();
    // A few are shown whole; of many, the first says what the others are like.
    let whole = detail.actions.len() <= WHOLE_MAX || action.n == 0;
    html! {
        section.card aria-labelledby=(id) {
            header.fixed {
                label.row {
                    @if may && action.is_open() {
                        input type="checkbox" name="action" value=(action.n) form="vote" checked;
                    }
                    span {
                        strong.h2 #(id) { (action.n + 1) ". " (text::shortened(about(action), 110)) }
                        span.small.dim { (action.operation)
                            @if let Some(risk) = &action.risk { " · risk " (risk.score) " " (risk.class) }
                            " · " (yes) " of " (detail.head.quorum) " yes" }
                    }
                }
                (parts::status(&action.state))
            }
            div.in { details open[whole] {
                summary { "What will be sent, and why it asks" }
                div.stack {
                    div.two {
                        div { h3 { "What will be sent" } (parts::params(&action.params)) }
                        div.stack {
                            @if let Some(risk) = &action.risk { (parts::risk(risk)) }
                            div { h3 { "Asked by " (action.rule.as_deref().unwrap_or("the policy")) }
                                ul { @for reason in &action.reasons { li.dim { (reason) } } } }
                        }
                    }
                    (binding(detail, action))
                }
            } }
        }
    }
}

fn binding(detail: &ApprovalDetail, action: &ActionView) -> Markup {
    html! {
        dl.facts {
            @if let Some(effect) = &action.effect { dt { "Effect" } dd { code { (effect) } } }
            @if !action.lineage.is_empty() {
                dt { "Follows from" } dd { @for from in &action.lineage { (lineage(detail, from)) " " } }
            }
            dt { "Bound to" } dd { (parts::digest(&action.digest)) }
            @if !action.votes.is_empty() {
                dt { "Votes" } dd { ul { @for vote in &action.votes { li {
                    (parts::status(if vote.vote == "approve" { "approved" } else { "denied" })) " " (vote.who)
                    @if let Some(reason) = &vote.reason { ": " (reason) }
                    " " span.dim { (times::exact(vote.at.0)) }
                } } } }
            }
        }
    }
}

/// A reference of a lineage, such as `vulnerability:<id>:<digest>`; a vulnerability leads to its
/// picture.
fn lineage(detail: &ApprovalDetail, from: &str) -> Markup {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    html! {
        @match from.split_once(':') {
            Some(("vulnerability", rest)) => {
                @let (name, _) = rest.rsplit_once(':').unwrap_or((rest, ""));
                a href={ "/runs/" (detail.head.run) "/item?id=" (parts::path(name)) } { (name) }
            }
            Some((kind, digest)) => { span title=(from) { (kind) " " code { (short(digest)) } } }
            None => (from),
        }
    }
}

fn ballot(shell: &Shell, detail: &ApprovalDetail) -> Markup {
    let n = detail.actions.iter().filter(|action| action.is_open()).count();
    html! {
        section.card aria-labelledby="h-decide" {
            header { h2 #h-decide { "Decide" } span.small.dim { (text::count(n as u64, "action")) " open" } }
            form #vote .in.form method="post" action={ "/approvals/" (detail.head.id) "/vote" } {
                (shell.csrf())
                p.dim { "About the actions that are chosen; recorded under your name." }
                label { "Reason " span.dim { "needed for a no; the workflow and the record show it" }
                    textarea name="reason" maxlength="2000" {} }
                div.acts {
                    button.main type="submit" name="vote" value="approve" { "Approve chosen" }
                    button.bad type="submit" name="vote" value="deny" { "Deny chosen" }
                    @if n > 1 { button.plain type="button" data-act="all" data-js hidden { "all or none" } }
                }
            }
        }
    }
}
