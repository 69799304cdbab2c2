//! What a workflow's calls mean: connectors go through the gate, `arx.*` are the host's objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use arx_gateway::{Action, CallError, EffectReply, GateError, Gateway, RunContext};
use arx_types::{ApprovalId, Digest, EffectKey, FindingSink, Operation, Target};
use arx_workflow::host::Exception;
use jiff::Timestamp;
use rand::Rng as _;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::engine::{EngineError, RecordedStep};
use crate::objects::{EVIDENCE, Objects};
use crate::report::Gathered;

/// The operation whose result is a dataset and not a value.
const FINDINGS_READ: &str = "findings:read";

/// Warnings of one run beyond which those of its items are left out.
const WARNINGS_MAX: usize = 50;

/// Answers a workflow's calls.
pub(crate) struct Calls {
    gateway: Arc<Gateway>,
    ctx: Arc<RunContext>,
    objects: Objects,
    under_way: Semaphore,
}

/// How one call ended.
pub(crate) enum Finished {
    /// With a value, as JSON text.
    Value(String),
    /// With an exception.
    Raise { exception: Exception, message: String },
    /// It waits for a human; the workflow's task stands still.
    Waiting(Box<arx_gateway::Escalation>),
    /// Its outcome is unknown; the workflow's task stands still.
    Attention { effect: String, why: String },
    /// The record could not be kept: the run stops.
    Lost(EngineError),
}

impl Calls {
    pub(crate) fn new(
        gateway: Arc<Gateway>,
        ctx: RunContext,
        objects: Objects,
        calls_max: usize,
    ) -> Self {
        Self { gateway, ctx: Arc::new(ctx), objects, under_way: Semaphore::new(calls_max) }
    }

    pub(crate) fn context(&self) -> &RunContext {
        &self.ctx
    }

    /// Performs a call that is not recorded yet.
    pub(crate) async fn perform(&self, name: &str, params: &Map<String, Value>) -> Finished {
        let Ok(_place) = self.under_way.acquire().await else {
            return raise(Exception::RuntimeError, "the run is ending");
        };
        match name {
            "arx.merge" => self.merge(params).await,
            "arx.episodes" => match self.objects.episodes(&self.ctx, params).await {
                Ok(payload) => Finished::Value(payload),
                Err(error) => error.into(),
            },
            "arx.verify" => match self.objects.verify(&self.ctx, params).await {
                Ok(payload) => Finished::Value(payload),
                Err(error) => error.into(),
            },
            _ => self.connector(name, params).await,
        }
    }

    async fn merge(&self, params: &Map<String, Value>) -> Finished {
        // After a crash the findings are gone although their reads are recorded; a read changes
        // nothing, so it is made again, and the workflow, which saw only a handle, cannot tell.
        for (handle, operation, params) in self.objects.lost_datasets(params) {
            let read = self.read_findings(&operation, &params, &handle).await;
            if !matches!(read, Finished::Value(_)) {
                return read;
            }
        }
        match self.objects.merge(&self.ctx, params).await {
            Ok(payload) => Finished::Value(payload),
            Err(error) => error.into(),
        }
    }

    async fn connector(&self, name: &str, params: &Map<String, Value>) -> Finished {
        let operation: Operation = match name.parse() {
            Ok(operation) => operation,
            Err(error) => return raise(Exception::ValueError, &format!("{error}")),
        };
        if operation.name == FINDINGS_READ && self.gateway.operation(&operation).is_some() {
            let handle = self.objects.new_handle(&operation.connector);
            return self.read_findings(&operation, &Value::Object(params.clone()), &handle).await;
        }
        let action = match self.action(operation, params.clone()) {
            Ok(action) => action,
            Err(message) => return raise(Exception::ValueError, &message),
        };
        match self.gateway.call(&self.ctx, action).await {
            Ok(reply) => Finished::Value(with_effect(reply.value, reply.effect).to_string()),
            Err(error) => self.failed(error),
        }
    }

