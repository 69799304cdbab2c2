//! What the daemon costs: its memory while it idles, a thousand workflows that fire in one minute,
//! and a start over ten thousand parked approvals.
//!
//! `cargo run --release -p bench-runs --bin bench-daemon -- [idle|minute|parked]`, after
//! `cargo build --release -p arx`.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_types, reason = "a bench starts programs and asks them")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the real time")]

mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use arx_engine::registry;
use arx_journal::{
    Fire, FireState, Journal, NewAction, NewApproval, NewRun, Packed, StateDir, SystemClock,
    WorkflowVersion, World,
};
use arx_server::launch::specs;
use arx_sim::Options;
use arx_types::{ApprovalId, Digest, Operation, RiskClass, RunId, RunStatus};
use arx_workflow::bundle::{Bundle, parse};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use program::{arx_binary, memory_mb};

const WORKFLOWS: usize = 1000;
const APPROVALS: u128 = 10_000;
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a daemon idles before its memory is looked at.
const IDLE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<()> {
    // Only this function installs one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted = std::env::args().nth(1);
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    if is_wanted("idle") {
        idle().await?;
    }
    if is_wanted("minute") {
        one_minute().await?;
    }
    if is_wanted("parked") {
        parked().await?;
    }
    Ok(())
}

/// A daemon that is ended with the bench.
struct Serving {
    child: Child,
    url: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a daemon; gives it back once it is ready, with how long that took.
async fn serve(state: &Path, vendors: &BTreeMap<String, String>) -> Result<(Serving, Duration)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    let started = Instant::now();
    let child = Command::new(arx_binary()?)
        .arg("--state-dir")
        .arg(state)
        .args(["serve", "--listen", &listen])
        .envs(vendors)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut serving = Serving { child, url: format!("http://{listen}") };
    let client = reqwest::Client::new();
    loop {
        let ready = client.get(format!("{}/readyz", serving.url)).send().await;
        if ready.is_ok_and(|reply| reply.status().is_success()) {
            return Ok((serving, started.elapsed()));
        }
        ensure!(started.elapsed() < PATIENCE, "it is not ready");
        if let Some(status) = serving.child.try_wait()? {
            bail!("the daemon ended: {status}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn journal(state: &Path) -> Result<Journal> {
    Ok(Journal::open(&StateDir::open(state)?, Arc::new(SystemClock))?)
}

async fn idle() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    register(&journal(scratch.path())?, 2, "0 0 1 1 *").await?;
    let (serving, ready) = serve(scratch.path(), &BTreeMap::new()).await?;
    tokio::time::sleep(IDLE).await;
    let memory = memory_mb(serving.child.id(), "VmRSS:").context("no memory to read")?;
    println!("idle: ready after {:.2} s, {memory:.1} MB resident", ready.as_secs_f64());
    Ok(())
}

/// Registers workflows that read findings and write nothing.
async fn register(journal: &Journal, n: usize, cron: &str) -> Result<()> {
    let operations: Vec<_> = specs().iter().map(|spec| (spec.name, spec.operations)).collect();
    for n in 0..n {
        let yaml = format!(
            "apiVersion: arx/v1\nkind: Workflow\nmetadata: {{ name: read-{n} }}\n\
             schedule: {{ cron: '{cron}' }}\n\
             connectors: {{ wiz: {{ operations: ['findings:read'] }} }}\n\
             policy: {{ rules: [{{ name: read, effect: permit, connector: wiz, \
             operation: 'findings:read' }}] }}\n"
        );
        let source = "async def main():\n    \
                      findings = await wiz.findings.read(severities=['CRITICAL'])\n    \
                      merged = await arx.merge([findings])\n    \
                      arx.log(f'{len(merged.vulnerabilities)}')\n";
        let manifest = parse("arx.yaml", &yaml, &operations)
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let bundle = Bundle::new(manifest, yaml, source.to_owned());
        let review = registry::review(journal, bundle, &specs()).await?;
        registry::register(journal, &review, "bench").await?;
    }
    Ok(())
}

/// A thousand workflows are due at the same minute; the vendors answer at once.
async fn one_minute() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let scenario = "generated:seed=1,findings=20,detections=0,tickets=0".parse()?;
    let simulators = arx_sim::start(Options { scenario, ..Options::default() }).await?;
    let journal = journal(scratch.path())?;
    // Due once, at the first whole minute that leaves time to get ready.
    let due = Timestamp::now() + SignedDuration::from_secs(100);
    let due = due.to_zoned(jiff::tz::TimeZone::UTC);
    let cron = format!("{} {} {} {} *", due.minute(), due.hour(), due.day(), due.month());
    register(&journal, WORKFLOWS, &cron).await?;
    let (serving, _) = serve(scratch.path(), &simulators.environment()).await?;
    let due = due.with().second(0).subsec_nanosecond(0).build()?.timestamp();
    let patience = Instant::now();
    let (first, last, peak) = loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let fires = fires(&journal).await?;
        let begun: Vec<Timestamp> = fires
            .iter()
            .filter(|fire| fire.state == FireState::Started)
            .filter_map(|fire| fire.decided_at)
            .collect();
        ensure!(patience.elapsed() < PATIENCE, "{} of {WORKFLOWS} began", begun.len());
        let odd = fires.iter().find(|fire| fire.state == FireState::Failed);
        ensure!(odd.is_none(), "{odd:?}");
        if begun.len() == WORKFLOWS {
            let memory = memory_mb(serving.child.id(), "VmRSS:").context("no memory to read")?;
            break (begun.iter().min().copied(), begun.iter().max().copied(), memory);
        }
    };
    let after = |at: Option<Timestamp>| at.map_or(0.0, |at| at.duration_since(due).as_secs_f64());
    println!(
        "{WORKFLOWS} workflows due in one minute: the first began after {:.1} s, the last after \
         {:.1} s, {peak:.1} MB resident",
        after(first),
        after(last)
    );
    drop(serving);
    simulators.shutdown().await;
    Ok(())
}

