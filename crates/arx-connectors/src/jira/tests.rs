//! Requests as they are built and replies as they are read; `world` plays whole calls through
//! the gate.

mod documents;
mod world;

use super::document::DESCRIPTION_UNITS_MAX;
use super::draft::Screen;
use super::schema::{Discovered, Field, IssueType, Page};
use super::trace::{Evidence, PROPERTY};
use super::*;

const EFFECT: &str = "escalation/CVE-2026-0001/1/ticket";

fn marker() -> Marker {
    Marker::new(&EFFECT.parse().unwrap())
}

fn wanted(params: Value) -> Result<Wanted, String> {
    Wanted::read(&params, Some("SEC"))
}

/// A create screen as Cloud describes it.
fn screen(extra: &[Value]) -> Screen {
    let field = |id: &str, required: bool| json!({"fieldId": id, "name": id, "required": required});
    let mut fields = vec![
        field("project", true),
        field("issuetype", true),
        field("reporter", true),
        field("summary", true),
        field("description", false),
        field("labels", false),
        json!({"fieldId": "priority", "name": "Priority", "required": false, "schema": {"type": "priority"},
            "allowedValues": [{"id": "1", "name": "Highest"}, {"id": "3", "name": "Medium"}]}),
        json!({"fieldId": "components", "name": "Components", "schema": {"type": "array", "items": "component"},
            "allowedValues": [{"id": "10000", "name": "Platform"}, {"id": "10001", "name": "Web"}]}),
        field("assignee", false),
    ];
    fields.retain(|field| !extra.iter().any(|other| other["fieldId"] == field["fieldId"]));
    let fields = fields.iter().chain(extra.iter().filter(|field| field["name"].is_string()));
    Screen {
        issue_type: Discovered::Known(IssueType {
            id: "10004".to_owned(),
            name: "Bug".to_owned(),
            standard: true,
        }),
        fields: Discovered::Known(fields.map(|field| Field::read(field).unwrap()).collect()),
    }
}

fn blind() -> Screen {
    let why = || "status 404: nothing there".to_owned();
    Screen { issue_type: Discovered::Unavailable(why()), fields: Discovered::Unavailable(why()) }
}

