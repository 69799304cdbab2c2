//! The outbox: what people are to be told, written together with what it is about.
//!
//! Whoever delivers takes a message for a while ([`Tx::claim_notifications`]) and says what came of
//! it. A message that was delivered is never given out again; one whose taker died is, under the
//! same identifier. A payload holds no secret: it is sent to somebody else's service.

#[cfg(test)]
mod tests;

use arx_types::{ApprovalId, RunId};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, params};

use crate::column::{Micros, Text, Word, Worded, signed};
use crate::{ApprovalState, JournalError, Packed, Reader, Tx};

/// The most messages that one claim takes.
pub const CLAIMED_MAX: usize = 20;
/// A message that is older tells nobody anything.
const STALE_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// How long what became of a message can be looked up.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The longest reason of a failure that is kept, in characters.
const REASON_CHARS_MAX: usize = 300;

/// What somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    /// A request waits for them.
    ApprovalRequested,
    /// It still waits.
    ApprovalReminder,
    /// It waited too long for others, and is theirs as well.
    ApprovalEscalated,
    /// Nobody decided in time.
    ApprovalExpired,
    /// An effect of unknown outcome needs a human.
    RunNeedsAttention,
    /// A run failed.
    RunFailed,
}

impl NotificationKind {
    const ALL: [Self; 6] = [
        Self::ApprovalRequested,
        Self::ApprovalReminder,
        Self::ApprovalEscalated,
        Self::ApprovalExpired,
        Self::RunNeedsAttention,
        Self::RunFailed,
    ];

    /// The word used in records and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalRequested => "approval_requested",
            Self::ApprovalReminder => "approval_reminder",
            Self::ApprovalEscalated => "approval_escalated",
            Self::ApprovalExpired => "approval_expired",
            Self::RunNeedsAttention => "run_needs_attention",
            Self::RunFailed => "run_failed",
        }
    }

    /// Whether it asks for a decision, which somebody may have made meanwhile.
    fn asks(self) -> bool {
        match self {
            Self::ApprovalRequested | Self::ApprovalReminder | Self::ApprovalEscalated => true,
            Self::ApprovalExpired | Self::RunNeedsAttention | Self::RunFailed => false,
        }
    }
}

impl Word for NotificationKind {
    const KIND: &'static str = "kind of notification";
    fn of_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where messages go. Each message is kept once for each target, so that one that is slow makes
/// nobody hear the other twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A Slack channel.
    Slack,
    /// Any service that takes signed JSON.
    Webhook,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 2] = [Self::Slack, Self::Webhook];

    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
        }
    }
}

impl Word for Target {
    const KIND: &'static str = "target of notifications";
    fn of_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.as_str() == text)
    }
}

/// A message about to be queued.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// What it tells.
    pub kind: NotificationKind,
    /// The run it is about.
    pub run: RunId,
    /// The request it is about.
    pub approval: Option<ApprovalId>,
    /// What it says, without secrets.
    pub payload: Packed,
}

/// A message to one target.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its identifier, the same at every attempt.
    pub id: String,
    /// What it tells.
    pub kind: NotificationKind,
    /// Where it goes.
    pub target: Target,
    /// The run it is about.
    pub run: RunId,
    /// The request it is about.
    pub approval: Option<ApprovalId>,
    /// What it says.
    pub payload: Packed,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// When it is tried next; none once it is delivered or given up.
    pub due_at: Option<Timestamp>,
    /// How often it was tried, with the attempt under way.
    pub attempts: u32,
    /// When it was delivered.
    pub delivered_at: Option<Timestamp>,
    /// Why the last attempt failed, or why there was none.
    pub failed: Option<String>,
}

const COLUMNS: &str = "id, kind, target, run, approval, payload, created_at, due_at, attempts, \
                       delivered_at, failed";

fn read_notification(row: &Row<'_>) -> rusqlite::Result<Notification> {
    Ok(Notification {
        id: row.get(0)?,
        kind: row.get::<_, Worded<NotificationKind>>(1)?.0,
        target: row.get::<_, Worded<Target>>(2)?.0,
        run: row.get::<_, Text<RunId>>(3)?.0,
        approval: row.get::<_, Option<Text<ApprovalId>>>(4)?.map(|id| id.0),
        payload: row.get(5)?,
        created_at: row.get::<_, Micros>(6)?.0,
        due_at: row.get::<_, Option<Micros>>(7)?.map(|at| at.0),
        attempts: row.get(8)?,
        delivered_at: row.get::<_, Option<Micros>>(9)?.map(|at| at.0),
        failed: row.get(10)?,
    })
}

