//! The fields of an issue: which exist, what they accept, and how they are shown.
//!
//! Every check answers in Jira's words. Start at [`Jira::apply`].

use serde_json::{Map, Value, json};

use super::adf::{self, Refused};
use super::issues::Issue;
use super::{Call, Jira, Problem, site};
use crate::JiraDeployment;
use crate::http::Reply;
use crate::ledger::lock;

const SUMMARY_CHARS_MAX: usize = 255;
const LABEL_CHARS_MAX: usize = 255;

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Project,
    IssueType,
    Summary,
    RichText,
    Priority,
    Labels,
    Components,
    Assignee,
    Date,
    Parent,
    Option(&'static [&'static str]),
    Options(&'static [&'static str]),
    Number,
    Text,
}

struct Field {
    id: &'static str,
    name: &'static str,
    kind: Kind,
    is_required: bool,
}

const SERVICES: &[&str] = &["Payments", "Booking", "Fleet Tracking", "Corporate IT"];
const ENVIRONMENTS: &[&str] = &["Production", "Staging", "Development"];

#[rustfmt::skip]
const FIELDS: &[Field] = &[
    Field { id: "project", name: "Project", kind: Kind::Project, is_required: true },
    Field { id: "issuetype", name: "Issue Type", kind: Kind::IssueType, is_required: true },
    Field { id: "summary", name: "Summary", kind: Kind::Summary, is_required: true },
    Field { id: "description", name: "Description", kind: Kind::RichText, is_required: false },
    Field { id: "priority", name: "Priority", kind: Kind::Priority, is_required: false },
    Field { id: "labels", name: "Labels", kind: Kind::Labels, is_required: false },
    Field { id: "components", name: "Components", kind: Kind::Components, is_required: false },
    Field { id: "assignee", name: "Assignee", kind: Kind::Assignee, is_required: false },
    Field { id: "duedate", name: "Due date", kind: Kind::Date, is_required: false },
    Field { id: "parent", name: "Parent", kind: Kind::Parent, is_required: false },
    Field { id: "customfield_10010", name: "Affected service", kind: Kind::Option(SERVICES), is_required: false },
    Field { id: "customfield_10011", name: "Environments", kind: Kind::Options(ENVIRONMENTS), is_required: false },
    Field { id: "customfield_10020", name: "Evidence", kind: Kind::RichText, is_required: false },
    Field { id: "customfield_10030", name: "CVSS score", kind: Kind::Number, is_required: false },
    Field { id: "customfield_10031", name: "Reference", kind: Kind::Text, is_required: false },
];

