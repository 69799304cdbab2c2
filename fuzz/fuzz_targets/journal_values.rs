//! Values as the journal keeps them, packed, read back from a database that may be damaged.
//!
//! Whatever the bytes: what was packed is read back as it was, and what never was packed is either
//! refused or no larger than allowed.
#![no_main]

use arx_journal::{JournalError, Packed, UNPACKED_BYTES_MAX};
use rusqlite::types::{FromSql as _, ValueRef};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let packed = Packed::bytes(bytes).expect("fewer bytes than allowed");
    assert_eq!(packed.unpack_bytes().expect("what was packed"), bytes);
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        let packed = Packed::json(&value).expect("a value");
        let again: serde_json::Value = packed.unpack().expect("what was packed");
        assert_eq!(again, value, "a value changed in the journal");
    }
    let stored = Packed::column_result(ValueRef::Blob(bytes)).expect("a blob");
    match stored.unpack_bytes() {
        Ok(unpacked) => assert!(unpacked.len() <= UNPACKED_BYTES_MAX, "{} bytes", unpacked.len()),
        Err(JournalError::Corrupt { .. }) => {}
        Err(other) => panic!("damage is told as something else: {other}"),
    }
});
