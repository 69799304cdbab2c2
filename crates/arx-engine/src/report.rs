//! What a run reports: for people, for `--json`, and for the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use arx_types::{RunId, RunStatus};
use arx_workflow::merge::{Conservation, Disposition, Merged};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest error message that lists show, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// What one unit of work saves a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeSaved {
    /// The unit, e.g. `escalation`.
    pub per: String,
    /// Minutes for each.
    pub minutes: u64,
}

/// How many items ended in which way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Incidents opened for one vulnerability.
    pub paged: u64,
    /// Vulnerabilities named in a grouped incident.
    pub grouped: u64,
    /// Tickets opened.
    pub ticketed: u64,
    /// Vulnerabilities whose episode was paged before.
    pub already_open: u64,
    /// Vulnerabilities that do not qualify.
    pub below_threshold: u64,
    /// Items that failed.
    pub failed: u64,
    /// Tickets closed as verified.
    pub verified: u64,
    /// Tickets flagged for re-patching.
    pub flagged: u64,
    /// Tickets without enough evidence.
    pub inconclusive: u64,
    /// Of the verified and flagged tickets, those that an earlier run had written the same to.
    #[serde(default)]
    pub before: u64,
    /// Calls that the gate or a human denied.
    pub denied: u64,
    /// Calls that were put to a human.
    pub escalated: u64,
}

/// What one source gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Its name.
    pub source: String,
    /// Distinct findings.
    pub findings_read: u64,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Why not.
    pub why: Option<String>,
}

/// An effect that a human must decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Its key, which `arx effects settle` takes.
    pub effect: String,
    /// What was looked at.
    pub why: String,
}

/// The size of the audit log and its signed checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Leaves in the whole log.
    pub leaves: u64,
    /// The signed note that commits to them.
    pub checkpoint: String,
    /// The root hash in it.
    pub root: String,
}

/// Why a run failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Class of the exception, or of ARX's own error.
    pub kind: String,
    /// What went wrong.
    pub message: String,
    /// Where in the workflow.
    pub traceback: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything a run reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow: String,
    /// Digest of the bundle it ran.
    pub version: String,
    /// How it ended.
    pub status: RunStatus,
    /// `live`, or `simulate:<scenario>`.
    pub world: String,
    /// Whether writes were only decided.
    pub dry_run: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When this report was made.
    pub ended_at: Timestamp,
    /// Distinct findings of all sources.
    pub findings_read: u64,
    /// The same by source.
    pub sources: Vec<SourceReport>,
    /// Distinct vulnerabilities, those below the threshold included.
    pub merged: u64,
    /// Tickets that waited for verification; none where the run did not read tickets.
    #[serde(default)]
    pub tickets_read: Option<u64>,
    /// What became of the items.
    pub counts: Counts,
    /// Every finding read, by what became of its vulnerability.
    pub conservation: Option<Conservation>,
    /// Every item with what was done to it.
    pub items: Vec<Value>,
    /// What the reader should know although nothing failed.
    pub warnings: Vec<String>,
    /// Effects that a human must decide.
    pub needs_attention: Vec<Attention>,
    /// Requests that wait for approval.
    pub approvals: Vec<String>,
    /// Why the run failed as a whole.
    pub error: Option<Failure>,
    /// The record.
    pub audit: AuditReport,
    /// What it saved a person, by arx.yaml's own estimate.
    pub time_saved_minutes: u64,
}

impl Report {
    /// Whether the run failed because of its configuration: inputs or settings that do not fit a
    /// vendor's account.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        self.error.as_ref().is_some_and(|error| {
            error.kind == "ValueError" && error.message.starts_with("configuration: ")
        })
    }
}

/// What lists show of a report: the figures, without items and texts that may be long.
pub(crate) fn figures(report: &Value) -> Value {
    let mut figures = Map::new();
    for name in
        ["findings_read", "merged", "tickets_read", "counts", "dry_run", "time_saved_minutes"]
    {
        if let Some(value) = report.get(name) {
            figures.insert(name.to_owned(), value.clone());
        }
    }
    let n_of = |name: &str| report.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    figures.insert("n_items".to_owned(), n_of("items").into());
    figures.insert("n_warnings".to_owned(), n_of("warnings").into());
    if let Some(message) = report.pointer("/error/message").and_then(Value::as_str) {
        let short: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
        figures.insert("error".to_owned(), short.into());
    }
    Value::Object(figures)
}

