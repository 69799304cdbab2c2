//! `arx users add`: somebody who may sign in.

use std::process::ExitCode;

use super::{RoleName, Site, identity, tell};
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;

/// What may be typed after `arx users add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx users add ada --role admin\n  \
    arx users add bob@example.com --role approver --url https://arx.example.com\n\n\
    Once anybody is known, `arx approvals approve --as WHO` takes a vote of people alone, and a\n\
    role among the approvers is held against theirs. An admin counts as an approver.")]
pub(super) struct Args {
    /// Who; the case of letters makes no difference.
    #[arg(value_name = "NAME")]
    name: String,
    /// What they may do.
    #[arg(long, value_name = "ROLE")]
    role: RoleName,
    #[command(flatten)]
    site: Site,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let identity = identity(ctx)?;
    let role = args.role.role();
    let invited = identity.add(ctx.actor(), &args.name, role).await?;
    lookup::sign(identity.journal()).await?;
    tell(
        ctx,
        &args.site,
        &format!("is {role} from now on, and chooses a password here:"),
        &invited,
    );
    Ok(ExitCode::SUCCESS)
}
