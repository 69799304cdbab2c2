//! Wiz: OAuth client credentials, then one GraphQL endpoint.
//!
//! Queries are read ([`graphql`]), checked against the fields the schema has ([`schema`]) and
//! answered from the estate ([`render`]). `orderBy` is checked and then ignored: rows come in the
//! estate's order, which is stable. There are no mutations: the service account may only read.

mod filter;
mod graphql;
mod render;
mod schema;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Vendor;
use crate::environment::{WIZ_CLIENT_ID, WIZ_CLIENT_SECRET};
use crate::estate::{Severity, time, uuid};
use crate::faults::{Fault, Paging, mix};
use crate::http::{Reply, Request, Route, pairs};
use crate::ledger::lock;
use crate::world::{Refusal, Service, Shared};
use filter::{Filter, Picks};
use graphql::{Field, Selection};
use render::{Plans, Text};

const ROUTES: &[Route] =
    &[("POST", "/oauth/token", "oauth.token"), ("POST", "/graphql", "graphql.other")];

/// The largest page that is honoured.
const PAGE_MAX: u64 = 500;
const PAGE_DEFAULT: u64 = 50;
/// What a token lives, unless a fault says otherwise.
const TOKEN_LIFE: Duration = Duration::from_secs(86_400);
/// Tokens remembered; when full, the old ones are as good as expired.
const TOKENS_MAX: usize = 10_000;
/// Filters whose counts and picks are kept.
const FILTERS_MAX: usize = 32;
/// The scopes of the simulated service account.
const SCOPES: &str = "read:vulnerabilities read:issues";

pub(crate) struct Wiz {
    shared: Arc<Shared>,
    plans: Plans,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Tokens and when they end.
    tokens: HashMap<String, Timestamp>,
    n_tokens: u64,
    /// Row counts by filter, for one revision of the estate.
    counts: HashMap<Filter, usize>,
    counted_revision: u64,
    picks: HashMap<Filter, Arc<Picks>>,
}

/// A refused GraphQL request: HTTP status, code, message.
struct Problem {
    status: u16,
    code: &'static str,
    message: String,
    name: Option<&'static str>,
}

impl Problem {
    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), name: None }
    }

    /// A variable of the wrong kind, in the words of the router before the API.
    fn variable(name: &'static str, detail: &str) -> Self {
        let message = format!("invalid type for variable: '{name}'{detail}");
        let code = "VALIDATION_INVALID_TYPE_VARIABLE";
        Self { status: 400, code, message, name: Some(name) }
    }

    fn input(message: impl Into<String>) -> Self {
        Self::new(200, "BAD_USER_INPUT", message)
    }

    fn reply(&self) -> Reply {
        Reply::json(self.status, &json!({ "errors": [self.error()], "data": null }))
    }

    fn error(&self) -> Value {
        let mut extensions = json!({ "code": self.code });
        if let Value::Object(map) = &mut extensions {
            if let Some(name) = self.name {
                map.insert("name".to_owned(), json!(name));
            } else {
                let status = match self.code {
                    "UNAUTHENTICATED" => 401,
                    "UNAUTHORIZED" | "FORBIDDEN_IP" => 403,
                    "RATE_LIMIT_EXCEEDED" => 429,
                    "NOT_FOUND" => 404,
                    "INTERNAL" => 500,
                    _ => 400,
                };
                map.insert("http".to_owned(), json!({ "status": status }));
            }
        }
        json!({ "message": self.message, "extensions": extensions })
    }
}

