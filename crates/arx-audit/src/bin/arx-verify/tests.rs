use std::fs;

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn golden(name: &str) -> String {
    format!("{GOLDEN}/{name}")
}

fn vkey() -> String {
    fs::read_to_string(golden("vkey.txt")).unwrap().trim().to_owned()
}

/// Runs the program; returns its exit code with what it printed, or the error.
fn verify(args: &[&str]) -> (u8, String) {
    let mut out = Vec::new();
    match run(args.iter().map(OsString::from), &mut out) {
        Ok(code) => (code, String::from_utf8(out).unwrap().replace(GOLDEN, "golden")),
        Err(Stop::Usage(message)) => (EXIT_USAGE, message.replace(GOLDEN, "golden")),
        Err(Stop::Write(source)) => panic!("{source}"),
    }
}

#[test]
fn a_good_bundle() {
    let (code, text) = verify(&[&golden("bundle.json")]);
    assert_eq!(code, EXIT_OK);
    insta::assert_snapshot!(text, @r"
    verified       5 leaves of run_01JCXZ5V2M8Q4T6W8Y0A2C4E6G: run 2, decision 1, intent 1, outcome 1
    log            arx/65fb82a8, checkpoint 7, root xyZfPSbhF83WA2pwcjdHtVJJ+18LpQ3Nb3GsTfSZoyw=
    key            arx/65fb82a8+65a9110d+ASFVdBOyB7of9O+Mm/JEwkIJ5MWq6tjXeLxuOO8WX8uy
    origin         NOT proved: the key came with the bundle; name the one you know with --key
    history        the log still begins with checkpoint 4
    complete       the first 4 leaves of the run are all here, as a later one counts
    ");
}

#[test]
fn a_good_bundle_with_everything_given() {
    let (key, checkpoint) = (vkey(), golden("checkpoint-4.txt"));
    let (code, text) =
        verify(&["--key", &key, "--checkpoint", &checkpoint, "--", &golden("bundle.json")]);
    assert_eq!(code, EXIT_OK);
    insta::assert_snapshot!(text, @r"
    verified       5 leaves of run_01JCXZ5V2M8Q4T6W8Y0A2C4E6G: run 2, decision 1, intent 1, outcome 1
    log            arx/65fb82a8, checkpoint 7, root xyZfPSbhF83WA2pwcjdHtVJJ+18LpQ3Nb3GsTfSZoyw=
    key            arx/65fb82a8+65a9110d+ASFVdBOyB7of9O+Mm/JEwkIJ5MWq6tjXeLxuOO8WX8uy
    origin         proved: this is the key you named
    history        the log still begins with checkpoint 4
    complete       the first 4 leaves of the run are all here, as a later one counts
    ");
}

#[test]
fn a_changed_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("changed.json");
    let good = fs::read_to_string(golden("bundle.json")).unwrap();
    fs::write(&path, good.replacen("PERMIT", "DENY", 1)).unwrap();
    let (code, text) = verify(&[path.to_str().unwrap()]);
    assert_eq!(code, EXIT_FINDINGS);
    insta::assert_snapshot!(text.replace(path.to_str().unwrap(), "changed.json"), @r"
    FAILED         changed.json: 2 problems
    tampered       leaf 2 is not in the signed tree: proof does not lead to the root
    invariant      leaf 3: intent of `pagerduty.incidents:create` without an earlier PERMIT, or an approved ESCALATE, of the same call in its run
    ");

    let (code, text) = verify(&["--json", path.to_str().unwrap()]);
    assert_eq!(code, EXIT_FINDINGS);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["findings"][0]["kind"], "tampered");
    assert_eq!(answer["findings"][0]["seq"], 2);
}

#[test]
fn json_says_what_is_proved() {
    let (code, text) = verify(&["--json", &format!("--key={}", vkey()), &golden("bundle.json")]);
    assert_eq!(code, EXIT_OK);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["report"]["is_key_pinned"], true);
    assert_eq!(answer["report"]["n_leaves"], 5);
    assert_eq!(answer["report"]["consistent_from"], 4);
    assert_eq!(answer["findings"], serde_json::json!([]));
}

#[test]
fn a_key_of_another_log() {
    let key = "arx/9fe95bf6+5de5b4bd+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let (code, text) = verify(&["--key", key, &golden("bundle.json")]);
    assert_eq!((code, text.contains("malformed")), (EXIT_USAGE, true), "{text}");
    let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let (code, text) = verify(&["--key", key, &golden("bundle.json")]);
    assert_eq!(code, EXIT_FINDINGS);
    insta::assert_snapshot!(text, @r"
    FAILED         golden/bundle.json: 2 problems
    bad signature  bundle is signed by `arx/65fb82a8+65a9110d+ASFVdBOyB7of9O+Mm/JEwkIJ5MWq6tjXeLxuOO8WX8uy`, expected `PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW`
    bad signature  checkpoint of the bundle: checkpoint is not signed by `PeterNeumann+c74f20a3`
    ");
}

#[test]
fn a_bundle_cannot_write_to_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evil.json");
    let good = fs::read_to_string(golden("bundle.json")).unwrap();
    fs::write(&path, good.replace("\"run\":\"run_", "\"run\":\"\\u001b[2J\u{202e}run_")).unwrap();
    let (code, text) = verify(&[path.to_str().unwrap()]);
    assert_eq!(code, EXIT_FINDINGS);
    assert!(text.contains("\u{fffd}[2J\u{fffd}run_"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

#[track_caller]
fn check_usage(args: &[&str], expected: &str) {
    assert_eq!(verify(args), (EXIT_USAGE, expected.to_owned()));
}

#[test]
fn bad_usage() {
    check_usage(&[], "which bundle?");
    check_usage(&["--key"], "`--key` needs a value");
    check_usage(&["--kee=1"], "unknown option `--kee=1`");
    check_usage(&["--json=1"], "unknown option `--json=1`");
    check_usage(&["-x"], "unknown option `-x`");
    check_usage(&["a", "b"], "one bundle at a time: `b`");
    check_usage(&["--key=x", "a"], "public key `x` is malformed: it is not `name+id+key`");
    check_usage(
        &[&golden("absent.json")],
        "cannot read `golden/absent.json`: No such file or directory (os error 2)",
    );
    check_usage(&[&golden("")], "cannot read `golden/`: Is a directory (os error 21)");
}

#[test]
fn help_and_version() {
    assert_eq!(verify(&["--help"]), (EXIT_OK, HELP.to_owned()));
    assert_eq!(verify(&["-V"]), (EXIT_OK, format!("arx-verify {}\n", env!("CARGO_PKG_VERSION"))));
}
