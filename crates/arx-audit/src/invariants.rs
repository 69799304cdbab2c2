//! What an intact log must also tell: that the gate did its duty.
//!
//! - INVARIANT (decision before action): an intent, and the outcome of a read, follows a PERMIT of
//!   the same call in the same run, or an ESCALATE that was then approved. A PERMIT that refers to
//!   an approval follows that approval.
//! - INVARIANT (intent before effect): the outcome or settlement of an effect follows an intent
//!   for it, of this run or an earlier one.
//! - INVARIANT (one effect per intent): an effect that is done has no later intent.
//!
//! Only what the design guarantees is asserted here; a false alarm in an audit is worse than a
//! missing one. Memory grows with the number of calls, 16 bytes each.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::{
    finding::{Finding, Findings, Violation},
    leaf::{Action, Leaf, LeafKind, RiskClass, Verdict},
};

/// The status of an effect that happened.
const STATUS_DONE: &str = "done";
/// The status of an approval that was given.
const STATUS_APPROVED: &str = "approved";
/// The status of a decision that permits nothing, because nothing is sent.
const STATUS_DRY_RUN: &str = "dry_run";
/// The field of the detail that names an approval.
const APPROVAL: &str = "approval";
/// The field of an intent's detail that lists the effects it settles along with its own.
const COVERS: &str = "covers";
/// The field of the detail that names a simulated world; it then begins every effect key.
const WORLD: &str = "world";
/// The field of a run leaf's detail that counts the run's earlier leaves.
const RUN_LEAVES: &str = "run_leaves";

/// How much of the log the observer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of it.
    Log,
    /// The leaves of one run; an effect's intent may be in an earlier run.
    Run,
}

/// The first bytes of a SHA-256; long enough that nobody can make two calls collide.
type Tag = [u8; 16];

/// Watches leaves in log order.
#[derive(Debug)]
pub(crate) struct Observer {
    scope: Scope,
    permitted: HashSet<Tag>,
    /// The first ESCALATE of each call.
    escalated: HashMap<Tag, u64>,
    /// The last approval of each run that does not name a call, and of each call.
    approved: HashMap<Tag, u64>,
    intents: HashSet<Tag>,
    /// The effects that an effect settles along with itself.
    covers: HashMap<Tag, Vec<Tag>>,
    done: HashSet<Tag>,
    n_run_leaves: HashMap<Tag, u64>,
    n_counted: u64,
}

