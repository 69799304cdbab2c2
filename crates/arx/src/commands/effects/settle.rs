//! `arx effects settle`: a human decides what nobody could find out.

use std::process::ExitCode;

use arx_engine::settle::{self, Said, SettleError};
use arx_journal::{Effect, EffectFilter, Journal, Run};
use arx_types::EffectState;
use serde_json::{Value, json};

use super::{is_same, needing_attention};
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::launch::of_engine;
use crate::output::printable;

/// Candidates that are named when a name fits several effects.
const CANDIDATES_MAX: usize = 20;

/// What may be typed after `arx effects settle`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("outcome").required(true).args(["happened", "did_not_happen"]),
    after_help = "Examples:\n  \
    arx effects settle critical-vuln-escalation/CVE-2026-0001/1/page --happened PABC123 --url https://acme.pagerduty.com/incidents/PABC123\n  \
    arx effects settle CVE-2026-0001/1/ticket --did-not-happen --reason 'searched SEC, none there'\n\n\
    EFFECT may be the end of a key, if only one effect ends so. What happened is never sent\n\
    again; what did not happen may be tried again by the next run."
)]
pub(super) struct Args {
    /// The effect's key, or its end.
    #[arg(value_name = "EFFECT")]
    effect: String,
    /// It happened; this is the vendor's identifier of it.
    #[arg(long, value_name = "ID")]
    happened: Option<String>,
    /// The address of what happened, which the workflow may pass on.
    #[arg(long, value_name = "URL", requires = "happened")]
    url: Option<String>,
    /// It did not happen, and may be tried again.
    #[arg(long)]
    did_not_happen: bool,
    /// Who says so; you, as ARX_ACTOR or USER names you, otherwise.
    #[arg(long = "as", value_name = "WHO")]
    who: Option<String>,
    /// Why you know.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let who = match &args.who {
        Some(who) => lookup::person(who)?,
        None => ctx.actor().to_owned(),
    };
    let reason = args.reason.as_deref().map(lookup::reason).transpose()?;
    let said = said(&args)?;
    let journal = lookup::journal(ctx)?;
    let effect = find(journal, &args.effect).await?;
    let place = (&effect.world, &effect.key);
    let settled = settle::settle(journal, ctx.process()?, place, &who, &said, reason.as_deref());
    let settled = match settled.await {
        Ok(settled) => settled,
        Err(error) => return Err(refused(error, journal, &effect).await?),
    };
    tell(ctx, &settled.effect, &settled.run, settled.result.as_ref(), &who);
    Ok(ExitCode::SUCCESS)
}

fn said(args: &Args) -> Result<Said, CommandError> {
    match (&args.happened, args.did_not_happen) {
        (Some(id), _) => Ok(Said::Happened { id: id.trim().to_owned(), url: args.url.clone() }),
        (None, true) => Ok(Said::DidNotHappen),
        (None, false) => Err(CommandError::user("say whether it happened")),
    }
}

/// A refusal with what to do about it.
async fn refused(
    error: SettleError,
    journal: &Journal,
    effect: &Effect,
) -> Result<CommandError, CommandError> {
    let text = error.to_string();
    Ok(match error {
        SettleError::Identifier => {
            CommandError::user(text).hint("write --happened ID as the vendor shows it")
        }
        SettleError::Missing { .. } => CommandError::missing(text)
            .hint("`arx effects list --state attention` shows those that need a human"),
        SettleError::Covered { cover, .. } => CommandError::denied(text)
            .code("ARX-E052")
            .hint(format!("settle that one: arx effects settle {cover} ...")),
        SettleError::Already { .. } => {
            let open = needing_attention(journal).await?;
            let hint = match open.iter().filter(|other| !is_same(other, effect)).count() {
                0 => "no effect needs a human".to_owned(),
                n => format!("{n} need a human: arx effects list --state attention"),
            };
            CommandError::denied(text).code("ARX-E051").hint(hint)
        }
        SettleError::Meanwhile { .. } => CommandError::denied(text)
            .code("ARX-E051")
            .hint("`arx effects list` shows how it was settled"),
        SettleError::Engine(error) => of_engine(error),
    })
}

/// The effect that a key, or the end of one, names.
async fn find(journal: &Journal, text: &str) -> Result<Effect, CommandError> {
    let all = journal.read(|reader| reader.effects(&EffectFilter::default())).await?;
    let open = needing_attention(journal).await?;
    let wanted = text.trim();
    let full = |effect: &Effect| lookup::log_key(&effect.world, &effect.key);
    // A whole name before an end of one; what needs a human before what does not.
    for effects in [&open, &all] {
        let whole: Vec<&Effect> = effects
            .iter()
            .filter(|effect| full(effect) == wanted || effect.key.as_str() == wanted)
            .collect();
        let exact = whole.iter().find(|effect| full(effect) == wanted);
        match (exact, whole.as_slice()) {
            (Some(effect), _) | (None, [effect]) => return Ok((*effect).clone()),
            (None, []) => {}
            (None, several) => return Err(ambiguous(wanted, several)),
        }
        let ends: Vec<&Effect> = effects
            .iter()
            .filter(|effect| !wanted.is_empty() && effect.key.as_str().ends_with(wanted))
            .collect();
        match ends.as_slice() {
            [] => {}
            [effect] => return Ok((*effect).clone()),
            several => return Err(ambiguous(wanted, several)),
        }
    }
    Err(CommandError::missing(format!("there is no effect `{wanted}`"))
        .hint("`arx effects list --state attention` shows those that need a human"))
}

fn ambiguous(text: &str, effects: &[&Effect]) -> CommandError {
    let mut error = CommandError::user(format!("`{text}` is the end of {} effects", effects.len()))
        .code("ARX-E050")
        .hint("write more of the key");
    for effect in effects.iter().take(CANDIDATES_MAX) {
        error = error.detail(lookup::log_key(&effect.world, &effect.key));
    }
    error
}

fn tell(ctx: &Context, effect: &Effect, run: &Run, result: Option<&Value>, who: &str) {
    let resume = format!("arx runs resume {}", run.id);
    let can_resume = run.status.is_unfinished();
    let state = if result.is_some() { EffectState::Done } else { EffectState::Failed };
    if ctx.is_json() {
        ctx.output().document(&json!({
            "effect": effect.key,
            "world": effect.world.as_str(),
            "state": state.as_str(),
            "settled_by": who,
            "result": result,
            "run": run.id,
            "next": can_resume.then_some(resume),
        }));
        return;
    }
    let paint = ctx.output().paint();
    let name = printable(effect.key.as_str()).into_owned();
    let mut text = match result {
        Some(_) => format!("{name} is {}: it is never sent again\n", paint.green("done")),
        None => format!("{name} is {}: it may be tried again\n", paint.yellow("failed")),
    };
    if can_resume {
        text.push_str(&format!("  next: {resume}\n"));
    }
    ctx.output().data(&text);
}
