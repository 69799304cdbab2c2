use proptest::prelude::*;

use super::*;
use crate::{
    FindingKind, LeafKind, MemoryStore, SigningKey,
    sample::{self, Log},
};

/// A log of leaves that say nothing about calls.
fn plain_log(size: u64) -> Log {
    Log::new((0..size).map(|seq| {
        sample::leaf(seq, LeafKind::Episode, |leaf| leaf.status = Some("opened".into()))
    }))
}

struct Store<'a> {
    log: &'a Log,
    leaves: Vec<(u64, Vec<u8>)>,
    checkpoints: Vec<String>,
    earlier: Vec<String>,
    is_compared: bool,
}

impl<'a> Store<'a> {
    /// A store with a checkpoint at each of these sizes.
    fn new(log: &'a Log, sizes: &[u64]) -> Self {
        Self {
            log,
            leaves: log.leaves.clone(),
            checkpoints: sizes.iter().map(|size| log.checkpoint(*size)).collect(),
            earlier: Vec::new(),
            is_compared: false,
        }
    }

    fn verify(&self) -> LogReport {
        let checks = LogChecks {
            vkey: self.log.key.vkey(),
            checkpoints: &self.checkpoints,
            earlier: &self.earlier,
            hashes: self.is_compared.then_some(&self.log.store),
        };
        verify_log(checks, &mut self.leaves.iter().cloned().map(Ok))
    }

    fn kinds(&self) -> Vec<FindingKind> {
        self.verify().findings.iter().map(Finding::kind).collect()
    }

    #[track_caller]
    fn check(&self, expected: &[&str]) {
        let report = self.verify();
        let found: Vec<String> =
            report.findings.iter().map(|it| format!("{}: {it}", it.kind())).collect();
        assert_eq!(found, expected);
        assert_eq!(report.is_ok(), expected.is_empty());
    }
}

#[test]
fn a_good_log_is_found_good() {
    let log = sample::log();
    let mut store = Store::new(&log, &[0, 4, 4, 6]);
    store.is_compared = true;
    store.earlier.push(log.checkpoint(3));
    let report = store.verify();
    assert!(report.is_ok(), "{:?}", report.findings);
    assert_eq!((report.size, report.n_checkpoints, report.signed_size), (7, 5, 6));
    assert_eq!(report.root, log.store.root().to_string());
    assert_eq!(report.n_of_kind.get(&LeafKind::Run), Some(&3));
    let empty = Log::new([]);
    Store::new(&empty, &[]).check(&[]);
    Store::new(&empty, &[0]).check(&[]);
}

#[test]
fn a_changed_leaf_is_placed_between_two_checkpoints_and_by_its_stored_hash() {
    let log = sample::log();
    let mut store = Store::new(&log, &[2, 4, 6, 7]);
    store.leaves[4].1 = log.leaves[4].1.to_ascii_uppercase();
    store.leaves[4].1 = String::from_utf8(log.leaves[4].1.clone())
        .unwrap()
        .replace("started", "stopped")
        .into_bytes();
    let root = "tampered: the first 6 leaves do not have the root that checkpoint 6 signs; they agree up to 4";
    store.check(&[root]);
    store.is_compared = true;
    store.check(&[root, "tampered: leaf 4 does not have the hash that was stored for it"]);
}

#[test]
fn a_missing_leaf_is_named() {
    let log = plain_log(7);
    let mut store = Store::new(&log, &[7]);
    store.leaves.remove(3);
    store.check(&[
        "tampered: leaf 3 is missing: the next one stored is 4",
        "truncated: log has 6 leaves, a signed checkpoint says 7",
    ]);
    store.checkpoints = vec![log.checkpoint(5)];
    store.check(&[
        "tampered: leaf 3 is missing: the next one stored is 4",
        "tampered: the first 5 leaves do not have the root that checkpoint 5 signs; they agree up to 0",
    ]);
}

#[test]
fn a_renumbered_log_is_found_by_what_the_leaves_say() {
    let log = plain_log(5);
    let mut store = Store::new(&log, &[]);
    store.leaves.remove(3);
    store.leaves[3].0 = 3;
    store.check(&["tampered: leaf 3 says of itself that it is leaf 4"]);
    let mut store = Store::new(&log, &[]);
    store.leaves.swap(1, 2);
    store.check(&[
        "tampered: leaf 1 is missing: the next one stored is 2",
        "tampered: leaf 1 comes again or out of order: expected 3",
    ]);
}

#[test]
fn a_truncated_log_is_found_by_a_checkpoint_from_outside() {
    let log = plain_log(9);
    let mut store = Store::new(&log, &[4]);
    store.leaves.truncate(6);
    store.check(&[]);
    store.earlier.push(log.checkpoint(8));
    store.check(&["truncated: log has 6 leaves, a signed checkpoint says 8"]);
    store.leaves.clear();
    store.check(&["truncated: log has 0 leaves, a signed checkpoint says 8"]);
}

