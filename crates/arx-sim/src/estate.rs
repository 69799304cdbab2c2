//! What the scanners look at: assets, weaknesses on them, and what each scanner says of those.
//!
//! Wiz and Qualys are two views of one estate, so their findings overlap as they would in a real
//! company. Findings are rows of indexes, computed when they are asked for in a generated estate
//! and never held as a whole. Start at [`Estate`].

mod company;
mod cvss;
mod facts;
mod generated;
mod scenario;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use scenario::{GeneratedScenario, Scenario, ScenarioError};

pub(crate) use cvss::{Cvss, metric as cvss_metric};

/// Midnight of the estate's "today", 2026-11-15: everything observed lies before it.
pub(crate) const TODAY: i64 = 1_794_700_800;
pub(crate) const DAY: i64 = 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Self; 5] =
        [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    pub fn name(self) -> &'static str {
        match self {
            Self::Informational => "INFORMATIONAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// One vulnerable package as Wiz words it; several may share a CVE.
#[derive(Debug, Clone)]
pub(crate) struct Weakness {
    /// Wiz's `name`: usually the CVE, in whatever case.
    pub name: String,
    /// Wiz's `vulnerabilityExternalId`.
    pub external_id: String,
    pub title: String,
    pub description: String,
    pub severity: Severity,
    pub vendor_severity: Severity,
    /// CVSS v3 vector; empty where nobody scored it.
    pub vector: String,
    pub has_exploit: bool,
    pub is_kev: bool,
    pub epss: Option<f64>,
    pub published: String,
    pub package: String,
    pub version: String,
    pub fixed_version: Option<String>,
    pub path: String,
    pub method: &'static str,
    pub source: &'static str,
    pub link: String,
    pub remediation: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssetKind {
    VirtualMachine,
    ContainerImage,
    RepositoryBranch,
    /// Seen by Qualys alone.
    Unmanaged,
}

#[derive(Debug, Clone)]
pub(crate) struct Asset {
    pub id: String,
    pub name: String,
    pub kind: AssetKind,
    pub os: &'static str,
    pub ip: String,
    pub region: &'static str,
    pub project: usize,
    pub is_internet_facing: bool,
    /// Qualys's host id, for what Qualys scans.
    pub host_id: Option<u64>,
}

/// A project, with the one subscription its assets live in.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub id: String,
    pub name: &'static str,
    pub slug: &'static str,
    pub business_unit: &'static str,
    pub business_impact: &'static str,
    pub owner: &'static str,
    pub environment: &'static str,
    pub platform: &'static str,
    pub subscription: &'static str,
    pub subscription_external_id: &'static str,
    pub subscription_id: String,
}

/// A KnowledgeBase entry.
#[derive(Debug, Clone)]
pub(crate) struct Qid {
    pub qid: u32,
    pub title: String,
    pub severity: u8,
    pub kind: &'static str,
    pub category: &'static str,
    pub cves: Vec<String>,
    pub diagnosis: String,
    pub solution: String,
    pub published: String,
    pub is_patchable: bool,
    pub results: String,
    pub port: Option<u16>,
}

/// One row of Wiz's findings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finding {
    pub id: u128,
    pub weakness: usize,
    pub asset: usize,
    pub first_seen: i64,
    pub last_seen: i64,
    /// Set where the finding is resolved.
    pub resolved: Option<i64>,
}

/// One detection of one QID on one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detection {
    pub id: u64,
    /// Index into [`Estate::qids`].
    pub qid: usize,
    pub port: Option<u16>,
    pub status: &'static str,
    pub first_found: i64,
    pub last_found: i64,
    pub last_test: i64,
    pub last_fixed: Option<i64>,
    pub times_found: u32,
}

enum Rows {
    Listed { findings: Vec<Finding>, detections: Vec<Vec<Detection>> },
    Generated(generated::Rows),
}

/// The company under scan.
pub(crate) struct Estate {
    pub projects: Vec<Project>,
    pub assets: Vec<Asset>,
    pub weaknesses: Vec<Weakness>,
    pub qids: Vec<Qid>,
    /// Indexes of the assets that Qualys scans, ascending by host id.
    pub hosts: Vec<usize>,
    rows: Rows,
    /// By weakness and by QID: fixed since the start, by [`Estate::set_fixed`].
    fixed_weaknesses: Vec<AtomicBool>,
    fixed_qids: Vec<AtomicBool>,
    revision: AtomicU64,
}

