//! CrowdStrike over the wire: tokens, filters, limits, envelopes, and what goes wrong.

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::fql::Filter;
use crate::Options;
use crate::tests::Bed;

/// `hostname`, `status` and `last_seen` of one made-up device.
fn device(name: &str) -> Option<String> {
    let value = match name {
        "hostname" => "Web-01.example",
        "status" => "normal",
        "platform_name" => "Linux",
        "last_seen" => "2026-11-20T10:00:00Z",
        _ => return None,
    };
    Some(value.to_owned())
}

#[track_caller]
fn check(filter: &str, expected: bool) {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    assert_eq!(Filter::parse(filter).map(|f| f.holds(&device, now)), Ok(expected), "{filter}");
}

#[test]
fn filters_hold_as_the_vendor_says() {
    check("", true);
    check("hostname:'Web-01.example'", true);
    check("hostname:'web-01.example'", false);
    check("hostname:'Web-01'", true);
    check("hostname:['Web-01']", false);
    check("hostname:['x','Web-01.example']", true);
    check("hostname:''", true);
    check("hostname:'Web*'", true);
    check("hostname:'*.example'", true);
    check("hostname:*'*01*'", true);
    check("hostname:*'*02*'", false);
    check("hostname:~'WEB'", true);
    check("hostname:!'Web-01'", false);
    check("status:'norm'", false);
    check("status:'normal'+platform_name:'Linux'", true);
    check("status:'contained'+platform_name:'Linux'", false);
    check("status:'contained',platform_name:'Linux'", true);
    check("status:'contained',status:'normal'+platform_name:'Windows'", false);
    check("(status:'contained',status:'normal')+platform_name:'Linux'", true);
    check("last_seen:>='2026-11-20T10:00:00Z'", true);
    check("last_seen:>'2026-11-20T10:00:00Z'", false);
    check("last_seen:<'now-2d'", false);
    check("last_seen:<='now-2d'", true);
    check("last_seen:>'now-49h'", true);
    check("local_ip:'10.0.0.1'", false);
    check("local_ip:!'10.0.0.1'", true);
    check(r"hostname:'Web\-01'", true);
    check(r"hostname:'it\'s'", false);
}

#[track_caller]
fn refused(filter: &str, expected: &str) {
    let error = Filter::parse(filter).unwrap_err();
    assert!(error.contains(expected), "{filter}: {error}");
}

#[test]
fn filters_that_make_no_sense_are_refused() {
    refused("colour:'red'", "unknown property `colour`");
    refused("hostname", "`:` is missing");
    refused("hostname:", "a value is missing");
    refused("hostname:[]", "a value is missing");
    refused("hostname:'x", "a quote is missing");
    refused("hostname:['x'", "`]` is missing");
    refused("(hostname:'x'", "`)` is missing");
    refused("hostname:'x' or status:'y'", "unexpected `");
    refused(&vec!["status:'x'"; 21].join(","), "more than 20 properties");
    refused(&"(".repeat(50), "too deeply nested");
}

proptest::proptest! {
    #[test]
    fn any_filter_is_read_or_refused(text in ".{0,60}") {
        let _ = Filter::parse(&text).map(|f| f.holds(&device, Timestamp::UNIX_EPOCH));
    }
}

#[tokio::test]
async fn tokens_are_given_and_refused_in_the_vendors_words() {
    let bed = Bed::default().await;
    let given = bed.crowdstrike_token().await.expect(201);
    assert_eq!(given.at("/expires_in"), 1_799);
    assert_eq!(given.at("/token_type"), "bearer");
    assert_eq!(given.header("x-ratelimit-limit"), "300");
    assert_eq!(given.header("x-cs-region"), "", "client libraries follow it off the machine");
    let id = bed.var("CS_CLIENT_ID").to_owned();
    for (form, status, says) in [
        (
            "client_id=nobody&client_secret=x".to_owned(),
            400,
            "Failed to generate access token for clientID=nobody.",
        ),
        (
            format!("client_id={id}&client_secret=x"),
            403,
            "Failed to issue access token - Not Authorized",
        ),
    ] {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = bed.send(Method::POST, "/oauth2/token", &kind, Some(form)).await.unwrap();
        let answer = answer.expect(status);
        assert_eq!(answer.at("/errors/0/message"), says);
        assert_eq!(answer.at("/errors/0/code"), status);
        assert_eq!(answer.at("/resources"), Value::Null);
    }
}

const QUERY: &str = "/devices/queries/devices/v1";

