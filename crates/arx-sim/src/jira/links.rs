//! What hangs on an issue: remote links, links, comments, transitions.

use serde_json::{Map, Value, json};

use super::issues::{Comment, Issue, RemoteLink};
use super::{Call, Jira, Problem, adf, fields, site};
use crate::http::Reply;
use crate::ledger::lock;

const GLOBAL_ID_CHARS_MAX: usize = 255;

const TYPES: &[(&str, &str, &str, &str)] = &[
    ("10000", "Blocks", "is blocked by", "blocks"),
    ("10001", "Cloners", "is cloned by", "clones"),
    ("10002", "Duplicate", "is duplicated by", "duplicates"),
    ("10003", "Relates", "relates to", "relates to"),
];

fn type_json(api: &str, link_type: &(&str, &str, &str, &str)) -> Value {
    let (id, name, inward, outward) = link_type;
    json!({
        "id": id,
        "name": name,
        "inward": inward,
        "outward": outward,
        "self": format!("{api}/issueLinkType/{id}"),
    })
}

pub(super) fn types(api: &str) -> Value {
    let all: Value = TYPES.iter().map(|link_type| type_json(api, link_type)).collect();
    json!({ "issueLinkTypes": all })
}

impl Jira {
    pub(super) fn list_remote_links(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let issue = state.issues.find(key).filter(|_| call.is_known);
        let issue = issue.ok_or_else(Problem::no_issue)?;
        let wanted = call.req.query("globalId");
        let shown: Vec<Value> = issue
            .remote_links
            .iter()
            .filter(|link| wanted.is_none_or(|id| link.global_id.as_deref() == Some(id)))
            .map(|link| {
                let mut value = link.link.clone();
                if let Value::Object(value) = &mut value {
                    value.insert("id".to_owned(), json!(link.id));
                    value.insert("self".to_owned(), json!(remote_link_url(call, issue, link.id)));
                }
                value
            })
            .collect();
        // One global id names one link.
        match (wanted, shown.first()) {
            (Some(_), None) => Err(Problem::new(404, "No remote link with that globalId.")),
            (Some(_), Some(link)) => Ok(Reply::json(200, link)),
            (None, _) => Ok(Reply::json(200, &Value::Array(shown))),
        }
    }

