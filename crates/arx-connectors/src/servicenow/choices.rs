//! The choice lists of a table: what people call a state, and what is stored.
//!
//! A table inherits the choices of the table that it extends, where it has none of its own with
//! the same value. Labels come in several languages; they are compared without case.

use std::sync::Arc;

use arx_gateway::{Call, CallError};
use tokio::time::Instant;

use super::listing::{Listing, Next};
use super::query::Query;
use super::rows::Row;
use super::{SPEC, ServiceNow};
use crate::text;

/// The field whose choices close codes are.
pub(super) const CLOSE_CODE: &str = "close_code";
/// What most tables of tickets extend.
const TASK: &str = "task";
/// Choices of one page.
const PAGE_ROWS: usize = 500;
/// Most choices that are kept of one table.
const CHOICES_MAX: usize = 10_000;
/// Most choices that a message lists.
const LISTED_MAX: usize = 30;
/// How long choices are kept.
const KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(600);
/// Most tables whose choices are kept.
const TABLES_MAX: usize = 100;
/// How far up a table's ancestry is asked for.
const ANCESTRY: [&str; 4] = [
    "super_class.name",
    "super_class.super_class.name",
    "super_class.super_class.super_class.name",
    "super_class.super_class.super_class.super_class.name",
];

/// One choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    element: String,
    pub value: String,
    label: String,
    language: String,
    active: bool,
    /// Of the table itself, and not inherited.
    own: bool,
}

/// The choices of one table.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    table: String,
    all: Vec<Choice>,
}

/// Stored values that a label stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Values {
    /// Those that can be chosen.
    pub active: Vec<String>,
    /// Those that once could.
    pub inactive: Vec<String>,
}

/// Choices that were read, and when.
pub(super) type Kept = Vec<(String, String, Instant, Arc<Choices>)>;

impl ServiceNow {
    /// The choices of the state field and of close codes, read once for a while.
    pub(super) async fn choices(
        &self,
        call: Call<'_>,
        table: &str,
        state: &str,
    ) -> Result<Arc<Choices>, CallError> {
        // The lock is held while reading, so that many ask once.
        let mut kept = self.choices.lock().await;
        kept.retain(|(.., at, _)| at.elapsed() < KEPT_FOR);
        let known = kept.iter().find(|(t, s, ..)| t == table && s == state);
        if let Some((.., choices)) = known {
            return Ok(Arc::clone(choices));
        }
        let choices = Arc::new(Choices::read(call, table, state).await?);
        if kept.len() < TABLES_MAX {
            kept.push((table.to_owned(), state.to_owned(), Instant::now(), Arc::clone(&choices)));
        }
        Ok(choices)
    }

    /// Forgets what was read, because it lacks what somebody may be about to add.
    pub(super) async fn forget_choices(&self) {
        self.choices.lock().await.clear();
    }
}

impl Choices {
    async fn read(call: Call<'_>, table: &str, state: &str) -> Result<Self, CallError> {
        let elements = [state, CLOSE_CODE];
        let mut tables = vec![table.to_owned()];
        if table != TASK {
            tables.extend(ancestry(call, table).await);
        }
        let wrong = |message: String| call.parameters(message);
        let query = Query::default()
            .any_of("name", tables.iter().map(String::as_str))
            .and_then(|query| query.any_of("element", elements))
            .map_err(wrong)?
            .order_by("sys_id");
        let listing = Listing {
            table: "sys_choice",
            query,
            fields: vec!["name", "element", "value", "label", "language", "inactive", "sys_id"],
            texts: Vec::new(),
            page_rows: PAGE_ROWS,
        };
        let mut all: Vec<Choice> = Vec::new();
        let listed = listing.read(call, |page| {
            let rows = page.iter().map(|listable| &listable.row);
            all.extend(rows.filter_map(|row| Choice::read(row, &tables, &elements)));
            let room = CHOICES_MAX.saturating_sub(all.len());
            Ok(if room == 0 { Next::Enough } else { Next::AtMost(room) })
        });
        let listed = listed.await?;
        if all.is_empty() {
            let hidden = listed.total.is_some_and(|total| total > 0);
            let why = if hidden { "shows none of its rows" } else { "has none" };
            return Err(CallError::Refused {
                vendor: SPEC.title,
                status: None,
                message: format!(
                    "the choices of `{state}` of table `{table}` cannot be looked up: table \
                     `sys_choice` {why} for it; check `table` and `fields.state`, and that the \
                     account may read `sys_choice` (role `itil` or a read ACL of its own)"
                ),
            });
        }
        Ok(Self { table: table.to_owned(), all })
    }

    /// The stored values of a state that tickets are looked for in.
    pub fn to_find(&self, element: &str, key: &str, wanted: &str) -> Result<Values, String> {
        let known: Vec<&Choice> = self.of(element).collect();
        let by_label = |choice: &&&Choice| same(&choice.label, wanted);
        let by_value = |choice: &&&Choice| choice.value == wanted.trim();
        let mut hits: Vec<&Choice> = known.iter().filter(by_label).copied().collect();
        if !hits.iter().any(|choice| choice.active) {
            hits.extend(known.iter().filter(by_value));
        }
        let active = distinct(hits.iter().filter(|choice| choice.active));
        if active.is_empty() {
            return Err(self.no_hit(element, key, &[wanted], !hits.is_empty()));
        }
        let inactive = distinct(hits.iter().filter(|choice| !choice.active));
        let inactive = inactive.into_iter().filter(|value| !active.contains(value)).collect();
        Ok(Values { active, inactive })
    }

