//! Qualys VMDR: host detections, hosts, KnowledgeBase and scans as XML.
//!
//! Documents are streamed in pieces, so a page of any size costs little memory. A filter that is
//! not simulated is refused (1901) rather than ignored, so that a client never mistakes a whole
//! list for a filtered one. Start at [`ROUTES`].

mod detections;
mod parameters;
mod scans;
mod vulns;
mod xml;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use crate::Vendor;
use crate::environment::{QUALYS_PASSWORD, QUALYS_USERNAME};
use crate::estate::{time, uuid};
use crate::faults::{Fault, mix};
use crate::http::{Reply, Request, Route};
use crate::ledger::lock;
use crate::world::{Refusal, Service, Shared};
use parameters::Parameters;

#[rustfmt::skip]
const ROUTES: &[Route] = &[
    ("GET", "/api/{}/fo/asset/host/vm/detection", "detections.list"),
    ("POST", "/api/{}/fo/asset/host/vm/detection", "detections.list"),
    ("GET", "/api/{}/fo/asset/host", "hosts.list"),
    ("POST", "/api/{}/fo/asset/host", "hosts.list"),
    ("GET", "/api/{}/fo/knowledge_base/vuln", "knowledge_base.list"),
    ("POST", "/api/{}/fo/knowledge_base/vuln", "knowledge_base.list"),
    ("GET", "/api/{}/fo/scan", "scans.list"),
    ("POST", "/api/{}/fo/scan", "scans.list"),
    ("POST", "/api/{}/fo/session", "session"),
    ("GET", "/msp/about.php", "about"),
    ("POST", "/msp/about.php", "about"),
];

/// Calls a subscription may make in a window, as its headers say; the simulator does not count.
const RATE_LIMIT: &str = "300";
const RATE_WINDOW_S: &str = "3600";
const CONCURRENCY_LIMIT: &str = "2";
/// Sessions that stay logged in.
const SESSIONS_MAX: usize = 1_000;

pub(crate) struct Qualys {
    shared: Arc<Shared>,
    sessions: Mutex<Vec<String>>,
}

/// A refused request: HTTP status, Qualys code, text, extra items.
struct Problem {
    status: u16,
    code: u32,
    text: String,
    items: Vec<(&'static str, String)>,
}

impl Problem {
    fn new(status: u16, code: u32, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into(), items: Vec::new() }
    }

    fn unrecognized(name: &str) -> Self {
        Self::new(400, 1901, format!("Unrecognized parameter(s): {name}"))
    }

    fn invalid(name: &str, value: &str, why: &str) -> Self {
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        Self::new(400, 1905, format!("parameter {name} has invalid value: {value}{why}"))
    }

    fn reply(&self, now: Timestamp, origin: &str) -> Reply {
        let text = xml::simple_return(now, origin, self.code, &self.text, &self.items);
        Reply::xml(self.status, text)
    }
}

/// What a request handler needs beside its parameters.
struct Call<'r> {
    shared: &'r Arc<Shared>,
    origin: &'r str,
    path: &'r str,
    has_foreign_links: bool,
}

impl Call<'_> {
    fn now(&self) -> String {
        time(self.shared.now().as_second())
    }
}

