//! Doors for the fuzzer: issues, create metadata, refusals, and the parameters of both operations.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use arx_types::EffectKey;
use serde_json::Value;

use super::document::{self, DESCRIPTION_UNITS_MAX};
use super::draft::{Draft, Screen};
use super::operations::{Sought, Wanted};
use super::schema::{self, Discovered, Field, IssueType, Page};
use super::site::Deployment;
use super::trace::{self, Evidence, Marker};
use super::wire::{self, Complaint, Issue};
use crate::fuzzing::{check_refusal, check_words, is_plain, reply};
use crate::text;

/// How often a draft can give way: it has so few fields, each with so few ways.
const CONCESSIONS_MAX: usize = 100;

/// A marker as every create carries one.
fn marker() -> Marker {
    let key: EffectKey = "w/CVE-2026-0001/1/ticket".parse().expect("an effect key");
    Marker::new(&key)
}

/// Reads a body as every reply that is asked for.
pub fn replies(body: &[u8]) {
    let reply = reply(400, body);
    let complaint = Complaint::of(&reply);
    check_words(&complaint.message());
    let Some(document) = reply.json::<Value>().ok() else { return };
    let _ = Deployment::of_server_info(&document);

    let marker = marker();
    let listed = wire::list(&document, &["issues", "values"]);
    for issue in listed.into_iter().flatten().chain([&document]) {
        let _ = (trace::created(issue), wire::is_done(issue));
        // A ticket is ours where it says so, and nowhere else.
        let says = issue.to_string();
        let is_named = says.contains(&marker.label) || says.contains("w/CVE-2026-0001/1/ticket");
        assert!(marker.evidence(issue) != Evidence::Ours || is_named, "{says}");
        let shown = wire::shown(issue, "https://jira.example.com");
        assert_eq!(shown.is_some(), Issue::read(issue).is_some(), "{says}");
        if let Some(known) = Issue::read(issue) {
            assert!(!known.key.is_empty() && !known.id.is_empty(), "an issue without a name");
            let _ = (known.age(), known.number_in("SEC"));
        }
    }
    create(&document, &complaint);
}

/// A create request for a project whose screen is what the reply says, refused as it says.
fn create(document: &Value, complaint: &Complaint) {
    let params = serde_json::json!({
        "summary": "CVE-2026-0001",
        "description": [{"heading": "What", "text": "text", "bullets": ["one"]}],
        "labels": ["arx"],
        "components": ["web"],
        "assignee": "someone",
        "fields": {"customfield_10001": "value"},
    });
    let wanted = Wanted::read(&params, Some("SEC")).expect("parameters");
    let page = Page::read(document, &["fields", "values", "results"]);
    let types = Page::read(document, &["issueTypes", "values", "types"]);
    let types: Vec<IssueType> =
        types.iter().flat_map(|page| &page.items).filter_map(IssueType::read).collect();
    let fields: Vec<Field> =
        page.iter().flat_map(|page| &page.items).filter_map(Field::read).collect();
    for field in &fields {
        assert!(!field.id.is_empty(), "a field without id");
        let _ = (field.allowed_named("High"), field.allowed_names());
    }
    let unavailable = || "not shown".to_owned();
    let issue_type = match schema::choose_type(&types, None) {
        Ok(chosen) => {
            assert!(chosen.standard || chosen.name == schema::TYPE_DEFAULT, "{chosen:?}");
            Discovered::Known(chosen.clone())
        }
        Err(message) => {
            check_refusal(&message);
            Discovered::Unavailable(unavailable())
        }
    };
    let fields = if fields.is_empty() {
        Discovered::Unavailable(unavailable())
    } else {
        Discovered::Known(fields)
    };
    let screen = Screen { issue_type, fields };
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let mut draft = match Draft::new(&wanted, &screen, deployment, &marker()) {
            Ok(draft) => draft,
            Err(message) => {
                check_refusal(&message);
                continue;
            }
        };
        check_body(&draft.body());
        let mut conceded = 0;
        while draft.yield_to(complaint) {
            conceded += 1;
            assert!(conceded <= CONCESSIONS_MAX, "a draft that gives way for ever");
            check_body(&draft.body());
        }
        for (_, next, _) in draft.concessions() {
            assert!(next > 0, "remembered without having given way");
        }
    }
}

