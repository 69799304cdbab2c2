//! Runs a program and takes its time and its largest memory.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::program::memory_mb;

/// How often a running program's memory is looked at; the kernel keeps the peak in between.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Kernel ticks in a second, the same on every Linux that Rust supports.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one run took.
pub(crate) struct Measured {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_mb: f64,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a program to its end. Peak memory and processor time are of the process itself, read
/// from `/proc` until it ends.
pub(crate) fn measure(mut command: Command) -> Result<Measured> {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut out = child.stdout.take().context("no pipe")?;
    let mut err = child.stderr.take().context("no pipe")?;
    let stdout = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).map(|_| bytes)
    });
    let stderr = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).map(|_| bytes)
    });
    let (mut peak_mb, mut cpu_s) = (0.0, 0.0);
    let status = loop {
        if let Some(peak) = memory_mb(child.id(), "VmHWM:") {
            peak_mb = peak;
        }
        if let Some(cpu) = cpu_of(child.id()) {
            cpu_s = cpu;
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let wall_s = started.elapsed().as_secs_f64();
    let read = |thread: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| -> Result<Vec<u8>> {
        Ok(thread.join().map_err(|_| anyhow::anyhow!("a reader failed"))??)
    };
    let (stdout, stderr) = (read(stdout)?, read(stderr)?);
    if !status.success() {
        bail!("{command:?} ended with {status}: {}", String::from_utf8_lossy(&stderr));
    }
    Ok(Measured { wall_s, cpu_s, peak_mb, stdout, stderr })
}

fn cpu_of(process: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The fields after the name, which may hold spaces; user and system time are 14 and 15.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<f64> =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}
