//! Pages of long lists: each is found by an index from where the one before ended, so that it
//! takes the same time however long the list is. Nothing here counts further than it is told.

#[cfg(test)]
mod tests;

use arx_audit::{Hash, tree};
use arx_types::{ApprovalId, EffectKey, EffectState, Operation, RunId, RunStatus};
use jiff::Timestamp;
use rusqlite::params;
use rusqlite::params_from_iter;

use crate::approvals::{self, read_approval};
use crate::audit::{is_of_calls, of_kind};
use crate::column::{Bytes32, Micros, Text, Worded, signed, unsigned};
use crate::conditions::Conditions;
use crate::effects::{self, read_effect};
use crate::{
    Approval, ApprovalState, Effect, JournalError, LeafFilter, Reader, StepOutcome,
    StoredCheckpoint, StoredLeaf, WorkflowVersion, World,
};

/// The most entries that one page holds.
pub const PAGE_MAX: usize = 500;
/// The most runs whose saved minutes are added up.
const SAVING_MAX: usize = 100_000;

/// A step without what it returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepHead {
    /// Its place in the order of delivery.
    pub position: u64,
    /// What was called.
    pub operation: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// When it was recorded.
    pub at: Timestamp,
}

/// One place in the list of effects, newest intent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectCursor {
    /// The place of the intent in the audit log.
    pub intent_seq: u64,
    /// The key, among effects of one intent.
    pub key: EffectKey,
}

/// Which effects to list, newest intent first.
#[derive(Clone, Debug, Default)]
pub struct EffectPage {
    /// In this world.
    pub world: Option<World>,
    /// Intended last by this run.
    pub run: Option<RunId>,
    /// In this state.
    pub state: Option<EffectState>,
    /// After this place; the last one of the page before.
    pub after: Option<EffectCursor>,
    /// At most so many; 0 and more than [`PAGE_MAX`] mean that.
    pub limit: usize,
}

/// That a leaf is in the log which a checkpoint commits to.
#[derive(Clone, Debug)]
pub struct LeafProof {
    /// The leaf.
    pub leaf: StoredLeaf,
    /// Its hash.
    pub hash: Hash,
    /// The leaves of the tree that the proof is for.
    pub size: u64,
    /// The hash of that tree.
    pub root: Hash,
    /// The hashes beside the way from the leaf to the root.
    pub path: Vec<Hash>,
    /// The signed checkpoint of that tree; none while the leaf is newer than every one.
    pub checkpoint: Option<StoredCheckpoint>,
}

/// What a bounded look through the log found.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The leaves that fit, newest first.
    pub found: Vec<StoredLeaf>,
    /// The oldest place that was looked at; none where nothing was left.
    pub reached: Option<u64>,
    /// Whether leaves before that place are left.
    pub more: bool,
}

