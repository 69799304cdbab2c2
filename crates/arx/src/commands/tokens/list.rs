//! `arx tokens list`: every token, without its secret.

use std::process::ExitCode;

use arx_journal::people::Token;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::as_json;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::{Paint, printable};

/// What may be typed after `arx tokens list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx tokens list --user bob")]
pub(super) struct Args {
    /// Of this person alone.
    #[arg(long = "user", value_name = "NAME")]
    user: Option<String>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let tokens = match lookup::present(ctx)? {
        Some(journal) => journal.read(move |reader| reader.tokens(args.user.as_deref())).await?,
        None => Vec::new(),
    };
    if ctx.is_json() {
        let tokens: Vec<Value> = tokens.iter().map(as_json).collect();
        ctx.output().document(&json!({ "tokens": tokens }));
        return Ok(ExitCode::SUCCESS);
    }
    let (paint, now) = (ctx.output().paint(), ctx.clock().now());
    let lines: Vec<String> = tokens.iter().map(|token| line(token, now, paint)).collect();
    ctx.output().data(&match lines.is_empty() {
        true => "there are no tokens".to_owned(),
        false => lines.join("\n"),
    });
    Ok(ExitCode::SUCCESS)
}

fn line(token: &Token, now: Timestamp, paint: Paint) -> String {
    let state = match (token.revoked_at, token.is_disabled) {
        (Some(at), _) => paint.red(&format!("revoked {at:.0}")),
        (None, true) => paint.red("its person is disabled"),
        (None, false) if now >= token.expires_at => {
            paint.dim(&format!("ended {:.0}", token.expires_at))
        }
        (None, false) => format!("until {:.0}", token.expires_at),
    };
    let used = match token.last_used_at {
        Some(at) => format!("last used {at:.0}"),
        None => "never used".to_owned(),
    };
    format!(
        "{}  {}  {} of {}  {state}  {}",
        token.id,
        paint.bold(&printable(&token.label)),
        token.role,
        printable(&token.person),
        paint.dim(&used),
    )
}
