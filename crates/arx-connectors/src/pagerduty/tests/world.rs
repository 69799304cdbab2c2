//! Whole calls through the gate: against the simulator and its faults, and against accounts that
//! no faithful simulator would play.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use arx_gateway::GateError;
use arx_sim::{Faults, Options, Simulators};
use arx_testkit::TestGate;

use super::*;
use crate::scripted::{Asked, Reply, Scripted, probe};

async fn simulators(faults: &str) -> Simulators {
    let faults: Faults = faults.parse().expect("faults");
    arx_sim::start(Options { faults, ..Options::default() }).await.expect("simulators")
}

async fn gate(sims: &Simulators) -> TestGate {
    TestGate::new(Arc::new(PagerDuty::default()), sims.environment(), Value::Null, None).await
}

async fn scripted(
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (TestGate, Scripted) {
    let server = Scripted::start(answer).await;
    let variables =
        [(API_KEY, "a-key-that-is-secret"), (SERVICE_ID, "PS1"), (API_URL, server.url.as_str())];
    let variables: BTreeMap<String, String> =
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let settings = Value::Null;
    let gate = TestGate::new(
        Arc::new(PagerDuty::default()),
        variables,
        settings,
        Some(Duration::from_millis(1)),
    )
    .await;
    (gate, server)
}

fn page() -> Value {
    json!({"title": "CVE-2026-0001 on 3 assets", "details": "what to do", "priority": "P1"})
}

fn incident(id: &str, status: &str) -> Value {
    json!({
        "id": id, "incident_number": 7, "html_url": format!("https://acme.pagerduty.com/{id}"),
        "status": status, "incident_key": "test/a", "service": {"id": "PS1"},
    })
}

const DUPLICATE: &str = r#"{"error":{"message":"Arguments Caused Error","code":2002,
    "errors":["Open incident with matching dedup key already exists on this service"]}}"#;

#[tokio::test]
async fn a_page_is_a_p1_with_high_urgency() {
    let sims = simulators("").await;
    let gate = gate(&sims).await;
    let reply = gate.write("pagerduty.incidents:create", page(), "a").await.expect("a page");
    let seen = sims.control().incidents();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].incident_key.as_deref(), Some("test/a"));
    assert_eq!(seen[0].urgency, "high");
    assert_eq!(reply.value["id"], seen[0].id);
    assert_eq!(reply.value["adopted"], false);
    assert_eq!(reply.value["warnings"], json!([]));
    // Priorities are the account's own; what counts is that the name was turned into an id.
    assert_eq!(sims.ledger()[0].state["priority"], "PSLWBL8");

    let read = gate.read("pagerduty.incidents:read", json!({"incident_key": "test/a"}), None);
    assert_eq!(read.await.expect("a read")["incidents"][0]["id"], seen[0].id);
    let read = gate.read("pagerduty.incidents:read", json!({"id": seen[0].id}), None);
    assert_eq!(read.await.expect("a read")["incidents"][0]["incident_key"], "test/a");
}

/// One page whatever happens to the reply.
#[tokio::test]
async fn one_page_under_faults() {
    #[track_caller]
    fn check(faults: &str, pages: usize, result: &Result<arx_gateway::Reply, GateError>) {
        assert!(result.is_ok(), "under `{faults}`: {}", result.as_ref().unwrap_err());
        assert_eq!(pages, 1, "pages under `{faults}`");
    }
    let cases = [
        "pagerduty.incidents.create:drop-after@1",
        "pagerduty.incidents.create:500-after@1",
        "pagerduty.incidents.create:truncate@1",
        "pagerduty.incidents.create:cut@1",
        "pagerduty.incidents.create:500@1",
        "pagerduty.incidents.create:reset@1",
        "pagerduty.incidents.create:429-bare@1",
        "pagerduty.incidents.create:drop-after@1,pagerduty.incidents.list:500@1",
        "pagerduty.incidents.create:500@1x2,pagerduty.incidents.create:500-after@2",
        "pagerduty.priorities.list:500x9",
        "pagerduty.priorities.list:cut@1",
    ];
    let played = cases.map(async |faults| {
        let sims = simulators(faults).await;
        let result = gate(&sims).await.write("pagerduty.incidents:create", page(), "a").await;
        check(faults, sims.control().incidents().len(), &result);
    });
    futures_util::future::join_all(played).await;
}

