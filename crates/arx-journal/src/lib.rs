//! The journal: what happened, on disk before it matters, in one SQLite file.
//!
//! The only crate that knows SQL. It holds runs, steps, effects, decisions, approvals, episodes,
//! lineage, the Qualys knowledge cache, stops, registrations, fires, people, and the audit log
//! with its Merkle tree. What belongs together is written together: an effect's intent and its
//! audit leaf are one transaction, and so are its outcome and that leaf.
//!
//! It must never decide (policy is elsewhere), never send, and never keep in memory what another
//! process may change: several processes write to one database, so every truth is read inside
//! the transaction that relies on it.
//!
//! Start at [`StateDir::open`], then [`Journal::open`], then [`Journal::write`]; the methods of
//! [`Tx`] and [`Reader`] are grouped by table in the modules. `docs/spec/journal.md` explains the
//! tables.

pub mod approvals;
pub mod audit;
pub mod cache;
mod clock;
mod column;
mod conditions;
pub mod decisions;
pub mod effects;
mod endpoints;
pub mod episodes;
mod error;
pub mod fires;
mod journal;
mod kept;
pub mod leases;
pub mod lineage;
pub mod notifications;
mod packed;
pub mod paging;
pub mod people;
mod process;
pub mod registrations;
pub mod runs;
mod schema;
mod scrub;
mod state_dir;
pub mod steps;
pub mod stops;
#[cfg(test)]
mod testing;
mod tx;
mod world;

pub use approvals::{
    ActionState, Approval, ApprovalAction, ApprovalState, CastVote, NewAction, NewApproval,
    TakenApproval, Vote, VoteOutcome, VoteRefusal,
};
pub use audit::{LeafDraft, LeafFilter, LeafRef, StoredCheckpoint, StoredLeaf};
pub use clock::{Clock, SystemClock};
pub use decisions::{Counted, DecisionFilter, Matches, NewDecision, RecordedDecision};
pub use effects::{Effect, EffectFilter, Intended, NewIntent, SettleOutcome, Settlement};
pub use episodes::Episode;
pub use error::JournalError;
pub use fires::{Fire, FireCause, FireState, NewFire};
pub use journal::{Fault, FaultPoint, Journal, JournalOptions, StopPoint, StopWhen};
pub use kept::KeptCheckpoint;
pub use leases::{Claim, Lease};
pub use lineage::Merge;
pub use notifications::{NewNotification, Notification, NotificationKind, Target};
pub use packed::{Packed, UNPACKED_BYTES_MAX};
pub use paging::{EffectCursor, EffectPage, LeafProof, Search, StepHead};
pub use people::{PeopleError, Person};
pub use process::Process;
pub use registrations::Registration;
pub use runs::{NewReport, NewRun, Run, RunFilter, WorkflowVersion};
pub use scrub::Damage;
pub use state_dir::StateDir;
pub use steps::{Step, StepOutcome};
pub use stops::Stop;
pub use tx::{Reader, Tx};
pub use world::World;
