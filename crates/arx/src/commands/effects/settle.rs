//! `arx effects settle`: a human decides what nobody could find out.
//!
//! INVARIANT (nobody else decides meanwhile): the settlement is recorded only while nobody drives
//! the workflow, whoever drove it before is fenced off in the same transaction, and the journal
//! takes it only for the attempt that was shown.

use std::process::ExitCode;
use std::sync::Arc;

use arx_audit::LeafKind;
use arx_engine::{EngineError, start};
use arx_journal::{
    Effect, EffectFilter, Journal, JournalError, LeafDraft, Packed, Run, SettleOutcome, Settlement,
};
use arx_types::{Digest, EffectState};
use serde_json::{Value, json};

use super::{is_same, needing_attention};
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::launch::of_engine;
use crate::output::printable;

/// Candidates that are named when a name fits several effects.
const CANDIDATES_MAX: usize = 20;
/// The longest identifier or address of a vendor's record.
const ID_BYTES_MAX: usize = 2000;

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
    let result = result(&args, &who)?;
    let journal = lookup::journal(ctx)?;
    let effect = find(journal, &args.effect).await?;
    let process = Arc::clone(ctx.process()?);
    start::refuse_driven(journal, &process, &effect.workflow, &effect.world)
        .await
        .map_err(of_engine)?;
    let run = of_run(journal, &effect).await?;
    refuse_what_is_settled(journal, &effect).await?;

    let settlement = settlement(&effect, result.as_ref(), &who, reason.as_deref())?;
    let leaf = leaf(&run, &effect, result.as_ref(), &who, reason.as_deref());
    let (workflow, world) = (effect.workflow.clone(), effect.world.clone());
    let key = effect.key.clone();
    let outcome = journal.try_write(move |tx| {
        if let Some(lease) = tx.fence_off(&workflow, &world, &process)? {
            return Err(EngineError::Held { workflow, lease });
        }
        Ok(tx.settle_effect(&world, &key, &settlement, leaf)?)
    });
    let outcome = outcome.await.map_err(of_engine)?;
    if let SettleOutcome::Refused(present) = outcome {
        let now = present.state.as_str();
        return Err(CommandError::denied(format!("`{}` is {now} meanwhile", present.key))
            .code("ARX-E051")
            .hint("`arx effects list` shows how it was settled"));
    }
    lookup::sign(journal).await?;
    tell(ctx, &effect, &run, result.as_ref(), &who);
    Ok(ExitCode::SUCCESS)
}

/// What the workflow will see of an effect that happened.
fn result(args: &Args, who: &str) -> Result<Option<Value>, CommandError> {
    let Some(id) = args.happened.as_deref().map(str::trim) else { return Ok(None) };
    for text in [Some(id), args.url.as_deref()].into_iter().flatten() {
        let is_plain = !text.is_empty() && !text.chars().any(char::is_control);
        if !is_plain || text.len() > ID_BYTES_MAX {
            return Err(CommandError::user("an identifier is printable and not empty")
                .hint("write --happened ID as the vendor shows it"));
        }
    }
    Ok(Some(json!({ "id": id, "url": args.url, "settled_by": who })))
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

async fn of_run(journal: &Journal, effect: &Effect) -> Result<Run, CommandError> {
    let id = effect.run.clone();
    let run = journal.read(move |reader| reader.run(&id)).await?;
    run.ok_or_else(|| CommandError::internal(format!("run `{}` is not in the record", effect.run)))
}

/// Where nobody drives the workflow, an intent without outcome was left behind, whatever its run's
/// status says.
async fn refuse_what_is_settled(journal: &Journal, effect: &Effect) -> Result<(), CommandError> {
    let name = lookup::log_key(&effect.world, &effect.key);
    if let Some(cover) = &effect.covered_by {
        let cover = lookup::log_key(&effect.world, cover);
        return Err(CommandError::denied(format!("`{name}` is covered by `{cover}`"))
            .code("ARX-E052")
            .hint(format!("settle that one: arx effects settle {cover} ...")));
    }
    match effect.state {
        EffectState::Unknown | EffectState::Intended => Ok(()),
        EffectState::Done | EffectState::Failed => {
            let open = needing_attention(journal).await?;
            let hint = match open.iter().filter(|other| !is_same(other, effect)).count() {
                0 => "no effect needs a human".to_owned(),
                n => format!("{n} need a human: arx effects list --state attention"),
            };
            let state = effect.state.as_str();
            Err(CommandError::denied(format!("`{name}` is {state} already"))
                .code("ARX-E051")
                .hint(hint))
        }
    }
}

fn settlement(
    effect: &Effect,
    result: Option<&Value>,
    who: &str,
    reason: Option<&str>,
) -> Result<Settlement, JournalError> {
    let because = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Ok(match result {
        Some(value) => Settlement {
            state: EffectState::Done,
            attempt: effect.attempts,
            result: Some(Packed::json(value)?),
            detail: Some(format!("{who} says that it happened{because}")),
        },
        None => Settlement {
            state: EffectState::Failed,
            attempt: effect.attempts,
            result: None,
            detail: Some(format!("{who} says that it did not happen{because}")),
        },
    })
}

fn leaf(
    run: &Run,
    effect: &Effect,
    result: Option<&Value>,
    who: &str,
    reason: Option<&str>,
) -> LeafDraft {
    let leaf = LeafDraft::new(LeafKind::Settle, who)
        .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
        .about(&effect.operation, Some(&effect.key), Some(&effect.params_sha256));
    let mut leaf = lookup::name_world(leaf, &effect.world)
        .with("settled_by", who)
        .with("was", effect.state.as_str())
        .with("attempt", effect.attempts);
    if let Some(reason) = reason {
        leaf = leaf.with("reason", reason);
    }
    match result {
        None => leaf.status("failed"),
        Some(value) => {
            let digest = Digest::of_json(value).unwrap_or_else(|_| Digest::of_bytes(b""));
            let id = value.get("id").cloned().unwrap_or_default();
            leaf.status("done").result(digest).with("id", id)
        }
    }
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
