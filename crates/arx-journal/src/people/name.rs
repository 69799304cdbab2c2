//! Names of people: one person, one spelling that counts.

use super::PeopleError;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// What stands in the record for something else than a person.
const RESERVED: [&str; 6] = ["arx", "role", "schedule", "system", "unknown", "user"];

/// A name as the record keeps it.
///
/// # Errors
/// [`PeopleError::Name`] when nobody can have it.
pub fn name_of(text: &str) -> Result<String, PeopleError> {
    let name = text.trim();
    let refused = |reason| {
        let name = name.chars().filter(|c| !is_unseen(*c)).take(NAME_BYTES_MAX).collect();
        Err(PeopleError::Name { name, reason })
    };
    if name.is_empty() {
        return refused("it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return refused("it has more than 128 bytes");
    }
    if name.chars().any(is_unseen) {
        return refused("it has characters that cannot be seen");
    }
    if name.contains(':') {
        return refused("a colon stands between a role and a name");
    }
    if RESERVED.contains(&folded(name).as_str()) {
        return refused("it stands for something else in the record");
    }
    Ok(name.to_owned())
}

/// What two spellings of one person's name have in common.
#[must_use]
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Characters that two names could differ in without anybody seeing it.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
        || (c.is_whitespace() && c != ' ')
}
