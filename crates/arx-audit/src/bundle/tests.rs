use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    Finding, FindingKind, Leaf, LeafKind, SigningKey,
    sample::{self, EARLIER_SIZE, Log, OTHER_RUN, RUN},
};

fn build(log: &Log, earlier: Option<u64>) -> Bundle {
    let earlier = earlier.map(|size| log.checkpoint(size));
    let (leaves, size) = (log.of_run(RUN), log.store.size());
    let note = log.checkpoint(size);
    Bundle::build(RUN, log.key.vkey(), &note, &leaves, &log.store, earlier.as_deref()).unwrap()
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(Finding::kind).collect()
}

fn shown(findings: &[Finding]) -> String {
    let lines: Vec<String> =
        findings.iter().map(|finding| format!("{}: {finding}", finding.kind())).collect();
    lines.join("\n")
}

#[test]
fn a_good_bundle_says_what_it_proves() {
    let log = sample::log();
    let bytes = build(&log, None).write().unwrap();
    let report = verify_bundle(&bytes, BundleChecks::default()).unwrap();
    assert_eq!(
        report,
        BundleReport {
            run: RUN.to_owned(),
            origin: log.key.origin().to_owned(),
            vkey: log.key.vkey().to_owned(),
            is_key_pinned: false,
            size: 7,
            root: log.store.root().to_string(),
            n_leaves: 5,
            n_of_kind: BTreeMap::from([
                (LeafKind::Run, 2),
                (LeafKind::Decision, 1),
                (LeafKind::Intent, 1),
                (LeafKind::Outcome, 1),
            ]),
            n_counted: 4,
            consistent_from: None,
        }
    );
    let checks = BundleChecks { pinned_vkey: Some(log.key.vkey()), ..Default::default() };
    assert!(verify_bundle(&bytes, checks).unwrap().is_key_pinned);
}

#[test]
fn a_bundle_by_another_key_only_proves_itself() {
    let log = sample::log();
    let pinned = log.key.vkey().to_owned();
    let forger = SigningKey::generate([9; 32]).unwrap();
    let forged = Log { key: forger, ..log };
    let bytes = build(&forged, None).write().unwrap();
    verify_bundle(&bytes, BundleChecks::default()).unwrap();
    let checks = BundleChecks { pinned_vkey: Some(&pinned), ..Default::default() };
    let findings = verify_bundle(&bytes, checks).unwrap_err();
    assert_eq!(kinds(&findings), [FindingKind::BadSignature, FindingKind::BadSignature]);
}

#[track_caller]
fn check_spoilt(spoil: impl FnOnce(&mut Bundle), expected: FindingKind) {
    let mut bundle = build(&sample::log(), Some(EARLIER_SIZE));
    spoil(&mut bundle);
    let bytes = serde_json_canonicalizer::to_vec(&bundle).unwrap();
    let findings =
        verify_bundle(&[&bytes, b"\n".as_slice()].concat(), BundleChecks::default()).unwrap_err();
    assert!(kinds(&findings).contains(&expected), "{}", shown(&findings));
}

#[test]
fn every_part_is_checked() {
    use FindingKind::{BadSignature, Invariant, Tampered, Unreadable};
    let other_note = || SigningKey::generate([9; 32]).unwrap();
    check_spoilt(|bundle| bundle.version = 2, Unreadable);
    check_spoilt(|bundle| bundle.format.push('x'), Unreadable);
    check_spoilt(|bundle| bundle.entries.clear(), Unreadable);
    check_spoilt(|bundle| bundle.run = OTHER_RUN.into(), Tampered);
    check_spoilt(|bundle| bundle.origin.push('x'), Tampered);
    check_spoilt(|bundle| bundle.vkey = other_note().vkey().into(), BadSignature);
    check_spoilt(|bundle| bundle.checkpoint = sample::log().checkpoint(6), Tampered);
    check_spoilt(|bundle| bundle.checkpoint.push('x'), BadSignature);
    check_spoilt(|bundle| bundle.entries.swap(0, 1), Tampered);
    check_spoilt(|bundle| bundle.entries[1].seq += 1, Tampered);
    check_spoilt(|bundle| bundle.entries.insert(1, bundle.entries[1].clone()), Tampered);
    check_spoilt(|bundle| bundle.entries[0].proof.truncate(2), Tampered);
    check_spoilt(|bundle| bundle.entries[0].proof[0].push('='), Unreadable);
    check_spoilt(|bundle| bundle.entries[2].leaf.push(' '), Tampered);
    check_spoilt(|bundle| bundle.entries[2].leaf = "{}".into(), Unreadable);
    // A left-out leaf breaks no proof; the decision's absence and the run's own count show it.
    check_spoilt(|bundle| drop(bundle.entries.remove(1)), Invariant);
    check_spoilt(|bundle| drop(bundle.entries.remove(3)), Tampered);
    let earlier = |bundle: &mut Bundle, spoil: fn(&mut Earlier)| {
        spoil(bundle.earlier.as_mut().unwrap());
    };
    check_spoilt(|bundle| earlier(bundle, |it| it.proof.clear()), Tampered);
    check_spoilt(|bundle| earlier(bundle, |it| it.proof[0].push('x')), Tampered);
    check_spoilt(|bundle| earlier(bundle, |it| it.checkpoint.clear()), BadSignature);
}

