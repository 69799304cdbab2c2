//! A working part of JQL: comparisons joined by AND, OR, NOT and parentheses, and ORDER BY.
//!
//! Fields: project, key, id, labels, issuetype, priority, status, statusCategory, summary,
//! description, text, assignee, component, created, updated. Anything else is an error, never
//! a silently wider search.

use jiff::{Timestamp, ToSpan};

use super::issues::Issue;
use super::{adf, site};

const DEPTH_MAX: usize = 32;
const ORDERS_MAX: usize = 7;

/// Words that may not stand unquoted.
const RESERVED: &[&str] = &[
    "abort",
    "access",
    "add",
    "after",
    "alias",
    "all",
    "alter",
    "any",
    "as",
    "asc",
    "before",
    "begin",
    "between",
    "boolean",
    "break",
    "by",
    "cascade",
    "case",
    "cast",
    "char",
    "check",
    "collect",
    "column",
    "commit",
    "count",
    "create",
    "current",
    "date",
    "default",
    "delete",
    "do",
    "double",
    "drop",
    "else",
    "end",
    "exec",
    "execute",
    "exists",
    "false",
    "fetch",
    "float",
    "for",
    "from",
    "function",
    "go",
    "goto",
    "grant",
    "group",
    "having",
    "if",
    "immediate",
    "index",
    "inner",
    "insert",
    "int",
    "integer",
    "into",
    "join",
    "last",
    "left",
    "like",
    "limit",
    "lock",
    "long",
    "max",
    "min",
    "minus",
    "mode",
    "modify",
    "next",
    "null",
    "number",
    "object",
    "of",
    "on",
    "option",
    "outer",
    "output",
    "power",
    "previous",
    "prior",
    "public",
    "raise",
    "remainder",
    "rename",
    "return",
    "revoke",
    "right",
    "row",
    "select",
    "session",
    "set",
    "share",
    "size",
    "start",
    "strict",
    "string",
    "subtract",
    "sum",
    "table",
    "then",
    "to",
    "trans",
    "trigger",
    "true",
    "union",
    "unique",
    "update",
    "user",
    "values",
    "view",
    "when",
    "where",
    "while",
    "with",
];

pub(super) struct Query {
    clause: Option<Clause>,
    orders: Vec<(String, bool)>,
}

enum Clause {
    All(Vec<Clause>),
    Any(Vec<Clause>),
    Not(Box<Clause>),
    Compare { field: Field, operator: Operator, values: Vec<String> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    Differs,
    Contains,
    ContainsNot,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Project,
    Key,
    Labels,
    IssueType,
    Priority,
    Status,
    StatusCategory,
    Summary,
    Description,
    Text,
    Assignee,
    Component,
    Created,
    Updated,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(&'static str),
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

pub(super) fn parse(text: &str) -> Result<Query, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let mut query = Query { clause: None, orders: Vec::new() };
    if parser.tokens.peek().is_some() && !parser.is_word("order") {
        query.clause = Some(parser.any()?);
    }
    if parser.take_word("order") {
        if !parser.take_word("by") {
            return Err(unexpected(parser.tokens.peek()));
        }
        loop {
            let field = match parser.tokens.next() {
                Some(Token::Word(word) | Token::Quoted(word)) => word.to_lowercase(),
                other => return Err(unexpected(other.as_ref())),
            };
            if !matches!(
                field.as_str(),
                "created" | "updated" | "key" | "id" | "issuekey" | "priority"
            ) {
                return Err(format!("Not able to sort using field '{field}'."));
            }
            let is_descending = parser.take_word("desc");
            if !is_descending {
                parser.take_word("asc");
            }
            query.orders.push((field, is_descending));
            if !parser.take_mark(",") {
                break;
            }
        }
        if query.orders.len() > ORDERS_MAX {
            return Err("Too many fields in the ORDER BY clause.".to_owned());
        }
    }
    match parser.tokens.peek() {
        None => Ok(query),
        other => Err(unexpected(other)),
    }
}

fn unexpected(token: Option<&Token>) -> String {
    match token {
        None => "Error in the JQL Query: the query ended too early.".to_owned(),
        Some(Token::Mark(mark)) => format!("Error in the JQL Query: unexpected '{mark}'."),
        Some(Token::Word(word) | Token::Quoted(word)) => {
            format!("Error in the JQL Query: unexpected '{word}'.")
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    const MARKS: [&str; 11] = ["!=", "!~", "<=", ">=", "=", "~", "<", ">", "(", ")", ","];
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (value, after) = quoted(rest, first)?;
            found.push(Token::Quoted(value));
            rest = after;
        } else if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            found.push(Token::Mark(mark));
            rest = rest.strip_prefix(mark).unwrap_or_default();
        } else {
            let is_end = |c: char| c.is_whitespace() || "\"'=!~<>(),".contains(c);
            let end = rest.find(is_end).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("Error in the JQL Query: unexpected '{first}'."));
            }
            let (word, after) = rest.split_at(end);
            found.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(found)
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c)) if c == '\\' || c == '"' || c == '\'' || c == ' ' => value.push(c),
                Some((_, c)) => return Err(format!("'\\{c}' is an illegal JQL escape sequence.")),
                None => break,
            },
            c if c == quote => {
                return Ok((value, text.get(at + c.len_utf8()..).unwrap_or_default()));
            }
            c => value.push(c),
        }
    }
    Err("Error in the JQL Query: the quoted string was not closed.".to_owned())
}

