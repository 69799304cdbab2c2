//! Votes, and what they add up to.

use arx_types::ApprovalId;
use jiff::Timestamp;
use rusqlite::params;

use super::{ActionState, ApprovalState};
use crate::column::{Micros, Worded};
use crate::people::folded;
use crate::{JournalError, Reader, Tx};

/// What somebody says to one or more actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Yes.
    Approve,
    /// No, and why. One no is enough.
    Deny {
        /// The reason, which the workflow and the log will show.
        reason: String,
    },
}

/// The answer to a vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoteOutcome {
    /// It is recorded.
    Recorded {
        /// Where the approval stands now.
        state: ApprovalState,
        /// The actions that this vote decided, by their place.
        decided: Vec<u32>,
    },
    /// Nothing is recorded.
    Refused(VoteRefusal),
}

/// Why a vote is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoteRefusal {
    /// Nobody decides on what they asked for.
    #[error("`{who}` started the run and cannot decide on it")]
    OwnRequest {
        /// Who tried.
        who: String,
    },
    /// Its time is over.
    #[error("the approval expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// There is nothing left to decide.
    #[error("the approval is {} already", state.as_str())]
    Decided {
        /// Where it stands.
        state: ApprovalState,
    },
    /// One of the actions is decided.
    #[error("action {n} of the approval is {} already", state.as_str())]
    ActionDecided {
        /// Its place.
        n: u32,
        /// Where it stands.
        state: ActionState,
    },
    /// Somebody votes once on each action.
    #[error("`{who}` has voted on action {n} already")]
    Again {
        /// Who tried.
        who: String,
        /// The action's place.
        n: u32,
    },
    /// There is no such action.
    #[error("the approval has no action {n}")]
    NoAction {
        /// The place asked for.
        n: u32,
    },
}

impl Tx<'_> {
    /// Records what somebody says to some actions of an approval, or to all that wait where
    /// `actions` is `None`.
    ///
    /// An action is approved by as many yes as the quorum says, and denied by one no. A vote that
    /// is refused for one action is refused whole.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when there is no such approval.
    pub fn vote(
        &mut self,
        id: &ApprovalId,
        who: &str,
        vote: &Vote,
        actions: Option<&[u32]>,
    ) -> Result<VoteOutcome, JournalError> {
        let not_found = || JournalError::NotFound { kind: "approval", id: id.to_string() };
        let approval = self.approval(id)?.ok_or_else(not_found)?;
        let now = self.now();
        let refused = |refusal| Ok(VoteOutcome::Refused(refusal));
        if folded(&approval.requester) == folded(who) {
            return refused(VoteRefusal::OwnRequest { who: who.to_owned() });
        }
        match approval.state {
            ApprovalState::Pending if approval.expires_at <= now => {
                return refused(VoteRefusal::Expired { at: approval.expires_at });
            }
            ApprovalState::Expired => {
                return refused(VoteRefusal::Expired { at: approval.expires_at });
            }
            ApprovalState::Pending => {}
            state @ (ApprovalState::Approved
            | ApprovalState::Denied
            | ApprovalState::Cancelled
            | ApprovalState::Used) => return refused(VoteRefusal::Decided { state }),
        }
        let sql = "SELECT n FROM approvals WHERE id = ?1";
        let n_approval: i64 =
            self.row(sql, [id.as_str()], |row| row.get(0))?.ok_or_else(not_found)?;
        let chosen = match self.choose(n_approval, who, actions)? {
            Ok(chosen) => chosen,
            Err(refusal) => return refused(refusal),
        };
        let mut decided = Vec::new();
        for n in chosen {
            if let Some(state) = self.cast(n_approval, n, who, vote, approval.quorum)? {
                self.set_action(n_approval, n, state)?;
                decided.push(n);
            }
        }
        let state = self.derive_state(n_approval)?;
        Ok(VoteOutcome::Recorded { state, decided })
    }

    /// Records one vote; returns the state that it brings the action into.
    fn cast(
        &self,
        approval: i64,
        n: u32,
        who: &str,
        vote: &Vote,
        quorum: u32,
    ) -> Result<Option<ActionState>, JournalError> {
        let (decision, reason) = match vote {
            Vote::Approve => ("approve", None),
            Vote::Deny { reason } => ("deny", Some(reason)),
        };
        self.execute(
            "INSERT INTO votes (approval, action, who, decision, reason, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![approval, n, who, decision, reason, Micros(self.now())],
        )?;
        if let Vote::Deny { .. } = vote {
            return Ok(Some(ActionState::Denied));
        }
        let sql = "SELECT count(*) FROM votes \
                   WHERE approval = ?1 AND action = ?2 AND decision = 'approve'";
        let n_yes: u32 = self.row(sql, params![approval, n], |row| row.get(0))?.unwrap_or(0);
        Ok((n_yes >= quorum).then_some(ActionState::Approved))
    }
}

