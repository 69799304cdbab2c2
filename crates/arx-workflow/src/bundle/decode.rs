//! The tree to a [`Manifest`], reporting every mistake at its place.
//!
//! A part that is wrong is reported and left out; decoding goes on with the rest. Only when
//! nothing was reported does the manifest count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arx_policy::{Glob, Period};
use arx_types::OperationSpec;

use super::diagnostic::{Code, list, nearest, printable, quote, suggest};
use super::manifest::{
    ApiVersion, CatchUp, ConnectorBinding, Kind, Manifest, Metadata, Overlap, Rate, Schedule,
    TimeSaved, entrypoint_default, timezone_default,
};
use super::yaml::{Entry, Mark, Node, Yaml};
use super::{cron, inputs, policy};
use crate::Diagnostic;

pub(super) const MANIFEST_KEYS: [&str; 8] =
    ["apiVersion", "kind", "metadata", "entrypoint", "schedule", "connectors", "policy", "inputs"];
pub(super) const METADATA_KEYS: [&str; 4] = ["name", "owner", "description", "time_saved"];
pub(super) const TIME_SAVED_KEYS: [&str; 2] = ["per", "minutes"];
/// Beyond it a run would hardly be one of its day.
const JITTER_MAX: Duration = Duration::from_secs(12 * 60 * 60);
pub(super) const SCHEDULE_KEYS: [&str; 5] = ["cron", "timezone", "overlap", "catch_up", "jitter"];
pub(super) const CONNECTOR_KEYS: [&str; 5] =
    ["operations", "optional", "rate", "settle_for", "settings"];
pub(super) const RATE_KEYS: [&str; 3] = ["requests", "max", "per"];

/// More mistakes than this are not listed.
const DIAGNOSTICS_MAX: usize = 100;
/// The longest name of a workflow, as long as a DNS label.
const NAME_BYTES_MAX: usize = 63;
/// The longest single text (a description).
const TEXT_BYTES_MAX: usize = 4_096;
/// The most operations bound for one connector.
const OPERATIONS_MAX: usize = 100;
/// The most settings of one connector.
const SETTINGS_MAX: usize = 50;
/// A week: nothing that one item saves is longer.
const MINUTES_MAX: i64 = 7 * 24 * 60;

/// The catalogues of all connectors: name and operations.
pub(super) type Catalogue<'a> = &'a [(&'a str, &'a [OperationSpec])];

/// Collects what is wrong.
pub(super) struct Decoder<'a> {
    pub file: &'a str,
    pub catalogue: Catalogue<'a>,
    pub diagnostics: Vec<Diagnostic>,
}

/// The entries of a map whose keys were checked.
pub(super) struct Fields<'n> {
    pub at: Mark,
    entries: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key).copied()
    }

    /// The value under a key that may be left out; `null` counts as left out.
    pub(super) fn optional(&self, key: &str) -> Option<&'n Node> {
        let node = &self.get(key)?.node;
        if matches!(node.value, Yaml::Null) { None } else { Some(node) }
    }
}

