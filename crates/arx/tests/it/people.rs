//! People and their tokens, by the command line, and who may vote once anybody is known.

use crate::governance::{asking, leaves, parked};
use crate::home::Home;

#[test]
fn once_anybody_is_known_a_vote_is_a_persons() {
    let home = Home::new();
    let bundle = asking(&home, &[("quorum: 1", "quorum: 2")]);
    home.arx(&["users", "add", "Bob", "--role", "approver"]).code(0);
    home.arx(&["users", "add", "carol", "--role", "viewer"]).code(0);
    home.arx(&["users", "add", "dave", "--role", "admin"]).code(0);
    home.arx(&["users", "add", "tester", "--role", "admin"]).code(0);
    let (run, approval) = parked(&home, &bundle);
    let approve = |who: &str| home.arx(&["approvals", "approve", &approval, "--as", who]);
    approve("eve").code(1).says("nobody who is known here").says("ARX-E040");
    approve("approver:eve").code(1).says("nobody who is known here");
    approve("carol").code(1).says("`carol` is not among the approvers");
    approve("approver:carol").code(1).says("`carol` is not among the approvers");
    approve("TESTER").code(1).says("started the run and cannot decide on it");
    approve("bob").code(0);
    approve("BOB").code(1).says("has voted on action");
    home.arx(&["users", "disable", "dave"]).code(0);
    approve("dave").code(1).says("nobody who is known here");
    home.arx(&["users", "enable", "dave"]).code(0);
    approve("approver:dave").code(0);
    let said: Vec<_> = leaves(&home, "approval")
        .iter()
        .filter(|leaf| leaf["status"] == "approved")
        .map(|leaf| format!("{} {}", leaf["actor"], leaf["detail"]["role_checked"]))
        .collect();
    assert_eq!(said, ["\"dave\" true"; 3], "an admin counts as an approver");
    assert!(leaves(&home, "approval").iter().any(|leaf| leaf["actor"] == "Bob"));
    home.arx(&["runs", "resume", &run]).code(0);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn secrets_are_shown_once_and_kept_nowhere() {
    let home = Home::new();
    home.arx(&["users", "list"]).code(0);
    let added = home.arx(&["users", "add", "Ada", "--role", "admin", "--json"]).code(0).json();
    let link = added["link"].as_str().unwrap();
    assert!(link.starts_with("http://127.0.0.1:7717/join/arxl_"), "{link}");
    let other = ["users", "reset", "ada", "--url", "https://arx.example.com/", "--json"];
    let reset = home.arx(&other).code(0).json();
    let reset = reset["link"].as_str().unwrap();
    assert!(reset.starts_with("https://arx.example.com/join/arxl_"), "{reset}");
    let make = ["tokens", "add", "ci", "--user", "ada", "--role", "viewer", "--expires"];
    home.arx(&[&make[..], &["soon"]].concat()).code(2).says("is not a duration");
    home.arx(&[&make[..], &["366d1ms"]].concat()).code(2);
    let made = home.arx(&[&make[..], &["90d", "--json"]].concat()).code(0).json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert!(secret.starts_with("arxt_"));
    home.arx(&["tokens", "revoke", secret]).code(1).says("no such token");
    let revoked = home.arx(&["tokens", "revoke", id, "--json"]).code(0).json();
    assert!(revoked["revoked_at"].is_string());
    let mut seen = String::new();
    for args in [
        &["users", "list", "--json"][..],
        &["tokens", "list"],
        &["tokens", "list", "--user", "ADA", "--json"],
        &["audit", "log", "--json"],
        &["audit", "log"],
        &["tokens", "revoke", secret],
    ] {
        let finished = home.arx(args);
        seen.push_str(&finished.stdout);
        seen.push_str(&finished.stderr);
    }
    assert!(seen.contains(id) && seen.contains("token_revoked"), "{seen}");
    for file in std::fs::read_dir(home.state()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    for secret in [link, reset, secret] {
        let random = secret.rsplit('/').next().unwrap().split_once('_').unwrap().1;
        assert_eq!(random.len(), 43);
        assert!(!seen.contains(random), "{random}");
    }
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn what_cannot_be_is_told_with_a_code() {
    let home = Home::new();
    let add = |name: &str, role: &str| home.arx(&["users", "add", name, "--role", role]);
    add("schedule", "viewer").code(2).says("ARX-E080");
    add("a:b", "viewer").code(2).says("a colon");
    add("ada", "owner").code(2);
    add("ada", "admin").code(0);
    add("ADA", "viewer").code(1).says("ARX-E081").says("arx users reset");
    home.arx(&["users", "disable", "ada"]).code(1).says("the last admin").says("ARX-E081");
    home.arx(&["users", "set-role", "ada", "--role", "viewer"]).code(1).says("the last admin");
    home.arx(&["users", "disable", "bob"]).code(1).says("ARX-E010");
    home.arx(&["users", "reset", "bob"]).code(1).says("arx users list");
}
