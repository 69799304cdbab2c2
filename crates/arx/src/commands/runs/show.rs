//! `arx runs show`: the record of one run as people read it.

use std::process::ExitCode;

use arx_audit::{Leaf, LeafKind};
use arx_engine::start;
use arx_journal::{
    Approval, Effect, JournalError, LeafFilter, Reader, Run, Step, StepOutcome, StoredLeaf,
};
use arx_types::{EffectState, RunId};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::{Paint, printable, printable_lines};
use crate::summary::{self, field, outcomes, shortened};

/// Lines of the record, items and effects shown without `--all`.
const SHOWN_MAX: usize = 60;
/// Leaves of one run that are read at most.
const LEAVES_MAX: usize = 1_000_000;
/// The longest title shown, in characters.
const TITLE_CHARS_MAX: usize = 60;

/// Everything that is recorded of a run.
struct Record {
    run: Run,
    report: Value,
    leaves: Vec<StoredLeaf>,
    steps: Vec<Step>,
    effects: Vec<Effect>,
    approvals: Vec<Approval>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, id: &RunId, all: bool) -> Result<ExitCode, CommandError> {
    let run = super::find(ctx, id).await?;
    let record = ctx.journal()?.read(move |reader| read(reader, run)).await?;
    if ctx.is_json() {
        ctx.output().document(&document(&record)?);
    } else {
        ctx.output().data(&text(&record, ctx.output().paint(), all)?);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(reader: &Reader<'_>, run: Run) -> Result<Record, JournalError> {
    let mut leaves: Vec<StoredLeaf> = Vec::new();
    let mut before = None;
    while leaves.len() < LEAVES_MAX {
        let filter = LeafFilter { run: Some(run.id.clone()), before, ..LeafFilter::default() };
        let page = reader.leaves(&filter)?;
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        leaves.extend(page);
    }
    leaves.reverse();
    let report = reader.report(&run.id)?.map(|packed| packed.unpack()).transpose()?;
    Ok(Record {
        report: report.unwrap_or_default(),
        steps: reader.steps(&run.id)?,
        effects: reader.effects_of_run(&run.id)?,
        approvals: reader.approvals(Some(&run.id), None)?,
        leaves,
        run,
    })
}

/// What is known of a run without its record.
pub(super) fn facts(run: &Run) -> Value {
    json!({
        "run_id": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "policy_version": run.policy_version,
        "world": run.world.as_str(),
        "status": run.status,
        "dry_run": start::is_dry(run),
        "actor": run.actor,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    })
}

fn document(record: &Record) -> Result<Value, CommandError> {
    let invalid = |error: serde_json::Error| CommandError::internal(error.to_string());
    let mut timeline = Vec::with_capacity(record.leaves.len());
    for leaf in &record.leaves {
        timeline.push(serde_json::from_slice::<Value>(&leaf.bytes).map_err(invalid)?);
    }
    let steps = record.steps.iter().map(|step| {
        json!({
            "position": step.position,
            "operation": step.operation,
            "raised": step.outcome == StepOutcome::Raised,
        })
    });
    let mut effects = Vec::with_capacity(record.effects.len());
    for effect in &record.effects {
        effects.push(effect_document(effect)?);
    }
    let approvals = record.approvals.iter().map(|approval| {
        json!({
            "approval_id": approval.id,
            "state": approval.state.as_str(),
            "quorum": approval.quorum,
            "requested_at": approval.requested_at,
            "expires_at": approval.expires_at,
        })
    });
    Ok(json!({
        "run": facts(&record.run),
        "inputs": record.run.inputs.unpack::<Value>()?,
        "report": record.report,
        "steps": steps.collect::<Vec<_>>(),
        "effects": effects,
        "approvals": approvals.collect::<Vec<_>>(),
        "timeline": timeline,
    }))
}

/// An effect with what the vendor answered.
pub(super) fn effect_document(effect: &Effect) -> Result<Value, CommandError> {
    let result: Option<Value> = effect.result.as_ref().map(|packed| packed.unpack()).transpose()?;
    Ok(json!({
        "effect": effect.key,
        "operation": effect.operation,
        "state": effect.state,
        "attempts": effect.attempts,
        "covered_by": effect.covered_by,
        "run_id": effect.run,
        "intent_at": effect.intent_at,
        "intent_seq": effect.intent_seq,
        "settled_at": effect.settled_at,
        "outcome_seq": effect.outcome_seq,
        "detail": effect.detail,
        "result": result,
    }))
}

/// A time as people read it, to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn text(record: &Record, paint: Paint, all: bool) -> Result<String, CommandError> {
    let shown_max = if all { usize::MAX } else { SHOWN_MAX };
    let mut lines = Vec::new();
    head(record, paint, &mut lines);
    lines.push(String::new());
    lines.push(paint.bold("record"));
    let world = record.run.world.as_str();
    let leaves = record.leaves.iter().map(|stored| Ok(leaf_line(&stored.decode()?, world, paint)));
    let leaves: Vec<String> = leaves.collect::<Result<_, JournalError>>()?;
    abridged(&leaves, shown_max, paint, &mut lines);

    let effects: Vec<String> =
        record.effects.iter().map(|effect| effect_line(effect, paint)).collect();
    section("effects", &effects, shown_max, paint, &mut lines);
    let approvals: Vec<String> = record
        .approvals
        .iter()
        .map(|approval| {
            let (id, state) = (&approval.id, approval.state.as_str());
            format!("  {id}  {state:<9}  expires {}", time(approval.expires_at))
        })
        .collect();
    section("approvals", &approvals, shown_max, paint, &mut lines);
    let items = record.report.get("items").and_then(Value::as_array);
    let items: Vec<String> = items.into_iter().flatten().map(item_line).collect();
    section("items", &items, shown_max, paint, &mut lines);

    lines.push(String::new());
    let id = &record.run.id;
    let verified = record.steps.iter().any(|step| step.operation == "arx.verify");
    let (one, what) = if verified {
        ("--ticket INC…", "what was said of one")
    } else {
        ("--vulnerability CVE-…", "where one comes from")
    };
    lines.push(paint.dim(&format!("arx runs show {id} {one}   {what}")));
    Ok(lines.join("\n"))
}

fn head(record: &Record, paint: Paint, lines: &mut Vec<String>) {
    let run = &record.run;
    lines.push(format!(
        "{}  {}  {}",
        paint.bold(run.id.as_str()),
        printable(&run.workflow),
        summary::status(run.status, paint)
    ));
    let mut notes = vec![
        format!("started {} by {}", time(run.started_at), printable(&run.actor)),
        run.world.as_str().to_owned(),
        format!("version {}", run.version.short()),
        format!("{} steps", record.steps.len()),
    ];
    if start::is_dry(run) {
        notes.push("dry run".to_owned());
    }
    lines.push(paint.dim(&notes.join(" · ")));
    if let Some(error) = record.report.get("error").filter(|error| !error.is_null()) {
        let what = format!("{}: {}", field(error, "kind"), field(error, "message"));
        lines.push(paint.red(&printable(&what)));
        let traceback = printable_lines(field(error, "traceback"));
        lines.extend(traceback.lines().map(|line| format!("  {}", paint.dim(line))));
    }
}

fn section(title: &str, found: &[String], shown_max: usize, paint: Paint, lines: &mut Vec<String>) {
    if found.is_empty() {
        return;
    }
    lines.push(String::new());
    lines.push(paint.bold(title));
    abridged(found, shown_max, paint, lines);
}

/// The first and the last of many.
fn abridged(found: &[String], shown_max: usize, paint: Paint, lines: &mut Vec<String>) {
    if found.len() <= shown_max {
        lines.extend(found.iter().cloned());
        return;
    }
    let half = shown_max / 2;
    let hidden = found.len() - 2 * half;
    lines.extend(found.iter().take(half).cloned());
    lines.push(paint.dim(&format!("  … {hidden} more; --all shows them …")));
    lines.extend(found.iter().skip(found.len() - half).cloned());
}

fn leaf_line(leaf: &Leaf, world: &str, paint: Paint) -> String {
    let mut parts = Vec::new();
    if let Some(verdict) = leaf.verdict {
        let word = verdict.as_str();
        parts.push(match verdict {
            arx_audit::Verdict::Permit => paint.green(word),
            arx_audit::Verdict::Escalate => paint.yellow(word),
            arx_audit::Verdict::Deny => paint.red(word),
        });
    }
    if let Some(status) = &leaf.status {
        parts.push(printable(status).into_owned());
    }
    if let Some(action) = &leaf.action {
        parts.push(format!("{}.{}", printable(&action.connector), printable(&action.operation)));
        if let Some(key) = &action.effect_key {
            // A simulated world stands before every key; the head has named it.
            let below = key.strip_prefix(world).and_then(|key| key.strip_prefix('/'));
            parts.push(printable(below.unwrap_or(key)).into_owned());
        }
    }
    if let Some(rule) = &leaf.rule {
        parts.push(paint.dim(&format!("by {}", printable(rule))));
    }
    if let Some(risk) = &leaf.risk {
        parts.push(paint.dim(&format!("risk {}", risk.score)));
    }
    parts.extend(details(leaf).map(|detail| paint.dim(&detail)));
    let at = leaf.at.strftime("%H:%M:%S%.3f");
    let (seq, kind) = (leaf.seq, leaf.kind.as_str());
    format!("  {} {seq:>5}  {kind:<9} {}", paint.dim(&at.to_string()), parts.join("  "))
}

/// What of a leaf's detail a person wants to see.
fn details(leaf: &Leaf) -> impl Iterator<Item = String> {
    let wanted: &[&str] = match leaf.kind {
        LeafKind::Merge => &[
            "findings",
            "vulnerabilities",
            "below_threshold",
            "tickets",
            "verified",
            "failed",
            "inconclusive",
        ],
        LeafKind::Approval => &["approval", "by", "reason"],
        LeafKind::Run => &["error"],
        LeafKind::Outcome | LeafKind::Settle => &["why", "error"],
        LeafKind::Episode => &["episodes"],
        LeafKind::Decision
        | LeafKind::Intent
        | LeafKind::Register
        | LeafKind::Stop
        | LeafKind::Schedule
        | LeafKind::Identity => &[],
    };
    let detail = leaf.detail.as_ref();
    let found = wanted.iter().filter_map(move |name| {
        let shown = match detail?.get(*name)? {
            Value::String(text) => shortened(text, 2 * TITLE_CHARS_MAX),
            Value::Array(items) => items.len().to_string(),
            other => shortened(&other.to_string(), TITLE_CHARS_MAX),
        };
        Some(format!("{name} {shown}"))
    });
    found.collect::<Vec<_>>().into_iter()
}

/// One effect on one line.
pub(super) fn effect_line(effect: &Effect, paint: Paint) -> String {
    let word = format!("{:<9}", effect.state.as_str());
    let word = match effect.state {
        EffectState::Done => paint.green(&word),
        EffectState::Intended => paint.yellow(&word),
        EffectState::Failed | EffectState::Unknown => paint.red(&word),
    };
    let result: Option<Value> = effect.result.as_ref().and_then(|packed| packed.unpack().ok());
    let url = result.as_ref().map(|result| field(result, "url").to_owned()).unwrap_or_default();
    let covered = effect.covered_by.as_ref().map(|key| format!("with {key}")).unwrap_or_default();
    let why = effect.detail.as_deref().map(|why| shortened(why, 2 * TITLE_CHARS_MAX));
    let notes = [url, covered, why.unwrap_or_default()];
    let notes: Vec<String> = notes
        .iter()
        .filter(|note| !note.is_empty())
        .map(|note| printable(note).into_owned())
        .collect();
    format!("  {word} {:<45} {}", effect.key.as_str(), paint.dim(&notes.join("  ")))
}

fn item_line(item: &Value) -> String {
    let why = item.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    format!(
        "  {:<16} {:<24} {}",
        printable(field(item, "id")),
        outcomes(item),
        shortened(if why.is_empty() { field(item, "title") } else { why }, 2 * TITLE_CHARS_MAX)
    )
}
