//! `arx policy replay`: past decisions under another policy, flips only.
//!
//! Every recorded decision of the workflow is asked again in its order, with the parameters,
//! target, run and time of then. What had passed before a call is counted anew: a write that
//! passed then, and that the new policy does not deny, passes; one that did not pass then passes
//! where the new policy permits it. What a human said, and what a stop denied, is no decision of a
//! policy and is left as it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::process::ExitCode;

use arx_engine::registry::standing;
use arx_journal::{DecisionFilter, Journal, JournalError, RecordedDecision};
use arx_policy::{Period, Policy, Request};
use arx_types::{Access, Decision, Operation, OperationSpec, Target, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::explain::verdict;
use crate::bundles;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::launch::specs;
use crate::output::{Paint, printable};

/// Decisions that are read at once.
const PAGE: usize = 1000;
/// Flips that a person is shown; `--json` lists all up to [`FLIPS_MAX`].
const SHOWN_MAX: usize = 50;
/// Flips that are kept; further ones are counted.
const FLIPS_MAX: usize = 10_000;
/// The window of the frequency factor.
const FREQUENCY_WINDOW: SignedDuration = SignedDuration::from_hours(1);
/// The rule under which a stop denies.
const STOP: &str = "stop";

/// What may be typed after `arx policy replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx policy replay --config arx.yaml\n  \
    arx policy replay --config arx.yaml --since 7d --json\n  \
    arx policy replay --config arx.yaml --since 2026-01-01T00:00:00Z\n\n\
    Nothing is sent and nothing is recorded. Calls that were never made, because an earlier one\n\
    was denied, cannot be replayed.")]
pub(super) struct Args {
    /// The arx.yaml whose policy is tried, its directory, or a workflow of the library.
    #[arg(long, value_name = "FILE")]
    config: String,
    /// Show flips from then on: a time, or a span such as `7d` back from now.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
}

/// What was asked of the policy of then.
#[derive(Deserialize)]
struct Asked {
    params: Value,
    target: Target,
    run: Value,
}

/// A decision that would be another one.
#[derive(Clone, Debug, Serialize)]
struct Flip {
    seq: u64,
    at: Timestamp,
    run: String,
    world: String,
    operation: Operation,
    effect: Option<String>,
    was: Verdict,
    was_by: Option<String>,
    now: Verdict,
    now_by: Option<String>,
    reasons: Vec<String>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let found = bundles::find(&args.config)?;
    let policy = super::compiled(&found)?;
    let since = args.since.as_deref().map(|text| since(text, ctx.clock().now())).transpose()?;
    let journal = lookup::journal(ctx)?;
    let workflow = found.bundle.manifest.metadata.name.clone();
    let mut replay = Replay::new(&policy, since);
    let mut after = None;
    loop {
        let page = page(journal, &workflow, after).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.decision.seq);
        for (recorded, leaf) in &page {
            replay.step(recorded, leaf)?;
        }
    }
    tell(ctx, &workflow, &policy, &replay);
    Ok(ExitCode::SUCCESS)
}

fn since(text: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let span = text.parse::<Period>().ok().map(Period::as_duration);
    let span = span.and_then(|span| SignedDuration::try_from(span).ok());
    span.and_then(|span| now.checked_sub(span).ok()).ok_or_else(|| {
        CommandError::user(format!("`{text}` is neither a time nor a span"))
            .hint("write 2026-01-01T00:00:00Z or 7d")
    })
}

/// What the leaf of a decision adds to its row.
struct LeafFacts {
    /// What the policy itself said, before any human did.
    verdict: Option<arx_audit::Verdict>,
    rule: Option<String>,
    /// A human's refusal or silence.
    status: Option<String>,
}

