//! Verification of a whole log, as its own operator does it.
//!
//! Reads every leaf once, in order, and keeps only the right edge of the tree, the signed
//! checkpoints still to be passed, and what the invariants need. Start at [`verify_log`].
//!
//! What it cannot see: leaves removed from the end after the last checkpoint it is given, and a
//! log rewritten by someone who holds the signing key. Give it a checkpoint kept elsewhere for
//! both ([`LogChecks::earlier`]).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    BoxError, Leaf, LeafError, checkpoint,
    finding::{Cause, Finding, Findings},
    flip,
    invariants::{Observer, Scope},
    leaf::LeafKind,
    tree::{self, Frontier, Hash, HashStore},
};

/// How many leaves' stored hashes are compared at once.
const COMPARE_LEAVES: usize = 512;

/// What to check a log against.
#[derive(Clone, Copy)]
pub struct LogChecks<'a> {
    /// The log's public key.
    pub vkey: &'a str,
    /// Every signed checkpoint in the store.
    pub checkpoints: &'a [String],
    /// Checkpoints kept elsewhere; these find a truncated or rewritten log.
    pub earlier: &'a [String],
    /// The stored hashes of the tree, to be compared with those that the leaves give.
    pub hashes: Option<&'a dyn HashStore>,
}

/// What was read, and what was found wrong.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// How many leaves were read.
    pub size: u64,
    /// The root hash that they give, in base64.
    pub root: String,
    /// How many signed checkpoints agree with the leaves.
    pub n_checkpoints: usize,
    /// The size of the largest of them: leaves from here on are not signed yet.
    pub signed_size: u64,
    /// How many leaves there are of each kind.
    pub n_of_kind: BTreeMap<LeafKind, u64>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
    /// How many more problems there are than are listed.
    pub n_left_out: u64,
}

impl LogReport {
    /// Says whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    /// Says what the findings together look like, if there are any.
    pub fn cause(&self) -> Option<Cause> {
        Cause::of_all(self.findings.iter().map(Finding::cause))
    }
}

/// Checks a whole log.
///
/// `leaves` must give every stored leaf with its place, in ascending order of place, or the error
/// of the storage, which ends the check.
pub fn verify_log(
    checks: LogChecks<'_>,
    leaves: &mut dyn Iterator<Item = Result<(u64, Vec<u8>), BoxError>>,
) -> LogReport {
    let mut pass = Pass::new(checks);
    pass.check_roots();
    let mut last = None;
    for leaf in leaves {
        match leaf {
            Ok((seq, bytes)) => {
                pass.leaf(seq, &bytes);
                last = Some(seq);
            }
            Err(source) => {
                pass.findings.add(Finding::Storage { after: last, source });
                pass.is_cut_short = true;
                break;
            }
        }
    }
    pass.finish()
}

/// The state of one pass over the log.
struct Pass<'a> {
    checks: LogChecks<'a>,
    findings: Findings,
    frontier: Frontier,
    /// The signed roots still to be passed, by size.
    signed: BTreeMap<u64, SignedRoot>,
    n_checkpoints: usize,
    signed_size: u64,
    observer: Observer,
    n_of_kind: BTreeMap<LeafKind, u64>,
    /// Hashes that the leaves give and that are not compared with the stored ones yet.
    uncompared: Vec<Derived>,
    next: u64,
    /// After the first wrong root every later one is wrong too; only the first is news.
    is_root_wrong: bool,
    is_hash_wrong: bool,
    is_cut_short: bool,
}

/// A hash that a leaf gives.
struct Derived {
    seq: u64,
    index: u64,
    hash: Hash,
    /// The bytes of the leaf, beside its own hash; absent where they are too many.
    bytes: Option<Vec<u8>>,
}

struct SignedRoot {
    root: Hash,
    n_notes: usize,
}

impl<'a> Pass<'a> {
    fn new(checks: LogChecks<'a>) -> Self {
        let mut findings = Findings::default();
        let mut signed: BTreeMap<u64, SignedRoot> = BTreeMap::new();
        let stored = checks.checkpoints.iter().zip(1..);
        let stored = stored.map(|(note, n)| (note, format!("stored checkpoint number {n}")));
        let earlier = checks.earlier.iter().zip(1..);
        let earlier = earlier.map(|(note, n)| (note, format!("checkpoint given, number {n}")));
        for (note, which) in stored.chain(earlier) {
            match checkpoint::verify_checkpoint(checks.vkey, note) {
                Ok(one) => {
                    let entry =
                        signed.entry(one.size).or_insert(SignedRoot { root: one.root, n_notes: 0 });
                    if entry.root == one.root {
                        entry.n_notes += 1;
                    } else {
                        findings.add(Finding::Fork { size: one.size });
                    }
                }
                Err(source) => {
                    findings.add(Finding::Checkpoint { which, source });
                }
            }
        }
        Self {
            checks,
            findings,
            frontier: Frontier::new(),
            signed,
            n_checkpoints: 0,
            signed_size: 0,
            observer: Observer::new(Scope::Log),
            n_of_kind: BTreeMap::new(),
            uncompared: Vec::new(),
            next: 0,
            is_root_wrong: false,
            is_hash_wrong: false,
            is_cut_short: false,
        }
    }

