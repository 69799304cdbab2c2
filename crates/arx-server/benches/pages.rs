//! How long every page takes over a long record: 100,000 runs, 1,000,000 leaves, 10,000 requests
//! that wait, 100,000 effects.
//!
//! `cargo bench -p arx-server --bench pages` makes the record, asks each page, and fails where one
//! takes longer than it may. A directory given with `-- --state DIR` keeps the record for the next
//! time; `-- --runs N` makes a shorter one.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that cannot measure stops")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arx_audit::LeafKind;
use arx_engine::registry;
use arx_gateway::Budgets;
use arx_journal::people::NewSession;
use arx_journal::{
    Journal, JournalError, LeafDraft, NewAction, NewApproval, NewIntent, NewReport, NewRun, Packed,
    Process, Settlement, StateDir, SystemClock, Tx, World,
};
use arx_server::identity::Identity;
use arx_server::web::{self, Settings};
use arx_server::{App, daemon};
use arx_types::{
    ApprovalId, Digest, EffectKey, EffectState, Operation, RiskClass, Role, RunId, RunStatus,
};
use arx_workflow::bundle::{Bundle, parse};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// What no page may take longer than.
const MAY_TAKE: Duration = Duration::from_millis(50);
const RUNS: u64 = 100_000;
const LEAVES_OF_RUN: u64 = 10;
/// Every so many runs one parks and asks.
const PARKED_EVERY: u64 = 10;
/// Runs in one transaction.
const BATCH: u64 = 500;
const ASKED: usize = 25;
const MANIFEST: &str = include_str!("../../../library/workflows/critical-vuln-escalation/arx.yaml");
const SOURCE: &str =
    include_str!("../../../library/workflows/critical-vuln-escalation/workflow.py");
const WORKFLOW: &str = "critical-vuln-escalation";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut kept, mut n_runs) = (None, RUNS);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--state" => kept = arguments.next().map(PathBuf::from),
            "--runs" => n_runs = arguments.next().unwrap().parse().unwrap(),
            // What cargo passes.
            _ => {}
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let directory = kept.unwrap_or_else(|| scratch.path().join("state"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ended = runtime.block_on(measure(&directory, n_runs));
    drop(runtime);
    if !ended {
        std::process::exit(1);
    }
}

async fn measure(directory: &std::path::Path, n_runs: u64) -> bool {
    let state = StateDir::open(directory).unwrap();
    let journal = Journal::open(&state, Arc::new(SystemClock)).unwrap();
    let begun = Instant::now();
    if journal.read(|reader| reader.tree_size()).await.unwrap() == 0 {
        fill(&journal, n_runs).await;
        println!("made in {:.0} s", begun.elapsed().as_secs_f64());
    }
    // Another one each time: a record that is kept has those of before.
    let cookie = format!("arxs_{:0<43}", ulid::Ulid::new().to_string());
    let digest = Digest::of_bytes(cookie.as_bytes());
    let admin = move |tx: &mut Tx<'_>| {
        let _ = tx.add_person("ada", Role::Admin, "arx");
        let expires_at = tx.now() + SignedDuration::from_hours(24);
        tx.start_session("ada", &NewSession { digest, expires_at, from: None }).unwrap();
        Ok::<_, JournalError>(())
    };
    journal.write(admin).await.unwrap();
    let size = journal.read(|reader| reader.tree_size()).await.unwrap();
    let process = Arc::new(Process::register(&state).unwrap());
    let handle = daemon::Handle::new(journal.clone(), process.clone(), Budgets::default());
    let identity = Arc::new(Identity::new(journal.clone()));
    let app = App { journal, process, world: World::live(), daemon: handle, identity };
    let listen = "127.0.0.1:7717".parse().unwrap();
    let router = web::router(app, Settings { listen, public_url: None, tls: false });
    println!("{size} leaves\n\n{:<62} {:>9} {:>9}", "page", "median", "slowest");
    let mut all_hold = true;
    for path in paths(n_runs, size) {
        all_hold &= ask(&router, &cookie, &path).await;
    }
    all_hold
}

