//! Drives one run: plays the host's game, replays what is recorded, dispatches what is not.
//!
//! INVARIANT (one order): results reach the workflow one at a time, in the order of their
//! recorded positions, and only once recorded. A replay therefore sees what the first execution
//! saw.
//! INVARIANT (replay first): while recorded steps are unconsumed, no new call is dispatched, so
//! that a workflow that no longer matches its record stops before it acts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arx_audit::LeafKind;
use arx_gateway::{Escalation, Gateway, RunContext};
use arx_journal::{
    ApprovalState, Journal, JournalError, LeafDraft, Lease, NewAction, NewApproval,
    NotificationKind, Packed,
};
use arx_types::{Digest, RiskClass, RunStatus};
use arx_workflow::host::{CallId, Event, Host, HostError, HostOptions, Reply, Script};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::calls::{Calls, Finished};
use crate::engine::{Addresses, Engine, EngineError, LEASE_TTL, NewRun, RecordedStep, StepKey};
use crate::objects::Objects;
use crate::observer::Observer;
use crate::report::{Attention, AuditReport, Failure, Gathered, Report, time_saved};
use crate::{Workflow, approvals, notices};

/// Calls under way at once; the vendors' own limits are tighter.
const CALLS_MAX: usize = 64;
/// How often a process says that it is alive; several times within a lease, because a journal
/// under load answers late.
const RENEWED_EVERY: Duration = Duration::from_secs(LEASE_TTL.as_secs() / 4);
/// How long an interrupted run waits for calls under way to end.
const INTERRUPT_GRACE: Duration = Duration::from_millis(500);
/// The most steps that a mismatch report names on each side.
const MISMATCH_SHOWN_MAX: usize = 5;
/// The most actions that the leaf of a request lists; its digest commits to all of them.
const ACTIONS_LISTED_MAX: usize = 200;

/// Drives runs.
#[derive(Clone)]
pub struct Driver {
    /// The record.
    pub journal: Journal,
    /// Durability.
    pub engine: Arc<dyn Engine>,
    /// The gate of the workflow in this world.
    pub gateway: Arc<Gateway>,
    /// How the workflow's process is started.
    pub host: HostOptions,
    /// Who watches.
    pub observer: Arc<dyn Observer>,
}

/// Why a run could not be driven or its end not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The workflow cannot run, or its process failed before it did anything.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Durability is lost; nothing further was sent.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<JournalError> for RunError {
    fn from(error: JournalError) -> Self {
        Self::Engine(EngineError::Journal(error))
    }
}

/// A call that the workflow waits for.
struct Pending {
    id: CallId,
    key: StepKey,
    name: String,
    params: Map<String, Value>,
}

/// How the game ended.
enum Ending {
    Returned,
    Raised(Failure),
    Parked,
    Attention,
    Interrupted,
    Mismatch(Failure),
}

struct Session<'d> {
    driver: &'d Driver,
    run: &'d NewRun,
    lease: &'d Lease,
    host: Host,
    calls: Arc<Calls>,
    addresses: Addresses,
    /// Recorded steps that were not asked for yet.
    history: BTreeMap<StepKey, RecordedStep>,
    /// Recorded steps that were asked for, by position.
    replayable: BTreeMap<u64, (CallId, RecordedStep)>,
    /// Calls that wait until the record is consumed.
    held: Vec<Pending>,
    tasks: JoinSet<(Pending, Finished)>,
    recordings: JoinSet<Result<(CallId, RecordedStep), EngineError>>,
    /// Recorded results of this execution, by position.
    ready: BTreeMap<u64, (CallId, RecordedStep)>,
    next_position: u64,
    next_delivery: u64,
    waiting: Vec<Escalation>,
    gathered: Gathered,
}

