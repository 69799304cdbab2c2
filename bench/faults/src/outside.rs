//! Cases with the real command: processes of their own that are killed and started again, against
//! simulators that live on in this one.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use arx_journal::{Journal, StateDir, SystemClock};
use arx_sim::{Options, Simulators, Vendor};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

use crate::Setting;
use crate::company::{Flow, intended};
use crate::judge::Remains;
use crate::rows::{Case, Cases, Played};

#[expect(clippy::disallowed_types, reason = "the real command is what is killed")]
type Command = tokio::process::Command;

/// Seeds of the rows as the page has them.
const KILLS: u64 = 24;
const KILLS_TWICE: u64 = 12;
const PAIRS: u64 = 8;
/// How often an operator starts the workflow again before giving it up.
const RUNS_MAX: u32 = 6;
/// Longest that a process may take that nobody kills.
const RUN_MAX: Duration = Duration::from_secs(60);
/// How often the harness looks how far a process is.
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Longest that a process lives on after the request at which it is to be killed.
const LINGER_US_MAX: u64 = 4_000;

/// Processes killed once each, at instants drawn from a seed.
pub(crate) fn killed(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    drawn(setting, flow, KILLS, 1)
}

/// The same, and the process that goes on is killed, too.
pub(crate) fn killed_twice(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    drawn(setting, flow, KILLS_TWICE, 2)
}

/// Two processes of one workflow in one state directory.
pub(crate) fn two_at_once(setting: Arc<Setting>, flow: Flow) -> BoxFuture<'static, Result<Cases>> {
    let cases = (0..PAIRS).map(|n| {
        let (setting, seed) = (Arc::clone(&setting), setting.options.seed.wrapping_add(n));
        let play = async move { pair(&setting, flow).await }.boxed();
        Case { name: format!("pair {seed}"), play }
    });
    let cases = Cases::Of(cases.collect());
    async move { Ok(cases) }.boxed()
}

fn drawn(
    setting: Arc<Setting>,
    flow: Flow,
    n_seeds: u64,
    n_kills: u32,
) -> BoxFuture<'static, Result<Cases>> {
    async move {
        let whole = Arc::new(Whole::measure(&setting, flow).await?);
        let row = if n_kills == 1 { "random" } else { "during resume" };
        let n_seeds = setting.options.kills.unwrap_or(n_seeds);
        let cases = (0..n_seeds).map(|n| {
            let seed = setting.options.seed.wrapping_add(n);
            let (setting, whole) = (Arc::clone(&setting), Arc::clone(&whole));
            let play = async move { kill(&setting, flow, seed, n_kills, &whole).await }.boxed();
            let name = format!(
                "seed {seed} (`cargo xtask faults --only '{row}' --workflow {} --seed {seed} \
                 --kills 1`)",
                flow.name()
            );
            Case { name, play }
        });
        Ok(Cases::Of(cases.collect()))
    }
    .boxed()
}

/// How long a run is that nobody kills.
struct Whole {
    requests: u64,
    took: Duration,
}

impl Whole {
    async fn measure(setting: &Setting, flow: Flow) -> Result<Self> {
        let home = Home::new(setting, flow, 0).await?;
        let began = Instant::now();
        let ended = home.wait(home.start(&["run", &home.bundle()])?).await?;
        ensure!(ended.success(), "without any fault: {ended}: {}", home.said());
        Ok(Self { requests: home.requests(), took: began.elapsed() })
    }
}

/// When a process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the simulators saw so many requests of it.
    Request { n: u64, linger: Duration },
    /// So long after it was started.
    Time(Duration),
}

impl Moment {
    /// Half of the deaths are at requests, where the effects are, half anywhere.
    fn draw(rng: &mut StdRng, whole: &Whole) -> Self {
        if rng.random_bool(0.5) {
            let linger = Duration::from_micros(rng.random_range(0..LINGER_US_MAX));
            Self::Request { n: rng.random_range(1..=whole.requests), linger }
        } else {
            Self::Time(whole.took.mul_f64(rng.random_range(0.0..1.0)))
        }
    }
}

/// Kills a process, and the one after it where asked to; then lets the work be done.
async fn kill(
    setting: &Setting,
    flow: Flow,
    seed: u64,
    n_kills: u32,
    whole: &Whole,
) -> Result<Played> {
    let mut rng = StdRng::seed_from_u64(seed);
    let home = Home::new(setting, flow, seed).await?;
    for _ in 0..n_kills {
        let at = Moment::draw(&mut rng, whole);
        home.kill_at(at).await?;
    }
    let runs = home.finish(n_kills).await?;
    home.played(runs).await
}

