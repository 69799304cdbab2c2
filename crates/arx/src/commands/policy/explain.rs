//! `arx policy explain`: one verdict with all reasons and factors.

use std::fmt::Write as _;
use std::process::ExitCode;

use arx_engine::registry::standing;
use arx_policy::{Policy, Request};
use arx_types::{Decision, Operation, Target, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::bundles;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::launch::specs;
use crate::output::{Paint, printable};

/// What may be typed after `arx policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx policy explain --config critical-vuln-escalation pagerduty.incidents:create\n  \
    arx policy explain --config arx.yaml jira.issues:create --writes 60\n  \
    arx policy explain --config arx.yaml wiz.findings:update --target production --json\n  \
    arx policy explain --config arx.yaml pagerduty.incidents:create --params '{\"urgency\": \"low\"}'\n\n\
    Steps: bound, deny rules, permit and escalate rules, limits, risk threshold. The most\n\
    restrictive wins, and what nothing matches is denied.")]
pub(super) struct Args {
    /// The arx.yaml, its directory, or a workflow of the library.
    #[arg(long, value_name = "FILE")]
    config: String,
    /// The call, as `connector.resource:verb`.
    #[arg(value_name = "OPERATION")]
    operation: String,
    /// The environment it acts on: none, dev, staging, unknown or production.
    #[arg(long, value_name = "TARGET", default_value = "unknown")]
    target: Target,
    /// Its parameters, a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    params: String,
    /// Writes of the workflow that passed already, in the last hour and in every limit's window.
    #[arg(long, value_name = "N", default_value_t = 0)]
    writes: u32,
    /// When the call is made, as an RFC 3339 time; now otherwise.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let found = bundles::find(&args.config)?;
    let policy = super::compiled(&found)?;
    let operation: Operation = args
        .operation
        .parse()
        .map_err(|error: arx_types::OperationError| CommandError::user(error.to_string()))?;
    let params: Value =
        serde_json::from_str(&args.params).ok().filter(Value::is_object).ok_or_else(|| {
            CommandError::user("the parameters are not a JSON object")
                .hint("write --params '{\"urgency\": \"high\"}'")
        })?;
    let catalogue = standing::operations(&specs());
    let spec = catalogue.get(&operation).copied();
    let facts = json!({
        "id": "run_00000000000000000000000000",
        "workflow": found.bundle.manifest.metadata.name,
        "version": found.bundle.version.to_string(),
        "mode": "live",
        "actor": ctx.actor(),
        "dry_run": false,
    });
    let limit_counts = vec![args.writes; policy.limits().len()];
    let decision = policy.decide(&Request {
        operation: &operation,
        spec,
        params: &params,
        target: args.target,
        run: &facts,
        now: args.at.unwrap_or_else(|| ctx.clock().now()),
        writes_last_hour: args.writes,
        limit_counts: &limit_counts,
    });
    let near = spec.is_none().then(|| {
        let names: Vec<String> = catalogue.keys().map(ToString::to_string).collect();
        lookup::nearest(&operation.to_string(), names.iter().map(String::as_str)).map(str::to_owned)
    });
    if ctx.is_json() {
        ctx.output().document(&json!({
            "operation": operation,
            "verdict": decision.verdict,
            "rule": decision.rule,
            "reasons": decision.reasons,
            "risk": decision.risk,
            "risk_threshold": policy.def().risk_threshold,
            "policy_version": policy.version(),
            "did_you_mean": near.flatten(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = shown(&operation, &decision, &policy, ctx.output().paint());
    if let Some(Some(near)) = near {
        text.push_str(&format!("  did you mean {near}?\n"));
    }
    ctx.output().data(&text);
    Ok(ExitCode::SUCCESS)
}

/// A verdict in its colour.
pub(super) fn verdict(verdict: Verdict, paint: Paint) -> String {
    match verdict {
        Verdict::Permit => paint.green(verdict.as_str()),
        Verdict::Escalate => paint.yellow(verdict.as_str()),
        Verdict::Deny => paint.red(verdict.as_str()),
    }
}

fn shown(operation: &Operation, decision: &Decision, policy: &Policy, paint: Paint) -> String {
    let mut text = String::new();
    let word = verdict(decision.verdict, paint);
    let _ = writeln!(text, "{word}  {}", paint.bold(&operation.to_string()));
    if let Some(rule) = &decision.rule {
        let _ = writeln!(text, "  by         {}", printable(rule));
    }
    for (n, reason) in decision.reasons.iter().enumerate() {
        let label = if n == 0 { "because" } else { "" };
        let _ = writeln!(text, "  {label:<10} {}", printable(reason));
    }
    if let Some(risk) = &decision.risk {
        let threshold = policy.def().risk_threshold;
        let _ = writeln!(text, "  risk       {} {}, threshold {threshold}", risk.score, risk.class);
        for factor in &risk.factors {
            let on = paint.dim(&printable(&factor.on));
            let _ = writeln!(text, "             {:>3}  {:<10} {on}", factor.points, factor.name);
        }
        if risk.raw != risk.score {
            let _ = writeln!(text, "             {:>3}  in all, brought into its class", risk.raw);
        }
    }
    if decision.verdict == Verdict::Escalate {
        let approvals = &policy.def().approvals;
        let who = match approvals.approvers.as_slice() {
            [] => "nobody: the policy names no approver".to_owned(),
            approvers => format!(
                "{} of {}, within {}",
                approvals.quorum,
                printable(&approvers.join(", ")),
                approvals.expires
            ),
        };
        let _ = writeln!(text, "  approval   {who}");
    }
    text
}
