//! What time does to a request that waits: a reminder, a second group that is asked, an end.
//!
//! INVARIANT (once): each of these is taken back from the row in the transaction that returns it,
//! so that whoever asks next is not told again.
//! INVARIANT (an end wins): what is over is neither reminded of nor put to others.

use jiff::Timestamp;
use rusqlite::params;

use super::{Approval, COLUMNS, read_approval};
use crate::column::{Micros, signed};
use crate::{JournalError, Reader, Tx};

/// The most requests that one call returns; the next one returns more.
pub const DUE_MAX: usize = 200;

impl Reader<'_> {
    /// Whether anything is due by a time. Three looks into three small indexes, each named: an
    /// index over all states would have to be read through, once a second.
    pub fn approvals_due(&self, now: Timestamp) -> Result<bool, JournalError> {
        let found = self.row(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM approvals INDEXED BY approvals_open \
               WHERE state IN ('pending', 'approved') AND expires_at <= ?1) \
             OR EXISTS (SELECT 1 FROM approvals INDEXED BY approvals_to_remind \
               WHERE state = 'pending' AND remind_at IS NOT NULL AND remind_at <= ?1) \
             OR EXISTS (SELECT 1 FROM approvals INDEXED BY approvals_to_escalate \
               WHERE state = 'pending' AND escalate_at IS NOT NULL AND escalate_at <= ?1)",
            [Micros(now)],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }
}

impl Tx<'_> {
    /// Marks approvals whose time is over, at most [`DUE_MAX`], and returns them; the caller wakes
    /// their runs.
    pub fn expire_approvals(&mut self) -> Result<Vec<Approval>, JournalError> {
        let sql = format!(
            "UPDATE approvals SET state = 'expired' WHERE n IN (SELECT n FROM approvals \
             INDEXED BY approvals_open \
             WHERE state IN ('pending', 'approved') AND expires_at <= ?1 \
             ORDER BY expires_at LIMIT ?2) RETURNING {COLUMNS}"
        );
        self.rows(&sql, params![Micros(self.now()), signed(DUE_MAX as u64)], read_approval)
    }

    /// Asks the second group as well where the first one took too long, at most [`DUE_MAX`]. No
    /// reminder comes after that.
    pub fn escalate_approvals(&mut self) -> Result<Vec<Approval>, JournalError> {
        let now = Micros(self.now());
        let sql = format!(
            "SELECT {COLUMNS} FROM approvals INDEXED BY approvals_to_escalate WHERE state = 'pending' \
             AND escalate_at IS NOT NULL AND escalate_at <= ?1 AND expires_at > ?1 \
             ORDER BY escalate_at LIMIT ?2"
        );
        let mut due = self.rows(&sql, params![now, signed(DUE_MAX as u64)], read_approval)?;
        for approval in &mut due {
            for entry in &approval.escalate_to {
                if !approval.approvers.contains(entry) {
                    approval.approvers.push(entry.clone());
                }
            }
            let approvers = super::list_json(&approval.approvers)?;
            self.execute(
                "UPDATE approvals SET approvers = ?2, escalated_at = ?3, escalate_at = NULL, \
                 remind_at = NULL WHERE id = ?1",
                params![approval.id.as_str(), approvers, now],
            )?;
            (approval.escalated_at, approval.escalate_at) = (Some(now.0), None);
            approval.remind_at = None;
        }
        Ok(due)
    }

    /// Requests that somebody should be reminded of, at most [`DUE_MAX`].
    pub fn remind_approvals(&mut self) -> Result<Vec<Approval>, JournalError> {
        let sql = format!(
            "UPDATE approvals SET remind_at = NULL WHERE n IN (SELECT n FROM approvals \
             INDEXED BY approvals_to_remind \
             WHERE state = 'pending' AND remind_at IS NOT NULL AND remind_at <= ?1 \
             AND expires_at > ?1 ORDER BY remind_at LIMIT ?2) RETURNING {COLUMNS}"
        );
        self.rows(&sql, params![Micros(self.now()), signed(DUE_MAX as u64)], read_approval)
    }
}
