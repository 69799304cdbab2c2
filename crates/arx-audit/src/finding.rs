//! What a check found wrong, each with where and why.
//!
//! Every variant belongs to one [`FindingKind`], because what to do next depends on the kind: a
//! disk to replace, a person to ask, a newer bundle to request, a bug to report.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    BundleError, CheckpointError, LeafError, TreeError,
    leaf::{LeafKind, Verdict},
};

/// The most findings one check lists; more are counted, not kept.
pub const FINDINGS_MAX: usize = 1_000;

/// What sort of problem a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Something cannot be read: damage, or not this format.
    Unreadable,
    /// Hashes do not agree: something was changed, removed or reordered.
    Tampered,
    /// The log is shorter than a checkpoint says.
    Truncated,
    /// A checkpoint is not signed by the expected key.
    BadSignature,
    /// Nothing contradicts the claim, and nothing proves it.
    Unproven,
    /// The record is intact and tells of something that the gate must never do.
    Invariant,
}

/// What a finding looks like, where the evidence says more than that something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A disk, a cable or memory: what is there is not what any program wrote.
    Corruption,
    /// Somebody with access: what is there is well-formed, and contradicts what was recorded.
    Tampering,
    /// Either, or neither.
    Unclear,
}

impl Cause {
    /// Returns the word that stands in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corruption => "corruption",
            Self::Tampering => "tampering",
            Self::Unclear => "unclear",
        }
    }

    /// Says what several findings together look like. Damage explains what is missing or does not
    /// fit elsewhere, so where there is any, nothing else is held against a person.
    pub fn of_all(causes: impl IntoIterator<Item = Self>) -> Option<Self> {
        causes.into_iter().min()
    }
}

/// One thing that a check found wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// The storage failed while the log was read.
    #[error("log cannot be read after leaf {after}: {source}", after = after.map_or_else(|| "none".to_owned(), |seq| seq.to_string()))]
    Storage {
        /// The last leaf that was read.
        after: Option<u64>,
        /// What the storage said.
        source: crate::BoxError,
    },
    /// The stored hashes could not be read.
    #[error("stored hashes of the leaves up to {seq} cannot be read: {source}")]
    StoredHashes {
        /// The last leaf whose hashes were asked for.
        seq: u64,
        /// Why.
        source: TreeError,
    },
    /// A leaf cannot be read.
    #[error("leaf {seq}: {source}")]
    Leaf {
        /// The leaf's place in the log.
        seq: u64,
        /// Why.
        source: LeafError,
    },
    /// A bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Leaves are missing.
    #[error("leaf {expected} is missing: the next one stored is {found}")]
    Missing {
        /// The place that should come next.
        expected: u64,
        /// The place that came.
        found: u64,
    },
    /// A leaf stands where it was already passed.
    #[error("leaf {found} comes again or out of order: expected {expected}")]
    OutOfOrder {
        /// The place that should come next.
        expected: u64,
        /// The place that came.
        found: u64,
    },
    /// A leaf says that it is another one.
    #[error("leaf {seq} says of itself that it is leaf {inside}")]
    SeqInside {
        /// Its place.
        seq: u64,
        /// What it says.
        inside: u64,
    },
    /// A stored hash is not the one that the leaves give.
    #[error("leaf {seq} does not have the hash that was stored for it")]
    StoredHash {
        /// The first leaf for which they differ.
        seq: u64,
    },
    /// One flipped bit is all that is wrong with a leaf, or with the hash stored for it.
    #[error("{what} {seq} is damaged: with one bit flipped back it is what was recorded")]
    Flipped {
        /// The leaf.
        seq: u64,
        /// Which of the two, e.g. `leaf`.
        what: &'static str,
    },
    /// The leaves do not give the root that was signed.
    #[error(
        "the first {size} leaves do not have the root that checkpoint {size} signs; they agree up to {intact}"
    )]
    Root {
        /// The size of the checkpoint.
        size: u64,
        /// The size of the last checkpoint that agrees, or 0.
        intact: u64,
    },
    /// Two signed checkpoints contradict each other.
    #[error("two signed checkpoints of size {size} have different roots")]
    Fork {
        /// Their size.
        size: u64,
    },
    /// A leaf is not in the tree that the checkpoint signs.
    #[error("leaf {seq} is not in the signed tree: {source}")]
    Inclusion {
        /// The leaf.
        seq: u64,
        /// Why.
        source: TreeError,
    },
    /// The signed tree does not begin with an earlier signed tree.
    #[error("the tree of {size} leaves does not begin with the earlier tree of {earlier}")]
    Consistency {
        /// The size of the signed tree.
        size: u64,
        /// The size of the earlier tree.
        earlier: u64,
    },
    /// A part of a bundle is not what the rest says.
    #[error("bundle says {field} `{found}`, its content says `{expected}`")]
    Mismatch {
        /// Which part.
        field: &'static str,
        /// What the bundle says.
        found: String,
        /// What its content says.
        expected: String,
    },
    /// An entry of a bundle belongs to another run.
    #[error("leaf {seq} belongs to the run `{run}`")]
    OtherRun {
        /// The leaf.
        seq: u64,
        /// Its run.
        run: String,
    },
    /// A run counts its own leaves, and the count is wrong.
    #[error("leaf {seq} says that {counted} leaves of its run come before it, {found} do")]
    RunCount {
        /// The leaf that counts.
        seq: u64,
        /// How many it says there are.
        counted: u64,
        /// How many there are.
        found: u64,
    },
    /// The log ends before a signed checkpoint.
    #[error("log has {size} leaves, a signed checkpoint says {checkpoint}")]
    Truncated {
        /// How many there are.
        size: u64,
        /// How many there were.
        checkpoint: u64,
    },
    /// A checkpoint does not verify.
    #[error("{which}: {source}")]
    Checkpoint {
        /// Which one.
        which: String,
        /// Why.
        source: CheckpointError,
    },
    /// The bundle is signed by another key than the one expected.
    #[error("bundle is signed by `{found}`, expected `{pinned}`")]
    Pinned {
        /// The key inside.
        found: String,
        /// The key expected.
        pinned: String,
    },
    /// The bundle does not prove that the log still begins with an earlier checkpoint.
    #[error("bundle holds no proof from the checkpoint of {earlier} leaves to its own of {size}")]
    NoConsistency {
        /// The size of the earlier checkpoint.
        earlier: u64,
        /// The size of the bundle's.
        size: u64,
    },
    /// The record tells of something that the gate must never do.
    #[error("leaf {seq}: {violation}")]
    Invariant {
        /// The leaf.
        seq: u64,
        /// What it tells.
        violation: Violation,
    },
}

