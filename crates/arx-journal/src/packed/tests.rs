use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn long_values_shrink_and_short_ones_do_not_grow_much() {
    let long = json!({ "text": "finding ".repeat(1000) });
    let packed = Packed::json(&long).unwrap();
    assert!(packed.stored_bytes() < 200, "{packed:?}");
    assert_eq!(packed.unpack::<Value>().unwrap(), long);
    let short = Packed::json(&json!(null)).unwrap();
    assert_eq!(short.stored_bytes(), 5);
    assert_eq!(format!("{short:?}"), "Packed(5 bytes)");
}

#[test]
fn what_was_not_packed_is_damage() {
    #[track_caller]
    fn check(stored: &[u8]) {
        let error = Packed(stored.to_vec()).unpack::<Value>().unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
    }
    check(b"");
    check(b"\x02{}");
    check(b"\0{");
    check(b"\x01not packed");
    let packed = Packed::json(&json!({ "text": "finding ".repeat(1000) })).unwrap();
    check(&packed.0[..packed.0.len() / 2]);
}

#[test]
fn more_than_the_limit_is_refused_on_both_ways() {
    let error = Packed::bytes(&vec![0; UNPACKED_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, JournalError::Invalid { .. }));
    let packed = Packed::bytes(&[0; 2000]).unwrap();
    assert_eq!(decompress(&packed.0[1..], 2000).unwrap(), [0; 2000]);
    let error = decompress(&packed.0[1..], 1999).unwrap_err();
    assert!(error.to_string().ends_with("it is larger than any that is written"), "{error}");
}

proptest! {
    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(Packed::bytes(&bytes).unwrap().unpack_bytes().unwrap(), bytes);
    }

    #[test]
    fn unpacking_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Packed(bytes).unpack::<Value>();
    }
}
