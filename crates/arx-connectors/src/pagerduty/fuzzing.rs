//! Doors for the fuzzer: pages, incidents, refusals, and the parameters of both operations.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use serde_json::Value;

use super::lookup::Search;
use super::operations::{Draft, Wanted};
use super::wire::{Complaint, Incident, Page, Priority, Refusal, priority_named};
use crate::fuzzing::{check_words, is_plain, reply};
use crate::text;

/// Reads a body as every reply that is asked for.
pub fn replies(body: &[u8]) {
    let reply = reply(400, body);
    let document: Option<Value> = reply.json().ok();
    let complaint = Complaint::read(document.as_ref(), reply.excerpt());
    check_words(&complaint.message());
    for status in [400, 402, 403, 404, 409, 422, 500] {
        let about = complaint.about(status);
        // What is taken for a duplicate is adopted, so nothing else may be.
        let says = complaint.message().to_lowercase();
        let known = says.contains("matching dedup key already exists");
        assert!(about != Refusal::Duplicate || known, "{says}");
    }

    let Some(document) = document else { return };
    if let Some(incident) = Incident::in_envelope(&document) {
        check(&incident);
    }
    let search = Search { incident_key: "w/CVE-2026-0001/1/page", service: "PSVC" };
    for name in ["incidents", "priorities"] {
        let Some(page) = Page::read(&document, name, 100) else { continue };
        assert!(!page.more || !page.items.is_empty(), "an empty page with a next one");
        for incident in search.matching(&page.items) {
            check(&incident);
            assert_eq!(incident.incident_key.as_deref(), Some(search.incident_key));
            assert!(incident.service.as_deref().is_none_or(|service| service == search.service));
        }
        let priorities: Vec<Priority> = page.items.iter().filter_map(Priority::read).collect();
        for priority in &priorities {
            let found = priority_named(&priorities, &priority.name).expect("its own name");
            assert_eq!(found.name, priority.name, "another priority of that name");
        }
    }
}

fn check(incident: &Incident) {
    assert!(!incident.id.is_empty(), "an incident without id");
    let again = Incident::read(&incident.shown());
    let known = again.map(|again| (again.id, again.status, again.incident_key));
    let incident = incident.clone();
    assert_eq!(known, Some((incident.id, incident.status, incident.incident_key)));
}

/// Checks the parameters of `incidents:read`.
pub fn parameters_of_read(params: &Value) -> Result<(), String> {
    match Wanted::read(params, Some("PSVC"))? {
        Wanted::Id(id) => assert!(is_plain(&id), "`{id}` in a path"),
        Wanted::Key { incident_key, service } => {
            assert!(!incident_key.trim().is_empty(), "a blank key means every incident");
            assert!(is_plain(&service), "`{service}` in a query");
        }
    }
    Ok(())
}

/// Checks the parameters of `incidents:create`; the page carries the effect's key whatever they
/// say.
pub fn parameters_of_create(params: &Value) -> Result<(), String> {
    let key = "w/CVE-2026-0001/1/page";
    let (draft, _) = Draft::read(params, key, None)?;
    let body = draft.body();
    let text_at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    assert_eq!(text_at("/incident/incident_key"), Some(key), "{body}");
    assert_eq!(text_at("/incident/type"), Some("incident"), "{body}");
    let title = text_at("/incident/title").unwrap_or_default();
    assert!(!title.is_empty() && !title.chars().any(char::is_control), "{body}");
    assert!(is_plain(text_at("/incident/service/id").unwrap_or_default()), "{body}");
    assert!(text::units(title) <= 255, "{body}");
    Ok(())
}
