//! CrowdStrike Falcon: tokens, device queries in FQL, device records, online state.
//!
//! It never sends `X-Cs-Region`, which the vendor's own libraries follow off the machine; only the
//! fault `wrong-region` does, because following it is then what is tested. It changes no host: the
//! client's scope is reading. Start at [`ROUTES`].

mod devices;
mod fql;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::Vendor;
use crate::environment::{CS_CLIENT_ID, CS_CLIENT_SECRET};
use crate::estate::uuid;
use crate::faults::{Fault, mix};
use crate::http::{Reply, Request, Route, pairs};
use crate::ledger::lock;
use crate::wave::hex_id;
use crate::world::{Refusal, Service, Shared};

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("POST", "/oauth2/token", "oauth2.token"),
    ("POST", "/oauth2/revoke", "oauth2.revoke"),
    ("GET", "/devices/queries/devices/v1", "devices.query"),
    ("GET", "/devices/queries/devices-scroll/v1", "devices.scroll"),
    ("GET", "/devices/combined/devices/v1", "devices.combined"),
    ("GET", "/devices/entities/devices/v2", "devices.details"),
    ("POST", "/devices/entities/devices/v2", "devices.details"),
    ("GET", "/devices/entities/online-state/v1", "devices.online"),
    ("POST", "/devices/entities/devices-actions/v2", "devices.act"),
    ("PATCH", "/devices/entities/devices/tags/v1", "devices.act"),
];

/// What a token lives, unless a fault says otherwise.
const TOKEN_LIFE_S: i64 = 1_799;
const TOKENS_MAX: usize = 1_000;
/// Requests a customer may make in a minute, as the headers say; the simulator does not count.
const RATE_LIMIT: &str = "6000";
const TOKEN_RATE_LIMIT: &str = "300";
/// Longer request lines are refused before any service sees them. The vendor publishes no figure;
/// this is what common load balancers take.
const TARGET_BYTES_MAX: usize = 16 * 1024;

pub(crate) struct CrowdStrike {
    shared: Arc<Shared>,
    state: Mutex<State>,
    n_requests: AtomicU64,
    /// Whether the client lacks `Hosts: READ`.
    lacks_scope: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Tokens with their end, in seconds since the epoch.
    tokens: HashMap<String, i64>,
    n_tokens: u64,
}

/// A refused request.
struct Problem {
    status: u16,
    message: String,
    powered_by: &'static str,
}

impl Problem {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), powered_by: "device-api" }
    }

    fn of_gateway(status: u16, message: &str) -> Self {
        let powered_by = "crowdstrike-api-gateway";
        Self { status, message: message.to_owned(), powered_by }
    }

    fn of_token(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), powered_by: "csam" }
    }

    fn errors(&self) -> Value {
        json!([{ "code": self.status, "message": self.message }])
    }
}

/// One successful answer, before it is wrapped.
struct Page {
    powered_by: &'static str,
    pagination: Option<Value>,
    resources: Vec<Value>,
}

