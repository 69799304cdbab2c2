//! PagerDuty over the wire: headers, refusals, the incident key, look-ups, events.

use axum::http::Method;
use serde_json::{Value, json};

use crate::tests::{Answer, Bed, Headers};

const SERVICE: &str = "PSECOPS";

fn incident(key: &str) -> Value {
    json!({
        "type": "incident",
        "title": "CVE-2021-44228 on 60 hosts",
        "service": { "id": SERVICE, "type": "service_reference" },
        "incident_key": key,
        "urgency": "high",
        "priority": { "id": "PSLWBL8", "type": "priority_reference" },
        "body": { "type": "incident_body", "details": "Upgrade log4j-core." },
    })
}

/// The incident with some fields replaced; null takes one away.
fn with(changes: Value) -> Value {
    let mut value = incident("k");
    for (name, change) in changes.as_object().unwrap() {
        if change.is_null() {
            value.as_object_mut().unwrap().shift_remove(name);
        } else {
            value[name] = change.clone();
        }
    }
    value
}

async fn create(bed: &Bed, incident: Value) -> Answer {
    bed.pagerduty("POST", "/incidents", Some(json!({ "incident": incident }))).await
}

async fn created(bed: &Bed, key: &str) -> String {
    let answer = create(bed, incident(key)).await.expect(201);
    answer.at("/incident/id").as_str().unwrap().to_owned()
}

