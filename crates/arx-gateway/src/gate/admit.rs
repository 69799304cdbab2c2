//! Deciding and recording, in one transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use arx_audit::LeafKind;
use arx_journal::{
    Counted, Effect, Intended, JournalError, LeafDraft, Matches, NewDecision, NewIntent, Packed,
    Stop, TakenApproval, Tx,
};
use arx_policy::{Request, WRITES_COUNTED_MAX};
use arx_types::{
    Access, ApprovalId, Decision, Digest, EffectKey, EffectState, Operation, OperationSpec, Verdict,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Gateway;
use crate::action::{
    Action, EffectReply, EscalatedAction, Escalation, GateError, Reply, RunContext,
};
use crate::permit::{Permit, Tenure};

/// The window of the risk score's frequency factor.
const FREQUENCY_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The most bytes of parameters that one call may have.
const PARAMS_BYTES_MAX: usize = 1024 * 1024;
/// The most effects that one write may cover, and the most bytes of their keys and of what the
/// write follows from: the leaf of its intent names them all.
const COVERS_MAX: usize = 2_000;
const COVERS_BYTES_MAX: usize = 128 * 1024;
const NAMED_BYTES_MAX: usize = 224 * 1024;
/// Covered effects that a refusal names.
const COVERS_SHOWN_MAX: usize = 3;

/// What the gate lets happen.
pub(super) enum Admission {
    /// The effect is done; this is its recorded result.
    Recorded(Reply),
    /// It would be sent, were this not a dry run.
    DryRun { decision: Decision },
    /// The intent is on disk; send it.
    Permitted { permit: Permit, intent: Arc<Intent> },
    /// An earlier attempt has no outcome; look it up first.
    Unsettled { permit: Permit, intent: Arc<Intent> },
    /// An effect to be covered has no outcome; look it up, then decide.
    CoverUnsettled { permit: Permit, intent: Arc<Intent> },
}

/// An intent on disk that waits for its outcome.
pub(super) struct Intent {
    /// Key, operation, parameters' digest: as recorded, which may be another effect's that
    /// covers the one asked for.
    pub(super) key: EffectKey,
    pub(super) operation: Operation,
    pub(super) params: Value,
    pub(super) params_sha256: Digest,
    pub(super) attempt: u32,
    pub(super) at: Timestamp,
    pub(super) asked: EffectKey,
    pub(super) lineage: Vec<String>,
}

/// Everything a transaction needs to decide. Shared with the journal's thread, which frees
/// nothing of it: memory that one thread takes and another gives back makes both wait.
struct Case {
    ctx: Arc<RunContext>,
    action: Arc<Action>,
    spec: Option<&'static OperationSpec>,
    params_sha256: Digest,
    digest: Digest,
    facts: Value,
    /// The parameters as they are kept: without secrets, ready packed.
    redacted: Packed,
    request: Packed,
}

impl Gateway {
    /// Decides a write and records it.
    pub(super) async fn admit(
        &self,
        ctx: &Arc<RunContext>,
        action: &Arc<Action>,
        spec: Option<&'static OperationSpec>,
    ) -> Result<Admission, GateError> {
        let case = self.case(ctx, action, spec)?;
        let decided = Arc::clone(&case);
        let found = self.journal.try_write_unguarded(move |tx| decided.write(tx)).await??;
        case.admission(found)
    }

    /// Decides a read and records it; with the permit comes the digest of the parameters.
    pub(super) async fn admit_read(
        &self,
        ctx: &Arc<RunContext>,
        action: &Arc<Action>,
        spec: Option<&'static OperationSpec>,
    ) -> Result<(Permit, Digest), GateError> {
        let case = self.case(ctx, action, spec)?;
        let decided = Arc::clone(&case);
        let decision = self.journal.try_write_unguarded(move |tx| decided.read(tx)).await??;
        let permit = Permit::mint(case.tenure(), action.operation.clone(), None, decision);
        Ok((permit, case.params_sha256))
    }

    fn case(
        &self,
        ctx: &Arc<RunContext>,
        action: &Arc<Action>,
        spec: Option<&'static OperationSpec>,
    ) -> Result<Arc<Case>, GateError> {
        let parameters = |message: String| {
            GateError::Call(crate::CallError::Parameters {
                operation: action.operation.to_string(),
                message,
            })
        };
        let sized = Digest::of_json_sized(&action.params);
        let (params_sha256, size) = sized.map_err(|error| parameters(error.to_string()))?;
        if size > PARAMS_BYTES_MAX {
            return Err(parameters(format!(
                "{size} bytes of parameters; at most {PARAMS_BYTES_MAX}"
            )));
        }
        let prefix = format!("{}/", ctx.workflow);
        for key in action.effect.iter().chain(&action.covers) {
            if !key.as_str().starts_with(&prefix) {
                return Err(parameters(format!(
                    "the effect key `{key}` must begin with `{prefix}`"
                )));
            }
        }
        let is_write = spec.is_some_and(|spec| spec.access == Access::Write && spec.implemented);
        if is_write && action.effect.is_none() {
            return Err(parameters(
                "a write needs `effect=`, which says what it is across runs".to_owned(),
            ));
        }
        let is_read = spec.is_some_and(|spec| spec.access == Access::Read && spec.implemented);
        if is_read && action.effect.is_some() {
            return Err(parameters("a read takes no `effect=`".to_owned()));
        }
        let mut named: BTreeSet<&EffectKey> = action.effect.iter().collect();
        if let Some(key) = action.covers.iter().find(|key| !named.insert(key)) {
            return Err(parameters(format!(
                "`covers` names `{key}` twice, or it is the effect of the write itself"
            )));
        }
        let covers_bytes: usize = action.covers.iter().map(|key| json_bytes(key.as_str())).sum();
        if covers_bytes > COVERS_BYTES_MAX || action.covers.len() > COVERS_MAX {
            return Err(parameters(format!(
                "`covers` names {} effects in {covers_bytes} bytes; at most {COVERS_MAX} in \
                 {COVERS_BYTES_MAX}, so write several groups",
                action.covers.len()
            )));
        }
        let lineage_bytes: usize = action.lineage.iter().map(|item| json_bytes(item)).sum();
        if covers_bytes + lineage_bytes > NAMED_BYTES_MAX {
            return Err(parameters(format!(
                "it names {covers_bytes} bytes of effects and {lineage_bytes} of what it follows \
                 from; at most {NAMED_BYTES_MAX}, so write several groups"
            )));
        }
        let redacted = match self.vendors.get(action.operation.connector.as_str()) {
            Some(vendor) => vendor.scrub_value(action.params.clone()),
            None => action.params.clone(),
        };
        let facts = ctx.facts();
        let request = serde_json::json!({
            "params": redacted, "target": action.target, "run": facts,
        });
        Ok(Arc::new(Case {
            ctx: Arc::clone(ctx),
            action: Arc::clone(action),
            spec,
            params_sha256,
            digest: action.digest(ctx, params_sha256)?,
            facts,
            redacted: Packed::json(&redacted)?,
            request: Packed::json(&request)?,
        }))
    }
}

/// Every call is answered inside the journal's transaction with a result of its own, because a
/// denial must be committed: only a journal error may roll it back.
type Answer<T> = Result<Result<T, GateError>, JournalError>;

/// What a write found and left in the journal.
enum Found {
    Recorded(Reply),
    DryRun(Decision),
    /// Nothing stood in the way: the intent is written, by the decision at this place.
    Fresh {
        decision: u64,
        attempt: u32,
        at: Timestamp,
    },
    /// An effect without an outcome.
    Open(Box<Open>),
}

/// An effect without an outcome, or the one that covers it.
struct Open {
    effect: Effect,
    /// The one that was met.
    asked: EffectKey,
    /// Whether that is only to be covered by the write asked for.
    is_cover: bool,
}

/// What a write that covers others gets without being decided.
type CoverAnswer = Result<Found, GateError>;

impl Case {
    /// What comes of what the journal had, now that it is on disk.
    fn admission(&self, found: Found) -> Result<Admission, GateError> {
        let action = &self.action;
        let open = match found {
            Found::Recorded(reply) => return Ok(Admission::Recorded(reply)),
            Found::DryRun(decision) => return Ok(Admission::DryRun { decision }),
            Found::Fresh { decision, attempt, at } => {
                let key = action.effect.clone().ok_or_else(|| self.no_effect())?;
                let (operation, asked) = (action.operation.clone(), Some(key.clone()));
                let permit = Permit::mint(self.tenure(), operation, asked, decision);
                let intent = Intent {
                    operation: action.operation.clone(),
                    params: action.params.clone(),
                    params_sha256: self.params_sha256,
                    attempt,
                    at,
                    asked: key.clone(),
                    lineage: action.lineage.clone(),
                    key,
                };
                return Ok(Admission::Permitted { permit, intent: Arc::new(intent) });
            }
            Found::Open(open) => *open,
        };
        // It is looked up under the permission that it was recorded with.
        let effect = open.effect;
        let permit = Permit::mint(
            self.tenure(),
            effect.operation.clone(),
            Some(effect.key.clone()),
            effect.intent_seq,
        );
        let intent = Arc::new(Intent {
            key: effect.key,
            operation: effect.operation,
            params: effect.params.unpack()?,
            params_sha256: effect.params_sha256,
            attempt: effect.attempts,
            at: effect.intent_at,
            asked: open.asked,
            lineage: action.lineage.clone(),
        });
        Ok(match open.is_cover {
            true => Admission::CoverUnsettled { permit, intent },
            false => Admission::Unsettled { permit, intent },
        })
    }

    fn read(&self, tx: &mut Tx<'_>) -> Answer<u64> {
        tx.check_lease(&self.ctx.run, self.ctx.epoch)?;
        let stop = tx.active_stop(&self.ctx.workflow)?;
        let decision = self.decide(tx, stop.as_ref())?;
        let (leaf, approval) = match self.verdict(tx, &decision)? {
            Ok(passed) => passed,
            Err(error) => return Ok(Err(error)),
        };
        self.record(tx, &decision, leaf, approval).map(Ok)
    }

    fn write(&self, tx: &mut Tx<'_>) -> Answer<Found> {
        // INVARIANT (fencing): an owner that lost its run neither intends nor looks anything up.
        tx.check_lease(&self.ctx.run, self.ctx.epoch)?;
        let Some(key) = &self.action.effect else { return Ok(Err(self.no_effect())) };
        // INVARIANT (a stop holds at once): not even the record answers a stopped workflow.
        let stop = tx.active_stop(&self.ctx.workflow)?;
        let stopped = stop.is_some();
        let present = tx.effect(&self.ctx.world, key)?;
        let present = present.filter(|effect| effect.state != EffectState::Failed);
        let taken = present.as_ref().filter(|effect| effect.operation != self.action.operation);
        if let (Some(present), None, false) = (&present, taken, stopped) {
            match present.state {
                EffectState::Done => return self.recorded(tx, present),
                // A rehearsal changes nothing, so it does not find out either.
                EffectState::Intended | EffectState::Unknown if !self.ctx.dry_run => {
                    return self.open(tx, present.clone(), false).map(Ok);
                }
                EffectState::Intended | EffectState::Unknown | EffectState::Failed => {}
            }
        }
        if !stopped
            && !self.ctx.dry_run
            && let Some(answer) = self.covered(tx)?
        {
            return Ok(answer);
        }
        let decision = self.decide(tx, stop.as_ref())?;
        if let (Some(taken), Verdict::Permit | Verdict::Escalate) = (taken, decision.verdict) {
            let message = format!("the effect key `{key}` is already that of {}", taken.operation);
            return Ok(Err(self.parameters(message)));
        }
        let (leaf, approval) = match self.verdict(tx, &decision)? {
            Ok(passed) => passed,
            Err(error) => return Ok(Err(error)),
        };
        if self.ctx.dry_run {
            self.record(tx, &decision, leaf.status("dry_run"), None)?;
            return Ok(Ok(Found::DryRun(decision)));
        }
        let seq = self.record(tx, &decision, leaf, approval)?;
        let covers = self.action.covers.clone();
        let mut leaf = self.leaf(LeafKind::Intent).with("decision", seq);
        if !covers.is_empty() {
            leaf = leaf.with("covers", covers.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        let intent = NewIntent {
            world: self.ctx.world.clone(),
            key: key.clone(),
            run: self.ctx.run.clone(),
            workflow: self.ctx.workflow.clone(),
            operation: self.action.operation.clone(),
            params_sha256: self.params_sha256,
            params: self.redacted.clone(),
            covers,
        };
        match tx.intend_effect(&intent, leaf)? {
            Intended::Fresh { attempt, leaf } => {
                Ok(Ok(Found::Fresh { decision: seq, attempt, at: leaf.at }))
            }
            Intended::Present(present) => self.open(tx, *present, false).map(Ok),
        }
    }

    /// What the effects to be covered say before anything is decided. One that may have happened
    /// is looked up first, and one that is done is never brought about again: a write that would
    /// name it beside others is refused.
    fn covered(&self, tx: &mut Tx<'_>) -> Result<Option<CoverAnswer>, JournalError> {
        let mut done = Vec::new();
        for key in &self.action.covers {
            let Some(present) = tx.effect(&self.ctx.world, key)? else { continue };
            match present.state {
                EffectState::Failed => {}
                EffectState::Done => done.push(present),
                EffectState::Intended | EffectState::Unknown => {
                    return self.open(tx, present, true).map(|open| Some(Ok(open)));
                }
            }
        }
        let Some(first) = done.first() else { return Ok(None) };
        if done.len() == self.action.covers.len() {
            return self.recorded(tx, first).map(Some);
        }
        let mut names: Vec<String> =
            done.iter().take(COVERS_SHOWN_MAX).map(|effect| format!("`{}`", effect.key)).collect();
        if done.len() > names.len() {
            names.push(format!("{} more", done.len() - names.len()));
        }
        let message = format!("done already, so leave it out of `covers`: {}", names.join(", "));
        Ok(Some(Err(self.parameters(message))))
    }

    fn no_effect(&self) -> GateError {
        self.parameters("a write needs `effect=`, which says what it is across runs".to_owned())
    }

    fn parameters(&self, message: String) -> GateError {
        let operation = self.action.operation.to_string();
        GateError::Call(crate::CallError::Parameters { operation, message })
    }

    fn decide(&self, tx: &mut Tx<'_>, stop: Option<&Stop>) -> Result<Decision, JournalError> {
        let now = tx.now();
        if let Some(stop) = stop {
            return Ok(Decision {
                verdict: Verdict::Deny,
                rule: Some("stop".to_owned()),
                reasons: vec![format!("the workflow was stopped by {}: {}", stop.by, stop.reason)],
                risk: None,
            });
        }
        let ctx = &self.ctx;
        let is_write = self.spec.is_some_and(|spec| spec.access == Access::Write);
        let writes_last_hour = if is_write {
            let (since, max) = (now - FREQUENCY_WINDOW, WRITES_COUNTED_MAX);
            tx.count_writes(&ctx.world, &ctx.workflow, Counted::All, since, max, &|| {
                Box::new(|_| true)
            })?
        } else {
            0
        };
        let mut limit_counts = Vec::new();
        for (n, limit) in ctx.policy.limits().iter().enumerate() {
            let count = if limit.matches(&self.action.operation) {
                let since = now
                    - SignedDuration::try_from(limit.window().as_duration())
                        .unwrap_or(SignedDuration::MAX);
                let counted = Counted::Limit { policy: ctx.policy.version(), n };
                let matches = || -> Matches {
                    let policy = Arc::clone(&ctx.policy);
                    Box::new(move |operation| {
                        policy.limits().get(n).is_some_and(|limit| limit.matches(operation))
                    })
                };
                tx.count_writes(&ctx.world, &ctx.workflow, counted, since, limit.max(), &matches)?
            } else {
                0
            };
            limit_counts.push(count);
        }
        Ok(ctx.policy.decide(&Request {
            operation: &self.action.operation,
            spec: self.spec,
            params: &self.action.params,
            target: self.action.target,
            run: &self.facts,
            now,
            writes_last_hour,
            limit_counts: &limit_counts,
        }))
    }

    /// Turns a decision into a leaf to record, or into the error that the caller gets; denials
    /// and escalations are recorded here.
    fn verdict(
        &self,
        tx: &mut Tx<'_>,
        decision: &Decision,
    ) -> Answer<(LeafDraft, Option<ApprovalId>)> {
        let leaf = self.leaf(LeafKind::Decision).decided(decision);
        match decision.verdict {
            Verdict::Permit if self.ctx.dry_run => Ok(Ok((leaf, None))),
            Verdict::Permit => self.answered(tx, decision, leaf),
            Verdict::Deny => {
                self.record(tx, decision, leaf, None)?;
                Ok(Err(GateError::Denied {
                    operation: self.action.operation.clone(),
                    decision: Box::new(decision.clone()),
                }))
            }
            Verdict::Escalate if self.ctx.dry_run => Ok(Ok((leaf, None))),
            Verdict::Escalate => self.answered(tx, decision, leaf),
        }
    }

    /// What humans say to the call. Once they were asked, their answer stands even where the
    /// policy would permit it by now: a limit's window passes, a no does not, and neither a
    /// request that expired nor one that still waits turns into a yes.
    fn answered(
        &self,
        tx: &mut Tx<'_>,
        decision: &Decision,
        leaf: LeafDraft,
    ) -> Answer<(LeafDraft, Option<ApprovalId>)> {
        let operation = self.action.operation.clone();
        let escalation = |pending| {
            let action = EscalatedAction {
                operation: operation.clone(),
                params: self.redacted.unpack().unwrap_or_default(),
                params_sha256: self.params_sha256,
                effect: self.action.effect.clone(),
                lineage: self.action.lineage.clone(),
            };
            Box::new(Escalation {
                digest: self.digest,
                decision: decision.clone(),
                action,
                pending,
            })
        };
        match tx.take_approval(&self.ctx.run, &self.digest)? {
            TakenApproval::Approved { approval, by } => {
                let mut approved = leaf;
                if decision.verdict == Verdict::Escalate {
                    approved.verdict = Some(arx_audit::Verdict::Permit);
                    let rule = decision.rule.clone().unwrap_or_default();
                    approved = approved.with("escalated_by", rule);
                }
                let leaf = approved.with("approval", approval.as_str()).with("approved_by", by);
                Ok(Ok((leaf, Some(approval))))
            }
            TakenApproval::Denied { reason, .. } => {
                self.record_verdict(tx, Verdict::Deny, withheld(leaf, "denied"), None)?;
                Ok(Err(GateError::Refused { operation, reason }))
            }
            TakenApproval::Expired { .. } => {
                self.record_verdict(tx, Verdict::Deny, withheld(leaf, "expired"), None)?;
                Ok(Err(GateError::Expired { operation }))
            }
            TakenApproval::Pending { approval } => {
                Ok(Err(GateError::Escalated(escalation(Some(approval)))))
            }
            TakenApproval::None if decision.verdict == Verdict::Permit => Ok(Ok((leaf, None))),
            TakenApproval::None => {
                self.record(tx, decision, leaf, None)?;
                Ok(Err(GateError::Escalated(escalation(None))))
            }
        }
    }

    fn record(
        &self,
        tx: &mut Tx<'_>,
        decision: &Decision,
        leaf: LeafDraft,
        approval: Option<ApprovalId>,
    ) -> Result<u64, JournalError> {
        self.record_verdict(tx, decision.verdict, leaf, approval)
    }

    fn record_verdict(
        &self,
        tx: &mut Tx<'_>,
        verdict: Verdict,
        leaf: LeafDraft,
        approval: Option<ApprovalId>,
    ) -> Result<u64, JournalError> {
        let is_dry = leaf.status.as_deref() == Some("dry_run");
        let leaf = tx.append_leaf(leaf)?;
        // A dry run's decision counts towards no limit: nothing was let through.
        if !is_dry {
            tx.put_decision(&NewDecision {
                seq: leaf.seq,
                run: self.ctx.run.clone(),
                workflow: self.ctx.workflow.clone(),
                world: self.ctx.world.clone(),
                operation: self.action.operation.clone(),
                access: self.spec.map_or(Access::Write, |spec| spec.access),
                verdict,
                approval,
                effect_key: self.action.effect.clone(),
                request: self.request.clone(),
            })?;
        }
        Ok(leaf.seq)
    }

    fn recorded(&self, tx: &mut Tx<'_>, effect: &Effect) -> Answer<Found> {
        let mut leaf =
            self.leaf(LeafKind::Outcome).status("recorded").with("done_by", effect.run.as_str());
        if self.action.effect.as_ref() != Some(&effect.key) {
            leaf = leaf.about(&effect.operation, Some(&effect.key), Some(&self.params_sha256));
            name_world(&mut leaf, &self.ctx.world);
        }
        if let Some(covering) = &effect.covered_by {
            leaf = leaf.with("covered_by", covering.as_str());
        }
        let value = effect.result.as_ref().map(Packed::unpack::<Value>).transpose()?;
        tx.append_leaf(leaf)?;
        Ok(Ok(Found::Recorded(Reply {
            value: value.unwrap_or_default(),
            effect: Some(EffectReply {
                key: effect.key.clone(),
                new: effect.run == self.ctx.run,
                covered_by: effect.covered_by.clone(),
            }),
        })))
    }

    /// An intent without an outcome, or that of the effect that covers it.
    fn open(
        &self,
        tx: &mut Tx<'_>,
        present: Effect,
        is_cover: bool,
    ) -> Result<Found, JournalError> {
        let asked = present.key.clone();
        let effect = match &present.covered_by {
            None => present,
            Some(covering) => tx.effect(&self.ctx.world, covering)?.ok_or_else(|| {
                JournalError::NotFound { kind: "effect", id: covering.to_string() }
            })?,
        };
        Ok(Found::Open(Box::new(Open { effect, asked, is_cover })))
    }

    fn tenure(&self) -> Option<Tenure> {
        Some(Tenure { run: self.ctx.run.clone(), epoch: self.ctx.epoch })
    }

    fn leaf(&self, kind: LeafKind) -> LeafDraft {
        let mut leaf = self.ctx.leaf(kind).about(
            &self.action.operation,
            self.action.effect.as_ref(),
            Some(&self.params_sha256),
        );
        name_world(&mut leaf, &self.ctx.world);
        leaf.lineage.clone_from(&self.action.lineage);
        leaf
    }
}

/// What a text takes in a list of a leaf at most: quotes, a comma, and what must be escaped.
fn json_bytes(text: &str) -> usize {
    let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    text.len() + escaped + 3
}

/// The leaf of a call that humans did not let through; one that the policy would permit by now
/// must not be taken for a PERMIT.
fn withheld(mut leaf: LeafDraft, status: &str) -> LeafDraft {
    if leaf.verdict == Some(arx_audit::Verdict::Permit) {
        leaf.verdict = Some(arx_audit::Verdict::Deny);
    }
    leaf.status(status)
}

/// A simulated effect has a name of its own in the log, so that no reader takes it for a real
/// one that happened twice.
pub(super) fn name_world(leaf: &mut LeafDraft, world: &arx_journal::World) {
    if world.scenario().is_none() {
        return;
    }
    if let Some(action) = &mut leaf.action
        && let Some(key) = &mut action.effect_key
    {
        *key = format!("{world}/{key}");
    }
}
