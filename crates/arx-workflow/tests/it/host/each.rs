//! `arx.each`: one item's trouble is its own.

use arx_workflow::host::{Exception, Reply};
use serde_json::{Value, json};

use super::{Call, Workflow, raise};

#[tokio::test]
async fn a_failing_item_keeps_what_was_noted_and_loses_nobody() {
    let workflow = Workflow::new(
        r#"
async def handle(item):
    page = await pagerduty.incidents.create(id=item['id'])
    arx.note(item, 'paged', incident=page.id)
    ticket = await jira.issues.create(id=item['id'])
    return {'outcomes': ['ticketed'], 'ticket': ticket.id}

async def main():
    items = [{'id': n, 'title': f'item {n}'} for n in ['a', 'b', 'c', 'd']]
    reports = await arx.each(items, handle)
    return [report.outcomes for report in reports]
"#,
    );
    let answer = |call: &Call| match (call.name.as_str(), call.params["id"].as_str().unwrap()) {
        ("jira.issues:create", "b") => raise(Exception::PermissionError, "denied by rule `x`"),
        ("jira.issues:create", "c") => raise(Exception::RuntimeError, "no reply"),
        ("pagerduty.incidents:create", "d") => raise(Exception::OSError, "unreachable"),
        _ => Reply::Value(Value::Object(call.params.clone())),
    };
    for order in 0..4 {
        let story = workflow.play(|pending| order % pending.len(), answer).await.unwrap();
        let noted: Vec<_> = story.notes.iter().map(|note| &note["outcomes"]).collect();
        assert_eq!(noted, [&json!(["paged"]); 3], "what is noted is known at once");
        let mut items = story.items.clone();
        items.sort_by_key(|item| item["id"].to_string());
        assert_eq!(
            Value::Array(items),
            json!([
                {"id": "a", "outcomes": ["paged", "ticketed"], "title": "item a", "incident": "a", "ticket": "a"},
                {"id": "b", "outcomes": ["paged", "failed", "denied"], "title": "item b", "incident": "b",
                 "error": {"kind": "PermissionError", "message": "denied by rule `x`"}},
                {"id": "c", "outcomes": ["paged", "failed", "unknown"], "title": "item c", "incident": "c",
                 "error": {"kind": "RuntimeError", "message": "no reply"}},
                {"id": "d", "outcomes": ["failed"], "title": "item d",
                 "error": {"kind": "OSError", "message": "unreachable"}},
            ])
        );
        assert_eq!(
            story.value(),
            json!([
                ["paged", "ticketed"],
                ["paged", "failed", "denied"],
                ["paged", "failed", "unknown"],
                ["failed"]
            ])
        );
    }
}

#[tokio::test]
async fn what_a_function_may_return() {
    let check = async |body: &str, expected: Value| {
        let source = format!(
            "async def handle(item):\n    {body}\n\nasync def main():\n    await arx.each(['x'], handle)\n"
        );
        let story = Workflow::new(source).echo().await.unwrap();
        assert!(story.raised.is_none(), "{:?}", story.raised);
        assert_eq!(story.items, [expected], "{body}");
    };
    check("pass", json!({"id": "x", "outcomes": []})).await;
    check("return 'paged'", json!({"id": "x", "outcomes": ["paged"]})).await;
    check("return ['paged', 'paged', 'b']", json!({"id": "x", "outcomes": ["paged", "b"]})).await;
    check("return {'a': arx.now.year}", json!({"id": "x", "outcomes": [], "a": 2026})).await;
    check(
        "return 5",
        json!({"id": "x", "outcomes": ["failed"], "error": {
            "kind": "TypeError",
            "message": "the function given to arx.each returns a dict of fields, an outcome, or None"
        }}),
    )
    .await;
    check(
        "return {'a': {1}}",
        json!({"id": "x", "outcomes": ["failed"], "error": {
            "kind": "TypeError",
            "message": "in the report of an item: a set cannot be sent; it has no order; send `sorted(..)`"
        }}),
    )
    .await;
    check(
        "return (await wiz.findings.read(severity=1)).serverity",
        json!({"id": "x", "outcomes": ["failed"], "error": {
            "kind": "AttributeError",
            "message": "'Record' object has no attribute 'serverity'",
            "hint": "did you mean `severity`?"
        }}),
    )
    .await;
}

#[tokio::test]
async fn each_may_be_empty_nested_and_repeated() {
    let workflow = Workflow::new(
        r#"
async def inner(name):
    await wiz.findings.read(name=name)
    if name == 'b1':
        raise ValueError('inner')
    return 'read'

async def outer(name):
    arx.note(name, 'begun')
    reports = await arx.each([f'{name}{n}' for n in range(2)], inner)
    return {'inside': [report.outcomes for report in reports]}

async def main():
    assert await arx.each([], outer) == []
    first = await arx.each(['a', 'b'], outer)
    again = await arx.each(['a'], outer)
    return [[report.id, report.outcomes, report.inside] for report in first + again]
"#,
    );
    let echo = |call: &Call| Reply::Value(Value::Object(call.params.clone()));
    for order in 0..4 {
        let story = workflow.play(|pending| order % pending.len(), echo).await.unwrap();
        assert_eq!(
            story.value(),
            json!([
                ["a", ["begun"], [["read"], ["read"]]],
                ["b", ["begun"], [["read"], ["failed"]]],
                ["a", ["begun"], [["read"], ["read"]]],
            ])
        );
    }
}

#[tokio::test]
async fn a_note_is_about_an_item_at_work() {
    let source = "async def main():\n    arx.note('x', 'paged')\n";
    let raised = Workflow::new(source).echo().await.unwrap().raised.unwrap();
    assert_eq!((raised.kind.as_str(), raised.line), ("ValueError", Some(2)));
}