/// Starts two processes at once and lets both end; then lets the work be done.
async fn pair(setting: &Setting, flow: Flow) -> Result<Played> {
    let home = Home::new(setting, flow, 0).await?;
    let bundle = home.bundle();
    let (one, other) = (home.start(&["run", &bundle])?, home.start(&["run", &bundle])?);
    let (one, other) = tokio::join!(home.wait(one), home.wait(other));
    ensure!(one?.success() || other?.success(), "neither did its work: {}", home.said());
    let runs = home.finish(2).await?;
    home.played(runs).await
}

/// A directory that holds everything a process sees, and the vendors.
struct Home {
    flow: Flow,
    arx: PathBuf,
    directory: TempDir,
    simulators: Simulators,
}

impl Home {
    async fn new(setting: &Setting, flow: Flow, seed: u64) -> Result<Self> {
        let directory = TempDir::new()?;
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700))?;
        let options = Options { scenario: flow.small().parse()?, seed, ..Options::default() };
        let simulators = arx_sim::start(options).await?;
        let home = Self { flow, arx: setting.arx.clone(), directory, simulators };
        let bundle = home.directory.path().join("bundle");
        std::fs::create_dir(&bundle)?;
        std::fs::write(bundle.join("arx.yaml"), flow.library().hasty_manifest())?;
        std::fs::write(bundle.join("workflow.py"), flow.library().source)?;
        Ok(home)
    }

    fn bundle(&self) -> String {
        self.directory.path().join("bundle").display().to_string()
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Requests that the vendors have seen.
    fn requests(&self) -> u64 {
        let control = self.simulators.control();
        Vendor::ALL.into_iter().map(|vendor| control.requests(vendor)).sum()
    }

    /// Starts a process that sees this home and no other variable.
    fn start(&self, args: &[&str]) -> Result<tokio::process::Child> {
        let said = std::fs::OpenOptions::new();
        let said =
            said.clone().create(true).append(true).open(self.directory.path().join("said"))?;
        Command::new(&self.arx)
            .args(args)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("ARX_HOME", self.state())
            .env("USER", "faults")
            .envs(self.simulators.environment())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the command")
    }

    /// What the processes said so far.
    fn said(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("said")).unwrap_or_default()
    }

    async fn wait(&self, mut child: tokio::process::Child) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(RUN_MAX, child.wait()).await;
        Ok(ended.with_context(|| format!("a process did not end in time: {}", self.said()))??)
    }

    /// Starts a process and kills it with SIGKILL, unless it ends before.
    async fn kill_at(&self, at: Moment) -> Result<()> {
        let (seen, began) = (self.requests(), Instant::now());
        let mut child = self.start(&["run", &self.bundle()])?;
        let due = |instant: Moment| match instant {
            Moment::Request { n, .. } => self.requests() - seen >= n,
            Moment::Time(after) => began.elapsed() >= after,
        };
        while !due(at) && child.try_wait()?.is_none() {
            ensure!(began.elapsed() < RUN_MAX, "a process did not end in time: {}", self.said());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if let Moment::Request { linger, .. } = at {
            tokio::time::sleep(linger).await;
        }
        child.start_kill()?;
        child.wait().await?;
        Ok(())
    }

    /// Starts the workflow until it has nothing left to do, as an operator would.
    async fn finish(&self, n_before: u32) -> Result<u32> {
        for runs in n_before + 1..=RUNS_MAX {
            let ended = self.wait(self.start(&["run", &self.bundle()])?).await?;
            match ended.code() {
                Some(0 | 4) => return Ok(runs),
                Some(1) => {}
                _ => bail!("ended with {ended}: {}", self.said()),
            }
        }
        bail!("not done after {RUNS_MAX} runs: {}", self.said())
    }

    /// Holds what is left behind against what had to happen.
    async fn played(&self, runs: u32) -> Result<Played> {
        let verified = self.wait(self.start(&["audit", "verify"])?).await?;
        let intended = intended(self.flow, self.flow.small(), &self.simulators)?;
        let journal = Journal::open(&StateDir::open(&self.state())?, Arc::new(SystemClock))?;
        let ledger = self.simulators.ledger();
        let remains = Remains::read(self.flow, intended, ledger, &journal, true).await?;
        let mut verdict = remains.judge();
        if !verified.success() {
            verdict.verifies = false;
            verdict.complaints.push(format!("`arx audit verify`: {verified}: {}", self.said()));
        }
        Ok(Played { verdict, runs, left_expected: 0 })
    }
}
