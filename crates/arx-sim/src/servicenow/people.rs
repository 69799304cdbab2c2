//! What people do on the instance behind a client's back, for [`crate::Control`].

use jiff::Timestamp;

use super::State;
use super::render::stamp;
use super::store::Row;
use super::tables::{self, Table};
use crate::TicketView;
use crate::wave::Wave;
use crate::world::Shared;

impl State {
    pub fn tickets(&self, wave: &Wave) -> Vec<TicketView> {
        let (Some(task), Some(journal)) = (tables::find("task"), tables::find("sys_journal_field"))
        else {
            return Vec::new();
        };
        let notes = |id: &str| {
            let all = self.store.rows(journal).map(|(_, entry)| entry);
            all.filter(|entry| {
                entry.get("element_id") == id && entry.get("element") == "work_notes"
            })
            .map(|entry| entry.get("value").to_owned())
            .collect()
        };
        let expected = |id: &str| {
            let case = wave.cases.iter().find(|case| super::seed::ticket_id(case.n) == id);
            case.map(|case| case.expected)
        };
        self.store
            .rows(task)
            .map(|(table, row)| TicketView {
                sys_id: row.id().to_owned(),
                number: row.get("number").to_owned(),
                table: table.name.to_owned(),
                state: row.get("state").to_owned(),
                mod_count: row.get("sys_mod_count").parse().unwrap_or(0),
                work_notes: notes(row.id()),
                expected: expected(row.id()),
            })
            .collect()
    }

    fn ticket(&self, number: &str) -> Option<(&'static Table, String)> {
        let task = tables::find("task")?;
        let mut rows = self.store.rows(task);
        let found = rows.find(|(_, row)| row.get("number") == number);
        found.map(|(table, row)| (table, row.id().to_owned()))
    }

    pub fn edit_number(&mut self, shared: &Shared, number: &str, fields: &[(&str, &str)]) -> bool {
        let Some((table, id)) = self.ticket(number) else { return false };
        self.edit(shared, table, &id, fields)
    }

    fn change_ticket(&mut self, number: &str, change: impl FnOnce(&mut Row)) -> bool {
        let Some((table, id)) = self.ticket(number) else { return false };
        self.store.get_mut(table, &id).map(|(_, row)| change(row)).is_some()
    }

    pub fn ignore_field(&mut self, number: &str, field: &str) -> bool {
        self.change_ticket(number, |row| row.ignored.push(field.to_owned()))
    }

    pub fn restrict(&mut self, number: &str, is_restricted: bool) -> bool {
        self.change_ticket(number, |row| row.is_restricted = is_restricted)
    }

    pub fn delete_item(&mut self, number: &str) -> bool {
        let Some((table, id)) = self.ticket(number) else { return false };
        let item = self.store.get(table, &id).map(|(_, row)| row.get("cmdb_ci").to_owned());
        let (Some(item), Some(items)) = (item, tables::find("cmdb_ci")) else { return false };
        self.store.remove(items, &item)
    }

    /// Without a label the choice is taken out of use.
    pub fn set_choice(&mut self, at: Timestamp, choice: [&str; 3], label: Option<&str>) {
        let [name, element, value] = choice;
        let Some(choices) = tables::find("sys_choice") else { return };
        let found = self.store.rows(choices).map(|(_, row)| row).find(|row| {
            row.get("name") == name && row.get("element") == element && row.get("value") == value
        });
        let id = found.map(|row| row.id().to_owned());
        let id = id.unwrap_or_else(|| self.store.next_id(0xC401CE));
        let now = stamp(at.as_second());
        let row = Row::of(&[
            ("sys_id", &id),
            ("name", name),
            ("element", element),
            ("value", value),
            ("label", label.unwrap_or(value)),
            ("language", "en"),
            ("inactive", if label.is_some() { "false" } else { "true" }),
            ("sys_created_on", &now),
            ("sys_updated_on", &now),
            ("sys_class_name", "sys_choice"),
        ]);
        self.store.put(choices, row);
    }
}