impl Wiz {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, plans: Plans::default(), state: Mutex::default() }
    }

    /// Every token issued so far stops working.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    fn token(&self, req: &Request, faults: &[Fault]) -> Reply {
        let refused = |status, error: &str, description: &str| {
            Reply::json(status, &json!({ "error": error, "error_description": description }))
        };
        if !req.has_content_type("application/x-www-form-urlencoded") {
            return refused(400, "invalid_request", "the body must be form-urlencoded");
        }
        let form = pairs(&req.body);
        let field =
            |name: &str| form.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str());
        if field("grant_type") != "client_credentials" {
            return refused(403, "unsupported_grant_type", "Unsupported grant type");
        }
        if field("audience") != "wiz-api" {
            return refused(403, "access_denied", "Service not found or not enabled");
        }
        if field("client_id") != WIZ_CLIENT_ID || field("client_secret") != WIZ_CLIENT_SECRET {
            return refused(401, "access_denied", "Unauthorized");
        }

        let life = faults
            .iter()
            .find_map(|fault| match fault {
                Fault::TokenLife(life) => Some(*life),
                _ => None,
            })
            .unwrap_or(TOKEN_LIFE);
        let now = self.shared.now();
        let end = now + life;
        let mut state = lock(&self.state);
        state.n_tokens += 1;
        let token = jwt(self.shared.seed, state.n_tokens, now, end);
        if state.tokens.len() >= TOKENS_MAX {
            state.tokens.clear();
        }
        state.tokens.insert(token.clone(), end);
        Reply::json(
            200,
            &json!({
                "access_token": token,
                "expires_in": life.as_secs(),
                "token_type": "Bearer",
                "scope": SCOPES,
                "refresh_token": "",
            }),
        )
    }

    fn query(&self, req: &Request, faults: &[Fault]) -> Result<Reply, Problem> {
        for fault in faults {
            match fault {
                Fault::ExpireToken => self.expire_tokens(),
                Fault::GraphqlError(code) if code != "PARTIAL" => {
                    return Ok(planned_error(code));
                }
                _ => {}
            }
        }
        let now = self.shared.now();
        let is_known = req
            .bearer()
            .is_some_and(|token| lock(&self.state).tokens.get(token).is_some_and(|end| *end > now));
        if !is_known {
            return Err(Problem::new(
                401,
                "UNAUTHENTICATED",
                "client token is either missing, invalid or expired",
            ));
        }
        if !req.has_content_type("application/json") {
            return Err(Problem::new(
                415,
                "BAD_USER_INPUT",
                "content type must be application/json",
            ));
        }
        let invalid = |message: &str| Problem::new(400, "BAD_REQUEST", message);
        let Some(Value::Object(body)) = req.json() else {
            return Err(invalid("the request body is not a json object"));
        };
        let text = body.get("query").and_then(Value::as_str);
        let text = text.ok_or_else(|| invalid("the request holds no `query`"))?;
        let variables = match body.get("variables") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(variables)) => variables.clone(),
            Some(_) => return Err(invalid("`variables` must be an object")),
        };
        let name = body.get("operationName").and_then(Value::as_str);
        let document = graphql::parse(text, name)
            .map_err(|message| Problem::new(400, "GRAPHQL_PARSE_FAILED", message))?;
        if document.is_mutation {
            return Err(Problem::new(
                200,
                "UNAUTHORIZED",
                "access denied, at least one of the scopes is required: write:vulnerabilities",
            ));
        }

        let mut data = Text::default();
        data.push("{\"data\":{");
        let mut is_partial = false;
        for selection in &document.selections {
            let Selection::Field(field) = selection else {
                return Err(unknown_field("a fragment", "Query"));
            };
            data.key(field.key());
            match field.name.as_str() {
                "vulnerabilityFindings" => {
                    is_partial |= self.findings(field, &variables, faults, &mut data)?;
                }
                "issues" | "issuesV2" => {
                    data.push(&self.issues(field, &variables)?.to_string());
                }
                "__typename" => data.push("\"Query\""),
                other => return Err(unknown_field(other, "Query")),
            }
        }
        data.push("}");
        if is_partial {
            let error = Problem::new(200, "INTERNAL", "an internal error has occurred").error();
            data.push(&format!(",\"errors\":[{error}]"));
        }
        data.push("}");
        Ok(Reply::json_pieces(data.into_pieces()))
    }

    /// Appends the connection; true when a fault cut it short.
    fn findings(
        &self,
        field: &Field,
        variables: &Map<String, Value>,
        faults: &[Fault],
        out: &mut Text,
    ) -> Result<bool, Problem> {
        let estate = &self.shared.estate;
        let (nodes, _) = connection(field, "VulnerabilityFinding")?;
        check_order(field, variables)?;
        let filter = Filter::read(&field.argument("filterBy", variables))?;
        let picks = self.picks(&filter);
        let first = page_size(field, variables)?;
        let start = match field.argument("after", variables) {
            Value::Null => 0,
            Value::String(cursor) => {
                read_cursor(&cursor).ok_or_else(|| Problem::input("invalid cursor"))?
            }
            _ => return Err(Problem::variable("after", "")),
        };
        let paging = faults.iter().find_map(|fault| match fault {
            Fault::BadPaging(paging) => Some(*paging),
            _ => None,
        });
        let is_partial = faults.iter().any(|f| matches!(f, Fault::GraphqlError(_)));

        let plan = self.plans.get(estate, nodes);
        let mut rendered = Text::default();
        rendered.push("[");
        let (mut position, mut n) = (start, 0);
        let limit = if paging == Some(Paging::Empty) { 0 } else { first };
        while n < limit {
            let Some(finding) = estate.finding(position) else { break };
            position += 1;
            if picks.keeps(&finding) {
                rendered.comma(n > 0);
                plan.push(&mut rendered, &finding);
                n += 1;
            }
            if is_partial && n == first / 2 {
                break;
            }
        }
        let rest = position..estate.n_findings();
        let mut has_next = rest
            .into_iter()
            .any(|index| estate.finding(index).is_some_and(|finding| picks.keeps(&finding)));
        let mut cursor = if n > 0 { Some(write_cursor(position)) } else { None };
        match paging {
            Some(Paging::Null) => (has_next, cursor) = (true, None),
            Some(Paging::Repeat) => (has_next, cursor) = (true, Some(write_cursor(start))),
            Some(Paging::Empty) => (has_next, cursor) = (true, Some(write_cursor(position))),
            None => {}
        }

        rendered.push("]");
        let mut rendered = Some(rendered);

        out.push("{");
        for selection in &field.selections {
            let Selection::Field(part) = selection else { continue };
            out.key(part.key());
            match part.name.as_str() {
                // A second selection of the nodes has nothing left to show.
                "nodes" => match rendered.take() {
                    Some(rendered) => out.append(rendered),
                    None => out.push("[]"),
                },
                "pageInfo" => {
                    let info = json!({ "hasNextPage": has_next, "endCursor": cursor });
                    out.push(&schema::prune(&info, &part.selections).to_string());
                }
                "totalCount" => out.push(&self.count(&filter, &picks).to_string()),
                _ => out.push("\"VulnerabilityFindingConnection\""),
            }
        }
        out.push("}");
        Ok(is_partial)
    }

    /// A filter made ready, kept for the pages to come.
    fn picks(&self, filter: &Filter) -> Arc<Picks> {
        if let Some(picks) = lock(&self.state).picks.get(filter) {
            return picks.clone();
        }
        let picks = Arc::new(filter.picks(&self.shared.estate));
        let mut state = lock(&self.state);
        if state.picks.len() >= FILTERS_MAX {
            state.picks.clear();
        }
        state.picks.insert(filter.clone(), picks.clone());
        picks
    }

    fn count(&self, filter: &Filter, picks: &Picks) -> usize {
        let estate = &self.shared.estate;
        let revision = estate.revision();
        {
            let mut state = lock(&self.state);
            if state.counted_revision != revision || state.counts.len() >= FILTERS_MAX {
                state.counted_revision = revision;
                state.counts.clear();
            }
            if let Some(count) = state.counts.get(filter) {
                return *count;
            }
        }
        let count = (0..estate.n_findings())
            .filter(|index| estate.finding(*index).is_some_and(|f| picks.keeps(&f)))
            .count();
        lock(&self.state).counts.insert(filter.clone(), count);
        count
    }

    /// One open issue for each critical weakness, on the first asset that has it.
    fn issues(&self, field: &Field, variables: &Map<String, Value>) -> Result<Value, Problem> {
        let (nodes, _) = connection(field, "Issue")?;
        check_order(field, variables)?;
        let filter = field.argument("filterBy", variables);
        let wanted = filter::issue_severities(&filter)?;
        let first = page_size(field, variables)? as usize;
        let estate = &self.shared.estate;
        let mut issues = Vec::new();
        for (index, weakness) in estate.weaknesses.iter().enumerate() {
            if weakness.severity != Severity::Critical
                || !wanted.as_ref().is_none_or(|wanted| wanted.contains(&weakness.severity))
                || issues.len() >= first
            {
                continue;
            }
            let found = (0..estate.n_findings())
                .filter_map(|row| estate.finding(row))
                .find(|finding| finding.weakness == index && finding.resolved.is_none());
            let Some(asset) = found.and_then(|f| estate.assets.get(f.asset)) else { continue };
            let id = uuid(u128::from(mix(self.shared.seed, 7, index as u64)) << 64);
            let created = found.map_or(0, |finding| finding.first_seen);
            let issue = json!({
                "id": id,
                "type": "TOXIC_COMBINATION",
                "status": "OPEN",
                "severity": weakness.severity.name(),
                "createdAt": time(created),
                "url": format!("https://app.wiz.io/issues#~(issue~'{id})"),
                "sourceRule": {
                    "__typename": "Control",
                    "id": format!("wc-id-{}", 1000 + index),
                    "name": format!("Resource with a critical vulnerability: {}", weakness.title),
                },
                "entitySnapshot": { "id": asset.id, "type": "VIRTUAL_MACHINE", "name": asset.name },
            });
            issues.push(schema::prune(&issue, nodes));
        }
        let total = issues.len();
        let whole = json!({
            "nodes": issues,
            "pageInfo": { "hasNextPage": false, "endCursor": null },
            "totalCount": total,
        });
        let mut kept = Map::new();
        for selection in &field.selections {
            if let Selection::Field(part) = selection {
                let value = whole.get(&part.name).cloned().unwrap_or_default();
                kept.insert(part.key().to_owned(), value);
            }
        }
        Ok(Value::Object(kept))
    }
}

