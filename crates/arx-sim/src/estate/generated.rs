//! An estate of any size: tables of CVEs and assets, rows computed from their number.
//!
//! CVE ids are of the year 2099, which no real CVE has.

use super::{
    Asset, AssetKind, DAY, Detection, Estate, Finding, GeneratedScenario, Project, Qid, Severity,
    TODAY, Weakness, company, uuid,
};
use crate::faults::mix;

/// Days over which first sightings spread.
const HISTORY_DAYS: u64 = 400;

pub(super) struct Rows {
    size: GeneratedScenario,
    n_qids: u64,
}

impl Rows {
    pub fn n_findings(&self) -> usize {
        self.size.findings as usize
    }

    pub fn finding(&self, index: usize) -> Option<Finding> {
        let i = index as u64;
        if i >= self.size.findings {
            return None;
        }
        let a = mix(self.size.seed, 1, i);
        let b = mix(self.size.seed, 2, i);
        // The first rows name each CVE once, so that the count of CVEs is exact.
        let weakness = if i < self.size.cves { i } else { a % self.size.cves };
        let first_seen = TODAY - (b % HISTORY_DAYS) as i64 * DAY + (a % 86_400) as i64 - DAY;
        Some(Finding {
            id: (u128::from(a) << 64) | u128::from(b ^ i),
            weakness: weakness as usize,
            asset: (b >> 20) as usize % self.size.assets as usize,
            first_seen,
            last_seen: TODAY - (b % 3_600) as i64,
            resolved: None,
        })
    }

    /// Detections are dealt evenly over the hosts.
    pub fn detections(&self, host: usize) -> Vec<Detection> {
        let (host, hosts) = (host as u64, self.size.assets);
        let n = self.size.detections / hosts + u64::from(host < self.size.detections % hosts);
        (0..n)
            .map(|j| {
                let a = mix(self.size.seed, 3 + host, j);
                let first_found = TODAY - (a % HISTORY_DAYS) as i64 * DAY - DAY;
                Detection {
                    id: host * 100_000 + j + 1,
                    qid: ((a >> 16) % self.n_qids) as usize,
                    // A port for each row keeps equal QIDs on one host apart.
                    port: Some(1024 + (j % 60_000) as u16),
                    status: if a.is_multiple_of(3) { "New" } else { "Active" },
                    first_found,
                    last_found: TODAY - (a % 7_200) as i64,
                    last_test: TODAY - (a % 7_200) as i64,
                    last_fixed: None,
                    times_found: (a % 50) as u32 + 1,
                }
            })
            .collect()
    }
}

fn cve(index: u64) -> String {
    format!("CVE-2099-{:05}", index + 1)
}

pub(super) fn build(size: &GeneratedScenario) -> Estate {
    let projects: Vec<Project> = company::projects();
    let severity = |i: u64| {
        if mix(size.seed, 4, i) % 100 < size.critical { Severity::Critical } else { Severity::High }
    };
    let weaknesses: Vec<Weakness> = (0..size.cves).map(|i| weakness(i, severity(i))).collect();
    let assets = (0..size.assets).map(|i| asset(size.seed, i, projects.len())).collect();
    let qids: Vec<Qid> = (0..size.cves).map(|i| qid(i, size.cves, severity(i))).collect();
    let rows = Rows { n_qids: qids.len() as u64, size: size.clone() };
    Estate::assemble(projects, assets, weaknesses, qids, super::Rows::Generated(rows))
}

fn weakness(i: u64, severity: Severity) -> Weakness {
    let is_critical = severity == Severity::Critical;
    let vector = if is_critical {
        "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    } else {
        "AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
    };
    let package = format!("libexample-{}", i % 997);
    Weakness {
        name: cve(i),
        external_id: cve(i),
        title: format!("Generated vulnerability {}", i + 1),
        description: format!(
            "Generated vulnerability number {} in {package}. Remote attackers could send crafted input to the service and run code with its privileges. This text is of the length that real descriptions have, so that a page weighs what a real page weighs.",
            i + 1
        ),
        severity,
        vendor_severity: severity,
        vector: vector.to_owned(),
        has_exploit: i.is_multiple_of(5),
        is_kev: i.is_multiple_of(11),
        epss: Some((i % 100) as f64 / 100.0),
        published: "2026-01-15T09:15:00Z".to_owned(),
        version: format!("1.{}.0", i % 40),
        fixed_version: Some(format!("1.{}.1", i % 40)),
        path: format!("/usr/lib/x86_64-linux-gnu/{package}.so.1"),
        remediation: format!("apt-get install --only-upgrade {package}"),
        package,
        method: "PACKAGE",
        source: "NVD",
        link: format!("https://nvd.nist.gov/vuln/detail/{}", cve(i)),
    }
}

fn asset(seed: u64, i: u64, n_projects: usize) -> Asset {
    let a = mix(seed, 5, i);
    Asset {
        id: uuid((u128::from(a) << 64) | u128::from(mix(seed, 6, i))),
        name: format!("host-{:06}", i + 1),
        kind: AssetKind::VirtualMachine,
        os: "Ubuntu 22.04",
        ip: format!("10.{}.{}.{}", (i >> 16) & 255, (i >> 8) & 255, i & 255),
        region: if a.is_multiple_of(2) { "us-east-1" } else { "eu-west-1" },
        project: (a >> 8) as usize % n_projects.max(1),
        is_internet_facing: a.is_multiple_of(10),
        host_id: Some(100_000 + i * 7),
    }
}

fn qid(i: u64, n_cves: u64, severity: Severity) -> Qid {
    // Every tenth QID covers three CVEs.
    let last = if i.is_multiple_of(10) { i + 2 } else { i };
    Qid {
        qid: 7_000_000 + i as u32,
        title: format!("Generated package vulnerability {}", i + 1),
        severity: if severity == Severity::Critical { 5 } else { 4 },
        kind: "Confirmed",
        category: "Local",
        cves: (i..=last).filter(|c| *c < n_cves).map(cve).collect(),
        diagnosis: format!("Generated check number {}.", i + 1),
        solution: "Upgrade the package to the version the vendor fixed it in.".to_owned(),
        published: "2026-01-20T10:00:00Z".to_owned(),
        is_patchable: true,
        results: "Package    Installed Version    Required Version\nlibexample 1.0.0    1.0.1"
            .to_owned(),
        port: None,
    }
}
