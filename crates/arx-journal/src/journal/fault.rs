//! What a test can make the storage do: die, fail as a bad disk does, or be held by another.
//!
//! Production sets none of it. What follows an injected error is the code that follows a real one:
//! it is made where SQLite would have made it, and SQLite's own code is what is mapped.

use std::ffi::c_int;

use rusqlite::ffi;

/// The instant at which a journal under test stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPoint {
    /// Which write it happens at, from 1, counting the writes of this handle that succeed.
    pub write: u64,
    /// Whether that write still reaches the disk.
    pub when: StopWhen,
}

/// On which side of a commit a journal under test stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhen {
    /// The write is lost.
    BeforeCommit,
    /// The write is on disk, and its caller never learns of it.
    AfterCommit,
}

/// The write at which the storage of a journal under test fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultPoint {
    /// Which write it happens at, counted as in [`StopPoint`].
    pub write: u64,
    /// How it fails.
    pub fault: Fault,
    /// Whether every write after it fails too, as on a disk that stays full.
    pub lasting: bool,
}

/// How storage fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A statement finds the disk full; SQLite undoes the transaction.
    Full,
    /// A statement meets an I/O error; SQLite undoes the transaction.
    Io,
    /// The commit meets an I/O error, and the write did not reach the disk.
    CommitLost,
    /// The commit meets an I/O error, and the write is on disk all the same.
    CommitKept,
    /// Another process holds the database for longer than anyone waits.
    Locked,
}

impl Fault {
    /// Every one, for tests that try each.
    pub const ALL: [Self; 5] =
        [Self::Full, Self::Io, Self::CommitLost, Self::CommitKept, Self::Locked];

    /// What SQLite says then.
    pub(super) fn code(self) -> c_int {
        match self {
            Self::Full => ffi::SQLITE_FULL,
            Self::Io => ffi::SQLITE_IOERR_WRITE,
            Self::CommitLost | Self::CommitKept => ffi::SQLITE_IOERR_FSYNC,
            Self::Locked => ffi::SQLITE_BUSY,
        }
    }

    /// The same as an error.
    pub(super) fn error(self) -> rusqlite::Error {
        let words = ffi::code_to_str(self.code()).to_owned();
        rusqlite::Error::SqliteFailure(ffi::Error::new(self.code()), Some(words))
    }

    /// Whether it strikes inside a statement.
    pub(super) fn is_in_statement(self) -> bool {
        matches!(self, Self::Full | Self::Io)
    }
}