impl Tx<'_> {
    /// Queues a message for every target, and forgets what is long over.
    pub fn queue_notification(&mut self, new: &NewNotification) -> Result<(), JournalError> {
        let now = self.now();
        let old = now.checked_sub(KEPT_FOR).unwrap_or(Timestamp::MIN);
        self.execute("DELETE FROM notifications WHERE created_at < ?1", [Micros(old)])?;
        for target in Target::ALL {
            let id = format!("ntf_{}", hex::encode(rand::random::<[u8; 16]>()));
            self.execute(
                "INSERT INTO notifications (id, kind, target, run, approval, payload, created_at, \
                 due_at, attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, 0)",
                params![
                    id,
                    new.kind.as_str(),
                    target.as_str(),
                    new.run.as_str(),
                    new.approval.as_ref().map(ApprovalId::as_str),
                    new.payload,
                    Micros(now),
                ],
            )?;
        }
        Ok(())
    }

    /// Takes messages that are due for a target, at most [`CLAIMED_MAX`]: nobody else gets them
    /// before `until`. What is stale, or asks for what is decided by now, is given up instead.
    pub fn claim_notifications(
        &mut self,
        target: Target,
        until: Timestamp,
    ) -> Result<Vec<Notification>, JournalError> {
        let now = self.now();
        let sql = format!(
            "SELECT {COLUMNS} FROM notifications WHERE target = ?1 AND due_at IS NOT NULL \
             AND due_at <= ?2 ORDER BY due_at, n LIMIT ?3"
        );
        let limit = signed(CLAIMED_MAX as u64);
        let due =
            self.rows(&sql, params![target.as_str(), Micros(now), limit], read_notification)?;
        let mut claimed = Vec::new();
        for mut message in due {
            if now.duration_since(message.created_at) >= STALE_AFTER {
                self.fail_notification(&message.id, "it waited for a day", None)?;
                continue;
            }
            if self.is_answered(&message)? {
                self.fail_notification(&message.id, "nothing waits any more", None)?;
                continue;
            }
            let sql = "UPDATE notifications SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1";
            self.execute(sql, params![message.id, Micros(until)])?;
            message.attempts += 1;
            message.due_at = Some(until);
            claimed.push(message);
        }
        Ok(claimed)
    }

    /// Notes that a message arrived; it is never given out again.
    pub fn deliver_notification(&mut self, id: &str) -> Result<(), JournalError> {
        let sql = "UPDATE notifications SET delivered_at = ?2, due_at = NULL, failed = NULL \
                   WHERE id = ?1 AND delivered_at IS NULL";
        self.execute(sql, params![id, Micros(self.now())]).map(drop)
    }

    /// Notes that an attempt failed; it is tried again at `next`, or never.
    pub fn fail_notification(
        &mut self,
        id: &str,
        reason: &str,
        next: Option<Timestamp>,
    ) -> Result<(), JournalError> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let sql = "UPDATE notifications SET failed = ?2, due_at = ?3 \
                   WHERE id = ?1 AND delivered_at IS NULL";
        self.execute(sql, params![id, reason, next.map(Micros)]).map(drop)
    }

    fn is_answered(&self, message: &Notification) -> Result<bool, JournalError> {
        let Some(id) = message.approval.as_ref().filter(|_| message.kind.asks()) else {
            return Ok(false);
        };
        let approval = self.approval(id)?;
        Ok(approval.is_none_or(|approval| {
            approval.state != ApprovalState::Pending || approval.expires_at <= self.now()
        }))
    }
}

impl Reader<'_> {
    /// Whether a message to a target is due.
    pub fn notification_due(&self, target: Target, now: Timestamp) -> Result<bool, JournalError> {
        let sql = "SELECT 1 FROM notifications WHERE target = ?1 AND due_at IS NOT NULL \
                   AND due_at <= ?2 LIMIT 1";
        Ok(self.row(sql, params![target.as_str(), Micros(now)], |_| Ok(()))?.is_some())
    }

    /// The newest messages and what became of them, at most `limit`.
    pub fn notifications(&self, limit: usize) -> Result<Vec<Notification>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM notifications ORDER BY n DESC LIMIT ?1");
        self.rows(&sql, [signed(limit as u64)], read_notification)
    }
}