fn not_settable(name: &str) -> String {
    format!("Field '{name}' cannot be set. It is not on the appropriate screen, or unknown.")
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

impl Jira {
    /// Sets fields on an issue; every refused field is named.
    ///
    /// A field that is required and still missing is refused when `is_new`.
    pub(super) fn apply(
        &self,
        call: &Call<'_>,
        issue: &mut Issue,
        given: &Map<String, Value>,
        is_new: bool,
    ) -> Result<(), Problem> {
        let (required, has_priority_field) = {
            let state = lock(&self.state);
            (state.required_fields.clone(), state.has_priority_field)
        };
        let mut problem = Problem { status: 400, ..Problem::default() };
        for (name, value) in given {
            let field = FIELDS.iter().find(|field| field.id == name);
            let is_on_screen = match field.map(|field| field.kind) {
                None => false,
                Some(Kind::Priority) => has_priority_field,
                Some(Kind::Project | Kind::IssueType) => is_new,
                Some(_) => true,
            };
            let Some(field) = field.filter(|_| is_on_screen) else {
                problem.add(name, not_settable(name));
                continue;
            };
            match self.set(call, issue, field, value) {
                Ok(()) => {}
                Err(message)
                    if message == "CONTENT_LIMIT_EXCEEDED" || message == "INVALID_INPUT" =>
                {
                    problem.messages.push(message);
                }
                Err(message) => problem.add(name, message),
            }
        }
        if is_new {
            for field in FIELDS {
                let is_required = field.is_required || required.contains(field.id);
                let is_given = given.get(field.id).is_some_and(|value| !value.is_null());
                if is_required && !is_given {
                    problem.add(field.id, missing(field));
                }
            }
        }
        let is_fine = problem.messages.is_empty() && problem.errors.is_empty();
        if is_fine { Ok(()) } else { Err(problem) }
    }

    fn set(
        &self,
        call: &Call<'_>,
        issue: &mut Issue,
        field: &Field,
        value: &Value,
    ) -> Result<(), String> {
        match field.kind {
            Kind::Project => {
                let key = text(value, "key").or(text(value, "id")).unwrap_or_default();
                let found = site::find_project(key);
                issue.project = found.ok_or("valid project is required")?.key.to_owned();
            }
            Kind::IssueType => {
                let (id, name) = (text(value, "id"), text(value, "name"));
                let found = site::ISSUE_TYPES.iter().find(|(known_id, known_name, _)| match id {
                    Some(id) => id == *known_id,
                    None => name == Some(known_name),
                });
                let (id, ..) = found.ok_or("The issue type selected is invalid.")?;
                issue.issue_type = (*id).to_owned();
            }
            Kind::Summary => {
                let summary = value.as_str().ok_or("Operation value must be a string")?;
                issue.summary = checked_summary(summary)?;
            }
            Kind::RichText if value.is_null() => {
                if field.id == "description" {
                    issue.description = Value::Null;
                } else {
                    issue.custom.shift_remove(field.id);
                }
            }
            Kind::RichText => {
                let value = rich_text(value, call.is_v3)?;
                if field.id == "description" {
                    issue.description = value;
                } else {
                    issue.custom.insert(field.id.to_owned(), value);
                }
            }
            Kind::Priority => issue.priority = self.priority(value)?,
            Kind::Labels => {
                let labels = strings(value).ok_or("data was not an array")?;
                issue.labels = Vec::new();
                for label in labels {
                    check_label(&label)?;
                    if !issue.labels.contains(&label) {
                        issue.labels.push(label);
                    }
                }
            }
            Kind::Components => {
                let items = value.as_array().ok_or("data was not an array")?;
                let known = site::find_project(&issue.project).map_or(&[][..], |p| p.components);
                issue.components = Vec::new();
                for item in items {
                    let (id, name) = (text(item, "id"), text(item, "name"));
                    let found = known.iter().find(|(known_id, known_name)| match id {
                        Some(id) => id == *known_id,
                        None => name == Some(known_name),
                    });
                    let (id, _) = found.ok_or_else(|| {
                        let shown = name.or(id).unwrap_or_default();
                        format!("Component name '{shown}' is not valid")
                    })?;
                    issue.components.push((*id).to_owned());
                }
            }
            Kind::Assignee => issue.assignee = self.assignee(value)?,
            Kind::Date => {
                let date = value.as_str().unwrap_or_default();
                date.parse::<jiff::civil::Date>().map_err(|_| {
                    format!("Error parsing date string: {date}; use the format yyyy-MM-dd")
                })?;
                issue.custom.insert(field.id.to_owned(), value.clone());
            }
            Kind::Parent => {
                let key = text(value, "key").or(text(value, "id")).unwrap_or_default();
                let state = lock(&self.state);
                let parent = state.issues.find(key);
                let parent = parent.ok_or("Could not find issue by id or key.")?;
                let parent = json!({ "id": parent.id.to_string(), "key": parent.key });
                issue.custom.insert(field.id.to_owned(), parent);
            }
            Kind::Option(options) => {
                let value = option(options, value, field.id)?;
                issue.custom.insert(field.id.to_owned(), value);
            }
            Kind::Options(options) => {
                let items = value.as_array().ok_or("data was not an array")?;
                let picked: Result<Value, String> =
                    items.iter().map(|item| option(options, item, field.id)).collect();
                issue.custom.insert(field.id.to_owned(), picked?);
            }
            Kind::Number => {
                if !value.is_number() {
                    return Err("Operation value must be a number".to_owned());
                }
                issue.custom.insert(field.id.to_owned(), value.clone());
            }
            Kind::Text => {
                let text = value.as_str().ok_or("Operation value must be a string")?;
                if text.chars().count() > 255 {
                    return Err("The entered text is too long. It exceeds the allowed limit of 255 characters.".to_owned());
                }
                issue.custom.insert(field.id.to_owned(), value.clone());
            }
        }
        Ok(())
    }

    fn priority(&self, value: &Value) -> Result<Option<String>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let (id, name) = (text(value, "id"), text(value, "name"));
        let found = site::PRIORITIES.iter().find(|(known_id, known_name)| match id {
            Some(id) => id == *known_id,
            None => name == Some(known_name),
        });
        let found = found.ok_or("The priority selected is invalid.")?;
        if !self.allowed_priorities().contains(found) {
            return Err("This priority is not available for this project.".to_owned());
        }
        Ok(Some(found.0.to_owned()))
    }

    fn assignee(&self, value: &Value) -> Result<Option<String>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let found = match self.deployment {
            JiraDeployment::Cloud => {
                let id = text(value, "id").or(text(value, "accountId"));
                let id = id.ok_or("Specify a valid 'id' for Assignee")?;
                site::USERS.iter().find(|user| user.account_id == id)
            }
            JiraDeployment::DataCenter => {
                let name = text(value, "name").unwrap_or_default();
                site::USERS.iter().find(|user| user.name == name)
            }
        };
        let found = found.ok_or("User cannot be assigned issues.")?;
        Ok(Some(found.account_id.to_owned()))
    }

    pub(super) fn createmeta_types(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        if site::find_project(key).is_none() {
            return Err(Problem::new(404, format!("No project could be found with key '{key}'.")));
        }
        let api = call.api();
        let all: Vec<Value> =
            site::ISSUE_TYPES.iter().map(|t| site::issue_type_json(&api, t)).collect();
        Ok(Reply::json(200, &site::slice(call, self.list_name("issueTypes"), &all, 200)))
    }

    pub(super) fn createmeta_fields(
        &self,
        call: &Call<'_>,
        key: &str,
        issue_type: &str,
    ) -> Result<Reply, Problem> {
        let project = site::find_project(key).ok_or_else(|| {
            Problem::new(404, format!("No project could be found with key '{key}'."))
        })?;
        if !site::ISSUE_TYPES.iter().any(|(id, ..)| *id == issue_type) {
            return Err(Problem::new(404, "Issue type not found."));
        }
        let api = call.api();
        let (required, has_priority_field) = {
            let state = lock(&self.state);
            (state.required_fields.clone(), state.has_priority_field)
        };
        let mut all = Vec::new();
        for field in FIELDS {
            if field.kind == Kind::Priority && !has_priority_field {
                continue;
            }
            let allowed: Option<Vec<Value>> = match field.kind {
                Kind::Project => Some(vec![site::project_json(&api, project)]),
                Kind::IssueType => {
                    Some(site::ISSUE_TYPES.iter().map(|t| site::issue_type_json(&api, t)).collect())
                }
                Kind::Priority => Some(
                    self.allowed_priorities()
                        .iter()
                        .map(|priority| site::priority_json(&api, priority))
                        .collect(),
                ),
                Kind::Components => {
                    Some(project.components.iter().map(|c| site::component_json(&api, c)).collect())
                }
                Kind::Option(options) | Kind::Options(options) => {
                    Some(options.iter().map(|value| option_json(options, value)).collect())
                }
                _ => None,
            };
            let mut meta = json!({
                "required": field.is_required || required.contains(field.id),
                "schema": schema(field),
                "name": field.name,
                "key": field.id,
                "hasDefaultValue": field.kind == Kind::Priority,
                "operations": match field.kind {
                    Kind::Labels | Kind::Components | Kind::Options(_) => {
                        json!(["add", "set", "remove"])
                    }
                    _ => json!(["set"]),
                },
                "fieldId": field.id,
            });
            if let (Some(allowed), Value::Object(meta)) = (allowed, &mut meta) {
                meta.insert("allowedValues".to_owned(), Value::Array(allowed));
            }
            all.push(meta);
        }
        Ok(Reply::json(200, &site::slice(call, self.list_name("fields"), &all, 200)))
    }

    /// Data Center wraps its lists in `values`.
    fn list_name(&self, cloud: &'static str) -> &'static str {
        match self.deployment {
            JiraDeployment::Cloud => cloud,
            JiraDeployment::DataCenter => "values",
        }
    }

    /// An issue's fields as a reader sees them.
    pub(super) fn fields_json(&self, call: &Call<'_>, issue: &Issue) -> Map<String, Value> {
        let api = call.api();
        let shown = |value: &Value| match (value, call.is_v3) {
            (Value::String(text), true) => adf::from_text(text),
            (Value::Object(_), false) => Value::String(adf::plain_text(value)),
            _ => value.clone(),
        };
        let issue_type = site::ISSUE_TYPES.iter().find(|(id, ..)| *id == issue.issue_type);
        let priority = site::PRIORITIES
            .iter()
            .find(|(id, _)| issue.priority.as_deref() == Some(id))
            .map(|priority| site::priority_json(&api, priority));
        let project = site::find_project(&issue.project);
        let components: Vec<Value> = project
            .map_or(&[][..], |project| project.components)
            .iter()
            .filter(|(id, _)| issue.components.iter().any(|c| c == id))
            .map(|component| site::component_json(&api, component))
            .collect();
        let assignee = site::USERS
            .iter()
            .find(|user| issue.assignee.as_deref() == Some(user.account_id))
            .map(|user| site::user_json(&api, user, self.deployment));
        let status = site::status_json(&api, &issue.status);
        let is_done = issue.status == "Done";
        let comments: Vec<Value> =
            issue.comments.iter().map(|comment| self.comment_json(call, issue, comment)).collect();
        let fields = json!({
            "summary": issue.summary,
            "issuetype": issue_type.map(|t| site::issue_type_json(&api, t)),
            "project": project.map(|project| site::project_json(&api, project)),
            "description": shown(&issue.description),
            "priority": priority,
            "labels": issue.labels,
            "components": components,
            "assignee": assignee,
            "reporter": site::myself(&api, self.deployment),
            "creator": site::myself(&api, self.deployment),
            "status": status,
            "resolution": is_done.then(|| json!({ "id": "10000", "name": "Done" })),
            "created": site::jira_time(issue.created),
            "updated": site::jira_time(issue.updated),
            "issuelinks": issue.links,
            "comment": { "comments": comments, "total": comments.len() },
        });
        let mut fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        for field in FIELDS {
            if let Some(value) = issue.custom.get(field.id) {
                let value = if field.kind == Kind::RichText { shown(value) } else { value.clone() };
                fields.insert(field.id.to_owned(), value);
            } else if field.id.starts_with("customfield_") || field.kind == Kind::Date {
                fields.insert(field.id.to_owned(), Value::Null);
            }
        }
        fields
    }
}

