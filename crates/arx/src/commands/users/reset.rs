//! `arx users reset`: a password that was forgotten, or that somebody else knows.

use std::process::ExitCode;

use super::{Site, identity, tell};
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;

/// What may be typed after `arx users reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users reset bob\n\n\
    The old password and every session of theirs end now. API tokens go on working:\n\
    `arx tokens list` shows them, `arx tokens revoke` ends one.")]
pub(super) struct Args {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    site: Site,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let identity = identity(ctx)?;
    let invited = identity.reset(ctx.actor(), &args.name).await?;
    lookup::sign(identity.journal()).await?;
    tell(ctx, &args.site, "is signed out everywhere, and chooses another password here:", &invited);
    Ok(ExitCode::SUCCESS)
}
