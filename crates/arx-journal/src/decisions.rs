//! Decisions: what the gate answered to every call, for limits, for the frequency factor, and for
//! replaying the past under another policy.
//!
//! The row stands beside its audit leaf and has its place; [`Tx::put_decision`] is called in the
//! transaction that appended that leaf.

#[cfg(test)]
mod tests;

use arx_types::{Access, ApprovalId, Digest, EffectKey, Operation, RunId, Verdict};
use jiff::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use crate::column::{Micros, Text, Word, Worded, signed, unsigned};
use crate::conditions::Conditions;
use crate::{JournalError, Packed, Reader, Tx, World};

/// The most decisions that one page holds.
pub const DECISIONS_LISTED_MAX: usize = 10_000;

/// A decision to be recorded.
#[derive(Clone, Debug)]
pub struct NewDecision {
    /// The place of its audit leaf.
    pub seq: u64,
    /// The run that asked.
    pub run: RunId,
    /// That run's workflow.
    pub workflow: String,
    /// Where the effect would happen.
    pub world: World,
    /// What was asked for.
    pub operation: Operation,
    /// Whether that writes.
    pub access: Access,
    /// The policy's answer.
    pub verdict: Verdict,
    /// The approval that let an escalated call through.
    pub approval: Option<ApprovalId>,
    /// What the write is, across runs.
    pub effect_key: Option<EffectKey>,
    /// What the policy was asked, redacted, so that another policy can be asked the same.
    pub request: Packed,
}

/// A decision as recorded.
#[derive(Clone, Debug)]
pub struct RecordedDecision {
    /// What was recorded.
    pub decision: NewDecision,
    /// When.
    pub at: Timestamp,
}

/// Which decisions to list, oldest first.
#[derive(Clone, Debug, Default)]
pub struct DecisionFilter {
    /// Of this workflow.
    pub workflow: Option<String>,
    /// Of this run.
    pub run: Option<RunId>,
    /// After this place; the last one of the page before.
    pub after: Option<u64>,
    /// At most so many; 0 and more than [`DECISIONS_LISTED_MAX`] mean that.
    pub limit: usize,
}

fn access_word(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

impl Word for Access {
    const KIND: &'static str = "access";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|access| access_word(*access) == text)
    }
}

impl Word for Verdict {
    const KIND: &'static str = "verdict";
    fn of_word(text: &str) -> Option<Self> {
        [Self::Permit, Self::Escalate, Self::Deny]
            .into_iter()
            .find(|verdict| verdict.as_str() == text)
    }
}

/// Which writes are counted; the same name means the same writes within one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Every write.
    All,
    /// Those that the `n`-th limit of a policy is about.
    Limit {
        /// The policy's version.
        policy: Digest,
        /// The limit's place in it.
        n: usize,
    },
}

/// Whether a write of this operation is counted.
pub type Matches = Box<dyn Fn(&Operation) -> bool>;

/// The newest writes of a workflow that were let through, of those that are counted.
pub(crate) struct LetThrough {
    counted: Counted,
    world: World,
    workflow: String,
    matches: Matches,
    /// Those up to here are not known.
    since: Timestamp,
    /// When they were, and how many are known at most.
    at: Vec<Timestamp>,
    n_max: usize,
}

impl LetThrough {
    fn is_of(&self, world: &World, workflow: &str) -> bool {
        self.world == *world && self.workflow == workflow
    }

    fn add(&mut self, at: Timestamp) {
        self.at.push(at);
        if self.at.len() > self.n_max
            && let Some(oldest) = (0..self.at.len()).min_by_key(|n| self.at.get(*n))
        {
            self.at.swap_remove(oldest);
        }
    }

    fn count(&self, since: Timestamp) -> usize {
        self.at.iter().filter(|at| **at > since).count()
    }

    /// Whether it tells how many there were after `since`.
    fn tells(&self, since: Timestamp) -> bool {
        self.since <= since || self.count(since) >= self.n_max
    }
}

