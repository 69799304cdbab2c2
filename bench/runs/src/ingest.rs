//! Reads and merges generated findings with the real `arx` command and with the plain Python
//! script that a security engineer would write, in one run, from the same server.
//!
//! `cargo run --release -p bench-runs --bin bench-ingest -- [findings] [detections]`, after
//! `cargo build --release -p arx`. The server replays replies that were rendered once before, so
//! that what is measured is the client.
#![expect(clippy::disallowed_types, reason = "a bench starts programs and warms its own server")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "programs are found by PATH")]

mod measure;
mod program;
mod replay;

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result};
use arx_sim::Options;

use measure::{Measured, measure};
use program::arx_binary;

const FINDINGS: &str = "1000000";
const DETECTIONS: &str = "200000";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plain.py");
/// Each side runs so often after the warm-up; the best of each is compared.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let findings = args.next().unwrap_or_else(|| FINDINGS.to_owned());
    let detections = args.next().unwrap_or_else(|| DETECTIONS.to_owned());
    let scenario = format!(
        "generated:seed=1,findings={findings},detections={detections},cves=400,assets=50000"
    );
    let options = Options { scenario: scenario.parse()?, ..Options::default() };
    let simulators = arx_sim::start(options).await?;
    let server = replay::serve(simulators.url()).await?;
    let environment: BTreeMap<String, String> = simulators
        .environment()
        .into_iter()
        .map(|(name, value)| (name, value.replace(&simulators.url(), &server)))
        .collect();
    let arx = arx_binary()?;
    let scratch = tempfile::tempdir()?;

    println!("{findings} Wiz findings, {detections} Qualys detections, 400 CVEs, 50000 assets");
    println!("{:<8} {:>8} {:>9} {:>9} {:>10}", "side", "wall s", "cpu s", "peak MB", "CVEs");
    let mut best: BTreeMap<&str, f64> = BTreeMap::new();
    for round in 0..=ROUNDS {
        for side in ["arx", "python"] {
            if round == 0 && side == "python" {
                continue;
            }
            let mut command = match side {
                "arx" => {
                    let state = scratch.path().join(format!("state-{round}"));
                    let mut command = Command::new(&arx);
                    command.arg("--state-dir").arg(state).args([
                        "run",
                        "critical-vuln-escalation",
                        "--dry-run",
                        "--json",
                    ]);
                    command
                }
                _ => {
                    let mut command = Command::new("python3");
                    command.arg(SCRIPT);
                    command
                }
            };
            command
                .env_clear()
                .envs(&environment)
                .env("PATH", std::env::var_os("PATH").unwrap_or_default());
            let measured = tokio::task::spawn_blocking(move || measure(command)).await??;
            let merged = merged(&measured)?;
            let name = if round == 0 { "warm-up" } else { side };
            println!(
                "{name:<8} {:>8.2} {:>9.2} {:>9.1} {merged:>10}",
                measured.wall_s, measured.cpu_s, measured.peak_mb
            );
            if round > 0 {
                let least = best.entry(side).or_insert(f64::MAX);
                *least = least.min(measured.wall_s);
            }
        }
    }
    if let (Some(arx), Some(python)) = (best.get("arx"), best.get("python")) {
        println!("python / arx: {:.1}", python / arx);
    }
    simulators.shutdown().await;
    Ok(())
}

/// How many vulnerabilities a side found; both print one JSON document.
fn merged(measured: &Measured) -> Result<u64> {
    let document: serde_json::Value = serde_json::from_slice(&measured.stdout)
        .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&measured.stderr)))?;
    document
        .get("merged")
        .and_then(serde_json::Value::as_u64)
        .context("no count of vulnerabilities")
}