fn missing(field: &Field) -> String {
    match field.kind {
        Kind::Project => "Specify a valid project ID or key".to_owned(),
        Kind::IssueType => "Specify an issue type".to_owned(),
        Kind::Summary => "You must specify a summary of the issue.".to_owned(),
        _ => format!("{} is required.", field.name),
    }
}

fn checked_summary(summary: &str) -> Result<String, String> {
    if summary.trim().is_empty() {
        return Err("You must specify a summary of the issue.".to_owned());
    }
    if summary.contains(['\n', '\r']) {
        return Err("The summary is invalid because it contains newline characters.".to_owned());
    }
    if summary.chars().count() > SUMMARY_CHARS_MAX {
        return Err("Summary can't exceed 255 characters.".to_owned());
    }
    Ok(summary.to_owned())
}

pub(super) fn check_label(label: &str) -> Result<(), String> {
    if label.chars().any(char::is_whitespace) {
        return Err(format!("The label '{label}' contains spaces which is invalid."));
    }
    if label.is_empty() {
        return Err("The label '' is invalid.".to_owned());
    }
    if label.chars().count() > LABEL_CHARS_MAX {
        return Err(format!(
            "The label '{label}' exceeds the maximum length for a single label of 255 characters"
        ));
    }
    Ok(())
}

