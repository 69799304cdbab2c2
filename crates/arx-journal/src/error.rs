//! What can go wrong with the journal, split by what the caller can do about it.
//!
//! Start at [`JournalError`]. Every error of SQLite and of the file system is mapped here and
//! nowhere else. An error is cheap to clone, because a failed commit is told to every writer that
//! shared it.

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arx_types::RunId;
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why the journal did not do what it was asked.
///
/// Whatever the variant but [`JournalError::Uncertain`], a write that returned an error is not in
/// the journal. Of that one nobody knows, as after a crash, so its handle is closed for good.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// No space is left on the device. Free some and try again; nothing was lost.
    #[error("no space left on the device that holds `{}`", path.display())]
    Full {
        /// The state directory or the file in it.
        path: PathBuf,
    },
    /// The state directory or a file in it may not be written.
    #[error("`{}` cannot be written: {reason}", path.display())]
    ReadOnly {
        /// The state directory or the file in it.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file or directory is open to other users of this machine.
    #[error("`{}` is open to other users (mode {mode:04o})", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// Another process held the database for longer than anyone should. Try again.
    #[error("`{}` is locked by another process", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The database was written by a newer ARX. Stop and upgrade.
    #[error("`{}` has format {found}, this program knows formats up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format this program knows.
        known: i64,
    },
    /// The file is a database, and not of ARX. Stop: it may be someone else's.
    #[error("`{}` is not an ARX journal", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database is torn, truncated or overwritten. Stop: restore a backup.
    #[error("`{}` is damaged: {reason}", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The signing key is unreadable, or not the one that this journal is signed with.
    #[error("signing key `{}`: {reason}", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The device failed. Stop; trying again may work after the device was looked at.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was being done, e.g. `read`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A commit failed, and may have reached the disk or not. This handle neither writes nor reads
    /// any more; stop, and open the journal anew, which reads what is on disk.
    #[error("whether the last write to `{}` is on disk is not known: {reason}", path.display())]
    Uncertain {
        /// The database.
        path: PathBuf,
        /// How the commit failed.
        reason: String,
    },
    /// The database engine failed in a way that no other variant names.
    #[error("journal: {source}")]
    Sqlite {
        /// What the engine said.
        source: Arc<rusqlite::Error>,
    },
    /// What the caller took for granted is not so, or no longer.
    #[error("{what}")]
    Conflict {
        /// What is so instead.
        what: String,
    },
    /// Another process took the run over, or it was given up. Stop driving it.
    #[error("run `{run}` is no longer this process's: another one took it over or ended it")]
    Fenced {
        /// The run.
        run: RunId,
    },
    /// There is no such record.
    #[error("there is no {kind} `{id}`")]
    NotFound {
        /// The kind of record, e.g. `run`.
        kind: &'static str,
        /// What was asked for.
        id: String,
    },
    /// The value cannot be recorded as it is.
    #[error("{what} cannot be recorded: {reason}")]
    Invalid {
        /// The value, e.g. `audit leaf`.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The write itself broke off; it left nothing behind.
    #[error("a journal write broke off: {reason}")]
    Panicked {
        /// What it said last.
        reason: String,
    },
    /// The journal takes no more calls.
    #[error("the journal is closed")]
    Stopped,
}

