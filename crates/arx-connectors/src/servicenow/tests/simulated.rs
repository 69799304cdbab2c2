//! Whole calls against the simulated instance, its patch wave and its faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arx_gateway::GateError;
use arx_sim::{Faults, Options, Simulators};
use arx_testkit::TestGate;
use serde_json::{Value, json};

use super::super::ServiceNow;
use super::world::{message, read};
use crate::scripted::probe;

const UPDATE: &str = "servicenow.incidents:update";

async fn simulators(faults: &str) -> Simulators {
    let faults: Faults = faults.parse().expect("faults");
    let scenario = arx_sim::Scenario::Awkward;
    arx_sim::start(Options { faults, scenario, ..Options::default() }).await.expect("simulators")
}

async fn gate(sims: &Simulators) -> TestGate {
    let settings = json!({"in_flight_ms": 0});
    let settle_for = Some(Duration::from_secs(20));
    TestGate::new(Arc::new(ServiceNow::default()), sims.environment(), settings, settle_for).await
}

fn wanted(table: &str) -> Value {
    json!({
        "table": table, "pending_state": "Pending Verification",
        "fields": {"host": if table == "u_patch_task" { "u_host" } else { "cmdb_ci" },
            "vulnerabilities": ["u_cve", "u_qid"], "agent_id": null},
        "notes_only": null,
    })
}

fn resolving() -> Value {
    let mut params = wanted("incident");
    params["resolve"] = json!({"state": "Resolved",
        "close_code": ["Solved (Permanently)", "Solution provided"], "close_notes": "Verified."});
    params["repatch"] =
        json!({"state": "In Progress", "assignment_group": "Linux Operations", "fields": {}});
    params
}

fn titled<'v>(value: &'v Value, part: &str) -> &'v Value {
    let tickets = value["tickets"].as_array().expect("tickets");
    let of = |ticket: &&Value| ticket["title"].as_str().is_some_and(|title| title.contains(part));
    tickets.iter().find(of).expect("a ticket of that title")
}

/// The update of a ticket that was read.
fn update_of(ticket: &Value, fields: &Value) -> Value {
    json!({
        "table": "incident", "id": ticket["id"], "number": ticket["number"],
        "expect": {"state": ticket["state"], "mod_count": ticket["mod_count"]},
        "fields": fields, "note": "Rescanned at 08:00 and fixed.",
    })
}

#[tokio::test]
async fn the_wave_is_read_ticket_by_ticket() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    probe(&gate).await.expect("the login is accepted");
    let value = read(&gate, resolving()).await.expect("a read");
    let numbers: BTreeMap<String, String> = sims
        .control()
        .tickets()
        .into_iter()
        .filter(|ticket| ticket.table == "incident" && ticket.expected.is_some())
        .map(|ticket| (ticket.number, ticket.state))
        .collect();
    let tickets = value["tickets"].as_array().expect("tickets");
    let found: BTreeMap<String, String> = tickets
        .iter()
        .map(|ticket| {
            let text = |name: &str| ticket[name].as_str().expect("text").to_owned();
            (text("number"), text("state"))
        })
        .collect();
    assert_eq!(found, numbers);
    assert_eq!(value["complete"], true);
    assert_eq!(value["warnings"], json!([]));
    assert_eq!(value["resolve"]["close_code"], "Solution provided");
    assert_eq!(value["repatch"]["assignment_group"].as_str().map(str::len), Some(32));
    let odd = tickets.iter().filter_map(|ticket| {
        let missing = ticket["missing"].as_array().expect("a list").first();
        let why = ticket["unusable"].as_str().or(missing.and_then(Value::as_str))?;
        Some(format!("{}: {why}", ticket["title"].as_str().expect("a title")))
    });
    let odd: Vec<String> = odd.collect();
    let odd = odd.join("\n");
    let hex = |word: &str| word.len() == 34 && word.starts_with('`');
    let odd: Vec<&str> = odd.split(' ').map(|w| if hex(w) { "`ID`" } else { w }).collect();
    insta::assert_snapshot!(odd.join(" "), @"
    Monthly patches on lin-ops-37: vulnerability: neither a mapped field nor the short description or description names a CVE or QID; map `fields.vulnerabilities` to the field that does
    CVE-2024-6387: update OpenSSH: host: `cmdb_ci` is empty; fill it in, or map `fields.host` to the field that names the host
    sudo update on a host with an odd name: host: configuration item `ID` has no host name, FQDN or IP address that other systems could know it by; fill in `name` or `fqdn`
    CVE-2024-6387: update OpenSSH: host: configuration item `ID` no longer exists; correct `cmdb_ci` of the ticket
    Patch Log4Shell on pay-app-28: its state `16` no longer exists: the choice `Pending Verification` with this value is inactive
    sudo update on lin-ops-38: patch time: no mapped field has a value, and history does not show when the ticket began to wait; map `fields.patched_at` to the field that holds it
    ");
    sims.shutdown().await;
}