/// Asks for a page several times; whether its median is what it may be.
async fn ask(router: &Router, cookie: &str, path: &str) -> bool {
    let mut times = Vec::new();
    for n in 0..=ASKED {
        let request = Request::builder()
            .uri(path)
            .header("host", "127.0.0.1:7717")
            .header("cookie", format!("arx={cookie}"))
            .body(Body::empty())
            .unwrap();
        let begun = Instant::now();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let took = begun.elapsed();
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
        // The first one fills caches that the daemon keeps.
        if n > 0 {
            times.push(took);
        }
    }
    times.sort();
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let median = times.get(times.len() / 2);
    let holds = median.is_some_and(|median| *median <= MAY_TAKE);
    let note = if holds { "" } else { "  TOO SLOW" };
    println!("{path:<62} {:>6.1} ms {:>6.1} ms{note}", ms(median), ms(times.last()));
    holds
}

fn paths(n_runs: u64, size: u64) -> Vec<String> {
    let (old, new) = (run_id(n_runs / 2), run_id(n_runs - 1));
    let asked = approval_id(n_runs - PARKED_EVERY);
    vec![
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs?before={old}"),
        format!("/runs?status=failed&workflow={WORKFLOW}&before={old}"),
        // None of this state: the whole list would have to be read without an index.
        "/runs?status=interrupted".to_owned(),
        "/runs?workflow=none".to_owned(),
        format!("/runs/{new}"),
        format!("/runs/{old}"),
        format!("/runs/{old}/steps"),
        "/approvals".to_owned(),
        format!("/approvals?before={}", approval_id(n_runs / 2)),
        "/approvals?state=denied".to_owned(),
        format!("/approvals/{asked}"),
        "/workflows".to_owned(),
        format!("/workflows/{WORKFLOW}"),
        "/effects".to_owned(),
        "/effects?state=failed".to_owned(),
        format!("/effects?run={old}"),
        "/audit".to_owned(),
        format!("/audit?before={}", size / 2),
        "/audit?kind=register".to_owned(),
        format!("/audit?run={old}"),
        // Found nowhere: a bounded range is looked through.
        "/audit?text=found-nowhere".to_owned(),
        "/audit?actor=nobody".to_owned(),
        format!("/audit/leaf/{}", size / 3),
        "/people".to_owned(),
        "/metrics".to_owned(),
        "/api/v1/overview".to_owned(),
        "/api/v1/runs?limit=200".to_owned(),
        "/api/v1/audit/leaves?limit=200".to_owned(),
        format!("/api/v1/audit/consistency?from={}", size / 2),
        format!("/api/v1/runs/{old}"),
    ]
}

fn run_id(n: u64) -> RunId {
    RunId::from_parts(1_767_225_600_000 + n, n.into())
}

fn approval_id(n: u64) -> ApprovalId {
    let n = n - n % PARKED_EVERY;
    ApprovalId::from_parts(1_767_225_600_000 + n, n.into())
}

fn packed(value: &Value) -> Packed {
    Packed::json(value).unwrap()
}

/// Makes the record with the journal's own writes, many in each transaction.
async fn fill(journal: &Journal, n_runs: u64) {
    let specs: Vec<_> = arx_connectors::ALL.iter().map(|vendor| vendor.spec).collect();
    let catalogue: Vec<_> = specs.iter().map(|spec| (spec.name, spec.operations)).collect();
    let manifest = parse("arx.yaml", MANIFEST, &catalogue).unwrap();
    let bundle = Bundle::new(manifest, MANIFEST.to_owned(), SOURCE.to_owned());
    let version = bundle.version;
    let review = registry::review(journal, bundle, &specs).await.unwrap();
    registry::register(journal, &review, "ada").await.unwrap();
    for from in (0..n_runs).step_by(usize::try_from(BATCH).unwrap()) {
        let upto = (from + BATCH).min(n_runs);
        let some = move |tx: &mut Tx<'_>| {
            for n in from..upto {
                one(tx, n, version)?;
            }
            Ok::<_, JournalError>(())
        };
        journal.write(some).await.unwrap();
    }
    journal.checkpoint().await.unwrap();
}