    pub(super) fn put_remote_link(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let global_id = match asked.get("globalId") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) if id.chars().count() <= GLOBAL_ID_CHARS_MAX => {
                Some(id.clone())
            }
            Some(_) => {
                let message = "The global ID must be a string of at most 255 characters.";
                return Err(Problem::field("globalId", message));
            }
        };
        for field in ["title", "url"] {
            let text = asked.get("object").and_then(|o| o.get(field)).and_then(Value::as_str);
            if text.is_none_or(str::is_empty) {
                let message = format!("'{field}' is required.");
                return Err(Problem::field(field, message));
            }
        }
        let mut state = lock(&self.state);
        let id = state.issues.next_link_id();
        let issue = state.issues.find_mut(key).ok_or_else(Problem::no_issue)?;
        issue.updated = self.shared.now();
        let link = Value::Object(asked);
        let title = link.pointer("/object/title").and_then(Value::as_str).unwrap_or_default();
        let title = title.to_owned();
        let known = issue
            .remote_links
            .iter_mut()
            .find(|known| global_id.is_some() && known.global_id == global_id);
        let (status, id) = match known {
            Some(known) => {
                known.link = link;
                (200, known.id)
            }
            None => {
                issue.remote_links.push(RemoteLink { id, global_id, link });
                (201, id)
            }
        };
        self.shared.record(issue.write_titled("remote_links.put", title));
        let reply = json!({ "id": id, "self": remote_link_url(call, issue, id) });
        Ok(Reply::json(status, &reply).committed())
    }

    pub(super) fn link(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let text = |pointer: &str| {
            let (outer, inner) = pointer.split_once('/').unwrap_or((pointer, ""));
            asked.get(outer).and_then(|value| value.get(inner)).and_then(Value::as_str)
        };
        let wanted = text("type/name").or(text("type/id")).unwrap_or_default();
        let found = TYPES.iter().find(|(id, name, ..)| *id == wanted || *name == wanted);
        let link_type = found.ok_or_else(|| {
            Problem::new(404, format!("No issue link type with name '{wanted}' found."))
        })?;
        let mut state = lock(&self.state);
        let end = |name: &str| {
            let key = text(&format!("{name}/key")).or(text(&format!("{name}/id")));
            let issue = state.issues.find(key.unwrap_or_default());
            issue.map(|issue| (issue.id, issue.key.clone())).ok_or_else(Problem::no_issue)
        };
        let (inward, outward) = (end("inwardIssue")?, end("outwardIssue")?);
        let id = state.issues.next_link_id().to_string();
        let kind = type_json(&call.api(), link_type);
        let ends = [(&outward.1, "inwardIssue", &inward), (&inward.1, "outwardIssue", &outward)];
        for (key, name, (other_id, other_key)) in ends {
            let mut link = Map::new();
            link.insert("id".to_owned(), json!(id));
            link.insert("type".to_owned(), kind.clone());
            let other = json!({ "id": other_id.to_string(), "key": other_key });
            link.insert(name.to_owned(), other);
            if let Some(issue) = state.issues.find_mut(key) {
                issue.links.push(Value::Object(link));
                let title = format!("{}: {} -> {}", link_type.1, inward.1, outward.1);
                self.shared.record(issue.write_titled("links.create", title));
            }
        }
        Ok(Reply::empty(201).committed())
    }

    pub(super) fn create_comment(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let body = asked.get("body").unwrap_or(&Value::Null);
        let body = fields::rich_text(body, call.is_v3)
            .map_err(|message| Problem::field("comment", message))?;
        let mut state = lock(&self.state);
        let issue = state.issues.find_mut(key).ok_or_else(Problem::no_issue)?;
        let n = issue.comments.len() as u64 + 1;
        let comment = Comment { id: issue.id * 100 + n, body, created: self.shared.now() };
        issue.comments.push(comment.clone());
        issue.updated = comment.created;
        let start: String = adf::plain_text(&comment.body).chars().take(80).collect();
        self.shared.record(issue.write_titled("comments.create", start));
        let issue = issue.clone();
        Ok(Reply::json(201, &self.comment_json(call, &issue, &comment)).committed())
    }

    pub(super) fn list_comments(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let issue = state.issues.find(key).filter(|_| call.is_known);
        let issue = issue.ok_or_else(Problem::no_issue)?;
        let all: Vec<Value> =
            issue.comments.iter().map(|comment| self.comment_json(call, issue, comment)).collect();
        Ok(Reply::json(200, &site::slice(call, "comments", &all, 5_000)))
    }

    pub(super) fn comment_json(&self, call: &Call<'_>, issue: &Issue, comment: &Comment) -> Value {
        let body = match (&comment.body, call.is_v3) {
            (Value::String(text), true) => adf::from_text(text),
            (Value::Object(_), false) => Value::String(adf::plain_text(&comment.body)),
            (other, _) => other.clone(),
        };
        json!({
            "self": format!("{}/issue/{}/comment/{}", call.api(), issue.id, comment.id),
            "id": comment.id.to_string(),
            "author": site::myself(&call.api(), self.deployment),
            "body": body,
            "created": site::jira_time(comment.created),
            "updated": site::jira_time(comment.created),
            "jsdPublic": true,
        })
    }

    pub(super) fn list_transitions(&self, key: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let issue = state.issues.find(key).ok_or_else(Problem::no_issue)?;
        let all: Vec<Value> = site::STATUSES
            .iter()
            .filter(|(_, status, _)| *status != issue.status)
            .map(|(id, status, _)| {
                json!({
                    "id": id,
                    "name": status,
                    "to": site::status_json("", status),
                    "hasScreen": false,
                    "isGlobal": true,
                    "isInitial": false,
                    "isAvailable": true,
                    "isConditional": false,
                })
            })
            .collect();
        Ok(Reply::json(200, &json!({ "expand": "transitions", "transitions": all })))
    }

    pub(super) fn transition(&self, call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let asked = call.object()?;
        let wanted = asked.get("transition").and_then(|t| t.get("id"));
        let wanted = wanted.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let Some(wanted) = wanted else {
            return Err(Problem::new(400, "Missing 'transition' identifier"));
        };
        let mut state = lock(&self.state);
        let issue = state.issues.find_mut(key).ok_or_else(Problem::no_issue)?;
        let found =
            site::STATUSES.iter().find(|(id, status, _)| *id == wanted && *status != issue.status);
        let Some((_, status, _)) = found else {
            return Err(Problem::new(
                400,
                format!(
                    "It seems that you have tried to perform a workflow operation ({wanted}) that is not valid for the current state of this issue ({}).",
                    issue.key
                ),
            ));
        };
        issue.status = (*status).to_owned();
        issue.updated = self.shared.now();
        self.shared.record(issue.write("transitions.run"));
        Ok(Reply::empty(204).committed())
    }
}

fn remote_link_url(call: &Call<'_>, issue: &Issue, id: u64) -> String {
    format!("{}/issue/{}/remotelink/{id}", call.api(), issue.id)
}
