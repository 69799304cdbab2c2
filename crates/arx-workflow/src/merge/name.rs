//! Names of vulnerabilities in one canonical form.
//!
//! Canonical names are printable ASCII without spaces or slashes, because they become part of
//! effect keys.

use arx_types::Digest;

/// The longest canonical name, in bytes.
const NAME_BYTES_MAX: usize = 120;

/// What vendors write where they have no name.
const PLACEHOLDERS: [&str; 7] = ["N/A", "NA", "NONE", "NULL", "NIL", "UNKNOWN", "UNDEFINED"];

/// Which registry a canonical name belongs to, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Registry {
    /// `CVE-YYYY-N…`.
    Cve,
    /// `GHSA-xxxx-xxxx-xxxx`.
    Ghsa,
    /// Any other: a vendor's own.
    Vendor,
}

impl Registry {
    /// The registry of a canonical name.
    pub(super) fn of(name: &str) -> Self {
        if is_cve(name) {
            Self::Cve
        } else if is_ghsa(name) {
            Self::Ghsa
        } else {
            Self::Vendor
        }
    }
}

/// The canonical form of what a vendor wrote; `None` for nothing or for a placeholder.
pub(super) fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.bytes().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        || PLACEHOLDERS.iter().any(|word| word.eq_ignore_ascii_case(text))
    {
        return None;
    }
    if is_cve(text) {
        return Some(text.to_ascii_uppercase());
    }
    if is_ghsa(text) {
        let mut name = text.to_ascii_lowercase();
        name.replace_range(..4, "GHSA");
        return Some(name);
    }
    Some(vendor_name(text))
}

/// Upper case, a run of white space as one hyphen. What cannot stand in a name is replaced, and
/// the digest of the whole keeps two such names apart.
fn vendor_name(text: &str) -> String {
    let upper = text.to_uppercase();
    let mut name = String::with_capacity(upper.len());
    let mut faithful = true;
    for word in upper.split_whitespace() {
        if !name.is_empty() {
            name.push('-');
        }
        for character in word.chars() {
            if character.is_ascii_graphic() && character != '/' {
                name.push(character);
            } else {
                name.push('_');
                faithful = false;
            }
        }
    }
    if !faithful || name.len() > NAME_BYTES_MAX {
        let digest = Digest::of_bytes(upper.as_bytes()).short().to_ascii_uppercase();
        name.truncate(NAME_BYTES_MAX - digest.len() - 1);
        name.push('-');
        name.push_str(&digest);
    }
    name
}

fn is_cve(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(prefix), Some(year), Some(number), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    prefix.eq_ignore_ascii_case("CVE")
        && year.len() == 4
        && digits(year)
        && (4..=19).contains(&number.len())
        && digits(number)
}

fn is_ghsa(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.next().is_some_and(|prefix| prefix.eq_ignore_ascii_case("GHSA"))
        && parts.clone().count() == 3
        && parts.all(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}
