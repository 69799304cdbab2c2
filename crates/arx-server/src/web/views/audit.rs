//! The audit log: leaves, proofs, checkpoints, and what a check of it all says.

use arx_audit::{Leaf, LogReport, tree};
use arx_journal::{Damage, LeafProof, StoredCheckpoint, StoredLeaf};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::web::times::At;

/// A leaf.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LeafView {
    /// Its place in the log, from 0.
    pub(crate) seq: u64,
    /// Its content, as `docs/spec/audit-log.md` has it; null where it is no leaf any more.
    #[schema(value_type = Object)]
    pub(crate) leaf: Value,
}

impl LeafView {
    pub(crate) fn of(stored: &StoredLeaf) -> Self {
        let leaf = serde_json::from_slice(&stored.bytes).unwrap_or_default();
        Self { seq: stored.seq, leaf }
    }
}

/// That a leaf is in the log.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProofView {
    /// The leaf.
    #[serde(flatten)]
    pub(crate) leaf: LeafView,
    /// Its exact bytes, in base64: what is hashed.
    pub(crate) bytes: String,
    /// Its hash, in hex.
    pub(crate) hash: String,
    /// The leaves of the tree that the proof is for.
    pub(crate) tree_size: u64,
    /// The hash of that tree, in hex.
    pub(crate) root: String,
    /// The hashes beside the way from the leaf to the root, in hex, the leaf's neighbour first.
    pub(crate) path: Vec<String>,
    /// The signed checkpoint of that tree; absent while the leaf is newer than every one.
    pub(crate) checkpoint: Option<CheckpointView>,
    /// Whether the proof leads from the leaf to the root.
    pub(crate) holds: bool,
}

impl ProofView {
    pub(crate) fn of(proof: &LeafProof) -> Self {
        use base64::Engine as _;
        let LeafProof { leaf, hash, size, root, path, checkpoint } = proof;
        Self {
            leaf: LeafView::of(leaf),
            bytes: base64::engine::general_purpose::STANDARD.encode(&leaf.bytes),
            hash: hex::encode(hash.0),
            tree_size: *size,
            root: hex::encode(root.0),
            path: path.iter().map(|hash| hex::encode(hash.0)).collect(),
            checkpoint: checkpoint.as_ref().map(CheckpointView::of),
            holds: tree::verify_inclusion(path, *size, *root, leaf.seq, *hash).is_ok(),
        }
    }
}

/// A signed checkpoint.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointView {
    /// How many leaves it commits to.
    pub(crate) size: u64,
    /// The signed note.
    pub(crate) note: String,
    /// When it was signed.
    pub(crate) at: At,
}

impl CheckpointView {
    pub(crate) fn of(checkpoint: &StoredCheckpoint) -> Self {
        Self { size: checkpoint.size, note: checkpoint.note.clone(), at: checkpoint.at.into() }
    }
}

/// That the log still begins with an earlier one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ConsistencyView {
    /// The leaves of the earlier log.
    pub(crate) from: u64,
    /// Its hash, in hex.
    pub(crate) from_root: String,
    /// The leaves of the later log.
    pub(crate) to: u64,
    /// Its hash, in hex.
    pub(crate) to_root: String,
    /// The proof of RFC 9162, in hex.
    pub(crate) path: Vec<String>,
    /// Whether it leads from one to the other.
    pub(crate) holds: bool,
}

/// What a check of the whole record says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VerifyView {
    /// Whether everything holds.
    pub(crate) ok: bool,
    /// Leaves in the log.
    pub(crate) leaves: u64,
    /// The hash of the log, in hex.
    pub(crate) root: String,
    /// The public key of the checkpoints.
    pub(crate) vkey: String,
    /// Checkpoints that agree.
    pub(crate) checkpoints: u64,
    /// Leaves that the newest checkpoint commits to.
    pub(crate) signed_leaves: u64,
    /// What does not hold in the log, in words.
    pub(crate) findings: Vec<String>,
    /// Findings beyond those listed.
    pub(crate) findings_left_out: u64,
    /// What does not hold between the tables and the log, in words.
    pub(crate) storage: Vec<String>,
    /// How long the check took, in milliseconds.
    pub(crate) took_ms: u64,
}

impl VerifyView {
    pub(crate) fn of(report: &LogReport, damage: &[Damage], vkey: &str, took_ms: u64) -> Self {
        Self {
            ok: report.is_ok() && damage.is_empty(),
            leaves: report.size,
            root: report.root.clone(),
            vkey: vkey.to_owned(),
            checkpoints: report.n_checkpoints as u64,
            signed_leaves: report.signed_size,
            findings: report.findings.iter().map(ToString::to_string).collect(),
            findings_left_out: report.n_left_out,
            storage: damage.iter().map(|damage| damage.message.clone()).collect(),
            took_ms,
        }
    }
}

/// What of a leaf's detail a person wants to see in one line.
const TOLD: [&str; 8] =
    ["approval", "reason", "why", "error", "findings", "vulnerabilities", "episodes", "person"];

/// The detail of a leaf in a few words.
pub(crate) fn details(leaf: &Leaf) -> Vec<(&'static str, String)> {
    let Some(detail) = &leaf.detail else { return Vec::new() };
    TOLD.into_iter()
        .filter_map(|name| {
            let text = match detail.get(name)? {
                Value::String(text) => text.clone(),
                Value::Array(items) => items.len().to_string(),
                Value::Null => return None,
                other => other.to_string(),
            };
            Some((name, crate::web::text::shortened(&text, 160).into_owned()))
        })
        .collect()
}
