//! The objects that workflows see beside connectors: datasets, merges, episodes, verifications.

mod dataset;
#[cfg(test)]
mod tests;
mod verification;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arx_audit::LeafKind;
use arx_gateway::RunContext;
use arx_journal::{Journal, JournalError, LeafDraft, Tx, World};
use arx_types::{Digest, EffectKey, Operation, RunId};
use arx_workflow::host::Exception;
use arx_workflow::merge::{Dataset, Merged, Thresholds, Vulnerability, merge};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::calls::Finished;
use crate::engine::EngineError;
use crate::observer::Observer;
use crate::report::Gathered;
pub(crate) use dataset::DatasetSink;
pub(crate) use verification::EVIDENCE;

/// Vulnerabilities named in one episode leaf; a larger change is written as several.
const EPISODES_PER_LEAF: usize = 500;

/// The most references that one call's leaf names one by one; a digest commits to more.
const LINEAGE_NAMED_MAX: usize = 200;

/// Why an object could not do what was asked.
pub(crate) enum ObjectError {
    /// The workflow asked for something that makes no sense.
    Invalid(String),
    /// The findings could not be taken.
    Sink(arx_types::SinkError),
    /// The record could not be kept.
    Lost(EngineError),
}

impl From<JournalError> for ObjectError {
    fn from(error: JournalError) -> Self {
        Self::Lost(EngineError::Journal(error))
    }
}

impl From<ObjectError> for Finished {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::Invalid(message) => {
                Self::Raise { exception: Exception::ValueError, message }
            }
            ObjectError::Sink(error) => {
                Self::Raise { exception: Exception::OSError, message: error.to_string() }
            }
            ObjectError::Lost(error) => Self::Lost(error),
        }
    }
}

/// One vulnerability's episode, as recorded in a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct EpisodeRecord {
    /// The vulnerability that the workflow sees.
    id: String,
    /// What effects of it are named by: `workflow/CVE-…/n`.
    key: String,
    /// Which episode it is.
    episode: u32,
    /// Names of its effects that are done.
    done: Vec<String>,
}

/// What the objects of one run hold.
pub(crate) struct Objects {
    journal: Journal,
    observer: Arc<dyn Observer>,
    n_handles: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Findings by handle, with the journal's name of their lineage.
    datasets: BTreeMap<String, (Dataset, String)>,
    /// How to read a dataset again that only the record knows.
    reads: BTreeMap<String, (Operation, Value)>,
    /// Merges by digest.
    merges: BTreeMap<String, Arc<Merged>>,
    /// What the reads behind a merge asked for, by the merge's digest.
    scopes: BTreeMap<String, String>,
    /// What reads of tickets, scans and sensors returned, by the digest of their record.
    evidence: BTreeMap<String, Arc<str>>,
    /// What effects below a key follow from.
    lineage: BTreeMap<String, Vec<String>>,
}

