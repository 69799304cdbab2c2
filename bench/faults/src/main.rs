//! Runs both workflows of the library under every fault that can be made, and prints one table:
//! what had to happen, what the vendors' ledgers say happened, and what the audit log says of it.
//!
//! `cargo xtask faults` builds it with the real command and runs it. What must happen is taken
//! from the scenario and what did from the simulators' ledgers; ARX's own journal is never asked
//! about either, so that an effect it forgot cannot hide.
//! Start at [`rows::rows`]; a case is played by [`inside`] (its own process) or [`outside`] (real
//! ones that are killed) and judged by [`judge`].
#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::print_stderr, reason = "it tells how it goes")]

mod company;
mod inside;
mod judge;
mod outside;
mod rows;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{StreamExt as _, stream};

use company::Flow;
use rows::{Case, Played, Row};
use table::{Cells, Line};

/// Cases played at once for each processor; most of a case is waiting.
const CASES_PER_CORE: usize = 4;
/// Longest that one case may take, whatever is wrong.
const CASE_MAX: Duration = Duration::from_secs(180);
/// How often progress is told of a row that takes long.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);
/// Failed cases that are told of each row.
const FAILURES_SHOWN_MAX: usize = 5;
/// The page that keeps the table.
const PAGE: &str = "docs/reliability.md";

const HELP: &str = "\
usage: cargo xtask faults [options]

  --seed N          where all chance comes from; 1 unless said
  --only TEXT       only rows whose name contains TEXT
  --workflow TEXT   only workflows whose name contains TEXT
  --kills N         so many seeds for each workflow in rows that kill at random instants
  --jobs N          so many cases at once
  --verbose         tell how every run of every case ended
  --write           put the table into docs/reliability.md
  --check           fail where docs/reliability.md has another table
";

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) kills: Option<u64>,
    only: Option<String>,
    workflow: Option<String>,
    jobs: Option<usize>,
    pub(crate) verbose: bool,
    write: bool,
    check: bool,
}

impl Options {
    /// What is typed to get the same table.
    fn command(&self) -> String {
        let mut command = format!("cargo xtask faults --seed {}", self.seed);
        for (name, value) in [("only", &self.only), ("workflow", &self.workflow)] {
            if let Some(value) = value {
                command.push_str(&format!(" --{name} '{value}'"));
            }
        }
        if let Some(kills) = self.kills {
            command.push_str(&format!(" --kills {kills}"));
        }
        command
    }
}

/// What every case needs.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) options: Options,
    /// The real command.
    pub(crate) arx: PathBuf,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(true), run)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Reads the arguments; none where help was asked for.
fn options() -> Result<Option<Options>> {
    let mut options = Options { seed: 1, ..Options::default() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("`{arg}` needs a value"));
        match arg.as_str() {
            "--seed" => options.seed = value()?.parse()?,
            "--kills" => options.kills = Some(value()?.parse()?),
            "--jobs" => options.jobs = Some(value()?.parse()?),
            "--only" => options.only = Some(value()?.to_lowercase()),
            "--workflow" => options.workflow = Some(value()?.to_lowercase()),
            "--verbose" => options.verbose = true,
            "--write" => options.write = true,
            "--check" => options.check = true,
            "--help" | "-h" => {
                println!("{HELP}");
                return Ok(None);
            }
            other => bail!("unknown option `{other}`\n\n{HELP}"),
        }
    }
    let is_whole = options.only.is_none() && options.workflow.is_none() && options.kills.is_none();
    if (options.write || options.check) && !is_whole {
        bail!("--write and --check are for the whole table, so without --only and --kills");
    }
    Ok(Some(options))
}

