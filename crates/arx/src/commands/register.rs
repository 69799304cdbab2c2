//! `arx register`: a version of a workflow enters the record and the schedule, with what it changes.
//!
//! INVARIANT (nothing unsound is registered): whatever `arx check` calls wrong is refused. It must
//! never start a run, and never pretend that something will.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use arx_engine::registry::{self, Change, RegistryError, Review};
use arx_server::launch::LaunchError;
use jiff::Zoned;
use serde_json::json;

use super::check;
use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::launch::{of_launch, specs};
use crate::output::{Paint, printable};

/// Fire times that are shown.
const TIMES_SHOWN: usize = 5;

/// What is said where nobody can say what changes.
const INCOMPARABLE: &str = "this program does not understand the version that is registered";

/// What may be typed after `arx register`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx register --config arx.yaml\n  \
    arx register --config critical-vuln-escalation --yes --json\n\n\
    Registering again shows what changed, calls out what became wider (more operations, higher\n\
    limits, fewer people asked), and asks before it takes effect. Where nobody can be asked,\n\
    --yes says so beforehand. `arx serve` runs what is registered.")]
pub(crate) struct Args {
    /// The arx.yaml, its directory, or a workflow of the library.
    #[arg(long, value_name = "FILE")]
    config: String,
    /// Register changes without asking.
    #[arg(long)]
    yes: bool,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let found = bundles::find(&args.config)?;
    let checked = check::reviewed(ctx, &found).await?;
    check::refuse_errors(&checked)?;
    let schedule = found.bundle.manifest.schedule.as_ref();
    let next = match schedule {
        Some(schedule) => arx_engine::schedule::next(schedule, ctx.clock().now(), TIMES_SHOWN)
            .map_err(CommandError::config)?,
        None => Vec::new(),
    };
    let journal = ctx.journal()?;
    let review =
        registry::review(journal, found.bundle.clone(), &specs()).await.map_err(refused)?;
    let is_change = review.registered.is_some() && !review.is_registered();
    if is_change && !args.yes {
        confirm(ctx, &review)?;
    }
    registry::register(journal, &review, ctx.actor()).await.map_err(refused)?;
    tell(ctx, &review, &next);
    Ok(ExitCode::SUCCESS)
}

/// Shows what changes, and asks whether it shall.
fn confirm(ctx: &Context, review: &Review) -> Result<(), CommandError> {
    let name = &review.bundle.manifest.metadata.name;
    let not = || CommandError::user(format!("`{name}` is as it was: nobody agreed to the changes"));
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !can_ask {
        let mut report = not().code("ARX-E045").hint("--yes agrees to them beforehand");
        if !review.is_comparable {
            report = report.detail(INCOMPARABLE.to_owned());
        }
        for change in &review.changes {
            let mark = if change.wider { "  WIDER" } else { "" };
            report = report.detail(format!("{}{mark}", sentence(change)));
        }
        return Err(report);
    }
    let paint = ctx.output().paint();
    let text = match review.is_comparable {
        true => differences(&review.changes, paint),
        false => format!("  {INCOMPARABLE}\n"),
    };
    ctx.output().note(&format!("{name} is registered in another version\n{}", text.trim_end()));
    // Nothing can be asked of someone whose terminal is gone.
    let asked = write!(std::io::stderr(), "Register these changes? [y/N] ");
    let mut answer = String::new();
    let heard = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    match heard {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(not().code("ARX-E045")),
    }
}

/// Why a registration cannot be changed.
pub(super) fn refused(error: RegistryError) -> CommandError {
    match error {
        RegistryError::Journal(error) => error.into(),
        error @ RegistryError::Policy { .. } => CommandError::config(error.to_string()),
        error @ RegistryError::NotRegistered { .. } => CommandError::missing(error.to_string())
            .hint("`arx workflows list` shows what is registered"),
        RegistryError::Stopped { stop } => of_launch(LaunchError::Stopped(stop)),
        error @ RegistryError::Outdated { .. } => {
            CommandError::user(error.to_string()).code("ARX-E045").hint("look at it again")
        }
    }
}

fn tell(ctx: &Context, review: &Review, next: &[Zoned]) {
    let manifest = &review.bundle.manifest;
    let previous = review.registered.as_ref().map(|registered| registered.version);
    let is_new = !review.is_registered();
    if ctx.is_json() {
        let times: Vec<String> = next.iter().map(|time| time.timestamp().to_string()).collect();
        ctx.output().document(&json!({
            "workflow": manifest.metadata.name,
            "version": review.bundle.version,
            "policy_version": review.policy.version(),
            "registered": is_new,
            "previous": previous,
            "changes": review.changes,
            "wider": review.n_wider() > 0,
            "schedule": manifest.schedule,
            "next": times,
            "runs_by_itself": manifest.schedule.is_some(),
        }));
        return;
    }
    let paint = ctx.output().paint();
    let name = paint.bold(&manifest.metadata.name);
    let version = review.bundle.version.short();
    let mut text = match is_new {
        true => format!("{name} {}, version {version}\n", paint.green("registered")),
        false => format!("{name} is registered already in this version, {version}\n"),
    };
    text.push_str(&format!("  policy     {}\n", review.policy.version().short()));
    if let Some(previous) = previous.filter(|_| is_new) {
        text.push_str(&format!("  before     {}\n", previous.short()));
        text.push_str(&differences(&review.changes, paint));
    }
    let Some(schedule) = &manifest.schedule else {
        text.push_str("  schedule   none: it runs when a person asks\n");
        ctx.output().data(&text);
        return;
    };
    text.push_str(&format!("  schedule   {} {}\n", schedule.cron, schedule.timezone));
    for (n, time) in next.iter().enumerate() {
        let label = if n == 0 { "next" } else { "" };
        text.push_str(&format!("  {label:<9}  {}\n", time.strftime("%a %Y-%m-%d %H:%M %Z")));
    }
    text.push_str("\nIt runs by itself while `arx serve` does.\n");
    ctx.output().data(&text);
}

fn differences(changes: &[Change], paint: Paint) -> String {
    if changes.is_empty() {
        return "  changes    none that matter to permissions, limits or schedule\n".to_owned();
    }
    let mut text = String::new();
    for (n, change) in changes.iter().enumerate() {
        let label = if n == 0 { "changes" } else { "" };
        let mark = if change.wider { format!("  {}", paint.red("WIDER")) } else { String::new() };
        text.push_str(&format!("  {label:<9}  {}{mark}\n", sentence(change)));
    }
    text
}

fn sentence(change: &Change) -> String {
    let Change { what, name, was, now, .. } = change;
    format!("{what} {}: {} -> {}", printable(name), printable(was), printable(now))
}
