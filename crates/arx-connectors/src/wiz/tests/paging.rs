//! Reads of several pages against a server that answers as each test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arx_gateway::GateError;
use arx_testkit::TestGate;
use arx_types::FindingSink;
use serde_json::{Value, json};

use crate::scripted::{Asked, Kept, Reply, Scripted};
use crate::wiz::Wiz;

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_asks_for_a_token_and_nothing_else() {
    let probe = async |reply: Reply| {
        let server = Scripted::start(move |_| reply.clone()).await;
        let gate = gate(&server).await;
        (crate::scripted::probe(&gate).await, server.asked().len())
    };
    let (accepted, asked) = probe(Reply::ok(r#"{"access_token":"t","expires_in":60}"#)).await;
    assert_eq!((accepted, asked), (Ok(()), 1));
    let (refused, _) = probe(Reply::new(
        401,
        r#"{"error":"access_denied","error_description":"Unauthorized canary-client-secret"}"#,
    ))
    .await;
    insta::assert_snapshot!(refused.expect_err("refused"), @"Wiz does not accept WIZ_CLIENT_ID and WIZ_CLIENT_SECRET: no access token (status 401): access_denied: Unauthorized [redacted]");
}

async fn gate(server: &Scripted) -> TestGate {
    let environment = BTreeMap::from([
        ("WIZ_CLIENT_ID".to_owned(), "canary-client-id".to_owned()),
        ("WIZ_CLIENT_SECRET".to_owned(), "canary-client-secret".to_owned()),
        ("WIZ_API_URL".to_owned(), server.url.clone()),
    ]);
    TestGate::new(Arc::new(Wiz::default()), environment, Value::Null, None).await
}

/// What a read of findings came to.
struct Outcome {
    value: Result<Value, GateError>,
    ids: Vec<String>,
    server: Scripted,
}

impl Outcome {
    #[track_caller]
    fn value(&self) -> &Value {
        self.value.as_ref().expect("a value")
    }

    #[track_caller]
    fn error(&self) -> String {
        self.value.as_ref().expect_err("an error").to_string()
    }

    fn queries(&self) -> Vec<Value> {
        let asked = self.server.asked_for("/graphql");
        asked.iter().map(|asked| serde_json::from_str(&asked.body).expect("JSON")).collect()
    }
}

/// Reads with a server that answers queries with `answer`; the first argument is the cursor.
async fn read(
    params: Value,
    answer: impl Fn(Option<&str>, &Asked) -> Reply + Send + Sync + 'static,
) -> Outcome {
    let tokens = AtomicUsize::new(0);
    let server = Scripted::start(move |asked| {
        if asked.line.starts_with("POST /oauth/token") {
            let n = tokens.fetch_add(1, Ordering::SeqCst);
            let token = json!({ "access_token": format!("token-{n}"), "expires_in": 3600 });
            return Reply::ok(token.to_string());
        }
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        answer(body["variables"]["after"].as_str(), asked)
    })
    .await;
    let gate = gate(&server).await;
    let kept = Arc::new(Kept::default());
    let sink: Arc<dyn FindingSink> = kept.clone();
    let value = gate.read("wiz.findings:read", params, Some(sink)).await;
    let ids = kept.rows().into_iter().map(|(id, _)| id).collect();
    Outcome { value, ids, server }
}

/// Page `n` of pages of two findings each, with so many bytes of description.
fn page(n: usize, next: Option<&str>, padding: usize) -> Reply {
    let node = |i: usize| {
        json!({
            "id": format!("f{n}-{i}"), "name": format!("CVE-2024-{:04}", 10 * n + i),
            "severity": "CRITICAL", "status": "OPEN", "description": "x".repeat(padding),
        })
    };
    let body = json!({ "data": { "vulnerabilityFindings": {
        "nodes": [node(0), node(1)],
        "pageInfo": { "hasNextPage": next.is_some(), "endCursor": next },
    } } });
    Reply::ok(body.to_string())
}

fn graphql_error(code: &str) -> Reply {
    let body = json!({ "errors": [{ "message": "told so", "extensions": { "code": code } }] });
    Reply::ok(body.to_string())
}

/// Pages 0 to `last`, linked by cursors `c1`, `c2`, …
fn linked(after: Option<&str>, last: usize, padding: usize) -> Reply {
    let n = after.map_or(0, |cursor| cursor[1..].parse().expect("a cursor"));
    let next = (n < last).then(|| format!("c{}", n + 1));
    page(n, next.as_deref(), padding)
}

/// Large enough that the next page is asked for before this one is decoded.
const LARGE: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_read() {
    for padding in [0, LARGE] {
        let outcome = read(json!({}), move |after, _| linked(after, 9, padding)).await;
        assert_eq!(
            outcome.value(),
            &json!({ "complete": true, "why": null, "pages": 10, "findings": 20 })
        );
        assert_eq!(outcome.ids.iter().collect::<BTreeSet<_>>().len(), 20);
        assert_eq!(outcome.queries().len(), 10, "each page once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_fields_that_are_used_are_asked_for() {
    let params = json!({ "severities": ["CRITICAL", "HIGH"], "page_size": 2 });
    let outcome = read(params, |after, _| linked(after, 1, 0)).await;
    let queries = outcome.queries();
    insta::assert_snapshot!(queries[0]["query"].as_str().expect("a text"), @"query VulnerabilityFindingsPage($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String) { vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after) { nodes { id vulnerabilityExternalId portalUrl name CVEDescription description remediation severity score status firstDetectedAt detailedName version fixedVersion link hasExploit hasCisaKevExploit epssProbability projects { name riskProfile { businessImpact } } vulnerableAsset { ... on VulnerableAssetBase { id type name providerUniqueId subscriptionName subscriptionExternalId tags hasLimitedInternetExposure hasWideInternetExposure } } } pageInfo { hasNextPage endCursor } } }");
    insta::assert_snapshot!(queries[1]["variables"], @r#"{"filterBy":{"severity":["CRITICAL","HIGH"],"status":["OPEN"]},"first":2,"after":"c1"}"#);
    let asked = &outcome.server.asked()[1];
    assert_eq!(asked.header("authorization"), Some("Bearer token-0"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let token = &outcome.server.asked()[0];
    insta::assert_snapshot!(token.body, @"grant_type=client_credentials&client_id=canary-client-id&client_secret=canary-client-secret&audience=wiz-api");
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_that_leads_nowhere_is_incomplete() {
    for padding in [0, LARGE] {
        let null = move |_: Option<&str>, _: &Asked| {
            let mut reply = page(0, Some("c1"), padding);
            reply.body = reply.body.replace("\"c1\"", "null");
            reply
        };
        let outcome = read(json!({}), null).await;
        assert_eq!(outcome.value()["complete"], json!(false));
        assert_eq!(
            outcome.value()["why"],
            json!("there is a next page, but no cursor to ask for it")
        );
        assert_eq!(outcome.ids, ["f0-0", "f0-1"]);

        let outcome = read(json!({}), move |_, _| page(0, Some("c1"), padding)).await;
        assert_eq!(
            outcome.value()["why"],
            json!("the cursor of the next page has been used before")
        );
        assert_eq!(outcome.queries().len(), 2);
    }

    let outcome = read(json!({}), |after, _| match after {
        None => page(0, Some("c1"), 0),
        Some(_) => Reply::ok(
            r#"{"data":{"vulnerabilityFindings":{"nodes":[],"pageInfo":{"hasNextPage":true,"endCursor":"c2"}}}}"#,
        ),
    })
    .await;
    assert_eq!(
        outcome.value(),
        &json!({
            "complete": false, "why": "an empty page says that there is a next one",
            "pages": 2, "findings": 2,
        })
    );
}

/// Answers the second page with `trouble` for the first `times` times.
fn troubled(
    times: usize,
    padding: usize,
    trouble: impl Fn() -> Reply + Send + Sync,
) -> impl Fn(Option<&str>, &Asked) -> Reply + Send + Sync {
    let n = AtomicUsize::new(0);
    move |after, _| {
        if after == Some("c1") && n.fetch_add(1, Ordering::SeqCst) < times {
            return trouble();
        }
        linked(after, 2, padding)
    }
}

#[track_caller]
fn assert_whole(outcome: &Outcome) {
    assert_eq!(
        outcome.value(),
        &json!({ "complete": true, "why": null, "pages": 3, "findings": 6 })
    );
    assert_eq!(outcome.ids, ["f0-0", "f0-1", "f1-0", "f1-1", "f2-0", "f2-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lapses_is_renewed_and_the_page_asked_for_again() {
    for trouble in [|| graphql_error("UNAUTHENTICATED"), || Reply::new(401, "{}")] {
        let outcome = read(json!({}), troubled(1, 0, trouble)).await;
        assert_whole(&outcome);
        let asked = outcome.server.asked_for("/graphql");
        let cursors: Vec<_> =
            outcome.queries().iter().map(|q| q["variables"]["after"].clone()).collect();
        assert_eq!(cursors, [json!(null), json!("c1"), json!("c1"), json!("c2")]);
        assert_eq!(asked[1].header("authorization"), Some("Bearer token-0"));
        assert_eq!(asked[2].header("authorization"), Some("Bearer token-1"));
    }
    // Once: a token that is refused when fresh is not a matter of time.
    let outcome = read(json!({}), troubled(9, 0, || graphql_error("UNAUTHENTICATED"))).await;
    assert_eq!(outcome.value()["complete"], json!(false));
    assert_eq!(outcome.queries().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_trouble_costs_nothing_but_time() {
    assert_whole(&read(json!({}), troubled(3, 0, || graphql_error("RATE_LIMIT_EXCEEDED"))).await);
    assert_whole(&read(json!({}), troubled(2, 0, || graphql_error("INTERNAL"))).await);
    assert_whole(&read(json!({}), troubled(1, 0, || Reply::ok("{\"data\":null}"))).await);
    assert_whole(&read(json!({}), troubled(1, 0, || page(1, None, 0).cut_at(70))).await);
    let too_many = || Reply::new(429, "{}").header("retry-after", "0");
    assert_whole(&read(json!({}), troubled(2, 0, too_many)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_beside_errors_is_not_taken() {
    for padding in [0, LARGE] {
        let partial = move || {
            let mut reply = page(1, Some("c2"), padding);
            let error = r#"{"errors":[{"message":"m","extensions":{"code":"INTERNAL"}}],"#;
            reply.body = reply.body.replacen('{', error, 1);
            reply
        };
        assert_whole(&read(json!({}), troubled(1, padding, partial)).await);
        let outcome = read(json!({}), troubled(99, padding, partial)).await;
        assert_eq!(outcome.value()["complete"], json!(false));
        assert!(!outcome.ids.iter().any(|id| id.starts_with("f1")), "{:?}", outcome.ids);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_page_that_fails_leaves_an_incomplete_read() {
    let outcome = read(json!({}), troubled(99, 0, || graphql_error("BAD_USER_INPUT"))).await;
    assert_eq!(
        outcome.value(),
        &json!({
            "complete": false, "why": "Wiz refused the request: BAD_USER_INPUT: told so",
            "pages": 1, "findings": 2,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_page_that_fails_is_an_error() {
    let outcome = read(json!({}), |_, _| graphql_error("UNAUTHORIZED")).await;
    insta::assert_snapshot!(outcome.error(), @"Wiz does not accept WIZ_CLIENT_ID and WIZ_CLIENT_SECRET: UNAUTHORIZED: told so; the service account needs the scope `read:vulnerabilities`");
    let outcome = read(json!({}), |_, _| Reply::new(403, "no")).await;
    insta::assert_snapshot!(outcome.error(), @"Wiz does not accept WIZ_CLIENT_ID and WIZ_CLIENT_SECRET: no; the service account needs the scope `read:vulnerabilities`");
    let outcome = read(json!({}), |_, _| graphql_error("BAD_USER_INPUT")).await;
    insta::assert_snapshot!(outcome.error(), @"Wiz refused the request: BAD_USER_INPUT: told so");
    let outcome = read(json!({}), |_, asked| {
        let echo = asked.header("authorization").unwrap_or_default();
        let body =
            json!({ "errors": [{ "message": format!("not for {echo} canary-client-secret") }] });
        Reply::new(400, body.to_string())
    })
    .await;
    insta::assert_snapshot!(outcome.error(), @"Wiz refused the request with status 400: not for Bearer [redacted] [redacted]");
    let outcome = read(json!({}), |_, _| Reply::ok("<html>sign in</html>")).await;
    insta::assert_snapshot!(outcome.error(), @"Wiz sent a reply that cannot be read: expected a page of findings: expected value at line 1 column 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_lacks_a_field_is_asked_for_less() {
    let lacks = |asked: &Asked| asked.body.contains("epssProbability");
    let outcome = read(json!({}), move |after, asked| {
        if lacks(asked) {
            let message =
                "Cannot query field \\\"epssProbability\\\" on type \\\"VulnerabilityFinding\\\"";
            return Reply::new(400, format!(r#"{{"errors":[{{"message":"{message}"}}]}}"#));
        }
        linked(after, 2, 0)
    })
    .await;
    assert_whole(&outcome);
    assert_eq!(outcome.queries().len(), 4, "one refusal, then every page with fewer fields");

    let outcome = read(json!({}), |after, asked| {
        if asked.body.contains("VulnerableAssetBase") {
            return Reply::ok(r#"{"errors":[{"message":"Unknown type VulnerableAssetBase","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}"#);
        }
        linked(after, 2, 0)
    })
    .await;
    assert_whole(&outcome);
}
