//! Encoded queries. As at the vendor, a term that makes no sense is dropped and the rest runs.

use super::store::{Row, Store};
use super::tables::{Kind, Table};

/// Terms beyond this are dropped.
const TERMS_MAX: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Differs,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Like,
    NotLike,
    StartsWith,
    EndsWith,
    In,
    NotIn,
    Empty,
    NotEmpty,
    Anything,
}

/// Longer ones before those that begin like them.
const OPERATORS: &[(&str, Operator)] = &[
    ("ISNOTEMPTY", Operator::NotEmpty),
    ("ISEMPTY", Operator::Empty),
    ("ANYTHING", Operator::Anything),
    ("STARTSWITH", Operator::StartsWith),
    ("ENDSWITH", Operator::EndsWith),
    ("NOT LIKE", Operator::NotLike),
    ("NOTLIKE", Operator::NotLike),
    ("NOT IN", Operator::NotIn),
    ("LIKE", Operator::Like),
    ("CONTAINS", Operator::Like),
    ("IN", Operator::In),
    ("!=", Operator::Differs),
    (">=", Operator::MoreOrEqual),
    ("<=", Operator::LessOrEqual),
    ("=", Operator::Equal),
    (">", Operator::More),
    ("<", Operator::Less),
];

#[derive(Debug, PartialEq, Eq)]
struct Term {
    field: String,
    operator: Operator,
    value: String,
}

/// A whole query: groups of which one must hold, of clauses that must all hold, of terms of which
/// one must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    groups: Vec<Vec<Vec<Term>>>,
    /// Field and whether descending.
    order: Vec<(String, bool)>,
    /// Terms that made no sense and were dropped.
    pub n_dropped: usize,
}

impl Query {
    pub fn parse(text: &str, store: &Store, table: &'static Table) -> Self {
        let mut query = Self { groups: vec![Vec::new()], ..Self::default() };
        let blank = Row::default();
        for (nth, part) in text.split('^').enumerate() {
            if part.is_empty() || part == "EQ" || nth >= TERMS_MAX {
                continue;
            }
            let known = |field: &str| store.walk(table, &blank, field).is_some();
            if let Some(field) = part.strip_prefix("ORDERBYDESC") {
                if known(field) {
                    query.order.push((field.to_owned(), true));
                }
                continue;
            }
            if let Some(field) = part.strip_prefix("ORDERBY") {
                if known(field) {
                    query.order.push((field.to_owned(), false));
                }
                continue;
            }
            let (part, starts_group) = match part.strip_prefix("NQ") {
                Some(rest) => (rest, true),
                None => (part, false),
            };
            if starts_group {
                query.groups.push(Vec::new());
            }
            let (part, is_or) = match part.strip_prefix("OR") {
                Some(rest) => (rest, true),
                None => (part, false),
            };
            let Some(term) = term(part).filter(|term| known(&term.field)) else {
                query.n_dropped += 1;
                continue;
            };
            let Some(group) = query.groups.last_mut() else { continue };
            match group.last_mut() {
                Some(clause) if is_or => clause.push(term),
                _ => group.push(vec![term]),
            }
        }
        query
    }

    /// `field=value` parameters outside `sysparm_query`.
    pub fn and_equal(&mut self, field: &str, value: &str) {
        for group in &mut self.groups {
            group.push(vec![Term {
                field: field.to_owned(),
                operator: Operator::Equal,
                value: value.to_owned(),
            }]);
        }
    }

    pub fn holds(&self, store: &Store, table: &'static Table, row: &Row) -> bool {
        self.groups.iter().any(|group| {
            group.iter().all(|clause| clause.iter().any(|term| term.holds(store, table, row)))
        })
    }

    /// Sorts as asked; rows that tie stay as they are, which no reader may rely on.
    pub fn sort(&self, store: &Store, rows: &mut [(&'static Table, &Row)]) {
        rows.sort_by(|(left_table, left), (right_table, right)| {
            for (field, is_descending) in &self.order {
                let order =
                    key(store, left_table, left, field).cmp(&key(store, right_table, right, field));
                let order = if *is_descending { order.reverse() } else { order };
                if order.is_ne() {
                    return order;
                }
            }
            std::cmp::Ordering::Equal
        });
    }
}

/// Numbers sort as numbers, everything else as text.
fn key<'s>(
    store: &'s Store,
    table: &'static Table,
    row: &'s Row,
    field: &'s str,
) -> (i64, &'s str) {
    let Some((_, row, column, kind)) = store.walk(table, row, field) else { return (0, "") };
    let value = row.map_or("", |row| row.get(column));
    match kind {
        Kind::Integer => (value.parse().unwrap_or(0), ""),
        _ => (0, value),
    }
}

fn term(text: &str) -> Option<Term> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let (field, rest) = text.split_at(end);
    let (word, operator) = OPERATORS.iter().find(|(word, _)| rest.starts_with(word))?;
    let value = rest.strip_prefix(word)?;
    // The instance would run it; here it is a term that makes no sense.
    if value.starts_with("javascript:") {
        return None;
    }
    Some(Term { field: field.to_owned(), operator: *operator, value: value.to_owned() })
}

impl Term {
    fn holds(&self, store: &Store, table: &'static Table, row: &Row) -> bool {
        let Some((_, row, column, kind)) = store.walk(table, row, &self.field) else {
            return false;
        };
        let found = row.map_or("", |row| row.get(column));
        let wanted = self.value.as_str();
        let compared = || match kind {
            Kind::Integer | Kind::Choice => match (found.parse::<i64>(), wanted.parse::<i64>()) {
                (Ok(found), Ok(wanted)) => found.cmp(&wanted),
                _ => found.cmp(wanted),
            },
            _ => found.cmp(wanted),
        };
        match self.operator {
            Operator::Equal => found == wanted || (kind == Kind::Flag && flag(found) == wanted),
            Operator::Differs => found != wanted,
            // An empty value is neither before nor after anything.
            Operator::Less => !found.is_empty() && compared().is_lt(),
            Operator::LessOrEqual => !found.is_empty() && compared().is_le(),
            Operator::More => !found.is_empty() && compared().is_gt(),
            Operator::MoreOrEqual => !found.is_empty() && compared().is_ge(),
            Operator::Like => found.contains(wanted),
            Operator::NotLike => !found.contains(wanted),
            Operator::StartsWith => found.starts_with(wanted),
            Operator::EndsWith => found.ends_with(wanted),
            Operator::In => wanted.split(',').any(|value| value == found),
            Operator::NotIn => !wanted.split(',').any(|value| value == found),
            Operator::Empty => found.is_empty(),
            Operator::NotEmpty => !found.is_empty(),
            Operator::Anything => true,
        }
    }
}

/// A flag that was never set is false.
fn flag(found: &str) -> &str {
    if found.is_empty() { "false" } else { found }
}