    async fn read_findings(&self, operation: &Operation, params: &Value, handle: &str) -> Finished {
        let sink = self.objects.open_dataset(&self.ctx, &operation.connector);
        let findings: Arc<dyn FindingSink> = sink.clone();
        let action = Action {
            operation: operation.clone(),
            params: params.clone(),
            target: Target::None,
            effect: None,
            covers: Vec::new(),
            lineage: Vec::new(),
            findings: Some(findings),
        };
        let called = self.gateway.call(&self.ctx, action).await;
        let is_optional = self.gateway.is_optional(&operation.connector);
        let mut warnings = Value::Null;
        let (complete, why, failed) = match called {
            Ok(mut reply) => {
                if let Some(told) = reply.value.get_mut("warnings") {
                    warnings = told.take();
                }
                let complete = reply.value.get("complete").and_then(Value::as_bool) == Some(true);
                let why = reply.value.get("why").and_then(Value::as_str).map(str::to_owned);
                (complete, why, !complete && !is_optional)
            }
            Err(
                error @ (GateError::Unavailable { .. }
                | GateError::Call(
                    CallError::Unreachable { .. }
                    | CallError::Credential { .. }
                    | CallError::Refused { .. }
                    | CallError::Malformed { .. },
                )),
            ) if is_optional => (false, Some(error.to_string()), false),
            Err(error) => return self.failed(error),
        };
        let n_findings = sink.n_findings();
        if let Err(error) = self.objects.close_dataset(handle, sink, complete).await {
            return error.into();
        }
        self.objects.remember_read(handle, operation.clone(), params.clone());
        self.objects.observer().read_ended(&operation.connector, n_findings, complete);
        let read = json!({
            "$dataset": handle,
            "source": operation.connector,
            "complete": complete,
            "why": why,
            "failed": failed,
            "warnings": warnings,
        });
        Finished::Value(read.to_string())
    }

