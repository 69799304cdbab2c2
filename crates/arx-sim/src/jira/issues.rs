//! Issues: create, read, edit, and their properties.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Call, Jira, Problem, State, site};
use crate::Vendor;
use crate::faults::Fault;
use crate::http::Reply;
use crate::ledger::{Entry, Write, lock};

/// Issues in one bulk create.
const BULK_MAX: usize = 50;
/// Issues in one bulk fetch.
const FETCH_MAX: usize = 100;
const PROPERTY_KEY_CHARS_MAX: usize = 255;
const PROPERTY_BYTES_MAX: usize = 32_768;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Comment {
    pub id: u64,
    pub body: Value,
    pub created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteLink {
    pub id: u64,
    pub global_id: Option<String>,
    /// What the client sent, returned as it is.
    pub link: Value,
}

/// One issue, as it is kept and as the ledger holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Issue {
    pub id: u64,
    pub key: String,
    pub project: String,
    pub issue_type: String,
    pub summary: String,
    /// ADF where v3 wrote it, a string where v2 did.
    pub description: Value,
    pub priority: Option<String>,
    pub labels: Vec<String>,
    pub components: Vec<String>,
    pub assignee: Option<String>,
    pub custom: Map<String, Value>,
    pub status: String,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// From when search finds it.
    pub indexed_at: Timestamp,
    pub properties: Map<String, Value>,
    pub comments: Vec<Comment>,
    pub remote_links: Vec<RemoteLink>,
    pub links: Vec<Value>,
}

#[derive(Default)]
pub(crate) struct Issues {
    all: Vec<Issue>,
    /// Numbers used per project, also by creates that failed.
    numbers: std::collections::BTreeMap<String, u64>,
    project_properties: Vec<(String, String, Value)>,
    n_links: u64,
}

impl Issues {
    /// The issues as the last ledger line about each left them.
    pub fn restore(entries: &[Entry]) -> Self {
        let mut found = Self::default();
        for entry in entries {
            if entry.operation == "project_properties.put" {
                if let Some((project, key)) = entry.id.split_once('/') {
                    found.set_project_property(project, key, entry.state.clone());
                }
                continue;
            }
            let Ok(issue) = serde_json::from_value::<Issue>(entry.state.clone()) else { continue };
            let number = issue.key.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            let used = found.numbers.entry(issue.project.clone()).or_default();
            *used = number.max(*used);
            match found.find_mut(&issue.key) {
                Some(known) => *known = issue,
                None => found.all.push(issue),
            }
        }
        found.n_links = found.all.iter().map(|i| i.remote_links.len() as u64).sum();
        found
    }

    pub fn all(&self) -> &[Issue] {
        &self.all
    }

    pub fn find(&self, id_or_key: &str) -> Option<&Issue> {
        let id = id_or_key.parse().ok();
        self.all
            .iter()
            .find(|issue| Some(issue.id) == id || issue.key.eq_ignore_ascii_case(id_or_key))
    }

    pub fn find_mut(&mut self, id_or_key: &str) -> Option<&mut Issue> {
        let id = id_or_key.parse().ok();
        self.all
            .iter_mut()
            .find(|issue| Some(issue.id) == id || issue.key.eq_ignore_ascii_case(id_or_key))
    }

    pub fn next_link_id(&mut self) -> u64 {
        self.n_links += 1;
        10_000 + self.n_links
    }

    /// Every attempt takes a number, so keys have gaps where creates failed.
    fn take_number(&mut self, project: &str) -> u64 {
        let used = self.numbers.entry(project.to_owned()).or_default();
        *used += 1;
        *used
    }

    pub(super) fn project_property(&self, project: &str, key: &str) -> Option<&Value> {
        self.project_properties
            .iter()
            .find(|(p, k, _)| p == project && k == key)
            .map(|(_, _, value)| value)
    }

    /// True when the property is new.
    pub(super) fn set_project_property(&mut self, project: &str, key: &str, value: Value) -> bool {
        match self.project_properties.iter_mut().find(|(p, k, _)| p == project && k == key) {
            Some((_, _, known)) => {
                *known = value;
                false
            }
            None => {
                self.project_properties.push((project.to_owned(), key.to_owned(), value));
                true
            }
        }
    }
}

impl Issue {
    pub fn write(&self, operation: &'static str) -> Write {
        self.write_titled(operation, self.summary.clone())
    }

