//! What `arx.yaml` says, checked.
//!
//! These types are also the source of the JSON Schema: their `///` comments are what an editor
//! shows. A [`Manifest`] is only made by [`super::parse`], so whoever holds one needs no check.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use arx_policy::{Period, PolicyDef};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::inputs::Input;

/// The bundle of one workflow: what it is, what it may call, and under which policy.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(deny_unknown_fields, title = "arx.yaml")]
pub struct Manifest {
    /// Version of this format.
    pub api_version: ApiVersion,
    /// What the file describes.
    pub kind: Kind,
    /// Name and ownership.
    pub metadata: Metadata,
    /// The Python file beside `arx.yaml`.
    #[schemars(default = "entrypoint_default", regex(pattern = r"^[A-Za-z0-9_-]+\.py$"))]
    pub entrypoint: String,
    /// When it runs by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Schedule")]
    #[schemars(default)]
    pub schedule: Option<Schedule>,
    /// The connectors that the workflow sees, each with the operations it may ask for.
    #[schemars(default)]
    pub connectors: BTreeMap<String, ConnectorBinding>,
    /// Who may do what, how often, and when a human is asked.
    pub policy: PolicyDef,
    /// Values that the workflow reads as `config`, each a default (whose type is then the type)
    /// or a declaration with `type:`.
    #[schemars(default)]
    pub inputs: BTreeMap<String, Input>,
}

pub(super) fn entrypoint_default() -> String {
    "workflow.py".to_owned()
}

/// `arx/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ApiVersion {
    /// Version 1.
    #[serde(rename = "arx/v1")]
    V1,
}

/// `Workflow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Kind {
    /// A workflow.
    Workflow,
}

/// Name and ownership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Metadata {
    /// The workflow's name in kebab-case.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"))]
    pub name: String,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub owner: Option<String>,
    /// What it does, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", default)]
    pub description: Option<String>,
    /// What a person would have spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TimeSaved", default)]
    pub time_saved: Option<TimeSaved>,
}

/// What a person would have spent on one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TimeSaved {
    /// The item that is counted, e.g. `escalation`.
    pub per: String,
    /// Minutes for each.
    #[schemars(range(min = 0, max = 10080))]
    pub minutes: u32,
}

/// When the workflow runs by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Schedule {
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// An IANA time zone.
    #[schemars(default = "timezone_default")]
    pub timezone: String,
    /// What happens when a run is due while another is unfinished.
    #[schemars(default)]
    pub overlap: Overlap,
    /// What happens to runs that were due while ARX was not running.
    #[schemars(default)]
    pub catch_up: CatchUp,
    /// Each run begins up to this much later than it is due, so that many workflows of one minute
    /// do not ask their vendors all at once.
    #[schemars(default)]
    pub jitter: Period,
}

pub(super) fn timezone_default() -> String {
    "UTC".to_owned()
}

/// What happens when a run is due while another is unfinished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// The due run is left out.
    #[default]
    Forbid,
    /// The due run waits for the other's end.
    Queue,
}

/// What happens to runs that were due while ARX was not running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// One run makes up for all of them.
    #[default]
    Latest,
    /// Each is made up for by a run of its own, in their order.
    All,
    /// They are left out.
    None,
}

/// One connector as the workflow sees it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConnectorBinding {
    /// Names or globs of the operations that the workflow may ask for.
    #[schemars(length(min = 1))]
    pub operations: Vec<String>,
    /// Whether the workflow goes on when the vendor cannot be reached.
    #[schemars(default)]
    pub optional: bool,
    /// The vendor's rate budget, in place of its documented one. It holds for any host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Rate", default)]
    pub rate: Option<Rate>,
    /// How long an effect of unknown outcome is looked for before it is called absent or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Period", default)]
    pub settle_for: Option<Period>,
    /// Settings of the connector itself, e.g. an API version; texts, numbers and booleans.
    #[schemars(default, schema_with = "settings_schema")]
    pub settings: BTreeMap<String, Value>,
}

fn settings_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "additionalProperties": { "type": ["string", "number", "boolean"] },
    })
}

/// How many requests pass in a length of time, `960/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub requests: u32,
    /// The length of time; never zero.
    pub per: Period,
}

/// Why a text is not a rate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{} is not a rate", super::diagnostic::quote(text))]
pub struct RateError {
    /// What was given.
    pub text: String,
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let parsed = text.split_once('/').and_then(|(requests, per)| {
            let requests = requests.trim().parse().ok().filter(|requests| *requests > 0)?;
            let per: Period = per.trim().parse().ok().filter(|per: &Period| !per.is_zero())?;
            Some(Self { requests, per })
        });
        parsed.ok_or_else(|| RateError { text: text.to_owned() })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, self.per)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Rate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let requests = schemars::json_schema!({ "type": "integer", "minimum": 1 });
        let per = generator.subschema_for::<Period>();
        schemars::json_schema!({
            "description": "How many requests pass in a length of time: `960/1m`, or a map.",
            "oneOf": [
                { "type": "string", "pattern": "^\\s*[0-9]+\\s*/\\s*[0-9a-z]+\\s*$" },
                {
                    "type": "object",
                    "properties": { "requests": requests, "max": requests, "per": per },
                    "required": ["per"],
                    "oneOf": [{ "required": ["requests"] }, { "required": ["max"] }],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl Manifest {
    /// What the workflow reads as `config`: every input with its value.
    #[must_use]
    pub fn config(&self) -> Value {
        let values = self.inputs.iter().map(|(name, input)| (name.clone(), input.value()));
        Value::Object(values.collect())
    }

    /// The operations bound for each connector, as [`arx_policy::Policy::compile`] takes them.
    #[must_use]
    pub fn bound(&self) -> BTreeMap<String, Vec<String>> {
        let bindings = self.connectors.iter();
        bindings.map(|(name, binding)| (name.clone(), binding.operations.clone())).collect()
    }
}
