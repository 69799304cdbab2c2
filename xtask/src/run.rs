//! Running programs, and Python tools in an environment of their own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::SCRATCH;

/// Runs a program; its output is shown.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<()> {
    run_env(program, args, &[])
}

/// Runs a program with further variables.
pub(crate) fn run_env(program: &str, args: &[&str], variables: &[(&str, String)]) -> Result<()> {
    let mut command = Command::new(program);
    command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
    let status = command.status().with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        bail!("`{program} {}` ended with {status}", args.join(" "));
    }
    Ok(())
}

/// What a program prints.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output()?;
    if !output.status.success() {
        bail!("`{program} {}` ended with {}", args.join(" "), output.status);
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A program from PyPI, installed into an environment of its own under `target/`.
pub(crate) fn tool(name: &str, packages: &[&str], program: &str) -> Result<String> {
    let environment = format!("{SCRATCH}/venv-{name}");
    let path = format!("{environment}/bin/{program}");
    if !Path::new(&path).exists() {
        if !Path::new(&environment).exists() {
            run("python3", &["-m", "venv", &environment])?;
        }
        let mut args = vec!["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        args.extend(packages);
        run(&format!("{environment}/bin/python"), &args)?;
    }
    Ok(path)
}
