//! The audit log in the database: leaves, the hashes of the Merkle tree, signed checkpoints.
//!
//! INVARIANT (one log): a leaf's place is read and taken inside the transaction that appends it,
//! so that several processes share one log without gaps. Leaves are never changed or removed.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use arx_audit::{
    Action, BoxError, Bundle, Frontier, Hash, HashStore, Leaf, LeafKind, LogChecks, LogReport,
    Risk, RiskClass, SigningKey, Verdict, Workflow, tree,
};
use arx_types::{Decision, Digest, EffectKey, Operation, RiskScore, RunId};
use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params, params_from_iter};
use serde_json::{Map, Value};

use crate::column::{Micros, signed, unsigned};
use crate::conditions::Conditions;
use crate::tx::Tail;
use crate::{Journal, JournalError, Reader, Tx, World};

/// The most leaves that one listing returns.
pub const LEAVES_LISTED_MAX: usize = 10_000;
/// The most hashes of the tree in one row; a proof reads a row for each of its hashes.
const HASHES_IN_ROW: usize = 64;
/// The field of a leaf's detail that says how far the clock was behind the leaf before.
const CLOCK_BEHIND: &str = "clock_behind_us";
/// The field of a run leaf's detail that counts the run's earlier leaves, so that a bundle that
/// leaves one out can be told.
const RUN_LEAVES: &str = "run_leaves";

/// A leaf to be appended: everything but its place and its time, which the journal gives.
#[derive(Clone, Debug)]
pub struct LeafDraft {
    /// What is recorded.
    pub kind: LeafKind,
    /// Who caused it: a person, a schedule, the gate itself.
    pub actor: String,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The workflow it belongs to.
    pub workflow: Option<Workflow>,
    /// The version of the policy that decided.
    pub policy_version: Option<String>,
    /// The call to a vendor that it is about.
    pub action: Option<Action>,
    /// What the policy said.
    pub verdict: Option<Verdict>,
    /// The rule, limit or threshold that made the verdict.
    pub rule: Option<String>,
    /// The risk score with its factors.
    pub risk: Option<Risk>,
    /// Where it came from, as references such as `merge:<sha256>`.
    pub lineage: Vec<String>,
    /// The digest of the redacted result kept in the journal.
    pub result_sha256: Option<Digest>,
    /// How it ended.
    pub status: Option<String>,
    /// Anything else worth recording; integers only, never a secret.
    pub detail: Map<String, Value>,
}

impl LeafDraft {
    /// A leaf with nothing but its kind and actor.
    #[must_use]
    pub fn new(kind: LeafKind, actor: impl Into<String>) -> Self {
        Self {
            kind,
            actor: actor.into(),
            run: None,
            workflow: None,
            policy_version: None,
            action: None,
            verdict: None,
            rule: None,
            risk: None,
            lineage: Vec::new(),
            result_sha256: None,
            status: None,
            detail: Map::new(),
        }
    }

    /// Names the run, with its workflow and policy.
    #[must_use]
    pub fn of_run(
        mut self,
        run: &RunId,
        workflow: &str,
        version: &Digest,
        policy_version: &str,
    ) -> Self {
        self.run = Some(run.clone());
        self.workflow = Some(Workflow { name: workflow.to_owned(), version: version.to_string() });
        self.policy_version = Some(policy_version.to_owned());
        self
    }

    /// Names the call.
    #[must_use]
    pub fn about(
        mut self,
        operation: &Operation,
        effect_key: Option<&EffectKey>,
        params_sha256: Option<&Digest>,
    ) -> Self {
        self.action = Some(Action {
            connector: operation.connector.clone(),
            operation: operation.name.clone(),
            effect_key: effect_key.map(ToString::to_string),
            params_sha256: params_sha256.map(ToString::to_string),
        });
        self
    }

    /// Says what the policy decided; its reasons go into the detail.
    #[must_use]
    pub fn decided(mut self, decision: &Decision) -> Self {
        self.verdict = Some(match decision.verdict {
            arx_types::Verdict::Permit => Verdict::Permit,
            arx_types::Verdict::Escalate => Verdict::Escalate,
            arx_types::Verdict::Deny => Verdict::Deny,
        });
        self.rule.clone_from(&decision.rule);
        self.risk = decision.risk.as_ref().map(risk_of);
        self.with("reasons", decision.reasons.clone())
    }

