//! Search: `/search/jql` in Cloud, the classic `/search` in Data Center.
//!
//! Both read the index, which has an issue only from its `indexed_at` on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::issues::{Issue, list, split};
use super::jql::{self, Query};
use super::{Call, Jira, Problem};
use crate::JiraDeployment;
use crate::http::Reply;
use crate::ledger::lock;

const PAGE_DEFAULT: usize = 50;
/// With more fields than id and key, pages stay smaller.
const PAGE_MAX: usize = 100;
const PAGE_MAX_IDS: usize = 5_000;
const PROPERTIES_MAX: usize = 5;
const RECONCILE_MAX: usize = 50;

/// What a search asks for, from the query string or the body.
struct Asked {
    jql: String,
    fields: Vec<String>,
    properties: Vec<String>,
    size: Option<usize>,
    start: usize,
    token: Option<String>,
    reconcile: Vec<String>,
}

impl Asked {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        let object: Map<String, Value> =
            if call.req.method == "POST" { call.object()? } else { from_query(call) };
        let number = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.parse::<usize>().is_ok() => Ok(text.parse().ok()),
            Some(value) => value
                .as_u64()
                .map(|n| Some(n as usize))
                .ok_or_else(|| Problem::new(400, format!("'{name}' must be a whole number."))),
        };
        let text = |name: &str| object.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            jql: text("jql").unwrap_or_default(),
            fields: list(&object, "fields"),
            properties: list(&object, "properties"),
            size: number("maxResults")?,
            start: number("startAt")?.unwrap_or(0),
            token: text("nextPageToken").filter(|token| !token.is_empty()),
            reconcile: list(&object, "reconcileIssues"),
        })
    }
}

/// Repeated parameters make a list, which itself may be written with commas.
fn from_query(call: &Call<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in &call.req.query {
        let all: Vec<&str> = call.req.queries(name).collect();
        let value = if all.len() > 1 { json!(all.join(",")) } else { json!(value) };
        object.insert(name.clone(), value);
    }
    object
}

impl Jira {
    /// The indexed issues that match, in the query's order; anonymous callers see none.
    fn matching(&self, call: &Call<'_>, query: &Query, reconcile: &[String]) -> Vec<Issue> {
        if !call.is_known {
            return Vec::new();
        }
        let now = self.shared.now();
        let state = lock(&self.state);
        let mut found: Vec<Issue> = state
            .issues
            .all()
            .iter()
            .filter(|issue| issue.indexed_at <= now || reconcile.contains(&issue.id.to_string()))
            .filter(|issue| query.matches(issue, now))
            .cloned()
            .collect();
        query.sort(&mut found);
        found
    }

    pub(super) fn search_jql(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        if self.deployment == JiraDeployment::DataCenter {
            return Err(Problem::new(404, "null for uri"));
        }
        let asked = Asked::read(call)?;
        if asked.properties.len() > PROPERTIES_MAX || asked.reconcile.len() > RECONCILE_MAX {
            return Err(Problem::new(400, "Too many properties or issues to reconcile."));
        }
        let query = jql::parse(&asked.jql).map_err(|message| Problem::new(400, message))?;
        if !query.is_bounded() {
            return Err(Problem::new(
                400,
                "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.",
            ));
        }
        let fields = if asked.fields.is_empty() { vec!["id".to_owned()] } else { asked.fields };
        let is_ids_only = fields.iter().all(|field| field == "id" || field == "key");
        let most = if is_ids_only { PAGE_MAX_IDS } else { PAGE_MAX };
        let size = asked.size.unwrap_or(PAGE_DEFAULT).clamp(1, most);
        // The token names the last issue seen, so that issues made meanwhile shift nothing.
        let after = match &asked.token {
            None => None,
            Some(token) => Some(read_token(token, &asked.jql).ok_or_else(|| {
                Problem::new(400, "The provided next page token is invalid or expired.")
            })?),
        };

        let found = self.matching(call, &query, &asked.reconcile);
        let start = after.map_or(0, |id| {
            found.iter().position(|issue| issue.id == id).map_or(found.len(), |at| at + 1)
        });
        let shown: Vec<&Issue> = found.iter().skip(start).take(size).collect();
        let is_last = start + shown.len() >= found.len();
        let issues: Vec<Value> = shown
            .iter()
            .map(|issue| {
                if fields == ["id"] {
                    return json!({ "id": issue.id.to_string() });
                }
                self.issue_json(call, issue, &fields, &asked.properties)
            })
            .collect();
        let mut reply = json!({ "issues": issues, "isLast": is_last });
        if let (false, Some(last), Value::Object(reply)) = (is_last, shown.last(), &mut reply) {
            let token = write_token(last.id, &asked.jql);
            reply.insert("nextPageToken".to_owned(), json!(token));
        }
        Ok(Reply::json(200, &reply))
    }

    pub(super) fn search_count(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        let asked = Asked::read(call)?;
        let query = jql::parse(&asked.jql).map_err(|message| Problem::new(400, message))?;
        let count = self.matching(call, &query, &[]).len();
        Ok(Reply::json(200, &json!({ "count": count })))
    }

    pub(super) fn search_classic(&self, call: &Call<'_>) -> Result<Reply, Problem> {
        if self.deployment == JiraDeployment::Cloud {
            return Err(Problem::new(
                410,
                "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046",
            ));
        }
        let asked = Asked::read(call)?;
        let query = jql::parse(&asked.jql).map_err(|message| Problem::new(400, message))?;
        let fields = if asked.fields.is_empty() { split("*navigable") } else { asked.fields };
        let size = asked.size.unwrap_or(PAGE_DEFAULT).min(1_000);
        let found = self.matching(call, &query, &[]);
        let issues: Vec<Value> = found
            .iter()
            .skip(asked.start)
            .take(size)
            .map(|issue| self.issue_json(call, issue, &fields, &asked.properties))
            .collect();
        Ok(Reply::json(
            200,
            &json!({
                "expand": "names,schema",
                "startAt": asked.start,
                "maxResults": size,
                "total": found.len(),
                "issues": issues,
            }),
        ))
    }
}

fn write_token(last: u64, jql: &str) -> String {
    STANDARD.encode(json!([last, jql]).to_string())
}

/// A token is good for the query it came from alone.
fn read_token(token: &str, jql: &str) -> Option<u64> {
    let (last, of): (u64, String) = serde_json::from_slice(&STANDARD.decode(token).ok()?).ok()?;
    (of == jql).then_some(last)
}
