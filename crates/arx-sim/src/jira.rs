//! Jira, Cloud (v3, and v2 with plain text) or Data Center (v2).
//!
//! Issues are read directly at once and found by search once the index has them (fault `lag`).
//! A request whose credentials are missing or have expired is anonymous: it sees nothing, which a
//! search reports as an empty list. Start at [`ROUTES`].

mod adf;
mod fields;
mod issues;
mod jql;
mod links;
mod search;
mod site;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::ToSpan;
use serde_json::{Map, Value, json};

use crate::environment::{JIRA_API_TOKEN, JIRA_EMAIL};
use crate::faults::Fault;
use crate::http::{Reply, Request, Route};
use crate::ledger::lock;
use crate::world::{Refusal, Service, Shared};
use crate::{JiraDeployment, Vendor};
use issues::Issues;

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("GET", "/rest/api/{}/serverInfo", "server.info"),
    ("GET", "/rest/api/{}/myself", "users.myself"),
    ("GET", "/rest/api/{}/field", "fields.list"),
    ("GET", "/rest/api/{}/issue/createmeta/{}/issuetypes", "createmeta.types"),
    ("GET", "/rest/api/{}/issue/createmeta/{}/issuetypes/{}", "createmeta.fields"),
    ("GET", "/rest/api/{}/priority", "priorities.list"),
    ("GET", "/rest/api/{}/priority/search", "priorities.search"),
    ("GET", "/rest/api/{}/user/assignable/search", "users.assignable"),
    ("GET", "/rest/api/{}/project", "projects.list"),
    ("GET", "/rest/api/{}/project/{}", "projects.get"),
    ("GET", "/rest/api/{}/project/{}/components", "projects.components"),
    ("GET", "/rest/api/{}/project/{}/properties/{}", "project_properties.get"),
    ("PUT", "/rest/api/{}/project/{}/properties/{}", "project_properties.put"),
    ("POST", "/rest/api/{}/issue", "issues.create"),
    ("POST", "/rest/api/{}/issue/bulk", "issues.bulk_create"),
    ("POST", "/rest/api/{}/issue/bulkfetch", "issues.bulk_fetch"),
    ("GET", "/rest/api/{}/issue/{}", "issues.get"),
    ("PUT", "/rest/api/{}/issue/{}", "issues.edit"),
    ("GET", "/rest/api/{}/issue/{}/properties", "properties.list"),
    ("GET", "/rest/api/{}/issue/{}/properties/{}", "properties.get"),
    ("PUT", "/rest/api/{}/issue/{}/properties/{}", "properties.put"),
    ("GET", "/rest/api/{}/issue/{}/remotelink", "remote_links.list"),
    ("POST", "/rest/api/{}/issue/{}/remotelink", "remote_links.put"),
    ("GET", "/rest/api/{}/issue/{}/comment", "comments.list"),
    ("POST", "/rest/api/{}/issue/{}/comment", "comments.create"),
    ("GET", "/rest/api/{}/issue/{}/transitions", "transitions.list"),
    ("POST", "/rest/api/{}/issue/{}/transitions", "transitions.run"),
    ("GET", "/rest/api/{}/issueLinkType", "links.types"),
    ("POST", "/rest/api/{}/issueLink", "links.create"),
    ("GET", "/rest/api/{}/search", "search.classic"),
    ("POST", "/rest/api/{}/search", "search.classic"),
    ("GET", "/rest/api/{}/search/jql", "search.jql"),
    ("POST", "/rest/api/{}/search/jql", "search.jql"),
    ("POST", "/rest/api/{}/search/approximate-count", "search.count"),
    ("GET", "/browse/{}", "browse"),
];

/// The burst limit that a 429 names.
const BURST_LIMIT: &str = "100";

pub(crate) struct Jira {
    shared: Arc<Shared>,
    deployment: JiraDeployment,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub issues: Issues,
    /// Names of the priorities that the project allows, most severe first.
    pub priorities: Vec<String>,
    pub has_priority_field: bool,
    /// Ids of fields that must be given beside the usual ones.
    pub required_fields: BTreeSet<String>,
    pub is_token_expired: bool,
}

/// A refused request, in Jira's error object.
#[derive(Debug, Default)]
struct Problem {
    status: u16,
    messages: Vec<String>,
    errors: Map<String, Value>,
}