async fn page(
    journal: &Journal,
    workflow: &str,
    after: Option<u64>,
) -> Result<Vec<(RecordedDecision, LeafFacts)>, JournalError> {
    let workflow = Some(workflow.to_owned());
    let filter = DecisionFilter { workflow, run: None, after, limit: PAGE };
    journal
        .read(move |reader| {
            let decisions = reader.decisions(&filter)?;
            decisions
                .into_iter()
                .map(|recorded| {
                    let seq = recorded.decision.seq;
                    let stored = reader.leaf(seq)?.ok_or_else(|| JournalError::NotFound {
                        kind: "audit leaf",
                        id: seq.to_string(),
                    })?;
                    let leaf = stored.decode()?;
                    let facts =
                        LeafFacts { verdict: leaf.verdict, rule: leaf.rule, status: leaf.status };
                    Ok((recorded, facts))
                })
                .collect()
        })
        .await
}

/// Walks decisions in their order.
struct Replay<'p> {
    policy: &'p Policy,
    catalogue: BTreeMap<Operation, &'static OperationSpec>,
    since: Option<Timestamp>,
    /// The longest window that anything counts in.
    window: SignedDuration,
    /// Writes that pass under the new policy, by world, the oldest first.
    passed: BTreeMap<String, VecDeque<(Timestamp, Operation)>>,
    /// Calls that were put to a human, whose answer comes as another decision of the same call.
    asked: BTreeSet<(String, Operation, Option<String>)>,
    n_replayed: u64,
    n_flips: u64,
    flips: Vec<Flip>,
}

impl<'p> Replay<'p> {
    fn new(policy: &'p Policy, since: Option<Timestamp>) -> Self {
        let windows = policy
            .limits()
            .iter()
            .filter_map(|limit| SignedDuration::try_from(limit.window().as_duration()).ok());
        let window = windows.fold(FREQUENCY_WINDOW, SignedDuration::max);
        Self {
            policy,
            catalogue: standing::operations(&specs()),
            since,
            window,
            passed: BTreeMap::new(),
            asked: BTreeSet::new(),
            n_replayed: 0,
            n_flips: 0,
            flips: Vec::new(),
        }
    }

    fn step(&mut self, recorded: &RecordedDecision, leaf: &LeafFacts) -> Result<(), JournalError> {
        if leaf.rule.as_deref() == Some(STOP) {
            return Ok(());
        }
        let row = &recorded.decision;
        let call = (
            row.run.to_string(),
            row.operation.clone(),
            row.effect_key.as_ref().map(ToString::to_string),
        );
        let is_answer =
            self.asked.remove(&call) && (row.approval.is_some() || leaf.status.is_some());
        let decision = self.decide(recorded)?;
        // What the policy said then: a human's word stands beside it, not in its place.
        let was = match (&row.approval, leaf.status.as_deref(), leaf.verdict) {
            (Some(_), ..) | (None, Some("denied" | "expired"), _) => Verdict::Escalate,
            (None, _, Some(arx_audit::Verdict::Permit)) => Verdict::Permit,
            (None, _, Some(arx_audit::Verdict::Escalate)) => Verdict::Escalate,
            (None, _, Some(arx_audit::Verdict::Deny)) => Verdict::Deny,
            (None, _, None) => row.verdict,
        };
        let passed_then = was == Verdict::Permit || row.approval.is_some();
        let passes = match decision.verdict {
            Verdict::Permit => true,
            Verdict::Escalate => passed_then,
            Verdict::Deny => false,
        };
        // The question counted already, if the new policy lets the call pass at once.
        let counted = is_answer && decision.verdict == Verdict::Permit;
        if row.access == Access::Write && passes && !counted {
            let passed = self.passed.entry(row.world.to_string()).or_default();
            passed.push_back((recorded.at, row.operation.clone()));
        }
        if was == Verdict::Escalate && row.approval.is_none() && leaf.status.is_none() {
            self.asked.insert(call);
        }
        let is_shown = self.since.is_none_or(|since| recorded.at >= since);
        if !is_shown || is_answer {
            return Ok(());
        }
        self.n_replayed += 1;
        if decision.verdict == was {
            return Ok(());
        }
        self.n_flips += 1;
        if self.flips.len() < FLIPS_MAX {
            self.flips.push(Flip {
                seq: row.seq,
                at: recorded.at,
                run: row.run.to_string(),
                world: row.world.to_string(),
                operation: row.operation.clone(),
                effect: row.effect_key.as_ref().map(ToString::to_string),
                was,
                was_by: leaf.rule.clone(),
                now: decision.verdict,
                now_by: decision.rule,
                reasons: decision.reasons,
            });
        }
        Ok(())
    }

