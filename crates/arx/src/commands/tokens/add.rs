//! `arx tokens add`: a secret for a program, which acts as somebody and does no more than they may.

use std::process::ExitCode;

use arx_policy::Period;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::commands::users::{RoleName, identity};
use crate::context::Context;
use crate::output::printable;

/// What may be typed after `arx tokens add`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx tokens add dashboard --user bob --role viewer --expires 90d\n  \
    curl -H \"Authorization: Bearer $ARX_TOKEN\" http://127.0.0.1:7717/api/v1/runs\n\n\
    It does what its role allows, and at no time more than its person may. What it does is\n\
    recorded under the person's name.")]
pub(super) struct Args {
    /// What it is for.
    #[arg(value_name = "NAME_OF_TOKEN")]
    label: String,
    /// Whose it is.
    #[arg(long = "user", value_name = "NAME")]
    user: String,
    /// The most that it may do.
    #[arg(long, value_name = "ROLE")]
    role: RoleName,
    /// How long it works, e.g. `90d` or `12h`; at most 366 days.
    #[arg(long, value_name = "PERIOD")]
    expires: String,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let period: Period = args.expires.parse().map_err(|error: arx_policy::PeriodError| {
        CommandError::user(error.to_string()).hint("write it as 90d, 12h or 30m")
    })?;
    let (identity, role) = (identity(ctx)?, args.role.role());
    let made = identity
        .token_for(ctx.actor(), &args.user, &args.label, role, period.as_duration())
        .await?;
    lookup::sign(identity.journal()).await?;
    let secret = made.secret.expose_secret();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "id": made.id,
            "secret": secret,
            "name": args.label.trim(),
            "role": made.role,
            "expires_at": made.expires_at,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    ctx.output().data(&format!(
        "{}  {} of {}, until {:.0}\n  {secret}\n  it is not shown again; to end it: arx tokens revoke {}\n",
        paint.bold(&printable(args.label.trim())),
        made.role,
        printable(&args.user),
        made.expires_at,
        made.id,
    ));
    Ok(ExitCode::SUCCESS)
}
