//! What a person does before a workflow runs: begin one, check it, ask its policy, register it.

use serde_json::Value;

use crate::home::{Home, SMALL, WORKFLOW};

/// The codes of what a check found, with their severities.
fn codes(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| (finding["severity"].as_str().unwrap(), finding["code"].as_str().unwrap()))
        .collect()
}

#[track_caller]
fn check(
    home: &Home,
    replacements: &[(&str, &str)],
    code: i32,
    expected: &[(&str, &str)],
) -> Value {
    let bundle = home.bundle(replacements);
    let report = home.arx(&["check", &bundle, "--json"]).code(code).json();
    assert_eq!(codes(&report), expected, "{report:#}");
    report
}

#[test]
fn the_library_is_governed_and_becomes_accountable() {
    let home = Home::new();
    let report = home.arx(&["check", WORKFLOW, "--json"]).code(0).json();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["maturity"]["level"], "L4");
    assert!(!home.state().exists(), "a check makes no state");
    let simulate = format!("--simulate={SMALL}");
    home.arx(&["run", WORKFLOW, &simulate]).code(0);
    home.arx(&["audit", "checkpoint", "-o", "kept.txt"]).code(0);
    let people = home.arx(&["check", WORKFLOW]).code(0).stdout;
    assert!(people.contains("maturity  L5 Accountable"), "{people}");
    assert!(people.contains("kept.txt"), "{people}");
}

#[test]
fn a_call_that_can_never_pass_is_wrong() {
    let home = Home::new();
    let rule =
        "    - { name: ticket, effect: permit, connector: jira, operation: \"issues:create\" }\n";
    let report = check(&home, &[(rule, "")], 2, &[("error", "ARX-B001")]);
    assert_eq!(report["ok"], false);
    assert_eq!(report["maturity"]["level"], Value::Null);
    let finding = &report["findings"][0];
    assert!(finding["line"].as_u64().unwrap() > 20, "{finding:#}");
    assert!(finding["file"].as_str().unwrap().ends_with("workflow.py"));
    assert!(finding["hint"].as_str().unwrap().contains("effect: permit"));

    let unbound =
        ("jira: { operations: [\"issues:create\"] }", "jira: { operations: [\"issues:read\"] }");
    let expected = [("error", "ARX-B002"), ("warning", "ARX-B005"), ("warning", "ARX-B006")];
    check(&home, &[unbound], 2, &expected);

    let named = ("    await arx.each(", "    await wiz.findings.update()\n    await arx.each(");
    check(&home, &[named], 2, &[("error", "ARX-B002")]);
    let bound = ("wiz: { operations: [\"findings:read\"] }", "wiz: { operations: [\"*\"] }");
    check(&home, &[named, bound], 2, &[("error", "ARX-B003")]);
    check(&home, &[("0 */2 * * *", "0 0 31 2 *")], 2, &[("error", "ARX-B008")]);
}

#[test]
fn what_is_odd_is_a_warning() {
    let home = Home::new();
    check(&home, &[], 0, &[]);
    let wide = ("[\"incidents:create\"]", "[\"incidents:create\", \"incidents:read\"]");
    check(&home, &[wide], 0, &[("warning", "ARX-B005")]);
    let nobody = ("[\"role:approver\"]", "[]");
    let report = check(&home, &[nobody], 0, &[("warning", "ARX-B007")]);
    assert_eq!(report["maturity"]["level"], "L3");
    let denied = (
        "    - { name: ticket,",
        "    - { name: freeze, effect: deny, connector: jira, operation: \"*\" }\n    - { name: ticket,",
    );
    let expected = [("warning", "ARX-B006"), ("warning", "ARX-B004")];
    let report = check(&home, &[denied], 0, &expected);
    let rule = report["findings"].as_array().unwrap().iter().find(|one| one["code"] == "ARX-B006");
    assert!(rule.unwrap()["line"].as_u64().unwrap() > 10, "{report:#}");
    let useless = (
        "    - { name: ticket,",
        "    - { name: never, effect: permit, connector: crowdstrik*, operation: \"*\" }\n    - { name: ticket,",
    );
    check(&home, &[useless], 0, &[("warning", "ARX-B006")]);
}

