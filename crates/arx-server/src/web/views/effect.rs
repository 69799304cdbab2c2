//! Effects: what was done at vendors, and what a human must say of.

use arx_journal::{Effect, EffectCursor, EffectPage, JournalError, Packed, Reader};
use arx_types::EffectState;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Page;
use crate::web::Problem;
use crate::web::times::At;

/// Effects needing a human that one answer holds.
pub(crate) const ATTENTION_MAX: usize = 500;

/// An effect.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EffectView {
    /// What it is, across runs.
    pub(crate) effect: String,
    /// Where it happens.
    pub(crate) world: String,
    /// `intended`, `done`, `failed` or `unknown`.
    pub(crate) state: String,
    /// What was called.
    pub(crate) operation: String,
    /// The run that intended it last.
    pub(crate) run: String,
    /// That run's workflow.
    pub(crate) workflow: String,
    /// How many times it was intended.
    pub(crate) attempts: u32,
    /// The effect that stands for this one.
    pub(crate) covered_by: Option<String>,
    /// When it was last intended.
    pub(crate) intended_at: At,
    /// The place of that intent in the audit log.
    pub(crate) intent_seq: u64,
    /// When it was last settled.
    pub(crate) settled_at: Option<At>,
    /// The place of that settlement in the audit log.
    pub(crate) outcome_seq: Option<u64>,
    /// Why it failed or is unknown, or who decided what.
    pub(crate) detail: Option<String>,
    /// What was sent, redacted.
    #[schema(value_type = Option<Object>)]
    pub(crate) params: Option<Value>,
    /// What the vendor answered, redacted.
    #[schema(value_type = Option<Object>)]
    pub(crate) result: Option<Value>,
}

impl EffectView {
    pub(crate) fn of(effect: &Effect) -> Self {
        let unpacked = |packed: &Packed| packed.unpack::<Value>().ok();
        Self {
            effect: effect.key.to_string(),
            world: effect.world.to_string(),
            state: effect.state.as_str().to_owned(),
            operation: effect.operation.to_string(),
            run: effect.run.to_string(),
            workflow: effect.workflow.clone(),
            attempts: effect.attempts,
            covered_by: effect.covered_by.as_ref().map(ToString::to_string),
            intended_at: effect.intent_at.into(),
            intent_seq: effect.intent_seq,
            settled_at: effect.settled_at.map(At),
            outcome_seq: effect.outcome_seq,
            detail: effect.detail.clone(),
            params: unpacked(&effect.params).filter(|params| !params.is_null()),
            result: effect.result.as_ref().and_then(unpacked),
        }
    }

    /// The vendor's address of what was made.
    pub(crate) fn url(&self) -> Option<&str> {
        self.result.as_ref()?.get("url")?.as_str().and_then(crate::web::text::link)
    }
}

/// A page of effects, newest intent first.
pub(crate) fn list(
    reader: &Reader<'_>,
    mut asked: EffectPage,
) -> Result<Page<EffectView>, JournalError> {
    let limit = asked.limit;
    asked.limit += 1;
    let found = reader.effects_page(&asked)?;
    let page = Page::cut(found, limit, |effect| format!("{}~{}", effect.intent_seq, effect.key));
    Ok(page.map(|effect| EffectView::of(&effect)))
}

/// The state that a word names.
pub(crate) fn state(word: &str) -> Result<EffectState, Problem> {
    let wrong = || Problem::unprocessable("that is no state of an effect");
    EffectState::parse(word).ok_or_else(wrong)
}

/// The place that a cursor names.
pub(crate) fn cursor(text: &str) -> Result<EffectCursor, Problem> {
    let wrong = || Problem::unprocessable("the cursor is not one of an earlier answer");
    let (seq, key) = text.split_once('~').ok_or_else(wrong)?;
    Ok(EffectCursor {
        intent_seq: seq.parse().map_err(|_| wrong())?,
        key: key.parse().map_err(|_| wrong())?,
    })
}

/// The effects that a human must settle.
pub(crate) fn attention(reader: &Reader<'_>) -> Result<Vec<EffectView>, JournalError> {
    let found = reader.first_effects_needing_attention(ATTENTION_MAX)?;
    Ok(found.iter().map(EffectView::of).collect())
}
