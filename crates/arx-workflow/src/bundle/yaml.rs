//! YAML to a tree that remembers where everything stands.
//!
//! The tree is what lets the decoder report every mistake at its place and go on. Parsing is
//! bounded in size, depth, nodes and what aliases expand to, before anything is decoded.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter, Spanned};

use super::diagnostic::{Code, quote};

/// The largest `arx.yaml`, in bytes.
pub(super) const YAML_BYTES_MAX: usize = 256 * 1024;
/// The deepest nesting.
const DEPTH_MAX: usize = 24;
/// The most values, after aliases are expanded.
const NODES_MAX: usize = 20_000;
/// The most `*alias` references.
const ALIASES_MAX: usize = 100;
/// The longest message taken from the parser.
const MESSAGE_CHARS_MAX: usize = 200;

/// A place in the text, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub line: u32,
    pub column: u32,
}

impl Mark {
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let from_one = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self { line: from_one(location.line()), column: from_one(location.column()) }
    }
}

/// One value and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: Mark,
    pub value: Yaml,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One entry of a map; a key may come twice.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Mark,
    pub node: Node,
}

/// Why a text is not YAML, or not YAML that is read here.
pub(super) struct YamlError {
    pub at: Mark,
    pub code: Code,
    pub message: String,
}

/// Parses one document.
pub(super) fn parse(text: &str) -> Result<Node, YamlError> {
    if text.len() > YAML_BYTES_MAX {
        let message = format!("the text is larger than {} KiB", YAML_BYTES_MAX / 1024);
        return Err(YamlError { at: Mark::START, code: Code::TooLarge, message });
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 4 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_recorded_anchor_events: 4 * NODES_MAX,
            max_documents: 1,
            max_total_scalar_bytes: YAML_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: NODES_MAX,
            max_replay_stack_depth: DEPTH_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(&error))
}

fn explain(error: &Error) -> YamlError {
    let mut error = error.without_snippet();
    while let Error::AliasError { error: cause, .. } = error {
        error = cause;
    }
    let (code, message) = match error {
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. }
        | Error::MultipleDocuments { .. } => {
            (Code::Syntax, "a second document begins here".to_owned())
        }
        Error::Budget { breach, .. } => (Code::TooLarge, describe(breach)),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            (Code::TooLarge, format!("aliases expand to more than {NODES_MAX} values"))
        }
        Error::MergeKeyNotAllowed { .. } => {
            (Code::Syntax, "merge keys (`<<`) are not read here".to_owned())
        }
        Error::NonFiniteFloat { .. } => (Code::Syntax, "a number must be finite".to_owned()),
        _ => match DefaultMessageFormatter.format_message(error) {
            // The scanner has its own word for brackets that nest too deep.
            message if message == "recursion limit exceeded" => (Code::TooLarge, too_deep()),
            message => (Code::Syntax, message.into_owned()),
        },
    };
    let message = message
        .chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let at = error.location().map_or(Mark::START, Mark::from);
    YamlError { at, code, message }
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX}")
}

fn describe(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } => {
            format!("more than {ALIASES_MAX} anchors or aliases")
        }
        // The rest, of an enum that may grow, all say that there is too much.
        _ => format!("more than {NODES_MAX} values"),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Self { at: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Yaml, E> {
        Ok(Yaml::Int(number))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Yaml, E> {
        i64::try_from(number).map(Yaml::Int).map_err(|_| E::custom("a number is too large"))
    }

    fn visit_i128<E: serde::de::Error>(self, number: i128) -> Result<Yaml, E> {
        i64::try_from(number).map(Yaml::Int).map_err(|_| E::custom("a number is too large"))
    }

    fn visit_u128<E: serde::de::Error>(self, number: u128) -> Result<Yaml, E> {
        i64::try_from(number).map(Yaml::Int).map_err(|_| E::custom("a number is too large"))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Yaml, E> {
        if number.is_finite() {
            Ok(Yaml::Float(number))
        } else {
            Err(E::custom("a number must be finite"))
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Yaml, E> {
        Ok(Yaml::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Yaml, E> {
        Ok(Yaml::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Yaml::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Yaml, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value()?;
            map.push(Entry { key: key.value, key_at: key.referenced.into(), node });
        }
        Ok(Yaml::Map(map))
    }
}

impl Node {
    /// The entry of a map under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Yaml::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The place of `rules[2].operation`, or of the last part of it that exists.
    pub(super) fn locate(&self, path: &str) -> Mark {
        let mut node = self;
        let steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']'));
        for step in steps.filter(|step| !step.is_empty()) {
            let next = match &node.value {
                Yaml::List(items) => step.parse().ok().and_then(|place: usize| items.get(place)),
                Yaml::Map(_) => node.get(step).map(|entry| &entry.node),
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }

    /// The value as JSON.
    pub(super) fn to_json(&self) -> Value {
        match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(truth) => Value::Bool(*truth),
            Yaml::Int(number) => Value::from(*number),
            Yaml::Float(number) => Value::from(*number),
            Yaml::String(text) => Value::from(text.as_str()),
            Yaml::List(items) => items.iter().map(Self::to_json).collect(),
            Yaml::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect(),
            ),
        }
    }

    /// What it is, for "expected …, found …".
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Yaml::Null => "nothing".to_owned(),
            Yaml::Bool(truth) => format!("`{truth}`"),
            Yaml::Int(number) => format!("the number `{number}`"),
            Yaml::Float(number) => format!("the number `{number}`"),
            Yaml::String(text) => format!("the string {}", quote(text)),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a map".to_owned(),
        }
    }
}
