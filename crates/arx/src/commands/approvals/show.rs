//! What a human is shown of an approval, before deciding.
//!
//! Everything in it that came from a vendor or a workflow is escaped: nothing that is asked for
//! may change how it looks.

use std::fmt::Write as _;

use arx_journal::{ActionState, ApprovalAction, ApprovalState, Packed, Vote};
use arx_types::RiskScore;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Shown;
use crate::commands::lookup::span;
use crate::output::{Paint, printable};
use crate::summary::shortened;

/// The longest value of a parameter that is shown, in characters; `--json` has all of it.
const VALUE_CHARS_MAX: usize = 200;
/// Width of the names of what is shown of an action.
const LABEL_WIDTH: usize = 17;

pub(super) fn json(shown: &Shown, now: Timestamp) -> Value {
    let approval = &shown.approval;
    json!({
        "id": approval.id,
        "run": approval.run,
        "workflow": approval.workflow,
        "state": shown.state(now).as_str(),
        "requester": approval.requester,
        "approvers": approval.approvers,
        "quorum": approval.quorum,
        "requested_at": approval.requested_at,
        "expires_at": approval.expires_at,
        "severity": approval.severity,
        "escalate_to": approval.escalate_to,
        "remind_at": approval.remind_at,
        "escalate_at": approval.escalate_at,
        "escalated_at": approval.escalated_at,
        "actions": shown.actions.iter().map(|action| action_json(action, shown)).collect::<Vec<_>>(),
    })
}

fn action_json((action, preview): &(ApprovalAction, Value), shown: &Shown) -> Value {
    let field = |name: &str| preview.get(name).cloned().unwrap_or_default();
    let votes: Vec<Value> = shown
        .votes
        .iter()
        .filter(|cast| cast.action == action.n)
        .map(|cast| match &cast.vote {
            Vote::Approve => json!({ "who": cast.who, "vote": "approve", "at": cast.at }),
            Vote::Deny { reason } => {
                json!({ "who": cast.who, "vote": "deny", "reason": reason, "at": cast.at })
            }
        })
        .collect();
    json!({
        "n": action.n,
        "state": action.state.as_str(),
        "operation": action.action.operation,
        "effect": action.action.effect_key,
        "params": field("params"),
        "params_sha256": field("params_sha256"),
        "lineage": field("lineage"),
        "digest": action.action.digest,
        "rule": field("rule"),
        "reasons": reasons(action, preview),
        "risk": risk(action),
        "votes": votes,
    })
}

pub(super) fn text(shown: &Shown, now: Timestamp, paint: Paint) -> String {
    let approval = &shown.approval;
    let state = shown.state(now);
    let mut text = String::new();
    let word = match state {
        ApprovalState::Pending => paint.yellow(state.as_str()),
        ApprovalState::Approved | ApprovalState::Used => paint.green(state.as_str()),
        ApprovalState::Denied | ApprovalState::Expired => paint.red(state.as_str()),
        ApprovalState::Cancelled => paint.dim(state.as_str()),
    };
    let id = paint.bold(approval.id.as_str());
    let _ = writeln!(text, "{id}  {}  {word}", printable(&approval.workflow));
    let asked = span(now.duration_since(approval.requested_at));
    let left = approval.expires_at.duration_since(now);
    let expiry = if left.is_positive() {
        format!("expires in {}", span(left))
    } else {
        format!("expired {} ago", span(left))
    };
    let approvers = match approval.approvers.as_slice() {
        [] => "nobody, by the policy".to_owned(),
        approvers => printable(&approvers.join(", ")).into_owned(),
    };
    let requester = printable(&approval.requester);
    let _ = writeln!(text, "  asked {asked} ago by {requester} for {}", approval.run);
    let _ = writeln!(text, "  {expiry} · needs {} of {approvers}", approval.quorum);
    let others = || printable(&approval.escalate_to.join(", ")).into_owned();
    let escalation = match (approval.escalated_at, approval.escalate_at) {
        (Some(at), _) => format!(" · asks {} since {} ago", others(), span(now.duration_since(at))),
        (None, Some(at)) if state == ApprovalState::Pending => {
            format!(" · asks {} as well in {}", others(), span(at.duration_since(now)))
        }
        (None, _) => String::new(),
    };
    let _ = writeln!(text, "  severity {}{escalation}", approval.severity);
    for (action, preview) in &shown.actions {
        text.push('\n');
        self::action(&mut text, action, preview, shown, paint);
    }
    if state == ApprovalState::Pending {
        let id = &approval.id;
        let _ = write!(
            text,
            "\n  arx approvals approve {id} --as WHO\n  \
             arx approvals deny {id} --as WHO --reason TEXT\n"
        );
    }
    text
}

fn action(
    text: &mut String,
    action: &ApprovalAction,
    preview: &Value,
    shown: &Shown,
    paint: Paint,
) {
    let state = match action.state {
        ActionState::Pending => paint.yellow("pending"),
        ActionState::Approved => paint.green("approved"),
        ActionState::Denied => paint.red("denied"),
        ActionState::Used => paint.green("used"),
    };
    let operation = paint.bold(&printable(&action.action.operation.to_string()));
    let _ = writeln!(text, "  {:>3}  {operation}  {state}", action.n);
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "       {label:<LABEL_WIDTH$} {value}");
    };
    if let Some(key) = &action.action.effect_key {
        line("effect", &printable(key.as_str()));
    }
    if let Some(risk) = risk(action) {
        line("risk", &score(&risk));
    }
    let rule = preview.get("rule").and_then(Value::as_str);
    line("asked by", &printable(rule.unwrap_or("the policy")));
    for reason in reasons(action, preview) {
        line("", &paint.dim(&printable(&reason)));
    }
    if let Some(Value::Object(params)) = preview.get("params") {
        // What is left out is left out of the view too; `--json` shows that it was asked for.
        for (name, value) in params.iter().filter(|(_, value)| !value.is_null()) {
            let value = match value {
                Value::String(value) => value.clone(),
                value => value.to_string(),
            };
            line(&printable(name), &shortened(&value, VALUE_CHARS_MAX));
        }
    }
    for reference in preview.get("lineage").and_then(Value::as_array).into_iter().flatten() {
        line("follows from", &printable(reference.as_str().unwrap_or_default()));
    }
    for cast in shown.votes.iter().filter(|cast| cast.action == action.n) {
        let who = printable(&cast.who).into_owned();
        match &cast.vote {
            Vote::Approve => line("yes", &who),
            Vote::Deny { reason } => line("no", &format!("{who}: {}", printable(reason))),
        }
    }
}

/// A score with its factors, as people read it.
pub(crate) fn score(risk: &RiskScore) -> String {
    let factors: Vec<String> = risk
        .factors
        .iter()
        .map(|factor| format!("{} {} ({})", factor.name, factor.points, printable(&factor.on)))
        .collect();
    let clamped = if risk.raw == risk.score {
        String::new()
    } else {
        format!(", {} before the bounds of its class", risk.raw)
    };
    format!("{} {}{clamped}: {}", risk.score, risk.class, factors.join(" + "))
}

fn risk(action: &ApprovalAction) -> Option<RiskScore> {
    action.action.risk.as_ref().map(Packed::unpack)?.ok()
}

fn reasons(action: &ApprovalAction, preview: &Value) -> Vec<String> {
    let listed = preview.get("reasons").and_then(Value::as_array);
    match listed {
        Some(listed) => listed.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => vec![action.action.reason.clone()],
    }
}
