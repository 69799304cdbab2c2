//! How many durable writes the journal takes, by how many callers wait at once.
//!
//! `small` is one row; `leaf` one audit leaf with its tree hashes; `action` what the gate writes
//! for a permitted call: decision, intent, effect and both leaves in one write. Every write is on
//! disk when its caller goes on. Run with `cargo bench -p arx-journal`; the figures depend on how
//! fast the disk of the temporary directory syncs.

#![expect(clippy::expect_used, reason = "a bench that cannot set up has nothing to measure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arx_audit::LeafKind;
use arx_journal::{
    Claim, Journal, LeafDraft, NewDecision, NewIntent, NewRun, Packed, Process, StateDir,
    SystemClock, Tx, WorkflowVersion, World,
};
use arx_types::{Access, Decision, Digest, EffectKey, Operation, RunId, Verdict};
use divan::counter::ItemsCount;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Writes of one sample, shared among the callers.
const WRITES: u64 = 4096;
const CALLERS: [u64; 3] = [1, 8, 64];
/// Longer than a bench.
const LEASE: Duration = Duration::from_secs(3600);

fn main() {
    divan::main();
}

#[divan::bench(args = CALLERS, sample_count = 10, sample_size = 1)]
fn small(bencher: divan::Bencher<'_, '_>, callers: u64) {
    let value = Packed::json(&json!({ "qid": 1 })).expect("packs");
    run(bencher, callers, move |tx, n| {
        tx.put_cached("qualys", "kb", &[(n.to_string(), value.clone())]).expect("a row");
    });
}

#[divan::bench(args = CALLERS, sample_count = 10, sample_size = 1)]
fn leaf(bencher: divan::Bencher<'_, '_>, callers: u64) {
    run(bencher, callers, |tx, n| {
        tx.append_leaf(draft(LeafKind::Register).with("n", n)).expect("a leaf");
    });
}

#[divan::bench(args = CALLERS, sample_count = 10, sample_size = 1)]
fn action(bencher: divan::Bencher<'_, '_>, callers: u64) {
    let params =
        Packed::json(&json!({ "title": "CVE-2026-0001", "urgency": "high" })).expect("packs");
    let operation: Operation = "pagerduty.incidents:create".parse().expect("an operation");
    let decision = Decision {
        verdict: Verdict::Permit,
        rule: Some("page".to_owned()),
        reasons: vec!["rule `page` permits".to_owned()],
        risk: None,
    };
    run(bencher, callers, move |tx, n| {
        let key: EffectKey = format!("demo/CVE-{n}/1/page").parse().expect("a key");
        let params_sha256 = Digest::of_bytes(b"params");
        let about = |kind| draft(kind).about(&operation, Some(&key), Some(&params_sha256));
        let seq = tx.append_leaf(about(LeafKind::Decision).decided(&decision)).expect("a leaf").seq;
        tx.put_decision(&NewDecision {
            seq,
            run: run_id(),
            workflow: "demo".to_owned(),
            world: World::live(),
            operation: operation.clone(),
            access: Access::Write,
            verdict: Verdict::Permit,
            approval: None,
            effect_key: Some(key.clone()),
            request: params.clone(),
        })
        .expect("a decision");
        let intent = NewIntent {
            world: World::live(),
            key: key.clone(),
            run: run_id(),
            workflow: "demo".to_owned(),
            operation: operation.clone(),
            params_sha256,
            params: params.clone(),
            covers: Vec::new(),
        };
        tx.intend_effect(&intent, about(LeafKind::Intent)).expect("an intent");
    });
}

