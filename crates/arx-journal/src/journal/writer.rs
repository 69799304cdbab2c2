//! The writer thread: batches, savepoints, commits, and the points at which tests make it fail.
//!
//! INVARIANT (all or nothing): a job is answered `Ok` only after the commit that holds it, and a
//! job that is answered with an error left nothing behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Fault, FaultPoint, State, StopPoint, StopWhen};
use crate::tx::Batch;
use crate::{Clock, JournalError, Tx};

/// Writes that share one commit at most.
const BATCH_MAX: usize = 256;

/// A write in the queue.
pub(super) struct Queued {
    pub(super) job: Box<dyn Job>,
    /// Whether it is undone alone when it fails; otherwise the whole commit is, if it changed
    /// anything.
    pub(super) guarded: bool,
    /// Its place in the queue, given back when it is answered.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// A closure with somewhere to keep its result until the commit.
pub(super) trait Job: Send {
    /// Runs the closure; true when its changes are to stay.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Tells the caller: the closure's own result, or the error that undid it.
    fn answer(self: Box<Self>, undone: Option<JournalError>);
}

pub(super) struct TypedJob<F, T, E, A> {
    closure: Option<F>,
    result: Option<Result<T, E>>,
    answer: A,
}

impl<F, T, E, A> TypedJob<F, T, E, A>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<JournalError> + Send + 'static,
    A: FnOnce(Result<T, E>) + Send + 'static,
{
    pub(super) fn boxed(closure: F, answer: A) -> Box<dyn Job> {
        Box::new(Self { closure: Some(closure), result: None, answer })
    }
}

impl<F, T, E, A> Job for TypedJob<F, T, E, A>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<JournalError> + Send,
    A: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(closure) = self.closure.take() else { return false };
        let result = closure(tx);
        let stays = result.is_ok();
        self.result = Some(result);
        stays
    }

    fn answer(self: Box<Self>, undone: Option<JournalError>) {
        let result = match (self.result, undone) {
            (_, Some(error)) => Err(error.into()),
            (Some(result), None) => result,
            (None, None) => Err(JournalError::Stopped.into()),
        };
        (self.answer)(result);
    }
}

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Arc<State>,
    pub(super) stop: Option<StopPoint>,
    pub(super) fault: Option<FaultPoint>,
    pub(super) receiver: UnboundedReceiver<Queued>,
}

/// A job that ran.
struct Ran {
    queued: Queued,
    /// The error that undid it alone, beside its own.
    undone: Option<JournalError>,
    /// Whether its changes are to stay.
    stays: bool,
    /// Set when the whole transaction is gone.
    broken: Option<JournalError>,
}