#[test]
fn mistakes_in_the_texts_come_first() {
    let home = Home::new();
    let bundle = home.bundle(&[("risk_threshold: 70", "risk_treshold: 70")]);
    home.arx(&["check", &bundle]).code(2).says("arx.yaml:19:3").says("`risk_threshold`");
    home.arx(&["register", "--config", &bundle]).code(2).says("arx.yaml:19:3");
    assert!(!home.state().exists());
    home.arx(&["check", "no-such-thing"]).code(2);
}

#[test]
fn a_new_workflow_passes_its_check_and_runs() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    for from in [None, Some(WORKFLOW)] {
        let name = if from.is_some() { "copied" } else { "fresh" };
        let mut args = vec!["init", name];
        args.extend(from.iter().flat_map(|from| ["--from", from]));
        home.arx(&args).code(0);
        for file in ["README.md", "arx.yaml", "workflow.py", "arx.pyi"] {
            assert!(home.path().join(name).join(file).is_file(), "{name}/{file}");
        }
        let stub = std::fs::read_to_string(home.path().join(name).join("arx.pyi")).unwrap();
        assert!(stub.contains("jira:"), "{stub}");
        let bundle = format!("./{name}");
        let report = home.arx(&["check", &bundle, "--json"]).code(0).json();
        assert_eq!(report["findings"], serde_json::json!([]), "{report:#}");
        assert_eq!(report["workflow"], name);
        let run = home.arx(&["run", &bundle, &simulate, "--json"]).code(0).json();
        assert_eq!(run["workflow"], name);
        assert_eq!(run["counts"]["ticketed"], 3, "{run:#}");
        let again = home.arx(&["run", &bundle, &simulate, "--json"]).code(0).json();
        assert_eq!(again["counts"]["ticketed"], 0, "{again:#}");
    }
    home.arx(&["init", "fresh"]).code(2).says("nothing was written");
    home.arx(&["init", "Fresh"]).code(2).says("lower-case");
    home.arx(&["init", "../fresh"]).code(2);
    home.arx(&["init", "x", "--from", "critical-vuln"]).code(2).says("did you mean");
    let elsewhere = home.arx(&["init", "y", "--dir", "deep/er", "--json"]).code(0).json();
    assert_eq!(elsewhere["files"].as_array().unwrap().len(), 4);
    assert!(home.path().join("deep/er/arx.yaml").is_file());
}

#[test]
fn a_registration_shows_what_becomes_wider() {
    let home = Home::new();
    let bundle = home.bundle(&[]);
    let config = format!("{bundle}/arx.yaml");
    let register = |args: &[&str]| home.arx(&[&["register", "--config", &config], args].concat());
    let first = register(&["--json"]).code(0).json();
    assert_eq!(first["registered"], true);
    assert_eq!(first["next"].as_array().unwrap().len(), 5);
    assert_eq!(first["runs_by_itself"], true);
    let again = register(&["--json"]).code(0).json();
    assert_eq!(again["registered"], false);
    assert_eq!(again["version"], first["version"]);

    home.bundle(&[("max: 50", "max: 500"), ("quorum: 1", "quorum: 2"), ("0 */2", "30 */2")]);
    let refused = register(&[]).code(2);
    refused.says("nobody agreed").says("WIDER").says("--yes");
    let list = home.arx(&["workflows", "list", "--json"]).code(0).json();
    assert_eq!(list["workflows"][0]["version"], first["version"]);
    let people = register(&["--yes"]).code(0).stdout;
    let wider = "limit pagerduty.incidents:create: 50 per 1h, then escalate -> 500 per 1h, then \
                 escalate  WIDER";
    assert!(people.contains(wider), "{people}");
    assert!(people.contains("quorum: 1 -> 2\n"), "{people}");
    assert!(people.contains("schedule: 0 */2 * * * UTC -> 30 */2 * * * UTC"), "{people}");
    assert!(people.contains("It runs by itself while `arx serve` does"), "{people}");

    let log = home.arx(&["audit", "log", "--kind", "register", "--json"]).code(0).json();
    let leaves = log["leaves"].as_array().unwrap();
    assert_eq!(leaves.len(), 2);
    assert_eq!(leaves[0]["detail"]["previous"], first["version"]);
    assert_eq!(leaves[0]["detail"]["n_wider"], 1);
    home.arx(&["audit", "verify"]).code(0);
    home.bundle(&[("issues.create", "issues.destroy")]);
    register(&[]).code(2).says("workflow.py");
}

