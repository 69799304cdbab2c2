//! Both workflows under every fault, with the real command beside the harness.

use std::path::PathBuf;

use anyhow::Result;

use crate::run::run;

/// Builds both in release, in one build so that they share what they depend on, and runs the
/// harness with these arguments.
pub(crate) fn faults(args: &[String]) -> Result<()> {
    run("cargo", &["build", "--release", "--locked", "-p", "arx", "-p", "bench-faults"])?;
    #[expect(clippy::disallowed_methods, reason = "cargo reads the same variable")]
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    let harness = target.join("release/bench-faults");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&harness.display().to_string(), &args)
}
