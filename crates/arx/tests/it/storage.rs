//! A disk that takes no more: the run ends with a clear error, nothing was sent unannounced, and
//! the next run with room finishes, each effect once.

use serde_json::Value;

use crate::home::{Finished, Home, SMALL, Simulators, WORKFLOW};

/// How many KiB a file may have: too few for the database, for its first writes, for the middle of
/// a run, and for its end.
const LIMITS_KIB: [u32; 7] = [64, 256, 288, 352, 448, 640, 896];

/// Runs a command whose files cannot grow beyond a limit. The signal that the system would kill it
/// with is ignored, so that each write fails as on a broken disk.
#[expect(clippy::disallowed_types, reason = "the binary is what is tested, under a shell's limit")]
fn limited(home: &Home, kib: u32, args: &[&str]) -> Finished {
    let inner = home.command(args);
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"")
        // POSIX counts in blocks of 512 bytes.
        .arg((kib * 2).to_string())
        .arg(inner.get_program())
        .args(inner.get_args())
        .env_clear()
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(home.path())
        .stdin(std::process::Stdio::null());
    let output = shell.output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_disk_that_takes_no_more_ends_the_run_and_not_the_promise() {
    let mut n_failed = 0;
    let mut n_sent = 0;
    for kib in LIMITS_KIB {
        let simulators = Simulators::new(SMALL, "");
        let home = Home::at(&simulators);
        let run = limited(&home, kib, &["run", WORKFLOW, "--json"]);
        assert!(!run.stderr.contains("panicked"), "{kib} KiB: {}", run.stderr);
        if run.code != 0 {
            n_failed += 1;
            let code = run.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
            let expected = ["ARX-E014", "ARX-E017", "ARX-E018"];
            assert!(expected.contains(&code.as_str()), "{kib} KiB: {} {}", run.stdout, run.stderr);
            assert_eq!(run.code, 1, "{kib} KiB: {}", run.stderr);
        }
        let sent = simulators.effects();
        n_sent += sent.len();
        if !sent.is_empty() {
            let effects = home.arx(&["effects", "list", "--json"]).code(0).json();
            let announced: Vec<&str> = effects["effects"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|effect: &Value| effect["key"].as_str().or(effect["effect"].as_str()))
                .collect();
            for key in sent.keys() {
                assert!(announced.contains(&key.as_str()), "{kib} KiB: `{key}`: {effects:#}");
            }
        }
        let bundle = home.impatient_bundle();
        home.arx(&["run", &bundle, "--json"]).code(0);
        home.arx(&["run", WORKFLOW, "--json"]).code(0);
        simulators.happened_once(6);
        home.arx(&["audit", "verify"]).code(0);
    }
    assert!(n_failed >= 4, "only {n_failed} of {} limits were felt", LIMITS_KIB.len());
    assert!(n_sent > 0, "no limit was felt in the middle of the writes");
}
