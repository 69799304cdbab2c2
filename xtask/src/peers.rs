//! The escalation of 400 CVEs beside what a good engineer would write on DBOS, under the same
//! faults.

use anyhow::Result;

use crate::run::{run, tool};

const PEER: &str = "bench/peers/dbos";

/// All rows; the table that docs/reliability.md holds.
pub(crate) fn table() -> Result<()> {
    peer(&["--seed", "7", "--cves", "400", "--repeats", "3"])
}

/// Two rows of a dozen CVEs, so that the peer goes on running; no measurement.
pub(crate) fn smoke() -> Result<()> {
    peer(&["--cves", "12", "--rows", "no fault,reply lost after commit"])
}

fn peer(arguments: &[&str]) -> Result<()> {
    let requirements = format!("{PEER}/requirements.txt");
    let python = tool("peers", &["-r", &requirements], "python")?;
    // The interpreter is there before its packages are, so they are asked for every time.
    run(&python, &["-m", "pip", "install", "--quiet", "-r", &requirements])?;
    run("cargo", &["build", "--release", "--locked", "-p", "arx"])?;
    let script = format!("{PEER}/run.py");
    run(&python, &[&[script.as_str(), "--arx", "target/release/arx"], arguments].concat())
}
