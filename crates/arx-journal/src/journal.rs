//! The handle: reads on their own connections, writes through one thread that shares commits.
//!
//! Start at [`Journal::write`]. The writer thread takes what is queued, runs each closure in one
//! `IMMEDIATE` transaction, in a savepoint unless it was queued without, commits once, and answers
//! all. One fsync thus pays for as many writes as were waiting.

mod fault;
mod writer;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use arx_audit::SigningKey;
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc as queue, oneshot};

use crate::{Clock, JournalError, Reader, StateDir, Tx, schema};
use writer::{Queued, TypedJob, Writer};

pub use fault::{Fault, FaultPoint, StopPoint, StopWhen};

/// Writes that may wait in the queue; further callers wait before they queue.
const QUEUED_MAX: usize = 1024;
/// Reader connections kept open, and reads that run at once.
const READERS_MAX: usize = 4;

/// How a journal is opened; the default is what production uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalOptions {
    /// Stop as if the process had died, for crash tests. Writes are then committed one by one, so
    /// that their numbers mean the same in every run with the same order of calls.
    pub stop: Option<StopPoint>,
    /// Fail as a disk or another process can make SQLite fail; writes are committed one by one
    /// then, too.
    pub fault: Option<FaultPoint>,
    /// The most pages the database may grow to, to see a full disk in tests.
    pub pages_max: Option<u32>,
    /// How long a write waits for another process's, instead of the usual time.
    pub patience: Option<Duration>,
}

/// A handle to the journal; clones share it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    key: Arc<SigningKey>,
    queue: Option<queue::UnboundedSender<Queued>>,
    /// One permit for each asynchronous write that may be queued. Blocking writers need none:
    /// there are no more of them than threads.
    room: Arc<Semaphore>,
    readers: Mutex<Vec<Connection>>,
    reading: Arc<Semaphore>,
    state: Arc<State>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the handle and the writer thread both see.
#[derive(Default)]
pub(crate) struct State {
    /// Set once a stop point was reached; nothing is read or written any more.
    pub(crate) stopped: AtomicBool,
    /// Set once a commit failed without anyone knowing whether it is on disk.
    pub(crate) uncertain: OnceLock<JournalError>,
    /// Writes that were committed through this handle.
    pub(crate) n_writes: AtomicU64,
    /// Commits that they shared.
    pub(crate) n_commits: AtomicU64,
    /// Writes that were ever queued.
    #[cfg(test)]
    pub(crate) n_queued: AtomicU64,
}

impl State {
    /// INVARIANT (nothing after an unknown commit): a handle whose commit failed in a way that
    /// leaves its outcome open neither writes nor reads any more. Whoever opens the journal anew
    /// reads what is on disk.
    pub(crate) fn check_running(&self) -> Result<(), JournalError> {
        if let Some(error) = self.uncertain.get() {
            return Err(error.clone());
        }
        match self.stopped.load(Ordering::SeqCst) {
            true => Err(JournalError::Stopped),
            false => Ok(()),
        }
    }
}

impl Journal {
    /// Opens the journal of a state directory.
    ///
    /// # Errors
    /// What is wrong with the database or the key; nothing is changed then.
    pub fn open(state: &StateDir, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        Self::open_with(state, clock, JournalOptions::default())
    }

