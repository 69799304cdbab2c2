//! What arx.yaml may say about Qualys, and what a workflow may ask of it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::wire::{Filter, STATUSES};
use crate::text;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `connectors.qualys.settings` of arx.yaml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Version of the detection list; the newest one served where it is not fixed.
    pub(super) api_version: Option<String>,
    /// Version of the KnowledgeBase; the newest one served where it is not fixed.
    pub(super) kb_api_version: Option<String>,
    /// Version of the host list; the newest one served where it is not fixed.
    pub(super) host_api_version: Option<String>,
    /// Hosts of one page; 0 for all at once.
    pub(super) truncation_limit: u64,
    /// Longest wait for a reply and for each further piece of it.
    pub(super) timeout: Duration,
    /// How long a fact of the KnowledgeBase is believed.
    pub(super) kb_max_age: Duration,
    /// Whether host tags are asked for.
    pub(super) show_tags: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            api_version: None,
            kb_api_version: None,
            host_api_version: None,
            truncation_limit: 1000,
            timeout: Duration::from_secs(300),
            kb_max_age: 7 * DAY,
            show_tags: false,
        }
    }
}

impl Settings {
    pub(super) fn read(settings: &Value) -> Result<Self, String> {
        let mut read = Self::default();
        for (name, value) in entries(settings, "settings")? {
            match name.as_str() {
                "api_version" => read.api_version = Some(version(name, value)?),
                "kb_api_version" => read.kb_api_version = Some(version(name, value)?),
                "host_api_version" => read.host_api_version = Some(version(name, value)?),
                "truncation_limit" => read.truncation_limit = number(name, value, 0, 1_000_000)?,
                "timeout_seconds" => {
                    read.timeout = Duration::from_secs(number(name, value, 1, 3600)?);
                }
                "kb_max_age_days" => {
                    let days = number(name, value, 0, 365)?;
                    read.kb_max_age = DAY * u32::try_from(days).unwrap_or_default();
                }
                "show_tags" => {
                    read.show_tags =
                        value.as_bool().ok_or("`show_tags` must be true or false".to_owned())?;
                }
                unknown => {
                    let shown = text::one_line(unknown, 80);
                    return Err(format!(
                        "no setting `{shown}`; there are api_version, kb_api_version, \
                         host_api_version, truncation_limit, timeout_seconds, kb_max_age_days \
                         and show_tags"
                    ));
                }
            }
        }
        Ok(read)
    }
}

impl Filter {
    /// Reads the parameters of `findings:read`.
    pub(super) fn from_params(params: &Value) -> Result<Self, String> {
        let mut filter = Self { min_severity: 5, statuses: vec!["New", "Active", "Re-Opened"] };
        for (name, value) in entries(params, "parameters")? {
            match name.as_str() {
                "min_severity" => {
                    let least = number(name, value, 1, 5)?;
                    filter.min_severity = u8::try_from(least).unwrap_or(5);
                }
                "statuses" => filter.statuses = statuses(value)?,
                unknown => {
                    let shown = text::one_line(unknown, 80);
                    return Err(format!(
                        "no parameter `{shown}`; there are min_severity and statuses"
                    ));
                }
            }
        }
        Ok(filter)
    }

    /// The severities that are asked for, `4,5`.
    pub(super) fn severities(&self) -> String {
        (self.min_severity..=5).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    }
}

fn entries<'v>(value: &'v Value, what: &str) -> Result<Vec<(&'v String, &'v Value)>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(entries) => Ok(set(entries)),
        _ => Err(format!("{what} must be named")),
    }
}

/// Entries that are not null; null means the default.
fn set(entries: &Map<String, Value>) -> Vec<(&String, &Value)> {
    entries.iter().filter(|(_, value)| !value.is_null()).collect()
}

fn number(name: &str, value: &Value, least: u64, most: u64) -> Result<u64, String> {
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("`{name}` must be a whole number from {least} to {most}"))
}

/// A version, also one that YAML took for a number.
fn version(name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    let text = if text.contains('.') { text } else { format!("{text}.0") };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((major, minor)) if digits(major) && digits(minor) => Ok(text),
        _ => Err(format!("`{name}` must be a version such as `5.0`")),
    }
}

fn statuses(value: &Value) -> Result<Vec<&'static str>, String> {
    let problem = || format!("`statuses` must be a list of {}", STATUSES.join(", "));
    let mut chosen = Vec::new();
    for word in value.as_array().ok_or_else(problem)? {
        let word = word.as_str().ok_or_else(problem)?;
        let known = STATUSES.iter().find(|status| status.eq_ignore_ascii_case(word));
        let known = known.ok_or_else(problem)?;
        if !chosen.contains(known) {
            chosen.push(*known);
        }
    }
    if chosen.is_empty() { Err(problem()) } else { Ok(chosen) }
}