/// Plays everything; false where something is not as promised.
fn run(options: Options) -> Result<bool> {
    let setting = Arc::new(Setting { arx: arx_binary()?, options });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = setting.options.jobs.unwrap_or(cores * CASES_PER_CORE).max(1);
    let started = Instant::now();
    let mut lines = Vec::new();
    let mut failures = Vec::new();
    for row in rows::rows() {
        for flow in Flow::ALL {
            if !is_wanted(&setting.options, &row, flow) {
                continue;
            }
            let began = Instant::now();
            let line = runtime.block_on(play_row(&setting, &row, flow, jobs, &mut failures))?;
            eprintln!("{:>7.1} s  {} · {}", began.elapsed().as_secs_f64(), row.name, flow.name());
            lines.push(line);
        }
    }
    ensure!(!lines.is_empty(), "no row is called so");
    let section = table::render(&lines, &setting.options.command());
    println!("{section}");
    let cases: u64 = lines.iter().filter_map(|line| Some(line.cells.as_ref()?.cases)).sum();
    let effects: usize = lines.iter().filter_map(|line| Some(line.cells.as_ref()?.intended)).sum();
    println!(
        "{cases} cases, {effects} effects intended, {} failed, in {:.0} s",
        failures.len(),
        started.elapsed().as_secs_f64()
    );
    for failure in &failures {
        println!("FAILED {failure}");
    }
    if setting.options.write && failures.is_empty() {
        table::write(Path::new(PAGE), &section)?;
    }
    let holds = !setting.options.check || table::check(Path::new(PAGE), &section)?;
    Ok(failures.is_empty() && holds)
}

fn is_wanted(options: &Options, row: &Row, flow: Flow) -> bool {
    let has = |wanted: &Option<String>, name: &str| {
        wanted.as_ref().is_none_or(|text| name.to_lowercase().contains(text))
    };
    has(&options.only, row.name) && has(&options.workflow, flow.name())
}

/// Plays the cases of a row for one workflow and adds them up.
async fn play_row(
    setting: &Arc<Setting>,
    row: &Row,
    flow: Flow,
    jobs: usize,
    failures: &mut Vec<String>,
) -> Result<Line> {
    let name = row.name.to_owned();
    let cases = match (row.cases)(Arc::clone(setting), flow).await? {
        rows::Cases::Senseless(why) => {
            return Ok(Line { name, flow, cells: None, why: Some(why.to_owned()) });
        }
        rows::Cases::Of(cases) => cases,
    };
    let n_cases = cases.len();
    let mut cells = Cells { runs_max: row.runs_max, ..Cells::default() };
    let mut n_failed = 0;
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut played = stream::iter(cases).map(play_case).buffer_unordered(jobs);
    while let Some((case, result)) = played.next().await {
        let complaints = match result {
            Ok(played) => {
                cells.add(&played);
                let mut complaints = played.verdict.complaints;
                let left = played.verdict.left;
                if left != played.left_expected {
                    let expected = played.left_expected;
                    complaints.push(format!("left {left} effects for a human, not {expected}"));
                }
                if played.runs > row.runs_max {
                    complaints.push(format!("{} runs, not {}", played.runs, row.runs_max));
                }
                complaints
            }
            Err(error) => vec![format!("{error:#}")],
        };
        if !complaints.is_empty() {
            n_failed += 1;
            let text = format!("{name} · {} · {case}: {}", flow.name(), complaints.join("; "));
            eprintln!("FAILED {text}");
            if n_failed <= FAILURES_SHOWN_MAX {
                failures.push(text);
            }
        }
        if told.elapsed() > PROGRESS_EVERY {
            told = Instant::now();
            let rate = cells.cases as f64 / began.elapsed().as_secs_f64();
            eprintln!(
                "           {name} · {}: {} of {n_cases}, {rate:.1} a second, {n_failed} failed",
                flow.name(),
                cells.cases
            );
        }
    }
    Ok(Line { name, flow, cells: Some(cells), why: row.left_why(flow) })
}

async fn play_case(case: Case) -> (String, Result<Played>) {
    // Of its own task, so that a case that panics fails alone.
    let played = tokio::spawn(tokio::time::timeout(CASE_MAX, case.play));
    let result = match played.await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow::anyhow!("did not end within {CASE_MAX:?}")),
        Err(error) => Err(anyhow::anyhow!("the harness failed: {error}")),
    };
    (case.name, result)
}

/// The release binary beside this one.
fn arx_binary() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().unwrap_or(Path::new(".")).join("arx");
    ensure!(path.exists(), "{} is missing; run `cargo xtask faults`", path.display());
    Ok(path)
}
