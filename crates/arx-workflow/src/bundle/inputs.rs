//! The inputs of a workflow: declared in `arx.yaml`, overridden with `--set`, read as `config`.
//!
//! An input's type is what its default is, unless a declaration with `type:` says so. A map of
//! defaults is an input for each of its keys; an empty map takes any key.

use std::collections::BTreeMap;

use arx_policy::Period;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::decode::{Decoder, Fields};
use super::diagnostic::{Code, list, quote, suggest};
use super::manifest::Manifest;
use super::yaml::{self, Node, Yaml};
use crate::Diagnostic;

/// Keys of a declaration.
pub(super) const INPUT_KEYS: [&str; 7] =
    ["type", "default", "nullable", "description", "values", "min", "max"];
/// The most inputs of a workflow.
pub(super) const INPUTS_MAX: usize = 200;
/// The longest value of `--set`, in bytes.
const OVERRIDE_BYTES_MAX: usize = 16 * 1024;

/// The type of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    String,
    /// A text that says how long, such as `24h`.
    Duration,
    /// A list; where the default's elements are of one type, all are.
    List,
    /// A map.
    Map,
    /// Anything: the default is `null` and nothing says more.
    #[schemars(skip)]
    Any,
}

impl InputKind {
    /// The words of `type:`.
    pub(super) const WORDS: [(&'static str, Self); 7] = [
        ("bool", Self::Bool),
        ("int", Self::Int),
        ("float", Self::Float),
        ("string", Self::String),
        ("duration", Self::Duration),
        ("list", Self::List),
        ("map", Self::Map),
    ];

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Any,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => Self::Int,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Map,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::String => "a string",
            Self::Duration => "a duration such as `24h`",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Any => "a value",
        }
    }
}

/// One input with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its type.
    pub kind: InputKind,
    /// Whether it may be `null`.
    pub nullable: bool,
    /// What it is for.
    pub description: Option<String>,
    /// The values it takes; any of its type where empty. For a list, of each element.
    pub values: Vec<Value>,
    /// The least number; for a list, of each element.
    pub min: Option<f64>,
    /// The greatest number; for a list, of each element.
    pub max: Option<f64>,
    /// The type of a list's elements, where the default shows one.
    pub items: Option<InputKind>,
    /// The inputs inside of a map of defaults; empty for a map that takes any key.
    pub fields: BTreeMap<String, Input>,
    /// The value of anything but a map with `fields`.
    value: Value,
}

/// An input is written as its value.
impl Serialize for Input {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

/// An input that says more than its default.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only the source of a schema; the decoder reads the tree")]
struct InputDeclaration {
    /// Its type.
    #[schemars(rename = "type")]
    kind: InputKind,
    /// Its value unless `--set` gives another. Needed unless it is nullable.
    default: Option<Value>,
    /// Whether it may be `null`, which is then its default.
    #[schemars(default)]
    nullable: bool,
    /// What it is for.
    #[schemars(with = "String", default)]
    description: Option<String>,
    /// The values it takes; for a list, of each element.
    #[schemars(default)]
    values: Vec<Value>,
    /// The least number; for a list, of each element.
    #[schemars(with = "f64", default)]
    min: Option<f64>,
    /// The greatest number; for a list, of each element.
    #[schemars(with = "f64", default)]
    max: Option<f64>,
}

impl JsonSchema for Input {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Input".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let declaration = generator.subschema_for::<InputDeclaration>();
        let words: Vec<&str> = InputKind::WORDS.iter().map(|(word, _)| *word).collect();
        schemars::json_schema!({
            "description": "A default, whose type is then the type; or a declaration with `type:`.",
            "anyOf": [
                declaration,
                { "not": {
                    "type": "object",
                    "properties": { "type": { "enum": words } },
                    "required": ["type"],
                } },
            ],
        })
    }
}

impl Input {
    fn plain(kind: InputKind, value: Value) -> Self {
        Self {
            kind,
            nullable: kind == InputKind::Any,
            description: None,
            values: Vec::new(),
            min: None,
            max: None,
            items: item_kind(&value),
            fields: BTreeMap::new(),
            value,
        }
    }

