//! The record: shown, exported, kept elsewhere, and checked after somebody tampered with it.

use std::path::Path;

use serde_json::Value;

use crate::home::{Finished, Home, SMALL, WORKFLOW};

/// A run, so that there is a record.
fn ran(home: &Home) -> String {
    let simulate = format!("--simulate={SMALL}");
    let report = home.arx(&["run", WORKFLOW, &simulate, "--json"]).code(0).json();
    report["run_id"].as_str().unwrap().to_owned()
}

/// Replaces bytes of the database behind its back, wherever they are; as many as before.
fn tamper(home: &Home, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let database = home.state().join("arx.db");
    let mut bytes = std::fs::read(&database).unwrap();
    let is_there = |window: &[u8]| window == from.as_bytes();
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter_map(|(place, window)| is_there(window).then_some(place))
        .collect();
    assert!(!places.is_empty(), "no `{from}` in the database");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    std::fs::write(&database, bytes).unwrap();
}

#[track_caller]
fn finds(verified: &Finished, kind: &str) -> Value {
    assert_eq!(verified.code, 1, "{verified:?}");
    let report = verified.json();
    assert_eq!(report["ok"], false);
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == kind), "{report:#}");
    report
}

#[test]
fn a_sound_record_verifies() {
    let home = Home::new();
    home.arx(&["audit", "verify"]).code(1).says("there is no journal").says("--state-dir");
    assert!(!home.state().exists(), "looking makes nothing");
    ran(&home);
    let people = home.arx(&["audit", "verify"]).code(0).stdout;
    for words in ["the record holds", "checkpoints", "root", "key", "arx audit checkpoint -o FILE"]
    {
        assert!(people.contains(words), "no `{words}` in:\n{people}");
    }
    let report = home.arx(&["audit", "verify", "--json"]).code(0).json();
    assert_eq!((&report["ok"], &report["record_holds"]), (&true.into(), &true.into()));
    assert_eq!(report["leaves"], report["signed_leaves"]);
    assert_eq!(report["storage"], serde_json::json!([]));
}

#[test]
fn a_changed_leaf_is_found_and_told_from_a_damaged_disk() {
    let home = Home::new();
    ran(&home);
    tamper(&home, "\"rule\":\"page\"", "\"rule\":\"open\"");
    let verified = home.arx(&["audit", "verify", "--json"]);
    let report = finds(&verified, "tampered");
    assert_eq!(report["looks_like"], "tampering", "{report:#}");
    let people = home.arx(&["audit", "verify"]).code(1).stdout;
    assert!(people.contains("the record does not hold"), "{people}");
    assert!(people.contains("to do: stop ARX, keep the state directory as it is"), "{people}");
    assert!(!people.contains("the database is damaged"), "{people}");
    // It is shown as what it is, and nothing stumbles over it.
    home.arx(&["audit", "log", "--limit", "100"]).code(0);
}

#[test]
fn a_flipped_bit_of_a_leaf_is_told_from_a_changed_word() {
    let home = Home::new();
    ran(&home);
    // `g` and `c` differ in one bit.
    tamper(&home, "\"rule\":\"page\"", "\"rule\":\"pace\"");
    let verified = home.arx(&["audit", "verify", "--json"]);
    let report = finds(&verified, "unreadable");
    assert_eq!(report["looks_like"], "corruption", "{report:#}");
    let people = home.arx(&["audit", "verify"]).code(1).stdout;
    assert!(people.contains("with one bit flipped back it is what was recorded"), "{people}");
    assert!(people.contains("it looks like corruption"), "{people}");
}

#[test]
fn a_damaged_disk_is_told_from_tampering() {
    let home = Home::new();
    ran(&home);
    let database = home.state().join("arx.db");
    let mut bytes = std::fs::read(&database).unwrap();
    // The middle half reads as nothing, as bad sectors do.
    let page = 4096;
    let quarter = bytes.len() / page / 4 * page;
    bytes[quarter..3 * quarter].fill(0);
    std::fs::write(&database, bytes).unwrap();
    let verified = home.arx(&["audit", "verify"]).code(1);
    let said = format!("{}{}", verified.stdout, verified.stderr);
    assert!(said.contains("damaged"), "{said}");
    assert!(said.contains("backup"), "{said}");
}

