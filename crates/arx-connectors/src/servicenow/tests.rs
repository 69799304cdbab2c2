//! What needs no instance: addresses, queries, rows, names in texts, times, parameters, choices.
//! Whole calls are in `reading`, `paging`, `updating` and `simulated`.

mod paging;
mod reading;
mod simulated;
mod updating;
mod world;

use proptest::prelude::*;
use serde_json::json;

use super::hosts::environment;
use super::operations::{Change, Wanted};
use super::query::Query;
use super::rows::{Row, decode};
use super::vulnerabilities::{Named, VULNERABILITIES_MAX};
use super::*;

fn row(fields: Value) -> Row {
    let body = json!({ "result": fields }).to_string();
    decode(body.as_bytes(), false).expect("rows").pop().expect("a row")
}

#[test]
fn instances_are_written_in_many_ways() {
    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let base = instance::base(text).map(|url| url.to_string()).map_err(|e| e.to_string());
        assert_eq!(base.as_deref().map_err(String::as_str), expected, "{text}");
    }
    let cloud = Ok("https://your-org.service-now.com/");
    check("your-org", cloud);
    check(" your-org/ ", cloud);
    check("your-org.service-now.com", cloud);
    check("your-org.service-now.com/", cloud);
    check("your-org.service-now.com.", cloud);
    check("https://your-org.service-now.com", cloud);
    check("HTTPS://Your-Org.Service-Now.com/", cloud);
    check("support.acme.example", Ok("https://support.acme.example/"));
    check("https://support.acme.example:8443/", Ok("https://support.acme.example:8443/"));
    check("http://127.0.0.1:9000", Ok("http://127.0.0.1:9000/"));
    check("localhost", Ok("https://localhost/"));
    let path = "SNOW_INSTANCE must not hold a path; write it as \
                `https://your-org.service-now.com`";
    check("https://your-org.service-now.com/now/nav", Err(path));
    check("your-org.service-now.com/api", Err(path));
    let user = "SNOW_INSTANCE must not hold a user name or password";
    check("https://admin:canary@your-org.service-now.com", Err(user));
    check("admin@your-org.service-now.com", Err(user));
    check(
        "http://your-org.service-now.com",
        Err("SNOW_INSTANCE is plain http to another machine; write `https://`"),
    );
    check("ftp://your-org", Err("SNOW_INSTANCE must begin with `https://`"));
    check(
        "https://your-org.service-now.com/?x=1",
        Err("SNOW_INSTANCE must not hold `?` or `#`; write it as `https://host`"),
    );
    check(
        "  ",
        Err("SNOW_INSTANCE is blank; write it as `your-org` or `your-org.service-now.com`"),
    );
}

#[test]
fn queries_hold_what_was_meant_and_nothing_else() {
    #[track_caller]
    fn check(built: Result<Query, String>, expected: Result<&str, &str>) {
        let built = built.as_ref().map(Query::as_str).map_err(String::as_str);
        assert_eq!(built, expected);
    }
    let query = Query::default;
    check(
        query().is("state", "11").map(|q| q.order_by("sys_created_on").order_by("sys_id")),
        Ok("state=11^ORDERBYsys_created_on^ORDERBYsys_id"),
    );
    check(query().any_of("state", ["11", "-5"]), Ok("stateIN11,-5"));
    check(query().any_of("state", ["11"]), Ok("state=11"));
    check(
        query().is("name", "incident^ORname=task"),
        Err("`name`: `incident^ORname=task` holds `^`, which begins another term of a query and \
             cannot be escaped"),
    );
    check(
        query().any_of("state", ["1", "2^x"]).map_err(|e| e[..16].to_owned()),
        Err("`state`: `2^x` h"),
    );
    check(
        query().any_of("state", ["1", "2,3"]),
        Err("`state`: `2,3` holds a comma, which a list of values cannot"),
    );
    check(
        query().is("name", "JavaScript:gs.getUserID()"),
        Err("`name`: `JavaScript:gs.getUserID()` holds `javascript:`, which would be run"),
    );
    check(query().is("name", "a\nb"), Err("`name`: `a b` holds a control character"));
    check(query().is("name", " "), Err("`name`: `` is blank"));
    check(query().is("na me", "x"), Err("`na me` is not the name of a field"));
    check(query().is("state=1^x", "x"), Err("`state=1^x` is not the name of a field"));
    check(query().is("cmdb_ci.name", "x"), Ok("cmdb_ci.name=x"));
    check(query().is(".name", "x"), Err("`.name` is not the name of a field"));
}

