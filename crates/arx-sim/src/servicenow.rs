//! ServiceNow: the Table API over tickets, configuration items, choices, journals and audits.
//!
//! It keeps the instance's habits that cost integrations their truth: terms and fields that do not
//! exist are dropped without a word, a field that the account may not write keeps its value in a
//! reply of 200, and pages are cut before rows are hidden. Start at [`ROUTES`]; reads are here,
//! writes in [`writes`], queries in [`query`], the dictionary in [`tables`].

mod people;
mod query;
mod render;
mod seed;
mod store;
mod tables;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::Vendor;
use crate::environment::{SNOW_PASSWORD, SNOW_USERNAME};
use crate::faults::Fault;
use crate::http::{Reply, Request, Route, pairs};
use crate::ledger::lock;
use crate::wave::hex_id;
use crate::world::{Refusal, Service, Shared};
use query::Query;
use render::{Display, View};
use store::{Row, Store};
use tables::Table;

pub(crate) use tables::{RETIRED_STATE, pending_state};
pub(crate) use writes::wave_time;

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("GET", "/api/now/table/{}", "table.list"),
    ("POST", "/api/now/table/{}", "table.create"),
    ("GET", "/api/now/table/{}/{}", "table.get"),
    ("PATCH", "/api/now/table/{}/{}", "table.update"),
    ("PUT", "/api/now/table/{}/{}", "table.update"),
    ("DELETE", "/api/now/table/{}/{}", "table.delete"),
    ("GET", "/api/now/{}/table/{}", "table.list"),
    ("POST", "/api/now/{}/table/{}", "table.create"),
    ("GET", "/api/now/{}/table/{}/{}", "table.get"),
    ("PATCH", "/api/now/{}/table/{}/{}", "table.update"),
    ("PUT", "/api/now/{}/table/{}/{}", "table.update"),
    ("DELETE", "/api/now/{}/table/{}/{}", "table.delete"),
    ("POST", "/oauth_token.do", "oauth.token"),
    ("GET", "/nav_to.do", "page"),
    ("GET", "/incident.do", "page"),
];

const LIMIT_DEFAULT: usize = 10_000;
/// What an OAuth token lives.
const TOKEN_LIFE_S: i64 = 1_799;
const TOKENS_MAX: usize = 1_000;
/// The OAuth application that the instance knows.
const OAUTH_CLIENT_ID: &str = "51a0c0de51a0c0de51a0c0de05a00001";
const OAUTH_CLIENT_SECRET: &str = "simulated-servicenow-oauth-secret";
/// The zone of the account, in which display values are told.
const USER_ZONE: &str = "America/Los_Angeles";

const NO_RECORD: (&str, &str) =
    ("No Record found", "Record doesn't exist or ACL restricts the record retrieval");
const CANCELLED: &str = "Transaction cancelled: maximum execution time exceeded";

pub(crate) struct ServiceNow {
    shared: Arc<Shared>,
    state: Mutex<State>,
    zone: TimeZone,
}

pub(crate) struct State {
    store: Store,
    /// Access and refresh tokens with their end.
    tokens: HashMap<String, i64>,
    n_tokens: u64,
    /// Whether the account may close (7) what it may resolve (6).
    pub can_close: bool,
    /// `glide.invalid_query.returns_no_rows`.
    pub has_strict_queries: bool,
    /// Columns of tasks that the account may not write anywhere.
    pub ignored: Vec<String>,
}

/// A refused request in the vendor's words.
struct Problem {
    status: u16,
    message: String,
    detail: Option<String>,
}

impl Problem {
    fn new(status: u16, message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: Some(detail.into()) }
    }

    fn no_record() -> Self {
        Self::new(404, NO_RECORD.0, NO_RECORD.1)
    }

    fn body(&self) -> Value {
        json!({
            "error": { "message": self.message, "detail": self.detail },
            "status": "failure",
        })
    }

    fn reply(&self) -> Reply {
        let reply = Reply::json(self.status, &self.body());
        if self.status == 401 {
            reply.header("www-authenticate", "Basic realm=\"Service-now\"")
        } else {
            reply
        }
    }
}