#[test]
fn a_registered_workflow_is_paused_fired_and_taken_off() {
    let home = Home::new();
    let name = "critical-vuln-escalation";
    let workflows = |args: &[&str]| home.arx(&[&["workflows"], args].concat());
    workflows(&["list"]).code(0);
    workflows(&["pause", name]).code(1);
    home.arx(&["register", "--config", name]).code(0);
    workflows(&["pause", "critical"]).code(1).says("not registered");
    let pause = || workflows(&["pause", name, "--json"]).code(0).json()["changed"].clone();
    assert_eq!((pause(), pause()), (true.into(), false.into()));
    let shown = || workflows(&["show", name, "--json"]).code(0).json();
    assert_eq!((&shown()["paused"], &shown()["next"]), (&true.into(), &serde_json::json!([])));
    workflows(&["resume", name]).code(0);
    assert_eq!(shown()["next"].as_array().unwrap().len(), 5);
    workflows(&["run", name]).code(0);
    assert_eq!(shown()["fires"][0]["state"], "waiting");
    assert_eq!(shown()["fires"][0]["cause"], "person");
    assert_eq!(shown()["versions"][0]["version"], shown()["version"]);
    workflows(&["unregister", name]).code(0);
    workflows(&["show", name]).code(1).says("not registered");
    home.arx(&["audit", "verify"]).code(0);
    let log = home.arx(&["audit", "log", "--kind", "register", "--json"]).code(0).json();
    let told: Vec<_> =
        log["leaves"].as_array().unwrap().iter().map(|leaf| &leaf["status"]).collect();
    assert_eq!(told, ["unregistered", "registered"]);
    let log = home.arx(&["audit", "log", "--kind", "schedule", "--json"]).code(0).json();
    let told: Vec<_> =
        log["leaves"].as_array().unwrap().iter().map(|leaf| &leaf["status"]).collect();
    assert_eq!(told, ["resumed", "paused"]);
}

#[track_caller]
fn explains(args: &[&str], verdict: &str, rule: Option<&str>) -> Value {
    let home = Home::new();
    let explain = ["policy", "explain", "--config", WORKFLOW, "--json"];
    let said = home.arx(&[&explain[..], args].concat()).code(0).json();
    assert_eq!(said["verdict"], verdict, "{said:#}");
    assert_eq!(said["rule"].as_str(), rule, "{said:#}");
    assert!(!home.state().exists(), "asking makes no state");
    said
}

#[test]
fn a_verdict_is_explained() {
    let page = "pagerduty.incidents:create";
    let said = explains(&[page], "PERMIT", Some("page"));
    assert_eq!(said["risk"]["score"], 35);
    let points: Vec<_> = said["risk"]["factors"].as_array().unwrap().iter().collect();
    assert_eq!(points.len(), 4);
    let said =
        explains(&[page, "--writes", "50"], "ESCALATE", Some("limit pagerduty.incidents:create"));
    assert_eq!(said["risk"]["score"], 45);
    let said = explains(&["wiz.findings:update", "--target", "production"], "DENY", None);
    for reason in ["is not bound", "rule `deny-scanner-changes` denies", "only named"] {
        assert!(said["reasons"].to_string().contains(reason), "no `{reason}`: {said:#}");
    }
    let said = explains(&["pagerduty.incident:create"], "DENY", None);
    assert_eq!(said["did_you_mean"], page);

    let home = Home::new();
    let people = home.arx(&["policy", "explain", "--config", WORKFLOW, page]).code(0).stdout;
    for words in ["PERMIT", "rule `page` permits", "25  operation", "10  connector", "threshold 70"]
    {
        assert!(people.contains(words), "no `{words}` in:\n{people}");
    }
    let explain =
        |args: &[&str]| home.arx(&[&["policy", "explain", "--config", WORKFLOW], args].concat());
    explain(&["incidents"]).code(2).says("connector.resource:verb");
    explain(&[page, "--params", "[1]"]).code(2).says("JSON object");
    explain(&[page, "--target", "moon"]).code(2).says("production");
}