    /// Says how it ended.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> Self {
        self.status = Some(status.into());
        self
    }

    /// Commits to a result by its digest.
    #[must_use]
    pub fn result(mut self, digest: Digest) -> Self {
        self.result_sha256 = Some(digest);
        self
    }

    /// Adds to the detail.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(field.to_owned(), value.into());
        self
    }

    /// Names the world, where it is a simulated one: no reader takes what happened there for real.
    #[must_use]
    pub fn in_world(mut self, world: &World) -> Self {
        if world.scenario().is_none() {
            return self;
        }
        if let Some(action) = &mut self.action
            && let Some(key) = &mut action.effect_key
        {
            *key = format!("{world}/{key}");
        }
        self.with("world", world.as_str())
    }

    fn placed(self, seq: u64, at: Timestamp) -> Leaf {
        let mut leaf = Leaf::new(seq, at, self.kind, self.actor);
        leaf.run = self.run.map(String::from);
        leaf.workflow = self.workflow;
        leaf.policy_version = self.policy_version;
        leaf.action = self.action;
        leaf.verdict = self.verdict;
        leaf.rule = self.rule;
        leaf.risk = self.risk;
        leaf.lineage = self.lineage;
        leaf.result_sha256 = self.result_sha256.map(|digest| digest.to_string());
        leaf.status = self.status;
        leaf.detail = (!self.detail.is_empty()).then_some(self.detail);
        leaf
    }
}

fn risk_of(score: &RiskScore) -> Risk {
    let mut factors = std::collections::BTreeMap::new();
    for factor in &score.factors {
        *factors.entry(factor.name.clone()).or_default() += u32::from(factor.points);
    }
    let class = match score.class {
        arx_types::RiskClass::Low => RiskClass::Low,
        arx_types::RiskClass::Medium => RiskClass::Medium,
        arx_types::RiskClass::High => RiskClass::High,
        arx_types::RiskClass::Critical => RiskClass::Critical,
    };
    Risk { class, raw: score.raw.into(), score: score.score.into(), factors }
}

/// Where a leaf stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafRef {
    /// Its place in the log, from 0.
    pub seq: u64,
    /// Its hash in the tree.
    pub hash: Hash,
    /// The time it was recorded with.
    pub at: Timestamp,
}

/// A leaf as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLeaf {
    /// Its place in the log, from 0.
    pub seq: u64,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
}

impl StoredLeaf {
    /// Reads the leaf.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when the bytes are no leaf.
    pub fn decode(&self) -> Result<Leaf, JournalError> {
        Leaf::decode(&self.bytes).map_err(|error| {
            JournalError::corrupt(format!("leaf {} of the audit log: {error}", self.seq))
        })
    }
}

/// Which leaves to list.
#[derive(Clone, Debug, Default)]
pub struct LeafFilter {
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this kind.
    pub kind: Option<LeafKind>,
    /// Before this place; the last one of the page before.
    pub before: Option<u64>,
    /// At most so many; 0 and more than [`LEAVES_LISTED_MAX`] mean that.
    pub limit: usize,
}

/// A signed checkpoint as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// How many leaves it commits to.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub at: Timestamp,
}

