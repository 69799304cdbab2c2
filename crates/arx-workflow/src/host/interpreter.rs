//! Driving the Python interpreter: the prelude, the script, then `await main()`.
//!
//! INVARIANT (no error to a future): a pending future is never resumed with an error, because
//! inside a gathered task nobody could catch it; it gets a tagged value that the prelude unwraps
//! and raises. `tests` has a guard that says when the interpreter has learnt better.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::Duration;

use monty::{MontyRepl, ReplFunctionCall, ReplProgress, ReplResolveFutures, ReplStartError};
use monty_types::{
    CompileOptions, ExcType, ExtFunctionResult, MontyException, MontyObject, NameLookupResult,
    PrintWriter, PrintWriterCallback, ResourceLimits, ResourceTracker, StackFrame,
};
use serde_json::Value;

use super::frame::{
    self, ARGUMENT_BYTES_MAX, FrameError, FromChild, Outcome, OwnedScript, ToChild,
};
use super::{Limits, Raised, hints, names, value};

pub(super) const PRELUDE: &str =
    concat!(include_str!("prelude.py"), "\n\n", include_str!("describe.py"));
/// How the interpreter names the second text it is fed, which is the workflow.
const WORKFLOW_INPUT: &str = "<python-input-1>";
/// What a workflow may print; the rest is dropped with a notice.
const PRINT_BYTES_MAX: usize = 1 << 20;
/// The longest line of a log or a print.
const LINE_BYTES_MAX: usize = 16 << 10;
/// Field names remembered for suggestions.
const N_FIELD_NAMES_MAX: usize = 4_096;

const CALL: &str = "_arx_call";
const EMIT: &str = "_arx_emit";

/// The child's end of the pipe, shared by the interpreter and what it prints.
pub(super) struct Wire<R, W> {
    reader: RefCell<R>,
    writer: RefCell<W>,
}

impl<R: Read, W: Write> Wire<R, W> {
    pub(super) fn new(reader: R, writer: W) -> Self {
        Self { reader: RefCell::new(reader), writer: RefCell::new(writer) }
    }

    pub(super) fn receive(&self) -> Result<ToChild, FrameError> {
        frame::read(&mut *self.reader.borrow_mut())
    }

    pub(super) fn send(&self, message: &FromChild) -> Result<(), FrameError> {
        frame::write(&mut *self.writer.borrow_mut(), message)
    }

    pub(super) fn send_now(&self, message: &FromChild) -> Result<(), FrameError> {
        self.send(message)?;
        self.writer.borrow_mut().flush()?;
        Ok(())
    }
}

/// Why an execution ended early.
enum Stop {
    /// The pipe is of no use any more.
    Pipe(FrameError),
    /// Python raised.
    Raised(Box<ReplStartError>),
}

impl From<FrameError> for Stop {
    fn from(error: FrameError) -> Self {
        Self::Pipe(error)
    }
}

impl From<Box<ReplStartError>> for Stop {
    fn from(error: Box<ReplStartError>) -> Self {
        Self::Raised(error)
    }
}

/// Runs a script that passed the checks, and says how it ended.
pub(super) fn run<R: Read, W: Write>(
    wire: &Wire<R, W>,
    script: OwnedScript,
    now: jiff::Timestamp,
    limits: &Limits,
) -> Result<(), FrameError> {
    let mut session = Session {
        wire,
        printer: Printer { wire, line: String::new(), bytes_left: PRINT_BYTES_MAX },
        n_calls_left: limits.n_calls_max,
        n_calls_max: limits.n_calls_max,
        field_names: BTreeSet::new(),
    };
    let file = script.file.clone();
    let last = match session.execute(script, now, limits) {
        Ok(value) => match session.checked(value) {
            Ok(value) => FromChild::Done { value },
            Err(reason) => FromChild::Raised(Raised {
                kind: "TypeError".into(),
                message: format!("main() returned a value that cannot be kept: {reason}"),
                traceback: String::new(),
                line: None,
                hint: None,
            }),
        },
        Err(Stop::Pipe(error)) => return Err(error),
        Err(Stop::Raised(error)) => {
            FromChild::Raised(raised(&error.error, &file, limits, &session.field_names))
        }
    };
    session.printer.end_line()?;
    wire.send_now(&last)
}

