//! The console in a real browser, and the API against its own description.

use std::path::Path;

use anyhow::{Result, bail};

use crate::SCRATCH;
use crate::run::{run, tool};

const BROWSER: &str = "crates/arx-server/browser";
const API: &str = "crates/arx-server/conformance";
/// Where distributions put the browser.
const CHROMIUM: [&str; 3] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/// A person walks through the console; pictures of every page stay in `target/xtask/console`.
pub(crate) fn browser() -> Result<()> {
    let Some(chromium) = CHROMIUM.into_iter().find(|path| Path::new(path).exists()) else {
        bail!("there is no Chromium; on Debian: apt-get install chromium");
    };
    let requirements = format!("{BROWSER}/requirements.txt");
    let python = tool("browser", &["-r", &requirements], "python")?;
    run(&python, &["-m", "pip", "install", "--quiet", "-r", &requirements])?;
    run("cargo", &["build", "--release", "--locked", "-p", "arx"])?;
    let script = format!("{BROWSER}/console.py");
    let shots = format!("{SCRATCH}/console");
    run(&python, &[&script, "target/release/arx", &shots, chromium])
}

/// Requests that the description of the API allows, and such that it does not, answered as it says.
pub(crate) fn api() -> Result<()> {
    let requirements = format!("{API}/requirements.txt");
    let python = tool("api", &["-r", &requirements], "python")?;
    run(&python, &["-m", "pip", "install", "--quiet", "-r", &requirements])?;
    run("cargo", &["build", "--release", "--locked", "-p", "arx"])?;
    run(&python, &[&format!("{API}/conformance.py"), "target/release/arx"])
}
