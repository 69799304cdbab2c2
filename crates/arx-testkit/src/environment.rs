//! A home and a state directory that belong to one test.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arx_journal::{Journal, JournalError, JournalOptions, StateDir};
use tempfile::TempDir;

use crate::SimClock;

/// Directories that vanish with the test, and a clock.
#[derive(Debug)]
pub struct TestEnv {
    directory: TempDir,
    clock: Arc<SimClock>,
}

impl TestEnv {
    /// A new one.
    ///
    /// # Errors
    /// When the temporary directory cannot be made.
    pub fn new() -> io::Result<Self> {
        let directory = TempDir::new()?;
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700))?;
        std::fs::create_dir(directory.path().join("home"))?;
        Ok(Self { directory, clock: Arc::new(SimClock::new()) })
    }

    /// The directory that holds the others, for whatever else a test needs.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Where the state is, once something opened it.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// The clock of every journal that is opened here.
    #[must_use]
    pub fn clock(&self) -> &Arc<SimClock> {
        &self.clock
    }

    /// Opens the journal; again after a simulated crash.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn journal(&self) -> Result<Journal, JournalError> {
        self.journal_with(JournalOptions::default())
    }

    /// Opens the journal with options, such as where to stop.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn journal_with(&self, options: JournalOptions) -> Result<Journal, JournalError> {
        let clock = Arc::clone(&self.clock);
        Journal::open_with(&StateDir::open(&self.state())?, clock, options)
    }

    /// The only variables that a process under test may see.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("HOME", self.home()), ("ARX_HOME", self.state())]
    }
}