async fn found(bed: &Bed, query: &str) -> Vec<String> {
    let answer = bed.pagerduty("GET", &format!("/incidents?{query}"), None).await.expect(200);
    let incidents = answer.at("/incidents");
    incidents.as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn headers_are_exact() {
    let bed = Bed::default().await;
    let key = format!("Token token={}", bed.var("PAGERDUTY_API_KEY"));
    let auth = ("authorization", key.as_str());
    let accept = ("accept", "application/vnd.pagerduty+json;version=2");
    let from = ("from", bed.var("PAGERDUTY_FROM_EMAIL"));
    let kind = ("content-type", "application/json");
    let bearer = key.replace("Token token=", "Bearer ");
    let body = || Some(json!({ "incident": incident("k") }).to_string());
    let cases: [(Headers, u16, u32); 9] = [
        (&[accept, from, kind], 401, 2006),
        (&[("authorization", "Token token=wrong"), accept, from, kind], 401, 2006),
        (&[("authorization", &bearer), accept, from, kind], 401, 2006),
        (&[auth, from, kind], 400, 2001),
        (&[auth, ("accept", "application/json"), from, kind], 400, 2001),
        (&[auth, accept, kind], 400, 2016),
        (&[auth, accept, ("from", "nobody@harbourline.example"), kind], 400, 1008),
        (&[auth, accept, from], 400, 2001),
        (&[auth, accept, from, kind], 201, 0),
    ];
    for (headers, status, code) in cases {
        let answer = bed.send(Method::POST, "/incidents", headers, body()).await.unwrap();
        let answer = answer.expect(status);
        assert_eq!(answer.at("/error/code").as_u64().unwrap_or(0), u64::from(code));
    }
    let answer = bed.send(Method::POST, "/incidents", &[auth, accept, from], body()).await.unwrap();
    assert_eq!(answer.at("/error/errors/0"), "params must be a Hash");
}

#[tokio::test]
async fn creates_that_make_no_sense_are_refused() {
    let bed = Bed::default().await;
    let reference = |id: &str, kind: &str| json!({ "id": id, "type": kind });
    let user = |id: &str| json!([{ "assignee": { "id": id, "type": "user_reference" } }]);
    for (changes, code, says) in [
        (json!({ "type": null }), 2001, "type must be incident"),
        (json!({ "title": null }), 2001, "Title can't be blank"),
        (json!({ "title": " " }), 2001, "Title can't be blank"),
        (json!({ "title": 5 }), 2001, "title must be a String"),
        (json!({ "service": null }), 2001, "Service cannot be empty"),
        (
            json!({ "service": reference("PNOSUCH", "service_reference") }),
            2002,
            "Service not found",
        ),
        (json!({ "service": reference(SERVICE, "team_reference") }), 2001, "wrong type"),
        (json!({ "priority": reference("P1", "priority_reference") }), 1020, ""),
        (json!({ "urgency": "severe" }), 2001, "high or low"),
        (json!({ "incident_key": 7 }), 2001, "incident_key must be a String"),
        (
            json!({ "body": { "type": "incident_body", "details": { "a": 1 } } }),
            2001,
            "details must be a String",
        ),
        (json!({ "body": { "details": "x" } }), 2001, "incident_body"),
        (
            json!({ "escalation_policy": reference("PNOSUCH", "escalation_policy_reference") }),
            1014,
            "",
        ),
        (json!({ "assignments": user("PNOSUCH") }), 2002, "Assignee not found"),
        (
            json!({
                "assignments": user("PUSRMIR"),
                "escalation_policy": reference("PESCPAY", "escalation_policy_reference"),
            }),
            2001,
            "Cannot specify both",
        ),
    ] {
        let answer = create(&bed, with(changes)).await.expect(400);
        assert_eq!(answer.at("/error/code"), code, "{}", answer.body);
        assert!(answer.body.contains(says), "{}", answer.body);
    }
    assert_eq!(bed.sims.ledger().len(), 0);
}

#[tokio::test]
async fn an_incident_comes_back_as_it_was_asked_for() {
    let bed = Bed::default().await;
    let answer = create(&bed, incident("k")).await.expect(201);
    let incident = answer.at("/incident");
    assert_eq!(incident["status"], "triggered");
    assert_eq!(incident["incident_key"], "k");
    assert_eq!(incident["incident_number"], 1);
    assert_eq!(incident["priority"]["name"], "P1");
    assert_eq!(incident["service"]["summary"], "Security Operations");
    assert_eq!(incident["escalation_policy"]["id"], "PESCSEC");
    assert!(incident["html_url"].as_str().unwrap().starts_with("https://harbourline.pagerduty"));
    assert_eq!(answer.header("ratelimit-limit"), "960");
    let id = incident["id"].as_str().unwrap();
    let read = bed.pagerduty("GET", &format!("/incidents/{id}?include[]=body"), None).await;
    assert_eq!(read.at("/incident/body/details"), "Upgrade log4j-core.");
    bed.pagerduty("GET", "/incidents/QNOSUCH", None).await.expect(404);

    let own = json!([{ "assignee": { "id": "PUSRARX", "type": "user_reference" } }]);
    let born = create(&bed, with(json!({ "incident_key": null, "assignments": own }))).await;
    assert_eq!(born.expect(201).at("/incident/status"), "acknowledged");
}

#[tokio::test]
async fn one_open_incident_per_service_and_key() {
    let bed = Bed::default().await;
    let id = created(&bed, "k").await;
    let again = create(&bed, incident("k")).await.expect(400);
    assert_eq!(
        again.at("/error"),
        json!({
            "message": "Arguments Caused Error",
            "code": 2002,
            "errors": ["Open incident with matching dedup key already exists on this service"],
        })
    );
    created(&bed, "K").await;
    let elsewhere = json!({ "service": { "id": "PPAYMTS", "type": "service_reference" } });
    create(&bed, with(elsewhere)).await.expect(201);

    let update = |status: &str| {
        Some(json!({ "incident": { "type": "incident_reference", "status": status } }))
    };
    let path = format!("/incidents/{id}");
    bed.pagerduty("PUT", &path, update("acknowledged")).await.expect(200);
    create(&bed, incident("k")).await.expect(400);
    bed.pagerduty("PUT", &path, update("resolved")).await.expect(200);
    bed.pagerduty("PUT", &path, update("acknowledged")).await.expect(400);
    bed.pagerduty("PUT", &path, update("triggered")).await.expect(400);
    let second = created(&bed, "k").await;
    assert_ne!(second, id, "after resolve, the same key pages again");
    assert!(bed.control.resolve_incident(&second));
    created(&bed, "k").await;
    assert!(!bed.control.resolve_incident("QNOSUCH"));
    assert_eq!(bed.control.incidents().len(), 5);
}

#[tokio::test]
async fn concurrent_creates_with_one_key_make_one_incident() {
    let bed = Bed::default().await;
    let answers = futures_util::future::join_all((0..8).map(|_| create(&bed, incident("k")))).await;
    let n = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((n, bed.sims.ledger().len()), (1, 1));
}

#[tokio::test]
async fn look_ups_by_key() {
    let bed = Bed::default().await;
    let (a, b) = (created(&bed, "a").await, created(&bed, "b").await);
    bed.control.resolve_incident(&a);
    assert_eq!(found(&bed, "incident_key=a").await, [a.as_str()]);
    assert_eq!(found(&bed, "incident_key=b").await, [b.as_str()]);
    assert_eq!(found(&bed, "incident_key=c").await, Vec::<String>::new());
    assert_eq!(found(&bed, "incident_key=").await, [b.as_str()], "blank: all that is open");
    assert_eq!(found(&bed, "incident_key=a&statuses[]=triggered").await, Vec::<String>::new());
    let every = "statuses[]=triggered&statuses[]=acknowledged&statuses[]=resolved";
    assert_eq!(found(&bed, &format!("incident_key=a&{every}")).await, [a.as_str()]);
    assert_eq!(found(&bed, "incident_key=a&service_ids[]=PPAYMTS").await, Vec::<String>::new());

    bed.control.age_incident(&a, 40);
    assert_eq!(found(&bed, "incident_key=a").await, Vec::<String>::new(), "older than a month");
    assert_eq!(found(&bed, "incident_key=a&date_range=all").await, [a.as_str()]);
    assert_eq!(found(&bed, "sort_by=created_at:desc&date_range=all").await, [b, a]);
    for bad in
        ["since=2026-01-01&until=2026-09-01", "since=then", "statuses[]=open", "sort_by=mood"]
    {
        bed.pagerduty("GET", &format!("/incidents?{bad}"), None).await.expect(400);
    }
}

#[tokio::test]
async fn pages_by_offset_and_limit() {
    let bed = Bed::default().await;
    for n in 0..27 {
        created(&bed, &format!("k{n}")).await;
    }
    let first = bed.pagerduty("GET", "/incidents?total=true", None).await.expect(200);
    assert_eq!(first.at("/incidents").as_array().unwrap().len(), 25);
    let rest = |answer: &Answer| {
        ["limit", "offset", "total", "more"].map(|name| answer.at(&format!("/{name}")))
    };
    assert_eq!(rest(&first), [json!(25), json!(0), json!(27), json!(true)]);
    let last = bed.pagerduty("GET", "/incidents?offset=25", None).await.expect(200);
    assert_eq!(rest(&last), [json!(25), json!(25), json!(null), json!(false)]);
    let large = bed.pagerduty("GET", "/incidents?limit=500", None).await.expect(200);
    assert_eq!(large.at("/limit"), 100);
    let deep = bed.pagerduty("GET", "/incidents?limit=100&offset=9901", None).await.expect(400);
    assert_eq!(deep.at("/error/code"), 2002);
}

#[tokio::test]
async fn what_incidents_refer_to() {
    let bed = Bed::default().await;
    let get = async |path: &str| bed.pagerduty("GET", path, None).await;
    let priorities = get("/priorities").await.expect(200);
    assert_eq!(priorities.at("/priorities/0/name"), "P1");
    bed.control.set_pagerduty_priorities(false);
    assert_eq!(get("/priorities").await.at("/priorities"), json!([]));
    assert_eq!(create(&bed, incident("k")).await.expect(400).at("/error/code"), 1020);
    assert_eq!(get("/services/PSECOPS").await.at("/service/name"), "Security Operations");
    assert_eq!(get("/services?query=pay").await.at("/services/0/id"), "PPAYMTS");
    assert_eq!(get("/users?query=arx@").await.at("/users/0/id"), "PUSRARX");
    assert_eq!(
        get("/escalation_policies/PESCBKG").await.at("/escalation_policy/name"),
        "Booking on call"
    );
    assert!(get("/abilities").await.at("/abilities").is_array());
    for (path, status) in [
        ("/services/PNOSUCH", 404),
        ("/users/me", 400),
        ("/abilities/urgencies", 204),
        ("/abilities/teleport", 402),
        ("/incidents/x/y", 404),
    ] {
        get(path).await.expect(status);
    }
}

#[tokio::test]
async fn events_are_merged_by_their_key() {
    let bed = Bed::default().await;
    let event = |action: &str, key: &str| {
        Some(json!({
            "routing_key": "51a0c0de51a0c0de51a0c0de00000001",
            "event_action": action,
            "dedup_key": key,
            "payload": { "summary": "disk full", "source": "db-1", "severity": "critical" },
        }))
    };
    let send = async |body: Option<Value>| {
        let kind = [("content-type", "application/json")];
        let body = body.map(|body| body.to_string());
        bed.send(Method::POST, "/v2/enqueue", &kind, body).await.unwrap()
    };
    assert_eq!(send(event("trigger", "d")).await.expect(202).at("/dedup_key"), "d");
    send(event("trigger", "d")).await.expect(202);
    assert_eq!(bed.control.incidents().len(), 1);
    let listed = bed.pagerduty("GET", "/incidents?incident_key=d", None).await.expect(200);
    assert!(listed.at("/incidents/0/incident_key").is_null(), "matched by its alert");
    send(event("resolve", "d")).await.expect(202);
    send(event("resolve", "unknown")).await.expect(202);
    send(event("trigger", "d")).await.expect(202);
    let said: Vec<String> = bed.sims.ledger().iter().map(|e| e.operation.clone()).collect();
    assert_eq!(said, ["events.trigger", "events.resolve", "events.trigger"]);

    let long = "x".repeat(1_025);
    for (pointer, value, says) in [
        ("/routing_key", json!("short"), "routing_key"),
        ("/routing_key", json!("00000000000000000000000000000000"), "Invalid routing key"),
        ("/event_action", json!("page"), "event_action"),
        ("/dedup_key", json!("k".repeat(256)), "dedup_key"),
        ("/payload/summary", json!(long), "'summary' is too long"),
        ("/payload/source", json!(null), "payload.source"),
        ("/payload/severity", json!("sev1"), "payload.severity"),
    ] {
        let mut body = event("trigger", "e").unwrap();
        *body.pointer_mut(pointer).unwrap() = value;
        let answer = send(Some(body)).await.expect(400);
        assert_eq!(answer.at("/status"), "invalid event");
        assert!(answer.at("/errors/0").as_str().unwrap().contains(says), "{}", answer.body);
    }
}
