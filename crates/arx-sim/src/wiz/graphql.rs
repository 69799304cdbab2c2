//! Just enough GraphQL to read a query document: fields, aliases, arguments, fragments.
//!
//! It never executes anything; [`super::schema`] says which fields exist. Start at [`parse`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Nesting beyond this is refused before the stack could notice.
const DEPTH_MAX: usize = 32;

/// What went wrong, in words for the `errors` list.
pub(super) type Refused = String;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    Variable(String),
    Literal(Value),
    List(Vec<Argument>),
    Object(Vec<(String, Argument)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Selection {
    Field(Field),
    /// `... on Type { }`; a named fragment is put in its place while parsing.
    Fragment {
        on: Option<String>,
        selections: Vec<Selection>,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub alias: Option<String>,
    pub name: String,
    pub arguments: Vec<(String, Argument)>,
    pub selections: Vec<Selection>,
}

impl Field {
    /// The key the reply carries this field under.
    pub fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    pub fn argument(&self, name: &str, variables: &Map<String, Value>) -> Value {
        let found = self.arguments.iter().find(|(n, _)| n == name);
        found.map_or(Value::Null, |(_, argument)| argument.resolve(variables))
    }
}

impl Argument {
    fn resolve(&self, variables: &Map<String, Value>) -> Value {
        match self {
            Self::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
            Self::Literal(value) => value.clone(),
            Self::List(items) => items.iter().map(|item| item.resolve(variables)).collect(),
            Self::Object(fields) => {
                let fields = fields.iter().map(|(k, v)| (k.clone(), v.resolve(variables)));
                Value::Object(fields.collect())
            }
        }
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub is_mutation: bool,
    pub selections: Vec<Selection>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Number(Value),
    Text(String),
    Variable(String),
    Spread,
    Mark(char),
}

/// Reads the first operation of a document (or the one named).
pub(super) fn parse(text: &str, operation: Option<&str>) -> Result<Document, Refused> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let mut operations: Vec<(Option<String>, Document)> = Vec::new();
    let mut fragments = BTreeMap::new();
    while let Some(token) = parser.tokens.peek().cloned() {
        match token {
            Token::Mark('{') => {
                let selections = parser.selections()?;
                operations.push((None, Document { is_mutation: false, selections }));
            }
            Token::Name(word) if word == "query" || word == "mutation" => {
                parser.tokens.next();
                let mut name = None;
                if let Some(Token::Name(found)) = parser.tokens.peek().cloned() {
                    parser.tokens.next();
                    name = Some(found);
                }
                if parser.take('(') {
                    parser.skip_until(')')?;
                }
                parser.skip_directives()?;
                let selections = parser.selections()?;
                operations.push((name, Document { is_mutation: word == "mutation", selections }));
            }
            Token::Name(word) if word == "fragment" => {
                parser.tokens.next();
                let name = parser.name()?;
                parser.keyword("on")?;
                let on = parser.name()?;
                parser.skip_directives()?;
                fragments.insert(name, (on, parser.selections()?));
            }
            other => return Err(unexpected(Some(&other))),
        }
    }
    let wanted = operations.into_iter().find(|(name, _)| {
        operation.is_none_or(|wanted| wanted.is_empty() || name.as_deref() == Some(wanted))
    });
    let Some((_, mut document)) = wanted else {
        return Err("the document holds no operation to run".to_owned());
    };
    inline(&mut document.selections, &fragments, 0)?;
    Ok(document)
}

type Fragments = BTreeMap<String, (String, Vec<Selection>)>;

/// Puts named fragments (kept as fields named `...name`) in their places.
fn inline(
    selections: &mut Vec<Selection>,
    fragments: &Fragments,
    depth: usize,
) -> Result<(), Refused> {
    if depth > DEPTH_MAX {
        return Err("the query is nested too deeply".to_owned());
    }
    for selection in selections {
        if let Selection::Field(field) = selection
            && let Some(name) = field.name.strip_prefix("...")
        {
            let Some((on, body)) = fragments.get(name) else {
                return Err(format!("Unknown fragment \"{name}\"."));
            };
            *selection = Selection::Fragment { on: Some(on.clone()), selections: body.clone() };
        }
        match selection {
            Selection::Field(field) => inline(&mut field.selections, fragments, depth + 1)?,
            Selection::Fragment { selections, .. } => inline(selections, fragments, depth + 1)?,
        }
    }
    Ok(())
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

fn unexpected(token: Option<&Token>) -> Refused {
    match token {
        None => "Syntax Error: Unexpected <EOF>.".to_owned(),
        Some(Token::Mark(c)) => format!("Syntax Error: Unexpected \"{c}\"."),
        Some(Token::Name(name)) => format!("Syntax Error: Unexpected Name \"{name}\"."),
        Some(_) => "Syntax Error: Unexpected token.".to_owned(),
    }
}

impl Parser {
    fn take(&mut self, mark: char) -> bool {
        self.tokens.next_if_eq(&Token::Mark(mark)).is_some()
    }

    fn expect(&mut self, mark: char) -> Result<(), Refused> {
        if self.take(mark) { Ok(()) } else { Err(unexpected(self.tokens.peek())) }
    }

    fn name(&mut self) -> Result<String, Refused> {
        match self.tokens.next() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(unexpected(other.as_ref())),
        }
    }

    fn keyword(&mut self, word: &str) -> Result<(), Refused> {
        let found = self.name()?;
        if found == word {
            Ok(())
        } else {
            Err(format!("Syntax Error: Expected \"{word}\", found \"{found}\"."))
        }
    }

    /// Variable definitions carry types that the schema check does without.
    fn skip_until(&mut self, mark: char) -> Result<(), Refused> {
        loop {
            match self.tokens.next() {
                Some(Token::Mark(found)) if found == mark => return Ok(()),
                None => return Err(unexpected(None)),
                Some(_) => {}
            }
        }
    }

    fn skip_directives(&mut self) -> Result<(), Refused> {
        while self.take('@') {
            self.name()?;
            if self.take('(') {
                self.skip_until(')')?;
            }
        }
        Ok(())
    }

    fn selections(&mut self) -> Result<Vec<Selection>, Refused> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the query is nested too deeply".to_owned());
        }
        self.expect('{')?;
        let mut found = Vec::new();
        while !self.take('}') {
            found.push(self.selection()?);
        }
        self.depth -= 1;
        if found.is_empty() { Err(unexpected(Some(&Token::Mark('}')))) } else { Ok(found) }
    }

    fn selection(&mut self) -> Result<Selection, Refused> {
        if self.tokens.next_if_eq(&Token::Spread).is_some() {
            let on = match self.tokens.peek().cloned() {
                Some(Token::Name(word)) if word == "on" => {
                    self.tokens.next();
                    Some(self.name()?)
                }
                Some(Token::Name(name)) => {
                    self.tokens.next();
                    self.skip_directives()?;
                    return Ok(Selection::Field(Field {
                        alias: None,
                        name: format!("...{name}"),
                        arguments: Vec::new(),
                        selections: Vec::new(),
                    }));
                }
                _ => None,
            };
            self.skip_directives()?;
            return Ok(Selection::Fragment { on, selections: self.selections()? });
        }
        let mut name = self.name()?;
        let mut alias = None;
        if self.take(':') {
            alias = Some(name);
            name = self.name()?;
        }
        let mut arguments = Vec::new();
        if self.take('(') {
            while !self.take(')') {
                let argument = self.name()?;
                self.expect(':')?;
                arguments.push((argument, self.value()?));
            }
        }
        self.skip_directives()?;
        let selections = if self.tokens.peek() == Some(&Token::Mark('{')) {
            self.selections()?
        } else {
            Vec::new()
        };
        Ok(Selection::Field(Field { alias, name, arguments, selections }))
    }

    fn value(&mut self) -> Result<Argument, Refused> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("the query is nested too deeply".to_owned());
        }
        let value = match self.tokens.next() {
            Some(Token::Variable(name)) => Argument::Variable(name),
            Some(Token::Number(number)) => Argument::Literal(number),
            Some(Token::Text(text)) => Argument::Literal(Value::String(text)),
            Some(Token::Name(word)) => Argument::Literal(match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(word),
            }),
            Some(Token::Mark('[')) => {
                let mut items = Vec::new();
                while !self.take(']') {
                    items.push(self.value()?);
                }
                Argument::List(items)
            }
            Some(Token::Mark('{')) => {
                let mut fields = Vec::new();
                while !self.take('}') {
                    let name = self.name()?;
                    self.expect(':')?;
                    fields.push((name, self.value()?));
                }
                Argument::Object(fields)
            }
            other => return Err(unexpected(other.as_ref())),
        };
        self.depth -= 1;
        Ok(value)
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refused> {
    let mut found = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ',' | '\u{feff}' => {}
            c if c.is_whitespace() => {}
            '.' => {
                if chars.next() != Some('.') || chars.next() != Some('.') {
                    return Err(unexpected(Some(&Token::Mark('.'))));
                }
                found.push(Token::Spread);
            }
            '$' => found.push(Token::Variable(word(&mut chars))),
            '"' => found.push(Token::Text(string(&mut chars)?)),
            c if c == '_' || c.is_ascii_alphabetic() => {
                found.push(Token::Name(format!("{c}{}", word(&mut chars))));
            }
            c if c == '-' || c.is_ascii_digit() => {
                let mut digits = String::from(c);
                while let Some(c) = chars
                    .next_if(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'))
                {
                    digits.push(c);
                }
                let number = serde_json::from_str(&digits)
                    .map_err(|_| format!("Syntax Error: Invalid number \"{digits}\"."))?;
                found.push(Token::Number(number));
            }
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '!' | '=' | '@' | '|' | '&' => {
                found.push(Token::Mark(c));
            }
            c => return Err(format!("Syntax Error: Unexpected character: \"{c}\".")),
        }
    }
    Ok(found)
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

fn word(chars: &mut Chars<'_>) -> String {
    let mut found = String::new();
    while let Some(c) = chars.next_if(|c| *c == '_' || c.is_ascii_alphanumeric()) {
        found.push(c);
    }
    found
}

fn string(chars: &mut Chars<'_>) -> Result<String, Refused> {
    let mut found = String::new();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(found),
            '\\' => match chars.next() {
                Some('n') => found.push('\n'),
                Some('t') => found.push('\t'),
                Some('r') => found.push('\r'),
                Some(c) => found.push(c),
                None => break,
            },
            '\n' => break,
            c => found.push(c),
        }
    }
    Err("Syntax Error: Unterminated string.".to_owned())
}
