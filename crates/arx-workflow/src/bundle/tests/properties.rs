use proptest::prelude::*;
use proptest::sample::select;

use super::accepted::EXAMPLE;
use super::{CATALOGUE, HEAD};
use crate::bundle::parse;

/// Every mistake must stand inside of the text.
fn check(text: &str) -> Result<(), TestCaseError> {
    if let Err(diagnostics) = parse("arx.yaml", text, &CATALOGUE) {
        prop_assert!(!diagnostics.is_empty(), "refused without a reason");
        for diagnostic in diagnostics {
            prop_assert!(diagnostic.line >= 1 && diagnostic.column >= 1, "{diagnostic}");
            let lines =
                u32::try_from(text.split(['\n', '\r', '\u{85}']).count()).unwrap_or(u32::MAX);
            prop_assert!(diagnostic.line <= lines + 1, "{diagnostic} in {lines} lines");
            prop_assert!(!diagnostic.message.contains('\n'), "{diagnostic}");
        }
    }
    Ok(())
}

fn words() -> impl Strategy<Value = &'static str> {
    select(vec![
        "apiVersion",
        "arx/v1",
        "kind",
        "Workflow",
        "metadata",
        "name",
        "policy",
        "rules",
        "limits",
        "connectors",
        "wiz",
        "operations",
        "findings:read",
        "inputs",
        "type",
        "int",
        "default",
        "when",
        "effect",
        "permit",
        "schedule",
        "cron",
        "rate",
        "settings",
        ": ",
        ": ",
        ": ",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n  - ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "|\n",
        ">-\n",
        "'",
        "\"",
        "#",
        "!!str ",
        "!x ",
        "? ",
        "---\n",
        "...\n",
        "~",
        "null",
        "1e9",
        "0x1F",
        "-",
        "é",
        "\t",
        "\r\n",
        "<<",
        "%YAML 1.2\n",
        "\u{feff}",
        "@",
        "`",
    ])
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn no_bytes_break_the_parser(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn nothing_that_looks_like_a_bundle_breaks_the_parser(
        words in prop::collection::vec(words(), 0..40), head in any::<bool>(),
    ) {
        let head = if head { HEAD } else { "" };
        check(&format!("{head}{}", words.concat()))?;
    }

    #[test]
    fn no_damage_to_a_bundle_breaks_the_parser(
        at in 0..EXAMPLE.len(), len in 0..40_usize, with in words(),
    ) {
        let start = EXAMPLE.floor_char_boundary(at);
        let end = EXAMPLE.floor_char_boundary((start + len).min(EXAMPLE.len()));
        check(&format!("{}{with}{}", &EXAMPLE[..start], &EXAMPLE[end..]))?;
    }

    #[test]
    fn no_override_breaks_the_parser(key in "[a-z_.]{0,20}", text in "\\PC{0,60}") {
        let manifest = super::with_inputs("severities: [CRITICAL]\nname: x\nopen: {}\nany: null\nnum: 1");
        for key in [key.as_str(), "severities", "name", "open", "open.x", "any", "num"] {
            let _ = manifest.with_overrides(&[(key.to_owned(), text.clone())]);
        }
    }
}
