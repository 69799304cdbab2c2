//! `arx runs`: what ran and how it went; going on with a run, or giving it up.

mod provenance;
mod show;
mod ticket;

use std::process::ExitCode;

use arx_engine::start;
use arx_journal::{Run, RunFilter, World};
use arx_types::{RunId, RunStatus};
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::launch::{of_launch, specs};
use crate::output::printable;
use crate::summary;

/// Runs listed unless `--limit` says otherwise.
const LISTED: usize = 20;

/// What may be typed after `arx runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx runs list --status parked\n  \
    arx runs show run_01JABCDEFGHJKMNPQRSTVWXYZ0 --vulnerability CVE-2021-44228\n  \
    arx runs show run_01JABCDEFGHJKMNPQRSTVWXYZ0 --ticket INC0010023\n  \
    arx runs resume run_01JABCDEFGHJKMNPQRSTVWXYZ0\n  \
    arx runs cancel run_01JABCDEFGHJKMNPQRSTVWXYZ0")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List runs, the newest first.
    List {
        /// Of this workflow alone.
        #[arg(long, value_name = "NAME")]
        workflow: Option<String>,
        /// In this state alone.
        #[arg(long, value_name = "STATUS", value_parser = status)]
        status: Option<RunStatus>,
        /// In this world alone: `live`, or `simulate:SCENARIO`.
        #[arg(long, value_name = "WORLD")]
        world: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = LISTED)]
        limit: usize,
    },
    /// Show what a run did: its record, effects, approvals and items.
    Show {
        /// The run.
        #[arg(value_name = "RUN", value_parser = run_id)]
        run: RunId,
        /// Show where one vulnerability comes from and what was done about it.
        #[arg(long, value_name = "CVE")]
        vulnerability: Option<String>,
        /// Show what each system said of one ticket and what was done to it.
        #[arg(long, value_name = "NUMBER", conflicts_with = "vulnerability")]
        ticket: Option<String>,
        /// Show the whole record, however long it is.
        #[arg(long)]
        all: bool,
    },
    /// Go on with a run that was interrupted, is parked, or needed attention.
    Resume {
        /// The run.
        #[arg(value_name = "RUN", value_parser = run_id)]
        run: RunId,
    },
    /// Give a run up, with everything it still asks for. It never resumes.
    Cancel {
        /// The run.
        #[arg(value_name = "RUN", value_parser = run_id)]
        run: RunId,
    },
}

/// A run's identifier.
pub(crate) fn run_id(text: &str) -> Result<RunId, String> {
    text.parse().map_err(|error: arx_types::IdError| error.to_string())
}

fn status(text: &str) -> Result<RunStatus, String> {
    RunStatus::parse(text).ok_or_else(|| {
        "write `running`, `parked`, `succeeded`, `failed`, `needs_attention`, `interrupted` or \
         `cancelled`"
            .to_owned()
    })
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.command {
        Command::List { workflow, status, world, limit } => {
            list(ctx, workflow, status, world, limit).await
        }
        Command::Show { run, vulnerability: Some(name), .. } => {
            provenance::run(ctx, &run, &name).await
        }
        Command::Show { run, ticket: Some(number), .. } => ticket::run(ctx, &run, &number).await,
        Command::Show { run, all, .. } => show::run(ctx, &run, all).await,
        Command::Resume { run } => resume(ctx, &run).await,
        Command::Cancel { run } => cancel(ctx, &run).await,
    }
}

