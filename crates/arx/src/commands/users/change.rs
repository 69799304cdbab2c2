//! `arx users set-role`, `disable` and `enable`: what somebody may do from now on.

use std::process::ExitCode;

use arx_journal::Person;

use super::{RoleName, as_json, identity};
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::printable;

/// What may be typed after `arx users set-role`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users set-role bob --role viewer\n\n\
    It holds at once: their sessions end, and a token of theirs does no more than they may.")]
pub(super) struct SetRole {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
    /// What they may do.
    #[arg(long, value_name = "ROLE")]
    role: RoleName,
}

/// What may be typed after `arx users disable` and `enable`.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    /// Who.
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) async fn set_role(ctx: &Context, args: SetRole) -> Result<ExitCode, CommandError> {
    let role = args.role.role();
    let person = identity(ctx)?.set_role(ctx.actor(), &args.name, role).await?;
    told(ctx, &person, &format!("is {role}")).await
}

pub(super) async fn disable(ctx: &Context, args: Named) -> Result<ExitCode, CommandError> {
    let person = identity(ctx)?.disable(ctx.actor(), &args.name).await?;
    told(ctx, &person, "may do nothing any more").await
}

pub(super) async fn enable(ctx: &Context, args: Named) -> Result<ExitCode, CommandError> {
    let person = identity(ctx)?.enable(ctx.actor(), &args.name).await?;
    told(ctx, &person, &format!("may act as {}", person.role)).await
}

async fn told(ctx: &Context, person: &Person, what: &str) -> Result<ExitCode, CommandError> {
    lookup::sign(ctx.journal()?).await?;
    if ctx.is_json() {
        ctx.output().document(&as_json(person));
    } else {
        let name = ctx.output().paint().bold(&printable(&person.name));
        ctx.output().data(&format!("{name} {what}"));
    }
    Ok(ExitCode::SUCCESS)
}