impl Problem {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, messages: vec![message.into()], errors: Map::new() }
    }

    fn field(name: &str, message: impl Into<String>) -> Self {
        let mut problem = Self { status: 400, ..Self::default() };
        problem.add(name, message);
        problem
    }

    fn add(&mut self, name: &str, message: impl Into<String>) {
        self.errors.insert(name.to_owned(), Value::String(message.into()));
    }

    fn no_issue() -> Self {
        Self::new(404, "Issue does not exist or you do not have permission to see it.")
    }

    fn unauthorized() -> Self {
        Self::new(401, "Client must be authenticated to access this resource.")
    }

    fn body(&self) -> Value {
        json!({ "errorMessages": self.messages, "errors": self.errors })
    }

    fn reply(&self) -> Reply {
        Reply::json(self.status, &self.body())
    }
}

/// One request, as its handlers see it.
struct Call<'r> {
    req: &'r Request,
    /// API v3: rich text is ADF. Otherwise plain strings.
    is_v3: bool,
    is_known: bool,
    faults: &'r [Fault],
}

impl Call<'_> {
    fn api(&self) -> String {
        format!("{}/rest/api/{}", self.req.origin, if self.is_v3 { 3 } else { 2 })
    }

    fn object(&self) -> Result<Map<String, Value>, Problem> {
        if !self.req.has_content_type("application/json") {
            return Err(Problem::new(415, "Unsupported Media Type"));
        }
        match self.req.json() {
            Some(Value::Object(object)) => Ok(object),
            _ => Err(Problem::new(
                400,
                "There was an error parsing JSON. Check that your request body is valid.",
            )),
        }
    }
}

impl Jira {
    pub fn new(shared: Arc<Shared>, deployment: JiraDeployment) -> Self {
        let issues = Issues::restore(&shared.ledger.of(Vendor::Jira));
        let state = Mutex::new(State {
            issues,
            priorities: site::PRIORITIES.iter().map(|(_, name)| (*name).to_owned()).collect(),
            has_priority_field: true,
            required_fields: BTreeSet::new(),
            is_token_expired: false,
        });
        Self { shared, deployment, state }
    }