#[tokio::test]
async fn what_was_patched_where_and_when() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    let value = read(&gate, resolving()).await.expect("a read");
    let check = |title: &str, vulnerabilities: Value, source: &str| {
        let ticket = titled(&value, title);
        assert_eq!(ticket["vulnerabilities"], vulnerabilities, "{title}");
        assert_eq!(ticket["patched_at_source"], source, "{title}");
        assert!(ticket["patched_at"].is_string(), "{title}");
        assert_eq!(ticket["environment"], "production", "{title}");
    };
    check("pay-app-21", json!(["CVE-2021-44228"]), "work_end");
    check("book-web-12", json!(["CVE-2021-4034"]), "work_end");
    check("dc-berth-03", json!(["QID-9100006"]), "work_end");
    check("pay-app-22", json!(["CVE-2021-44228", "CVE-2021-45046", "CVE-2022-22965"]), "work_end");
    check("lin-ops-31", json!(["CVE-2021-3156"]), "u_patched_at");
    check("lin-ops-32", json!(["CVE-2021-3156"]), "history: the ticket began to wait");
    // Its description is five megabytes long.
    check("lin-ops-34", json!(["CVE-2021-4034"]), "work_end");
    let host = titled(&value, "pay-app-21")["host"].clone();
    let hosts = value["hosts"].as_array().expect("hosts");
    let host = hosts.iter().find(|known| known["id"] == host).expect("its host");
    assert_eq!(host["names"], json!(["pay-app-21", "pay-app-21.harbourline.example"]));
    assert!(value.to_string().len() < 100_000, "no descriptions are kept");
    sims.shutdown().await;
}

#[tokio::test]
async fn other_tables_are_read_too() {
    async fn check(gate: &TestGate, table: &str, expected: Result<(usize, &str), &str>) {
        let got = read(gate, wanted(table)).await;
        let got = got.map(|value| {
            let tickets = value["tickets"].as_array().expect("tickets");
            (tickets.len(), tickets[0]["state"].as_str().expect("a state").to_owned())
        });
        match expected {
            Ok((n_tickets, state)) => assert_eq!(got, Ok((n_tickets, state.to_owned()))),
            Err(words) => assert!(got.as_ref().is_err_and(|e| e.contains(words)), "{got:?}"),
        }
    }
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    check(&gate, "change_task", Ok((2, "20"))).await;
    check(&gate, "u_patch_task", Ok((3, "18"))).await;
    check(&gate, "sn_vul_vulnerable_item", Ok((1, "25"))).await;
    check(&gate, "sn_si_incident", Err("the account may not read table `sn_si_incident`")).await;
    check(&gate, "u_nothing", Err("`u_nothing`")).await;
    let value = read(&gate, wanted("u_patch_task")).await.expect("a read");
    let hosts: Vec<&str> =
        value["hosts"].as_array().expect("hosts").iter().filter_map(|h| h["id"].as_str()).collect();
    assert_eq!(
        hosts,
        ["name:nobody-knows-it", "name:pch-app-01", "name:pch-app-02.harbourline.example"]
    );
    sims.shutdown().await;
}

/// Reads under faults come to what they come to without.
#[tokio::test]
async fn a_read_outlasts_faults() {
    async fn check(faults: &str) {
        let sims = simulators(faults).await;
        let value = read(&gate(&sims).await, resolving()).await;
        let value = value.unwrap_or_else(|error| panic!("under `{faults}`: {error}"));
        assert_eq!(value["tickets"].as_array().map(Vec::len), Some(38), "under `{faults}`");
        assert_eq!(value["complete"], true, "under `{faults}`");
        sims.shutdown().await;
    }
    let cases = [
        "servicenow.table.list:transaction-cancelled@2",
        "servicenow.table.list:transaction-cancelled=json@2",
        "servicenow.table.list.incident:html@1",
        "servicenow.table.list.incident:truncate@1",
        "servicenow.table.list.cmdb_ci:cut@1",
        "servicenow.table.list:500@1x2",
        "servicenow.table.list:429-bare@1",
        "servicenow.table.list.sys_choice:reset@1",
    ];
    futures_util::future::join_all(cases.map(check)).await;
}

