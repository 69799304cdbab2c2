//! `findings:read`: pages of hosts, streamed one after the other.
//!
//! A page that breaks off is asked for again from the first host that was not read whole. What
//! cannot be read to its end makes the read incomplete, never shorter.

use std::sync::Arc;
use std::time::Duration;

use arx_gateway::http::StreamingResponse;
use arx_gateway::{Call, CallError, Pushback, Request, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;

use super::answer::{Answer, Kind};
use super::knowledge::{Knowledge, Trouble};
use super::settings::Settings;
use super::versions;
use super::wire::{self, Ended, Filter, PageEnd, Warning};
use super::xml::{Pieces, Xml};
use super::{PASSWORD, Qualys, USERNAME};

/// Pieces of a body that wait for the parser.
const PIECES_MAX: usize = 8;
/// Batches of detections that wait for their facts.
const BATCHES_MAX: usize = 4;
/// Most pages of one read.
const PAGES_MAX: usize = 100_000;
/// How often one page is asked for again without any progress.
const FAILURES_MAX: u32 = 4;
/// Cuts that one read lives through, with progress.
const CUTS_MAX: u32 = 100;
/// How often one page waits for a limit that is told inside HTTP 200.
const PAUSES_MAX: u32 = 100;
/// Pause before a page that broke off is asked for again.
const PAUSE_AFTER_CUT: Duration = Duration::from_millis(250);
/// Largest error reply that is read for its code.
const ERROR_BYTES_MAX: usize = 1024 * 1024;
/// Largest reply to a credential check.
const PROBE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Path of the detection list after its version.
const DETECTION_PATH: &str = "/fo/asset/host/vm/detection/";

/// Reads all detections that the parameters ask for.
pub(super) async fn findings(call: Call<'_>, qualys: &Qualys) -> Result<Value, CallError> {
    let filter = Filter::from_params(call.params).map_err(|message| call.parameters(message))?;
    let settings = Settings::read(call.settings).map_err(|message| call.parameters(message))?;
    let sink = call.findings.ok_or_else(|| call.parameters("has nowhere to put findings"))?;
    let _turn = qualys.stream.lock().await;
    let mut reader = Reader {
        call,
        qualys,
        settings: &settings,
        filter: &filter,
        knowledge: Knowledge::new(
            call,
            &settings,
            &qualys.kb_versions,
            Arc::clone(sink),
            filter.min_severity,
        ),
        pages: 0,
        hosts: 0,
        cuts: 0,
        nameless: 0,
    };
    let walked = reader.walk().await;
    if !matches!(walked, Err(CallError::Sink(_))) {
        reader.knowledge.flush().await?;
    }
    let began = reader.pages > 0 || reader.hosts > 0;
    let why = match walked {
        Ok(why) => why,
        Err(error) if matches!(error, CallError::Sink(_)) || !began => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    Ok(reader.report(why))
}

/// The cheapest call that shows whether the account is accepted.
pub(super) async fn probe(call: Call<'_>, qualys: &Qualys) -> Result<(), CallError> {
    let settings = Settings::read(call.settings).map_err(|message| call.parameters(message))?;
    let request = Request::get("/msp/about.php").body_bytes_max(PROBE_BYTES_MAX);
    let response = send(&call, request).await?;
    if response.is_success() {
        match root(&response).as_deref() {
            Some("ABOUT") => return Ok(()),
            Some(super::answer::ROOT) => return accepted(&call, &response),
            // A page of something in front of the API; the list tells.
            _ => {}
        }
    } else if !versions::is_gone(response.status) {
        return Err(refused(&call, &response));
    }

    let fixed = settings.api_version.as_deref();
    loop {
        let version = qualys.detection_versions.current(fixed);
        let request = Request::get(&format!("/api/{version}{DETECTION_PATH}"))
            .query("action", "list")
            .query("truncation_limit", "1")
            .query("severities", "5")
            .query("show_results", "0")
            .timeout(settings.timeout)
            .body_bytes_max(PROBE_BYTES_MAX);
        let response = send(&call, request).await?;
        if response.is_success() {
            return accepted(&call, &response);
        }
        let gone = versions::is_gone(response.status);
        if !(gone && qualys.detection_versions.advance(fixed, &version)) {
            return Err(refused(&call, &response));
        }
    }
}

async fn send(call: &Call<'_>, request: Request) -> Result<Response, CallError> {
    let request = request.header("x-requested-with", super::REQUESTED_WITH);
    call.http.send(call.permit, request).await.map_err(|error| call.failed(error))
}

fn root(response: &Response) -> Option<String> {
    let xml = Xml::open(&*response.body, response.body.len()).ok()?;
    Some(xml.name().to_owned())
}

/// A reply with status 200 accepts the account unless its answer says otherwise.
fn accepted(call: &Call<'_>, response: &Response) -> Result<(), CallError> {
    match Answer::of_body(&response.body) {
        // Being asked to wait is said to accounts that are accepted.
        Some(answer) if !matches!(answer.kind(), Kind::Wait(_)) => {
            Err(answered(call, response.status, &answer))
        }
        Some(_) => Ok(()),
        None if root(response).is_some_and(|root| root == wire::DETECTIONS_ROOT) => Ok(()),
        None => Err(malformed(call, &format!("expected XML, got {}", response.excerpt()))),
    }
}

/// The error of a reply whose status is one.
fn refused(call: &Call<'_>, response: &Response) -> CallError {
    match Answer::of_body(&response.body) {
        Some(answer) => answered(call, response.status, &answer),
        None => call.refused(response, &response.excerpt()),
    }
}

/// The error of an answer.
fn answered(call: &Call<'_>, status: u16, answer: &Answer) -> CallError {
    let vendor = call.http.spec().title;
    let message = call.http.scrub(&answer.message());
    match answer.kind() {
        Kind::Account => CallError::Credential {
            vendor,
            variables: format!("{USERNAME} and {PASSWORD}"),
            message,
        },
        Kind::Wait(_) | Kind::Internal(_) => CallError::Unreachable { vendor, message },
        Kind::Refused if matches!(status, 401 | 403) => CallError::Credential {
            vendor,
            variables: format!("{USERNAME} and {PASSWORD}"),
            message,
        },
        Kind::Refused => {
            CallError::Refused { vendor, status: (status >= 400).then_some(status), message }
        }
    }
}

fn malformed(call: &Call<'_>, message: &str) -> CallError {
    let message = call.http.scrub(message);
    CallError::Malformed { vendor: call.http.spec().title, message }
}

/// Which page to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageRequest {
    /// The version that a page's address named; else the version that the platform serves.
    pub(super) version: Option<String>,
    pub(super) query: Vec<(String, String)>,
    /// The least host id of the page.
    pub(super) id_min: u64,
}

impl PageRequest {
    pub(super) fn first(filter: &Filter, settings: &Settings) -> Self {
        let statuses = filter.statuses.join(",");
        let mut query = vec![
            ("action", "list".to_owned()),
            ("truncation_limit", settings.truncation_limit.to_string()),
            ("severities", filter.severities()),
            ("status", statuses),
            ("show_results", "0".to_owned()),
            ("show_igs", "0".to_owned()),
        ];
        if settings.show_tags {
            query.push(("show_tags", "1".to_owned()));
        }
        let query = query.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { version: None, query, id_min: 0 }
    }

    /// The same page from another host on.
    fn starting_at(&self, id_min: u64) -> Self {
        let mut page = self.clone();
        page.query.retain(|(name, _)| name != "id_min");
        page.query.push(("id_min".to_owned(), id_min.to_string()));
        page.id_min = id_min;
        page
    }

    /// The page that a warning names.
    ///
    /// Of its address only the version and the query are used: scheme and host stay those that
    /// were configured, and the call stays a list of detections.
    pub(super) fn after(&self, warning: &Warning) -> Result<Self, &'static str> {
        if warning.url.is_empty() {
            return Err("a page is truncated and does not say where the next one is");
        }
        // Inside CDATA nothing is escaped, but some escape all the same.
        let text = warning.url.replace("&amp;", "&");
        let unusable = "the address of the next page is not one of a list of detections";
        let origin = Url::parse("https://localhost/").map_err(|_| unusable)?;
        let url = origin.join(&text).map_err(|_| unusable)?;
        let path = url.path().trim_end_matches('/');
        let front = path.strip_suffix(DETECTION_PATH.trim_end_matches('/')).ok_or(unusable)?;
        let version = match front.rsplit_once("/api/") {
            Some((_, version)) if is_version(version) => version.to_owned(),
            _ => return Err(unusable),
        };
        let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        // A repeated parameter keeps its last value, and so do these.
        let last = |name: &str| query.iter().rfind(|(key, _)| key == name).map(|(_, value)| value);
        if last("action").is_some_and(|action| action != "list") {
            return Err(unusable);
        }
        let has_action = last("action").is_some();
        let id_min = last("id_min").and_then(|value| value.trim().parse::<u64>().ok());
        let id_min = id_min.ok_or("the address of the next page names no id_min")?;
        if id_min <= self.id_min {
            return Err("the next page begins where this one began");
        }
        if !has_action {
            query.insert(0, ("action".to_owned(), "list".to_owned()));
        }
        Ok(Self { version: Some(version), query, id_min })
    }
}

