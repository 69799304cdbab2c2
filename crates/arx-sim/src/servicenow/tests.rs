//! ServiceNow over the wire: queries, shapes, silent ignoring, journals, concurrency, faults.

use axum::http::Method;
use serde_json::{Value, json};

use crate::tests::{Answer, Bed};
use crate::{Options, Scenario, Vendor};

const NOW: &str = "2026-11-22T10:30:00Z";

async fn pinned(faults: &str) -> Bed {
    let (faults, now) = (faults.parse().unwrap(), NOW.parse().ok());
    let scenario = Scenario::Awkward;
    Bed::start(Options { scenario, faults, now, ..Options::default() }).await
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn rows(bed: &Bed, table: &str, query: &str, rest: &str) -> Vec<Value> {
    let path = format!("{table}?sysparm_query={}{rest}", encoded(query));
    let answer = bed.snow("GET", &path, None).await.expect(200);
    answer.at("/result").as_array().unwrap().clone()
}

async fn count(bed: &Bed, query: &str) -> usize {
    rows(bed, "incident", query, "").await.len()
}

async fn id_of(bed: &Bed, number: &str) -> String {
    let found = rows(bed, "task", &format!("number={number}"), "").await;
    found[0]["sys_id"].as_str().unwrap().to_owned()
}

async fn patch(bed: &Bed, number: &str, body: Value) -> Answer {
    let id = id_of(bed, number).await;
    bed.snow("PATCH", &format!("incident/{id}"), Some(body)).await
}

#[tokio::test]
async fn queries_select_and_bad_terms_vanish() {
    let bed = pinned("").await;
    let all = count(&bed, "").await;
    let waiting = count(&bed, "state=15").await;
    assert_eq!(waiting, 37);
    // One row the account may not read is in the total and not in the page.
    let answer = bed.snow("GET", "incident", None).await;
    assert_eq!(answer.header("x-total-count"), (all + 1).to_string());
    for (query, expected) in [
        ("state=15^cmdb_ci.name=pay-app-21", 1),
        ("state=15^cmdb_ci.nameLIKEpay-app", 7),
        ("state=15^cmdb_ci.name=PAY-APP-21", 0),
        ("state=15^cmdb_ciISEMPTY", 1),
        ("stateIN6,7", 2),
        ("state=6^ORstate=7", 2),
        ("state=15^NQstate=6", waiting + 1),
        ("state!=15", all - waiting),
        ("state=15^short_descriptionSTARTSWITHPatch Log4Shell", 3),
        ("number>=INC0010101^number<INC0010103", 2),
        ("sys_created_on>2999-01-01 00:00:00", 0),
        ("state=16", 1),
        // What follows is dropped, and more rows come back than were asked for.
        ("state=15^stat=6", waiting),
        ("state=15^nameless", waiting),
        ("state=15^cmdb_ci.colour=red", waiting),
        ("state=15^sys_idDURINGx", waiting),
        ("stateis6", all),
        ("state=javascript:gs.x()", all),
        ("state=Pending Verification", 0),
        // A caret in a value starts another term.
        ("short_description=sudo update on lin-ops-33 ^ORactive=true (CVE-2021-3156)", 0),
        ("short_description=x^ORactive=true", all - 1),
    ] {
        assert_eq!(count(&bed, query).await, expected, "{query}");
    }
    let simple = bed.snow("GET", "incident?state=6&number=INC0009004", None).await.expect(200);
    assert_eq!(simple.at("/result").as_array().unwrap().len(), 1);
    bed.control.set_strict_queries(true);
    assert_eq!(count(&bed, "state=15^stat=6").await, 0);
}

proptest::proptest! {
    #[test]
    fn any_query_is_read(text in "(state|number|x|\\^|=|OR|NQ|ORDERBY|IN|,|[a-zé.]){0,20}") {
        let table = super::tables::find("incident").unwrap();
        let mut store = super::Store::default();
        store.put(table, super::Row::of(&[("sys_id", "1"), ("state", "15")]));
        let query = super::Query::parse(&text, &store, table);
        let mut rows: Vec<_> = store.rows(table).collect();
        query.sort(&store, &mut rows);
        let _ = rows.iter().all(|(owner, row)| query.holds(&store, owner, row));
    }
}

#[tokio::test]
async fn pages_are_cut_before_rows_are_hidden() {
    let bed = pinned("").await;
    assert!(bed.control.restrict_ticket("INC0010102", true));
    let mut seen = Vec::new();
    for offset in [0, 10, 20, 30] {
        let path = format!(
            "incident?sysparm_query={}&sysparm_limit=10&sysparm_offset={offset}&sysparm_fields=number,nonsense",
            encoded("state=15^ORDERBYnumber")
        );
        let page = bed.snow("GET", &path, None).await.expect(200);
        assert_eq!(page.header("x-total-count"), "37");
        let rows = page.at("/result").as_array().unwrap().clone();
        assert_eq!(rows.len(), [9, 10, 10, 7][offset / 10]);
        let link = page.header("link");
        for (rel, expected) in
            [("first", true), ("next", offset < 30), ("prev", true), ("last", true)]
        {
            assert_eq!(link.contains(&format!("rel=\"{rel}\"")), expected, "{rel}: {link}");
        }
        assert_eq!(link.contains("sysparm_offset=-1"), offset == 0, "{link}");
        seen.extend(rows);
    }
    assert_eq!(seen[0], json!({ "number": "INC0010101" }), "names that do not exist are ignored");
    assert_eq!(seen[1], json!({ "number": "INC0010103" }));
    let hidden = bed.control.tickets().into_iter().find(|t| t.number == "INC0010102").unwrap();
    bed.snow("GET", &format!("incident/{}", hidden.sys_id), None).await.expect(404);
    let down = rows(&bed, "incident", "state=15^ORDERBYDESCnumber", "&sysparm_limit=1").await;
    assert_eq!(down[0]["number"], "INC0010137");
    let one_page = bed.snow("GET", "sys_user", None).await;
    assert_eq!(one_page.header("link"), "");
    let whole = format!("incident?sysparm_limit={}&sysparm_offset=1", usize::MAX);
    bed.snow("GET", &whole, None).await.expect(200);
}

#[tokio::test]
async fn fields_have_three_shapes() {
    let bed = pinned("").await;
    let id = id_of(&bed, "INC0010101").await;
    let fields = "sysparm_fields=state,cmdb_ci,cmdb_ci.name,work_end,closed_by,assignment_group";
    let get = async |rest: &str| {
        let answer = bed.snow("GET", &format!("incident/{id}?{fields}{rest}"), None).await;
        let mut result = answer.expect(200).at("/result");
        if let Some(link) = result["cmdb_ci"].get_mut("link") {
            *link = json!(link.as_str().unwrap().replace(&bed.url, ""));
        }
        result
    };
    let item = get("&sysparm_exclude_reference_link=true").await["cmdb_ci"].clone();
    let link = format!("/api/now/table/cmdb_ci/{}", item.as_str().unwrap());
    let plain = get("").await;
    assert_eq!(plain["state"], "15");
    assert_eq!(plain["cmdb_ci"], json!({ "link": link, "value": item }));
    assert_eq!(plain["cmdb_ci.name"], "pay-app-21");
    assert_eq!(plain["closed_by"], "");
    let shown = get("&sysparm_display_value=true").await;
    assert_eq!(shown["state"], "Pending Verification");
    assert_eq!(shown["cmdb_ci"], json!({ "display_value": "pay-app-21", "link": link }));
    let both = get("&sysparm_display_value=all&sysparm_exclude_reference_link=true").await;
    assert_eq!(both["state"], json!({ "display_value": "Pending Verification", "value": "15" }));
    assert_eq!(both["cmdb_ci"], json!({ "display_value": "pay-app-21", "value": item }));
    // Eight hours behind UTC in November.
    let (stored, local) = (plain["work_end"].as_str().unwrap(), &shown["work_end"]);
    assert_eq!(both["work_end"], json!({ "display_value": local, "value": stored }));
    let hours = |text: &str| {
        super::render::instant(text, &jiff::tz::TimeZone::UTC).unwrap().as_second() / 3_600
    };
    assert_eq!(hours(stored) - hours(local.as_str().unwrap()), 8);
}

#[tokio::test]
async fn a_deleted_item_leaves_its_reference() {
    let bed = pinned("").await;
    assert!(bed.control.delete_ci("INC0010101"));
    let rest = "&sysparm_display_value=all&sysparm_fields=cmdb_ci,cmdb_ci.name";
    let found = rows(&bed, "incident", "number=INC0010101", rest).await;
    assert_eq!(found[0]["cmdb_ci"]["display_value"], "");
    assert_eq!(found[0]["cmdb_ci.name"]["value"], "");
    let item = found[0]["cmdb_ci"]["value"].as_str().unwrap();
    let gone = bed.snow("GET", &format!("cmdb_ci/{item}"), None).await.expect(404);
    assert_eq!(gone.at("/error/message"), "No Record found");
    assert_eq!(
        gone.at("/error/detail"),
        "Record doesn't exist or ACL restricts the record retrieval"
    );
    assert_eq!(gone.at("/status"), "failure");
}

#[tokio::test]
async fn refusals_in_the_vendors_words() {
    let bed = pinned("").await;
    let answer = bed.snow("GET", "no_such_table", None).await.expect(400);
    assert_eq!(answer.at("/error/message"), "Invalid table no_such_table");
    assert_eq!(answer.at("/error/detail"), Value::Null);
    bed.snow("GET", "sn_si_incident", None).await.expect(403);
    let id = id_of(&bed, "INC0010101").await;
    let path = format!("incident/{id}");
    bed.snow("DELETE", &path, None).await.expect(403);
    bed.snow("PATCH", &path, Some(json!([1]))).await.expect(400);
    bed.snow("PATCH", "incident/0", Some(json!({}))).await.expect(404);
    let versioned = async |version: &str, query: &str| {
        let basic = bed.basic("SNOW_USERNAME", "SNOW_PASSWORD");
        let path = format!("/api/now/{version}table/incident?sysparm_query={query}");
        bed.send(Method::GET, &path, &[("authorization", &basic)], None).await.unwrap().status
    };
    assert_eq!(versioned("v1/", "state=99").await, 404);
    assert_eq!(versioned("v1/", "state=15").await, 200);
    assert_eq!(versioned("v2/", "state=99").await, 200);
    assert_eq!(versioned("", "state=99").await, 200);
    assert_eq!(versioned("v3/", "state=15").await, 400);
    for auth in ["Basic eDp5", "Bearer nothing"] {
        let headers = [("authorization", auth)];
        let path = "/api/now/table/incident";
        let answer = bed.send(Method::GET, path, &headers, None).await.unwrap().expect(401);
        assert_eq!(answer.at("/error/message"), "User Not Authenticated");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"Service-now\"");
    }
}

