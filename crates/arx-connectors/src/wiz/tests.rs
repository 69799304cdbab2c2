//! Pages as they come, addresses as they are written, and errors as they are told.

mod paging;
mod simulated;

use arx_gateway::{Auth, Response};
use arx_types::Severity;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::refusal::{Kind, Refusal};
use super::wire::{self, Next, NoPage, Wanted};
use super::*;

fn wanted(severities: &[Severity]) -> Wanted {
    Wanted { severities: severities.to_vec(), project_ids: Vec::new(), page_size: 500 }
}

fn page_of(nodes: &Value) -> String {
    json!({ "data": { "vulnerabilityFindings": {
        "nodes": nodes,
        "pageInfo": { "hasNextPage": false, "endCursor": null },
    } } })
    .to_string()
}

/// The findings of one node, one line each.
fn lines(node: Value) -> Vec<String> {
    let text = page_of(&json!([node]));
    let page = wire::decode(&text, &wanted(&[Severity::Critical])).expect("a page");
    page.findings
        .iter()
        .map(|f| {
            format!(
                "{} {:?} {:?} on {} ({}), {}, cvss {:?}",
                f.id,
                f.vulnerabilities,
                f.aliases,
                f.asset.id,
                f.asset.name,
                f.severity.as_str(),
                f.cvss_tenths
            )
        })
        .collect()
}

#[track_caller]
fn check(node: Value, expected: &str) {
    assert_eq!(lines(node).join("\n"), expected);
}

fn node(changes: Value) -> Value {
    let mut node = json!({
        "id": "f1", "name": "CVE-2024-1111", "severity": "CRITICAL", "status": "OPEN", "score": 9.8,
        "vulnerableAsset": { "id": "a1", "name": "web-1", "type": "VIRTUAL_MACHINE" },
    });
    for (key, value) in changes.as_object().expect("changes are named") {
        node[key] = value.clone();
    }
    node
}

