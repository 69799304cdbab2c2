//! What a message says, in the two forms that are sent.

use arx_journal::{Notification, NotificationKind};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

/// The longest text of one field of a message, in characters.
const FIELD_CHARS_MAX: usize = 300;
/// The most actions that a message names.
const ACTIONS_NAMED_MAX: usize = 5;

/// Signed JSON. The bytes are the same at every attempt.
pub(super) fn generic(message: &Notification, payload: &Value, base: &Url) -> Value {
    let mut body = Map::new();
    body.insert("id".to_owned(), json!(message.id));
    body.insert("kind".to_owned(), json!(message.kind.as_str()));
    body.insert("at".to_owned(), json!(message.created_at));
    body.insert("url".to_owned(), json!(link(message, base)));
    body.insert("text".to_owned(), json!(headline(message.kind, payload)));
    for (name, value) in payload.as_object().into_iter().flatten() {
        body.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(body)
}

/// Blocks of Slack, with a text for what shows none.
pub(super) fn slack(message: &Notification, payload: &Value, base: &Url) -> Value {
    let headline = escaped(&headline(message.kind, payload));
    let url = link(message, base);
    let mut blocks = vec![section(&format!("*{headline}*"))];
    let named: Vec<String> = payload
        .get("actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(ACTIONS_NAMED_MAX)
        .map(|action| {
            let effect = action.get("effect").and_then(Value::as_str).unwrap_or_default();
            let risk = action.get("risk").and_then(Value::as_u64);
            let risk = risk.map(|risk| format!(", risk {risk}")).unwrap_or_default();
            format!("• `{}` {}{risk}", escaped(&word(action, "operation")), escaped(effect))
        })
        .collect();
    if !named.is_empty() {
        let n = payload.get("n_actions").and_then(Value::as_u64).unwrap_or(0);
        let more = n.saturating_sub(named.len() as u64);
        let more = if more > 0 { format!("\n• and {more} more") } else { String::new() };
        blocks.push(section(&format!("{}{more}", named.join("\n"))));
    }
    if message.approval.is_some() {
        let asked = payload.get("approvers").and_then(Value::as_array).cloned();
        let asked: Vec<&str> = asked.iter().flatten().filter_map(Value::as_str).collect();
        blocks.push(section(&escaped(&format!(
            "asked by {}, needs {} of {}, until {}",
            word(payload, "requester"),
            payload.get("quorum").and_then(Value::as_u64).unwrap_or(1),
            asked.join(", "),
            to_the_second(&word(payload, "expires_at")),
        ))));
    }
    // A link and no button: a button of Slack reports back, and would look as if it decided.
    blocks.push(section(&format!("<{}|Look at it in ARX>", entities(&url))));
    json!({ "text": headline, "blocks": blocks })
}

/// The page that a message leads to.
fn link(message: &Notification, base: &Url) -> String {
    let base = base.as_str().trim_end_matches('/');
    match &message.approval {
        Some(approval) => format!("{base}/approvals/{approval}"),
        None => format!("{base}/runs/{}", message.run),
    }
}

fn headline(kind: NotificationKind, payload: &Value) -> String {
    let workflow = word(payload, "workflow");
    let n = payload.get("n_actions").and_then(Value::as_u64).unwrap_or(0);
    let actions = if n == 1 { "1 action".to_owned() } else { format!("{n} actions") };
    let severity = word(payload, "severity");
    let text = match kind {
        NotificationKind::ApprovalRequested => {
            format!("{workflow} asks for approval of {actions} ({severity})")
        }
        NotificationKind::ApprovalReminder => {
            format!("{workflow} still waits for approval of {actions} ({severity})")
        }
        NotificationKind::ApprovalEscalated => {
            format!(
                "nobody decided: {workflow} asks you as well for approval of {actions} ({severity})"
            )
        }
        NotificationKind::ApprovalExpired => {
            format!("the approval of {actions} of {workflow} expired, and is denied")
        }
        NotificationKind::RunNeedsAttention => {
            format!("{workflow} needs a human: whether an effect happened is not known")
        }
        NotificationKind::RunFailed => format!("{workflow} failed"),
    };
    match word(payload, "world").as_str() {
        "live" | "" => text,
        world => format!("[{world}] {text}"),
    }
}

fn word(of: &Value, field: &str) -> String {
    let text = of.get(field).and_then(Value::as_str).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(FIELD_CHARS_MAX).collect()
}

fn to_the_second(at: &str) -> String {
    at.parse::<Timestamp>().map_or_else(|_| at.to_owned(), |at| format!("{at:.0}"))
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// What Slack reads as markup stays text: a space of no width keeps its signs from pairing up.
fn escaped(text: &str) -> String {
    let mut apart = String::with_capacity(text.len());
    for c in text.chars().take(FIELD_CHARS_MAX) {
        if matches!(c, '*' | '_' | '~' | '`') {
            apart.push('\u{200b}');
        }
        apart.push(c);
    }
    entities(&apart)
}

/// The three signs that Slack wants spelt out; with them nobody is mentioned and no link made up.
fn entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