    /// Opens the journal with options other than those of production.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(
        state: &StateDir,
        clock: Arc<dyn Clock>,
        options: JournalOptions,
    ) -> Result<Self, JournalError> {
        let key = Arc::new(state.signing_key()?);
        let path = state.database();
        let connection = schema::open(state, key.vkey(), clock.as_ref())?;
        if let Some(pages) = options.pages_max {
            connection
                .pragma_update(None, "max_page_count", pages)
                .map_err(|error| JournalError::of_sqlite(&path, error))?;
        }
        if let Some(patience) = options.patience {
            connection
                .busy_timeout(patience)
                .map_err(|error| JournalError::of_sqlite(&path, error))?;
        }
        let shared = Arc::new(State::default());
        let (sender, receiver) = queue::unbounded_channel();
        let writer = Writer {
            path: path.clone(),
            connection,
            clock: Arc::clone(&clock),
            state: Arc::clone(&shared),
            stop: options.stop,
            fault: options.fault,
            receiver,
        };
        let thread = std::thread::Builder::new()
            .name("arx-journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| JournalError::of_io("start the writer of", &path, error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                clock,
                key,
                queue: Some(sender),
                room: Arc::new(Semaphore::new(QUEUED_MAX)),
                readers: Mutex::new(Vec::new()),
                reading: Arc::new(Semaphore::new(READERS_MAX)),
                state: shared,
                writer: Mutex::new(Some(thread)),
            }),
        })
    }

    /// Writes: the closure's changes are on disk together once this returns `Ok`, and nowhere
    /// when it returns an error.
    ///
    /// The closure runs on the writer thread and must be short: pack and compute before. It runs
    /// even when the caller stops waiting, once it was queued.
    ///
    /// # Errors
    /// What the closure returned, or why the commit failed.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        self.try_write(f).await
    }

    /// As [`Journal::write`], for closures with an error of their own: a closure that decides
    /// while it holds the write lock returns its refusal, and nothing it wrote stays.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub async fn try_write<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.queue(true, f).await
    }

    /// As [`Journal::try_write`], for the closures of every call of a workflow, which find out
    /// all that may be wrong before they change anything.
    ///
    /// They are spared what it costs to undo one write alone: a copy of every page that it
    /// changes. One that fails after its first change undoes the whole commit, and with it the
    /// writes of others, who are told so; a disk that fails does no less.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub async fn try_write_unguarded<T, E>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.queue(false, f).await
    }

    async fn queue<T, E>(
        &self,
        guarded: bool,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let Ok(room) = Arc::clone(&self.inner.room).acquire_owned().await else {
            return Err(JournalError::Stopped.into());
        };
        let (answer, answered) = oneshot::channel();
        let job = TypedJob::boxed(f, move |result| {
            // The caller may have stopped waiting; the write stands all the same.
            let _ = answer.send(result);
        });
        self.enqueue(Queued { job, guarded, room: Some(room) })?;
        answered.await.unwrap_or_else(|_| Err(JournalError::Stopped.into()))
    }

    /// As [`Journal::write`], for callers that are not asynchronous.
    ///
    /// # Errors
    /// As [`Journal::write`].
    pub fn write_blocking<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job = TypedJob::boxed(f, move |result| {
            let _ = answer.send(result);
        });
        self.enqueue(Queued { job, guarded: true, room: None })?;
        answered.recv().unwrap_or(Err(JournalError::Stopped))
    }

    /// Reads from one consistent view, beside any writer.
    ///
    /// # Errors
    /// What the closure returned, or why the journal cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Reader<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let turn = Arc::clone(&self.inner.reading).acquire_owned().await;
        let turn = turn.map_err(|_| JournalError::Stopped)?;
        let journal = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            // Given back when the read ends, not when its caller stops waiting.
            let _turn = turn;
            journal.read_blocking(f)
        });
        match read.await {
            Ok(result) => result,
            // The runtime is shutting down.
            Err(error) if error.is_cancelled() => Err(JournalError::Stopped),
            Err(error) => Err(JournalError::Panicked { reason: error.to_string() }),
        }
    }

    /// As [`Journal::read`], for callers that are not asynchronous.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub fn read_blocking<T>(
        &self,
        f: impl FnOnce(&Reader<'_>) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        self.inner.state.check_running()?;
        let pooled = lock(&self.inner.readers).pop();
        let connection = match pooled {
            Some(connection) => connection,
            None => self.connect_reader()?,
        };
        let begin = |sql| {
            connection
                .execute_batch(sql)
                .map_err(|error| JournalError::of_sqlite(&self.inner.path, error))
        };
        begin("BEGIN")?;
        let result = catch_unwind(AssertUnwindSafe(|| f(&Reader::new(&connection))));
        begin("ROLLBACK")?;
        let mut pool = lock(&self.inner.readers);
        if pool.len() < READERS_MAX {
            pool.push(connection);
        }
        drop(pool);
        match result {
            Ok(result) => result,
            Err(panic) => Err(JournalError::Panicked { reason: writer::words_of(panic.as_ref()) }),
        }
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The journal's clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// The public key that checkpoints are signed with, as text.
    #[must_use]
    pub fn vkey(&self) -> &str {
        self.inner.key.vkey()
    }

    /// How many writes were committed through this handle; crash tests stop at each in turn.
    #[must_use]
    pub fn n_writes(&self) -> u64 {
        self.inner.state.n_writes.load(Ordering::SeqCst)
    }

    /// How many commits these writes shared.
    #[must_use]
    pub fn n_commits(&self) -> u64 {
        self.inner.state.n_commits.load(Ordering::SeqCst)
    }

    pub(crate) fn key(&self) -> &Arc<SigningKey> {
        &self.inner.key
    }

    fn enqueue(&self, queued: Queued) -> Result<(), JournalError> {
        self.inner.state.check_running()?;
        let queue = self.inner.queue.as_ref().ok_or(JournalError::Stopped)?;
        queue.send(queued).map_err(|_| JournalError::Stopped)?;
        #[cfg(test)]
        self.inner.state.n_queued.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn connect_reader(&self) -> Result<Connection, JournalError> {
        let connection = schema::connect(&self.inner.path)?;
        connection
            .pragma_update(None, "query_only", true)
            .map_err(|error| JournalError::of_sqlite(&self.inner.path, error))?;
        Ok(connection)
    }
}

/// Waits for what was queued, so that a process that ends in order leaves a closed database.
impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let Some(thread) = lock(&self.writer).take() else { return };
        // The last handle may be one that a queued closure held.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that holds these locks can leave them half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