impl Observer {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            permitted: HashSet::new(),
            escalated: HashMap::new(),
            approved: HashMap::new(),
            intents: HashSet::new(),
            covers: HashMap::new(),
            done: HashSet::new(),
            n_run_leaves: HashMap::new(),
            n_counted: 0,
        }
    }

    /// Returns what the last run leaf that counts the leaves before it says.
    pub(crate) fn n_counted(&self) -> u64 {
        self.n_counted
    }

    pub(crate) fn observe(&mut self, leaf: &Leaf, findings: &mut Findings) {
        self.count(leaf, findings);
        if leaf.run.is_none() && matches!(leaf.kind, LeafKind::Run | LeafKind::Intent) {
            let violation = Violation::Incomplete { kind: leaf.kind, field: "run" };
            findings.add(Finding::Invariant { seq: leaf.seq, violation });
        }
        let mut violated =
            |violation| findings.add(Finding::Invariant { seq: leaf.seq, violation });
        match leaf.kind {
            LeafKind::Decision => {
                if let Some(violation) = self.decision(leaf) {
                    violated(violation);
                }
            }
            LeafKind::Approval => self.approval(leaf),
            LeafKind::Intent => self.intent(leaf).into_iter().for_each(violated),
            LeafKind::Outcome | LeafKind::Settle => {
                if let Some(violation) = self.outcome(leaf) {
                    violated(violation);
                }
            }
            LeafKind::Run
            | LeafKind::Merge
            | LeafKind::Episode
            | LeafKind::Register
            | LeafKind::Stop
            | LeafKind::Schedule
            | LeafKind::Identity => {}
        }
    }

    /// A run leaf may count the leaves of its run, which makes a bundle's omissions visible.
    fn count(&mut self, leaf: &Leaf, findings: &mut Findings) {
        let Some(run) = &leaf.run else { return };
        let n_before = self.n_run_leaves.entry(tag(&[run])).or_default();
        let counted = leaf.detail.as_ref().and_then(|detail| detail.get(RUN_LEAVES));
        if let (LeafKind::Run, Some(counted)) = (leaf.kind, counted.and_then(|n| n.as_u64())) {
            self.n_counted = counted;
            if counted != *n_before {
                findings.add(Finding::RunCount { seq: leaf.seq, counted, found: *n_before });
            }
        }
        *n_before += 1;
    }

    fn decision(&mut self, leaf: &Leaf) -> Option<Violation> {
        let Some(verdict) = leaf.verdict else {
            return Some(Violation::Incomplete { kind: leaf.kind, field: "verdict" });
        };
        let Some(action) = &leaf.action else {
            return Some(Violation::Incomplete { kind: leaf.kind, field: "action" });
        };
        let call = call_tag(leaf.run.as_deref(), action);
        match verdict {
            Verdict::Permit if leaf.status.as_deref() == Some(STATUS_DRY_RUN) => {}
            Verdict::Permit => {
                if let Some(approval) = text(leaf, APPROVAL)
                    && !self.is_approved(leaf.run.as_deref(), approval)
                {
                    return Some(Violation::NotApproved { approval: approval.to_owned() });
                }
                self.permitted.insert(call);
            }
            Verdict::Escalate => {
                self.escalated.entry(call).or_insert(leaf.seq);
            }
            Verdict::Deny => {}
        }
        let risk = leaf.risk.as_ref()?;
        let (lowest, highest) = match risk.class {
            RiskClass::Low => (0, 49),
            RiskClass::Medium => (25, 79),
            RiskClass::High => (60, 100),
            RiskClass::Critical => (85, 100),
        };
        let outside = !(lowest..=highest).contains(&risk.score);
        outside
            .then_some(Violation::ScoreOutOfClass { verdict: verdict.as_str(), score: risk.score })
    }

    /// An approval may cover one call, or every call that its run waits for.
    fn approval(&mut self, leaf: &Leaf) {
        if leaf.status.as_deref() != Some(STATUS_APPROVED) {
            return;
        }
        let run = leaf.run.as_deref();
        if let Some(approval) = text(leaf, APPROVAL) {
            self.approved.insert(approval_id_tag(run, approval), leaf.seq);
        }
        let names_call = leaf.action.as_ref().filter(|action| action.params_sha256.is_some());
        let covered = names_call.map_or_else(|| run_tag(run), |action| approval_tag(run, action));
        self.approved.insert(covered, leaf.seq);
    }

    fn is_approved(&self, run: Option<&str>, approval: &str) -> bool {
        self.approved.contains_key(&approval_id_tag(run, approval))
    }

    fn intent(&mut self, leaf: &Leaf) -> Vec<Violation> {
        let incomplete = |field| vec![Violation::Incomplete { kind: leaf.kind, field }];
        let Some(action) = &leaf.action else { return incomplete("action") };
        let Some(effect_key) = &action.effect_key else { return incomplete("action.effect_key") };
        let effect = effect_tag(action, effect_key);
        let mut violations = Vec::new();
        if !self.is_permitted(leaf.run.as_deref(), action) {
            violations.push(Violation::IntentWithoutPermit { operation: name(action) });
        }
        if self.done.contains(&effect) {
            violations.push(Violation::DoneTwice { effect_key: effect_key.clone() });
        }
        let covers = covered(leaf, action);
        self.intents.extend(covers.iter().copied());
        self.intents.insert(effect);
        if !covers.is_empty() {
            self.covers.insert(effect, covers);
        }
        violations
    }

    fn outcome(&mut self, leaf: &Leaf) -> Option<Violation> {
        let Some(action) = &leaf.action else {
            return Some(Violation::Incomplete { kind: leaf.kind, field: "action" });
        };
        let is_done = leaf.status.as_deref() == Some(STATUS_DONE);
        let Some(effect_key) = &action.effect_key else {
            let is_unpermitted = is_done && !self.is_permitted(leaf.run.as_deref(), action);
            return is_unpermitted
                .then(|| Violation::OutcomeWithoutPermit { operation: name(action) });
        };
        let effect = effect_tag(action, effect_key);
        if is_done {
            self.done.insert(effect);
            self.done.extend(self.covers.remove(&effect).unwrap_or_default());
        }
        // The intent of an effect that an earlier run did is not among one run's leaves.
        let is_announced = self.scope == Scope::Run || self.intents.contains(&effect);
        (!is_announced)
            .then(|| Violation::WithoutIntent { kind: leaf.kind, effect_key: effect_key.clone() })
    }

    fn is_permitted(&self, run: Option<&str>, action: &Action) -> bool {
        let call = call_tag(run, action);
        if self.permitted.contains(&call) {
            return true;
        }
        let Some(escalated) = self.escalated.get(&call) else { return false };
        let approvals = [run_tag(run), approval_tag(run, action)];
        approvals.iter().any(|covered| self.approved.get(covered) > Some(escalated))
    }
}

fn text<'a>(leaf: &'a Leaf, field: &str) -> Option<&'a str> {
    leaf.detail.as_ref()?.get(field)?.as_str()
}

/// The effects that an intent settles along with its own.
fn covered(leaf: &Leaf, action: &Action) -> Vec<Tag> {
    let keys = leaf.detail.as_ref().and_then(|detail| detail.get(COVERS)?.as_array());
    let keys = keys.into_iter().flatten().filter_map(|key| key.as_str());
    let tag_of = |key: &str| match text(leaf, WORLD) {
        Some(world) => effect_tag(action, &format!("{world}/{key}")),
        None => effect_tag(action, key),
    };
    keys.map(tag_of).collect()
}

fn name(action: &Action) -> String {
    format!("{}.{}", action.connector, action.operation)
}

fn call_tag(run: Option<&str>, action: &Action) -> Tag {
    let effect = action.effect_key.as_deref().unwrap_or_default();
    let params = action.params_sha256.as_deref().unwrap_or_default();
    tag(&["call", run.unwrap_or_default(), &action.connector, &action.operation, effect, params])
}

fn approval_tag(run: Option<&str>, action: &Action) -> Tag {
    let params = action.params_sha256.as_deref().unwrap_or_default();
    tag(&["approval", run.unwrap_or_default(), &action.connector, &action.operation, params])
}

fn approval_id_tag(run: Option<&str>, approval: &str) -> Tag {
    tag(&["approval id", run.unwrap_or_default(), approval])
}

fn run_tag(run: Option<&str>) -> Tag {
    tag(&["run", run.unwrap_or_default()])
}

fn effect_tag(action: &Action, effect_key: &str) -> Tag {
    tag(&["effect", &action.connector, &action.operation, effect_key])
}

fn tag(parts: &[&str]) -> Tag {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut tag = Tag::default();
    tag.iter_mut().zip(hasher.finalize()).for_each(|(to, from)| *to = from);
    tag
}