impl Writer {
    /// Runs until every handle is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.receiver.blocking_recv() {
            if let Err(error) = self.state.check_running() {
                first.job.answer(Some(error));
                continue;
            }
            self.batch(first);
        }
    }

    fn batch(&mut self, first: Queued) {
        if let Err(error) = self.begin() {
            // Whoever queued behind it waited for the same lock or the same disk. All are taken
            // before the first is answered: what comes after deserves a try of its own.
            let error = JournalError::of_sqlite(&self.path, error);
            let mut waited = vec![first];
            while waited.len() < BATCH_MAX
                && let Ok(queued) = self.receiver.try_recv()
            {
                waited.push(queued);
            }
            for queued in waited {
                queued.job.answer(Some(error.clone()));
            }
            return;
        }
        let is_counted = self.stop.is_some() || self.fault.is_some();
        let n_max = if is_counted { 1 } else { BATCH_MAX };
        let mut shared = Batch::default();
        let mut batch = Vec::new();
        let mut next = Some(first);
        let mut broken = None;
        while let Some(queued) = next.take() {
            let ran = self.run_one(queued, &mut shared);
            broken = ran.broken.clone();
            batch.push(ran);
            if broken.is_none() && batch.len() < n_max {
                next = self.receiver.try_recv().ok();
            }
        }
        let n_stay = batch.iter().filter(|ran| ran.stays).count() as u64;
        let committed = match broken {
            Some(error) => Err(error),
            None => self.finish(n_stay, &mut shared),
        };
        if committed.is_err() && !self.connection.is_autocommit() {
            self.roll_back();
        }
        for ran in batch {
            let Ran { queued, undone, stays, .. } = ran;
            let undone = match &committed {
                // A job that had failed by itself keeps its own error.
                Err(error) if stays => Some(error.clone()),
                Err(_) | Ok(()) => undone,
            };
            queued.job.answer(undone.map(|error| error.at(&self.path)));
            drop(queued.room);
        }
    }

    /// Runs one job, in a savepoint where it is guarded.
    fn run_one(&mut self, mut queued: Queued, shared: &mut Batch) -> Ran {
        if queued.guarded
            && let Err(error) = self.step("SAVEPOINT job")
        {
            return Ran { queued, undone: Some(error), stays: false, broken: self.gone() };
        }
        let before = queued.guarded.then(|| shared.mark());
        let n_before = self.connection.total_changes();
        let armed = self.due(Fault::is_in_statement);
        let mut tx = Tx::new(&self.connection, self.clock.as_ref(), shared);
        if let Some(fault) = armed {
            tx.fail_next(fault.error());
        }
        let (stays, undone) = match catch_unwind(AssertUnwindSafe(|| queued.job.run(&mut tx))) {
            Ok(stays) => (stays, None),
            Err(panic) => {
                let reason = words_of(panic.as_ref());
                tracing::error!(%reason, "a journal write panicked");
                (false, Some(JournalError::Panicked { reason }))
            }
        };
        if let Some(error) = self.gone() {
            self.struck();
            return Ran { queued, undone, stays, broken: Some(error) };
        }
        let ended = match (before, stays) {
            (Some(_), true) => self.step("RELEASE job"),
            (Some(before), false) => {
                shared.back_to(before);
                self.step("ROLLBACK TO job").and_then(|()| self.step("RELEASE job"))
            }
            (None, false) if self.connection.total_changes() != n_before => {
                tracing::error!("a write failed half-way, and its whole commit is undone");
                let reason = "another of the same commit failed half-way".to_owned();
                Err(JournalError::Panicked { reason })
            }
            (None, _) => Ok(()),
        };
        Ran { queued, undone, stays, broken: ended.err() }
    }

    /// A full disk or an I/O error makes SQLite roll the transaction back by itself, and with it
    /// the jobs that ran before.
    fn gone(&self) -> Option<JournalError> {
        self.connection.is_autocommit().then(|| {
            let source = std::io::Error::other("the database undid the writes of one commit");
            JournalError::of_io("write", &self.path, source)
        })
    }

    /// Commits, or stops where a crash test says so.
    fn finish(&mut self, n_stay: u64, shared: &mut Batch) -> Result<(), JournalError> {
        Tx::new(&self.connection, self.clock.as_ref(), shared).put_hashes()?;
        let n_after = self.state.n_writes.load(Ordering::SeqCst) + n_stay;
        let stop = self.stop.filter(|stop| n_stay > 0 && n_after >= stop.write);
        if let Some(StopPoint { when: StopWhen::BeforeCommit, .. }) = stop {
            self.state.stopped.store(true, Ordering::SeqCst);
            return Err(JournalError::Stopped);
        }
        self.commit()?;
        self.state.n_writes.store(n_after, Ordering::SeqCst);
        self.state.n_commits.fetch_add(1, Ordering::SeqCst);
        if stop.is_some() {
            self.state.stopped.store(true, Ordering::SeqCst);
            return Err(JournalError::Stopped);
        }
        Ok(())
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        match self.due(|fault| fault == Fault::Locked) {
            Some(fault) => {
                self.struck();
                Err(fault.error())
            }
            None => self.connection.execute_batch("BEGIN IMMEDIATE"),
        }
    }

    /// Commits, and closes the handle for good where nobody knows whether it did.
    ///
    /// A full disk and a lock are certain: SQLite writes the frame that makes a commit valid last,
    /// and it was not written. After any other error it may be: what failed may be the sync alone,
    /// and a sync that is tried again says nothing of what the first one lost.
    fn commit(&mut self) -> Result<(), JournalError> {
        let committed = match self.due(|fault| !fault.is_in_statement()) {
            Some(fault) => {
                self.struck();
                if fault == Fault::CommitKept {
                    self.step("COMMIT")?;
                }
                Err(JournalError::of_sqlite(&self.path, fault.error()))
            }
            None => self.step("COMMIT"),
        };
        committed.map_err(|error| match error {
            JournalError::Full { .. } | JournalError::Locked { .. } => error,
            error => self.lose_hold(&error),
        })
    }

    fn roll_back(&self) {
        let _ = self.connection.execute_batch("ROLLBACK");
        if !self.connection.is_autocommit() {
            let source = std::io::Error::other("a transaction could be neither kept nor undone");
            self.lose_hold(&JournalError::of_io("write", &self.path, source));
        }
    }

    /// Closes the handle for good, and returns what every later call is told.
    fn lose_hold(&self, error: &JournalError) -> JournalError {
        tracing::error!(%error, "the journal takes no more writes");
        let uncertain =
            JournalError::Uncertain { path: self.path.clone(), reason: error.to_string() };
        self.state.uncertain.get_or_init(|| uncertain).clone()
    }

    /// The fault that a test wants at the next write, if it is of this sort.
    fn due(&self, is_of_sort: impl Fn(Fault) -> bool) -> Option<Fault> {
        let n_next = self.state.n_writes.load(Ordering::SeqCst) + 1;
        let point = self.fault.filter(|point| n_next >= point.write)?;
        is_of_sort(point.fault).then_some(point.fault)
    }

    /// A fault that does not last strikes once.
    fn struck(&mut self) {
        self.fault = self.fault.filter(|point| point.lasting);
    }

    fn step(&self, sql: &str) -> Result<(), JournalError> {
        let run = |sql| self.connection.prepare_cached(sql)?.execute([]);
        run(sql).map(drop).map_err(|error| JournalError::of_sqlite(&self.path, error))
    }
}

/// What a panic said.
pub(super) fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}
