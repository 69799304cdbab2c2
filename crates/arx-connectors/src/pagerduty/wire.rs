//! What PagerDuty says, read liberally: a field that is missing or of another type is absent.

use serde_json::{Value, json};

/// An incident as far as ARX cares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Incident {
    pub id: String,
    pub number: Option<u64>,
    pub url: Option<String>,
    pub status: Option<String>,
    pub incident_key: Option<String>,
    pub service: Option<String>,
    pub title: Option<String>,
    pub urgency: Option<String>,
    pub created_at: Option<String>,
}

impl Incident {
    /// The incident in `{"incident": {…}}`.
    pub fn in_envelope(reply: &Value) -> Option<Self> {
        Self::read(reply.get("incident")?)
    }

    /// `None` without an id: what cannot be named cannot be adopted.
    pub fn read(value: &Value) -> Option<Self> {
        let number = value.get("incident_number").and_then(Value::as_u64);
        Some(Self {
            id: text(value, "id")?,
            number,
            url: text(value, "html_url"),
            status: text(value, "status"),
            incident_key: text(value, "incident_key"),
            service: value.get("service").and_then(|service| text(service, "id")),
            title: text(value, "title").or_else(|| text(value, "summary")),
            urgency: text(value, "urgency"),
            created_at: text(value, "created_at"),
        })
    }

    /// Whether it is triggered or acknowledged. Without a status it is taken as open.
    pub fn is_open(&self) -> bool {
        self.status.as_deref() != Some("resolved")
    }

    /// Sorts the oldest first.
    pub fn age(&self) -> (Option<String>, Option<u64>, String) {
        (self.created_at.clone(), self.number, self.id.clone())
    }

    /// What a workflow sees of it when it reads.
    pub fn shown(&self) -> Value {
        json!({
            "id": self.id,
            "number": self.number,
            "url": self.url,
            "status": self.status,
            "incident_key": self.incident_key,
            "service": self.service,
            "title": self.title,
            "urgency": self.urgency,
            "created_at": self.created_at,
        })
    }
}

/// One page of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub items: Vec<Value>,
    pub more: bool,
}

impl Page {
    /// The page of `{"<name>": […], "more": …}`. Where the vendor does not say whether there is
    /// more, a full page means that there may be.
    pub fn read(reply: &Value, name: &str, items_max: usize) -> Option<Self> {
        let items = reply.get(name)?.as_array()?.clone();
        let more = reply.get("more").and_then(Value::as_bool);
        let more = more.unwrap_or(items.len() >= items_max) && !items.is_empty();
        Some(Self { items, more })
    }
}

/// A priority of the account.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Priority {
    pub id: String,
    pub name: String,
}

impl Priority {
    pub fn read(value: &Value) -> Option<Self> {
        let name = text(value, "name").or_else(|| text(value, "summary"))?;
        Some(Self { id: text(value, "id")?, name })
    }
}

/// The priority that a name means: exactly, else without regard to case.
pub(super) fn priority_named<'a>(priorities: &'a [Priority], name: &str) -> Option<&'a Priority> {
    let exact = priorities.iter().find(|priority| priority.name == name);
    exact.or_else(|| {
        let name = name.trim().to_lowercase();
        priorities.iter().find(|priority| priority.name.trim().to_lowercase() == name)
    })
}

/// What a refusal is about, as far as it changes what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// An open incident of this service carries the key already.
    Duplicate,
    /// The priority was not taken.
    Priority,
    /// The escalation policy was not taken.
    EscalationPolicy,
    /// The requester's address is missing or unknown.
    From,
    /// Anything else.
    Other,
}

/// `{"error": {"message", "code", "errors"}}`, or whatever came instead.
#[derive(Debug, PartialEq)]
pub(super) struct Complaint {
    code: Option<u64>,
    words: String,
}

impl Complaint {
    /// `excerpt` stands in where the reply is not the vendor's error document.
    pub fn read(reply: Option<&Value>, excerpt: String) -> Self {
        let error = reply.and_then(|reply| reply.get("error"));
        let code = error.and_then(|error| error.get("code")).and_then(Value::as_u64);
        let mut parts: Vec<String> = Vec::new();
        if let Some(error) = error {
            parts.extend(error.as_str().map(str::to_owned));
            parts.extend(text(error, "message"));
            match error.get("errors") {
                Some(Value::Array(errors)) => {
                    parts.extend(errors.iter().map(|error| match error {
                        Value::String(words) => words.clone(),
                        other => other.to_string(),
                    }));
                }
                Some(Value::String(words)) => parts.push(words.clone()),
                Some(Value::Null) | None => {}
                Some(other) => parts.push(other.to_string()),
            }
        }
        let words = if parts.is_empty() { excerpt } else { parts.join(": ") };
        Self { code, words: crate::text::one_line(&words, WORDS_UNITS_MAX) }
    }

    /// What it is about. Codes are reused by the vendor (2002 is also "Service not found"), so
    /// the words decide wherever they can.
    pub fn about(&self, status: u16) -> Refusal {
        let words = self.words.to_lowercase();
        let says = |part: &str| words.contains(part);
        match (status, self.code) {
            (400 | 409, _) if says("matching dedup key already exists") => Refusal::Duplicate,
            (400 | 403, Some(1008 | 2016)) => Refusal::From,
            (400, _) if says("\"from\" header") || says("requester user not found") => {
                Refusal::From
            }
            (400 | 402 | 404 | 422, Some(1020)) => Refusal::Priority,
            (400 | 402 | 404 | 422, Some(1014 | 1015)) => Refusal::EscalationPolicy,
            (400 | 402 | 404 | 422, _) if says("escalation policy") => Refusal::EscalationPolicy,
            (400 | 404 | 422, _) if says("priorit") => Refusal::Priority,
            // Of all that is sent, priorities alone depend on what the account pays for.
            (402, _) => Refusal::Priority,
            _ => Refusal::Other,
        }
    }

    /// Whether the vendor says that there is no such record, rather than anything else.
    pub fn is_not_found(&self) -> bool {
        self.code == Some(2100)
    }

    /// The vendor's words, on one line.
    pub fn message(&self) -> String {
        match self.code {
            Some(code) => format!("{} (code {code})", self.words),
            None => self.words.clone(),
        }
    }
}

/// Longest quotation of the vendor in a message.
const WORDS_UNITS_MAX: usize = 500;

fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