impl JournalError {
    /// Advice for a person, where there is any to give.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Full { .. } => {
                "free some space and run again; nothing that was recorded is lost".to_owned()
            }
            Self::ReadOnly { .. } => {
                "choose a writable directory with --state-dir or ARX_HOME".to_owned()
            }
            Self::Exposed { path, wanted, .. } => format!("chmod {wanted:o} {}", path.display()),
            Self::Locked { .. } => {
                "another arx is busy; try again, and see `arx runs list` for what is running"
                    .to_owned()
            }
            Self::Newer { .. } => "upgrade arx, or use another --state-dir".to_owned(),
            Self::Foreign { .. } => "use another --state-dir".to_owned(),
            Self::Corrupt { .. } => {
                "keep the file for examination, restore the state directory from a backup, and \
                 check it with `arx audit verify`"
                    .to_owned()
            }
            Self::Key { .. } => {
                "restore `audit.key` from a backup of the same state directory".to_owned()
            }
            Self::Io { .. } => "check the device and the file system".to_owned(),
            Self::Uncertain { .. } => {
                "nothing more was sent; check the device and the file system, then run again: what \
                 is on disk is read anew, and an effect without an outcome is looked up first"
                    .to_owned()
            }
            Self::Fenced { run } => format!("`arx runs show {run}` tells how it went on"),
            Self::Sqlite { .. }
            | Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Panicked { .. }
            | Self::Stopped => return None,
        })
    }

    /// Whether the same call may succeed a little later with nothing changed by anyone.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// The error of a file operation.
    pub(crate) fn of_io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly { path, reason: source.to_string() }
            }
            _ => Self::Io { doing, path, source: Arc::new(source) },
        }
    }

    /// The error of a database operation, with the database it happened in.
    pub(crate) fn of_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        let (failure, message) = match &source {
            rusqlite::Error::SqliteFailure(failure, message) => (failure, message),
            // A column holds what no version of this program wrote there.
            rusqlite::Error::FromSqlConversionFailure(_, _, reason) => {
                return Self::Corrupt { path, reason: reason.to_string() };
            }
            rusqlite::Error::InvalidColumnType(_, column, found) => {
                let reason = format!("column `{column}` holds {found}");
                return Self::Corrupt { path, reason };
            }
            _ => return from_engine(source),
        };
        let reason = || message.clone().unwrap_or_else(|| failure.to_string());
        match failure.code {
            ErrorCode::DiskFull => Self::Full { path },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                Self::ReadOnly { path, reason: reason() }
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked { path },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::Corrupt { path, reason: reason() }
            }
            ErrorCode::SystemIoFailure => {
                // A short read is what a truncated file looks like.
                if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ {
                    return Self::Corrupt { path, reason: "the file ends too early".to_owned() };
                }
                let said = format!("{} (code {})", reason(), failure.extended_code);
                let source = Arc::new(io::Error::other(said));
                let doing = match failure.extended_code {
                    ffi::SQLITE_IOERR_READ => "read",
                    ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => "sync",
                    _ => "write",
                };
                Self::Io { doing, path, source }
            }
            ErrorCode::ConstraintViolation => of_constraint(failure.extended_code, &reason()),
            ErrorCode::TooBig => Self::Invalid { what: "value", reason: reason() },
            _ => from_engine(source),
        }
    }
}

/// What stands for the database in an error until [`JournalError::at`] names it.
pub(crate) const UNNAMED: &str = "arx.db";

/// Errors where the path is not known; [`JournalError::at`] adds it.
impl From<rusqlite::Error> for JournalError {
    fn from(source: rusqlite::Error) -> Self {
        Self::of_sqlite(Path::new(UNNAMED), source)
    }
}

impl JournalError {
    /// The error of a record that is not what this program writes.
    pub(crate) fn corrupt(reason: String) -> Self {
        Self::Corrupt { path: PathBuf::from(UNNAMED), reason }
    }

    /// Names the database in an error that was made where only the connection was known.
    pub(crate) fn at(mut self, database: &Path) -> Self {
        match &mut self {
            Self::Full { path }
            | Self::ReadOnly { path, .. }
            | Self::Locked { path }
            | Self::Corrupt { path, .. }
            | Self::Io { path, .. }
                if path.as_os_str() == UNNAMED =>
            {
                *path = database.to_owned();
            }
            _ => {}
        }
        self
    }
}

fn of_constraint(extended_code: i32, said: &str) -> JournalError {
    match extended_code {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => JournalError::Conflict {
            what: "the record names a run, version or approval that is not recorded".to_owned(),
        },
        ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_NOTNULL => {
            JournalError::Invalid { what: "record", reason: said.to_owned() }
        }
        _ => JournalError::Conflict { what: format!("it is recorded already: {said}") },
    }
}

fn from_engine(source: rusqlite::Error) -> JournalError {
    JournalError::Sqlite { source: Arc::new(source) }
}
