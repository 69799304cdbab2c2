//! Wiz over the wire: tokens, what queries are refused, filters, paging, faults.

use axum::http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::graphql;
use crate::tests::{Answer, Bed};

const QUERY: &str = "query P($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String, $orderBy: VulnerabilityFindingOrder) {
  vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after, orderBy: $orderBy) {
    totalCount nodes { id name severity status } pageInfo { hasNextPage endCursor } } }";

async fn ask(bed: &Bed, variables: Value) -> Answer {
    let token = bed.wiz_token().await;
    bed.wiz(&token, QUERY, variables).await
}

async fn query(bed: &Bed, text: &str) -> Answer {
    let token = bed.wiz_token().await;
    bed.wiz(&token, text, json!({})).await
}

fn code(answer: &Answer) -> Value {
    answer.at("/errors/0/extensions/code")
}

#[tokio::test]
async fn tokens_are_given_to_the_right_request_alone() {
    let bed = Bed::default().await;
    let good = |extra: &str| {
        format!(
            "grant_type=client_credentials&client_id={}&client_secret={}{extra}",
            bed.var("WIZ_CLIENT_ID"),
            bed.var("WIZ_CLIENT_SECRET")
        )
    };
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (body, status) in [
        (good("&audience=wiz-api"), 200),
        (good("&audience=beyond-api"), 403),
        (good(""), 403),
        (good("&audience=wiz-api").replace("secret=", "secret=x"), 401),
        (good("&audience=wiz-api").replace("client_credentials", "password"), 403),
    ] {
        let answer = bed.send(Method::POST, "/oauth/token", &form, Some(body)).await.unwrap();
        let answer = answer.expect(status);
        assert_eq!(answer.at("/error").is_null(), status == 200, "{}", answer.body);
    }
    let as_json = [("content-type", "application/json")];
    let body = Some(good("&audience=wiz-api"));
    let answer = bed.send(Method::POST, "/oauth/token", &as_json, body).await.unwrap();
    answer.expect(400);
}

#[tokio::test]
async fn tokens_have_the_shape_that_clients_read() {
    use base64::Engine as _;
    let bed = Bed::faulty("wiz:token-life=15m").await;
    let token = bed.wiz_token().await;
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["dc"], "us1");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
}

#[tokio::test]
async fn tokens_end() {
    let bed = Bed::faulty("wiz:token-life=60s@1").await;
    let token = bed.wiz_token().await;
    bed.wiz(&token, "{ __typename }", json!({})).await.expect(200);
    bed.control.advance(std::time::Duration::from_secs(61));
    let late = bed.wiz(&token, "{ __typename }", json!({})).await.expect(401);
    assert_eq!(code(&late), "UNAUTHENTICATED");
    let fresh = bed.wiz_token().await;
    bed.wiz(&fresh, "{ __typename }", json!({})).await.expect(200);
    bed.control.expire_wiz_tokens();
    bed.wiz(&fresh, "{ __typename }", json!({})).await.expect(401);
    bed.wiz("eyJ.made.up", "{ __typename }", json!({})).await.expect(401);
}

#[tokio::test]
async fn a_token_can_lapse_between_two_pages() {
    let bed = Bed::faulty("wiz:expire-token@2").await;
    let token = bed.wiz_token().await;
    let page = bed.wiz(&token, QUERY, json!({ "first": 10 })).await.expect(200);
    let after = page.at("/data/vulnerabilityFindings/pageInfo/endCursor");
    bed.wiz(&token, QUERY, json!({ "first": 10, "after": after })).await.expect(401);
    let token = bed.wiz_token().await;
    let next = bed.wiz(&token, QUERY, json!({ "first": 10, "after": after })).await.expect(200);
    assert_ne!(
        next.at("/data/vulnerabilityFindings/nodes"),
        page.at("/data/vulnerabilityFindings/nodes")
    );
}

/// Refused variables, all with HTTP 400 and the router's code.
#[tokio::test]
async fn variables_of_the_wrong_kind_are_refused() {
    let bed = Bed::default().await;
    for (variables, name) in [
        (json!({ "filterBy": "CRITICAL" }), "filterBy"),
        (json!({ "filterBy": ["CRITICAL"] }), "filterBy"),
        (json!({ "filterBy": { "severity": { "equals": ["CRITICAL"] } } }), "filterBy"),
        (json!({ "filterBy": { "severity": ["SEVERE"] } }), "filterBy"),
        (json!({ "filterBy": { "severity": [5] } }), "filterBy"),
        (json!({ "filterBy": { "colour": "red" } }), "filterBy"),
        (json!({ "filterBy": { "status": ["open"] } }), "filterBy"),
        (json!({ "filterBy": { "hasFix": "yes" } }), "filterBy"),
        (json!({ "filterBy": { "projectIdV2": ["x"] } }), "filterBy"),
        (json!({ "filterBy": { "updatedAt": { "since": "2026-01-01T00:00:00Z" } } }), "filterBy"),
        (json!({ "filterBy": { "updatedAt": { "after": "yesterday" } } }), "filterBy"),
        (json!({ "first": "500" }), "first"),
        (json!({ "first": -1 }), "first"),
        (json!({ "after": 5 }), "after"),
        (json!({ "orderBy": "CREATED_AT" }), "orderBy"),
    ] {
        let answer = ask(&bed, variables).await.expect(400);
        assert_eq!(code(&answer), "VALIDATION_INVALID_TYPE_VARIABLE", "{}", answer.body);
        assert_eq!(answer.at("/errors/0/extensions/name"), name);
    }
    let answer = ask(&bed, json!({ "after": "nonsense" })).await.expect(200);
    assert_eq!(code(&answer), "BAD_USER_INPUT");
}