impl Decoder<'_> {
    pub(super) fn report(&mut self, at: Mark, code: Code, message: String, hint: Option<String>) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            let Mark { line, column } = at;
            let file = self.file.to_owned();
            let code = code.as_str().to_owned();
            // Texts in YAML may hold line breaks, and other crates quote them as they are.
            let message = printable(message.chars());
            let hint = hint.map(|hint| printable(hint.chars()));
            self.diagnostics.push(Diagnostic { file, line, column, code, message, hint });
        }
    }

    pub(super) fn duplicate_key(&mut self, entry: &Entry) {
        let message = format!("the key {} comes twice", quote(&entry.key));
        self.report(entry.key_at, Code::DuplicateKey, message, None);
    }

    /// Reports what a node is not.
    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let hint = match (&node.value, expected) {
            (Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_), "a string") => {
                Some("put it in quotes".to_owned())
            }
            (Yaml::String(text), "a number" | "a whole number") if text.parse::<f64>().is_ok() => {
                Some("leave out the quotes".to_owned())
            }
            (Yaml::String(text), "`true` or `false`") => match text.to_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write `true`".to_owned()),
                "no" | "off" | "n" => Some("write `false`".to_owned()),
                _ => None,
            },
            _ => None,
        };
        let message = format!("expected {expected}, found {}", node.describe());
        self.report(node.at, Code::WrongType, message, hint);
    }

    /// A map with known keys; unknown and repeated ones are reported.
    pub(super) fn map<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        keys: &[&str],
    ) -> Option<Fields<'n>> {
        let Yaml::Map(entries) = &node.value else {
            self.wrong_type(node, "a map");
            return None;
        };
        let mut known: Vec<&Entry> = Vec::new();
        for entry in entries {
            if !keys.contains(&entry.key.as_str()) {
                let message = format!("{what} has no key {}", quote(&entry.key));
                let hint = suggest(&entry.key, keys.iter().copied());
                self.report(entry.key_at, Code::UnknownKey, message, hint);
            } else if known.iter().any(|other| other.key == entry.key) {
                self.duplicate_key(entry);
            } else {
                known.push(entry);
            }
        }
        Some(Fields { at: node.at, entries: known })
    }

    /// The value under a key that must be there.
    pub(super) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        what: &str,
        key: &str,
    ) -> Option<&'n Node> {
        let found = fields.get(key).map(|entry| &entry.node);
        if found.is_none() {
            let message = format!("{what} lacks the key `{key}`");
            self.report(fields.at, Code::MissingKey, message, None);
        }
        found
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Yaml::String(text) if text.len() <= TEXT_BYTES_MAX => Some(text.clone()),
            Yaml::String(_) => {
                let message = format!("a text of more than {TEXT_BYTES_MAX} bytes");
                self.report(node.at, Code::TooLarge, message, None);
                None
            }
            _ => {
                self.wrong_type(node, "a string");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            Yaml::Bool(truth) => Some(truth),
            _ => {
                self.wrong_type(node, "`true` or `false`");
                None
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a bound beyond 2^53 is none")]
    pub(super) fn number(&mut self, node: &Node) -> Option<f64> {
        match node.value {
            Yaml::Int(number) => Some(number as f64),
            Yaml::Float(number) => Some(number),
            _ => {
                self.wrong_type(node, "a number");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, node: &Node, low: i64, high: i64) -> Option<i64> {
        match node.value {
            Yaml::Int(number) if (low..=high).contains(&number) => Some(number),
            Yaml::Int(number) => {
                let message = format!("`{number}` is out of range: {low} to {high}");
                self.report(node.at, Code::OutOfRange, message, None);
                None
            }
            _ => {
                self.wrong_type(node, "a whole number");
                None
            }
        }
    }

    pub(super) fn items<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.value {
            Yaml::List(items) => Some(items),
            Yaml::String(text) => {
                let message = format!("expected a list, found the string {}", quote(text));
                let hint = format!("write `{what}: [{}]`", quote(text).trim_matches('`'));
                self.report(node.at, Code::WrongType, message, Some(hint));
                None
            }
            _ => {
                self.wrong_type(node, "a list");
                None
            }
        }
    }

    /// One word of a vocabulary.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("{} is not one of {}", quote(&text), list(&known));
            let hint = match known.as_slice() {
                [only] => Some(format!("write `{only}`")),
                _ => nearest(&text, known).map(|near| format!("did you mean `{near}`?")),
            };
            self.report(node.at, Code::UnknownWord, message, hint);
        }
        found
    }

    pub(super) fn period(&mut self, node: &Node) -> Option<Period> {
        let parsed = match &node.value {
            Yaml::String(text) => text.parse::<Period>().map_err(|error| error.to_string()),
            Yaml::Int(0) => Ok(Period::default()),
            Yaml::Int(number) => Err(format!("`{number}` is not a duration")),
            _ => {
                self.wrong_type(node, "a duration");
                return None;
            }
        };
        match parsed {
            Ok(period) => Some(period),
            Err(message) => {
                let hint = match node.value {
                    Yaml::Int(number) => format!("give it a unit: `{number}s`, `{number}m`"),
                    _ => "write `90s`, `15m`, `1h30m` or `2d`".to_owned(),
                };
                self.report(node.at, Code::BadDuration, message, Some(hint));
                None
            }
        }
    }

    pub(super) fn glob(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        match Glob::new(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                let hint = policy::GLOB_HINT.to_owned();
                self.report(node.at, Code::BadGlob, error.to_string(), Some(hint));
                None
            }
        }
    }

    pub(super) fn operations_of(&self, connector: &str) -> Option<&[OperationSpec]> {
        let found = self.catalogue.iter().find(|(name, _)| *name == connector);
        found.map(|(_, operations)| *operations)
    }

    pub(super) fn unknown_connector(&mut self, at: Mark, name: &str) {
        let hint = suggest(name, self.catalogue.iter().map(|(name, _)| *name));
        let message = format!("there is no connector {}", quote(name));
        self.report(at, Code::UnknownConnector, message, hint);
    }
}

