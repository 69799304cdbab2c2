//! Tests of merging: what they share, then one file for each idea.

mod audit;
mod awkward;
mod limits;
mod names;
mod properties;
mod texts;
mod thresholds;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arx_types::{Asset, Digest, Finding, FindingSink as _, Severity, SinkError};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{Dataset, Fold, LINEAGE_CHUNK_BYTES_MAX, LineageRecorder, Merged, Thresholds, merge};

/// A recorder that keeps what it is given, and insists on whole lines in chunks of bounded size.
#[derive(Default)]
struct Recorded(Mutex<Vec<u8>>);

impl LineageRecorder for Recorded {
    fn record(&self, chunk: Vec<u8>) -> Result<(), SinkError> {
        assert!(chunk.len() <= LINEAGE_CHUNK_BYTES_MAX, "{} bytes", chunk.len());
        assert_eq!(chunk.last(), Some(&b'\n'));
        self.0.lock().unwrap().extend_from_slice(&chunk);
        Ok(())
    }
}

impl Recorded {
    fn lines(&self) -> Vec<Line> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// One line of the record, read as an auditor would.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    source: String,
    id: String,
    digest: Digest,
    asset: String,
    vulnerabilities: Vec<String>,
    #[serde(default)]
    aliases: Vec<String>,
}

/// A critical finding on an asset of its own.
fn finding(id: &str, names: &[&str]) -> Finding<'static> {
    Finding {
        id: Cow::Owned(id.to_owned()),
        vulnerabilities: names.iter().map(|name| Cow::Owned((*name).to_owned())).collect(),
        asset: asset(&format!("asset-{id}")),
        severity: Severity::Critical,
        ..Finding::default()
    }
}

fn also_called(mut finding: Finding<'static>, aliases: &[&str]) -> Finding<'static> {
    finding.aliases = aliases.iter().map(|name| Cow::Owned((*name).to_owned())).collect();
    finding
}

fn asset(id: &str) -> Asset<'static> {
    Asset { id: Cow::Owned(id.to_owned()), name: Cow::Owned(id.to_owned()), ..Asset::default() }
}

fn fold(source: &str, findings: &[Finding<'_>]) -> Dataset {
    fold_recorded(source, findings, &Arc::default())
}

fn fold_recorded(source: &str, findings: &[Finding<'_>], recorded: &Arc<Recorded>) -> Dataset {
    let fold = Fold::new(source, Arc::clone(recorded) as Arc<dyn LineageRecorder>);
    fold.accept(findings).unwrap();
    fold.finish(true).unwrap()
}

/// Merges what two sources found.
fn merged(wiz: &[Finding<'_>], qualys: &[Finding<'_>]) -> Merged {
    let datasets = vec![fold("wiz", wiz), fold("qualys", qualys)];
    merge(datasets, &Thresholds::default()).unwrap()
}

/// As JSON that people read.
fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// The ids of what qualified and how many findings each has.
fn ids(merged: &Merged) -> Vec<(&str, u64)> {
    merged.vulnerabilities.iter().map(|v| (v.id.as_str(), v.findings)).collect()
}

/// Does what `docs/merging.md` tells an auditor to do, with the recorded lines and the decisions
/// about aliases alone, and expects to find the same.
fn audit(lines: &[Line], merged: &Merged) {
    let mut rows: BTreeMap<(&str, String), &Line> = BTreeMap::new();
    for line in lines {
        let id = if line.id.is_empty() { line.digest.to_string() } else { line.id.clone() };
        let kept = rows.entry((&line.source, id)).or_insert(line);
        if line.digest < kept.digest {
            *kept = line;
        }
    }
    let into: BTreeMap<&str, &str> = merged
        .aliases
        .iter()
        .filter_map(|decision| Some((decision.name.as_str(), decision.into.as_deref()?)))
        .collect();
    let mut digests: BTreeMap<&str, BTreeSet<Digest>> = BTreeMap::new();
    let mut groups: BTreeMap<BTreeSet<&str>, u64> = BTreeMap::new();
    for line in rows.values() {
        let ids: BTreeSet<&str> = line
            .vulnerabilities
            .iter()
            .map(|name| into.get(name.as_str()).copied().unwrap_or(name))
            .collect();
        for id in &ids {
            digests.entry(id).or_default().insert(line.digest);
        }
        *groups.entry(ids).or_default() += 1;
    }
    let mut whole = Sha256::new();
    let mut expected = BTreeMap::new();
    for (id, digests) in &digests {
        let mut hasher = Sha256::new();
        digests.iter().for_each(|digest| hasher.update(digest.0));
        let lineage: [u8; 32] = hasher.finalize().into();
        whole.update((id.len() as u64).to_be_bytes());
        whole.update(id.as_bytes());
        whole.update(lineage);
        expected.insert(*id, (Digest(lineage), digests.len() as u64));
    }
    let given: BTreeMap<&str, (Digest, u64)> = merged
        .vulnerabilities
        .iter()
        .map(|v| (v.id.as_str(), (v.lineage, v.findings)))
        .chain(merged.below_threshold.iter().map(|b| (b.id.as_str(), (b.lineage, b.findings))))
        .collect();
    assert_eq!(given, expected);
    assert_eq!(merged.id, Digest(whole.finalize().into()));
    assert_eq!(merged.findings_read, rows.len() as u64);
    let given: BTreeMap<BTreeSet<&str>, u64> = merged
        .groups
        .iter()
        .map(|g| (g.vulnerabilities.iter().map(String::as_str).collect(), g.findings))
        .collect();
    assert_eq!(given, groups);
    assert_eq!(given.len(), merged.groups.len(), "a set of vulnerabilities is one group");
}