#[tokio::test]
async fn queries_the_schema_does_not_have_are_refused() {
    let bed = Bed::default().await;
    for (text, message) in [
        ("{ vulnerabilityFindings { nodes { id colour } } }", "Cannot query field \"colour\""),
        ("{ vulnerabilityFindings { nodes { projects } } }", "must have a selection of subfields"),
        ("{ vulnerabilityFindings { nodes { id { x } } } }", "must not have a selection"),
        ("{ vulnerabilityFindings { nodes } }", "must have a selection of subfields"),
        (
            "{ vulnerabilityFindings { nodes { vulnerableAsset { ... on VulnerableAssetToaster { id } } } } }",
            "Unknown type \"VulnerableAssetToaster\"",
        ),
        (
            "{ vulnerabilityFindings { nodes { vulnerableAsset { ... on VulnerableAssetRepositoryBranch { subscriptionId } } } } }",
            "Cannot query field \"subscriptionId\"",
        ),
        ("{ vulnerabilityFindings(limit: 3) { nodes { id } } }", "Unknown argument \"limit\""),
        ("{ users { id } }", "Cannot query field \"users\""),
        ("{ vulnerabilityFindings { nodes { ...missing } } }", "Unknown fragment \"missing\""),
        ("{ vulnerabilityFindings { nodes { id }", "Unexpected <EOF>"),
        ("query", "Unexpected <EOF>"),
        ("", "no operation"),
    ] {
        let answer = query(&bed, text).await.expect(400);
        let found = answer.at("/errors/0/message");
        assert!(found.as_str().unwrap().contains(message), "{text}: {found}");
        assert!(answer.at("/data").is_null());
    }
    let mutation = query(&bed, "mutation { updateIssue(input: {}) { id } }").await.expect(200);
    assert_eq!(code(&mutation), "UNAUTHORIZED");
}

#[tokio::test]
async fn requests_that_are_no_graphql_are_refused() {
    let bed = Bed::default().await;
    let bearer = format!("Bearer {}", bed.wiz_token().await);
    let auth = ("authorization", bearer.as_str());
    let kind = ("content-type", "application/json");
    for (headers, body, status) in [
        (&[auth, kind][..], "[]", 400),
        (&[auth, kind], "{\"query\": 3}", 400),
        (&[auth, kind], "{\"query\": \"{ __typename }\", \"variables\": []}", 400),
        (&[auth, ("content-type", "text/plain")], "{\"query\": \"{ __typename }\"}", 415),
        (&[kind], "{\"query\": \"{ __typename }\"}", 401),
        (&[auth, kind], "{\"query\": \"{ __typename }\"}", 200),
    ] {
        let sent = bed.send(Method::POST, "/graphql", headers, Some(body.to_owned())).await;
        sent.unwrap().expect(status);
    }
}

async fn total(bed: &Bed, filter: Value) -> u64 {
    let answer = ask(bed, json!({ "filterBy": filter, "first": 1 })).await.expect(200);
    answer.at("/data/vulnerabilityFindings/totalCount").as_u64().unwrap()
}