    pub fn write_titled(&self, operation: &'static str, title: String) -> Write {
        let key = self.properties.iter().next();
        Write {
            vendor: Vendor::Jira,
            operation,
            id: self.key.clone(),
            key: key.map(|(key, value)| json!({ "property": key, "value": value })),
            title,
            state: serde_json::to_value(self).unwrap_or_default(),
        }
    }

    fn blank(now: Timestamp) -> Self {
        Self {
            id: 0,
            key: String::new(),
            project: String::new(),
            issue_type: String::new(),
            summary: String::new(),
            description: Value::Null,
            priority: None,
            labels: Vec::new(),
            components: Vec::new(),
            assignee: None,
            custom: Map::new(),
            status: "To Do".to_owned(),
            created: now,
            updated: now,
            indexed_at: now,
            properties: Map::new(),
            comments: Vec::new(),
            remote_links: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// Key and size limits of a property.
pub(super) fn check_property(key: &str, value: &Value) -> Result<(), Problem> {
    if key.is_empty() || key.chars().count() > PROPERTY_KEY_CHARS_MAX {
        return Err(Problem::new(400, "The property key must have between 1 and 255 characters."));
    }
    if value.to_string().len() > PROPERTY_BYTES_MAX {
        return Err(Problem::new(
            400,
            "The property value is too long. It must be at most 32768 characters.",
        ));
    }
    Ok(())
}

impl Jira {
    /// Checks one create; nothing is kept yet.
    fn draft(&self, call: &Call<'_>, asked: &Map<String, Value>) -> Result<Issue, Problem> {
        let Some(fields) = asked.get("fields").and_then(Value::as_object) else {
            return Err(Problem::new(400, "Field 'fields' is required."));
        };
        if asked
            .get("update")
            .is_some_and(|update| update.as_object().is_none_or(|u| !u.is_empty()))
        {
            return Err(Problem::new(400, "`update` is not simulated on create; use `fields`."));
        }
        let mut issue = Issue::blank(self.shared.now());
        self.apply(call, &mut issue, fields, true)?;
        if issue.priority.is_none() && lock(&self.state).has_priority_field {
            // The site's default.
            issue.priority = Some("3".to_owned());
        }
        let properties = match asked.get("properties") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(properties)) => properties,
            Some(_) => return Err(Problem::new(400, "`properties` must be an array.")),
        };
        for property in properties {
            let key = property.get("key").and_then(Value::as_str).unwrap_or_default();
            let value = property.get("value").cloned().unwrap_or_default();
            check_property(key, &value)?;
            issue.properties.insert(key.to_owned(), value);
        }
        Ok(issue)
    }

    /// Gives a checked draft its id and key, and records it.
    fn commit(&self, call: &Call<'_>, state: &mut State, mut issue: Issue) -> Value {
        let number = state.issues.take_number(&issue.project);
        issue.id = 10_000 + state.issues.all.len() as u64;
        issue.key = format!("{}-{number}", issue.project);
        for fault in call.faults {
            if let Fault::Lag(delay) = fault {
                issue.indexed_at = issue.created + *delay;
            }
        }
        self.shared.record(issue.write("issues.create"));
        let reply = json!({
            "id": issue.id.to_string(),
            "key": issue.key,
            "self": format!("{}/issue/{}", call.api(), issue.id),
        });
        state.issues.all.push(issue);
        reply
    }

    /// A refused create still uses up a number when its project was known.
    fn waste_number(&self, asked: &Map<String, Value>) {
        let project = asked.get("fields").and_then(|fields| fields.get("project"));
        let key = project.and_then(|p| p.get("key").or(p.get("id"))).and_then(Value::as_str);
        if let Some(project) = key.and_then(site::find_project) {
            lock(&self.state).issues.take_number(project.key);
        }
    }

    pub(super) fn create(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let issue = self.draft(call, &asked).inspect_err(|_| self.waste_number(&asked))?;
        let mut state = lock(&self.state);
        Ok(Reply::json(201, &self.commit(call, &mut state, issue)).committed())
    }

    pub(super) fn bulk_create(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let Some(updates) = asked.get("issueUpdates").and_then(Value::as_array) else {
            return Err(Problem::new(400, "Field 'issueUpdates' is required."));
        };
        if updates.is_empty() || updates.len() > BULK_MAX {
            return Err(Problem::new(400, "Between 1 and 50 issues can be created at once."));
        }
        let (mut issues, mut errors) = (Vec::new(), Vec::new());
        for (index, update) in updates.iter().enumerate() {
            let empty = Map::new();
            match self.draft(call, update.as_object().unwrap_or(&empty)) {
                Ok(issue) => issues.push(self.commit(call, &mut lock(&self.state), issue)),
                Err(problem) => errors.push(json!({
                    "status": problem.status,
                    "elementErrors": problem.body(),
                    "failedElementNumber": index,
                })),
            }
        }
        let status = if issues.is_empty() { 400 } else { 201 };
        let reply = Reply::json(status, &json!({ "issues": issues, "errors": errors }));
        Ok(if status == 201 { reply.committed() } else { reply })
    }

    pub(super) fn edit(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let mut issue =
            lock(&self.state).issues.find(key).cloned().ok_or_else(Problem::no_issue)?;
        if let Some(fields) = asked.get("fields") {
            let fields = fields
                .as_object()
                .ok_or_else(|| Problem::new(400, "`fields` must be an object."))?;
            self.apply(call, &mut issue, fields, false)?;
        }
        if let Some(update) = asked.get("update") {
            update_labels(&mut issue, update)?;
        }
        issue.updated = self.shared.now();
        let mut state = lock(&self.state);
        let known = state.issues.find_mut(key).ok_or_else(Problem::no_issue)?;
        *known = issue;
        self.shared.record(known.write("issues.edit"));
        Ok(Reply::empty(204).committed())
    }

    /// The issue, when the caller may see it.
    fn seen<'s>(&self, call: &Call<'_>, state: &'s State, key: &str) -> Result<&'s Issue, Problem> {
        let found = state.issues.find(key).filter(|_| call.is_known);
        found.ok_or_else(Problem::no_issue)
    }

    pub(super) fn get_issue(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let issue = self.seen(call, &lock(&self.state), key)?.clone();
        let fields = split(call.req.query("fields").unwrap_or("*all"));
        let properties = split(call.req.query("properties").unwrap_or_default());
        Ok(Reply::json(200, &self.issue_json(call, &issue, &fields, &properties)))
    }

    pub(super) fn bulk_fetch(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let keys = list(&asked, "issueIdsOrKeys");
        if keys.is_empty() || keys.len() > FETCH_MAX {
            return Err(Problem::new(400, "Between 1 and 100 issue ids or keys must be given."));
        }
        let mut fields = list(&asked, "fields");
        if fields.is_empty() {
            fields = vec!["*navigable".to_owned()];
        }
        let properties = list(&asked, "properties");
        // Missing issues are left out; each found one comes once, in ascending id.
        let mut found: Vec<Issue> = {
            let state = lock(&self.state);
            keys.iter().filter_map(|key| self.seen(call, &state, key).ok().cloned()).collect()
        };
        found.sort_by_key(|issue| issue.id);
        found.dedup_by_key(|issue| issue.id);
        let issues: Vec<Value> =
            found.iter().map(|issue| self.issue_json(call, issue, &fields, &properties)).collect();
        Ok(Reply::json(200, &json!({ "expand": "names", "issues": issues, "issueErrors": [] })))
    }

    /// An issue with the fields and properties that were asked for.
    pub(super) fn issue_json(
        &self,
        call: &Call<'_>,
        issue: &Issue,
        fields: &[String],
        properties: &[String],
    ) -> Value {
        let mut all = self.fields_json(call, issue);
        let has_all = fields.iter().any(|f| f == "*all" || f == "*navigable");
        if fields.iter().all(|f| f == "*navigable" || f.starts_with('-')) {
            all.shift_remove("comment");
        }
        all.retain(|name, _| {
            (has_all || fields.iter().any(|f| f == name))
                && !fields.iter().any(|f| f.strip_prefix('-') == Some(name))
        });
        let mut value = json!({
            "expand": "renderedFields,names,schema,operations,editmeta,changelog",
            "id": issue.id.to_string(),
            "self": format!("{}/issue/{}", call.api(), issue.id),
            "key": issue.key,
            "fields": all,
        });
        if let (false, Value::Object(value)) = (properties.is_empty(), &mut value) {
            let shown: Map<String, Value> = issue
                .properties
                .iter()
                .filter(|(key, _)| properties.iter().any(|p| p == "*all" || p == *key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            value.insert("properties".to_owned(), Value::Object(shown));
        }
        value
    }

    pub(super) fn list_properties(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let issue = self.seen(call, &state, key)?;
        let keys: Vec<Value> = issue
            .properties
            .keys()
            .map(|name| {
                let link = format!("{}/issue/{}/properties/{name}", call.api(), issue.id);
                json!({ "self": link, "key": name })
            })
            .collect();
        Ok(Reply::json(200, &json!({ "keys": keys })))
    }

    pub(super) fn get_property(
        &self,
        call: &Call<'_>,
        key: &str,
        name: &str,
    ) -> Result<Reply, Problem> {
        let name = decoded(name);
        let state = lock(&self.state);
        let issue = self.seen(call, &state, key)?;
        let value = issue.properties.get(&name).ok_or_else(|| {
            Problem::new(404, format!("The property with key '{name}' does not exist."))
        })?;
        Ok(Reply::json(200, &json!({ "key": name, "value": value })))
    }

    pub(super) fn put_property(
        &self,
        call: &Call<'_>,
        key: &str,
        name: &str,
    ) -> Result<Reply, Problem> {
        let name = decoded(name);
        let value = call.req.json().ok_or_else(|| Problem::new(400, "The value is not JSON."))?;
        check_property(&name, &value)?;
        let mut state = lock(&self.state);
        let issue = state.issues.find_mut(key).ok_or_else(Problem::no_issue)?;
        let is_new = issue.properties.insert(name, value).is_none();
        issue.updated = self.shared.now();
        self.shared.record(issue.write("properties.put"));
        Ok(Reply::empty(if is_new { 201 } else { 200 }).committed())
    }

    pub(super) fn get_project_property(
        &self,
        _call: &Call<'_>,
        project: &str,
        name: &str,
    ) -> Result<Reply, Problem> {
        let name = decoded(name);
        let project =
            site::find_project(project).ok_or_else(|| Problem::new(404, "Project not found."))?;
        let state = lock(&self.state);
        let value = state.issues.project_property(project.key, &name).ok_or_else(|| {
            Problem::new(404, format!("The property with key '{name}' does not exist."))
        })?;
        Ok(Reply::json(200, &json!({ "key": name, "value": value })))
    }

    pub(super) fn put_project_property(
        &self,
        call: &Call<'_>,
        project: &str,
        name: &str,
    ) -> Result<Reply, Problem> {
        let name = decoded(name);
        let project =
            site::find_project(project).ok_or_else(|| Problem::new(404, "Project not found."))?;
        let value = call.req.json().ok_or_else(|| Problem::new(400, "The value is not JSON."))?;
        check_property(&name, &value)?;
        let mut state = lock(&self.state);
        let is_new = state.issues.set_project_property(project.key, &name, value.clone());
        self.shared.record(Write {
            vendor: Vendor::Jira,
            operation: "project_properties.put",
            id: format!("{}/{name}", project.key),
            key: None,
            title: name,
            state: value,
        });
        Ok(Reply::empty(if is_new { 201 } else { 200 }).committed())
    }
}

/// `{"labels":[{"add":"x"},{"remove":"y"}]}`; other fields are edited through `fields`.
fn update_labels(issue: &mut Issue, update: &Value) -> Result<(), Problem> {
    let Some(update) = update.as_object() else {
        return Err(Problem::new(400, "`update` must be an object."));
    };
    for (field, operations) in update {
        let operations = operations.as_array().filter(|_| field == "labels").ok_or_else(|| {
            Problem::field(field, "Only updates of labels are simulated; use `fields`.")
        })?;
        for operation in operations {
            let label = |name: &str| operation.get(name).and_then(Value::as_str);
            if let Some(label) = label("add") {
                super::fields::check_label(label).map_err(|m| Problem::field("labels", m))?;
                if !issue.labels.iter().any(|known| known == label) {
                    issue.labels.push(label.to_owned());
                }
            } else if let Some(label) = label("remove") {
                issue.labels.retain(|known| known != label);
            } else {
                return Err(Problem::field("labels", "Unknown operation."));
            }
        }
    }
    Ok(())
}

pub(super) fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub(super) fn list(asked: &Map<String, Value>, name: &str) -> Vec<String> {
    match asked.get(name) {
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect(),
        Some(Value::String(text)) => split(text),
        _ => Vec::new(),
    }
}

/// A path segment without its percent escapes.
fn decoded(segment: &str) -> String {
    url::form_urlencoded::parse(format!("k={}", segment.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}
