//! The journal: what happened, on disk before it matters, in one SQLite file.
//!
//! The only crate that knows SQL. It holds runs, steps, effects, decisions, approvals, episodes,
//! lineage, the Qualys knowledge cache, stops, and the audit log with its Merkle tree. What
//! belongs together is written together: an effect's intent and its audit leaf are one
//! transaction, and so are its outcome and that leaf.
//!
//! It must never decide (policy is elsewhere), never send, and never keep in memory what another
//! process may change: several processes write to one database, so every truth is read inside
//! the transaction that relies on it.
//!
//! Start at [`StateDir::open`], then [`Journal::open`], then [`Journal::write`]; the methods of
//! [`Tx`] and [`Reader`] are grouped by table in the modules. `docs/spec/journal.md` explains the
//! tables.

pub mod audit;
mod clock;
mod column;
pub mod effects;
mod error;
mod journal;
mod packed;
pub mod runs;
mod schema;
mod state_dir;
pub mod steps;
mod tx;
mod world;

pub use audit::{LeafDraft, LeafFilter, LeafRef, StoredCheckpoint, StoredLeaf};
pub use clock::{Clock, SystemClock};
pub use effects::{Effect, Intended, NewIntent, SettleOutcome, Settlement};
pub use error::JournalError;
pub use journal::{Journal, JournalOptions, StopPoint, StopWhen};
pub use packed::{Packed, UNPACKED_BYTES_MAX};
pub use runs::{Lease, LeaseOutcome, NewRun, Run, RunFilter, WorkflowVersion};
pub use state_dir::StateDir;
pub use steps::{Step, StepOutcome};
pub use tx::{Reader, Tx};
pub use world::World;
