//! A dataset while it is read: findings are folded, and their list is kept in the journal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arx_journal::{Journal, JournalError, Packed};
use arx_types::{Finding, FindingSink, SinkError};
use arx_workflow::merge::{Dataset, Fold, LineageRecorder};

use crate::observer::Observer;

/// Packed chunks that wait to be written.
const CHUNKS_WAITING_MAX: usize = 8;
/// Chunks that share one commit.
const CHUNKS_PER_WRITE: usize = 8;

/// Takes the findings of one read.
pub(crate) struct DatasetSink {
    fold: Fold,
    source: String,
    recorder: Arc<Recorder>,
    n_findings: AtomicU64,
    observer: Arc<dyn Observer>,
}

impl DatasetSink {
    /// A sink whose lineage is kept under `name`.
    pub(crate) fn open(
        source: &str,
        name: String,
        journal: Journal,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let recorder = Arc::new(Recorder::open(name, journal));
        let fold = Fold::new(source, Arc::clone(&recorder) as Arc<dyn LineageRecorder>);
        Self { fold, source: source.to_owned(), recorder, n_findings: AtomicU64::new(0), observer }
    }

    /// Rows taken so far.
    pub(crate) fn n_findings(&self) -> u64 {
        self.n_findings.load(Ordering::Relaxed)
    }

    /// Ends the read; blocks until its list is on disk. Gives the findings and the name of the
    /// list.
    pub(crate) fn close(&self, complete: bool) -> Result<(Dataset, String), SinkError> {
        let dataset = self.fold.finish(complete)?;
        self.recorder.close()?;
        Ok((dataset, self.recorder.name.clone()))
    }
}

impl FindingSink for DatasetSink {
    fn accept(&self, page: &[Finding<'_>]) -> Result<(), SinkError> {
        self.fold.accept(page)?;
        let n = self.n_findings.fetch_add(page.len() as u64, Ordering::Relaxed);
        self.observer.findings(&self.source, n + page.len() as u64);
        Ok(())
    }
}

/// Writes lineage chunks on a thread of its own, so that decoding never waits for the disk
/// unless it is far ahead of it.
struct Recorder {
    name: String,
    queue: Mutex<Option<SyncSender<Packed>>>,
    writer: Mutex<Option<JoinHandle<Result<(), JournalError>>>>,
}

impl Recorder {
    fn open(name: String, journal: Journal) -> Self {
        let (sender, receiver) = sync_channel(CHUNKS_WAITING_MAX);
        let dataset = name.clone();
        let writer = std::thread::Builder::new()
            .name("arx-lineage".to_owned())
            .spawn(move || write_all(&journal, &dataset, &receiver));
        let queue = writer.is_ok().then_some(sender);
        Self { name, queue: Mutex::new(queue), writer: Mutex::new(writer.ok()) }
    }

    fn close(&self) -> Result<(), SinkError> {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let not_recorded = |reason: String| SinkError::NotRecorded { reason };
        match writer.map(JoinHandle::join) {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(not_recorded(error.to_string())),
            Some(Err(_)) | None => Err(not_recorded("its writer is gone".to_owned())),
        }
    }
}

impl LineageRecorder for Recorder {
    fn record(&self, chunk: Vec<u8>) -> Result<(), SinkError> {
        let not_recorded = |reason: String| SinkError::NotRecorded { reason };
        let packed = Packed::bytes(&chunk).map_err(|error| not_recorded(error.to_string()))?;
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or_else(|| not_recorded("the read has ended".to_owned()))?;
        sender.send(packed).map_err(|_| not_recorded("its writer failed".to_owned()))
    }
}

fn write_all(
    journal: &Journal,
    dataset: &str,
    chunks: &Receiver<Packed>,
) -> Result<(), JournalError> {
    let mut n = 0;
    while let Ok(first) = chunks.recv() {
        let mut batch = vec![first];
        batch.extend(chunks.try_iter().take(CHUNKS_PER_WRITE - 1));
        let (dataset, from) = (dataset.to_owned(), n);
        n += batch.len() as u64;
        journal.write_blocking(move |tx| {
            (from..).zip(&batch).try_for_each(|(n, chunk)| tx.put_lineage(&dataset, n, chunk))
        })?;
    }
    Ok(())
}
