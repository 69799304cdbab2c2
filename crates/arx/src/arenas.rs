//! How many arenas the allocator has.
//!
//! glibc gives threads arenas of their own, up to eight for each core, and memory that is freed in
//! one is of no use in another. A run that decodes a million findings on several threads holds a
//! fifth more for it, a daemon for weeks. The number is read once, at the start of a program, from
//! the environment; so the program starts once more with it set.

use std::env;
use std::os::unix::process::CommandExt as _;

/// What glibc reads the number from (mallopt(3)).
const VARIABLE: &str = "MALLOC_ARENA_MAX";
/// One for threads that wait for the network, one for those that decode.
const ARENAS: &str = "2";

/// Starts this program once more with few arenas, unless somebody chose a number. Where it cannot
/// be started, it goes on as it is.
#[expect(clippy::disallowed_types, reason = "this process becomes the same program again")]
#[expect(clippy::disallowed_methods, reason = "glibc reads the same variable")]
pub(crate) fn limit() {
    if !cfg!(target_env = "gnu") || env::var_os(VARIABLE).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let mut arguments = env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // Only a failure comes back from this.
    let error = command.args(arguments).env(VARIABLE, ARENAS).exec();
    tracing::debug!(%error, "going on with the allocator as it is");
}
