//! A journal with two runs that ask, people who answer, and a clock.

mod deadlines;
mod standing;
mod states;

use std::sync::Arc;

use arx_journal::{
    Clock, Journal, NewAction, NewApproval, NewRun, Packed, Process, StateDir, WorkflowVersion,
    World,
};
use arx_testkit::SimClock;
use arx_types::{ApprovalId, Digest, RiskClass, Role, RunId};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use super::*;

const REQUESTER: &str = "alice";
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

struct Fixture {
    directory: TempDir,
    clock: Arc<SimClock>,
    journal: Journal,
    process: Arc<Process>,
}

fn run(n: u128) -> RunId {
    RunId::from_parts(1, n)
}

fn id(n: u128) -> ApprovalId {
    ApprovalId::from_parts(1, n)
}

fn open(directory: &TempDir, clock: &Arc<SimClock>) -> (Journal, Arc<Process>) {
    let state = StateDir::open(&directory.path().join("state")).unwrap();
    let dynamic: Arc<dyn Clock> = clock.clone();
    (Journal::open(&state, dynamic).unwrap(), Arc::new(Process::register(&state).unwrap()))
}

impl Fixture {
    /// Two parked runs of two workflows, both started by [`REQUESTER`].
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let clock = Arc::new(SimClock::new());
        let (journal, process) = open(&directory, &clock);
        let fixture = Self { directory, clock, journal, process };
        for n in [1, 2] {
            fixture.write(move |tx| {
                let digest = Digest::of_bytes(&[u8::try_from(n).unwrap()]);
                tx.put_workflow_version(&WorkflowVersion {
                    digest,
                    name: format!("demo-{n}"),
                    manifest: String::new(),
                    source: String::new(),
                    policy_version: "p".to_owned(),
                })?;
                tx.start_run(&NewRun {
                    id: run(n),
                    workflow: format!("demo-{n}"),
                    version: digest,
                    policy_version: "p".to_owned(),
                    world: World::live(),
                    actor: REQUESTER.to_owned(),
                    inputs: Packed::json(&json!({}))?,
                    args: Packed::json(&json!({}))?,
                })
            });
        }
        fixture
    }

    /// The process ends, and another one starts.
    fn restart(self) -> Self {
        let Self { directory, clock, journal, process } = self;
        drop((journal, process));
        let (journal, process) = open(&directory, &clock);
        Self { directory, clock, journal, process }
    }

    fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&mut Tx<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> T {
        self.journal.write_blocking(f).unwrap()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn add(&self, name: &'static str, role: Role) {
        self.write(move |tx| Ok(tx.add_person(name, role, "ada").unwrap()));
    }

    /// Asks, and tells the log, as the driver does.
    fn ask(&self, request: NewApproval) {
        self.write(move |tx| {
            tx.request_approval(&request)?;
            let run = tx.run(&request.run)?.unwrap();
            let leaf = LeafDraft::new(LeafKind::Approval, REQUESTER)
                .of_run(&run.id, &run.workflow, &run.version, &run.policy_version)
                .status("requested")
                .with("approval", request.id.as_str())
                .with("quorum", request.quorum)
                .with("approvers", request.approvers.clone());
            tx.append_leaf(leaf).map(drop)
        });
    }

    fn approval(&self, n: u128) -> Approval {
        self.journal.read_blocking(|reader| reader.approval(&id(n))).unwrap().unwrap()
    }
}

/// A request of a run for actions by their digests, open for an hour.
fn request(n: u128, of: u128, now: Timestamp, digests: &[Digest]) -> NewApproval {
    let action = |digest: &Digest| NewAction {
        digest: *digest,
        operation: "jira.issues:create".parse().unwrap(),
        preview: Packed::json(&json!({ "params_sha256": digest })).unwrap(),
        effect_key: None,
        risk: None,
        reason: "risk_threshold".to_owned(),
    };
    NewApproval {
        id: id(n),
        run: run(of),
        workflow: format!("demo-{of}"),
        requester: REQUESTER.to_owned(),
        approvers: vec!["role:approver".to_owned()],
        quorum: 1,
        expires_at: now + 60 * MINUTE,
        severity: RiskClass::High,
        escalate_to: Vec::new(),
        remind_at: None,
        escalate_at: None,
        actions: digests.iter().map(action).collect(),
    }
}
