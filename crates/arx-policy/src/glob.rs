//! Globs over connector and operation names: `*` is any text, `{a,b}` a choice, everything else
//! (`:` and `.` too) stands for itself.

use globset::{GlobBuilder, GlobMatcher};

/// The longest glob, in bytes.
pub(crate) const GLOB_BYTES_MAX: usize = 200;
/// The most alternatives that [`literals`] spells out.
const LITERALS_MAX: usize = 64;

/// Why a text is not a glob.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum GlobError {
    /// It is empty.
    #[error("an empty glob matches nothing")]
    Empty,
    /// It is too long.
    #[error("a glob of more than {GLOB_BYTES_MAX} bytes")]
    TooLong,
    /// It holds a character that no connector and no operation has.
    #[error("`{glob}` is not a glob: `{character}` cannot be part of a name")]
    Character {
        /// What was given.
        glob: String,
        /// The offender.
        character: char,
    },
    /// Its braces are wrong.
    #[error("`{glob}` is not a glob: {reason}")]
    Braces {
        /// What was given.
        glob: String,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The matcher refused it.
    #[error("`{glob}` is not a glob: {reason}")]
    Refused {
        /// What was given.
        glob: String,
        /// The matcher's own words.
        reason: String,
    },
}

/// One compiled glob.
#[derive(Clone, Debug)]
pub struct Glob {
    matcher: GlobMatcher,
}

impl Glob {
    /// Compiles a glob.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        Ok(Self { matcher: build(text)?.compile_matcher() })
    }

    /// Whether it matches the whole of `name`.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.matcher.is_match(name)
    }
}

/// The names that a glob without `*` spells out (`{wiz,qualys}` is two); `None` where it has a
/// `*`, is not a glob, or spells out too many.
#[must_use]
pub fn literals(glob: &str) -> Option<Vec<String>> {
    if glob.contains('*') || check(glob).is_err() {
        return None;
    }
    let mut spelled = vec![String::new()];
    let mut rest = glob;
    while let Some((before, after)) = rest.split_once('{') {
        let (choices, tail) = after.split_once('}')?;
        spelled = spelled
            .iter()
            .flat_map(|start| choices.split(',').map(move |end| format!("{start}{before}{end}")))
            .take(LITERALS_MAX + 1)
            .collect();
        rest = tail;
    }
    if spelled.len() > LITERALS_MAX {
        return None;
    }
    for name in &mut spelled {
        name.push_str(rest);
    }
    Some(spelled)
}

pub(crate) fn build(text: &str) -> Result<globset::Glob, GlobError> {
    check(text)?;
    GlobBuilder::new(text).literal_separator(false).backslash_escape(false).build().map_err(
        |error| GlobError::Refused { glob: text.to_owned(), reason: error.kind().to_string() },
    )
}

/// Narrows what `globset` takes to what this product means by a glob, so that no character
/// class, escape or nested choice is accepted by accident.
fn check(text: &str) -> Result<(), GlobError> {
    if text.is_empty() {
        return Err(GlobError::Empty);
    }
    if text.len() > GLOB_BYTES_MAX {
        return Err(GlobError::TooLong);
    }
    let braces = |reason| Err(GlobError::Braces { glob: text.to_owned(), reason });
    let mut inside = false;
    let mut before = ' ';
    for character in text.chars() {
        match character {
            '{' if inside => return braces("a choice inside a choice"),
            '{' => inside = true,
            '}' if !inside => return braces("`}` without `{`"),
            ',' if !inside => return braces("`,` outside of `{…}`"),
            ',' | '}' if matches!(before, '{' | ',') => return braces("an empty choice"),
            '}' => inside = false,
            ',' | '*' | ':' | '.' | '-' | '_' => {}
            _ if character.is_ascii_alphanumeric() => {}
            _ => return Err(GlobError::Character { glob: text.to_owned(), character }),
        }
        before = character;
    }
    if inside { braces("`{` without `}`") } else { Ok(()) }
}
