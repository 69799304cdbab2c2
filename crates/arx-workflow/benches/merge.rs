//! What folding a million findings costs: time on one core, and memory at its peak.
//!
//! `fold` includes the cost of writing the findings down, which `generate` measures alone:
//! subtract it. For memory, run `/usr/bin/time -v` on one bench by name.
#![allow(missing_docs, reason = "a bench has no public items")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may stop at a broken fixture"
)]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arx_types::{Asset, Finding, FindingSink as _, Severity, SinkError};
use arx_workflow::merge::{Dataset, Fold, LineageRecorder, Merged, Thresholds, merge};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

const WIZ_FINDINGS: usize = 1_000_000;
const QUALYS_FINDINGS: usize = 200_000;
const ASSETS: usize = 50_000;
const VULNERABILITIES: usize = 2_000;
const PAGE: usize = 500;

fn main() {
    divan::main();
}

/// Counts what a journal would have to keep.
#[derive(Default)]
struct Counted(AtomicU64);

impl LineageRecorder for Counted {
    fn record(&self, chunk: Vec<u8>) -> Result<(), SinkError> {
        self.0.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Texts that a scanner repeats in every row.
struct World {
    vulnerabilities: Vec<Weakness>,
    assets: Vec<Host>,
}

struct Weakness {
    name: String,
    title: String,
    description: String,
    remediation: String,
    package: String,
    cvss_tenths: u8,
}

struct Host {
    id: String,
    name: String,
    subscription: String,
    projects: [String; 2],
    tags: [(String, String); 5],
}

/// A well-mixed number that depends on `seed` alone (SplitMix64).
fn mixed(seed: usize) -> usize {
    let mut mixed = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from(mixed ^ (mixed >> 31)).unwrap_or(0)
}

impl World {
    fn new() -> Self {
        let vulnerabilities = (0..VULNERABILITIES)
            .map(|at| Weakness {
                name: format!("CVE-{}-{}", 2015 + at % 11, 10_000 + at),
                title: format!("Improper input validation in component {at}"),
                description: "An attacker may send a crafted request. ".repeat(5 + mixed(at) % 30),
                remediation: format!("Update component-{at} to version {}.2 or later.", at % 40),
                package: format!("component-{at}"),
                cvss_tenths: 70 + u8::try_from(mixed(at) % 31).unwrap_or(0),
            })
            .collect();
        let assets = (0..ASSETS)
            .map(|at| Host {
                id: format!("{:08x}-0000-4000-8000-{at:012x}", mixed(at) & 0xffff_ffff),
                name: format!("host-{at:05}.eu-central-1.example.com"),
                subscription: format!("subscription-{}", at % 40),
                projects: [format!("project-{}", at % 120), format!("unit-{}", at % 9)],
                tags: [
                    ("team".to_owned(), format!("team-{}", at % 60)),
                    ("env".to_owned(), ["prod", "dev"][at % 2].to_owned()),
                    ("cost-centre".to_owned(), format!("{}", 1000 + at % 300)),
                    ("Name".to_owned(), format!("host-{at:05}")),
                    ("managed-by".to_owned(), "terraform".to_owned()),
                ],
            })
            .collect();
        Self { vulnerabilities, assets }
    }

    /// Gives `n` findings page by page. `names` is how many vulnerabilities a finding may have.
    ///
    /// As in a real read, all texts of a page lie in one buffer that was just written.
    fn read(&self, n: usize, names: usize, mut page: impl FnMut(&[Finding<'_>])) {
        let mut buffer = String::new();
        for start in (0..n).step_by(PAGE) {
            let rows = start..n.min(start + PAGE);
            buffer.clear();
            rows.clone().for_each(|at| self.write(at, names, &mut buffer));
            let mut texts = buffer.split('\n');
            let findings: Vec<_> = rows.map(|at| self.finding(at, names, &mut texts)).collect();
            page(&findings);
        }
    }

    fn write(&self, at: usize, names: usize, out: &mut String) {
        let (weakness, host, names) = self.chosen(at, names);
        let _ = writeln!(out, "{:08x}-721f-11ef-94e9-{at:012x}", mixed(at) & 0xffff_ffff);
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        for more in 0..names {
            line(&self.vulnerabilities[(weakness + more) % VULNERABILITIES].name);
        }
        let Host { id, name, subscription, projects, tags } = &self.assets[host];
        [id, name, subscription].into_iter().chain(projects).for_each(|text| line(text));
        tags.iter().flat_map(|(key, value)| [key, value]).for_each(|text| line(text));
        let weakness = &self.vulnerabilities[weakness];
        line(&weakness.title);
        line(&weakness.description);
        line(&weakness.remediation);
        line(&weakness.package);
        line(["2024-08-28T03:02:01Z", "2024-09-01T10:20:30.063767Z"][at % 2]);
    }

    /// The weakness, the host, and the number of names of a row.
    fn chosen(&self, at: usize, names: usize) -> (usize, usize, usize) {
        let mix = mixed(at);
        let weakness = mix % VULNERABILITIES;
        (weakness, (mix >> 24) % ASSETS, 1 + weakness % names)
    }

    fn finding<'a>(
        &self,
        at: usize,
        names: usize,
        texts: &mut impl Iterator<Item = &'a str>,
    ) -> Finding<'a> {
        let (weakness, host, n_names) = self.chosen(at, names);
        let mut text = || Cow::Borrowed(texts.next().expect("a row is written whole"));
        Finding {
            id: text(),
            vulnerabilities: (0..n_names).map(|_| text()).collect(),
            asset: Asset {
                id: text(),
                name: text(),
                kind: Cow::Borrowed("VIRTUAL_MACHINE"),
                subscription: text(),
                projects: (0..2).map(|_| text()).collect(),
                tags: (0..5).map(|_| (text(), text())).collect(),
                business_impact: u8::try_from(host % 4).unwrap_or(0),
                internet_facing: host % 7 == 0,
            },
            severity: if names > 1 { Severity::None } else { Severity::Critical },
            qualys_severity: if names > 1 { 5 } else { 0 },
            cvss_tenths: Some(self.vulnerabilities[weakness].cvss_tenths),
            epss_millionths: Some(900),
            title: text(),
            description: text(),
            remediation: text(),
            package: text(),
            fixed_version: Cow::Borrowed("1.2.3"),
            url: Cow::Borrowed("https://scanner.example/findings"),
            first_seen: text(),
            ..Finding::default()
        }
    }

    fn fold(&self, source: &str, n: usize, names: usize) -> Dataset {
        let recorder = Arc::new(Counted::default());
        let fold = Fold::new(source, recorder);
        self.read(n, names, |page| fold.accept(page).expect("it fits"));
        fold.finish(true).expect("it is recorded")
    }

    fn merge(&self) -> Merged {
        let wiz = self.fold("wiz", WIZ_FINDINGS, 1);
        let qualys = self.fold("qualys", QUALYS_FINDINGS, 5);
        merge(vec![wiz, qualys], &Thresholds::default()).expect("it fits")
    }
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn generate(bencher: Bencher<'_, '_>) {
    let world = World::new();
    bencher.counter(ItemsCount::new(WIZ_FINDINGS)).bench_local(|| {
        world.read(WIZ_FINDINGS, 1, |page| {
            black_box(page);
        });
    });
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn fold(bencher: Bencher<'_, '_>) {
    let world = World::new();
    bencher
        .counter(ItemsCount::new(WIZ_FINDINGS))
        .bench_local(|| world.fold("wiz", WIZ_FINDINGS, 1));
}

/// The whole of it, as a run does it: for the peak of memory.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn fold_and_merge(bencher: Bencher<'_, '_>) {
    let world = World::new();
    bencher
        .counter(ItemsCount::new(WIZ_FINDINGS + QUALYS_FINDINGS))
        .bench_local(|| black_box(world.merge()).findings_read);
}