/// What the gate must never do, found in an otherwise intact record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A leaf lacks what a leaf of its kind must say.
    #[error("{kind} has no `{field}`", kind = kind.as_str())]
    Incomplete {
        /// The kind.
        kind: LeafKind,
        /// What is missing.
        field: &'static str,
    },
    /// An effect without permission.
    #[error(
        "intent of `{operation}` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run"
    )]
    IntentWithoutPermit {
        /// The connector and operation.
        operation: String,
    },
    /// A permission that rests on an approval which nobody gave.
    #[error("PERMIT by the approval `{approval}`, which was not given before")]
    NotApproved {
        /// The approval.
        approval: String,
    },
    /// A result without permission.
    #[error(
        "outcome of `{operation}` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run"
    )]
    OutcomeWithoutPermit {
        /// The connector and operation.
        operation: String,
    },
    /// An effect's outcome or settlement that nobody announced.
    #[error("{kind} of the effect `{effect_key}` without an earlier intent", kind = kind.as_str())]
    WithoutIntent {
        /// Outcome or settle.
        kind: LeafKind,
        /// The effect.
        effect_key: String,
    },
    /// An effect sent again after it was done.
    #[error("intent of the effect `{effect_key}`, which was already done")]
    DoneTwice {
        /// The effect.
        effect_key: String,
    },
    /// A verdict less strict than the policy allows.
    #[error("verdict {verdict} with a risk score of {score} outside the bounds of its class")]
    ScoreOutOfClass {
        /// The verdict.
        verdict: &'static str,
        /// The score.
        score: u32,
    },
}

