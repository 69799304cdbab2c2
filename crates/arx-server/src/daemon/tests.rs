//! What the daemon does with what is due, on a clock that a test sets. Whole runs are tested with
//! the real program.

use std::sync::Arc;

use arx_engine::registry;
use arx_journal::{Clock as _, Fire, FireState, Journal, NewRun, Packed, Process, StateDir, World};
use arx_testkit::SimClock;
use arx_types::{RunId, RunStatus};
use arx_workflow::bundle::{Bundle, parse};
use arx_workflow::host::{HostOptions, Limits};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::{Daemon, Handle, Options};
use crate::launch::{Launch, Place, specs};

/// A state directory whose daemon is stopped and started again; its vendors are not configured, so
/// that a run which would start fails to.
struct Site {
    state: TempDir,
    clock: Arc<SimClock>,
    world: World,
}

const START: &str = "2026-03-28T12:00:30Z";

impl Site {
    fn new() -> Self {
        Self::of(World::live())
    }

    fn of(world: World) -> Self {
        let clock = Arc::new(SimClock::at(START.parse().unwrap()));
        Self { state: TempDir::new().unwrap(), clock, world }
    }

    fn state(&self) -> StateDir {
        StateDir::open(self.state.path()).unwrap()
    }

    fn journal(&self) -> Journal {
        Journal::open(&self.state(), self.clock.clone()).unwrap()
    }

    async fn daemon(&self) -> Daemon {
        let journal = self.journal();
        let process = Arc::new(Process::register(&self.state()).unwrap());
        let place = Place {
            journal: journal.clone(),
            process: Arc::clone(&process),
            state_dir: self.state.path().to_owned(),
            host: HostOptions {
                program: "/nonexistent".into(),
                args: Vec::new(),
                limits: Limits::default(),
            },
        };
        let launch = Launch::open(place, self.world.clone()).await.unwrap();
        let handle = Handle::new(journal, process, launch.budgets().clone());
        Daemon::new(&handle, launch, Options::default())
    }

    async fn register(&self, schedule: &str) {
        let yaml = format!(
            "apiVersion: arx/v1\nkind: Workflow\nmetadata: {{ name: demo }}\n\
             schedule: {{ {schedule} }}\n\
             connectors: {{ jira: {{ operations: ['issues:read'] }} }}\npolicy: {{}}\n"
        );
        let operations: Vec<_> = specs().iter().map(|spec| (spec.name, spec.operations)).collect();
        let manifest = parse("arx.yaml", &yaml, &operations).unwrap();
        let bundle = Bundle::new(manifest, yaml, "async def main():\n    pass\n".to_owned());
        let journal = self.journal();
        let review = registry::review(&journal, bundle, &specs()).await.unwrap();
        registry::register(&journal, &review, "alice").await.unwrap();
    }

    /// A run of the workflow that has not ended.
    async fn unfinished(&self, status: RunStatus) {
        let journal = self.journal();
        let registration = journal.read(|reader| reader.registration("demo")).await.unwrap();
        let run = NewRun {
            id: RunId::from_parts(1, 7),
            workflow: "demo".to_owned(),
            version: registration.unwrap().version,
            policy_version: String::new(),
            world: World::live(),
            actor: "alice".to_owned(),
            inputs: Packed::json(&json!({})).unwrap(),
            args: Packed::json(&json!({})).unwrap(),
        };
        journal
            .write(move |tx| {
                tx.start_run(&run)?;
                tx.set_run_status(&run.id, status)
            })
            .await
            .unwrap();
    }

    fn advance(&self, minutes: i64) {
        let by = SignedDuration::from_mins(minutes);
        self.clock.set(self.clock.now() + by);
    }