/// What somebody said to one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastVote {
    /// The action's place in the request.
    pub action: u32,
    /// Who.
    pub who: String,
    /// Yes, or no with the reason.
    pub vote: Vote,
    /// When.
    pub at: Timestamp,
}

impl Reader<'_> {
    /// Every vote on an approval, by action and then in the order in which they were cast.
    pub fn votes(&self, id: &ApprovalId) -> Result<Vec<CastVote>, JournalError> {
        self.rows(
            "SELECT action, who, decision = 'approve', votes.reason, at FROM votes \
             JOIN approvals ON approvals.n = votes.approval WHERE id = ?1 \
             ORDER BY action, at, who",
            [id.as_str()],
            |row| {
                let reason: Option<String> = row.get(3)?;
                let vote = match row.get(2)? {
                    true => Vote::Approve,
                    false => Vote::Deny { reason: reason.unwrap_or_default() },
                };
                Ok(CastVote {
                    action: row.get(0)?,
                    who: row.get(1)?,
                    vote,
                    at: row.get::<_, Micros>(4)?.0,
                })
            },
        )
    }

    /// The actions that a vote is about, or why it is refused.
    fn choose(
        &self,
        approval: i64,
        who: &str,
        actions: Option<&[u32]>,
    ) -> Result<Result<Vec<u32>, VoteRefusal>, JournalError> {
        let all = self.rows(
            "SELECT n, state, EXISTS (SELECT 1 FROM votes WHERE votes.approval = ?1 \
             AND action = approval_actions.n AND who = ?2) \
             FROM approval_actions WHERE approval = ?1 ORDER BY n",
            params![approval, who],
            |row| Ok((row.get(0)?, row.get::<_, Worded<ActionState>>(1)?.0, row.get(2)?)),
        )?;
        let mut chosen = Vec::new();
        let Some(wanted) = actions else {
            let mut last_voted = None;
            for (n, state, has_voted) in all {
                match (state, has_voted) {
                    (ActionState::Pending, false) => chosen.push(n),
                    (ActionState::Pending, true) => last_voted = Some(n),
                    (ActionState::Approved | ActionState::Denied | ActionState::Used, _) => {}
                }
            }
            return Ok(match (chosen.is_empty(), last_voted) {
                (true, Some(n)) => Err(VoteRefusal::Again { who: who.to_owned(), n }),
                _ => Ok(chosen),
            });
        };
        for wanted in wanted {
            let Some((n, state, has_voted)) = all.iter().find(|(n, ..)| n == wanted) else {
                return Ok(Err(VoteRefusal::NoAction { n: *wanted }));
            };
            if *state != ActionState::Pending {
                return Ok(Err(VoteRefusal::ActionDecided { n: *n, state: *state }));
            }
            if *has_voted || chosen.contains(n) {
                return Ok(Err(VoteRefusal::Again { who: who.to_owned(), n: *n }));
            }
            chosen.push(*n);
        }
        Ok(Ok(chosen))
    }
}
