//! Requests as they are built and replies as they are read; `world` plays whole calls through
//! the gate.

mod world;

use arx_gateway::HeaderMap;
use proptest::prelude::*;

use super::*;

fn header_map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn draft_of(params: Value) -> Result<Draft, String> {
    Draft::read(&params, "esc/CVE-2026-0001/1/page", Some("PSERV01")).map(|(draft, _)| draft)
}

#[test]
fn the_whole_create_body() {
    let mut draft = draft_of(json!({
        "title": "CVE-2026-0001\n  in openssl",
        "details": "line one\r\nline two",
        "priority": "P1",
        "escalation_policy": "PESC001",
    }))
    .unwrap();
    draft.priority = Some("PPRIO01".to_owned());
    insta::assert_snapshot!(serde_json::to_string_pretty(&draft.body()).unwrap(), @r#"
    {
      "incident": {
        "type": "incident",
        "title": "CVE-2026-0001 in openssl",
        "service": {
          "id": "PSERV01",
          "type": "service_reference"
        },
        "urgency": "high",
        "incident_key": "esc/CVE-2026-0001/1/page",
        "body": {
          "type": "incident_body",
          "details": "line one\nline two"
        },
        "priority": {
          "id": "PPRIO01",
          "type": "priority_reference"
        },
        "escalation_policy": {
          "id": "PESC001",
          "type": "escalation_policy_reference"
        }
      }
    }
    "#);
}

#[test]
fn the_least_create_body() {
    let draft = draft_of(json!({
        "title": "t", "urgency": "low", "service": "POTHER1", "details": "", "priority": null,
    }));
    insta::assert_snapshot!(draft.unwrap().body(), @r#"{"incident":{"type":"incident","title":"t","service":{"id":"POTHER1","type":"service_reference"},"urgency":"low","incident_key":"esc/CVE-2026-0001/1/page"}}"#);
}

#[test]
fn wrong_parameters_name_themselves() {
    #[track_caller]
    fn check(params: Value, expected: &str) {
        assert_eq!(draft_of(params).unwrap_err(), expected);
    }
    check(json!({}), "`title` is missing");
    check(json!({"title": " \n "}), "`title` is missing");
    check(json!([]), "parameters are given by name, not as a list");
    check(json!({"title": 5}), "`title` is a number; write a text");
    check(json!({"title": "t", "urgency": "extreme"}), "`urgency` is neither `high` nor `low`");
    check(
        json!({"title": "t", "tittle": "t"}),
        "no parameter `tittle`; there are title, details, priority, urgency, service, \
         escalation_policy",
    );
    check(
        json!({"title": "t", "service": "P/../1"}),
        "`service`: `P/../1` is not an id; write one such as `PABC123`",
    );
}

#[test]
fn refusals_are_told_apart() {
    #[track_caller]
    fn check(status: u16, body: Value, about: Refusal, message: &str) {
        let complaint = Complaint::read(Some(&body), "excerpt".to_owned());
        assert_eq!((complaint.about(status), complaint.message().as_str()), (about, message));
    }
    let error = |message: &str, code: u64, errors: &[&str]| json!({"error": {"message": message, "code": code, "errors": errors}});
    let arguments = "Arguments Caused Error";
    check(
        400,
        error(
            arguments,
            2002,
            &["Open incident with matching dedup key already exists on this service"],
        ),
        Refusal::Duplicate,
        "Arguments Caused Error: Open incident with matching dedup key already exists on this \
         service (code 2002)",
    );
    // The same code, for another reason.
    check(
        400,
        error(arguments, 2002, &["Service not found"]),
        Refusal::Other,
        "Arguments Caused Error: Service not found (code 2002)",
    );
    check(
        400,
        error("Invalid Priority", 1020, &[]),
        Refusal::Priority,
        "Invalid Priority (code 1020)",
    );
    check(
        400,
        error("Escalation policy not found", 1014, &[]),
        Refusal::EscalationPolicy,
        "Escalation policy not found (code 1014)",
    );
    let from = "You must specify a user's email address in the \"From\" header to perform this \
                action";
    check(400, error(from, 2016, &[]), Refusal::From, &format!("{from} (code 2016)"));
    check(
        400,
        error("Requester User Not Found", 1008, &[]),
        Refusal::From,
        "Requester User Not Found (code 1008)",
    );
    check(
        402,
        error("Missing ability", 2014, &[]),
        Refusal::Priority,
        "Missing ability (code 2014)",
    );
    check(403, error("Access Denied", 2010, &[]), Refusal::Other, "Access Denied (code 2010)");
    check(400, json!({"error": "just words"}), Refusal::Other, "just words");
    check(502, json!("<html>"), Refusal::Other, "excerpt");
    check(
        400,
        json!({"error": {"errors": {"title": ["x"]}}}),
        Refusal::Other,
        r#"{"title":["x"]}"#,
    );
}

#[test]
fn priorities_are_found_exactly_then_in_any_case() {
    let known: Vec<Priority> = [("1", "p1"), ("2", "P1"), ("3", "SEV-1 ")]
        .map(|(id, name)| Priority { id: id.to_owned(), name: name.to_owned() })
        .into();
    #[track_caller]
    fn check(known: &[Priority], name: &str, expected: Option<&str>) {
        assert_eq!(wire::priority_named(known, name).map(|found| found.id.as_str()), expected);
    }
    check(&known, "P1", Some("2"));
    check(&known, "p1", Some("1"));
    check(&known, "sev-1", Some("3"));
    check(&known, "P2", None);
    check(&[], "P1", None);
}

#[test]
fn a_page_without_more_ends_when_it_is_not_full() {
    #[track_caller]
    fn check(reply: Value, expected: Option<(usize, bool)>) {
        let page = Page::read(&reply, "incidents", 2);
        assert_eq!(page.map(|page| (page.items.len(), page.more)), expected);
    }
    check(json!({"incidents": [1, 2], "more": true}), Some((2, true)));
    check(json!({"incidents": [1, 2], "more": false}), Some((2, false)));
    check(json!({"incidents": [1, 2]}), Some((2, true)));
    check(json!({"incidents": [1]}), Some((1, false)));
    // A page that promises more and holds nothing would go on for ever.
    check(json!({"incidents": [], "more": true}), Some((0, false)));
    check(json!({"error": {}}), None);
}

#[test]
fn only_the_exact_key_on_the_service_counts() {
    let search = Search { incident_key: "k/1", service: "PS1" };
    let items = [
        json!({"id": "A", "incident_key": "k/1", "service": {"id": "PS1"}}),
        json!({"id": "B", "incident_key": "K/1", "service": {"id": "PS1"}}),
        json!({"id": "C", "incident_key": null}),
        json!({"id": "D", "incident_key": "k/1", "service": {"id": "PS2"}}),
        json!({"id": "E", "incident_key": "k/1"}),
        json!({"incident_key": "k/1"}),
        json!("not an incident"),
    ];
    let found: Vec<String> = search.matching(&items).map(|incident| incident.id).collect();
    assert_eq!(found, ["A", "E"]);
}

#[test]
fn the_budget_is_read_from_headers() {
    let pagerduty = PagerDuty::default();
    let headers = header_map(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")]);
    let reading = BudgetReading { remaining: 0, reset_in: Duration::from_secs(7) };
    assert_eq!(pagerduty.budget(&headers), Some(reading));
    assert_eq!(pagerduty.budget(&header_map(&[])), None);
    assert_eq!(pagerduty.pushback(429, &headers, b""), Some(Pushback::For(Duration::from_secs(7))));
    assert_eq!(pagerduty.pushback(429, &header_map(&[]), b""), Some(Pushback::Unspecified));
    assert_eq!(pagerduty.pushback(400, &headers, b""), None);
}

#[test]
fn the_catalogue_is_whole() {
    for operation in SPEC.operations {
        assert_eq!(operation.implemented, [CREATE, READ].contains(&operation.name));
        assert!(operation.name.contains(':') && !operation.summary.is_empty());
    }
}

proptest! {
    #[test]
    fn any_text_makes_a_bounded_create(title in "\\PC*", details in any::<String>()) {
        let Ok(draft) = draft_of(json!({"title": title, "details": details})) else {
            prop_assert!(title.trim().is_empty());
            return Ok(());
        };
        let body = draft.body();
        let title = body["incident"]["title"].as_str().unwrap();
        prop_assert!(!title.is_empty() && title.encode_utf16().count() <= 255);
        prop_assert!(!title.contains(char::is_control));
    }

    #[test]
    fn any_reply_is_read_without_panic(text in any::<String>(), code in any::<u64>(), status in 400_u16..500) {
        let body = json!({"error": {"message": text, "code": code, "errors": [text, code]}});
        let complaint = Complaint::read(Some(&body), text);
        let _ = (complaint.about(status), complaint.message());
        prop_assert!(Incident::read(&body).is_none());
    }
}
