//! The result of a merge: what people see, what is journalled, and the accounts that must balance.

use std::collections::BTreeMap;
use std::sync::Arc;

use arx_types::{Digest, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::thresholds::Thresholds;

/// Findings of all sources, joined into vulnerabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Merged {
    /// Commits to every vulnerability, qualifying or not, with its lineage.
    pub id: Digest,
    /// What each source gave, by name of the source.
    pub sources: Vec<SourceRead>,
    /// Distinct findings of all sources.
    pub findings_read: u64,
    /// What was asked of a vulnerability.
    pub thresholds: Thresholds,
    /// The vulnerabilities that qualify, the most severe first.
    pub vulnerabilities: Vec<Vulnerability>,
    /// Those that do not, by id.
    pub below_threshold: Vec<Below>,
    /// What was decided about every name that is not plainly a vulnerability of its own.
    pub aliases: Vec<AliasDecision>,
    /// Every finding, in exactly one group, counted by the vulnerabilities that it names.
    pub groups: Vec<FindingGroup>,
}

/// What one source gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRead {
    /// Its name.
    pub source: String,
    /// Distinct findings.
    pub findings_read: u64,
    /// Rows that were read again after they had been read once.
    pub duplicates: u64,
    /// Whether it was read to its end.
    pub complete: bool,
}

/// One vulnerability, and everything the sources say about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// Its CVE; else its GHSA; else a vendor's name.
    pub id: String,
    /// Other names that were folded into it.
    pub aliases: Vec<String>,
    /// One line; the id where no source has a better one.
    pub title: String,
    /// What is wrong; empty where no source says.
    pub description: String,
    /// How to mend it; empty where no source says.
    pub remediation: String,
    /// The highest severity that a source gives.
    pub severity: Severity,
    /// The highest CVSS base score that a source gives.
    pub cvss: Option<f64>,
    /// The highest EPSS probability that a source gives.
    pub epss: Option<f64>,
    /// Listed as known exploited by some source.
    pub known_exploited: bool,
    /// Some source knows a public exploit.
    pub public_exploit: bool,
    /// Distinct findings that name it.
    pub findings: u64,
    /// The same by source.
    pub sources: Vec<SourceCount>,
    /// Distinct assets, counted within each source: sources share no asset identifiers.
    pub asset_count: u64,
    /// The assets that matter most: by business impact, then exposure, then name.
    #[serde(with = "shared")]
    pub assets: Vec<Arc<AffectedAsset>>,
    /// Projects of all its assets.
    pub projects: Vec<String>,
    /// Subscriptions of all its assets.
    pub subscriptions: Vec<String>,
    /// Affected packages.
    pub packages: Vec<String>,
    /// Versions that mend it.
    pub fixed_versions: Vec<String>,
    /// Where to read more.
    pub urls: Vec<String>,
    /// When a source first saw it.
    pub first_seen: Option<Timestamp>,
    /// Why these findings are one vulnerability.
    pub merged_because: Vec<String>,
    /// Commits to the findings behind it.
    pub lineage: Digest,
}

/// Assets that matter are on many lists; in memory each is there once.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::AffectedAsset;

    pub(super) fn serialize<S: Serializer>(
        assets: &[Arc<AffectedAsset>],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(assets.iter().map(|asset| &**asset))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Arc<AffectedAsset>>, D::Error> {
        let assets = Vec::<AffectedAsset>::deserialize(deserializer)?;
        Ok(assets.into_iter().map(Arc::new).collect())
    }
}

/// How many findings of one source name a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// The source.
    pub source: String,
    /// Its distinct findings.
    pub findings: u64,
}

/// An asset that has a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedAsset {
    /// The source that knows it.
    pub source: String,
    /// The source's identifier of it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The source's type.
    pub kind: String,
    /// Cloud subscription or account.
    pub subscription: String,
    /// Projects it belongs to.
    pub projects: Vec<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// 0 unknown, 1 low, 2 medium, 3 high.
    pub business_impact: u8,
    /// Whether it is reachable from the internet.
    pub internet_facing: bool,
}

