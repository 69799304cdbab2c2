//! Every way for a run to end has its exit code and its words.

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

#[test]
fn an_optional_vendor_that_is_down_is_gone_without() {
    let simulators = Simulators::new(SMALL, "qualys:down");
    let home = Home::at(&simulators);
    let report = home.arx(&["run", WORKFLOW, "--json"]).code(0).says("Qualys").json();
    assert_eq!(report["counts"]["paged"], 3, "{report:#}");
    let sources = report["sources"].as_array().unwrap();
    let complete = |name: &str| {
        sources.iter().find(|source| source["source"] == name).unwrap()["complete"].clone()
    };
    assert_eq!((complete("wiz"), complete("qualys")), (true.into(), false.into()));
    assert!(report["warnings"].to_string().contains("no episode closes"), "{report:#}");
    simulators.happened_once(6);
}

#[test]
fn a_required_vendor_that_is_down_fails_the_run() {
    let simulators = Simulators::new(SMALL, "wiz.graphql.issues:down,wiz.oauth.token:down");
    let home = Home::at(&simulators);
    let run = home.arx(&["run", WORKFLOW, "--json"]).code(1);
    assert_eq!(run.json()["status"], "failed");
    assert!(simulators.writes().is_empty());
}

#[test]
fn a_ticket_that_fails_leaves_its_page_and_is_tried_again() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let args = ["run", WORKFLOW, "--set", "jira.issue_type=Nonsense"];
    let run = home.arx(&args).code(1);
    assert!(run.stdout.contains("failed"), "{}", run.stdout);
    assert!(run.stdout.contains("Nonsense"), "no reason in:\n{}", run.stdout);
    let report = home.arx(&["run", WORKFLOW, "--json"]).code(0).json();
    assert_eq!(report["counts"]["paged"], 0, "{report:#}");
    assert_eq!(report["counts"]["ticketed"], 3, "{report:#}");
    simulators.happened_once(6);
}

#[test]
fn an_outcome_that_nobody_can_know_needs_attention() {
    // The ticket is made, its reply is lost, and the search that could find it is down.
    let faults = "jira.issues.create:drop-after@1x1,jira.search:500,jira.issues.bulk_fetch:500,jira.issues.get:500";
    let simulators = Simulators::new(SMALL, faults);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let run = home.arx(&["run", &bundle]).code(4);
    assert!(run.stdout.contains("needs attention"), "{}", run.stdout);
    assert!(run.stdout.contains("arx effects settle"), "{}", run.stdout);
    assert_eq!(home.runs()[0]["status"], "needs_attention");
}

#[test]
fn a_person_settles_what_nobody_can_know() {
    let faults = "jira.issues.create:drop-after@1x1,jira.search:500,jira.issues.bulk_fetch:500,jira.issues.get:500";
    let simulators = Simulators::new(SMALL, faults);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let report = home.arx(&["run", &bundle, "--json"]).code(4).json();
    let id = report["run_id"].as_str().unwrap();
    let effect = report["needs_attention"][0]["effect"].as_str().unwrap();
    let ticket = simulators
        .writes()
        .iter()
        .find(|write| write["key"].to_string().contains(effect))
        .map(|write| write["id"].as_str().unwrap().to_owned())
        .unwrap();
    home.arx(&["effects", "settle", effect, "--happened", &ticket, "--reason", "seen in Jira"])
        .code(0);
    let resumed = home.arx(&["runs", "resume", id, "--json"]).code(0).json();
    assert_eq!(resumed["status"], "succeeded", "{resumed:#}");
    simulators.happened_once(6);
}

#[test]
fn an_approved_run_goes_on_and_acts_once() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let bundle = home.bundle(&[
        ("hitl: false", "hitl: true"),
        ("name: page, effect: permit", "name: page, effect: escalate"),
        ("role:approver", "boss"),
    ]);
    let parked = home.arx(&["run", &bundle, "--json"]).code(3).json();
    assert!(simulators.writes().is_empty());
    let approval = parked["approvals"][0].as_str().unwrap();
    home.arx(&["approvals", "approve", approval, "--as", "tester"]).code(1);
    home.arx(&["approvals", "approve", approval, "--as", "boss"]).code(0);
    let report = home.arx(&["run", &bundle, "--json"]).code(0).json();
    assert_eq!(report["run_id"], parked["run_id"]);
    assert_eq!(report["counts"]["paged"], 3, "{report:#}");
    simulators.happened_once(6);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_stopped_workflow_is_not_run() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    home.arx(&["run", WORKFLOW, &simulate]).code(0);
    home.arx(&["stop", WORKFLOW, "--reason", "maintenance"]).code(0);
    home.arx(&["run", WORKFLOW, &simulate])
        .code(1)
        .says("maintenance")
        .says("arx start critical-vuln-escalation");
    home.arx(&["start", WORKFLOW]).code(0);
    home.arx(&["run", WORKFLOW, &simulate]).code(0);
}

#[test]
fn a_run_that_waits_for_approval_parks_and_can_be_given_up() {
    let home = Home::new();
    let bundle = home.bundle(&[
        ("hitl: false", "hitl: true"),
        ("name: page, effect: permit", "name: page, effect: escalate"),
    ]);
    let simulate = format!("--simulate={SMALL}");
    let parked = home.arx(&["run", &bundle, &simulate, "--json"]).code(3).json();
    assert_eq!(parked["status"], "parked");
    assert_eq!(parked["approvals"].as_array().unwrap().len(), 1, "{parked:#}");
    assert_eq!(parked["counts"]["escalated"], 3);
    let id = parked["run_id"].as_str().unwrap();

    // Nothing was decided: it parks again, as the same run with the same request.
    let again = home.arx(&["run", &bundle, &simulate, "--json"]).code(3).says("resuming").json();
    assert_eq!(again["run_id"], id);
    assert_eq!(again["approvals"], parked["approvals"]);
    let people = home.arx(&["runs", "resume", id]).code(3).stdout;
    assert!(people.contains("arx approvals approve apr_"), "{people}");

    let cancelled = home.arx(&["runs", "cancel", id, "--json"]).code(0).json();
    assert_eq!(cancelled["approvals_withdrawn"], parked["approvals"]);
    home.arx(&["runs", "resume", id]).code(1).says("cancelled already");
}

#[test]
fn a_workflow_that_raises_fails_with_its_traceback() {
    let home = Home::new();
    let bundle =
        home.bundle(&[("    merged = await", "    raise ValueError(\"no\")\n    merged = await")]);
    let simulate = format!("--simulate={SMALL}");
    let run = home.arx(&["run", &bundle, &simulate]).code(1);
    assert!(run.stdout.contains("ValueError: no"), "{}", run.stdout);
    assert!(run.stdout.contains("workflow.py"), "{}", run.stdout);
}
