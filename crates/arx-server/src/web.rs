//! The HTTP API and the console: what ARX shows to people and programs, and what they ask of it.
//!
//! INVARIANT (one table of rights): every route stands in a [`routes::Table`] with what it needs;
//! who may not is turned away before its handler runs.
//! INVARIANT (a text is a text): what vendors and workflows say is escaped wherever it is shown,
//! and characters that could hide or turn it are made visible.
//! INVARIANT (no decision by looking): nothing that a GET does is recorded.
//!
//! It must never decide what the policy decides, and never read the database but by index: every
//! page answers in the same time however long the record is.
//!
//! Start at [`router`]; [`views`] is what is shown, [`api`] and [`pages`] are the two ways to see
//! it, [`guard`] is who may.

mod acts;
mod api;
mod assets;
mod cookies;
mod forms;
mod guard;
mod headers;
mod input;
mod live;
mod metrics;
mod pages;
mod problem;
mod routes;
mod serve;
mod settings;
mod text;
mod times;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arx_journal::{Journal, JournalError, Reader};
use axum::Router;

use crate::App;
pub use guard::Peer;
pub use problem::Problem;
pub use routes::{Needs, Rule};
pub use serve::{ServeError, serve};
pub use settings::Settings;

/// What every handler is given.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) app: App,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Arc<metrics::Metrics>,
    pub(crate) library: Arc<views::workflow::Library>,
}

impl Web {
    fn new(app: App, settings: Settings) -> Self {
        Self {
            library: Arc::new(views::workflow::Library::new(app.daemon.clone())),
            app,
            settings: Arc::new(settings),
            metrics: Arc::new(metrics::Metrics::new()),
        }
    }

    /// Reads from one consistent view.
    async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Reader<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.app.journal.read(f).await?)
    }

    fn journal(&self) -> &Journal {
        &self.app.journal
    }

    fn now(&self) -> jiff::Timestamp {
        self.app.journal.clock().now()
    }
}

/// The console and the API of a daemon.
pub fn router(app: App, settings: Settings) -> Router {
    let web = Web::new(app, settings);
    let table = table(&web);
    headers::wrap(table.router(&web), web)
}

/// Every route with what it needs, in the order of the table.
#[must_use]
pub fn rules(app: App, settings: Settings) -> Vec<Rule> {
    table(&Web::new(app, settings)).rules().to_vec()
}

/// The description of the API as OpenAPI 3.1.
#[must_use]
pub fn openapi() -> String {
    api::openapi_text()
}

fn table(web: &Web) -> routes::Table {
    let table = routes::Table::new(web.clone());
    let table = pages::add(table);
    let table = forms::add(table);
    api::add(table)
}