/// Decodes the whole file; the manifest is `None` where it is too broken to be one.
pub(super) fn manifest(decoder: &mut Decoder<'_>, root: &Node) -> Option<Manifest> {
    let fields = decoder.map(root, "arx.yaml", &MANIFEST_KEYS)?;
    let api_version = decoder
        .required(&fields, "arx.yaml", "apiVersion")
        .and_then(|node| decoder.word(node, &[("arx/v1", ApiVersion::V1)]));
    let kind = decoder
        .required(&fields, "arx.yaml", "kind")
        .and_then(|node| decoder.word(node, &[("Workflow", Kind::Workflow)]));
    let metadata =
        decoder.required(&fields, "arx.yaml", "metadata").and_then(|node| metadata(decoder, node));
    let entrypoint = match fields.optional("entrypoint") {
        Some(node) => entrypoint(decoder, node),
        None => Some(entrypoint_default()),
    };
    let schedule = fields.optional("schedule").and_then(|node| schedule(decoder, node));
    let connectors = fields.optional("connectors").map(|node| connectors(decoder, node));
    let connectors = connectors.unwrap_or_default();
    let policy = decoder
        .required(&fields, "arx.yaml", "policy")
        .and_then(|node| policy::decode(decoder, node, &connectors));
    let inputs = fields.optional("inputs").map(|node| inputs(decoder, node)).unwrap_or_default();
    Some(Manifest {
        api_version: api_version?,
        kind: kind?,
        metadata: metadata?,
        entrypoint: entrypoint?,
        schedule,
        connectors,
        policy: policy?,
        inputs,
    })
}

fn metadata(decoder: &mut Decoder<'_>, node: &Node) -> Option<Metadata> {
    let fields = decoder.map(node, "`metadata`", &METADATA_KEYS)?;
    let name = decoder.required(&fields, "`metadata`", "name").and_then(|node| {
        let name = decoder.text(node)?;
        if is_kebab_case(&name) {
            return Some(name);
        }
        let message = format!(
            "{} is not a name: kebab-case, at most {NAME_BYTES_MAX} characters",
            quote(&name)
        );
        let better = kebab_case(&name);
        let hint = is_kebab_case(&better).then(|| format!("did you mean `{better}`?"));
        decoder.report(node.at, Code::BadName, message, hint);
        None
    });
    let owner = fields.optional("owner").and_then(|node| non_empty(decoder, node));
    let description = fields.optional("description").and_then(|node| decoder.text(node));
    let time_saved = fields.optional("time_saved").and_then(|node| {
        let fields = decoder.map(node, "`time_saved`", &TIME_SAVED_KEYS)?;
        let per = decoder.required(&fields, "`time_saved`", "per");
        let per = per.and_then(|node| non_empty(decoder, node));
        let minutes = decoder.required(&fields, "`time_saved`", "minutes");
        let minutes = minutes.and_then(|node| decoder.integer(node, 0, MINUTES_MAX));
        Some(TimeSaved { per: per?, minutes: u32::try_from(minutes?).ok()? })
    });
    Some(Metadata { name: name?, owner, description, time_saved })
}

fn non_empty(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let text = decoder.text(node)?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        let message = format!("{} is not a line of text", quote(&text));
        decoder.report(node.at, Code::BadName, message, None);
        return None;
    }
    Some(text)
}

fn is_kebab_case(name: &str) -> bool {
    let letters = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.split('-').all(letters)
}

fn kebab_case(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<String> =
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.join("-")
}

/// A file beside `arx.yaml`, and never a path out of the bundle.
fn entrypoint(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let text = decoder.text(node)?;
    let stem = text.strip_suffix(".py").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !stem.is_empty() && stem.len() <= NAME_BYTES_MAX && stem.bytes().all(plain) {
        return Some(text);
    }
    let message = format!("{} is not a Python file beside arx.yaml", quote(&text));
    let hint = Some("write `workflow.py`".to_owned());
    decoder.report(node.at, Code::BadName, message, hint);
    None
}