impl ServiceNow {
    pub fn new(shared: Arc<Shared>) -> Self {
        let mut store = seed::store(&shared.wave);
        writes::restore(&mut store, &shared.ledger.of(Vendor::ServiceNow));
        let state = State {
            store,
            tokens: HashMap::new(),
            n_tokens: 0,
            can_close: true,
            has_strict_queries: false,
            ignored: Vec::new(),
        };
        Self {
            shared,
            state: Mutex::new(state),
            zone: TimeZone::get(USER_ZONE).unwrap_or(TimeZone::UTC),
        }
    }

    /// Runs a change that no client asked for.
    pub fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut lock(&self.state))
    }

    fn is_known(&self, req: &Request) -> bool {
        let by_password =
            req.basic().is_some_and(|(user, pass)| user == SNOW_USERNAME && pass == SNOW_PASSWORD);
        by_password
            || req.bearer().is_some_and(|token| {
                let now = self.shared.now().as_second();
                lock(&self.state).tokens.get(token).is_some_and(|end| *end > now)
            })
    }

    fn serve(
        &self,
        req: &Request,
        operation: &str,
        open: &[&str],
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        if operation == "oauth.token" {
            return Ok(self.token(req));
        }
        if !self.is_known(req) {
            let detail = "Required to provide Auth information";
            return Err(Problem::new(401, "User Not Authenticated", detail));
        }
        if operation == "page" {
            return Ok(Reply::html(200, "<html><body>A record's form.</body></html>".to_owned()));
        }
        let (version, open) = match open {
            [version, rest @ ..] if !req.path.starts_with("/api/now/table/") => {
                (Some(*version), rest)
            }
            all => (None, all),
        };
        if version.is_some_and(|version| version != "v1" && version != "v2") {
            let detail = "Requested URI does not represent any resource";
            return Err(Problem::new(400, detail, req.path.clone()));
        }
        let name = open.first().copied().unwrap_or_default();
        let Some(table) = tables::find(name) else {
            return Err(Problem {
                status: 400,
                message: format!("Invalid table {name}"),
                detail: None,
            });
        };
        if table.is_closed {
            let detail = "Failed API level ACL Validation";
            return Err(Problem::new(403, "User Not Authorized", detail));
        }
        let id = open.get(1).copied().unwrap_or_default();
        match operation.split('.').nth(1) {
            Some("list") => self.list(req, table, version, faults),
            Some("get") => self.get(req, table, id, faults),
            Some("create") => self.create(req, table),
            Some("update") => self.update(req, table, id, faults),
            _ => {
                let detail = "ACL Exception Delete Failed due to security constraints";
                Err(Problem::new(403, "Operation Failed", detail))
            }
        }
    }

    fn list(
        &self,
        req: &Request,
        table: &'static Table,
        version: Option<&str>,
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        let state = lock(&self.state);
        let store = &state.store;
        let mut query = Query::parse(req.query("sysparm_query").unwrap_or(""), store, table);
        for (name, value) in &req.query {
            if !name.starts_with("sysparm_") && table.kind(name).is_some() {
                query.and_equal(name, value);
            }
        }
        let limit = req.number("sysparm_limit").unwrap_or(LIMIT_DEFAULT);
        let offset = match req.query("sysparm_offset") {
            None | Some("") => 0,
            Some(text) => text.parse().map_err(|_| {
                Problem::new(400, "Invalid query parameter", format!("sysparm_offset: {text}"))
            })?,
        };
        let is_void = state.has_strict_queries && query.n_dropped > 0;
        let mut found: Vec<(&'static Table, &Row)> = store
            .rows(table)
            .filter(|(owner, row)| !is_void && query.holds(store, owner, row))
            .collect();
        query.sort(store, &mut found);
        let total = found.len();
        let view = self.view(req, store);
        // The page is cut first; what the account may not read is then missing from it.
        let rows: Vec<Value> = found
            .into_iter()
            .skip(offset)
            .take(limit)
            .filter(|(_, row)| !row.is_restricted)
            .map(|(owner, row)| view.row(if view.fields.is_some() { owner } else { table }, row))
            .collect();
        if rows.is_empty() && version == Some("v1") {
            return Err(Problem::no_record());
        }
        if let Some(cancelled) = cancelled(faults, &rows) {
            return Ok(cancelled);
        }
        let mut reply = Reply::json(200, &json!({ "result": rows }));
        if !is_true(req, "sysparm_no_count") {
            reply = reply.header("x-total-count", total.to_string());
        }
        if !is_true(req, "sysparm_suppress_pagination_header")
            && let Some(links) = links(req, limit, offset, total)
        {
            reply = reply.header("link", links);
        }
        Ok(reply)
    }

    fn get(
        &self,
        req: &Request,
        table: &'static Table,
        id: &str,
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        let mut state = lock(&self.state);
        let found = state.store.get(table, id).filter(|(_, row)| !row.is_restricted);
        let (owner, row) = found.ok_or_else(Problem::no_record)?;
        let shown = self.view(req, &state.store).row(owner, row);
        if let Some(cancelled) = cancelled(faults, std::slice::from_ref(&shown)) {
            return Ok(cancelled);
        }
        if faults.contains(&Fault::EditedMeanwhile) {
            let text = [("work_notes", "Looking at this one now.")];
            state.edit(&self.shared, owner, id, &text);
        }
        Ok(Reply::json(200, &json!({ "result": shown })))
    }

    fn view<'r>(&'r self, req: &'r Request, store: &'r Store) -> View<'r> {
        let fields = req.query("sysparm_fields").filter(|text| !text.trim().is_empty());
        View {
            store,
            display: match req.query("sysparm_display_value").unwrap_or_default() {
                text if text.eq_ignore_ascii_case("true") => Display::Labels,
                text if text.eq_ignore_ascii_case("all") => Display::Both,
                _ => Display::Values,
            },
            has_links: !is_true(req, "sysparm_exclude_reference_link"),
            fields: fields.map(|text| text.split(',').map(str::trim).collect()),
            origin: &req.origin,
            zone: &self.zone,
        }
    }

    fn token(&self, req: &Request) -> Reply {
        let form = pairs(&req.body);
        let field =
            |name: &str| form.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str());
        let refused = |error: &str, text: &str| {
            Reply::json(401, &json!({ "error": error, "error_description": text }))
        };
        // The client may name itself in the form or, as OAuth prefers, by Basic.
        let (id, secret) = match req.basic() {
            Some(pair) => pair,
            None => (field("client_id").to_owned(), field("client_secret").to_owned()),
        };
        if id != OAUTH_CLIENT_ID || secret != OAUTH_CLIENT_SECRET {
            return refused("invalid_client", "access_denied");
        }
        let now = self.shared.now().as_second();
        let mut state = lock(&self.state);
        let is_granted = match field("grant_type") {
            "password" => field("username") == SNOW_USERNAME && field("password") == SNOW_PASSWORD,
            "client_credentials" => true,
            "refresh_token" => {
                state.tokens.get(field("refresh_token")).is_some_and(|end| *end > now)
            }
            _ => return refused("unsupported_grant_type", "access_denied"),
        };
        if !is_granted {
            return refused("server_error", "access_denied");
        }
        if state.tokens.len() >= TOKENS_MAX {
            state.tokens.clear();
        }
        state.n_tokens += 1;
        let (access, refresh) =
            (hex_id(0x0A17 ^ self.shared.seed, state.n_tokens), hex_id(0x0A18, state.n_tokens));
        state.tokens.insert(access.clone(), now + TOKEN_LIFE_S);
        state.tokens.insert(refresh.clone(), now + 100 * crate::estate::DAY);
        Reply::json(
            200,
            &json!({
                "access_token": access,
                "refresh_token": refresh,
                "scope": "useraccount",
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFE_S,
            }),
        )
    }
}

