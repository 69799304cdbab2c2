//! Joining the findings of all sources.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arx_types::{Digest, SinkError};
use sha2::{Digest as _, Sha256};

use super::alias::{Resolution, listed};
use super::assets::AssetTable;
use super::dataset::{Dataset, Group};
use super::facts::{Facts, Scores, has_words};
use super::findings::{Findings, Ordered};
use super::merged::{
    AffectedAsset, Below, FindingGroup, Merged, SourceCount, SourceRead, Vulnerability,
};
use super::reach::{AssetOf, Reach, Run, Surveyor, lineage};
use super::thresholds::{Thresholds, cvss, epss};

/// Aliases shown of one vulnerability.
const ALIASES_SHOWN_MAX: usize = 20;
/// Reasons shown of one vulnerability.
const REASONS_SHOWN_MAX: usize = 20;

/// Joins datasets into vulnerabilities. Their order does not matter; several reads of one source
/// count as one.
///
/// # Errors
/// When several reads of one source together exceed what one may hold.
pub fn merge(datasets: Vec<Dataset>, thresholds: &Thresholds) -> Result<Merged, SinkError> {
    let mut datasets = unite(datasets)?;
    let sources: Vec<SourceRead> = datasets.iter().map(source_read).collect();
    datasets.iter_mut().for_each(|dataset| dataset.findings.forget_ids());
    let ordered: Vec<Ordered> =
        datasets.iter().map(|dataset| dataset.findings.ordered(dataset.groups.len())).collect();
    let tables: Vec<AssetTable> =
        datasets.iter_mut().map(|dataset| std::mem::take(&mut dataset.assets)).collect();
    let findings: Vec<Findings> =
        datasets.iter_mut().map(|dataset| std::mem::take(&mut dataset.findings)).collect();

    let mut members = members(&datasets, &ordered);
    let resolution =
        Resolution::of(members.iter().map(|member| (&member.group.identity, member.source)));
    for member in &mut members {
        member.fold_names(&resolution);
    }
    let mut by_id: BTreeMap<&str, Vec<&Member<'_>>> = BTreeMap::new();
    for member in &members {
        for id in &member.ids {
            by_id.entry(id).or_default().push(member);
        }
    }

    // What needs the findings comes first, so that they are gone before texts are copied. Digests
    // and assets each take a look at every finding, and nothing of each other.
    let runs: Vec<Vec<Run<'_>>> = by_id
        .values()
        .map(|members| members.iter().filter_map(|one| one.run(&findings, &ordered)).collect())
        .collect();
    let (lineages, reaches) = std::thread::scope(|scope| {
        let lineages =
            scope.spawn(|| runs.iter().map(|runs| lineage(runs)).collect::<Vec<Digest>>());
        let mut surveyor = Surveyor::new(&tables);
        let reaches: Vec<Result<Reach<'_>, String>> = by_id
            .values()
            .zip(&runs)
            .map(|(members, runs)| {
                let mut scores = Scores::default();
                members.iter().for_each(|member| scores.join(member.group.facts.scores));
                thresholds.objection(&scores).map_or_else(|| Ok(surveyor.survey(runs)), Err)
            })
            .collect();
        (lineages.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), reaches)
    });
    let mut id = Sha256::new();
    let mut drafts = Vec::new();
    let mut below_threshold = Vec::new();
    for (((name, members), lineage), reach) in by_id.iter().zip(lineages).zip(reaches) {
        id.update((name.len() as u64).to_be_bytes());
        id.update(name.as_bytes());
        id.update(lineage.0);
        match reach {
            Ok(reach) => drafts.push(Draft { id: name, members, lineage, reach }),
            Err(why) => below_threshold.push(Below {
                id: (*name).to_owned(),
                why,
                findings: members.iter().map(|member| member.findings).sum(),
                lineage,
            }),
        }
    }
    drop(runs);
    drop((ordered, findings));

    let mut shown = Shown { sources: &sources, tables: &tables, assets: BTreeMap::new() };
    let mut vulnerabilities: Vec<Vulnerability> =
        drafts.into_iter().map(|draft| draft.finish(&mut shown, &resolution)).collect();
    vulnerabilities.sort_by(|left, right| {
        let rank = |of: &Vulnerability| (Reverse(of.severity), Reverse(of.cvss.map(tenths)));
        rank(left).cmp(&rank(right)).then_with(|| left.id.cmp(&right.id))
    });
    let groups = groups(&members);
    Ok(Merged {
        id: Digest(id.finalize().into()),
        findings_read: sources.iter().map(|source| source.findings_read).sum(),
        sources,
        thresholds: thresholds.clone(),
        vulnerabilities,
        below_threshold,
        aliases: resolution.into_decisions(),
        groups,
    })
}

