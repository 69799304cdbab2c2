//! FQL, the filter language, as far as reading devices needs it.
//!
//! Values are compared with their case. A bare text matches a host name that begins with it, as many
//! endpoints match partially by default; a list (`['a','b']`) matches whole values; an empty text
//! matches everything, which is the vendor's trap.

use jiff::{Timestamp, ToSpan};

/// Properties in one filter.
const PROPERTIES_MAX: usize = 20;
/// Values in one list.
const VALUES_MAX: usize = 5_000;
/// Parentheses inside parentheses.
const DEPTH_MAX: usize = 10;

#[rustfmt::skip]
const PROPERTIES: &[&str] = &[
    "agent_version", "cid", "connection_ip", "device_id", "external_ip", "first_seen", "hostname",
    "last_seen", "local_ip", "mac_address", "machine_domain", "modified_timestamp", "os_version",
    "platform_name", "product_type_desc", "provision_status", "reduced_functionality_mode", "status",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    Not,
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
    Tokens,
    Pattern,
}

/// Those of which a bare value may be the beginning only.
const PARTIAL: [&str; 3] = ["hostname", "machine_domain", "os_version"];

/// Longer ones before those that begin like them.
const OPERATORS: &[(&str, Operator)] = &[
    (">=", Operator::MoreOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::More),
    ("<", Operator::Less),
    ("!", Operator::Not),
    ("~", Operator::Tokens),
    ("*", Operator::Pattern),
];

#[derive(Debug, PartialEq, Eq)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Term { property: String, operator: Operator, values: Vec<String>, is_list: bool },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Option<Expression>);

impl Filter {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let mut parser = Parser { rest: text.trim(), n_terms: 0, depth: 0 };
        let expression = parser.any()?;
        if parser.rest.is_empty() {
            Ok(Self(Some(expression)))
        } else {
            Err(format!("unexpected `{}`", parser.rest.chars().take(20).collect::<String>()))
        }
    }

    pub fn holds(&self, property: &dyn Fn(&str) -> Option<String>, now: Timestamp) -> bool {
        self.0.as_ref().is_none_or(|expression| expression.holds(property, now))
    }
}

struct Parser<'t> {
    rest: &'t str,
    n_terms: usize,
    depth: usize,
}

impl Parser<'_> {
    /// `,` is OR, and binds less than `+`.
    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.take(",") {
            parts.push(self.all()?);
        }
        Ok(Expression::Any(parts))
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.one()?];
        while self.take("+") {
            parts.push(self.one()?);
        }
        Ok(Expression::All(parts))
    }

    fn one(&mut self) -> Result<Expression, String> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err("too deeply nested".to_owned());
            }
            let inner = self.any()?;
            self.depth -= 1;
            return if self.take(")") { Ok(inner) } else { Err("`)` is missing".to_owned()) };
        }
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
            .unwrap_or(self.rest.len());
        let (property, rest) = self.rest.split_at(end);
        if !PROPERTIES.contains(&property) {
            return Err(format!("unknown property `{property}`"));
        }
        self.rest = rest;
        if !self.take(":") {
            return Err(format!("`:` is missing after `{property}`"));
        }
        self.n_terms += 1;
        if self.n_terms > PROPERTIES_MAX {
            return Err(format!("more than {PROPERTIES_MAX} properties"));
        }
        let mut operator = Operator::Is;
        if let Some((sign, found)) = OPERATORS.iter().find(|(sign, _)| self.rest.starts_with(sign))
        {
            self.take(sign);
            operator = *found;
        }
        let is_list = self.take("[");
        let mut values = vec![self.value()?];
        while is_list && self.take(",") {
            values.push(self.value()?);
            if values.len() > VALUES_MAX {
                return Err("too many values".to_owned());
            }
        }
        if is_list && !self.take("]") {
            return Err("`]` is missing".to_owned());
        }
        Ok(Expression::Term { property: property.to_owned(), operator, values, is_list })
    }

    /// `'text'` with `\'` and `\\`, or a bare number or word.
    fn value(&mut self) -> Result<String, String> {
        if !self.take("'") {
            let end = self
                .rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'))
                .unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            return if word.is_empty() {
                Err("a value is missing".to_owned())
            } else {
                Ok(word.to_owned())
            };
        }
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => value.extend(chars.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        Err("a quote is missing".to_owned())
    }

    fn take(&mut self, sign: &str) -> bool {
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }
}

impl Expression {
    fn holds(&self, property: &dyn Fn(&str) -> Option<String>, now: Timestamp) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(property, now)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(property, now)),
            Self::Term { property: name, operator, values, is_list } => {
                let found = property(name);
                let found = found.as_deref();
                let any = |test: &dyn Fn(&str, &str) -> bool| {
                    values.iter().any(|wanted| {
                        wanted.is_empty() || found.is_some_and(|found| test(found, wanted))
                    })
                };
                let is_whole = *is_list || !PARTIAL.contains(&name.as_str());
                let equal = |found: &str, wanted: &str| is(found, wanted, is_whole);
                match operator {
                    Operator::Is => any(&equal),
                    Operator::Not => !any(&equal),
                    Operator::Pattern => any(&matches_pattern),
                    Operator::Tokens => {
                        any(&|found, wanted| found.to_lowercase().contains(&wanted.to_lowercase()))
                    }
                    Operator::More => any(&|f, w| compare(f, w, now).is_gt()),
                    Operator::MoreOrEqual => any(&|f, w| compare(f, w, now).is_ge()),
                    Operator::Less => any(&|f, w| compare(f, w, now).is_lt()),
                    Operator::LessOrEqual => any(&|f, w| compare(f, w, now).is_le()),
                }
            }
        }
    }
}

fn is(found: &str, wanted: &str, is_whole: bool) -> bool {
    if wanted.contains('*') {
        matches_pattern(found, wanted)
    } else if is_whole {
        found == wanted
    } else {
        found.starts_with(wanted)
    }
}

/// `*` stands for any text.
fn matches_pattern(found: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

/// Times as times (`now-7d` included), everything else as text.
fn compare(found: &str, wanted: &str, now: Timestamp) -> std::cmp::Ordering {
    let relative = || {
        let text = wanted.strip_prefix("now-")?;
        let (n, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let n: i64 = n.parse().ok()?;
        let hours = match unit {
            "d" => n.checked_mul(24)?,
            "h" => n,
            _ => return None,
        };
        now.checked_sub(hours.hours()).ok()
    };
    let wanted_time = wanted.parse::<Timestamp>().ok().or_else(relative);
    match (found.parse::<Timestamp>(), wanted_time) {
        (Ok(found), Some(wanted)) => found.cmp(&wanted),
        _ => found.cmp(wanted),
    }
}