    /// Every fire, oldest first: when it was due, what became of it, and why.
    async fn fires(&self) -> Vec<String> {
        let (journal, world) = (self.journal(), self.world.clone());
        let fires = journal.read(move |reader| reader.fires("demo", &world, None, 100)).await;
        let mut fires: Vec<Fire> = fires.unwrap();
        fires.reverse();
        let told = |fire: &Fire| {
            let time = |at: Timestamp| at.strftime("%H:%M").to_string();
            let reason = fire.reason.clone().unwrap_or_default();
            let why = reason.split(':').next().unwrap_or_default().to_owned();
            let (last, state) = (time(fire.last_due_at), fire.state.as_str());
            format!("{last} x{} {state} {why}", fire.n_due).trim_end().to_owned()
        };
        fires.iter().map(told).collect()
    }
}

impl Daemon {
    /// Looks until nothing is left to do at this instant.
    async fn settle(&mut self) {
        self.look().await;
        while self.workers.n_busy() > 0 {
            self.workers.job_ended().await;
            self.look().await;
        }
    }
}

const UNCONFIGURED: &str = "failed not every vendor is configured";

#[tokio::test]
async fn what_is_due_is_fired_once_whatever_the_clock_does() {
    let site = Site::new();
    site.register("cron: '*/10 * * * *', catch_up: latest").await;
    let mut daemon = site.daemon().await;
    daemon.settle().await;
    assert_eq!(site.fires().await, [] as [&str; 0], "nothing was due since it is registered");
    site.advance(10);
    daemon.settle().await;
    let once = [format!("12:10 x1 {UNCONFIGURED}")];
    assert_eq!(site.fires().await, once);
    // The clock is set back an hour, the daemon restarts, time comes again.
    site.advance(-60);
    daemon.settle().await;
    drop(daemon);
    let mut daemon = site.daemon().await;
    for _ in 0..6 {
        site.advance(10);
        daemon.settle().await;
    }
    assert_eq!(site.fires().await, once);
    // Forward again: what lies between is made up for once, and told.
    site.advance(40);
    daemon.settle().await;
    let expected = [
        once[0].clone(),
        "12:40 x3 skipped missed; one run makes up for all that were".to_owned(),
        format!("12:50 x1 {UNCONFIGURED}"),
    ];
    assert_eq!(site.fires().await, expected);
}

