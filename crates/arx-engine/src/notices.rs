//! What people are told, queued in the transaction that makes it so.
//!
//! A notice says what waits and where to look. It holds no parameter of a call and nothing that a
//! vendor wrote but the names of effects: it is sent to somebody else's service.

use arx_journal::{Approval, JournalError, NewNotification, NotificationKind, Packed, Run, Tx};
use arx_types::{RiskScore, RunStatus};
use serde_json::{Map, Value, json};

/// The most actions that a notice names.
const ACTIONS_NAMED_MAX: usize = 10;

/// Queues a notice about a request.
///
/// # Errors
/// When it cannot be recorded.
pub fn of_approval(
    tx: &mut Tx<'_>,
    kind: NotificationKind,
    run: &Run,
    approval: &Approval,
) -> Result<(), JournalError> {
    let all = tx.approval_actions(&approval.id)?;
    let actions: Vec<Value> = all
        .iter()
        .take(ACTIONS_NAMED_MAX)
        .map(|action| {
            let risk: Option<RiskScore> =
                action.action.risk.as_ref().and_then(|risk| risk.unpack().ok());
            json!({
                "operation": action.action.operation,
                "effect": action.action.effect_key,
                "risk": risk.map(|risk| risk.score),
            })
        })
        .collect();
    let mut payload = about(run);
    payload.insert("approval".to_owned(), json!(approval.id));
    payload.insert("severity".to_owned(), json!(approval.severity));
    payload.insert("requester".to_owned(), json!(approval.requester));
    payload.insert("approvers".to_owned(), json!(approval.approvers));
    payload.insert("quorum".to_owned(), json!(approval.quorum));
    payload.insert("requested_at".to_owned(), json!(approval.requested_at));
    payload.insert("expires_at".to_owned(), json!(approval.expires_at));
    payload.insert("n_actions".to_owned(), json!(all.len()));
    payload.insert("actions".to_owned(), json!(actions));
    queue(tx, kind, run, Some(approval), payload)
}

/// Queues a notice about a run that came to this status, where anybody has to know: it failed, or
/// needs a human. A dry run bothers nobody.
///
/// # Errors
/// When it cannot be recorded.
pub fn of_run(tx: &mut Tx<'_>, run: &Run, status: RunStatus) -> Result<(), JournalError> {
    let kind = match status {
        RunStatus::Failed => NotificationKind::RunFailed,
        RunStatus::NeedsAttention => NotificationKind::RunNeedsAttention,
        RunStatus::Running
        | RunStatus::Parked
        | RunStatus::Succeeded
        | RunStatus::Interrupted
        | RunStatus::Cancelled => return Ok(()),
    };
    if crate::start::is_dry(run) {
        return Ok(());
    }
    queue(tx, kind, run, None, about(run))
}

fn about(run: &Run) -> Map<String, Value> {
    let fields = [
        ("run", json!(run.id)),
        ("workflow", json!(run.workflow)),
        ("world", json!(run.world.as_str())),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn queue(
    tx: &mut Tx<'_>,
    kind: NotificationKind,
    run: &Run,
    approval: Option<&Approval>,
    payload: Map<String, Value>,
) -> Result<(), JournalError> {
    tx.queue_notification(&NewNotification {
        kind,
        run: run.id.clone(),
        approval: approval.map(|approval| approval.id.clone()),
        payload: Packed::json(&payload)?,
    })
}
