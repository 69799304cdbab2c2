//! Credentials appear nowhere: not in output, files, the record, or another process's sight.

use std::path::Path;

use crate::home::{Home, PATCHES, SMALL, Simulators, TICKETS, WORKFLOW};

/// Variables whose values are secret.
const SECRET: [&str; 6] = [
    "WIZ_CLIENT_SECRET",
    "QUALYS_PASSWORD",
    "PAGERDUTY_API_KEY",
    "JIRA_API_TOKEN",
    "SNOW_PASSWORD",
    "CS_CLIENT_SECRET",
];

#[test]
fn credentials_appear_nowhere() {
    let faults = "pagerduty.incidents.create:latency=400ms,jira.issues.create:latency=400ms";
    check(WORKFLOW, SMALL, faults, "incidents.create");
}

#[test]
fn credentials_of_the_other_workflow_appear_nowhere() {
    check(PATCHES, TICKETS, "servicenow.table.get:latency=800ms", "table.update");
}

#[track_caller]
fn check(workflow: &str, scenario: &str, faults: &str, write: &str) {
    let mut simulators = Simulators::new(scenario, faults);
    let home = Home::at(&simulators);
    let canaries: Vec<String> =
        SECRET.iter().map(|name| simulators.variables[*name].clone()).collect();
    assert!(canaries.iter().all(|canary| canary.len() > 12), "{canaries:?}");

    let run = home.start(&["run", workflow, "--json", "-vvv"]);
    simulators.wait_for(write);
    let mut seen = Vec::new();
    let workflow_process = children(run.id());
    assert_eq!(workflow_process.len(), 1, "the workflow's process");
    seen.push(proc(run.id(), "cmdline"));
    for id in workflow_process {
        seen.push(proc(id, "cmdline"));
        let environment = proc(id, "environ");
        for name in SECRET {
            assert!(!contains(&environment, name), "{name} is in the workflow's environment");
        }
        seen.push(environment);
    }
    let (finished, _) = run.finish();
    let finished = finished.code(0);
    seen.push(finished.stdout.clone().into_bytes());
    seen.push(finished.stderr.clone().into_bytes());
    let run = finished.json()["run_id"].as_str().unwrap().to_owned();
    // What the files hold is packed; what the commands print of them is not.
    for args in [
        vec!["runs", "show", &run, "--json"],
        vec!["runs", "show", &run, "--all"],
        vec!["doctor", "--config", workflow, "--json"],
    ] {
        let shown = home.arx(&args).code(0);
        seen.push(shown.stdout.into_bytes());
        seen.push(shown.stderr.into_bytes());
    }
    seen.push(std::fs::read(simulators.ledger()).unwrap());
    files(&home.state(), &mut seen);

    assert!(seen.iter().any(|text| contains(text, &run)), "the search finds what is there");
    for (name, canary) in SECRET.iter().zip(&canaries) {
        for text in &seen {
            assert!(!contains(text, canary), "{name} in {}", String::from_utf8_lossy(text));
        }
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted.as_bytes())
}

fn proc(id: u32, file: &str) -> Vec<u8> {
    std::fs::read(format!("/proc/{id}/{file}")).unwrap()
}

fn children(id: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let path = task.unwrap().path().join("children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(text.split_whitespace().map(|child| child.parse::<u32>().unwrap()));
    }
    found
}

fn files(directory: &Path, seen: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, seen);
        } else {
            seen.push(std::fs::read(&path).unwrap());
        }
    }
}
