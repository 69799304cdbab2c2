//! Strangers' texts as a page may show them.

use std::borrow::Cow;

/// A text in which nothing is hidden: control characters and those that turn the direction of
/// writing or take no room are made visible. Line breaks and tabs stay.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_plain(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

fn is_plain(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{061c}'
        | '\u{feff}' => false,
        c => !c.is_control(),
    }
}

/// The beginning of a text that is too long for its place.
pub(crate) fn shortened(text: &str, chars_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(chars_max) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Minutes as hours and minutes.
pub(crate) fn hours(minutes: u64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{} h", grouped(hours)),
        (hours, minutes) => format!("{} h {minutes} min", grouped(hours)),
    }
}

/// A word of a record as people write it: `needs attention` for `needs_attention`.
pub(crate) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// One thing or several: `1 run`, `2 runs`.
pub(crate) fn count(n: u64, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{} {one}s", grouped(n)),
    }
}

/// An address that a page may link to: one that is plainly http or https. Anything else that a
/// vendor says is shown as text.
pub(crate) fn link(text: &str) -> Option<&str> {
    let url = url::Url::parse(text).ok()?;
    (matches!(url.scheme(), "https" | "http") && url.has_host()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_made_visible() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(visible(text), expected);
        }
        check("Überlauf in 漢字\n\tat", "Überlauf in 漢字\n\tat");
        check("\u{202e}gpj.exe", "\\u{202e}gpj.exe");
        check("a\u{200b}b\u{0}", "a\\u{200b}b\\u{0}");
    }

    #[test]
    fn only_web_addresses_become_links() {
        #[track_caller]
        fn check(text: &str, is_link: bool) {
            assert_eq!(link(text).is_some(), is_link, "{text}");
        }
        check("https://jira.example/browse/SEC-1", true);
        check("javascript:alert(1)", false);
        check("data:text/html,x", false);
        check("//evil.example", false);
        check("", false);
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(hours(90), "1 h 30 min");
        assert_eq!(count(1, "run"), "1 run");
        assert_eq!(shortened("abcdef", 3), "abc…");
    }
}
