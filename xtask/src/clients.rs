//! The vendors' own client libraries, unmodified, against `arx sim`.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::SCRATCH;
use crate::run::{run, tool};

/// How long the simulators may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const SCRIPTS: &str = "crates/arx-sim/clients";

/// Ends the simulators however the check ends.
struct Simulators(Child);

impl Drop for Simulators {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn check() -> Result<()> {
    let requirements = format!("{SCRIPTS}/requirements.txt");
    let python = tool("clients", &["-r", &requirements], "python")?;
    // The interpreter is there before its packages are.
    run(
        &python,
        &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &requirements],
    )?;
    let mut scripts: Vec<String> = std::fs::read_dir(SCRIPTS)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.starts_with("check_") && name.ends_with(".py"))
        })
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    scripts.sort();
    if scripts.is_empty() {
        bail!("no check_*.py in {SCRIPTS}");
    }
    run("cargo", &["build", "--release", "--locked", "-p", "arx"])?;
    for script in scripts {
        let environment = format!("{SCRATCH}/clients.env");
        let _ = std::fs::remove_file(&environment);
        let child = Command::new("target/release/arx")
            .args(["sim", "--port", "0", "--tls", "--env-file", &environment])
            .spawn()
            .context("cannot start `arx sim`")?;
        let _simulators = Simulators(child);
        let started = Instant::now();
        while !Path::new(&environment).exists() {
            if started.elapsed() > START_TIMEOUT {
                bail!("`arx sim` wrote no environment file");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("-- {script}");
        run(&python, &[&script, &environment])?;
    }
    Ok(())
}