impl Qualys {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, sessions: Mutex::default() }
    }

    fn is_known(&self, req: &Request) -> bool {
        let by_password = req
            .basic()
            .is_some_and(|(user, pass)| user == QUALYS_USERNAME && pass == QUALYS_PASSWORD);
        by_password
            || req.header("cookie").is_some_and(|cookies| {
                let sessions = lock(&self.sessions);
                cookies
                    .split(';')
                    .filter_map(|cookie| cookie.trim().strip_prefix("QualysSession="))
                    .any(|id| sessions.iter().any(|session| session == id))
            })
    }

    fn serve(
        &self,
        req: &Request,
        operation: &str,
        version: Option<&str>,
        faults: &[Fault],
    ) -> Result<Reply, Problem> {
        if operation == "about" {
            return self.about(req);
        }
        if req.header("x-requested-with").is_none_or(|text| text.trim().is_empty()) {
            // The vendor documents the rule but not the words.
            return Err(Problem::new(400, 1903, "Missing required header: X-Requested-With"));
        }
        let parameters = Parameters::of(req);
        if operation == "session" {
            return self.session(&parameters);
        }
        if !self.is_known(req) {
            return Err(Problem::new(401, 2000, "Bad Login/Password"));
        }
        let versions: &[&str] = match operation {
            "detections.list" | "hosts.list" => &["2.0", "3.0", "4.0", "5.0"],
            _ => &["2.0", "3.0"],
        };
        if !version.is_some_and(|version| versions.contains(&version)) {
            return Ok(self.missing(req));
        }
        for fault in faults {
            match fault {
                Fault::Concurrency => return Err(concurrency()),
                Fault::Rate { wait_s } => return Err(rate(*wait_s)),
                Fault::SimpleReturn(code) => return Err(planned(*code)),
                _ => {}
            }
        }
        match parameters.last("action") {
            None => {
                return Err(Problem::new(400, 1903, "Missing required parameter(s): action"));
            }
            Some("list") => {}
            Some(other) => return Err(Problem::invalid("action", other, "")),
        }
        let call = Call {
            shared: &self.shared,
            origin: &req.origin,
            path: &req.path,
            has_foreign_links: faults.contains(&Fault::ForeignUrl),
        };
        match operation {
            "detections.list" => detections::list(&call, &parameters),
            "hosts.list" => detections::hosts(&call, &parameters),
            "knowledge_base.list" => vulns::list(&call, &parameters),
            _ => scans::list(&call, &parameters),
        }
    }

    fn about(&self, req: &Request) -> Result<Reply, Problem> {
        if !self.is_known(req) {
            return Err(Problem::new(401, 2000, "Bad Login/Password"));
        }
        Ok(Reply::xml(
            200,
            format!(
                "{}<!DOCTYPE ABOUT SYSTEM \"{}/about.dtd\">\n<ABOUT>\n  <API-VERSION MAJOR=\"10\" MINOR=\"39\" />\n  <WEB-VERSION>10.39.1</WEB-VERSION>\n  <SCANNER-VERSION>14.2.33</SCANNER-VERSION>\n  <VULNSIGS-VERSION>2.6.488</VULNSIGS-VERSION>\n</ABOUT>\n",
                xml::DECLARATION,
                req.origin
            ),
        ))
    }

    fn session(&self, parameters: &Parameters) -> Result<Reply, Problem> {
        match parameters.last("action") {
            Some("login") => {
                if parameters.last("username") != Some(QUALYS_USERNAME)
                    || parameters.last("password") != Some(QUALYS_PASSWORD)
                {
                    return Err(Problem::new(401, 2000, "Bad Login/Password"));
                }
                let mut sessions = lock(&self.sessions);
                let n = sessions.len() as u64;
                let a = u128::from(mix(self.shared.seed, 11, n));
                let id = uuid((a << 64) | u128::from(mix(self.shared.seed, 12, n)));
                if sessions.len() >= SESSIONS_MAX {
                    sessions.clear();
                }
                sessions.push(id.clone());
                let text = xml::simple_return(self.shared.now(), "", 0, "Logged in", &[]);
                Ok(Reply::xml(200, text)
                    .header("set-cookie", format!("QualysSession={id}; path=/api; secure")))
            }
            Some("logout") => {
                lock(&self.sessions).clear();
                Ok(Reply::xml(200, xml::simple_return(self.shared.now(), "", 0, "Logged out", &[])))
            }
            Some(other) => Err(Problem::invalid("action", other, "")),
            None => Err(Problem::new(400, 1903, "Missing required parameter(s): action")),
        }
    }
}

