//! The frame of every page.

use arx_journal::ApprovalState;
use arx_types::Role;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::identity::{Caller, Via};
use crate::web::guard::CSRF_FIELD;
use crate::web::input::Asker;
use crate::web::views::{COUNT_MAX, Count};
use crate::web::{Problem, Web, assets, text};

/// A rendered page.
pub(crate) struct Page(Markup);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        // INVARIANT (a text is a text): markup is escaped where it is made; here, once for all
        // pages, what hides or turns text is made visible.
        let shown = text::visible(&self.0.0).into_owned();
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], shown).into_response()
    }
}

/// What the frame shows beside the page itself.
pub(crate) struct Shell {
    caller: Option<Caller>,
    world: String,
    n_waiting: Count,
    n_attention: Count,
}

impl Shell {
    /// The frame for whoever asks.
    pub(crate) async fn of(web: &Web, asker: &Asker) -> Result<Self, Problem> {
        let (waiting, attention) = web
            .read(|reader| {
                let waiting = reader.n_approvals(ApprovalState::Pending, COUNT_MAX + 1)?;
                Ok((waiting, reader.n_effects_needing_attention(COUNT_MAX + 1)?))
            })
            .await?;
        Ok(Self {
            caller: Some(asker.0.clone()),
            world: web.app.world.to_string(),
            n_waiting: Count::of(waiting),
            n_attention: Count::of(attention),
        })
    }

    /// The frame of a page that says what went wrong; nothing more is read.
    pub(crate) fn of_problem(caller: Option<&Caller>, web: &Web) -> Self {
        let none = Count::of(0);
        Self {
            caller: caller.cloned(),
            world: web.app.world.to_string(),
            n_waiting: none,
            n_attention: none,
        }
    }

    /// The frame for nobody.
    pub(crate) fn nobody(web: &Web) -> Self {
        Self::of_problem(None, web)
    }

    pub(crate) fn is(&self, role: Role) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.role >= role)
    }

    pub(crate) fn name(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| caller.name.as_str())
    }

    /// What every form of this session carries.
    pub(crate) fn csrf(&self) -> Markup {
        let token = match self.caller.as_ref().map(|caller| &caller.via) {
            Some(Via::Session { csrf }) => csrf.as_str(),
            Some(Via::Token { .. }) | None => "",
        };
        html! { input type="hidden" name=(CSRF_FIELD) value=(token); }
    }
}

/// A page whose parts are looked at again when something happens.
pub(crate) fn live(shell: &Shell, title: &str, here: &str, events: &str, body: Markup) -> Page {
    frame(shell, title, here, Some(events), body)
}

/// A page that stands as it is.
pub(crate) fn render(shell: &Shell, title: &str, here: &str, body: Markup) -> Page {
    frame(shell, title, here, None, body)
}

fn frame(shell: &Shell, title: &str, here: &str, events: Option<&str>, body: Markup) -> Page {
    Page(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { (title) " · ARX" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("style.css"));
                script src=(assets::path("app.js")) {}
            }
            body data-events=[events] {
                @if shell.caller.is_some() {
                    a.skip href="#main" { "Skip to content" }
                    (top(shell, here))
                    main #main tabindex="-1" { (body) }
                    (foot())
                } @else {
                    main #main .alone { (body) }
                }
            }
        }
    })
}

fn top(shell: &Shell, here: &str) -> Markup {
    let link = |path: &str, label: &str, badge: Markup| {
        html! {
            a href=(path) aria-current=[(path == here).then_some("page")] { (label) (badge) }
        }
    };
    let badge = |count: Count, class: &str, what: &str| {
        html! {
            @if count.n > 0 { " " span class={ "badge " (class) } title=(what) { (count) } }
        }
    };
    let is_live = shell.world == "live";
    html! {
        header.top {
            div.top-in {
                a.brand href="/" { img src=(assets::path("icon.svg")) alt=""; "ARX" }
                nav.nav aria-label="Main" {
                    (link("/", "Overview", html! {}))
                    (link("/runs", "Runs", html! {}))
                    (link("/approvals", "Approvals", badge(shell.n_waiting, "", "waiting")))
                    (link("/workflows", "Workflows", html! {}))
                    (link("/effects", "Effects", badge(shell.n_attention, "bad", "need a human")))
                    (link("/audit", "Audit", html! {}))
                    @if shell.is(Role::Admin) { (link("/people", "People", html! {})) }
                }
                div.me {
                    span.world.live[is_live] title="where effects happen" { (shell.world) }
                    button.plain type="button" data-act="theme" data-js hidden
                        aria-label="Switch between light and dark" { "◐" }
                    a href="/tokens" title="your API tokens" { (shell.name()) }
                    form method="post" action="/sign-out" {
                        (shell.csrf())
                        button.plain type="submit" { "Sign out" }
                    }
                }
            }
        }
    }
}

fn foot() -> Markup {
    html! {
        footer.foot {
            span { "ARX " (env!("CARGO_PKG_VERSION")) }
            span { a href="/api/v1/openapi.json" { "API" } }
            span.keys {
                kbd { "g" } " " kbd { "r" } " runs · " kbd { "/" } " find · " kbd { "j" } " "
                kbd { "k" } " rows · " kbd { "?" } " all keys"
            }
        }
        dialog #keys aria-label="Keys" {
            form.form method="dialog" {
                h2 { "Keys" }
                dl.facts {
                    @for (keys, what) in [
                        ("g o", "Overview"), ("g r", "Runs"), ("g a", "Approvals"),
                        ("g w", "Workflows"), ("g e", "Effects"), ("g l", "Audit log"),
                        ("/", "find"), ("j k", "next and previous row"), ("Enter", "open the row"),
                        ("t", "light or dark"),
                    ] {
                        dt { @for key in keys.split(' ') { kbd { (key) } " " } }
                        dd { (what) }
                    }
                }
                div { button type="submit" { "Close" } }
            }
        }
    }
}
