//! `arx users list`: everybody.

use std::process::ExitCode;

use arx_journal::Person;
use serde_json::{Value, json};

use super::as_json;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::{Paint, printable};

/// What may be typed after `arx users list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx users list --json")]
pub(super) struct Args {}

/// Does it.
pub(super) async fn run(ctx: &Context, Args {}: Args) -> Result<ExitCode, CommandError> {
    let people = match lookup::present(ctx)? {
        Some(journal) => journal.read(|reader| reader.people()).await?,
        None => Vec::new(),
    };
    if ctx.is_json() {
        let people: Vec<Value> = people.iter().map(as_json).collect();
        ctx.output().document(&json!({ "people": people }));
        return Ok(ExitCode::SUCCESS);
    }
    if people.is_empty() {
        let next = "nobody is known yet\n  next: arx users add NAME --role admin\n";
        ctx.output().data(next);
        return Ok(ExitCode::SUCCESS);
    }
    let width = people.iter().map(|person| printable(&person.name).chars().count()).max();
    let paint = ctx.output().paint();
    let lines: Vec<String> =
        people.iter().map(|person| line(person, width.unwrap_or(0), paint)).collect();
    ctx.output().data(&lines.join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn line(person: &Person, width: usize, paint: Paint) -> String {
    let name = printable(&person.name);
    let padding = " ".repeat(width.saturating_sub(name.chars().count()));
    let state = match (&person.disabled_at, person.has_password) {
        (Some(at), _) => paint.red(&format!("disabled since {at:.0}")),
        (None, true) => String::new(),
        (None, false) => paint.yellow("has no password yet"),
    };
    let line = format!("{}{padding}  {:<8}  {state}", paint.bold(&name), person.role.as_str());
    line.trim_end().to_owned()
}
