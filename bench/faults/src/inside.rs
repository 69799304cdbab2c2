//! Cases in this process: simulators, journal and driver beside one another, the journal's clock
//! and its stop points in the harness's hand.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use arx_engine::{EngineError, RunError};
use arx_journal::JournalOptions;
use arx_sim::Options;
use arx_testkit::world::TestWorld;
use arx_types::RunStatus;
use arx_workflow::host::{HostOptions, Limits};
use futures_util::future::BoxFuture;

use crate::Setting;
use crate::company::{Flow, intended};
use crate::judge::Remains;
use crate::rows::Played;

/// How often an operator starts the workflow again before giving it up.
const RUNS_MAX: u32 = 6;
/// Longest that one run may take.
const RUN_MAX: Duration = Duration::from_secs(60);
/// How long what a stopped process left in this one may hold its run; a real one is gone at once.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How the real command is told to be the workflow's process.
const WORKFLOW_HOST: &str = "__workflow-host";

/// What happens beside the first run.
pub(crate) type Beside = Box<dyn for<'w> FnOnce(&'w TestWorld) -> BoxFuture<'w, ()> + Send + Sync>;
/// What happens between the first run and the next; gives what a human took over.
pub(crate) type Between = Box<dyn FnOnce(&TestWorld) -> Vec<String> + Send + Sync>;

/// How a case goes.
pub(crate) struct Script {
    pub(crate) flow: Flow,
    pub(crate) scenario: String,
    /// What goes wrong at the vendors during the first run.
    pub(crate) faults: String,
    pub(crate) seed: u64,
    /// How the first process opens the journal.
    pub(crate) first: JournalOptions,
    /// Whether that ends the first process before its run is over.
    pub(crate) stops: bool,
    pub(crate) prepare: Box<dyn FnOnce(&mut TestWorld) + Send + Sync>,
    pub(crate) beside: Option<Beside>,
    pub(crate) between: Between,
    /// Whether the journal keeps the vendors' time.
    pub(crate) one_clock: bool,
    /// Whether a run may end well and leave records alone that moved, for the next run to do.
    pub(crate) leaves_for_next: bool,
    pub(crate) left_expected: usize,
}

impl Script {
    /// A case in which nothing goes wrong.
    pub(crate) fn new(flow: Flow, setting: &Setting) -> Self {
        Self {
            flow,
            scenario: flow.small().to_owned(),
            faults: String::new(),
            seed: setting.options.seed,
            first: JournalOptions::default(),
            stops: false,
            prepare: Box::new(|_| ()),
            beside: None,
            between: Box::new(|_| Vec::new()),
            one_clock: true,
            leaves_for_next: false,
            left_expected: 0,
        }
    }

    /// The company, before anything happened.
    pub(crate) async fn world(&self, setting: &Setting) -> Result<TestWorld> {
        let options = Options {
            scenario: self.scenario.parse()?,
            faults: self.faults.parse()?,
            seed: self.seed,
            ..Options::default()
        };
        let mut world = TestWorld::with(self.flow.library(), options).await;
        world.settle_at_once();
        world.host = HostOptions {
            program: setting.arx.clone(),
            args: vec![WORKFLOW_HOST.into()],
            limits: Limits::default(),
        };
        Ok(world)
    }

