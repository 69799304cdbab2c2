//! `arx tokens revoke`: a token that does nothing from now on.

use std::process::ExitCode;

use arx_types::TokenId;

use super::as_json;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::printable;

/// What may be typed after `arx tokens revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx tokens revoke tok_01J...")]
pub(super) struct Args {
    /// The token, as `arx tokens list` names it.
    #[arg(value_name = "ID")]
    id: String,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    // What was typed may be the secret itself, and is not shown again.
    let id: TokenId = args.id.trim().parse().map_err(|_| {
        CommandError::missing("there is no such token")
            .hint("`arx tokens list` shows every token; its id begins with `tok_`")
    })?;
    let (journal, by) = (lookup::journal(ctx)?, ctx.actor().to_owned());
    let token = journal.try_write(move |tx| tx.revoke_token(&id, &by)).await?;
    lookup::sign(journal).await?;
    if ctx.is_json() {
        ctx.output().document(&as_json(&token));
    } else {
        let label = ctx.output().paint().bold(&printable(&token.label));
        ctx.output().data(&format!("{label} of {} is revoked", printable(&token.person)));
    }
    Ok(ExitCode::SUCCESS)
}
