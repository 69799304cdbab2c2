//! The simulated site: projects, issue types, priorities, people. Most of it never changes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, Jira, Problem};
use crate::JiraDeployment;
use crate::http::Reply;
use crate::ledger::lock;

pub(super) struct Project {
    pub id: &'static str,
    pub key: &'static str,
    pub name: &'static str,
    pub components: &'static [(&'static str, &'static str)],
}

pub(super) struct User {
    /// Cloud's account id.
    pub account_id: &'static str,
    /// Data Center's user name.
    pub name: &'static str,
    pub display_name: &'static str,
    pub email: &'static str,
}

pub(super) const PROJECTS: &[Project] = &[
    Project {
        id: "10000",
        key: "SEC",
        name: "Security",
        components: &[("10200", "Cloud"), ("10201", "Endpoint"), ("10202", "Network")],
    },
    Project { id: "10001", key: "OPS", name: "Operations", components: &[] },
];

/// Id, name, whether it is a sub-task.
pub(super) const ISSUE_TYPES: &[(&str, &str, bool)] = &[
    ("10001", "Task", false),
    ("10002", "Bug", false),
    ("10003", "Vulnerability", false),
    ("10004", "Story", false),
    ("10005", "Sub-task", true),
];

/// The site's priorities; a control may let the project allow fewer.
pub(crate) const PRIORITIES: &[(&str, &str)] = &[
    ("10100", "Blocker"),
    ("1", "Highest"),
    ("2", "High"),
    ("3", "Medium"),
    ("4", "Low"),
    ("5", "Lowest"),
];

/// Transition id, status it leads to, category.
pub(super) const STATUSES: &[(&str, &str, &str)] =
    &[("11", "To Do", "new"), ("21", "In Progress", "indeterminate"), ("31", "Done", "done")];

pub(super) const USERS: &[User] = &[
    User {
        account_id: "5b10ac8d82e05b22cc7d4ef5",
        name: "secops",
        display_name: "Security Operations",
        email: crate::environment::JIRA_EMAIL,
    },
    User {
        account_id: "5b109f2e9729b51b54dc274d",
        name: "mcastellan",
        display_name: "Mira Castellan",
        email: "mira.castellan@harbourline.example",
    },
    User {
        account_id: "5b10a2844c20165700ede21g",
        name: "twren",
        display_name: "Tobias Wren",
        email: "tobias.wren@harbourline.example",
    },
];

/// Jira's own form: `2026-11-15T09:30:00.000+0000`.
pub(super) fn jira_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string()
}

pub(super) fn find_project(id_or_key: &str) -> Option<&'static Project> {
    PROJECTS.iter().find(|project| project.id == id_or_key || project.key == id_or_key)
}

fn no_project(key: &str) -> Problem {
    Problem::new(404, format!("No project could be found with key '{key}'."))
}

pub(super) fn project_json(api: &str, project: &Project) -> Value {
    json!({
        "self": format!("{api}/project/{}", project.id),
        "id": project.id,
        "key": project.key,
        "name": project.name,
        "projectTypeKey": "software",
        "simplified": false,
    })
}

pub(super) fn projects(api: &str) -> Value {
    PROJECTS.iter().map(|project| project_json(api, project)).collect()
}

pub(super) fn project(api: &str, id_or_key: &str) -> Result<Reply, Problem> {
    let project = find_project(id_or_key).ok_or_else(|| no_project(id_or_key))?;
    let mut value = project_json(api, project);
    if let Value::Object(value) = &mut value {
        let types: Value = ISSUE_TYPES.iter().map(|t| issue_type_json(api, t)).collect();
        value.insert("issueTypes".to_owned(), types);
        let components = project.components.iter().map(|c| component_json(api, c)).collect();
        value.insert("components".to_owned(), components);
    }
    Ok(Reply::json(200, &value))
}

pub(super) fn components(api: &str, id_or_key: &str) -> Result<Reply, Problem> {
    let project = find_project(id_or_key).ok_or_else(|| no_project(id_or_key))?;
    let all: Value = project.components.iter().map(|c| component_json(api, c)).collect();
    Ok(Reply::json(200, &all))
}

pub(super) fn component_json(api: &str, component: &(&str, &str)) -> Value {
    let (id, name) = component;
    json!({ "self": format!("{api}/component/{id}"), "id": id, "name": name })
}

