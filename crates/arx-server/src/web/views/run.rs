//! Runs, their steps, decisions and items.

use arx_engine::start;
use arx_journal::{
    DecisionFilter, JournalError, Packed, Reader, RecordedDecision, Run, RunFilter, StepHead,
    StepOutcome, World,
};
use arx_types::{RunId, RunStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Page;
use crate::web::Problem;
use crate::web::times::At;

/// The status that a word names.
pub(crate) fn status(word: &str) -> Result<RunStatus, Problem> {
    let wrong = || Problem::unprocessable("that is no status of a run");
    RunStatus::parse(word).ok_or_else(wrong)
}

/// What a list shows of a run's report.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Figures {
    /// Distinct findings of all sources.
    pub(crate) findings_read: u64,
    /// Distinct vulnerabilities.
    pub(crate) merged: u64,
    /// Tickets that waited for verification.
    pub(crate) tickets_read: Option<u64>,
    /// What became of the items.
    pub(crate) counts: Counts,
    /// Items in the report.
    pub(crate) n_items: u64,
    /// Warnings in the report.
    pub(crate) n_warnings: u64,
    /// Why the run failed as a whole.
    pub(crate) error: Option<String>,
}

/// How many items ended in which way.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct Counts {
    /// Incidents opened for one vulnerability.
    pub(crate) paged: u64,
    /// Vulnerabilities named in a grouped incident.
    pub(crate) grouped: u64,
    /// Tickets opened.
    pub(crate) ticketed: u64,
    /// Vulnerabilities whose episode was paged before.
    pub(crate) already_open: u64,
    /// Vulnerabilities that do not qualify.
    pub(crate) below_threshold: u64,
    /// Items that failed.
    pub(crate) failed: u64,
    /// Tickets closed as verified.
    pub(crate) verified: u64,
    /// Tickets flagged for re-patching.
    pub(crate) flagged: u64,
    /// Tickets without enough evidence.
    pub(crate) inconclusive: u64,
    /// Calls that the gate or a human denied.
    pub(crate) denied: u64,
    /// Calls that were put to a human.
    pub(crate) escalated: u64,
}

impl Counts {
    /// Those that are not zero, with their words, in the order in which people want them.
    pub(crate) fn shown(&self) -> Vec<(&'static str, u64)> {
        [
            ("paged", self.paged),
            ("grouped", self.grouped),
            ("ticketed", self.ticketed),
            ("verified", self.verified),
            ("flagged", self.flagged),
            ("inconclusive", self.inconclusive),
            ("already open", self.already_open),
            ("below threshold", self.below_threshold),
            ("escalated", self.escalated),
            ("denied", self.denied),
            ("failed", self.failed),
        ]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect()
    }
}

/// A run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RunView {
    /// Its identifier.
    #[schema(example = "run_01J9ZQ0000000000000000000A")]
    pub(crate) id: String,
    /// Its workflow.
    pub(crate) workflow: String,
    /// The digest of the bundle that it runs.
    pub(crate) version: String,
    /// The digest of the policy that it runs under.
    pub(crate) policy_version: String,
    /// `live`, or `simulate:<scenario>`.
    pub(crate) world: String,
    /// `running`, `parked`, `succeeded`, `failed`, `needs_attention`, `interrupted` or
    /// `cancelled`.
    pub(crate) status: String,
    /// Whether writes are only decided.
    pub(crate) dry_run: bool,
    /// Who started it.
    pub(crate) actor: String,
    /// When it started.
    pub(crate) started_at: At,
    /// When it ended, if it has.
    pub(crate) ended_at: Option<At>,
    /// Minutes that it saved a person, by the workflow's own estimate.
    pub(crate) minutes_saved: u64,
    /// What it reports, in figures.
    pub(crate) figures: Option<Figures>,
}

impl RunView {
    pub(crate) fn of(run: &Run) -> Self {
        Self {
            id: run.id.to_string(),
            workflow: run.workflow.clone(),
            version: run.version.to_string(),
            policy_version: run.policy_version.clone(),
            world: run.world.to_string(),
            status: run.status.as_str().to_owned(),
            dry_run: start::is_dry(run),
            actor: run.actor.clone(),
            started_at: run.started_at.into(),
            ended_at: run.ended_at.map(At),
            minutes_saved: run.minutes_saved,
            // Figures that cannot be read are shown as none; `verify` is what tells of damage.
            figures: run.figures.as_ref().and_then(|figures| figures.unpack().ok()),
        }
    }

    /// Its status as the type has it.
    pub(crate) fn state(&self) -> Option<RunStatus> {
        RunStatus::parse(&self.status)
    }
}

/// Which runs to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) workflow: Option<String>,
    pub(crate) status: Option<RunStatus>,
    pub(crate) world: Option<World>,
    pub(crate) before: Option<RunId>,
    pub(crate) limit: usize,
}

/// A page of runs, newest first.
pub(crate) fn list(reader: &Reader<'_>, asked: &Asked) -> Result<Page<RunView>, JournalError> {
    let runs = reader.runs(&RunFilter {
        workflow: asked.workflow.clone(),
        world: asked.world.clone(),
        status: asked.status,
        before: asked.before.clone(),
        limit: asked.limit + 1,
    })?;
    let page = Page::cut(runs, asked.limit, |run| run.id.to_string());
    Ok(page.map(|run| RunView::of(&run)))
}