impl Parser {
    fn is_word(&mut self, wanted: &str) -> bool {
        matches!(self.tokens.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(wanted))
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = self.is_word(wanted);
        if found {
            self.tokens.next();
        }
        found
    }

    fn take_mark(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens.peek(), Some(Token::Mark(mark)) if *mark == wanted);
        if found {
            self.tokens.next();
        }
        found
    }

    fn any(&mut self) -> Result<Clause, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("Error in the JQL Query: nested too deeply.".to_owned());
        }
        let mut clauses = vec![self.all()?];
        while self.take_word("or") {
            clauses.push(self.all()?);
        }
        self.depth -= 1;
        Ok(Clause::Any(clauses))
    }

    fn all(&mut self) -> Result<Clause, String> {
        let mut clauses = vec![self.one()?];
        while self.take_word("and") {
            clauses.push(self.one()?);
        }
        Ok(Clause::All(clauses))
    }

    fn one(&mut self) -> Result<Clause, String> {
        let mut is_negated = false;
        while self.take_word("not") {
            is_negated = !is_negated;
        }
        let clause = if self.take_mark("(") {
            let inner = self.any()?;
            if !self.take_mark(")") {
                return Err(unexpected(self.tokens.peek()));
            }
            inner
        } else {
            self.compare()?
        };
        Ok(if is_negated { Clause::Not(Box::new(clause)) } else { clause })
    }

    fn compare(&mut self) -> Result<Clause, String> {
        let name = match self.tokens.next() {
            Some(Token::Word(word) | Token::Quoted(word)) => word,
            other => return Err(unexpected(other.as_ref())),
        };
        let field = Field::read(&name).ok_or_else(|| {
            format!("Field '{name}' does not exist or you do not have permission to view it.")
        })?;
        let operator = match self.tokens.next() {
            Some(Token::Mark("=")) => Operator::Equals,
            Some(Token::Mark("!=")) => Operator::Differs,
            Some(Token::Mark("~")) => Operator::Contains,
            Some(Token::Mark("!~")) => Operator::ContainsNot,
            Some(Token::Mark("<")) => Operator::Less,
            Some(Token::Mark("<=")) => Operator::LessOrEqual,
            Some(Token::Mark(">")) => Operator::More,
            Some(Token::Mark(">=")) => Operator::MoreOrEqual,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("in") => {
                let values = self.values()?;
                return Ok(Clause::Compare { field, operator: Operator::Equals, values });
            }
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("not") && self.take_word("in") => {
                let values = self.values()?;
                return Ok(Clause::Compare { field, operator: Operator::Differs, values });
            }
            other => return Err(unexpected(other.as_ref())),
        };
        let fuzzy = matches!(operator, Operator::Contains | Operator::ContainsNot);
        if fuzzy != field.is_text() {
            return Err(format!("The operator used with field '{name}' is not supported."));
        }
        let values = vec![self.value()?];
        Ok(Clause::Compare { field, operator, values })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        if !self.take_mark("(") {
            return Err(unexpected(self.tokens.peek()));
        }
        let mut values = vec![self.value()?];
        while self.take_mark(",") {
            values.push(self.value()?);
        }
        if self.take_mark(")") { Ok(values) } else { Err(unexpected(self.tokens.peek())) }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.tokens.next() {
            Some(Token::Quoted(value)) => Ok(value),
            Some(Token::Word(word)) => {
                if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(&word)) {
                    return Err(format!(
                        "Error in the JQL Query: '{word}' is a reserved JQL word. You must surround it in quotation marks to use it in a query."
                    ));
                }
                Ok(word)
            }
            other => Err(unexpected(other.as_ref())),
        }
    }
}

