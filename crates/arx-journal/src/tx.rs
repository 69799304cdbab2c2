//! What a closure is given: [`Reader`] to look, [`Tx`] to look and to write.
//!
//! The methods live beside the tables they are about ([`crate::runs`], [`crate::effects`], …).
//! Neither type gives out its connection: SQL stays in this crate, and so does the transaction's
//! beginning and end.

use std::cell::Cell;
use std::io;
use std::ops::Deref;
use std::path::Path;

use arx_audit::{Frontier, Hash};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use crate::decisions::LetThrough;
use crate::error::UNNAMED;
use crate::{Clock, JournalError};

/// A consistent view of the journal.
pub struct Reader<'c> {
    connection: &'c Connection,
}

impl<'c> Reader<'c> {
    pub(crate) fn new(connection: &'c Connection) -> Self {
        Self { connection }
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.connection
    }

    /// The one row of a query, or none.
    pub(crate) fn row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, JournalError> {
        self.check_open()?;
        let run = || self.connection.prepare_cached(sql)?.query_row(params, read).optional();
        run().map_err(|error| self.name(error))
    }

    /// Every row of a query; the query itself bounds how many.
    pub(crate) fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        self.check_open()?;
        let run = || -> rusqlite::Result<_> {
            self.connection.prepare_cached(sql)?.query_map(params, read)?.collect()
        };
        run().map_err(|error| self.name(error))
    }

    /// A full disk or an I/O error makes SQLite undo the whole transaction by itself. A statement
    /// after that would be a transaction of its own, and reach the disk without the others.
    fn check_open(&self) -> Result<(), JournalError> {
        if self.connection.is_autocommit() {
            let source = io::Error::other("the database undid what came before");
            return Err(JournalError::of_io("write", Path::new(UNNAMED), source));
        }
        Ok(())
    }

    /// The error of this database.
    pub(crate) fn name(&self, error: rusqlite::Error) -> JournalError {
        let error = JournalError::from(error);
        match self.connection.path() {
            Some(path) => error.at(Path::new(path)),
            None => error,
        }
    }
}

/// One write, which is in the journal whole or not at all.
///
/// Reads through it see what it wrote. What it learned must not be kept for the next
/// transaction: other processes write in between.
pub struct Tx<'c> {
    reader: Reader<'c>,
    clock: &'c dyn Clock,
    batch: &'c mut Batch,
    /// What a test makes the next statement fail with.
    failing: Cell<Option<rusqlite::Error>>,
}

/// What the jobs of one transaction read once for all of them: nobody else writes while it lasts.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) tail: Option<Tail>,
    pub(crate) let_through: Vec<LetThrough>,
}

/// The end of the audit log.
pub(crate) struct Tail {
    pub(crate) frontier: Frontier,
    pub(crate) last_at: Option<Timestamp>,
    /// How many hashes of the tree the database has.
    pub(crate) n_stored: u64,
    /// Those that this transaction adds.
    pub(crate) hashes: Vec<Hash>,
}

/// What was known before a job, for when it is undone.
pub(crate) struct Mark {
    tail: Option<(Frontier, Option<Timestamp>, usize)>,
}

impl Batch {
    pub(crate) fn mark(&self) -> Mark {
        let of = |tail: &Tail| (tail.frontier.clone(), tail.last_at, tail.hashes.len());
        Mark { tail: self.tail.as_ref().map(of) }
    }

    /// Forgets what the job since the mark learned and did.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.let_through.clear();
        match (&mut self.tail, mark.tail) {
            (Some(tail), Some((frontier, last_at, n_hashes))) => {
                (tail.frontier, tail.last_at) = (frontier, last_at);
                tail.hashes.truncate(n_hashes);
            }
            (tail, _) => *tail = None,
        }
    }
}

impl<'c> Tx<'c> {
    pub(crate) fn new(
        connection: &'c Connection,
        clock: &'c dyn Clock,
        batch: &'c mut Batch,
    ) -> Self {
        Self { reader: Reader::new(connection), clock, batch, failing: Cell::new(None) }
    }

    /// The time now, by the journal's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn batch(&mut self) -> &mut Batch {
        self.batch
    }

    /// Makes the next statement that writes fail, as SQLite fails on a bad disk.
    pub(crate) fn fail_next(&self, error: rusqlite::Error) {
        self.failing.set(Some(error));
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, JournalError> {
        if let Some(error) = self.failing.take() {
            let undone = self.connection().execute_batch("ROLLBACK");
            return Err(self.name(undone.err().unwrap_or(error)));
        }
        self.check_open()?;
        let run = || self.connection().prepare_cached(sql)?.execute(params);
        run().map_err(|error| self.name(error))
    }
}

impl<'c> Deref for Tx<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}
