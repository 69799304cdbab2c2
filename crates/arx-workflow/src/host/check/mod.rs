//! What is wrong with a script, found before anything of it runs.
//!
//! Runs in the workflow's process, like everything that touches a script: a parser is code that
//! a stranger's text drives. The interpreter has the last word on what it can run; the walk over
//! the syntax tree comes first, because it knows what to write instead.

mod advice;
mod bindings;
mod walk;

use monty::MontyRun;
use monty_types::{CompileOptions, ExcType};
use ruff_python_ast::{ModModule, Stmt};
use ruff_text_size::TextSize;

use super::frame::OwnedScript;
use super::parent::Checked;
use crate::Diagnostic;

#[cfg(test)]
pub(super) use walk::ARX;

/// More than these would not be read.
const N_DIAGNOSTICS_MAX: usize = 50;

/// Kinds of mistakes in a workflow. A code is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// The text is not Python.
    Syntax,
    /// Python that the workflow language leaves out.
    Unsupported,
    /// A module that workflows do not have.
    Module,
    /// No `async def main()`.
    Main,
    /// A name that nothing binds.
    UnknownName,
    /// An attribute that a given object does not have.
    UnknownAttribute,
    /// A call that nothing awaits.
    NotAwaited,
    /// A name that ARX gives and the workflow binds again.
    Rebound,
    /// Arguments that a given function does not take.
    Arguments,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "ARX-W001",
            Self::Unsupported => "ARX-W002",
            Self::Module => "ARX-W003",
            Self::Main => "ARX-W004",
            Self::UnknownName => "ARX-W005",
            Self::UnknownAttribute => "ARX-W006",
            Self::NotAwaited => "ARX-W007",
            Self::Rebound => "ARX-W009",
            Self::Arguments => "ARX-W010",
        }
    }
}

/// Checks a script; an empty list of diagnostics means that it can start.
pub(super) fn check(script: &OwnedScript) -> Result<Checked, Vec<Diagnostic>> {
    let mut report = Report::new(script);
    let parsed = match ruff_python_parser::parse_module(&script.source) {
        Ok(parsed) => parsed.into_syntax(),
        Err(error) => {
            report.add(
                error.location.start(),
                Code::Syntax,
                lower_first(&error.error.to_string()),
                None,
            );
            return Err(report.diagnostics);
        }
    };
    let compiled =
        MontyRun::new(script.source.clone(), &script.file, vec![], CompileOptions::default());
    if let Err(error) = &compiled
        && error.exc_type() == ExcType::SyntaxError
    {
        // Text that the compiler refuses outright may be too deep to walk.
        report.add_compiler_error(error);
        return Err(report.diagnostics);
    }
    let checked = walk::walk(script, &parsed, &mut report);
    check_main(&parsed, &mut report);
    if let (Err(error), true) = (&compiled, report.diagnostics.is_empty()) {
        report.add_compiler_error(error);
    }
    if report.diagnostics.is_empty() { Ok(checked) } else { Err(report.into_sorted()) }
}

fn check_main(module: &ModModule, report: &mut Report<'_>) {
    let main = module.body.iter().find_map(|statement| match statement {
        Stmt::FunctionDef(function) if function.name.as_str() == "main" => Some(function),
        _ => None,
    });
    let hint = "write `async def main():`; ARX awaits it".to_owned();
    match main {
        None => report.add_for_file("there is no `async def main()`", hint),
        Some(main) if !main.is_async => {
            report.add(
                main.name.range.start(),
                Code::Main,
                "`main` is not `async`".into(),
                Some(hint),
            );
        }
        Some(main) => {
            let parameters = main.parameters.iter_non_variadic_params();
            let n_required = parameters.filter(|parameter| parameter.default.is_none()).count();
            if n_required > 0 {
                let message = "`main` takes parameters that nobody passes".to_owned();
                let hint = Some("read `config` instead".to_owned());
                report.add(main.name.range.start(), Code::Main, message, hint);
            }
        }
    }
}

/// The diagnostics of one file.
struct Report<'a> {
    file: &'a str,
    source: &'a str,
    /// The offset at which each line starts.
    lines: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    fn new(script: &'a OwnedScript) -> Self {
        let ends = script.source.match_indices('\n').map(|(end, _)| end + 1);
        Self {
            file: &script.file,
            source: &script.source,
            lines: std::iter::once(0).chain(ends).collect(),
            diagnostics: vec![],
        }
    }

    fn add(&mut self, at: TextSize, code: Code, message: String, hint: Option<String>) {
        let (line, column) = self.position(at);
        self.push(line, column, code, message, hint);
    }

    fn add_for_file(&mut self, message: &str, hint: String) {
        self.push(0, 0, Code::Main, message.into(), Some(hint));
    }

    fn add_compiler_error(&mut self, error: &monty_types::MontyException) {
        let place = error.traceback().last().map(|frame| frame.start);
        let (line, column) = place.map_or((0, 0), |place| (place.line, place.column));
        let text = error.message().unwrap_or("the interpreter refuses the file");
        let (code, message) =
            match text.strip_prefix("The monty syntax parser does not yet support ") {
                Some(what) => (Code::Unsupported, format!("workflows have no {what}")),
                None if error.exc_type() == ExcType::NotImplementedError => {
                    (Code::Unsupported, lower_first(text))
                }
                None => (Code::Syntax, lower_first(text)),
            };
        self.push(line, column, code, message, None);
    }

    fn push(&mut self, line: u32, column: u32, code: Code, message: String, hint: Option<String>) {
        if self.diagnostics.len() < N_DIAGNOSTICS_MAX {
            let (file, code) = (self.file.to_owned(), code.as_str().to_owned());
            self.diagnostics.push(Diagnostic { file, line, column, code, message, hint });
        }
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, at: TextSize) -> (u32, u32) {
        let at = at.to_usize();
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.source.get(start..at).map_or(0, |text| text.chars().count());
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (small(line), small(column + 1))
    }

    fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        self.diagnostics
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
