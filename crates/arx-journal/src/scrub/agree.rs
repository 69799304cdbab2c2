//! Whether the tables that the product acts on say what the log says.
//!
//! Only what is written together with its leaf is compared, so that a difference is never the
//! trace of a crash. A row without a leaf and a leaf without its row are both told: where the row
//! of an effect is gone, the effect would happen again.

mod people;

use std::collections::{BTreeMap, BTreeSet};

use arx_audit::{Cause, Leaf, LeafKind, Verdict};
use arx_types::{Digest, EffectState, RunStatus};
use rusqlite::Row;
use serde_json::Value;

use super::{Damage, LISTED_MAX, each};
use crate::{JournalError, Packed, Reader, World};

/// What the log says of everything that has a row.
#[derive(Default)]
struct Told {
    effects: BTreeMap<String, ToldEffect>,
    runs: BTreeMap<String, (u64, String)>,
    approvals: BTreeMap<String, ToldApproval>,
    /// Whether a workflow is stopped, by its last leaf.
    stops: BTreeMap<String, (u64, bool)>,
    /// The version that each workflow is registered in, and whether it is paused.
    registrations: BTreeMap<String, (u64, Option<String>, bool)>,
    decisions: BTreeMap<u64, ToldDecision>,
    /// The leaves that opened and closed each episode.
    episodes: BTreeMap<String, (u64, Option<u64>)>,
    /// The digests of merges, by run.
    merges: BTreeSet<(String, String)>,
    people: people::ToldPeople,
}

struct ToldEffect {
    intent_seq: u64,
    attempts: u64,
    run: String,
    operation: String,
    params_sha256: String,
    covered_by: Option<String>,
    covers: Vec<String>,
    outcome: Option<(u64, EffectState, Option<String>)>,
}

#[derive(Default)]
struct ToldApproval {
    requested: Option<u64>,
    /// Who said what to which action.
    votes: BTreeMap<(u64, String), bool>,
    approved: BTreeSet<u64>,
    /// How many must agree, and of whom, where the request says so.
    asked: Option<(u64, Vec<String>)>,
    ended: Option<&'static str>,
    n_used: u64,
}

struct ToldDecision {
    run: String,
    operation: String,
    effect_key: Option<String>,
    passed: bool,
    approval: Option<String>,
}

/// A name as the log has it: what is simulated begins with its world.
fn log_name(world: &str, key: &str) -> String {
    if world == World::live().as_str() { key.to_owned() } else { format!("{world}/{key}") }
}

fn detail<'a>(leaf: &'a Leaf, field: &str) -> Option<&'a Value> {
    leaf.detail.as_ref()?.get(field)
}

fn text<'a>(leaf: &'a Leaf, field: &str) -> Option<&'a str> {
    detail(leaf, field)?.as_str()
}

