//! The walls around a workflow's process.
//!
//! The interpreter has no way to ask for a file, a socket or a process; these walls are for the
//! day when a bug in it gives a workflow the process itself. They are raised in two steps, both
//! before the script is read: [`raise_around_process`] on the main thread, so that the thread of
//! the interpreter inherits them, and [`raise_around_threads`] on that thread, once no further
//! thread is needed.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::{Limits, Walls};

/// The descriptors of the process: standard input, output and error.
const N_DESCRIPTORS: u64 = 3;

/// Limits memory, processor time and files, and cuts the process off from every path and port.
pub(super) fn raise_around_process(limits: &Limits) -> io::Result<Walls> {
    let cpu = limits.cpu_seconds.saturating_add(1);
    let space = address_space_now().saturating_add(limits.address_space_bytes);
    limit(Resource::As, space, space)?;
    // The first signal says what happened; the second cannot be ignored.
    limit(Resource::Cpu, cpu, cpu.saturating_add(1))?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    let landlock = platform::landlock();
    Ok(Walls { rlimits: true, landlock, seccomp: false })
}

/// Takes away new descriptors, new processes, and every system call that is not needed; from
/// all threads at once.
pub(super) fn raise_around_threads(walls: Walls) -> io::Result<Walls> {
    limit(Resource::Nofile, N_DESCRIPTORS, N_DESCRIPTORS)?;
    limit(Resource::Nproc, 0, 0)?;
    Ok(Walls { seccomp: platform::seccomp()?, ..walls })
}

/// Raises every wall around a process of one thread. For tests of the walls themselves.
///
/// # Errors
/// When the system refuses a wall that it has.
#[doc(hidden)]
pub fn raise_all_walls(limits: &Limits) -> io::Result<Walls> {
    raise_around_threads(raise_around_process(limits)?)
}

fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) })?;
    Ok(())
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

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod platform {
    use std::collections::BTreeMap;
    use std::io;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError,
        RulesetStatus, Scope,
    };
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
        SeccompFilter, SeccompRule,
    };

    /// System calls that the interpreter and the runtime need whatever their arguments are.
    const ALLOWED: &[libc::c_long] = &[
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_brk,
        libc::SYS_madvise,
        libc::SYS_futex,
        libc::SYS_sched_yield,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_restart_syscall,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_getpid,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];

    /// Whether the kernel now denies every path, port and foreign process.
    ///
    /// A kernel without Landlock leaves the other walls, which [`super::Walls`] says.
    pub(super) fn landlock() -> bool {
        const NEWEST: ABI = ABI::V6;
        let restrict = || -> Result<RulesetStatus, RulesetError> {
            let ruleset = Ruleset::default()
                .handle_access(AccessFs::from_all(NEWEST))?
                .handle_access(AccessNet::from_all(NEWEST))?
                .scope(Scope::from_all(NEWEST))?;
            Ok(ruleset.create()?.restrict_self()?.ruleset)
        };
        matches!(restrict(), Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced))
    }

    /// Filters the system calls of all threads; what is not allowed fails with `EPERM`.
    pub(super) fn seccomp() -> io::Result<bool> {
        let filter = filter().map_err(io::Error::other)?;
        match seccompiler::apply_filter_all_threads(&filter) {
            Ok(()) => Ok(true),
            // A kernel without seccomp leaves the other walls.
            Err(seccompiler::Error::Seccomp(error))
                if error.raw_os_error() == Some(libc::EINVAL)
                    || error.raw_os_error() == Some(libc::ENOSYS) =>
            {
                Ok(false)
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn filter() -> Result<BpfProgram, BackendError> {
        let is = |argument: u8, value: u64| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
        };
        let rule = |condition: SeccompCondition| SeccompRule::new(vec![condition]);
        // A descriptor that was inherited by mistake is out of reach.
        let from_parent = vec![rule(is(0, 0)?)?];
        let to_parent = vec![rule(is(0, 1)?)?, rule(is(0, 2)?)?];
        // No memory becomes code.
        let executable = libc::PROT_EXEC as u64;
        let not_code = || {
            let operator = SeccompCmpOp::MaskedEq(executable);
            rule(SeccompCondition::new(2, SeccompCmpArgLen::Dword, operator, 0)?)
        };
        // `abort` signals its own process, and nobody may signal another.
        let own = vec![rule(is(0, u64::from(std::process::id()))?)?];

        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            ALLOWED.iter().map(|&call| (call, vec![])).collect();
        rules.insert(libc::SYS_read, from_parent);
        rules.insert(libc::SYS_write, to_parent.clone());
        rules.insert(libc::SYS_writev, to_parent);
        rules.insert(libc::SYS_mmap, vec![not_code()?]);
        rules.insert(libc::SYS_mprotect, vec![not_code()?]);
        rules.insert(libc::SYS_tgkill, own);

        let denied = SeccompAction::Errno(libc::EPERM as u32);
        let arch = std::env::consts::ARCH.try_into()?;
        SeccompFilter::new(rules, denied, SeccompAction::Allow, arch)?.try_into()
    }
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod platform {
    use std::io;

    pub(super) fn landlock() -> bool {
        false
    }

    pub(super) fn seccomp() -> io::Result<bool> {
        Ok(false)
    }
}
