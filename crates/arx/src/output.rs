//! Where text goes: data on standard output, the rest on standard error.
//!
//! What vendors and workflows wrote passes [`printable`] before it reaches a terminal, so that a
//! finding's title cannot move the cursor or change a colour.

use std::borrow::Cow;

use serde::Serialize;

/// The two streams, and whether they take colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    colours_data: bool,
    colours_notes: bool,
}

impl Output {
    pub(crate) fn new(json: bool, colours_data: bool, colours_notes: bool) -> Self {
        Self { json, colours_data, colours_notes }
    }

    /// Whether data is one JSON document.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether standard error takes colours.
    pub(crate) fn colours_notes(self) -> bool {
        self.colours_notes
    }

    /// Paint for standard output.
    pub(crate) fn paint(self) -> Paint {
        Paint { on: self.colours_data }
    }

    /// Paint for standard error.
    pub(crate) fn paint_notes(self) -> Paint {
        Paint { on: self.colours_notes }
    }

    /// Prints data for people.
    pub(crate) fn data(self, text: &str) {
        write(&mut std::io::stdout().lock(), text);
    }

    /// Prints the one JSON document of a command.
    pub(crate) fn document(self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| "null".to_owned());
        write(&mut std::io::stdout().lock(), &text);
    }

    /// Says something beside the data.
    pub(crate) fn note(self, text: &str) {
        write(&mut std::io::stderr().lock(), text);
    }

    /// Warns beside the data.
    pub(crate) fn warn(self, text: &str) {
        let label = self.paint_notes().yellow("warning:");
        self.note(&format!("{label} {}", printable(text)));
    }
}

/// Writes a line. A reader that has gone away, as `head` does, is no error of ours.
fn write(stream: &mut impl std::io::Write, text: &str) {
    let _ = writeln!(stream, "{}", text.trim_end_matches('\n'));
    let _ = stream.flush();
}

/// Colours, where they are on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// A stranger's text as it may be shown: control characters and those that turn the direction of
/// writing are escaped. Line breaks become spaces.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| !c.is_control() && !turns_direction(c);
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(' '),
            c if is_harmless(c) => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// As [`printable`], keeping line breaks: for texts of several lines, such as tracebacks.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(printable(text), expected);
    }

    #[test]
    fn what_could_move_the_cursor_is_escaped() {
        check("CVE-2024-1 Überlauf in 漢字", "CVE-2024-1 Überlauf in 漢字");
        check("a\u{1b}[31mred", "a\\u{1b}[31mred");
        check("two\nlines\tand a tab", "two lines and a tab");
        check("bell\u{7}, delete\u{7f}, csi\u{9b}", "bell\\u{7}, delete\\u{7f}, csi\\u{9b}");
        check("\u{202e}gpj.exe", "\\u{202e}gpj.exe");
    }
}
