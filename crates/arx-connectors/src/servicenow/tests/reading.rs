//! Tickets as they are read from an instance that drops terms and hides fields.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{
    CANARY, CI, choice, failure, gate, id, item, message, param, place, read, tables, ticket,
    wanted,
};
use crate::scripted::{Reply, probe};

/// Reads an instance with these tickets.
pub(super) async fn read_all(tickets: Vec<Value>, params: Value) -> Result<Value, String> {
    let tables = tables(tickets);
    let (gate, _server) = gate(move |asked| tables.answer(asked)).await;
    read(&gate, params).await
}

/// What one ticket comes to after a change.
async fn read_one(change: impl FnOnce(&mut Value)) -> Value {
    let mut row = ticket(1);
    change(&mut row);
    let value = read_all(vec![row], wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(1), "{value}");
    value["tickets"][0].clone()
}

#[tokio::test]
async fn a_ticket_says_everything() {
    let params = json!({
        "pending_state": "Pending Verification",
        "resolve": {"close_code": ["Solved (Permanently)", "solution provided"], "close_notes": "Verified."},
        "repatch": {"state": "In progress", "assignment_group": CI, "fields": {"u_flag": true}},
    });
    let value = read_all(vec![ticket(1)], params).await.expect("a read");
    let shown = serde_json::to_string_pretty(&value).expect("JSON");
    let host = shown.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let shown = shown.replace(host.expect("an address"), "HOST");
    insta::assert_snapshot!(shown, @r#"
    {
      "evidence": "tickets",
      "table": "incident",
      "state_field": "state",
      "tickets": [
        {
          "id": "00000000000000000000000000000001",
          "number": "INC0000001",
          "title": "Patch web01",
          "url": "http://HOST/incident.do?sys_id=00000000000000000000000000000001",
          "state": "11",
          "mod_count": "3",
          "host": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "environment": "production",
          "vulnerabilities": [
            "CVE-2021-44228"
          ],
          "patched_at": "2026-03-09T08:00:00Z",
          "patched_at_source": "work_end",
          "missing": [],
          "unusable": null
        }
      ],
      "hosts": [
        {
          "id": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "name": "WEB01",
          "names": [
            "WEB01",
            "web01.acme.example"
          ],
          "ips": [
            "10.0.0.1"
          ],
          "agent_ids": []
        }
      ],
      "vulnerabilities": [
        "CVE-2021-44228"
      ],
      "resolve": {
        "state": "6",
        "close_code": "Solution provided",
        "close_notes": "Verified."
      },
      "repatch": {
        "state": "2",
        "assignment_group": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "u_flag": "true"
      },
      "waiting": 0,
      "complete": true,
      "why": null,
      "warnings": []
    }
    "#);
}

#[tokio::test]
async fn what_is_asked_for() {
    let tables = tables(vec![ticket(1)]);
    let (gate, server) = gate(move |asked| tables.answer(asked)).await;
    let params = json!({
        "pending_state": "Pending Verification", "max_tickets": 50,
        "fields": {"vulnerabilities": ["u_cve", "u_qid"], "agent_id": "u_agent"},
    });
    read(&gate, params.clone()).await.expect("a read");
    read(&gate, params).await.expect("another read");
    let asked = server.asked_for("/table/incident?");
    assert_eq!(
        param(&asked[0], "sysparm_query"),
        "stateIN11,10^ORDERBYsys_created_on^ORDERBYsys_id"
    );
    assert_eq!(
        param(&asked[0], "sysparm_fields"),
        "sys_id,number,sys_mod_count,sys_updated_on,short_description,state,cmdb_ci,u_cve,u_qid,\
         work_end,u_patched_at,description"
    );
    assert_eq!(param(&asked[0], "sysparm_display_value"), "false");
    assert_eq!(param(&asked[0], "sysparm_exclude_reference_link"), "true");
    assert_eq!(param(&asked[0], "sysparm_limit"), "50");
    assert!(asked[0].header("authorization").is_some_and(|auth| auth.starts_with("Basic ")));
    // Looked up once.
    let choices = server.asked_for("/table/sys_choice?");
    assert_eq!(choices.len(), 1);
    assert_eq!(
        param(&choices[0], "sysparm_query"),
        "nameINincident,task^elementINstate,close_code^ORDERBYsys_id"
    );
    let items = server.asked_for("/table/cmdb_ci?");
    assert_eq!(param(&items[0], "sysparm_query"), format!("sys_id={CI}^ORDERBYsys_id"));
    assert!(param(&items[0], "sysparm_fields").ends_with(",u_agent"));
    // Every ticket has its time, so no history is asked for.
    assert!(server.asked_for("sys_audit").is_empty());
}

#[tokio::test]
async fn each_odd_ticket_has_its_own_reason() {
    async fn check(change: impl FnOnce(&mut Value), field: &str, expected: Value) {
        let ticket = read_one(change).await;
        assert_eq!(ticket[field], expected, "{ticket}");
    }
    fn remove(name: &'static str) -> impl FnOnce(&mut Value) {
        move |row| {
            row.as_object_mut().expect("a row").remove(name);
        }
    }
    let hidden =
        |name: &str| json!(format!("its `{name}` is not shown: the account may not read it"));
    check(remove("sys_id"), "unusable", hidden("sys_id")).await;
    check(remove("number"), "unusable", hidden("number")).await;
    check(remove("state"), "unusable", hidden("state")).await;
    check(remove("sys_mod_count"), "unusable", hidden("sys_mod_count")).await;
    check(|row| row["sys_id"] = json!("x"), "unusable", hidden("sys_id")).await;
    check(
        |row| row["state"] = json!("10"),
        "unusable",
        json!(
            "its state `10` no longer exists: the choice `pending verification` with this value is \
         inactive"
        ),
    )
    .await;
    check(|_| {}, "unusable", Value::Null).await;
    check(|_| {}, "missing", json!([])).await;

    check(|row| row["cmdb_ci"] = json!(""), "missing", json!([
        "host: `cmdb_ci` is empty; fill it in, or map `fields.host` to the field that names the host"
    ])).await;
    check(
        remove("cmdb_ci"),
        "missing",
        json!([
            "host: `cmdb_ci` is not shown; there is no such field or the account may not read it"
        ]),
    )
    .await;
    check(
        |row| row["cmdb_ci"] = json!(id(77)),
        "missing",
        json!([format!(
            "host: configuration item `{}` no longer exists; correct `cmdb_ci` of the ticket",
            id(77)
        )]),
    )
    .await;
    check(
        |row| row["cmdb_ci"] = json!("^ORname=x"),
        "missing",
        json!(["host: `^ORname=x` in `cmdb_ci` is no host name and no IP address"]),
    )
    .await;
    check(
        |row| row["cmdb_ci"] = json!("web07.acme.example."),
        "host",
        json!("name:web07.acme.example"),
    )
    .await;
    check(|row| row["cmdb_ci"] = json!({"link": "x", "value": CI}), "host", json!(CI)).await;
    check(|_| {}, "environment", json!("production")).await;
    check(|row| row["cmdb_ci"] = json!(""), "environment", json!("unknown")).await;

    check(|row| row["description"] = json!("Nothing."), "missing", json!([
        "vulnerability: neither a mapped field nor the short description or description names a \
         CVE or QID; map `fields.vulnerabilities` to the field that does"
    ])).await;
    check(remove("description"), "vulnerabilities", json!([])).await;
    check(
        |row| row["short_description"] = json!("QID 38170"),
        "vulnerabilities",
        json!(["CVE-2021-44228", "QID-38170"]),
    )
    .await;
    let many: String = (0..51).map(|n| format!("CVE-2026-{n:04} ")).collect();
    check(
        |row| row["description"] = json!(many),
        "missing",
        json!([
            "vulnerability: more than 50 are named, which is more than one ticket is verified for; \
         split it"
        ]),
    )
    .await;

    check(|_| {}, "patched_at_source", json!("work_end")).await;
    check(
        |row| row["u_patched_at"] = json!("2026-03-08 00:00:00"),
        "patched_at_source",
        json!("work_end"),
    )
    .await;
    check(
        |row| {
            row["work_end"] = json!("");
            row["u_patched_at"] = json!("2026-03-08 00:00:00");
        },
        "patched_at",
        json!("2026-03-08T00:00:00Z"),
    )
    .await;
    check(
        |row| row["work_end"] = json!("last friday"),
        "missing",
        json!([
            "patch time: `work_end` holds `last friday`, which is no time; correct it, or map \
         `fields.patched_at` to a date and time field"
        ]),
    )
    .await;
    check(|row| row["work_end"] = json!("2099-01-01 00:00:00"), "missing", json!([
        "patch time: `work_end` says 2099-01-01T00:00:00Z, which is yet to come; correct it, or \
         map `fields.patched_at` to another field"
    ])).await;
    check(remove("work_end"), "missing", json!([
        "patch time: no mapped field has a value, and history does not show when the ticket began \
         to wait; map `fields.patched_at` to the field that holds it"
    ])).await;
    check(|row| row["short_description"] = json!("a\u{0}\nb"), "title", json!("a b")).await;
}

#[tokio::test]
async fn mapped_fields_come_before_texts() {
    async fn check(cve: &str, qid: &str, vulnerabilities: Value, missing: Value) {
        let mut row = ticket(1);
        row["u_cve"] = json!(cve);
        row["u_qid"] = json!(qid);
        let params = json!({
            "pending_state": "Pending Verification",
            "fields": {"vulnerabilities": ["u_cve", "u_qid"]},
        });
        let value = read_all(vec![row], params).await.expect("a read");
        assert_eq!(value["tickets"][0]["vulnerabilities"], vulnerabilities);
        assert_eq!(value["tickets"][0]["missing"], missing);
    }
    check("", " ", json!(["CVE-2021-44228"]), json!([])).await;
    check(
        "CVE-2026-0001,\ncve-2026-0002",
        "38170",
        json!(["CVE-2026-0001", "CVE-2026-0002", "QID-38170"]),
        json!([]),
    )
    .await;
    check(
        "see below",
        "",
        json!([]),
        json!(["vulnerability: `u_cve` names no CVE or QID; correct it"]),
    )
    .await;
    check(
        "CVE-2026-0001 CVE-26-1",
        "",
        json!(["CVE-2026-0001"]),
        json!(["vulnerability: `CVE-26-1` is neither a CVE nor a QID; correct it"]),
    )
    .await;
}

#[tokio::test]
async fn hosts_are_known_by_all_their_names() {
    async fn check(change: impl FnOnce(&mut Value), expected: Value) {
        let mut item = item();
        change(&mut item);
        let tables = tables(vec![ticket(1)]).with("cmdb_ci", vec![item]);
        let (gate, _server) = gate(move |asked| tables.answer(asked)).await;
        let params = json!({"pending_state": "11", "fields": {"agent_id": "u_agent"}});
        let value = read(&gate, params).await.expect("a read");
        let host = &value["hosts"][0];
        let shown = json!([host["name"], host["names"], host["ips"], host["agent_ids"]]);
        let environment = &value["tickets"][0]["environment"];
        assert_eq!(json!([shown, environment, value["tickets"][0]["missing"]]), expected);
    }
    check(
        |_| {},
        json!([["WEB01", ["WEB01", "web01.acme.example"], ["10.0.0.1"], []], "production", []]),
    )
    .await;
    check(
        |item| {
            item["fqdn"] = json!("");
            item["dns_domain"] = json!("acme.example.");
            item["used_for"] = json!("");
        },
        json!([["WEB01", ["WEB01", "WEB01.acme.example"], ["10.0.0.1"], []], "unknown", []]),
    )
    .await;
    check(
        |item| {
            item["name"] = json!("Web server of sales");
            item["ip_address"] = json!("not an address, 10.0.0.1; ::1 fe80::2 0.0.0.0 999.1.1.1");
            item["u_agent"] = json!("a-1, a-2");
            item["environment"] = json!("Test");
            item["used_for"] = json!("");
        },
        json!([
            [
                "Web server of sales",
                ["web01.acme.example"],
                ["10.0.0.1", "fe80::2"],
                ["a-1", "a-2"]
            ],
            "staging",
            []
        ]),
    )
    .await;
    check(
        |item| {
            for name in ["name", "fqdn", "ip_address"] {
                item[name] = json!(" ");
            }
        },
        json!([
            [null, null, null, null],
            "unknown",
            [format!(
                "host: configuration item `{CI}` has no host name, FQDN or IP address that other \
             systems could know it by; fill in `name` or `fqdn`"
            )]
        ]),
    )
    .await;
}

#[tokio::test]
async fn configuration_items_are_looked_up_in_batches() {
    let n_items = 150;
    let mut tickets = Vec::new();
    let mut items = Vec::new();
    for n in 0..n_items {
        let mut row = ticket(n);
        row["cmdb_ci"] = json!(id(10_000 + n));
        tickets.push(row);
        let mut item = item();
        item["sys_id"] = json!(id(10_000 + n));
        item["name"] = json!(format!("host{n}"));
        items.push(item);
    }
    // One is deleted; one is there, but not shown.
    items.pop();
    items[0] = json!({"sys_id": "", "name": "hidden"});
    let tables = tables(tickets).with("cmdb_ci", items);
    let (gate, server) = gate(move |asked| {
        let mut reply = tables.answer(asked);
        // The vendor counts what it does not show.
        if param(asked, "sysparm_query").contains(&id(10_000)) {
            reply.headers.retain(|(name, _)| *name != "x-total-count");
            return reply.header("x-total-count", "100");
        }
        reply
    })
    .await;
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(server.asked_for("/table/cmdb_ci?").len(), 2);
    assert_eq!(value["hosts"].as_array().map(Vec::len), Some(n_items - 2));
    let missing =
        |n: usize| value["tickets"][n]["missing"][0].as_str().unwrap_or_default().to_owned();
    assert!(
        missing(0).contains("no longer exists, or the account may not read it"),
        "{}",
        missing(0)
    );
    assert_eq!(missing(1), "");
}

#[tokio::test]
async fn items_that_may_not_be_read_stop_nothing() {
    let tables = tables(vec![ticket(1)]);
    let (gate, _server) = gate(move |asked| match place(asked).0.as_str() {
        "cmdb_ci" => failure(403, "Operation Failed", Some("ACL Exception")),
        _ => tables.answer(asked),
    })
    .await;
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(value["complete"], false);
    let missing = value["tickets"][0]["missing"][0].as_str().expect("a reason");
    assert!(missing.contains("the account may not read table `cmdb_ci`"), "{missing}");
    assert_eq!(value["tickets"][0]["host"], Value::Null);
}

#[tokio::test]
async fn history_tells_when_a_ticket_began_to_wait() {
    async fn check(entries: Value, expected: (Value, Value)) {
        let mut row = ticket(1);
        row["work_end"] = json!("");
        let entries: Vec<Value> = entries.as_array().expect("a list").clone();
        let tables = tables(vec![row]).with("sys_audit", entries);
        let (gate, _server) = gate(move |asked| tables.answer(asked)).await;
        let value = read(&gate, wanted()).await.expect("a read");
        let ticket = &value["tickets"][0];
        assert_eq!(ticket["patched_at"], expected.0);
        assert_eq!(ticket["patched_at_source"], expected.1);
    }
    let entry = |document: &str, field: &str, new: &str, at: &str| {
        json!({
            "tablename": "incident", "documentkey": document, "fieldname": field, "newvalue": new,
            "sys_created_on": at,
        })
    };
    let from_history = "history: the ticket began to wait";
    let nothing = (Value::Null, json!(""));
    let mine = id(1);
    check(
        json!([
            entry(&mine, "state", "11", "2026-03-01 00:00:00"),
            entry(&mine, "state", "11", "2026-03-05 00:00:00"),
            entry(&mine, "state", "11", "2026-03-04 00:00:00"),
        ]),
        (json!("2026-03-05T00:00:00Z"), json!(from_history)),
    )
    .await;
    // Entries that were not asked for tell nothing.
    check(
        json!([
            entry(&id(2), "state", "11", "2026-03-05 00:00:00"),
            entry(&mine, "priority", "11", "2026-03-05 00:00:00"),
            entry(&mine, "state", "2", "2026-03-05 00:00:00"),
            entry(&mine, "state", "11", "yesterday"),
            {},
        ]),
        nothing.clone(),
    )
    .await;
    check(json!([]), nothing).await;
}

#[tokio::test]
async fn history_that_may_not_be_read_is_done_without() {
    async fn check(history: Reply) {
        let mut row = ticket(1);
        row["work_end"] = json!("");
        let tables = tables(vec![row]);
        let (gate, _server) = gate(move |asked| match place(asked).0.as_str() {
            "sys_audit" => history.clone(),
            _ => tables.answer(asked),
        })
        .await;
        let value = read(&gate, wanted()).await.expect("a read");
        let ticket = &value["tickets"][0];
        assert_eq!(ticket["patched_at"], "2026-03-09T10:00:00Z");
        let source = "last change of the ticket, so no later than that";
        assert_eq!(ticket["patched_at_source"], source);
        assert_eq!(value["complete"], true);
    }
    check(failure(403, "Operation Failed", None)).await;
    check(failure(400, "Invalid table sys_audit", None)).await;
    // Counted, and not shown.
    check(Reply::ok(r#"{"result":[]}"#).header("x-total-count", "2")).await;
    // One is shown, and the one that is not may be later.
    let entry = json!({"result": [{
        "tablename": "incident", "documentkey": id(1), "fieldname": "state", "newvalue": "11",
        "sys_created_on": "2026-03-01 00:00:00",
    }]});
    check(Reply::ok(entry.to_string()).header("x-total-count", "2")).await;
}

#[tokio::test]
async fn labels_are_the_instances_own() {
    async fn check(params: Value, expected: Result<Value, &str>) {
        let got = read_all(vec![ticket(1)], params).await;
        let got = got.map(|value| json!([value["resolve"], value["repatch"]]));
        assert_eq!(got.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e));
    }
    let resolve = |state: &str, code: Value| {
        json!({
            "pending_state": "11", "resolve": {"state": state, "close_code": code, "close_notes": "Done."},
        })
    };
    let done = |state: &str, code: &str| {
        Ok(json!([{"state": state, "close_code": code, "close_notes": "Done."}, null]))
    };
    check(json!({"pending_state": "Pending Verification"}), Ok(json!([null, null]))).await;
    check(resolve("resolved", json!("solution provided")), done("6", "Solution provided")).await;
    check(resolve("Gelöst", json!(["Nope", "User error"])), done("6", "user_error")).await;
    check(resolve("6", json!("user_error")), done("6", "user_error")).await;
    check(resolve("6", json!([])), Ok(json!([{"state": "6", "close_notes": "Done."}, null]))).await;
    let there = "there are New (1), In Progress (2), On Hold (3), Resolved (6), Pending \
                 Verification (11), Gelöst (6)";
    let key = |key: &str| format!("configuration: `{key}` in `inputs.servicenow` of arx.yaml: ");
    check(
        json!({"pending_state": "Awaiting verification"}),
        Err(&format!("{}`state` of table `incident` has no choice `Awaiting verification`; {there}, Pending (-5)", key("pending_state"))),
    ).await;
    // Inherited, but 3 means another thing on this table.
    check(
        resolve("Closed Complete", json!("x")),
        Err(&format!(
            "{}`state` of table `incident` has no choice `Closed Complete`; {there}, Pending (-5)",
            key("resolve.state")
        )),
    )
    .await;
    check(
        resolve("6", json!(["Fixed", "Closed"])),
        Err(&format!("{}`close_code` of table `incident` has no choice `Fixed` or `Closed`; there are Solution provided (Solution provided), User error (user_error)", key("resolve.close_code"))),
    ).await;
    check(
        json!({"pending_state": "11", "repatch": {"state": "Reopened"}}),
        Err(&format!(
            "{}`state` of table `incident` has no choice `Reopened`; {there}, Pending (-5)",
            key("repatch.state")
        )),
    )
    .await;
    check(
        json!({"pending_state": "11", "repatch": {"fields": {"u_flag": true, "u_n": 3}}}),
        Ok(json!([null, {"u_flag": "true", "u_n": "3"}])),
    )
    .await;
}

#[tokio::test]
async fn a_choice_that_is_inactive_or_ambiguous_is_refused() {
    async fn check(extra: Vec<Value>, params: Value, expected: &str) {
        let tables = tables(vec![ticket(1)]);
        tables.change("sys_choice", |rows| rows.extend(extra));
        let (gate, _server) = gate(move |asked| tables.answer(asked)).await;
        let error = read(&gate, params).await.expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }
    let mut retired = choice("incident", "state", "9", "Awaiting scan");
    retired["inactive"] = json!("1");
    check(
        vec![retired],
        json!({"pending_state": "awaiting scan"}),
        "has only an inactive choice `awaiting scan`",
    )
    .await;
    check(
        vec![choice("incident", "state", "66", "Resolved")],
        json!({"pending_state": "11", "resolve": {"close_notes": "x"}}),
        "`resolve.state`: `Resolved` stands for several values of `state` on table `incident`: 6, 66; write one of them",
    ).await;
    check(
        vec![choice("incident", "state", "6^NQstate=1", "Odd")],
        json!({"pending_state": "Odd"}),
        "holds `^`, which begins another term",
    )
    .await;
}

#[tokio::test]
async fn choices_that_cannot_be_read_name_the_table() {
    async fn check(reply: Reply, expected: &str) {
        let tables = tables(vec![ticket(1)]);
        let (gate, _server) = gate(move |asked| match place(asked).0.as_str() {
            "sys_choice" => reply.clone(),
            _ => tables.answer(asked),
        })
        .await;
        let error = read(&gate, wanted()).await.expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }
    check(
        failure(403, "Operation Failed", Some("ACL")),
        "the account may not read table `sys_choice`",
    )
    .await;
    let empty = || Reply::ok(r#"{"result":[]}"#).header("content-type", "application/json");
    check(empty().header("x-total-count", "7"), "table `sys_choice` shows none of its rows for it")
        .await;
    check(empty().header("x-total-count", "0"), "table `sys_choice` has none for it").await;
}

#[tokio::test]
async fn a_missing_choice_is_looked_up_again() {
    let tables = tables(vec![ticket(1)]);
    let shared = tables.clone();
    let (gate, server) = gate(move |asked| tables.answer(asked)).await;
    let params = json!({"pending_state": "Brand new"});
    read(&gate, params.clone()).await.expect_err("refused");
    shared.change("sys_choice", |rows| rows.push(choice("incident", "state", "12", "Brand new")));
    shared.change("incident", |rows| rows[0]["state"] = json!("12"));
    assert_eq!(read(&gate, params).await.expect("a read")["tickets"][0]["state"], "12");
    assert_eq!(server.asked_for("sys_choice").len(), 2);
}

#[tokio::test]
async fn a_group_is_found_by_its_name() {
    async fn check(groups: Vec<Value>, expected: Result<&str, &str>) {
        let tables = tables(vec![ticket(1)]).with("sys_user_group", groups);
        let (gate, _server) = gate(move |asked| tables.answer(asked)).await;
        let params =
            json!({"pending_state": "11", "repatch": {"assignment_group": "Linux Operations"}});
        let got =
            read(&gate, params).await.map(|value| value["repatch"]["assignment_group"].clone());
        match expected {
            Ok(id) => assert_eq!(got, Ok(json!(id))),
            Err(words) => assert!(got.as_ref().is_err_and(|e| e.contains(words)), "{got:?}"),
        }
    }
    let group = |sys_id: &str, name: &str, active: &str| json!({"sys_id": sys_id, "name": name, "active": active});
    check(
        vec![group(CI, "Linux Operations", "true"), group(&id(1), "Linux Operations", "false")],
        Ok(CI),
    )
    .await;
    check(vec![group(CI, "Other", "true")], Err("no active group is named `Linux Operations`"))
        .await;
    check(
        vec![group(CI, "Linux Operations", "true"), group(&id(1), "Linux Operations", "true")],
        Err("more than one active group is named `Linux Operations`"),
    )
    .await;
}

#[tokio::test]
async fn a_table_that_may_not_be_read_is_refused() {
    async fn check(params: Value, expected: &str) {
        let tables = tables(vec![]);
        let (gate, _server) = gate(move |asked| match place(asked).0.as_str() {
            "incident" | "sn_si_incident" => {
                failure(403, "Operation Failed", Some("ACL Exception"))
            }
            _ => tables.answer(asked),
        })
        .await;
        let error = read(&gate, params).await.expect_err("refused");
        assert_eq!(error, expected);
    }
    check(
        wanted(),
        "ServiceNow refused the request with status 403: the account may not read table \
        `incident`; give it a role that may: Operation Failed: ACL Exception",
    )
    .await;
    // Its choices are unknown for the same reason.
    check(
        json!({"table": "sn_si_incident", "pending_state": "x"}),
        "ServiceNow refused the request with \
        status 403: the account may not read table `sn_si_incident`; give it a role that may: \
        Operation Failed: ACL Exception",
    )
    .await;
}

#[tokio::test]
async fn a_login_that_is_refused_is_tried_once() {
    let (gate, server) = gate(|asked| {
        let login = asked.header("authorization").unwrap_or_default().to_owned();
        let words = format!("Required to provide Auth information, not {CANARY} nor {login}");
        failure(401, "User Not Authenticated", Some(&words))
    })
    .await;
    let error = read(&gate, wanted()).await.expect_err("refused");
    assert_eq!(
        error,
        "ServiceNow does not accept SNOW_USERNAME and SNOW_PASSWORD: User Not Authenticated: \
        Required to provide Auth information, not [redacted] nor Basic [redacted]"
    );
    assert_eq!(server.asked().len(), 1);
    // Many failures lock an account, so nothing is asked again soon.
    let again = read(&gate, wanted()).await.expect_err("refused");
    assert_eq!((again, server.asked().len()), (error, 1));
    let error = probe(&gate).await.expect_err("refused");
    assert!(
        error.contains("SNOW_USERNAME and SNOW_PASSWORD") && !error.contains(CANARY),
        "{error}"
    );
}

#[tokio::test]
async fn a_probe_tells_logins_from_tables() {
    async fn check(reply: Reply, expected: Result<(), &str>) {
        let (gate, server) = gate(move |_| reply.clone()).await;
        let probed = probe(&gate).await;
        match expected {
            Ok(()) => assert_eq!(probed, Ok(())),
            Err(words) => assert!(probed.as_ref().is_err_and(|e| e.contains(words)), "{probed:?}"),
        }
        let asked = server.asked();
        assert_eq!(
            asked[0].line,
            "GET /api/now/table/incident?sysparm_limit=1&sysparm_fields=sys_id"
        );
    }
    check(Reply::ok(r#"{"result":[]}"#), Ok(())).await;
    check(failure(403, "Operation Failed", None), Ok(())).await;
    check(failure(400, "Invalid table incident", None), Ok(())).await;
    check(failure(401, "User Not Authenticated", None), Err("does not accept SNOW_USERNAME")).await;
    check(Reply::new(404, "<html>nginx</html>"), Err("no instance answers at SNOW_INSTANCE")).await;
    check(Reply::ok("<html>login</html>"), Err("a web page came instead of data")).await;
}

#[tokio::test]
async fn what_is_only_named_is_refused_with_a_record() {
    let tables = tables(vec![]);
    let (gate, server) = gate(move |asked| tables.answer(asked)).await;
    let refused = gate.write("servicenow.incidents:delete", json!({}), "a").await;
    message(&refused.expect_err("refused"));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_tables_ancestors_lend_their_choices() {
    let mut row = ticket(1);
    row["state"] = json!("42");
    let object = json!({
        "name": "u_patch", "super_class.name": "u_base", "super_class.super_class.name": "task",
        "super_class.super_class.super_class.name": "",
    });
    let tables = tables(vec![]).with("u_patch", vec![row]).with("sys_db_object", vec![object]);
    tables.change("sys_choice", |rows| {
        rows.push(choice("u_base", "u_status", "42", "Pending Verification"));
    });
    tables.change("u_patch", |rows| rows[0]["u_status"] = json!("42"));
    let (gate, server) = gate(move |asked| tables.answer(asked)).await;
    let params = json!({
        "table": "u_patch", "pending_state": "Pending Verification",
        "fields": {"state": "u_status"}, "repatch": {"fields": {"u_flag": "1"}},
    });
    let value = read(&gate, params).await.expect("a read");
    assert_eq!(value["tickets"][0]["state"], "42");
    let query = param(&server.asked_for("sys_choice")[0], "sysparm_query");
    assert!(query.starts_with("nameINu_patch,u_base,task^"), "{query}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever fields hold, a ticket comes of it, and nothing panics.
    #[test]
    fn any_row_is_a_ticket_or_dropped(
        field in proptest::sample::select(vec![
            "sys_id", "number", "state", "sys_mod_count", "sys_updated_on", "short_description",
            "description", "cmdb_ci", "work_end",
        ]),
        text in any::<String>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let value = runtime.block_on(async {
            let mut row = ticket(1);
            row[field] = json!(text);
            read_all(vec![row, ticket(2)], wanted()).await
        });
        let value = value.expect("a read");
        let n_tickets = value["tickets"].as_array().map_or(0, Vec::len);
        prop_assert!(n_tickets == 2 || (n_tickets == 1 && field == "state"), "{}", value);
    }
}
