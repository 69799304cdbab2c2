//! Verifies a thousand tickets over a thousand hosts with the real `arx` command, and prints beside
//! what it took the least time that the vendors' rate limits allow for as many requests.
//!
//! `cargo run --release -p bench-runs --bin bench-verification -- [tickets]`, after
//! `cargo build --release -p arx`. CrowdStrike and Qualys are held to the limits that they
//! publish. ServiceNow publishes none; it is held to one that an administrator might set.
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_types, reason = "a bench starts programs")]

mod measure;
mod program;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use arx_sim::{Options, Vendor};

use measure::measure;
use program::arx_binary;

const TICKETS: &str = "1000";
const BUNDLE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../library/workflows/patch-verification");

/// A vendor with the limit that the run is held to: requests in a window of seconds.
struct Limited {
    vendor: Vendor,
    /// The connector's line of the bundle up to where the limit goes.
    bound: &'static str,
    requests: u64,
    per_s: u64,
}

const LIMITS: [Limited; 3] = [
    Limited {
        vendor: Vendor::ServiceNow,
        bound: "servicenow: { operations: [\"incidents:read\", \"incidents:update\"]",
        requests: 250,
        per_s: 1,
    },
    Limited {
        vendor: Vendor::Qualys,
        bound: "qualys: { operations: [\"scans:read\"]",
        requests: 300,
        per_s: 3600,
    },
    Limited {
        vendor: Vendor::CrowdStrike,
        bound: "crowdstrike: { operations: [\"hosts:read\"]",
        requests: 6000,
        per_s: 60,
    },
];

impl Limited {
    /// The least time for so many requests: a window opens anew after each full one.
    fn least_s(&self, requests: u64) -> u64 {
        requests.saturating_sub(1) / self.requests * self.per_s
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let tickets = std::env::args().nth(1).unwrap_or_else(|| TICKETS.to_owned());
    let scenario = format!("generated:seed=1,findings=0,detections=0,tickets={tickets}");
    let options = Options { scenario: scenario.parse()?, ..Options::default() };
    let simulators = arx_sim::start(options).await?;
    let environment: BTreeMap<String, String> = simulators.environment();
    let scratch = tempfile::tempdir()?;
    let bundle = scratch.path().join("patch-verification");
    write_bundle(&bundle)?;

    let mut command = Command::new(arx_binary()?);
    command.arg("--state-dir").arg(scratch.path().join("state"));
    command.arg("run").arg(&bundle).arg("--json").envs(&environment);
    // The simulators answer on this runtime's threads while the run is waited for.
    let measured = tokio::task::spawn_blocking(move || measure(command)).await??;
    let report: serde_json::Value = serde_json::from_slice(&measured.stdout)
        .with_context(|| String::from_utf8_lossy(&measured.stderr).into_owned())?;

    let counts = report.get("counts").context("no counts")?;
    println!("{tickets} tickets over as many hosts: {}", counts);
    println!("{:<12} {:>9} {:>16} {:>9}", "vendor", "requests", "limit", "least s");
    let mut least_s = 0;
    for limited in &LIMITS {
        let requests = simulators.control().requests(limited.vendor);
        ensure!(requests > 0, "{} was not asked", limited.vendor);
        let limit = format!("{} in {} s", limited.requests, limited.per_s);
        let least = limited.least_s(requests);
        println!("{:<12} {requests:>9} {limit:>16} {least:>9}", limited.vendor.name());
        least_s = least_s.max(least);
    }
    println!(
        "took {:.1} s where the limits force {least_s} s ({:.2} times), {:.1} s of processor, \
         peak {:.1} MB",
        measured.wall_s,
        measured.wall_s / least_s.max(1) as f64,
        measured.cpu_s,
        measured.peak_mb
    );
    simulators.shutdown().await;
    Ok(())
}

/// The bundle of the library, held to the limits and without a limit on updates an hour.
fn write_bundle(directory: &Path) -> Result<()> {
    let library = Path::new(BUNDLE);
    let mut manifest = std::fs::read_to_string(library.join("arx.yaml"))?;
    for limited in &LIMITS {
        ensure!(manifest.contains(limited.bound), "`{}` is not in the bundle", limited.bound);
        let rate = format!("{}, rate: {}/{}s", limited.bound, limited.requests, limited.per_s);
        manifest = manifest.replace(limited.bound, &rate);
    }
    ensure!(manifest.contains("max: 200,"), "the bundle limits updates otherwise");
    let manifest = manifest.replace("max: 200,", "max: 100000,");
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("arx.yaml"), manifest)?;
    std::fs::copy(library.join("workflow.py"), directory.join("workflow.py"))?;
    Ok(())
}
