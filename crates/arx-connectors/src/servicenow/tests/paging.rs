//! Pages that are short, cut, too large or not pages at all.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::reading::read_all;
use super::world::{failure, gate, gate_to, listed, param, place, read, tables, ticket, wanted};
use crate::scripted::{Reply, probe};

#[tokio::test]
async fn paging_goes_by_the_count() {
    let n_tickets = 250;
    let value = read_all((0..n_tickets).map(ticket).collect(), wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(n_tickets));
    assert_eq!((&value["waiting"], &value["complete"]), (&json!(0), &json!(true)));

    let params = json!({"pending_state": "11", "max_tickets": 120});
    let value = read_all((0..n_tickets).map(ticket).collect(), params).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(120));
    assert_eq!(value["waiting"], 130);
    assert_eq!(
        value["warnings"],
        json!(["130 more tickets wait; `max_tickets` is 120, and the oldest are read first"])
    );
}

#[tokio::test]
async fn short_and_empty_pages_are_not_the_end() {
    // The account may read every third ticket, and none of the second page.
    let (gate, server) = {
        let tables = tables(vec![]);
        gate(move |asked| {
            if place(asked).0 != "incident" {
                return tables.answer(asked);
            }
            let number = |name: &str| param(asked, name).parse::<usize>().expect("a number");
            let (offset, limit) = (number("sysparm_offset"), number("sysparm_limit"));
            let seen = (offset..(offset + limit).min(250))
                .filter(|n| n % 3 == 0 && !(100..200).contains(n));
            let rows: Vec<Value> = seen.map(ticket).collect();
            Reply::ok(json!({ "result": rows }).to_string()).header("x-total-count", "250")
        })
        .await
    };
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(34 + 17));
    assert_eq!(server.asked_for("/table/incident?").len(), 3);
    assert_eq!(
        value["warnings"][0],
        "199 tickets of table `incident` wait that the account may not read"
    );
}

#[tokio::test]
async fn without_a_count_the_end_is_an_empty_page() {
    let rows: Vec<Value> = (0..230).map(ticket).collect();
    let tables = tables(vec![]);
    let (gate, server) = gate(move |asked| match place(asked).0.as_str() {
        "incident" => {
            let mut reply = listed(asked, &rows);
            reply.headers.retain(|(name, _)| *name != "x-total-count");
            reply
        }
        _ => tables.answer(asked),
    })
    .await;
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(230));
    assert_eq!(server.asked_for("/table/incident?").len(), 4);
}

#[tokio::test]
async fn tickets_that_leave_the_list_meanwhile_hide_no_others() {
    let rows: Mutex<Vec<Value>> = Mutex::new((0..250).map(ticket).collect());
    let tables = tables(vec![]);
    let (gate, _server) = gate(move |asked| match place(asked).0.as_str() {
        "incident" => {
            let mut rows = rows.lock().expect("not poisoned");
            let reply = listed(asked, &rows);
            // Someone resolves the first twenty after the first page.
            if rows.len() == 250 {
                rows.drain(..20);
            }
            reply
        }
        _ => tables.answer(asked),
    })
    .await;
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(250), "each once");
}

#[tokio::test]
async fn what_breaks_off_is_asked_for_again_in_smaller_pieces() {
    async fn check(
        broken: impl Fn(usize, Reply) -> Reply + Send + Sync + 'static,
        requests: usize,
    ) {
        let rows: Vec<Value> = (0..40).map(ticket).collect();
        let tables = tables(rows);
        let (gate, server) = gate(move |asked| match place(asked).0.as_str() {
            "incident" => {
                let limit = param(asked, "sysparm_limit").parse().expect("a number");
                broken(limit, tables.answer(asked))
            }
            _ => tables.answer(asked),
        })
        .await;
        let value = read(&gate, wanted()).await.expect("a read");
        assert_eq!(value["tickets"].as_array().map(Vec::len), Some(40));
        assert_eq!(value["complete"], true, "{value}");
        assert_eq!(server.asked_for("/table/incident?").len(), requests);
    }
    fn cut(body: &str) -> String {
        let mut end = body.len() / 2;
        while !body.is_char_boundary(end) {
            end -= 1;
        }
        body[..end].to_owned()
    }
    check(
        |limit, mut reply| {
            if limit > 25 {
                reply.body = cut(&reply.body);
            }
            reply
        },
        4,
    )
    .await;
    check(
        |limit, mut reply| {
            if limit > 50 {
                let rest = r#","error":{"message":"Transaction cancelled"},"status":"failure"}"#;
                reply.body = reply.body.trim_end_matches('}').to_owned() + "}]";
                reply.body = reply.body.trim_end_matches("}]").to_owned() + "}]" + rest;
            }
            reply
        },
        2,
    )
    .await;
    check(|limit, reply| if limit > 50 { Reply::ok("<html>Waking up</html>") } else { reply }, 2)
        .await;
}