    /// Runs a change that no client asked for.
    pub fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.state))
    }

    fn is_known(&self, req: &Request) -> bool {
        if lock(&self.state).is_token_expired {
            return false;
        }
        match self.deployment {
            JiraDeployment::Cloud => req
                .basic()
                .is_some_and(|(user, token)| user == JIRA_EMAIL && token == JIRA_API_TOKEN),
            JiraDeployment::DataCenter => req.bearer() == Some(JIRA_API_TOKEN),
        }
    }

    fn has_version(&self, version: &str) -> bool {
        match self.deployment {
            JiraDeployment::Cloud => matches!(version, "2" | "3" | "latest"),
            JiraDeployment::DataCenter => matches!(version, "2" | "latest"),
        }
    }

    fn serve(
        &self,
        req: &Request,
        operation: &str,
        open: &[&str],
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        let call = Call {
            req,
            is_v3: open.first() == Some(&"3")
                || (open.first() == Some(&"latest") && self.deployment == JiraDeployment::Cloud),
            is_known: self.is_known(req),
            faults,
        };
        if operation == "browse" {
            return self.browse(&call, open.first().copied().unwrap_or_default());
        }
        if !open.first().is_some_and(|version| self.has_version(version)) {
            return Err(Problem::new(404, "null for uri"));
        }
        if self.deployment == JiraDeployment::Cloud && req.bearer().is_some() {
            return Err(Problem::new(403, "Failed to parse Connect Session Auth Token"));
        }
        let first = open.get(1).copied().unwrap_or_default();
        let second = open.get(2).copied().unwrap_or_default();
        // What an anonymous caller may ask; reads answer as if nothing were there.
        match operation {
            "server.info" => return Ok(self.server_info(&call)),
            "search.classic" => return self.search_classic(&call),
            "search.jql" => return self.search_jql(&call),
            "search.count" => return self.search_count(&call),
            "issues.get" => return self.get_issue(&call, first),
            "issues.bulk_fetch" => return self.bulk_fetch(&call),
            "properties.list" => return self.list_properties(&call, first),
            "properties.get" => return self.get_property(&call, first, second),
            "remote_links.list" => return self.list_remote_links(&call, first),
            "comments.list" => return self.list_comments(&call, first),
            _ if !call.is_known => return Err(Problem::unauthorized()),
            _ => {}
        }
        match operation {
            "users.myself" => Ok(Reply::json(200, &site::myself(&call.api(), self.deployment))),
            "fields.list" => Ok(Reply::json(200, &fields::all())),
            "createmeta.types" => self.createmeta_types(&call, first),
            "createmeta.fields" => self.createmeta_fields(&call, first, second),
            "priorities.list" | "priorities.search" => Ok(self.priorities(&call, operation)),
            "users.assignable" => Ok(site::assignable(&call, self.deployment)),
            "projects.list" => Ok(Reply::json(200, &site::projects(&call.api()))),
            "projects.get" => site::project(&call.api(), first),
            "projects.components" => site::components(&call.api(), first),
            "project_properties.get" => self.get_project_property(&call, first, second),
            "project_properties.put" => self.put_project_property(&call, first, second),
            "issues.create" => self.create(&call),
            "issues.bulk_create" => self.bulk_create(&call),
            "issues.edit" => self.edit(&call, first),
            "properties.put" => self.put_property(&call, first, second),
            "remote_links.put" => self.put_remote_link(&call, first),
            "comments.create" => self.create_comment(&call, first),
            "transitions.list" => self.list_transitions(first),
            "transitions.run" => self.transition(&call, first),
            "links.types" => Ok(Reply::json(200, &links::types(&call.api()))),
            "links.create" => self.link(&call),
            _ => Err(Problem::new(404, "null for uri")),
        }
    }

    fn server_info(&self, call: &Call<'_>) -> Reply {
        let is_cloud = self.deployment == JiraDeployment::Cloud;
        Reply::json(
            200,
            &json!({
                "baseUrl": call.req.origin,
                "version": if is_cloud { "1001.0.0-SNAPSHOT" } else { "9.12.4" },
                "versionNumbers": if is_cloud { [1001, 0, 0] } else { [9, 12, 4] },
                "deploymentType": if is_cloud { "Cloud" } else { "Server" },
                "buildNumber": if is_cloud { 100_276 } else { 9_120_004 },
                "buildDate": "2026-10-01T00:00:00.000+0000",
                "serverTime": site::jira_time(self.shared.now()),
                "scmInfo": "simulated",
                "serverTitle": "Harbourline",
            }),
        )
    }

    /// A page for people who follow the link in a ticket.
    fn browse(&self, _call: &Call<'_>, key: &str) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let issue = state.issues.find(key).ok_or_else(Problem::no_issue)?;
        let escape = |text: &str| quick_xml::escape::escape(text).into_owned();
        Ok(Reply::html(
            200,
            format!(
                "<!doctype html><title>{key}</title><h1>{key}: {}</h1><p>Status: {}</p><pre>{}</pre>",
                escape(&issue.summary),
                issue.status,
                escape(&adf::plain_text(&issue.description)),
                key = escape(&issue.key),
            ),
        ))
    }
}

impl Service for Jira {
    fn vendor(&self) -> Vendor {
        Vendor::Jira
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/rest/api/") || path.starts_with("/browse/")
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn answer(&self, req: &Request, operation: &str, open: &[&str], faults: &[Fault]) -> Reply {
        let reply =
            self.serve(req, operation, open, faults).unwrap_or_else(|problem| problem.reply());
        // The only sign that credentials were sent and not accepted.
        if req.header("authorization").is_some() && operation != "browse" && !self.is_known(req) {
            return reply.header("x-seraph-loginreason", "AUTHENTICATED_FAILED");
        }
        reply
    }

    fn missing(&self, _req: &Request) -> Reply {
        Problem::new(404, "null for uri").reply()
    }

    fn refuse(&self, _req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { after_s } | Refusal::OverLimit { after_s } => {
                let wait = i64::try_from(after_s).unwrap_or(3_600).min(3_600).seconds();
                let now = self.shared.now();
                let reset = now.checked_add(wait).unwrap_or(now);
                Problem::new(429, "Rate limit exceeded.")
                    .reply()
                    .header("retry-after", after_s.to_string())
                    .header("x-ratelimit-limit", BURST_LIMIT)
                    .header("x-ratelimit-remaining", "0")
                    .header("x-ratelimit-reset", reset.to_string())
                    .header("ratelimit-reason", "jira-burst-based")
            }
            Refusal::ServerError => Problem::new(500, "Internal server error").reply(),
            Refusal::Unavailable => Reply::html(503, "<h1>Service Unavailable</h1>".to_owned())
                .header("retry-after", "1"),
        }
    }
}