#[tokio::test]
async fn tokens_by_password_and_by_client() {
    let bed = pinned("").await;
    let client = format!(
        "client_id={}&client_secret={}",
        super::OAUTH_CLIENT_ID,
        super::OAUTH_CLIENT_SECRET
    );
    let login =
        format!("username={}&password={}", bed.var("SNOW_USERNAME"), bed.var("SNOW_PASSWORD"));
    let ask = async |form: String, status: u16| {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = bed.send(Method::POST, "/oauth_token.do", &kind, Some(form)).await;
        answer.unwrap().expect(status)
    };
    ask("grant_type=client_credentials&client_id=x&client_secret=y".to_owned(), 401).await;
    ask(format!("grant_type=password&{client}&username=x&password=y"), 401).await;
    ask(format!("grant_type=client_credentials&{client}"), 200).await;
    let given = ask(format!("grant_type=password&{client}&{login}"), 200).await;
    assert_eq!(given.at("/expires_in"), 1_799);
    let get = async |token: &Value| {
        let bearer = format!("Bearer {}", token.as_str().unwrap());
        let headers = [("authorization", bearer.as_str())];
        let path = "/api/now/table/incident?sysparm_limit=1";
        bed.send(Method::GET, path, &headers, None).await.unwrap().status
    };
    assert_eq!(get(&given.at("/access_token")).await, 200);
    bed.control.advance(std::time::Duration::from_secs(1_800));
    assert_eq!(get(&given.at("/access_token")).await, 401);
    let refresh = given.at("/refresh_token");
    let refresh = refresh.as_str().unwrap();
    let form = format!("grant_type=refresh_token&{client}&refresh_token={refresh}");
    assert_eq!(get(&ask(form, 200).await.at("/access_token")).await, 200);
}