    /// Plays the case: one run under the fault, and further ones without it until the work is
    /// done, as an operator would; then one more, which has nothing left to do.
    pub(crate) async fn play(mut self, setting: &Setting) -> Result<Played> {
        let mut world = self.world(setting).await?;
        let mut intended = intended(self.flow, &self.scenario, &world.simulators)?;
        std::mem::replace(&mut self.prepare, Box::new(|_| ()))(&mut world);

        let first = run(&world, self.first);
        let first = match self.beside {
            Some(beside) => tokio::join!(first, beside(&world)).0,
            None => first.await,
        };
        let mut ended = first;
        let control = world.simulators.control();
        if self.stops {
            ensure!(ended.is_err(), "the first process ended its run and was not stopped");
        }
        control.set_faults("".parse()?);
        world.variables.clear();
        let ledger = world.simulators.ledger();
        let taken_over = (self.between)(&world);
        let done: Vec<_> = ledger.iter().filter_map(|entry| entry.key.as_ref()?.as_str()).collect();
        intended.retain(|effect| {
            done.contains(&effect.of.as_str()) || !taken_over.contains(&effect.of)
        });

        let mut runs = 1;
        let tell = |runs: u32, ended: &Result<Ended, String>| {
            if setting.options.verbose {
                eprintln!("           run {runs} of {} {:?}: {ended:?}", self.faults, self.first);
            }
        };
        tell(runs, &ended);
        while !ended.as_ref().is_ok_and(is_over) {
            ensure!(runs < RUNS_MAX, "not done after {runs} runs: {ended:?}");
            runs += 1;
            ended = run(&world, JournalOptions::default()).await;
            tell(runs, &ended);
        }
        loop {
            let n_written = world.simulators.ledger().len();
            let again = run(&world, JournalOptions::default()).await;
            ensure!(again.is_ok(), "a further run could not be driven: {again:?}");
            let more = world.simulators.ledger_since(n_written);
            if more.is_empty() {
                break;
            }
            let more: Vec<&str> = more.iter().map(|entry| entry.title.as_str()).collect();
            ensure!(self.leaves_for_next, "a further run wrote: {more:?}");
            ensure!(runs < RUNS_MAX, "still writing after {runs} runs: {more:?}");
            runs += 1;
        }

        let journal = world.journal(JournalOptions::default())?;
        let ledger = world.simulators.ledger();
        let remains = Remains::read(self.flow, intended, ledger, &journal, self.one_clock).await?;
        Ok(Played { verdict: remains.judge(), runs, left_expected: self.left_expected })
    }
}

/// How a run ended.
#[derive(Debug)]
struct Ended {
    status: RunStatus,
    #[expect(dead_code, reason = "shown where a case fails")]
    why: String,
}

fn is_over(ended: &Ended) -> bool {
    match ended.status {
        RunStatus::Succeeded | RunStatus::NeedsAttention => true,
        RunStatus::Running
        | RunStatus::Failed
        | RunStatus::Parked
        | RunStatus::Interrupted
        | RunStatus::Cancelled => false,
    }
}

/// One process; an error where it could not record what it did, and ended.
async fn run(world: &TestWorld, options: JournalOptions) -> Result<Ended, String> {
    let began = Instant::now();
    let report = loop {
        let driven = tokio::time::timeout(RUN_MAX, world.process(options)).await;
        let driven = driven.map_err(|_| format!("a run did not end within {RUN_MAX:?}"))?;
        match driven {
            Err(RunError::Engine(EngineError::Held { .. })) if began.elapsed() < GONE_WITHIN => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error.to_string()),
            Ok(report) => break report,
        }
    };
    let failed = report.items.iter().filter(|item| item.get("error").is_some());
    let failed: Vec<String> = failed.map(ToString::to_string).collect();
    let why = format!("{:?} {:?} {failed:?}", report.error, report.needs_attention);
    Ok(Ended { status: report.status, why })
}

/// How many writes to the journal a run makes that nothing disturbs, and how many pages its
/// database has before and after it.
pub(crate) struct Measured {
    pub(crate) writes: u64,
    pub(crate) pages_before: u32,
    pub(crate) pages_after: u32,
}

/// Plays a whole run to see how long it is.
pub(crate) async fn measure(flow: Flow, setting: &Setting) -> Result<Measured> {
    let world = Script::new(flow, setting).world(setting).await?;
    drop(world.journal(JournalOptions::default())?);
    let pages_before = pages(&world)?;
    let (driver, workflow) = world.open(JournalOptions::default())?;
    let journal = driver.journal.clone();
    let began = journal.n_writes();
    let report = world.drive(driver, workflow).await?;
    ensure!(report.status == RunStatus::Succeeded, "without any fault: {report:?}");
    let writes = journal.n_writes() - began;
    drop(journal);
    Ok(Measured { writes, pages_before, pages_after: pages(&world)? })
}

/// The pages of the database, once nobody has it open.
fn pages(world: &TestWorld) -> Result<u32> {
    /// Where SQLite's header holds the size of a page.
    const PAGE_SIZE_AT: std::ops::Range<usize> = 16..18;
    let file = std::fs::read(world.journal(JournalOptions::default())?.path())?;
    let size = file.get(PAGE_SIZE_AT).and_then(|bytes| bytes.try_into().ok());
    let size = usize::from(u16::from_be_bytes(size.context("no database")?)).max(512);
    Ok(u32::try_from(file.len() / size)?)
}
