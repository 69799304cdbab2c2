//! `arx users set-role`: what somebody may do from now on.

use std::process::ExitCode;

use super::{RoleName, identity, told};
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx users set-role`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users set-role bob --role viewer\n\n\
    It holds at once: their sessions end, and a token of theirs does no more than they may.")]
pub(super) struct Args {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
    /// What they may do.
    #[arg(long, value_name = "ROLE")]
    role: RoleName,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let role = args.role.role();
    let person = identity(ctx)?.set_role(ctx.actor(), &args.name, role).await?;
    told(ctx, &person, &format!("is {role}")).await
}
