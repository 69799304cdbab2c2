//! Rows of the instance's tables: made at the start, changed by clients and by people, rebuilt
//! from the ledger.

use std::collections::{BTreeMap, HashMap};

use super::tables::{self, Kind, Table};

/// Rows that clients may add to one table.
pub(super) const ROWS_MAX: usize = 200_000;

/// A row's columns that are not empty.
pub(super) type Values = BTreeMap<String, String>;

/// One row; absent values are empty ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub values: Values,
    /// The description is filled up to so many bytes when it is answered.
    pub padded_bytes: usize,
    /// Columns that the account may not write here.
    pub ignored: Vec<String>,
    /// The account may not read the row.
    pub is_restricted: bool,
}

impl Row {
    pub fn of(values: &[(&str, &str)]) -> Self {
        let mut row = Self::default();
        for (name, value) in values {
            row.set(name, *value);
        }
        row
    }

    pub fn get(&self, column: &str) -> &str {
        self.values.get(column).map_or("", String::as_str)
    }

    pub fn set(&mut self, column: &str, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.values.remove(column);
        } else {
            self.values.insert(column.to_owned(), value);
        }
    }

    pub fn id(&self) -> &str {
        self.get("sys_id")
    }
}

#[derive(Debug, Default)]
struct Rows {
    /// Deleted rows leave a gap, so that positions stay.
    rows: Vec<Option<Row>>,
    by_id: HashMap<String, usize>,
}

/// Every table's rows.
#[derive(Debug, Default)]
pub(super) struct Store {
    tables: BTreeMap<&'static str, Rows>,
    /// Rows made so far, which new ids come from.
    n_made: u64,
}

impl Store {
    /// Puts values in, or in the place of those of the row with their id.
    pub fn put_values(&mut self, table: &'static Table, values: Values) {
        self.put(table, Row { values, ..Row::default() });
    }

    /// Puts a row in, or in the place of the one with its id.
    pub fn put(&mut self, table: &'static Table, row: Row) {
        let rows = self.tables.entry(table.name).or_default();
        match rows.by_id.get(row.id()).and_then(|at| rows.rows.get_mut(*at)) {
            Some(known) => {
                if let Some(known) = known {
                    // What the ledger does not hold stays as the scenario made it.
                    known.values = row.values;
                } else {
                    *known = Some(row);
                }
            }
            None => {
                rows.by_id.insert(row.id().to_owned(), rows.rows.len());
                rows.rows.push(Some(row));
            }
        }
    }

    pub fn remove(&mut self, table: &'static Table, id: &str) -> bool {
        let Some(rows) = self.tables.get_mut(table.name) else { return false };
        let Some(at) = rows.by_id.remove(id) else { return false };
        rows.rows.get_mut(at).is_some_and(|row| row.take().is_some())
    }

    pub fn len(&self, table: &'static Table) -> usize {
        self.tables.get(table.name).map_or(0, |rows| rows.by_id.len())
    }

    /// The rows of a table and of those that extend it, in the order they were made.
    pub fn rows<'s>(
        &'s self,
        table: &'static Table,
    ) -> impl Iterator<Item = (&'static Table, &'s Row)> {
        tables::TABLES
            .iter()
            .filter(|other| table.holds(other))
            .filter_map(|other| Some((other, self.tables.get(other.name)?)))
            .flat_map(|(other, rows)| rows.rows.iter().flatten().map(move |row| (other, row)))
    }

    pub fn get(&self, table: &'static Table, id: &str) -> Option<(&'static Table, &Row)> {
        tables::TABLES.iter().filter(|other| table.holds(other)).find_map(|other| {
            let rows = self.tables.get(other.name)?;
            let row = rows.rows.get(*rows.by_id.get(id)?)?.as_ref()?;
            Some((other, row))
        })
    }

    pub fn get_mut(
        &mut self,
        table: &'static Table,
        id: &str,
    ) -> Option<(&'static Table, &mut Row)> {
        let (owner, _) = self.get(table, id)?;
        let rows = self.tables.get_mut(owner.name)?;
        let row = rows.rows.get_mut(*rows.by_id.get(id)?)?.as_mut()?;
        Some((owner, row))
    }

    /// The row of a table with this value in a column.
    pub fn find(&self, table: &'static Table, column: &str, value: &str) -> Option<&Row> {
        self.rows(table).map(|(_, row)| row).find(|row| row.get(column) == value)
    }

    /// A fresh `sys_id`.
    pub fn next_id(&mut self, seed: u64) -> String {
        loop {
            self.n_made += 1;
            let id = crate::wave::hex_id(0x5C0DE ^ seed, self.n_made);
            // After a restart on a ledger the first ones are taken.
            if !self.tables.values().any(|rows| rows.by_id.contains_key(&id)) {
                return id;
            }
        }
    }

    /// The label of a choice; inherited ones are of the parent's table.
    pub fn label(&self, table: &'static Table, element: &str, value: &str) -> Option<&str> {
        self.choice(table, element, "value", value).map(|row| row.get("label"))
    }

    pub fn choice_value(&self, table: &'static Table, element: &str, label: &str) -> Option<&str> {
        self.choice(table, element, "label", label).map(|row| row.get("value"))
    }

    fn choice(&self, table: &'static Table, element: &str, by: &str, wanted: &str) -> Option<&Row> {
        let choices = tables::find("sys_choice")?;
        [Some(table.name), table.parent].into_iter().flatten().find_map(|name| {
            self.rows(choices).map(|(_, row)| row).find(|row| {
                row.get("name") == name
                    && row.get("element") == element
                    && row.get(by) == wanted
                    && row.get("inactive") != "true"
            })
        })
    }

    /// The value at a path such as `cmdb_ci.name`, with the table and column it ends in.
    pub fn walk<'s>(
        &'s self,
        table: &'static Table,
        row: &'s Row,
        path: &'s str,
    ) -> Option<(&'static Table, Option<&'s Row>, &'s str, Kind)> {
        let (mut table, mut row) = (table, Some(row));
        let mut rest = path;
        // Each step takes a name off the path, so it ends.
        while let Some((first, after)) = rest.split_once('.') {
            let Some(Kind::Reference(target)) = table.kind(first) else { return None };
            let next = tables::find(target)?;
            row = row.and_then(|row| self.get(next, row.get(first))).map(|(_, row)| row);
            (table, rest) = (next, after);
        }
        table.kind(rest).map(|kind| (table, row, rest, kind))
    }
}
