//! Starting, stopping, restarting on a ledger, TLS, the environment.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Answer, Bed};
use crate::{Options, SimError, Vendor};

fn incident(key: &str) -> Option<Value> {
    Some(json!({ "incident": {
        "type": "incident",
        "title": "a page",
        "service": { "id": "PSECOPS", "type": "service_reference" },
        "incident_key": key,
    } }))
}

fn issue(label: &str) -> Option<Value> {
    Some(json!({
        "fields": {
            "project": { "key": "SEC" },
            "issuetype": { "name": "Vulnerability" },
            "summary": "a ticket",
            "labels": [label],
        },
        "properties": [{ "key": "arx.effect", "value": { "key": "w/CVE-1/1/ticket" } }],
    }))
}

#[tokio::test]
async fn a_restart_on_the_ledger_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = dir.path().join("ledger.jsonl");
    let options = || Options { ledger: Some(ledger.clone()), ..Options::default() };

    let bed = Bed::start(options()).await;
    let created = bed.pagerduty("POST", "/incidents", incident("k")).await.expect(201);
    let id = created.at("/incident/id").as_str().unwrap().to_owned();
    bed.pagerduty("POST", &format!("/incidents/{id}/notes"), Some(json!({"note":{"content":"x"}})))
        .await
        .expect(200);
    let key = bed.jira("POST", "/rest/api/3/issue", issue("CVE-1")).await.expect(201).at("/key");
    let link = json!({ "globalId": "g", "object": { "url": "https://x.example", "title": "t" } });
    let path = format!("/rest/api/3/issue/{}/remotelink", key.as_str().unwrap());
    bed.jira("POST", &path, Some(link)).await.expect(201);
    let before = bed.sims.ledger();
    bed.sims.shutdown().await;

    // The process died while writing a line.
    let mut text = std::fs::read_to_string(&ledger).unwrap();
    text.push_str("{\"n\":5,\"at\":\"20");
    std::fs::write(&ledger, text).unwrap();

    let bed = Bed::start(options()).await;
    assert_eq!(bed.sims.ledger(), before);
    let again = bed.pagerduty("POST", "/incidents", incident("k")).await.expect(400);
    assert!(again.body.contains("matching dedup key already exists"));
    let notes = bed.pagerduty("GET", &format!("/incidents/{id}/notes"), None).await.expect(200);
    assert_eq!(notes.at("/notes/0/content"), "x");
    assert_eq!(bed.jira("GET", &path, None).await.expect(200).at("/0/globalId"), "g");
    let next = bed.jira("POST", "/rest/api/3/issue", issue("CVE-2")).await.expect(201);
    assert_eq!(next.at("/key"), "SEC-2");
    let lines = std::fs::read_to_string(&ledger).unwrap();
    assert_eq!(lines.lines().count(), before.len() + 1);
    let numbers: Vec<u64> = bed.sims.ledger().iter().map(|entry| entry.n).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn ledger_lines_say_what_was_written() {
    let bed = Bed::default().await;
    bed.pagerduty("POST", "/incidents", incident("k")).await.expect(201);
    bed.jira("POST", "/rest/api/3/issue", issue("CVE-1")).await.expect(201);
    let ledger = bed.sims.ledger();
    assert_eq!(bed.sims.ledger_since(1), ledger[1..]);
    assert_eq!(bed.sims.ledger_since(9), []);
    let said: Vec<_> = ledger
        .iter()
        .map(|e| {
            (e.vendor, e.operation.as_str(), e.key.clone().unwrap_or_default(), e.title.as_str())
        })
        .collect();
    assert_eq!(
        said,
        [
            (Vendor::PagerDuty, "incidents.create", json!("k"), "a page"),
            (
                Vendor::Jira,
                "issues.create",
                json!({ "property": "arx.effect", "value": { "key": "w/CVE-1/1/ticket" } }),
                "a ticket"
            ),
        ]
    );
}

#[tokio::test]
async fn a_damaged_ledger_is_refused_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger");
    std::fs::write(&path, "{\"n\":1}\n").unwrap();
    let error = crate::start(Options { ledger: Some(path), ..Options::default() }).await;
    let error = error.expect_err("a damaged ledger").to_string();
    assert!(error.contains("line 1 is not a ledger entry"), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let bed = Bed::default().await;
    let port = bed.sims.address().port();
    let error = crate::start(Options { port, ..Options::default() }).await;
    assert!(matches!(error, Err(SimError::Listen { port: named, .. }) if named == port));
}

#[tokio::test]
async fn https_on_the_same_port() {
    let bed = Bed::start(Options { tls_urls: true, ..Options::default() }).await;
    assert!(bed.url.starts_with("https://127.0.0.1:"));
    let info = bed.jira("GET", "/rest/api/3/serverInfo", None).await.expect(200);
    assert_eq!(info.at("/baseUrl"), json!(bed.url));
    let address = bed.sims.address();
    for other in [format!("https://localhost:{}", address.port()), format!("http://{address}")] {
        let response = bed.client().get(format!("{other}/rest/api/3/serverInfo")).send().await;
        let answer = Answer::of(response.unwrap()).await.unwrap();
        assert_eq!(answer.at("/baseUrl"), json!(other));
    }
}

#[tokio::test]
async fn the_environment_names_everything() {
    let bed = Bed::default().await;
    let names: Vec<String> = bed.sims.environment().into_keys().collect();
    assert_eq!(
        names,
        [
            "CS_BASE_URL",
            "CS_CLIENT_ID",
            "CS_CLIENT_SECRET",
            "JIRA_API_TOKEN",
            "JIRA_EMAIL",
            "JIRA_PROJECT_KEY",
            "JIRA_URL",
            "PAGERDUTY_API_KEY",
            "PAGERDUTY_API_URL",
            "PAGERDUTY_FROM_EMAIL",
            "PAGERDUTY_SERVICE_ID",
            "QUALYS_PASSWORD",
            "QUALYS_URL",
            "QUALYS_USERNAME",
            "SNOW_INSTANCE",
            "SNOW_PASSWORD",
            "SNOW_USERNAME",
            "WIZ_API_URL",
            "WIZ_AUTH_URL",
            "WIZ_CLIENT_ID",
            "WIZ_CLIENT_SECRET",
        ]
    );
    let data_center = Bed::data_center().await;
    assert!(!data_center.sims.environment().contains_key("JIRA_EMAIL"));
}

#[tokio::test]
async fn the_env_file_can_be_sourced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sims.env");
    let bed = Bed::start(Options { tls_urls: true, ..Options::default() }).await;
    bed.sims.write_env_file(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("JIRA_PROJECT_KEY='SEC'\n"), "{text}");
    let ca = text.lines().find_map(|line| line.strip_prefix("SSL_CERT_FILE=")).unwrap();
    let ca = std::fs::read_to_string(ca.trim_matches('\'')).unwrap();
    assert_eq!(ca, bed.sims.ca_pem());
    let error = bed.sims.write_env_file(&dir.path().join("no/such/dir")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
}

#[tokio::test]
async fn unknown_paths_and_stopping() {
    let bed = Bed::default().await;
    let answer = bed.send(Method::GET, "/elsewhere", &[], None).await.unwrap();
    assert_eq!(answer.status, 404);
    let (url, client) = (bed.url.clone(), bed.client());
    bed.sims.shutdown().await;
    assert!(client.get(format!("{url}/rest/api/3/serverInfo")).send().await.is_err());
}