impl Driver {
    /// Drives a run that was begun or resumed under this lease, from where its record ends, until
    /// it ends, parks, needs attention or is interrupted. The end is recorded and checkpointed,
    /// and the lease given up.
    ///
    /// # Errors
    /// When the workflow cannot be loaded, durability is lost, or another process took the run
    /// over.
    pub async fn drive(
        &self,
        run: &NewRun,
        lease: &Lease,
        workflow: &Workflow,
        mut interrupted: watch::Receiver<bool>,
    ) -> Result<Report, RunError> {
        let started_at = self
            .engine
            .started_at(&run.id)
            .await?
            .ok_or_else(|| EngineError::NoRun { run: run.id.clone() })?;
        let history = self.engine.history(&run.id).await?;
        let next_position = history.iter().map(|step| step.position + 1).max().unwrap_or(0);
        let now = started_at.to_string();
        let script = Script {
            file: &workflow.file,
            source: &workflow.source,
            config: &workflow.inputs,
            now: &now,
            objects: &workflow.objects,
            functions: &Objects::FUNCTIONS.map(str::to_owned),
        };
        let host = Host::start(&self.host, script).await?;
        let ctx = RunContext {
            run: run.id.clone(),
            epoch: lease.epoch,
            workflow: workflow.name.clone(),
            version: workflow.version,
            policy: Arc::clone(&workflow.policy),
            world: run.world.clone(),
            actor: run.actor.clone(),
            dry_run: run.dry_run,
        };
        let objects = Objects::new(self.journal.clone(), Arc::clone(&self.observer));
        let calls = Calls::new(Arc::clone(&self.gateway), ctx, objects, CALLS_MAX);
        let mut session = Session {
            driver: self,
            run,
            lease,
            host,
            calls: Arc::new(calls),
            addresses: Addresses::default(),
            history: history.into_iter().map(|step| (step.key, step)).collect(),
            replayable: BTreeMap::new(),
            held: Vec::new(),
            tasks: JoinSet::new(),
            recordings: JoinSet::new(),
            ready: BTreeMap::new(),
            next_position,
            next_delivery: next_position,
            waiting: Vec::new(),
            gathered: Gathered::default(),
        };
        let ending = tokio::select! {
            ending = session.play(&mut interrupted) => ending,
            error = self.stay_alive(lease) => Err(error.into()),
        };
        let ending = match ending {
            Ok(ending) => ending,
            Err(RunError::Host(
                error @ (HostError::Crashed { .. } | HostError::Protocol { .. }),
            )) => Ending::Raised(Failure {
                kind: "workflow process".to_owned(),
                message: error.to_string(),
                traceback: None,
                hint: None,
            }),
            Err(error) => return Err(error),
        };
        session.conclude(workflow, started_at, ending).await
    }

    /// Renews a lease until it is lost.
    async fn stay_alive(&self, lease: &Lease) -> EngineError {
        loop {
            tokio::time::sleep(RENEWED_EVERY).await;
            match self.engine.renew(lease).await {
                Ok(()) => {}
                Err(error @ EngineError::Journal(JournalError::Fenced { .. })) => return error,
                // Whatever cannot be recorded does not happen: every call finds that out itself.
                Err(error) => tracing::warn!(%error, "the lease of the run is not renewed"),
            }
        }
    }
}