/// One run with its leaves, its effect, its report, and sometimes a request.
fn one(tx: &mut Tx<'_>, n: u64, version: Digest) -> Result<(), JournalError> {
    let id = run_id(n);
    tx.start_run(&NewRun {
        id: id.clone(),
        workflow: WORKFLOW.to_owned(),
        version,
        policy_version: "p".to_owned(),
        world: World::live(),
        actor: "schedule".to_owned(),
        inputs: packed(&json!({ "severities": ["CRITICAL"] })),
        args: packed(&json!({ "dry_run": false })),
    })?;
    let operation: Operation = "pagerduty.incidents:create".parse().unwrap();
    let leaf = |kind, status: &str| {
        LeafDraft::new(kind, "schedule").of_run(&id, WORKFLOW, &version, "p").status(status)
    };
    let key: EffectKey = format!("{WORKFLOW}/CVE-2026-{n}/1/page").parse().unwrap();
    let params = packed(&json!({ "title": format!("CVE-2026-{n}"), "priority": "P1" }));
    let intent = NewIntent {
        world: World::live(),
        key: key.clone(),
        run: id.clone(),
        workflow: WORKFLOW.to_owned(),
        operation: operation.clone(),
        params_sha256: Digest::of_bytes(b"p"),
        params: params.clone(),
        covers: Vec::new(),
    };
    tx.append_leaf(leaf(LeafKind::Run, "started"))?;
    let about = |leaf: LeafDraft| leaf.about(&operation, Some(&key), None);
    tx.intend_effect(&intent, about(leaf(LeafKind::Intent, "intended")))?;
    let settlement = Settlement {
        state: EffectState::Done,
        attempt: 1,
        result: Some(packed(&json!({ "id": "P1", "url": "https://acme.pagerduty.com/P1" }))),
        detail: None,
    };
    tx.settle_effect(&World::live(), &key, &settlement, about(leaf(LeafKind::Outcome, "done")))?;
    for step in 0..LEAVES_OF_RUN - 4 {
        tx.append_leaf(about(leaf(LeafKind::Decision, "decided")).with("step", step))?;
    }
    let report = json!({
        "items": [{ "id": format!("CVE-2026-{n}"), "title": "a title", "outcomes": ["paged"] }],
        "warnings": [], "sources": [],
    });
    let figures = json!({ "findings_read": 900, "merged": 1, "counts": { "paged": 1 } });
    tx.put_report(
        &id,
        &NewReport { report: packed(&report), figures: packed(&figures), minutes_saved: 30 },
    )?;
    let status = match n {
        n if n % PARKED_EVERY == 0 => RunStatus::Parked,
        n if n % 7 == 0 => RunStatus::Failed,
        _ => RunStatus::Succeeded,
    };
    if status == RunStatus::Parked {
        tx.request_approval(&NewApproval {
            id: approval_id(n),
            run: id.clone(),
            workflow: WORKFLOW.to_owned(),
            requester: "schedule".to_owned(),
            approvers: vec!["role:approver".to_owned()],
            quorum: 1,
            expires_at: tx.now() + SignedDuration::from_hours(48),
            severity: RiskClass::Medium,
            escalate_to: Vec::new(),
            remind_at: None,
            escalate_at: None,
            actions: vec![NewAction {
                digest: Digest::of_bytes(&n.to_le_bytes()),
                operation,
                preview: packed(&json!({ "params": { "title": "a title" }, "rule": "page" })),
                effect_key: None,
                risk: None,
                reason: "a rule asks".to_owned(),
            }],
        })?;
    }
    tx.append_leaf(leaf(LeafKind::Run, status.as_str()))?;
    tx.set_run_status(&id, status)
}
