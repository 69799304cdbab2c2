//! The program that is measured, and what the kernel says of it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The release binary beside this one.
pub(crate) fn arx_binary() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().unwrap_or(Path::new(".")).join("arx");
    if !path.exists() {
        bail!("{} is missing; run `cargo build --release -p arx` first", path.display());
    }
    Ok(path)
}

/// Memory of a process in MB: `VmRSS:` for what it has now, `VmHWM:` for the most it had.
pub(crate) fn memory_mb(process: u32, field: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