/// The hole after resolve: the key is free again, and only the look-up over all statuses knows.
#[tokio::test]
async fn a_lost_reply_to_a_page_that_was_resolved_since_is_adopted() {
    let (gate, server) = {
        let created = AtomicUsize::new(0);
        scripted(move |asked| match asked.line.as_str() {
            "POST /incidents" => {
                created.fetch_add(1, Ordering::SeqCst);
                Reply::new(500, "{}")
            }
            line if line.starts_with("GET /incidents?") => {
                let resolved = line.contains("statuses%5B%5D=resolved")
                    && line.contains("date_range=all")
                    && created.load(Ordering::SeqCst) > 0;
                let found = if resolved { vec![incident("Q1", "resolved")] } else { vec![] };
                Reply::ok(json!({"incidents": found, "more": false}).to_string())
            }
            _ => Reply::ok(r#"{"priorities":[]}"#),
        })
        .await
    };
    let reply = gate.write("pagerduty.incidents:create", page(), "a").await.expect("adopted");
    assert_eq!((&reply.value["id"], &reply.value["adopted"]), (&json!("Q1"), &json!(true)));
    assert_eq!(server.asked_for("POST /incidents").len(), 1);
}

#[tokio::test]
async fn a_duplicate_is_adopted_and_the_open_one_preferred() {
    let (gate, server) = scripted(|asked| match asked.line.as_str() {
        "POST /incidents" => Reply::new(400, DUPLICATE),
        line if line.starts_with("GET /incidents?") => {
            let found = [incident("Q1", "resolved"), incident("Q2", "acknowledged")];
            Reply::ok(json!({ "incidents": found }).to_string())
        }
        _ => Reply::new(404, "{}"),
    })
    .await;
    let reply = gate.write("pagerduty.incidents:create", page(), "a").await.expect("adopted");
    assert_eq!((&reply.value["id"], &reply.value["adopted"]), (&json!("Q2"), &json!(true)));
    assert_eq!(
        reply.value["warnings"],
        json!(["paged without a priority: the account has no priorities, so no `P1`"])
    );
    assert_eq!(server.asked_for("POST").len(), 1);
    // The vendor wants its media type on every request, and the key names one service.
    for asked in server.asked() {
        assert_eq!(asked.header("accept"), Some("application/vnd.pagerduty+json;version=2"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("authorization"), Some("Token token=a-key-that-is-secret"));
    }
    let look = &server.asked_for("GET /incidents?")[0].line;
    assert!(look.contains("incident_key=test%2Fa&service_ids%5B%5D=PS1&"), "{look}");
}

/// Adoption reads every page, and takes nobody else's incident where a filter is ignored.
#[tokio::test]
async fn a_look_up_pages_to_the_end() {
    let (gate, server) = scripted(|asked| match asked.line.as_str() {
        "POST /incidents" => Reply::new(400, DUPLICATE),
        line if line.starts_with("GET /incidents?") && line.contains("offset=100") => Reply::ok(
            json!({"incidents": [incident("Q9", "triggered")], "more": false}).to_string(),
        ),
        line if line.starts_with("GET /incidents?") => {
            let mut other = incident("Q1", "triggered");
            other["incident_key"] = json!("somebody/else");
            Reply::ok(json!({"incidents": vec![other; 100], "more": true}).to_string())
        }
        _ => Reply::new(402, "{}"),
    })
    .await;
    let reply = gate.write("pagerduty.incidents:create", page(), "a").await.expect("adopted");
    assert_eq!(reply.value["id"], "Q9");
    assert_eq!(server.asked_for("GET /incidents?").len(), 2);
}

/// A priority or policy that the vendor does not take is no reason not to page.
#[tokio::test]
async fn a_refused_priority_or_policy_is_left_out() {
    let (gate, server) = scripted(|asked| match asked.line.as_str() {
        "POST /incidents" if asked.body.contains("priority_reference") => {
            Reply::new(400, r#"{"error":{"message":"Invalid priority","code":1020}}"#)
        }
        "POST /incidents" if asked.body.contains("escalation_policy_reference") => {
            Reply::new(404, r#"{"error":{"message":"Escalation policy not found","code":1014}}"#)
        }
        "POST /incidents" => {
            Reply::new(201, json!({ "incident": incident("Q1", "triggered") }).to_string())
        }
        _ => Reply::ok(r#"{"priorities":[{"id":"PP1","summary":"P1"}]}"#),
    })
    .await;
    let mut params = page();
    params["escalation_policy"] = json!("PESC");
    let reply = gate.write("pagerduty.incidents:create", params, "a").await.expect("a page");
    assert_eq!(reply.value["id"], "Q1");
    assert_eq!(
        reply.value["warnings"],
        json!([
            "paged without a priority: Invalid priority (code 1020)",
            "paged by the service's own escalation policy, not by `PESC`: Escalation policy not \
             found (code 1014)",
        ])
    );
    assert_eq!(server.asked_for("POST").len(), 3);
}

#[tokio::test]
async fn a_refusal_over_the_requester_names_the_variable() {
    let (gate, _server) = scripted(|asked| match asked.line.as_str() {
        "POST /incidents" => {
            Reply::new(400, r#"{"error":{"message":"needs the \"From\" header","code":2016}}"#)
        }
        _ => Reply::ok(r#"{"priorities":[]}"#),
    })
    .await;
    let error = gate.write("pagerduty.incidents:create", page(), "a").await.unwrap_err();
    insta::assert_snapshot!(error, @r#"PagerDuty refused the request with status 400: needs the "From" header (code 2016); set PAGERDUTY_FROM_EMAIL to the address of a user of the account"#);
}

/// The vendor says that it exists and does not show it: a human decides, nobody pages again.
#[tokio::test]
async fn a_duplicate_that_cannot_be_found_needs_attention() {
    let (gate, server) = scripted(|asked| match asked.line.as_str() {
        "POST /incidents" => Reply::new(400, DUPLICATE),
        line if line.starts_with("GET /incidents?") => Reply::ok(r#"{"incidents":[]}"#),
        _ => Reply::new(402, "{}"),
    })
    .await;
    let error = gate.write("pagerduty.incidents:create", page(), "a").await.unwrap_err();
    assert!(matches!(error, GateError::NeedsAttention { .. }), "{error}");
    assert_eq!(server.asked_for("POST").len(), 1);
}

#[tokio::test]
async fn a_wrong_key_is_told() {
    let sims = simulators("").await;
    let mut environment = sims.environment();
    environment.insert(API_KEY.to_owned(), "wrong-key-entirely".to_owned());
    let connector = Arc::new(PagerDuty::default());
    let gate = TestGate::new(connector, environment, Value::Null, None).await;
    let error = gate.write("pagerduty.incidents:create", page(), "a").await.unwrap_err();
    insta::assert_snapshot!(error, @"PagerDuty does not accept PAGERDUTY_API_KEY: Authentication failed (code 2006)");
    assert_eq!(sims.control().incidents().len(), 0);
}

#[tokio::test]
async fn the_probe_takes_an_account_without_priorities() {
    for status in [402, 404] {
        let (gate, _server) = scripted(move |_| Reply::new(status, "{}")).await;
        assert_eq!(probe(&gate).await, Ok(()));
    }
    let (gate, _server) = scripted(|_| Reply::new(403, r#"{"error":"Access Denied"}"#)).await;
    let error = probe(&gate).await.unwrap_err();
    insta::assert_snapshot!(error, @"PagerDuty does not accept PAGERDUTY_API_KEY: Access Denied");
}

#[tokio::test]
async fn the_probe_tells_a_service_that_is_not_there() {
    let probed = async |service: &str| {
        let sims = simulators("").await;
        let mut environment = sims.environment();
        environment.insert(SERVICE_ID.to_owned(), service.to_owned());
        let connector = Arc::new(PagerDuty::default());
        probe(&TestGate::new(connector, environment, Value::Null, None).await).await
    };
    assert_eq!(probed("PSECOPS").await, Ok(()));
    insta::assert_snapshot!(probed("PNOSUCH").await.unwrap_err(), @"PagerDuty refused the request with status 404: no service has the PAGERDUTY_SERVICE_ID that is set: Not Found (code 2100)");
    assert_eq!(probed("no/id").await, Ok(()), "it may not be used");
}

#[tokio::test]
async fn the_probe_believes_a_missing_service_only_of_whoever_knows_services() {
    const NOT_FOUND: &str = r#"{"error":{"message":"Not Found","code":2100}}"#;
    const NO_ROUTE: &str = r#"{"error":"no such path"}"#;
    let probed = async |service: (u16, &'static str), list: (u16, &'static str)| {
        let (gate, _server) = scripted(move |asked| match asked.line.as_str() {
            line if line.contains("/services/") => Reply::new(service.0, service.1),
            line if line.contains("/services") => Reply::new(list.0, list.1),
            _ => Reply::ok(r#"{"priorities":[],"more":false}"#),
        })
        .await;
        probe(&gate).await.is_ok()
    };
    let some = (200, r#"{"services":[{"id":"P1"}]}"#);
    assert!(!probed((404, NOT_FOUND), some).await);
    assert!(!probed((404, NOT_FOUND), (404, NO_ROUTE)).await, "it knows the one by its id");
    for list in [(200, r#"{"services":[]}"#), (403, NOT_FOUND), (404, NOT_FOUND), (200, "[]")] {
        assert!(probed((404, NOT_FOUND), list).await, "{list:?}");
    }
    for service in [(404, NO_ROUTE), (403, NOT_FOUND), (200, "{}")] {
        assert!(probed(service, some).await, "{service:?}");
    }
}
