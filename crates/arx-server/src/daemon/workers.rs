//! Starts what is due and goes on with what can go on, a bounded number at a time.
//!
//! INVARIANT (one run of a workflow): this process drives one run of a workflow at a time, and the
//! lease in the journal holds for all processes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arx_engine::registry::{self, Registered};
use arx_engine::start::{self, Recorded};
use arx_engine::{EngineError, NewRun, Report, RunError};
use arx_journal::{Fire, FireCause, JournalError, Run};
use arx_types::{RunId, RunStatus};
use arx_workflow::bundle::Overlap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::observe::Teller;
use super::scheduler::Scheduler;
use super::{Shared, What};
use crate::launch::{Launch, LaunchError, specs};

/// Fires that are looked at ahead of those that can be started.
const QUEUE_MAX: usize = 1000;
/// Runs that can go on and are looked at together.
const RESUMABLE_MAX: usize = 1000;
/// Fires of one workflow that may wait for the end of its run.
const WAITING_MAX: u64 = 100;

/// What a worker does.
enum Job {
    Fire { fire: Fire, registered: Arc<Registered> },
    Resume { run: Run },
}

impl Job {
    fn workflow(&self) -> &str {
        match self {
            Self::Fire { fire, .. } => &fire.workflow,
            Self::Resume { run } => &run.workflow,
        }
    }
}

/// The workers, and what waits for one.
pub(super) struct Workers {
    shared: Arc<Shared>,
    launch: Arc<Launch>,
    max: usize,
    jobs: JoinSet<String>,
    /// How each busy workflow is interrupted.
    busy: HashMap<String, watch::Sender<bool>>,
    queue: VecDeque<Fire>,
    resumable: VecDeque<Run>,
    /// The answers that each waiting run was resumed for, so that it is not resumed for the same
    /// ones again.
    answered: HashMap<RunId, u64>,
}

impl Workers {
    pub(super) fn new(shared: Arc<Shared>, launch: Arc<Launch>, max: usize) -> Self {
        Self {
            shared,
            launch,
            max: max.max(1),
            jobs: JoinSet::new(),
            busy: HashMap::new(),
            queue: VecDeque::new(),
            resumable: VecDeque::new(),
            answered: HashMap::new(),
        }
    }

    pub(super) fn n_busy(&self) -> usize {
        self.busy.len()
    }

    pub(super) fn n_waiting(&self) -> usize {
        self.queue.len()
    }

    /// Waits until a job ends; for ever while there is none.
    pub(super) async fn job_ended(&mut self) {
        match self.jobs.join_next().await {
            None => std::future::pending().await,
            Some(Ok(workflow)) => drop(self.busy.remove(&workflow)),
            Some(Err(error)) => {
                tracing::error!(%error, "a worker failed");
                // A job that panicked cannot say which it was; those that are still there can.
                let driven = self.shared.driven();
                self.busy.retain(|workflow, _| driven.iter().any(|one| one == workflow));
            }
        }
    }

    /// Interrupts every job, or those of one workflow; each ends when it can be resumed.
    pub(super) fn interrupt(&self, workflow: Option<&str>) {
        for (name, interrupt) in &self.busy {
            if workflow.is_none_or(|workflow| workflow == name) {
                // A job that just ended has nobody to tell.
                let _ = interrupt.send(true);
            }
        }
    }

    /// The workflows that are busy.
    pub(super) fn busy(&self) -> Vec<String> {
        self.busy.keys().cloned().collect()
    }

    /// Reads again what can go on.
    pub(super) async fn look_for_resumable(&mut self) -> Result<(), JournalError> {
        let world = self.launch.world().clone();
        let found = self
            .launch
            .journal()
            .read(move |reader| reader.resumable_runs(&world, RESUMABLE_MAX))
            .await?;
        let answered: HashMap<RunId, u64> =
            found.iter().map(|(run, answers)| (run.id.clone(), *answers)).collect();
        let before = std::mem::replace(&mut self.answered, answered);
        let is_new = |(run, answers): &(Run, u64)| {
            let waited = matches!(run.status, RunStatus::Parked | RunStatus::NeedsAttention);
            !waited || before.get(&run.id) != Some(answers)
        };
        self.resumable = found.into_iter().filter(is_new).map(|(run, _)| run).collect();
        Ok(())
    }

    /// Takes the fires that wait now in the place of those that waited before.
    pub(super) fn wait_for(&mut self, fires: Vec<Fire>) {
        self.queue = fires.into();
    }

    /// How many fires are looked at.
    pub(super) const fn queue_max() -> usize {
        QUEUE_MAX
    }