#[tokio::test]
async fn tokens_expire_and_are_revoked() {
    let bed = Bed::start(Options {
        faults: "crowdstrike:token-life=60s@2".parse().unwrap(),
        now: "2026-11-22T10:30:00Z".parse().ok(),
        ..Options::default()
    })
    .await;
    let get = async |token: &str, status: u16| {
        let answer = bed.crowdstrike_with(token, "GET", QUERY, None).await.expect(status);
        if status == 401 {
            assert_eq!(answer.at("/errors/0/message"), "access denied, invalid bearer token");
            assert_eq!(answer.at("/meta/powered_by"), "crowdstrike-api-gateway");
        }
    };
    let token = async || {
        let given = bed.crowdstrike_token().await.expect(201);
        given.at("/access_token").as_str().unwrap().to_owned()
    };
    let (long, short) = (token().await, token().await);
    bed.control.advance(std::time::Duration::from_secs(61));
    get(&long, 200).await;
    get(&short, 401).await;
    get("", 401).await;
    bed.control.expire_crowdstrike_tokens();
    get(&long, 401).await;
    let again = token().await;
    let pair = bed.basic("CS_CLIENT_ID", "CS_CLIENT_SECRET");
    let headers = [("authorization", pair.as_str())];
    let body = Some(format!("token={again}"));
    bed.send(Method::POST, "/oauth2/revoke", &headers, body).await.unwrap().expect(200);
    get(&again, 401).await;
    bed.control.set_crowdstrike_scope(false);
    let denied = bed.crowdstrike("GET", QUERY, None).await.expect(403);
    assert_eq!(denied.at("/errors/0/message"), "access denied, authorization failed");
}

fn encoded(filter: &str) -> String {
    url::form_urlencoded::byte_serialize(filter.as_bytes()).collect()
}

async fn found(bed: &Bed, filter: &str) -> Vec<String> {
    let path = format!("{QUERY}?limit=5000&filter={}", encoded(filter));
    let answer = bed.crowdstrike("GET", &path, None).await.expect(200);
    serde_json::from_value(answer.at("/resources")).unwrap()
}

#[tokio::test]
async fn devices_are_found_page_by_page() {
    let bed = Bed::default().await;
    let all = found(&bed, "").await;
    assert!(all.len() > 200, "{}", all.len());
    let mut paged: Vec<Value> = Vec::new();
    for offset in (0..all.len()).step_by(60) {
        let page = bed.crowdstrike("GET", &format!("{QUERY}?limit=60&offset={offset}"), None).await;
        assert_eq!(page.at("/meta/pagination/total"), all.len());
        assert_eq!(page.at("/errors"), json!([]));
        paged.extend(page.at("/resources").as_array().unwrap().clone());
    }
    assert_eq!(json!(paged), json!(all));

    let (mut scrolled, mut offset): (Vec<Value>, String) = (Vec::new(), String::new());
    loop {
        let path = format!("/devices/queries/devices-scroll/v1?limit=90&offset={offset}");
        let page = bed.crowdstrike("GET", &path, None).await.expect(200);
        let ids = page.at("/resources").as_array().unwrap().clone();
        offset = page.at("/meta/pagination/offset").as_str().unwrap().to_owned();
        if ids.is_empty() {
            assert_eq!((offset.as_str(), page.at("/meta/pagination/total")), ("", json!(0)));
            break;
        }
        scrolled.extend(ids);
    }
    assert_eq!(json!(scrolled), json!(all));

    let (mut records, mut next): (usize, String) = (0, String::new());
    loop {
        let path = format!("/devices/combined/devices/v1?limit=100&fields=hostname&offset={next}");
        let page = bed.crowdstrike("GET", &path, None).await.expect(200);
        records += page.at("/resources").as_array().unwrap().len();
        match page.at("/meta/pagination/next").as_str() {
            Some(token) => next = token.to_owned(),
            None => break,
        }
    }
    assert_eq!(records, all.len());
}

#[tokio::test]
async fn limits_are_kept() {
    let bed = Bed::default().await;
    let many = |n: usize| json!({ "ids": vec!["0".repeat(32); n] });
    let details = "/devices/entities/devices/v2";
    let long = encoded(&format!("hostname:[{}]", vec!["'a-name-of-some-length'"; 800].join(",")));
    for (method, path, body, status) in [
        ("GET", format!("{QUERY}?offset=9999"), None, 200),
        ("GET", format!("{QUERY}?offset=10000"), None, 400),
        ("GET", format!("{QUERY}?limit=5001"), None, 400),
        ("GET", format!("{QUERY}?limit=0"), None, 400),
        ("GET", format!("{QUERY}?sort=colour.asc"), None, 400),
        ("GET", format!("{QUERY}?filter=colour:'red'"), None, 400),
        ("GET", format!("{QUERY}?filter={long}"), None, 414),
        ("POST", details.to_owned(), Some(many(5_000)), 200),
        ("POST", details.to_owned(), Some(many(5_001)), 400),
        ("POST", details.to_owned(), Some(json!({})), 400),
        ("GET", format!("{details}?{}", vec!["ids=a"; 100].join("&")), None, 200),
        ("GET", format!("{details}?{}", vec!["ids=a"; 101].join("&")), None, 400),
        ("POST", "/devices/entities/online-state/v1".to_owned(), Some(many(1)), 404),
        (
            "POST",
            "/devices/entities/devices-actions/v2?action_name=contain".to_owned(),
            Some(many(1)),
            403,
        ),
    ] {
        bed.crowdstrike(method, &path, body).await.expect(status);
    }
}

