//! Where a vulnerability comes from: its source findings, read back from the record and hashed
//! again.
//!
//! The rules are those of `docs/merging.md`, "Checking a merge". What does not hash to what the
//! merge committed to is said to be so, never hidden.

use std::collections::{BTreeMap, BTreeSet};

use arx_journal::{Journal, JournalError, Packed, Reader};
use arx_types::{Digest, RunId};
use arx_workflow::merge::{AliasDecision, Merged};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The step that merges.
const MERGE: &str = "arx.merge";

/// One source finding behind a vulnerability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFinding {
    /// The source.
    pub source: String,
    /// The source's identifier of it.
    pub id: String,
    /// Its digest.
    pub digest: Digest,
    /// The source's identifier of the asset.
    pub asset: String,
    /// What it names.
    pub vulnerabilities: Vec<String>,
    /// What else it is called.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A vulnerability of one run with everything behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The vulnerability's id.
    pub vulnerability: String,
    /// Its title; empty where it did not qualify.
    pub title: String,
    /// Why it was not acted on, where it did not qualify.
    pub below_threshold: Option<String>,
    /// Why these findings are one vulnerability.
    pub merged_because: Vec<String>,
    /// What was decided about its names.
    pub aliases: Vec<AliasDecision>,
    /// The merge that the audit log names.
    pub merge: Digest,
    /// What the merge committed to for this vulnerability.
    pub lineage: Digest,
    /// Whether the findings below hash to it.
    pub lineage_holds: bool,
    /// Every finding that counts for it.
    pub findings: Vec<SourceFinding>,
}

/// Traces a vulnerability of a run, by its id or by another name of it; `None` where the run's
/// merges do not have it.
///
/// # Errors
/// When the record cannot be read.
pub async fn trace(
    journal: &Journal,
    run: &RunId,
    name: &str,
) -> Result<Option<Provenance>, JournalError> {
    let (run, name) = (run.clone(), name.trim().to_owned());
    journal
        .read(move |reader| {
            for step in reader.steps(&run)?.into_iter().filter(|step| step.operation == MERGE) {
                if let Some(found) = in_merge(reader, &run, &step.payload, &name)? {
                    return Ok::<_, JournalError>(Some(found));
                }
            }
            Ok(None)
        })
        .await
}

fn in_merge(
    reader: &Reader<'_>,
    run: &RunId,
    payload: &Packed,
    name: &str,
) -> Result<Option<Provenance>, JournalError> {
    // A merge that raised has no payload of this shape.
    let Ok(merged) = payload.unpack::<Merged>() else { return Ok(None) };
    let folded = merged.aliases.iter().find(|alias| alias.name.eq_ignore_ascii_case(name));
    let id = folded.and_then(|alias| alias.into.as_deref()).unwrap_or(name);
    let vulnerability =
        merged.vulnerabilities.iter().find(|known| known.id.eq_ignore_ascii_case(id));
    let below = merged.below_threshold.iter().find(|known| known.id.eq_ignore_ascii_case(id));
    let (id, lineage) = match (vulnerability, below) {
        (Some(known), _) => (known.id.clone(), known.lineage),
        (None, Some(known)) => (known.id.clone(), known.lineage),
        (None, None) => return Ok(None),
    };
    let into: BTreeMap<&str, &str> = merged
        .aliases
        .iter()
        .filter_map(|alias| Some((alias.name.as_str(), alias.into.as_deref()?)))
        .collect();
    let findings = findings(reader, run, &merged.id, &id, &into)?;
    let mut digests: Vec<[u8; 32]> = findings.iter().map(|finding| finding.digest.0).collect();
    digests.sort_unstable();
    let lineage_holds = Sha256::digest(digests.concat()).as_slice() == lineage.0;
    Ok(Some(Provenance {
        title: vulnerability.map(|known| known.title.clone()).unwrap_or_default(),
        below_threshold: below.map(|known| known.why.clone()),
        merged_because: vulnerability.map(|known| known.merged_because.clone()).unwrap_or_default(),
        aliases: merged
            .aliases
            .iter()
            .filter(|alias| alias.into.as_deref() == Some(id.as_str()) || alias.name == id)
            .cloned()
            .collect(),
        vulnerability: id,
        merge: merged.id,
        lineage,
        lineage_holds,
        findings,
    }))
}

/// The findings that count for a vulnerability: of several readings of one, the one with the
/// smallest digest.
fn findings(
    reader: &Reader<'_>,
    run: &RunId,
    merge: &Digest,
    vulnerability: &str,
    into: &BTreeMap<&str, &str>,
) -> Result<Vec<SourceFinding>, JournalError> {
    let datasets: BTreeSet<String> = reader
        .merges(merge)?
        .into_iter()
        .filter(|recorded| recorded.run == run.as_str())
        .map(|recorded| recorded.dataset)
        .collect();
    let counts = |finding: &SourceFinding| {
        finding
            .vulnerabilities
            .iter()
            .any(|name| into.get(name.as_str()).copied().unwrap_or(name.as_str()) == vulnerability)
    };
    let key = |finding: &SourceFinding| {
        let id = match finding.id.as_str() {
            "" => finding.digest.to_string(),
            id => id.to_owned(),
        };
        (finding.source.clone(), id)
    };
    // Once for the findings that ever named it, once for what each of them says in the reading
    // that counts: the lines are too many to be held.
    let mut named = BTreeSet::new();
    for dataset in &datasets {
        each_line(reader, dataset, |finding| {
            if counts(&finding) {
                named.insert(key(&finding));
            }
        })?;
    }
    let mut best: BTreeMap<(String, String), SourceFinding> = BTreeMap::new();
    for dataset in &datasets {
        each_line(reader, dataset, |finding| {
            let key = key(&finding);
            let is_better = best.get(&key).is_none_or(|known| finding.digest.0 < known.digest.0);
            if is_better && named.contains(&key) {
                best.insert(key, finding);
            }
        })?;
    }
    Ok(best.into_values().filter(counts).collect())
}

fn each_line(
    reader: &Reader<'_>,
    dataset: &str,
    mut take: impl FnMut(SourceFinding),
) -> Result<(), JournalError> {
    reader.lineage(dataset, |chunk| {
        for line in chunk.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let finding = serde_json::from_slice(line).map_err(|error| JournalError::Invalid {
                what: "line of a lineage",
                reason: error.to_string(),
            })?;
            take(finding);
        }
        Ok::<_, JournalError>(())
    })
}
