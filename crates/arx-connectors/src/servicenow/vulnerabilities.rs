//! Vulnerabilities named in texts: CVE ids, and the QIDs of a scanner.
//!
//! The texts are people's, of any length; only the names are kept.

use std::collections::BTreeSet;

/// Most vulnerabilities of one ticket.
pub(super) const VULNERABILITIES_MAX: usize = 50;
/// Fewest and most digits of the last part of a CVE id.
const CVE_DIGITS: std::ops::RangeInclusive<usize> = 4..=19;
/// Most digits of a QID.
const QID_DIGITS_MAX: usize = 8;
/// Fewest digits of a number that follows `QID 1` after a comma for it to be a QID, too.
const QID_LISTED_DIGITS_MIN: usize = 4;

/// The names found so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Named {
    names: BTreeSet<String>,
    /// There were more than are kept.
    pub more: bool,
    /// Words that begin like a name and are none, the first few.
    pub malformed: Vec<String>,
}

impl Named {
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Each once, sorted.
    pub fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }

    /// Finds the names in a text that people wrote.
    pub fn scan(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut in_word = false;
        while let Some(&byte) = bytes.get(at) {
            if !in_word && let Some((name, end)) = cve(bytes, at) {
                self.add(name);
                at = end;
                in_word = true;
                continue;
            }
            if !in_word && let Some(end) = self.qids(bytes, at) {
                at = end;
                in_word = true;
                continue;
            }
            // A letter beyond ASCII is part of a word, punctuation beyond it nearly never is.
            in_word = byte.is_ascii_alphanumeric();
            at += 1;
        }
    }

    /// Finds the names in a field that is there to hold them.
    pub fn field(&mut self, name: &str, value: &str) {
        self.scan(value);
        let bare = name.to_ascii_lowercase().contains("qid");
        let gap = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|');
        for word in value.split(gap).filter(|word| !word.is_empty()) {
            if bare && let Some(qid) = qid(word.as_bytes()) {
                self.add(qid);
            }
            let lower: String = word.chars().take(5).collect::<String>().to_ascii_lowercase();
            if lower.starts_with("cve-") || lower.starts_with("ghsa-") {
                let mut alone = Self::default();
                alone.scan(word);
                if alone.is_empty() && self.malformed.len() < 3 {
                    self.malformed.push(crate::text::one_line(word, 40));
                }
            }
        }
    }

    /// `QID 12345`, `QID: 12345`, `QID-12345`, `QIDs 1, 2 and 3`; gives the end of the last.
    fn qids(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let word = bytes.get(start..start + 3)?;
        if !word.eq_ignore_ascii_case(b"qid") {
            return None;
        }
        let mut at = start + 3;
        let plural = bytes.get(at).is_some_and(|byte| byte.eq_ignore_ascii_case(&b's'));
        at += usize::from(plural);
        at = skip(bytes, at, |byte| byte.is_ascii_whitespace() || b":#-=(".contains(&byte));
        let mut end = self.number(bytes, at, 1)?;
        let digits_min = if plural { 1 } else { QID_LISTED_DIGITS_MIN };
        loop {
            let mut next = skip(bytes, end, |byte| byte.is_ascii_whitespace());
            let joined = match bytes.get(next) {
                Some(b',' | b';' | b'/' | b'&' | b'+') => {
                    next += 1;
                    true
                }
                _ => false,
            };
            next = skip(bytes, next, |byte| byte.is_ascii_whitespace());
            let and =
                bytes.get(next..next + 3).is_some_and(|word| word.eq_ignore_ascii_case(b"and"))
                    && bytes.get(next + 3).is_some_and(u8::is_ascii_whitespace);
            if and {
                next = skip(bytes, next + 3, |byte| byte.is_ascii_whitespace());
            }
            if !(joined || and) {
                return Some(end);
            }
            match self.number(bytes, next, digits_min) {
                Some(after) => end = after,
                None => return Some(end),
            }
        }
    }

    /// A number that stands alone at `start`, as a QID; gives its end.
    fn number(&mut self, bytes: &[u8], start: usize, digits_min: usize) -> Option<usize> {
        let end = skip(bytes, start, |byte| byte.is_ascii_digit());
        if bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
            return None;
        }
        if end - start < digits_min {
            return None;
        }
        self.add(qid(bytes.get(start..end)?)?);
        Some(end)
    }

    fn add(&mut self, name: String) {
        if self.names.len() >= VULNERABILITIES_MAX && !self.names.contains(&name) {
            self.more = true;
            return;
        }
        self.names.insert(name);
    }
}

/// A CVE id at `start` in its usual form, and its end.
fn cve(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    if !bytes.get(start..start + 3)?.eq_ignore_ascii_case(b"cve") {
        return None;
    }
    let year_at = hyphen(bytes, start + 3)?;
    let year_end = skip(bytes, year_at, |byte| byte.is_ascii_digit());
    let number_at = hyphen(bytes, year_end)?;
    let end = skip(bytes, number_at, |byte| byte.is_ascii_digit());
    let whole = year_end - year_at == 4 && CVE_DIGITS.contains(&(end - number_at));
    let alone = !bytes.get(end).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if !(whole && alone) {
        return None;
    }
    let year = std::str::from_utf8(bytes.get(year_at..year_end)?).ok()?;
    let number = std::str::from_utf8(bytes.get(number_at..end)?).ok()?;
    Some((format!("CVE-{year}-{number}"), end))
}

/// The end of a hyphen at `at`; word processors write several kinds.
fn hyphen(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b'-', ..] => Some(at + 1),
        // U+2010 to U+2013, U+2212.
        [0xe2, 0x80, 0x90..=0x93, ..] | [0xe2, 0x88, 0x92, ..] => Some(at + 3),
        _ => None,
    }
}

/// A QID from its digits alone.
fn qid(digits: &[u8]) -> Option<String> {
    let fit = !digits.is_empty() && digits.len() <= QID_DIGITS_MAX;
    if !(fit && digits.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number > 0).then(|| format!("QID-{number}"))
}

fn skip(bytes: &[u8], mut at: usize, over: impl Fn(u8) -> bool) -> usize {
    while bytes.get(at).is_some_and(|byte| over(*byte)) {
        at += 1;
    }
    at
}