impl Finding {
    /// Returns the sort of problem it is.
    pub fn kind(&self) -> FindingKind {
        match self {
            Self::Storage { .. }
            | Self::StoredHashes { .. }
            | Self::Leaf { .. }
            | Self::Flipped { .. }
            | Self::Bundle(_) => FindingKind::Unreadable,
            Self::Missing { .. }
            | Self::OutOfOrder { .. }
            | Self::SeqInside { .. }
            | Self::StoredHash { .. }
            | Self::Root { .. }
            | Self::Fork { .. }
            | Self::Inclusion { .. }
            | Self::Consistency { .. }
            | Self::Mismatch { .. }
            | Self::OtherRun { .. }
            | Self::RunCount { .. } => FindingKind::Tampered,
            Self::Truncated { .. } => FindingKind::Truncated,
            Self::Checkpoint { .. } | Self::Pinned { .. } => FindingKind::BadSignature,
            Self::NoConsistency { .. } => FindingKind::Unproven,
            Self::Invariant { .. } => FindingKind::Invariant,
        }
    }

    /// Returns what it looks like, taken by itself.
    pub fn cause(&self) -> Cause {
        match self {
            // No program writes what cannot be read, and no person flips one bit.
            Self::Storage { .. } | Self::StoredHashes { .. } | Self::Flipped { .. } => {
                Cause::Corruption
            }
            Self::Leaf { source, .. } => match source {
                LeafError::Parse { .. } | LeafError::NotCanonical => Cause::Corruption,
                // These are JSON, and may be those of a newer version.
                LeafError::Encode { .. }
                | LeafError::Version { .. }
                | LeafError::TooLarge { .. }
                | LeafError::Number { .. }
                | LeafError::TooDeep { .. }
                | LeafError::Digest { .. }
                | LeafError::FactorName
                | LeafError::Empty { .. } => Cause::Unclear,
            },
            // Everything can be read, and is not what was recorded.
            Self::Missing { .. }
            | Self::OutOfOrder { .. }
            | Self::SeqInside { .. }
            | Self::StoredHash { .. }
            | Self::Root { .. }
            | Self::Fork { .. }
            | Self::OtherRun { .. }
            | Self::RunCount { .. } => Cause::Tampering,
            // A file that was damaged on its way, an older backup, the wrong key, or a fault of the
            // program.
            Self::Bundle(_)
            | Self::Inclusion { .. }
            | Self::Consistency { .. }
            | Self::Mismatch { .. }
            | Self::Truncated { .. }
            | Self::Checkpoint { .. }
            | Self::Pinned { .. }
            | Self::NoConsistency { .. }
            | Self::Invariant { .. } => Cause::Unclear,
        }
    }

    /// Returns the leaf that it is about, if it is about one.
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Leaf { seq, .. }
            | Self::SeqInside { seq, .. }
            | Self::StoredHash { seq }
            | Self::Flipped { seq, .. }
            | Self::Inclusion { seq, .. }
            | Self::OtherRun { seq, .. }
            | Self::RunCount { seq, .. }
            | Self::Invariant { seq, .. } => Some(*seq),
            Self::Missing { expected, .. } => Some(*expected),
            Self::OutOfOrder { found, .. } => Some(*found),
            Self::Storage { .. }
            | Self::StoredHashes { .. }
            | Self::Bundle(_)
            | Self::Root { .. }
            | Self::Fork { .. }
            | Self::Consistency { .. }
            | Self::Mismatch { .. }
            | Self::Truncated { .. }
            | Self::Checkpoint { .. }
            | Self::Pinned { .. }
            | Self::NoConsistency { .. } => None,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("Finding", 4)?;
        fields.serialize_field("kind", &self.kind())?;
        fields.serialize_field("cause", &self.cause())?;
        fields.serialize_field("seq", &self.seq())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "unreadable",
            Self::Tampered => "tampered",
            Self::Truncated => "truncated",
            Self::BadSignature => "bad signature",
            Self::Unproven => "unproven",
            Self::Invariant => "invariant",
        })
    }
}

impl Verdict {
    /// Returns the word that stands in the leaf.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "PERMIT",
            Self::Escalate => "ESCALATE",
            Self::Deny => "DENY",
        }
    }
}

/// A bounded list of findings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
    pub(crate) n_left_out: u64,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.n_left_out += 1;
        }
    }
}