    /// The value: the default, or what `--set` gave.
    #[must_use]
    pub fn value(&self) -> Value {
        if self.fields.is_empty() {
            return self.value.clone();
        }
        let fields = self.fields.iter().map(|(name, field)| (name.clone(), field.value()));
        Value::Object(fields.collect())
    }

    /// Takes a value that the declaration allows.
    fn assign(&mut self, value: Value) -> Result<(), Refusal> {
        if self.fields.is_empty() {
            self.value = self.check(value)?;
            return Ok(());
        }
        let Value::Object(entries) = value else {
            return Err(Refusal::new(format!("expected a map, found {}", describe(&value))));
        };
        for (name, value) in entries {
            match self.fields.get_mut(&name) {
                Some(field) => field.assign(value)?,
                None => return Err(Refusal::unknown(&name, &self.fields)),
            }
        }
        Ok(())
    }

    /// The value in the form that is kept (a whole number becomes a float where one is wanted).
    fn check(&self, value: Value) -> Result<Value, Refusal> {
        if value.is_null() {
            return if self.nullable {
                Ok(value)
            } else {
                Err(Refusal::new(format!("expected {}, found nothing", self.kind.expected())))
            };
        }
        match value {
            Value::Array(elements) if matches!(self.kind, InputKind::List | InputKind::Any) => {
                let kind = self.items.unwrap_or(InputKind::Any);
                let elements = elements.into_iter().map(|element| self.check_one(kind, element));
                Ok(Value::Array(elements.collect::<Result<_, _>>()?))
            }
            value => self.check_one(self.kind, value),
        }
    }

    fn check_one(&self, kind: InputKind, value: Value) -> Result<Value, Refusal> {
        let found = InputKind::of(&value);
        let value = match (kind, found) {
            (InputKind::Float, InputKind::Int) => value.as_f64().map_or(value, Value::from),
            (InputKind::Any, _) => value,
            (InputKind::Duration, InputKind::String) => {
                let text = value.as_str().unwrap_or_default();
                if let Err(error) = text.parse::<Period>() {
                    return Err(Refusal::new(format!("{error}; write e.g. `24h` or `7d`")));
                }
                value
            }
            (kind, found) if kind == found => value,
            (kind, _) => {
                let message = format!("expected {}, found {}", kind.expected(), describe(&value));
                return Err(Refusal::new(message));
            }
        };
        if !self.values.is_empty() && !self.values.iter().any(|allowed| same(allowed, &value)) {
            let allowed: Vec<String> = self.values.iter().map(Value::to_string).collect();
            let text = value.as_str().unwrap_or_default();
            let words = self.values.iter().filter_map(Value::as_str);
            return Err(Refusal {
                code: Code::BadInputValue,
                message: format!("{} is not one of {}", describe(&value), allowed.join(", ")),
                hint: super::diagnostic::nearest(text, words)
                    .map(|near| format!("did you mean `{near}`?")),
            });
        }
        if let Some(number) = value.as_f64() {
            let below = self.min.is_some_and(|min| number < min);
            let above = self.max.is_some_and(|max| number > max);
            if below || above {
                let message = format!("`{value}` is out of range: {}", self.range());
                return Err(Refusal::new(message));
            }
        }
        Ok(value)
    }

    fn range(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "any number".to_owned(),
        }
    }

    /// The value that a text of `--set` stands for.
    fn read(&self, text: &str) -> Result<Value, Refusal> {
        let null = self.nullable && matches!(text, "null" | "~");
        match self.kind {
            _ if null => Ok(Value::Null),
            InputKind::String | InputKind::Duration => Ok(Value::from(unquote(text))),
            InputKind::List if text.trim().is_empty() => Ok(Value::Array(Vec::new())),
            InputKind::List if !text.trim_start().starts_with(['[', '{']) => {
                let elements = text.split(',').map(|element| {
                    let element = element.trim();
                    match self.items {
                        Some(InputKind::String) => Ok(Value::from(unquote(element))),
                        _ => read_yaml(element),
                    }
                });
                Ok(Value::Array(elements.collect::<Result<_, _>>()?))
            }
            _ => read_yaml(text),
        }
    }
}

