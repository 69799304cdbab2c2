//! What runs while nobody watches: the scheduler, the workers, and what they tell.
//!
//! The journal says what is to be done; nothing is kept here that a restart would miss. Start at
//! [`Daemon::run`].

mod observe;
mod scheduler;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arx_engine::{EngineError, approvals, start};
use arx_gateway::Budgets;
use arx_journal::{Journal, JournalError, Process};
use arx_types::{ApprovalId, RunId};
use arx_workflow::bundle::Schedule;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Notify, broadcast, watch};

use crate::launch::Launch;
use scheduler::Scheduler;
use workers::Workers;

/// Events that a slow listener may fall behind before it loses some.
const EVENTS_MAX: usize = 1024;

/// How often the journal is looked at without being asked to.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often runs are looked for whose process died without a trace, or that could not go on.
const SEARCH_EVERY: SignedDuration = SignedDuration::from_secs(30);
/// How long a run rests that could not go on.
const REST: SignedDuration = SignedDuration::from_secs(60);
/// How long a run that is to be cancelled may take to end.
const CANCEL_WAIT: Duration = Duration::from_secs(10);
/// How often the end of such a run is looked for.
const CANCEL_LOOK: Duration = Duration::from_millis(50);

/// What others may ask of the daemon, and what it tells them.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What the daemon, its workers and its handles have in common.
struct Shared {
    journal: Journal,
    process: Arc<Process>,
    budgets: Budgets,
    wake: Notify,
    events: broadcast::Sender<Event>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    status: Status,
    /// The runs that are driven here, and how they are interrupted.
    driven: HashMap<RunId, watch::Sender<bool>>,
    /// Runs that somebody is cancelling.
    given_up: BTreeSet<RunId>,
    /// Runs that could not go on, and until when they rest.
    resting: HashMap<RunId, Timestamp>,
    /// Stands for the schedule of every workflow that has one.
    schedule: Option<Schedule>,
}

/// How the daemon is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether it has looked at the journal since its start, and goes on doing so.
    pub ready: bool,
    /// Workers that drive a run.
    pub busy: usize,
    /// Workers in all.
    pub workers: usize,
    /// Fires that may begin and wait for a worker or for another run's end.
    pub waiting: usize,
    /// When it last looked at the journal.
    pub looked_at: Option<Timestamp>,
    /// Why it could not read or keep the record the last time, if so.
    pub trouble: Option<String>,
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
    /// Requests that the budget allows, in so many seconds; `None` where there is no limit.
    pub limit: Option<(u32, u64)>,
    /// Requests of them that may be sent now; `None` where there is no limit.
    pub available: Option<u32>,
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
    pub fn new(journal: Journal, process: Arc<Process>, budgets: Budgets) -> Self {
        let events = broadcast::channel(EVENTS_MAX).0;
        let (wake, state) = (Notify::new(), Mutex::default());
        Self { shared: Arc::new(Shared { journal, process, budgets, wake, events, state }) }
    }

    /// Asks the daemon to look at the journal now; it looks by itself within a second.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// What happens in runs, from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// How the daemon is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.shared.state().status.clone()
    }

    /// The schedule by which a workflow runs here: its own, or the one that stands for all.
    #[must_use]
    pub fn schedule(&self, own: &Schedule) -> Schedule {
        self.shared.state().schedule.clone().unwrap_or_else(|| own.clone())
    }

    /// Gives a run up, whether this process drives it or nobody does.
    ///
    /// # Errors
    /// As [`start::cancel`].
    pub async fn cancel(&self, run: &RunId, who: &str) -> Result<Vec<ApprovalId>, EngineError> {
        // Whoever asked may go away; what was begun is ended all the same.
        let (handle, run, who) = (self.clone(), run.clone(), who.to_owned());
        let cancelling = tokio::spawn(async move {
            handle.shared.state().given_up.insert(run.clone());
            let cancelled = handle.cancel_given_up(&run, &who).await;
            handle.shared.state().given_up.remove(&run);
            handle.wake();
            cancelled
        });
        cancelling.await.unwrap_or_else(|error| {
            Err(JournalError::Panicked { reason: error.to_string() }.into())
        })
    }

    async fn cancel_given_up(
        &self,
        run: &RunId,
        who: &str,
    ) -> Result<Vec<ApprovalId>, EngineError> {
        let interrupt = self.shared.state().driven.get(run).cloned();
        if let Some(interrupt) = interrupt {
            // Where it has just ended, there is nobody to tell.
            let _ = interrupt.send(true);
            let ended = async {
                while self.shared.state().driven.contains_key(run) {
                    tokio::time::sleep(CANCEL_LOOK).await;
                }
            };
            // Cancelling it says who drives it where it goes on.
            let _ = tokio::time::timeout(CANCEL_WAIT, ended).await;
        }
        start::cancel(&self.shared.journal, &self.shared.process, run, who).await
    }

    /// Every vendor that was asked anything since the start.
    #[must_use]
    pub fn vendors(&self) -> Vec<VendorHealth> {
        let now = self.shared.journal.clock().now();
        let later = |wait: Duration| {
            SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok())
        };
        self.shared
            .budgets
            .readings()
            .into_iter()
            .map(|reading| VendorHealth {
                connector: reading.connector.to_owned(),
                title: reading.title.to_owned(),
                host: reading.host,
                limit: reading.limit.map(|limit| (limit.requests, limit.per.as_secs())),
                available: reading.left,
                held_until: reading.closed_for.and_then(later),
                last_success: reading.health.last_success,
                last_failure: reading.health.last_failure,
            })
            .collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a run is driven here, until the guard is dropped.
    fn drives(&self, run: &RunId, interrupt: watch::Sender<bool>) -> Driven<'_> {
        self.state().driven.insert(run.clone(), interrupt);
        Driven { shared: self, run: run.clone() }
    }

    fn rest(&self, run: &RunId) {
        let until = self.journal.clock().now().checked_add(REST);
        self.state().resting.insert(run.clone(), until.unwrap_or(Timestamp::MAX));
    }

    fn may_resume(&self, run: &RunId) -> bool {
        let now = self.journal.clock().now();
        let mut state = self.state();
        state.resting.retain(|_, until| *until > now);
        !state.resting.contains_key(run) && !state.given_up.contains(run)
    }
}