fn check_body(body: &Value) {
    let summary = body.pointer("/fields/summary").and_then(Value::as_str);
    assert_eq!(summary, Some("CVE-2026-0001"), "{body}");
    assert_eq!(body.pointer("/fields/project/key").and_then(Value::as_str), Some("SEC"), "{body}");
}

/// Checks the parameters of `issues:read`.
pub fn parameters_of_read(params: &Value) -> Result<(), String> {
    match Sought::read(params, Some("SEC"))? {
        Sought::Key(key) => assert!(is_plain(&key), "`{key}` in a path"),
        Sought::Effect { effect_key, project } => {
            assert!(!effect_key.trim().is_empty(), "an effect without a key");
            assert!(is_plain(&project), "`{project}` in a query");
        }
    }
    Ok(())
}

/// Checks the parameters of `issues:create`; what is said fits into the vendor's fields and is
/// never markup.
pub fn parameters_of_create(params: &Value) -> Result<(), String> {
    let wanted = Wanted::read(params, None)?;
    assert!(is_plain(&wanted.project), "{wanted:?}");
    let is_line = |text: &str| !text.is_empty() && !text.chars().any(char::is_control);
    assert!(is_line(&wanted.summary) && text::units(&wanted.summary) <= 255, "{wanted:?}");
    assert!(wanted.labels.iter().all(|label| !label.contains(char::is_whitespace)), "{wanted:?}");
    if let Some(link) = &wanted.link {
        assert!(link.url.starts_with("http://") || link.url.starts_with("https://"), "{link:?}");
    }
    for units_max in [300, DESCRIPTION_UNITS_MAX] {
        if let Some(document) = document::adf(&wanted.description, units_max) {
            assert!(text::units(&document.to_string()) <= units_max, "too long: {document}");
            check_document(&document);
        }
        if let Some(markup) = document::wiki(&wanted.description, units_max) {
            assert!(text::units(&markup) <= units_max && !markup.is_empty(), "{markup}");
            let before = |at: usize| markup.get(..at).unwrap_or_default();
            let mut macros = markup.match_indices(['{', '}', '!', '^']);
            let is_text = macros.all(|(at, _)| before(at).ends_with('\\'));
            assert!(is_text, "markup out of what was quoted: {markup}");
        }
    }
    let screen = Screen {
        issue_type: Discovered::Unavailable(String::new()),
        fields: Discovered::Unavailable(String::new()),
    };
    for deployment in [Deployment::Cloud, Deployment::DataCenter] {
        let draft = Draft::new(&wanted, &screen, deployment, &marker())?;
        let body = draft.body();
        let label = body.pointer("/fields/labels").and_then(Value::as_array);
        let is_marked = label.is_some_and(|all| all.iter().any(|one| *one == marker().label));
        assert!(is_marked, "a ticket that cannot be found again: {body}");
        let summary = body.pointer("/fields/summary").and_then(Value::as_str);
        assert_eq!(summary, Some(wanted.summary.as_str()), "{body}");
        let project = body.pointer("/fields/project/key").and_then(Value::as_str);
        assert_eq!(project, Some(wanted.project.as_str()), "{body}");
    }
    Ok(())
}

/// No empty text node, which the vendor refuses, and no address but of the web.
fn check_document(node: &Value) {
    if let Some(text) = node.get("text").and_then(Value::as_str) {
        assert!(!text.is_empty(), "an empty text node");
    }
    if let Some(href) = node.pointer("/attrs/href").and_then(Value::as_str) {
        assert!(href.starts_with("http://") || href.starts_with("https://"), "{href}");
    }
    for name in ["content", "marks"] {
        node.get(name).and_then(Value::as_array).into_iter().flatten().for_each(check_document);
    }
}
