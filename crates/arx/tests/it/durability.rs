//! Processes that die, that are asked to stop, or that meet: each effect happens once.

use std::time::Duration;

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

/// Vendors slow enough that a run can be caught in the middle of its writes.
const SLOW: &str = "pagerduty.incidents.create:latency=200ms,jira.issues.create:latency=1500ms";
/// How soon a run must stop that was asked to; generous for a machine under load.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_run_that_is_killed_again_and_again_does_everything_once() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    for _ in 0..3 {
        let run = home.start(&["run", &bundle, "--json"]);
        simulators.wait_for_write();
        run.kill();
    }
    let report = home.arx(&["run", &bundle, "--json"]).code(0).says("resuming run_").json();
    assert_eq!(report["status"], "succeeded");
    simulators.happened_once(6);
    // Every death was resumed, so there is one run.
    assert_eq!(home.runs().len(), 1);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_run_that_is_killed_between_its_tickets_makes_none_twice() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let run = home.start(&["run", &bundle, "--json"]);
    simulators.wait_for("issues.create");
    run.kill();
    let report = home.arx(&["run", &bundle, "--json"]).code(0).json();
    assert_eq!(report["status"], "succeeded");
    simulators.happened_once(6);
}

#[test]
fn an_interrupted_run_stops_soon_and_is_resumed_by_the_next() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let run = home.start(&["run", &bundle, "--json"]);
    simulators.wait_for_write();
    run.interrupt();
    let (stopped, took) = run.finish();
    let report = stopped.code(130).json();
    assert_eq!(report["status"], "interrupted");
    assert!(took < STOPS_WITHIN, "{took:?}");
    assert_eq!(home.runs()[0]["status"], "interrupted");

    let resumed = home.arx(&["run", &bundle, "--json"]).code(0).says("resuming").json();
    assert_eq!(resumed["run_id"], report["run_id"]);
    simulators.happened_once(6);
    let id = report["run_id"].as_str().unwrap();
    home.arx(&["runs", "resume", id]).code(1).says("succeeded already");
}

#[test]
fn asking_to_stop_before_anything_is_begun_begins_nothing() {
    // The token never comes, so the run waits for its credential check.
    let simulators = Simulators::new(SMALL, "wiz.oauth.token:latency=600s");
    let home = Home::at(&simulators);
    let mut run = home.start(&["run", WORKFLOW, "--json", "-v"]);
    run.wait_for("trying the credential");
    run.interrupt();
    let (stopped, took) = run.finish();
    assert_eq!(stopped.code(130).json()["error"]["kind"], "interrupted");
    assert!(took < STOPS_WITHIN, "{took:?}");
    assert!(home.runs().is_empty());
}

#[test]
fn an_older_version_is_finished_first_on_its_own_texts() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let run = home.start(&["run", &bundle, "--json"]);
    simulators.wait_for_write();
    run.kill();
    let file = home.path().join("bundle/workflow.py");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("{v.id} {v.title}", "[new] {v.id} {v.title}")).unwrap();

    let report = home.arx(&["run", &bundle, "--json"]).code(0).says("finishing run_").json();
    let runs = home.runs();
    assert_eq!(runs.len(), 2, "{runs:#?}");
    assert_eq!(runs[0]["status"], "succeeded");
    assert_eq!(report["run_id"], runs[1]["run_id"]);
    assert_eq!(report["counts"]["already_open"], 3, "{report:#}");
    simulators.happened_once(6);
    assert!(!simulators.writes().iter().any(|write| write.to_string().contains("[new]")));
}

#[test]
fn a_second_process_is_refused_by_name() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let first = home.start(&["run", WORKFLOW, "--json"]);
    simulators.wait_for_write();
    let second =
        home.arx(&["run", WORKFLOW]).code(1).says(WORKFLOW).says("already running: run run_");
    assert!(second.stderr.contains(&first.id().to_string()), "{}", second.stderr);
    let run = home.runs()[0]["run_id"].as_str().unwrap().to_owned();
    home.arx(&["runs", "cancel", &run]).code(1).says("already running");
    // Another world is another matter.
    home.arx(&["run", WORKFLOW, &format!("--simulate={SMALL}")]).code(0);
    let (finished, _) = first.finish();
    assert_eq!(finished.code(0).json()["status"], "succeeded");
    simulators.happened_once(6);
}

#[test]
fn a_cancelled_run_never_resumes() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let run = home.start(&["run", &bundle, "--json"]);
    simulators.wait_for_write();
    run.interrupt();
    let id = run.finish().0.code(130).json()["run_id"].as_str().unwrap().to_owned();
    let cancelled = home.arx(&["runs", "cancel", &id, "--json"]).code(0).json();
    assert_eq!(cancelled["status"], "cancelled");
    home.arx(&["runs", "cancel", &id]).code(1).says("cancelled already");
    home.arx(&["runs", "resume", &id]).code(1).says("cancelled already");
    // A new run does what is left, and nothing twice.
    let report = home.arx(&["run", &bundle, "--json"]).code(0).json();
    assert_ne!(report["run_id"], id.as_str());
    simulators.happened_once(6);
}
