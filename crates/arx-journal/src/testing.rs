//! A journal in a temporary directory, for this crate's own tests. Other crates use
//! `arx-testkit`, which depends on this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arx_audit::LeafKind;
use arx_types::{Digest, RunId};
use jiff::Timestamp;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    Clock, Journal, JournalError, JournalOptions, LeafDraft, NewRun, Packed, Reader, StateDir, Tx,
    WorkflowVersion, World,
};

pub(crate) const WORKFLOW: &str = "demo";

/// A clock that a test sets, in microseconds since 1970.
#[derive(Debug)]
pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn advance_secs(&self, secs: i64) {
        self.0.fetch_add(secs * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) clock: Arc<ManualClock>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(1_767_225_600_000_000)));
        Self { directory: TempDir::new().unwrap(), clock }
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(&self.directory.path().join("state")).unwrap()
    }

    pub(crate) fn open(&self) -> Result<Journal, JournalError> {
        self.open_with(JournalOptions::default())
    }

    pub(crate) fn open_with(&self, options: JournalOptions) -> Result<Journal, JournalError> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Journal::open_with(&self.state(), clock, options)
    }

    /// A journal with one run in it.
    pub(crate) fn with_run(&self) -> (Journal, RunId) {
        let journal = self.open().unwrap();
        let run = run_id(1);
        start(&journal, &run);
        (journal, run)
    }

    /// The database as someone has it who knows how ARX writes.
    pub(crate) fn raw(&self) -> Connection {
        let raw = Connection::open(self.state().database()).unwrap();
        crate::schema::add_row_crc(&raw).unwrap();
        raw
    }
}

pub(crate) fn run_id(n: u128) -> RunId {
    RunId::from_parts(1_767_225_600_000, n)
}

pub(crate) fn version() -> WorkflowVersion {
    WorkflowVersion {
        digest: Digest::of_bytes(b"demo"),
        name: WORKFLOW.to_owned(),
        manifest: "kind: Workflow\n".to_owned(),
        source: "async def main():\n    pass\n".to_owned(),
        policy_version: "p1".to_owned(),
    }
}

pub(crate) fn new_run(id: &RunId) -> NewRun {
    NewRun {
        id: id.clone(),
        workflow: WORKFLOW.to_owned(),
        version: version().digest,
        policy_version: "p1".to_owned(),
        world: World::live(),
        actor: "alice".to_owned(),
        inputs: packed("inputs"),
        args: packed("args"),
    }
}

pub(crate) fn start(journal: &Journal, run: &RunId) {
    let run = new_run(run);
    write(journal, move |tx| {
        tx.put_workflow_version(&version())?;
        tx.start_run(&run)
    })
    .unwrap();
}

pub(crate) fn packed(text: &str) -> Packed {
    Packed::json(&json!({ "text": text })).unwrap()
}

pub(crate) fn leaf(actor: &str) -> LeafDraft {
    LeafDraft::new(LeafKind::Register, actor)
}

/// `write_blocking` with the error that most tests mean.
pub(crate) fn write<T: Send + 'static>(
    journal: &Journal,
    f: impl FnOnce(&mut Tx<'_>) -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    journal.write_blocking(f)
}

pub(crate) fn read<T>(
    journal: &Journal,
    f: impl FnOnce(&Reader<'_>) -> Result<T, JournalError>,
) -> T {
    journal.read_blocking(f).unwrap()
}