    /// The stored value to write: the first wish that the table has.
    pub fn to_write(&self, element: &str, key: &str, wishes: &[String]) -> Result<String, String> {
        // What the table does not list itself cannot be chosen on it, if it lists anything.
        let own = self.of(element).any(|choice| choice.own);
        let known: Vec<&Choice> =
            self.of(element).filter(|choice| choice.active && (choice.own || !own)).collect();
        for wish in wishes {
            let labelled = known.iter().filter(|choice| same(&choice.label, wish));
            let mut values = distinct(labelled.clone());
            if values.len() > 1 {
                let english = distinct(labelled.filter(|choice| choice.language == "en"));
                values = if english.is_empty() { values } else { english };
            }
            if values.is_empty() {
                values = distinct(known.iter().filter(|choice| choice.value == wish.trim()));
            }
            match values.as_slice() {
                [] => {}
                [value] => return Ok(value.clone()),
                several => {
                    return Err(format!(
                        "`{key}`: `{}` stands for several values of `{element}` on table `{}`: \
                         {}; write one of them",
                        text::one_line(wish, 80),
                        self.table,
                        several.join(", ")
                    ));
                }
            }
        }
        let wishes: Vec<&str> = wishes.iter().map(String::as_str).collect();
        Err(self.no_hit(element, key, &wishes, false))
    }

    /// Choices of a field: the table's own, and those inherited whose value it does not redefine.
    fn of<'a>(&'a self, element: &'a str) -> impl Iterator<Item = &'a Choice> {
        let mine = move |choice: &&Choice| choice.element == element;
        let redefined = move |value: &str| {
            self.all.iter().filter(mine).any(|choice| choice.own && choice.value == value)
        };
        self.all.iter().filter(mine).filter(move |choice| choice.own || !redefined(&choice.value))
    }

    fn no_hit(&self, element: &str, key: &str, wishes: &[&str], was: bool) -> String {
        let wishes: Vec<String> =
            wishes.iter().map(|wish| format!("`{}`", text::one_line(wish, 80))).collect();
        let mut there: Vec<String> = Vec::new();
        for choice in self.of(element).filter(|choice| choice.active) {
            let shown = format!("{} ({})", text::one_line(&choice.label, 60), choice.value);
            if !there.contains(&shown) {
                there.push(shown);
            }
        }
        let more = there.len().saturating_sub(LISTED_MAX);
        there.truncate(LISTED_MAX);
        if more > 0 {
            there.push(format!("and {more} more"));
        }
        let listed = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let verb = if was { "has only an inactive choice" } else { "has no choice" };
        format!(
            "`{key}` in `inputs.servicenow` of arx.yaml: `{element}` of table `{}` {verb} {}; \
             there are {listed}",
            self.table,
            wishes.join(" or "),
        )
    }
}

impl Choice {
    /// `None` for a row that the query did not ask for, or that says too little.
    fn read(row: &Row, tables: &[String], elements: &[&str]) -> Option<Self> {
        let name = row.filled("name")?;
        let element = row.filled("element")?;
        if !tables.iter().any(|table| table == name) || !elements.contains(&element) {
            return None;
        }
        Some(Self {
            element: element.to_owned(),
            value: row.filled("value")?.to_owned(),
            label: row.get("label").unwrap_or_default().to_owned(),
            language: row.filled("language").unwrap_or("en").to_owned(),
            active: !matches!(row.filled("inactive"), Some("true" | "1")),
            own: tables.first().is_some_and(|table| table == name),
        })
    }
}

/// The tables that a table extends, the nearest first. Where the account may not ask, what most
/// tables of tickets extend.
async fn ancestry(call: Call<'_>, table: &str) -> Vec<String> {
    let usual = || vec![TASK.to_owned()];
    if matches!(table, "incident" | "problem" | "change_request" | "change_task" | "sc_task") {
        return usual();
    }
    let Ok(query) = Query::default().is("name", table) else { return usual() };
    let listing = Listing {
        table: "sys_db_object",
        query: query.order_by("sys_id"),
        fields: std::iter::once("name").chain(ANCESTRY).collect(),
        texts: Vec::new(),
        page_rows: 1,
    };
    let mut above = Vec::new();
    let read = listing.read(call, |page| {
        for listable in page.iter().filter(|listable| listable.row.filled("name") == Some(table)) {
            let names = ANCESTRY.iter().map_while(|field| listable.row.filled(field));
            above.extend(names.filter(|name| super::query::is_name(name)).map(str::to_owned));
        }
        Ok(Next::Enough)
    });
    match read.await {
        Ok(_) if !above.is_empty() => above,
        Ok(_) | Err(_) => usual(),
    }
}

/// Whether two labels are the same to people.
fn same(label: &str, wanted: &str) -> bool {
    let plain = |text: &str| text::one_line(text, usize::MAX).to_lowercase();
    plain(label) == plain(wanted)
}

fn distinct<'a, 'b: 'a>(choices: impl Iterator<Item = &'a &'b Choice>) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for choice in choices {
        if !values.contains(&choice.value) {
            values.push(choice.value.clone());
        }
    }
    values
}