async fn list(
    ctx: &Context,
    workflow: Option<String>,
    status: Option<RunStatus>,
    world: Option<String>,
    limit: usize,
) -> Result<ExitCode, CommandError> {
    let world: Option<World> = world
        .map(|text| text.parse())
        .transpose()
        .map_err(|error: arx_journal::JournalError| CommandError::user(error.to_string()))?;
    let filter = RunFilter { workflow, world, status, before: None, limit: limit.max(1) };
    let (runs, reports) = ctx
        .journal()?
        .read(move |reader| {
            let runs = reader.runs(&filter)?;
            let mut reports = Vec::with_capacity(runs.len());
            for run in &runs {
                let report = reader.report(&run.id)?.map(|packed| packed.unpack::<Value>());
                reports.push(report.transpose()?.unwrap_or_default());
            }
            Ok::<_, arx_journal::JournalError>((runs, reports))
        })
        .await?;
    let output = ctx.output();
    if ctx.is_json() {
        let listed: Vec<Value> = runs
            .iter()
            .zip(&reports)
            .map(|(run, report)| {
                let mut fields = show::facts(run);
                if let (Value::Object(fields), Some(counts)) = (&mut fields, report.get("counts")) {
                    fields.insert("counts".to_owned(), counts.clone());
                }
                fields
            })
            .collect();
        output.document(&json!({ "runs": listed }));
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        output.data("no runs yet; try `arx run critical-vuln-escalation --simulate`");
        return Ok(ExitCode::SUCCESS);
    }
    let paint = output.paint();
    for (run, report) in runs.iter().zip(&reports) {
        let n = |name: &str| {
            report.pointer(&format!("/counts/{name}")).and_then(Value::as_u64).unwrap_or(0)
        };
        let counts = [("paged", n("paged")), ("ticketed", n("ticketed")), ("failed", n("failed"))];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(_, n)| *n > 0)
            .map(|(what, n)| format!("{n} {what}"))
            .collect();
        let padding = " ".repeat(15_usize.saturating_sub(run.status.as_str().len()));
        let word = summary::status(run.status, paint);
        let world = if run.world.scenario().is_some() { run.world.as_str() } else { "" };
        let dry = if start::is_dry(run) { "dry run" } else { "" };
        let notes = [counts.join(", "), dry.to_owned(), world.to_owned()];
        let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        output.data(&format!(
            "{}  {}  {word}{padding} {}  {}",
            run.id,
            show::time(run.started_at),
            printable(&run.workflow),
            paint.dim(&notes.join(" · ")),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// A recorded run.
async fn find(ctx: &Context, id: &RunId) -> Result<Run, CommandError> {
    let wanted = id.clone();
    let found = ctx.journal()?.read(move |reader| reader.run(&wanted)).await?;
    found.ok_or_else(|| {
        CommandError::missing(format!("there is no run `{id}`"))
            .hint("`arx runs list` shows the runs of this state directory")
    })
}

/// Refuses to touch a run that has ended.
fn refuse_ended(run: &Run) -> Result<(), CommandError> {
    if run.status.is_unfinished() {
        return Ok(());
    }
    Err(CommandError::denied(format!("`{}` is {} already", run.id, run.status)))
}

async fn resume(ctx: &Context, id: &RunId) -> Result<ExitCode, CommandError> {
    let interrupt = Interrupt::listen(ctx.output(), super::run::STOPPING)?;
    let run = find(ctx, id).await?;
    refuse_ended(&run)?;
    let launch = super::run::open(ctx, run.world.clone(), &run.workflow).await?;
    let recorded = start::recorded(launch.journal(), &run, &specs())
        .await
        .map_err(|error| super::run::of_recorded(error, id.as_str()))?;
    let start::Recorded { manifest, workflow, run } = &recorded;
    let ready = interrupt.unless(super::run::ready(ctx, &launch, manifest, workflow)).await?;
    launch.hold_to_endpoints(&ready, run.dry_run).await.map_err(of_launch)?;
    for warning in &ready.warnings {
        ctx.output().warn(warning);
    }
    let lease = launch.resume(id, ctx.actor()).await.map_err(of_launch)?;
    let report =
        super::run::drive(ctx, &launch, &ready, workflow, (run, &lease), &interrupt).await?;
    Ok(super::run::finish(ctx, &report))
}

async fn cancel(ctx: &Context, id: &RunId) -> Result<ExitCode, CommandError> {
    let run = find(ctx, id).await?;
    refuse_ended(&run)?;
    let withdrawn = start::cancel(ctx.journal()?, ctx.process()?, id, ctx.actor())
        .await
        .map_err(crate::launch::of_engine)?;
    let output = ctx.output();
    if ctx.is_json() {
        output.document(&json!({
            "run_id": id,
            "status": RunStatus::Cancelled.as_str(),
            "approvals_withdrawn": withdrawn,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{id} is cancelled and never resumes");
    if !withdrawn.is_empty() {
        text.push_str(&format!("; {} of its approvals are withdrawn", withdrawn.len()));
    }
    output.data(&text);
    Ok(ExitCode::SUCCESS)
}
