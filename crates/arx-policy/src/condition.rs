//! `when:` conditions: CEL expressions, checked when the policy is compiled and evaluated only for
//! rules whose globs match.
//!
//! An evaluation never decides by itself: it answers true, false or "cannot tell", and the rule's
//! effect says what "cannot tell" means. Its message names kinds, never values, because reasons
//! are recorded and parameters may hold what must not be.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arx_types::{Access, RiskScore, Target};
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::objects::Key;
use cel::{Context, Env, ExecutionError, Program, Value};

use crate::policy::Request;

/// The longest condition, in bytes.
pub(crate) const CONDITION_BYTES_MAX: usize = 1_000;
/// The deepest expression; evaluation recurses that far.
const EXPRESSION_DEPTH_MAX: usize = 32;
/// How deep brackets nest, and how many `?` there are, before the parser sees the text: it
/// recurses with large frames, and what overflows a stack cannot be caught.
const BRACKET_DEPTH_MAX: usize = 16;
const CHOICES_MAX: usize = 32;
/// The stack that the parser gets. A bracket costs it up to 200 KB without optimisation.
const PARSER_STACK_BYTES: usize = 16 << 20;
/// How many loops (`all`, `exists`, `map`, `filter`) one condition may hold.
const LOOPS_MAX: usize = 8;
/// How deep loops nest; two is quadratic in the longest list.
const LOOP_DEPTH_MAX: usize = 2;
/// How deep the data that a condition looks at may nest.
const DATA_DEPTH_MAX: usize = 64;

/// How much of the parser's complaint is shown.
const REASON_CHARS_MAX: usize = 200;

/// The variables of a condition.
pub(crate) const VARIABLES: [&str; 6] = ["operation", "params", "risk", "target", "run", "now"];

/// Names of types, which CEL treats as values (`type(x) == string`).
const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Functions of the standard library; operators carry other names, and loops are no functions.
const FUNCTIONS: [&str; 25] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// Why a text is not a condition.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ConditionError {
    /// It is too long, too deep or loops too much.
    #[error("the condition {what}; the most is {limit}")]
    TooLarge {
        /// In what way.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It does not parse.
    #[error("the condition does not parse: {reason} (column {column} of the condition)")]
    Syntax {
        /// The parser's first complaint.
        reason: String,
        /// Where, from 1.
        column: usize,
    },
    /// It speaks of something that conditions do not know.
    #[error("the condition uses the unknown {kind} `{name}`")]
    Unknown {
        /// `variable` or `function`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        known: &'static [&'static str],
    },
}

/// A compiled condition.
#[derive(Debug)]
pub(crate) struct Condition {
    program: Program,
    /// The variables that it mentions, so that the others are never converted.
    variables: Vec<&'static str>,
}

impl Condition {
    pub(crate) fn compile(source: &str) -> Result<Self, ConditionError> {
        if source.len() > CONDITION_BYTES_MAX {
            let limit = CONDITION_BYTES_MAX;
            return Err(ConditionError::TooLarge {
                what: "is longer than allowed, in bytes",
                limit,
            });
        }
        let program = parse(source)?;
        let mut survey = Survey::default();
        survey.visit(program.expression(), 0, 0, &mut Vec::new())?;
        Ok(Self { variables: survey.variables, program })
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// When it cannot tell, as one line without any value in it.
    pub(crate) fn holds(&self, facts: &mut Facts<'_>) -> Result<bool, String> {
        // A panic in the interpreter is an evaluation error like any other: it fails closed.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for name in &self.variables {
                facts.provide(name)?;
            }
            self.program.execute(&facts.context).map_err(|error| describe(&error))
        }));
        match outcome {
            Ok(Ok(Value::Bool(holds))) => Ok(holds),
            Ok(Ok(other)) => {
                Err(format!("it gives a value of type {} and not a bool", other.type_of()))
            }
            Ok(Err(reason)) => Err(reason),
            Err(_) => Err("the evaluation broke off".to_owned()),
        }
    }
}

/// What conditions see of one call, converted when first asked for and then shared by all
/// conditions of the decision.
pub(crate) struct Facts<'a> {
    request: &'a Request<'a>,
    risk: &'a RiskScore,
    context: Context<'static, 'static>,
    /// What became of the conversion of each variable; `None` where nobody asked.
    provided: [Option<Result<(), String>>; VARIABLES.len()],
}

