//! What time does to requests, done by whoever looks: the daemon, every second.

use arx_journal::{Approval, Journal, JournalError, NotificationKind, Run};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ACTOR, expire, leaf_of, run_of};
use crate::notices;

/// Something that time did to a request.
#[derive(Clone, Debug)]
pub struct Due {
    /// The request, as it is now.
    pub approval: Approval,
    /// Its run.
    pub run: Run,
    /// What happened.
    pub what: Happened,
}

/// What time does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Its approvers are reminded.
    Reminded,
    /// Others are asked as well.
    Escalated,
    /// It is over; its run can go on and hear so.
    Expired,
}

/// Does what is due by now: ends what is over, asks others, reminds. Each happens once, with its
/// leaf and its notice in one transaction, and an end comes first.
///
/// One look at an index where nothing is due. At most [`arx_journal::approvals::DUE_MAX`] of each
/// at a time; a caller that gets any asks again.
///
/// # Errors
/// When the journal cannot be read or written.
pub async fn tend(journal: &Journal, now: Timestamp) -> Result<Vec<Due>, JournalError> {
    if !journal.read(move |reader| reader.approvals_due(now)).await? {
        return Ok(Vec::new());
    }
    let done = journal
        .write(|tx| {
            let mut done = Vec::new();
            for (approval, run) in expire(tx, ACTOR)? {
                done.push(Due { approval, run, what: Happened::Expired });
            }
            for approval in tx.escalate_approvals()? {
                let run = run_of(tx, &approval)?;
                let leaf = leaf_of(&run, &approval, ACTOR, "escalated");
                tx.append_leaf(leaf.with("to", json!(approval.escalate_to)))?;
                notices::of_approval(tx, NotificationKind::ApprovalEscalated, &run, &approval)?;
                done.push(Due { approval, run, what: Happened::Escalated });
            }
            for approval in tx.remind_approvals()? {
                let run = run_of(tx, &approval)?;
                notices::of_approval(tx, NotificationKind::ApprovalReminder, &run, &approval)?;
                done.push(Due { approval, run, what: Happened::Reminded });
            }
            Ok::<_, JournalError>(done)
        })
        .await?;
    if done.iter().any(|due| due.what != Happened::Reminded) {
        journal.checkpoint().await?;
    }
    Ok(done)
}

/// When a request that is asked now is reminded of, and when others are asked: never where it ends
/// before that, or where there is nobody to ask.
pub(crate) fn deadlines(
    now: Timestamp,
    expires: SignedDuration,
    after: SignedDuration,
    escalates: bool,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let escalates = escalates && after < expires;
    let half = if escalates { after / 2 } else { expires / 2 };
    let at = |span: SignedDuration| now.checked_add(span).ok();
    (at(half), escalates.then(|| at(after)).flatten())
}