impl Tx<'_> {
    /// Appends a leaf to the audit log.
    ///
    /// Its time is never before that of the leaf before it: where the clock has stepped back, it
    /// gets that time, and its detail says by how much.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when no reader would accept the leaf.
    pub fn append_leaf(&mut self, mut draft: LeafDraft) -> Result<LeafRef, JournalError> {
        let now = self.now();
        let tail = self.tail()?;
        let (seq, last_at) = (tail.frontier.size(), tail.last_at);
        let at = match last_at {
            Some(last) if last > now => {
                let behind = last.duration_since(now).as_micros();
                draft.detail.insert(CLOCK_BEHIND.to_owned(), clamp_i64(behind).into());
                last
            }
            Some(_) | None => now,
        };
        if let (LeafKind::Run, Some(run)) = (draft.kind, &draft.run) {
            let n_before = self.n_leaves_of(run)?;
            draft.detail.insert(RUN_LEAVES.to_owned(), n_before.into());
        }
        let (kind, run) = (draft.kind, draft.run.clone());
        let leaf = draft.placed(seq, at);
        // What the leaf says is what later leaves are compared with: whole microseconds.
        let at = leaf.at;
        let bytes = leaf.encode().map_err(|error| JournalError::Invalid {
            what: "audit leaf",
            reason: error.to_string(),
        })?;
        let hash = tree::leaf_hash(&bytes);
        self.execute(
            "INSERT INTO leaves (seq, bytes, at, kind, run) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![signed(seq), bytes, Micros(at), kind.as_str(), run.as_ref().map(RunId::as_str)],
        )?;
        let tail = self.tail()?;
        tail.hashes.extend(tail.frontier.push(hash).into_iter().map(|(_, hash)| hash));
        tail.last_at = Some(at);
        Ok(LeafRef { seq, hash, at })
    }

    /// Writes the hashes of all leaves that were appended in this transaction, before it commits:
    /// a row for all of them costs less than one for each.
    pub(crate) fn put_hashes(&mut self) -> Result<(), JournalError> {
        let Some(tail) = self.batch().tail.take() else { return Ok(()) };
        let firsts = (tail.n_stored..).step_by(HASHES_IN_ROW);
        for (first, hashes) in firsts.zip(tail.hashes.chunks(HASHES_IN_ROW)) {
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
            let sql = "INSERT INTO hashes (first, hashes) VALUES (?1, ?2)";
            self.execute(sql, params![signed(first), bytes])?;
        }
        Ok(())
    }

    /// Signs the log as it is now; the last checkpoint again when nothing was appended since, and
    /// nothing when the log is empty.
    pub(crate) fn checkpoint(
        &mut self,
        key: &SigningKey,
    ) -> Result<Option<StoredCheckpoint>, JournalError> {
        let tail = self.tail()?;
        let (size, root) = (tail.frontier.size(), tail.frontier.root());
        if let Some(last) = self.last_checkpoint()?
            && last.size == size
        {
            return Ok(Some(last));
        }
        if size == 0 {
            return Ok(None);
        }
        let note = key.sign_checkpoint(size, root).map_err(|error| JournalError::Invalid {
            what: "checkpoint",
            reason: error.to_string(),
        })?;
        let at = Timestamp::from_microsecond(self.now().as_microsecond()).unwrap_or(self.now());
        self.execute(
            "INSERT INTO checkpoints (size, note, at) VALUES (?1, ?2, ?3)",
            params![signed(size), note, Micros(at)],
        )?;
        Ok(Some(StoredCheckpoint { size, note, at }))
    }

    /// The end of the log, read where this transaction has not done so yet.
    fn tail(&mut self) -> Result<&mut Tail, JournalError> {
        if self.batch().tail.is_none() {
            self.batch().tail = Some(self.load_tail()?);
        }
        let nothing = || JournalError::corrupt("the audit log has no end".to_owned());
        self.batch().tail.as_mut().ok_or_else(nothing)
    }

    fn load_tail(&self) -> Result<Tail, JournalError> {
        let size = self.tree_size()?;
        let sql = "SELECT first + length(hashes) / 32 FROM hashes ORDER BY first DESC LIMIT 1";
        let n_stored = self.row(sql, [], |row| row.get(0))?.map_or(0, unsigned);
        // Leaves and their hashes are committed together.
        match n_stored.cmp(&tree::stored_count(size)) {
            Ordering::Equal => {}
            Ordering::Greater => {
                let reason = format!("the audit log lost leaves from {size} on");
                return Err(JournalError::corrupt(reason));
            }
            Ordering::Less => {
                let reason = "the audit log lost hashes of its last leaves".to_owned();
                return Err(JournalError::corrupt(reason));
            }
        }
        let frontier = Frontier::load(&**self, size).map_err(corrupt_tree)?;
        let sql = "SELECT at FROM leaves ORDER BY seq DESC LIMIT 1";
        let last_at = self.row(sql, [], |row| row.get::<_, Micros>(0))?.map(|at| at.0);
        Ok(Tail { frontier, last_at, n_stored, hashes: Vec::new() })
    }
}

