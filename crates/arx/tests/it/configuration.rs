//! What is wrong before a run begins is said at once, whole, and with exit code 2.

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

#[test]
fn every_missing_variable_of_every_vendor_is_listed() {
    let home = Home::new();
    let run = home.arx(&["run", WORKFLOW]).code(2);
    for name in [
        "WIZ_CLIENT_ID",
        "WIZ_CLIENT_SECRET",
        "WIZ_API_URL",
        "PAGERDUTY_API_KEY",
        "PAGERDUTY_SERVICE_ID",
        "JIRA_URL",
        "JIRA_API_TOKEN",
        "JIRA_PROJECT_KEY",
    ] {
        assert!(run.stderr.contains(name), "no `{name}` in:\n{}", run.stderr);
    }
    // Nobody configured the optional vendor, and nobody has to.
    assert!(!run.stderr.contains("QUALYS"), "{}", run.stderr);
    assert!(run.stderr.contains("hint:"), "{}", run.stderr);

    let error = home.arx(&["run", WORKFLOW, "--json"]).code(2).json();
    assert_eq!(error["error"]["kind"], "config");
    assert_eq!(error["error"]["details"].as_array().unwrap().len(), 3);
    assert!(home.runs().is_empty());
}

#[test]
fn an_optional_vendor_is_whole_or_absent() {
    let simulators = Simulators::new(SMALL, "");
    let mut home = Home::at(&simulators);
    home.variables.remove("QUALYS_PASSWORD");
    home.arx(&["run", WORKFLOW]).code(2).says("QUALYS_PASSWORD");
    // Set aside by the inputs, it needs no variable at all.
    let report = home.arx(&["run", WORKFLOW, "--set", "qualys_enabled=false", "--json"]).code(0);
    assert_eq!(report.json()["sources"].as_array().unwrap().len(), 1);
    // Not configured at all, it is left out with a word.
    home.variables.retain(|name, _| !name.starts_with("QUALYS"));
    let report = home.arx(&["run", WORKFLOW, "--json"]).code(0).says("QUALYS_URL").json();
    assert_eq!(report["counts"]["already_open"], 3, "{report:#}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("going on without it"), "{warnings}");
}

#[test]
fn every_wrong_credential_is_named_before_anything_is_begun() {
    let simulators = Simulators::new(SMALL, "");
    let mut home = Home::at(&simulators);
    home.variables.insert("WIZ_CLIENT_SECRET".to_owned(), "wrong-wiz-canary".to_owned());
    home.variables.insert("JIRA_API_TOKEN".to_owned(), "wrong-jira-canary".to_owned());
    let run = home.arx(&["run", WORKFLOW]).code(2).says("WIZ_CLIENT_SECRET").says("JIRA_API_TOKEN");
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    assert!(home.runs().is_empty());
    assert!(simulators.writes().is_empty());
    let doctor = home.arx(&["doctor", "--config", WORKFLOW]).code(1);
    assert!(doctor.stdout.contains("WIZ_CLIENT_SECRET"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("canary"), "{}", doctor.stdout);
}

#[test]
fn a_doctor_finds_all_well() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let found = home.arx(&["doctor", "--config", WORKFLOW, "--json"]).code(0).json();
    assert_eq!(found["healthy"], true);
    let health = |what: &str| {
        let findings = found["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["what"] == what);
        finding.unwrap_or_else(|| panic!("no `{what}`"))["health"].clone()
    };
    for what in ["state directory", "clock", "trust store", "wiz", "qualys", "pagerduty", "jira"] {
        assert_eq!(health(what), "ok", "{what}: {found:#}");
    }
    home.arx(&["doctor"]).code(0);
    home.arx(&["doctor", "--config", "no-such-workflow"]).code(2);
}

#[test]
fn overrides_are_checked() {
    let home = Home::new();
    #[track_caller]
    fn check(home: &Home, set: &str, says: &str) {
        home.arx(&["run", WORKFLOW, "--simulate", "--set", set]).code(2).says(says);
    }
    check(&home, "storm_treshold=3", "did you mean `storm_threshold`");
    check(&home, "storm_threshold=many", "whole number");
    check(&home, "qualys_min_severity=9", "1 to 5");
    check(&home, "severities", "key=value");
    home.arx(&["run", WORKFLOW, "--simulate=nowhere"]).code(2).says("unknown scenario");
    assert!(home.runs().is_empty());
}

#[test]
fn mistakes_on_the_command_line_are_json_where_json_is_asked_for() {
    let home = Home::new();
    let error = home.arx(&["run", "--json"]).code(2).json();
    assert_eq!(error["error"]["kind"], "user");
    let error = home.arx(&["runs", "show", "nonsense", "--json"]).code(2).json();
    assert!(error["error"]["message"].as_str().unwrap().contains("nonsense"), "{error:#}");
}

#[test]
fn mistakes_in_a_bundle_are_shown_with_their_line() {
    let home = Home::new();
    let bundle = home.bundle(&[("hitl: false", "hiddl: false")]);
    let run = home.arx(&["run", &bundle, "--simulate"]).code(2).says("arx.yaml:18:3");
    assert!(run.stderr.contains("`hitl`"), "{}", run.stderr);
    let error = home.arx(&["run", &bundle, "--simulate", "--json"]).code(2).json();
    assert_eq!(error["error"]["diagnostics"][0]["line"], 18, "{error:#}");

    let bundle = home.bundle(&[("async def main():", "async def main(:")]);
    home.arx(&["run", &bundle, "--simulate"]).code(2).says("workflow.py:10:");
    let bundle = home.bundle(&[("import asyncio", "import os")]);
    home.arx(&["run", &bundle, "--simulate"]).code(2).says("workflow.py:7:");
    assert!(home.runs().is_empty());
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let home = Home::new();
    std::fs::write(home.path().join("file"), "").unwrap();
    let run = home.arx(&["--state-dir", "file/below", "runs", "list"]);
    assert!(run.code == 1 || run.code == 2, "{run:?}");
    assert!(run.stderr.contains("file/below"), "{}", run.stderr);
    std::fs::create_dir(home.state()).unwrap();
    std::fs::write(home.state().join("arx.db"), "not a database, and longer than a header")
        .unwrap();
    let run = home.arx(&["runs", "list"]);
    assert_ne!(run.code, 0);
    assert!(run.stderr.contains("hint:"), "{}", run.stderr);
}

#[test]
fn simulators_refuse_what_they_do_not_understand() {
    let home = Home::new();
    home.arx(&["sim", "--faults", "jira:nonsense"]).code(2).says("unknown fault");
    home.arx(&["sim", "--scenario", "nowhere"]).code(2).says("unknown scenario");
    std::fs::write(home.path().join("ledger"), "no ledger\n").unwrap();
    home.arx(&["sim", "--ledger", "ledger"]).code(2).says("not a ledger entry");
}