fn unknown_field(name: &str, on: &str) -> Problem {
    let message = format!("Cannot query field \"{name}\" on type \"{on}\".");
    Problem::new(400, "GRAPHQL_VALIDATION_FAILED", message)
}

fn planned_error(code: &str) -> Reply {
    const CODES: [&str; 7] = [
        "UNAUTHENTICATED",
        "UNAUTHORIZED",
        "BAD_USER_INPUT",
        "RATE_LIMIT_EXCEEDED",
        "FORBIDDEN_IP",
        "NOT_FOUND",
        "INTERNAL",
    ];
    let code = CODES.into_iter().find(|known| *known == code).unwrap_or("INTERNAL");
    Problem::new(200, code, "the request failed on purpose").reply()
}

/// Checks a connection's selection; gives what is selected of the nodes.
fn connection<'f>(
    field: &'f Field,
    node: &'static str,
) -> Result<(&'f [Selection], bool), Problem> {
    let invalid = |message| Problem::new(400, "GRAPHQL_VALIDATION_FAILED", message);
    const ARGUMENTS: [&str; 4] = ["filterBy", "first", "after", "orderBy"];
    if let Some((name, _)) = field.arguments.iter().find(|(n, _)| !ARGUMENTS.contains(&n.as_str()))
    {
        let message = format!("Unknown argument \"{name}\" on field \"Query.{}\".", field.name);
        return Err(invalid(message));
    }
    let (mut nodes, mut has_total): (&[Selection], bool) = (&[], false);
    for selection in &field.selections {
        let Selection::Field(part) = selection else {
            return Err(unknown_field("a fragment", &format!("{node}Connection")));
        };
        match part.name.as_str() {
            "nodes" if part.selections.is_empty() => {
                let message = format!(
                    "Field \"nodes\" of type \"[{node}!]\" must have a selection of subfields."
                );
                return Err(invalid(message));
            }
            "nodes" => {
                schema::validate(node, &part.selections).map_err(invalid)?;
                nodes = &part.selections;
            }
            "pageInfo" => schema::validate("PageInfo", &part.selections).map_err(invalid)?,
            "totalCount" => has_total = true,
            "__typename" => {}
            other => return Err(unknown_field(other, &format!("{node}Connection"))),
        }
    }
    Ok((nodes, has_total))
}

