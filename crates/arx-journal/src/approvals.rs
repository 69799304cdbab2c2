//! Approvals: what waits for a human, who said what, and the one use of each yes.
//!
//! INVARIANT (no yes by default): an action becomes approved by votes alone. Expiry, cancelling,
//! a refusal and every error leave it not approved, and none of them is ever undone.
//! INVARIANT (single use): an approved action is taken once, in the transaction that records the
//! intent it allows, and never after the approval expires.
//!
//! Whether somebody *may* vote (roles) is the caller's to check; that nobody votes on what they
//! asked for, or twice, is checked here.

mod deadlines;
#[cfg(test)]
mod tests;
mod vote;

use std::cmp::Reverse;

use arx_types::{ApprovalId, Digest, EffectKey, Operation, RiskClass, RunId};
use jiff::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use crate::column::{Bytes32, Micros, Text, Word, Worded};
use crate::conditions::Conditions;
use crate::{JournalError, Packed, Reader, Tx};

pub use deadlines::DUE_MAX;
pub use vote::{CastVote, Vote, VoteOutcome, VoteRefusal};

/// The most actions that one approval asks for.
pub const ACTIONS_MAX: usize = 10_000;
/// The most approvals that one listing returns.
pub const APPROVALS_LISTED_MAX: usize = 10_000;

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApprovalState {
    /// At least one action waits for votes.
    Pending,
    /// Every action is decided, and at least one is approved and not used.
    Approved,
    /// Every action is denied.
    Denied,
    /// Its time is over; what was not used by then never will be.
    Expired,
    /// Its run was cancelled.
    Cancelled,
    /// Every approved action was used.
    Used,
}

/// Where one action of an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionState {
    /// It waits for votes.
    Pending,
    /// Enough people said yes; it may be used once.
    Approved,
    /// Somebody said no.
    Denied,
    /// It was let through.
    Used,
}

macro_rules! words {
    ($name:ident, $kind:literal, $($variant:ident => $word:literal),+) => {
        impl $name {
            /// The word used in records.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Word for $name {
            const KIND: &'static str = $kind;
            fn of_word(text: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|state| state.as_str() == text)
            }
        }
    };
}

words!(ApprovalState, "approval state", Pending => "pending", Approved => "approved",
    Denied => "denied", Expired => "expired", Cancelled => "cancelled", Used => "used");
words!(ActionState, "state of an approval's action", Pending => "pending",
    Approved => "approved", Denied => "denied", Used => "used");

impl Word for RiskClass {
    const KIND: &'static str = "risk class";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|class| class.as_str() == text)
    }
}

/// A request to be put to humans.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// Its identifier.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// That run's workflow.
    pub workflow: String,
    /// Who started the run, and so may not vote.
    pub requester: String,
    /// Who is asked, e.g. `role:approver`.
    pub approvers: Vec<String>,
    /// How many must say yes to an action; at least 1.
    pub quorum: u32,
    /// When it becomes worthless.
    pub expires_at: Timestamp,
    /// The highest class among its actions.
    pub severity: RiskClass,
    /// Who is asked as well once the first group took too long.
    pub escalate_to: Vec<String>,
    /// When somebody is reminded, if ever.
    pub remind_at: Option<Timestamp>,
    /// When the second group is asked, if ever.
    pub escalate_at: Option<Timestamp>,
    /// What is asked for.
    pub actions: Vec<NewAction>,
}

/// One action of a request.
#[derive(Clone, Debug)]
pub struct NewAction {
    /// What the approval is bound to: the digest of workflow version, policy version, operation
    /// and parameters.
    pub digest: Digest,
    /// What would be called.
    pub operation: Operation,
    /// What would be sent, redacted.
    pub preview: Packed,
    /// What the write is, across runs.
    pub effect_key: Option<EffectKey>,
    /// The risk score with its factors.
    pub risk: Option<Packed>,
    /// Why it needs a human.
    pub reason: String,
}