/// Why an override was not taken.
struct Refusal {
    code: Code,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(message: String) -> Self {
        Self { code: Code::BadInputValue, message, hint: None }
    }

    fn unknown(name: &str, inputs: &BTreeMap<String, Input>) -> Self {
        Self {
            code: Code::UnknownInput,
            message: format!("there is no input {}", quote(name)),
            hint: suggest(name, inputs.keys().map(String::as_str)),
        }
    }
}

impl Manifest {
    /// The manifest with inputs overridden by `--set key=value` options; a key reaches into maps
    /// with dots (`jira.project=SEC`).
    ///
    /// # Errors
    /// Every option that names no input or gives it a value that it does not take.
    pub fn with_overrides(&self, overrides: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        let mut manifest = self.clone();
        let mut diagnostics = Vec::new();
        for (key, text) in overrides {
            if let Err(refusal) = set(&mut manifest.inputs, key, text) {
                diagnostics.push(Diagnostic {
                    file: format!("--set {}", quote(key).trim_matches('`')),
                    line: 0,
                    column: 0,
                    code: refusal.code.as_str().to_owned(),
                    message: refusal.message,
                    hint: refusal.hint,
                });
            }
        }
        if diagnostics.is_empty() { Ok(manifest) } else { Err(diagnostics) }
    }
}

fn set(inputs: &mut BTreeMap<String, Input>, key: &str, text: &str) -> Result<(), Refusal> {
    if text.len() > OVERRIDE_BYTES_MAX {
        return Err(Refusal::new(format!("the value is longer than {OVERRIDE_BYTES_MAX} bytes")));
    }
    let (first, mut rest) = split(key);
    if !inputs.contains_key(first) {
        return Err(Refusal::unknown(first, inputs));
    }
    let Some(mut input) = inputs.get_mut(first) else { return Ok(()) };
    let mut path = first.to_owned();
    while let Some(inner) = rest {
        if input.fields.is_empty() {
            // A map that takes any key; what is left is one key, dots and all.
            if let (InputKind::Map, Value::Object(entries)) = (input.kind, &mut input.value) {
                entries.insert(inner.to_owned(), read_yaml(text)?);
                return Ok(());
            }
            return Err(Refusal {
                code: Code::UnknownInput,
                message: format!("{} is not a map", quote(&path)),
                hint: Some(format!("write `{path}={text}`")),
            });
        }
        let (name, next) = split(inner);
        if !input.fields.contains_key(name) {
            return Err(Refusal::unknown(name, &input.fields));
        }
        let Some(field) = input.fields.get_mut(name) else { return Ok(()) };
        input = field;
        rest = next;
        path = format!("{path}.{name}");
    }
    let value = input.read(text)?;
    input.assign(value)
}

fn split(key: &str) -> (&str, Option<&str>) {
    match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    }
}

fn read_yaml(text: &str) -> Result<Value, Refusal> {
    yaml::parse(text)
        .map(|node| node.to_json())
        .map_err(|error| Refusal::new(format!("{} does not parse: {}", quote(text), error.message)))
}

/// A quoted text without its quotes; any other as it is, so that `1.10` and `yes` stay texts.
fn unquote(text: &str) -> String {
    match yaml::parse(text) {
        Ok(Node { value: Yaml::String(inner), .. }) if text.starts_with(['"', '\'']) => inner,
        _ => text.to_owned(),
    }
}

/// Numbers are the same whether they are written as whole ones or not.
fn same(one: &Value, two: &Value) -> bool {
    match (one.as_f64(), two.as_f64()) {
        (Some(one), Some(two)) => one.total_cmp(&two).is_eq(),
        _ => one == two,
    }
}

