//! The daemon as a whole: it runs what is registered, parks, goes on after a yes, stops in order,
//! and loses nothing to `kill -9`.

use std::time::Duration;

use crate::home::{Home, Running, SMALL, Simulators, WORKFLOW};

/// Vendors slow enough that a run can be caught in the middle of its writes.
const SLOW: &str = "pagerduty.incidents.create:latency=200ms,jira.issues.create:latency=1500ms";
/// How soon a daemon must end that was asked to; generous for a machine under load.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// A daemon on a free port.
fn serve(home: &Home) -> Running {
    home.start(&["serve", "--listen", "127.0.0.1:0", "--json", "--log-format", "json"])
}

#[test]
fn a_daemon_that_is_killed_goes_on_and_does_everything_once() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    home.arx(&["register", "--config", &home.impatient_bundle()]).code(0);
    let daemon = serve(&home);
    home.arx(&["workflows", "run", WORKFLOW]).code(0);
    simulators.wait_for_write();
    daemon.kill();
    let mut daemon = serve(&home);
    daemon.wait_for("\"status\":\"succeeded\"");
    drop(daemon);
    simulators.happened_once(6);
    assert_eq!(home.runs().len(), 1, "the fire became one run");
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_daemon_that_is_asked_to_end_interrupts_what_does_not_end_and_goes_on_with_it() {
    // The last writes of the run take longer than the daemon waits for.
    let mut simulators = Simulators::new(SMALL, "jira.issues.create:latency=60s@2");
    let home = Home::at(&simulators);
    home.arx(&["register", "--config", &home.impatient_bundle()]).code(0);
    let daemon = serve(&home);
    home.arx(&["workflows", "run", WORKFLOW]).code(0);
    simulators.wait_for_write();
    daemon.interrupt();
    let (ended, took) = daemon.finish();
    ended.code(0);
    assert!(took < ENDS_WITHIN, "{took:?}");
    assert_eq!(home.runs()[0]["status"], "interrupted");
    serve(&home).wait_for("\"status\":\"succeeded\"");
    simulators.happened_once(6);
}

#[test]
fn a_parked_run_goes_on_by_itself_once_somebody_said_yes() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let bundle = home.bundle(&[
        ("hitl: false", "hitl: true"),
        ("name: page, effect: permit", "name: page, effect: escalate"),
    ]);
    home.arx(&["register", "--config", &bundle]).code(0);
    let mut daemon = serve(&home);
    home.arx(&["workflows", "run", WORKFLOW]).code(0);
    daemon.wait_for("waits for approval");
    daemon.wait_for("\"status\":\"parked\"");
    let waiting = home.arx(&["approvals", "list", "--json"]).code(0).json();
    let approval = waiting["approvals"][0]["id"].as_str().unwrap().to_owned();
    // Whoever asked for the run does not decide on it.
    home.arx(&["approvals", "approve", &approval, "--as", "tester"]).code(1);
    simulators.happened_once(0);
    home.arx(&["approvals", "approve", &approval, "--as", "approver:bob"]).code(0);
    daemon.wait_for("\"status\":\"succeeded\"");
    simulators.happened_once(6);
    drop(daemon);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_stopped_workflow_is_interrupted_and_goes_on_once_it_may() {
    let mut simulators = Simulators::new(SMALL, SLOW);
    let home = Home::at(&simulators);
    home.arx(&["register", "--config", &home.impatient_bundle()]).code(0);
    let mut daemon = serve(&home);
    home.arx(&["workflows", "run", WORKFLOW]).code(0);
    simulators.wait_for_write();
    home.arx(&["stop", WORKFLOW, "--reason", "a storm"]).code(0);
    daemon.wait_for("run ended");
    let n_writes = simulators.writes().len();
    home.arx(&["workflows", "run", WORKFLOW]).code(1).says("is stopped").says("a storm");
    assert_eq!(simulators.writes().len(), n_writes, "nothing is written while it is stopped");
    home.arx(&["start", WORKFLOW]).code(0);
    daemon.wait_for("run ended");
    drop(daemon);
    // Calls that were denied before the daemon saw the stop are for the next run.
    home.arx(&["run", &home.impatient_bundle(), "--json"]).code(0);
    simulators.happened_once(6);
}

#[test]
fn passwords_do_not_travel_in_the_clear_unless_somebody_says_so() {
    let home = Home::new();
    let serve = |args: &[&str]| home.arx(&[&["serve"], args].concat());
    serve(&["--listen", "0.0.0.0:0"]).code(2).says("ARX-E070").says("--tls-cert");
    serve(&["--listen", "0.0.0.0:0", "--tls-cert", "none.pem"]).code(2);
    serve(&["--tls-cert", "none.pem", "--tls-key", "none.key"]).code(2).says("none.pem");
    assert!(!home.state().join("arx.db").exists(), "nothing is made before it can be served");
}