    fn decide(&mut self, recorded: &RecordedDecision) -> Result<Decision, JournalError> {
        let row = &recorded.decision;
        let asked: Asked = row.request.unpack()?;
        let passed = self.passed.entry(row.world.to_string()).or_default();
        while passed.front().is_some_and(|(at, _)| *at <= recorded.at - self.window) {
            passed.pop_front();
        }
        let count = |window: SignedDuration, matches: &dyn Fn(&Operation) -> bool| {
            let since = recorded.at - window;
            let n =
                passed.iter().filter(|(at, operation)| *at > since && matches(operation)).count();
            u32::try_from(n).unwrap_or(u32::MAX)
        };
        let is_write = row.access == Access::Write;
        let writes_last_hour = if is_write { count(FREQUENCY_WINDOW, &|_| true) } else { 0 };
        let limit_counts: Vec<u32> = self
            .policy
            .limits()
            .iter()
            .map(|limit| {
                if !limit.matches(&row.operation) {
                    return 0;
                }
                let window = SignedDuration::try_from(limit.window().as_duration());
                count(window.unwrap_or(SignedDuration::MAX), &|operation| limit.matches(operation))
            })
            .collect();
        Ok(self.policy.decide(&Request {
            operation: &row.operation,
            spec: self.catalogue.get(&row.operation).copied(),
            params: &asked.params,
            target: asked.target,
            run: &asked.run,
            now: recorded.at,
            writes_last_hour,
            limit_counts: &limit_counts,
        }))
    }
}

fn tell(ctx: &Context, workflow: &str, policy: &Policy, replay: &Replay<'_>) {
    if ctx.is_json() {
        ctx.output().document(&json!({
            "workflow": workflow,
            "policy_version": policy.version(),
            "replayed": replay.n_replayed,
            "flipped": replay.n_flips,
            "flips": replay.flips,
        }));
        return;
    }
    let paint = ctx.output().paint();
    let mut text = match (replay.n_replayed, replay.n_flips) {
        (0, _) => format!("no decisions of {workflow} to replay\n"),
        (n, 0) => format!("{n} decisions of {workflow} replayed: none would differ\n"),
        (n, flips) => format!(
            "{n} decisions of {workflow} replayed: {} would differ\n",
            paint.yellow(&flips.to_string())
        ),
    };
    for flip in replay.flips.iter().take(SHOWN_MAX) {
        text.push_str(&shown(flip, paint));
    }
    if let Some(more) = replay.n_flips.checked_sub(SHOWN_MAX as u64).filter(|more| *more > 0) {
        text.push_str(&paint.dim(&format!("and {more} more: --json\n")));
    }
    ctx.output().data(&text);
}

fn shown(flip: &Flip, paint: Paint) -> String {
    let by = |rule: &Option<String>| printable(rule.as_deref().unwrap_or("no rule")).into_owned();
    let at = paint.dim(&format!("{:.0}", flip.at));
    let what = match &flip.effect {
        Some(effect) => format!("{} {}", flip.operation, printable(effect)),
        None => flip.operation.to_string(),
    };
    let (was, now) = (verdict(flip.was, paint), verdict(flip.now, paint));
    let by = paint.dim(&format!("{} -> {}", by(&flip.was_by), by(&flip.now_by)));
    let world = if flip.world == "live" { String::new() } else { paint.dim(&flip.world) };
    format!("{:>6}  {at}  {was} -> {now}  {what}\n        {by}  {world}\n", flip.seq)
}
