//! A living process, as others that share its state directory see it.
//!
//! A process holds a lock on a file of its own. The system releases the lock when the process
//! ends, however it ends, so whoever finds it free knows that the process is dead. A lock that is
//! held says only that the process exists: it may be stopped or stuck, which is what leases are
//! for ([`crate::leases`]).

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::state_dir::create;
use crate::{JournalError, StateDir};

/// Where the locks are, in the state directory.
const DIRECTORY: &str = "processes";
/// The most leftovers of dead processes that one start removes.
const SWEPT_MAX: usize = 1000;

/// This process, for as long as the value lives.
#[derive(Debug)]
pub struct Process {
    name: String,
    directory: PathBuf,
    /// Closing it releases the lock.
    _lock: File,
}

impl Process {
    /// Makes this process known in a state directory.
    ///
    /// # Errors
    /// When its file cannot be made or locked.
    pub fn register(state: &StateDir) -> Result<Self, JournalError> {
        let directory = state.path().join(DIRECTORY);
        fs::create_dir_all(&directory)
            .map_err(|error| JournalError::of_io("create", &directory, error))?;
        sweep(&directory);
        // The system gives the number of a dead process away again, so it alone is no name.
        let name = format!("{}-{}", std::process::id(), state.unique()?);
        let path = directory.join(&name);
        // INVARIANT (locked from the start): nobody sees the file unlocked while its process
        // lives, because it gets its name only once it is locked.
        let made = state.scratch("process")?;
        let lock = create(&made)
            .and_then(|file| file.try_lock().map(|()| file).map_err(std::io::Error::from))
            .map_err(|error| JournalError::of_io("lock", &made, error))?;
        fs::rename(&made, &path).map_err(|error| JournalError::of_io("create", &path, error))?;
        Ok(Self { name, directory, _lock: lock })
    }

    /// Its name, by which it owns runs: the system's number of it and something unique.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the process of this name may be alive. Only a lock that is free or gone says no.
    #[must_use]
    pub fn may_live(&self, name: &str) -> bool {
        is_locked(&self.directory.join(name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that stays behind is unlocked by then, and swept by the next process.
        let _ = fs::remove_file(self.directory.join(&self.name));
    }
}

/// Removes what dead processes left.
fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().take(SWEPT_MAX) {
        if !is_locked(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_locked(path: &Path) -> bool {
    match File::open(path).map(|file| file.try_lock_shared()) {
        Ok(Ok(())) => false,
        Ok(Err(_)) => true,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}