impl Field {
    fn read(name: &str) -> Option<Self> {
        Some(match name.to_lowercase().as_str() {
            "project" => Self::Project,
            "key" | "issuekey" | "id" | "issue" => Self::Key,
            "labels" => Self::Labels,
            "issuetype" | "type" => Self::IssueType,
            "priority" => Self::Priority,
            "status" => Self::Status,
            "statuscategory" => Self::StatusCategory,
            "summary" => Self::Summary,
            "description" => Self::Description,
            "text" => Self::Text,
            "assignee" => Self::Assignee,
            "component" => Self::Component,
            "created" | "createddate" => Self::Created,
            "updated" | "updateddate" => Self::Updated,
            _ => return None,
        })
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Summary | Self::Description | Self::Text)
    }

    /// Every text an issue could be compared by; matching ignores case but for labels.
    fn texts(self, issue: &Issue) -> Vec<String> {
        match self {
            Self::Project => {
                let project = site::find_project(&issue.project);
                project.map_or_else(Vec::new, |project| {
                    [project.key, project.id, project.name].map(str::to_owned).to_vec()
                })
            }
            Self::Key => vec![issue.key.clone(), issue.id.to_string()],
            Self::Labels => issue.labels.clone(),
            Self::IssueType => {
                let found = site::ISSUE_TYPES.iter().find(|(id, ..)| *id == issue.issue_type);
                found.map_or_else(Vec::new, |(id, name, _)| {
                    vec![(*id).to_owned(), (*name).to_owned()]
                })
            }
            Self::Priority => {
                let wanted = issue.priority.as_deref();
                let found = site::PRIORITIES.iter().find(|(id, _)| Some(*id) == wanted);
                found.map_or_else(Vec::new, |(id, name)| vec![(*id).to_owned(), (*name).to_owned()])
            }
            Self::Status => vec![issue.status.clone()],
            Self::StatusCategory => {
                let value = site::status_json("", &issue.status);
                ["/statusCategory/key", "/statusCategory/name"]
                    .iter()
                    .filter_map(|pointer| value.pointer(pointer)?.as_str().map(str::to_owned))
                    .collect()
            }
            Self::Summary => vec![issue.summary.clone()],
            Self::Description => vec![adf::plain_text(&issue.description)],
            Self::Text => vec![issue.summary.clone(), adf::plain_text(&issue.description)],
            Self::Assignee => {
                let found =
                    site::USERS.iter().find(|u| issue.assignee.as_deref() == Some(u.account_id));
                found.map_or_else(Vec::new, |user| {
                    [user.account_id, user.name, user.email].map(str::to_owned).to_vec()
                })
            }
            Self::Component => {
                let known = site::find_project(&issue.project).map_or(&[][..], |p| p.components);
                known
                    .iter()
                    .filter(|(id, _)| issue.components.iter().any(|c| c == id))
                    .flat_map(|(id, name)| [(*id).to_owned(), (*name).to_owned()])
                    .collect()
            }
            Self::Created | Self::Updated => Vec::new(),
        }
    }
}