impl Objects {
    /// Names of the functions that workflows see as `arx.<name>`.
    pub(crate) const FUNCTIONS: [&'static str; 3] = ["merge", "episodes", "verify"];

    pub(crate) fn new(journal: Journal, observer: Arc<dyn Observer>) -> Self {
        Self { journal, observer, n_handles: AtomicU64::new(0), state: Mutex::default() }
    }

    pub(crate) fn observer(&self) -> &Arc<dyn Observer> {
        &self.observer
    }

    /// A handle that no other dataset of this run has, in this process or an earlier one.
    pub(crate) fn new_handle(&self, source: &str) -> String {
        let n = self.n_handles.fetch_add(1, Ordering::Relaxed);
        let now = self.journal.clock().now().as_microsecond();
        format!("{source}-{now}-{n}")
    }

    pub(crate) fn open_dataset(&self, ctx: &RunContext, source: &str) -> Arc<DatasetSink> {
        let name = format!("{}/{}", ctx.run, self.new_handle(source));
        Arc::new(DatasetSink::open(source, name, self.journal.clone(), Arc::clone(&self.observer)))
    }

    /// Ends a read and keeps its findings under a handle.
    pub(crate) async fn close_dataset(
        &self,
        handle: &str,
        sink: Arc<DatasetSink>,
        complete: bool,
    ) -> Result<(), ObjectError> {
        let closed = tokio::task::spawn_blocking(move || sink.close(complete)).await;
        let (dataset, lineage) = closed
            .map_err(|error| JournalError::Panicked { reason: error.to_string() })?
            .map_err(ObjectError::Sink)?;
        self.state().datasets.insert(handle.to_owned(), (dataset, lineage));
        Ok(())
    }

    /// Takes note of a recorded merge that a replay asked for.
    pub(crate) fn remember_merge(&self, params: &Map<String, Value>, payload: &str) {
        #[derive(Deserialize)]
        struct Identity {
            id: String,
        }
        if let Ok(Identity { id }) = serde_json::from_str(payload) {
            self.note_scope(&id, params);
        }
    }

    fn note_scope(&self, merge: &str, params: &Map<String, Value>) {
        let mut state = self.state();
        let mut asked: Vec<String> = handles_in(params)
            .iter()
            .filter_map(|handle| state.reads.get(handle))
            .map(|(operation, params)| format!("{operation} {params}"))
            .collect();
        asked.sort_unstable();
        let scope = Digest::of_bytes(asked.join("\n").as_bytes()).to_string();
        state.scopes.insert(merge.to_owned(), scope);
    }

    pub(crate) fn remember_read(&self, handle: &str, operation: Operation, params: Value) {
        self.state().reads.insert(handle.to_owned(), (operation, params));
    }

    /// Datasets among a call's parameters that this process does not hold.
    pub(crate) fn lost_datasets(
        &self,
        params: &Map<String, Value>,
    ) -> Vec<(String, Operation, Value)> {
        let state = self.state();
        handles_in(params)
            .into_iter()
            .filter(|handle| !state.datasets.contains_key(handle))
            .filter_map(|handle| {
                let (operation, params) = state.reads.get(&handle)?.clone();
                Some((handle, operation, params))
            })
            .collect()
    }

    /// `arx.merge(datasets, thresholds)`.
    pub(crate) async fn merge(
        &self,
        ctx: &RunContext,
        params: &Map<String, Value>,
    ) -> Result<String, ObjectError> {
        let invalid = |error: &dyn std::fmt::Display| ObjectError::Invalid(error.to_string());
        let args = params.get("args").and_then(Value::as_array);
        let inputs = args.and_then(|args| args.get(1)).cloned().unwrap_or(Value::Null);
        let thresholds = match inputs {
            Value::Null => {
                let mut named = params.clone();
                named.remove("args");
                Thresholds::from_params(&Value::Object(named)).map_err(|e| invalid(&e))?
            }
            inputs => Thresholds::from_inputs(&inputs).map_err(|e| invalid(&e))?,
        };
        let handles = handles_in(params);
        if handles.is_empty() {
            return Err(ObjectError::Invalid(
                "arx.merge() needs what `findings.read()` returned".to_owned(),
            ));
        }
        let mut datasets = Vec::new();
        let mut lineages = Vec::new();
        for handle in &handles {
            // A dataset is merged once; holding it on would double the memory it takes.
            let taken = self.state().datasets.remove(handle);
            let (dataset, lineage) = taken.ok_or_else(|| {
                ObjectError::Invalid(format!("`{handle}` is no dataset, or was merged before"))
            })?;
            datasets.push(dataset);
            lineages.push(lineage);
        }
        let merged = tokio::task::spawn_blocking(move || merge(datasets, &thresholds))
            .await
            .map_err(|error| JournalError::Panicked { reason: error.to_string() })?
            .map_err(ObjectError::Sink)?;
        let leaf = merge_leaf(ctx, &merged);
        let (run, epoch, digest) = (ctx.run.clone(), ctx.epoch, merged.id);
        self.journal
            .write(move |tx| {
                tx.check_lease(&run, epoch)?;
                for lineage in &lineages {
                    tx.link_merge(&digest, lineage, &run)?;
                }
                tx.append_leaf(leaf).map(drop)
            })
            .await?;
        self.note_scope(&digest.to_string(), params);
        serde_json::to_string(&merged).map_err(|error| ObjectError::Invalid(error.to_string()))
    }

    /// A workflow sees a merge's counts; its vulnerabilities come with their episodes.
    pub(crate) fn reveal_merge(&self, gathered: &mut Gathered, payload: &str) -> Value {
        let Ok(merged) = serde_json::from_str::<Merged>(payload) else { return Value::Null };
        let merged = Arc::new(merged);
        let mut visible = json!({ "$merge": merged.id });
        if let (Value::Object(fields), Value::Object(counts)) = (&mut visible, merged.visible()) {
            fields.extend(counts);
        }
        self.state().merges.insert(merged.id.to_string(), Arc::clone(&merged));
        gathered.merged = Some(merged);
        visible
    }

    /// `arx.episodes(merged)`: opens, continues and closes episodes.
    pub(crate) async fn episodes(
        &self,
        ctx: &RunContext,
        params: &Map<String, Value>,
    ) -> Result<String, ObjectError> {
        let merged = self.merge_in(params).ok_or_else(|| {
            ObjectError::Invalid("arx.episodes() needs what `arx.merge()` returned".to_owned())
        })?;
        let work = EpisodeWork {
            run: ctx.run.clone(),
            epoch: ctx.epoch,
            workflow: ctx.workflow.clone(),
            world: ctx.world.clone(),
            dry_run: ctx.dry_run,
            leaf: ctx.leaf(LeafKind::Episode),
            scope: self.state().scopes.get(&merged.id.to_string()).cloned().unwrap_or_default(),
            merged: Arc::clone(&merged),
        };
        let records = self.journal.write(move |tx| work.write(tx)).await?;
        Ok(json!({ "merge": merged.id, "episodes": records }).to_string())
    }

    pub(crate) fn reveal_episodes(&self, gathered: &mut Gathered, payload: &str) -> Value {
        let payload: Value = serde_json::from_str(payload).unwrap_or_default();
        let text = |field: &str| payload.get(field).and_then(Value::as_str).unwrap_or_default();
        let merged = self.state().merges.get(text("merge")).cloned();
        let records: Vec<EpisodeRecord> = payload
            .get("episodes")
            .and_then(|records| Vec::deserialize(records).ok())
            .unwrap_or_default();
        let (Some(merged), Ok(_)) = (merged, u64::try_from(records.len())) else {
            return Value::Null;
        };
        let by_id: BTreeMap<&str, &EpisodeRecord> =
            records.iter().map(|record| (record.id.as_str(), record)).collect();
        let mut shown = Vec::new();
        let mut state = self.state();
        for vulnerability in &merged.vulnerabilities {
            let Some(record) = by_id.get(vulnerability.id.as_str()) else { continue };
            state.lineage.insert(record.key.clone(), lineage(&merged, vulnerability));
            let Ok(Value::Object(mut fields)) = serde_json::to_value(vulnerability) else {
                continue;
            };
            fields.insert("key".to_owned(), json!(record.key));
            fields.insert("episode".to_owned(), json!(record.episode));
            fields.insert("done".to_owned(), json!(record.done));
            shown.push(Value::Object(fields));
        }
        drop(state);
        gathered.items.reserve(shown.len());
        json!({ "vulnerabilities": shown })
    }

    /// What effects of these keys follow from.
    pub(crate) fn lineage_of<'k>(&self, keys: impl Iterator<Item = &'k EffectKey>) -> Vec<String> {
        let state = self.state();
        let mut found = BTreeSet::new();
        for key in keys {
            if let Some((below, _)) = key.as_str().rsplit_once('/') {
                found.extend(state.lineage.get(below).into_iter().flatten().cloned());
            }
        }
        named(found)
    }

