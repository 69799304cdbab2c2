//! The vendors' own client libraries, unmodified, against `arx sim`.

use anyhow::Result;

use crate::run::{run, tool};

const SCRIPTS: &str = "crates/arx-sim/clients";

pub(crate) fn check() -> Result<()> {
    let requirements = format!("{SCRIPTS}/requirements.txt");
    let python = tool("clients", &["-r", &requirements], "python")?;
    // The interpreter is there before its packages are, so they are asked for every time.
    run(&python, &["-m", "pip", "install", "--quiet", "-r", &requirements])?;
    run("cargo", &["build", "--release", "--locked", "-p", "arx"])?;
    let script = format!("{SCRIPTS}/run.py");
    let simulators = ["target/release/arx", "sim", "--port", "0", "--scenario", "awkward"];
    run(&python, &[&[script.as_str()], &simulators[..]].concat())
}