#[tokio::test]
async fn resolving_needs_its_code_and_notes() {
    let bed = pinned("").await;
    for (body, missing) in [
        (json!({ "state": "6" }), "Resolution code, Resolution notes"),
        (json!({ "state": "6", "close_notes": "x" }), "Resolution code"),
        (json!({ "state": "7", "close_code": "User error" }), "Resolution notes"),
        (json!({ "incident_state": "3", "state": "3" }), "On hold reason"),
    ] {
        let answer = patch(&bed, "INC0010101", body).await.expect(403);
        let detail =
            format!("Data Policy Exception: The following fields are mandatory: {missing}");
        assert_eq!(answer.at("/error/detail"), detail);
    }
    assert_eq!(bed.sims.ledger(), []);
    let body =
        json!({ "state": "6", "close_code": "Solution provided", "close_notes": "Patched." });
    let done = patch(&bed, "INC0010101", body).await.expect(200);
    assert_eq!(done.at("/result/incident_state"), "6");
    assert_eq!(done.at("/result/resolved_at"), "2026-11-22 10:30:00");
    assert_eq!(done.at("/result/sys_updated_by"), bed.var("SNOW_USERNAME"));
    // The account may lose the role that closing takes; the instance then says nothing.
    bed.control.set_can_close(false);
    let kept = patch(&bed, "INC0010101", json!({ "state": "7" })).await.expect(200);
    assert_eq!(kept.at("/result/state"), "6");
    bed.control.set_can_close(true);
    let closed = patch(&bed, "INC0010101", json!({ "state": "7" })).await.expect(200);
    assert_eq!(closed.at("/result/active"), "false");
    assert!(bed.control.reopen_ticket("INC0010101"));
    let found = rows(&bed, "incident", "number=INC0010101", "").await;
    assert_eq!((&found[0]["state"], &found[0]["reopen_count"]), (&json!("15"), &json!("1")));
    assert_eq!(found[0]["close_code"], "");
}