    /// Starts what can be started, as far as there are workers.
    pub(super) async fn start(&mut self, scheduler: &Scheduler) -> Result<(), JournalError> {
        let mut held = VecDeque::new();
        while self.busy.len() < self.max {
            let Some(run) = self.resumable.pop_front() else { break };
            let is_registered = scheduler.entry(&run.workflow).is_some();
            if !is_registered || !self.shared.may_resume(&run.id) {
                continue;
            }
            if self.busy.contains_key(&run.workflow) {
                held.push_back(run);
                continue;
            }
            if self.is_driven_elsewhere(&run) || self.is_stopped(&run.workflow).await? {
                continue;
            }
            self.spawn(Job::Resume { run });
        }
        self.resumable.append(&mut held);
        let mut held = VecDeque::new();
        while self.busy.len() < self.max {
            let Some(fire) = self.queue.pop_front() else { break };
            if let Some(fire) = self.consider(scheduler, fire).await? {
                held.push_back(fire);
            }
        }
        self.queue.append(&mut held);
        Ok(())
    }

    fn is_driven_elsewhere(&self, run: &Run) -> bool {
        let now = self.launch.journal().clock().now();
        let process = &self.shared.process;
        run.lease.as_ref().is_some_and(|lease| lease.until > now && process.may_live(&lease.owner))
    }

    async fn is_stopped(&self, workflow: &str) -> Result<bool, JournalError> {
        let name = workflow.to_owned();
        Ok(self.launch.journal().read(move |reader| reader.active_stop(&name)).await?.is_some())
    }

    /// Starts a fire, leaves it out, or gives it back because it has to wait.
    async fn consider(
        &mut self,
        scheduler: &Scheduler,
        fire: Fire,
    ) -> Result<Option<Fire>, JournalError> {
        let journal = self.launch.journal().clone();
        let (name, world) = (fire.workflow.clone(), self.launch.world().clone());
        let read = journal.read(move |reader| {
            let stop = reader.active_stop(&name)?;
            let unfinished = reader.unfinished_run(&name, &world)?;
            Ok::<_, JournalError>((stop, unfinished, reader.n_waiting(&name, &world)?))
        });
        let (stop, unfinished, n_waiting) = read.await?;
        let drop_it = |failed: bool, reason: String| {
            let journal = journal.clone();
            async move {
                registry::drop_fire(&journal, fire.n, failed, &reason).await?;
                Ok::<_, JournalError>(None)
            }
        };
        let Some(entry) = scheduler.entry(&fire.workflow) else {
            return drop_it(false, "the workflow is not registered any more".to_owned()).await;
        };
        if let Some(stop) = stop {
            return drop_it(false, format!("stopped by {}: {}", stop.by, stop.reason)).await;
        }
        let Some(registered) = entry.registered.clone() else {
            let reason = "this program does not understand the registered version";
            return drop_it(true, reason.to_owned()).await;
        };
        let earlier = unfinished.filter(|run| run.status != RunStatus::NeedsAttention);
        let is_busy = self.busy.contains_key(&fire.workflow);
        if earlier.is_some() || is_busy {
            let overlap = scheduler.timetable(&fire.workflow).map(|table| table.overlap);
            let waits = match (fire.cause, overlap) {
                (FireCause::Person | FireCause::CatchUp, _) | (_, Some(Overlap::Queue)) => true,
                (FireCause::Schedule, Some(Overlap::Forbid) | None) => false,
            };
            if waits && n_waiting <= WAITING_MAX {
                return Ok(Some(fire));
            }
            let of = match earlier {
                Some(run) => format!("{} is {}", run.id, run.status),
                None => "a run is about to begin".to_owned(),
            };
            return match waits {
                true => drop_it(false, format!("too many wait already; {of}")).await,
                false => drop_it(false, format!("an earlier run is unfinished: {of}")).await,
            };
        }
        self.spawn(Job::Fire { fire, registered });
        Ok(None)
    }

    fn spawn(&mut self, job: Job) {
        let (interrupt, interrupted) = watch::channel(false);
        let workflow = job.workflow().to_owned();
        self.busy.insert(workflow.clone(), interrupt.clone());
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            launch: Arc::clone(&self.launch),
            interrupt,
            interrupted,
        };
        self.jobs.spawn(async move {
            worker.work(job).await;
            workflow
        });
    }

    /// Waits for every job to end, at most so long.
    pub(super) async fn drain(&mut self, at_most: Duration) -> bool {
        let all = async {
            while !self.busy.is_empty() {
                self.job_ended().await;
            }
        };
        tokio::time::timeout(at_most, all).await.is_ok()
    }
}

struct Worker {
    shared: Arc<Shared>,
    launch: Arc<Launch>,
    interrupt: watch::Sender<bool>,
    interrupted: watch::Receiver<bool>,
}