impl Reader<'_> {
    /// How many leaves the log has.
    pub fn tree_size(&self) -> Result<u64, JournalError> {
        let sql = "SELECT max(seq) FROM leaves";
        let last: Option<i64> = self.row(sql, [], |row| row.get(0))?.flatten();
        Ok(last.map_or(0, |seq| unsigned(seq) + 1))
    }

    /// One leaf.
    pub fn leaf(&self, seq: u64) -> Result<Option<StoredLeaf>, JournalError> {
        let sql = "SELECT bytes FROM leaves WHERE seq = ?1";
        let bytes = self.row(sql, [signed(seq)], |row| row.get(0))?;
        Ok(bytes.map(|bytes| StoredLeaf { seq, bytes }))
    }

    /// Leaves, newest first.
    pub fn leaves(&self, filter: &LeafFilter) -> Result<Vec<StoredLeaf>, JournalError> {
        let (sql, values) = Conditions::default()
            .given("run = ?", filter.run.as_ref().map(|run| run.as_str().to_owned()))
            .given(of_kind(filter.kind), filter.kind.map(|kind| kind.as_str().to_owned()))
            .given("seq < ?", filter.before.map(signed))
            .page("SELECT seq, bytes FROM leaves", "seq DESC", filter.limit, LEAVES_LISTED_MAX);
        self.rows(&sql, params_from_iter(values), |row| {
            Ok(StoredLeaf { seq: unsigned(row.get(0)?), bytes: row.get(1)? })
        })
    }

    /// The newest checkpoint.
    pub fn last_checkpoint(&self) -> Result<Option<StoredCheckpoint>, JournalError> {
        let sql = "SELECT size, note, at FROM checkpoints ORDER BY size DESC LIMIT 1";
        self.row(sql, [], read_checkpoint)
    }

    /// Every checkpoint, oldest first.
    pub fn checkpoints(&self) -> Result<Vec<StoredCheckpoint>, JournalError> {
        self.rows("SELECT size, note, at FROM checkpoints ORDER BY size", [], read_checkpoint)
    }

    /// How many leaves a run has.
    pub fn n_leaves_of(&self, run: &RunId) -> Result<u64, JournalError> {
        let sql = "SELECT count(*) FROM leaves WHERE run = ?1";
        Ok(self.row(sql, [run.as_str()], |row| row.get(0))?.map_or(0, unsigned))
    }

    /// Re-derives every leaf, the tree and the signatures from what is stored, in one pass.
    ///
    /// `earlier` are checkpoints kept elsewhere, which find a log that was cut or rewritten.
    pub fn verify(&self, vkey: &str, earlier: &[String]) -> Result<LogReport, JournalError> {
        let notes: Vec<String> =
            self.checkpoints()?.into_iter().map(|checkpoint| checkpoint.note).collect();
        let checks = LogChecks { vkey, checkpoints: &notes, earlier, hashes: Some(self) };
        let fail = |error| self.name(error);
        let sql = "SELECT seq, bytes FROM leaves ORDER BY seq";
        let mut statement = self.connection().prepare(sql).map_err(fail)?;
        let rows = statement.query_map([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)));
        let mut leaves = rows.map_err(fail)?.map(|row| row.map_err(BoxError::from));
        Ok(arx_audit::verify_log(checks, &mut leaves))
    }

    fn bundle(
        &self,
        run: &RunId,
        vkey: &str,
        note: &str,
        earlier: Option<&str>,
    ) -> Result<Bundle, JournalError> {
        let sql = "SELECT seq, bytes FROM leaves WHERE run = ?1 ORDER BY seq";
        let leaves =
            self.rows(sql, [run.as_str()], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?;
        Bundle::build(run.as_str(), vkey, note, &leaves, self, earlier).map_err(|error| {
            JournalError::Invalid { what: "evidence bundle", reason: error.to_string() }
        })
    }
}