/// A run with everything that is said of it as a whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub(crate) run: RunView,
    /// `config` as the workflow sees it.
    #[schema(value_type = Object)]
    pub(crate) inputs: Value,
    /// What each source gave.
    pub(crate) sources: Vec<Source>,
    /// What the reader should know although nothing failed.
    pub(crate) warnings: Vec<String>,
    /// Effects that a human must decide.
    pub(crate) needs_attention: Vec<Attention>,
    /// Why the run failed as a whole.
    pub(crate) error: Option<Failure>,
    /// Every finding read, by what became of its vulnerability.
    #[schema(value_type = Option<Object>)]
    pub(crate) conservation: Option<Value>,
    /// Requests for approval that it made.
    pub(crate) approvals: Vec<String>,
    /// Who drives it now, if anybody.
    pub(crate) owner: Option<String>,
    /// Steps recorded so far.
    pub(crate) n_steps: u64,
}

/// What one source gave.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Source {
    /// Its name.
    pub(crate) source: String,
    /// Distinct findings.
    pub(crate) findings_read: u64,
    /// Whether it was read to its end.
    pub(crate) complete: bool,
    /// Why not.
    pub(crate) why: Option<String>,
}

/// An effect that a human must decide.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Attention {
    /// Its key.
    pub(crate) effect: String,
    /// What was looked at.
    pub(crate) why: String,
}

/// Why a run failed as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Failure {
    /// Class of the exception, or of ARX's own error.
    pub(crate) kind: String,
    /// What went wrong.
    pub(crate) message: String,
    /// Where in the workflow.
    pub(crate) traceback: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

/// What of a report is read; items apart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    pub(crate) sources: Vec<Source>,
    pub(crate) warnings: Vec<String>,
    pub(crate) needs_attention: Vec<Attention>,
    pub(crate) error: Option<Failure>,
    pub(crate) conservation: Option<Value>,
    pub(crate) items: Vec<Value>,
}

/// A run's report; an empty one where it has none yet.
pub(crate) fn told(reader: &Reader<'_>, id: &RunId) -> Result<Told, JournalError> {
    let report = reader.report(id)?.as_ref().map(Packed::unpack).transpose()?;
    Ok(report.unwrap_or_default())
}

/// A run with what is said of it as a whole.
pub(crate) fn detail(
    reader: &Reader<'_>,
    id: &RunId,
) -> Result<Option<(RunDetail, Told)>, JournalError> {
    let Some(run) = reader.run(id)? else { return Ok(None) };
    let told = told(reader, id)?;
    let approvals = reader.approvals(Some(id), None)?;
    let detail = RunDetail {
        inputs: run.inputs.unpack().unwrap_or_default(),
        sources: told.sources.clone(),
        warnings: told.warnings.clone(),
        needs_attention: told.needs_attention.clone(),
        error: told.error.clone(),
        conservation: told.conservation.clone(),
        approvals: approvals.iter().map(|approval| approval.id.to_string()).collect(),
        owner: run.lease.as_ref().map(|lease| lease.owner.clone()),
        n_steps: reader.step_progress(id)?.0,
        run: RunView::of(&run),
    };
    Ok(Some((detail, told)))
}

/// A step of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StepView {
    /// Its place in the order of delivery, from 0.
    pub(crate) position: u64,
    /// What was called.
    pub(crate) operation: String,
    /// Whether the workflow got an exception.
    pub(crate) raised: bool,
    /// When it was recorded.
    pub(crate) at: At,
}

impl StepView {
    pub(crate) fn of(step: StepHead) -> Self {
        Self {
            position: step.position,
            operation: step.operation,
            raised: step.outcome == StepOutcome::Raised,
            at: step.at.into(),
        }
    }
}

/// What the gate answered to one call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DecisionView {
    /// The place of its leaf in the audit log.
    pub(crate) seq: u64,
    /// The run.
    pub(crate) run: String,
    /// What was asked for.
    pub(crate) operation: String,
    /// `PERMIT`, `ESCALATE` or `DENY`.
    pub(crate) verdict: String,
    /// The approval that let an escalated call through.
    pub(crate) approval: Option<String>,
    /// What the write is, across runs.
    pub(crate) effect: Option<String>,
    /// When.
    pub(crate) at: At,
}

impl DecisionView {
    fn of(recorded: RecordedDecision) -> Self {
        let decision = recorded.decision;
        Self {
            seq: decision.seq,
            run: decision.run.to_string(),
            operation: decision.operation.to_string(),
            verdict: decision.verdict.as_str().to_owned(),
            approval: decision.approval.map(|id| id.to_string()),
            effect: decision.effect_key.map(|key| key.to_string()),
            at: recorded.at.into(),
        }
    }
}

/// A page of a run's decisions, oldest first.
pub(crate) fn decisions(
    reader: &Reader<'_>,
    run: &RunId,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<DecisionView>, JournalError> {
    let filter =
        DecisionFilter { run: Some(run.clone()), after, limit: limit + 1, ..Default::default() };
    let found = reader.decisions(&filter)?;
    let page = Page::cut(found, limit, |recorded| recorded.decision.seq.to_string());
    Ok(page.map(DecisionView::of))
}

/// A page of a run's steps, in the order of delivery.
pub(crate) fn steps(
    reader: &Reader<'_>,
    run: &RunId,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<StepView>, JournalError> {
    let found = reader.step_heads(run, after, limit + 1)?;
    let page = Page::cut(found, limit, |step| step.position.to_string());
    Ok(page.map(StepView::of))
}

/// A text of an item.
pub(crate) fn field<'v>(item: &'v Value, name: &str) -> &'v str {
    item.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The words of how an item ended.
pub(crate) fn outcomes(item: &Value) -> Vec<&str> {
    let words = item.get("outcomes").and_then(Value::as_array).into_iter().flatten();
    words.filter_map(Value::as_str).collect()
}
