//! What a workflow's process costs: its start, and each call.
//!
//! Prints the best of several rounds; `cargo bench -p arx-workflow --bench host`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arx_workflow::host::{
    Event, Host, HostError, HostOptions, Limits, ObjectSpec, Reply, Script, child_main,
};
use serde_json::{Value, json};

const ROUNDS: usize = 15;
const N_CALLS: usize = 2_000;
const N_RECORDS: usize = 5_000;

/// The argument that makes this program the workflow's process.
const CHILD: &str = "__workflow-host";

const NOTHING: &str = "async def main():\n    await wiz.findings.read()\n";
const ONE_BY_ONE: &str =
    "async def main():\n    for n in range(config.n):\n        await wiz.findings.read(n=n)\n";
const AT_ONCE: &str = "
import asyncio

async def one(n):
    await wiz.findings.read(n=n)

async def main():
    await asyncio.gather(*[one(n) for n in range(config.n)])
";
const EACH: &str = "
async def one(n):
    page = await wiz.findings.read(n=n)
    arx.note(n, 'paged', incident=page.n)
    await wiz.findings.read(n=n)

async def main():
    await arx.each(range(config.n), one)
";
const RECORDS: &str = "
async def main():
    read = await wiz.findings.read()
    return len([v for v in read if v.assets[0].name == 'host'])
";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(CHILD) {
        return child_main();
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what a bench is for")]
fn report(line: &str) {
    println!("{line}");
}

fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = best(|| runtime.block_on(first_event()))?;
    report(&format!("start to first event     {start:>12?}"));
    for (name, source) in
        [("one by one", ONE_BY_ONE), ("all at once", AT_ONCE), ("arx.each, two calls", EACH)]
    {
        let whole = best(|| runtime.block_on(run(source, &json!(null))))?;
        let per_call = whole.saturating_sub(start) / u32::try_from(N_CALLS)?;
        report(&format!("{name:<25}{per_call:>12?} an item of {N_CALLS}"));
    }
    let asset = json!({"id": "i-1", "name": "host", "kind": "VIRTUAL_MACHINE", "projects": ["a"]});
    let record = json!({
        "id": "CVE-2026-0001", "title": "a title", "severity": "CRITICAL", "cvss": 9.8,
        "epss": 0.5, "sources": ["wiz", "qualys"], "assets": vec![asset; 5],
    });
    let reply = json!(vec![record; N_RECORDS]);
    let whole = best(|| runtime.block_on(run(RECORDS, &reply)))?;
    let per_record = whole.saturating_sub(start) / u32::try_from(N_RECORDS)?;
    report(&format!("one reply of records     {per_record:>12?} a record of {N_RECORDS}"));
    Ok(())
}

fn best(
    mut round: impl FnMut() -> Result<Duration, Box<dyn std::error::Error>>,
) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut best = round()?;
    for _ in 1..ROUNDS {
        best = best.min(round()?);
    }
    Ok(best)
}

async fn first_event() -> Result<Duration, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let mut host = start(NOTHING).await?;
    host.next().await?;
    let took = began.elapsed();
    host.stop().await;
    Ok(took)
}

async fn run(source: &str, reply: &Value) -> Result<Duration, Box<dyn std::error::Error>> {
    let began = Instant::now();
    let mut host = start(source).await?;
    let mut pending = std::collections::VecDeque::new();
    loop {
        match host.next().await? {
            Event::Call { id, params, .. } => pending.push_back((id, params)),
            Event::Blocked => {
                let (id, params) = pending.pop_front().ok_or("nothing is pending")?;
                let value = if reply.is_null() { Value::Object(params) } else { reply.clone() };
                host.resolve(id, Reply::Value(value)).await?;
            }
            Event::Item(_) | Event::Note(_) | Event::Log { .. } | Event::Progress { .. } => {}
            Event::Done(_) => return Ok(began.elapsed()),
            Event::Raised(raised) => return Err(raised.traceback.into()),
        }
    }
}

async fn start(source: &str) -> Result<Host, HostError> {
    let options = HostOptions {
        program: std::env::current_exe().map_err(HostError::Spawn)?,
        args: vec![CHILD.into()],
        limits: Limits::default(),
    };
    let wiz = ObjectSpec { connector: "wiz".into(), operations: vec!["findings:read".into()] };
    let script = Script {
        file: "workflow.py",
        source,
        config: &json!({"n": N_CALLS}),
        now: "2026-01-01T00:00:00Z",
        objects: &[wiz],
        functions: &[],
    };
    Host::start(&options, script).await
}
