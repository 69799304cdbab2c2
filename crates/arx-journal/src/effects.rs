//! Effects: what was meant to happen at a vendor, and whether it did.
//!
//! INVARIANT (intent before effect): [`Tx::intend_effect`] writes the intent and its audit leaf
//! together, and only its `Fresh` answer lets the caller send.
//! INVARIANT (one effect per intent): an effect that is done, under way or unknown is never
//! intended again; the only way back is a settlement that says that it did not happen.
//!
//! One effect may cover others: one grouped page stands for the pages of many vulnerabilities.
//! The covered rows share the state and result of the one that covers them.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use arx_types::{Digest, EffectKey, EffectState, Operation, RunId};
use jiff::Timestamp;
use rusqlite::{Row, params, params_from_iter};

use crate::audit::{LeafDraft, LeafRef};
use crate::column::{Bytes32, Micros, Text, Worded, signed, unsigned};
use crate::conditions::Conditions;
use crate::{JournalError, Packed, Reader, Tx, World};

/// The most effects that one intent may cover.
pub const COVERED_MAX: usize = 10_000;
/// The most effects that one listing returns.
pub const EFFECTS_LISTED_MAX: usize = 10_000;

/// An effect as recorded.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Where it happens.
    pub world: World,
    /// What it is, across runs.
    pub key: EffectKey,
    /// The run that intended it last.
    pub run: RunId,
    /// That run's workflow.
    pub workflow: String,
    /// What was called.
    pub operation: Operation,
    /// The digest of the canonical parameters.
    pub params_sha256: Digest,
    /// The parameters, redacted.
    pub params: Packed,
    /// Where it stands.
    pub state: EffectState,
    /// What the vendor answered, redacted; present once done.
    pub result: Option<Packed>,
    /// Why it failed or is unknown, or who decided what.
    pub detail: Option<String>,
    /// The effect that stands for this one.
    pub covered_by: Option<EffectKey>,
    /// How many times it was intended; a settlement names the attempt it is about.
    pub attempts: u32,
    /// When it was last intended.
    pub intent_at: Timestamp,
    /// The audit leaf of that intent.
    pub intent_seq: u64,
    /// When it was last settled.
    pub settled_at: Option<Timestamp>,
    /// The audit leaf of that settlement.
    pub outcome_seq: Option<u64>,
}

/// An effect about to be sent.
#[derive(Clone, Debug)]
pub struct NewIntent {
    /// Where it will happen.
    pub world: World,
    /// What it is, across runs.
    pub key: EffectKey,
    /// The run that intends it.
    pub run: RunId,
    /// That run's workflow.
    pub workflow: String,
    /// What is called.
    pub operation: Operation,
    /// The digest of the canonical parameters.
    pub params_sha256: Digest,
    /// The parameters, redacted.
    pub params: Packed,
    /// Effects that this one stands for, where there are any.
    pub covers: Vec<EffectKey>,
}

/// The answer to an intent.
#[derive(Clone, Debug)]
pub enum Intended {
    /// The intent is recorded: the caller, and nobody else, sends it.
    Fresh {
        /// Which attempt it is, from 1.
        attempt: u32,
        /// The intent's audit leaf.
        leaf: LeafRef,
    },
    /// Nothing was recorded: this effect, or one to be covered, is done, unknown, or intended and
    /// not settled.
    Present(Box<Effect>),
}

/// How an effect turned out.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The state it is in now; [`EffectState::Intended`] is none.
    pub state: EffectState,
    /// The attempt that this is about, from the intent or the effect as it was read.
    pub attempt: u32,
    /// What the vendor answered, redacted.
    pub result: Option<Packed>,
    /// Why it failed or is unknown, or who decided what.
    pub detail: Option<String>,
}

/// The answer to a settlement.
#[derive(Clone, Debug)]
pub enum SettleOutcome {
    /// It is recorded.
    Settled(LeafRef),
    /// Nothing was recorded: the effect is settled otherwise, or intended anew, or covered by
    /// another one. Both sides may be true, so a person must look unless they agree.
    Refused(Box<Effect>),
}