#[test]
fn a_log_that_was_cut_is_found_by_a_checkpoint_kept_elsewhere() {
    let home = Home::new();
    ran(&home);
    let database = home.state().join("arx.db");
    let before = std::fs::read(&database).unwrap();
    ran(&home);
    let kept = home.arx(&["audit", "checkpoint", "-o", "kept.txt", "--json"]).code(0).json();
    let note = std::fs::read_to_string(home.path().join("kept.txt")).unwrap();
    assert_eq!(kept["checkpoint"], note.as_str());
    home.arx(&["audit", "verify", "--checkpoint", "kept.txt"]).code(0);

    // Whoever restores the old database has a log that holds by itself.
    std::fs::write(&database, before).unwrap();
    home.arx(&["audit", "verify"]).code(0);
    finds(&home.arx(&["audit", "verify", "--checkpoint", "kept.txt", "--json"]), "truncated");
    // The evidence against it is not written over.
    home.arx(&["audit", "checkpoint", "-o", "kept.txt"]).code(1).says("keep that file");
    assert_eq!(std::fs::read_to_string(home.path().join("kept.txt")).unwrap(), note);
}

#[test]
fn a_checkpoint_of_another_log_proves_nothing() {
    let (home, other) = (Home::new(), Home::new());
    ran(&home);
    ran(&other);
    other.arx(&["audit", "checkpoint", "-o", "kept.txt"]).code(0);
    let theirs = other.path().join("kept.txt").display().to_string();
    finds(&home.arx(&["audit", "verify", "--checkpoint", &theirs, "--json"]), "bad_signature");
    std::fs::write(home.path().join("noise"), "hello").unwrap();
    home.arx(&["audit", "verify", "--checkpoint", "noise"]).code(2).says("not a signed checkpoint");
    home.arx(&["audit", "checkpoint", "-o", "noise"]).code(2).says("not a signed checkpoint");
    home.arx(&["audit", "checkpoint", "-o", "state/kept.txt"]).code(2).says("proves nothing");
}

#[test]
fn evidence_of_a_run_checks_offline() {
    let home = Home::new();
    let run = ran(&home);
    home.arx(&["audit", "checkpoint", "-o", "kept.txt"]).code(0);
    ran(&home);
    let export = ["audit", "export", "--run", &run, "-o", "evidence.json"];
    let said = home.arx(&[&export[..], &["--since", "kept.txt", "--json"]].concat()).code(0).json();
    let bytes = std::fs::read(home.path().join("evidence.json")).unwrap();
    let kept = std::fs::read_to_string(home.path().join("kept.txt")).unwrap();
    let checks = arx_audit::BundleChecks {
        pinned_vkey: Some(said["vkey"].as_str().unwrap()),
        earlier_checkpoint: Some(&kept),
    };
    let proved = arx_audit::verify_bundle(&bytes, checks).unwrap();
    assert_eq!(proved.run, run);
    assert!(proved.is_key_pinned);
    home.arx(&export).code(0);
    let piped = home.arx(&["audit", "export", "--run", &run, "-o", "-"]).code(0).stdout;
    assert_eq!(piped.trim_end().as_bytes(), bytes_without_earlier(&home, &run).trim_ascii_end());
    home.arx(&["audit", "export", "--run", "run_1", "-o", "x"]).code(1).says("arx runs list");
    home.arx(&["audit", "export", "--run", &run, "-o", "no/such/place"]).code(1).says("no/such");
    assert!(!Path::new(&home.path().join("x")).exists());
}

fn bytes_without_earlier(home: &Home, run: &str) -> Vec<u8> {
    home.arx(&["audit", "export", "--run", run, "-o", "again.json"]).code(0);
    std::fs::read(home.path().join("again.json")).unwrap()
}

#[test]
fn leaves_are_listed_by_run_and_kind() {
    let home = Home::new();
    let run = ran(&home);
    let log = |args: &[&str]| {
        let log = home.arx(&[&["audit", "log", "--json"], args].concat()).code(0).json();
        log["leaves"].as_array().unwrap().clone()
    };
    assert_eq!(log(&["--limit", "3"]).len(), 3);
    let decisions = log(&["--run", &run, "--kind", "decision", "--limit", "1000"]);
    assert!(decisions.len() >= 8, "{}", decisions.len());
    for leaf in &decisions {
        assert_eq!((&leaf["kind"], &leaf["run"]), (&"decision".into(), &run.as_str().into()));
    }
    let seqs: Vec<u64> = decisions.iter().map(|leaf| leaf["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "newest first: {seqs:?}");
    let people = home.arx(&["audit", "log", "--kind", "decision"]).code(0).stdout;
    assert!(people.contains("PERMIT") && people.contains("by page"), "{people}");
    home.arx(&["audit", "log", "--kind", "nonsense"]).code(2);
    home.arx(&["audit", "log", "--limit", "0"]).code(2);
}