/// One note and one closing, whatever happens to the reply.
#[tokio::test]
async fn one_closing_under_faults() {
    async fn check(faults: &str) {
        let sims = simulators("").await;
        let gate = gate(&sims).await;
        let value = read(&gate, resolving()).await.expect("a read");
        let ticket = titled(&value, "pay-app-21");
        sims.control().set_faults(faults.parse().expect("faults"));
        let written = gate.write(UPDATE, update_of(ticket, &value["resolve"]), "a").await;
        let written = written.map_err(|error| message(&error));
        let written = written.unwrap_or_else(|error| panic!("under `{faults}`: {error}"));
        assert_eq!(written.value["state"], "6", "under `{faults}`");
        let number = ticket["number"].as_str().expect("a number");
        let shown = sims.control().tickets().into_iter().find(|t| t.number == number);
        let shown = shown.expect("the ticket");
        assert_eq!((shown.state.as_str(), shown.work_notes.len()), ("6", 1), "under `{faults}`");
        assert_eq!(sims.ledger().len(), 1, "under `{faults}`");
        sims.shutdown().await;
    }
    let cases = [
        "",
        "servicenow.table.update:drop-after@1",
        "servicenow.table.update:500-after@1",
        "servicenow.table.update:truncate@1",
        "servicenow.table.update:cut@1",
        "servicenow.table.update:500@1",
        "servicenow.table.update:reset@1",
        "servicenow.table.update:429-bare@1",
        "servicenow.table.update:500@1,servicenow.table.get:500@2",
        "servicenow.table.update:drop-after@1,servicenow.table.list.sys_journal_field:cut@2",
        "servicenow.table.get:transaction-cancelled@2",
        "servicenow.table.get:html@1",
    ];
    futures_util::future::join_all(cases.map(check)).await;
}

#[tokio::test]
async fn a_ticket_that_somebody_else_changed_is_left_alone() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    let value = read(&gate, resolving()).await.expect("a read");
    let ticket = titled(&value, "pay-app-21");
    let number = ticket["number"].as_str().expect("a number");
    assert!(sims.control().edit_ticket(number, &[("work_notes", "Looking at it.")]));
    let edits = sims.ledger().len();
    let error = gate.write(UPDATE, update_of(ticket, &value["resolve"]), "a").await;
    let error = error.expect_err("left alone");
    assert!(matches!(&error, GateError::Call(arx_gateway::CallError::Moved { .. })), "{error}");
    assert_eq!(sims.ledger().len(), edits, "nothing was written");
    sims.shutdown().await;
}

#[tokio::test]
async fn a_change_in_the_same_moment_is_told() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    let value = read(&gate, resolving()).await.expect("a read");
    let ticket = titled(&value, "pay-app-21");
    let faults = "servicenow.table.get:edited-meanwhile@1".parse().expect("faults");
    sims.control().set_faults(faults);
    let written = gate.write(UPDATE, update_of(ticket, &value["resolve"]), "a").await;
    let written = written.expect("nothing on the vendor's side prevents it");
    let warning = written.value["warnings"][0].as_str().expect("a warning");
    let told = format!(
        "somebody else or a rule of the instance changed `{}`",
        ticket["number"].as_str().expect("a number")
    );
    assert!(warning.starts_with(&told), "{warning}");
    sims.shutdown().await;
}

#[tokio::test]
async fn a_state_that_may_not_be_written_closes_nothing() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    let value = read(&gate, resolving()).await.expect("a read");
    let ticket = titled(&value, "Patch Log4Shell on pay-app-27");
    let error = gate.write(UPDATE, update_of(ticket, &value["resolve"]), "a").await;
    let error = message(&error.expect_err("refused"));
    assert!(error.contains("`state` kept its value `15` instead of `6`"), "{error}");
    // Without a close code the data policy refuses, in the vendor's words.
    let ticket = titled(&value, "pay-app-22");
    let error = gate.write(UPDATE, update_of(ticket, &json!({"state": "6"})), "b").await;
    let error = message(&error.expect_err("refused"));
    assert!(error.contains("Data Policy Exception"), "{error}");
    sims.shutdown().await;
}