#[tokio::test]
async fn records_and_states_say_what_the_sensor_says() {
    let bed = Bed::default().await;
    let record = async |host: &str| {
        let ids = found(&bed, &format!("hostname:['{host}']")).await;
        assert_eq!(ids.len(), 1, "{host}");
        let path = "/devices/entities/devices/v2";
        let answer =
            bed.crowdstrike("POST", path, Some(json!({ "ids": [&ids[0], "f".repeat(32)] })));
        let answer = answer.await.expect(200);
        assert_eq!(answer.at("/resources").as_array().unwrap().len(), 1, "unknown ids are missing");
        (ids[0].clone(), answer.at("/resources/0"))
    };
    assert_eq!(record("pay-app-21").await.1["reduced_functionality_mode"], "no");
    assert_eq!(record("pay-app-24").await.1["reduced_functionality_mode"], "yes");
    assert_eq!(record("data-hub-05").await.1.get("reduced_functionality_mode"), None);
    assert_eq!(record("dc-berth-04").await.1["status"], "contained");
    let silent = record("fleet-gw-04").await.1;
    assert_eq!(silent["status"], "normal", "containment is no health");

    let state = async |host: &str| {
        let (id, _) = record(host).await;
        let path = format!("/devices/entities/online-state/v1?ids={id}&ids=unknown");
        let answer = bed.crowdstrike("GET", &path, None).await.expect(200);
        assert_eq!(answer.at("/errors"), Value::Null);
        answer.at("/resources/0/state").as_str().unwrap_or("missing").to_owned()
    };
    for (host, expected) in [
        ("pay-app-21", "online"),
        ("ws-quay-18", "offline"),
        ("pay-app-26", "unknown"),
        ("fleet-gw-04", "offline"),
    ] {
        assert_eq!(state(host).await, expected, "{host}");
    }
    assert_eq!(found(&bed, "hostname:['book-web-13']").await.len(), 2, "re-imaged");
    assert_eq!(found(&bed, "hostname:['fleet-gw-05']").await.len(), 2, "ambiguous");
    assert_eq!(found(&bed, "hostname:['iot-crane-03']").await.len(), 0);
    assert_eq!(bed.control.set_sensor_state("pay-app-21", "offline"), 1);
    assert_eq!(state("pay-app-21").await, "offline");
    assert_eq!(bed.control.set_sensor_state("pay-app-21", "asleep"), 0);
    assert_eq!(bed.control.set_containment("pay-app-21", "contained"), 1);
    assert_eq!(record("pay-app-21").await.1["status"], "contained");
}

#[tokio::test]
async fn faults_in_the_vendors_own_form() {
    let bed = Bed::start(Options {
        faults: "crowdstrike.devices.query:errors-in-200@1,crowdstrike.devices.query:429=30@2,crowdstrike.devices.query:expire-token@2,crowdstrike.devices.online:wrong-region=eu-1@1"
            .parse()
            .unwrap(),
        now: "2026-11-22T10:30:00Z".parse().ok(),
        ..Options::default()
    })
    .await;
    let partial = bed.crowdstrike("GET", QUERY, None).await.expect(200);
    assert_eq!(partial.at("/errors/0/code"), 500);
    assert_eq!(partial.at("/resources").as_array().unwrap().len(), 50);
    let limited = bed.crowdstrike("GET", QUERY, None).await.expect(429);
    let end: Timestamp = "2026-11-22T10:30:30Z".parse().unwrap();
    assert_eq!(limited.header("x-ratelimit-retryafter"), end.as_second().to_string());
    bed.crowdstrike("GET", QUERY, None).await.expect(401);
    let token = bed.crowdstrike_token().await.at("/access_token");
    let client = bed.client_that_stays();
    let url = format!("{}/devices/entities/online-state/v1?ids=a%27b", bed.url);
    let bearer = format!("Bearer {}", token.as_str().unwrap());
    let elsewhere = client.get(url).header("authorization", bearer).send().await.unwrap();
    assert_eq!(elsewhere.status(), 308);
    assert_eq!(elsewhere.headers()["x-cs-region"], "eu-1");
    assert_eq!(
        elsewhere.headers()["location"],
        "https://api.eu-1.crowdstrike.com/devices/entities/online-state/v1?ids=a%27b"
    );
}