#[tokio::test]
async fn a_hibernating_instance_says_so() {
    let (gate, server) = gate(|_| {
        Reply::ok("<html>Your instance is hibernating</html>").header("content-type", "text/html")
    })
    .await;
    let error = read(&gate, wanted()).await.expect_err("refused");
    assert_eq!(
        error,
        "ServiceNow sent a reply that cannot be read: a web page came instead of data; \
        the instance hibernates, or SNOW_INSTANCE is not the address of an instance"
    );
    assert!(server.asked().len() < 20, "{} requests", server.asked().len());
    let error = probe(&gate).await.expect_err("refused");
    assert!(error.contains("hibernates"), "{error}");
}

#[tokio::test]
async fn large_descriptions_are_read_or_done_without() {
    let text = |bytes: usize| "x ".repeat(bytes / 2) + " CVE-2026-7777";
    let mut rows: Vec<Value> = (0..8).map(ticket).collect();
    rows[2]["description"] = json!(text(5_000_000));
    rows[5]["description"] = json!(text(9_000_000));
    rows[5]["short_description"] = json!("Patch QID 38170");
    let params = json!({"pending_state": "11", "max_tickets": 8});
    let value = read_all(rows, params).await.expect("a read");
    let tickets = value["tickets"].as_array().expect("tickets");
    assert_eq!(tickets.len(), 8);
    assert_eq!(tickets[2]["vulnerabilities"], json!(["CVE-2026-7777"]));
    assert_eq!(tickets[5]["vulnerabilities"], json!(["QID-38170"]));
    assert_eq!(
        tickets[5]["missing"],
        json!([
            "vulnerability: the description is too large to be read; map `fields.vulnerabilities` to a \
         field that holds what was patched"
        ])
    );
    assert_eq!(tickets[6]["missing"], json!([]));
    assert!(value.to_string().len() < 20_000);
}

#[tokio::test]
async fn one_poisoned_record_keeps_no_other_back() {
    let rows: Vec<Value> = (0..10).map(ticket).collect();
    let tables = tables(rows);
    let (gate, _server) = gate(move |asked| {
        let mut reply = tables.answer(asked);
        if place(asked).0 == "incident" && reply.body.contains("INC0000004") {
            reply.body = reply.body.replace("INC0000004", "INC\\x04");
        }
        reply
    })
    .await;
    let value = read(&gate, wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(9));
    assert_eq!(value["complete"], false);
    let why = value["why"].as_str().expect("a reason");
    assert!(why.starts_with("record 5 of table `incident`: expected rows"), "{why}");
}

#[tokio::test]
async fn being_asked_to_wait_is_no_failure() {
    let tables = tables(vec![ticket(1)]);
    let asked_before = AtomicUsize::new(0);
    let (gate, _server) = gate(move |asked| match asked_before.fetch_add(1, Ordering::SeqCst) {
        // The queue is full, and nothing says for how long.
        0 => Reply::new(429, "too many waiting"),
        2 => failure(429, "Rate limit exceeded", None).header("retry-after", "0"),
        _ => tables.answer(asked),
    })
    .await;
    assert_eq!(
        read(&gate, wanted()).await.expect("a read")["tickets"].as_array().map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn an_instance_that_cannot_be_reached_is_named() {
    let gate = gate_to("http://127.0.0.1:1", Value::Null).await;
    let error = read(&gate, wanted()).await.expect_err("unreachable");
    assert!(error.starts_with("ServiceNow cannot be reached"), "{error}");
}

#[tokio::test]
async fn rows_in_another_state_are_dropped_and_told() {
    let other = |n: usize| {
        let mut row = ticket(n);
        row["state"] = json!("2");
        row
    };
    let value = read_all(vec![other(1), ticket(2), other(3)], wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(1));
    assert_eq!(value["tickets"][0]["number"], "INC0000002");
    assert_eq!(
        value["warnings"],
        json!([
            "2 rows of table `incident` were in another state than the one asked for and were dropped: \
         the instance ignored an invalid term of the query; check `fields.state`"
        ])
    );
    // A whole table of them ends the reading.
    let value = read_all((0..3000).map(other).collect(), wanted()).await.expect("a read");
    assert_eq!(value["tickets"], json!([]));
    assert_eq!(value["complete"], false);
}

#[tokio::test]
async fn a_state_field_that_no_row_shows_is_refused() {
    let blind = |n: usize| {
        let mut row = ticket(n);
        row.as_object_mut().expect("a row").remove("state");
        row
    };
    let error = read_all(vec![blind(1), blind(2)], wanted()).await.expect_err("refused");
    assert_eq!(
        error,
        "configuration: table `incident` shows no field `state`: \
        there is none, or the account may not read it; check `fields.state`"
    );
    // One among others stands for itself.
    let value = read_all(vec![blind(1), ticket(2)], wanted()).await.expect("a read");
    assert_eq!(value["tickets"].as_array().map(Vec::len), Some(2));
}
