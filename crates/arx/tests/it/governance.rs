//! What waits for a human, what the human says, and what follows from it.

use serde_json::Value;

use crate::home::{Home, SMALL, Simulators, WORKFLOW};

/// The bundle in which every page is put to a human.
pub(crate) fn asking(home: &Home, replacements: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("hitl: false", "hitl: true"),
        ("name: page, effect: permit", "name: page, effect: escalate"),
    ];
    all.extend_from_slice(replacements);
    home.bundle(&all)
}

/// A run that parked, and the approval that it waits for.
pub(crate) fn parked(home: &Home, bundle: &str) -> (String, String) {
    let simulate = format!("--simulate={SMALL}");
    let report = home.arx(&["run", bundle, &simulate, "--json"]).code(3).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&report["run_id"]), text(&report["approvals"][0]))
}

pub(crate) fn leaves(home: &Home, kind: &str) -> Vec<Value> {
    let log = home.arx(&["audit", "log", "--kind", kind, "--limit", "1000", "--json"]).code(0);
    log.json()["leaves"].as_array().unwrap().clone()
}

#[test]
fn a_human_sees_everything_that_is_asked_for() {
    let home = Home::new();
    let bundle = asking(&home, &[]);
    home.arx(&["approvals", "list"]).code(0);
    let (run, approval) = parked(&home, &bundle);
    let listed = home.arx(&["approvals", "list", "--json"]).code(0).json();
    let listed = &listed["approvals"][0];
    assert_eq!(listed["id"], approval.as_str());
    assert_eq!(listed["run"], run.as_str());
    assert_eq!(listed["requester"], "tester");
    assert_eq!(listed["quorum"], 1);
    let action = &listed["actions"][0];
    assert_eq!(action["operation"], "pagerduty.incidents:create");
    assert_eq!(action["rule"], "page");
    assert_eq!(action["risk"]["score"], 35);
    assert_eq!(action["risk"]["factors"].as_array().unwrap().len(), 4);
    assert_eq!(action["params"]["urgency"], "high");
    assert!(action["lineage"][0].as_str().unwrap().starts_with("merge:"), "{action:#}");
    let text = home.arx(&["approvals", "list", "--run", &run]).code(0).stdout;
    for word in
        ["asked by          page", "35 MEDIUM", "urgency", "merge:", "expires in", "role:approver"]
    {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
    let approved = home.arx(&["approvals", "list", "--state", "approved", "--json"]).code(0).json();
    assert_eq!(approved["approvals"].as_array().unwrap().len(), 0);
}

#[test]
fn what_a_vendor_wrote_cannot_change_how_a_request_looks() {
    let home = Home::new();
    let bundle = asking(&home, &[("title=f\"{v.id} ", "title=f\"\\x1b[2J\\u202e{v.id} ")]);
    parked(&home, &bundle);
    let text = home.arx(&["approvals", "list"]).code(0).stdout;
    assert!(text.contains("\\u{1b}[2J"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn some_actions_are_approved_and_others_denied() {
    let home = Home::new();
    let bundle = asking(&home, &[]);
    let (run, approval) = parked(&home, &bundle);
    let said = home.arx(&["approvals", "approve", &approval, "--as", "bob", "--only", "0"]).code(0);
    assert!(said.stdout.contains(&format!("arx runs resume {run}")), "{}", said.stdout);
    let deny = ["approvals", "deny", &approval, "--as", "carol", "--reason", "change freeze"];
    let denied = home.arx(&[&deny[..], &["--only", "1", "--json"]].concat()).code(0).json();
    assert_eq!(denied["actions"][0]["decided"], true, "{denied:#}");

    // The third action still waits, so the run parks again; nothing is asked for twice.
    let resumed = home.arx(&["runs", "resume", &run, "--json"]).code(3).json();
    assert_eq!(resumed["counts"]["paged"], 1, "{resumed:#}");
    assert_eq!(resumed["counts"]["denied"], 1, "{resumed:#}");
    assert_eq!(resumed["approvals"][0], approval.as_str());
    home.arx(&["approvals", "approve", &approval, "--as", "bob"]).code(0);
    let report = home.arx(&["runs", "resume", &run, "--json"]).code(1).json();
    assert_eq!(report["status"], "failed");
    assert_eq!(report["counts"]["paged"], 2, "{report:#}");
    assert_eq!(report["counts"]["failed"], 1);
    assert!(report.to_string().contains("change freeze"), "{report:#}");

    let said: Vec<(String, String)> = leaves(&home, "approval")
        .iter()
        .rev()
        .map(|leaf| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&leaf["status"]), text(&leaf["actor"]))
        })
        .collect();
    let said: Vec<(&str, &str)> = said.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let expected =
        [("requested", "tester"), ("approved", "bob"), ("denied", "carol"), ("approved", "bob")];
    assert_eq!(said, expected);
    let yes = &leaves(&home, "approval")[0];
    assert_eq!(yes["detail"]["approval"], approval.as_str());
    assert_eq!(yes["detail"]["role"], "approver");
    assert_eq!(yes["detail"]["role_checked"], false);
    let key = yes["action"]["effect_key"].as_str().unwrap();
    assert!(key.starts_with("simulate:"), "{key}");
    assert_eq!(yes["action"]["params_sha256"].as_str().unwrap().len(), 64);
    home.arx(&["audit", "verify"]).code(0);
    home.arx(&["audit", "export", "--run", &run, "-o", "evidence.json"]).code(0);
    let evidence = std::fs::read(home.path().join("evidence.json")).unwrap();
    arx_audit::verify_bundle(&evidence, arx_audit::BundleChecks::default()).unwrap();
}

#[test]
fn votes_that_do_not_count_are_refused() {
    let home = Home::new();
    let bundle = asking(&home, &[("quorum: 1", "quorum: 2")]);
    let (run, approval) = parked(&home, &bundle);
    let approve = |who: &str| home.arx(&["approvals", "approve", &approval, "--as", who]);
    for own in ["tester", "Tester", "role:approver", "approver:tester"] {
        approve(own).code(1).says("cannot decide on it");
    }
    approve("other:bob").code(1).says("not among the approvers");
    let first = approve("bob").code(0);
    assert!(first.stdout.contains("1 of 2 votes"), "{}", first.stdout);
    // One person is one vote, however they call themselves.
    for again in ["bob", "BOB", "approver:bob", "user:bob"] {
        approve(again).code(1).says("has voted on action");
    }
    home.arx(&["runs", "resume", &run]).code(3);
    approve("carol").code(0);
    approve("dave").code(1).says("is approved already");
    home.arx(&["runs", "resume", &run]).code(0);
    approve("dave").code(1).says("is used already");
    home.arx(&["approvals", "approve", "apr_1", "--as", "bob"]).code(1).says("hint:");
    home.arx(&["approvals", "deny", &approval, "--as", "bob"]).code(2).says("--reason");
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn nobody_approves_where_the_policy_names_nobody() {
    let home = Home::new();
    let bundle = asking(&home, &[("approvers: [\"role:approver\"]", "approvers: []")]);
    let (_, approval) = parked(&home, &bundle);
    home.arx(&["approvals", "approve", &approval, "--as", "bob"])
        .code(1)
        .says("names no approver")
        .says("ARX-E040");
    let text = home.arx(&["approvals", "list"]).code(0).stdout;
    assert!(text.contains("nobody, by the policy"), "{text}");
    home.arx(&["check", &bundle]).code(0);
}

#[test]
fn what_expired_is_denied_and_never_approved() {
    let home = Home::new();
    let bundle = asking(&home, &[("expires: 1h", "expires: 200ms")]);
    let (run, approval) = parked(&home, &bundle);
    let is_over = || {
        let listed = home.arx(&["approvals", "list", "--state", "expired"]).code(0).stdout;
        listed.contains(&approval)
    };
    assert!((0..1000).any(|_| is_over()), "it never expires");
    home.arx(&["approvals", "approve", &approval, "--as", "bob"]).code(1).says("expired");
    assert_eq!(leaves(&home, "approval")[0]["status"], "expired");
    let report = home.arx(&["runs", "resume", &run, "--json"]).code(1).json();
    assert_eq!(report["counts"]["failed"], 3, "{report:#}");
    assert!(report.to_string().contains("expired"), "{report:#}");
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_yes_to_one_policy_is_none_to_another() {
    let simulators = Simulators::new(SMALL, "");
    let home = Home::at(&simulators);
    let bundle = asking(&home, &[]);
    let first = home.arx(&["run", &bundle, "--json"]).code(3).json();
    let approval = first["approvals"][0].as_str().unwrap();
    home.arx(&["approvals", "approve", approval, "--as", "bob"]).code(0);
    // The policy changes before the approval is used; the old run is given up.
    let run = first["run_id"].as_str().unwrap();
    home.arx(&["runs", "cancel", run]).code(0);
    let bundle = asking(&home, &[("risk_threshold: 70", "risk_threshold: 71")]);
    let second = home.arx(&["run", &bundle, "--json"]).code(3).json();
    assert_ne!(second["run_id"], first["run_id"]);
    assert_ne!(second["approvals"], first["approvals"]);
    assert!(simulators.writes().is_empty());
    home.arx(&["approvals", "approve", approval, "--as", "carol"])
        .code(1)
        .says("cancelled already");
}

#[test]
fn a_stop_denies_what_a_running_workflow_asks_for_next() {
    let home = Home::new();
    let bundle = asking(&home, &[]);
    let (run, approval) = parked(&home, &bundle);
    home.arx(&["approvals", "approve", &approval, "--as", "bob"]).code(0);
    let stopped = home.arx(&["stop", WORKFLOW, "--reason", "storm", "--json"]).code(0).json();
    assert_eq!(stopped["changed"], true);
    let again = home.arx(&["stop", WORKFLOW, "--reason", "other", "--json"]).code(0).json();
    assert_eq!((&again["changed"], &again["reason"]), (&false.into(), &"storm".into()));
    let resumed = home.arx(&["runs", "resume", &run]);
    assert_eq!(resumed.code, 1, "{resumed:?}");
    let said = format!("{}{}", resumed.stdout, resumed.stderr);
    assert!(said.contains("storm"), "{said}");
    assert!(leaves(&home, "intent").is_empty());
    home.arx(&["start", WORKFLOW]).code(0);
    let told = home.arx(&["start", WORKFLOW]).code(0);
    assert!(told.stdout.contains("is not stopped"), "{}", told.stdout);
    let said: Vec<Value> =
        leaves(&home, "stop").iter().rev().map(|leaf| leaf["status"].clone()).collect();
    assert_eq!(said, ["stopped", "started"]);
    home.arx(&["stop", "critical-vuln"]).code(1).says("did you mean `critical-vuln-escalation`?");
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_stop_holds_from_the_very_next_call_of_a_living_run() {
    // Pages take long enough for somebody to lose patience before the tickets are asked for.
    let simulators = Simulators::new(SMALL, "pagerduty.incidents.create:latency=10s");
    let home = Home::at(&simulators);
    let running = home.start(&["run", WORKFLOW, "--json"]);
    let n_intended = || {
        let listed = home.arx(&["effects", "list", "--state", "intended", "--json"]).code(0);
        listed.json()["effects"].as_array().unwrap().len()
    };
    assert!((0..2000).any(|_| n_intended() == 3), "the pages are never intended");
    let open = home.arx(&["effects", "list", "--state", "intended", "--json"]).code(0).json();
    let page = open["effects"][0]["effect"].as_str().unwrap();
    home.arx(&["effects", "settle", page, "--did-not-happen"]).code(1).says("already running");
    let stopped = home.arx(&["stop", WORKFLOW, "--reason", "wrong ones", "--json"]).code(0).json();
    assert_eq!(stopped["running"].as_array().unwrap().len(), 1, "{stopped:#}");
    let (finished, _) = running.finish();
    let report = finished.code(1).json();
    assert_eq!(report["counts"]["paged"], 3, "{report:#}");
    assert_eq!(report["counts"]["ticketed"], 0, "{report:#}");
    assert_eq!(report["counts"]["denied"], 3, "{report:#}");
    assert!(report.to_string().contains("wrong ones"), "{report:#}");
    simulators.happened_once(3);
    let denied = leaves(&home, "decision");
    let by_stop = denied.iter().filter(|leaf| leaf["rule"] == "stop" && leaf["verdict"] == "DENY");
    assert_eq!(by_stop.count(), 3);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_human_settles_an_effect_once() {
    let faults = "pagerduty.incidents.create:drop-after@1x2,pagerduty.incidents.list:500";
    let simulators = Simulators::new(SMALL, faults);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let report = home.arx(&["run", &bundle, "--json"]).code(4).json();
    let run = report["run_id"].as_str().unwrap();
    let effect = report["needs_attention"][0]["effect"].as_str().unwrap();

    let open = home.arx(&["effects", "list", "--state", "attention", "--json"]).code(0).json();
    let open = open["effects"].as_array().unwrap();
    assert_eq!(open.len(), 2, "{open:#?}");
    let other = open.iter().find(|one| one["effect"] != effect).unwrap();
    let text = home.arx(&["effects", "list", "--run", run]).code(0).stdout;
    assert!(text.contains("needs a human") && text.contains("arx effects settle"), "{text}");

    let end = effect.split_once('/').unwrap().1;
    home.arx(&["effects", "settle", "/page/nothing", "--did-not-happen"]).code(1).says("hint:");
    home.arx(&["effects", "settle", end]).code(2).says("--happened");
    let both = ["effects", "settle", end, "--happened", "PABC123", "--did-not-happen"];
    home.arx(&both).code(2).says("cannot be used with");
    home.arx(&["effects", "settle", "1/page", "--did-not-happen"])
        .code(2)
        .says("is the end of 2 effects")
        .says(effect);
    let happened = ["effects", "settle", end, "--happened", "PABC123", "--as", "carol"];
    let url = ["--url", "http://pagerduty/incidents/PABC123", "--reason", "seen", "--json"];
    let settled = home.arx(&[&happened[..], &url[..]].concat()).code(0).json();
    assert_eq!(settled["state"], "done");
    assert_eq!(settled["result"]["settled_by"], "carol");
    home.arx(&happened).code(1).says("is done already");

    let leaf = &leaves(&home, "settle")[0];
    assert_eq!((&leaf["status"], &leaf["actor"]), (&"done".into(), &"carol".into()));
    assert_eq!(leaf["detail"]["reason"], "seen");
    let other = other["effect"].as_str().unwrap();
    home.arx(&["effects", "settle", other, "--happened", "PDEF456"]).code(0);
    let resumed = home.arx(&["runs", "resume", run, "--json"]).code(0).json();
    assert!(resumed.to_string().contains("http://pagerduty/incidents/PABC123"), "{resumed:#}");
    simulators.happened_once(6);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn a_page_that_a_human_settles_without_an_address_still_gets_its_ticket() {
    let faults = "pagerduty.incidents.create:drop-after@1x1,pagerduty.incidents.list:500";
    let simulators = Simulators::new(SMALL, faults);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let report = home.arx(&["run", &bundle, "--json"]).code(4).json();
    let run = report["run_id"].as_str().unwrap();
    let effect = report["needs_attention"][0]["effect"].as_str().unwrap();
    home.arx(&["effects", "settle", effect, "--happened", "PABC123"]).code(0);
    let resumed = home.arx(&["runs", "resume", run, "--json"]).code(0).json();
    assert_eq!(resumed["counts"]["ticketed"], 3, "{resumed:#}");
    simulators.happened_once(6);
}

#[test]
fn what_did_not_happen_is_tried_again() {
    // The reply is lost before anything is made, and nobody can look.
    let faults = "pagerduty.incidents.create:reset@1x1,pagerduty.incidents.list:500";
    let simulators = Simulators::new(SMALL, faults);
    let home = Home::at(&simulators);
    let bundle = home.impatient_bundle();
    let report = home.arx(&["run", &bundle, "--json"]).code(4).json();
    let run = report["run_id"].as_str().unwrap();
    let effect = report["needs_attention"][0]["effect"].as_str().unwrap();
    let settled = home.arx(&["effects", "settle", effect, "--did-not-happen"]).code(0);
    assert!(settled.stdout.contains(&format!("arx runs resume {run}")), "{}", settled.stdout);
    home.arx(&["runs", "resume", run]).code(0);
    simulators.happened_once(6);
    home.arx(&["audit", "verify"]).code(0);
}