    fn leaf(&mut self, seq: u64, bytes: &[u8]) {
        let expected = self.next;
        if seq < expected {
            self.findings.add(Finding::OutOfOrder { expected, found: seq });
        } else {
            if seq > expected {
                self.findings.add(Finding::Missing { expected, found: seq });
            }
            self.next = seq.saturating_add(1);
        }
        // The tree counts the leaves that are there, so that a gap shows at the next checkpoint.
        let mut kept = (bytes.len() <= flip::FLIPPED_BYTES_MAX).then(|| bytes.to_vec());
        for (index, hash) in self.frontier.push(tree::leaf_hash(bytes)) {
            self.uncompared.push(Derived { seq, index, hash, bytes: kept.take() });
        }
        if self.uncompared.len() >= COMPARE_LEAVES {
            self.compare_hashes();
        }
        self.check_roots();
        match Leaf::decode(bytes) {
            Ok(leaf) => self.content(seq, &leaf),
            Err(source) => self.unreadable(seq, source),
        }
    }

    fn content(&mut self, seq: u64, leaf: &Leaf) {
        if leaf.seq != seq {
            self.findings.add(Finding::SeqInside { seq, inside: leaf.seq });
        }
        *self.n_of_kind.entry(leaf.kind).or_default() += 1;
        self.observer.observe(leaf, &mut self.findings);
    }

    fn unreadable(&mut self, seq: u64, source: LeafError) {
        self.findings.add(Finding::Leaf { seq, source });
    }

    /// Compares the root with what was signed for this size.
    fn check_roots(&mut self) {
        let size = self.frontier.size();
        let Some(signed) = self.signed.remove(&size) else { return };
        if self.frontier.root() == signed.root {
            self.n_checkpoints += signed.n_notes;
            self.signed_size = size;
        } else if !self.is_root_wrong {
            self.is_root_wrong = true;
            self.findings.add(Finding::Root { size, intact: self.signed_size });
        }
    }

    fn compare_hashes(&mut self) {
        let hashes = std::mem::take(&mut self.uncompared);
        let Some(store) = self.checks.hashes else { return };
        let Some(seq) = hashes.last().map(|last| last.seq) else { return };
        if self.is_hash_wrong {
            return;
        }
        let indexes: Vec<u64> = hashes.iter().map(|derived| derived.index).collect();
        match tree::read(store, &indexes) {
            Ok(stored) => {
                let mut pairs = hashes.iter().zip(stored);
                if let Some((derived, old)) = pairs.find(|(derived, old)| derived.hash != *old) {
                    self.is_hash_wrong = true;
                    self.findings.add(unlike(derived, old));
                }
            }
            Err(source) => {
                self.is_hash_wrong = true;
                self.findings.add(Finding::StoredHashes { seq, source });
            }
        }
    }

    fn finish(mut self) -> LogReport {
        self.compare_hashes();
        let size = self.frontier.size();
        // What could not be read is not known to be missing.
        if let (Some(checkpoint), false) = (self.signed.keys().next_back(), self.is_cut_short) {
            self.findings.add(Finding::Truncated { size, checkpoint: *checkpoint });
        }
        LogReport {
            size,
            root: self.frontier.root().to_string(),
            n_checkpoints: self.n_checkpoints,
            signed_size: self.signed_size,
            n_of_kind: self.n_of_kind,
            findings: self.findings.list,
            n_left_out: self.findings.n_left_out,
        }
    }
}

/// What it is called that a stored hash is not the one that its leaf gives.
fn unlike(derived: &Derived, stored: Hash) -> Finding {
    let seq = derived.seq;
    let fits = |tried: &[u8]| tree::leaf_hash(tried) == stored;
    if derived.bytes.as_deref().is_some_and(|bytes| flip::one_bit_off(bytes, fits)) {
        return Finding::Flipped { seq, what: "leaf" };
    }
    if flip::differ_in_one_bit(&derived.hash, &stored) {
        return Finding::Flipped { seq, what: "a stored hash of leaf" };
    }
    Finding::StoredHash { seq }
}
