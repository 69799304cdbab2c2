//! Faults: the grammar, when they strike, and what they look like on the wire.

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Bed;
use crate::faults::{Armed, Stage};
use crate::{Faults, Vendor};

#[track_caller]
fn refused(text: &str, expected: &str) {
    let error = text.parse::<Faults>().unwrap_err().to_string();
    assert!(error.contains(expected), "{text}: {error}");
}

#[test]
fn grammar_refuses_with_reasons() {
    refused("explode", "unknown fault `explode` in `explode`; known faults: latency, 429,");
    refused("okta:500", "unknown vendor `okta` in `okta:500`; simulated: wiz, qualys, pagerduty");
    refused("wiz:lag=3s", "fault `lag` in `wiz:lag=3s` belongs to jira alone");
    refused("latency", "bad value ``");
    refused("latency=soon", "write a duration such as 250ms, 3s or 2m");
    refused("latency=2h", "write a duration");
    refused("latency=61m", "at most one hour");
    refused("500=3", "this fault takes no value");
    refused("500@0", "write @1 or more");
    refused("500%101", "write %1 to %100");
    refused("limit=5", "write a count and a window");
    refused("limit=x/1s", "write a whole number");
    refused("429=x", "bad value `x`");
    refused("bad-paging=odd", "write null, repeat or empty");
    refused(&vec!["500"; 65].join(","), "more than 64 faults");
}

/// Which of the first ten matching requests a rule strikes.
#[track_caller]
fn strikes(text: &str, vendor: Vendor, operation: &str, expected: &[usize]) {
    let armed = Armed::new(text.parse().unwrap(), 7);
    let struck: Vec<usize> = (1..=10)
        .filter(|_| {
            [Stage::Before, Stage::Within, Stage::Committed, Stage::Reply].iter().any(|stage| {
                !armed.strike(Timestamp::UNIX_EPOCH, vendor, operation, *stage).is_empty()
            })
        })
        .collect();
    assert_eq!(struck, expected, "{text}");
}

#[test]
fn rules_strike_when_they_say() {
    let all: Vec<usize> = (1..=10).collect();
    let jira = Vendor::Jira;
    strikes("", jira, "issues.create", &[]);
    strikes("500", jira, "issues.create", &all);
    strikes("jira:500", jira, "issues.create", &all);
    strikes("wiz:500", jira, "issues.create", &[]);
    strikes("jira.issues:500", jira, "issues.create", &all);
    strikes("jira.issues.create:500", jira, "issues.create", &all);
    strikes("jira.issue:500", jira, "issues.create", &[]);
    strikes("jira.issues.get:500", jira, "issues.create", &[]);
    strikes("500@3", jira, "issues.create", &[3]);
    strikes("500@3x2", jira, "issues.create", &[3, 4]);
    strikes("500x2", jira, "issues.create", &[1, 2]);
    strikes("429=5@2,503@4", jira, "issues.create", &[2, 4]);
    strikes("lag=1s", jira, "issues.create", &all);
    strikes("lag=1s", jira, "issues.get", &[]);
    strikes("drop-after@2", Vendor::PagerDuty, "incidents.create", &[2]);
    strikes("409-rate", Vendor::Qualys, "detections.list", &all);
    strikes("409-rate", jira, "issues.get", &[]);
    strikes("limit=7/1s", jira, "issues.get", &[8, 9, 10]);
    strikes("500%100", jira, "issues.get", &all);
}

