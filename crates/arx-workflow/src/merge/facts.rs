//! What findings say about a vulnerability, joined so that order cannot matter.
//!
//! INVARIANT (joins): every join here is commutative, associative and idempotent: a maximum, a
//! union, or the best under a total order. A bounded union keeps the smallest members, which is
//! such a join; keeping the first ones would not be.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::sync::LazyLock;

use arx_types::{Finding, Severity};
use hashbrown::DefaultHashBuilder;
use jiff::Timestamp;

/// The longest description or remediation kept, in bytes.
pub(super) const PROSE_BYTES_MAX: usize = 4096;
/// The longest title kept, in bytes.
const TITLE_BYTES_MAX: usize = 300;
/// The longest package, version or address kept, in bytes.
const WORD_BYTES_MAX: usize = 512;
/// Distinct packages, or versions that mend them, kept for one vulnerability.
const PACKAGES_MAX: usize = 20;
/// Distinct addresses for further reading kept for one vulnerability.
const URLS_MAX: usize = 10;

/// The numbers and flags that decide whether a vulnerability qualifies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scores {
    /// The highest severity, Qualys' scale included.
    pub(super) severity: Severity,
    /// The severities given by sources with a scale of words, one bit each.
    words: u8,
    /// The highest on Qualys' own scale; 0 where no finding has one.
    pub(super) qualys_severity: u8,
    pub(super) cvss_tenths: Option<u8>,
    pub(super) epss_millionths: Option<u32>,
    pub(super) known_exploited: bool,
    pub(super) public_exploit: bool,
}

impl Scores {
    fn of(finding: &Finding<'_>) -> Self {
        let qualys_severity = finding.qualys_severity.min(5);
        let (words, on_scale) = match qualys_severity {
            0 => (bit(finding.severity), Severity::None),
            1 => (0, Severity::Informational),
            2 => (0, Severity::Low),
            3 => (0, Severity::Medium),
            4 => (0, Severity::High),
            _ => (0, Severity::Critical),
        };
        let severity = if finding.severity == Severity::None { on_scale } else { finding.severity };
        Self {
            severity,
            words,
            qualys_severity,
            cvss_tenths: finding.cvss_tenths.map(|tenths| tenths.min(100)),
            epss_millionths: finding.epss_millionths.map(|millionths| millionths.min(1_000_000)),
            known_exploited: finding.known_exploited,
            public_exploit: finding.public_exploit,
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        self.severity = self.severity.max(other.severity);
        self.words |= other.words;
        self.qualys_severity = self.qualys_severity.max(other.qualys_severity);
        self.cvss_tenths = self.cvss_tenths.max(other.cvss_tenths);
        self.epss_millionths = self.epss_millionths.max(other.epss_millionths);
        self.known_exploited |= other.known_exploited;
        self.public_exploit |= other.public_exploit;
    }

    /// Whether some finding, of a source with a scale of words, has this severity.
    pub(super) fn has_word(&self, severity: Severity) -> bool {
        self.words & bit(severity) != 0
    }

    /// The highest severity of a source with a scale of words; `None` where there is none.
    pub(super) fn highest_word(&self) -> Option<Severity> {
        [
            Severity::Critical,
            Severity::High,
            Severity::Medium,
            Severity::Low,
            Severity::Informational,
            Severity::None,
        ]
        .into_iter()
        .find(|severity| self.has_word(*severity))
    }
}

fn bit(severity: Severity) -> u8 {
    match severity {
        Severity::None => 1,
        Severity::Informational => 1 << 1,
        Severity::Low => 1 << 2,
        Severity::Medium => 1 << 3,
        Severity::High => 1 << 4,
        Severity::Critical => 1 << 5,
    }
}

/// Keys of the hashes of texts.
static KEYS: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// The hash of what scanners repeat in every row about a vulnerability: texts that were joined
/// once need no second look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TextsHash(u64);

impl TextsHash {
    pub(super) fn of(finding: &Finding<'_>) -> Self {
        let mut hasher = KEYS.build_hasher();
        finding.title.hash(&mut hasher);
        finding.description.hash(&mut hasher);
        finding.remediation.hash(&mut hasher);
        finding.package.hash(&mut hasher);
        finding.fixed_version.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Everything kept of the findings that name the same vulnerabilities.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) scores: Scores,
    pub(super) title: Box<str>,
    pub(super) description: Box<str>,
    pub(super) remediation: Box<str>,
    pub(super) packages: Smallest<PACKAGES_MAX>,
    pub(super) fixed_versions: Smallest<PACKAGES_MAX>,
    pub(super) urls: Smallest<URLS_MAX>,
    pub(super) first_seen: Option<Timestamp>,
    /// Of the texts joined last.
    texts: Option<TextsHash>,
}

impl Facts {
    pub(super) fn add(
        &mut self,
        finding: &Finding<'_>,
        texts: TextsHash,
        first_seen: Option<Timestamp>,
    ) {
        self.scores.join(Scores::of(finding));
        self.urls.add(&finding.url);
        self.first_seen = earliest(self.first_seen, first_seen);
        if self.texts.replace(texts) == Some(texts) {
            return;
        }
        keep_title(&mut self.title, &finding.title);
        keep_prose(&mut self.description, &finding.description);
        keep_prose(&mut self.remediation, &finding.remediation);
        self.packages.add(&finding.package);
        self.fixed_versions.add(&finding.fixed_version);
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.scores.join(other.scores);
        keep_title(&mut self.title, &other.title);
        keep_prose(&mut self.description, &other.description);
        keep_prose(&mut self.remediation, &other.remediation);
        self.packages.join(&other.packages);
        self.fixed_versions.join(&other.fixed_versions);
        self.urls.join(&other.urls);
        self.first_seen = earliest(self.first_seen, other.first_seen);
    }

