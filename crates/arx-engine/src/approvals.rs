//! Approvals: what people say to what waits, the same from the command line and from the console.
//!
//! INVARIANT (no yes by default): only a vote that the journal accepts approves anything, and its
//! leaf is written in the same transaction. Time alone reminds, asks others, and ends.
//!
//! Start at [`cast`] for people, at [`tend`] for time.

mod cast;
mod tend;
#[cfg(test)]
mod tests;
mod voter;

use arx_audit::LeafKind;
use arx_journal::{Approval, JournalError, LeafDraft, NotificationKind, Run, Tx};

use crate::notices;

pub use cast::{Cast, CastError, cast};
pub(crate) use tend::deadlines;
pub use tend::{Due, Happened, tend};
pub use voter::{NotAsked, Proof, Voter};

/// Who does what time does.
const ACTOR: &str = "arx";

/// The leaf of something that happened to a request as a whole.
fn leaf_of(run: &Run, approval: &Approval, who: &str, status: &str) -> LeafDraft {
    LeafDraft::new(LeafKind::Approval, who)
        .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
        .status(status)
        .with("approval", approval.id.as_str())
        .in_world(&run.world)
}

/// Marks what is over, with a leaf for each request.
fn expire(tx: &mut Tx<'_>, who: &str) -> Result<Vec<(Approval, Run)>, JournalError> {
    let mut expired = Vec::new();
    for approval in tx.expire_approvals()? {
        let run = run_of(tx, &approval)?;
        tx.append_leaf(leaf_of(&run, &approval, who, "expired"))?;
        notices::of_approval(tx, NotificationKind::ApprovalExpired, &run, &approval)?;
        expired.push((approval, run));
    }
    Ok(expired)
}

fn run_of(tx: &Tx<'_>, approval: &Approval) -> Result<Run, JournalError> {
    let missing = || JournalError::NotFound { kind: "run", id: approval.run.to_string() };
    tx.run(&approval.run)?.ok_or_else(missing)
}