#[test]
fn conditions_see_the_parameters() {
    let home = Home::new();
    let bundle = home.bundle(&[(
        "operation: \"incidents:create\" }",
        "operation: \"incidents:create\", when: \"params.urgency == 'high'\" }",
    )]);
    let explain = |params: &str| {
        let args = ["policy", "explain", "--config", &bundle, "pagerduty.incidents:create"];
        let said = home.arx(&[&args[..], &["--json", "--params", params]].concat()).code(0).json();
        said["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(explain("{\"urgency\": \"high\"}"), "PERMIT");
    assert_eq!(explain("{\"urgency\": \"low\"}"), "DENY");
    assert_eq!(explain("{}"), "DENY");
}

#[test]
fn past_decisions_under_another_policy_show_flips_alone() {
    let home = Home::new();
    let simulate = format!("--simulate={SMALL}");
    home.arx(&["run", WORKFLOW, &simulate]).code(0);
    let replay = |bundle: &str, args: &[&str]| {
        let command = ["policy", "replay", "--json", "--config", bundle];
        home.arx(&[&command[..], args].concat()).code(0).json()
    };
    let same = replay(WORKFLOW, &[]);
    assert_eq!(same["flipped"], 0, "{same:#}");
    assert_eq!(same["replayed"], 8, "two reads, three pages, three tickets: {same:#}");

    // Two pages pass, the third meets the limit; the count is made anew from what passed.
    let bundle = home.bundle(&[("max: 50", "max: 2")]);
    let limited = replay(&bundle, &[]);
    assert_eq!(limited["flipped"], 1, "{limited:#}");
    let flip = &limited["flips"][0];
    assert_eq!((&flip["was"], &flip["now"]), (&"PERMIT".into(), &"ESCALATE".into()));
    assert_eq!(flip["now_by"], "limit pagerduty.incidents:create");
    assert_eq!(flip["was_by"], "page");

    let bundle = home.bundle(&[("name: ticket, effect: permit", "name: ticket, effect: deny")]);
    let denied = replay(&bundle, &["--since", "1h"]);
    assert_eq!(denied["flipped"], 3, "{denied:#}");
    let people = home.arx(&["policy", "replay", "--config", &bundle]).code(0).stdout;
    assert!(people.contains("PERMIT -> DENY  jira.issues:create"), "{people}");
    let later = replay(&bundle, &["--since", "2100-01-01T00:00:00Z"]);
    assert_eq!(later["replayed"], 0, "{later:#}");
    home.arx(&["policy", "replay", "--config", &bundle, "--since", "x"]).code(2).says("7d");
}

#[test]
fn what_a_human_said_is_no_flip() {
    let home = Home::new();
    let asks = [("hitl: false", "hitl: true"), ("page, effect: permit", "page, effect: escalate")];
    let bundle = home.bundle(&asks);
    let simulate = format!("--simulate={SMALL}");
    let parked = home.arx(&["run", &bundle, &simulate, "--json"]).code(3).json();
    let approval = parked["approvals"][0].as_str().unwrap();
    home.arx(&["approvals", "approve", approval, "--as", "bob", "--only", "0,1"]).code(0);
    home.arx(&["approvals", "deny", approval, "--as", "bob", "--reason", "no"]).code(0);
    home.arx(&["runs", "resume", parked["run_id"].as_str().unwrap()]).code(1);
    let replay =
        |config: &str| home.arx(&["policy", "replay", "--config", config, "--json"]).code(0).json();
    let same = replay(&bundle);
    assert_eq!(same["flipped"], 0, "{same:#}");
    // Each call is asked about once, whatever was said to it.
    let open = replay(WORKFLOW);
    assert_eq!(open["flipped"], 3, "{open:#}");
    for flip in open["flips"].as_array().unwrap() {
        assert_eq!((&flip["was"], &flip["now"]), (&"ESCALATE".into(), &"PERMIT".into()));
    }
}

#[test]
fn shells_complete_what_the_program_has() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.arx(&["completions", shell]).code(0).stdout;
        for word in ["approvals", "settle", "explain"] {
            assert!(script.contains(word), "{shell} knows no `{word}`");
        }
        assert!(!script.contains("xdg-state-home"), "{shell} offers what is hidden");
    }
    home.arx(&["completions", "tcsh"]).code(2);
}
