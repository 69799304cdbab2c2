//! Values between Python and JSON.
//!
//! Python has values that JSON has not. Those that mean the same to everyone are written as JSON
//! (a tuple as an array, a datetime as RFC 3339, a dataclass as an object); the rest are refused
//! with a sentence for the author of the workflow, never sent as a guess.

use monty_types::{DictPairs, MontyDateTime, MontyObject};
use serde_json::{Map, Number, Value};

use super::frame::VALUE_DEPTH_MAX;

/// Attributes of the prelude's own classes that are no fields of the value.
const PRIVATE_PREFIX: &str = "_arx_";
/// A record with a field of this prefix is a handle for something that the parent keeps: it is
/// sent back as that handle alone, however much of it the workflow was shown.
const HANDLE_PREFIX: &str = "$";

/// A JSON value as Python sees it before the prelude makes records of its objects.
pub(super) fn to_python(value: Value) -> MontyObject {
    match value {
        Value::Null => MontyObject::None,
        Value::Bool(value) => MontyObject::Bool(value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => MontyObject::Int(value),
            (None, Some(value)) => MontyObject::BigInt(value.into()),
            (None, None) => MontyObject::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => MontyObject::String(text),
        Value::Array(items) => MontyObject::List(items.into_iter().map(to_python).collect()),
        Value::Object(fields) => {
            let pairs = fields.into_iter();
            let pairs = pairs.map(|(key, value)| (MontyObject::String(key), to_python(value)));
            MontyObject::dict(pairs.collect::<Vec<_>>())
        }
    }
}

/// A Python value as JSON, or why it has none.
pub(super) fn to_json(value: MontyObject) -> Result<Value, String> {
    convert(value, VALUE_DEPTH_MAX)
}

fn convert(value: MontyObject, left: usize) -> Result<Value, String> {
    let Some(left) = left.checked_sub(1) else {
        return Err(format!("a value nests deeper than {VALUE_DEPTH_MAX} levels"));
    };
    let list = |items: Vec<MontyObject>| {
        items
            .into_iter()
            .map(|item| convert(item, left))
            .collect::<Result<_, _>>()
            .map(Value::Array)
    };
    match value {
        MontyObject::None => Ok(Value::Null),
        MontyObject::Bool(value) => Ok(value.into()),
        MontyObject::Int(value) => Ok(value.into()),
        MontyObject::BigInt(value) => match value.to_string().parse::<u64>() {
            Ok(value) => Ok(value.into()),
            Err(_) => Err("an integer of more than 64 bits cannot be sent; send a string".into()),
        },
        MontyObject::Float(value) => Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| format!("the float {value} cannot be sent; it has no JSON form")),
        MontyObject::String(text) => Ok(Value::String(text)),
        MontyObject::List(items) | MontyObject::Tuple(items) => list(items),
        MontyObject::Dict(pairs) => fields(pairs, left),
        MontyObject::NamedTuple { field_names, values, .. } => {
            let pairs = field_names.into_iter().zip(values);
            fields(pairs.map(|(name, value)| (MontyObject::String(name), value)), left)
        }
        MontyObject::ClassInstance(instance) => fields(sendable(instance.attrs), left),
        MontyObject::DateTime(time) => Ok(Value::String(rfc3339(&time))),
        MontyObject::Date(date) => {
            Ok(Value::String(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)))
        }
        MontyObject::Set(_) | MontyObject::FrozenSet(_) => {
            Err("a set cannot be sent; it has no order; send `sorted(..)`".into())
        }
        MontyObject::Cycle(..) => Err("a value that contains itself cannot be sent".into()),
        MontyObject::Bytes(_) => Err("bytes cannot be sent; send text".into()),
        MontyObject::Repr(_) | MontyObject::Function { .. } | MontyObject::BuiltinFunction(_) => {
            Err("a function or other code cannot be sent".into())
        }
        other => Err(format!("a value of type `{}` cannot be sent", other.type_name())),
    }
}

/// The attributes of an instance that are sent: of a handle, only what makes it one.
fn sendable(attrs: DictPairs) -> Vec<(MontyObject, MontyObject)> {
    let starts = |key: &MontyObject, prefix: &str| match key {
        MontyObject::String(key) => key.starts_with(prefix),
        _ => false,
    };
    let attrs = attrs.into_iter().filter(|(key, _)| !starts(key, PRIVATE_PREFIX));
    let mut attrs: Vec<_> = attrs.collect();
    if attrs.iter().any(|(key, _)| starts(key, HANDLE_PREFIX)) {
        attrs.retain(|(key, _)| starts(key, HANDLE_PREFIX));
    }
    attrs
}

fn fields(
    pairs: impl IntoIterator<Item = (MontyObject, MontyObject)>,
    left: usize,
) -> Result<Value, String> {
    let mut map = Map::new();
    for (key, value) in pairs {
        let MontyObject::String(key) = key else {
            let kind = key.type_name();
            return Err(format!("a dict with a key of type `{kind}` cannot be sent; use strings"));
        };
        map.insert(key, convert(value, left)?);
    }
    Ok(Value::Object(map))
}

fn rfc3339(time: &MontyDateTime) -> String {
    let MontyDateTime { year, month, day, hour, minute, second, microsecond, .. } = time;
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    if *microsecond > 0 {
        text.push_str(&format!(".{microsecond:06}"));
    }
    match time.offset_seconds {
        None => {}
        Some(0) => text.push('Z'),
        Some(offset) => {
            let sign = if offset < 0 { '-' } else { '+' };
            let minutes = offset.unsigned_abs() / 60;
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }
    text
}

/// The instant of a run as a `datetime` in UTC.
pub(super) fn datetime(now: jiff::Timestamp) -> MontyObject {
    let time = now.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |value: i8| u8::try_from(value).unwrap_or(0);
    MontyObject::DateTime(MontyDateTime {
        year: i32::from(time.year()),
        month: small(time.month()),
        day: small(time.day()),
        hour: small(time.hour()),
        minute: small(time.minute()),
        second: small(time.second()),
        microsecond: u32::try_from(time.subsec_nanosecond() / 1_000).unwrap_or(0),
        offset_seconds: Some(0),
        timezone_name: None,
    })
}
