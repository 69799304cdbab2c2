//! Casting a vote: the vote, what it decides, and its leaves are one transaction.

use std::process::ExitCode;

use arx_audit::LeafKind;
use arx_journal::{
    Approval, ApprovalAction, ApprovalState, JournalError, LeafDraft, Run, Tx, Vote, VoteOutcome,
    VoteRefusal,
};
use arx_types::{ApprovalId, Digest, RunStatus};
use serde_json::{Value, json};

use super::voter::{NotAsked, Standing, Voter};
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

/// A vote that was recorded.
struct Cast {
    run: Run,
    state: ApprovalState,
    quorum: u32,
    /// The actions that the vote was about, with how many yes each has now.
    actions: Vec<(u32, u32)>,
    /// Those of them that it decided.
    decided: Vec<u32>,
}

/// Why a vote was not recorded. Nothing of it stays, except that what expired is marked.
enum Refusal {
    Missing,
    NotAsked(NotAsked),
    Vote(VoteRefusal),
}

/// Casts a vote, tells what it did, and what comes next.
pub(super) async fn cast(ctx: &Context, ballot: Ballot) -> Result<ExitCode, CommandError> {
    let Ballot { approval: typed, voter, vote, only } = ballot;
    let id = super::parse_id(&typed)?;
    let journal = lookup::journal(ctx)?;
    let (of, by, what) = (id.clone(), voter.clone(), vote.clone());
    let answer = journal.write(move |tx| decide(tx, &of, &by, &what, only.as_deref())).await?;
    lookup::sign(journal).await?;
    let cast = answer.map_err(|refusal| refused(refusal, &typed))?;
    tell(ctx, &id, &voter, &vote, &cast);
    Ok(ExitCode::SUCCESS)
}

/// The transaction. A refusal is an answer and no error, so that an expiry it found is recorded.
fn decide(
    tx: &mut Tx<'_>,
    id: &ApprovalId,
    voter: &Voter,
    vote: &Vote,
    only: Option<&[u32]>,
) -> Result<Result<Cast, Refusal>, JournalError> {
    let Some(approval) = tx.approval(id)? else { return Ok(Err(Refusal::Missing)) };
    // Another spelling of the requester's name is still the requester's.
    if approval.requester.eq_ignore_ascii_case(&voter.name) {
        let who = voter.name.clone();
        return Ok(Err(Refusal::Vote(VoteRefusal::OwnRequest { who })));
    }
    let standing = match voter.standing(&approval.approvers) {
        Ok(standing) => standing,
        Err(refusal) => return Ok(Err(Refusal::NotAsked(refusal))),
    };
    let run = tx
        .run(&approval.run)?
        .ok_or_else(|| JournalError::NotFound { kind: "run", id: approval.run.to_string() })?;
    // Whoever voted before keeps the spelling of then: one person is one vote.
    let before = tx.votes(id)?;
    let spelled = before.iter().find(|cast| cast.who.eq_ignore_ascii_case(&voter.name));
    let voter = match spelled {
        Some(cast) => &Voter { name: cast.who.clone(), role: voter.role.clone() },
        None => voter,
    };
    let voted_before: Vec<u32> =
        before.iter().filter(|cast| cast.who == voter.name).map(|cast| cast.action).collect();
    let (state, decided) = match tx.vote(id, &voter.name, vote, only)? {
        VoteOutcome::Recorded { state, decided } => (state, decided),
        VoteOutcome::Refused(refusal) => {
            if let VoteRefusal::Expired { .. } = refusal {
                expire(tx, &voter.name)?;
            }
            return Ok(Err(Refusal::Vote(refusal)));
        }
    };
    let votes = tx.votes(id)?;
    let mut about = Vec::new();
    for action in tx.approval_actions(id)? {
        let is_new = votes.iter().any(|cast| cast.action == action.n && cast.who == voter.name)
            && !voted_before.contains(&action.n);
        if !is_new {
            continue;
        }
        let n_yes = votes
            .iter()
            .filter(|cast| cast.action == action.n && cast.vote == Vote::Approve)
            .count();
        let n_yes = u32::try_from(n_yes).unwrap_or(u32::MAX);
        let status = match vote {
            Vote::Deny { .. } => "denied",
            Vote::Approve if decided.contains(&action.n) => "approved",
            Vote::Approve => "vote",
        };
        let leaf =
            leaf(&run, &approval, &action, voter, &standing)?.status(status).with("votes", n_yes);
        let leaf = match vote {
            Vote::Deny { reason } => leaf.with("reason", reason.as_str()),
            Vote::Approve => leaf,
        };
        tx.append_leaf(leaf)?;
        about.push((action.n, n_yes));
    }
    Ok(Ok(Cast { run, state, quorum: approval.quorum, actions: about, decided }))
}

/// One leaf for each action, which names the call as the decision that follows will.
fn leaf(
    run: &Run,
    approval: &Approval,
    action: &ApprovalAction,
    voter: &Voter,
    standing: &Standing,
) -> Result<LeafDraft, JournalError> {
    let preview: Value = action.action.preview.unpack()?;
    let params: Option<Digest> =
        preview.get("params_sha256").and_then(|digest| serde_json::from_value(digest.clone()).ok());
    // The decisions before and after name the same call, with where it came from.
    let leaf = LeafDraft::new(LeafKind::Approval, voter.name.as_str())
        .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
        .about(&action.action.operation, action.action.effect_key.as_ref(), params.as_ref());
    let leaf = lookup::name_world(leaf, &run.world)
        .with("approval", approval.id.as_str())
        .with("action", action.n)
        .with("digest", action.action.digest.to_string())
        .with("quorum", approval.quorum);
    Ok(match standing {
        Standing::Named => leaf,
        Standing::Role(role) => leaf.with("role", role.as_str()).with("role_checked", false),
    })
}

/// Marks what is over, with a leaf for each request.
fn expire(tx: &mut Tx<'_>, who: &str) -> Result<(), JournalError> {
    for approval in tx.expire_approvals()? {
        let Some(run) = tx.run(&approval.run)? else { continue };
        let leaf = LeafDraft::new(LeafKind::Approval, who)
            .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
            .status("expired")
            .with("approval", approval.id.as_str());
        tx.append_leaf(lookup::name_world(leaf, &run.world))?;
    }
    Ok(())
}

fn refused(refusal: Refusal, typed: &str) -> CommandError {
    match refusal {
        Refusal::Missing => super::missing(typed),
        Refusal::NotAsked(refusal) => CommandError::denied(refusal.to_string())
            .code("ARX-E040")
            .hint("`policy.approvals.approvers` in arx.yaml says who decides"),
        Refusal::Vote(refusal) => {
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
            "by": voter.name,
            "role": voter.role,
            "quorum": cast.quorum,
            "actions": actions,
            "run": cast.run.id,
            "next": can_resume.then_some(resume),
        }));
        return;
    }
    let paint = ctx.output().paint();
    let who = printable(&voter.name);
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