fn draft(params: Value, screen: &Screen, deployment: Deployment) -> Result<Draft, String> {
    Draft::new(&wanted(params)?, screen, deployment, &marker())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn ticket() -> Value {
    json!({
        "summary": "CVE-2026-0001: update\nopenssl",
        "description": [
            {"heading": "What to do", "text": "Update.\n\nThen restart."},
            {"heading": "Assets", "bullets": ["web-1", "web-2"]},
            {"link": {"url": "https://acme.pagerduty.com/incidents/Q1", "title": "Incident 7"}},
        ],
        "labels": ["CVE-2026-0001", "needs patch", "needs patch"],
        "components": ["web"],
        "assignee": "5b10a2844c20165700ede21g",
    })
}

#[test]
fn the_whole_create_body_on_cloud() {
    let draft = draft(ticket(), &screen(&[]), Deployment::Cloud).unwrap();
    assert_eq!(draft.warnings, [] as [&str; 0]);
    insta::assert_snapshot!(pretty(&draft.body()), @r#"
    {
      "fields": {
        "project": {
          "key": "SEC"
        },
        "issuetype": {
          "id": "10004"
        },
        "summary": "CVE-2026-0001: update openssl",
        "description": {
          "type": "doc",
          "version": 1,
          "content": [
            {
              "type": "heading",
              "attrs": {
                "level": 3
              },
              "content": [
                {
                  "type": "text",
                  "text": "What to do"
                }
              ]
            },
            {
              "type": "paragraph",
              "content": [
                {
                  "type": "text",
                  "text": "Update."
                }
              ]
            },
            {
              "type": "paragraph",
              "content": [
                {
                  "type": "text",
                  "text": "Then restart."
                }
              ]
            },
            {
              "type": "heading",
              "attrs": {
                "level": 3
              },
              "content": [
                {
                  "type": "text",
                  "text": "Assets"
                }
              ]
            },
            {
              "type": "bulletList",
              "content": [
                {
                  "type": "listItem",
                  "content": [
                    {
                      "type": "paragraph",
                      "content": [
                        {
                          "type": "text",
                          "text": "web-1"
                        }
                      ]
                    }
                  ]
                },
                {
                  "type": "listItem",
                  "content": [
                    {
                      "type": "paragraph",
                      "content": [
                        {
                          "type": "text",
                          "text": "web-2"
                        }
                      ]
                    }
                  ]
                }
              ]
            },
            {
              "type": "paragraph",
              "content": [
                {
                  "type": "text",
                  "text": "Incident 7",
                  "marks": [
                    {
                      "type": "link",
                      "attrs": {
                        "href": "https://acme.pagerduty.com/incidents/Q1"
                      }
                    }
                  ]
                }
              ]
            }
          ]
        },
        "priority": {
          "id": "1"
        },
        "labels": [
          "CVE-2026-0001",
          "needs-patch",
          "arx-a327e471d6c494d0"
        ],
        "components": [
          {
            "id": "10001"
          }
        ],
        "assignee": {
          "id": "5b10a2844c20165700ede21g"
        }
      },
      "properties": [
        {
          "key": "io.arx.effect",
          "value": {
            "effect_key": "escalation/CVE-2026-0001/1/ticket"
          }
        }
      ]
    }
    "#);
}

#[test]
fn the_whole_create_body_on_data_center() {
    let draft = draft(ticket(), &screen(&[]), Deployment::DataCenter).unwrap();
    let body = draft.body();
    assert_eq!(body["fields"]["assignee"], json!({"name": "5b10a2844c20165700ede21g"}));
    insta::assert_snapshot!(body["fields"]["description"].as_str().unwrap(), @"
    h3. What to do

    Update.
    Then restart.

    h3. Assets

    * web-1
    * web-2

    [Incident 7|https://acme.pagerduty.com/incidents/Q1]
    ");
}

#[test]
fn without_create_metadata_names_are_sent() {
    let draft = draft(json!({"summary": "s", "components": ["web"]}), &blind(), Deployment::Cloud);
    let draft = draft.unwrap();
    insta::assert_snapshot!(draft.body()["fields"], @r#"{"project":{"key":"SEC"},"issuetype":{"name":"Bug"},"summary":"s","priority":{"name":"Blocker"},"labels":["arx-a327e471d6c494d0"],"components":[{"name":"web"}]}"#);
    insta::assert_snapshot!(draft.warnings.join("\n"), @"the project's create screen cannot be read, so names are sent unchecked (status 404: nothing there)");
}

#[test]
fn priorities_follow_the_chain() {
    #[track_caller]
    fn check(params: Value, allowed: Value, expected: Value, warnings: &str) {
        let mut params = params;
        params["summary"] = json!("s");
        let field = json!({"fieldId": "priority", "name": "Priority", "allowedValues": allowed});
        let draft = draft(params, &screen(&[field]), Deployment::Cloud).unwrap();
        assert_eq!(draft.body()["fields"]["priority"], expected);
        assert_eq!(draft.warnings.join("; "), warnings);
    }
    let named = |names: &[&str]| -> Value {
        names
            .iter()
            .enumerate()
            .map(|(n, name)| json!({"id": n.to_string(), "name": name}))
            .collect()
    };
    let usual = named(&["Highest", "High", "Medium"]);
    check(json!({}), named(&["Blocker", "Highest"]), json!({"id": "0"}), "");
    check(json!({}), usual.clone(), json!({"id": "0"}), "");
    check(json!({"priority": "medium"}), usual.clone(), json!({"id": "2"}), "");
    check(
        json!({"priority": "P1", "priority_fallback": ["P2", "High"]}),
        usual.clone(),
        json!({"id": "1"}),
        "`priority` is High: the project has no `P1`",
    );
    check(
        json!({"priority_fallback": "Urgent"}),
        named(&["Urgent"]),
        json!({"id": "0"}),
        "`priority` is Urgent: the project has no `Blocker`",
    );
    check(
        json!({}),
        named(&["Minor"]),
        Value::Null,
        "`priority` is left out: the project has none of `Blocker`, `Highest`; it has `Minor`",
    );
    check(json!({}), json!([]), json!({"name": "Blocker"}), "");
    // Not on the create screen at all.
    let bare = json!({"fieldId": "priority"});
    let draft = draft(json!({"summary": "s"}), &screen(&[bare]), Deployment::Cloud).unwrap();
    assert_eq!(draft.body()["fields"].get("priority"), None);
    assert_eq!(
        draft.warnings,
        ["`priority` is left out: it is not on the project's create screen"]
    );
}

#[test]
fn issue_types_are_chosen() {
    let types: Vec<IssueType> = [
        json!({"id": "1", "name": "Epic", "hierarchyLevel": 1}),
        json!({"id": "2", "name": "Sub-task", "subtask": true}),
        json!({"id": "3", "name": "Task", "subtask": false}),
        json!({"id": "4", "name": "Bug", "hierarchyLevel": 0}),
    ]
    .iter()
    .map(|value| IssueType::read(value).unwrap())
    .collect();
    #[track_caller]
    fn check(types: &[IssueType], wanted: Option<&str>, expected: Result<&str, &str>) {
        let chosen = schema::choose_type(types, wanted);
        assert_eq!(chosen.as_ref().map(|one| one.name.as_str()).map_err(String::as_str), expected);
    }
    check(&types, None, Ok("Bug"));
    check(&types[..3], None, Ok("Task"));
    check(&types, Some("sub-task"), Ok("Sub-task"));
    check(
        &types,
        Some("Incident"),
        Err("`issue_type`: the project has no `Incident`; it has `Epic`, `Sub-task`, `Task`, \
             `Bug`"),
    );
    check(
        &types[..2],
        None,
        Err("no issue type of the project stands by itself; set `issue_type` to one of `Epic`, \
             `Sub-task`"),
    );
}

#[test]
fn custom_fields_are_said_as_the_screen_wants_them() {
    let custom = [
        json!({"fieldId": "customfield_1", "name": "Team", "required": true, "schema": {"type": "option"},
            "allowedValues": [{"id": "77", "value": "Red"}, {"id": "78", "value": "Blue"}]}),
        json!({"fieldId": "customfield_2", "name": "Areas", "schema": {"type": "array", "items": "option"},
            "allowedValues": [{"value": "north"}, {"value": "south"}]}),
        json!({"fieldId": "customfield_3", "name": "Notes",
            "schema": {"type": "string", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:textarea"}}),
        json!({"fieldId": "customfield_4", "name": "Score", "schema": {"type": "number"}}),
        json!({"fieldId": "customfield_5", "name": "Owner", "schema": {"type": "user"}}),
    ];
    let said = |fields: Value, deployment: Deployment| {
        let params = json!({"summary": "s", "fields": fields});
        draft(params, &screen(&custom), deployment).map(|draft| draft.body()["fields"].clone())
    };
    let all = json!({
        "team": "blue", "Areas": ["north", "South"], "customfield_3": "a\nb", "Score": "9.8",
        "Owner": "abc",
    });
    let cloud = said(all.clone(), Deployment::Cloud).unwrap();
    let custom_only = |body: &Value| {
        let fields = body.as_object().unwrap().iter();
        let mine = fields.filter(|(name, _)| name.starts_with("customfield_"));
        mine.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(custom_only(&cloud), @r#"
    customfield_1 {"id":"78"}
    customfield_2 [{"value":"north"},{"value":"south"}]
    customfield_3 {"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"a"}]},{"type":"paragraph","content":[{"type":"text","text":"b"}]}]}
    customfield_4 9.8
    customfield_5 {"id":"abc"}
    "#);
    let data_center = said(all, Deployment::DataCenter).unwrap();
    assert_eq!(data_center["customfield_3"], "a\nb");
    assert_eq!(data_center["customfield_5"], json!({"name": "abc"}));

    #[track_caller]
    fn check(result: Result<Value, String>, expected: &str) {
        assert_eq!(result.unwrap_err(), expected);
    }
    check(
        said(json!({}), Deployment::Cloud),
        "project `SEC` requires what is not given: `customfield_1` (Team; one of `Red`, `Blue`); \
         set custom fields in `fields`",
    );
    check(
        said(json!({"Team": "Green"}), Deployment::Cloud),
        "`fields.Team`: `Green` is not one of `Red`, `Blue`",
    );
    check(
        said(json!({"Team": "Red", "Score": "high"}), Deployment::Cloud),
        "`fields.Score` is a text; write a number",
    );
    check(
        said(json!({"Priority": "High"}), Deployment::Cloud),
        "`fields.Priority`: this field has a parameter of its own",
    );
    check(
        said(json!({"Team": "Red", "customfield_1": "Red"}), Deployment::Cloud),
        "`fields.customfield_1`: `customfield_1` is set twice",
    );
    let blind =
        draft(json!({"summary": "s", "fields": {"My team": 1}}), &blind(), Deployment::Cloud);
    assert_eq!(
        blind.unwrap_err(),
        "`fields.My team`: the project does not show its fields, so write the field's id, such \
         as `customfield_10010`"
    );
}

#[test]
fn what_the_screen_does_not_have_is_left_out() {
    let bare: Vec<Value> =
        ["components", "assignee", "description", "labels"].map(|id| json!({"fieldId": id})).into();
    let draft = draft(ticket(), &screen(&bare), Deployment::Cloud).unwrap();
    insta::assert_snapshot!(draft.body(), @r#"{"fields":{"project":{"key":"SEC"},"issuetype":{"id":"10004"},"summary":"CVE-2026-0001: update openssl","priority":{"id":"1"}},"properties":[{"key":"io.arx.effect","value":{"effect_key":"escalation/CVE-2026-0001/1/ticket"}}]}"#);
    insta::assert_snapshot!(draft.warnings.join("\n"), @"
    `description` is left out: it is not on the project's create screen
    `labels` is left out: it is not on the project's create screen
    `components` is left out: it is not on the project's create screen
    `assignee` is left out: it is not on the project's create screen
    ");
}

#[test]
fn a_refused_field_gives_way() {
    let params = json!({"summary": "s", "labels": ["x"], "assignee": "abc"});
    let mut draft = draft(params, &blind(), Deployment::Cloud).unwrap();
    draft.warnings.clear();
    let complaint =
        |errors: Value| Complaint::read(Some(&json!({"errors": errors})), String::new());
    assert!(draft.yield_to(&complaint(json!({
        "priority": "The priority selected is invalid.",
        "assignee": "User 'abc' cannot be assigned issues.",
    }))));
    assert_eq!(draft.body()["fields"]["priority"], json!({"name": "Highest"}));
    let wish = "priority\nBlocker\nHighest";
    assert!(draft.concessions().iter().any(|(signature, n, _)| signature == wish && *n == 1));
    assert!(draft.yield_to(&complaint(json!({
        "priority": "Field 'priority' cannot be set. It is not on the appropriate screen, or unknown.",
        "assignee": "no",
        "issuetype": "The issue type selected is invalid.",
    }))));
    insta::assert_snapshot!(draft.body()["fields"], @r#"{"project":{"key":"SEC"},"issuetype":{"name":"Task"},"summary":"s","labels":["x","arx-a327e471d6c494d0"]}"#);
    insta::assert_snapshot!(draft.warnings.join("\n"), @"
    `priority` is Highest and not Blocker: The priority selected is invalid.
    `issuetype` is Task and not Bug: The issue type selected is invalid.
    `priority` is left out: Field 'priority' cannot be set. It is not on the appropriate screen, or unknown.
    `assignee` is left out: no
    ");
    // The summary and the project cannot give way, nor can an issue type without another.
    assert!(!draft.yield_to(&complaint(json!({"summary": "too long"}))));
    assert!(!draft.yield_to(&complaint(json!({"issuetype": "invalid"}))));
    assert!(!draft.yield_to(&complaint(json!({"customfield_9": "is required."}))));
    let words = json!({"errorMessages": ["CONTENT_LIMIT_EXCEEDED"]});
    assert!(!draft.yield_to(&Complaint::read(Some(&words), String::new())));
}

#[test]
fn errors_are_told_with_their_fields() {
    #[track_caller]
    fn check(body: Value, expected: &str) {
        assert_eq!(Complaint::read(Some(&body), "excerpt".to_owned()).message(), expected);
    }
    check(
        json!({"errorMessages": ["One.", "Two."], "errors": {"summary": "Three."}}),
        "One. Two. `summary`: Three.",
    );
    check(json!({"errorMessages": [], "errors": {}}), "excerpt");
    check(json!({"message": "null for uri", "status-code": 404}), "null for uri");
    check(json!("<html>"), "excerpt");
}

#[test]
fn wrong_parameters_name_themselves() {
    #[track_caller]
    fn check(params: Value, expected: &str) {
        assert_eq!(wanted(params).unwrap_err(), expected);
    }
    check(json!({}), "`summary` is missing");
    check(
        json!({"summary": "s", "project": "S/EC"}),
        "`S/EC` is not a project key; write one such as `SEC`",
    );
    check(
        json!({"summary": "s", "description": 5}),
        "`description` is a number; write a text or a list of sections with `heading`, `text`, `bullets`, `link`",
    );
    check(
        json!({"summary": "s", "description": [{"body": "x"}]}),
        "no parameter `body` in `description`; there are heading, text, bullets, link",
    );
    check(json!({"summary": "s", "labels": [1]}), "`labels` holds a number; write a list of texts");
    check(json!({"summary": "s", "link": "x"}), "`link` is a text; write a mapping");
    check(json!({"summary": "s", "fields": []}), "`fields` is a list; write a mapping");
}

#[test]
fn a_link_that_leads_nowhere_is_left_out() {
    let wanted = wanted(json!({"summary": "s", "link": {"url": "javascript:alert(1)"}})).unwrap();
    assert_eq!(wanted.link, None);
    assert_eq!(wanted.warnings, ["not linked: the link has no address of the web"]);
}

#[test]
fn evidence_is_weighed() {
    let marker = marker();
    assert_eq!(marker.label.len(), "arx-".len() + 16);
    let issue = |labels: Value, properties: Value| json!({"key": "SEC-1", "fields": {"labels": labels}, "properties": properties});
    #[track_caller]
    fn check(marker: &Marker, issue: Value, expected: Evidence) {
        assert_eq!(marker.evidence(&issue), expected);
    }
    let property = |effect: &str| json!({PROPERTY: {"effect_key": effect}});
    let label = json!([marker.label]);
    check(&marker, issue(json!([]), property(EFFECT)), Evidence::Ours);
    check(
        &marker,
        issue(json!([]), json!({PROPERTY: {"key": PROPERTY, "value": {"effect_key": EFFECT}}})),
        Evidence::Ours,
    );
    check(&marker, issue(label.clone(), property("another")), Evidence::NotOurs);
    check(&marker, issue(label.clone(), json!({})), Evidence::Ours);
    check(&marker, issue(json!(["x"]), json!({})), Evidence::NotOurs);
    check(&marker, issue(label, Value::Null), Evidence::AskElse(true));
    check(&marker, issue(json!(["x"]), Value::Null), Evidence::AskElse(false));
    check(&marker, issue(Value::Null, Value::Null), Evidence::AskElse(false));
}

#[test]
fn the_oldest_issue_has_the_lowest_number() {
    let mut issues: Vec<Issue> =
        ["10", "9", "101"].map(|id| Issue { id: id.to_owned(), key: format!("SEC-{id}") }).into();
    issues.sort_by_key(Issue::age);
    assert_eq!(
        issues.iter().map(|issue| issue.id.as_str()).collect::<Vec<_>>(),
        ["9", "10", "101"]
    );
    assert_eq!(issues[0].number_in("sec"), Some(9));
    assert_eq!(issues[0].number_in("OPS"), None);
}

#[test]
fn creation_times_are_read_in_every_edition() {
    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let created = trace::created(&json!({"fields": {"created": text}}));
        assert_eq!(created.map(|at| at.to_string()).as_deref(), expected);
    }
    check("2026-01-02T03:04:05.678+0000", Some("2026-01-02T03:04:05.678Z"));
    check("2026-01-02T03:04:05.678-0530", Some("2026-01-02T08:34:05.678Z"));
    check("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z"));
    check("yesterday", None);
}

#[test]
fn create_metadata_is_read_in_every_edition() {
    #[track_caller]
    fn check(body: Value, expected: Option<(usize, Option<usize>, Option<bool>)>) {
        let page = Page::read(&body, &["fields", "values"]);
        assert_eq!(page.map(|page| (page.items.len(), page.total, page.last)), expected);
    }
    check(json!({"fields": [{}, {}], "total": 2}), Some((2, Some(2), None)));
    check(json!({"values": [{}], "isLast": true}), Some((1, None, Some(true))));
    check(json!({"fields": {"summary": {"required": true}}}), Some((1, None, None)));
    check(json!({"other": []}), None);
    let old = Page::read(&json!({"fields": {"summary": {"required": true}}}), &["fields"]).unwrap();
    assert_eq!(Field::read(&old.items[0]).unwrap().id, "summary");
    assert_eq!(Field::read(&json!({"fieldId": "a\u{0}b", "name": "a"})), None);
}

#[test]
fn a_long_global_id_is_digested() {
    let link = |id: &str| Link {
        id: Some(id.to_owned()),
        url: "https://acme.pagerduty.com/incidents/Q1".to_owned(),
        title: "t".to_owned(),
    };
    assert_eq!(global_id(&link("Q1")), "system=https://acme.pagerduty.com&id=Q1");
    assert!(global_id(&link(&"x".repeat(300))).len() <= 255);
}

#[test]
fn the_budget_is_read_by_the_vendors_clock() {
    let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    };
    let jira = Jira::default();
    let spent = [
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "2026-01-01T00:00:30Z"),
    ];
    let wait = Duration::from_secs(30);
    let reading = BudgetReading { remaining: 0, reset_in: wait };
    assert_eq!(jira.budget(&headers(&spent)), Some(reading));
    assert_eq!(jira.budget(&headers(&spent[1..])), None);
    assert_eq!(jira.pushback(429, &headers(&spent), b""), Some(Pushback::For(wait)));
    assert_eq!(jira.pushback(429, &headers(&[]), b""), Some(Pushback::Unspecified));
    assert_eq!(
        jira.pushback(429, &headers(&[("retry-after", "5")]), b""),
        Some(Pushback::For(Duration::from_secs(5)))
    );
}

#[test]
fn settings_are_checked() {
    #[track_caller]
    fn check(settings: Value, deployment: Result<Option<Deployment>, ()>, wait: Result<u64, ()>) {
        assert_eq!(Deployment::setting(&settings).map_err(drop), deployment);
        assert_eq!(in_flight(&settings).map(|wait| wait.as_secs()).map_err(drop), wait);
    }
    check(Value::Null, Ok(None), Ok(15));
    check(json!({"deployment": "auto", "in_flight_ms": 2000}), Ok(None), Ok(2));
    check(
        json!({"deployment": "data_center", "in_flight_ms": "2"}),
        Ok(Some(Deployment::DataCenter)),
        Err(()),
    );
    check(json!({"deployment": "Cloud", "in_flight_ms": 3_600_000}), Err(()), Err(()));
}

#[test]
fn the_catalogue_is_whole() {
    for operation in SPEC.operations {
        assert_eq!(operation.implemented, [CREATE, READ].contains(&operation.name));
        assert!(operation.name.contains(':') && !operation.summary.is_empty());
    }
}
