//! What a person hears of their vote, and what comes next.

use std::process::ExitCode;

use arx_engine::approvals::{self, Cast, CastError, NotAsked, Voter};
use arx_journal::{ApprovalState, Vote, VoteRefusal};
use arx_types::{ApprovalId, RunStatus};
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::printable;

/// What somebody wants to say.
pub(super) struct Ballot {
    pub(super) approval: String,
    pub(super) voter: Voter,
    pub(super) vote: Vote,
    pub(super) only: Option<Vec<u32>>,
}

/// Somebody as they were typed.
pub(super) fn voter(ctx: &Context, text: &str) -> Result<Voter, CommandError> {
    let text = lookup::person(text)?;
    Voter::said(&text, ctx.actor()).ok_or_else(|| {
        CommandError::user(format!("`{text}` names no person"))
            .hint("write --as NAME, --as ROLE:NAME, or --as role:ROLE")
    })
}

/// Casts a vote, tells what it did, and what comes next.
pub(super) async fn cast(ctx: &Context, ballot: Ballot) -> Result<ExitCode, CommandError> {
    let Ballot { approval: typed, voter, vote, only } = ballot;
    let id = super::parse_id(&typed)?;
    let journal = lookup::journal(ctx)?;
    let cast = approvals::cast(journal, &id, &voter, &vote, only)
        .await
        .map_err(|error| refused(error, &typed))?;
    tell(ctx, &id, &voter, &vote, &cast);
    Ok(ExitCode::SUCCESS)
}

fn refused(error: CastError, typed: &str) -> CommandError {
    match error {
        CastError::Missing { .. } => super::missing(typed),
        CastError::Journal(error) => error.into(),
        CastError::NotAsked(refusal) => {
            let hint = match &refusal {
                NotAsked::Nobody | NotAsked::Other { .. } => {
                    "`policy.approvals.approvers` in arx.yaml says who decides"
                }
                NotAsked::Unknown { .. } | NotAsked::Lesser { .. } => {
                    "`arx users list` shows who may do what"
                }
            };
            CommandError::denied(refusal.to_string()).code("ARX-E040").hint(hint)
        }
        CastError::Refused(refusal) => {
            let hint = match &refusal {
                VoteRefusal::OwnRequest { .. } => "somebody else has to decide",
                VoteRefusal::Expired { .. } => {
                    "what expired is denied; `arx runs resume` tells the workflow so"
                }
                VoteRefusal::Decided { .. }
                | VoteRefusal::ActionDecided { .. }
                | VoteRefusal::Again { .. } => {
                    "`arx approvals list --state all` shows who said what"
                }
                VoteRefusal::NoAction { .. } => "`arx approvals list` numbers the actions",
            };
            CommandError::denied(refusal.to_string()).code("ARX-E041").hint(hint)
        }
    }
}

fn tell(ctx: &Context, id: &ApprovalId, voter: &Voter, vote: &Vote, cast: &Cast) {
    let is_open = cast.state == ApprovalState::Pending;
    let resume = format!("arx runs resume {}", cast.run.id);
    let can_resume = cast.run.status.is_unfinished() && !cast.decided.is_empty();
    if ctx.is_json() {
        let actions: Vec<Value> = cast
            .actions
            .iter()
            .map(
                |(n, n_yes)| json!({ "n": n, "votes": n_yes, "decided": cast.decided.contains(n) }),
            )
            .collect();
        ctx.output().document(&json!({
            "approval": id,
            "state": cast.state.as_str(),
            "vote": match vote { Vote::Approve => "approve", Vote::Deny { .. } => "deny" },
            "by": cast.by,
            "role": voter.role,
            "quorum": cast.quorum,
            "actions": actions,
            "run": cast.run.id,
            "next": can_resume.then_some(resume),
        }));
        return;
    }
    let paint = ctx.output().paint();
    let who = printable(&cast.by);
    let (n, n_decided) = (cast.actions.len(), cast.decided.len());
    let actions = |n: usize| if n == 1 { "1 action".to_owned() } else { format!("{n} actions") };
    let mut text = match vote {
        Vote::Deny { .. } => {
            format!("{id} {}: {} by {who}\n", paint.red("denied"), actions(n))
        }
        Vote::Approve if n_decided > 0 => {
            format!("{id} {}: {} by {who}\n", paint.green("approved"), actions(n_decided))
        }
        Vote::Approve => format!("{id}: {who} said yes to {}\n", actions(n)),
    };
    if let (Vote::Approve, Some((_, n_yes))) = (vote, cast.actions.iter().min_by_key(|(_, n)| *n))
        && *n_yes < cast.quorum
    {
        text.push_str(&format!("  {n_yes} of {} votes; others have to agree\n", cast.quorum));
    }
    if is_open && n_decided > 0 {
        text.push_str("  other actions of it still wait\n");
    }
    if can_resume {
        let note = match cast.run.status {
            RunStatus::Parked => "",
            _ => "   once it is parked",
        };
        text.push_str(&format!("  next: {resume}{note}\n"));
    }
    ctx.output().data(&text);
}