/// Gathers what a report is made of while a run goes on. Everything in it comes from the run's
/// events in the order of delivery, so that a replay gathers the same.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) items: Vec<Value>,
    /// What was noted about items that have not ended.
    pub(crate) notes: BTreeMap<String, Map<String, Value>>,
    pub(crate) merged: Option<Arc<Merged>>,
    pub(crate) tickets_read: Option<u64>,
    /// Items in the order in which they are shown, where the merge does not say.
    pub(crate) order: Vec<String>,
    pub(crate) why_incomplete: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) n_denied: u64,
    pub(crate) needs_attention: Vec<Attention>,
    pub(crate) failed_reads: Vec<String>,
    pub(crate) error: Option<Failure>,
}

impl Gathered {
    /// Items, with those that have not ended shown by what was noted of them; the most severe
    /// first, whatever order they ended in.
    pub(crate) fn all_items(&self) -> Vec<Value> {
        let open = self.notes.values().map(|fields| Value::Object(fields.clone()));
        let mut items: Vec<Value> = self.items.iter().cloned().chain(open).collect();
        let ids: Vec<&str> = match &self.merged {
            Some(merged) => merged.vulnerabilities.iter().map(|known| known.id.as_str()).collect(),
            None => self.order.iter().map(String::as_str).collect(),
        };
        let ranks: BTreeMap<&str, usize> = ids.into_iter().zip(0..).collect();
        items.sort_by_key(|item| {
            let id = item.get("id").and_then(Value::as_str);
            id.and_then(|id| ranks.get(id)).copied().unwrap_or(usize::MAX)
        });
        items
    }

    pub(crate) fn counts(&self, items: &[Value], n_escalated: u64) -> Counts {
        let count =
            |outcome: &str| items.iter().filter(|item| has_outcome(item, outcome)).count() as u64;
        Counts {
            paged: count("paged"),
            grouped: count("grouped"),
            ticketed: count("ticketed"),
            already_open: count("already_open"),
            below_threshold: self
                .merged
                .as_ref()
                .map_or(0, |merged| merged.below_threshold.len() as u64),
            failed: count("failed"),
            verified: count("verified"),
            flagged: count("flagged"),
            inconclusive: count("inconclusive"),
            before: count("before"),
            denied: self.n_denied,
            escalated: n_escalated,
        }
    }

    pub(crate) fn conservation(&self, items: &[Value]) -> Option<Conservation> {
        let merged = self.merged.as_ref()?;
        let by_id: BTreeMap<&str, &Value> =
            items.iter().filter_map(|item| Some((item.get("id")?.as_str()?, item))).collect();
        Some(merged.conservation(|id| {
            let Some(item) = by_id.get(id) else { return Disposition::Failed };
            [
                ("paged", Disposition::Paged),
                ("grouped", Disposition::Grouped),
                ("already_open", Disposition::AlreadyOpen),
            ]
            .into_iter()
            .find_map(|(outcome, disposition)| has_outcome(item, outcome).then_some(disposition))
            .unwrap_or(Disposition::Failed)
        }))
    }

    /// Whether every ticket that was read ended in exactly one way.
    pub(crate) fn tickets_add_up(&self, counts: &Counts) -> bool {
        let ended = counts.verified + counts.flagged + counts.inconclusive + counts.failed;
        self.tickets_read.is_none_or(|read| read == ended)
    }

    pub(crate) fn sources(&self) -> Vec<SourceReport> {
        let Some(merged) = &self.merged else { return Vec::new() };
        merged
            .sources
            .iter()
            .map(|source| SourceReport {
                source: source.source.clone(),
                findings_read: source.findings_read,
                complete: source.complete,
                why: self.why_incomplete.get(&source.source).cloned(),
            })
            .collect()
    }
}

/// Minutes saved: the estimate for each unit, times the units that this run did.
pub(crate) fn time_saved(estimate: Option<&TimeSaved>, counts: &Counts) -> u64 {
    let Some(estimate) = estimate else { return 0 };
    let units = match estimate.per.as_str() {
        "escalation" => counts.paged + counts.grouped,
        "ticket" => counts.ticketed,
        "verification" => counts.verified + counts.flagged - counts.before,
        _ => 0,
    };
    units * estimate.minutes
}

fn has_outcome(item: &Value, outcome: &str) -> bool {
    item.get("outcomes")
        .and_then(Value::as_array)
        .is_some_and(|outcomes| outcomes.iter().any(|value| value == outcome))
}