/// An approval as recorded.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Its identifier.
    pub id: ApprovalId,
    /// The run that waits.
    pub run: RunId,
    /// That run's workflow.
    pub workflow: String,
    /// Where it stands. One whose time is over may still say pending or approved until the next
    /// [`Tx::expire_approvals`]; it is worthless all the same.
    pub state: ApprovalState,
    /// Who may not vote.
    pub requester: String,
    /// Who is asked.
    pub approvers: Vec<String>,
    /// How many must say yes.
    pub quorum: u32,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it becomes worthless.
    pub expires_at: Timestamp,
    /// The highest class among its actions.
    pub severity: RiskClass,
    /// Who is asked as well once the first group took too long.
    pub escalate_to: Vec<String>,
    /// When somebody is reminded; none once that is done, or never.
    pub remind_at: Option<Timestamp>,
    /// When the second group is asked; none once that is done, or never.
    pub escalate_at: Option<Timestamp>,
    /// Since when the second group is asked, and among the approvers.
    pub escalated_at: Option<Timestamp>,
}

/// One action of an approval as recorded.
#[derive(Clone, Debug)]
pub struct ApprovalAction {
    /// Its place in the request, from 0.
    pub n: u32,
    /// What was asked for.
    pub action: NewAction,
    /// Where it stands.
    pub state: ActionState,
}

/// The answer to asking for an approved action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenApproval {
    /// It was approved, and is now used.
    Approved {
        /// By which approval.
        approval: ApprovalId,
        /// Who said yes.
        by: Vec<String>,
    },
    /// It waits for votes.
    Pending {
        /// In which approval.
        approval: ApprovalId,
    },
    /// Somebody said no, or the run was cancelled.
    Denied {
        /// In which approval.
        approval: ApprovalId,
        /// Why.
        reason: String,
        /// Who, where it was a vote.
        by: Option<String>,
    },
    /// Its time was over before it was used.
    Expired {
        /// Which approval.
        approval: ApprovalId,
    },
    /// It was never asked for, or every yes was used.
    None,
}

/// An action on its way to being taken.
struct Candidate {
    n_approval: i64,
    approval: ApprovalId,
    approval_state: ApprovalState,
    expires_at: Timestamp,
    n: u32,
    state: ActionState,
}