#[tokio::test]
async fn filters_narrow() {
    let bed = Bed::default().await;
    let open = total(&bed, json!(null)).await;
    assert_eq!(open, total(&bed, json!({ "status": ["OPEN"] })).await);
    let resolved = total(&bed, json!({ "status": ["RESOLVED"] })).await;
    assert!(resolved > 0);
    assert_eq!(open + resolved, total(&bed, json!({ "status": ["OPEN", "RESOLVED"] })).await);
    let mut by_severity = 0;
    for severity in ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"] {
        by_severity += total(&bed, json!({ "severity": [severity] })).await;
    }
    assert_eq!(by_severity, open);
    let fixable = total(&bed, json!({ "hasFix": true })).await;
    assert_eq!(open - fixable, 3, "the end-of-life findings have no fix");
    let project =
        query(&bed, "{ vulnerabilityFindings(first: 1) { nodes { projects { id } } } }").await;
    let id = project.at("/data/vulnerabilityFindings/nodes/0/projects/0/id");
    let in_project = total(&bed, json!({ "projectId": [id] })).await;
    assert!(0 < in_project && in_project < open);
    assert_eq!(in_project, total(&bed, json!({ "projectIdV2": { "equals": [id] } })).await);
    let code = total(&bed, json!({ "codeToCloudPipelineStage": ["CODE"] })).await;
    assert!(0 < code && code < 11);
    let old = total(&bed, json!({ "updatedAt": { "before": "2026-06-01T00:00:00Z" } })).await;
    let new = total(&bed, json!({ "updatedAt": { "after": "2026-05-31T23:59:59Z" } })).await;
    assert_eq!(old + new, open);
    let recent = json!({ "updatedAt": { "inLast": { "amount": 30, "unit": "DurationFilterValueUnitDays" } } });
    assert!(total(&bed, recent).await < open);
}

#[tokio::test]
async fn counts_follow_what_is_fixed() {
    let bed = Bed::default().await;
    let before = total(&bed, json!({})).await;
    bed.control.fix("CVE-2024-3094");
    let after = total(&bed, json!({})).await;
    assert!(after < before);
    bed.control.unfix("CVE-2024-3094");
    assert_eq!(total(&bed, json!({})).await, before);
}

#[tokio::test]
async fn pages_add_up_whatever_their_size() {
    let bed = Bed::default().await;
    let token = bed.wiz_token().await;
    let expected = total(&bed, json!({ "severity": ["HIGH"] })).await as usize;
    for first in [1, 7, 100, 500, 5_000] {
        let first = if first == 1 { 13 } else { first };
        let (mut ids, mut after, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let variables =
                json!({ "filterBy": { "severity": "HIGH" }, "first": first, "after": after });
            let page = bed.wiz(&token, QUERY, variables).await.expect(200);
            let nodes = page.at("/data/vulnerabilityFindings/nodes");
            let nodes = nodes.as_array().unwrap();
            assert!(nodes.len() <= first.min(500));
            assert!(nodes.iter().all(|node| node["severity"] == "HIGH"));
            ids.extend(nodes.iter().map(|node| node["id"].as_str().unwrap().to_owned()));
            pages += 1;
            if page.at("/data/vulnerabilityFindings/pageInfo/hasNextPage") == false {
                break;
            }
            after = page.at("/data/vulnerabilityFindings/pageInfo/endCursor");
        }
        assert_eq!(ids.len(), expected);
        assert_eq!(pages, expected.div_ceil(first.min(500)));
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), expected);
    }
}

#[tokio::test]
async fn bad_paging_in_three_ways() {
    let bed = Bed::faulty("wiz:bad-paging@1,wiz:bad-paging=repeat@2,wiz:bad-paging=empty@3").await;
    let info = "/data/vulnerabilityFindings/pageInfo";
    let null = ask(&bed, json!({ "first": 5 })).await;
    assert_eq!(null.at(info), json!({ "hasNextPage": true, "endCursor": null }));
    let after = super::write_cursor(5);
    let repeat = ask(&bed, json!({ "first": 5, "after": after })).await;
    assert_eq!(repeat.at(info), json!({ "hasNextPage": true, "endCursor": after }));
    let empty = ask(&bed, json!({ "first": 5 })).await;
    assert_eq!(empty.at("/data/vulnerabilityFindings/nodes"), json!([]));
    assert_eq!(empty.at(&format!("{info}/hasNextPage")), true);
}