#[tokio::test]
async fn what_may_not_be_written_keeps_its_value_in_a_reply_of_200() {
    let bed = pinned("servicenow:ignored-fields=assignment_group+u_repatch@1").await;
    let body =
        || json!({ "u_repatch": "true", "state": "2", "colour": "red", "sys_mod_count": "77" });
    let first = patch(&bed, "INC0010102", body()).await.expect(200);
    assert_eq!(
        (first.at("/result/u_repatch"), first.at("/result/state")),
        (json!("false"), json!("2"))
    );
    let second = patch(&bed, "INC0010102", body()).await.expect(200);
    assert_eq!(second.at("/result/u_repatch"), "true");
    let count = |answer: &Answer| -> u64 {
        answer.at("/result/sys_mod_count").as_str().unwrap().parse().unwrap()
    };
    assert_eq!(count(&second), count(&first) + 1);
    let third = patch(&bed, "INC0010102", body()).await.expect(200);
    assert_eq!(count(&third), count(&second), "a write that changes nothing does not count");
    // The scenario's own ticket of that kind.
    let close = json!({ "state": "6", "close_code": "Solution provided", "close_notes": "x" });
    let number = "INC0010137";
    let kept = patch(&bed, number, close).await.expect(200);
    assert_eq!(kept.at("/result/state"), "15");
    assert_eq!(kept.at("/result/close_notes"), "x");
    assert!(bed.control.ignore_ticket_field("INC0010103", "close_code"));
    let label = json!({ "state": "Resolved", "close_code": "x" });
    let kept = patch(&bed, "INC0010103", label.clone()).await.expect(200);
    assert_eq!((kept.at("/result/state"), kept.at("/result/close_code")), (json!("15"), json!("")));
    let id = id_of(&bed, "INC0010104").await;
    let path = format!("incident/{id}?sysparm_input_display_value=true");
    let label = json!({ "state": "In Progress", "assignment_group": "Vulnerability Response", "work_end": "2026-11-20 02:00:00" });
    let shown = bed.snow("PATCH", &path, Some(label)).await.expect(200);
    assert_eq!(shown.at("/result/state"), "2");
    assert_eq!(shown.at("/result/work_end"), "2026-11-20 10:00:00");
    let group = shown.at("/result/assignment_group/value");
    let groups = rows(&bed, "sys_user_group", "name=Vulnerability Response", "").await;
    assert_eq!(groups[0]["sys_id"], group);
}