/// One dataset for each source, by name.
fn unite(mut datasets: Vec<Dataset>) -> Result<Vec<Dataset>, SinkError> {
    // The largest of each source first: it takes in the others.
    datasets.sort_by(|left, right| {
        left.source.cmp(&right.source).then_with(|| right.len().cmp(&left.len()))
    });
    let mut united: Vec<Dataset> = Vec::new();
    for dataset in datasets {
        match united.last_mut() {
            Some(last) if last.source == dataset.source => last.absorb(&dataset)?,
            _ => united.push(dataset),
        }
    }
    Ok(united)
}

fn source_read(dataset: &Dataset) -> SourceRead {
    SourceRead {
        source: dataset.source.clone(),
        findings_read: dataset.len() as u64,
        duplicates: dataset.duplicates,
        complete: dataset.complete,
    }
}

/// The findings of one source that name the same.
struct Member<'a> {
    part: usize,
    source: &'a str,
    at: usize,
    group: &'a Group,
    findings: u64,
    /// The vulnerabilities they are about, after folding; sorted.
    ids: Vec<&'a str>,
}

/// All groups that have a finding: one whose last row was superseded says nothing any more.
fn members<'a>(datasets: &'a [Dataset], ordered: &[Ordered]) -> Vec<Member<'a>> {
    let mut members = Vec::new();
    for (part, (dataset, ordered)) in datasets.iter().zip(ordered).enumerate() {
        for (at, group) in dataset.groups.iter().enumerate() {
            let findings = ordered.group(at).len() as u64;
            if findings > 0 {
                let source = dataset.source.as_str();
                members.push(Member { part, source, at, group, findings, ids: Vec::new() });
            }
        }
    }
    members
}

impl<'a> Member<'a> {
    fn fold_names(&mut self, resolution: &Resolution<'a>) {
        let names = self.group.identity.names.iter();
        self.ids = names.map(|name| resolution.target(name.as_str())).collect();
        self.ids.sort_unstable();
        self.ids.dedup();
    }

    fn run<'f>(&self, findings: &'f [Findings], ordered: &'f [Ordered]) -> Option<Run<'f>> {
        let order = ordered.get(self.part)?.group(self.at);
        Some(Run { part: self.part, findings: findings.get(self.part)?, order })
    }

    /// Whether its texts are about this vulnerability alone.
    fn is_specific(&self) -> bool {
        self.ids.len() == 1
    }
}

fn groups(members: &[Member<'_>]) -> Vec<FindingGroup> {
    let mut counts: BTreeMap<&[&str], u64> = BTreeMap::new();
    for member in members {
        *counts.entry(&member.ids).or_default() += member.findings;
    }
    counts
        .into_iter()
        .map(|(ids, findings)| FindingGroup {
            vulnerabilities: ids.iter().map(|id| (*id).to_owned()).collect(),
            findings,
        })
        .collect()
}

/// The assets that are shown, each made once.
struct Shown<'a> {
    sources: &'a [SourceRead],
    tables: &'a [AssetTable],
    assets: BTreeMap<AssetOf, Arc<AffectedAsset>>,
}

impl Shown<'_> {
    fn asset(&mut self, of: AssetOf) -> Option<Arc<AffectedAsset>> {
        if let Some(asset) = self.assets.get(&of) {
            return Some(Arc::clone(asset));
        }
        let (part, asset) = of;
        let asset = self.tables.get(part)?.show(&self.sources.get(part)?.source, asset)?;
        let asset = Arc::new(asset);
        self.assets.insert(of, Arc::clone(&asset));
        Some(asset)
    }
}