pub(super) fn issue_type_json(api: &str, issue_type: &(&str, &str, bool)) -> Value {
    let (id, name, is_subtask) = issue_type;
    json!({
        "self": format!("{api}/issuetype/{id}"),
        "id": id,
        "description": "",
        "name": name,
        "untranslatedName": name,
        "subtask": is_subtask,
        "hierarchyLevel": if *is_subtask { -1 } else { 0 },
    })
}

pub(super) fn priority_json(api: &str, priority: &(&str, &str)) -> Value {
    let (id, name) = priority;
    json!({ "self": format!("{api}/priority/{id}"), "id": id, "name": name })
}

pub(super) fn status_json(api: &str, status: &str) -> Value {
    let found = STATUSES.iter().find(|(_, name, _)| *name == status);
    let (id, category) = found.map_or(("11", "new"), |(id, _, category)| (*id, *category));
    json!({
        "self": format!("{api}/status/{id}"),
        "id": id,
        "name": status,
        "statusCategory": { "key": category, "name": match category {
            "new" => "To Do",
            "done" => "Done",
            _ => "In Progress",
        } },
    })
}

pub(super) fn user_json(api: &str, user: &User, deployment: JiraDeployment) -> Value {
    let mut value = match deployment {
        JiraDeployment::Cloud => json!({
            "self": format!("{api}/user?accountId={}", user.account_id),
            "accountId": user.account_id,
            "accountType": "atlassian",
        }),
        JiraDeployment::DataCenter => json!({
            "self": format!("{api}/user?username={}", user.name),
            "key": user.name,
            "name": user.name,
        }),
    };
    if let Value::Object(value) = &mut value {
        value.insert("emailAddress".to_owned(), json!(user.email));
        value.insert("displayName".to_owned(), json!(user.display_name));
        value.insert("active".to_owned(), json!(true));
        value.insert("timeZone".to_owned(), json!("Etc/UTC"));
    }
    value
}

pub(super) fn myself(api: &str, deployment: JiraDeployment) -> Value {
    USERS.first().map_or(Value::Null, |user| user_json(api, user, deployment))
}

pub(super) fn assignable(call: &Call<'_>, deployment: JiraDeployment) -> Reply {
    let wanted = call.req.query("query").or(call.req.query("username")).unwrap_or_default();
    let wanted = wanted.to_lowercase();
    let account = call.req.query("accountId");
    let found: Value = USERS
        .iter()
        .filter(|user| {
            account.is_none_or(|id| id == user.account_id)
                && [user.display_name, user.email, user.name]
                    .iter()
                    .any(|text| text.to_lowercase().contains(&wanted))
        })
        .map(|user| user_json(&call.api(), user, deployment))
        .collect();
    Reply::json(200, &found)
}

/// The part of a list that `startAt` and `maxResults` ask for, under a name.
pub(super) fn slice(call: &Call<'_>, name: &str, all: &[Value], most: usize) -> Value {
    let start = call.req.number("startAt").unwrap_or(0);
    let size = call.req.number("maxResults").unwrap_or(50).min(most);
    let shown: Vec<&Value> = all.iter().skip(start).take(size).collect();
    let is_last = start + shown.len() >= all.len();
    json!({
        "maxResults": size,
        "startAt": start,
        "total": all.len(),
        "isLast": is_last,
        name: shown,
    })
}

impl Jira {
    /// The priorities the project allows, in the site's order.
    pub(super) fn allowed_priorities(&self) -> Vec<(&'static str, &'static str)> {
        let state = lock(&self.state);
        PRIORITIES
            .iter()
            .copied()
            .filter(|(_, name)| state.priorities.iter().any(|allowed| allowed == name))
            .collect()
    }

    pub(super) fn priorities(&self, call: &Call<'_>, operation: &str) -> Reply {
        // Without a project, the whole site's.
        let found = if call.req.query("projectId").is_some() {
            self.allowed_priorities()
        } else {
            PRIORITIES.to_vec()
        };
        let api = call.api();
        let all: Vec<Value> = found.iter().map(|p| priority_json(&api, p)).collect();
        if operation == "priorities.list" {
            return Reply::json(200, &Value::Array(all));
        }
        Reply::json(200, &slice(call, "values", &all, 50))
    }
}
