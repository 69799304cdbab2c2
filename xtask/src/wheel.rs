//! The wheel installs into a clean environment and runs the main job.

use anyhow::{Context as _, Result};

use crate::SCRATCH;
use crate::run::{run, tool};

const MATURIN: &str = "maturin==1.16.0";

pub(crate) fn check() -> Result<()> {
    let maturin = tool("maturin", &[MATURIN], "maturin")?;
    let wheels = format!("{SCRATCH}/wheels");
    let _ = std::fs::remove_dir_all(&wheels);
    run(&maturin, &["build", "--release", "--locked", "--out", &wheels])?;
    let environment = format!("{SCRATCH}/venv-wheel");
    let _ = std::fs::remove_dir_all(&environment);
    run("python3", &["-m", "venv", &environment])?;
    let wheel = std::fs::read_dir(&wheels)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .context("maturin built no wheel")?;
    let wheel = wheel.to_string_lossy().into_owned();
    let python = format!("{environment}/bin/python");
    run(&python, &["-m", "pip", "install", "--quiet", "--no-index", &wheel])?;
    let state = format!("{SCRATCH}/wheel-state");
    let _ = std::fs::remove_dir_all(&state);
    run(
        &format!("{environment}/bin/arx"),
        &["--state-dir", &state, "run", "critical-vuln-escalation", "--simulate", "--json"],
    )
}