#[test]
fn all_problems_are_listed_and_not_the_first() {
    let mut bundle = build(&sample::log(), None);
    bundle.entries[1].leaf = bundle.entries[1].leaf.replace("PERMIT", "DENY");
    bundle.entries[3].leaf = bundle.entries[3].leaf.replace("done", "failed");
    let findings = verify_bundle(&bundle.write().unwrap(), BundleChecks::default()).unwrap_err();
    insta::assert_snapshot!(shown(&findings), @r"
    tampered: leaf 2 is not in the signed tree: proof does not lead to the root
    invariant: leaf 3: intent of `pagerduty.incidents:create` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run
    tampered: leaf 5 is not in the signed tree: proof does not lead to the root
    ");
}

/// Checks the sample's bundle, which holds a proof from `inside`, against a checkpoint.
fn with_checkpoint(inside: Option<u64>, note: &str) -> Result<Option<u64>, Vec<FindingKind>> {
    let bytes = build(&sample::log(), inside).write().unwrap();
    let checks = BundleChecks { earlier_checkpoint: Some(note), ..Default::default() };
    let result = verify_bundle(&bytes, checks);
    result.map(|report| report.consistent_from).map_err(|findings| kinds(&findings))
}

#[test]
fn history_is_compared_with_an_earlier_checkpoint() {
    let log = sample::log();
    let other = Log::new(sample::leaves().into_iter().map(|mut leaf| {
        leaf.actor = "mallory".into();
        leaf
    }));
    let longer = Log::new(sample::leaves().into_iter().chain(sample::leaves()));
    let foreign = Log { key: SigningKey::generate([9; 32]).unwrap(), ..sample::log() };
    let four = Some(EARLIER_SIZE);
    assert_eq!(with_checkpoint(four, &log.checkpoint(4)), Ok(four));
    assert_eq!(with_checkpoint(None, &log.checkpoint(7)), Ok(Some(7)));
    assert_eq!(with_checkpoint(None, &log.checkpoint(0)), Ok(Some(0)));
    assert_eq!(with_checkpoint(four, &log.checkpoint(3)), Err(vec![FindingKind::Unproven]));
    assert_eq!(with_checkpoint(None, &log.checkpoint(4)), Err(vec![FindingKind::Unproven]));
    assert_eq!(with_checkpoint(four, &other.checkpoint(4)), Err(vec![FindingKind::Tampered]));
    assert_eq!(with_checkpoint(None, &other.checkpoint(7)), Err(vec![FindingKind::Tampered]));
    assert_eq!(with_checkpoint(four, &longer.checkpoint(9)), Err(vec![FindingKind::Truncated]));
    assert_eq!(with_checkpoint(four, &foreign.checkpoint(4)), Err(vec![FindingKind::BadSignature]));
}

#[test]
fn what_cannot_be_proved_is_not_bundled() {
    let log = sample::log();
    let (vkey, note, leaves) = (log.key.vkey(), log.checkpoint(5), log.of_run(RUN));
    let build = |leaves: &[(u64, Vec<u8>)], earlier: Option<&str>| {
        Bundle::build(RUN, vkey, &note, leaves, &log.store, earlier).map(drop)
    };
    assert!(matches!(build(&leaves, None), Err(BundleError::NotCovered { seq: 5, size: 5 })));
    assert!(matches!(build(&[], None), Err(BundleError::Empty { .. })));
    assert!(matches!(
        build(&leaves[..2], Some(&log.checkpoint(6))),
        Err(BundleError::Tree(TreeError::OutOfRange { .. }))
    ));
    assert!(matches!(build(&[(0, vec![0xff])], None), Err(BundleError::NotText { seq: 0 })));
}

#[test]
fn limits_hold() {
    let entry = build(&sample::log(), None).entries.remove(0);
    let mut bundle = build(&sample::log(), None);
    bundle.entries[0].proof = vec![entry.proof[0].clone(); PROOF_HASHES_MAX + 1];
    assert!(matches!(bundle.write(), Err(BundleError::TooLarge { .. })));
    bundle.entries[0] = Entry { leaf: "x".repeat(LEAF_BYTES_MAX + 1), ..entry };
    assert!(matches!(bundle.write(), Err(BundleError::TooLarge { .. })));
}

#[test]
fn a_leaf_without_a_run_may_come_along() {
    let log = sample::log();
    let mut leaves = log.of_run(RUN);
    leaves.insert(0, log.leaves[0].clone());
    assert_eq!(Leaf::decode(&leaves[0].1).unwrap().kind, LeafKind::Register);
    let note = log.checkpoint(7);
    let build = |leaves: &[(u64, Vec<u8>)]| {
        Bundle::build(RUN, log.key.vkey(), &note, leaves, &log.store, None).unwrap()
    };
    let bytes = build(&leaves).write().unwrap();
    assert_eq!(verify_bundle(&bytes, BundleChecks::default()).unwrap().n_leaves, 6);
    let bytes = build(&leaves[..1]).write().unwrap();
    let findings = verify_bundle(&bytes, BundleChecks::default()).unwrap_err();
    assert_eq!(kinds(&findings), [FindingKind::Unreadable]);
}

/// The sample's bundle, made once.
static GOOD: LazyLock<Vec<u8>> =
    LazyLock::new(|| build(&sample::log(), Some(EARLIER_SIZE)).write().unwrap());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_changed_byte_of_a_bundle_is_found(
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut bytes = GOOD.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(verify_bundle(&bytes, BundleChecks::default()).is_err());
    }

    #[test]
    fn a_bundle_cut_anywhere_is_found(place in any::<prop::sample::Index>()) {
        let end = place.index(GOOD.len());
        prop_assert!(verify_bundle(&GOOD[..end], BundleChecks::default()).is_err());
    }

    #[test]
    fn noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify_bundle(&bytes, BundleChecks::default()).is_err());
    }
}
