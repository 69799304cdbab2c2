//! The conditions of a listing, as one statement for each set of them.
//!
//! A statement that leaves a condition open (`?1 IS NULL OR …`) is planned before anybody knows
//! whether it is given, so no index serves it. Here only what is given stands in the statement,
//! and each such statement is prepared once.

use rusqlite::types::Value;

use crate::column::signed;

/// What is asked of the rows of a listing.
#[derive(Default)]
pub(crate) struct Conditions {
    texts: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    /// Asks for a condition with one `?` in it, where there is a value for it.
    pub(crate) fn given(mut self, text: &'static str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.texts.push(text);
            self.values.push(value.into());
        }
        self
    }

    /// As [`Conditions::given`], with two `?` and two values.
    pub(crate) fn given_both(
        mut self,
        text: &'static str,
        values: Option<(impl Into<Value>, impl Into<Value>)>,
    ) -> Self {
        if let Some((first, second)) = values {
            self.texts.push(text);
            self.values.extend([first.into(), second.into()]);
        }
        self
    }

    /// The statement and its values: at most `limit` rows of `select`, where 0 and more than
    /// `limit_max` mean that.
    pub(crate) fn page(
        mut self,
        select: &str,
        order: &str,
        limit: usize,
        limit_max: usize,
    ) -> (String, Vec<Value>) {
        let only = match self.texts.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.texts.join(" AND ")),
        };
        let limit = match limit {
            0 => limit_max,
            limit => limit.min(limit_max),
        };
        self.values.push(Value::Integer(signed(limit as u64)));
        (format!("{select}{only} ORDER BY {order} LIMIT ?"), self.values)
    }
}
