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
    assert_eq!(short.stored_bytes(), 9);
    assert_eq!(format!("{short:?}"), "Packed(9 bytes)");
}

#[test]
fn what_was_not_packed_is_damage() {
    #[track_caller]
    fn check(stored: Packed, expected: &str) {
        let error = stored.unpack::<Value>().unwrap_err();
        assert!(matches!(error, JournalError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    check(Packed(Vec::new()), "it is cut off");
    check(Packed(b"\0{}".to_vec()), "it is cut off");
    check(Packed(b"\0\0\0\0\0{}".to_vec()), "its checksum is wrong");
    check(Packed::framed(2, b"{}"), "it is of an unknown form");
    check(Packed::framed(PLAIN, b"{"), "EOF while parsing an object at line 1 column 1");
    check(Packed::framed(LZ4, b"not packed"), "it is larger than any that is written");
    let packed = Packed::json(&json!({ "text": "finding ".repeat(1000) })).unwrap();
    check(Packed(packed.0[..packed.0.len() / 2].to_vec()), "its checksum is wrong");
}

#[test]
fn more_than_the_limit_is_refused_on_both_ways() {
    let error = Packed::bytes(&vec![0; UNPACKED_BYTES_MAX + 1]).unwrap_err();
    assert!(matches!(error, JournalError::Invalid { .. }));
    let packed = Packed::bytes(&[0; 2000]).unwrap();
    assert_eq!(decompress(&packed.0[HEAD_BYTES..], 2000).unwrap(), [0; 2000]);
    let error = decompress(&packed.0[HEAD_BYTES..], 1999).unwrap_err();
    assert!(error.to_string().ends_with("it is larger than any that is written"), "{error}");
}

proptest! {
    #[test]
    fn bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(Packed::bytes(&bytes).unwrap().unpack_bytes().unwrap(), bytes);
    }

    #[test]
    fn a_flipped_bit_is_damage(bytes in prop::collection::vec(any::<u8>(), 0..600), at: usize) {
        let mut packed = Packed::bytes(&bytes).unwrap();
        let at = at % (packed.0.len() * 8);
        packed.0[at / 8] ^= 1 << (at % 8);
        let error = packed.unpack_bytes().unwrap_err();
        prop_assert!(error.to_string().ends_with("its checksum is wrong"), "{}", error);
    }

    #[test]
    fn unpacking_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Packed(bytes).unpack::<Value>();
    }
}
