//! The walls around a workflow's process.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Limits, Walls};

/// Sets the limits that the kernel keeps. Nothing untrusted may have been read yet.
pub(super) fn raise(limits: &Limits) -> io::Result<Walls> {
    let both = |value: u64| Rlimit { current: Some(value), maximum: Some(value) };
    let cpu = limits.cpu_seconds.saturating_add(1);
    let space = address_space_now().saturating_add(limits.address_space_bytes);
    let rlimits = [
        (Resource::As, both(space)),
        (Resource::Cpu, Rlimit { current: Some(cpu), maximum: Some(cpu.saturating_add(1)) }),
        (Resource::Core, both(0)),
        (Resource::Fsize, both(0)),
    ];
    for (resource, limit) in rlimits {
        setrlimit(resource, limit)?;
    }
    Ok(Walls { rlimits: true, ..Walls::default() })
}

/// The address space that the process takes by merely being there.
#[cfg(target_os = "linux")]
fn address_space_now() -> u64 {
    let kib = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    kib.unwrap_or(0).saturating_mul(1 << 10)
}

#[cfg(not(target_os = "linux"))]
fn address_space_now() -> u64 {
    0
}