impl Tx<'_> {
    /// Asks for a batch of actions.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when it asks for nothing, for more than [`ACTIONS_MAX`], for a
    /// quorum of none, or expires in the past.
    pub fn request_approval(&mut self, approval: &NewApproval) -> Result<(), JournalError> {
        let now = self.now();
        let invalid = |reason: &str| {
            Err(JournalError::Invalid { what: "approval", reason: reason.to_owned() })
        };
        if approval.actions.is_empty() {
            return invalid("it asks for nothing");
        }
        if approval.actions.len() > ACTIONS_MAX {
            return invalid("it asks for too many actions at once");
        }
        if approval.quorum == 0 {
            return invalid("a quorum of none would approve by itself");
        }
        if approval.expires_at <= now {
            return invalid("it would expire at once");
        }
        self.execute(
            "INSERT INTO approvals (id, run, workflow, state, requester, approvers, quorum, \
             requested_at, expires_at, severity, escalate_to, remind_at, escalate_at) \
             VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                approval.id.as_str(),
                approval.run.as_str(),
                approval.workflow,
                approval.requester,
                list_json(&approval.approvers)?,
                approval.quorum,
                Micros(now),
                Micros(approval.expires_at),
                approval.severity.as_str(),
                list_json(&approval.escalate_to)?,
                approval.remind_at.map(Micros),
                approval.escalate_at.map(Micros),
            ],
        )?;
        let n_approval = self.connection().last_insert_rowid();
        for (n, action) in (0_u32..).zip(&approval.actions) {
            self.execute(
                "INSERT INTO approval_actions (approval, n, digest, operation, preview, \
                 effect_key, risk, reason, state) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'pending')",
                params![
                    n_approval,
                    n,
                    Bytes32(action.digest),
                    action.operation.to_string(),
                    action.preview,
                    action.effect_key.as_ref().map(EffectKey::as_str),
                    action.risk,
                    action.reason,
                ],
            )?;
        }
        Ok(())
    }

    /// Uses up the approval of an action of this run, if there is one; called in the write that
    /// records what it allows, so that both happen or neither.
    ///
    /// The newest request that names the action counts; in it, an approved one before a pending
    /// one before a denied one.
    pub fn take_approval(
        &mut self,
        run: &RunId,
        digest: &Digest,
    ) -> Result<TakenApproval, JournalError> {
        let now = self.now();
        // Sorted here: every call asks, hardly any finds something, and SQLite would make a table
        // to sort in each time.
        let found = self.rows(
            "SELECT approvals.n, id, approvals.state, expires_at, approval_actions.n, \
             approval_actions.state FROM approval_actions \
             JOIN approvals ON approvals.n = approval_actions.approval \
             WHERE digest = ?1 AND run = ?2",
            params![Bytes32(*digest), run.as_str()],
            |row| {
                Ok(Candidate {
                    n_approval: row.get(0)?,
                    approval: row.get::<_, Text<ApprovalId>>(1)?.0,
                    approval_state: row.get::<_, Worded<ApprovalState>>(2)?.0,
                    expires_at: row.get::<_, Micros>(3)?.0,
                    n: row.get(4)?,
                    state: row.get::<_, Worded<ActionState>>(5)?.0,
                })
            },
        )?;
        let order = |found: &Candidate| {
            let of_state = match found.state {
                ActionState::Approved => 0,
                ActionState::Pending => 1,
                ActionState::Denied => 2,
                ActionState::Used => 3,
            };
            (Reverse(found.n_approval), of_state, found.n)
        };
        let Some(found) = found.into_iter().min_by_key(order) else {
            return Ok(TakenApproval::None);
        };
        let approval = found.approval.clone();
        match (found.state, found.approval_state) {
            (ActionState::Used, _) => Ok(TakenApproval::None),
            (ActionState::Denied, _) => {
                let (by, reason) = self.refusal_of(&found)?;
                Ok(TakenApproval::Denied { approval, reason, by: Some(by) })
            }
            (_, ApprovalState::Cancelled) => {
                let reason = "the request was cancelled".to_owned();
                Ok(TakenApproval::Denied { approval, reason, by: None })
            }
            (_, ApprovalState::Expired) => Ok(TakenApproval::Expired { approval }),
            _ if found.expires_at <= now => Ok(TakenApproval::Expired { approval }),
            (ActionState::Pending, _) => Ok(TakenApproval::Pending { approval }),
            (ActionState::Approved, _) => {
                self.set_action(found.n_approval, found.n, ActionState::Used)?;
                self.derive_state(found.n_approval)?;
                let by = self.rows(
                    "SELECT who FROM votes WHERE approval = ?1 AND action = ?2 \
                     AND decision = 'approve' ORDER BY at, who",
                    params![found.n_approval, found.n],
                    |row| row.get(0),
                )?;
                Ok(TakenApproval::Approved { approval, by })
            }
        }
    }

    /// Withdraws what a run still asks for, and returns it.
    pub fn cancel_approvals(&mut self, run: &RunId) -> Result<Vec<Approval>, JournalError> {
        let sql = format!(
            "UPDATE approvals SET state = 'cancelled' \
             WHERE state IN ('pending', 'approved') AND run = ?1 RETURNING {COLUMNS}"
        );
        self.rows(&sql, [run.as_str()], read_approval)
    }

    fn refusal_of(&self, found: &Candidate) -> Result<(String, String), JournalError> {
        let refusal = self.row(
            "SELECT who, reason FROM votes WHERE approval = ?1 AND action = ?2 \
             AND decision = 'deny' ORDER BY at LIMIT 1",
            params![found.n_approval, found.n],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)),
        )?;
        let (by, reason) = refusal.unwrap_or_default();
        Ok((by, reason.unwrap_or_else(|| "no reason given".to_owned())))
    }

    fn set_action(&self, approval: i64, n: u32, state: ActionState) -> Result<(), JournalError> {
        let sql = "UPDATE approval_actions SET state = ?3 WHERE approval = ?1 AND n = ?2";
        self.execute(sql, params![approval, n, state.as_str()])?;
        Ok(())
    }

    /// Makes the approval's state what its actions add up to; an end stays an end.
    fn derive_state(&self, approval: i64) -> Result<ApprovalState, JournalError> {
        let count = |state: ActionState| {
            let sql = "SELECT count(*) FROM approval_actions WHERE approval = ?1 AND state = ?2";
            self.row(sql, params![approval, state.as_str()], |row| row.get::<_, i64>(0))
                .map(|count| count.unwrap_or(0))
        };
        let state = if count(ActionState::Pending)? > 0 {
            ApprovalState::Pending
        } else if count(ActionState::Approved)? > 0 {
            ApprovalState::Approved
        } else if count(ActionState::Used)? > 0 {
            ApprovalState::Used
        } else {
            ApprovalState::Denied
        };
        self.execute(
            "UPDATE approvals SET state = ?2 WHERE n = ?1 AND state IN ('pending', 'approved')",
            params![approval, state.as_str()],
        )?;
        Ok(state)
    }
}