fn check_order(field: &Field, variables: &Map<String, Value>) -> Result<(), Problem> {
    match field.argument("orderBy", variables) {
        Value::Null => Ok(()),
        Value::Object(order)
            if order.get("field").is_some_and(Value::is_string)
                && matches!(
                    order.get("direction").and_then(Value::as_str),
                    Some("ASC" | "DESC")
                ) =>
        {
            Ok(())
        }
        _ => Err(Problem::variable("orderBy", "")),
    }
}

fn page_size(field: &Field, variables: &Map<String, Value>) -> Result<u64, Problem> {
    match field.argument("first", variables) {
        Value::Null => Ok(PAGE_DEFAULT),
        value => match value.as_u64() {
            Some(0) => Err(Problem::input("first must be positive")),
            Some(n) => Ok(n.min(PAGE_MAX)),
            None => Err(Problem::variable("first", "")),
        },
    }
}

fn write_cursor(position: usize) -> String {
    let fields = json!({ "fields": [{ "Field": "position", "Value": position }] });
    STANDARD.encode(fields.to_string())
}

fn read_cursor(cursor: &str) -> Option<usize> {
    let fields: Value = serde_json::from_slice(&STANDARD.decode(cursor).ok()?).ok()?;
    usize::try_from(fields.pointer("/fields/0/Value")?.as_u64()?).ok()
}