#[test]
fn fields_come_in_many_shapes() {
    let row = row(json!({
        "plain": "2",
        "empty": "",
        "null": null,
        "number": 7,
        "flag": true,
        "reference": {"link": "https://x/api/now/table/cmdb_ci/abc", "value": "abc"},
        "all": {"display_value": "In Progress", "value": "2"},
        "all_null": {"display_value": null, "value": ""},
        "displayed": {"display_value": "WEB01", "link": "https://x/api/now/table/cmdb_ci/def"},
        "only_displayed": {"display_value": "WEB01"},
        "list": ["a"],
        "deep": {"value": {"value": "x"}},
    }));
    #[track_caller]
    fn check(row: &Row, field: &str, expected: Option<&str>) {
        assert_eq!(row.get(field), expected, "{field}");
    }
    check(&row, "plain", Some("2"));
    check(&row, "empty", Some(""));
    check(&row, "null", Some(""));
    check(&row, "number", Some("7"));
    check(&row, "flag", Some("true"));
    check(&row, "reference", Some("abc"));
    check(&row, "all", Some("2"));
    check(&row, "all_null", Some(""));
    check(&row, "displayed", Some("def"));
    // A display value decides nothing.
    check(&row, "only_displayed", None);
    check(&row, "list", None);
    check(&row, "deep", Some("x"));
    check(&row, "absent", None);
    assert_eq!(row.filled("empty"), None);
}

#[test]
fn what_is_not_whole_is_no_data() {
    #[track_caller]
    fn check(body: &str, page: bool, expected: Result<usize, &str>) {
        let read = decode(body.as_bytes(), page).map(|rows| rows.len());
        let read = read.map_err(|trouble| trouble.to_string());
        assert_eq!(read.as_ref().map_err(String::as_str).copied(), expected, "{body}");
    }
    check(r#"{"result":[]}"#, false, Ok(0));
    check(r#"{"result":{"a":"1"}}"#, false, Ok(1));
    check(r#"{"result":[{"a":"1"},{"a":"2"}]}"#, false, Ok(2));
    let page = "a web page came instead of data; the instance hibernates, or SNOW_INSTANCE is not \
                the address of an instance";
    check("\n <html>", false, Err(page));
    check(r#"{"result":[]}"#, true, Err(page));
    check(
        r#"{"result":[{"a":"1"},{"#,
        false,
        Err("expected rows, got 22 bytes that are no JSON at line 1 column 22"),
    );
    check(
        r#"{"result":[{"a":"1"}],"error":{"message":"Transaction cancelled: maximum execution time exceeded","detail":null},"status":"failure"}"#,
        false,
        Err("the instance stopped in the middle: Transaction cancelled: maximum execution time \
             exceeded"),
    );
    check("{}", false, Err("expected rows, got JSON without `result`"));
    check("[[]]", false, Err("expected rows, got JSON without `result`"));
    check("", false, Err("expected rows, got 0 bytes that are no JSON at line 1 column 0"));
    check(
        r#"{"result":"x"}"#,
        false,
        Err("expected rows, got 14 bytes that are no JSON at line 1 column 13"),
    );
}

fn scanned(text: &str) -> String {
    let mut named = Named::default();
    named.scan(text);
    named.into_names().join(" ")
}

#[test]
fn vulnerabilities_are_found_in_texts() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(scanned(text), expected, "{text}");
    }
    check("Patch CVE-2021-44228 on web01", "CVE-2021-44228");
    check("cve-2021-44228, Cve-2021-45046.", "CVE-2021-44228 CVE-2021-45046");
    check("(CVE-2021-44228)/CVE-2021-44228", "CVE-2021-44228");
    check("CVE\u{2011}2021\u{2013}44228", "CVE-2021-44228");
    check("CVE-2021-123 CVE-21-44228 CVE-2021-44228x XCVE-2021-44228", "");
    check("CVE-2021-12345678901234567890", "");
    check("https://nvd.nist.gov/vuln/detail/CVE-2021-44228?x=1", "CVE-2021-44228");
    check("QID 38170", "QID-38170");
    check("QID: 38170 and qid-38173, QID#105", "QID-105 QID-38170 QID-38173");
    check("QIDs 1, 2 and 3; 4 hosts", "QID-1 QID-2 QID-3 QID-4");
    check("QIDs 1, 2 and 3 on web01", "QID-1 QID-2 QID-3");
    check("QID 38170, 38173", "QID-38170 QID-38173");
    check("QID 38170, 2 hosts", "QID-38170");
    check("QID 38170 & 38173, and 91000 too", "QID-38170 QID-38173 QID-91000");
    check("QID 0038170", "QID-38170");
    check("QID 0, QID, QID x1, liquid 38170, QID 38170b, QID 123456789", "");
    check("", "");
}

#[test]
fn a_mapped_field_may_hold_bare_numbers() {
    #[track_caller]
    fn check(field: &str, value: &str, names: &str, malformed: &str) {
        let mut named = Named::default();
        named.field(field, value);
        assert_eq!(named.malformed.join(" "), malformed, "{value}");
        assert_eq!(named.into_names().join(" "), names, "{value}");
    }
    check("u_qid", "38170", "QID-38170", "");
    check("u_QIDs", "38170,38173\n91000 QID-5", "QID-38170 QID-38173 QID-5 QID-91000", "");
    check("u_cve", "38170", "", "");
    check("u_cve", "cve-2021-44228 CVE-2021-45046", "CVE-2021-44228 CVE-2021-45046", "");
    check("u_cve", "CVE-2021-44228 (Log4Shell)", "CVE-2021-44228", "");
    check(
        "u_cve",
        "CVE-2021-44228, CVE-2021-4x, GHSA-jfh8-c2jp-5v3q",
        "CVE-2021-44228",
        "CVE-2021-4x GHSA-jfh8-c2jp-5v3q",
    );
}

#[test]
fn a_ticket_names_so_many_vulnerabilities_at_most() {
    let text =
        |n: usize| (0..n).map(|n| format!("CVE-2026-{:05}", n)).collect::<Vec<_>>().join(" ");
    let mut named = Named::default();
    named.scan(&text(VULNERABILITIES_MAX));
    assert!(!named.more);
    named.scan(&text(VULNERABILITIES_MAX));
    assert!(!named.more, "known ones are no more");
    named.scan(&text(VULNERABILITIES_MAX + 1));
    assert!(named.more);
    assert_eq!(named.into_names().len(), VULNERABILITIES_MAX);
}

#[test]
fn environments_have_many_names() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(environment(text), expected, "{text}");
    }
    for text in ["Production", "PROD", "prd", "Live", "Disaster Recovery", "DR"] {
        check(text, "production");
    }
    for text in ["Staging", "Test", "QA", "UAT", "Pre-Production", "Non-Prod", "Demonstration"] {
        check(text, "staging");
    }
    for text in ["Development", "dev", "Sandbox"] {
        check(text, "dev");
    }
    for text in ["", "blue", "devops tools", "product", "live chat"] {
        check(text, "unknown");
    }
}