/// A vulnerability that does not qualify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// Its id.
    pub id: String,
    /// What it lacks.
    pub why: String,
    /// Distinct findings that name it.
    pub findings: u64,
    /// Commits to the findings behind it.
    pub lineage: Digest,
}

/// What was decided about a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasDecision {
    /// The name.
    pub name: String,
    /// The vulnerability that it was folded into; `None` where it stays on its own.
    pub into: Option<String>,
    /// Why.
    pub why: String,
}

/// Findings that name the same set of vulnerabilities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingGroup {
    /// The vulnerabilities, sorted.
    pub vulnerabilities: Vec<String>,
    /// Distinct findings.
    pub findings: u64,
}

/// What became of a vulnerability, the most escalated first.
///
/// A finding that names several vulnerabilities counts once, for the first of these that holds
/// for any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// An incident of its own was opened.
    Paged,
    /// It is named in a grouped incident.
    Grouped,
    /// Its episode was open before.
    AlreadyOpen,
    /// It should have been acted on and was not.
    Failed,
    /// It does not qualify.
    BelowThreshold,
}

/// Every finding read, by what became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conservation {
    /// Distinct findings that the sources gave.
    pub findings_read: u64,
    /// Of vulnerabilities with an incident of their own.
    pub paged: u64,
    /// Of vulnerabilities in a grouped incident.
    pub grouped: u64,
    /// Of vulnerabilities whose episode was open before.
    pub already_open: u64,
    /// Of vulnerabilities that do not qualify.
    pub below_threshold: u64,
    /// Of vulnerabilities that should have been acted on and were not.
    pub failed: u64,
    /// Whether the dispositions add up to the findings read.
    pub balanced: bool,
}

impl Merged {
    /// Whether every source was read to its end, and there was one: only then does a
    /// vulnerability that is missing here no longer exist.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.sources.is_empty() && self.sources.iter().all(|source| source.complete)
    }

    /// Counts every finding under what became of it. `disposition` is asked about qualifying
    /// vulnerabilities only; the others are below the threshold whatever it would say.
    #[must_use]
    pub fn conservation(&self, disposition: impl Fn(&str) -> Disposition) -> Conservation {
        let outcomes: BTreeMap<&str, Disposition> = self
            .vulnerabilities
            .iter()
            .map(|vulnerability| (vulnerability.id.as_str(), disposition(&vulnerability.id)))
            .collect();
        let mut counts = Conservation { findings_read: self.findings_read, ..Default::default() };
        for group in &self.groups {
            let outcomes = group.vulnerabilities.iter().filter_map(|id| outcomes.get(id.as_str()));
            let count = match outcomes.min().copied().unwrap_or(Disposition::BelowThreshold) {
                Disposition::Paged => &mut counts.paged,
                Disposition::Grouped => &mut counts.grouped,
                Disposition::AlreadyOpen => &mut counts.already_open,
                Disposition::Failed => &mut counts.failed,
                Disposition::BelowThreshold => &mut counts.below_threshold,
            };
            *count += group.findings;
        }
        let disposed = counts.paged
            + counts.grouped
            + counts.already_open
            + counts.failed
            + counts.below_threshold;
        counts.balanced = disposed == counts.findings_read;
        counts
    }

    /// What a workflow sees: counts. The vulnerabilities come with their episodes.
    #[must_use]
    pub fn visible(&self) -> Value {
        json!({
            "id": self.id,
            "complete": self.complete(),
            "findings_read": self.findings_read,
            "merged": self.vulnerabilities.len() + self.below_threshold.len(),
            "qualifying": self.vulnerabilities.len(),
            "below_threshold": self.below_threshold.len(),
            "sources": self.sources,
        })
    }
}
