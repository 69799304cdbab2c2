//! The effect ledger: one line for each write a simulator accepted.
//!
//! A line is written when the write is committed, before the reply leaves, so a test can compare
//! what a client believes with what happened. Lines carry the resource as it stands after the
//! write; a simulator started on an existing ledger rebuilds its incidents and issues from them.
//! Reads never appear here.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{SimError, Vendor};

/// One accepted write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the ledger, from 1.
    pub n: u64,
    /// When the write was committed.
    pub at: Timestamp,
    /// The service that accepted it.
    pub vendor: Vendor,
    /// What was done, e.g. `incidents.create`.
    pub operation: String,
    /// The vendor's id of the thing written, e.g. `Q1B2…` or `SEC-12`.
    pub id: String,
    /// What identifies the intent: the incident key, or the first issue property.
    pub key: Option<Value>,
    /// A line for people: the incident's title, the summary, a comment's start.
    pub title: String,
    /// The resource after the write; what a restart rebuilds from.
    pub state: Value,
}

/// What a service hands over for one accepted write.
pub(crate) struct Write {
    pub vendor: Vendor,
    pub operation: &'static str,
    pub id: String,
    pub key: Option<Value>,
    pub title: String,
    pub state: Value,
}

pub(crate) struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<File>,
    entries: Vec<Entry>,
}

/// A panicking holder cannot leave these structures half-written, so poison is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Opens a ledger, keeping what an earlier simulator wrote there.
    ///
    /// A last line without its newline was being written when the process died: it is dropped.
    pub fn open(path: Option<&Path>) -> Result<Self, SimError> {
        let Some(path) = path else {
            return Ok(Self { inner: Mutex::new(Inner { file: None, entries: Vec::new() }) });
        };
        let failed = |source| SimError::Ledger { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        let mut entries = Vec::new();
        for (index, line) in text.get(..whole).unwrap_or_default().lines().enumerate() {
            let entry = serde_json::from_str(line).map_err(|source| SimError::LedgerLine {
                path: path.to_owned(),
                line: index + 1,
                source,
            })?;
            entries.push(entry);
        }
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(std::io::SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { inner: Mutex::new(Inner { file: Some(file), entries }) })
    }

    /// Records one accepted write.
    pub fn append(&self, at: Timestamp, write: Write) {
        let mut inner = lock(&self.inner);
        let entry = Entry {
            n: inner.entries.len() as u64 + 1,
            at,
            vendor: write.vendor,
            operation: write.operation.to_owned(),
            id: write.id,
            key: write.key,
            title: write.title,
            state: write.state,
        };
        if let Some(file) = inner.file.as_mut() {
            let mut line = serde_json::to_vec(&entry).unwrap_or_default();
            line.push(b'\n');
            if let Err(error) = file.write_all(&line) {
                tracing::error!(%error, "the ledger could not be written");
            }
        }
        inner.entries.push(entry);
    }

    pub fn entries_since(&self, n: usize) -> Vec<Entry> {
        lock(&self.inner).entries.get(n..).unwrap_or_default().to_vec()
    }

    /// The writes of one service, oldest first.
    pub fn of(&self, vendor: Vendor) -> Vec<Entry> {
        lock(&self.inner).entries.iter().filter(|entry| entry.vendor == vendor).cloned().collect()
    }
}