#[test]
fn times_are_utc() {
    let now: Timestamp = "2026-03-10T12:00:00Z".parse().expect("a time");
    #[track_caller]
    fn check(now: Timestamp, value: &str, expected: Option<&str>) {
        let read = patch::time(value, now).map(|at| at.to_string());
        assert_eq!(read.as_deref(), expected, "{value}");
    }
    check(now, "2026-03-09 08:15:50", Some("2026-03-09T08:15:50Z"));
    check(now, " 2026-03-09T08:15:50Z ", Some("2026-03-09T08:15:50Z"));
    // A day has no zone: it ends last at UTC-12, and begins first at UTC+14.
    check(now, "2026-03-09", Some("2026-03-10T11:59:59Z"));
    check(now, "2026-03-10", Some("2026-03-10T12:00:00Z"));
    check(now, "2026-03-11", Some("2026-03-10T12:00:00Z"));
    check(now, "2026-03-12", Some("2026-03-13T11:59:59Z"));
    check(now, "09/03/2026", None);
    check(now, "2026-02-30 00:00:00", None);
    check(now, "", None);
}

#[test]
fn wrong_parameters_of_a_read_name_themselves() {
    #[track_caller]
    fn check(params: Value, expected: &str) {
        assert_eq!(Wanted::read(&params).expect_err("refused"), expected);
    }
    let with = |name: &str, value: Value| json!({"pending_state": "Pending", name: value});
    check(
        json!({}),
        "`pending_state` is missing; write into `inputs.servicenow` of arx.yaml the label of the \
         state that waits for verification",
    );
    check(
        json!({"pending_state": "a^b"}),
        "`pending_state`: `a^b` holds `^`, which begins another term of a query and cannot be \
         escaped",
    );
    check(
        with("table", json!("incident/../x")),
        "`table`: `incident/../x` is not the name of a table; write one such as `incident`",
    );
    check(with("max_tickets", json!(0)), "`max_tickets` is not a whole number from 1 to 10000");
    check(
        with("fields", json!({"host": "cmdb_ci^x"})),
        "`fields.host`: `cmdb_ci^x` is not the name of a field; write one such as `u_cve`",
    );
    check(
        with("fields", json!({"hosts": "x"})),
        "no parameter `hosts` in `fields`; there are state, host, vulnerabilities, patched_at, \
         agent_id",
    );
    check(
        with("table", json!("")),
        "`table` is empty; give it a value, or leave it out of `inputs.servicenow` of arx.yaml",
    );
    check(
        with("ta\n\u{1b}ble", json!("")),
        "`ta ble` is empty; give it a value, or leave it out of `inputs.servicenow` of arx.yaml",
    );
    check(
        with("resolve", json!({"close_notes": null})),
        "`resolve.close_notes` is missing; closing needs them, write them into \
         `inputs.servicenow` of arx.yaml",
    );
    check(
        with("repatch", json!({})),
        "`repatch` sets nothing; give it `state`, `assignment_group` or `fields` in \
         `inputs.servicenow` of arx.yaml",
    );
    check(
        with("repatch", json!({"fields": {"sys_updated_on": "x"}})),
        "`repatch.fields`: `sys_updated_on` is the vendor's own and never written",
    );
    check(with("notes_only", json!("yes")), "`notes_only` is a text; write true or false");
}

