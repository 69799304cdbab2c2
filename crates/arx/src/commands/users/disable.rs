//! `arx users disable`: somebody who left.

use std::process::ExitCode;

use super::{identity, told};
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx users disable`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users disable bob\n\n\
    Their sessions end, and their tokens do nothing. The last admin cannot be disabled.")]
pub(super) struct Args {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let person = identity(ctx)?.disable(ctx.actor(), &args.name).await?;
    told(ctx, &person, "may do nothing any more").await
}
