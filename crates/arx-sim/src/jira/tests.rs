//! Jira over the wire: auth, create's refusals, search and its lag, properties, links.

use std::time::Duration;

use axum::http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::adf::{self, Refused};
use super::jql;
use crate::tests::{Answer, Bed};

fn document(text: &str) -> Value {
    json!({
        "type": "doc",
        "version": 1,
        "content": [{ "type": "paragraph", "content": [{ "type": "text", "text": text }] }],
    })
}

fn fields() -> Value {
    json!({
        "project": { "key": "SEC" },
        "issuetype": { "id": "10003" },
        "summary": "CVE-2021-44228 on 60 hosts",
        "description": document("Upgrade log4j-core."),
        "priority": { "id": "10100" },
        "labels": ["CVE-2021-44228", "arx"],
    })
}

/// The usual fields with some replaced; null takes one away.
fn with(changes: Value) -> Value {
    let mut value = fields();
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().shift_remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

async fn create(bed: &Bed, fields: Value) -> Answer {
    bed.jira("POST", "/rest/api/3/issue", Some(json!({ "fields": fields }))).await
}

async fn created(bed: &Bed) -> String {
    create(bed, fields()).await.expect(201).at("/key").as_str().unwrap().to_owned()
}

async fn search(bed: &Bed, jql: &str) -> Answer {
    let body = json!({ "jql": jql, "fields": ["summary", "labels"] });
    bed.jira("POST", "/rest/api/3/search/jql", Some(body)).await
}

async fn keys(bed: &Bed, jql: &str) -> Vec<String> {
    let answer = search(bed, jql).await.expect(200);
    let issues = answer.at("/issues");
    issues.as_array().unwrap().iter().map(|i| i["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_expired_token_makes_reads_anonymous() {
    let bed = Bed::default().await;
    let key = created(&bed).await;
    let jql = "project = \"SEC\" AND labels = \"arx\"";
    assert_eq!(keys(&bed, jql).await, [key.as_str()]);
    bed.control.set_jira_token_expired(true);
    assert_eq!(keys(&bed, jql).await, Vec::<String>::new(), "200 and nothing, not 401");
    let answer = search(&bed, jql).await;
    assert_eq!(answer.header("x-seraph-loginreason"), "AUTHENTICATED_FAILED");
    bed.jira("GET", "/rest/api/3/myself", None).await.expect(401);
    bed.jira("GET", &format!("/rest/api/3/issue/{key}"), None).await.expect(404);
    create(&bed, fields()).await.expect(401);
    bed.jira("GET", "/rest/api/3/serverInfo", None).await.expect(200);
    bed.control.set_jira_token_expired(false);
    let me = bed.jira("GET", "/rest/api/3/myself", None).await.expect(200);
    assert_eq!(me.at("/emailAddress"), "secops@harbourline.example");
    let bearer = [("authorization", "Bearer x")];
    bed.send(Method::GET, "/rest/api/3/myself", &bearer, None).await.unwrap().expect(403);
}

#[tokio::test]
async fn creates_are_refused_in_jiras_words() {
    let bed = Bed::default().await;
    let long = |n: usize| "x".repeat(n);
    for (changes, field, says) in [
        (json!({ "summary": null }), "summary", "You must specify a summary of the issue."),
        (json!({ "summary": long(256) }), "summary", "Summary can't exceed 255 characters."),
        (json!({ "summary": "a\nb" }), "summary", "newline characters"),
        (json!({ "project": null }), "project", "Specify a valid project"),
        (json!({ "project": { "key": "NOPE" } }), "project", "valid project is required"),
        (json!({ "issuetype": { "id": "9" } }), "issuetype", "The issue type selected is invalid."),
        (
            json!({ "issuetype": { "name": "Vuln" } }),
            "issuetype",
            "The issue type selected is invalid.",
        ),
        (json!({ "description": "plain" }), "description", "must be an Atlassian Document"),
        (json!({ "priority": { "id": "99" } }), "priority", "The priority selected is invalid."),
        (json!({ "priority": { "name": "P1" } }), "priority", "The priority selected is invalid."),
        (
            json!({ "labels": ["a b"] }),
            "labels",
            "The label 'a b' contains spaces which is invalid.",
        ),
        (json!({ "labels": [long(256)] }), "labels", "exceeds the maximum length"),
        (json!({ "labels": "arx" }), "labels", "not an array"),
        (
            json!({ "components": [{ "name": "Moon" }] }),
            "components",
            "Component name 'Moon' is not valid",
        ),
        (json!({ "assignee": { "name": "twren" } }), "assignee", "valid 'id' for Assignee"),
        (json!({ "assignee": { "id": "nobody" } }), "assignee", "cannot be assigned"),
        (
            json!({ "customfield_99999": 1 }),
            "customfield_99999",
            "cannot be set. It is not on the appropriate screen, or unknown.",
        ),
        (
            json!({ "customfield_10010": { "value": "Moon" } }),
            "customfield_10010",
            "Option value 'Moon'",
        ),
        (json!({ "customfield_10010": "Payments" }), "customfield_10010", "Specify a valid"),
        (
            json!({ "customfield_10020": "plain" }),
            "customfield_10020",
            "must be an Atlassian Document",
        ),
        (json!({ "customfield_10030": "9.8" }), "customfield_10030", "must be a number"),
        (json!({ "duedate": "tomorrow" }), "duedate", "yyyy-MM-dd"),
    ] {
        let answer = create(&bed, with(changes)).await.expect(400);
        let found = answer.at(&format!("/errors/{field}"));
        assert!(found.as_str().unwrap_or("").contains(says), "{field}: {}", answer.body);
        assert_eq!(answer.at("/errorMessages"), json!([]));
    }
    for (description, says) in
        [(document(&long(32_768)), "CONTENT_LIMIT_EXCEEDED"), (document(""), "INVALID_INPUT")]
    {
        let answer = create(&bed, with(json!({ "description": description }))).await.expect(400);
        assert_eq!(answer.at("/errorMessages/0"), says);
    }
    assert_eq!(bed.sims.ledger().len(), 0);
    // Refused creates used up numbers.
    assert!(created(&bed).await.strip_prefix("SEC-").unwrap().parse::<u64>().unwrap() > 10);
    create(
        &bed,
        with(json!({
            "customfield_10010": { "value": "Payments" },
            "customfield_10011": [{ "value": "Production" }],
            "customfield_10020": document("x"),
            "customfield_10030": 9.8,
            "components": [{ "name": "Cloud" }],
            "assignee": { "id": "5b109f2e9729b51b54dc274d" },
            "duedate": "2026-12-01",
        })),
    )
    .await
    .expect(201);
}

#[track_caller]
fn check_adf(content: Value, expected: Result<(), Refused>) {
    let document = json!({ "type": "doc", "version": 1, "content": content });
    assert_eq!(adf::check(&document), expected, "{document}");
}

#[test]
fn documents_are_checked() {
    let text = |t: &str| json!({ "type": "text", "text": t });
    let marked = |marks: Value| json!([{ "type": "paragraph", "content": [{ "type": "text", "text": "x", "marks": marks }] }]);
    let paragraph = json!({ "type": "paragraph", "content": [text("x")] });
    let invalid = || Err(Refused::Invalid);
    check_adf(json!([]), Ok(()));
    check_adf(json!([paragraph]), Ok(()));
    check_adf(json!([{ "type": "paragraph" }]), Ok(()));
    check_adf(
        json!([{ "type": "heading", "attrs": { "level": 2 }, "content": [text("x")] }]),
        Ok(()),
    );
    check_adf(
        json!([{ "type": "bulletList", "content": [{ "type": "listItem", "content": [paragraph] }] }]),
        Ok(()),
    );
    check_adf(
        json!([{ "type": "codeBlock", "attrs": { "language": "sh" }, "content": [text("ls")] }]),
        Ok(()),
    );
    check_adf(json!([{ "type": "rule" }]), Ok(()));
    check_adf(
        json!([{ "type": "table", "content": [{ "type": "tableRow", "content": [
        { "type": "tableHeader", "content": [paragraph] }, { "type": "tableCell", "content": [paragraph] } ] }] }]),
        Ok(()),
    );
    check_adf(marked(json!([{ "type": "strong" }, { "type": "em" }])), Ok(()));
    check_adf(marked(json!([{ "type": "code" }])), Ok(()));
    check_adf(
        marked(json!([{ "type": "link", "attrs": { "href": "https://x.example" } }])),
        Ok(()),
    );

    check_adf(json!([text("x")]), invalid());
    check_adf(json!([{ "type": "paragraph", "content": [text("")] }]), invalid());
    check_adf(json!([{ "type": "paragraph", "content": [paragraph] }]), invalid());
    check_adf(json!([{ "type": "heading", "content": [text("x")] }]), invalid());
    check_adf(
        json!([{ "type": "heading", "attrs": { "level": 7 }, "content": [text("x")] }]),
        invalid(),
    );
    check_adf(json!([{ "type": "bulletList", "content": [paragraph] }]), invalid());
    check_adf(json!([{ "type": "bulletList", "content": [] }]), invalid());
    check_adf(json!([{ "type": "listItem", "content": [paragraph] }]), invalid());
    check_adf(json!([{ "type": "section", "content": [paragraph] }]), invalid());
    check_adf(json!([{ "type": "codeBlock", "content": [{ "type": "hardBreak" }] }]), invalid());
    check_adf(marked(json!([{ "type": "blink" }])), invalid());
    check_adf(marked(json!([{ "type": "link" }])), invalid());
    check_adf(marked(json!([{ "type": "code" }, { "type": "strong" }])), invalid());
    assert_eq!(adf::check(&json!("text")), Err(Refused::NotADocument));
    assert_eq!(adf::check(&json!({ "type": "doc" })), Err(Refused::Invalid));
    assert_eq!(
        adf::check(&json!({ "type": "doc", "version": 2, "content": [] })),
        Err(Refused::Invalid)
    );
    assert_eq!(adf::check(&document(&"x".repeat(32_768))), Err(Refused::TooLong));
    assert_eq!(adf::check(&document(&"é".repeat(32_767))), Ok(()));
}

#[tokio::test]
async fn priorities_and_required_fields_are_the_projects_own() {
    let bed = Bed::default().await;
    let meta = async || {
        let types = bed.jira("GET", "/rest/api/3/issue/createmeta/SEC/issuetypes", None).await;
        let id = types.expect(200).at("/issueTypes/2/id");
        let path = format!("/rest/api/3/issue/createmeta/SEC/issuetypes/{}", id.as_str().unwrap());
        bed.jira("GET", &path, None).await.expect(200).at("/fields")
    };
    let field = |meta: &Value, name: &str| {
        meta.as_array().unwrap().iter().find(|field| field["fieldId"] == name).cloned()
    };
    let names = |meta: &Value| -> Vec<String> {
        let field = field(meta, "priority").unwrap();
        let allowed = field["allowedValues"].as_array().unwrap();
        allowed.iter().map(|value| value["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&meta().await), ["Blocker", "Highest", "High", "Medium", "Low", "Lowest"]);

    bed.control.set_jira_priorities(&["Highest", "High"]);
    assert_eq!(names(&meta().await), ["Highest", "High"]);
    let refused = create(&bed, fields()).await.expect(400);
    assert_eq!(refused.at("/errors/priority"), "This priority is not available for this project.");
    let site = bed.jira("GET", "/rest/api/3/priority/search", None).await.expect(200);
    assert_eq!(site.at("/total"), 6);
    let project = bed.jira("GET", "/rest/api/3/priority/search?projectId=10000", None).await;
    assert_eq!(project.at("/values/0/name"), "Highest");

    bed.control.set_jira_priority_field(false);
    assert_eq!(field(&meta().await, "priority"), None);
    let refused = create(&bed, fields()).await.expect(400);
    assert!(refused.at("/errors/priority").as_str().unwrap().contains("cannot be set"));

    bed.control.require_jira_field("customfield_10010");
    assert_eq!(field(&meta().await, "customfield_10010").unwrap()["required"], true);
    let refused = create(&bed, with(json!({ "priority": null }))).await.expect(400);
    assert_eq!(refused.at("/errors/customfield_10010"), "Affected service is required.");
    let given = json!({ "priority": null, "customfield_10010": { "value": "Payments" } });
    create(&bed, with(given)).await.expect(201);
    bed.jira("GET", "/rest/api/3/issue/createmeta/NOPE/issuetypes", None).await.expect(404);
}

#[tokio::test]
async fn properties_travel_with_the_create() {
    let bed = Bed::default().await;
    let body = |properties: Value| Some(json!({ "fields": fields(), "properties": properties }));
    let marker = json!([{ "key": "arx.effect", "value": { "effect": "w/CVE-1/1/ticket" } }]);
    let made = bed.jira("POST", "/rest/api/3/issue", body(marker)).await.expect(201);
    let path = format!("/rest/api/3/issue/{}/properties", made.at("/key").as_str().unwrap());
    let read = bed.jira("GET", &format!("{path}/arx.effect"), None).await.expect(200);
    assert_eq!(read.at("/value/effect"), "w/CVE-1/1/ticket");
    bed.jira("GET", &format!("{path}/other"), None).await.expect(404);
    bed.jira("PUT", &format!("{path}/other"), Some(json!(1))).await.expect(201);
    bed.jira("PUT", &format!("{path}/other"), Some(json!(2))).await.expect(200);
    assert_eq!(bed.jira("GET", &path, None).await.at("/keys/1/key"), "other");
    for bad in [
        json!([{ "key": "", "value": 1 }]),
        json!([{ "key": "k".repeat(256), "value": 1 }]),
        json!([{ "key": "k", "value": "v".repeat(32_768) }]),
        json!({ "k": 1 }),
    ] {
        bed.jira("POST", "/rest/api/3/issue", body(bad)).await.expect(400);
    }
    let claim = "/rest/api/3/project/SEC/properties/arx.claim";
    bed.jira("GET", claim, None).await.expect(404);
    bed.jira("PUT", claim, Some(json!({ "by": 1 }))).await.expect(201);
    bed.jira("PUT", claim, Some(json!({ "by": 2 }))).await.expect(200);
    assert_eq!(bed.jira("GET", claim, None).await.at("/value/by"), 2);
}

#[tokio::test]
async fn search_lags_behind_and_direct_reads_do_not() {
    let bed = Bed::faulty("jira:lag=90s@1").await;
    let (late, prompt) = (created(&bed).await, created(&bed).await);
    let jql = "project = \"SEC\" AND labels = \"CVE-2021-44228\" ORDER BY created ASC";
    assert_eq!(keys(&bed, jql).await, [prompt.as_str()]);
    bed.jira("GET", &format!("/rest/api/3/issue/{late}"), None).await.expect(200);
    let body = json!({ "issueIdsOrKeys": [late, prompt, "SEC-999"], "fields": ["labels"] });
    let fetched = bed.jira("POST", "/rest/api/3/issue/bulkfetch", Some(body)).await.expect(200);
    assert_eq!(fetched.at("/issues").as_array().unwrap().len(), 2);
    let body = json!({ "jql": jql, "fields": ["key"], "reconcileIssues": [10_000] });
    let reconciled = bed.jira("POST", "/rest/api/3/search/jql", Some(body)).await.expect(200);
    assert_eq!(reconciled.at("/issues").as_array().unwrap().len(), 2);
    bed.control.advance(Duration::from_secs(91));
    assert_eq!(keys(&bed, jql).await, [late.clone(), prompt]);
    bed.control.remove_label(&late, "CVE-2021-44228");
    assert_eq!(keys(&bed, jql).await.len(), 1);
}

#[tokio::test]
async fn jql_finds_what_it_says() {
    let bed = Bed::default().await;
    let quoted = "a\"b\\c";
    create(&bed, with(json!({ "labels": ["CVE-1", quoted] }))).await.expect(201);
    create(&bed, with(json!({ "labels": ["cve-1"], "summary": "Spring4Shell" }))).await.expect(201);
    create(
        &bed,
        with(json!({ "labels": null, "project": { "key": "OPS" }, "priority": { "name": "Low" } })),
    )
    .await
    .expect(201);
    bed.control.set_issue_status("SEC-2", "Done");
    for (jql, expected) in [
        ("project = SEC", &["SEC-2", "SEC-1"][..]),
        ("project = \"SEC\" ORDER BY created ASC", &["SEC-1", "SEC-2"]),
        ("project = SEC order by key desc", &["SEC-2", "SEC-1"]),
        ("labels = \"CVE-1\"", &["SEC-1"]),
        ("labels = \"cve-1\"", &["SEC-2"]),
        (r#"labels = "a\"b\\c""#, &["SEC-1"]),
        ("labels in (\"CVE-1\", \"cve-1\") ORDER BY created ASC", &["SEC-1", "SEC-2"]),
        ("labels != \"CVE-1\"", &["SEC-2"]),
        ("labels not in (\"CVE-1\")", &["SEC-2"]),
        ("project = SEC AND labels = \"CVE-1\" AND labels = \"cve-1\"", &[]),
        ("labels = \"CVE-1\" OR project = OPS ORDER BY created ASC", &["SEC-1", "OPS-1"]),
        ("project = SEC AND NOT (labels = \"CVE-1\")", &["SEC-2"]),
        ("statusCategory != Done AND project = SEC", &["SEC-1"]),
        ("status = \"Done\"", &["SEC-2"]),
        ("priority = Low", &["OPS-1"]),
        ("priority = Blocker and issuetype = vulnerability ORDER BY created", &["SEC-1", "SEC-2"]),
        ("summary ~ \"spring4shell\"", &["SEC-2"]),
        ("text ~ \"log4j\" and project = OPS", &["OPS-1"]),
        ("key = SEC-2", &["SEC-2"]),
        ("created >= -1h AND project = OPS", &["OPS-1"]),
        ("created < -1h", &[]),
    ] {
        assert_eq!(keys(&bed, jql).await, expected, "{jql}");
    }
    for (jql, says) in [
        ("", "Unbounded JQL"),
        ("ORDER BY created", "Unbounded JQL"),
        ("project = DO", "'DO' is a reserved JQL word"),
        ("mood = good", "Field 'mood' does not exist"),
        ("project =", "ended too early"),
        ("project = SEC labels = x", "unexpected 'labels'"),
        ("project = \"SEC", "not closed"),
        (r#"labels = "\q""#, "illegal JQL escape"),
        ("summary = \"x\"", "is not supported"),
        ("labels ~ \"x\"", "is not supported"),
        ("project = SEC ORDER BY mood", "Not able to sort"),
    ] {
        let answer = search(&bed, jql).await.expect(400);
        let message = answer.at("/errorMessages/0");
        assert!(message.as_str().unwrap().contains(says), "{jql}: {message}");
    }
}

#[tokio::test]
async fn search_pages_by_token() {
    let bed = Bed::default().await;
    for _ in 0..7 {
        created(&bed).await;
    }
    let page = async |token: Value, jql: &str| {
        let body = json!({ "jql": jql, "maxResults": 3, "nextPageToken": token });
        bed.jira("POST", "/rest/api/3/search/jql", Some(body)).await
    };
    let jql = "project = SEC ORDER BY created ASC";
    let (mut ids, mut token) = (Vec::new(), Value::Null);
    loop {
        let answer = page(token, jql).await.expect(200);
        let issues = answer.at("/issues");
        for issue in issues.as_array().unwrap() {
            assert_eq!(issue.as_object().unwrap().len(), 1, "ids alone by default");
            ids.push(issue["id"].as_str().unwrap().to_owned());
        }
        token = answer.at("/nextPageToken");
        assert_eq!(answer.at("/isLast"), token.is_null());
        if token.is_null() {
            break;
        }
    }
    assert_eq!(ids.len(), 7);
    let token = page(Value::Null, jql).await.at("/nextPageToken");
    page(token, "project = OPS").await.expect(400);
    page(json!("nonsense"), jql).await.expect(400);
    let gone = bed.jira("GET", "/rest/api/3/search?jql=project=SEC", None).await.expect(410);
    assert!(gone.body.contains("migrate to the /rest/api/3/search/jql API"));
}

#[tokio::test]
async fn remote_links_are_upserts() {
    let bed = Bed::default().await;
    let path = format!("/rest/api/3/issue/{}/remotelink", created(&bed).await);
    let link = |title: &str| {
        Some(json!({
            "globalId": "system=pagerduty&id=Q1",
            "object": { "url": "https://harbourline.pagerduty.example/incidents/Q1", "title": title },
        }))
    };
    let first = bed.jira("POST", &path, link("one")).await.expect(201);
    let second = bed.jira("POST", &path, link("two")).await.expect(200);
    assert_eq!(first.at("/id"), second.at("/id"));
    let all = bed.jira("GET", &path, None).await.expect(200);
    assert_eq!(all.json().as_array().unwrap().len(), 1);
    assert_eq!(all.at("/0/object/title"), "two");
    let one = format!("{path}?globalId=system%3Dpagerduty%26id%3DQ1");
    assert_eq!(bed.jira("GET", &one, None).await.expect(200).at("/object/title"), "two");
    bed.jira("GET", &format!("{path}?globalId=other"), None).await.expect(404);
    for bad in [
        json!({ "object": { "url": "x" } }),
        json!({ "globalId": "g".repeat(256), "object": { "url": "x", "title": "t" } }),
    ] {
        bed.jira("POST", &path, Some(bad)).await.expect(400);
    }
}

#[tokio::test]
async fn links_comments_transitions_and_edits() {
    let bed = Bed::default().await;
    let (a, b) = (created(&bed).await, created(&bed).await);
    let link = json!({ "type": { "name": "Duplicate" }, "inwardIssue": { "key": a }, "outwardIssue": { "key": b } });
    bed.jira("POST", "/rest/api/3/issueLink", Some(link)).await.expect(201);
    let issue = format!("/rest/api/3/issue/{a}");
    let read = bed.jira("GET", &issue, None).await.expect(200);
    assert_eq!(read.at("/fields/issuelinks/0/outwardIssue/key"), json!(b));

    let comment = |body: Value| Some(json!({ "body": body }));
    let path = format!("{issue}/comment");
    bed.jira("POST", &path, comment(document("seen"))).await.expect(201);
    bed.jira("POST", &path, comment(json!("seen"))).await.expect(400);
    assert_eq!(bed.jira("GET", &path, None).await.at("/total"), 1);

    let path = format!("{issue}/transitions");
    let run = |id: &str| Some(json!({ "transition": { "id": id } }));
    bed.jira("POST", &path, run("31")).await.expect(204);
    bed.jira("POST", &path, run("31")).await.expect(400);
    let left = bed.jira("GET", &path, None).await.at("/transitions");
    assert_eq!(left.as_array().unwrap().len(), 2);
    let read = bed.jira("GET", &format!("{issue}?fields=status,resolution"), None).await;
    assert_eq!(read.at("/fields/status/name"), "Done");
    assert_eq!(read.at("/fields").as_object().unwrap().len(), 2);

    let edit = json!({ "fields": { "summary": "new" }, "update": { "labels": [{ "add": "x" }, { "remove": "arx" }] } });
    bed.jira("PUT", &issue, Some(edit)).await.expect(204);
    let read = bed.jira("GET", &issue, None).await;
    assert_eq!(read.at("/fields/summary"), "new");
    assert_eq!(read.at("/fields/labels"), json!(["CVE-2021-44228", "x"]));
    let moved = json!({ "fields": { "project": { "key": "OPS" } } });
    bed.jira("PUT", &issue, Some(moved)).await.expect(400);
    bed.jira("GET", "/rest/api/3/issue/SEC-999", None).await.expect(404);
}

#[tokio::test]
async fn bulk_creates_tell_successes_from_failures() {
    let bed = Bed::default().await;
    let update = |fields: Value| json!({ "fields": fields });
    let bulk = async |updates: Value| {
        let body = json!({ "issueUpdates": updates });
        bed.jira("POST", "/rest/api/3/issue/bulk", Some(body)).await
    };
    let bad = with(json!({ "summary": null }));
    let mixed = bulk(json!([update(fields()), update(bad.clone()), update(fields())])).await;
    let mixed = mixed.expect(201);
    assert_eq!(mixed.at("/issues").as_array().unwrap().len(), 2);
    assert_eq!(mixed.at("/errors/0/failedElementNumber"), 1);
    assert!(mixed.at("/errors/0/elementErrors/errors/summary").is_string());
    bulk(json!([update(bad)])).await.expect(400);
    bulk(json!([])).await.expect(400);
    assert_eq!(bed.sims.ledger().len(), 2);
}

#[tokio::test]
async fn data_center_is_another_dialect() {
    let bed = Bed::data_center().await;
    let info = bed.jira("GET", "/rest/api/2/serverInfo", None).await.expect(200);
    assert_eq!(info.at("/deploymentType"), "Server");
    bed.jira("GET", "/rest/api/3/serverInfo", None).await.expect(404);
    bed.jira("GET", "/rest/api/2/search/jql?jql=project=SEC", None).await.expect(404);
    let made = json!({ "fields": with(json!({ "description": "plain", "assignee": { "name": "twren" } })) });
    let made = bed.jira("POST", "/rest/api/2/issue", Some(made)).await.expect(201);
    let rich = json!({ "fields": fields() });
    bed.jira("POST", "/rest/api/2/issue", Some(rich)).await.expect(400);
    let found = bed.jira("GET", "/rest/api/2/search?jql=labels%3Darx", None).await.expect(200);
    assert_eq!(found.at("/total"), 1);
    assert_eq!(found.at("/issues/0/key"), made.at("/key"));
    assert_eq!(found.at("/issues/0/fields/description"), "plain");
    assert_eq!(found.at("/issues/0/fields/assignee/name"), "twren");
    let types = bed.jira("GET", "/rest/api/2/issue/createmeta/SEC/issuetypes", None).await;
    assert_eq!(types.at("/values").as_array().unwrap().len(), 5);
    let me = bed.jira("GET", "/rest/api/2/myself", None).await.expect(200);
    assert_eq!(me.at("/name"), "secops");
}

#[tokio::test]
async fn text_is_translated_between_versions() {
    let bed = Bed::default().await;
    let key = created(&bed).await;
    let v2 = bed.jira("GET", &format!("/rest/api/2/issue/{key}"), None).await.expect(200);
    assert_eq!(v2.at("/fields/description"), "Upgrade log4j-core.");
    let made = json!({ "fields": with(json!({ "description": "one\n\ntwo" })) });
    let made = bed.jira("POST", "/rest/api/2/issue", Some(made)).await.expect(201);
    let path = format!("/rest/api/3/issue/{}", made.at("/key").as_str().unwrap());
    let v3 = bed.jira("GET", &path, None).await.expect(200);
    assert_eq!(v3.at("/fields/description/content/1/content/0/text"), "two");
    assert_eq!(adf::check(&v3.at("/fields/description")), Ok(()));
}

#[tokio::test]
async fn people_can_follow_the_link() {
    let bed = Bed::default().await;
    let key = create(&bed, with(json!({ "summary": "<b>x</b>" }))).await.at("/key");
    let path = format!("/browse/{}", key.as_str().unwrap());
    let page = bed.send(Method::GET, &path, &[], None).await.unwrap().expect(200);
    assert!(page.body.contains("&lt;b&gt;x&lt;/b&gt;"), "{}", page.body);
    assert!(page.body.contains("Upgrade log4j-core."));
    bed.send(Method::GET, "/browse/SEC-999", &[], None).await.unwrap().expect(404);
    let users =
        bed.jira("GET", "/rest/api/3/user/assignable/search?project=SEC&query=mira", None).await;
    assert_eq!(users.at("/0/displayName"), "Mira Castellan");
    let components = bed.jira("GET", "/rest/api/3/project/SEC/components", None).await;
    assert_eq!(components.at("/0/name"), "Cloud");
}

proptest! {
    /// The parser answers any text.
    #[test]
    fn jql_never_panics(text in "[ ()a-zA-Z0-9=!~<>,\"'\\\\-]{0,120}") {
        let _ = jql::parse(&text);
    }
}
