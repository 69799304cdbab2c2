//! What runs while nobody watches: the scheduler, the workers, and what they tell.

use std::sync::Arc;

use arx_types::RunId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, broadcast};

/// Events that a slow listener may fall behind before it loses some.
const EVENTS_MAX: usize = 1024;

/// What others may ask of the daemon, and what it tells them.
#[derive(Clone)]
pub struct Handle {
    wake: Arc<Notify>,
    events: broadcast::Sender<Event>,
}

/// Something that happened in a run, for whoever watches right now. The journal is the record;
/// this is only told, and may be lost.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: String,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The run's status changed.
    Status {
        /// The word of the run's status.
        status: String,
    },
    /// So many items are settled, of so many.
    Progress {
        /// What is counted.
        label: String,
        /// So many.
        done: u64,
        /// Of so many, where that is known.
        total: Option<u64>,
    },
    /// One item has ended.
    Item {
        /// As the workflow reported it.
        item: Value,
    },
    /// A line of the log.
    Log {
        /// `debug`, `info`, `warning` or `error`.
        level: String,
        /// The line.
        text: String,
    },
}

/// How a vendor has answered lately, and what is left of its rate budget.
#[derive(Clone, Debug, Serialize)]
pub struct VendorHealth {
    /// The connector's name.
    pub connector: String,
    /// The vendor's name for people.
    pub title: String,
    /// The host that is asked.
    pub host: String,
    /// Requests per second that the budget allows; `None` where there is no limit.
    pub limit_per_second: Option<f64>,
    /// Requests that may be sent at once now; `None` where there is no limit.
    pub available: Option<f64>,
    /// Until when the vendor asked to be left alone.
    pub held_until: Option<Timestamp>,
    /// When it last answered a request well.
    pub last_success: Option<Timestamp>,
    /// When a request last failed, and how, in one line.
    pub last_failure: Option<(Timestamp, String)>,
}

impl Handle {
    /// A handle for a daemon that is about to start.
    #[must_use]
    pub fn new() -> Self {
        Self { wake: Arc::new(Notify::new()), events: broadcast::channel(EVENTS_MAX).0 }
    }

    /// Asks the daemon to look at the journal now; it looks by itself within a second.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What happens in runs, from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Every vendor that was asked anything since the start.
    #[must_use]
    pub fn vendors(&self) -> Vec<VendorHealth> {
        Vec::new()
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}
