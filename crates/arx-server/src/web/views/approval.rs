//! Requests for approval: what is asked for, by whom, why, and who said what.

use arx_journal::{
    ActionState, Approval, ApprovalAction, ApprovalState, CastVote, JournalError, Reader, Vote,
};
use arx_types::{ApprovalId, RiskScore};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Page;
use crate::web::Problem;
use crate::web::times::At;

/// A request, without its actions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalHead {
    /// Its identifier.
    pub(crate) id: String,
    /// The run that waits.
    pub(crate) run: String,
    /// That run's workflow.
    pub(crate) workflow: String,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled` or `used`.
    pub(crate) state: String,
    /// Who started the run, and so may not decide.
    pub(crate) requester: String,
    /// Who is asked.
    pub(crate) approvers: Vec<String>,
    /// How many must say yes to an action.
    pub(crate) quorum: u32,
    /// When it was asked.
    pub(crate) requested_at: At,
    /// When it becomes worthless.
    pub(crate) expires_at: At,
    /// How many actions it asks for.
    pub(crate) n_actions: u64,
    /// What it asks for first, such as `pagerduty.incidents:create`.
    pub(crate) operation: Option<String>,
    /// The highest risk class among its actions: `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`.
    pub(crate) severity: String,
}

/// A request with everything that a human needs for deciding.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalDetail {
    /// The request.
    #[serde(flatten)]
    pub(crate) head: ApprovalHead,
    /// What is asked for.
    pub(crate) actions: Vec<ActionView>,
}

/// One action of a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ActionView {
    /// Its place in the request, from 0.
    pub(crate) n: u32,
    /// `pending`, `approved`, `denied` or `used`.
    pub(crate) state: String,
    /// What would be called.
    pub(crate) operation: String,
    /// What the write is, across runs.
    pub(crate) effect: Option<String>,
    /// What would be sent, redacted.
    #[schema(value_type = Object)]
    pub(crate) params: Value,
    /// What it follows from, as references such as `merge:<sha256>`.
    pub(crate) lineage: Vec<String>,
    /// What an approval is bound to: a change of any of it makes the approval worthless.
    pub(crate) digest: String,
    /// The rule, limit or threshold that asked.
    pub(crate) rule: Option<String>,
    /// Every reason, as sentences.
    pub(crate) reasons: Vec<String>,
    /// The risk score with its factors.
    pub(crate) risk: Option<RiskView>,
    /// Who said what.
    pub(crate) votes: Vec<VoteView>,
}

/// A risk score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RiskView {
    /// The operation's declared class.
    pub(crate) class: String,
    /// The sum of the factors.
    pub(crate) raw: u8,
    /// The sum, held within the bounds of the class.
    pub(crate) score: u8,
    /// The addends.
    pub(crate) factors: Vec<FactorView>,
}

/// One addend of a risk score.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FactorView {
    /// Its name.
    pub(crate) name: String,
    /// Its points.
    pub(crate) points: u8,
    /// What it rests on.
    pub(crate) on: String,
}

/// What somebody said to an action.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VoteView {
    /// Who.
    pub(crate) who: String,
    /// `approve` or `deny`.
    pub(crate) vote: String,
    /// Why not.
    pub(crate) reason: Option<String>,
    /// When.
    pub(crate) at: At,
}

/// Where a request stands now: one whose time is over may not be marked yet.
pub(crate) fn state(approval: &Approval, now: Timestamp) -> ApprovalState {
    match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if approval.expires_at <= now => {
            ApprovalState::Expired
        }
        state => state,
    }
}

/// A request without its actions, which may be many.
pub(crate) fn head(
    reader: &Reader<'_>,
    approval: &Approval,
    now: Timestamp,
) -> Result<ApprovalHead, JournalError> {
    let (n_actions, operation) = reader.approval_size(&approval.id)?;
    Ok(ApprovalHead {
        id: approval.id.to_string(),
        run: approval.run.to_string(),
        workflow: approval.workflow.clone(),
        state: state(approval, now).as_str().to_owned(),
        requester: approval.requester.clone(),
        approvers: approval.approvers.clone(),
        quorum: approval.quorum,
        requested_at: approval.requested_at.into(),
        expires_at: approval.expires_at.into(),
        n_actions,
        operation: operation.map(|operation| operation.to_string()),
        severity: approval.severity.to_string(),
    })
}

fn risk(action: &ApprovalAction) -> Option<RiskView> {
    let risk: RiskScore = action.action.risk.as_ref()?.unpack().ok()?;
    Some(RiskView {
        class: risk.class.to_string(),
        raw: risk.raw,
        score: risk.score,
        factors: risk
            .factors
            .into_iter()
            .map(|factor| FactorView { name: factor.name, points: factor.points, on: factor.on })
            .collect(),
    })
}

fn action(action: &ApprovalAction, votes: &[CastVote]) -> ActionView {
    // What cannot be read is shown as nothing, and nothing is not what anybody approves.
    let preview: Value = action.action.preview.unpack().unwrap_or_default();
    let texts = |name: &str| -> Option<Vec<String>> {
        let listed = preview.get(name)?.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    ActionView {
        n: action.n,
        state: action.state.as_str().to_owned(),
        operation: action.action.operation.to_string(),
        effect: action.action.effect_key.as_ref().map(ToString::to_string),
        params: preview.get("params").cloned().unwrap_or_default(),
        lineage: texts("lineage").unwrap_or_default(),
        digest: action.action.digest.to_string(),
        rule: preview.get("rule").and_then(Value::as_str).map(str::to_owned),
        reasons: texts("reasons").unwrap_or_else(|| vec![action.action.reason.clone()]),
        risk: risk(action),
        votes: votes
            .iter()
            .filter(|cast| cast.action == action.n)
            .map(|cast| {
                let (vote, reason) = match &cast.vote {
                    Vote::Approve => ("approve", None),
                    Vote::Deny { reason } => ("deny", Some(reason.clone())),
                };
                VoteView {
                    who: cast.who.clone(),
                    vote: vote.to_owned(),
                    reason,
                    at: cast.at.into(),
                }
            })
            .collect(),
    }
}

impl ActionView {
    pub(crate) fn is_open(&self) -> bool {
        self.state == ActionState::Pending.as_str()
    }
}

/// A page of requests, newest first.
pub(crate) fn list(
    reader: &Reader<'_>,
    wanted: Option<ApprovalState>,
    before: Option<&ApprovalId>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<ApprovalHead>, JournalError> {
    let found = reader.approvals_page(wanted, before, limit + 1)?;
    let page = Page::cut(found, limit, |approval| approval.id.to_string());
    let mut items = Vec::with_capacity(page.items.len());
    for approval in &page.items {
        items.push(head(reader, approval, now)?);
    }
    Ok(Page { items, next: page.next })
}

/// A request with everything in it.
pub(crate) fn detail(
    reader: &Reader<'_>,
    id: &ApprovalId,
    now: Timestamp,
) -> Result<Option<ApprovalDetail>, JournalError> {
    let Some(approval) = reader.approval(id)? else { return Ok(None) };
    let actions = reader.approval_actions(id)?;
    let votes = reader.votes(id)?;
    Ok(Some(ApprovalDetail {
        head: head(reader, &approval, now)?,
        actions: actions.iter().map(|one| action(one, &votes)).collect(),
    }))
}

/// The state that a word names.
pub(crate) fn state_named(word: &str) -> Result<ApprovalState, Problem> {
    let all = [
        ApprovalState::Pending,
        ApprovalState::Approved,
        ApprovalState::Denied,
        ApprovalState::Expired,
        ApprovalState::Cancelled,
        ApprovalState::Used,
    ];
    let found = all.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| Problem::unprocessable("that is no state of an approval"))
}
