//! Encoded queries: terms joined by `^`, for which there is no escape.
//!
//! Never a value that could end its term and begin another: the vendor would run what it says.

use crate::text;

/// Longest name of a table or a field, dots included.
const NAME_BYTES_MAX: usize = 160;

/// A query under construction.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Query(String);

impl Query {
    /// Adds `field=value`.
    pub fn is(self, field: &str, value: &str) -> Result<Self, String> {
        self.term(field, "=", value)
    }

    /// Adds that the field holds the text, as the vendor compares.
    pub fn contains(self, field: &str, value: &str) -> Result<Self, String> {
        self.term(field, "LIKE", value)
    }

    /// Adds that the field is one of the values.
    pub fn any_of<'a>(
        self,
        field: &str,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, String> {
        let values: Vec<&str> = values.into_iter().collect();
        if let [value] = values.as_slice() {
            return self.is(field, value);
        }
        for value in &values {
            check_value(field, value)?;
            if value.contains(',') {
                return Err(format!(
                    "`{field}`: `{}` holds a comma, which a list of values cannot",
                    text::one_line(value, 80)
                ));
            }
        }
        self.term(field, "IN", &values.join(","))
    }

    /// Adds an order; the first one given counts most.
    pub fn order_by(mut self, field: &'static str) -> Self {
        self.join();
        self.0.push_str("ORDERBY");
        self.0.push_str(field);
        self
    }

    /// The query as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn term(mut self, field: &str, operator: &str, value: &str) -> Result<Self, String> {
        if !is_name(field) {
            return Err(format!("`{}` is not the name of a field", text::one_line(field, 80)));
        }
        check_value(field, value)?;
        self.join();
        self.0.push_str(field);
        self.0.push_str(operator);
        self.0.push_str(value);
        Ok(self)
    }

    fn join(&mut self) {
        if !self.0.is_empty() {
            self.0.push('^');
        }
    }
}

/// Whether a text can be the name of a table or field, `cmdb_ci.name` included.
pub(super) fn is_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    let ends = !name.starts_with('.') && !name.ends_with('.') && !name.contains("..");
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fit) && ends
}

/// Refuses a value that would be more than a value.
pub(super) fn check_value(name: &str, value: &str) -> Result<(), String> {
    let why = if value.trim().is_empty() {
        "is blank"
    } else if value.contains('^') {
        "holds `^`, which begins another term of a query and cannot be escaped"
    } else if value.to_ascii_lowercase().contains("javascript:") {
        "holds `javascript:`, which would be run"
    } else if value.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(format!("`{name}`: `{}` {why}", text::one_line(value, 80)))
}