struct Driven<'s> {
    shared: &'s Shared,
    run: RunId,
}

impl Drop for Driven<'_> {
    fn drop(&mut self) {
        self.shared.state().driven.remove(&self.run);
    }
}

/// How the daemon works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs that are driven at once.
    pub workers: usize,
    /// How long runs under way may take to end when the daemon is asked to stop; what does not is
    /// interrupted, and goes on at the next start.
    pub grace: Duration,
    /// Stands for the schedule of every workflow that has one.
    pub schedule: Option<Schedule>,
}

impl Default for Options {
    fn default() -> Self {
        Self { workers: 8, grace: Duration::from_secs(20), schedule: None }
    }
}

/// The scheduler and the workers.
pub struct Daemon {
    shared: Arc<Shared>,
    scheduler: Scheduler,
    workers: Workers,
    grace: Duration,
    /// The size of the log when the journal was last read through.
    seen: Option<u64>,
    searched_at: Option<Timestamp>,
}

impl Daemon {
    /// A daemon for the runs of a world.
    #[must_use]
    pub fn new(handle: &Handle, launch: Launch, options: Options) -> Self {
        let shared = Arc::clone(&handle.shared);
        let (journal, world) = (launch.journal().clone(), launch.world().clone());
        {
            let mut state = shared.state();
            state.status.workers = options.workers;
            state.schedule.clone_from(&options.schedule);
        }
        Self {
            scheduler: Scheduler::new(journal, world, options.schedule),
            workers: Workers::new(Arc::clone(&shared), Arc::new(launch), options.workers),
            grace: options.grace,
            shared,
            seen: None,
            searched_at: None,
        }
    }

    /// Works until it is asked to stop; then lets what is under way end or parks it.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let shared = Arc::clone(&self.shared);
        while !*stop.borrow_and_update() {
            self.look().await;
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shared.wake.notified() => {}
                () = self.workers.job_ended() => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
        shared.state().status.ready = false;
        if !self.workers.drain(self.grace).await {
            self.workers.interrupt(None);
            self.workers.drain(self.grace).await;
        }
    }

    /// Looks at the journal, and does what it asks for. What cannot be read or recorded now is
    /// looked at again.
    async fn look(&mut self) {
        let looked = self.act().await;
        let mut state = self.shared.state();
        if let Err(error) = &looked {
            tracing::error!(%error, "the journal cannot be read or written");
        }
        state.status = Status {
            ready: looked.is_ok(),
            busy: self.workers.n_busy(),
            waiting: self.workers.n_waiting(),
            looked_at: Some(self.shared.journal.clock().now()),
            trouble: looked.err().map(|error| error.to_string()),
            ..state.status.clone()
        };
    }

    async fn act(&mut self) -> Result<(), JournalError> {
        let journal = self.shared.journal.clone();
        let now = journal.clock().now();
        // What is due beyond one time's limit is due at the next look.
        approvals::tend(&journal, now).await?;
        let size = journal.read(|reader| reader.tree_size()).await?;
        let has_changed = self.seen != Some(size);
        if has_changed {
            self.scheduler.reload().await?;
            self.interrupt_stopped().await?;
        }
        self.scheduler.record_due(now).await?;
        let is_time = |at: Timestamp| now.duration_since(at) >= SEARCH_EVERY || at > now;
        if has_changed || self.searched_at.is_none_or(is_time) {
            self.workers.look_for_resumable().await?;
            self.searched_at = Some(now);
        }
        let waiting = self.scheduler.waiting(now, Workers::queue_max()).await?;
        self.workers.wait_for(waiting);
        self.workers.start(&self.scheduler).await?;
        self.seen = Some(size);
        Ok(())
    }

    /// Whatever runs of a stopped workflow is interrupted: the gate denies its calls already.
    async fn interrupt_stopped(&self) -> Result<(), JournalError> {
        for workflow in self.workers.busy() {
            let name = workflow.clone();
            let stop = self.shared.journal.read(move |reader| reader.active_stop(&name)).await?;
            if stop.is_some() {
                self.workers.interrupt(Some(&workflow));
            }
        }
        Ok(())
    }
}
