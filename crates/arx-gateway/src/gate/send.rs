//! Sending, settling and recording what became of it.

use std::sync::Arc;
use std::time::Duration;

use arx_audit::LeafKind;
use arx_journal::{JournalError, Packed, SettleOutcome, Settlement as Recorded, Tx};
use arx_types::{Digest, EffectState, OperationSpec};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::Gateway;
use super::admit::{Intent, name_world};
use crate::action::{Action, EffectReply, GateError, Reply, RunContext};
use crate::connector::{CallError, Settlement};
use crate::permit::Permit;
use crate::vendors::Vendor;

/// First pause between two looks at the vendor; doubles each time.
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(200);
/// The most characters of a vendor's words that are recorded.
const WHY_CHARS_MAX: usize = 4000;
/// Longest pause between two looks.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(5);

impl Gateway {
    pub(super) async fn read(
        &self,
        ctx: &Arc<RunContext>,
        action: &Arc<Action>,
        spec: Option<&'static OperationSpec>,
    ) -> Result<Reply, GateError> {
        let (permit, params_sha256) = self.admit_read(ctx, action, spec).await?;
        let vendor = self.vendor(&action.operation.connector)?;
        let now = self.journal.clock().now();
        let call = vendor.call(&permit, &action.params, action.findings.as_ref(), now);
        let result = vendor.connector.perform(call).await;
        let mut leaf =
            ctx.leaf(LeafKind::Outcome).about(&action.operation, None, Some(&params_sha256));
        leaf = leaf.with("decision", permit.decision_seq());
        let result = match result {
            Ok(value) => {
                let value = vendor.scrub_value(value);
                leaf = leaf.status("done").result(digest_of(&value));
                Ok(Reply { value, effect: None })
            }
            Err(error) => {
                let error = vendor.scrub_error(error);
                leaf = leaf.status("failed").with("error", short(error.to_string()));
                Err(GateError::Call(error))
            }
        };
        self.journal.try_write_unguarded(move |tx| tx.append_leaf(leaf).map(drop)).await?;
        result
    }

    /// Sends a write whose intent is on disk. `None` says that it provably did not happen and
    /// may be asked for again.
    pub(super) async fn write(
        &self,
        ctx: &Arc<RunContext>,
        action: &Action,
        permit: &Permit,
        intent: Arc<Intent>,
    ) -> Result<Option<Reply>, GateError> {
        let vendor = match self.vendor(&action.operation.connector) {
            Ok(vendor) => vendor,
            Err(error) => {
                let status = Outcome::Failed { why: error.to_string() };
                self.record_outcome(ctx, &intent, LeafKind::Outcome, status).await?;
                return Err(error);
            }
        };
        let call = vendor.call(permit, &action.params, None, intent.at);
        match vendor.connector.perform(call).await {
            Ok(value) => {
                let value = vendor.scrub_value(value);
                let outcome = Outcome::Done { value };
                self.record_outcome(ctx, &intent, LeafKind::Outcome, outcome).await.map(Some)
            }
            Err(CallError::OutcomeUnknown { message, .. }) => {
                let why = vendor.scrub(&message);
                self.settle(ctx, permit, intent, Some(why)).await
            }
            Err(
                error @ (CallError::Parameters { .. }
                | CallError::Configuration { .. }
                | CallError::Refused { .. }
                | CallError::Moved { .. }
                | CallError::Credential { .. }
                | CallError::Unreachable { .. }
                | CallError::Sink(_)),
            ) => {
                let error = vendor.scrub_error(error);
                let outcome = Outcome::Failed { why: error.to_string() };
                self.record_outcome(ctx, &intent, LeafKind::Outcome, outcome).await?;
                Err(GateError::Call(error))
            }
            // A reply that cannot be read may well be the reply to a write that happened.
            Err(CallError::Malformed { message, .. }) => {
                let why = vendor.scrub(&message);
                self.settle(ctx, permit, intent, Some(why)).await
            }
        }
    }

    /// Looks an intent of unknown outcome up at the vendor until it is known or `settle_for` is
    /// over. `None` says that it provably did not happen.
    ///
    /// INVARIANT (looking ends): a clock that is set back makes an intent look younger than it is,
    /// so the time that passes here is counted beside it.
    pub(super) async fn settle(
        &self,
        ctx: &Arc<RunContext>,
        permit: &Permit,
        intent: Arc<Intent>,
        after: Option<String>,
    ) -> Result<Option<Reply>, GateError> {
        let vendor = self.vendor(&intent.operation.connector)?;
        let deadline = intent.at
            + jiff::SignedDuration::try_from(vendor.settle_for)
                .unwrap_or(jiff::SignedDuration::MAX);
        let began = Instant::now();
        let mut pause = LOOK_AGAIN_FIRST;
        loop {
            let now = self.journal.clock().now();
            let last = now >= deadline || began.elapsed() >= vendor.settle_for;
            let looked = self.look(vendor, permit, &intent, now, last).await;
            let why = match looked {
                Ok(Settlement::Happened(value)) => {
                    let value = vendor.scrub_value(value);
                    let outcome = Outcome::Done { value };
                    return self
                        .record_outcome(ctx, &intent, LeafKind::Settle, outcome)
                        .await
                        .map(Some);
                }
                Ok(Settlement::Absent) => {
                    let mut why = "the vendor has no such record".to_owned();
                    if let Some(after) = &after {
                        why = format!("{after}; {why}");
                    }
                    let outcome = Outcome::Failed { why };
                    self.record_outcome(ctx, &intent, LeafKind::Settle, outcome).await?;
                    return Ok(None);
                }
                Ok(Settlement::Unknown { why }) => vendor.scrub(&why),
                Err(error) => vendor.scrub_error(error).to_string(),
            };
            if last {
                let why = after.map_or_else(|| why.clone(), |after| format!("{after}; {why}"));
                let outcome = Outcome::Unknown { why: why.clone() };
                self.record_outcome(ctx, &intent, LeafKind::Settle, outcome).await?;
                return Err(GateError::NeedsAttention { effect: intent.key.clone(), why });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_AGAIN_MAX);
        }
    }

