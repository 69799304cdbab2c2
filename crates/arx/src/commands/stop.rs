//! `arx stop`: a workflow acts no more, from the next call on.

use std::process::ExitCode;

use arx_engine::stops;
use serde_json::json;

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::printable;

/// What may be typed after `arx stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx stop critical-vuln-escalation --reason 'paging storm, INC-4211'\n  \
    arx start critical-vuln-escalation\n\n\
    New runs are refused, and the gate denies every further call of running ones. What a vendor\n\
    has already accepted stands. `arx start` lifts the stop.")]
pub(crate) struct Args {
    /// The workflow's name.
    workflow: String,
    /// Why; it stands in the record and in every denial.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let reason = match &args.reason {
        Some(text) => lookup::reason(text)?,
        None => "no reason given".to_owned(),
    };
    let journal = ctx.journal()?;
    let name = lookup::workflow(journal, &args.workflow).await?;
    let stopped = stops::stop(journal, &name, ctx.actor(), &reason).await?;
    let (stop, changed) = (stopped.stop, stopped.changed);
    let under_way: Vec<String> = stopped.under_way.iter().map(ToString::to_string).collect();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "workflow": name,
            "stopped": true,
            "changed": changed,
            "at": stop.at,
            "by": stop.by,
            "reason": stop.reason,
            "running": under_way,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let head = match changed {
        true => format!("{} is {}", paint.bold(&name), paint.red("stopped")),
        false => format!(
            "{} is stopped already, since {} by {}: {}",
            paint.bold(&name),
            stop.at,
            printable(&stop.by),
            printable(&stop.reason)
        ),
    };
    let mut text = format!("{head}\n");
    for run in &under_way {
        text.push_str(&format!("  {run} is under way: its further calls are denied\n"));
    }
    text.push_str(&format!("  new runs are refused until: arx start {name}\n"));
    ctx.output().data(&text);
    Ok(ExitCode::SUCCESS)
}
