//! Texts that quote vendors and people, made fit for a vendor's field.
//!
//! Lengths are counted in UTF-16 code units, the largest count that any vendor uses: a text that
//! fits by it fits by characters too.

/// What ends a text that was cut.
const ELLIPSIS: char = '…';

/// Whether a body is a JSON object, if it is JSON. What is read into named fields would be taken
/// from a list as well, one field after the other.
pub(crate) fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// Length in UTF-16 code units.
pub(crate) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// `text` on one line: every run of white space and control characters is one space; at most
/// `units_max` long.
pub(crate) fn one_line(text: &str, units_max: usize) -> String {
    let gap = |c: char| c.is_whitespace() || c.is_control();
    let words: Vec<&str> = text.split(gap).filter(|word| !word.is_empty()).collect();
    cut(&words.join(" "), units_max)
}

/// `text` with `\n` as the only control character, at most `units_max` long.
pub(crate) fn lines(text: &str, units_max: usize) -> String {
    let unix = text.replace("\r\n", "\n").replace(['\r', '\t'], " ");
    let clean: String = unix.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    cut(&clean, units_max)
}

/// `text`, cut on a character boundary where it is longer than `units_max`.
pub(crate) fn cut(text: &str, units_max: usize) -> String {
    if units(text) <= units_max {
        return text.to_owned();
    }
    let room = units_max.saturating_sub(ELLIPSIS.len_utf16());
    let mut used = 0;
    let fits = |c: &char| {
        used += c.len_utf16();
        used <= room
    };
    let mut short: String = text.chars().take_while(fits).collect();
    short.truncate(short.trim_end().len());
    if units_max > 0 {
        short.push(ELLIPSIS);
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, units_max: usize, expected: &str) {
        assert_eq!(one_line(text, units_max), expected);
    }

    #[test]
    fn one_line_folds_and_cuts() {
        check("plain", 255, "plain");
        check(" two\r\n lines\tand\u{0}more ", 255, "two lines and more");
        check("abcdef", 6, "abcdef");
        check("abcdefg", 6, "abcde…");
        check("abcd efg", 6, "abcd…");
        check("🔥🔥🔥", 5, "🔥🔥…");
        check("", 5, "");
        check("abc", 0, "");
    }

    #[test]
    fn lines_keep_line_feeds_only() {
        assert_eq!(lines("a\r\nb\u{7}\tc\rd", 99), "a\nb c d");
    }

    proptest! {
        #[test]
        fn any_text_fits_on_one_line(text in any::<String>(), units_max in 0_usize..40) {
            let line = one_line(&text, units_max);
            prop_assert!(line.encode_utf16().count() <= units_max);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
