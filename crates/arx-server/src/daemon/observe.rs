//! What a run tells whoever watches it, as events.

use std::sync::Arc;

use arx_engine::Observer;
use arx_journal::Clock;
use arx_types::RunId;
use serde_json::Value;
use tokio::sync::broadcast;

use super::{Event, What};

/// Tells events of one run. Nobody has to listen.
pub(super) struct Teller {
    pub(super) run: RunId,
    pub(super) workflow: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: broadcast::Sender<Event>,
}

impl Teller {
    pub(super) fn tell(&self, what: What) {
        let (run, workflow) = (self.run.clone(), self.workflow.clone());
        // An event that nobody listens to is lost, as it may be.
        let _ = self.events.send(Event { run, workflow, at: self.clock.now(), what });
    }
}

impl Observer for Teller {
    fn read_ended(&self, source: &str, n_findings: u64, complete: bool) {
        let text = match complete {
            true => format!("{source}: {n_findings} findings"),
            false => format!("{source}: {n_findings} findings, and not all of them"),
        };
        self.tell(What::Log { level: "info".to_owned(), text });
    }

    fn progress(&self, label: &str, done: u64, total: Option<u64>) {
        self.tell(What::Progress { label: label.to_owned(), done, total });
    }

    fn item(&self, item: &Value) {
        self.tell(What::Item { item: item.clone() });
    }

    fn log(&self, level: &str, text: &str) {
        // The span that the run is driven in names it.
        match level {
            "error" => tracing::error!("{text}"),
            "warning" => tracing::warn!("{text}"),
            _ => tracing::info!("{text}"),
        }
        self.tell(What::Log { level: level.to_owned(), text: text.to_owned() });
    }
}
