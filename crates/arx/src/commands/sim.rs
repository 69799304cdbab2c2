//! `arx sim`: the simulators of all vendors alone, until somebody stops them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use arx_sim::{Entry, Faults, JiraDeployment, Scenario, SimError, Simulators};
use clap::ValueEnum;
use serde_json::json;

use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::output::printable;

/// How often accepted writes are looked for, to be logged.
const LOG_INTERVAL: Duration = Duration::from_millis(50);

/// What may be typed after `arx sim`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx sim --env-file sim.env --ledger effects.jsonl --faults 'jira:error-after@3' &\n  \
    set -a; . ./sim.env; set +a; arx run critical-vuln-escalation")]
pub(crate) struct Args {
    /// The port on 127.0.0.1; a free one without it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// The file that every accepted write is added to; what it has already is taken up again.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// What goes wrong, as a comma-separated list of `[vendor[.operation]:]fault[=value][@n|%p][xN]`.
    #[arg(long, value_name = "SPEC", default_value = "", value_parser = faults)]
    faults: Faults,
    /// Which company the scanners look at: `default`, `awkward`, `empty`, or
    /// `generated:seed=N,findings=N,detections=N,cves=N,assets=N,critical=P,tickets=N`.
    #[arg(long, value_name = "SCENARIO", default_value = "default", value_parser = scenario)]
    scenario: Scenario,
    /// Write the environment that a client needs to this file, as lines that a shell reads.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Give https addresses; the certificate is written beside the environment file.
    #[arg(long, requires = "env_file")]
    tls: bool,
    /// Where all chance comes from.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which Jira is simulated.
    #[arg(long, default_value = "cloud")]
    jira: Jira,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Jira {
    /// API version 3, e-mail and API token.
    Cloud,
    /// API version 2, personal access token.
    DataCenter,
}

fn faults(text: &str) -> Result<Faults, String> {
    text.parse().map_err(|error: arx_sim::FaultError| error.to_string())
}

fn scenario(text: &str) -> Result<Scenario, String> {
    text.parse().map_err(|error: arx_sim::ScenarioError| error.to_string())
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let interrupt = Interrupt::listen(ctx.output(), "stopping the simulators")?;
    let simulators = arx_sim::start(arx_sim::Options {
        port: args.port,
        scenario: args.scenario.clone(),
        faults: args.faults.clone(),
        seed: args.seed,
        ledger: args.ledger.clone(),
        tls_urls: args.tls,
        jira: match args.jira {
            Jira::Cloud => JiraDeployment::Cloud,
            Jira::DataCenter => JiraDeployment::DataCenter,
        },
        now: None,
    })
    .await
    .map_err(of_sim)?;
    if let Some(path) = &args.env_file {
        simulators.write_env_file(path).map_err(of_sim)?;
    }
    announce(ctx, &args, &simulators);
    let mut n_logged = simulators.ledger().len();
    let mut pause = tokio::time::interval(LOG_INTERVAL);
    loop {
        tokio::select! {
            () = interrupt.asked() => break,
            _ = pause.tick() => n_logged = log(ctx, &simulators, n_logged),
        }
    }
    log(ctx, &simulators, n_logged);
    simulators.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

fn announce(ctx: &Context, args: &Args, simulators: &Simulators) {
    let output = ctx.output();
    if ctx.is_json() {
        output.document(&json!({
            "url": simulators.url(),
            "env_file": args.env_file,
            "ledger": args.ledger,
            "writes": simulators.ledger().len(),
        }));
        return;
    }
    let paint = output.paint();
    output.data(&format!("{} {}", paint.bold("simulators at"), simulators.url()));
    if let Some(path) = &args.ledger {
        let n = simulators.ledger().len();
        output.data(&format!("  ledger       {} ({n} writes so far)", path.display()));
    }
    if let Some(path) = &args.env_file {
        output.data(&format!("  environment  set -a; . {}; set +a", path.display()));
    }
    output.note(&output.paint_notes().dim("Ctrl-C stops them"));
}

fn log(ctx: &Context, simulators: &Simulators, n_logged: usize) -> usize {
    let entries = simulators.ledger();
    for entry in entries.iter().skip(n_logged) {
        ctx.output().note(&line(entry));
    }
    entries.len()
}

fn line(entry: &Entry) -> String {
    format!(
        "{:>4}  {:<9}  {:<18}  {:<16}  {}",
        entry.n,
        entry.vendor.name(),
        printable(&entry.operation),
        printable(&entry.id),
        printable(&entry.title)
    )
}

fn of_sim(error: SimError) -> CommandError {
    let message = error.to_string();
    match error {
        SimError::Listen { .. } => {
            CommandError::config(message).hint("choose another --port, or none for a free one")
        }
        SimError::Ledger { .. } | SimError::LedgerLine { .. } | SimError::EnvFile { .. } => {
            CommandError::config(message)
        }
        _ => CommandError::internal(message),
    }
}