#[test]
fn a_log_rewritten_by_the_key_holder_is_found_by_a_checkpoint_from_outside() {
    let (log, rewritten) = (plain_log(6), sample::log());
    let mut store = Store::new(&rewritten, &[6]);
    store.check(&[]);
    store.earlier.push(log.checkpoint(6));
    store.check(&["tampered: two signed checkpoints of size 6 have different roots"]);
    store.earlier = vec![log.checkpoint(5)];
    store.check(&["tampered: the first 5 leaves do not have the root that checkpoint 5 signs; they agree up to 0"]);
}

#[test]
fn a_checkpoint_by_another_key_is_named() {
    let log = plain_log(3);
    let mut store = Store::new(&log, &[1, 2]);
    let other = SigningKey::generate([9; 32]).unwrap();
    store.checkpoints[1] = other.sign_checkpoint(2, log.store.root()).unwrap();
    store.earlier = vec![log.checkpoint(3).replace("\n3\n", "\n4\n")];
    let name = &log.key.vkey()[..21];
    store.check(&[
        &format!("bad signature: stored checkpoint number 2: checkpoint is not signed by `{name}`"),
        &format!(
            "bad signature: checkpoint given, number 1: signature of the checkpoint by `{name}` does not verify"
        ),
    ]);
}

#[test]
fn damage_is_not_called_tampering() {
    let log = plain_log(3);
    let mut store = Store::new(&log, &[]);
    store.leaves[1].1 = b"\x00\xff".to_vec();
    store.check(&["unreadable: leaf 1: leaf is not JSON of the leaf schema: expected value at line 1 column 1"]);
    store.leaves[1].1 = [&log.leaves[1].1, b" ".as_slice()].concat();
    store.check(&["unreadable: leaf 1: leaf is not in its canonical form"]);
}

#[test]
fn a_failing_store_ends_the_check_and_accuses_nobody() {
    let log = plain_log(5);
    let checkpoints = [log.checkpoint(2), log.checkpoint(5)];
    let checks = LogChecks {
        vkey: log.key.vkey(),
        checkpoints: &checkpoints,
        earlier: &[],
        hashes: Some(&MemoryStore::new()),
    };
    let good = log.leaves.iter().take(3).cloned().map(Ok);
    let mut leaves = good.chain([Err(BoxError::from("disk I/O error"))]);
    let report = verify_log(checks, &mut leaves);
    let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "log cannot be read after leaf 2: disk I/O error",
            "stored hashes of the leaves up to 2 cannot be read: stored hashes cannot be read: no hash at index `0`",
        ]
    );
    assert_eq!((report.size, report.signed_size), (3, 2));
}

#[test]
fn findings_are_limited() {
    let log = plain_log(1_100);
    let mut store = Store::new(&log, &[]);
    store.leaves.iter_mut().for_each(|(_, bytes)| bytes.push(b' '));
    let report = store.verify();
    assert_eq!((report.findings.len(), report.n_left_out), (1_000, 100));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_changed_byte_of_any_leaf_is_found(
        size in 1_u64..40,
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let log = plain_log(size);
        let mut store = Store::new(&log, &[size]);
        let bytes = &mut store.leaves[which.index(size as usize)].1;
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(store.kinds().contains(&FindingKind::Tampered));
    }

    #[test]
    fn any_deletion_is_found(size in 1_u64..40, which in any::<prop::sample::Index>()) {
        let log = plain_log(size);
        let mut store = Store::new(&log, &[size]);
        let which = which.index(size as usize);
        store.leaves.remove(which);
        prop_assert!(!store.kinds().is_empty());
        // Even if what follows is renumbered, outside and inside of the leaf.
        store.leaves.iter_mut().skip(which).for_each(|(seq, bytes)| {
            *seq -= 1;
            let mut leaf = Leaf::decode(bytes).unwrap();
            leaf.seq = *seq;
            *bytes = leaf.encode().unwrap();
        });
        prop_assert!(store.kinds().contains(&FindingKind::Truncated));
    }

    #[test]
    fn any_exchange_is_found(
        size in 2_u64..40,
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        is_renumbered in any::<bool>(),
    ) {
        let log = plain_log(size);
        let mut store = Store::new(&log, &[size]);
        let (one, other) = (one.index(size as usize), other.index(size as usize));
        prop_assume!(one != other);
        store.leaves.swap(one, other);
        if is_renumbered {
            store.leaves[one].0 = one as u64;
            store.leaves[other].0 = other as u64;
        }
        prop_assert!(store.kinds().contains(&FindingKind::Tampered));
    }

    #[test]
    fn any_truncation_below_a_checkpoint_is_found(
        size in 1_u64..40,
        cut in any::<prop::sample::Index>(),
    ) {
        let log = plain_log(size);
        let mut store = Store::new(&log, &[size]);
        store.leaves.truncate(cut.index(size as usize));
        prop_assert_eq!(store.kinds(), [FindingKind::Truncated]);
    }
}