#[test]
fn chance_repeats_with_the_seed() {
    let run = |seed| -> Vec<bool> {
        let armed = Armed::new("500%30".parse().unwrap(), seed);
        (0..1000)
            .map(|_| {
                !armed.strike(Timestamp::UNIX_EPOCH, Vendor::Wiz, "x", Stage::Before).is_empty()
            })
            .collect()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
    let n = run(3).iter().filter(|struck| **struck).count();
    assert!((240..360).contains(&n), "{n}");
}

fn incident(key: &str) -> Option<Value> {
    Some(json!({ "incident": {
        "type": "incident",
        "title": "Log4Shell on 60 hosts",
        "service": { "id": "PSECOPS", "type": "service_reference" },
        "incident_key": key,
    } }))
}

/// A request that gets no whole reply.
async fn gets_no_reply(bed: &Bed, method: &str, path: &str, body: Option<Value>) {
    let key = format!("Token token={}", bed.var("PAGERDUTY_API_KEY"));
    let headers = [
        ("authorization", key.as_str()),
        ("accept", "application/vnd.pagerduty+json;version=2"),
        ("content-type", "application/json"),
        ("from", bed.var("PAGERDUTY_FROM_EMAIL")),
    ];
    let method: Method = method.parse().unwrap();
    let sent = bed.send(method, path, &headers, body.map(|body| body.to_string())).await;
    let error = sent.expect_err("no reply was due");
    assert!(!error.is_timeout(), "{error}");
}

#[tokio::test]
async fn reset_before_commit_leaves_nothing() {
    let bed = Bed::faulty("pagerduty.incidents.create:reset@1").await;
    gets_no_reply(&bed, "POST", "/incidents", incident("a")).await;
    assert_eq!(bed.sims.ledger().len(), 0);
    bed.pagerduty("POST", "/incidents", incident("a")).await.expect(201);
    assert_eq!(bed.sims.ledger().len(), 1);
}

#[tokio::test]
async fn a_reply_dropped_after_commit_leaves_the_write() {
    let bed = Bed::faulty("pagerduty:drop-after@1").await;
    // Reads and refused writes do not use the fault up.
    bed.pagerduty("GET", "/incidents", None).await.expect(200);
    bed.pagerduty("POST", "/incidents", Some(json!({}))).await.expect(400);
    gets_no_reply(&bed, "POST", "/incidents", incident("a")).await;
    assert_eq!(bed.sims.ledger().len(), 1);
    let again = bed.pagerduty("POST", "/incidents", incident("a")).await.expect(400);
    assert_eq!(again.at("/error/code"), 2002);
}

#[tokio::test]
async fn errors_before_and_after_commit() {
    let bed = Bed::faulty("pagerduty:500@1,pagerduty:500-after@1").await;
    bed.pagerduty("POST", "/incidents", incident("a")).await.expect(500);
    assert_eq!(bed.sims.ledger().len(), 0);
    bed.pagerduty("POST", "/incidents", incident("a")).await.expect(500);
    assert_eq!(bed.sims.ledger().len(), 1);
    bed.pagerduty("POST", "/incidents", incident("a")).await.expect(400);
}

#[tokio::test]
async fn broken_and_cut_bodies() {
    let bed = Bed::faulty("pagerduty:truncate@1,qualys:cut@1").await;
    gets_no_reply(&bed, "GET", "/priorities", None).await;
    bed.pagerduty("GET", "/priorities", None).await.expect(200);
    let path = "/api/5.0/fo/asset/host/vm/detection/?action=list";
    let cut = bed.qualys(path).await.expect(200);
    assert!(!cut.body.contains("</HOST_LIST_VM_DETECTION_OUTPUT>"));
    assert!(bed.qualys(path).await.body.contains("</HOST_LIST_VM_DETECTION_OUTPUT>"));
}

#[tokio::test]
async fn what_is_delivered_twice() {
    let faults = "pagerduty.incidents.create:twice,pagerduty:doubled,qualys:doubled@1";
    let bed = Bed::faulty(faults).await;
    // The first of the two was taken; what comes back is what the second was told.
    let refused = bed.pagerduty("POST", "/incidents", incident("a")).await.expect(400);
    assert_eq!(refused.at("/error/code"), 2002);
    assert_eq!(bed.sims.ledger().len(), 1);
    let listed = bed.pagerduty("GET", "/incidents", None).await.expect(200).at("/incidents");
    let [one, other] = listed.as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(one, other);
    let path = "/api/5.0/fo/asset/host/vm/detection/?action=list";
    let hosts = |body: &str| (body.matches("<HOST>").count(), body.matches("</HOST>").count());
    let (doubled, plain) = (bed.qualys(path).await.body, bed.qualys(path).await.body);
    let (n, _) = hosts(&plain);
    assert!(n > 0);
    assert_eq!(hosts(&doubled), (2 * n, 2 * n));
    assert!(doubled.contains("</HOST_LIST_VM_DETECTION_OUTPUT>"));
}

#[tokio::test]
async fn a_vendor_that_is_down_resets_everything() {
    let bed = Bed::faulty("pagerduty:down").await;
    gets_no_reply(&bed, "GET", "/priorities", None).await;
    gets_no_reply(&bed, "GET", "/priorities", None).await;
    bed.jira("GET", "/rest/api/3/myself", None).await.expect(200);
    bed.control.set_faults(Faults::default());
    bed.pagerduty("GET", "/priorities", None).await.expect(200);
    bed.control.set_down(Vendor::PagerDuty, true);
    gets_no_reply(&bed, "GET", "/priorities", None).await;
    bed.control.set_down(Vendor::PagerDuty, false);
    bed.pagerduty("GET", "/priorities", None).await.expect(200);
}

/// Each vendor's own way to say "too many".
#[tokio::test]
async fn rate_limits_in_each_vendors_words() {
    let bed =
        Bed::faulty("wiz.graphql:429=7,qualys:409-rate=3725,pagerduty:429=9,jira:429=4").await;
    let token = bed.wiz_token().await;
    let wiz = bed.wiz(&token, "{ __typename }", json!({})).await.expect(429);
    assert_eq!(wiz.header("retry-after"), "7");
    assert_eq!(wiz.at("/errors/0/extensions/code"), "RATE_LIMIT_EXCEEDED");

    let qualys = bed.qualys("/api/5.0/fo/asset/host/vm/detection/?action=list").await.expect(409);
    assert_eq!(qualys.header("x-ratelimit-towait-sec"), "3725");
    assert_eq!(super::texts(&qualys.body, "CODE"), ["1965"]);
    assert!(qualys.body.contains("another 1 hours, 2 minutes and 5 seconds"), "{}", qualys.body);

    let pagerduty = bed.pagerduty("GET", "/priorities", None).await.expect(429);
    assert_eq!(pagerduty.header("ratelimit-reset"), "9");
    assert_eq!(pagerduty.header("retry-after"), "");
    assert_eq!(pagerduty.at("/error/code"), 2020);

    let jira = bed.jira("GET", "/rest/api/3/myself", None).await.expect(429);
    assert_eq!(jira.header("retry-after"), "4");
    assert_eq!(jira.header("ratelimit-reason"), "jira-burst-based");

    bed.control.set_faults("qualys:409-concurrency,429-bare".parse().unwrap());
    let bare = bed.pagerduty("GET", "/priorities", None).await.expect(429);
    assert_eq!((bare.body.as_str(), bare.header("ratelimit-reset")), ("", ""));
    bed.control.set_faults("qualys:409-concurrency".parse().unwrap());
    let busy = bed.qualys("/api/5.0/fo/asset/host/vm/detection/?action=list").await.expect(409);
    assert_eq!(super::texts(&busy.body, "CODE"), ["1960"]);
    assert_eq!(super::texts(&busy.body, "KEY"), ["CALLS_TO_FINISH"]);
    assert_eq!(busy.header("x-ratelimit-towait-sec"), "");
    assert_eq!(busy.header("x-ratelimit-remaining"), "");
}

#[tokio::test]
async fn latency_delays_the_reply() {
    let bed = Bed::faulty("jira:latency=30ms@1").await;
    let started = std::time::Instant::now();
    bed.jira("GET", "/rest/api/3/myself", None).await.expect(200);
    assert!(started.elapsed() >= std::time::Duration::from_millis(30));
}

#[tokio::test]
async fn limits_refuse_until_their_window_ends() {
    let bed = Bed::faulty("pagerduty:limit=2/60s,qualys:limit=0/60s").await;
    let get = async || bed.pagerduty("GET", "/priorities", None).await;
    assert_eq!([get().await.status, get().await.status], [200, 200]);
    let over = get().await.expect(429);
    assert!((1..=60).contains(&over.header("ratelimit-reset").parse().unwrap()));
    bed.control.advance(std::time::Duration::from_secs(60));
    get().await.expect(200);
    let blocked = bed.qualys("/api/5.0/fo/asset/host/?action=list").await.expect(409);
    assert_eq!(super::texts(&blocked.body, "CODE"), ["1965"]);
    assert_ne!(blocked.header("x-ratelimit-towait-sec"), "0");
}