/// Which effects to list, newest intent first.
#[derive(Clone, Debug, Default)]
pub struct EffectFilter {
    /// In this world.
    pub world: Option<World>,
    /// Intended last by this run.
    pub run: Option<RunId>,
    /// Of this workflow.
    pub workflow: Option<String>,
    /// In this state.
    pub state: Option<EffectState>,
}

macro_rules! columns {
    () => {
        "world, key, run, workflow, operation, params_sha256, params, state, result, detail, \
         covered_by, attempts, intent_at, intent_seq, settled_at, outcome_seq"
    };
}

pub(crate) const COLUMNS: &str = columns!();

const NEED_ATTENTION: &str = "state <> 'done' AND state IN ('intended', 'unknown') \
                              AND covered_by IS NULL AND (state = 'unknown' OR (SELECT ended_at IS NOT NULL \
                              OR status = 'needs_attention' FROM runs WHERE runs.id = effects.run))";

/// The condition for a world, kept from an index that would have all of it sorted.
pub(crate) const IN_WORLD: &str = "+world = ?";

/// The condition for a state, in the words of the index that serves it.
pub(crate) fn in_state(state: Option<EffectState>) -> &'static str {
    match state {
        None | Some(EffectState::Done) => "state = ?",
        Some(EffectState::Intended | EffectState::Failed | EffectState::Unknown) => {
            "state <> 'done' AND state = ?"
        }
    }
}

pub(crate) fn read_effect(row: &Row<'_>) -> rusqlite::Result<Effect> {
    Ok(Effect {
        world: row.get::<_, Text<World>>(0)?.0,
        key: row.get::<_, Text<EffectKey>>(1)?.0,
        run: row.get::<_, Text<RunId>>(2)?.0,
        workflow: row.get(3)?,
        operation: row.get::<_, Text<Operation>>(4)?.0,
        params_sha256: row.get::<_, Bytes32>(5)?.0,
        params: row.get(6)?,
        state: row.get::<_, Worded<EffectState>>(7)?.0,
        result: row.get(8)?,
        detail: row.get(9)?,
        covered_by: row.get::<_, Option<Text<EffectKey>>>(10)?.map(|key| key.0),
        attempts: row.get(11)?,
        intent_at: row.get::<_, Micros>(12)?.0,
        intent_seq: unsigned(row.get(13)?),
        settled_at: row.get::<_, Option<Micros>>(14)?.map(|at| at.0),
        outcome_seq: row.get::<_, Option<i64>>(15)?.map(unsigned),
    })
}

