//! `arx run`: one run now; what an earlier process left unfinished goes first.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use arx_engine::start::{self, Recorded};
use arx_engine::{NewRun, Observer, Report, Workflow};
use arx_journal::{Lease, World};
use arx_server::launch::{Launch, Ready};
use arx_types::RunStatus;
use arx_workflow::bundle::{Bundle, Manifest};

use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::launch::{self, exit_code, of_launch, specs};
use crate::progress::Progress;
use crate::summary;

/// What a person is told who asks a run to stop.
pub(crate) const STOPPING: &str = "stopping; the run can be resumed (again to stop at once)";

/// What may be typed after `arx run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx run critical-vuln-escalation --simulate\n  \
    arx run ./my-workflow --set severities=CRITICAL,HIGH --dry-run\n  \
    arx run workflow.py --json > report.json\n\n\
    Exit codes: 0 succeeded, 1 failed items or run, 2 bad usage or configuration,\n\
    3 parked for approval, 4 needs attention, 130 interrupted.")]
pub(crate) struct Args {
    /// A workflow file, the directory of one, or a workflow of the library.
    #[arg(value_name = "WORKFLOW")]
    workflow: String,
    /// Run against embedded simulators that play a scenario: `default`, `awkward`, `empty`, or
    /// `generated:seed=N,findings=N,…`.
    #[arg(
        long,
        value_name = "SCENARIO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default"
    )]
    simulate: Option<String>,
    /// Decide and record every call, and send no write.
    #[arg(long)]
    dry_run: bool,
    /// Override an input of arx.yaml; a key reaches into maps with dots.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

/// `key=value` of `--set`.
pub(crate) fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write `key=value`, e.g. `storm_threshold=10`".to_owned()),
    }
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let interrupt = Interrupt::listen(ctx.output(), STOPPING)?;
    let world = launch::world(args.simulate.as_deref())?;
    let (manifest, workflow) = interrupt.unless(prepare(ctx, &args)).await?;
    let launch = open(ctx, world, &workflow.name).await?;
    let ready = interrupt.unless(ready(ctx, &launch, &manifest, &workflow)).await?;
    launch.hold_to_endpoints(&ready, args.dry_run).await.map_err(of_launch)?;
    for warning in &ready.warnings {
        ctx.output().warn(warning);
    }

    let unfinished =
        start::unfinished(launch.journal(), &workflow.name, launch.world(), args.dry_run).await?;
    for run in unfinished {
        let is_same = start::is_same(&run, &workflow);
        let recorded = start::recorded(launch.journal(), &run, &specs())
            .await
            .map_err(|error| of_recorded(error, run.id.as_str()))?;
        ctx.output().note(&if is_same {
            format!("resuming {}, which was {}", run.id, run.status)
        } else {
            format!("finishing {} first, which began with another version or inputs", run.id)
        });
        let ready_for_it = if is_same {
            None
        } else {
            let Recorded { manifest, workflow, .. } = &recorded;
            let ready = interrupt.unless(self::ready(ctx, &launch, manifest, workflow)).await;
            let hint = format!("or give that run up with `arx runs cancel {}`", run.id);
            Some(ready.map_err(|error| error.hint(hint))?)
        };
        let lease = launch.resume(&run.id, ctx.actor()).await.map_err(of_launch)?;
        let ready = ready_for_it.as_ref().unwrap_or(&ready);
        let owned = (&recorded.run, &lease);
        let report = drive(ctx, &launch, ready, &recorded.workflow, owned, &interrupt).await?;
        let goes_on = match report.status {
            RunStatus::Succeeded | RunStatus::Failed | RunStatus::NeedsAttention => !is_same,
            RunStatus::Parked
            | RunStatus::Interrupted
            | RunStatus::Running
            | RunStatus::Cancelled => false,
        };
        if !goes_on {
            return Ok(finish(ctx, &report));
        }
        ctx.output().note(&format!("{} {}", report.run_id, report.status));
    }

    let new =
        start::new_run(ctx.clock().as_ref(), launch.world().clone(), ctx.actor(), args.dry_run);
    let lease = launch.begin(&workflow, &new).await.map_err(of_launch)?;
    let report = drive(ctx, &launch, &ready, &workflow, (&new, &lease), &interrupt).await?;
    Ok(finish(ctx, &report))
}

/// Opens a world for a workflow that nobody stopped and no other process drives.
pub(super) async fn open(
    ctx: &Context,
    world: World,
    workflow: &str,
) -> Result<Launch, CommandError> {
    let place = launch::place(ctx)?;
    Launch::may_begin(&place, &world, workflow).await.map_err(of_launch)?;
    Launch::open(place, world).await.map_err(of_launch)
}

/// The gate of a workflow, with every credential tried.
pub(super) async fn ready(
    ctx: &Context,
    launch: &Launch,
    manifest: &Manifest,
    workflow: &Workflow,
) -> Result<Ready, CommandError> {
    launch.ready(manifest, &workflow.inputs, ctx.actor()).await.map_err(of_launch)
}

/// Drives a run and shows how it goes.
pub(super) async fn drive(
    ctx: &Context,
    launch: &Launch,
    ready: &Ready,
    workflow: &Workflow,
    owned: (&NewRun, &Lease),
    interrupt: &Interrupt,
) -> Result<Report, CommandError> {
    let progress = Arc::new(Progress::new(
        ctx.output(),
        tracing::enabled!(tracing::Level::DEBUG),
        std::io::stderr().is_terminal(),
    ));
    let observer = Arc::clone(&progress) as Arc<dyn Observer>;
    let report = launch.drive(ready, workflow, owned, observer, interrupt.watch()).await;
    progress.clear();
    report.map_err(of_launch)
}

/// Finds, parses, overrides and checks the bundle.
async fn prepare(ctx: &Context, args: &Args) -> Result<(Manifest, Workflow), CommandError> {
    let found = bundles::find(&args.workflow)?;
    let manifest =
        found.bundle.manifest.with_overrides(&args.set).map_err(CommandError::diagnostics)?;
    let found =
        bundles::Found { bundle: Bundle { manifest: manifest.clone(), ..found.bundle }, ..found };
    bundles::check(&found, &ctx.clock().now().to_string()).await?;
    let workflow = Workflow::new(&found.bundle, &specs()).map_err(|errors| {
        let mut report = CommandError::config("the policy does not compile");
        for error in errors {
            report = report.detail(error.to_string());
        }
        report
    })?;
    Ok((manifest, Workflow { file: found.workflow_file, ..workflow }))
}

/// Why a recorded run cannot go on.
pub(crate) fn of_recorded(error: start::RecordedError, run: &str) -> CommandError {
    match error {
        start::RecordedError::Journal(error) => error.into(),
        error @ start::RecordedError::Version { .. } => CommandError::config(error.to_string())
            .hint(format!("give it up with `arx runs cancel {run}`")),
    }
}

/// Prints a report, and gives the exit code.
pub(crate) fn finish(ctx: &Context, report: &Report) -> ExitCode {
    if ctx.is_json() {
        ctx.output().document(report);
    } else {
        ctx.output().data(&summary::of_run(report, ctx));
    }
    ExitCode::from(exit_code(report))
}
