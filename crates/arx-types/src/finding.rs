//! Findings: what a scanner says about one weakness on one asset.
//!
//! A finding borrows from the page it was read from, so that a million of them cost no million
//! allocations; what must outlive the page is copied by the [`FindingSink`] that takes it.

use std::borrow::Cow;

use crate::Digest;
use serde::{Deserialize, Serialize};

/// Enough for the deciding fields of most findings.
const DIGEST_BYTES_USUAL: usize = 512;

/// Severity as scanners word it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// No severity given.
    #[default]
    None,
    /// Informational.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// The severity of a vendor's word, in any case; `None` for one that is not known.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            ("NONE", Self::None),
            ("INFORMATIONAL", Self::Informational),
            ("LOW", Self::Low),
            ("MEDIUM", Self::Medium),
            ("HIGH", Self::High),
            ("CRITICAL", Self::Critical),
        ]
        .into_iter()
        .find_map(|(word, severity)| word.eq_ignore_ascii_case(text).then_some(severity))
    }

    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Informational => "INFORMATIONAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// The machine, image or repository that a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset<'a> {
    /// The vendor's identifier, unique within the source.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// What people call it: host name, image name, repository.
    pub name: Cow<'a, str>,
    /// The vendor's type, e.g. `VIRTUAL_MACHINE`; empty where unknown.
    pub kind: Cow<'a, str>,
    /// Cloud subscription or account name; empty where unknown.
    pub subscription: Cow<'a, str>,
    /// Names of the projects it belongs to.
    pub projects: Vec<Cow<'a, str>>,
    /// Tags, as key and value.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// How much the business depends on it, from the project's risk profile:
    /// 0 unknown, 1 low (LBI), 2 medium (MBI), 3 high (HBI).
    pub business_impact: u8,
    /// Whether it is reachable from the internet.
    pub internet_facing: bool,
}

/// One weakness on one asset, as one source reports it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding<'a> {
    /// The vendor's identifier of this row, unique within the source.
    pub id: Cow<'a, str>,
    /// The vulnerabilities it names, as the vendor writes them: CVE ids where there are any
    /// (several when one Qualys QID covers several CVEs), else one advisory or vendor id.
    pub vulnerabilities: Vec<Cow<'a, str>>,
    /// Other names that the source gives to the *same* vulnerability (a GHSA beside its CVE).
    /// Only meaningful with exactly one entry in `vulnerabilities`.
    pub aliases: Vec<Cow<'a, str>>,
    /// What it affects.
    pub asset: Asset<'a>,
    /// Severity in the words of the source.
    pub severity: Severity,
    /// Qualys' own scale, 1–5; 0 where the source has none.
    pub qualys_severity: u8,
    /// CVSS base score in tenths, 0–100; `None` where the source gives none.
    pub cvss_tenths: Option<u8>,
    /// EPSS probability in millionths, 0–1,000,000; `None` where the source gives none.
    pub epss_millionths: Option<u32>,
    /// Listed in CISA's Known Exploited Vulnerabilities catalogue.
    pub known_exploited: bool,
    /// A public exploit exists.
    pub public_exploit: bool,
    /// One line of title.
    pub title: Cow<'a, str>,
    /// What is wrong.
    pub description: Cow<'a, str>,
    /// How to mend it.
    pub remediation: Cow<'a, str>,
    /// Affected package or component with its version; empty where unknown.
    pub package: Cow<'a, str>,
    /// The version that mends it; empty where unknown.
    pub fixed_version: Cow<'a, str>,
    /// Where a person reads more, at the vendor; empty where there is no such page.
    pub url: Cow<'a, str>,
    /// When the source first saw it, RFC 3339 as the vendor wrote it; empty where unknown.
    pub first_seen: Cow<'a, str>,
}

impl Finding<'_> {
    /// The digest of what ARX read of this finding: source, row, names, asset, severity and
    /// scores. It commits to the fields that decide anything, not to prose.
    ///
    /// The fields are hashed in order, each preceded by its length as eight big-endian bytes.
    #[must_use]
    pub fn digest(&self, source: &str) -> Digest {
        // Hashing one buffer is faster than feeding the hash two dozen small pieces.
        let mut fields = Vec::with_capacity(DIGEST_BYTES_USUAL);
        let mut field = |bytes: &[u8]| {
            fields.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            fields.extend_from_slice(bytes);
        };
        field(source.as_bytes());
        field(self.id.as_bytes());
        field(&(self.vulnerabilities.len() as u64).to_be_bytes());
        for name in self.vulnerabilities.iter().chain(&self.aliases) {
            field(name.as_bytes());
        }
        field(self.asset.id.as_bytes());
        field(self.asset.name.as_bytes());
        field(self.severity.as_str().as_bytes());
        field(&[
            self.qualys_severity,
            self.cvss_tenths.unwrap_or(u8::MAX),
            u8::from(self.known_exploited),
            u8::from(self.public_exploit),
        ]);
        field(&self.epss_millionths.unwrap_or(u32::MAX).to_be_bytes());
        Digest::of_bytes(&fields)
    }
}

/// Why a sink took no more findings.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SinkError {
    /// The findings would not fit the limits of a run.
    #[error("more than {limit} {what}; narrow the read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The record of the findings could not be kept.
    #[error("cannot record findings: {reason}")]
    NotRecorded {
        /// Why.
        reason: String,
    },
}

/// Takes findings while they stream in.
///
/// Called from several threads at once; page order carries no meaning, so an implementation's
/// result must not depend on it.
pub trait FindingSink: Send + Sync {
    /// Takes one page of findings.
    ///
    /// # Errors
    /// When the page cannot be kept; the read then stops and fails.
    fn accept(&self, page: &[Finding<'_>]) -> Result<(), SinkError>;
}
