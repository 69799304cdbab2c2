//! One live process for a workflow.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// Why a workflow cannot be run now.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// Another process runs it.
    #[error("`{workflow}` is already running: {owner}")]
    Alive {
        /// The workflow.
        workflow: String,
        /// Which run, in which process.
        owner: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Held while a process runs a workflow. The system releases it when the process dies, however
/// it dies.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the lock of a workflow in a world.
    ///
    /// # Errors
    /// When another process has it, naming that process and its run.
    pub fn take(state_dir: &Path, workflow: &str, world: &str) -> Result<Self, OwnerError> {
        let directory = state_dir.join("locks");
        let name: String = format!("{workflow}@{world}")
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_@.".contains(c) { c } else { '_' })
            .collect();
        let path = directory.join(format!("{name}.lock"));
        let io = |source| OwnerError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&directory).map_err(io)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::Error(source)) => Err(io(source)),
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Only words for the message; without them the refusal stands all the same.
                let _ = file.read_to_string(&mut owner);
                let owner = if owner.trim().is_empty() {
                    "by another process".to_owned()
                } else {
                    owner.trim().to_owned()
                };
                Err(OwnerError::Alive { workflow: workflow.to_owned(), owner })
            }
        }
    }

    /// Says which run the holder drives, for those who are refused.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(&mut self, run: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        write!(self.file, "run {run} in process {}", std::process::id())
    }
}