impl Estate {
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        match scenario {
            Scenario::Default | Scenario::Awkward => company::build(seed),
            Scenario::Generated(size) => generated::build(size),
            Scenario::Empty => Self::assemble(
                Vec::new(),
                Vec::new(),
                Vec::new(),
                Vec::new(),
                Rows::Listed { findings: Vec::new(), detections: Vec::new() },
            ),
        }
    }

    fn assemble(
        projects: Vec<Project>,
        assets: Vec<Asset>,
        weaknesses: Vec<Weakness>,
        qids: Vec<Qid>,
        rows: Rows,
    ) -> Self {
        let mut hosts: Vec<(u64, usize)> = assets
            .iter()
            .enumerate()
            .filter_map(|(index, asset)| asset.host_id.map(|id| (id, index)))
            .collect();
        hosts.sort_unstable();
        let flags = |n: usize| (0..n).map(|_| AtomicBool::new(false)).collect();
        Self {
            fixed_weaknesses: flags(weaknesses.len()),
            fixed_qids: flags(qids.len()),
            revision: AtomicU64::new(0),
            hosts: hosts.into_iter().map(|(_, index)| index).collect(),
            projects,
            assets,
            weaknesses,
            qids,
            rows,
        }
    }

    pub fn n_findings(&self) -> usize {
        match &self.rows {
            Rows::Listed { findings, .. } => findings.len(),
            Rows::Generated(rows) => rows.n_findings(),
        }
    }

    /// The finding at a position; positions never change while the simulators run.
    pub fn finding(&self, index: usize) -> Option<Finding> {
        let mut finding = match &self.rows {
            Rows::Listed { findings, .. } => findings.get(index).copied()?,
            Rows::Generated(rows) => rows.finding(index)?,
        };
        if finding.resolved.is_none() && is_set(&self.fixed_weaknesses, finding.weakness) {
            finding.resolved = Some(TODAY);
        }
        Some(finding)
    }

    /// The detections on a host, by its position in [`Estate::hosts`].
    pub fn detections(&self, host: usize) -> Vec<Detection> {
        let mut found = match &self.rows {
            Rows::Listed { detections, .. } => detections.get(host).cloned().unwrap_or_default(),
            Rows::Generated(rows) => rows.detections(host),
        };
        for detection in &mut found {
            if detection.last_fixed.is_none() && is_set(&self.fixed_qids, detection.qid) {
                detection.status = "Fixed";
                detection.last_fixed = Some(TODAY);
                detection.last_test = TODAY;
            }
        }
        found
    }

    /// Fixes a vulnerability everywhere, or lets it reappear. `id` is a CVE, a GHSA, a name or
    /// `QID-n`. Returns how many weaknesses and QIDs it touched.
    pub fn set_fixed(&self, id: &str, is_fixed: bool) -> usize {
        let mut n = 0;
        self.revision.fetch_add(1, Ordering::Relaxed);
        for (weakness, flag) in self.weaknesses.iter().zip(&self.fixed_weaknesses) {
            if weakness.name.eq_ignore_ascii_case(id)
                || weakness.external_id.eq_ignore_ascii_case(id)
            {
                flag.store(is_fixed, Ordering::Relaxed);
                n += 1;
            }
        }
        for (qid, flag) in self.qids.iter().zip(&self.fixed_qids) {
            if qid.cves.iter().any(|cve| cve.eq_ignore_ascii_case(id))
                || format!("QID-{}", qid.qid).eq_ignore_ascii_case(id)
            {
                flag.store(is_fixed, Ordering::Relaxed);
                n += 1;
            }
        }
        n
    }

    /// Moves on when [`Estate::set_fixed`] changed something.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Relaxed)
    }

    pub fn project_of(&self, asset: &Asset) -> Option<&Project> {
        self.projects.get(asset.project)
    }
}

fn is_set(flags: &[AtomicBool], index: usize) -> bool {
    flags.get(index).is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// A UUID's text from 128 bits.
pub(crate) fn push_uuid(out: &mut String, id: u128) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut rest = id;
    for byte in text.iter_mut().rev().filter(|byte| **byte != b'-') {
        *byte = DIGITS.get(rest as usize & 15).copied().unwrap_or(b'0');
        rest >>= 4;
    }
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

pub(crate) fn uuid(id: u128) -> String {
    let mut out = String::with_capacity(36);
    push_uuid(&mut out, id);
    out
}

/// `2026-11-15T00:00:00Z` from seconds since the epoch (Hinnant's civil-from-days).
#[rustfmt::skip]
pub(crate) fn push_time(out: &mut String, seconds: i64) {
    let (days, of_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let digit = |n: i64| b'0' + (n % 10) as u8;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let text = [
        digit(year / 1000), digit(year / 100), digit(year / 10), digit(year), b'-',
        digit(month / 10), digit(month), b'-',
        digit(day / 10), digit(day), b'T',
        digit(hour / 10), digit(hour), b':',
        digit(minute / 10), digit(minute), b':',
        digit(second / 10), digit(second), b'Z',
    ];
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

pub(crate) fn time(seconds: i64) -> String {
    let mut out = String::with_capacity(20);
    push_time(&mut out, seconds);
    out
}
