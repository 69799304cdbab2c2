//! An evidence bundle, as `arx-verify` reads it.
//!
//! Whatever the bytes: what is taken is written back byte for byte, what verifies is signed by
//! the pinned key and holds the run it names, and problems are listed, never none.
#![no_main]

use arx_audit::{Bundle, BundleChecks, verify_bundle};

/// The golden bundle's key: whatever verifies under it was signed with it.
const VKEY: &str = include_str!("../../crates/arx-audit/tests/golden/vkey.txt");
const GOLDEN: &[u8] = include_bytes!("../../crates/arx-audit/tests/golden/bundle.json");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(bundle) = Bundle::parse(bytes) {
        assert_eq!(bundle.write().expect("what was read can be written"), bytes);
    }
    let pinned = BundleChecks { pinned_vkey: Some(VKEY.trim()), earlier_checkpoint: None };
    for checks in [BundleChecks::default(), pinned] {
        match verify_bundle(bytes, checks) {
            Err(findings) => {
                assert!(!findings.is_empty(), "refused without a reason");
                for finding in findings {
                    let _ = (finding.kind(), finding.seq());
                    assert!(!finding.to_string().is_empty(), "a problem without words");
                }
            }
            Ok(report) => {
                assert!(report.n_leaves as u64 <= report.size, "more leaves than the log has");
                assert!(report.n_counted <= report.n_leaves as u64, "{report:?}");
                // Nobody but the holder of its key signs, so only the golden bundle can pass, or
                // one of the same checkpoint that holds fewer of its leaves.
                if checks.pinned_vkey.is_some() && bytes != GOLDEN {
                    let golden = Bundle::parse(GOLDEN).expect("the golden bundle");
                    let other = Bundle::parse(bytes).expect("it was verified");
                    assert_eq!(golden.checkpoint, other.checkpoint, "a forged checkpoint");
                    for entry in &other.entries {
                        assert!(golden.entries.contains(entry), "a forged leaf");
                    }
                }
            }
        }
    }
});