struct Session<'a, R, W> {
    wire: &'a Wire<R, W>,
    printer: Printer<'a, R, W>,
    n_calls_left: usize,
    n_calls_max: usize,
    field_names: BTreeSet<String>,
}

impl<R: Read, W: Write> Session<'_, R, W> {
    fn execute(
        &mut self,
        script: OwnedScript,
        now: jiff::Timestamp,
        limits: &Limits,
    ) -> Result<MontyObject, Stop> {
        let tracker = ResourceTracker::new(
            ResourceLimits::default()
                .max_duration(Duration::from_secs(limits.cpu_seconds))
                .max_recursion_depth(limits.recursion_depth_max)
                .max_suspensions(limits.n_calls_max),
        );
        let repl = MontyRepl::new(&script.file, tracker, CompileOptions::default());
        let (prelude, inputs) = prelude(&script, now);
        self.remember_fields(&script.config);

        let (repl, _) = self.feed(repl, &prelude, inputs)?;
        let (repl, _) = self.feed(repl, &script.source, vec![])?;
        let (_, value) = self.feed(repl, "await main()", vec![])?;
        Ok(value)
    }

    fn feed(
        &mut self,
        repl: MontyRepl,
        code: &str,
        inputs: Vec<(String, MontyObject)>,
    ) -> Result<(MontyRepl, MontyObject), Stop> {
        let mut progress =
            repl.feed_start(code, inputs, PrintWriter::Callback(&mut self.printer))?;
        loop {
            progress = match progress {
                ReplProgress::Complete { repl, value } => return Ok((repl, value)),
                ReplProgress::FunctionCall(call) => self.call(call)?,
                ReplProgress::ResolveFutures(blocked) => self.wait(blocked)?,
                ReplProgress::NameLookup(lookup) => lookup.resume(
                    NameLookupResult::Undefined,
                    PrintWriter::Callback(&mut self.printer),
                )?,
                ReplProgress::OsCall(call) => {
                    let name = call.function_call.name();
                    let message =
                        format!("`{name}` is not there for workflows; {}", hints::os(name));
                    let error = MontyException::new(ExcType::NotImplementedError, Some(message));
                    call.resume(
                        ExtFunctionResult::Error(error),
                        PrintWriter::Callback(&mut self.printer),
                    )?
                }
            };
        }
    }

    /// Answers a call of a host function: at once, or with a future.
    fn call(&mut self, mut call: ReplFunctionCall) -> Result<ReplProgress, Stop> {
        let Some(left) = self.n_calls_left.checked_sub(1) else {
            let message = format!("the workflow made more than {} calls", self.n_calls_max);
            let error = MontyException::new(ExcType::RuntimeError, Some(message));
            return Ok(call.abort(error, PrintWriter::Callback(&mut self.printer))?);
        };
        self.n_calls_left = left;

        let args = std::mem::take(&mut call.args);
        let answer = match (call.function_name.as_str(), call.object_id) {
            (CALL, None) => match self.issue(call.call_id, args)? {
                Ok(()) => {
                    return Ok(call.resume_pending(PrintWriter::Callback(&mut self.printer))?);
                }
                Err(reason) => type_error(reason),
            },
            (EMIT, None) => match self.emit(args)? {
                Ok(value) => ExtFunctionResult::Return(value),
                Err(reason) => type_error(reason),
            },
            (name, _) => ExtFunctionResult::NotFound(name.to_owned()),
        };
        Ok(call.resume(answer, PrintWriter::Callback(&mut self.printer))?)
    }

    /// Sends a call to the parent; the inner error is for the workflow's author.
    fn issue(&self, id: u32, args: Vec<MontyObject>) -> Result<Result<(), String>, FrameError> {
        let Ok([MontyObject::String(name), params]) = <[_; 2]>::try_from(args) else {
            return Ok(Err("a call takes a name and parameters".into()));
        };
        let params = match self.checked(params) {
            Ok(Value::Object(params)) => params,
            Ok(_) => return Ok(Err("a call takes a dict of parameters".into())),
            Err(reason) => return Ok(Err(format!("in the parameters of {name}: {reason}"))),
        };
        self.wire.send(&FromChild::Call { id, name, params })?;
        Ok(Ok(()))
    }

    /// Sends what needs no reply; the inner error is for the workflow's author.
    fn emit(&mut self, args: Vec<MontyObject>) -> Result<Result<MontyObject, String>, FrameError> {
        let mut args = args.into_iter();
        let mut next = || args.next().unwrap_or(MontyObject::None);
        let event = match (next(), next(), next(), next()) {
            (MontyObject::String(what), text, level, _) if what == "log" => {
                let level = level.to_string();
                if !["debug", "info", "warning", "error"].contains(&level.as_str()) {
                    let reason = format!(
                        "arx.log: `{level}` is not a level; write `debug`, `info`, `warning` or `error`"
                    );
                    return Ok(Err(reason));
                }
                FromChild::Log { level, text: shorten(text.to_string()) }
            }
            (MontyObject::String(what), done, total, label) if what == "progress" => {
                let Some(done) = count(&done) else {
                    return Ok(Err("arx.progress: `done` is a count from 0".into()));
                };
                let total = match total {
                    MontyObject::None => None,
                    total => match count(&total) {
                        Some(total) => Some(total),
                        None => return Ok(Err("arx.progress: `total` is a count or None".into())),
                    },
                };
                FromChild::Progress { done, total, label: shorten(label.to_string()) }
            }
            (MontyObject::String(what), report, _, _) if what == "item" || what == "note" => {
                let mut report = match self.checked(report) {
                    Ok(Value::Object(report)) => report,
                    Ok(_) => return Ok(Err("a report is a dict".into())),
                    Err(reason) => return Ok(Err(format!("in the report of an item: {reason}"))),
                };
                if let Some(Value::Object(error)) = report.get_mut("error")
                    && let Some(message) = error.get("message").and_then(Value::as_str)
                    && let Some(hint) = hints::exception(message, &self.field_names)
                {
                    error.insert("hint".into(), hint.into());
                }
                if what == "note" {
                    self.wire.send(&FromChild::Note { report })?;
                    return Ok(Ok(MontyObject::None));
                }
                self.wire.send_now(&FromChild::Item { report: report.clone() })?;
                return Ok(Ok(value::to_python(Value::Object(report))));
            }
            _ => return Ok(Err("an event needs a kind".into())),
        };
        self.wire.send_now(&event)?;
        Ok(Ok(MontyObject::None))
    }

    /// Tells the parent that nothing moves, and takes the one outcome it sends.
    fn wait(&mut self, blocked: ReplResolveFutures) -> Result<ReplProgress, Stop> {
        self.wire.send_now(&FromChild::Blocked)?;
        let ToChild::Resolve { id, outcome } = self.wire.receive()? else {
            return Err(Stop::Pipe(FrameError::Closed));
        };
        let text = |text: &str| MontyObject::String(text.to_owned());
        let tagged = match outcome {
            Outcome::Value(value) => {
                self.remember_fields(&value);
                [text("value"), value::to_python(value), MontyObject::None]
            }
            Outcome::Raise { exception, message } => {
                [text("raise"), text(exception.as_str()), MontyObject::String(message)]
            }
        };
        let result = ExtFunctionResult::Return(MontyObject::Tuple(tagged.into()));
        Ok(blocked.resume(vec![(id, result)], PrintWriter::Callback(&mut self.printer))?)
    }

    /// A Python value as JSON of allowed size.
    fn checked(&self, value: MontyObject) -> Result<Value, String> {
        let value = value::to_json(value)?;
        let bytes = serde_json::to_vec(&value).map_err(|error| error.to_string())?.len();
        if bytes > ARGUMENT_BYTES_MAX {
            return Err(format!("{bytes} bytes of JSON are more than {ARGUMENT_BYTES_MAX}"));
        }
        Ok(value)
    }

    fn remember_fields(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if self.field_names.len() < N_FIELD_NAMES_MAX
                        && !self.field_names.contains(name)
                    {
                        self.field_names.insert(name.clone());
                    }
                    self.remember_fields(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.remember_fields(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn type_error(reason: String) -> ExtFunctionResult {
    ExtFunctionResult::Error(MontyException::new(ExcType::TypeError, Some(reason)))
}

fn count(value: &MontyObject) -> Option<u64> {
    match value {
        MontyObject::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > LINE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(LINE_BYTES_MAX));
        text.push('…');
    }
    text
}

/// The prelude's text with the names that this script sees, and the values it starts from.
fn prelude(script: &OwnedScript, now: jiff::Timestamp) -> (String, Vec<(String, MontyObject)>) {
    let text = |text: &str| MontyObject::String(text.to_owned());
    let function = |name: &str| MontyObject::Function { name: name.to_owned(), docstring: None };
    let list = |names: &[String]| MontyObject::List(names.iter().map(|name| text(name)).collect());

    let mut code = String::from(PRELUDE);
    code.push_str("config = _arx_wrap(_arx_config)\narx = _arx_api(_arx_now, _arx_functions)\n");
    let mut objects = Vec::new();
    for (index, object) in script.objects.iter().enumerate() {
        let connector = names::python(&object.connector);
        let operations = object.operations.iter().map(|operation| {
            let path = names::path(operation);
            let spelling = format!("{connector}.{}", path.join("."));
            let full = format!("{}.{operation}", object.connector);
            MontyObject::Tuple(vec![list(&path), text(&spelling), text(&full)])
        });
        objects.push(MontyObject::List(operations.collect()));
        code.push_str(&format!(
            "{connector} = _arx_connector('{connector}', _arx_objects[{index}])\n"
        ));
    }
    let inputs = [
        (CALL, function(CALL)),
        (EMIT, function(EMIT)),
        ("_arx_config", value::to_python(script.config.clone())),
        ("_arx_now", value::datetime(now)),
        ("_arx_functions", list(&script.functions)),
        ("_arx_objects", MontyObject::List(objects)),
    ];
    (code, inputs.map(|(name, value)| (name.to_owned(), value)).into())
}

/// What an exception looks like to the workflow's author: none of ARX's own lines.
fn raised(
    error: &MontyException,
    file: &str,
    limits: &Limits,
    field_names: &BTreeSet<String>,
) -> Raised {
    let own = error.traceback().iter().filter(|frame| frame.filename == WORKFLOW_INPUT);
    let frames: Vec<_> =
        own.map(|frame| StackFrame { filename: file.to_owned(), ..frame.clone() }).collect();
    let mut message = error.message().unwrap_or_default().to_owned();
    let kind = error.exc_type();
    if kind == ExcType::TimeoutError && message.starts_with("time limit exceeded") {
        message = format!("the workflow used more than {} s of processor time", limits.cpu_seconds);
    }
    Raised {
        line: frames.last().map(|frame| frame.start.line),
        hint: hints::exception(&message, field_names),
        traceback: MontyException::with_traceback(kind, Some(message.clone()), frames).to_string(),
        kind: kind.to_string(),
        message,
    }
}

/// Turns what a workflow prints into log lines.
struct Printer<'a, R, W> {
    wire: &'a Wire<R, W>,
    line: String,
    bytes_left: usize,
}

impl<R: Read, W: Write> Printer<'_, R, W> {
    fn push(&mut self, text: &str) -> Result<(), FrameError> {
        let Some(left) = self.bytes_left.checked_sub(text.len()) else {
            if self.bytes_left > 0 {
                self.bytes_left = 0;
                self.end_line()?;
                self.line.push_str("the workflow printed too much; the rest is dropped");
                self.end_line()?;
            }
            return Ok(());
        };
        self.bytes_left = left;
        let mut parts = text.split('\n');
        self.line.push_str(parts.next().unwrap_or_default());
        for part in parts {
            self.end_line()?;
            self.line.push_str(part);
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), FrameError> {
        if self.line.is_empty() {
            return Ok(());
        }
        let text = shorten(std::mem::take(&mut self.line));
        self.wire.send_now(&FromChild::Log { level: "info".into(), text })
    }
}

impl<R: Read, W: Write> PrintWriterCallback for Printer<'_, R, W> {
    fn stdout_write(&mut self, output: Cow<'_, str>) -> Result<(), MontyException> {
        self.push(&output).map_err(MontyException::runtime_error)
    }

    fn stdout_push(&mut self, end: char) -> Result<(), MontyException> {
        self.push(end.encode_utf8(&mut [0; 4])).map_err(MontyException::runtime_error)
    }
}