fn concurrency() -> Problem {
    let mut problem = Problem::new(
        409,
        1960,
        "This API cannot be run again until 1 currently running API instance has finished.",
    );
    problem.items.push(("CALLS_TO_FINISH", "1".to_owned()));
    problem
}

fn rate(wait_s: u64) -> Problem {
    let (hours, minutes, seconds) = (wait_s / 3_600, wait_s / 60 % 60, wait_s % 60);
    let text = format!(
        "This API cannot be run again for another {hours} hours, {minutes} minutes and {seconds} seconds."
    );
    let mut problem = Problem::new(409, 1965, text);
    problem.items.push(("SECONDS_TO_WAIT", wait_s.to_string()));
    problem
}

/// Errors that arrive with HTTP 200.
fn planned(code: u32) -> Problem {
    let text = match code {
        2001 => "This account has expired.",
        2002 => "This account is inactive.",
        2003 => {
            "Registration must be completed before API requests will be served for this account."
        }
        _ => "Internal error",
    };
    Problem::new(200, code, text)
}

impl Service for Qualys {
    fn vendor(&self) -> Vendor {
        Vendor::Qualys
    }

    fn claims(&self, path: &str) -> bool {
        path.starts_with("/msp/")
            || (path.starts_with("/api/") && path.split('/').nth(3) == Some("fo"))
    }

    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn answer(&self, req: &Request, operation: &str, open: &[&str], faults: &[Fault]) -> Reply {
        match self.serve(req, operation, open.first().copied(), faults) {
            Ok(reply) if operation == "session" => reply,
            Ok(reply) => with_rate_headers(reply, None),
            // A blocked call tells either how long to wait or, for concurrency, nothing at all.
            Err(problem) if problem.code == 1960 => problem
                .reply(self.shared.now(), &req.origin)
                .header("x-concurrency-limit-limit", CONCURRENCY_LIMIT)
                .header("x-concurrency-limit-running", CONCURRENCY_LIMIT),
            Err(problem) => {
                let wait = problem.items.iter().find(|(k, _)| *k == "SECONDS_TO_WAIT");
                let wait = wait.map(|(_, seconds)| seconds.clone());
                with_rate_headers(problem.reply(self.shared.now(), &req.origin), wait.as_deref())
            }
        }
    }

    fn missing(&self, _req: &Request) -> Reply {
        Reply::html(404, "<html><body><h1>Not Found</h1></body></html>".to_owned())
    }

    fn refuse(&self, req: &Request, refusal: Refusal) -> Reply {
        match refusal {
            Refusal::OverLimit { after_s } => {
                let blocked = rate(after_s).reply(self.shared.now(), &req.origin);
                with_rate_headers(blocked, Some(&after_s.to_string()))
            }
            // The gateway answers 429; this API's own word for it is 409, another fault.
            Refusal::TooMany { after_s } => {
                Reply::json(429, &serde_json::json!({ "message": "API rate limit exceeded" }))
                    .header("x-ratelimit-towait-sec", after_s.to_string())
            }
            Refusal::ServerError => {
                Problem::new(500, 999, "Internal error").reply(self.shared.now(), &req.origin)
            }
            Refusal::Unavailable => {
                Reply::html(503, "<html><body>Service Unavailable</body></html>".to_owned())
            }
        }
    }
}

fn with_rate_headers(reply: Reply, wait_s: Option<&str>) -> Reply {
    reply
        .header("x-ratelimit-limit", RATE_LIMIT)
        .header("x-ratelimit-window-sec", RATE_WINDOW_S)
        .header("x-concurrency-limit-limit", CONCURRENCY_LIMIT)
        .header("x-concurrency-limit-running", "0")
        .header("x-ratelimit-towait-sec", wait_s.unwrap_or("0"))
        .header("x-ratelimit-remaining", if wait_s.is_some() { "0" } else { "299" })
}
