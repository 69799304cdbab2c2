//! Rows as the Table API shows them: values, display values, references, journals.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::store::{Row, Store};
use super::tables::{self, Kind, Table};
use crate::estate::time;

/// `sysparm_display_value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    Values,
    Labels,
    Both,
}

/// How a client wants its rows.
pub(super) struct View<'r> {
    pub store: &'r Store,
    pub display: Display,
    pub has_links: bool,
    /// Paths asked for; none: every column.
    pub fields: Option<Vec<&'r str>>,
    pub origin: &'r str,
    /// The account's time zone.
    pub zone: &'r TimeZone,
}

/// `2026-11-15 00:00:00`, as dates are stored.
pub(super) fn stamp(seconds: i64) -> String {
    time(seconds).replace('T', " ").trim_end_matches('Z').to_owned()
}

/// The other way; UTC, or the local time of a zone.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local: jiff::civil::DateTime = text.trim().replacen(' ', "T", 1).parse().ok()?;
    local.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

fn local(stored: &str, zone: &TimeZone) -> String {
    instant(stored, &TimeZone::UTC)
        .map(|at| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_default()
}

impl View<'_> {
    pub fn row(&self, table: &'static Table, row: &Row) -> Value {
        let mut out = Map::new();
        match &self.fields {
            Some(paths) => {
                for path in paths {
                    // Names that do not exist are left out without a word.
                    if let Some((table, row, column, kind)) = self.store.walk(table, row, path) {
                        out.insert((*path).to_owned(), self.cell(table, row, column, kind));
                    }
                }
            }
            None => {
                for (column, kind) in table.columns() {
                    out.insert((*column).to_owned(), self.cell(table, Some(row), column, *kind));
                }
            }
        }
        Value::Object(out)
    }

    fn cell(&self, table: &'static Table, row: Option<&Row>, column: &str, kind: Kind) -> Value {
        let value = row.map_or_else(String::new, |row| self.value(row, column, kind));
        if let Kind::Reference(target) = kind {
            return self.reference(target, &value);
        }
        match self.display {
            Display::Values => Value::String(value),
            Display::Labels => Value::String(self.label(table, row, column, kind, value)),
            Display::Both => json!({
                "display_value": self.label(table, row, column, kind, value.clone()),
                "value": value,
            }),
        }
    }

    /// The stored value; journals never show theirs.
    fn value(&self, row: &Row, column: &str, kind: Kind) -> String {
        let stored = row.get(column);
        match kind {
            Kind::Journal => String::new(),
            Kind::Flag if stored.is_empty() => "false".to_owned(),
            Kind::Integer if stored.is_empty() => "0".to_owned(),
            _ if column == "description" && stored.len() < row.padded_bytes => {
                padded(stored, row.padded_bytes)
            }
            _ => stored.to_owned(),
        }
    }

    fn label(
        &self,
        table: &'static Table,
        row: Option<&Row>,
        column: &str,
        kind: Kind,
        value: String,
    ) -> String {
        match kind {
            Kind::Choice => {
                self.store.label(table, column, &value).map_or(value.clone(), str::to_owned)
            }
            Kind::DateTime => local(&value, self.zone),
            Kind::Journal => row.map_or_else(String::new, |row| self.journal(row, column)),
            _ => value,
        }
    }

    /// Everything ever written, the newest first.
    fn journal(&self, row: &Row, column: &str) -> String {
        let Some(entries) = tables::find("sys_journal_field") else { return String::new() };
        let mut found: Vec<&Row> = self
            .store
            .rows(entries)
            .map(|(_, entry)| entry)
            .filter(|entry| entry.get("element_id") == row.id() && entry.get("element") == column)
            .collect();
        found.reverse();
        let heading = if column == "work_notes" { "Work notes" } else { "Additional comments" };
        found
            .iter()
            .map(|entry| {
                format!(
                    "{} - {} ({heading})\n{}\n\n",
                    local(entry.get("sys_created_on"), self.zone),
                    entry.get("sys_created_by"),
                    entry.get("value")
                )
            })
            .collect()
    }

    /// An empty reference is the empty text, not an object.
    fn reference(&self, target: &'static str, id: &str) -> Value {
        if id.is_empty() {
            return match self.display {
                Display::Both => json!({ "display_value": "", "value": "" }),
                _ => json!(""),
            };
        }
        let shown = tables::find(target)
            .and_then(|table| self.store.get(table, id).map(|(_, row)| row.get(table.display)))
            .unwrap_or_default();
        let link = format!("{}/api/now/table/{target}/{id}", self.origin);
        match (self.display, self.has_links) {
            (Display::Values, true) => json!({ "link": link, "value": id }),
            (Display::Values, false) => json!(id),
            (Display::Labels, true) => json!({ "display_value": shown, "link": link }),
            (Display::Labels, false) => json!(shown),
            (Display::Both, true) => json!({ "display_value": shown, "link": link, "value": id }),
            (Display::Both, false) => json!({ "display_value": shown, "value": id }),
        }
    }
}

/// A text as long as an e-mail thread with its logs pasted in.
fn padded(text: &str, n_bytes: usize) -> String {
    const FILLER: &str =
        "2026-11-14 02:17:41 patchctl[2211]: unpacking payload, 4096 bytes verified, continuing\n";
    let mut out = String::with_capacity(n_bytes + FILLER.len());
    out.push_str(text);
    out.push('\n');
    while out.len() < n_bytes {
        out.push_str(FILLER);
    }
    out
}
