//! Starts what is due and goes on with what can go on, a bounded number at a time.
//!
//! INVARIANT (one run of a workflow): this process drives one run of a workflow at a time, and the
//! lease in the journal holds for all processes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arx_engine::registry::{self, Registered};
use arx_engine::start::{self, Recorded};
use arx_engine::{EngineError, NewRun, Report, RunError};
use arx_journal::{Fire, FireCause, FireState, JournalError, Run};
use arx_types::{RunId, RunStatus};
use arx_workflow::bundle::Overlap;
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
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

/// A workflow that a worker is busy with.
struct Busy {
    task: task::Id,
    interrupt: watch::Sender<bool>,
    /// The fire that is being started.
    fire: Option<u64>,
}

/// How a job ended.
struct Ended {
    workflow: String,
    /// A run that could not go on, and may be tried again.
    failed: Option<RunId>,
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
    jobs: JoinSet<Ended>,
    busy: HashMap<String, Busy>,
    queue: VecDeque<Fire>,
    /// Runs that can go on, with the answers to them so far.
    resumable: VecDeque<(Run, u64)>,
    /// The answers that each waiting run was resumed for, so that it is not resumed for the same
    /// ones again.
    pub(super) answered: HashMap<RunId, u64>,
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
            Some(Ok(Ended { workflow, failed })) => {
                self.busy.remove(&workflow);
                if let Some(run) = failed {
                    self.answered.remove(&run);
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a worker failed");
                self.busy.retain(|_, busy| busy.task != error.id());
            }
        }
    }

    /// Interrupts every job, or those of one workflow; each ends when it can be resumed.
    pub(super) fn interrupt(&self, workflow: Option<&str>) {
        for (name, busy) in &self.busy {
            if workflow.is_none_or(|workflow| workflow == name) {
                // A job that just ended has nobody to tell.
                let _ = busy.interrupt.send(true);
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
        let ids: BTreeSet<&RunId> = found.iter().map(|(run, _)| &run.id).collect();
        self.answered.retain(|run, _| ids.contains(run));
        let is_new = |(run, answers): &(Run, u64)| {
            let waited = matches!(run.status, RunStatus::Parked | RunStatus::NeedsAttention);
            !waited || self.answered.get(&run.id) != Some(answers)
        };
        self.resumable = found.into_iter().filter(is_new).collect();
        Ok(())
    }

    /// Takes the fires that wait now in the place of those that waited before.
    pub(super) fn wait_for(&mut self, fires: Vec<Fire>) {
        let is_under_way = |fire: &Fire| self.busy.values().any(|busy| busy.fire == Some(fire.n));
        self.queue = fires.into_iter().filter(|fire| !is_under_way(fire)).collect();
    }

    /// How many fires are looked at.
    pub(super) const fn queue_max() -> usize {
        QUEUE_MAX
    }

    /// Starts what can be started, as far as there are workers.
    pub(super) async fn start(&mut self, scheduler: &Scheduler) -> Result<(), JournalError> {
        let mut held = VecDeque::new();
        while self.busy.len() < self.max {
            let Some((run, answers)) = self.resumable.pop_front() else { break };
            if !self.shared.may_resume(&run.id) || start::is_dry(&run) {
                continue;
            }
            if self.busy.contains_key(&run.workflow) {
                held.push_back((run, answers));
                continue;
            }
            if self.is_driven_elsewhere(&run) || self.is_stopped(&run.workflow).await? {
                continue;
            }
            self.answered.insert(run.id.clone(), answers);
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
            let still = reader.fire(fire.n)?.is_some_and(|fire| fire.state == FireState::Waiting);
            let stop = reader.active_stop(&name)?;
            let unfinished = reader.unfinished_run(&name, &world)?;
            Ok::<_, JournalError>((still, stop, unfinished, reader.n_waiting(&name, &world)?))
        });
        let (still_waits, stop, unfinished, n_waiting) = read.await?;
        if !still_waits {
            return Ok(None);
        }
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
        if let (Some((_, by)), false) =
            (&entry.registration.paused, fire.cause == FireCause::Person)
        {
            return drop_it(false, format!("the schedule is paused by {by}")).await;
        }
        let Some(registered) = entry.registered.clone() else {
            let reason = "this program does not understand the registered version";
            return drop_it(true, reason.to_owned()).await;
        };
        let earlier = unfinished.filter(|run| run.status != RunStatus::NeedsAttention);
        let is_busy = self.busy.contains_key(&fire.workflow);
        // What a person or a crash interrupted at a terminal is finished first.
        let resumable = earlier.as_ref().filter(|run| {
            matches!(run.status, RunStatus::Interrupted | RunStatus::Running)
                && !is_busy
                && !start::is_dry(run)
                && !self.is_driven_elsewhere(run)
                && self.shared.may_resume(&run.id)
        });
        if let Some(run) = resumable.cloned() {
            self.spawn(Job::Resume { run });
            return Ok(Some(fire));
        }
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
        let fire = match &job {
            Job::Fire { fire, .. } => Some(fire.n),
            Job::Resume { .. } => None,
        };
        let worker = Worker {
            shared: Arc::clone(&self.shared),
            launch: Arc::clone(&self.launch),
            interrupt: interrupt.clone(),
            interrupted,
        };
        let of = workflow.clone();
        let task = self.jobs.spawn(async move {
            let failed = worker.work(job).await;
            Ended { workflow: of, failed }
        });
        self.busy.insert(workflow, Busy { task: task.id(), interrupt, fire });
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
    /// Does a job; gives a run that could not go on.
    async fn work(&self, job: Job) -> Option<RunId> {
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
                None
            }
            Job::Resume { run } => {
                let id = run.id.clone();
                let Err(error) = self.resume(run).await else { return None };
                let reason = told(&error);
                tracing::warn!(run = id.as_str(), %reason, "a run cannot go on for now");
                self.shared.rest(&id);
                Some(id)
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
        let _driven = self.shared.drives(run, self.interrupt.clone());
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
                self.shared.rest(run);
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