#[test]
fn a_read_has_defaults() {
    let wanted = Wanted::read(&json!({"pending_state": 11, "resolve": {"close_notes": "Done."}}));
    let wanted = wanted.expect("parameters");
    assert_eq!((wanted.table.as_str(), wanted.pending_state.as_str()), ("incident", "11"));
    assert_eq!((wanted.fields.state.as_str(), wanted.fields.host.as_str()), ("state", "cmdb_ci"));
    assert_eq!(wanted.fields.patched_at, ["work_end", "u_patched_at"]);
    let resolve = wanted.resolve.expect("a way to resolve");
    assert_eq!(resolve.state, "Resolved");
    assert_eq!(resolve.close_codes, ["Solution provided", "Solved (Permanently)"]);
    // The scanner closes its own; notes are all that is written there.
    let notes = |notes_only: Value| {
        let params = json!({
            "table": "sn_vul_vulnerable_item", "pending_state": "x", "notes_only": notes_only,
            "resolve": {"close_notes": "Done."}, "repatch": {"state": "Open"},
        });
        let wanted = Wanted::read(&params).expect("parameters");
        (wanted.resolve.is_some(), wanted.repatch.is_some())
    };
    assert_eq!(notes(Value::Null), (false, false));
    assert_eq!(notes(json!(false)), (true, true));
}

#[test]
fn wrong_parameters_of_an_update_name_themselves() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Value), expected: &str) {
        let mut params = json!({
            "table": "incident", "id": "0".repeat(32), "number": "INC1",
            "expect": {"state": "11", "mod_count": "3"}, "fields": {"state": "6"}, "note": "n",
        });
        change(&mut params);
        assert_eq!(Change::read(&params).expect_err("refused"), expected);
    }
    check(|p| p["id"] = json!("../x"), "`id`: `../x` is not a sys_id of 32 hexadecimal digits");
    check(
        |p| p["table"] = json!("a.b"),
        "`table`: `a.b` is not the name of a table; write one such as `incident`",
    );
    check(|p| p["expect"] = json!({"state": "11"}), "`expect.mod_count` is missing");
    check(|p| p["expect"] = Value::Null, "`expect` is missing");
    check(
        |p| p["fields"] = json!({"SYS_mod_count": "1"}),
        "`fields`: `SYS_mod_count` is the vendor's own and never written",
    );
    check(
        |p| p["fields"] = json!({"work_notes": "x"}),
        "`fields`: `work_notes` is a journal; use `note`",
    );
    check(
        |p| p["fields"] = json!({"caller_id.email": "x"}),
        "`fields`: `caller_id.email` is a field of another record",
    );
    check(|p| p["fields"] = json!({"state": [1]}), "`fields.state` is a list; write a text");
    check(
        |p| {
            p["fields"] = json!({});
            p["note"] = Value::Null;
        },
        "there is nothing to write; give `fields` or a `note`",
    );
    check(
        |p| p["force"] = json!(true),
        "no parameter `force`; there are table, id, number, expect, fields, note",
    );
}

