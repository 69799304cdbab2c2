//! What every command is given: the state directory, the journal, the streams, the catalogue.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arx_journal::{Clock, Journal, Process, StateDir, SystemClock};
use arx_types::OperationSpec;

use crate::Globals;
use crate::command_error::CommandError;
use crate::output::Output;

/// The longest name of a person in the record.
const ACTOR_BYTES_MAX: usize = 128;

/// The surroundings of a command.
pub(crate) struct Context {
    state_dir: PathBuf,
    actor: String,
    clock: Arc<dyn Clock>,
    journal: OnceLock<Journal>,
    process: OnceLock<Arc<Process>>,
    output: Output,
}

impl Context {
    pub(crate) fn new(globals: &Globals, output: Output) -> Result<Self, CommandError> {
        let state_dir = match &globals.state_dir {
            Some(path) if !path.as_os_str().is_empty() => path.clone(),
            _ => default_state_dir(globals.xdg_state_home.as_deref())?,
        };
        let state_dir = std::path::absolute(&state_dir).unwrap_or(state_dir);
        let named = globals.actor.as_deref().or(globals.user.as_deref()).map(str::trim);
        let actor = named.filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
        if actor.len() > ACTOR_BYTES_MAX || actor.chars().any(char::is_control) {
            return Err(CommandError::user("the name of who runs this is too long or not text")
                .hint("set ARX_ACTOR to a short name"));
        }
        let clock = Arc::new(SystemClock);
        let (journal, process) = (OnceLock::new(), OnceLock::new());
        Ok(Self { state_dir, actor, clock, journal, process, output })
    }

    /// The directory that holds everything; it may not exist yet.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Who runs this command, as the record names them.
    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// The clock that the journal has too.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The streams.
    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// Whether the command was asked for one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.output.is_json()
    }

    /// The journal, opened when first asked for; made where there is none.
    pub(crate) fn journal(&self) -> Result<&Journal, CommandError> {
        if let Some(journal) = self.journal.get() {
            return Ok(journal);
        }
        let state = StateDir::open(&self.state_dir)?;
        let journal = Journal::open(&state, Arc::clone(&self.clock))?;
        Ok(self.journal.get_or_init(|| journal))
    }

    /// This process, as others see it who share the state directory; known to them from the first
    /// call.
    pub(crate) fn process(&self) -> Result<&Arc<Process>, CommandError> {
        if let Some(process) = self.process.get() {
            return Ok(process);
        }
        let process = Arc::new(Process::register(&StateDir::open(&self.state_dir)?)?);
        Ok(self.process.get_or_init(|| process))
    }
}

/// Every connector's name with its operations, as `bundle::parse` takes them.
pub(crate) fn catalogue() -> Vec<(&'static str, &'static [OperationSpec])> {
    arx_connectors::ALL.iter().map(|vendor| (vendor.spec.name, vendor.spec.operations)).collect()
}

/// `$XDG_STATE_HOME/arx`, or `~/.local/state/arx`.
fn default_state_dir(xdg_state_home: Option<&Path>) -> Result<PathBuf, CommandError> {
    // The XDG specification tells to ignore relative paths.
    let xdg = xdg_state_home.filter(|path| path.is_absolute()).map(Path::to_owned);
    let base = xdg.or_else(|| Some(std::env::home_dir()?.join(".local/state")));
    let found = base.filter(|path| path.is_absolute()).map(|path| path.join("arx"));
    found.ok_or_else(|| {
        CommandError::config("there is no home directory to keep the state in")
            .hint("choose a directory with --state-dir or ARX_HOME")
    })
}