impl Tx<'_> {
    /// Records the intent to send an effect, with its audit leaf, unless that would repeat one.
    ///
    /// An effect that is not known, or that failed, becomes intended. In every other state the
    /// caller gets the effect as it stands and must return its result, settle it, or ask.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when it covers itself or more than [`COVERED_MAX`].
    pub fn intend_effect(
        &mut self,
        intent: &NewIntent,
        leaf: LeafDraft,
    ) -> Result<Intended, JournalError> {
        let mut keys = BTreeSet::from([&intent.key]);
        if intent.covers.len() > COVERED_MAX || !intent.covers.iter().all(|key| keys.insert(key)) {
            let reason = "it covers itself, another twice, or too many".to_owned();
            return Err(JournalError::Invalid { what: "intent", reason });
        }
        let mut tried = Vec::with_capacity(keys.len());
        for key in std::iter::once(&intent.key).chain(&intent.covers) {
            match self.effect(&intent.world, key)? {
                None => tried.push(None),
                Some(present) if present.state == EffectState::Failed => {
                    tried.push(Some(present.attempts));
                }
                Some(present) => return Ok(Intended::Present(Box::new(present))),
            }
        }
        let leaf = self.append_leaf(leaf)?;
        // One copy of what was sent is enough; the covering effect has it.
        let nothing = Packed::json(&serde_json::Value::Null)?;
        let covered = intent.covers.iter().map(|key| (key, Some(&intent.key), &nothing));
        let covering = std::iter::once((&intent.key, None, &intent.params));
        for ((key, covered_by, params), tried) in covering.chain(covered).zip(&tried) {
            self.put_intent(intent, key, *tried, covered_by, params, &leaf)?;
        }
        let attempt = tried.first().copied().flatten().map_or(1, |tried| tried + 1);
        Ok(Intended::Fresh { attempt, leaf })
    }

    /// Records how an effect turned out, with its audit leaf, for it and for those it covers.
    ///
    /// Accepted from intended to done, failed or unknown, and from unknown to any of these again,
    /// for the attempt that is under way. The covered effects get the same state and result.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] when there is no such effect, [`JournalError::Invalid`] when
    /// the new state is none that an effect can turn out in.
    pub fn settle_effect(
        &mut self,
        world: &World,
        key: &EffectKey,
        settlement: &Settlement,
        leaf: LeafDraft,
    ) -> Result<SettleOutcome, JournalError> {
        if settlement.state == EffectState::Intended {
            let reason = "`intended` is no outcome".to_owned();
            return Err(JournalError::Invalid { what: "settlement", reason });
        }
        let present = self
            .effect(world, key)?
            .ok_or_else(|| JournalError::NotFound { kind: "effect", id: key.to_string() })?;
        let is_open = match present.state {
            EffectState::Intended | EffectState::Unknown => true,
            EffectState::Done | EffectState::Failed => false,
        };
        let is_covered = present.covered_by.is_some();
        if !is_open || is_covered || present.attempts != settlement.attempt {
            return Ok(SettleOutcome::Refused(Box::new(present)));
        }
        let leaf = self.append_leaf(leaf)?;
        macro_rules! settle {
            ($whose:literal) => {
                concat!(
                    "UPDATE effects SET state = ?3, result = ?4, detail = ?5, settled_at = ?6, \
                     outcome_seq = ?7 WHERE world = ?1 AND ",
                    $whose,
                    " AND state IN ('intended', 'unknown')"
                )
            };
        }
        // One statement for each: an `OR` of both would not be served by their indexes alone.
        for sql in [settle!("key = ?2"), settle!("covered_by = ?2")] {
            self.execute(
                sql,
                params![
                    world.as_str(),
                    key.as_str(),
                    settlement.state.as_str(),
                    settlement.result,
                    settlement.detail,
                    Micros(leaf.at),
                    signed(leaf.seq),
                ],
            )?;
        }
        Ok(SettleOutcome::Settled(leaf))
    }

    fn put_intent(
        &self,
        intent: &NewIntent,
        key: &EffectKey,
        tried: Option<u32>,
        covered_by: Option<&EffectKey>,
        params: &Packed,
        leaf: &LeafRef,
    ) -> Result<(), JournalError> {
        // Not one statement with `ON CONFLICT`, for which SQLite keeps what would undo it.
        let sql = match tried {
            None => {
                "INSERT INTO effects (world, key, run, workflow, operation, params_sha256, \
                 params, state, covered_by, attempts, intent_at, intent_seq) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'intended', ?8, ?9, ?10, ?11)"
            }
            Some(_) => {
                "UPDATE effects SET run = ?3, workflow = ?4, operation = ?5, params_sha256 = ?6, \
                 params = ?7, state = 'intended', result = NULL, detail = NULL, \
                 covered_by = ?8, attempts = ?9, intent_at = ?10, intent_seq = ?11, \
                 settled_at = NULL, outcome_seq = NULL WHERE world = ?1 AND key = ?2"
            }
        };
        let n_changed = self.execute(
            sql,
            params![
                intent.world.as_str(),
                key.as_str(),
                intent.run.as_str(),
                intent.workflow,
                intent.operation.to_string(),
                Bytes32(intent.params_sha256),
                params,
                covered_by.map(EffectKey::as_str),
                tried.map_or(1, |tried| tried + 1),
                Micros(leaf.at),
                signed(leaf.seq),
            ],
        )?;
        // INVARIANT (intent before effect): nothing is sent without its row.
        match n_changed {
            1 => Ok(()),
            _ => Err(JournalError::corrupt(format!("the effect `{key}` cannot be written"))),
        }
    }
}

