//! The Python host: a workflow in a child process behind walls.
//!
//! [`Host`] starts the process, hands it a script and then plays a strict game with it: the
//! workflow issues calls until every one of its tasks waits ([`Event::Blocked`]); then exactly
//! one call is resolved; and so on until [`Event::Done`] or [`Event::Raised`]. Which call is
//! resolved next is the only thing the outside decides, so the same answers in the same order
//! always give the same run.
//!
//! INVARIANT (no authority): the process has no descriptor but its pipes, no environment, no
//! credential and no clock; whatever it wants done it must ask for with a call.
//! INVARIANT (no trust): every frame from the process is checked as if a stranger had sent it.
//!
//! Start at [`Host`] for the parent's side and at [`child_main`] for the child's; the language
//! that workflows see is `prelude.py`, described in `docs/spec/workflow-language.md`.

mod check;
mod child;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hints;
mod interpreter;
mod names;
mod parent;
mod stub;
#[cfg(test)]
mod tests;
mod value;
mod walls;

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use child::child_main;
pub use parent::{Checked, Host, HostError, check};
pub use stub::{STUB, stub};
#[doc(hidden)]
pub use walls::raise_all_walls;

/// How the workflow's process is started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The program whose `main` reaches [`child_main`]; the running executable.
    pub program: PathBuf,
    /// The arguments that make it do so.
    pub args: Vec<OsString>,
    /// What a workflow may use.
    pub limits: Limits,
}

/// What one execution of a workflow may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor time; waiting for calls costs none.
    pub cpu_seconds: u64,
    /// Address space beyond what the bare interpreter takes.
    pub address_space_bytes: u64,
    /// Depth of Python calls.
    pub recursion_depth_max: usize,
    /// Calls, log lines and reports.
    pub n_calls_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_seconds: 60,
            address_space_bytes: 512 << 20,
            recursion_depth_max: 400,
            n_calls_max: 200_000,
        }
    }
}

/// A workflow with everything it sees.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The file's name, as tracebacks show it.
    pub file: &'a str,
    /// Its text.
    pub source: &'a str,
    /// The `inputs`, seen as `config`.
    pub config: &'a Value,
    /// The run's time, RFC 3339, seen as `arx.now`.
    pub now: &'a str,
    /// The bound connectors, each seen as an object.
    pub objects: &'a [ObjectSpec],
    /// The host functions, each seen as `arx.<name>`.
    pub functions: &'a [String],
}

/// A connector as a workflow sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSpec {
    /// Its name, e.g. `pagerduty`.
    pub connector: String,
    /// Every operation of its catalogue, e.g. `incidents:create`; also those that are only named,
    /// so that denying them is a decision and not a missing function.
    pub operations: Vec<String>,
}

/// An operation that the text of a workflow names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledOperation {
    /// `connector.resource:verb`.
    pub operation: String,
    /// The line of its first use, from 1.
    pub line: u32,
    /// The column of its first use, from 1.
    pub column: u32,
}

/// Names one call within one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub(super) u32);

/// What a workflow does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It issued a call and goes on; the call is to be resolved later.
    Call {
        /// Names the call for [`Host::resolve`]. Not stable across executions.
        id: CallId,
        /// `connector.resource:verb` of a bound connector, or `arx.function` of a host function.
        name: String,
        /// The parameters.
        params: Map<String, Value>,
    },
    /// Every task waits; exactly one pending call must be resolved now.
    Blocked,
    /// An item of `arx.each` ended; the report has `id`, `outcomes`, perhaps `title` and `error`,
    /// and what the workflow noted.
    Item(Map<String, Value>),
    /// What is known of an item of `arx.each` that has not ended; a later one replaces it, and so
    /// does its [`Event::Item`].
    Note(Map<String, Value>),
    /// A line for the reader of the run.
    Log {
        /// `debug`, `info`, `warning` or `error`.
        level: String,
        /// The line; may hold anything that a string holds, also control characters.
        text: String,
    },
    /// How far a stretch of work has come.
    Progress {
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What the units are.
        label: String,
    },
    /// `main()` returned; calls that nobody awaited may still be pending.
    Done(Value),
    /// An exception left `main()`; calls may still be pending.
    Raised(Raised),
}

/// An exception that left `main()`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Its class, e.g. `ValueError`.
    pub kind: String,
    /// Its message.
    pub message: String,
    /// The traceback as Python prints it, naming the workflow's lines only.
    pub traceback: String,
    /// The line of the workflow that it came from, from 1.
    pub line: Option<u32>,
    /// What to write instead, where that can be said.
    pub hint: Option<String>,
}

/// How a call is resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It succeeded; objects become records.
    Value(Value),
    /// It raises an exception where it is awaited.
    Raise {
        /// The class.
        exception: Exception,
        /// The message.
        message: String,
    },
}

/// The exceptions that a call may raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exception {
    /// The gate denied the call.
    PermissionError,
    /// An approval expired.
    TimeoutError,
    /// The vendor could not be reached.
    OSError,
    /// The vendor refused the request.
    ValueError,
    /// Whether the effect happened is not known.
    RuntimeError,
}

impl Exception {
    /// The name of the class.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PermissionError => "PermissionError",
            Self::TimeoutError => "TimeoutError",
            Self::OSError => "OSError",
            Self::ValueError => "ValueError",
            Self::RuntimeError => "RuntimeError",
        }
    }
}

/// The walls that stand around a workflow's process, beyond its own empty hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walls {
    /// Limits on memory, processor time, files and processes.
    pub rlimits: bool,
    /// Landlock: no path can be opened, even where the process's user could.
    pub landlock: bool,
    /// Seccomp: no system call but those an interpreter needs.
    pub seccomp: bool,
}
