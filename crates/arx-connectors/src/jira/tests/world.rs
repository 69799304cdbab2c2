//! Whole calls through the gate: against the simulator and its faults, and against sites that no
//! faithful simulator would play.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arx_gateway::{Action, Binding, Budgets, Environment, GateError, Gateway};
use arx_sim::{Faults, JiraDeployment, Options, Simulators};
use arx_testkit::TestGate;
use arx_types::Target;

use super::*;
use crate::scripted::{Asked, Reply, Scripted, probe};

async fn simulators(deployment: JiraDeployment, faults: &str) -> Simulators {
    let faults: Faults = faults.parse().expect("faults");
    let options = Options { faults, jira: deployment, ..Options::default() };
    arx_sim::start(options).await.expect("simulators")
}

/// A gate whose connector takes nothing to be on its way, so that no test waits for it.
async fn gate(sims: &Simulators) -> TestGate {
    let settings = json!({"in_flight_ms": 0});
    let settle_for = Some(Duration::from_secs(20));
    TestGate::new(Arc::new(Jira::default()), sims.environment(), settings, settle_for).await
}

async fn scripted(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (TestGate, Scripted) {
    let server = Scripted::start(answer).await;
    let variables = [
        (URL, server.url.as_str()),
        (EMAIL, "me@acme.example"),
        (API_TOKEN, "a-token-that-is-secret"),
        (PROJECT_KEY, "SEC"),
    ];
    let variables: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = json!({"in_flight_ms": 0, "deployment": "cloud"});
    let settle_for = Some(Duration::from_millis(1));
    let gate = TestGate::new(Arc::new(Jira::default()), variables, settings, settle_for).await;
    (gate, server)
}

fn params() -> Value {
    json!({
        "summary": "CVE-2026-0001: update openssl",
        "description": [{"heading": "Assets", "bullets": ["web-1"]}],
        "labels": ["CVE-2026-0001"],
        "link": {"id": "Q1", "url": "https://acme.pagerduty.com/incidents/Q1", "title": "Incident"},
    })
}

const CREATE_OPERATION: &str = "jira.issues:create";

#[tokio::test]
async fn a_ticket_is_a_blocker_and_points_to_its_incident() {
    for deployment in [JiraDeployment::Cloud, JiraDeployment::DataCenter] {
        let sims = simulators(deployment, "").await;
        let gate = gate(&sims).await;
        let reply = gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
        let issues = sims.control().issues();
        assert_eq!(issues.len(), 1);
        let issue = &issues[0];
        let marker = Marker::new(&"test/a".parse().expect("a key"));
        assert_eq!(issue.labels, ["CVE-2026-0001", marker.label.as_str()]);
        assert_eq!(issue.properties[PROPERTY]["effect_key"], "test/a");
        assert_eq!(reply.value["key"], issue.key);
        assert_eq!(reply.value["url"], format!("{}/browse/{}", sims.url(), issue.key));
        assert_eq!(reply.value["warnings"], json!([]), "{deployment:?}");
        assert!(sims.ledger().iter().any(|entry| entry.operation.starts_with("remote")));

        let read = gate.read("jira.issues:read", json!({"key": issue.key}), None).await;
        assert_eq!(read.expect("a read")["issues"][0]["priority"], "Blocker");
        let read = gate.read("jira.issues:read", json!({"key": "SEC-99999"}), None).await;
        assert_eq!(read.expect("a read"), json!({"issues": []}));
    }
}

/// One ticket whatever happens to the reply and to the search.
#[tokio::test]
async fn one_ticket_under_faults() {
    #[track_caller]
    fn check(name: &str, tickets: usize, result: &Result<arx_gateway::Reply, GateError>) {
        assert!(result.is_ok(), "under `{name}`: {}", result.as_ref().unwrap_err());
        assert_eq!(tickets, 1, "tickets under `{name}`");
    }
    let lost = [
        "jira.issues.create:drop-after@1",
        "jira.issues.create:drop-after@1,jira:lag=60m",
        "jira.issues.create:500-after@1,jira:lag=60m",
        "jira.issues.create:truncate@1,jira:lag=60m",
        "jira.issues.create:cut@1",
        "jira.issues.create:500@1,jira:lag=60m",
        "jira.issues.create:reset@1",
        "jira.issues.create:429=0@1",
        "jira.issues.create:drop-after@1,jira.issues.bulk_fetch:500@1,jira.search.jql:500@2",
        "jira.remote_links.put:500x9",
    ];
    let editions = [JiraDeployment::Cloud, JiraDeployment::DataCenter];
    let cases = lost.iter().flat_map(|faults| editions.map(|edition| (*faults, edition)));
    let played = cases.map(async |(faults, edition)| {
        let sims = simulators(edition, faults).await;
        let result = gate(&sims).await.write(CREATE_OPERATION, params(), "a").await;
        check(faults, sims.control().issues().len(), &result);
    });
    futures_util::future::join_all(played).await;
}

/// Every reply is lost, the index shows nothing, and the tickets of others come in between.
#[tokio::test]
async fn many_tickets_at_once_with_every_reply_lost() {
    for deployment in [JiraDeployment::Cloud, JiraDeployment::DataCenter] {
        let sims = simulators(deployment, "jira.issues.create:drop-after,jira:lag=60m").await;
        let gate = gate(&sims).await;
        let effects: Vec<String> = (0..30).map(|n| format!("e{n}")).collect();
        let writes = effects.iter().map(|effect| gate.write(CREATE_OPERATION, params(), effect));
        let replies = futures_util::future::join_all(writes).await;
        let mut keys: Vec<String> = replies
            .into_iter()
            .map(|reply| reply.expect("a ticket").value["key"].to_string())
            .collect();
        keys.sort();
        keys.dedup();
        assert_eq!((keys.len(), sims.control().issues().len()), (30, 30), "{deployment:?}");
    }
}

/// A call as a later process makes it: over the same record, with a connector that knows nothing.
async fn after_restart(
    gate: &TestGate,
    sims: &Simulators,
    effect: &str,
) -> Result<arx_gateway::Reply, GateError> {
    let binding = Binding {
        connector: Arc::new(Jira::default()),
        optional: false,
        rate: None,
        settle_for: Some(Duration::from_secs(20)),
        settings: json!({"in_flight_ms": 0}),
    };
    let environment = Environment::from_pairs(sims.environment());
    let budgets = Budgets::default();
    let later = Gateway::new(gate.journal.clone(), vec![binding], &environment, &budgets);
    let action = Action {
        operation: CREATE_OPERATION.parse().expect("an operation"),
        params: params(),
        target: Target::None,
        effect: Some(format!("test/{effect}").parse().expect("an effect key")),
        covers: Vec::new(),
        lineage: Vec::new(),
        findings: None,
    };
    later.call(&gate.ctx, action).await
}

/// A process dies after its create was taken and before it knew. The index shows nothing, others
/// have opened tickets since, a person has removed the label: the walk back finds it.
#[tokio::test]
async fn a_create_of_an_earlier_process_is_found_by_walking_back() {
    for deployment in [JiraDeployment::Cloud, JiraDeployment::DataCenter] {
        let faults = "jira.issues.create:drop-after@1,jira:lag=60m,jira.search:500";
        let faults = faults.replace(
            "jira.search",
            match deployment {
                JiraDeployment::Cloud => "jira.search.jql",
                JiraDeployment::DataCenter => "jira.search.classic",
            },
        );
        let sims = simulators(deployment, &faults).await;
        let gate = Arc::new(gate(&sims).await);
        let dying = Arc::clone(&gate);
        let call = tokio::spawn(async move { dying.write(CREATE_OPERATION, params(), "a").await });
        while sims.ledger().is_empty() {
            tokio::task::yield_now().await;
        }
        call.abort();
        assert!(call.await.expect_err("was aborted").is_cancelled());
        sims.control().set_faults("jira:lag=60m".parse().expect("faults"));
        let key = sims.control().issues()[0].key.clone();
        let marker = Marker::new(&"test/a".parse().expect("a key"));
        assert!(sims.control().remove_label(&key, &marker.label));
        for n in 0..25 {
            gate.write(CREATE_OPERATION, params(), &format!("b{n}")).await.expect("a ticket");
        }
        let found = after_restart(&gate, &sims, "a").await.expect("found");
        assert_eq!((&found.value["key"], &found.value["adopted"]), (&json!(key), &json!(true)));
        assert_eq!(sims.control().issues().len(), 26, "{deployment:?}");
        // The link was never set; settling sets it.
        let links = sims.ledger().into_iter().filter(|entry| entry.operation.contains("link"));
        assert_eq!(links.count(), 26);
    }
}

#[tokio::test]
async fn what_a_project_requires_is_refused_before_anything_is_sent() {
    let sims = simulators(JiraDeployment::Cloud, "").await;
    sims.control().require_jira_field("customfield_10010");
    let gate = gate(&sims).await;
    let error = gate.write(CREATE_OPERATION, params(), "a").await.unwrap_err().to_string();
    assert!(error.contains("requires what is not given: `customfield_10010`"), "{error}");
    assert_eq!(sims.ledger().len(), 0);
}

#[tokio::test]
async fn a_project_without_blocker_takes_the_next_best() {
    let sims = simulators(JiraDeployment::Cloud, "").await;
    sims.control().set_jira_priorities(&["Highest", "Low"]);
    let gate = gate(&sims).await;
    let reply = gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
    assert_eq!(reply.value["warnings"], json!([]));
    sims.control().set_jira_priority_field(false);
    let gate = self::gate(&sims).await;
    let reply = gate.write(CREATE_OPERATION, params(), "b").await.expect("a ticket");
    assert_eq!(
        reply.value["warnings"],
        json!(["`priority` is left out: it is not on the project's create screen"])
    );
}

#[tokio::test]
async fn a_wrong_token_is_told() {
    let sims = simulators(JiraDeployment::Cloud, "").await;
    sims.control().set_jira_token_expired(true);
    let gate = gate(&sims).await;
    let error = gate.write(CREATE_OPERATION, params(), "a").await.unwrap_err();
    insta::assert_snapshot!(error, @"Jira does not accept JIRA_EMAIL and JIRA_API_TOKEN: Client must be authenticated to access this resource.");
}

const EMPTY: &str = r#"{"issues":[],"isLast":true}"#;

/// An issue as a read shows it.
fn issue(number: u64, effect: Option<&str>, labels: &[&str], category: &str) -> Value {
    let mut issue = json!({
        "id": (10_000 + number).to_string(),
        "key": format!("SEC-{number}"),
        "fields": {"labels": labels, "created": "2020-01-01T00:00:00.000+0000",
            "status": {"statusCategory": {"key": category}}},
        "properties": {},
    });
    if let Some(effect) = effect {
        issue["properties"][PROPERTY] = json!({"effect_key": effect});
    }
    issue
}

fn is_search(asked: &Asked, part: &str) -> bool {
    asked.line.contains("/search") && asked.body.contains(part)
}

/// With an expired credential every read answers as if there were nothing.
#[tokio::test]
async fn who_sees_nothing_proves_no_absence() {
    for (myself, permissions) in [
        (Reply::new(401, "{}"), Reply::new(404, "{}")),
        (
            Reply::ok(r#"{"accountId":"a"}"#),
            Reply::ok(r#"{"permissions":{"BROWSE_PROJECTS":{"havePermission":false}}}"#),
        ),
    ] {
        let (gate, server) = scripted(move |asked| match asked.line.as_str() {
            "POST /rest/api/3/issue" => Reply::new(500, "{}"),
            "GET /rest/api/3/myself" => myself.clone(),
            line if line.contains("/mypermissions") => permissions.clone(),
            line if line.contains("/search") || line.contains("/bulkfetch") => Reply::ok(EMPTY),
            _ => Reply::new(404, "{}"),
        })
        .await;
        let error = gate.write(CREATE_OPERATION, params(), "a").await.unwrap_err();
        assert!(matches!(error, GateError::NeedsAttention { .. }), "{error}");
        assert_eq!(server.asked_for("POST /rest/api/3/issue").iter().filter(is_create).count(), 1);
    }
}

fn is_create(asked: &&Asked) -> bool {
    asked.line == "POST /rest/api/3/issue"
}

/// The create is still on its way when it is first looked for.
#[tokio::test]
async fn a_create_on_its_way_is_waited_for() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let server = Scripted::start(move |asked| match asked.line.as_str() {
        "POST /rest/api/3/issue" => Reply::new(500, "{}"),
        line if line.contains("/search") => Reply::ok(EMPTY),
        line if line.contains("/bulkfetch") => {
            let found = match counted.fetch_add(1, Ordering::SeqCst) {
                0 => vec![],
                _ => vec![issue(3, Some("test/a"), &[], "new")],
            };
            Reply::ok(json!({ "issues": found }).to_string())
        }
        _ => Reply::new(404, "{}"),
    })
    .await;
    let variables =
        [(URL, server.url.as_str()), (API_TOKEN, "a-secret-token"), (PROJECT_KEY, "SEC")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = json!({"in_flight_ms": 600_000, "deployment": "cloud"});
    let settle_for = Some(Duration::from_secs(60));
    let gate =
        TestGate::new(Arc::new(Jira::default()), variables.into(), settings, settle_for).await;
    let reply = gate.write(CREATE_OPERATION, params(), "a").await.expect("found");
    assert_eq!(reply.value["key"], "SEC-3");
    assert_eq!(looks.load(Ordering::SeqCst), 2);
    assert_eq!(server.asked().iter().filter(is_create).count(), 1);
}

/// A site without create metadata, bulk reads or `search/jql`: names are sent, the vendor's
/// refusals are heeded once and remembered, single reads find a lost create.
#[tokio::test]
async fn a_minimal_site_is_enough() {
    let n_creates = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&n_creates);
    let (gate, server) = scripted(move |asked| match asked.line.as_str() {
        "POST /rest/api/3/issue" if asked.body.contains("Blocker") => {
            Reply::new(400, r#"{"errorMessages":[],"errors":{"priority":"is invalid."}}"#)
        }
        "POST /rest/api/3/issue" => {
            // The second ticket's reply is lost after it was taken.
            match counted.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::new(201, r#"{"id":10041,"key":"SEC-41"}"#),
                _ => Reply::new(502, "<html>"),
            }
        }
        "POST /rest/api/3/search" if is_search(asked, "ORDER BY") => {
            Reply::ok(json!({"issues": [{"id": "10040", "key": "SEC-40"}]}).to_string())
        }
        "POST /rest/api/3/search" => Reply::ok(EMPTY),
        line if line.starts_with("GET /rest/api/3/issue/SEC-42/properties") => {
            Reply::ok(json!({"key": PROPERTY, "value": {"effect_key": "test/b"}}).to_string())
        }
        line if line.starts_with("GET /rest/api/3/issue/SEC-42?")
            && counted.load(Ordering::SeqCst) > 1 =>
        {
            Reply::ok(r#"{"id":"10042","key":"SEC-42"}"#)
        }
        _ => Reply::new(404, r#"{"errorMessages":["null for uri"]}"#),
    })
    .await;
    let first = gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
    assert_eq!((&first.value["key"], &first.value["adopted"]), (&json!("SEC-41"), &json!(false)));
    insta::assert_snapshot!(
        pretty(&first.value["warnings"]),
        @r#"
    [
      "the project's create screen cannot be read, so names are sent unchecked (status 404: null for uri)",
      "`priority` is Highest and not Blocker: is invalid.",
      "not linked to https://acme.pagerduty.com/incidents/Q1: Jira refused the request with status 404: null for uri"
    ]
    "#
    );
    assert_eq!(server.asked().iter().filter(is_create).count(), 2);
    let second = gate.write(CREATE_OPERATION, params(), "b").await.expect("found");
    assert_eq!((&second.value["key"], &second.value["adopted"]), (&json!("SEC-42"), &json!(true)));
    assert_eq!(server.asked().iter().filter(is_create).count(), 3);
}

/// The record was lost and a ticket of this effect is there: open, it is taken; done, it belongs
/// to the past. Whoever copied it copied the label and came later.
#[tokio::test]
async fn a_ticket_that_is_there_already_is_adopted_while_it_is_open() {
    #[track_caller]
    fn check(category: &str, key: &Value, n_creates: usize) {
        let expected = if category == "done" { (json!("SEC-9"), 1) } else { (json!("SEC-5"), 0) };
        assert_eq!((key.clone(), n_creates), expected, "{category}");
    }
    for category in ["new", "done"] {
        let (gate, server) = scripted(move |asked| match asked.line.as_str() {
            "POST /rest/api/3/issue" => Reply::new(201, r#"{"id":"10009","key":"SEC-9"}"#),
            _ if is_search(asked, "labels") => {
                let label = Marker::new(&"test/a".parse().expect("a key")).label;
                let copy = issue(7, None, &[&label], "new");
                let ours = issue(5, Some("test/a"), &[&label], category);
                let other = issue(2, None, &["x"], "new");
                Reply::ok(json!({"issues": [copy, other, ours]}).to_string())
            }
            line if line.contains("/search") => Reply::ok(EMPTY),
            _ => Reply::new(404, "{}"),
        })
        .await;
        let reply = gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
        let n_creates = server.asked().iter().filter(is_create).count();
        check(category, &reply.value["key"], n_creates);
    }
}

/// The search is broken altogether; the keys after the last known one are read all the same.
#[tokio::test]
async fn a_lost_create_is_found_without_any_search() {
    let n_creates = AtomicUsize::new(0);
    let (gate, server) = scripted(move |asked| match asked.line.as_str() {
        "POST /rest/api/3/issue" if n_creates.fetch_add(1, Ordering::SeqCst) == 0 => {
            Reply::new(201, r#"{"id":"10005","key":"SEC-5"}"#)
        }
        "POST /rest/api/3/issue" => Reply::new(504, "{}"),
        line if line.contains("/search") => Reply::new(400, r#"{"errorMessages":["no index"]}"#),
        line if line.contains("/bulkfetch") => {
            let found = issue(6, Some("test/b"), &[], "new");
            Reply::ok(json!({ "issues": [found] }).to_string())
        }
        _ => Reply::new(404, "{}"),
    })
    .await;
    gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
    let found = gate.write(CREATE_OPERATION, params(), "b").await.expect("found");
    assert_eq!(found.value["key"], "SEC-6");
    // One that is not found there may be anywhere.
    let error = gate.write(CREATE_OPERATION, params(), "c").await.unwrap_err();
    assert!(matches!(error, GateError::NeedsAttention { .. }), "{error}");
    assert_eq!(server.asked().iter().filter(is_create).count(), 3);
}

/// A project that was renamed answers to its old key, and numbers its issues by the new one.
#[tokio::test]
async fn keys_of_another_project_prove_no_absence() {
    let (gate, server) = scripted(move |asked| match asked.line.as_str() {
        "POST /rest/api/3/issue" => Reply::new(500, "{}"),
        _ if is_search(asked, "ORDER BY") => {
            Reply::ok(json!({"issues": [{"id": "7", "key": "SECOPS-7"}]}).to_string())
        }
        line if line.contains("/search") || line.contains("/bulkfetch") => Reply::ok(EMPTY),
        _ => Reply::new(404, "{}"),
    })
    .await;
    let error = gate.write(CREATE_OPERATION, params(), "a").await.unwrap_err().to_string();
    assert!(error.contains("project `SEC` shows `SECOPS-7`"), "{error}");
    assert_eq!(server.asked().iter().filter(is_create).count(), 1);
}

/// Which edition answers is found out from what it answers.
#[tokio::test]
async fn editions_are_found_out() {
    #[track_caller]
    fn check(asked: &[Asked], expected: &str) {
        let create = asked.iter().map(|asked| asked.line.as_str()).find(|l| l.ends_with("/issue"));
        assert_eq!(create, Some(expected));
    }
    let info = |kind: &str| Reply::ok(json!({"deploymentType": kind}).to_string());
    let me = || Reply::ok(r#"{"name":"me"}"#);
    let (v2, v3) = ("POST /rest/api/2/issue", "POST /rest/api/3/issue");
    // With an address, by whether there is an API 3.
    for (with_email, path, reply, expected) in [
        (true, "GET /rest/api/3/myself", me(), v3),
        (true, "GET /rest/api/2/myself", me(), v2),
        (true, "GET /nothing", me(), v3),
        (false, "GET /rest/api/2/serverInfo", info("Server"), v2),
        (false, "GET /rest/api/2/serverInfo", info("Cloud"), v3),
        (false, "GET /rest/api/3/serverInfo", info("Cloud"), v3),
        (false, "GET /rest/api/2/serverInfo", Reply::ok("{}"), v2),
        (false, "GET /rest/api/3/myself", me(), v3),
        (false, "GET /nothing", me(), v2),
    ] {
        let server = Scripted::start(move |asked| match asked.line.as_str() {
            line if line == path => reply.clone(),
            line if line.ends_with("/issue") => Reply::new(201, r#"{"id":"1","key":"SEC-1"}"#),
            line if line.ends_with("/search") => Reply::ok(EMPTY),
            _ => Reply::new(404, "{}"),
        })
        .await;
        let mut variables = vec![
            (URL, server.url.as_str()),
            (API_TOKEN, "a-token-that-is-secret"),
            (PROJECT_KEY, "SEC"),
        ];
        if with_email {
            variables.push((EMAIL, "me@acme.example"));
        }
        let variables = variables.into_iter().map(|(n, value)| (n.to_owned(), value.to_owned()));
        let connector = Arc::new(Jira::default());
        let gate = TestGate::new(connector, variables.collect(), Value::Null, None).await;
        gate.write(CREATE_OPERATION, params(), "a").await.expect("a ticket");
        check(&server.asked(), expected);
        let scheme = if with_email { "Basic " } else { "Bearer " };
        assert!(server.asked().iter().all(|asked| {
            asked.header("authorization").is_some_and(|header| header.starts_with(scheme))
        }));
    }
}

#[tokio::test]
async fn the_probe_tells_what_is_wrong() {
    for deployment in [JiraDeployment::Cloud, JiraDeployment::DataCenter] {
        let sims = simulators(deployment, "").await;
        assert_eq!(probe(&gate(&sims).await).await, Ok(()));
        sims.control().set_jira_token_expired(true);
        let error = probe(&gate(&sims).await).await.unwrap_err();
        assert!(error.starts_with("Jira does not accept JIRA_"), "{error}");
    }
    let (gate, _server) = scripted(|_| Reply::new(404, "<html>no such page</html>")).await;
    insta::assert_snapshot!(probe(&gate).await.unwrap_err(), @"Jira refused the request with status 404: no Jira answers at JIRA_URL: <html>no such page</html>");
    let (gate, _server) = scripted(|_| Reply::ok("<html>please log in</html>")).await;
    insta::assert_snapshot!(probe(&gate).await.unwrap_err(), @"Jira sent a reply that cannot be read: expected the user that the credential belongs to, got `<html>please log in</html>`");
}

#[tokio::test]
async fn the_probe_tells_a_project_that_is_not_there() {
    for deployment in [JiraDeployment::Cloud, JiraDeployment::DataCenter] {
        let sims = simulators(deployment, "").await;
        let probed = async |project: &str| {
            let mut environment = sims.environment();
            environment.insert(PROJECT_KEY.to_owned(), project.to_owned());
            let connector = Arc::new(Jira::default());
            probe(&TestGate::new(connector, environment, Value::Null, None).await).await
        };
        assert_eq!(
            probed("NOPE").await.unwrap_err(),
            "Jira refused the request with status 404: JIRA_PROJECT_KEY does not name a project: \
             No project could be found with key 'NOPE'."
        );
        assert_eq!(probed("no key").await, Ok(()), "it may not be used");
    }
    // A site without the endpoint says nothing about the project.
    let (gate, _server) = scripted(|asked| match asked.line.contains("createmeta") {
        true => Reply::new(404, r#"{"message":"null for uri"}"#),
        false => Reply::ok(r#"{"accountId":"1"}"#),
    })
    .await;
    assert_eq!(probe(&gate).await, Ok(()));
}