impl CrowdStrike {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            state: Mutex::default(),
            n_requests: AtomicU64::new(0),
            lacks_scope: AtomicBool::new(false),
        }
    }

    /// Every token issued so far stops working.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Takes `Hosts: READ` from the client, or gives it back.
    pub fn set_scope(&self, may_read_hosts: bool) {
        self.lacks_scope.store(!may_read_hosts, Ordering::Relaxed);
    }

    fn trace_id(&self) -> String {
        let n = self.n_requests.fetch_add(1, Ordering::Relaxed);
        uuid((u128::from(mix(self.shared.seed, 41, n)) << 64) | u128::from(mix(0x7E, 42, n)))
    }

    fn meta(&self, powered_by: &str, pagination: Option<Value>, trace_id: &str) -> Value {
        let mut meta =
            json!({ "query_time": 0.005, "powered_by": powered_by, "trace_id": trace_id });
        if let (Some(pagination), Value::Object(meta)) = (pagination, &mut meta) {
            meta.insert("pagination".to_owned(), pagination);
        }
        meta
    }

    fn failed(&self, problem: &Problem) -> Reply {
        let trace_id = self.trace_id();
        let meta = self.meta(problem.powered_by, None, &trace_id);
        let body = json!({ "meta": meta, "errors": problem.errors() });
        Reply::json(problem.status, &body).header("x-cs-traceid", trace_id)
    }

    fn answered(&self, page: Page, has_errors: bool) -> Reply {
        let trace_id = self.trace_id();
        let Page { powered_by, pagination, mut resources } = page;
        let meta = self.meta(powered_by, pagination, &trace_id);
        let errors = if has_errors {
            resources.truncate(resources.len() / 2);
            json!([{ "code": 500, "message": "Internal Server Error: please provide trace-id='" .to_owned() + &trace_id + "' to support" }])
        } else if powered_by == "cs.agentonline" {
            // No errors are an empty list at one service and null at another.
            Value::Null
        } else {
            json!([])
        };
        Reply::json(200, &json!({ "meta": meta, "resources": resources, "errors": errors }))
            .header("x-cs-traceid", trace_id)
    }

    fn token(&self, req: &Request, faults: &[Fault]) -> Result<Reply, Problem> {
        let form = pairs(&req.body);
        let field =
            |name: &str| form.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v.as_str());
        if !req.has_content_type("application/x-www-form-urlencoded") {
            return Err(Problem::of_token(415, "Unsupported Media Type"));
        }
        let id = field("client_id");
        if id != CS_CLIENT_ID {
            let message = format!("Failed to generate access token for clientID={id}.");
            return Err(Problem::of_token(400, message));
        }
        if field("client_secret") != CS_CLIENT_SECRET {
            return Err(Problem::of_token(403, "Failed to issue access token - Not Authorized"));
        }
        let life = faults.iter().find_map(|fault| match fault {
            Fault::TokenLife(life) => i64::try_from(life.as_secs()).ok(),
            _ => None,
        });
        let life = life.unwrap_or(TOKEN_LIFE_S);
        let mut state = lock(&self.state);
        if state.tokens.len() >= TOKENS_MAX {
            state.tokens.clear();
        }
        state.n_tokens += 1;
        let token = format!(
            "{}.{}",
            hex_id(0xC5 ^ self.shared.seed, state.n_tokens),
            hex_id(0xC6, state.n_tokens)
        );
        state.tokens.insert(token.clone(), self.shared.now().as_second() + life);
        let body = json!({ "access_token": token, "expires_in": life, "token_type": "bearer" });
        Ok(Reply::json(201, &body))
    }

    fn revoke(&self, req: &Request) -> Result<Reply, Problem> {
        let is_client = req
            .basic()
            .is_some_and(|(id, secret)| id == CS_CLIENT_ID && secret == CS_CLIENT_SECRET);
        if !is_client {
            return Err(Problem::of_token(401, "access denied, invalid client credentials"));
        }
        let form = pairs(&req.body);
        if let Some((_, token)) = form.iter().find(|(name, _)| name == "token") {
            lock(&self.state).tokens.remove(token);
        }
        let trace_id = self.trace_id();
        Ok(Reply::json(200, &json!({ "meta": self.meta("csam", None, &trace_id), "errors": [] })))
    }

    fn serve(&self, req: &Request, operation: &str, faults: &[Fault]) -> Result<Reply, Problem> {
        for fault in faults {
            match fault {
                Fault::WrongRegion(region) => return Ok(elsewhere(req, region)),
                Fault::ExpireToken => self.expire_tokens(),
                _ => {}
            }
        }
        match operation {
            "oauth2.token" => return self.token(req, faults),
            "oauth2.revoke" => return self.revoke(req),
            _ => {}
        }
        let now = self.shared.now();
        let is_known = req.bearer().is_some_and(|token| {
            lock(&self.state).tokens.get(token).is_some_and(|end| *end > now.as_second())
        });
        if !is_known {
            return Err(Problem::of_gateway(401, "access denied, invalid bearer token"));
        }
        if operation == "devices.act" || self.lacks_scope.load(Ordering::Relaxed) {
            return Err(Problem::of_gateway(403, "access denied, authorization failed"));
        }
        let sensors = self.shared.wave.sensors();
        let page = match operation {
            "devices.query" => devices::query(req, &sensors, now)?,
            "devices.scroll" => devices::scroll(req, &sensors, now)?,
            "devices.combined" => devices::combined(req, &sensors, now)?,
            "devices.details" => devices::details(req, &sensors, now)?,
            _ => devices::online(req, &sensors, now)?,
        };
        Ok(self.answered(page, faults.contains(&Fault::ErrorsIn200)))
    }
}

/// The tenant lives in another region: an empty redirect there, headers and all.
fn elsewhere(req: &Request, region: &str) -> Reply {
    let host = match region {
        "us-1" => "api.crowdstrike.com".to_owned(),
        other => format!("api.{other}.crowdstrike.com"),
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&req.query);
    let query = query.finish();
    let query = if query.is_empty() { query } else { format!("?{query}") };
    Reply::empty(308)
        .header("location", format!("https://{host}{}{query}", req.path))
        .header("x-cs-region", region)
}

impl Service for CrowdStrike {
    fn vendor(&self) -> Vendor {
        Vendor::CrowdStrike
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/oauth2/") || path.starts_with("/devices/")
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn answer(&self, req: &Request, operation: &str, _open: &[&str], faults: &[Fault]) -> Reply {
        let n_bytes: usize = req.query.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
        if n_bytes > TARGET_BYTES_MAX {
            return Reply::html(414, "<html><body>Request-URI Too Large</body></html>".to_owned());
        }
        let reply = self.serve(req, operation, faults);
        let reply = reply.unwrap_or_else(|problem| self.failed(&problem));
        with_rate_headers(reply, operation)
    }

    fn missing(&self, _req: &Request) -> Reply {
        self.failed(&Problem::of_gateway(404, "404: Page Not Found"))
    }

    fn refuse(&self, req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { after_s } | Refusal::OverLimit { after_s } => {
                // An instant, not a delay.
                let end = self.shared.now().as_second() + i64::try_from(after_s).unwrap_or(0);
                let limit = if req.path == "/oauth2/token" { TOKEN_RATE_LIMIT } else { RATE_LIMIT };
                self.failed(&Problem::of_gateway(429, "API rate limit exceeded."))
                    .header("x-ratelimit-limit", limit)
                    .header("x-ratelimit-remaining", "0")
                    .header("x-ratelimit-retryafter", end.to_string())
            }
            Refusal::ServerError => self.failed(&Problem::of_gateway(500, "Internal Server Error")),
            Refusal::Unavailable => {
                Reply::html(503, "<html><body>Service Unavailable</body></html>".to_owned())
            }
        }
    }
}

fn with_rate_headers(reply: Reply, operation: &str) -> Reply {
    let (limit, remaining) =
        if operation == "oauth2.token" { (TOKEN_RATE_LIMIT, "299") } else { (RATE_LIMIT, "5999") };
    reply.header("x-ratelimit-limit", limit).header("x-ratelimit-remaining", remaining)
}