/// A qualifying vulnerability before its texts are copied.
struct Draft<'a> {
    id: &'a str,
    members: &'a [&'a Member<'a>],
    lineage: Digest,
    reach: Reach<'a>,
}

impl Draft<'_> {
    fn finish(self, shown: &mut Shown<'_>, resolution: &Resolution<'_>) -> Vulnerability {
        let facts = self.facts();
        let folded = self.folded(resolution);
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let title = if has_words(&facts.title) { &*facts.title } else { self.id };
        Vulnerability {
            id: self.id.to_owned(),
            aliases: folded.keys().take(ALIASES_SHOWN_MAX).map(|n| (*n).into()).collect(),
            title: title.to_owned(),
            severity: facts.scores.severity,
            cvss: facts.scores.cvss_tenths.map(cvss),
            epss: facts.scores.epss_millionths.map(epss),
            known_exploited: facts.scores.known_exploited,
            public_exploit: facts.scores.public_exploit,
            findings: self.members.iter().map(|member| member.findings).sum(),
            sources: self.source_counts(),
            asset_count: self.reach.asset_count,
            assets: self.reach.assets.iter().filter_map(|of| shown.asset(*of)).collect(),
            projects: owned(&self.reach.projects),
            subscriptions: owned(&self.reach.subscriptions),
            packages: facts.packages.to_strings(),
            fixed_versions: facts.fixed_versions.to_strings(),
            urls: facts.urls.to_strings(),
            first_seen: facts.first_seen,
            merged_because: self.reasons(&folded),
            lineage: self.lineage,
            description: facts.description.into(),
            remediation: facts.remediation.into(),
        }
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        let mut of_several = Facts::default();
        for member in self.members {
            let joined = if member.is_specific() { &mut facts } else { &mut of_several };
            joined.join(&member.group.facts);
        }
        facts.join_less_specific(&of_several);
        facts
    }

    fn source_counts(&self) -> Vec<SourceCount> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for member in self.members {
            *counts.entry(member.source).or_default() += member.findings;
        }
        counts
            .into_iter()
            .map(|(source, findings)| SourceCount { source: source.to_owned(), findings })
            .collect()
    }

    /// Names folded into this one, each with the sources that say so.
    fn folded(&self, resolution: &Resolution<'_>) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut folded: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for member in self.members.iter().filter(|member| member.is_specific()) {
            let identity = &member.group.identity;
            for name in identity.names.iter().chain(&identity.aliases) {
                if name != self.id && resolution.target(name) == self.id {
                    folded.entry(name).or_default().insert(member.source);
                }
            }
        }
        folded
    }

    fn reasons(&self, folded: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
        let mut named_by: BTreeSet<&str> = BTreeSet::new();
        let mut with_others: BTreeSet<String> = BTreeSet::new();
        for member in self.members {
            let identity = &member.group.identity;
            let source = member.source;
            if identity.names.iter().any(|name| name == self.id) {
                named_by.insert(source);
            }
            let n = member.ids.len();
            if n > 1 {
                with_others.insert(match identity.aliases.first() {
                    Some(whole) => format!("{whole} of {source} covers {n} vulnerabilities"),
                    None => format!("{source} names {n} vulnerabilities in one finding"),
                });
            }
        }
        let mut reasons = Vec::new();
        if !named_by.is_empty() {
            let verb = if named_by.len() == 1 { "names" } else { "name" };
            reasons.push(format!("{} {verb} {}", listed(&named_by), self.id));
        }
        for (name, sources) in folded {
            let sources = listed(sources);
            reasons.push(format!("{name} is another name of {}, says {sources}", self.id));
        }
        reasons.extend(with_others);
        reasons.truncate(REASONS_SHOWN_MAX);
        reasons
    }
}

/// CVSS as something that has an order.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made from tenths, from 0 to 100"
)]
fn tenths(cvss: f64) -> u8 {
    (cvss * 10.0).round() as u8
}