#[test]
fn names_are_not_always_cves() {
    check(node(json!({})), r#"f1 ["CVE-2024-1111"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#);
    check(
        node(json!({ "name": "GHSA-c9cp-9c75-9v8c", "vulnerabilityExternalId": "CVE-2024-39474" })),
        r#"f1 ["GHSA-c9cp-9c75-9v8c"] ["CVE-2024-39474"] on a1 (web-1), CRITICAL, cvss Some(98)"#,
    );
    check(
        node(json!({ "vulnerabilityExternalId": "cve-2024-1111" })),
        r#"f1 ["CVE-2024-1111"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#,
    );
    // Two CVEs are two vulnerabilities: the name counts, wherever the other one stands.
    check(
        node(json!({
            "name": "CVE-2020-3333", "vulnerabilityExternalId": "CVE-2020-35522",
            "description": "The package is vulnerable to CVE-2020-35522",
        })),
        r#"f1 ["CVE-2020-3333"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#,
    );
    check(
        node(json!({ "name": null, "vulnerabilityExternalId": " CVE-2024-2222 " })),
        r#"f1 ["CVE-2024-2222"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#,
    );
    check(
        node(json!({ "vulnerabilityExternalId": "3ea99668-721f-11ef-94e9-bb8aaa280b32" })),
        r#"f1 ["CVE-2024-1111"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#,
    );
    check(node(json!({ "name": null })), r#"f1 ["f1"] [] on a1 (web-1), CRITICAL, cvss Some(98)"#);
}

#[test]
fn an_asset_may_be_unknown() {
    let asset = |asset: Value| node(json!({ "vulnerableAsset": asset }));
    let unknown = r#"f1 ["CVE-2024-1111"] [] on f1 (unknown asset), CRITICAL, cvss Some(98)"#;
    check(asset(json!(null)), unknown);
    check(asset(json!({})), unknown);
    check(
        asset(json!({ "name": "shop/main" })),
        r#"f1 ["CVE-2024-1111"] [] on shop/main (shop/main), CRITICAL, cvss Some(98)"#,
    );
    check(
        asset(json!({ "providerUniqueId": "arn:x" })),
        r#"f1 ["CVE-2024-1111"] [] on arn:x (arn:x), CRITICAL, cvss Some(98)"#,
    );
}

#[test]
fn what_was_not_asked_for_is_left_out() {
    check(node(json!({ "status": "RESOLVED" })), "");
    check(node(json!({ "status": "open" })), &lines(node(json!({}))).join("\n"));
    check(node(json!({ "status": null })), &lines(node(json!({}))).join("\n"));
    check(node(json!({ "severity": "HIGH" })), "");
    check(node(json!({ "severity": "critical" })), &lines(node(json!({}))).join("\n"));
    check(node(json!({ "severity": null })), &lines(node(json!({}))).join("\n"));
}

#[test]
fn every_field_may_be_null_or_of_another_kind() {
    let keys = [
        "id",
        "vulnerabilityExternalId",
        "portalUrl",
        "name",
        "CVEDescription",
        "description",
        "remediation",
        "severity",
        "score",
        "status",
        "firstDetectedAt",
        "detailedName",
        "version",
        "fixedVersion",
        "link",
        "hasExploit",
        "hasCisaKevExploit",
        "epssProbability",
        "projects",
        "vulnerableAsset",
        "ignoreRules",
        "layerMetadata",
    ];
    for key in keys {
        for odd in
            [json!(null), json!([]), json!({}), json!(true), json!(7), json!("x"), json!([null])]
        {
            // No id, asset or project may make a finding vanish, and none may fail the page.
            let page = page_of(&json!([node(json!({ key: odd })), node(json!({ "id": "f2" }))]));
            let decoded = wire::decode(&page, &wanted(&[Severity::Critical])).expect("a page");
            assert_eq!(decoded.findings.last().map(|f| &*f.id), Some("f2"), "{key}: {odd}");
            assert!(
                decoded.findings.len() == 2 || ["severity", "status"].contains(&key),
                "{key}: {odd}"
            );
        }
    }
}

#[test]
fn details_are_kept() {
    let text = page_of(&json!([node(json!({
        "CVEDescription": "Out-of-bounds write in the parser. Remote attackers may run code.",
        "detailedName": "openssl", "version": "1.1.1k", "fixedVersion": "1.1.1l",
        "portalUrl": "https://app.wiz.io/f1", "remediation": "yum update openssl",
        "hasExploit": true, "hasCisaKevExploit": true, "epssProbability": 0.944,
        "firstDetectedAt": "2024-08-28T03:02:01.063767Z",
        "ignoreRules": { "id": "r1", "enabled": true },
        "projects": [
            { "name": "Shop", "riskProfile": { "businessImpact": "MBI" } },
            { "name": "Pay", "riskProfile": { "businessImpact": "HBI" } },
            { "name": "Lab", "riskProfile": null },
        ],
        "vulnerableAsset": {
            "id": "a1", "name": "web-1", "type": "VIRTUAL_MACHINE", "subscriptionName": "prod",
            "tags": { "team": "payments", "tier": 1 }, "hasWideInternetExposure": true,
        },
    }))]));
    let page = wire::decode(&text, &wanted(&[Severity::Critical])).expect("a page");
    insta::assert_debug_snapshot!(page.findings[0], @r#"
        Finding {
            id: "f1",
            vulnerabilities: [
                "CVE-2024-1111",
            ],
            aliases: [],
            asset: Asset {
                id: "a1",
                name: "web-1",
                kind: "VIRTUAL_MACHINE",
                subscription: "prod",
                projects: [
                    "Shop",
                    "Pay",
                    "Lab",
                ],
                tags: [
                    (
                        "team",
                        "payments",
                    ),
                    (
                        "tier",
                        "1",
                    ),
                ],
                business_impact: 3,
                internet_facing: true,
            },
            severity: Critical,
            qualys_severity: 0,
            cvss_tenths: Some(
                98,
            ),
            epss_millionths: Some(
                944000,
            ),
            known_exploited: true,
            public_exploit: true,
            title: "Out-of-bounds write in the parser",
            description: "Out-of-bounds write in the parser. Remote attackers may run code.",
            remediation: "yum update openssl",
            package: "openssl 1.1.1k",
            fixed_version: "1.1.1l",
            url: "https://app.wiz.io/f1",
            first_seen: "2024-08-28T03:02:01.063767Z",
        }
        "#);
}

#[test]
fn tags_come_as_object_or_as_list() {
    let tags = |tags: Value| {
        let asset = json!({ "id": "a1", "tags": tags });
        let text = page_of(&json!([node(json!({ "vulnerableAsset": asset }))]));
        let page = wire::decode(&text, &wanted(&[Severity::Critical])).expect("a page");
        format!("{:?}", page.findings[0].asset.tags)
    };
    assert_eq!(tags(json!({ "env": "prod" })), r#"[("env", "prod")]"#);
    assert_eq!(tags(json!([{ "key": "env", "value": "prod" }])), r#"[("env", "prod")]"#);
    assert_eq!(tags(json!(["prod"])), r#"[("prod", "")]"#);
    assert_eq!(tags(json!(null)), "[]");
}

#[test]
fn a_page_says_where_the_next_one_is() {
    let next = |nodes: Value, info: Value| {
        let text =
            json!({ "data": { "vulnerabilityFindings": { "nodes": nodes, "pageInfo": info } } })
                .to_string();
        let page = wire::decode(&text, &wanted(&[Severity::Critical])).expect("a page");
        page.next
    };
    let one = json!([node(json!({}))]);
    let lost = |next: Next| matches!(next, Next::Lost(_));
    assert_eq!(next(one.clone(), json!({ "hasNextPage": false, "endCursor": "c" })), Next::End);
    assert_eq!(next(json!([]), json!({ "hasNextPage": false })), Next::End);
    assert_eq!(
        next(one.clone(), json!({ "hasNextPage": true, "endCursor": "c" })),
        Next::After("c".to_owned())
    );
    assert!(lost(next(one.clone(), json!({ "hasNextPage": true, "endCursor": null }))));
    assert!(lost(next(one.clone(), json!({ "hasNextPage": true, "endCursor": "" }))));
    assert!(lost(next(one, json!(null))));
    assert!(lost(next(json!([]), json!({ "hasNextPage": true, "endCursor": "c" }))));
}

#[test]
fn a_refused_query_is_never_an_empty_page() {
    let refused = |text: &str| wire::decode(text, &wanted(&[Severity::Critical])).err();
    let good = page_of(&json!([]));
    assert!(refused(&good).is_none());
    let both = good.replacen('{', r#"{"errors":[{"message":"partial"}],"#, 1);
    assert!(matches!(refused(&both), Some(NoPage::Errors(_))));
    for text in [
        r#"{"data":null}"#,
        "{}",
        r#"{"data":{}}"#,
        r#"{"data":{"vulnerabilityFindings":null}}"#,
        r#"{"data":{"vulnerabilityFindings":{"nodes":null,"pageInfo":{"hasNextPage":false}}}}"#,
        "<html>sign in</html>",
        "",
        "null",
        "[]",
    ] {
        assert!(matches!(refused(text), Some(NoPage::Malformed(_))), "{text}");
    }
}

#[test]
fn the_next_page_is_known_before_the_page_is_decoded() {
    let peek = |info: &str, description: &str| {
        let body = format!(
            r#"{{"data":{{"vulnerabilityFindings":{{"nodes":[{{"description":"{description}"}}],"pageInfo":{info}}}}}}}"#
        );
        wire::peek_next(body.as_bytes())
    };
    let after = Some(Next::After("c1".to_owned()));
    assert_eq!(peek(r#"{"hasNextPage":true,"endCursor":"c1"}"#, "x"), after);
    assert_eq!(peek(r#" { "endCursor" : "c1", "hasNextPage" : true }"#, "x"), after);
    assert_eq!(
        peek(r#"{"hasNextPage":true,"endCursor":"c1"}"#, r#"\"pageInfo\":{\"hasNextPage\":false}"#),
        after
    );
    assert_eq!(peek(r#"{"hasNextPage":false,"endCursor":"c1"}"#, "x"), Some(Next::End));
    assert_eq!(peek(r#"{"hasNextPage":tr"#, "x"), None);
    assert_eq!(wire::peek_next(b""), None);
}

#[test]
fn parameters_are_checked() {
    let check = |params: Value, expected: &str| {
        let read = Wanted::from_params(&params);
        let read = read.map(|wanted| wanted.query("F", None)["variables"].to_string());
        assert_eq!(read.unwrap_or_else(|problem| problem), expected, "{params}");
    };
    check(json!(null), r#"{"filterBy":{"severity":["CRITICAL"],"status":["OPEN"]},"first":500}"#);
    check(
        json!({ "severities": ["high", "CRITICAL", "HIGH"], "project_ids": ["p1"], "page_size": 10 }),
        r#"{"filterBy":{"severity":["HIGH","CRITICAL"],"status":["OPEN"],"projectId":["p1"]},"first":10}"#,
    );
    check(
        json!({ "severity": "CRITICAL" }),
        "no parameter `severity`; there are severities, project_ids, page_size",
    );
    check(json!({ "severities": "CRITICAL" }), "`severities` must be a list of texts");
    check(
        json!({ "severities": ["URGENT"] }),
        "`severities` holds `URGENT`; use CRITICAL, HIGH, MEDIUM, LOW or INFORMATIONAL",
    );
    check(json!({ "severities": [] }), "`severities` is empty; name at least one, e.g. CRITICAL");
    check(json!({ "page_size": 501 }), "`page_size` must be from 1 to 500");
    check(json!([]), "parameters must be named");
}

#[test]
fn addresses_are_taken_literally() {
    #[track_caller]
    fn check(api: &str, auth: Option<&str>, expected: &str) {
        let shown = match endpoint(api, auth, None) {
            Ok(endpoint) => match endpoint.auth {
                Auth::ClientCredentials { token_url, form, .. } => {
                    format!("{} {token_url} {}", endpoint.base, form[0].1)
                }
                _ => "another scheme".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }
    check(
        "https://api.us17.app.wiz.io/graphql",
        None,
        "https://api.us17.app.wiz.io/graphql https://auth.app.wiz.io/oauth/token wiz-api",
    );
    check(
        "https://api.eu1.gov.wiz.io/",
        None,
        "https://api.eu1.gov.wiz.io/graphql https://auth.gov.wiz.io/oauth/token wiz-api",
    );
    check(
        "https://api.us1.app.wiz.us",
        None,
        "https://api.us1.app.wiz.us/graphql https://auth.app.wiz.us/oauth/token wiz-api",
    );
    check(
        "https://api.us1.demo.wiz.io/graphql/",
        Some("https://auth0.demo.wiz.io"),
        "https://api.us1.demo.wiz.io/graphql https://auth0.demo.wiz.io/oauth/token beyond-api",
    );
    check(
        "http://127.0.0.1:9000/wiz",
        None,
        "http://127.0.0.1:9000/wiz/graphql http://127.0.0.1:9000/oauth/token wiz-api",
    );
    check(
        "http://[::1]:9000/graphql?x=1",
        Some("http://localhost:9001/token"),
        "http://[::1]:9000/graphql http://localhost:9001/token wiz-api",
    );
    check(
        "https://notapp.wiz.io.example.com",
        None,
        "https://notapp.wiz.io.example.com/graphql \
         https://notapp.wiz.io.example.com/oauth/token wiz-api",
    );
    check(
        "http://wiz.example.com",
        None,
        "WIZ_API_URL is plain http to another machine; write `https://`",
    );
    check(
        "api.us1.app.wiz.io",
        None,
        "WIZ_API_URL is not an address; write it as `https://host` or `https://host/path`",
    );
}

#[test]
fn settings_are_checked() {
    let check = |settings: Value, expected: Result<Option<&str>, &str>| {
        let read = audience_setting(&settings);
        let read = read.map_err(|error| error.to_string());
        assert_eq!(read, expected.map(|a| a.map(str::to_owned)).map_err(str::to_owned));
    };
    check(json!(null), Ok(None));
    check(json!({}), Ok(None));
    check(json!({ "audience": "beyond-api" }), Ok(Some("beyond-api")));
    check(
        json!({ "audiance": "x" }),
        Err("connectors.wiz.settings has no `audiance`; there is `audience`"),
    );
    check(
        json!({ "audience": 1 }),
        Err("connectors.wiz.settings needs a text for `audience`, e.g. `wiz-api`"),
    );
}

#[test]
fn what_an_error_says_is_one_line_that_a_terminal_only_shows() {
    let response = Response { status: 200, headers: Default::default(), body: Bytes::new() };
    let errors = json!([{ "message": "no\u{1b}[2J\nmore", "extensions": { "code": "A\u{0}B" } }]);
    assert_eq!(Refusal::of(200, &errors, &response).message, "A B: no [2J more");
    let unknown = Wanted::from_params(&json!({ "a\n\u{1b}b": 1 })).expect_err("unknown");
    assert_eq!(unknown, "no parameter `a b`; there are severities, project_ids, page_size");
}

#[test]
fn errors_say_what_can_be_done() {
    #[track_caller]
    fn check(status: u16, errors: Value, expected: Kind) {
        let response =
            Response { status, headers: Default::default(), body: Bytes::from_static(b"words") };
        assert_eq!(Refusal::of(status, &errors, &response).kind, expected, "{errors}");
    }
    let code = |code: &str| json!([{ "message": "no", "extensions": { "code": code } }]);
    check(200, code("UNAUTHENTICATED"), Kind::Unauthenticated);
    check(200, code("UNAUTHORIZED"), Kind::Unauthorized);
    check(200, code("FORBIDDEN_IP"), Kind::Unauthorized);
    check(200, code("RATE_LIMIT_EXCEEDED"), Kind::RateLimited);
    check(200, code("INTERNAL"), Kind::Internal);
    check(200, code("BAD_USER_INPUT"), Kind::Refused);
    check(200, code("NOT_FOUND"), Kind::Refused);
    check(400, code("VALIDATION_INVALID_TYPE_VARIABLE"), Kind::Refused);
    check(400, code("GRAPHQL_VALIDATION_FAILED"), Kind::Schema);
    check(200, json!([{ "message": "Cannot query field \"x\" on type \"Y\"." }]), Kind::Schema);
    check(200, json!([{ "message": "Unknown type \"VulnerableAssetBase\"." }]), Kind::Schema);
    check(
        200,
        json!([{ "message": "no", "extensions": { "http": { "status": 401 } } }]),
        Kind::Unauthenticated,
    );
    check(
        200,
        json!([{ "message": "no", "extensions": { "http": { "status": 503 } } }]),
        Kind::Internal,
    );
    check(200, json!("no"), Kind::Refused);
    check(403, json!(null), Kind::Unauthorized);
    check(401, json!(null), Kind::Unauthenticated);
}

proptest! {
    #[test]
    fn any_text_is_a_page_or_a_reason(text in "\\PC*") {
        let _ = wire::decode(&text, &wanted(&[Severity::Critical]));
        let _ = wire::peek_next(text.as_bytes());
    }

    #[test]
    fn a_page_that_is_cut_is_no_page(n in 1_usize..4, cut in 0.0..1.0_f64) {
        let nodes: Vec<Value> = (0..n).map(|i| node(json!({ "id": i.to_string() }))).collect();
        let text = page_of(&json!(nodes));
        let at = (text.len() as f64 * cut) as usize;
        prop_assert!(wire::decode(&text[..at], &wanted(&[Severity::Critical])).is_err());
    }

    #[test]
    fn the_peek_agrees_with_the_decoder(cursor in "\\PC{0,40}", more: bool, padding in "[ \\n\\t]{0,3}") {
        let info = json!({ "hasNextPage": more, "endCursor": cursor });
        let text = format!(
            r#"{{"data":{{"vulnerabilityFindings":{{"nodes":[{{}}],"pageInfo"{padding}:{padding}{info}}}}}}}"#
        );
        let page = wire::decode(&text, &wanted(&[Severity::Critical])).expect("a page");
        prop_assert_eq!(wire::peek_next(text.as_bytes()), Some(page.next));
    }
}