#[test]
fn the_settings_are_checked() {
    #[track_caller]
    fn check(settings: Value, expected: Result<Option<u64>, ()>) {
        let found = in_flight(&settings).map(|wait| wait.map(|wait| wait.as_secs()));
        assert_eq!(found.map_err(drop), expected);
    }
    check(Value::Null, Ok(None));
    check(json!({"in_flight_ms": 2000}), Ok(Some(2)));
    check(json!({"in_flight_ms": "2"}), Err(()));
    check(json!({"in_flight_ms": 3_600_000}), Err(()));
}

#[test]
fn an_administrators_limit_says_when() {
    #[track_caller]
    fn check(pairs: &[(&'static str, &str)], expected: Option<Pushback>) {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let headers: HeaderMap = headers.collect();
        assert_eq!(ServiceNow::default().pushback(429, &headers, b""), expected);
    }
    check(&[("retry-after", "7")], Some(Pushback::For(Duration::from_secs(7))));
    check(
        &[("x-ratelimit-reset", "1773144060"), ("date", "Tue, 10 Mar 2026 12:00:00 GMT")],
        Some(Pushback::For(Duration::from_secs(60))),
    );
    check(&[("x-ratelimit-reset", "1773144060")], Some(Pushback::Unspecified));
    check(&[], Some(Pushback::Unspecified));
}

#[test]
fn every_operation_has_its_class() {
    let class = |name: &str| SPEC.operation(name).map(|operation| operation.class.as_str());
    assert_eq!(class("incidents:read"), Some("LOW"));
    assert_eq!(class("incidents:update"), Some("MEDIUM"));
    assert_eq!(class("incidents:delete"), Some("CRITICAL"));
    assert!(SPEC.operation("incidents:update").is_some_and(|update| update.targeted));
    let implemented = SPEC.operations.iter().filter(|operation| operation.implemented);
    assert_eq!(implemented.count(), 2);
}

proptest! {
    #[test]
    fn no_bytes_break_the_reading_of_rows(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, false);
    }

    #[test]
    fn no_document_breaks_the_reading_of_rows(
        text in r#"\{"result":\[?(\{"(a|value|link)":("x"|null|1|-2\.5e9|true|\[1\]|\{"value":(""|\{\})\})\},?){0,3}\]?\}"#,
    ) {
        if let Ok(rows) = decode(text.as_bytes(), false) {
            prop_assert!(rows.iter().all(|row| row.get("absent").is_none()));
        }
    }

    #[test]
    fn what_a_scan_finds_is_well_formed(
        text in "(CVE|cve|QID|QIDs|qid|-|: | |,|and |2021|44228|38170|é|–|x|[0-9]{1,9}|\\PC){0,40}",
    ) {
        let mut named = Named::default();
        named.scan(&text);
        named.field("u_qid", &text);
        for name in named.into_names() {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let cve = name.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
            let fit = match cve {
                Some((year, number)) => year.len() == 4 && digits(year) && number.len() >= 4 && digits(number),
                None => name.strip_prefix("QID-").is_some_and(|n| digits(n) && !n.starts_with('0')),
            };
            prop_assert!(fit, "{}", name);
            // Found once, found again.
            prop_assert_eq!(scanned(&name), name);
        }
    }

    #[test]
    fn a_cve_in_words_is_found(year in 1999_u16..2099, number in 1000_u64..10_000_000, before in "[ (,;\"\n]", after in "[ ),;.\"\n]") {
        let text = format!("host é{before}cVe-{year}-{number}{after} rest");
        prop_assert_eq!(scanned(&text), format!("CVE-{year}-{number}"));
    }

    #[test]
    fn no_value_ends_its_term(value in any::<String>()) {
        if let Ok(query) = Query::default().is("name", &value) {
            prop_assert_eq!(query.as_str().split('^').count(), 1);
        }
    }

    #[test]
    fn no_address_breaks_the_instance(text in any::<String>()) {
        if let Ok(url) = instance::base(&text) {
            prop_assert!(url.username().is_empty() && url.path() == "/");
        }
    }
}

#[test]
fn a_note_holds_no_html() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let marker = trace::Marker::new(&"test/a".parse().expect("a key"));
        let signed = marker.sign(text, 200);
        assert_eq!(signed.lines().next(), Some(expected));
    }
    check("Host: web01 [10.0.0.1]", "Host: web01 [10.0.0.1]");
    check("[code]<script>[/code]", "(code]<script>(/code]");
    check("[[CODE]x[ / Code]", "((CODE]x( / Code]");
    check("ends with [", "ends with [");
}