pub(crate) const COLUMNS: &str = "id, run, workflow, state, requester, approvers, quorum, \
                                  requested_at, expires_at, severity, escalate_to, remind_at, \
                                  escalate_at, escalated_at";

pub(crate) fn read_approval(row: &Row<'_>) -> rusqlite::Result<Approval> {
    Ok(Approval {
        id: row.get::<_, Text<ApprovalId>>(0)?.0,
        run: row.get::<_, Text<RunId>>(1)?.0,
        workflow: row.get(2)?,
        state: row.get::<_, Worded<ApprovalState>>(3)?.0,
        requester: row.get(4)?,
        approvers: read_list(row, 5)?,
        quorum: row.get(6)?,
        requested_at: row.get::<_, Micros>(7)?.0,
        expires_at: row.get::<_, Micros>(8)?.0,
        severity: row.get::<_, Worded<RiskClass>>(9)?.0,
        escalate_to: read_list(row, 10)?,
        remind_at: row.get::<_, Option<Micros>>(11)?.map(|at| at.0),
        escalate_at: row.get::<_, Option<Micros>>(12)?.map(|at| at.0),
        escalated_at: row.get::<_, Option<Micros>>(13)?.map(|at| at.0),
    })
}

fn list_json(list: &[String]) -> Result<String, JournalError> {
    serde_json::to_string(list)
        .map_err(|error| JournalError::Invalid { what: "approval", reason: error.to_string() })
}

fn read_list(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<String>> {
    let list: String = row.get(column)?;
    serde_json::from_str(&list).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

impl Reader<'_> {
    /// An approval.
    pub fn approval(&self, id: &ApprovalId) -> Result<Option<Approval>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM approvals WHERE id = ?1");
        self.row(&sql, [id.as_str()], read_approval)
    }

    /// Approvals, newest first, at most [`APPROVALS_LISTED_MAX`]; of one run, in one state, or
    /// all.
    pub fn approvals(
        &self,
        run: Option<&RunId>,
        state: Option<ApprovalState>,
    ) -> Result<Vec<Approval>, JournalError> {
        let (sql, values) = Conditions::default()
            .given("run = ?", run.map(|run| run.as_str().to_owned()))
            .given("state = ?", state.map(|state| state.as_str().to_owned()))
            .page(&format!("SELECT {COLUMNS} FROM approvals"), "n DESC", 0, APPROVALS_LISTED_MAX);
        self.rows(&sql, params_from_iter(values), read_approval)
    }

    /// What an approval asks for.
    pub fn approval_actions(&self, id: &ApprovalId) -> Result<Vec<ApprovalAction>, JournalError> {
        self.rows(
            "SELECT approval_actions.n, digest, operation, preview, effect_key, risk, reason, \
             approval_actions.state FROM approval_actions \
             JOIN approvals ON approvals.n = approval_actions.approval \
             WHERE id = ?1 ORDER BY approval_actions.n",
            [id.as_str()],
            |row| {
                let action = NewAction {
                    digest: row.get::<_, Bytes32>(1)?.0,
                    operation: row.get::<_, Text<Operation>>(2)?.0,
                    preview: row.get(3)?,
                    effect_key: row.get::<_, Option<Text<EffectKey>>>(4)?.map(|key| key.0),
                    risk: row.get(5)?,
                    reason: row.get(6)?,
                };
                let state = row.get::<_, Worded<ActionState>>(7)?.0;
                Ok(ApprovalAction { n: row.get(0)?, action, state })
            },
        )
    }
}