    /// Takes the prose of `other` where this has none: for a text about several vulnerabilities,
    /// which says less about each than a text about one.
    pub(super) fn join_less_specific(&mut self, other: &Self) {
        let title = has_words(&self.title).then(|| std::mem::take(&mut self.title));
        let description =
            (!self.description.is_empty()).then(|| std::mem::take(&mut self.description));
        let remediation =
            (!self.remediation.is_empty()).then(|| std::mem::take(&mut self.remediation));
        self.join(other);
        self.title = title.unwrap_or_else(|| std::mem::take(&mut self.title));
        self.description = description.unwrap_or_else(|| std::mem::take(&mut self.description));
        self.remediation = remediation.unwrap_or_else(|| std::mem::take(&mut self.remediation));
    }
}

fn earliest(left: Option<Timestamp>, right: Option<Timestamp>) -> Option<Timestamp> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}

/// The longest text wins; of two as long, the lexicographically smaller.
fn keep_prose(kept: &mut Box<str>, candidate: &str) {
    let candidate = bounded(candidate.trim(), PROSE_BYTES_MAX);
    let longer = candidate.len().cmp(&kept.len()).then_with(|| (**kept).cmp(candidate));
    if longer.is_gt() {
        *kept = candidate.into();
    }
}

/// A title with words wins over one that is just an identifier; then as with prose.
fn keep_title(kept: &mut Box<str>, candidate: &str) {
    let candidate = bounded(candidate.trim(), TITLE_BYTES_MAX);
    if **kept == *candidate {
        return;
    }
    let better = has_words(candidate)
        .cmp(&has_words(kept))
        .then(candidate.len().cmp(&kept.len()))
        .then_with(|| (**kept).cmp(candidate));
    if better.is_gt() {
        *kept = candidate.into();
    }
}

/// Whether a title is more than one identifier.
pub(super) fn has_words(title: &str) -> bool {
    title.contains(char::is_whitespace)
}

/// The start of `text`, at most `bytes_max` long, cut between characters.
pub(super) fn bounded(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

/// The `MAX` smallest distinct texts ever added.
#[derive(Clone, Debug, Default)]
pub(super) struct Smallest<const MAX: usize>(Vec<Box<str>>);

impl<const MAX: usize> Smallest<MAX> {
    pub(super) fn add(&mut self, text: &str) {
        let text = bounded(text.trim(), WORD_BYTES_MAX);
        if text.is_empty() || (self.0.len() == MAX && self.0.last().is_some_and(|l| **l < *text)) {
            return;
        }
        if let Err(at) = self.0.binary_search_by(|kept| (**kept).cmp(text)) {
            if self.0.len() == MAX {
                self.0.pop();
            }
            self.0.insert(at, text.into());
        }
    }

    fn join(&mut self, other: &Self) {
        for text in &other.0 {
            self.add(text);
        }
    }

    pub(super) fn to_strings(&self) -> Vec<String> {
        self.0.iter().map(|text| text.to_string()).collect()
    }
}