    fn action(
        &self,
        operation: Operation,
        mut params: Map<String, Value>,
    ) -> Result<Action, String> {
        let target = match params.remove("target") {
            None | Some(Value::Null) => Target::Unknown,
            Some(Value::String(text)) => text.parse()?,
            Some(_) => return Err("`target` must be a string".to_owned()),
        };
        let key = |value: &Value| -> Result<EffectKey, String> {
            let text = value.as_str().ok_or("an effect key must be a string")?;
            text.parse().map_err(|error| format!("{error}"))
        };
        let mut covers = match params.remove("covers") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(keys)) => keys.iter().map(key).collect::<Result<Vec<_>, _>>()?,
            Some(_) => return Err("`covers` must be a list of effect keys".to_owned()),
        };
        // Named twice is meant once.
        let mut named = BTreeSet::new();
        covers.retain(|key| named.insert(key.clone()));
        let effect = match params.remove("effect") {
            None | Some(Value::Null) => self.group_key(&covers)?,
            Some(value) => Some(key(&value)?),
        };
        let lineage = self.objects.lineage_of(effect.iter().chain(&covers));
        Ok(Action {
            operation,
            params: Value::Object(params),
            target,
            effect,
            covers,
            lineage,
            findings: None,
        })
    }

    /// The key of one write for several effects: the same set always has the same key.
    fn group_key(&self, covers: &[EffectKey]) -> Result<Option<EffectKey>, String> {
        let Some(first) = covers.first() else { return Ok(None) };
        let mut sorted: Vec<&str> = covers.iter().map(EffectKey::as_str).collect();
        sorted.sort_unstable();
        let digest = Digest::of_bytes(sorted.join("\n").as_bytes()).short();
        let what = first.as_str().rsplit('/').next().unwrap_or("effect");
        let text = format!("{}/group/{digest}/{what}", self.ctx.workflow);
        text.parse().map(Some).map_err(|error| format!("{error}"))
    }

    fn failed(&self, error: GateError) -> Finished {
        let message = error.to_string();
        match error {
            GateError::Denied { .. } | GateError::Refused { .. } => {
                raise(Exception::PermissionError, &message)
            }
            GateError::Escalated(escalation) => Finished::Waiting(escalation),
            GateError::Expired { .. } => raise(Exception::TimeoutError, &message),
            GateError::NeedsAttention { effect, why } => {
                Finished::Attention { effect: effect.to_string(), why }
            }
            GateError::Unavailable { .. } => raise(Exception::OSError, &message),
            GateError::Journal(error) => Finished::Lost(EngineError::Journal(error)),
            GateError::Call(error) => match error {
                CallError::Parameters { .. }
                | CallError::Configuration { .. }
                | CallError::Refused { .. } => raise(Exception::ValueError, &message),
                // Nothing is wrong: somebody else was faster, and the workflow says so.
                CallError::Moved { message, .. } => {
                    Finished::Value(json!({ "left_alone": message }).to_string())
                }
                CallError::Credential { .. }
                | CallError::Unreachable { .. }
                | CallError::Malformed { .. }
                | CallError::Sink(_) => raise(Exception::OSError, &message),
                CallError::OutcomeUnknown { .. } => raise(Exception::RuntimeError, &message),
            },
        }
    }

    /// Takes note of a recorded call that a replay asked for.
    pub(crate) fn remember(&self, name: &str, params: &Map<String, Value>, step: &RecordedStep) {
        if name == "arx.merge" && !step.raised {
            self.objects.remember_merge(params, &step.payload);
        }
        let Ok(operation) = name.parse::<Operation>() else { return };
        if operation.name != FINDINGS_READ || step.raised {
            return;
        }
        let payload: Value = serde_json::from_str(&step.payload).unwrap_or_default();
        if let Some(handle) = payload.get("$dataset").and_then(Value::as_str) {
            self.objects.remember_read(handle, operation, Value::Object(params.clone()));
        }
    }

    /// What the workflow gets to see of a recorded result; also feeds the report.
    pub(crate) fn reveal(&self, gathered: &mut Gathered, step: &RecordedStep) -> Value {
        match step.operation.as_str() {
            "arx.merge" => self.objects.reveal_merge(gathered, &step.payload),
            "arx.episodes" => self.objects.reveal_episodes(gathered, &step.payload),
            "arx.verify" => self.objects.reveal_verification(gathered, &step.payload),
            operation => {
                let payload: Value = serde_json::from_str(&step.payload).unwrap_or_default();
                if let Some(handle) = payload.get("$dataset") {
                    return self.reveal_dataset(gathered, handle, &payload);
                }
                if payload.get(EVIDENCE).is_some_and(Value::is_string) {
                    let (source, _) = operation.split_once('.').unwrap_or((operation, ""));
                    return self.objects.reveal_evidence(gathered, source, &step.payload, payload);
                }
                self.warn(gathered, operation, &payload);
                payload
            }
        }
    }

    /// A workflow sees nothing of a dataset but its handle: a read that is made again after a
    /// crash may find another number of findings.
    fn reveal_dataset(&self, gathered: &mut Gathered, handle: &Value, payload: &Value) -> Value {
        let text = |field: &str| payload.get(field).and_then(Value::as_str).map(str::to_owned);
        let source = text("source").unwrap_or_default();
        if payload.get("complete").and_then(Value::as_bool) == Some(false) {
            let why = text("why").unwrap_or_else(|| "it ended early".to_owned());
            let line = format!("{source} was not read to its end, so no episode closes: {why}");
            self.objects.observer().log("warning", &line);
            gathered.warnings.push(line);
            gathered.why_incomplete.insert(source.clone(), why);
        }
        let warnings = payload.get("warnings").and_then(Value::as_array);
        for text in warnings.into_iter().flatten().filter_map(Value::as_str) {
            let line = format!("{source}: {text}");
            self.objects.observer().log("warning", &line);
            gathered.warnings.push(line);
        }
        if payload.get("failed").and_then(Value::as_bool) == Some(true) {
            gathered.failed_reads.push(source.clone());
        }
        json!({ "$dataset": handle, "source": source })
    }

    /// What a vendor could not take as it was asked, such as a priority that an account does not
    /// have, is told once for all items; what an earlier run did was told by that run.
    fn warn(&self, gathered: &mut Gathered, operation: &str, payload: &Value) {
        if payload.pointer("/effect/new").and_then(Value::as_bool) != Some(true) {
            return;
        }
        let warnings = payload.get("warnings").and_then(Value::as_array);
        for text in warnings.into_iter().flatten().filter_map(Value::as_str) {
            let line = format!("{operation}: {text}");
            if gathered.warnings.len() < WARNINGS_MAX && !gathered.warnings.contains(&line) {
                self.objects.observer().log("warning", &line);
                gathered.warnings.push(line);
            }
        }
    }

    pub(crate) fn tally_raise(
        &self,
        gathered: &mut Gathered,
        exception: Exception,
        operation: &str,
        message: &str,
    ) {
        match exception {
            Exception::PermissionError | Exception::TimeoutError => gathered.n_denied += 1,
            Exception::OSError | Exception::ValueError | Exception::RuntimeError => {}
        }
        self.objects.observer().log("debug", &format!("{operation}: {message}"));
    }
}

/// An identifier for a new request.
pub(crate) fn approval_id(now: Timestamp) -> ApprovalId {
    ApprovalId::from_parts(u64::try_from(now.as_millisecond()).unwrap_or(0), rand::rng().random())
}

pub(crate) fn raise(exception: Exception, message: &str) -> Finished {
    Finished::Raise { exception, message: message.to_owned() }
}

/// A connector's value together with what became of the effect.
fn with_effect(value: Value, effect: Option<EffectReply>) -> Value {
    let Some(effect) = effect else { return value };
    let effect = json!({
        "key": effect.key,
        "new": effect.new,
        "covered_by": effect.covered_by,
    });
    match value {
        Value::Object(mut fields) => {
            fields.insert("effect".to_owned(), effect);
            Value::Object(fields)
        }
        other => json!({ "value": other, "effect": effect }),
    }
}
