//! People, for admins; and everybody's own API tokens.

use arx_types::Role;
use axum::extract::State;
use maud::{Markup, html};

use super::layout::{self, Page, Shell};
use super::parts;
use crate::identity::Via;
use crate::web::input::Asker;
use crate::web::views::people::{PersonView, TokenView};
use crate::web::{Problem, Web, times};

pub(super) async fn list(State(web): State<Web>, asker: Asker) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let people = web.app.identity.people().await?;
    let tokens = web.app.identity.tokens(None).await?;
    let people: Vec<PersonView> = people.iter().map(PersonView::of).collect();
    let tokens: Vec<TokenView> = tokens.iter().map(|token| TokenView::of(token, now)).collect();
    let body = html! {
        div.head { div { h1 { "People" } p.dim { "Who may look, decide, and manage. Every decision carries who." } } }
        div.grid {
            div.stack.w8 {
                section.card aria-labelledby="h-people" {
                    header { h2 #h-people { "People" } }
                    div.scroll { table.cards {
                        caption.hidden { "People by name" }
                        thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Since" } th scope="col" { "Change" } } }
                        tbody { @for person in &people { tr {
                            th scope="row" { (person.name)
                                @if person.disabled_at.is_some() { " " (parts::status("stopped")) }
                                @if !person.has_password { div.sub { "has chosen no password yet" } } }
                            td { form.acts method="post" action={ "/people/" (parts::path(&person.name)) "/role" } {
                                (shell.csrf()) (roles("role", &person.role, Role::Admin, &format!("Role of {}", person.name))) button type="submit" { "Set" } } }
                            td { (times::ago(person.created_at.0, now)) div.sub { "by " (person.created_by) } }
                            td { div.acts {
                                (act(&shell, &person.name, "reset", "New link", "Take the password away and make a new one-time link?"))
                                @if person.disabled_at.is_some() { (act(&shell, &person.name, "enable", "Enable", "Let them act again?")) }
                                @else { (act(&shell, &person.name, "disable", "Disable", "End their sessions and tokens now?")) }
                            } }
                        } } }
                    } }
                }
                (token_table(&shell, &tokens, now, true))
            }
            div.stack.w4 {
                section.card aria-labelledby="h-add" {
                    header { h2 #h-add { "Add somebody" } }
                    div.in { form.form method="post" action="/people" {
                        (shell.csrf())
                        label { "Name" input name="name" required maxlength="64" autocomplete="off"; }
                        label { "Role" (roles("role", "viewer", Role::Admin, "Role")) }
                        p.small.dim { "They get a link that works once within 24 hours, and choose their own password." }
                        div { button.main type="submit" { "Make the link" } }
                    } }
                }
                section.card aria-labelledby="h-roles" {
                    header { h2 #h-roles { "Roles" } }
                    div.in { dl.facts {
                        dt { "viewer" } dd { "looks at everything but people and their tokens" }
                        dt { "approver" } dd { "also decides what is asked of them" }
                        dt { "admin" } dd { "also registers, stops, starts, runs, cancels, settles, and manages people" }
                    } }
                }
            }
        }
    };
    Ok(layout::render(&shell, "People", "/people", body))
}

fn act(shell: &Shell, name: &str, what: &str, label: &str, confirm: &str) -> Markup {
    html! { form method="post" action={ "/people/" (parts::path(name)) "/" (what) } data-confirm=(confirm) {
    (shell.csrf()) button type="submit" { (label) } } }
}

fn roles(name: &str, chosen: &str, at_most: Role, label: &str) -> Markup {
    html! { select name=(name) aria-label=(label) {
        @for role in Role::ALL.into_iter().filter(|role| *role <= at_most) {
            option value=(role.as_str()) selected[role.as_str() == chosen] { (role.as_str()) }
        }
    } }
}

pub(super) async fn tokens(State(web): State<Web>, asker: Asker) -> Result<Page, Problem> {
    let shell = Shell::of(&web, &asker).await?;
    let now = web.now();
    let own = web.app.identity.tokens(Some(&asker.0.name)).await?;
    let own: Vec<TokenView> = own.iter().map(|token| TokenView::of(token, now)).collect();
    let by_token = matches!(asker.0.via, Via::Token { .. });
    let body = html! {
        div.head { div { h1 { "Your API tokens" } p.dim { "For programs that ask in your name. A token never may more than you." } } }
        div.grid {
            div.stack.w8 { (token_table(&shell, &own, now, false)) }
            div.stack.w4 {
                @if !by_token {
                    section.card aria-labelledby="h-new" {
                        header { h2 #h-new { "New token" } }
                        div.in { form.form method="post" action="/tokens" {
                            (shell.csrf())
                            label { "What it is for" input name="label" required maxlength="100" autocomplete="off"; }
                            label { "May at most" (roles("role", "viewer", asker.0.role, "Role")) }
                            label { "Ends after" select name="days" {
                                @for (days, words) in [(1, "a day"), (7, "a week"), (30, "30 days"), (90, "90 days"), (365, "a year")] { option value=(days) selected[days == 30] { (words) } }
                            } }
                            div { button.main type="submit" { "Make the token" } }
                        } }
                    }
                }
                section.card aria-labelledby="h-use" {
                    header { h2 #h-use { "Use" } }
                    div.in { pre { "curl -H 'Authorization: Bearer TOKEN' \\\n  …/api/v1/runs" } p.small { a href="/api/v1/openapi.json" { "The API as OpenAPI 3.1" } } }
                }
            }
        }
    };
    Ok(layout::render(&shell, "Your API tokens", "/tokens", body))
}

fn token_table(
    shell: &Shell,
    tokens: &[TokenView],
    now: jiff::Timestamp,
    with_person: bool,
) -> Markup {
    html! {
        section.card aria-labelledby="h-tokens" {
            header { h2 #h-tokens { @if with_person { "API tokens of everybody" } @else { "Tokens" } } }
            @if tokens.is_empty() { (parts::empty("No token was made.", html! { "Programs need one to use the API." })) }
            @else {
                div.scroll { table.cards {
                    caption.hidden { "API tokens, the newest first" }
                    thead { tr { th scope="col" { "For" } @if with_person { th scope="col" { "Of" } } th scope="col" { "May" } th scope="col" { "Ends" } th scope="col" { "Last used" } th scope="col" { span.hidden { "Act" } } } }
                    tbody { @for token in tokens { tr {
                        th scope="row" { (token.label) div.sub { code { (parts::short(&token.id)) } } }
                        @if with_person { td { (token.person) } }
                        td { (token.role) }
                        td { @if token.good { (times::ago(token.expires_at.0, now)) } @else if token.revoked_at.is_some() { span.dim { "revoked" } } @else { span.dim { "over" } } }
                        td { @match token.last_used_at { Some(at) => (times::ago(at.0, now)), None => span.dim { "never" } } }
                        td { @if token.good { form method="post" action={ "/tokens/" (token.id) "/revoke" } { (shell.csrf()) button.bad type="submit" { "Revoke" } } } }
                    } } }
                } }
            }
        }
    }
}