impl Tx<'_> {
    /// How many writes of a workflow were let through after `since`: permitted, or escalated and
    /// approved. Counts those of operations that match, and no further than `at_most`, so that a
    /// busy hour costs no more than that; in one transaction the record is read once.
    pub fn count_writes(
        &mut self,
        world: &World,
        workflow: &str,
        counted: Counted,
        since: Timestamp,
        at_most: u32,
        matches: &dyn Fn() -> Matches,
    ) -> Result<u32, JournalError> {
        let n_max = usize::try_from(at_most).unwrap_or(usize::MAX);
        let is_it = |one: &LetThrough| {
            one.counted == counted && one.n_max == n_max && one.is_of(world, workflow)
        };
        let known = self.batch().let_through.iter().find(|one| is_it(one) && one.tells(since));
        let n = match known {
            Some(known) => known.count(since),
            None => {
                let matches = matches();
                let at = self.newest_writes(world, workflow, since, n_max, &matches)?;
                let n = at.len();
                let (world, workflow) = (world.clone(), workflow.to_owned());
                let newest = LetThrough { counted, world, workflow, matches, since, at, n_max };
                let known = &mut self.batch().let_through;
                known.retain(|one| !is_it(one));
                known.push(newest);
                n
            }
        };
        Ok(u32::try_from(n).unwrap_or(u32::MAX).min(at_most))
    }

    fn newest_writes(
        &self,
        world: &World,
        workflow: &str,
        since: Timestamp,
        n_max: usize,
        matches: &dyn Fn(&Operation) -> bool,
    ) -> Result<Vec<Timestamp>, JournalError> {
        let read = || -> rusqlite::Result<Vec<Timestamp>> {
            let mut statement = self.connection().prepare_cached(
                "SELECT at, operation FROM decisions WHERE workflow = ?1 AND world = ?2 \
                 AND at > ?3 AND access = 'write' AND (verdict = 'PERMIT' OR approval IS NOT NULL) \
                 ORDER BY at DESC",
            )?;
            let mut rows = statement.query(params![workflow, world.as_str(), Micros(since)])?;
            let mut known: Vec<(String, bool)> = Vec::new();
            let mut newest = Vec::new();
            while newest.len() < n_max
                && let Some(row) = rows.next()?
            {
                let name = row.get_ref(1)?.as_str()?;
                let counts = match known.iter().find(|(operation, _)| operation == name) {
                    Some((_, counts)) => *counts,
                    None => {
                        let counts = matches(&row.get::<_, Text<Operation>>(1)?.0);
                        known.push((name.to_owned(), counts));
                        counts
                    }
                };
                if counts {
                    newest.push(row.get::<_, Micros>(0)?.0);
                }
            }
            Ok(newest)
        };
        read().map_err(|error| self.name(error))
    }

    /// Records a decision beside its audit leaf.
    pub fn put_decision(&mut self, decision: &NewDecision) -> Result<(), JournalError> {
        let now = self.now();
        self.execute(
            "INSERT INTO decisions (seq, run, workflow, world, operation, access, verdict, \
             approval, effect_key, request, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                signed(decision.seq),
                decision.run.as_str(),
                decision.workflow,
                decision.world.as_str(),
                decision.operation.to_string(),
                access_word(decision.access),
                decision.verdict.as_str(),
                decision.approval.as_ref().map(ApprovalId::as_str),
                decision.effect_key.as_ref().map(EffectKey::as_str),
                decision.request,
                Micros(now),
            ],
        )?;
        let is_let_through = decision.verdict == Verdict::Permit || decision.approval.is_some();
        if decision.access == Access::Write && is_let_through {
            let known = self.batch().let_through.iter_mut();
            known
                .filter(|one| one.is_of(&decision.world, &decision.workflow))
                .filter(|one| (one.matches)(&decision.operation))
                .for_each(|one| one.add(now));
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Decisions, oldest first, a page at a time.
    pub fn decisions(
        &self,
        filter: &DecisionFilter,
    ) -> Result<Vec<RecordedDecision>, JournalError> {
        let (sql, values) = Conditions::default()
            .given("run = ?", filter.run.as_ref().map(|run| run.as_str().to_owned()))
            .given("workflow = ?", filter.workflow.clone())
            .given("seq > ?", filter.after.map(signed))
            .page(
                "SELECT seq, run, workflow, world, operation, access, verdict, approval, \
                 effect_key, request, at FROM decisions",
                "seq",
                filter.limit,
                DECISIONS_LISTED_MAX,
            );
        self.rows(&sql, params_from_iter(values), read_decision)
    }
}

fn read_decision(row: &Row<'_>) -> rusqlite::Result<RecordedDecision> {
    let decision = NewDecision {
        seq: unsigned(row.get(0)?),
        run: row.get::<_, Text<RunId>>(1)?.0,
        workflow: row.get(2)?,
        world: row.get::<_, Text<World>>(3)?.0,
        operation: row.get::<_, Text<Operation>>(4)?.0,
        access: row.get::<_, Worded<Access>>(5)?.0,
        verdict: row.get::<_, Worded<Verdict>>(6)?.0,
        approval: row.get::<_, Option<Text<ApprovalId>>>(7)?.map(|id| id.0),
        effect_key: row.get::<_, Option<Text<EffectKey>>>(8)?.map(|key| key.0),
        request: row.get(9)?,
    };
    Ok(RecordedDecision { decision, at: row.get::<_, Micros>(10)?.0 })
}
