//! `arx users enable`: somebody who came back.

use std::process::ExitCode;

use super::{identity, told};
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx users enable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users enable bob\n\n\
    Their password and tokens work as before.")]
pub(super) struct Args {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let person = identity(ctx)?.enable(ctx.actor(), &args.name).await?;
    told(ctx, &person, &format!("may act as {}", person.role)).await
}