#[tokio::test]
async fn journals_are_written_and_found_elsewhere() {
    let bed = pinned("").await;
    for note in ["first", "second\n[effect 12ab]"] {
        let body = json!({ "work_notes": note, "comments": "" });
        let answer = patch(&bed, "INC0010101", body).await.expect(200);
        assert_eq!(answer.at("/result/work_notes"), "");
    }
    let id = id_of(&bed, "INC0010101").await;
    let query = format!("element_id={id}^element=work_notes^valueLIKE[effect 12ab]");
    let found = rows(&bed, "sys_journal_field", &query, "").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["name"], "incident");
    let shown = rows(&bed, "incident", "number=INC0010101", "&sysparm_display_value=true").await;
    let text = shown[0]["work_notes"].as_str().unwrap();
    let expected = "2026-11-22 02:30:00 - arx.integration (Work notes)\nsecond\n[effect 12ab]\n\n2026-11-22 02:30:00 - arx.integration (Work notes)\nfirst\n\n";
    assert_eq!(text, expected);
    let ledger = bed.sims.ledger();
    let written: Vec<_> = ledger
        .iter()
        .map(|e| (e.vendor, e.operation.as_str(), e.key.clone().unwrap(), &e.state["work_notes"]))
        .collect();
    let note = json!("second\n[effect 12ab]");
    assert_eq!(written[1], (Vendor::ServiceNow, "table.update", json!("INC0010101"), &note));
    assert_eq!(ledger[1].id, id);
    assert_eq!(ledger[1].state["record"]["state"], "15");
}

#[tokio::test]
async fn history_tells_when_a_state_was_entered() {
    let bed = pinned("").await;
    let entered = async |number: &str| {
        let id = id_of(&bed, number).await;
        let query = format!(
            "tablename=incident^documentkey={id}^fieldname=state^newvalue=15^ORDERBYDESCsys_created_on"
        );
        rows(&bed, "sys_audit", &query, "").await.len()
    };
    assert_eq!(entered("INC0010111").await, 1);
    assert_eq!(entered("INC0010135").await, 0, "the one without a time has no history either");
    patch(&bed, "INC0010111", json!({ "state": "2" })).await.expect(200);
    patch(&bed, "INC0010111", json!({ "state": "15" })).await.expect(200);
    assert_eq!(entered("INC0010111").await, 2);
}

#[tokio::test]
async fn people_move_records_behind_a_clients_back() {
    let bed = pinned("servicenow.table.get.incident:edited-meanwhile@1").await;
    let id = id_of(&bed, "INC0010101").await;
    let get = async || bed.snow("GET", &format!("incident/{id}"), None).await.at("/result");
    let before = get().await;
    let after = get().await;
    assert_ne!(before["sys_mod_count"], after["sys_mod_count"]);
    assert_eq!(after["sys_updated_by"], "dana.whitfield");
    assert!(bed.control.edit_ticket("INC0010101", &[("state", "2")]));
    assert_eq!(get().await["incident_state"], "2");
    assert!(!bed.control.edit_ticket("INC404", &[("state", "2")]));
    assert_eq!(bed.sims.ledger(), [], "people are not in the ledger");
    bed.control.set_choice("incident", "state", "15", "Verify me");
    bed.control.remove_choice("incident", "close_code", "Solution provided");
    let choice = async |query: &str| rows(&bed, "sys_choice", query, "").await.len();
    assert_eq!(
        choice("name=incident^element=state^label=Pending Verification^inactive=false").await,
        0
    );
    assert_eq!(choice("name=incident^element=state^label=Verify me").await, 1);
    assert_eq!(choice("name=incident^value=Solution provided^inactive=false").await, 0);
}