/// The one type of a list's elements.
fn item_kind(value: &Value) -> Option<InputKind> {
    let mut kinds = value.as_array()?.iter().map(InputKind::of);
    let first = kinds.next().filter(|kind| *kind != InputKind::Any)?;
    kinds.all(|kind| kind == first).then_some(first)
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(truth) => format!("`{truth}`"),
        Value::Number(number) => format!("the number `{number}`"),
        Value::String(text) => format!("the string {}", quote(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// Decodes one input; `None` where it is too broken to have a type.
pub(super) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Input> {
    let Yaml::Map(entries) = &node.value else {
        let value = node.to_json();
        return Some(Input::plain(InputKind::of(&value), value));
    };
    let declared = node.get("type").and_then(|entry| match &entry.node.value {
        Yaml::String(word) => InputKind::WORDS.into_iter().find(|(known, _)| known == word),
        _ => None,
    });
    if let Some((_, kind)) = declared {
        return declaration(decoder, node, kind);
    }
    let mut input = Input::plain(InputKind::Map, Value::Object(serde_json::Map::new()));
    for entry in entries {
        if input.fields.contains_key(&entry.key) {
            decoder.duplicate_key(entry);
        } else if let Some(field) = decode(decoder, &entry.node) {
            input.fields.insert(entry.key.clone(), field);
        }
    }
    Some(input)
}

fn declaration(decoder: &mut Decoder<'_>, node: &Node, kind: InputKind) -> Option<Input> {
    let fields = decoder.map(node, "the declaration of an input", &INPUT_KEYS)?;
    let mut input = Input::plain(kind, Value::Null);
    let nullable = fields.optional("nullable").and_then(|node| decoder.boolean(node));
    input.description = fields.optional("description").and_then(|node| decoder.text(node));
    input.min = bound(decoder, &fields, "min", kind);
    input.max = bound(decoder, &fields, "max", kind);
    if let (Some(min), Some(max)) = (input.min, input.max)
        && min > max
    {
        let message = format!("no number is at least {min} and at most {max}");
        decoder.report(node.at, Code::BadInput, message, None);
        return None;
    }
    let default = fields.get("default").map(|entry| (entry.node.at, entry.node.to_json()));
    if let Some((_, default)) = &default {
        input.items = item_kind(default);
    }

    let listed = fields.optional("values").and_then(|node| decoder.items(node, "values"));
    let element =
        if kind == InputKind::List { input.items.unwrap_or(InputKind::Any) } else { kind };
    let mut values = Vec::new();
    for value in listed.unwrap_or_default() {
        match input.check_one(element, value.to_json()) {
            Ok(value) => values.push(value),
            Err(refusal) => decoder.report(value.at, Code::BadInput, refusal.message, refusal.hint),
        }
    }
    input.values = values;

    // A default of `null` says as much as `nullable: true`.
    let null = default.as_ref().is_some_and(|(_, default)| default.is_null());
    input.nullable = nullable.unwrap_or(null);
    match default {
        Some((at, default)) => match input.check(default) {
            Ok(value) => input.value = value,
            Err(refusal) => decoder.report(at, Code::BadInput, refusal.message, refusal.hint),
        },
        None if input.nullable => {}
        None => {
            let message = "an input needs a default".to_owned();
            let hint = "add `default: …`, or `nullable: true` for one that may stay empty";
            decoder.report(node.at, Code::BadInput, message, Some(hint.to_owned()));
        }
    }
    Some(input)
}

fn bound(
    decoder: &mut Decoder<'_>,
    fields: &Fields<'_>,
    key: &str,
    kind: InputKind,
) -> Option<f64> {
    let node = fields.optional(key)?;
    if !matches!(kind, InputKind::Int | InputKind::Float | InputKind::List) {
        let message = format!("`{key}` bounds numbers, and this input is {}", kind.expected());
        let hint = format!("types with `{key}`: {}", list(&["int", "float", "list"]));
        decoder.report(node.at, Code::BadInput, message, Some(hint));
        return None;
    }
    decoder.number(node)
}