impl Query {
    /// A bare ORDER BY restricts nothing.
    pub fn is_bounded(&self) -> bool {
        self.clause.is_some()
    }

    pub fn matches(&self, issue: &Issue, now: Timestamp) -> bool {
        self.clause.as_ref().is_none_or(|clause| clause.matches(issue, now))
    }

    pub fn sort(&self, issues: &mut [Issue]) {
        issues.sort_by_key(|issue| std::cmp::Reverse(issue.id));
        for (field, is_descending) in self.orders.iter().rev() {
            issues.sort_by(|a, b| {
                let order = match field.as_str() {
                    "created" => a.created.cmp(&b.created).then(a.id.cmp(&b.id)),
                    "updated" => a.updated.cmp(&b.updated),
                    "priority" => rank(b).cmp(&rank(a)),
                    _ => a.id.cmp(&b.id),
                };
                if *is_descending { order.reverse() } else { order }
            });
        }
    }
}

fn rank(issue: &Issue) -> Option<usize> {
    site::PRIORITIES.iter().position(|(id, _)| issue.priority.as_deref() == Some(id))
}

impl Clause {
    fn matches(&self, issue: &Issue, now: Timestamp) -> bool {
        match self {
            Self::All(clauses) => clauses.iter().all(|clause| clause.matches(issue, now)),
            Self::Any(clauses) => clauses.iter().any(|clause| clause.matches(issue, now)),
            Self::Not(clause) => !clause.matches(issue, now),
            Self::Compare { field, operator, values } => {
                compare(issue, now, *field, *operator, values)
            }
        }
    }
}

fn compare(
    issue: &Issue,
    now: Timestamp,
    field: Field,
    operator: Operator,
    values: &[String],
) -> bool {
    if matches!(field, Field::Created | Field::Updated) {
        let at = if field == Field::Created { issue.created } else { issue.updated };
        let Some(limit) = values.first().and_then(|value| moment(value, now)) else { return false };
        return match operator {
            Operator::Less => at < limit,
            Operator::LessOrEqual => at <= limit,
            Operator::More => at > limit,
            Operator::MoreOrEqual => at >= limit,
            Operator::Equals => at == limit,
            Operator::Differs => at != limit,
            Operator::Contains | Operator::ContainsNot => false,
        };
    }
    let texts = field.texts(issue);
    let equals = |value: &String| {
        texts.iter().any(|text| {
            // Labels match exactly; names of other things do not care about case.
            if field == Field::Labels { text == value } else { text.eq_ignore_ascii_case(value) }
        })
    };
    match operator {
        Operator::Equals => values.iter().any(equals),
        // An empty field differs from nothing: it is simply not found.
        Operator::Differs => !texts.is_empty() && !values.iter().any(equals),
        Operator::Contains => values.iter().any(|value| has_words(&texts, value)),
        Operator::ContainsNot => !values.iter().any(|value| has_words(&texts, value)),
        Operator::Less | Operator::LessOrEqual | Operator::More | Operator::MoreOrEqual => false,
    }
}

/// Full text: every word of the value occurs somewhere.
fn has_words(texts: &[String], value: &str) -> bool {
    let whole = texts.join(" ").to_lowercase();
    value.to_lowercase().split_whitespace().all(|word| whole.contains(word.trim_matches('*')))
}

/// `2026-11-15`, `2026-11-15 09:30`, or relative: `-7d`, `-4h`, `-30m`.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(amount) = text.strip_prefix('-')
        && let Some(unit) = amount.chars().next_back()
    {
        let n: i64 = amount.strip_suffix(unit)?.parse().ok().filter(|n| *n < 1_000_000)?;
        let span = match unit {
            'm' => n.minutes(),
            'h' => n.hours(),
            'd' => (n * 24).hours(),
            'w' => (n * 24 * 7).hours(),
            _ => return None,
        };
        return now.checked_sub(span).ok();
    }
    let (day, of_day) = text.split_once(' ').unwrap_or((text, "00:00"));
    format!("{}T{of_day}:00Z", day.replace('/', "-")).parse().ok()
}