impl Reader<'_> {
    /// How many runs are in a state, counted no further than `at_most`.
    pub fn n_runs(&self, status: RunStatus, at_most: u32) -> Result<u32, JournalError> {
        self.bounded(
            "SELECT count(*) FROM (SELECT 1 FROM runs WHERE status = ?1 LIMIT ?2)",
            status.as_str(),
            at_most,
        )
    }

    /// How many approvals are in a state, counted no further than `at_most`.
    pub fn n_approvals(&self, state: ApprovalState, at_most: u32) -> Result<u32, JournalError> {
        self.bounded(
            "SELECT count(*) FROM (SELECT 1 FROM approvals WHERE state = ?1 LIMIT ?2)",
            state.as_str(),
            at_most,
        )
    }

    fn bounded(&self, sql: &str, word: &str, at_most: u32) -> Result<u32, JournalError> {
        Ok(self.row(sql, params![word, at_most], |row| row.get(0))?.unwrap_or(0))
    }

    /// Minutes that the runs since then saved, of the newest that saved any.
    pub fn minutes_saved(&self, since: Timestamp) -> Result<u64, JournalError> {
        let sql = "SELECT coalesce(sum(minutes_saved), 0) FROM (SELECT minutes_saved FROM runs \
                   WHERE started_at >= ?1 AND minutes_saved > 0 ORDER BY started_at DESC LIMIT ?2)";
        let limit = signed(SAVING_MAX as u64);
        Ok(self.row(sql, params![Micros(since), limit], |row| row.get(0))?.map_or(0, unsigned))
    }

    /// Versions of a workflow, the newest first.
    pub fn versions(
        &self,
        workflow: &str,
        limit: usize,
    ) -> Result<Vec<(WorkflowVersion, Timestamp)>, JournalError> {
        let sql = "SELECT digest, name, manifest, source, policy_version, created_at \
                   FROM workflow_versions WHERE name = ?1 ORDER BY created_at DESC LIMIT ?2";
        let limit = signed(limit.clamp(1, PAGE_MAX) as u64);
        self.rows(sql, params![workflow, limit], |row| {
            let version = WorkflowVersion {
                digest: row.get::<_, Bytes32>(0)?.0,
                name: row.get(1)?,
                manifest: row.get(2)?,
                source: row.get(3)?,
                policy_version: row.get(4)?,
            };
            Ok((version, row.get::<_, Micros>(5)?.0))
        })
    }

    /// A page of a run's steps, in the order of delivery, from behind a position on.
    pub fn step_heads(
        &self,
        run: &RunId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StepHead>, JournalError> {
        let sql = "SELECT position, operation, outcome, at FROM steps \
                   WHERE run = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
        let limit = signed(limit.clamp(1, PAGE_MAX) as u64);
        let after = after.map_or(-1, signed);
        self.rows(sql, params![run.as_str(), after, limit], |row| {
            Ok(StepHead {
                position: unsigned(row.get(0)?),
                operation: row.get(1)?,
                outcome: row.get::<_, Worded<StepOutcome>>(2)?.0,
                at: row.get::<_, Micros>(3)?.0,
            })
        })
    }

    /// A page of approvals, the newest first: in one state or all, from behind one on.
    pub fn approvals_page(
        &self,
        state: Option<ApprovalState>,
        before: Option<&ApprovalId>,
        limit: usize,
    ) -> Result<Vec<Approval>, JournalError> {
        let (sql, values) = Conditions::default()
            .given("state = ?", state.map(|state| state.as_str().to_owned()))
            .given(
                "n < (SELECT n FROM approvals WHERE id = ?)",
                before.map(|id| id.as_str().to_owned()),
            )
            .page(
                &format!("SELECT {} FROM approvals", approvals::COLUMNS),
                "n DESC",
                limit,
                PAGE_MAX,
            );
        self.rows(&sql, params_from_iter(values), read_approval)
    }

    /// How many actions an approval asks for, and what the first of them would call.
    pub fn approval_size(&self, id: &ApprovalId) -> Result<(u64, Option<Operation>), JournalError> {
        let sql = "SELECT count(*), min(CASE WHEN approval_actions.n = 0 THEN operation END) \
                   FROM approval_actions JOIN approvals ON approvals.n = approval \
                   WHERE approvals.id = ?1";
        let size = self.row(sql, [id.as_str()], |row| {
            let operation = row.get::<_, Option<Text<Operation>>>(1)?;
            Ok((unsigned(row.get(0)?), operation.map(|operation| operation.0)))
        })?;
        Ok(size.unwrap_or((0, None)))
    }

    /// A page of effects, the newest intent first.
    pub fn effects_page(&self, page: &EffectPage) -> Result<Vec<Effect>, JournalError> {
        let after = page.after.as_ref();
        let (sql, values) = Conditions::default()
            .given("run = ?", page.run.as_ref().map(|run| run.as_str().to_owned()))
            .given(effects::in_state(page.state), page.state.map(|state| state.as_str().to_owned()))
            .given(effects::IN_WORLD, page.world.as_ref().map(|world| world.as_str().to_owned()))
            // One intent may cover many effects: a page may end among them.
            .given_both(
                "(intent_seq, key) < (?, ?)",
                after.map(|after| (signed(after.intent_seq), after.key.as_str().to_owned())),
            )
            .page(
                &format!("SELECT {} FROM effects", effects::COLUMNS),
                "intent_seq DESC, key DESC",
                page.limit,
                PAGE_MAX,
            );
        self.rows(&sql, params_from_iter(values), read_effect)
    }

    /// A page of a run's leaves, the oldest first, from behind a place on.
    pub fn leaves_of_run(
        &self,
        run: &RunId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredLeaf>, JournalError> {
        let sql = "SELECT seq, bytes FROM leaves WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let limit = signed(limit.clamp(1, PAGE_MAX) as u64);
        let after = after.map_or(-1, signed);
        self.rows(sql, params![run.as_str(), after, limit], |row| {
            Ok(StoredLeaf { seq: unsigned(row.get(0)?), bytes: row.get(1)? })
        })
    }

    /// Looks through at most `look_max` leaves for those that fit, newest first, and stops at
    /// `filter.limit` of them.
    pub fn search_leaves(
        &self,
        filter: &LeafFilter,
        look_max: usize,
        fits: impl Fn(&StoredLeaf) -> bool,
    ) -> Result<Search, JournalError> {
        // What no index finds is looked for among the leaves that are read anyway.
        let (looked_for, found) = match filter.kind {
            Some(kind) if is_of_calls(kind) => (Some(kind), None),
            kind => (None, kind),
        };
        let (sql, values) = Conditions::default()
            .given("run = ?", filter.run.as_ref().map(|run| run.as_str().to_owned()))
            .given(of_kind(found), found.map(|kind| kind.as_str().to_owned()))
            .given("seq < ?", filter.before.map(signed))
            .page("SELECT seq, bytes, kind FROM leaves", "seq DESC", look_max + 1, look_max + 1);
        let wanted = filter.limit.clamp(1, PAGE_MAX);
        let look = || -> rusqlite::Result<Search> {
            let mut statement = self.connection().prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut search = Search::default();
            let mut n_looked = 0;
            while let Some(row) = rows.next()? {
                if n_looked == look_max || search.found.len() == wanted {
                    search.more = true;
                    break;
                }
                n_looked += 1;
                let leaf = StoredLeaf { seq: unsigned(row.get(0)?), bytes: row.get(1)? };
                search.reached = Some(leaf.seq);
                let is_of_kind = match looked_for {
                    Some(kind) => row.get_ref(2)?.as_str()? == kind.as_str(),
                    None => true,
                };
                if is_of_kind && fits(&leaf) {
                    search.found.push(leaf);
                }
            }
            Ok(search)
        };
        look().map_err(|error| self.name(error))
    }

    /// That a leaf is in the log, against the newest checkpoint, or the whole log where no
    /// checkpoint reaches as far; `None` where there is no such leaf.
    pub fn leaf_proof(&self, seq: u64) -> Result<Option<LeafProof>, JournalError> {
        let Some(leaf) = self.leaf(seq)? else { return Ok(None) };
        let checkpoint = self.last_checkpoint()?.filter(|checkpoint| checkpoint.size > seq);
        let size = match &checkpoint {
            Some(checkpoint) => checkpoint.size,
            None => self.tree_size()?,
        };
        let path = tree::inclusion_proof(self, size, seq).map_err(crate::audit::corrupt_tree)?;
        let root = tree::root(self, size).map_err(crate::audit::corrupt_tree)?;
        let hash = tree::leaf_hash(&leaf.bytes);
        Ok(Some(LeafProof { leaf, hash, size, root, path, checkpoint }))
    }

    /// That the log of `size` leaves begins with the one of `earlier` leaves.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] where the log has not as many leaves, or the earlier one more.
    pub fn consistency(&self, earlier: u64, size: u64) -> Result<Vec<Hash>, JournalError> {
        if size > self.tree_size()? || earlier > size {
            let reason = format!("{earlier} and {size} are no two sizes that this log had");
            return Err(JournalError::Invalid { what: "consistency proof", reason });
        }
        tree::consistency_proof(self, size, earlier).map_err(crate::audit::corrupt_tree)
    }

    /// The hash of the log as it was with so many leaves.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] where the log has not as many.
    pub fn root_at(&self, size: u64) -> Result<Hash, JournalError> {
        if size > self.tree_size()? {
            let reason = format!("the log has fewer than {size} leaves");
            return Err(JournalError::Invalid { what: "size", reason });
        }
        tree::root(self, size).map_err(crate::audit::corrupt_tree)
    }
}