/// What the gate asks first of every write: the effect by its key, with its checksum compared.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn effect(bencher: divan::Bencher<'_, '_>) {
    let (_directory, _, journal) = opened();
    let key: EffectKey = "demo/CVE-1/1/page".parse().expect("a key");
    let params = json!({ "title": "CVE-2026-0001", "body": "a finding ".repeat(200) });
    let intent = NewIntent {
        world: World::live(),
        key: key.clone(),
        run: run_id(),
        workflow: "demo".to_owned(),
        operation: "pagerduty.incidents:create".parse().expect("an operation"),
        params_sha256: Digest::of_bytes(b"params"),
        params: Packed::json(&params).expect("packs"),
        covers: Vec::new(),
    };
    let intended =
        journal.write_blocking(move |tx| tx.intend_effect(&intent, draft(LeafKind::Intent)));
    intended.expect("an intent");
    bencher.counter(ItemsCount::new(WRITES)).bench_local(|| {
        let read = journal.read_blocking(|reader| {
            (0..WRITES).try_for_each(|_| reader.effect(&World::live(), &key).map(drop))
        });
        read.expect("an effect");
    });
}

/// What every write of a run asks first: whether the run is still this process's.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn lease(bencher: divan::Bencher<'_, '_>) {
    let (_directory, state, journal) = opened();
    let process = Process::register(&state).expect("a process");
    let claim = journal.write_blocking(move |tx| tx.claim_run(&run_id(), &process, LEASE));
    let Ok(Claim::Granted(lease)) = claim else { unreachable!("nobody else is there: {claim:?}") };
    bencher.counter(ItemsCount::new(WRITES)).bench_local(|| {
        let lease = lease.clone();
        let asked = journal.write_blocking(move |tx| {
            (0..WRITES).try_for_each(|_| tx.check_lease(&lease.run, lease.epoch))
        });
        asked.expect("the lease holds");
    });
}

fn run(
    bencher: divan::Bencher<'_, '_>,
    callers: u64,
    write: impl Fn(&mut Tx<'_>, u64) + Send + Sync + 'static,
) {
    let (_directory, _, journal) = opened();
    let runtime = Runtime::new().expect("a runtime");
    let (write, n) = (Arc::new(write), Arc::new(AtomicU64::new(0)));
    bencher.counter(ItemsCount::new(WRITES)).bench_local(|| {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..callers)
                .map(|_| {
                    let (journal, write, n) = (journal.clone(), Arc::clone(&write), Arc::clone(&n));
                    tokio::spawn(async move {
                        for _ in 0..WRITES / callers {
                            let (write, n) =
                                (Arc::clone(&write), n.fetch_add(1, Ordering::Relaxed));
                            let written = journal.write(move |tx| {
                                write(tx, n);
                                Ok(())
                            });
                            written.await.expect("a write");
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("a caller");
            }
        });
    });
}

/// A journal with one run.
fn opened() -> (TempDir, StateDir, Journal) {
    let directory = TempDir::new().expect("a temporary directory");
    let state = StateDir::open(&directory.path().join("state")).expect("a state directory");
    let journal = Journal::open(&state, Arc::new(SystemClock)).expect("a journal");
    let version = WorkflowVersion {
        digest: Digest::of_bytes(b"demo"),
        name: "demo".to_owned(),
        manifest: String::new(),
        source: String::new(),
        policy_version: "p1".to_owned(),
    };
    let run = NewRun {
        id: run_id(),
        workflow: "demo".to_owned(),
        version: version.digest,
        policy_version: "p1".to_owned(),
        world: World::live(),
        actor: "bench".to_owned(),
        inputs: Packed::json(&json!({})).expect("packs"),
        args: Packed::json(&json!({})).expect("packs"),
    };
    let started = journal.write_blocking(move |tx| {
        tx.put_workflow_version(&version)?;
        tx.start_run(&run)
    });
    started.expect("a run");
    (directory, state, journal)
}

fn run_id() -> RunId {
    RunId::from_parts(1, 1)
}

fn draft(kind: LeafKind) -> LeafDraft {
    LeafDraft::new(kind, "bench").of_run(&run_id(), "demo", &Digest::of_bytes(b"demo"), "p1")
}