impl Session<'_> {
    async fn play(&mut self, interrupted: &mut watch::Receiver<bool>) -> Result<Ending, RunError> {
        let mut blocked = false;
        // False once nobody is left to interrupt.
        let mut can_be_interrupted = true;
        loop {
            if *interrupted.borrow() {
                self.settle_down().await?;
                return Ok(Ending::Interrupted);
            }
            if blocked {
                if let Some((call, step)) = self.next_delivery() {
                    self.deliver(call, step).await?;
                    blocked = false;
                    continue;
                }
                if !self.history.is_empty() && self.nothing_under_way() {
                    return Ok(Ending::Mismatch(self.mismatch()));
                }
                for pending in std::mem::take(&mut self.held) {
                    self.dispatch(pending);
                }
                if self.nothing_under_way() {
                    return self.stand_still().await;
                }
            }
            tokio::select! {
                biased;
                changed = interrupted.changed(), if can_be_interrupted => {
                    if changed.is_err() {
                        can_be_interrupted = false;
                    }
                }
                event = self.host.next(), if !blocked => match event? {
                    Event::Call { id, name, params } => self.call(id, name, params),
                    Event::Blocked => blocked = true,
                    Event::Item(fields) => self.item(fields),
                    Event::Note(fields) => self.note(fields),
                    Event::Log { level, text } => self.log(&level, &text),
                    Event::Progress { done, total, label } => {
                        self.driver.observer.progress(&label, done, total);
                    }
                    Event::Done(_) => {
                        self.drain().await?;
                        if !self.history.is_empty() {
                            return Ok(Ending::Mismatch(self.mismatch()));
                        }
                        return Ok(Ending::Returned);
                    }
                    Event::Raised(raised) => {
                        self.drain().await?;
                        return Ok(Ending::Raised(Failure {
                            kind: raised.kind,
                            message: raised.message,
                            traceback: Some(raised.traceback),
                            hint: raised.hint,
                        }));
                    }
                },
                Some(finished) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.finished(finished)?;
                }
                Some(recorded) = self.recordings.join_next(), if !self.recordings.is_empty() => {
                    self.recorded(recorded)?;
                }
            }
        }
    }

    fn nothing_under_way(&self) -> bool {
        self.tasks.is_empty()
            && self.recordings.is_empty()
            && self.ready.is_empty()
            && self.replayable.is_empty()
    }

    fn call(&mut self, id: CallId, name: String, params: Map<String, Value>) {
        let key = self.addresses.next(&name, &params);
        if let Some(step) = self.history.remove(&key) {
            self.calls.remember(&name, &params, &step);
            self.replayable.insert(step.position, (id, step));
            return;
        }
        let pending = Pending { id, key, name, params };
        if self.history.is_empty() && self.replayable.is_empty() {
            self.dispatch(pending);
        } else {
            self.held.push(pending);
        }
    }

    fn dispatch(&mut self, pending: Pending) {
        let calls = Arc::clone(&self.calls);
        self.tasks.spawn(async move {
            let finished = calls.perform(&pending.name, &pending.params).await;
            (pending, finished)
        });
    }

    fn finished(
        &mut self,
        finished: Result<(Pending, Finished), tokio::task::JoinError>,
    ) -> Result<(), RunError> {
        let (pending, finished) = finished.map_err(|error| {
            RunError::from(JournalError::Panicked { reason: error.to_string() })
        })?;
        let (raised, payload) = match finished {
            Finished::Value(payload) => (false, payload),
            Finished::Raise { exception, message } => {
                let raised = json!({ "exception": exception.as_str(), "message": message });
                (true, raised.to_string())
            }
            Finished::Waiting(escalation) => {
                self.waiting.push(*escalation);
                return Ok(());
            }
            Finished::Attention { effect, why } => {
                self.gathered.needs_attention.push(Attention { effect, why });
                return Ok(());
            }
            Finished::Lost(error) => return Err(error.into()),
        };
        let step = RecordedStep {
            key: pending.key,
            position: self.next_position,
            operation: pending.name,
            raised,
            payload: payload.into(),
        };
        self.next_position += 1;
        let engine = Arc::clone(&self.driver.engine);
        let lease = self.lease.clone();
        self.recordings.spawn(async move {
            engine.record(&lease, step.clone()).await?;
            Ok((pending.id, step))
        });
        Ok(())
    }

    fn recorded(
        &mut self,
        recorded: Result<Result<(CallId, RecordedStep), EngineError>, tokio::task::JoinError>,
    ) -> Result<(), RunError> {
        let (call, step) = recorded.map_err(|error| {
            RunError::from(JournalError::Panicked { reason: error.to_string() })
        })??;
        self.ready.insert(step.position, (call, step));
        Ok(())
    }

    /// The result that the workflow gets next: the record's own order first.
    fn next_delivery(&mut self) -> Option<(CallId, RecordedStep)> {
        if let Some((_, replayed)) = self.replayable.pop_first() {
            return Some(replayed);
        }
        let next = self.ready.remove(&self.next_delivery)?;
        self.next_delivery += 1;
        Some(next)
    }

    async fn deliver(&mut self, call: CallId, step: RecordedStep) -> Result<(), RunError> {
        let reply = if step.raised {
            let payload: Value = serde_json::from_str(&step.payload).unwrap_or_default();
            let exception = exception_of(&payload);
            let message = payload.get("message").and_then(Value::as_str).unwrap_or_default();
            self.calls.tally_raise(&mut self.gathered, exception, &step.operation, message);
            Reply::Raise { exception, message: message.to_owned() }
        } else {
            Reply::Value(self.calls.reveal(&mut self.gathered, &step))
        };
        self.host.resolve(call, reply).await?;
        Ok(())
    }

    fn item(&mut self, fields: Map<String, Value>) {
        if let Some(id) = fields.get("id").and_then(Value::as_str) {
            self.gathered.notes.remove(id);
        }
        let item = Value::Object(fields);
        self.driver.observer.item(&item);
        self.gathered.items.push(item);
    }

    fn note(&mut self, fields: Map<String, Value>) {
        if let Some(id) = fields.get("id").and_then(Value::as_str) {
            self.gathered.notes.insert(id.to_owned(), fields);
        }
    }

    fn log(&mut self, level: &str, text: &str) {
        self.driver.observer.log(level, text);
        if matches!(level, "warning" | "error") {
            self.gathered.warnings.push(text.to_owned());
        }
    }

    /// Waits for calls under way, so that what they do is recorded; nobody awaits them.
    async fn drain(&mut self) -> Result<(), RunError> {
        while let Some(finished) = self.tasks.join_next().await {
            self.finished(finished)?;
        }
        while let Some(recorded) = self.recordings.join_next().await {
            self.recorded(recorded)?;
        }
        Ok(())
    }

    /// Gives calls under way a moment to end; what does not is settled when the run resumes.
    async fn settle_down(&mut self) -> Result<(), RunError> {
        if let Ok(drained) = tokio::time::timeout(INTERRUPT_GRACE, self.drain()).await {
            return drained;
        }
        self.tasks.abort_all();
        Ok(())
    }

    /// Every task of the workflow waits, and nothing is under way.
    async fn stand_still(&mut self) -> Result<Ending, RunError> {
        if !self.gathered.needs_attention.is_empty() {
            self.ask_for_approval().await?;
            return Ok(Ending::Attention);
        }
        if !self.waiting.is_empty() {
            self.ask_for_approval().await?;
            return Ok(Ending::Parked);
        }
        Ok(Ending::Raised(Failure {
            kind: "RuntimeError".to_owned(),
            message: "the workflow waits for something that nobody will ever answer".to_owned(),
            traceback: None,
            hint: Some("await only what a connector or `arx` returned".to_owned()),
        }))
    }

    /// Puts everything that waits and was not asked for yet to a human, as one request.
    async fn ask_for_approval(&mut self) -> Result<(), RunError> {
        let ctx = self.calls.context();
        let mut actions = Vec::new();
        let mut listed = Vec::new();
        let mut severity = RiskClass::Low;
        for escalation in self.waiting.iter().filter(|waiting| waiting.pending.is_none()) {
            listed.push(json!({
                "operation": escalation.action.operation.to_string(),
                "digest": escalation.digest.to_string(),
                "effect": escalation.action.effect,
            }));
            if let Some(risk) = &escalation.decision.risk {
                severity = severity.max(risk.class);
            }
            actions.push(NewAction {
                digest: escalation.digest,
                operation: escalation.action.operation.clone(),
                preview: Packed::json(&preview(escalation))?,
                effect_key: escalation.action.effect.clone(),
                risk: escalation.decision.risk.as_ref().map(Packed::json).transpose()?,
                reason: escalation.decision.reasons.join("; "),
            });
        }
        if actions.is_empty() {
            return Ok(());
        }
        let approvals = &ctx.policy.def().approvals;
        let now = self.driver.journal.clock().now();
        let expires = SignedDuration::try_from(approvals.expires.as_duration())
            .unwrap_or(SignedDuration::MAX);
        // Where the policy asks nobody, time asks nobody either.
        let escalate_to = match approvals.approvers.is_empty() {
            true => Vec::new(),
            false => approvals.escalate_to.clone(),
        };
        let after = SignedDuration::try_from(approvals.escalate_after.of(severity).as_duration())
            .unwrap_or(SignedDuration::MAX);
        let mut request = NewApproval {
            id: crate::calls::approval_id(now),
            run: self.run.id.clone(),
            workflow: ctx.workflow.clone(),
            requester: ctx.actor.clone(),
            approvers: approvals.approvers.clone(),
            quorum: approvals.quorum,
            expires_at: now + expires,
            severity,
            escalate_to,
            remind_at: None,
            escalate_at: None,
            actions,
        };
        let policy = ctx.policy.version().to_string();
        let leaf = LeafDraft::new(LeafKind::Approval, ctx.actor.as_str())
            .of_run(&ctx.run, &ctx.workflow, &ctx.version, &policy)
            .status("requested")
            .with("approval", request.id.as_str())
            .with("quorum", request.quorum)
            .with("approvers", request.approvers.clone())
            .with("severity", request.severity.as_str())
            .with("n_actions", listed.len())
            .with("actions_sha256", digest_of(&listed))
            .with("actions", listed.into_iter().take(ACTIONS_LISTED_MAX).collect::<Vec<_>>());
        let text = format!("{} waits for approval", request.id);
        let lease = self.lease.clone();
        self.driver
            .journal
            .write(move |tx| {
                tx.check_lease(&lease.run, lease.epoch)?;
                // The time to decide begins when the request is there to be seen.
                let now = tx.now();
                request.expires_at = now + expires;
                let escalates = !request.escalate_to.is_empty();
                (request.remind_at, request.escalate_at) =
                    approvals::deadlines(now, expires, after, escalates);
                tx.request_approval(&request)?;
                let leaf = leaf.with("expires_at", request.expires_at.to_string());
                tx.append_leaf(leaf)?;
                let (run, asked) = (tx.run(&request.run)?, tx.approval(&request.id)?);
                match run.zip(asked) {
                    Some((run, asked)) => {
                        let kind = NotificationKind::ApprovalRequested;
                        notices::of_approval(tx, kind, &run, &asked)
                    }
                    None => Ok(()),
                }
            })
            .await?;
        self.driver.observer.log("warning", &text);
        Ok(())
    }

    fn mismatch(&self) -> Failure {
        let name = |operations: Vec<&str>| {
            let more = operations.len().saturating_sub(MISMATCH_SHOWN_MAX);
            let mut shown = operations
                .iter()
                .take(MISMATCH_SHOWN_MAX)
                .map(|operation| format!("`{operation}`"))
                .collect::<Vec<_>>()
                .join(", ");
            if more > 0 {
                shown.push_str(&format!(" and {more} more"));
            }
            if shown.is_empty() { "nothing".to_owned() } else { shown }
        };
        let recorded = name(self.history.values().map(|step| step.operation.as_str()).collect());
        let asked = name(self.held.iter().map(|pending| pending.name.as_str()).collect());
        Failure {
            kind: "nondeterminism".to_owned(),
            message: format!(
                "the workflow does not repeat what is recorded: recorded and never asked for: \
                 {recorded}; asked for and not recorded: {asked}"
            ),
            traceback: None,
            hint: Some(
                "a workflow may depend on nothing but its inputs and what calls return".to_owned(),
            ),
        }
    }

    async fn conclude(
        mut self,
        workflow: &Workflow,
        started_at: jiff::Timestamp,
        ending: Ending,
    ) -> Result<Report, RunError> {
        let run = self.run.id.clone();
        let journal = &self.driver.journal;
        let status = match ending {
            Ending::Parked => RunStatus::Parked,
            Ending::Attention => RunStatus::NeedsAttention,
            Ending::Interrupted => RunStatus::Interrupted,
            Ending::Raised(failure) | Ending::Mismatch(failure) => {
                self.gathered.error = Some(failure);
                RunStatus::Failed
            }
            Ending::Returned => RunStatus::Succeeded,
        };
        let items = self.gathered.all_items();
        let id = run.clone();
        let (approvals, n_escalated) = journal
            .read(move |reader| {
                let asked = reader.approvals(Some(&id), None)?;
                let mut n_escalated = 0;
                for approval in &asked {
                    n_escalated += reader.approval_actions(&approval.id)?.len() as u64;
                }
                let pending = asked
                    .into_iter()
                    .filter(|approval| approval.state == ApprovalState::Pending)
                    .map(|approval| approval.id);
                Ok::<_, JournalError>((pending.collect::<Vec<_>>(), n_escalated))
            })
            .await?;
        let counts = self.gathered.counts(&items, n_escalated);
        let incomplete = !self.gathered.failed_reads.is_empty();
        let status = match status {
            // Whatever else happened, a human has to look.
            RunStatus::Succeeded | RunStatus::Failed
                if !self.gathered.needs_attention.is_empty() =>
            {
                RunStatus::NeedsAttention
            }
            RunStatus::Succeeded if counts.failed > 0 || incomplete => RunStatus::Failed,
            other => other,
        };
        let conservation = match status {
            RunStatus::Succeeded | RunStatus::Failed => self.gathered.conservation(&items),
            _ => None,
        };
        let mut warnings = std::mem::take(&mut self.gathered.warnings);
        let has_ended = matches!(status, RunStatus::Succeeded | RunStatus::Failed);
        if has_ended && self.gathered.error.is_none() && !self.gathered.tickets_add_up(&counts) {
            warnings.push("the tickets read and what became of them do not add up".to_owned());
        }
        if conservation.is_some_and(|conservation| !conservation.balanced) {
            warnings.push("the findings read and what became of them do not add up".to_owned());
        }
        let mut report = Report {
            run_id: run.clone(),
            workflow: workflow.name.clone(),
            version: workflow.version.to_string(),
            status,
            world: self.run.world.as_str().to_owned(),
            dry_run: self.run.dry_run,
            started_at,
            ended_at: journal.clock().now(),
            findings_read: self.gathered.merged.as_ref().map_or(0, |merged| merged.findings_read),
            sources: self.gathered.sources(),
            merged: self.gathered.merged.as_ref().map_or(0, |merged| {
                (merged.vulnerabilities.len() + merged.below_threshold.len()) as u64
            }),
            tickets_read: self.gathered.tickets_read,
            time_saved_minutes: if self.run.dry_run {
                0
            } else {
                time_saved(workflow.time_saved.as_ref(), &counts)
            },
            counts,
            conservation,
            items,
            warnings,
            needs_attention: std::mem::take(&mut self.gathered.needs_attention),
            approvals: approvals.iter().map(ToString::to_string).collect(),
            error: self.gathered.error.take(),
            audit: AuditReport::default(),
        };
        let mut detail = Map::new();
        detail.insert("counts".to_owned(), to_json(&report.counts));
        if let Some(conservation) = &report.conservation {
            detail.insert("conservation".to_owned(), to_json(conservation));
        }
        if let Some(error) = &report.error {
            detail.insert("error".to_owned(), json!(format!("{}: {}", error.kind, error.message)));
        }
        self.host.stop().await;
        self.driver.engine.conclude(self.lease, status, &to_json(&report), detail).await?;
        let checkpoint = journal.checkpoint().await?;
        report.audit = checkpoint.map_or_else(AuditReport::default, |checkpoint| AuditReport {
            leaves: checkpoint.size,
            // The third line of a checkpoint is the root hash (C2SP tlog-checkpoint).
            root: checkpoint.note.lines().nth(2).unwrap_or_default().to_owned(),
            checkpoint: checkpoint.note,
        });
        Ok(report)
    }
}

/// What a human is shown of a call, with what asked for it.
fn preview(escalation: &Escalation) -> Value {
    let mut preview = to_json(&escalation.action);
    if let Value::Object(fields) = &mut preview {
        fields.insert("rule".to_owned(), json!(escalation.decision.rule));
        fields.insert("reasons".to_owned(), json!(escalation.decision.reasons));
    }
    preview
}

/// The digest of a list that is too long to stand in a leaf.
fn digest_of(listed: &[Value]) -> String {
    Digest::of_json(&listed).unwrap_or_else(|_| Digest::of_bytes(b"")).to_string()
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn exception_of(payload: &Value) -> arx_workflow::host::Exception {
    use arx_workflow::host::Exception;
    let name = payload.get("exception").and_then(Value::as_str).unwrap_or_default();
    [
        Exception::PermissionError,
        Exception::TimeoutError,
        Exception::OSError,
        Exception::ValueError,
        Exception::RuntimeError,
    ]
    .into_iter()
    .find(|exception| exception.as_str() == name)
    .unwrap_or(Exception::RuntimeError)
}