impl Reader<'_> {
    /// An effect.
    ///
    /// Whether something is sent rests on this row, so it is not taken on trust: a row that is
    /// not as it was written, or that another key led to, is damage.
    pub fn effect(&self, world: &World, key: &EffectKey) -> Result<Option<Effect>, JournalError> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", row_crc(",
            columns!(),
            ") = crc FROM effects WHERE world = ?1 AND key = ?2"
        );
        let found = self.row(sql, [world.as_str(), key.as_str()], |row| {
            Ok((read_effect(row)?, row.get::<_, bool>(16)?))
        })?;
        match found {
            Some((effect, true)) if effect.key == *key && effect.world == *world => {
                Ok(Some(effect))
            }
            Some(_) => {
                let reason = format!("the effect `{key}` is not as it was written");
                Err(JournalError::corrupt(reason))
            }
            None => Ok(None),
        }
    }

    /// Effects, the newest intent first; at most [`EFFECTS_LISTED_MAX`].
    pub fn effects(&self, filter: &EffectFilter) -> Result<Vec<Effect>, JournalError> {
        let (sql, values) = Conditions::default()
            .given(IN_WORLD, filter.world.as_ref().map(|world| world.as_str().to_owned()))
            .given("run = ?", filter.run.as_ref().map(|run| run.as_str().to_owned()))
            .given("workflow = ?", filter.workflow.clone())
            .given(in_state(filter.state), filter.state.map(|state| state.as_str().to_owned()))
            .page(
                &format!("SELECT {COLUMNS} FROM effects"),
                "intent_seq DESC, key",
                0,
                EFFECTS_LISTED_MAX,
            );
        self.rows(&sql, params_from_iter(values), read_effect)
    }

    /// The last segments of the keys below `prefix` whose effects are done: below
    /// `workflow/CVE-2026-0001/1`, that is `page` and `ticket`.
    pub fn done_below(&self, world: &World, prefix: &str) -> Result<Vec<String>, JournalError> {
        // `0` follows `/` in ASCII, so this is the range of keys that begin with `prefix/`.
        let sql = "SELECT substr(key, length(?2) + 2) FROM effects WHERE world = ?1 \
                   AND key > ?2 || '/' AND key < ?2 || '0' AND state = 'done' ORDER BY key";
        self.rows(sql, [world.as_str(), prefix], |row| row.get(0))
    }

    /// The effects that a run intended last, in the order of their intents.
    pub fn effects_of_run(&self, run: &RunId) -> Result<Vec<Effect>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM effects WHERE run = ?1 ORDER BY intent_seq, key");
        self.rows(&sql, [run.as_str()], read_effect)
    }

    /// The effects that a human must decide: unknown ones, and intents that were left behind by a
    /// run that has ended or waits for attention. Covered ones are decided with their cover.
    pub fn effects_needing_attention(&self) -> Result<Vec<Effect>, JournalError> {
        self.first_effects_needing_attention(EFFECTS_LISTED_MAX)
    }

    /// The oldest of these, at most so many.
    pub fn first_effects_needing_attention(
        &self,
        at_most: usize,
    ) -> Result<Vec<Effect>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM effects WHERE {NEED_ATTENTION} ORDER BY intent_seq, key LIMIT ?1"
        );
        let at_most = at_most.min(EFFECTS_LISTED_MAX);
        self.rows(&sql, [signed(at_most as u64)], read_effect)
    }

    /// How many there are, counted no further than `at_most`.
    pub fn n_effects_needing_attention(&self, at_most: u32) -> Result<u32, JournalError> {
        let sql =
            format!("SELECT count(*) FROM (SELECT 1 FROM effects WHERE {NEED_ATTENTION} LIMIT ?1)");
        Ok(self.row(&sql, [at_most], |row| row.get(0))?.unwrap_or(0))
    }
}