fn schedule(decoder: &mut Decoder<'_>, node: &Node) -> Option<Schedule> {
    let fields = decoder.map(node, "`schedule`", &SCHEDULE_KEYS)?;
    let cron = decoder.required(&fields, "`schedule`", "cron").and_then(|node| {
        let text = decoder.text(node)?;
        match cron::check(&text) {
            Ok(()) => Some(text),
            Err(message) => {
                let hint = "minute, hour, day of month, month, day of week: `0 */2 * * *`";
                decoder.report(node.at, Code::BadCron, message, Some(hint.to_owned()));
                None
            }
        }
    });
    let timezone = match fields.optional("timezone") {
        Some(node) => timezone(decoder, node),
        None => Some(timezone_default()),
    };
    let overlap = fields.optional("overlap").map_or(Some(Overlap::default()), |node| {
        decoder.word(node, &[("forbid", Overlap::Forbid), ("queue", Overlap::Queue)])
    });
    let catch_up = fields.optional("catch_up").map_or(Some(CatchUp::default()), |node| {
        let words = [("latest", CatchUp::Latest), ("all", CatchUp::All), ("none", CatchUp::None)];
        decoder.word(node, &words)
    });
    let jitter = fields.optional("jitter").map_or(Some(Period::default()), |node| {
        let jitter = decoder.period(node)?;
        if jitter.as_duration() <= JITTER_MAX {
            return Some(jitter);
        }
        let message = format!("`{jitter}` is more than 12 hours");
        decoder.report(node.at, Code::OutOfRange, message, None);
        None
    });
    let (cron, timezone, overlap) = (cron?, timezone?, overlap?);
    Some(Schedule { cron, timezone, overlap, catch_up: catch_up?, jitter: jitter? })
}

fn timezone(decoder: &mut Decoder<'_>, node: &Node) -> Option<String> {
    let text = decoder.text(node)?;
    // The database inside of the binary: what a bundle means must not depend on the machine.
    let zones = jiff::tz::TimeZoneDatabase::bundled();
    if zones.get(&text).is_ok() {
        return Some(text);
    }
    let names: Vec<String> = zones.available().map(|name| name.as_str().to_owned()).collect();
    let near = nearest(&text, names.iter().map(String::as_str));
    let hint = near.map_or_else(
        || "write an IANA name such as `UTC` or `Europe/Berlin`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no time zone {}", quote(&text));
    decoder.report(node.at, Code::UnknownTimezone, message, Some(hint));
    None
}

fn connectors(decoder: &mut Decoder<'_>, node: &Node) -> BTreeMap<String, ConnectorBinding> {
    let mut connectors = BTreeMap::new();
    let Yaml::Map(entries) = &node.value else {
        decoder.wrong_type(node, "a map");
        return connectors;
    };
    let mut seen = BTreeSet::new();
    for entry in entries {
        if !seen.insert(entry.key.as_str()) {
            decoder.duplicate_key(entry);
            continue;
        }
        if decoder.operations_of(&entry.key).is_none() {
            decoder.unknown_connector(entry.key_at, &entry.key);
        }
        if let Some(binding) = connector(decoder, entry) {
            connectors.insert(entry.key.clone(), binding);
        }
    }
    connectors
}

fn connector(decoder: &mut Decoder<'_>, entry: &Entry) -> Option<ConnectorBinding> {
    let what = format!("`connectors.{}`", entry.key);
    let fields = decoder.map(&entry.node, &what, &CONNECTOR_KEYS)?;
    let operations = decoder
        .required(&fields, &what, "operations")
        .and_then(|node| operations(decoder, &entry.key, node));
    let optional = fields.optional("optional").and_then(|node| decoder.boolean(node));
    let rate = fields.optional("rate").and_then(|node| rate(decoder, node));
    let settle_for = fields.optional("settle_for").and_then(|node| decoder.period(node));
    let settings =
        fields.optional("settings").map(|node| settings(decoder, node)).unwrap_or_default();
    Some(ConnectorBinding {
        operations: operations?,
        optional: optional.unwrap_or(false),
        rate,
        settle_for,
        settings,
    })
}

