//! `arx start`: lifts a stop. It starts no run; the daemon goes on with what the stop interrupted.

use std::process::ExitCode;

use arx_engine::stops;
use serde_json::json;

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx start`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx start critical-vuln-escalation\n\n\
    This lifts a stop. `arx serve` then goes on with what the stop interrupted; without it,\n\
    `arx run` or `arx runs resume` do.")]
pub(crate) struct Args {
    /// The workflow's name.
    workflow: String,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let journal = ctx.journal()?;
    let name = lookup::workflow(journal, &args.workflow).await?;
    let lifted = stops::lift(journal, &name, ctx.actor()).await?;
    if ctx.is_json() {
        ctx.output().document(&json!({ "workflow": name, "stopped": false, "changed": lifted }));
        return Ok(ExitCode::SUCCESS);
    }
    let name = ctx.output().paint().bold(&name);
    ctx.output().data(&match lifted {
        true => format!("{name} may act again"),
        false => format!("{name} is not stopped"),
    });
    Ok(ExitCode::SUCCESS)
}
