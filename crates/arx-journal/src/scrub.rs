//! What is wrong with the database itself: torn pages, rows that are not as they were written,
//! rows that refer to none, and tables that do not say what the log says.
//!
//! It must never repair anything. What it says of a cause rests on evidence: a checksum that no
//! write of this program made is damage; a row that is whole and contradicts the log was written
//! by somebody who knew how. Start at [`Reader::scrub`]. The log itself is [`Reader::verify`]'s.

mod agree;
#[cfg(test)]
mod tests;

use std::fmt;

use arx_audit::Cause;
use rusqlite::types::ValueRef;
use rusqlite::{Row, ToSql};
use serde::Serialize;

use crate::column::{signed, unsigned};
use crate::{Journal, JournalError, Reader};

/// The most problems of each sort that are listed.
const LISTED_MAX: usize = 20;
/// The most characters of a row's name that are shown.
const NAME_CHARS_MAX: usize = 200;

/// One thing that is wrong with the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// What it looks like.
    pub cause: Cause,
    /// The table, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The row, by its key, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The leaf of the log that contradicts it, or that is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
    /// What is wrong, as a sentence.
    pub message: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Damage {
    fn new(cause: Cause, message: String) -> Self {
        Self { cause, table: None, row: None, leaf: None, message }
    }

    fn of(cause: Cause, table: &str, row: String, leaf: Option<u64>, message: String) -> Self {
        Self { table: Some(table.to_owned()), row: Some(row), leaf, ..Self::new(cause, message) }
    }
}

impl Reader<'_> {
    /// Everything that is wrong with the database, in one pass over all of it; empty when all is
    /// well.
    pub fn scrub(&self) -> Result<Vec<Damage>, JournalError> {
        let mut found = self.torn_pages()?;
        found.extend(self.changed_rows()?);
        found.extend(self.orphans()?);
        found.extend(self.misfiled_leaves()?);
        found.extend(self.disagreements()?);
        // Where something is torn, what is missing or old may be no more than its consequence.
        if found.iter().any(|damage| damage.cause == Cause::Corruption) {
            for damage in found.iter_mut().filter(|damage| damage.cause == Cause::Tampering) {
                damage.cause = Cause::Unclear;
            }
        }
        Ok(found)
    }

    fn torn_pages(&self) -> Result<Vec<Damage>, JournalError> {
        let limit = signed(LISTED_MAX as u64);
        let sql = "SELECT * FROM pragma_integrity_check LIMIT ?1";
        let mut lines: Vec<String> = self.rows(sql, [limit], |row| row.get(0))?;
        lines.retain(|line| line != "ok");
        Ok(lines.into_iter().map(|line| Damage::new(Cause::Corruption, line)).collect())
    }

    /// Rows whose checksum is not that of what they hold.
    fn changed_rows(&self) -> Result<Vec<Damage>, JournalError> {
        let sql = "SELECT name FROM sqlite_schema \
                   WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let tables: Vec<String> = self.rows(sql, [], |row| row.get(0))?;
        let mut found = Vec::new();
        for table in tables {
            let sql = "SELECT name, pk FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid";
            let columns: Vec<(String, i64)> =
                self.rows(sql, [&table], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut key: Vec<&(String, i64)> = columns.iter().filter(|(_, pk)| *pk > 0).collect();
            key.sort_by_key(|(_, pk)| *pk);
            let list = |columns: Vec<&str>| {
                columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            };
            let all = list(columns.iter().map(|(name, _)| name.as_str()).collect());
            let key = list(key.into_iter().map(|(name, _)| name.as_str()).collect());
            let sql = format!(
                "SELECT {key} FROM \"{table}\" NOT INDEXED WHERE crc IS NOT row_crc({all}) \
                 LIMIT {LISTED_MAX}"
            );
            for row in self.rows(&sql, [], name_of)? {
                let leaf = (table == "leaves").then(|| row.parse().ok()).flatten();
                let cause = self.cause_of(leaf)?;
                let message = format!(
                    "row `{row}` of `{table}` is not as it was written: its checksum is wrong"
                );
                found.push(Damage::of(cause, &table, row, leaf, message));
            }
        }
        Ok(found)
    }

    /// A wrong checksum is damage, unless the row is a leaf that reads as one: bytes that broke by
    /// themselves are hardly ever the one spelling of something else.
    fn cause_of(&self, leaf: Option<u64>) -> Result<Cause, JournalError> {
        let stored = leaf.map(|seq| self.leaf(seq)).transpose()?.flatten();
        let reads = stored.is_some_and(|leaf| leaf.decode().is_ok());
        Ok(if reads { Cause::Unclear } else { Cause::Corruption })
    }

    /// Rows that refer to one that is not there.
    fn orphans(&self) -> Result<Vec<Damage>, JournalError> {
        let limit = signed(LISTED_MAX as u64);
        let sql = "SELECT DISTINCT \"table\", parent FROM pragma_foreign_key_check LIMIT ?1";
        self.rows(sql, [limit], |row| {
            let (table, parent): (String, String) = (row.get(0)?, row.get(1)?);
            let message =
                format!("a row of `{table}` refers to one of `{parent}` that is not there");
            Ok(Damage { table: Some(table), ..Damage::new(Cause::Tampering, message) })
        })
    }

    /// The columns beside a leaf's bytes only find it; one that says something else hides it.
    fn misfiled_leaves(&self) -> Result<Vec<Damage>, JournalError> {
        let limit = signed(LISTED_MAX as u64);
        let sql = "SELECT seq FROM leaves WHERE CASE WHEN json_valid(CAST(bytes AS TEXT)) \
                   THEN (CAST(bytes AS TEXT) ->> '$.kind') IS NOT kind \
                   OR (CAST(bytes AS TEXT) ->> '$.run') IS NOT run ELSE 1 END \
                   ORDER BY seq LIMIT ?1";
        self.rows(sql, [limit], |row| {
            let seq = unsigned(row.get(0)?);
            let message = format!("leaf {seq} is filed under a run or kind that it does not name");
            Ok(Damage::of(Cause::Tampering, "leaves", seq.to_string(), Some(seq), message))
        })
    }
}

impl Journal {
    /// Checks the database itself; see [`Reader::scrub`].
    ///
    /// # Errors
    /// When the database is too damaged to be asked.
    pub async fn scrub(&self) -> Result<Vec<Damage>, JournalError> {
        self.read(|reader| reader.scrub()).await
    }
}

/// A row's key as text: its columns, with `/` in between.
fn name_of(row: &Row<'_>) -> rusqlite::Result<String> {
    let mut parts = Vec::new();
    for n in 0..row.as_ref().column_count() {
        parts.push(match row.get_ref(n)? {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => value.to_string(),
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Blob(bytes) => hex::encode(bytes),
        });
    }
    Ok(parts.join("/").chars().take(NAME_CHARS_MAX).collect())
}

/// Runs `look` over every row of a query, so that no table is in memory as a whole.
fn each(
    reader: &Reader<'_>,
    sql: &str,
    params: &[&dyn ToSql],
    mut look: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), JournalError> {
    let mut run = || -> rusqlite::Result<()> {
        let mut statement = reader.connection().prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            look(row)?;
        }
        Ok(())
    };
    run().map_err(|error| reader.name(error))
}
