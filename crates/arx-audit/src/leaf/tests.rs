use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sample::{self, any_integer, any_json};

fn text(leaf: &Leaf) -> String {
    String::from_utf8(leaf.encode().unwrap()).unwrap()
}

#[test]
fn a_leaf_leaves_out_what_it_does_not_have() {
    let leaf = Leaf::new(7, Timestamp::UNIX_EPOCH, LeafKind::Stop, "ada");
    insta::assert_snapshot!(text(&leaf), @r#"{"actor":"ada","at":"1970-01-01T00:00:00.000000Z","kind":"stop","seq":7,"v":1}"#);
}

#[test]
fn every_sample_leaf_reads_back() {
    for leaf in sample::leaves() {
        assert_eq!(Leaf::decode(&leaf.encode().unwrap()).unwrap(), leaf);
    }
}

#[test]
fn every_kind_is_spelt_as_it_says() {
    let kinds = [
        LeafKind::Run,
        LeafKind::Decision,
        LeafKind::Approval,
        LeafKind::Intent,
        LeafKind::Outcome,
        LeafKind::Merge,
        LeafKind::Episode,
        LeafKind::Register,
        LeafKind::Stop,
        LeafKind::Settle,
        LeafKind::Schedule,
        LeafKind::Identity,
    ];
    for kind in kinds {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.as_str()));
    }
}

#[test]
fn times_are_cut_to_the_microsecond() {
    let at = Timestamp::UNIX_EPOCH + SignedDuration::from_nanos(1_999);
    let leaf = Leaf::new(0, at, LeafKind::Stop, "ada");
    assert_eq!(leaf.at, Timestamp::UNIX_EPOCH + SignedDuration::from_micros(1));
    let mut late = leaf.clone();
    late.at = at;
    assert_eq!(late.encode().unwrap(), leaf.encode().unwrap());
}

#[track_caller]
fn check_refused(spoil: impl FnOnce(&mut Leaf), expected: &str) {
    let mut leaf = sample::leaf(3, LeafKind::Intent, |leaf| leaf.action = Some(sample::page()));
    spoil(&mut leaf);
    assert_eq!(leaf.encode().unwrap_err().to_string(), expected);
}

#[test]
fn what_no_reader_would_accept_is_not_written() {
    let detail = |value: Value| json!({ "x": value }).as_object().cloned();
    let number = |shown: &str| {
        format!("leaf field `x` holds `{shown}`, which is not an integer within 2^53-1")
    };
    check_refused(|leaf| leaf.v = 2, "leaf has schema version `2`, expected `1`");
    let factor = || [("\u{1f600}".to_owned(), 1)].into();
    let risk = || Risk { class: RiskClass::Low, raw: 1, score: 1, factors: factor() };
    check_refused(
        |leaf| leaf.risk = Some(risk()),
        "leaf field `risk.factors` has a name that is not ASCII",
    );
    check_refused(|leaf| leaf.actor.clear(), "leaf field `actor` is empty");
    check_refused(|leaf| leaf.detail = detail(json!(0.5)), &number("0.5"));
    check_refused(|leaf| leaf.detail = detail(json!([1.0])), &number("1.0"));
    check_refused(|leaf| leaf.detail = detail(json!(1_u64 << 53)), &number("9007199254740992"));
    check_refused(
        |leaf| leaf.seq = 1 << 53,
        "leaf field `seq` holds `9007199254740992`, which is not an integer within 2^53-1",
    );
    check_refused(
        |leaf| leaf.result_sha256 = Some("ABCDEF".repeat(11)),
        "leaf field `result_sha256` is not a SHA-256 digest in lower-case hexadecimal",
    );
    check_refused(
        |leaf| leaf.action.as_mut().unwrap().params_sha256 = Some("0".repeat(63)),
        "leaf field `action.params_sha256` is not a SHA-256 digest in lower-case hexadecimal",
    );
    let deep = (0..DETAIL_DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
    check_refused(|leaf| leaf.detail = detail(deep), "leaf field `x` nests deeper than 32 levels");
    let long = "x".repeat(LEAF_BYTES_MAX);
    assert!(matches!(
        sample::leaf(0, LeafKind::Run, |leaf| leaf.detail = detail(json!(long))).encode(),
        Err(LeafError::TooLarge { .. })
    ));
}

#[track_caller]
fn check_spelling(from: &str, to: &str) {
    let leaf = sample::leaves().remove(6);
    let good = text(&leaf);
    let bad = good.replacen(from, to, 1);
    assert_ne!(good, bad, "`{from}` is not in {good}");
    let error = Leaf::decode(bad.as_bytes()).unwrap_err();
    assert!(
        matches!(
            error,
            LeafError::NotCanonical | LeafError::Parse { .. } | LeafError::Number { .. }
        ),
        "{error}"
    );
}

#[test]
fn another_spelling_of_the_same_leaf_is_refused() {
    check_spelling("{", "{ ");
    check_spelling("}", "}\n");
    check_spelling("\"seq\":6", "\"seq\":6.0");
    check_spelling("\"seq\":6", "\"seq\":06");
    check_spelling("\"seq\":6", "\"rule\":null,\"seq\":6");
    check_spelling("\"seq\":6", "\"lineage\":[],\"seq\":6");
    check_spelling("\"seq\":6", "\"seq\":6,\"seq\":6");
    check_spelling("\"seq\":6", "\"seq\":6,\"surprise\":1");
    check_spelling("\"run_leaves\":4", "\"run_leaves\":4e0");
    check_spelling("\"run_leaves\":4", "\"run_leaves\":4,\"run_leaves\":4");
    check_spelling("é", "\\u00e9");
    check_spelling("Z\"", "+00:00\"");
    check_spelling("125Z", "125000Z");
    check_spelling("schedule", "sch\\u0065dule");
}

proptest! {
    #[test]
    fn what_is_written_is_canonical_and_reads_back(
        micros in 0_i64..4_000_000_000_000_000,
        actor in "[^\u{0}]{1,20}",
        lineage in prop::collection::vec(any::<String>(), 0..4),
        value in any_json(any_integer()),
        factor in "[ -~]{0,8}",
        which in 0_usize..7,
    ) {
        let at = Timestamp::from_microsecond(micros).unwrap();
        let mut leaf = sample::leaves().remove(which);
        (leaf.at, leaf.actor, leaf.lineage) = (at, actor, lineage);
        leaf.detail = Some(Map::from_iter([("value".to_owned(), value), (factor.clone(), 1.into())]));
        if let Some(risk) = &mut leaf.risk {
            risk.factors.insert(factor, 3);
        }
        let bytes = leaf.encode().unwrap();
        prop_assert_eq!(&Leaf::decode(&bytes).unwrap(), &leaf);
        prop_assert_eq!(bytes, serde_json_canonicalizer::to_vec(&leaf).unwrap());
    }

    #[test]
    fn decoding_never_panics_and_never_takes_two_spellings(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        which in 0_usize..7,
    ) {
        let mut bytes = sample::leaves().remove(which).encode().unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(leaf) = Leaf::decode(&bytes) {
            prop_assert_eq!(leaf.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn decoding_noise_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Leaf::decode(&bytes).is_err());
    }
}