impl<'a> Facts<'a> {
    pub(crate) fn new(env: &Arc<Env>, request: &'a Request<'a>, risk: &'a RiskScore) -> Self {
        let context = Context::with_env(Arc::clone(env));
        Self { request, risk, context, provided: [const { None }; VARIABLES.len()] }
    }

    fn provide(&mut self, name: &'static str) -> Result<(), String> {
        let place = VARIABLES.iter().position(|variable| *variable == name);
        if let Some(known) = place.and_then(|place| self.provided.get(place)?.clone()) {
            return known;
        }
        let outcome = self.convert(name).map(|value| {
            self.context.add_variable_from_value(name, value);
        });
        if let Some(slot) = place.and_then(|place| self.provided.get_mut(place)) {
            *slot = Some(outcome.clone());
        }
        outcome
    }

    fn convert(&self, name: &str) -> Result<Value, String> {
        match name {
            "operation" => {
                let operation = self.request.operation;
                let access = self.request.spec.map_or("", |spec| match spec.access {
                    Access::Read => "read",
                    Access::Write => "write",
                });
                Ok(map([
                    ("connector", operation.connector.as_str().into()),
                    ("name", operation.name.as_str().into()),
                    ("verb", operation.verb().into()),
                    ("class", self.risk.class.as_str().into()),
                    ("access", access.into()),
                ]))
            }
            "params" => from_json(self.request.params, 0),
            "risk" => Ok(map([
                ("score", Value::Int(self.risk.score.into())),
                ("raw", Value::Int(self.risk.raw.into())),
                ("class", self.risk.class.as_str().into()),
            ])),
            "target" => Ok(match self.request.target {
                Target::None => "none",
                Target::Dev => "dev",
                Target::Staging => "staging",
                Target::Unknown => "unknown",
                Target::Production => "production",
            }
            .into()),
            "run" => from_json(self.request.run, 0),
            "now" => chrono::DateTime::from_timestamp_micros(self.request.now.as_microsecond())
                .map(|now| Value::Timestamp(now.fixed_offset()))
                .ok_or_else(|| "the time is out of range".to_owned()),
            _ => Err("no such variable".to_owned()),
        }
    }
}

/// Parses on a thread of its own, whose stack is large enough for what the limits let through
/// and whose panic, should the generated parser have one, is an error here.
fn parse(source: &str) -> Result<Program, ConditionError> {
    let mut depth: usize = 0;
    let mut choices: usize = 0;
    // Brackets inside of strings count too; a condition that needs more of them is no loss.
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'?' => choices += 1,
            _ => {}
        }
        if depth > BRACKET_DEPTH_MAX {
            let what = "nests brackets deeper than allowed";
            return Err(ConditionError::TooLarge { what, limit: BRACKET_DEPTH_MAX });
        }
        if choices > CHOICES_MAX {
            let what = "holds more `?` than allowed";
            return Err(ConditionError::TooLarge { what, limit: CHOICES_MAX });
        }
    }
    let parsed = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, || Program::compile(source))
            .ok()
            .and_then(|thread| thread.join().ok())
    });
    match parsed {
        Some(Ok(program)) => Ok(program),
        Some(Err(errors)) => {
            let first = errors.errors.first();
            // The parser goes on to list every token that it would have taken.
            let reason = first.map_or("syntax error", |error| error.msg.as_str());
            let reason = reason.strip_prefix("Syntax error: ").unwrap_or(reason);
            let reason = reason.split_once(" expecting ").map_or(reason, |(before, _)| before);
            Err(ConditionError::Syntax {
                reason: reason
                    .chars()
                    .take(REASON_CHARS_MAX)
                    .collect::<String>()
                    .replace('\n', " "),
                column: first.map_or(1, |error| usize::try_from(error.pos.1).unwrap_or(1)).max(1),
            })
        }
        None => Err(ConditionError::Syntax { reason: "syntax error".to_owned(), column: 1 }),
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries: HashMap<Key, Value> =
        entries.into_iter().map(|(name, value)| (Key::from(name), value)).collect();
    Value::Map(entries.into())
}