    fn merge_in(&self, params: &Map<String, Value>) -> Option<Arc<Merged>> {
        let first = params.get("args")?.as_array()?.first()?;
        let id = first.get("$merge")?.as_str()?;
        self.state().merges.get(id).cloned()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change of it is one insertion or removal.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct EpisodeWork {
    run: RunId,
    epoch: u64,
    workflow: String,
    world: World,
    dry_run: bool,
    leaf: LeafDraft,
    /// What the reads asked for; only reads that ask for the same can close an episode.
    scope: String,
    merged: Arc<Merged>,
}

impl EpisodeWork {
    fn write(&self, tx: &mut Tx<'_>) -> Result<Vec<EpisodeRecord>, JournalError> {
        tx.check_lease(&self.run, self.epoch)?;
        let open: BTreeMap<String, u32> = tx
            .open_episodes(&self.world, &self.workflow)?
            .into_iter()
            .map(|episode| (episode.vulnerability, episode.n))
            .collect();
        let mut opened = Vec::new();
        let mut shown = BTreeSet::new();
        let mut records = Vec::new();
        for vulnerability in &self.merged.vulnerabilities {
            let names = std::iter::once(&vulnerability.id).chain(&vulnerability.aliases);
            shown.extend(names.clone().cloned());
            // An episode that opened under another name of the vulnerability goes on under it.
            let name = names.clone().find(|name| open.contains_key(*name));
            let name = name.unwrap_or(&vulnerability.id);
            let n = match open.get(name) {
                Some(n) if self.dry_run => *n,
                None if self.dry_run => {
                    let past = tx.episodes(&self.world, &self.workflow, name)?;
                    past.last().map_or(1, |episode| episode.n + 1)
                }
                known => {
                    let (world, workflow) = (&self.world, &self.workflow);
                    let episode = tx.open_episode(world, workflow, name, &self.scope, &self.run)?;
                    if known.is_none() {
                        opened.push(format!("{name}/{}", episode.n));
                    }
                    episode.n
                }
            };
            let key = format!("{}/{name}/{n}", self.workflow);
            let done = tx.done_below(&self.world, &key)?;
            records.push(EpisodeRecord { id: vulnerability.id.clone(), key, episode: n, done });
        }
        shown.extend(self.merged.below_threshold.iter().map(|below| below.id.clone()));
        let folded = self.merged.aliases.iter();
        shown.extend(folded.map(|alias| alias.name.clone()));
        let mut closed = Vec::new();
        if self.merged.complete() && !self.dry_run {
            let (world, workflow) = (&self.world, &self.workflow);
            let gone = tx.close_missing(world, workflow, &shown, &self.scope, &self.run)?;
            closed.extend(
                gone.iter().map(|episode| format!("{}/{}", episode.vulnerability, episode.n)),
            );
        }
        for (status, names) in [("opened", opened), ("closed", closed)] {
            for names in names.chunks(EPISODES_PER_LEAF) {
                let mut leaf = self.leaf.clone().status(status);
                leaf.lineage.push(format!("merge:{}", self.merged.id));
                tx.append_leaf(leaf.with("episodes", names.to_vec()))?;
            }
        }
        Ok(records)
    }
}

/// References as a leaf takes them: a write for very many vulnerabilities names their merges, how
/// many they are, and the digest of their references, one a line in order.
fn named(found: BTreeSet<String>) -> Vec<String> {
    if found.len() <= LINEAGE_NAMED_MAX {
        return found.into_iter().collect();
    }
    let (merges, rest): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|reference| reference.starts_with("merge:"));
    let digest = Digest::of_bytes(rest.join("\n").as_bytes());
    merges.into_iter().chain([format!("vulnerabilities:{}:{digest}", rest.len())]).collect()
}

/// What a vulnerability's effects follow from.
fn lineage(merged: &Merged, vulnerability: &Vulnerability) -> Vec<String> {
    vec![
        format!("merge:{}", merged.id),
        format!("vulnerability:{}:{}", vulnerability.id, vulnerability.lineage),
    ]
}

fn merge_leaf(ctx: &RunContext, merged: &Merged) -> LeafDraft {
    let sources: Vec<Value> = merged
        .sources
        .iter()
        .map(|source| {
            json!({
                "source": source.source,
                "findings": source.findings_read,
                "complete": source.complete,
            })
        })
        .collect();
    ctx.leaf(LeafKind::Merge)
        .result(merged.id)
        .with("findings", merged.findings_read)
        .with("vulnerabilities", merged.vulnerabilities.len())
        .with("below_threshold", merged.below_threshold.len())
        .with("aliases", merged.aliases.len())
        .with("sources", sources)
}

/// Handles of datasets anywhere in a call's positional parameters, in order.
fn handles_in(params: &Map<String, Value>) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            Value::Object(fields) => {
                if let Some(Value::String(handle)) = fields.get("$dataset") {
                    found.push(handle.clone());
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Some(args) = params.get("args") {
        collect(args, &mut found);
    }
    found
}
