//! `arx runs show --ticket`: what each system said, and what was done to the ticket.

use std::process::ExitCode;

use arx_engine::provenance::{TicketProvenance, trace_ticket};
use arx_journal::{Effect, JournalError};
use arx_types::RunId;
use serde_json::Value;

use super::show;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::{Paint, printable, printable_lines};
use crate::summary::field;

/// What may be done to a ticket.
const DEEDS: [&str; 3] = ["resolve", "repatch", "note"];

/// Does it.
pub(super) async fn run(ctx: &Context, id: &RunId, number: &str) -> Result<ExitCode, CommandError> {
    let run = super::find(ctx, id).await?;
    let journal = ctx.journal()?;
    let Some(found) = trace_ticket(journal, id, number).await? else {
        return Err(CommandError::missing(format!("`{id}` verified no ticket `{number}`"))
            .hint(format!("`arx runs show {id}` lists its items")));
    };
    let keys: Vec<String> = DEEDS.iter().map(|deed| format!("{}/{deed}", found.key())).collect();
    let effects = journal
        .read(move |reader| {
            let mut effects = Vec::new();
            for key in keys.iter().filter_map(|key| key.parse().ok()) {
                effects.extend(reader.effect(&run.world, &key)?);
            }
            Ok::<_, JournalError>(effects)
        })
        .await?;
    if ctx.is_json() {
        ctx.output().document(&document(&found, &effects)?);
    } else {
        ctx.output().data(&text(&found, &effects, ctx.output().paint()));
    }
    Ok(ExitCode::SUCCESS)
}

fn document(found: &TicketProvenance, effects: &[Effect]) -> Result<Value, CommandError> {
    let mut document =
        serde_json::to_value(found).map_err(|error| CommandError::internal(error.to_string()))?;
    let effects = effects.iter().map(show::effect_document).collect::<Result<_, _>>()?;
    if let Value::Object(fields) = &mut document {
        fields.insert("effects".to_owned(), Value::Array(effects));
    }
    Ok(document)
}

fn text(found: &TicketProvenance, effects: &[Effect], paint: Paint) -> String {
    let ticket = &found.ticket;
    let mut lines = vec![format!(
        "{}  {}  {}",
        paint.bold(&printable(field(ticket, "id"))),
        printable(field(ticket, "outcome")),
        printable(field(ticket, "title"))
    )];
    let evidence = printable_lines(field(ticket, "evidence"));
    lines.extend(evidence.lines().map(|line| format!("  {line}")));
    for read in &found.reads {
        lines.push(String::new());
        lines.push(paint.bold(&format!("{} as recorded", read.what)));
        let says = serde_json::to_string_pretty(&read.says).unwrap_or_default();
        match &read.says {
            Value::Null => lines.push(paint.dim("  nothing")),
            _ => lines.extend(printable_lines(&says).lines().map(|line| format!("  {line}"))),
        }
        lines.push(match (&read.digest, read.holds) {
            (None, _) => paint.dim("  not read"),
            (Some(digest), true) => {
                format!("{} {}", paint.green("  hashes to"), paint.dim(&printable(digest)))
            }
            (Some(digest), false) => {
                paint.red(&format!("  no recorded result hashes to {}", printable(digest)))
            }
        });
    }
    lines.push(String::new());
    lines.push(paint.bold("verification"));
    lines.push(if found.verification_holds {
        format!("  {} {}", found.verification, paint.green("holds"))
    } else {
        paint.red(&format!("  {} does NOT hold", found.verification))
    });
    if !effects.is_empty() {
        lines.push(String::new());
        lines.push(paint.bold("effects"));
    }
    lines.extend(effects.iter().map(|effect| show::effect_line(effect, paint)));
    lines.join("\n")
}
