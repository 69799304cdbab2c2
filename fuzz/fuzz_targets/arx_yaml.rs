//! `arx.yaml`: parsed, checked, and its inputs overridden.
//!
//! Whatever the text: every mistake stands at a line and column inside it and is told on one
//! line; what is taken is taken again in the same way, and names operations that exist.
#![no_main]

use arx_fuzz::catalogue;
use arx_workflow::bundle::parse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let catalogue = catalogue();
    match parse("arx.yaml", &text, &catalogue) {
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "refused without a reason");
            let n_lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            for diagnostic in diagnostics {
                let (line, column) = (diagnostic.line as usize, diagnostic.column);
                assert!(line >= 1 && column >= 1, "no place: {diagnostic}");
                assert!(line <= n_lines + 1, "beyond {n_lines} lines: {diagnostic}");
                assert!(!diagnostic.message.contains('\n'), "several lines: {diagnostic}");
                assert!(diagnostic.code.starts_with("ARX-C"), "no code: {diagnostic}");
            }
        }
        Ok(manifest) => {
            let again = parse("arx.yaml", &text, &catalogue).expect("taken before");
            assert_eq!(format!("{again:?}"), format!("{manifest:?}"), "taken in two ways");
            for (connector, operations) in manifest.bound() {
                let known = catalogue.iter().find(|(name, _)| *name == connector);
                let (_, known) = known.expect("a connector that exists");
                // One with a glob in it is looked at by the parser alone.
                let plain = |name: &String| !name.contains(['*', '?', '[', '{', '\\']);
                for operation in operations.into_iter().filter(plain) {
                    assert!(known.iter().any(|one| one.name == operation), "`{operation}`");
                }
            }
            let _ = manifest.config();
            for input in ["severities", "storm_threshold", "servicenow.table", "n"] {
                for value in ["[CRITICAL]", "1"] {
                    let _ = manifest.with_overrides(&[(input.to_owned(), value.to_owned())]);
                }
            }
        }
    }
});