impl Worker {
    async fn work(&self, job: Job) {
        match job {
            Job::Fire { fire, registered } => {
                let n = fire.n;
                if let Err(error) = self.fire(fire, &registered).await {
                    let reason = told(&error);
                    tracing::warn!(%reason, fire = n, "a run could not be started");
                    let journal = self.launch.journal();
                    if let Err(error) = registry::drop_fire(journal, n, true, &reason).await {
                        tracing::error!(%error, fire = n, "a failed start is not recorded");
                    }
                }
            }
            Job::Resume { run } => {
                let id = run.id.clone();
                if let Err(error) = self.resume(run).await {
                    let reason = told(&error);
                    tracing::warn!(run = id.as_str(), %reason, "a run cannot go on for now");
                    self.shared.rest(&id);
                }
            }
        }
    }

    async fn fire(&self, fire: Fire, registered: &Registered) -> Result<(), LaunchError> {
        let Registered { bundle, workflow } = registered;
        let ready = self.launch.ready(&bundle.manifest, &workflow.inputs, &fire.actor).await?;
        self.launch.hold_to_endpoints(&ready, false).await?;
        let clock = self.launch.journal().clock();
        let world = self.launch.world().clone();
        let run = NewRun {
            fire: Some(fire.n),
            ..start::new_run(clock.as_ref(), world, &fire.actor, false)
        };
        let lease = self.launch.begin(workflow, &run).await?;
        // From here on the fire is a run, and what goes wrong is the run's.
        let driven = self.drive(&run.id, &workflow.name, |teller| {
            self.launch.drive(&ready, workflow, (&run, &lease), teller, self.interrupted.clone())
        });
        driven.await;
        Ok(())
    }

    async fn resume(&self, run: Run) -> Result<(), LaunchError> {
        let journal = self.launch.journal();
        let recorded = match start::recorded(journal, &run, &specs()).await {
            Ok(recorded) => recorded,
            Err(start::RecordedError::Journal(error)) => return Err(error.into()),
            Err(error @ start::RecordedError::Version { .. }) => {
                return Err(LaunchError::NotUnderstood(error.to_string()));
            }
        };
        let Recorded { manifest, workflow, run } = &recorded;
        let ready = self.launch.ready(manifest, &workflow.inputs, super::scheduler::ACTOR).await?;
        self.launch.hold_to_endpoints(&ready, run.dry_run).await?;
        let lease = self.launch.resume(&run.id, super::scheduler::ACTOR).await?;
        let driven = self.drive(&run.id, &workflow.name, |teller| {
            self.launch.drive(&ready, workflow, (run, &lease), teller, self.interrupted.clone())
        });
        driven.await;
        Ok(())
    }

    /// Drives a run, tells how it goes, and lets others interrupt it.
    async fn drive<'a, F>(
        &'a self,
        run: &RunId,
        workflow: &str,
        drive: impl FnOnce(Arc<Teller>) -> F,
    ) where
        F: Future<Output = Result<Report, LaunchError>> + 'a,
    {
        let teller = Arc::new(Teller {
            run: run.clone(),
            workflow: workflow.to_owned(),
            clock: Arc::clone(self.launch.journal().clock()),
            events: self.shared.events.clone(),
        });
        let status = |status: &str| teller.tell(What::Status { status: status.to_owned() });
        let _driven = self.shared.drives(run, workflow, self.interrupt.clone());
        status(RunStatus::Running.as_str());
        let span = tracing::info_span!("run", run = run.as_str(), %workflow);
        match drive(Arc::clone(&teller)).instrument(span).await {
            Ok(report) => {
                tracing::info!(run = run.as_str(), %workflow, status = %report.status, "run ended");
                status(report.status.as_str());
            }
            Err(error) => {
                let reason = told(&error);
                tracing::error!(run = run.as_str(), %workflow, %reason, "the run is not driven on");
                status("lost");
            }
        }
    }
}

/// What went wrong, on one line, with every variable or vendor that it is about.
fn told(error: &LaunchError) -> String {
    let details: Vec<String> = match error {
        LaunchError::Missing(errors) => errors.iter().map(ToString::to_string).collect(),
        LaunchError::Refused(errors) => errors.iter().map(ToString::to_string).collect(),
        LaunchError::Run(RunError::Engine(EngineError::Held { .. }))
        | LaunchError::Stopped(_)
        | LaunchError::OtherVendors { .. }
        | LaunchError::Scenario(_)
        | LaunchError::ScenarioTaken { .. }
        | LaunchError::Simulators(_)
        | LaunchError::NotUnderstood(_)
        | LaunchError::Run(_) => Vec::new(),
    };
    match details.is_empty() {
        true => error.to_string(),
        false => format!("{error}: {}", details.join("; ")),
    }
}
