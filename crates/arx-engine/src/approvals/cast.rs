//! Casting a vote: the vote, what it decides, and its leaves are one transaction.

use arx_audit::LeafKind;
use arx_journal::people::folded;
use arx_journal::{
    Approval, ApprovalAction, ApprovalState, Journal, JournalError, LeafDraft, Run, Tx, Vote,
    VoteOutcome, VoteRefusal,
};
use arx_types::{ApprovalId, Digest};
use serde_json::Value;

use super::voter::{NotAsked, Proof, Standing, Voter};
use super::{expire, run_of};

/// A vote that was recorded.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The run that waits.
    pub run: Run,
    /// Who voted, as the record has them.
    pub by: String,
    /// Where the request stands now.
    pub state: ApprovalState,
    /// How many must say yes.
    pub quorum: u32,
    /// The actions that the vote was about, with how many yes each has now.
    pub actions: Vec<(u32, u32)>,
    /// Those of them that it decided.
    pub decided: Vec<u32>,
}

/// Why a vote was not recorded. Nothing of it stays, except that what expired is marked.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// There is no such request.
    #[error("there is no approval `{id}`")]
    Missing {
        /// What was asked for.
        id: ApprovalId,
    },
    /// The policy does not ask this voter.
    #[error(transparent)]
    NotAsked(#[from] NotAsked),
    /// The vote does not count.
    #[error(transparent)]
    Refused(#[from] VoteRefusal),
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Records what somebody says to some actions of a request, or to all that wait where `only` is
/// `None`.
///
/// # Errors
/// See [`CastError`].
pub async fn cast(
    journal: &Journal,
    id: &ApprovalId,
    voter: &Voter,
    vote: &Vote,
    only: Option<Vec<u32>>,
) -> Result<Cast, CastError> {
    let (of, by, what) = (id.clone(), voter.clone(), vote.clone());
    // A refusal is an answer and no error, so that an expiry it found is recorded.
    let answer = journal.write(move |tx| decide(tx, &of, &by, &what, only.as_deref())).await?;
    // Signed, so that a decision cannot be cut off unseen.
    journal.checkpoint().await?;
    answer
}

pub(super) fn decide(
    tx: &mut Tx<'_>,
    id: &ApprovalId,
    voter: &Voter,
    vote: &Vote,
    only: Option<&[u32]>,
) -> Result<Result<Cast, CastError>, JournalError> {
    let Some(approval) = tx.approval(id)? else {
        return Ok(Err(CastError::Missing { id: id.clone() }));
    };
    // Another spelling of the requester's name is still the requester's.
    if folded(&approval.requester) == folded(&voter.name) {
        let who = voter.name.clone();
        return Ok(Err(VoteRefusal::OwnRequest { who }.into()));
    }
    let (voter, standing) = match voter.standing(tx, &approval.approvers)? {
        Ok(standing) => standing,
        Err(refusal) => return Ok(Err(refusal.into())),
    };
    let run = run_of(tx, &approval)?;
    // Whoever voted before keeps the spelling of then: one person is one vote.
    let before = tx.votes(id)?;
    let spelled = before.iter().find(|cast| folded(&cast.who) == folded(&voter.name));
    let voter = Voter { name: spelled.map_or(voter.name, |cast| cast.who.clone()), ..voter };
    let voted_before: Vec<u32> =
        before.iter().filter(|cast| cast.who == voter.name).map(|cast| cast.action).collect();
    let (state, decided) = match tx.vote(id, &voter.name, vote, only)? {
        VoteOutcome::Recorded { state, decided } => (state, decided),
        VoteOutcome::Refused(refusal) => {
            if let VoteRefusal::Expired { .. } = refusal {
                expire(tx, &voter.name)?;
            }
            return Ok(Err(refusal.into()));
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
            leaf(&run, &approval, &action, &voter, &standing)?.status(status).with("votes", n_yes);
        let leaf = match vote {
            Vote::Deny { reason } => leaf.with("reason", reason.as_str()),
            Vote::Approve => leaf,
        };
        tx.append_leaf(leaf)?;
        about.push((action.n, n_yes));
    }
    let (by, quorum) = (voter.name, approval.quorum);
    Ok(Ok(Cast { run, by, state, quorum, actions: about, decided }))
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
        .about(&action.action.operation, action.action.effect_key.as_ref(), params.as_ref())
        .in_world(&run.world)
        .with("approval", approval.id.as_str())
        .with("action", action.n)
        .with("digest", action.action.digest.to_string())
        .with("quorum", approval.quorum);
    let leaf = match &voter.proof {
        Proof::Said => leaf,
        Proof::Session(_) => leaf.with("via", "session"),
        Proof::Token(id, _) => leaf.with("via", id.as_str()),
    };
    Ok(match standing {
        Standing::Named => leaf,
        Standing::Role { role, checked } => {
            leaf.with("role", role.as_str()).with("role_checked", *checked)
        }
    })
}
