//! The kinds of mistakes in `arx.yaml`, and what was most likely meant.

use std::fmt;

/// How much of the user's own text a message quotes.
const QUOTE_CHARS_MAX: usize = 60;
/// A longer list of alternatives is no hint.
const CHOICES_MAX: usize = 12;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// A kind of mistake.
        ///
        /// A code is never given another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it is printed, `ARX-C012`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// The text does not parse as YAML.
    Syntax = "ARX-C001",
    /// The text is larger, deeper or expands further than a bundle may.
    TooLarge = "ARX-C002",
    /// A key that does not exist.
    UnknownKey = "ARX-C003",
    /// A key that must be there is not.
    MissingKey = "ARX-C004",
    /// One key twice in one map.
    DuplicateKey = "ARX-C005",
    /// A value of the wrong type.
    WrongType = "ARX-C006",
    /// A word that is not in the vocabulary.
    UnknownWord = "ARX-C007",
    /// A name or text of the wrong form.
    BadName = "ARX-C008",
    /// A number out of its range.
    OutOfRange = "ARX-C009",
    /// A connector that does not exist.
    UnknownConnector = "ARX-C010",
    /// An operation that no catalogue has.
    UnknownOperation = "ARX-C011",
    /// A text that is not a glob.
    BadGlob = "ARX-C012",
    /// A `when:` that is not a condition.
    BadCondition = "ARX-C013",
    /// A text that is not a duration.
    BadDuration = "ARX-C014",
    /// A text that is not a cron expression.
    BadCron = "ARX-C015",
    /// A time zone that does not exist.
    UnknownTimezone = "ARX-C016",
    /// A text that is not a rate.
    BadRate = "ARX-C017",
    /// Two rules with one name.
    DuplicateRule = "ARX-C018",
    /// A limit that no write can reach.
    LimitWithoutWrite = "ARX-C019",
    /// An input whose declaration contradicts itself.
    BadInput = "ARX-C020",
    /// `--set` names an input that does not exist.
    UnknownInput = "ARX-C021",
    /// `--set` gives an input a value that it does not take.
    BadInputValue = "ARX-C022",
    /// A list with more entries than allowed.
    TooMany = "ARX-C023",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The user's text, short enough for one line and without control characters.
pub(super) fn quote(text: &str) -> String {
    let shown = printable(text.chars().take(QUOTE_CHARS_MAX));
    let more = if text.chars().nth(QUOTE_CHARS_MAX).is_some() { "…" } else { "" };
    format!("`{shown}{more}`")
}

/// A text on one line: nothing that it quotes moves a terminal's cursor.
pub(super) fn printable(text: impl IntoIterator<Item = char>) -> String {
    text.into_iter().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The candidate that was most likely meant.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Distances are quadratic in the length, and nothing that long is a typing error.
    if name.chars().nth(QUOTE_CHARS_MAX).is_some() {
        return None;
    }
    let folded = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            let longer = candidate.chars().count().max(name.chars().count());
            *distance <= (longer / 3).max(1) && *distance < longer
        })
        .min_by_key(|(distance, candidate)| (*distance, *candidate))
        .map(|(_, candidate)| candidate)
}

/// "did you mean …" where something is near, else what there is.
pub(super) fn suggest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = nearest(name, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut all: Vec<&str> = candidates.into_iter().collect();
    all.dedup();
    match all.as_slice() {
        [] => None,
        [only] => Some(format!("write `{only}`")),
        many if many.len() <= CHOICES_MAX => Some(format!("one of {}", list(many))),
        _ => None,
    }
}

/// `a`, `b` and `c` in backticks.
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