#[tokio::test]
async fn graphql_errors_inside_200() {
    let bed = Bed::faulty(
        "wiz:graphql-error@1,wiz:graphql-error=RATE_LIMIT_EXCEEDED@2,wiz:graphql-error=PARTIAL@3",
    )
    .await;
    let internal = ask(&bed, json!({})).await.expect(200);
    assert_eq!(code(&internal), "INTERNAL");
    assert!(internal.at("/data").is_null());
    let limited = ask(&bed, json!({})).await.expect(200);
    assert_eq!(code(&limited), "RATE_LIMIT_EXCEEDED");
    let partial = ask(&bed, json!({ "first": 10 })).await.expect(200);
    assert_eq!(code(&partial), "INTERNAL");
    assert_eq!(partial.at("/data/vulnerabilityFindings/nodes").as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn selections_aliases_and_fragments() {
    let bed = Bed::default().await;
    let text = "
        fragment Where on VulnerableAssetBase { id type name subscriptionName tags }
        query Named($n: Int = 3) @live {
            found: vulnerabilityFindings(first: $n) {
                nodes {
                    cve: name
                    ...Scores
                    vulnerableAsset {
                        __typename
                        ...Where
                        ... on VulnerableAssetVirtualMachine { operatingSystem ipAddresses }
                        ... on VulnerableAssetContainerImage { imageId }
                        ... on VulnerableAssetRepositoryBranch { repositoryName }
                    }
                    projects { slug riskProfile { businessImpact } }
                }
            }
        }
        fragment Scores on VulnerabilityFinding { score cvssv3 { attackVector } epssProbability }";
    let token = bed.wiz_token().await;
    let answer = bed.wiz(&token, text, json!({ "n": 200 })).await.expect(200);
    let nodes = answer.at("/data/found/nodes");
    let nodes = nodes.as_array().unwrap();
    assert_eq!(nodes.len(), 200);
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let mut kinds = std::collections::BTreeSet::new();
    for node in nodes {
        assert_eq!(
            keys(node),
            ["cve", "score", "cvssv3", "epssProbability", "vulnerableAsset", "projects"]
        );
        let asset = &node["vulnerableAsset"];
        let kind = asset["__typename"].as_str().unwrap();
        let extra: &[&str] = match kind {
            "VulnerableAssetVirtualMachine" => &["operatingSystem", "ipAddresses"],
            "VulnerableAssetContainerImage" => &["imageId"],
            _ => &["repositoryName"],
        };
        let expected =
            [&["__typename", "id", "type", "name", "subscriptionName", "tags"], extra].concat();
        assert_eq!(keys(asset), expected);
        assert!(node["projects"][0]["riskProfile"]["businessImpact"].is_string());
        kinds.insert(kind.to_owned());
    }
    assert!(kinds.len() >= 2, "{kinds:?}");
}

/// The names by which a vulnerability may come, and the facts beside them.
#[tokio::test]
async fn names_are_not_always_cves() {
    let bed = Bed::default().await;
    let text = "{ vulnerabilityFindings(first: 500, filterBy: { severity: [CRITICAL] }) { nodes {
        name vulnerabilityExternalId score hasCisaKevExploit link fixedVersion } } }";
    let answer = query(&bed, text).await.expect(200);
    let nodes = answer.at("/data/vulnerabilityFindings/nodes");
    let of = |name: &str| {
        let nodes = nodes.as_array().unwrap();
        nodes
            .iter()
            .find(|node| node["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .clone()
    };
    assert_eq!(of("CVE-2021-44228")["score"], 10.0);
    assert_eq!(of("cve-2021-44228")["hasCisaKevExploit"], true);
    assert_eq!(of("CVE-2024-3094")["hasCisaKevExploit"], false);
    assert_eq!(of("GHSA-jfh8-c2jp-5v3q")["vulnerabilityExternalId"], "CVE-2021-44228");
    assert_eq!(of("GHSA-73qr-pfmq-6rp8")["vulnerabilityExternalId"], "GHSA-73qr-pfmq-6rp8");
    assert!(of("GHSA-73qr-pfmq-6rp8")["score"].is_null());
    assert!(of("End of life: CentOS Linux 7")["vulnerabilityExternalId"].is_null());
    assert!(of("End of life: CentOS Linux 7")["fixedVersion"].is_null());
}

#[tokio::test]
async fn issues_are_listed() {
    let bed = Bed::default().await;
    let text = "query($f: IssueFilters) { issues: issuesV2(filterBy: $f, first: 50, orderBy: { field: SEVERITY, direction: DESC }) {
        totalCount nodes { id severity sourceRule { __typename ... on Control { id name } } entitySnapshot { name } } pageInfo { hasNextPage endCursor } } }";
    let token = bed.wiz_token().await;
    let all = bed.wiz(&token, text, json!({ "f": { "status": ["OPEN"] } })).await.expect(200);
    assert_eq!(all.at("/data/issues/nodes/0/sourceRule/__typename"), "Control");
    assert!(all.at("/data/issues/totalCount").as_u64() > Some(5));
    let low = bed.wiz(&token, text, json!({ "f": { "severity": ["LOW"] } })).await.expect(200);
    assert_eq!(low.at("/data/issues/totalCount"), 0);
}

proptest! {
    /// The parser answers any text, and quickly.
    #[test]
    fn the_parser_never_panics(text in "[ {}()\\[\\]:$.\"\\\\a-zA-Z0-9#@!,\\n-]{0,200}") {
        let _ = graphql::parse(&text, None);
    }
}

#[test]
fn deep_queries_are_refused() {
    let deep = format!("{}a{}", "{a".repeat(5_000), "}".repeat(5_000));
    assert!(graphql::parse(&deep, None).unwrap_err().contains("too deeply"));
    let value = format!("{{ a(b: {}1{}) }}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(graphql::parse(&value, None).unwrap_err().contains("too deeply"));
    let looped = "{ ...a } fragment a on X { ...b } fragment b on X { ...a }";
    assert!(graphql::parse(looped, None).unwrap_err().contains("too deeply"));
}