async fn fires(journal: &Journal) -> Result<Vec<Fire>> {
    let read = journal.read(|reader| {
        let mut fires = Vec::new();
        for n in 0..WORKFLOWS {
            fires.extend(reader.fires(&format!("read-{n}"), &World::live(), None, 2)?);
        }
        Ok::<_, arx_journal::JournalError>(fires)
    });
    Ok(read.await?)
}

/// Ten thousand runs are parked, each with a request that nobody has answered.
async fn parked() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let journal = journal(scratch.path())?;
    register(&journal, 1, "0 0 1 1 *").await?;
    let version = WorkflowVersion {
        digest: Digest::of_bytes(b"parked"),
        name: "parked".to_owned(),
        manifest: String::new(),
        source: String::new(),
        policy_version: "bench".to_owned(),
    };
    journal
        .write(move |tx| {
            tx.put_workflow_version(&version)?;
            for n in 0..APPROVALS {
                let run = RunId::from_parts(1, n);
                tx.start_run(&NewRun {
                    id: run.clone(),
                    workflow: format!("read-{n}"),
                    version: version.digest,
                    policy_version: version.policy_version.clone(),
                    world: World::live(),
                    actor: "schedule".to_owned(),
                    inputs: Packed::json(&json!({}))?,
                    args: Packed::json(&json!({}))?,
                })?;
                tx.set_run_status(&run, RunStatus::Parked)?;
                let request = request(tx.now(), run, n)?;
                tx.request_approval(&request)?;
            }
            Ok::<_, arx_journal::JournalError>(())
        })
        .await?;
    let (serving, ready) = serve(scratch.path(), &BTreeMap::new()).await?;
    let memory = memory_mb(serving.child.id(), "VmRSS:").context("no memory to read")?;
    println!(
        "start over {APPROVALS} parked approvals: ready after {:.2} s, {memory:.1} MB resident",
        ready.as_secs_f64()
    );
    Ok(())
}

fn request(now: Timestamp, run: RunId, n: u128) -> Result<NewApproval, arx_journal::JournalError> {
    Ok(NewApproval {
        id: ApprovalId::from_parts(1, n),
        run,
        workflow: format!("read-{n}"),
        requester: "schedule".to_owned(),
        approvers: vec!["role:approver".to_owned()],
        quorum: 1,
        expires_at: now + SignedDuration::from_hours(24),
        severity: RiskClass::Medium,
        escalate_to: vec!["role:admin".to_owned()],
        remind_at: Some(now + SignedDuration::from_hours(2)),
        escalate_at: Some(now + SignedDuration::from_hours(4)),
        actions: vec![NewAction {
            digest: Digest::of_bytes(&n.to_le_bytes()),
            operation: Operation::new("pagerduty", "incidents:create"),
            preview: Packed::json(&json!({ "title": "CVE-2026-0001" }))?,
            effect_key: None,
            risk: None,
            reason: "asked for by a rule".to_owned(),
        }],
    })
}
