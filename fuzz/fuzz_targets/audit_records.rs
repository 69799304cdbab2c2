//! Leaves, checkpoints and keys of the audit log.
//!
//! Whatever the bytes: a leaf that is taken is written back byte for byte, and no text but a
//! signed one is a checkpoint of the golden key.
#![no_main]

use arx_audit::{Leaf, origin_of, verify_checkpoint};

const VKEY: &str = include_str!("../../crates/arx-audit/tests/golden/vkey.txt");
const NOTES: [&str; 2] = [
    include_str!("../../crates/arx-audit/tests/golden/checkpoint-4.txt"),
    include_str!("../../crates/arx-audit/tests/golden/checkpoint-7.txt"),
];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(leaf) = Leaf::decode(bytes) {
        assert_eq!(leaf.encode().expect("what was read can be written"), bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(origin) = origin_of(&text) {
        assert!(text.starts_with(&origin), "a key of another log");
        for note in NOTES {
            let is_ours = text.trim() == VKEY.trim();
            assert!(verify_checkpoint(&text, note).is_err() || is_ours, "any key verifies");
        }
    }
    if verify_checkpoint(VKEY.trim(), &text).is_ok() {
        // Other signatures may stand below ours; the text above them is what is signed.
        let body = |note: &str| note.split("\n\n").next().map(str::to_owned);
        assert!(NOTES.iter().any(|note| body(note) == body(&text)), "a forged checkpoint");
    }
});
