//! What Jira says, read liberally: a field that is missing or of another type is absent.

use arx_gateway::Response;
use serde_json::{Value, json};

use crate::text;

/// Longest quotation of the vendor in a message.
const WORDS_UNITS_MAX: usize = 800;

/// An issue by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub id: String,
    pub key: String,
}

impl Issue {
    /// `None` without a key: what cannot be named cannot be adopted.
    pub fn read(value: &Value) -> Option<Self> {
        let key = word(value, "key")?;
        Some(Self { id: word(value, "id").unwrap_or_else(|| key.clone()), key })
    }

    /// Sorts the oldest first: ids grow, by value and not by text.
    pub fn age(&self) -> (usize, String) {
        (self.id.len(), self.id.clone())
    }

    /// The number in the key, where the key is one of `project`.
    pub fn number_in(&self, project: &str) -> Option<u64> {
        let (prefix, number) = self.key.rsplit_once('-')?;
        prefix.eq_ignore_ascii_case(project).then(|| number.parse().ok())?
    }
}

/// The labels of an issue; `None` where the reply does not tell.
pub(super) fn labels(issue: &Value) -> Option<Vec<&str>> {
    let labels = issue.pointer("/fields/labels")?.as_array()?;
    Some(labels.iter().filter_map(Value::as_str).collect())
}

/// Whether an issue is known to be done.
pub(super) fn is_done(issue: &Value) -> bool {
    let category = issue.pointer("/fields/status/statusCategory/key").and_then(Value::as_str);
    category == Some("done")
}

/// What a workflow sees of an issue when it reads.
pub(super) fn shown(issue: &Value, browse: &str) -> Option<Value> {
    let names = Issue::read(issue)?;
    let name_of = |field: &str| {
        let field = issue.pointer("/fields")?.get(field)?;
        field.get("name").or(Some(field)).and_then(Value::as_str).map(str::to_owned)
    };
    Some(json!({
        "id": names.id,
        "key": names.key,
        "url": format!("{browse}/browse/{}", names.key),
        "status": name_of("status"),
        "done": is_done(issue),
        "summary": name_of("summary"),
        "priority": name_of("priority"),
        "resolution": name_of("resolution"),
        "labels": labels(issue),
        "created": name_of("created"),
        "updated": name_of("updated"),
    }))
}

/// `{"errorMessages": […], "errors": {field: message}}`, or whatever came instead.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Complaint {
    messages: Vec<String>,
    fields: Vec<(String, String)>,
    excerpt: String,
}

impl Complaint {
    pub fn of(reply: &Response) -> Self {
        Self::read(reply.json::<Value>().ok().as_ref(), reply.excerpt())
    }

    /// `excerpt` stands in where the reply is not the vendor's error document.
    pub fn read(reply: Option<&Value>, excerpt: String) -> Self {
        let words = |value: &Value| match value {
            Value::String(words) => words.clone(),
            other => other.to_string(),
        };
        let mut complaint = Self { excerpt, ..Self::default() };
        let Some(reply) = reply else { return complaint };
        for name in ["errorMessages", "warningMessages"] {
            if let Some(list) = reply.get(name).and_then(Value::as_array) {
                complaint.messages.extend(list.iter().map(words));
            }
        }
        complaint.messages.extend(word(reply, "message"));
        match reply.get("errors") {
            Some(Value::Object(errors)) => {
                let named = errors.iter().map(|(field, message)| (field.clone(), words(message)));
                complaint.fields.extend(named);
            }
            Some(Value::Array(errors)) => complaint.messages.extend(errors.iter().map(words)),
            _ => {}
        }
        complaint
    }

    /// The vendor's words with the names of the fields, on one line.
    pub fn message(&self) -> String {
        let fields = self.fields.iter().map(|(field, message)| format!("`{field}`: {message}"));
        let parts: Vec<String> = self.messages.iter().cloned().chain(fields).collect();
        let words = if parts.is_empty() { &self.excerpt } else { &parts.join(" ") };
        text::one_line(words, WORDS_UNITS_MAX)
    }

    /// The vendor's words about one field, where it complains of that field.
    pub fn about(&self, field: &str) -> Option<String> {
        let named = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
        if let Some((_, message)) = named {
            return Some(text::one_line(message, WORDS_UNITS_MAX));
        }
        let quoted = [format!("'{field}'"), format!("\"{field}\""), format!("`{field}`")];
        let about = |message: &&String| {
            let message = message.to_lowercase();
            quoted.iter().any(|quoted| message.contains(&quoted.to_lowercase()))
                || message.split_whitespace().next() == Some(&field.to_lowercase())
                || (field == "description" && message.contains("content_limit_exceeded"))
        };
        self.messages.iter().find(about).map(|message| text::one_line(message, WORDS_UNITS_MAX))
    }
}

/// A text or a number, as text.
pub(super) fn word(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The first list among members of a reply that goes by different names in different editions.
pub(super) fn list<'a>(reply: &'a Value, names: &[&str]) -> Option<&'a Vec<Value>> {
    names.iter().find_map(|name| reply.get(name)?.as_array())
}