fn from_json(json: &serde_json::Value, depth: usize) -> Result<Value, String> {
    if depth > DATA_DEPTH_MAX {
        return Err(format!("the data nests deeper than {DATA_DEPTH_MAX}"));
    }
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        // An int wherever one fits: CEL does no arithmetic between int and uint.
        serde_json::Value::Number(number) => {
            match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(int), _, _) => Value::Int(int),
                (None, Some(uint), _) => Value::UInt(uint),
                (None, None, Some(float)) => Value::Float(float),
                (None, None, None) => return Err("a number is out of range".to_owned()),
            }
        }
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => {
            let items: Result<Vec<_>, _> =
                items.iter().map(|item| from_json(item, depth + 1)).collect();
            Value::List(Arc::new(items?))
        }
        serde_json::Value::Object(entries) => {
            let entries: Result<HashMap<Key, Value>, String> = entries
                .iter()
                .map(|(key, value)| Ok((Key::from(key.as_str()), from_json(value, depth + 1)?)))
                .collect();
            Value::Map(entries?.into())
        }
    })
}

fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => format!(
            "`{}` does not take ({})",
            overload.function(),
            overload.argument_types().join(", ")
        ),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
        ExecutionError::Overflow(..) => "a number overflows".to_owned(),
        // The enum is non-exhaustive, and the remaining messages print values.
        _ => "operands of the wrong type".to_owned(),
    }
}

/// What an expression mentions, and how large it is.
#[derive(Default)]
struct Survey {
    variables: Vec<&'static str>,
    loops: usize,
}

impl Survey {
    fn visit<'e>(
        &mut self,
        node: &'e IdedExpr,
        depth: usize,
        loop_depth: usize,
        bound: &mut Vec<&'e str>,
    ) -> Result<(), ConditionError> {
        if depth > EXPRESSION_DEPTH_MAX {
            let limit = EXPRESSION_DEPTH_MAX;
            return Err(ConditionError::TooLarge { what: "nests deeper than allowed", limit });
        }
        let depth = depth + 1;
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name, bound)?,
            Expr::Select(select) => self.visit(&select.operand, depth, loop_depth, bound)?,
            Expr::Call(call) => {
                function(&call.func_name)?;
                for part in call.target.as_deref().into_iter().chain(&call.args) {
                    self.visit(part, depth, loop_depth, bound)?;
                }
            }
            Expr::List(list) => {
                for element in &list.elements {
                    self.visit(element, depth, loop_depth, bound)?;
                }
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key, depth, loop_depth, bound)?;
                            self.visit(&entry.value, depth, loop_depth, bound)?;
                        }
                        EntryExpr::StructField(field) => {
                            self.visit(&field.value, depth, loop_depth, bound)?;
                        }
                    }
                }
            }
            Expr::Struct(message) => {
                let name = message.type_name.clone();
                return Err(ConditionError::Unknown { kind: "type", name, known: &TYPES });
            }
            Expr::Comprehension(each) => {
                self.loops += 1;
                let loop_depth = loop_depth + 1;
                if self.loops > LOOPS_MAX {
                    let what = "holds more loops than allowed";
                    return Err(ConditionError::TooLarge { what, limit: LOOPS_MAX });
                }
                if loop_depth > LOOP_DEPTH_MAX {
                    let what = "nests loops deeper than allowed";
                    return Err(ConditionError::TooLarge { what, limit: LOOP_DEPTH_MAX });
                }
                // The range is evaluated once, outside of the loop.
                self.visit(&each.iter_range, depth, loop_depth - 1, bound)?;
                self.visit(&each.accu_init, depth, loop_depth - 1, bound)?;
                let outside = bound.len();
                bound.push(&each.iter_var);
                bound.extend(each.iter_var2.as_deref());
                bound.push(&each.accu_var);
                for part in [&each.loop_cond, &each.loop_step, &each.result] {
                    self.visit(part, depth, loop_depth, bound)?;
                }
                bound.truncate(outside);
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, bound: &[&str]) -> Result<(), ConditionError> {
        if name.starts_with('@') || bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        match VARIABLES.iter().find(|variable| **variable == name) {
            Some(variable) => {
                if !self.variables.contains(variable) {
                    self.variables.push(variable);
                }
                Ok(())
            }
            None => Err(ConditionError::Unknown {
                kind: "variable",
                name: name.to_owned(),
                known: &VARIABLES,
            }),
        }
    }
}

fn function(name: &str) -> Result<(), ConditionError> {
    // Operators are calls too, under names such as `_&&_`, `!_`, `-_` or `@in`.
    let operator =
        !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
            || name.starts_with('_');
    if operator || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    Err(ConditionError::Unknown { kind: "function", name: name.to_owned(), known: &FUNCTIONS })
}