/// ADF for v3, a plain string for v2.
pub(super) fn rich_text(value: &Value, is_v3: bool) -> Result<Value, String> {
    if is_v3 {
        return match adf::check(value) {
            Ok(()) => Ok(value.clone()),
            Err(Refused::NotADocument) => Err(
                "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
                    .to_owned(),
            ),
            Err(Refused::Invalid) => Err("INVALID_INPUT".to_owned()),
            Err(Refused::TooLong) => Err("CONTENT_LIMIT_EXCEEDED".to_owned()),
        };
    }
    let text = value.as_str().ok_or("Operation value must be a string")?;
    if text.chars().count() > adf::CHARS_MAX {
        return Err(format!(
            "The entered text is too long. It exceeds the allowed limit of {} characters.",
            adf::CHARS_MAX
        ));
    }
    Ok(value.clone())
}

fn option_id(options: &[&str], value: &str) -> Option<usize> {
    options.iter().position(|option| *option == value).map(|at| 10_400 + at)
}

fn option_json(options: &[&str], value: &str) -> Value {
    json!({ "id": option_id(options, value).map(|id| id.to_string()), "value": value })
}

fn option(options: &[&'static str], given: &Value, field: &str) -> Result<Value, String> {
    let (id, value) = (text(given, "id"), text(given, "value"));
    let found = options.iter().find(|option| match value {
        Some(value) => value == **option,
        None => {
            id.is_some()
                && id.map(str::to_owned) == option_id(options, option).map(|n| n.to_string())
        }
    });
    match found {
        Some(option) => Ok(option_json(options, option)),
        None if value.is_none() && id.is_none() => {
            Err("Specify a valid 'id' or 'name' for option".to_owned())
        }
        None => Err(format!(
            "Option value '{}' is not valid for field '{field}'",
            value.or(id).unwrap_or_default()
        )),
    }
}

fn schema(field: &Field) -> Value {
    let system = |kind: &str| json!({ "type": kind, "system": field.id });
    let list = |items: &str| json!({ "type": "array", "items": items, "system": field.id });
    let number = field.id.strip_prefix("customfield_").and_then(|n| n.parse::<u64>().ok());
    let custom = |kind: &str, name: &str| {
        json!({
            "type": kind,
            "custom": format!("com.atlassian.jira.plugin.system.customfieldtypes:{name}"),
            "customId": number,
        })
    };
    match field.kind {
        Kind::Project => system("project"),
        Kind::IssueType => system("issuetype"),
        Kind::Summary => system("string"),
        Kind::RichText if number.is_some() => custom("string", "textarea"),
        Kind::RichText => system("string"),
        Kind::Priority => system("priority"),
        Kind::Labels => list("string"),
        Kind::Components => list("component"),
        Kind::Assignee => system("user"),
        Kind::Date => system("date"),
        Kind::Parent => system("issuelink"),
        Kind::Option(_) => custom("option", "select"),
        Kind::Options(_) => {
            let mut value = custom("array", "multiselect");
            if let Value::Object(value) = &mut value {
                value.insert("items".to_owned(), json!("option"));
            }
            value
        }
        Kind::Number => custom("number", "float"),
        Kind::Text => custom("string", "textfield"),
    }
}

/// `GET /field`: every field of the site.
pub(super) fn all() -> Value {
    FIELDS
        .iter()
        .map(|field| {
            let is_custom = field.id.starts_with("customfield_");
            json!({
                "id": field.id,
                "key": field.id,
                "name": field.name,
                "custom": is_custom,
                "orderable": true,
                "navigable": true,
                "searchable": true,
                "clauseNames": [field.id],
                "schema": schema(field),
            })
        })
        .collect()
}