#[tokio::test]
async fn a_daemon_that_was_away_catches_up_as_the_schedule_says() {
    for (catch_up, wanted) in [
        ("latest", vec!["14:00 x2 skipped missed; one run makes up for all that were", "LAST"]),
        ("none", vec!["15:00 x3 skipped missed, and nothing makes up for it"]),
        ("all", vec!["13:00 x1 FAIL", "14:00 x1 FAIL", "15:00 x1 FAIL"]),
    ] {
        let site = Site::new();
        site.register(&format!("cron: '0 * * * *', catch_up: {catch_up}")).await;
        site.advance(200);
        site.daemon().await.settle().await;
        let wanted: Vec<String> = wanted
            .iter()
            .map(|line| line.replace("LAST", "15:00 x1 FAIL").replace("FAIL", UNCONFIGURED))
            .collect();
        assert_eq!(site.fires().await, wanted);
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_fire_is_told() {
    let site = Site::new();
    site.register("cron: '*/10 * * * *'").await;
    let mut daemon = site.daemon().await;
    site.journal().write(|tx| tx.stop_workflow("demo", "bob", "storm")).await.unwrap();
    site.advance(10);
    daemon.settle().await;
    assert_eq!(site.fires().await, ["12:10 x1 skipped stopped by bob"]);
    site.journal().write(|tx| tx.lift_stop("demo", "bob")).await.unwrap();

    registry::pause(&site.journal(), "demo", "carol").await.unwrap();
    site.advance(20);
    daemon.settle().await;
    registry::resume(&site.journal(), "demo", "carol").await.unwrap();
    daemon.settle().await;
    assert_eq!(site.fires().await.len(), 1, "what was due in a pause is nobody's");

    site.unfinished(RunStatus::Parked).await;
    site.advance(10);
    daemon.settle().await;
    let last = site.fires().await.pop();
    assert_eq!(last.as_deref(), Some("12:40 x1 skipped an earlier run is unfinished"));

    registry::fire_now(&site.journal(), &World::live(), "demo", "dave").await.unwrap();
    daemon.settle().await;
    assert_eq!(site.fires().await.pop().as_deref(), Some("12:40 x1 waiting"), "a person waits");
    registry::unregister(&site.journal(), "demo", "erin").await.unwrap();
    daemon.settle().await;
    let last = site.fires().await.pop();
    assert_eq!(last.as_deref(), Some("12:40 x1 skipped the workflow is not registered any more"));
    let fires = site.journal().read(|reader| reader.fires("demo", &World::live(), None, 9)).await;
    assert!(fires.unwrap().iter().all(|fire| fire.state != FireState::Waiting));
}

#[tokio::test]
async fn a_schedule_that_queues_waits_for_the_earlier_run() {
    let site = Site::new();
    site.register("cron: '*/10 * * * *', overlap: queue").await;
    let mut daemon = site.daemon().await;
    site.unfinished(RunStatus::Parked).await;
    for _ in 0..2 {
        site.advance(10);
        daemon.settle().await;
    }
    assert_eq!(site.fires().await, ["12:10 x1 waiting", "12:20 x1 waiting"]);
    let ended = |tx: &mut arx_journal::Tx<'_>| {
        tx.set_run_status(&RunId::from_parts(1, 7), RunStatus::Cancelled)
    };
    site.journal().write(ended).await.unwrap();
    daemon.settle().await;
    let failed = |time: &str| format!("{time} x1 {UNCONFIGURED}");
    assert_eq!(site.fires().await, [failed("12:10"), failed("12:20")]);
}

#[tokio::test]
async fn a_new_version_takes_over_from_the_next_time_on() {
    let site = Site::new();
    site.register("cron: '0 13 * * *'").await;
    let mut daemon = site.daemon().await;
    daemon.settle().await;
    site.register("cron: '30 12 * * *'").await;
    site.advance(31);
    daemon.settle().await;
    assert_eq!(site.fires().await, [format!("12:30 x1 {UNCONFIGURED}")]);
    site.advance(60);
    daemon.settle().await;
    assert_eq!(site.fires().await.len(), 1, "the old schedule is gone");
}

/// While the vendors of a fire are asked for their credentials it still waits in the journal.
#[tokio::test]
async fn a_fire_that_is_being_started_is_not_in_its_own_way() {
    let site = Site::of(World::simulate("empty"));
    site.register("cron: '*/10 * * * *'").await;
    let mut daemon = site.daemon().await;
    site.advance(10);
    daemon.look().await;
    while daemon.workers.n_busy() > 0 {
        daemon.look().await;
        tokio::select! {
            () = daemon.workers.job_ended() => {}
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(site.fires().await, ["12:10 x1 started"]);
}

/// A yes that comes while the workflow must not act, or is busy, is not forgotten.
#[tokio::test]
async fn an_answer_is_kept_until_its_run_goes_on() {
    let site = Site::new();
    site.register("cron: '0 0 1 1 *'").await;
    let mut daemon = site.daemon().await;
    site.unfinished(RunStatus::Parked).await;
    let stop = |tx: &mut arx_journal::Tx<'_>| tx.stop_workflow("demo", "bob", "storm");
    site.journal().write(stop).await.unwrap();
    daemon.settle().await;
    assert!(daemon.workers.answered.is_empty(), "it was not resumed");
    site.journal().write(|tx| tx.lift_stop("demo", "bob")).await.unwrap();
    daemon.seen = None;
    daemon.look().await;
    assert_eq!(daemon.workers.n_busy(), 1, "it is resumed once it may");
    daemon.settle().await;
    // Its vendors are not configured, so that it rests; then it is tried again.
    site.advance(2);
    daemon.seen = None;
    daemon.look().await;
    assert_eq!(daemon.workers.n_busy(), 1, "a resume that failed is no answer used up");
    daemon.settle().await;
}
