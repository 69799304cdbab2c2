//! The record that proves itself: audit leaves, the Merkle tree over them, signed checkpoints,
//! evidence bundles, and the verification of all four.
//!
//! Start at [`Leaf`] (what is recorded), then [`tree`] (how leaves become one root hash), then
//! [`SigningKey::sign_checkpoint`] (how a root is signed), then [`verify_log`] and
//! [`verify_bundle`] (how anyone checks it). The format is written down in
//! `docs/spec/audit-log.md`; golden files are in `tests/golden`.
//!
//! This crate is pure: it must never open a file or a socket, read a clock or the environment, or
//! depend on another crate of the workspace. That makes it small enough to be audited alone.

pub mod bundle;
mod canonical;
mod checkpoint;
mod finding;
mod flip;
#[cfg(test)]
mod golden;
mod invariants;
mod leaf;
mod log;
#[cfg(test)]
mod sample;
pub mod tree;

pub use bundle::{Bundle, BundleChecks, BundleError, BundleReport, verify_bundle};
pub use canonical::{CanonicalError, INTEGER_MAX, canonical, sha256_hex};
pub use checkpoint::{
    Checkpoint, CheckpointError, KeyError, SigningKey, origin_of, verify_checkpoint,
};
pub use finding::{Cause, Finding, FindingKind, Violation};
pub use leaf::{
    Action, LEAF_BYTES_MAX, LEAF_VERSION, Leaf, LeafError, LeafKind, Risk, RiskClass, Verdict,
    Workflow,
};
pub use log::{LogChecks, LogReport, verify_log};
pub use tree::{Frontier, Hash, HashStore, MemoryStore, TreeError};

/// Any error of a caller's storage, passed through with its source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
