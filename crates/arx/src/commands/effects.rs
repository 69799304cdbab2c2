//! `arx effects`: what was done to vendors, and what a human says of what nobody could find out.

mod settle;

use std::process::ExitCode;

use arx_journal::{Effect, EffectFilter, Journal, JournalError, Packed, World};
use arx_types::{EffectState, RunId};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::{Paint, printable};

/// Effects that a person is shown unless they ask for more.
const SHOWN_DEFAULT: usize = 100;
/// Width of the longest word for a state.
const STATE_WIDTH: usize = 8;

/// What may be typed after `arx effects`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show effects, the newest first, and which of them need a human.
    List(List),
    /// Say what became of an effect that nobody could find out.
    Settle(settle::Args),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx effects list --state attention\n  \
    arx effects list --run run_01J... --json\n\n\
    An effect is `intended` before it is sent, then `done`, `failed`, or `unknown`. A failed one\n\
    may be tried again; one that is done never is.")]
struct List {
    /// Intended last by this run.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// In this state.
    #[arg(long, value_name = "STATE")]
    state: Option<StateFilter>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = SHOWN_DEFAULT)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateFilter {
    /// Announced, and without an outcome.
    Intended,
    /// It happened.
    Done,
    /// It did not happen.
    Failed,
    /// Nobody could find out.
    Unknown,
    /// Those that a human must settle.
    Attention,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::List(args) => list(ctx, args).await,
        What::Settle(args) => settle::run(ctx, args).await,
    }
}

async fn list(ctx: &Context, args: List) -> Result<ExitCode, CommandError> {
    let Some(journal) = lookup::present(ctx)? else {
        if ctx.is_json() {
            ctx.output().document(&json!({ "effects": [], "left_out": 0 }));
        } else {
            let state = ctx.state_dir().display();
            ctx.output().data(&format!("no effects: there is no journal in `{state}`"));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let run = match &args.run {
        Some(text) => Some(lookup::run(journal, text).await?.id),
        None => None,
    };
    let attention = needing_attention(journal).await?;
    let mut effects = wanted(journal, run, args.state, &attention).await?;
    let n_left_out = effects.len().saturating_sub(args.limit);
    effects.truncate(args.limit);
    let needs = |effect: &Effect| attention.iter().any(|other| is_same(other, effect));
    if ctx.is_json() {
        let listed = effects
            .iter()
            .map(|effect| as_json(effect, needs(effect)))
            .collect::<Result<Vec<Value>, JournalError>>()?;
        ctx.output().document(&json!({ "effects": listed, "left_out": n_left_out }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let mut text = String::new();
    for effect in &effects {
        text.push_str(&line(effect, needs(effect), paint));
    }
    if effects.is_empty() {
        text.push_str("no such effects\n");
    }
    if n_left_out > 0 {
        let note = format!("and {n_left_out} more: --limit N\n");
        text.push_str(&paint.dim(&note));
    }
    if effects.iter().any(needs) {
        text.push_str(
            "\nlook at the vendor, then say what happened:\n  \
             arx effects settle EFFECT --happened ID\n  \
             arx effects settle EFFECT --did-not-happen\n",
        );
    }
    ctx.output().data(&text);
    Ok(ExitCode::SUCCESS)
}

/// Effects that a human must settle.
async fn needing_attention(journal: &Journal) -> Result<Vec<Effect>, JournalError> {
    journal.read(|reader| reader.effects_needing_attention()).await
}

async fn wanted(
    journal: &Journal,
    run: Option<RunId>,
    state: Option<StateFilter>,
    attention: &[Effect],
) -> Result<Vec<Effect>, JournalError> {
    let state = match state {
        Some(StateFilter::Attention) => {
            let mut effects = attention.to_vec();
            effects.retain(|effect| run.as_ref().is_none_or(|run| effect.run == *run));
            return Ok(effects);
        }
        Some(StateFilter::Intended) => Some(EffectState::Intended),
        Some(StateFilter::Done) => Some(EffectState::Done),
        Some(StateFilter::Failed) => Some(EffectState::Failed),
        Some(StateFilter::Unknown) => Some(EffectState::Unknown),
        None => None,
    };
    let filter = EffectFilter { run, state, ..EffectFilter::default() };
    journal.read(move |reader| reader.effects(&filter)).await
}

fn is_same(one: &Effect, other: &Effect) -> bool {
    one.key == other.key && one.world == other.world
}

fn as_json(effect: &Effect, needs_attention: bool) -> Result<Value, JournalError> {
    let result: Option<Value> = effect.result.as_ref().map(Packed::unpack).transpose()?;
    Ok(json!({
        "effect": effect.key,
        "world": effect.world.as_str(),
        "state": effect.state.as_str(),
        "needs_attention": needs_attention,
        "operation": effect.operation,
        "params_sha256": effect.params_sha256,
        "run": effect.run,
        "workflow": effect.workflow,
        "attempts": effect.attempts,
        "intended_at": effect.intent_at,
        "settled_at": effect.settled_at,
        "covered_by": effect.covered_by,
        "result": result,
        "detail": effect.detail,
    }))
}

fn line(effect: &Effect, needs_attention: bool, paint: Paint) -> String {
    let word = format!("{:<STATE_WIDTH$}", effect.state.as_str());
    let word = match effect.state {
        EffectState::Done => paint.green(&word),
        EffectState::Failed => paint.red(&word),
        EffectState::Unknown => paint.red(&word),
        EffectState::Intended => paint.yellow(&word),
    };
    let key = printable(effect.key.as_str()).into_owned();
    let mut notes = vec![effect.operation.to_string(), effect.run.to_string()];
    if !is_live(&effect.world) {
        notes.push(effect.world.to_string());
    }
    if let Some(cover) = &effect.covered_by {
        notes.push(format!("covered by {cover}"));
    }
    let notes = paint.dim(&printable(&notes.join(" · ")));
    let mut text = format!("{word}  {key}\n{:STATE_WIDTH$}  {notes}\n", "");
    if let Some(detail) = &effect.detail {
        text.push_str(&format!("{:STATE_WIDTH$}  {}\n", "", printable(detail)));
    }
    if needs_attention {
        let label = paint.red("needs a human");
        text.push_str(&format!("{:STATE_WIDTH$}  {label}\n", ""));
    }
    text
}

fn is_live(world: &World) -> bool {
    world.scenario().is_none()
}
