//! `arx tokens`: what programs prove themselves with to the API.

mod add;
mod list;
mod revoke;

use std::process::ExitCode;

use arx_journal::people::Token;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx tokens`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token; prints its secret, this once.
    Add(add::Args),
    /// Show every token, without its secret.
    List(list::Args),
    /// End a token.
    Revoke(revoke::Args),
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::Add(args) => add::run(ctx, args).await,
        What::List(args) => list::run(ctx, args).await,
        What::Revoke(args) => revoke::run(ctx, args).await,
    }
}

fn as_json(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.label,
        "person": token.person,
        "role": token.role,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "last_used_at": token.last_used_at,
    })
}