/// A token of the right shape; its signature means nothing, the simulator remembers its tokens.
fn jwt(seed: u64, n: u64, now: Timestamp, end: Timestamp) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({ "alg": "RS256", "typ": "JWT", "kid": "simulator" }));
    let claims = part(json!({
        "iss": "https://auth.app.wiz.io/",
        "aud": "wiz-api",
        "sub": WIZ_CLIENT_ID,
        "iat": now.as_second(),
        "exp": end.as_second(),
        "dc": "us1",
        "isServiceAccount": true,
        "scope": SCOPES,
        "n": n,
    }));
    let signature: Vec<u8> = (0..32).flat_map(|i| mix(seed, n, i).to_be_bytes()).collect();
    format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Service for Wiz {
    fn vendor(&self) -> Vendor {
        Vendor::Wiz
    }

    fn claims(&self, path: &str) -> bool {
        path.trim_end_matches('/') == "/graphql" || path.starts_with("/oauth/")
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn refine(&self, operation: &'static str, req: &Request) -> &'static str {
        let holds = |word: &[u8]| req.body.windows(word.len()).any(|window| window == word);
        match operation {
            "graphql.other" if holds(b"vulnerabilityFindings") => "graphql.vulnerabilityFindings",
            "graphql.other" if holds(b"issues") => "graphql.issues",
            other => other,
        }
    }

    fn answer(&self, req: &Request, operation: &str, _open: &[&str], faults: &[Fault]) -> Reply {
        if operation == "oauth.token" {
            return self.token(req, faults);
        }
        self.query(req, faults).unwrap_or_else(|problem| problem.reply())
    }

    fn missing(&self, _req: &Request) -> Reply {
        Reply::text(404, "404 page not found")
    }

    fn refuse(&self, _req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { after_s } | Refusal::OverLimit { after_s } => {
                Problem::new(429, "RATE_LIMIT_EXCEEDED", "the client is being rate limited")
                    .reply()
                    .header("retry-after", after_s.to_string())
            }
            Refusal::ServerError => {
                Problem::new(500, "INTERNAL", "an internal error has occurred").reply()
            }
            Refusal::Unavailable => Reply::html(503, "<h1>503 Service Unavailable</h1>".to_owned()),
        }
    }
}