impl HashStore for Reader<'_> {
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash>, BoxError> {
        let sql = "SELECT first, hashes FROM hashes WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut hashes = Vec::with_capacity(indexes.len());
        // Neighbours stand in one row.
        let mut row: Option<(u64, Vec<u8>)> = None;
        for index in indexes {
            let mut found = row.as_ref().and_then(|row| hash_in(row, *index));
            if found.is_none() {
                let read = |row: &rusqlite::Row<'_>| Ok((unsigned(row.get(0)?), row.get(1)?));
                row = statement.query_row([signed(*index)], read).optional()?;
                found = row.as_ref().and_then(|row| hash_in(row, *index));
            }
            hashes.push(found.ok_or_else(|| format!("hash {index} is missing"))?);
        }
        Ok(hashes)
    }
}

/// The hash of this storage index, where the row that begins with `first` has it.
fn hash_in((first, hashes): &(u64, Vec<u8>), index: u64) -> Option<Hash> {
    let n = usize::try_from(index.checked_sub(*first)?).ok()?;
    let (hashes, _) = hashes.as_chunks::<32>();
    hashes.get(n).copied().map(Hash)
}

/// Whether every call has leaves of this kind; no index finds these.
pub(crate) fn is_of_calls(kind: LeafKind) -> bool {
    matches!(kind, LeafKind::Decision | LeafKind::Intent | LeafKind::Outcome)
}

/// The condition for a kind, in the words of the index that serves it.
pub(crate) fn of_kind(kind: Option<LeafKind>) -> &'static str {
    match kind {
        None => "kind = ?",
        Some(kind) if is_of_calls(kind) => "kind = ?",
        Some(_) => "kind <> 'decision' AND kind <> 'intent' AND kind <> 'outcome' AND kind = ?",
    }
}

impl Journal {
    /// Signs the audit log as it is now and keeps the checkpoint; the last one again when nothing
    /// was appended since, and none when the log is empty. Called at least at the end of a run.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub async fn checkpoint(&self) -> Result<Option<StoredCheckpoint>, JournalError> {
        let key = Arc::clone(self.key());
        self.write(move |tx| tx.checkpoint(&key)).await
    }

    /// The evidence bundle of a run, under a checkpoint made now where the last is too old.
    ///
    /// With an `earlier` checkpoint, the bundle also proves that the log still begins with it.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when the log has no leaf of this run, and
    /// [`JournalError::Invalid`] when a checkpoint does not belong to this log.
    pub async fn export(
        &self,
        run: &RunId,
        earlier: Option<String>,
    ) -> Result<Bundle, JournalError> {
        let not_found =
            || JournalError::NotFound { kind: "audit leaf of run", id: run.to_string() };
        let checkpoint = self.checkpoint().await?.ok_or_else(not_found)?;
        let (wanted, vkey) = (run.clone(), self.vkey().to_owned());
        let bundle = self
            .read(move |reader| {
                if reader.n_leaves_of(&wanted)? == 0 {
                    return Ok(None);
                }
                reader.bundle(&wanted, &vkey, &checkpoint.note, earlier.as_deref()).map(Some)
            })
            .await?;
        bundle.ok_or_else(not_found)
    }

    /// Checks the whole audit log in the database; see [`Reader::verify`].
    ///
    /// # Errors
    /// When the log cannot be read; what is wrong with its content is in the report.
    pub async fn verify(&self, earlier: Vec<String>) -> Result<LogReport, JournalError> {
        let vkey = self.vkey().to_owned();
        self.read(move |reader| reader.verify(&vkey, &earlier)).await
    }
}

fn read_checkpoint(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredCheckpoint> {
    Ok(StoredCheckpoint {
        size: unsigned(row.get(0)?),
        note: row.get(1)?,
        at: row.get::<_, Micros>(2)?.0,
    })
}

pub(crate) fn corrupt_tree(error: arx_audit::TreeError) -> JournalError {
    JournalError::corrupt(format!("the tree of the audit log: {error}"))
}

fn clamp_i64(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