fn operations(decoder: &mut Decoder<'_>, connector: &str, node: &Node) -> Option<Vec<String>> {
    let items = decoder.items(node, "operations")?;
    if items.is_empty() {
        let message = format!("{} is bound without any operation", quote(connector));
        let hint = Some("name an operation, or leave the connector out".to_owned());
        decoder.report(node.at, Code::MissingKey, message, hint);
        return None;
    }
    if items.len() > OPERATIONS_MAX {
        let message = format!("more than {OPERATIONS_MAX} entries");
        decoder.report(node.at, Code::TooMany, message, None);
        return None;
    }
    let mut globs = Vec::new();
    for item in items {
        let Some(text) = decoder.glob(item) else { continue };
        policy::check_operations(decoder, item.at, &text, &[connector], true);
        globs.push(text);
    }
    Some(globs)
}

fn rate(decoder: &mut Decoder<'_>, node: &Node) -> Option<Rate> {
    const HINT: &str = "write `960/1m` or `{ requests: 960, per: 1m }`";
    if let Yaml::String(text) = &node.value {
        return match text.parse::<Rate>() {
            Ok(rate) => Some(rate),
            Err(error) => {
                decoder.report(node.at, Code::BadRate, error.to_string(), Some(HINT.to_owned()));
                None
            }
        };
    }
    if !matches!(node.value, Yaml::Map(_)) {
        let message = format!("expected a rate, found {}", node.describe());
        decoder.report(node.at, Code::BadRate, message, Some(HINT.to_owned()));
        return None;
    }
    let fields = decoder.map(node, "`rate`", &RATE_KEYS)?;
    let requests = match (fields.optional("requests"), fields.optional("max")) {
        (Some(requests), None) | (None, Some(requests)) => {
            decoder.integer(requests, 1, u32::MAX.into())
        }
        (Some(_), Some(max)) => {
            let message = "`max` and `requests` say the same".to_owned();
            decoder.report(max.at, Code::BadRate, message, Some(HINT.to_owned()));
            None
        }
        (None, None) => {
            let message = "`rate` lacks the key `requests`".to_owned();
            decoder.report(node.at, Code::MissingKey, message, Some(HINT.to_owned()));
            None
        }
    };
    let per = decoder.required(&fields, "`rate`", "per").and_then(|node| {
        let per = decoder.period(node)?;
        if per.is_zero() {
            let message = "a duration of zero".to_owned();
            decoder.report(node.at, Code::BadDuration, message, None);
            return None;
        }
        Some(per)
    });
    Some(Rate { requests: u32::try_from(requests?).ok()?, per: per? })
}

fn settings(decoder: &mut Decoder<'_>, node: &Node) -> BTreeMap<String, serde_json::Value> {
    let mut settings = BTreeMap::new();
    let Yaml::Map(entries) = &node.value else {
        decoder.wrong_type(node, "a map");
        return settings;
    };
    if entries.len() > SETTINGS_MAX {
        let message = format!("more than {SETTINGS_MAX} entries");
        decoder.report(node.at, Code::TooMany, message, None);
        return settings;
    }
    for entry in entries {
        match &entry.node.value {
            Yaml::Null | Yaml::List(_) | Yaml::Map(_) => {
                decoder.wrong_type(&entry.node, "a text, a number or a boolean");
            }
            Yaml::Bool(_) | Yaml::Int(_) | Yaml::Float(_) | Yaml::String(_) => {
                if settings.insert(entry.key.clone(), entry.node.to_json()).is_some() {
                    decoder.duplicate_key(entry);
                }
            }
        }
    }
    settings
}

fn inputs(decoder: &mut Decoder<'_>, node: &Node) -> BTreeMap<String, inputs::Input> {
    let mut inputs = BTreeMap::new();
    let Yaml::Map(entries) = &node.value else {
        decoder.wrong_type(node, "a map");
        return inputs;
    };
    if entries.len() > inputs::INPUTS_MAX {
        let message = format!("more than {} entries", inputs::INPUTS_MAX);
        decoder.report(node.at, Code::TooMany, message, None);
        return inputs;
    }
    for entry in entries {
        let name = &entry.key;
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || name.len() > NAME_BYTES_MAX || !name.bytes().all(lower) {
            let message = format!("{} is not the name of an input: snake_case", quote(name));
            let better = kebab_case(name).replace('-', "_");
            let hint = better.starts_with(|c: char| c.is_ascii_lowercase());
            let hint = hint.then(|| format!("did you mean `{better}`?"));
            decoder.report(entry.key_at, Code::BadName, message, hint);
        } else if inputs.contains_key(name) {
            decoder.duplicate_key(entry);
        } else if let Some(input) = inputs::decode(decoder, &entry.node) {
            inputs.insert(name.clone(), input);
        }
    }
    inputs
}