fn names<'a>(leaf: &'a Leaf, field: &str) -> impl Iterator<Item = &'a str> {
    detail(leaf, field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn world(leaf: &Leaf) -> &str {
    text(leaf, "world").unwrap_or("live")
}

impl Told {
    fn hear(&mut self, leaf: &Leaf) {
        let status = leaf.status.as_deref().unwrap_or_default();
        let run = leaf.run.clone().unwrap_or_default();
        match leaf.kind {
            LeafKind::Run => {
                self.runs.insert(run, (leaf.seq, status.to_owned()));
            }
            LeafKind::Intent => self.intent(leaf, run),
            LeafKind::Outcome | LeafKind::Settle => self.outcome(leaf, status),
            LeafKind::Decision => self.decision(leaf, run, status),
            LeafKind::Approval => self.approval(leaf, status),
            LeafKind::Stop => {
                if let Some(workflow) = &leaf.workflow {
                    self.stops.insert(workflow.name.clone(), (leaf.seq, status == "stopped"));
                }
            }
            LeafKind::Episode => self.episode(leaf, status),
            LeafKind::Merge => {
                self.merges.insert((run, leaf.result_sha256.clone().unwrap_or_default()));
            }
            LeafKind::Register | LeafKind::Schedule => self.registration(leaf, status),
            LeafKind::Identity => self.people.hear(leaf, status),
        }
    }

    fn registration(&mut self, leaf: &Leaf, status: &str) {
        let Some(workflow) = &leaf.workflow else { return };
        let before = self.registrations.get(&workflow.name);
        let was_paused = before.is_some_and(|(_, _, paused)| *paused);
        let version = || Some(workflow.version.clone());
        let (version, paused) = match status {
            "registered" => (version(), was_paused),
            "paused" => (version(), true),
            "resumed" => (version(), false),
            "unregistered" => (None, false),
            _ => return,
        };
        self.registrations.insert(workflow.name.clone(), (leaf.seq, version, paused));
    }

    fn intent(&mut self, leaf: &Leaf, run: String) {
        let Some(action) = &leaf.action else { return };
        let Some(key) = &action.effect_key else { return };
        let covers: Vec<String> =
            names(leaf, "covers").map(|key| log_name(world(leaf), key)).collect();
        for covered in std::iter::once(key).chain(&covers) {
            let is_own = covered == key;
            let attempts = self.effects.get(covered).map_or(0, |told| told.attempts) + 1;
            let told = ToldEffect {
                intent_seq: leaf.seq,
                attempts,
                run: run.clone(),
                operation: format!("{}.{}", action.connector, action.operation),
                params_sha256: action.params_sha256.clone().unwrap_or_default(),
                covered_by: (!is_own).then(|| key.clone()),
                covers: if is_own { covers.clone() } else { Vec::new() },
                outcome: None,
            };
            self.effects.insert(covered.clone(), told);
        }
    }

    fn outcome(&mut self, leaf: &Leaf, status: &str) {
        let key = leaf.action.as_ref().and_then(|action| action.effect_key.as_ref());
        // What was `recorded` before is answered from the row, and changes nothing.
        let (Some(key), Some(state)) = (key, EffectState::parse(status)) else { return };
        let Some(told) = self.effects.get_mut(key) else { return };
        let outcome = Some((leaf.seq, state, leaf.result_sha256.clone()));
        told.outcome.clone_from(&outcome);
        for covered in told.covers.clone() {
            if let Some(covered) = self.effects.get_mut(&covered)
                && covered.covered_by.as_ref() == Some(key)
            {
                covered.outcome.clone_from(&outcome);
            }
        }
    }

    fn decision(&mut self, leaf: &Leaf, run: String, status: &str) {
        let Some(action) = &leaf.action else { return };
        // A rehearsal and a check of credentials let nothing through, and have no row.
        if status == "dry_run" || leaf.run.is_none() {
            return;
        }
        let approval = text(leaf, "approval").map(str::to_owned);
        if let Some(id) = &approval {
            self.approvals.entry(id.clone()).or_default().n_used += 1;
        }
        let told = ToldDecision {
            run,
            operation: format!("{}.{}", action.connector, action.operation),
            effect_key: action.effect_key.clone(),
            passed: leaf.verdict == Some(Verdict::Permit),
            approval,
        };
        self.decisions.insert(leaf.seq, told);
    }

    fn approval(&mut self, leaf: &Leaf, status: &str) {
        let Some(id) = text(leaf, "approval") else { return };
        let told = self.approvals.entry(id.to_owned()).or_default();
        match status {
            "requested" => {
                told.requested = Some(leaf.seq);
                let quorum = detail(leaf, "quorum").and_then(Value::as_u64);
                let approvers = detail(leaf, "approvers").is_some();
                let approvers = approvers.then(|| names(leaf, "approvers").map(str::to_owned));
                told.asked = quorum.zip(approvers.map(Iterator::collect));
            }
            "escalated" => {
                if let Some((_, approvers)) = &mut told.asked {
                    for name in names(leaf, "to") {
                        if !approvers.iter().any(|known| known == name) {
                            approvers.push(name.to_owned());
                        }
                    }
                }
            }
            "expired" => told.ended = Some("expired"),
            "cancelled" => told.ended = Some("cancelled"),
            "vote" | "approved" | "denied" => {
                let Some(action) = detail(leaf, "action").and_then(Value::as_u64) else { return };
                told.votes.insert((action, leaf.actor.clone()), status != "denied");
                if status == "approved" {
                    told.approved.insert(action);
                }
            }
            _ => {}
        }
    }

    fn episode(&mut self, leaf: &Leaf, status: &str) {
        let Some(workflow) = &leaf.workflow else { return };
        for name in names(leaf, "episodes") {
            let key = log_name(world(leaf), &format!("{}/{name}", workflow.name));
            match status {
                "opened" => {
                    self.episodes.insert(key, (leaf.seq, None));
                }
                "closed" => {
                    if let Some((_, closed)) = self.episodes.get_mut(&key) {
                        *closed = Some(leaf.seq);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What was found in one table; a row that is whole and contradicts the log was not torn.
struct Found<'a> {
    table: &'a str,
    list: Vec<Damage>,
}

impl Found<'_> {
    fn add(&mut self, key: &str, leaf: Option<u64>, says: String) {
        if self.list.len() < LISTED_MAX {
            let message = format!("row `{key}` of `{}` {says}", self.table);
            self.list.push(Damage::of(Cause::Tampering, self.table, key.to_owned(), leaf, message));
        }
    }

    fn gone(&mut self, key: &str, leaf: u64, why: &str) {
        self.add(key, Some(leaf), format!("is gone: leaf {leaf} tells of it{why}"));
    }

    fn untold(&mut self, key: &str) {
        self.add(key, None, "is in no leaf of the log".to_owned());
    }

    /// One column of a row against the leaf that set it.
    fn compare(&mut self, key: &str, leaf: u64, column: &str, row: &str, told: &str) {
        if row != told {
            let says = format!("says {column} `{row}`, leaf {leaf} says `{told}`");
            self.add(key, Some(leaf), says);
        }
    }
}

impl Reader<'_> {
    /// Where a table does not say what the log says.
    pub(super) fn disagreements(&self) -> Result<Vec<Damage>, JournalError> {
        let mut told = Told::default();
        each(self, "SELECT bytes FROM leaves ORDER BY seq", &[], |row| {
            // A leaf that cannot be read is a finding of the log's own check.
            if let Ok(leaf) = Leaf::decode(row.get_ref(0)?.as_blob()?) {
                told.hear(&leaf);
            }
            Ok(())
        })?;
        let mut found = self.effects_agree(&mut told)?;
        found.extend(self.decisions_agree(&mut told)?);
        found.extend(self.runs_agree(&mut told)?);
        found.extend(self.approvals_agree(&told)?);
        found.extend(self.stops_agree(&told)?);
        found.extend(self.registrations_agree(&mut told)?);
        found.extend(self.episodes_agree(&mut told)?);
        found.extend(self.merges_agree(&told)?);
        found.extend(self.people_agree(&told.people)?);
        Ok(found)
    }

    fn effects_agree(&self, told: &mut Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "effects", list: Vec::new() };
        let sql = "SELECT world, key, state, run, operation, params_sha256, attempts, intent_seq, \
                   outcome_seq, covered_by, result FROM effects";
        each(self, sql, &[], |row| {
            let world: String = row.get(0)?;
            let key = log_name(&world, row.get_ref(1)?.as_str()?);
            let Some(told) = told.effects.remove(&key) else {
                found.untold(&key);
                return Ok(());
            };
            let (seq, state, result) = match &told.outcome {
                Some((seq, state, result)) => (*seq, *state, result.as_deref()),
                None => (told.intent_seq, EffectState::Intended, None),
            };
            found.compare(&key, seq, "state", row.get_ref(2)?.as_str()?, state.as_str());
            let outcome_seq = told.outcome.as_ref().map(|_| seq.to_string()).unwrap_or_default();
            let row_seq: Option<i64> = row.get(8)?;
            let row_seq = row_seq.map(|seq| seq.to_string()).unwrap_or_default();
            found.compare(&key, seq, "outcome_seq", &row_seq, &outcome_seq);
            let seq_of_intent = told.intent_seq;
            let mut intent = |column, row: &str, told: &str| {
                found.compare(&key, seq_of_intent, column, row, told);
            };
            intent("run", row.get_ref(3)?.as_str()?, &told.run);
            intent("operation", row.get_ref(4)?.as_str()?, &told.operation);
            intent("params_sha256", &hex::encode(row.get_ref(5)?.as_blob()?), &told.params_sha256);
            intent("attempts", &row.get::<_, i64>(6)?.to_string(), &told.attempts.to_string());
            intent("intent_seq", &row.get::<_, i64>(7)?.to_string(), &told.intent_seq.to_string());
            let covered_by: Option<String> = row.get(9)?;
            let covered_by = covered_by.map(|key| log_name(&world, &key)).unwrap_or_default();
            intent("covered_by", &covered_by, told.covered_by.as_deref().unwrap_or_default());
            // What was erased is there no more, and what is torn is told as such.
            let kept: Option<Packed> = row.get(10)?;
            let kept = kept.and_then(|kept| kept.unpack::<Value>().ok());
            if let (Some(kept), Some(result)) = (kept, result) {
                let digest = Digest::of_json(&kept).map(|digest| digest.to_string());
                found.compare(&key, seq, "result", &digest.unwrap_or_default(), result);
            }
            Ok(())
        })?;
        for (key, told) in &told.effects {
            found.gone(key, told.intent_seq, ", and without it the effect could happen again");
        }
        Ok(found.list)
    }

    fn decisions_agree(&self, told: &mut Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "decisions", list: Vec::new() };
        let sql = "SELECT seq, run, operation, world, effect_key, \
                   verdict = 'PERMIT' OR approval IS NOT NULL, approval FROM decisions";
        each(self, sql, &[], |row| {
            let key = row.get::<_, i64>(0)?.to_string();
            let told =
                key.parse().ok().and_then(|seq: u64| Some((seq, told.decisions.remove(&seq)?)));
            let Some((seq, told)) = told else {
                found.untold(&key);
                return Ok(());
            };
            let world: String = row.get(3)?;
            let effect: Option<String> = row.get(4)?;
            let effect = effect.map(|effect| log_name(&world, &effect)).unwrap_or_default();
            let passed = |passed: bool| if passed { "let through" } else { "not let through" };
            let approval: Option<String> = row.get(6)?;
            let mut compare = |column, row: &str, told: &str| {
                found.compare(&key, seq, column, row, told);
            };
            compare("run", row.get_ref(1)?.as_str()?, &told.run);
            compare("operation", row.get_ref(2)?.as_str()?, &told.operation);
            compare("effect_key", &effect, told.effect_key.as_deref().unwrap_or_default());
            compare("verdict", passed(row.get(5)?), passed(told.passed));
            let told_approval = told.approval.as_deref().unwrap_or_default();
            compare("approval", approval.as_deref().unwrap_or_default(), told_approval);
            Ok(())
        })?;
        for seq in told.decisions.keys() {
            found.gone(&seq.to_string(), *seq, ", and without it a limit counts too few");
        }
        Ok(found.list)
    }

    /// A run without a leaf does no harm: nothing was let through for it.
    fn runs_agree(&self, told: &mut Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "runs", list: Vec::new() };
        each(self, "SELECT id, status, ended_at IS NULL FROM runs", &[], |row| {
            let id: String = row.get(0)?;
            let Some((seq, word)) = told.runs.remove(&id) else { return Ok(()) };
            let told = match RunStatus::parse(&word) {
                Some(status) => status,
                // `started` and `resumed`.
                None => RunStatus::Running,
            };
            found.compare(&id, seq, "status", row.get_ref(1)?.as_str()?, told.as_str());
            let ended = |is_open: bool| if is_open { "no end" } else { "an end" };
            found.compare(&id, seq, "ended_at", ended(row.get(2)?), ended(told.is_unfinished()));
            Ok(())
        })?;
        for (id, (seq, _)) in &told.runs {
            found.gone(id, *seq, "");
        }
        Ok(found.list)
    }

    fn approvals_agree(&self, told: &Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "approvals", list: Vec::new() };
        let mut ids = BTreeMap::new();
        let sql = "SELECT n, id, state, quorum, approvers FROM approvals";
        each(self, sql, &[], |row| {
            let id: String = row.get(1)?;
            let state: String = row.get(2)?;
            let requested = told.approvals.get(&id).and_then(|told| told.requested);
            match requested.zip(told.approvals.get(&id)) {
                None => found.untold(&id),
                Some((seq, told)) => {
                    let ended =
                        Some(state.as_str()).filter(|s| matches!(*s, "expired" | "cancelled"));
                    let ended = ended.unwrap_or("open");
                    found.compare(&id, seq, "state", ended, told.ended.unwrap_or("open"));
                    if let Some((quorum, approvers)) = &told.asked {
                        let row_quorum = row.get::<_, i64>(3)?.to_string();
                        found.compare(&id, seq, "quorum", &row_quorum, &quorum.to_string());
                        let list = Value::from(approvers.clone()).to_string();
                        found.compare(&id, seq, "approvers", row.get_ref(4)?.as_str()?, &list);
                    }
                }
            }
            ids.insert(row.get::<_, i64>(0)?, id);
            Ok(())
        })?;
        for (id, told) in &told.approvals {
            if let (Some(seq), false) = (told.requested, ids.values().any(|known| known == id)) {
                found.gone(id, seq, "");
            }
        }
        let of = |row: &Row<'_>| -> rusqlite::Result<(String, u64)> {
            let id = ids.get(&row.get::<_, i64>(0)?).cloned().unwrap_or_default();
            Ok((id, row.get::<_, i64>(1)?.unsigned_abs()))
        };
        let mut actions = Found { table: "approval_actions", list: Vec::new() };
        let mut n_used: BTreeMap<String, u64> = BTreeMap::new();
        each(self, "SELECT approval, n, state FROM approval_actions", &[], |row| {
            let (id, n) = of(row)?;
            let Some(told) = told.approvals.get(&id) else { return Ok(()) };
            let state = row.get_ref(2)?.as_str()?;
            let denied = told.votes.iter().any(|((action, _), yes)| *action == n && !yes);
            let said = match (told.approved.contains(&n), denied) {
                (_, true) => "denied",
                (true, _) => "approved",
                (false, false) => "pending",
            };
            *n_used.entry(id.clone()).or_default() += u64::from(state == "used");
            let is_same = said == state || (said == "approved" && state == "used");
            if !is_same {
                let says = format!("says state `{state}`, the votes in the log say `{said}`");
                actions.add(&format!("{id}/{n}"), told.requested, says);
            }
            Ok(())
        })?;
        for (id, n_used) in n_used {
            let Some(told) = told.approvals.get(&id).filter(|told| told.n_used != n_used) else {
                continue;
            };
            let says =
                format!("was used {n_used} times, decisions in the log name it {}", told.n_used);
            found.add(&id, told.requested, says);
        }
        let mut votes = Found { table: "votes", list: Vec::new() };
        let mut cast: BTreeMap<String, BTreeSet<(u64, String)>> = BTreeMap::new();
        each(self, "SELECT approval, action, who, decision = 'approve' FROM votes", &[], |row| {
            let (id, action) = of(row)?;
            let who: String = row.get(2)?;
            let vote = (action, who);
            let said = told.approvals.get(&id).and_then(|told| told.votes.get(&vote));
            let key = format!("{id}/{action}/{}", vote.1);
            match said {
                None => votes.untold(&key),
                Some(yes) if *yes != row.get::<_, bool>(3)? => {
                    votes.add(&key, None, "is not the vote that the log tells of".to_owned());
                }
                Some(_) => {}
            }
            cast.entry(id).or_default().insert(vote);
            Ok(())
        })?;
        for (id, told) in &told.approvals {
            for (action, who) in told.votes.keys() {
                let vote = (*action, who.clone());
                if !cast.get(id).is_some_and(|cast| cast.contains(&vote)) {
                    let says = "is gone: the log tells of the vote".to_owned();
                    votes.add(&format!("{id}/{action}/{who}"), told.requested, says);
                }
            }
        }
        found.list.extend(actions.list);
        found.list.extend(votes.list);
        Ok(found.list)
    }

    fn stops_agree(&self, told: &Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "stops", list: Vec::new() };
        let mut active = BTreeSet::new();
        each(self, "SELECT workflow FROM stops WHERE lifted_at IS NULL", &[], |row| {
            active.insert(row.get::<_, String>(0)?);
            Ok(())
        })?;
        for (workflow, (seq, stopped)) in &told.stops {
            let said = |stopped: bool| if stopped { "stopped" } else { "started" };
            let row = active.remove(workflow);
            found.compare(workflow, *seq, "that it is", said(row), said(*stopped));
        }
        active.iter().for_each(|workflow| found.untold(workflow));
        Ok(found.list)
    }

    fn registrations_agree(&self, told: &mut Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "registrations", list: Vec::new() };
        told.registrations.retain(|_, (_, version, _)| version.is_some());
        let sql = "SELECT workflow, version, paused_at IS NOT NULL FROM registrations";
        each(self, sql, &[], |row| {
            let workflow: String = row.get(0)?;
            let Some((seq, version, paused)) = told.registrations.remove(&workflow) else {
                found.untold(&workflow);
                return Ok(());
            };
            let row_version = Digest(row.get(1)?).to_string();
            found.compare(&workflow, seq, "version", &row_version, &version.unwrap_or_default());
            let said = |paused: bool| if paused { "paused" } else { "not paused" };
            found.compare(&workflow, seq, "that it is", said(row.get(2)?), said(paused));
            Ok(())
        })?;
        for (workflow, (seq, ..)) in &told.registrations {
            found.gone(workflow, *seq, ", and without it the workflow would not run by itself");
        }
        Ok(found.list)
    }

    fn episodes_agree(&self, told: &mut Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "episodes", list: Vec::new() };
        let sql = "SELECT world, workflow || '/' || vulnerability || '/' || n, closed_at IS NULL \
                   FROM episodes";
        each(self, sql, &[], |row| {
            let key = log_name(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            match told.episodes.remove(&key) {
                None => found.untold(&key),
                Some((opened, closed)) => {
                    let said = |is_open: bool| if is_open { "open" } else { "closed" };
                    let seq = closed.unwrap_or(opened);
                    let (row, told) = (said(row.get(2)?), said(closed.is_none()));
                    found.compare(&key, seq, "that it is", row, told);
                }
            }
            Ok(())
        })?;
        for (key, (seq, _)) in &told.episodes {
            found.gone(key, *seq, ", and without it a vulnerability would begin anew");
        }
        Ok(found.list)
    }

    fn merges_agree(&self, told: &Told) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "merges", list: Vec::new() };
        each(self, "SELECT digest, run, dataset FROM merges", &[], |row| {
            let digest = hex::encode(row.get_ref(0)?.as_blob()?);
            if !told.merges.contains(&(row.get(1)?, digest)) {
                found.untold(row.get_ref(2)?.as_str()?);
            }
            Ok(())
        })?;
        Ok(found.list)
    }
}