#[tokio::test]
async fn a_description_of_five_megabytes() {
    let bed = pinned("").await;
    let rest = "&sysparm_fields=description";
    let found = rows(&bed, "incident", "number=INC0010113", rest).await;
    let text = found[0]["description"].as_str().unwrap();
    assert!(text.len() >= 5 * 1024 * 1024 && text.starts_with("CVE-2021-4034 on lin-ops-34"));
    patch(&bed, "INC0010113", json!({ "work_notes": "x" })).await.expect(200);
    let line = serde_json::to_string(&bed.sims.ledger()[0]).unwrap();
    assert!(line.len() < 4_000, "the ledger holds what is stored: {}", line.len());
}

#[tokio::test]
async fn faults_in_the_vendors_own_form() {
    let bed = pinned(
        "servicenow.table.list.incident:transaction-cancelled@1,servicenow.table.list.incident:transaction-cancelled=json@2,servicenow.table.list.sys_choice:html@1,servicenow.table.list.sys_user:429=30@1,servicenow.table.update:drop-after@1",
    )
    .await;
    let cut = bed.snow("GET", "incident", None).await.expect(200);
    assert!(serde_json::from_str::<Value>(&cut.body).is_err());
    assert!(cut.body.contains("Transaction cancelled: maximum execution time exceeded"));
    let both = bed.snow("GET", "incident", None).await.expect(200);
    assert!(both.at("/result").as_array().is_some_and(|rows| !rows.is_empty()));
    assert!(both.at("/error/message").is_string());
    let page = bed.snow("GET", "sys_choice", None).await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let limited = bed.snow("GET", "sys_user", None).await.expect(429);
    assert_eq!(limited.header("retry-after"), "30");
    assert_eq!(limited.header("x-ratelimit-limit"), "100");
    assert_eq!(limited.at("/error/message"), "Rate limit exceeded");
    let basic = bed.basic("SNOW_USERNAME", "SNOW_PASSWORD");
    let id = id_of(&bed, "INC0010101").await;
    let path = format!("/api/now/table/incident/{id}");
    let headers = [("authorization", basic.as_str())];
    let body = Some(json!({ "work_notes": "once" }).to_string());
    bed.send(Method::PATCH, &path, &headers, body).await.unwrap_err();
    assert_eq!(bed.sims.ledger().len(), 1, "the write happened and its reply was lost");
}

#[tokio::test]
async fn a_restart_on_the_ledger_remembers_tickets_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Some(dir.path().join("ledger.jsonl"));
    let at =
        |now: &str| Options { ledger: ledger.clone(), now: now.parse().ok(), ..Options::default() };
    let bed = Bed::start(at(NOW)).await;
    let scans = "/api/5.0/fo/asset/host/?action=list&ids=9000010-9000900";
    let scanned = crate::tests::texts(&bed.qualys(scans).await.body, "LAST_VM_SCANNED_DATE");
    let close = json!({ "state": "6", "close_code": "Solution provided", "close_notes": "x", "work_notes": "note" });
    patch(&bed, "INC0010101", close).await.expect(200);
    let made = json!({ "short_description": "new" });
    let made = bed.snow("POST", "incident", Some(made)).await.expect(201);
    assert!(made.header("location").ends_with(made.at("/result/sys_id").as_str().unwrap()));
    let all = "incident?sysparm_query=ORDERBYsys_id&sysparm_exclude_reference_link=true";
    let before = bed.snow("GET", all, None).await.at("/result");
    let tickets = bed.control.tickets();
    bed.sims.shutdown().await;

    let bed = Bed::start(at("2026-11-25T07:00:00Z")).await;
    assert_eq!(bed.snow("GET", all, None).await.at("/result"), before);
    assert_eq!(bed.control.tickets(), tickets);
    let again = crate::tests::texts(&bed.qualys(scans).await.body, "LAST_VM_SCANNED_DATE");
    assert_eq!(again, scanned, "the same scans at the same times");
    let second = bed.snow("POST", "incident", Some(json!({}))).await.expect(201);
    assert_ne!(second.at("/result/sys_id"), made.at("/result/sys_id"));
    assert_ne!(second.at("/result/number"), made.at("/result/number"));
    let seen =
        bed.crowdstrike("GET", "/devices/combined/devices/v1?filter=hostname:'pay-app-21'", None);
    let seen = seen.await.at("/resources/0/last_seen");
    assert!(
        seen.as_str().unwrap().starts_with("2026-11-25T06:5"),
        "living sensors follow the clock: {seen}"
    );
}
