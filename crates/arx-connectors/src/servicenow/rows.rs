//! Replies of the Table API: rows of fields, in every shape that the vendor gives them.
//!
//! Only stored values are kept; display values depend on the language and the time zone of who
//! asks. A field that is not in the row stays unknown: the account may not read it, which is not
//! the same as being empty. Never a panic, whatever the bytes.

use std::collections::BTreeMap;
use std::fmt;

use arx_gateway::Response;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::text;

/// Most fields of a row that are kept; more were never asked for.
const FIELDS_MAX: usize = 200;
/// Longest quotation of the vendor in a message.
const WORDS_UNITS_MAX: usize = 800;

/// One record, as far as it was readable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    fields: BTreeMap<String, String>,
}

impl Row {
    /// The stored value of a field, empty where it is empty; `None` where the row does not tell.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The stored value of a field that has one.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).map(str::trim).filter(|value| !value.is_empty())
    }
}

/// Why a reply with status 200 is no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A web page: the instance sleeps, or something else answers.
    Page,
    /// The vendor stopped in the middle, and says so.
    Stopped(String),
    /// Not the vendor's document, or not all of it.
    Unreadable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page => f.write_str(
                "a web page came instead of data; the instance hibernates, or SNOW_INSTANCE is \
                 not the address of an instance",
            ),
            Self::Stopped(words) => write!(f, "the instance stopped in the middle: {words}"),
            Self::Unreadable(what) => f.write_str(what),
        }
    }
}

/// The rows of a reply that succeeded; a single record is a list of one.
pub(super) fn rows(reply: &Response) -> Result<Vec<Row>, Trouble> {
    let page = reply.header("content-type").is_some_and(|kind| kind.contains("html"));
    decode(&reply.body, page)
}

/// As [`rows`], of the body alone; `page` says that the reply calls itself a web page.
pub(super) fn decode(body: &[u8], page: bool) -> Result<Vec<Row>, Trouble> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if page || first == Some(&b'<') {
        return Err(Trouble::Page);
    }
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
        Trouble::Unreadable(format!(
            "expected rows, got {} bytes that are no JSON at line {} column {}",
            body.len(),
            error.line(),
            error.column()
        ))
    })?;
    if let Some(error) = envelope.error.filter(|error| !error.is_null()) {
        return Err(Trouble::Stopped(
            words(&error).unwrap_or_else(|| "no reason given".to_owned()),
        ));
    }
    let missing = || Trouble::Unreadable("expected rows, got JSON without `result`".to_owned());
    let rows = envelope.result.filter(|_| text::is_object(body));
    rows.map(|Rows(rows)| rows).ok_or_else(missing)
}

/// The vendor's words in a reply that is a refusal, else the beginning of what came.
pub(super) fn complaint(reply: &Response) -> String {
    let body: Option<Value> = reply.json().ok();
    let error = body.as_ref().and_then(|body| body.get("error"));
    let said = error.and_then(words).unwrap_or_else(|| reply.excerpt());
    text::one_line(&said, WORDS_UNITS_MAX)
}

/// Whether a refusal is in the vendor's own form, so that it is the vendor who answered.
pub(super) fn is_vendors(reply: &Response) -> bool {
    let body: Option<Value> = reply.json().ok();
    body.as_ref().and_then(|body| body.get("error")).and_then(words).is_some()
}

/// `{"message": …, "detail": …}` or a plain text, on one line.
fn words(error: &Value) -> Option<String> {
    let part = |name: &str| error.get(name).and_then(Value::as_str);
    let parts = [error.as_str(), part("message"), part("detail")];
    let lines = parts.into_iter().flatten().map(|part| text::one_line(part, WORDS_UNITS_MAX));
    let said: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    (!said.is_empty()).then(|| text::one_line(&said.join(": "), WORDS_UNITS_MAX))
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    result: Option<Rows>,
    #[serde(default)]
    error: Option<Value>,
}

/// `result`: a list, or one record.
struct Rows(Vec<Row>);

/// The stored value of one field, where it has one that can be read.
struct Cell(Option<String>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Rows;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records or a record")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = seq.next_element()? {
                    rows.push(row);
                }
                Ok(Rows(rows))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rows, A::Error> {
                Ok(Rows(vec![row_of(map)?]))
            }
        }
        deserializer.deserialize_any(V)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Row, A::Error> {
                row_of(map)
            }
        }
        deserializer.deserialize_any(V)
    }
}

fn row_of<'de, A: MapAccess<'de>>(mut map: A) -> Result<Row, A::Error> {
    let mut row = Row::default();
    while let Some(name) = map.next_key::<String>()? {
        let Cell(value) = map.next_value()?;
        // Of a name that comes twice the last value counts, also where it cannot be read.
        let earlier = row.fields.remove(&name);
        if let Some(value) = value
            && (earlier.is_some() || row.fields.len() < FIELDS_MAX)
        {
            row.fields.insert(name, value);
        }
    }
    Ok(row)
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a reference")
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell(Some(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell(Some(text)))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell(Some(String::new())))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Cell, E> {
        Ok(Cell(Some(flag.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell(Some(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(Cell(Some(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        Ok(Cell(Some(number.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Cell, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell(None))
    }

    /// `{"value": …, "display_value": …, "link": …}`; without `value` the end of the link is it.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let (mut value, mut link) = (None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "value" => value = map.next_value::<Cell>()?.0,
                "link" => link = map.next_value::<Cell>()?.0,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let linked = || {
            let link = link.as_deref()?;
            let last = link.split('?').next()?.trim_end_matches('/').rsplit('/').next()?;
            Some(last.to_owned()).filter(|last| !last.is_empty())
        };
        Ok(Cell(value.or_else(linked)))
    }
}
