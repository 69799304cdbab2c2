//! Parameters as a workflow wrote them: read by name, with errors that name the parameter.

use serde_json::{Map, Value};

use crate::text;

/// The named parameters of one call. Every known name is asked for once, then [`Params::finish`]
/// refuses what nobody asked for.
#[derive(Debug)]
pub(crate) struct Params<'a> {
    given: &'a Map<String, Value>,
    /// What `given` is, for messages; empty for the parameters themselves.
    within: &'static str,
    known: Vec<&'static str>,
}

impl<'a> Params<'a> {
    /// The parameters of a call.
    pub fn of(value: &'a Value) -> Result<Self, String> {
        Self::within("", value)
    }

    /// The members of one parameter that is a mapping.
    pub fn within(within: &'static str, value: &'a Value) -> Result<Self, String> {
        match value {
            Value::Object(given) => Ok(Self { given, within, known: Vec::new() }),
            other if within.is_empty() => {
                Err(format!("parameters are given by name, not as {}", kind(other)))
            }
            other => Err(format!("`{within}` is {}; write a mapping", kind(other))),
        }
    }

    /// The value of a parameter; null is as good as absent.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.given.get(name).filter(|value| !value.is_null())
    }

    /// A text; one that is blank is as good as absent.
    pub fn string(&mut self, name: &'static str) -> Result<Option<String>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|t| !t.trim().is_empty())),
            Some(other) => Err(format!("`{}` is {}; write a text", self.path(name), kind(other))),
        }
    }

    /// A list of texts; a single text is a list of one.
    pub fn strings(&mut self, name: &'static str) -> Result<Vec<String>, String> {
        let wrong = |path: String, other: &Value| {
            format!("`{path}` holds {}; write a list of texts", kind(other))
        };
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(wrong(self.path(name), other)),
                });
                texts.collect()
            }
            Some(other) => Err(wrong(self.path(name), other)),
        }
    }

    /// Refuses names that were not asked for.
    pub fn finish(self) -> Result<(), String> {
        match self.given.keys().find(|name| !self.known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let place = if self.within.is_empty() {
                    String::new()
                } else {
                    format!(" in `{}`", self.within)
                };
                let shown = text::one_line(name, 80);
                Err(format!("no parameter `{shown}`{place}; there are {}", self.known.join(", ")))
            }
        }
    }

    fn path(&self, name: &str) -> String {
        if self.within.is_empty() { name.to_owned() } else { format!("{}.{name}", self.within) }
    }
}

/// What a value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
