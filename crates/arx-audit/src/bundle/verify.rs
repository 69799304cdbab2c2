//! Checks a bundle's content and lists every problem, not only the first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Bundle, Entry, decode_hashes};
use crate::{
    Checkpoint, Leaf, LeafKind, checkpoint,
    finding::{Finding, Findings},
    invariants::{Observer, Scope},
    tree::{self, EMPTY_ROOT},
};

/// What to check a bundle against.
#[derive(Debug, Clone, Copy, Default)]
pub struct BundleChecks<'a> {
    /// The log's public key, known from elsewhere. Without it origin is not proved.
    pub pinned_vkey: Option<&'a str>,
    /// A checkpoint of the same log, kept from earlier: the bundle must prove that the log still
    /// begins with it.
    pub earlier_checkpoint: Option<&'a str>,
}

/// What a bundle was found to prove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// The run.
    pub run: String,
    /// The name of the log.
    pub origin: String,
    /// The public key that signed.
    pub vkey: String,
    /// Whether that key was known from elsewhere, so that origin is proved and not only integrity.
    pub is_key_pinned: bool,
    /// How many leaves the signed checkpoint covers.
    pub size: u64,
    /// Its root hash in base64.
    pub root: String,
    /// How many leaves of the run are proved to be in the log.
    pub n_leaves: usize,
    /// How many leaves there are of each kind.
    pub n_of_kind: BTreeMap<LeafKind, u64>,
    /// How many of the run's first leaves are proved to be all that there were up to then, because
    /// a later run leaf counts them.
    pub n_counted: u64,
    /// The size of the earlier checkpoint that the log is proved to begin with.
    pub consistent_from: Option<u64>,
}

/// Checks a bundle file; on success everything in it holds together.
///
/// On failure every problem is listed, up to a limit.
pub fn verify_bundle(bytes: &[u8], checks: BundleChecks<'_>) -> Result<BundleReport, Vec<Finding>> {
    let bundle = Bundle::parse(bytes).map_err(|error| vec![Finding::Bundle(error)])?;
    let mut findings = Findings::default();
    let vkey = checks.pinned_vkey.unwrap_or(&bundle.vkey);
    if bundle.vkey != vkey {
        let (found, pinned) = (bundle.vkey.clone(), vkey.to_owned());
        findings.add(Finding::Pinned { found, pinned });
    }
    let signed = match checkpoint::verify_checkpoint(vkey, &bundle.checkpoint) {
        Ok(signed) => signed,
        Err(source) => {
            let which = "checkpoint of the bundle".to_owned();
            findings.add(Finding::Checkpoint { which, source });
            return Err(findings.list);
        }
    };
    if bundle.origin != signed.origin {
        findings.add(Finding::Mismatch {
            field: "origin",
            found: bundle.origin.clone(),
            expected: signed.origin.clone(),
        });
    }
    let (n_of_kind, n_counted) = check_entries(&bundle, &signed, &mut findings);
    let consistent_from = check_earlier(&bundle, vkey, &signed, checks, &mut findings);
    if !findings.list.is_empty() {
        return Err(findings.list);
    }
    Ok(BundleReport {
        n_leaves: bundle.entries.len(),
        run: bundle.run,
        origin: signed.origin,
        vkey: bundle.vkey,
        is_key_pinned: checks.pinned_vkey.is_some(),
        size: signed.size,
        root: signed.root.to_string(),
        n_of_kind,
        n_counted,
        consistent_from,
    })
}

/// Returns how many leaves there are of each kind, and how many of the run's a later one counts.
fn check_entries(
    bundle: &Bundle,
    signed: &Checkpoint,
    findings: &mut Findings,
) -> (BTreeMap<LeafKind, u64>, u64) {
    let mut n_of_kind = BTreeMap::new();
    let mut observer = Observer::new(Scope::Run);
    let mut next = 0;
    let mut n_of_run = 0;
    for entry in &bundle.entries {
        if entry.seq < next {
            findings.add(Finding::OutOfOrder { expected: next, found: entry.seq });
        }
        next = entry.seq.saturating_add(1);
        check_inclusion(entry, signed, findings);
        let leaf = match Leaf::decode(entry.leaf.as_bytes()) {
            Ok(leaf) => leaf,
            Err(source) => {
                findings.add(Finding::Leaf { seq: entry.seq, source });
                continue;
            }
        };
        if leaf.seq != entry.seq {
            findings.add(Finding::SeqInside { seq: entry.seq, inside: leaf.seq });
        }
        match &leaf.run {
            Some(run) if *run == bundle.run => n_of_run += 1,
            Some(run) => findings.add(Finding::OtherRun { seq: entry.seq, run: run.clone() }),
            None => {}
        }
        *n_of_kind.entry(leaf.kind).or_default() += 1;
        observer.observe(&leaf, findings);
    }
    if n_of_run == 0 {
        findings.add(super::BundleError::Empty { run: bundle.run.clone() }.into());
    }
    (n_of_kind, observer.n_counted())
}

fn check_inclusion(entry: &Entry, signed: &Checkpoint, findings: &mut Findings) {
    let proof = match decode_hashes(&entry.proof) {
        Ok(proof) => proof,
        Err(error) => return findings.add(error.into()),
    };
    let leaf = tree::leaf_hash(entry.leaf.as_bytes());
    let result = tree::verify_inclusion(&proof, signed.size, signed.root, entry.seq, leaf);
    if let Err(source) = result {
        findings.add(Finding::Inclusion { seq: entry.seq, source });
    }
}

/// Returns the size of the earlier checkpoint that the log is proved to begin with.
fn check_earlier(
    bundle: &Bundle,
    vkey: &str,
    signed: &Checkpoint,
    checks: BundleChecks<'_>,
    findings: &mut Findings,
) -> Option<u64> {
    let mut read = |which: &str, note: &str| {
        checkpoint::verify_checkpoint(vkey, note)
            .map_err(|source| findings.add(Finding::Checkpoint { which: which.into(), source }))
            .ok()
    };
    let inside = bundle
        .earlier
        .as_ref()
        .map(|earlier| (earlier, read("earlier checkpoint of the bundle", &earlier.checkpoint)));
    let given = checks.earlier_checkpoint.map(|note| read("earlier checkpoint given", note));

    let mut proved = None;
    if let Some((earlier, before)) = &inside {
        let before = before.as_ref()?;
        let holds = decode_hashes(&earlier.proof).is_ok_and(|proof| {
            tree::verify_consistency(&proof, signed.size, signed.root, before.size, before.root)
                .is_ok()
        });
        if !holds {
            findings.add(Finding::Consistency { size: signed.size, earlier: before.size });
            return None;
        }
        proved = Some(before);
    }

    let Some(given) = given else { return proved.map(|before| before.size) };
    let given = given?;
    let known = [Some(signed), proved];
    let same_size = known.into_iter().flatten().find(|known| known.size == given.size);
    if given.size > signed.size {
        // Either the log was cut, or the bundle is older than the checkpoint; neither proves it.
        findings.add(Finding::Truncated { size: signed.size, checkpoint: given.size });
        return None;
    }
    match same_size {
        Some(known) if known.root == given.root => Some(given.size),
        Some(known) => {
            findings.add(Finding::Fork { size: known.size });
            None
        }
        None if given.size == 0 && given.root == EMPTY_ROOT => Some(0),
        None => {
            findings.add(Finding::NoConsistency { earlier: given.size, size: signed.size });
            None
        }
    }
}
