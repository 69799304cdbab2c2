//! The `arx` command: composition, and nothing that a crate could hold.
//!
//! It reads the command line, puts the crates together, prints data on standard output and
//! everything else on standard error, and maps how things ended to exit codes. It must never
//! decide, never send, and never print a secret. Start at [`Cli`] for what a person may type and at
//! [`commands`] for what each command does.

mod arenas;
mod bundles;
mod command_error;
mod commands;
mod context;
mod interrupt;
mod launch;
mod library;
mod logging;
mod output;
mod progress;
mod summary;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser, ValueEnum};

use crate::command_error::CommandError;
use crate::commands::Command;
use crate::context::Context;
use crate::output::Output;

/// The argument that turns this program into a workflow's process.
pub(crate) const WORKFLOW_HOST: &str = "__workflow-host";

/// Runs security-operations workflows under governance.
///
/// A workflow is one short Python file. Every call it makes to a security tool passes one gate
/// that decides (PERMIT, ESCALATE, DENY), records, and only then acts.
#[derive(Debug, Parser)]
#[command(
    name = "arx",
    version,
    max_term_width = 100,
    after_help = "Try it with nothing but this program:\n  \
                  arx run critical-vuln-escalation --simulate\n\n\
                  Exit codes: 0 succeeded, 1 failed, 2 bad usage or configuration,\n\
                  3 parked for approval, 4 needs attention, 130 interrupted."
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// The directory that holds everything: the journal, the audit log and its key.
    #[arg(long, global = true, env = "ARX_HOME", value_name = "DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
    /// Print one JSON document on standard output; progress and logs go to standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Log more; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// When to use colours; `NO_COLOR` turns them off as well.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// What to log, as `level` or `target=level,…`.
    #[arg(long = "log", global = true, env = "ARX_LOG", value_name = "FILTER", hide = true)]
    log: Option<String>,
    /// What a line of the log looks like.
    #[arg(
        long,
        global = true,
        env = "ARX_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: logging::Format,
    /// Who runs this command, as the record names them; the name of the user otherwise.
    #[arg(long, global = true, env = "ARX_ACTOR", value_name = "WHO", hide = true)]
    actor: Option<String>,
    #[arg(id = "os-user", long, global = true, env = "USER", hide = true)]
    user: Option<String>,
    #[arg(long, global = true, env = "XDG_STATE_HOME", hide = true)]
    xdg_state_home: Option<PathBuf>,
    #[arg(long, global = true, env = "NO_COLOR", hide = true)]
    no_color: Option<String>,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// Where a person looks at a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn on(self, is_terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && !no_color,
        }
    }
}

/// Threads for decoding and reading the journal; more would only hold more memory.
const BLOCKING_THREADS_MAX: usize = 4;

fn main() -> ExitCode {
    // The workflow's process: before threads, a parser or anything else that its walls would
    // have to make room for.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == WORKFLOW_HOST) {
        return arx_workflow::host::child_main();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if cli.command.runs_workflows() {
        arenas::limit();
    }
    let globals = &cli.globals;
    let no_color = globals.no_color.as_deref().is_some_and(|value| !value.is_empty());
    let output = Output::new(
        globals.json,
        globals.color.on(std::io::stdout().is_terminal(), no_color),
        globals.color.on(std::io::stderr().is_terminal(), no_color),
    );
    logging::start(
        cli.command.log_level(),
        globals.verbose,
        globals.log.as_deref(),
        globals.log_format,
        output.colours_notes(),
    );
    let result = Context::new(globals, output).and_then(|ctx| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(|error| CommandError::internal(format!("cannot start: {error}")))?;
        let code = runtime.block_on(commands::run(&ctx, cli.command));
        drop(ctx);
        runtime.shutdown_background();
        code
    });
    result.unwrap_or_else(|error| error.report(&output))
}

/// What clap has to say: help on standard output, mistakes on standard error with exit code 2.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be told to someone whose terminal is gone.
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if wants_json && code != 0 {
        let first = error.to_string();
        let first = first.lines().next().unwrap_or_default();
        let message = first.strip_prefix("error: ").unwrap_or(first);
        Output::new(true, false, false).document(&CommandError::user(message).document());
    }
    ExitCode::from(code)
}