    async fn look(
        &self,
        vendor: &Vendor,
        permit: &Permit,
        intent: &Intent,
        now: Timestamp,
        last: bool,
    ) -> Result<Settlement, CallError> {
        let call = vendor.call(permit, &intent.params, None, now);
        vendor.connector.settle(call, intent.at, last).await
    }

    async fn record_outcome(
        &self,
        ctx: &Arc<RunContext>,
        intent: &Arc<Intent>,
        kind: LeafKind,
        outcome: Outcome,
    ) -> Result<Reply, GateError> {
        let state = outcome.state();
        let mut settlement =
            Recorded { state, attempt: intent.attempt, result: None, detail: None };
        let mut result = None;
        let value = match outcome {
            Outcome::Done { value } => {
                result = Some(digest_of(&value));
                settlement.result = Some(Packed::json(&value)?);
                value
            }
            Outcome::Failed { why } | Outcome::Unknown { why } => {
                settlement.detail = Some(short(why));
                Value::Null
            }
        };
        let (ctx, of) = (Arc::clone(ctx), Arc::clone(intent));
        let outcome = Arc::new(OutcomeRecord { ctx, intent: of, kind, settlement, result });
        let recorded = Arc::clone(&outcome);
        let settled = self.journal.try_write_unguarded(move |tx| recorded.write(tx)).await?;
        if let SettleOutcome::Refused(present) = settled {
            // Someone else settled it meanwhile: a human, or another process.
            return match (present.state, present.result) {
                // Both found that it did not happen.
                (EffectState::Failed, _) if state == EffectState::Failed => {
                    Ok(Reply { value: Value::Null, effect: None })
                }
                (EffectState::Done, Some(result)) => Ok(Reply {
                    value: result.unpack()?,
                    effect: Some(EffectReply {
                        key: intent.asked.clone(),
                        new: false,
                        covered_by: None,
                    }),
                }),
                _ => Err(GateError::NeedsAttention {
                    effect: intent.key.clone(),
                    why: "it was settled by someone else at the same time".to_owned(),
                }),
            };
        }
        let covered_by = (intent.asked != intent.key).then(|| intent.key.clone());
        let effect = EffectReply { key: intent.asked.clone(), new: true, covered_by };
        Ok(Reply { value, effect: Some(effect) })
    }
}

/// What is recorded of an outcome. Shared with the journal's thread, as a case is.
struct OutcomeRecord {
    ctx: Arc<RunContext>,
    intent: Arc<Intent>,
    kind: LeafKind,
    settlement: Recorded,
    result: Option<Digest>,
}

impl OutcomeRecord {
    fn write(&self, tx: &mut Tx<'_>) -> Result<SettleOutcome, JournalError> {
        let intent = &self.intent;
        let mut leaf = self
            .ctx
            .leaf(self.kind)
            .about(&intent.operation, Some(&intent.key), Some(&intent.params_sha256))
            .status(self.settlement.state.as_str());
        name_world(&mut leaf, &self.ctx.world);
        leaf.lineage.clone_from(&intent.lineage);
        leaf.result_sha256 = self.result;
        if let Some(why) = &self.settlement.detail {
            leaf = leaf.with("why", why.as_str());
        }
        tx.settle_effect(&self.ctx.world, &intent.key, &self.settlement, leaf)
    }
}

/// What became of a write.
enum Outcome {
    Done { value: Value },
    Failed { why: String },
    Unknown { why: String },
}

impl Outcome {
    fn state(&self) -> EffectState {
        match self {
            Self::Done { .. } => EffectState::Done,
            Self::Failed { .. } => EffectState::Failed,
            Self::Unknown { .. } => EffectState::Unknown,
        }
    }
}

/// A vendor's words as a leaf takes them: however long they are, the outcome is recorded.
fn short(mut text: String) -> String {
    if let Some((cut, _)) = text.char_indices().nth(WHY_CHARS_MAX) {
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// A value that JSON holds has a canonical form; the digest of nothing stands for one that has
/// none, which cannot come out of a JSON parser.
fn digest_of(value: &Value) -> Digest {
    Digest::of_json(value).unwrap_or_else(|_| Digest::of_bytes(b""))
}
