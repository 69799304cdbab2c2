//! Errors at the edge: what a person is told, and the exit code.
//!
//! Every library error becomes a [`CommandError`] here or in the command that got it. It has one
//! line that says what is wrong, hints that say what to do, a stable code, and never a secret or a
//! backtrace.

use std::fmt;
use std::process::ExitCode;

use arx_journal::JournalError;
use arx_workflow::Diagnostic;
use serde_json::{Value, json};

use crate::output::{Output, printable, printable_lines};

/// Who has to do something about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whoever typed the command.
    User,
    /// Whoever configured ARX: `arx.yaml`, `workflow.py`, variables, the state directory.
    Config,
    /// Whoever named something that is not in the record.
    Missing,
    /// Nobody: it was refused, and rightly.
    Denied,
    /// The machine, or ARX itself.
    Internal,
    /// Nobody: a signal asked to stop.
    Interrupted,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Config => "config",
            Self::Missing => "not_found",
            Self::Denied => "denied",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        }
    }

    fn exit_code(self) -> u8 {
        match self {
            Self::User | Self::Config => 2,
            Self::Missing | Self::Denied | Self::Internal => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    code: &'static str,
    message: String,
    /// Further lines, each a thing of its own: one for every missing variable, for example.
    details: Vec<String>,
    hints: Vec<String>,
    diagnostics: Vec<Diagnostic>,
}

impl CommandError {
    pub(crate) fn new(kind: Kind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// The command line asks for something that is not there or makes no sense.
    pub(crate) fn user(message: impl Into<String>) -> Self {
        Self::new(Kind::User, "ARX-E001", message)
    }

    /// The configuration does not allow to go on.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, "ARX-E002", message)
    }

    /// What was named is not in the record. Scripts that looked for it are not wrong to ask.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(Kind::Missing, "ARX-E010", message)
    }

    /// It may not be done, or not now.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::Denied, "ARX-E003", message)
    }

    /// The machine or ARX failed.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "ARX-E005", message)
    }

    /// A signal asked to stop before anything was begun.
    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "ARX-E007", "interrupted; nothing was begun")
    }

    /// The files of a bundle are not right; every mistake with its place.
    pub(crate) fn diagnostics(diagnostics: Vec<Diagnostic>) -> Self {
        let message = match diagnostics.as_slice() {
            [only] => format!("{}: {}", only.file, only.message),
            all => format!("{} mistakes in the workflow", all.len()),
        };
        Self { diagnostics, ..Self::new(Kind::Config, "ARX-E006", message) }
    }

    /// Gives the error a stable code of its own.
    #[must_use]
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What to do first.
    pub(crate) fn first_hint(&self) -> Option<&str> {
        self.hints.first().map(String::as_str)
    }

    /// Adds one more thing that is wrong.
    #[must_use]
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    /// Tells the person, or the program where the command was asked for JSON, and gives the exit
    /// code.
    pub(crate) fn report(&self, output: &Output) -> ExitCode {
        let paint = output.paint_notes();
        if self.diagnostics.is_empty() {
            let label = paint.red(&format!("error[{}]:", self.code));
            output.note(&format!("{label} {}", printable_lines(&self.message)));
        }
        for diagnostic in &self.diagnostics {
            output.note(&printable_lines(&diagnostic.to_string()));
        }
        for detail in &self.details {
            output.note(&format!("  {}", printable(detail)));
        }
        for hint in &self.hints {
            output.note(&format!("{} {}", paint.cyan("hint:"), printable_lines(hint)));
        }
        if output.is_json() {
            output.document(&self.document());
        }
        ExitCode::from(self.kind.exit_code())
    }

    /// The error as one JSON document.
    pub(crate) fn document(&self) -> Value {
        let mut error = json!({
            "kind": self.kind.as_str(),
            "code": self.code,
            "message": self.message,
        });
        if let Value::Object(fields) = &mut error {
            if !self.details.is_empty() {
                fields.insert("details".to_owned(), json!(self.details));
            }
            if !self.hints.is_empty() {
                fields.insert("hints".to_owned(), json!(self.hints));
            }
            if !self.diagnostics.is_empty() {
                fields.insert("diagnostics".to_owned(), json!(self.diagnostics));
            }
        }
        json!({ "error": error })
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        let (kind, code) = match &error {
            JournalError::NotFound { .. } => (Kind::Missing, "ARX-E010"),
            JournalError::Conflict { .. } => (Kind::Denied, "ARX-E011"),
            JournalError::Fenced { .. } => (Kind::Denied, "ARX-E032"),
            JournalError::ReadOnly { .. } | JournalError::Exposed { .. } => {
                (Kind::Config, "ARX-E012")
            }
            JournalError::Newer { .. } | JournalError::Foreign { .. } => (Kind::Config, "ARX-E013"),
            JournalError::Full { .. } => (Kind::Internal, "ARX-E014"),
            JournalError::Locked { .. } => (Kind::Internal, "ARX-E015"),
            JournalError::Corrupt { .. } | JournalError::Key { .. } => (Kind::Internal, "ARX-E016"),
            JournalError::Uncertain { .. } => (Kind::Internal, "ARX-E018"),
            JournalError::Io { .. }
            | JournalError::Sqlite { .. }
            | JournalError::Invalid { .. }
            | JournalError::Panicked { .. }
            | JournalError::Stopped => (Kind::Internal, "ARX-E017"),
        };
        let advice = error.hint();
        let mut converted = Self::new(kind, code, error.to_string());
        converted.hints.extend(advice);
        converted
    }
}