fn is_version(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// What follows a page.
enum After {
    Nothing,
    Page(PageRequest),
    Lost(String),
}

struct Reader<'a> {
    call: Call<'a>,
    qualys: &'a Qualys,
    settings: &'a Settings,
    filter: &'a Filter,
    knowledge: Knowledge<'a>,
    pages: u64,
    hosts: u64,
    cuts: u32,
    nameless: u64,
}

impl Reader<'_> {
    /// Reads to the end. `Some` says why the read is incomplete.
    async fn walk(&mut self) -> Result<Option<String>, CallError> {
        let mut page = PageRequest::first(self.filter, self.settings);
        for _ in 0..PAGES_MAX {
            match self.page(page).await? {
                After::Nothing => return Ok(None),
                After::Page(next) => page = next,
                After::Lost(why) => return Ok(Some(why)),
            }
        }
        Ok(Some("there are more pages than one read may have".to_owned()))
    }

    /// Reads one page, again where it broke off.
    async fn page(&mut self, mut page: PageRequest) -> Result<After, CallError> {
        let (mut failures, mut pauses) = (0, 0);
        loop {
            let reply = self.open(&page).await?;
            let status = reply.status;
            let end = self.stream(reply).await?;
            self.hosts += end.hosts;
            self.nameless += end.nameless;
            let (give_up, pause) = match end.ended {
                Ended::Whole(None) => {
                    self.pages += 1;
                    return Ok(After::Nothing);
                }
                Ended::Whole(Some(warning)) => {
                    self.pages += 1;
                    return Ok(match page.after(&warning) {
                        Ok(next) => After::Page(next),
                        Err(why) => After::Lost(why.to_owned()),
                    });
                }
                Ended::Answer(answer) => {
                    let error = answered(&self.call, status, &answer);
                    match answer.kind() {
                        Kind::Wait(pushback) => {
                            pauses += 1;
                            (error, (pauses <= PAUSES_MAX).then_some(pushback))
                        }
                        Kind::Internal(pushback) => {
                            failures += 1;
                            (error, (failures < FAILURES_MAX).then_some(pushback))
                        }
                        Kind::Account | Kind::Refused => (error, None),
                    }
                }
                Ended::Broken(why) => {
                    let error = malformed(&self.call, &format!("the list breaks off: {why}"));
                    self.cuts += 1;
                    match end.last_host.filter(|_| end.ascending) {
                        Some(last) => {
                            page = page.starting_at(last.saturating_add(1));
                            failures = 0;
                        }
                        None => failures += 1,
                    }
                    let again = failures < FAILURES_MAX && self.cuts < CUTS_MAX;
                    (error, again.then_some(Pushback::For(PAUSE_AFTER_CUT)))
                }
                Ended::Foreign(root) => {
                    let what = format!("expected a list of detections, got a document `{root}`");
                    (malformed(&self.call, &what), None)
                }
                Ended::Refused(why) => (malformed(&self.call, why), None),
                Ended::Abandoned => (malformed(&self.call, "nobody takes the detections"), None),
            };
            match pause {
                Some(pushback) => self.call.http.pause(pushback),
                None => return Err(give_up),
            }
        }
    }

    /// Asks for a page, in the newest version that the platform serves.
    async fn open(&self, page: &PageRequest) -> Result<StreamingResponse, CallError> {
        let fixed = page.version.as_deref().or(self.settings.api_version.as_deref());
        let versions = &self.qualys.detection_versions;
        loop {
            let version = versions.current(fixed);
            let mut request = Request::get(&format!("/api/{version}{DETECTION_PATH}"))
                .header("x-requested-with", super::REQUESTED_WITH)
                .timeout(self.settings.timeout);
            for (name, value) in &page.query {
                request = request.query(name, value.as_str());
            }
            let opened = self.call.http.open(self.call.permit, request).await;
            let reply = opened.map_err(|error| self.call.failed(error))?;
            if (200..300).contains(&reply.status) {
                return Ok(reply);
            }
            if versions::is_gone(reply.status) {
                if versions.advance(fixed, &version) {
                    continue;
                }
                return Err(CallError::Refused {
                    vendor: self.call.http.spec().title,
                    status: Some(reply.status),
                    message: format!(
                        "no list of detections in version {version}; `api_version` in the \
                         settings names the version to use"
                    ),
                });
            }
            let response = reply.collect(ERROR_BYTES_MAX).await;
            let response = response.map_err(|error| self.call.failed(error))?;
            return Err(refused(&self.call, &response));
        }
    }

    /// Passes a body through the parser, and what it finds through the KnowledgeBase.
    async fn stream(&mut self, mut reply: StreamingResponse) -> Result<PageEnd, CallError> {
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let (batches, mut parsed) = mpsc::channel(BATCHES_MAX);
        let filter = self.filter.clone();
        let parse = tokio::task::spawn_blocking(move || {
            wire::read_page(Pieces::new(receiver), &filter, |batch| {
                batches.blocking_send(batch).is_ok()
            })
        });
        let call = self.call;
        let feed = async move {
            loop {
                let piece = match reply.chunk().await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => return,
                    Err(error) => Err(call.failed(error).to_string()),
                };
                let is_last = piece.is_err();
                if pieces.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        };
        let knowledge = &mut self.knowledge;
        let take = async move {
            while let Some(batch) = parsed.recv().await {
                knowledge.take(batch).await?;
            }
            Ok::<(), CallError>(())
        };
        let ((), taken) = tokio::join!(feed, take);
        let end = parse.await;
        taken?;
        end.map_err(|_| malformed(&call, "parsing the list failed"))
    }

    fn report(&self, why: Option<String>) -> Value {
        let mut whys: Vec<String> = why.into_iter().collect();
        let mut warnings = Vec::new();
        match self.knowledge.trouble() {
            Trouble::None => {}
            Trouble::Refused(message) => warnings.push(format!(
                "this account may not read the KnowledgeBase ({message}); findings have their \
                 QID for a name where no CVE was known already"
            )),
            Trouble::Unreachable(message) if self.knowledge.left_out > 0 => whys.push(format!(
                "the KnowledgeBase cannot be read ({message}); {} detections whose CVEs are not \
                 known were left out",
                self.knowledge.left_out
            )),
            Trouble::Unreachable(_) => {}
        }
        if self.nameless > 0 {
            whys.push(format!("{} detections name no QID", self.nameless));
        }
        let why = (!whys.is_empty()).then(|| whys.join("; "));
        json!({
            "complete": why.is_none(),
            "why": why,
            "warnings": warnings,
            "pages": self.pages,
            "findings": self.knowledge.findings,
        })
    }
}
