use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::sample::{any_integer, any_json};

#[track_caller]
fn check(value: Value, expected: &str) {
    assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expected);
}

#[test]
fn keys_are_sorted_by_utf16_and_numbers_normalised() {
    check(json!({"b": 1, "a": [true, null, "x"]}), r#"{"a":[true,null,"x"],"b":1}"#);
    check(json!({"\u{e000}": 1, "\u{1f600}": 2}), "{\"\u{1f600}\":2,\"\u{e000}\":1}");
    check(json!({"f": 9.80, "i": 1e3, "z": -0.0}), r#"{"f":9.8,"i":1000,"z":0}"#);
    check(json!("\u{0}\u{1f}\"\\/\n\u{7f}é"), "\"\\u0000\\u001f\\\"\\\\/\\n\u{7f}é\"");
}

#[test]
fn integers_that_would_collide_are_refused() {
    check(json!(INTEGER_MAX), "9007199254740991");
    check(json!(-9_007_199_254_740_991_i64), "-9007199254740991");
    for number in [json!(INTEGER_MAX + 1), json!(i64::MIN), json!(u64::MAX)] {
        let error = canonical(&json!({"deep": [number]})).unwrap_err();
        assert!(matches!(error, CanonicalError::IntegerRange { .. }), "{error}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let by_pair = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(canonical(&by_pair), Err(CanonicalError::Encode(_))));
}

#[test]
fn sha256_of_nothing_is_the_known_value() {
    assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

proptest! {
    #[test]
    fn the_fast_encoder_agrees_with_the_general_one(value in any_json(any_integer())) {
        let general = serde_json_canonicalizer::to_vec(&value).unwrap();
        prop_assert_eq!(canonical(&value).unwrap(), general);
    }

    #[test]
    fn canonical_json_reads_back(
        value in any_json(prop_oneof![any_integer(), (-1e9..1e9).prop_map(Value::from)].boxed())
    ) {
        let bytes = canonical(&value).unwrap();
        let again: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(canonical(&again).unwrap(), bytes);
    }
}