/// Clients write `true` and `True`.
fn is_true(req: &Request, name: &str) -> bool {
    req.query(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// A transaction that ran out of time while it was answering: HTTP 200 and half a result.
fn cancelled(faults: &[Fault], rows: &[Value]) -> Option<Reply> {
    let is_json = faults.iter().find_map(|fault| match fault {
        Fault::TransactionCancelled { is_json } => Some(*is_json),
        _ => None,
    })?;
    let problem = Problem::new(
        500,
        CANCELLED,
        "Transaction cancelled: maximum execution time exceeded Check logs for error trace or enable glide.rest.debug property to verify REST request processing",
    );
    let error = problem.body().to_string();
    let error = error.strip_prefix('{').unwrap_or_default();
    let half = rows.get(..rows.len() / 2).unwrap_or_default();
    let mut text = format!("{{\"result\":{}", Value::Array(half.to_vec()));
    if !is_json {
        // It stops in the middle of a row.
        text.truncate(text.len() - 1);
        text.push_str(",{\"number\":\"INC");
    }
    Some(Reply::raw_json(200, format!("{text},{error}")))
}

/// `Link` as the instance words it; none where everything fits one page.
fn links(req: &Request, limit: usize, offset: usize, total: usize) -> Option<String> {
    if limit == 0 || (offset == 0 && total <= limit) {
        return None;
    }
    let link = |offset: i64, rel: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in req.query.iter().filter(|(name, _)| name != "sysparm_offset") {
            query.append_pair(name, value);
        }
        query.append_pair("sysparm_offset", &offset.to_string());
        format!("<{}{}?{}>;rel=\"{rel}\"", req.origin, req.path, query.finish())
    };
    let as_i64 = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut all = vec![link(0, "first")];
    let next = offset.saturating_add(limit);
    if next < total {
        all.push(link(as_i64(next), "next"));
    }
    // The instance offers a page before the first one, at an offset below zero.
    all.push(link((as_i64(offset) - as_i64(limit)).max(-1), "prev"));
    all.push(link(as_i64((total.saturating_sub(1)) / limit * limit), "last"));
    Some(all.join(","))
}

impl Service for ServiceNow {
    fn vendor(&self) -> Vendor {
        Vendor::ServiceNow
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/api/now/")
            || path.starts_with("/oauth_token.do")
            || path.starts_with("/nav_to.do")
            || path.starts_with("/incident.do")
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    /// `table.list` becomes `table.list.incident`, so that a fault may strike one table.
    fn refine(&self, operation: &'static str, req: &Request) -> &'static str {
        let nth = match operation {
            "table.list" => 0,
            "table.get" => 1,
            "table.create" => 2,
            "table.update" => 3,
            "table.delete" => 4,
            _ => return operation,
        };
        let mut parts = req.path.split('/').skip_while(|part| *part != "table");
        let table = parts.nth(1).and_then(tables::find);
        table.and_then(|table| table.operations.get(nth).copied()).unwrap_or(operation)
    }

    fn answer(&self, req: &Request, operation: &str, open: &[&str], faults: &[Fault]) -> Reply {
        if faults.contains(&Fault::Hibernating) {
            return Reply::html(
                200,
                "<html><head><title>Instance Hibernating page</title></head><body>Your instance is hibernating. Sign in to the developer site to wake it.</body></html>".to_owned(),
            );
        }
        let is_page = operation == "page" || operation == "oauth.token";
        let reply = match self.serve(req, operation, open, faults) {
            Ok(reply) if is_page => return reply,
            Ok(reply) => reply.header("x-is-logged-in", "true"),
            Err(problem) => problem.reply(),
        };
        with_instance_headers(reply, self.shared.now())
    }

    fn missing(&self, req: &Request) -> Reply {
        let message = "Requested URI does not represent any resource";
        Problem::new(400, message, req.path.clone()).reply()
    }

    fn refuse(&self, _req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { after_s } | Refusal::OverLimit { after_s } => {
                let reset = self.shared.now().as_second() + i64::try_from(after_s).unwrap_or(0);
                Problem::new(
                    429,
                    "Rate limit exceeded",
                    "Rate limit of 100 requests per hour for Table API exceeded",
                )
                .reply()
                .header("retry-after", after_s.to_string())
                .header("x-ratelimit-limit", "100")
                .header("x-ratelimit-reset", reset.to_string())
                .header("x-ratelimit-rule", hex_id(0x429, 1))
            }
            Refusal::ServerError => {
                Problem::new(500, "Internal Server Error", "Internal Server Error").reply()
            }
            Refusal::Unavailable => {
                Reply::html(503, "<html><body>Service Unavailable</body></html>".to_owned())
            }
        }
    }
}

fn with_instance_headers(reply: Reply, now: Timestamp) -> Reply {
    let transaction = hex_id(0x7A, now.as_nanosecond() as u64);
    reply
        .header("x-transaction-id", transaction.get(..12).unwrap_or_default())
        .header("server", "ServiceNow")
        .header(
            "set-cookie",
            format!("JSESSIONID={}; Path=/; HttpOnly", transaction.to_uppercase()),
        )
        .header("set-cookie", "glide_user_route=glide.simulated; Path=/; HttpOnly".to_owned())
}
