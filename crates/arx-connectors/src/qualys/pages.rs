//! Lists of hosts, page by page, streamed one after the other.
//!
//! A page that breaks off is asked for again from the first host that was not read whole. What
//! cannot be read to its end makes the read incomplete, never shorter. What is done with the
//! hosts is a [`Taker`]'s.

use std::time::Duration;

use arx_gateway::http::StreamingResponse;
use arx_gateway::{Call, CallError, Pushback, Request};
use tokio::sync::mpsc;
use url::Url;

use super::answer::Kind;
use super::refusal::{answered, malformed, refused};
use super::settings::Settings;
use super::versions::{self, Versions};
use super::wire::{Ended, PageEnd, Warning};
use super::xml::Pieces;

/// Pieces of a body that wait for the parser.
const PIECES_MAX: usize = 8;
/// Batches of what was parsed that wait for their taker.
const BATCHES_MAX: usize = 4;
/// Most pages of one read.
const PAGES_MAX: usize = 100_000;
/// Most pages of the list of hosts, of which one hour's calls are 300.
const HOST_PAGES_MAX: usize = 250;
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

/// One of the lists of hosts.
#[derive(Debug)]
pub(super) struct List {
    /// Path after its version.
    pub(super) path: &'static str,
    /// What it lists, for messages.
    pub(super) what: &'static str,
    /// The setting that fixes its version.
    pub(super) setting: &'static str,
}

/// Hosts with their detections; without those that have none.
pub(super) const DETECTIONS: List =
    List { path: "/fo/asset/host/vm/detection/", what: "detections", setting: "api_version" };
/// Every host.
pub(super) const HOSTS: List =
    List { path: "/fo/asset/host/", what: "hosts", setting: "host_api_version" };

/// Reads a page away from the async threads, and hands on what it finds; its second argument
/// answers false when nobody takes that any more.
pub(super) type Parser<B> =
    Box<dyn FnOnce(Pieces, &mut dyn FnMut(B) -> bool) -> PageEnd + Send + 'static>;

/// What is done with the hosts of a list.
pub(super) trait Taker: Send {
    /// Some hosts.
    type Batch: Send + 'static;

    /// What reads the next page.
    fn parser(&self) -> Parser<Self::Batch>;

    /// Takes what the parser handed on.
    fn take(&mut self, batch: Self::Batch) -> impl Future<Output = Result<(), CallError>> + Send;
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
    /// The first page of what a query asks for.
    pub(super) fn first(query: Vec<(&str, String)>) -> Self {
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
    /// were configured, and the call stays the same list.
    pub(super) fn after(&self, list: &List, warning: &Warning) -> Result<Self, String> {
        if warning.url.is_empty() {
            return Err("a page is truncated and does not say where the next one is".to_owned());
        }
        // Inside CDATA nothing is escaped, but some escape all the same.
        let text = warning.url.replace("&amp;", "&");
        let unusable =
            || format!("the address of the next page is not one of a list of {}", list.what);
        let origin = Url::parse("https://localhost/").map_err(|_| unusable())?;
        let url = origin.join(&text).map_err(|_| unusable())?;
        let path = url.path().trim_end_matches('/');
        let front = path.strip_suffix(list.path.trim_end_matches('/')).ok_or_else(unusable)?;
        let version = match front.rsplit_once("/api/") {
            Some((_, version)) if is_version(version) => version.to_owned(),
            _ => return Err(unusable()),
        };
        let mut query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        // A repeated parameter keeps its last value, and so do these.
        let last = |name: &str| query.iter().rfind(|(key, _)| key == name).map(|(_, value)| value);
        if last("action").is_some_and(|action| action != "list") {
            return Err(unusable());
        }
        let has_action = last("action").is_some();
        let id_min = last("id_min").and_then(|value| value.trim().parse::<u64>().ok());
        let id_min = id_min.ok_or("the address of the next page names no id_min".to_owned())?;
        if id_min <= self.id_min {
            return Err("the next page begins where this one began".to_owned());
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

/// Reads the pages of one list.
pub(super) struct Pager<'a> {
    call: Call<'a>,
    list: &'static List,
    versions: &'a Versions,
    fixed_version: Option<&'a str>,
    timeout: Duration,
    /// Pages that were read to their end.
    pub(super) pages: u64,
    /// Hosts that were read to their closing tag.
    pub(super) hosts: u64,
    /// Detections that name no QID.
    pub(super) nameless: u64,
    cuts: u32,
    pages_max: usize,
}

impl<'a> Pager<'a> {
    /// Of the list of detections.
    pub(super) fn of_detections(
        call: Call<'a>,
        versions: &'a Versions,
        settings: &'a Settings,
    ) -> Self {
        Self::new(call, &DETECTIONS, versions, settings.api_version.as_deref(), settings)
    }

    /// Of the list of hosts.
    pub(super) fn of_hosts(call: Call<'a>, versions: &'a Versions, settings: &'a Settings) -> Self {
        let version = settings.host_api_version.as_deref();
        let pager = Self::new(call, &HOSTS, versions, version, settings);
        Self { pages_max: HOST_PAGES_MAX, ..pager }
    }

    fn new(
        call: Call<'a>,
        list: &'static List,
        versions: &'a Versions,
        fixed_version: Option<&'a str>,
        settings: &Settings,
    ) -> Self {
        let timeout = settings.timeout;
        Self {
            call,
            list,
            versions,
            fixed_version,
            timeout,
            pages: 0,
            hosts: 0,
            nameless: 0,
            cuts: 0,
            pages_max: PAGES_MAX,
        }
    }

    /// Reads to the end. `Some` says why the read is incomplete.
    pub(super) async fn walk<T: Taker>(
        &mut self,
        first: PageRequest,
        taker: &mut T,
    ) -> Result<Option<String>, CallError> {
        let mut page = first;
        for _ in 0..self.pages_max {
            match self.page(page, taker).await? {
                After::Nothing => return Ok(None),
                After::Page(next) => page = next,
                After::Lost(why) => return Ok(Some(why)),
            }
        }
        Ok(Some("there are more pages than one read may have".to_owned()))
    }

    /// Reads one page, again where it broke off.
    async fn page<T: Taker>(
        &mut self,
        mut page: PageRequest,
        taker: &mut T,
    ) -> Result<After, CallError> {
        let (mut failures, mut pauses) = (0, 0);
        loop {
            let reply = self.open(&page).await?;
            let status = reply.status;
            let end = self.stream(reply, taker).await?;
            self.hosts += end.hosts;
            self.nameless += end.nameless;
            let (give_up, pause) = match end.ended {
                Ended::Whole(None) => {
                    self.pages += 1;
                    return Ok(After::Nothing);
                }
                Ended::Whole(Some(warning)) => {
                    self.pages += 1;
                    return Ok(match page.after(self.list, &warning) {
                        Ok(next) => After::Page(next),
                        Err(why) => After::Lost(why),
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
                    let what =
                        format!("expected a list of {}, got a document `{root}`", self.list.what);
                    (malformed(&self.call, &what), None)
                }
                Ended::Refused(why) => (malformed(&self.call, why), None),
                Ended::Abandoned => (malformed(&self.call, "nobody takes what is listed"), None),
            };
            match pause {
                Some(pushback) => self.call.http.pause(pushback),
                None => return Err(give_up),
            }
        }
    }

    /// Asks for a page, in the newest version that the platform serves.
    async fn open(&self, page: &PageRequest) -> Result<StreamingResponse, CallError> {
        let fixed = page.version.as_deref().or(self.fixed_version);
        loop {
            let version = self.versions.current(fixed);
            let mut request = Request::get(&format!("/api/{version}{}", self.list.path))
                .header("x-requested-with", super::REQUESTED_WITH)
                .timeout(self.timeout);
            for (name, value) in &page.query {
                request = request.query(name, value.as_str());
            }
            let opened = self.call.http.open(self.call.permit, request).await;
            let reply = opened.map_err(|error| self.call.failed(error))?;
            if (200..300).contains(&reply.status) {
                return Ok(reply);
            }
            if versions::is_gone(reply.status) {
                if self.versions.advance(fixed, &version) {
                    continue;
                }
                return Err(CallError::Refused {
                    vendor: self.call.http.spec().title,
                    status: Some(reply.status),
                    message: format!(
                        "no list of {} in version {version}; `{}` in the settings names the \
                         version to use",
                        self.list.what, self.list.setting
                    ),
                });
            }
            let response = reply.collect(ERROR_BYTES_MAX).await;
            let response = response.map_err(|error| self.call.failed(error))?;
            return Err(refused(&self.call, &response));
        }
    }

    /// Passes a body through the parser, and what it finds to its taker.
    async fn stream<T: Taker>(
        &mut self,
        mut reply: StreamingResponse,
        taker: &mut T,
    ) -> Result<PageEnd, CallError> {
        let (pieces, receiver) = mpsc::channel(PIECES_MAX);
        let (batches, mut parsed) = mpsc::channel(BATCHES_MAX);
        let read = taker.parser();
        let parse = tokio::task::spawn_blocking(move || {
            read(Pieces::new(receiver), &mut |batch| batches.blocking_send(batch).is_ok())
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
        let take = async move {
            while let Some(batch) = parsed.recv().await {
                taker.take(batch).await?;
            }
            Ok::<(), CallError>(())
        };
        let ((), taken) = tokio::join!(feed, take);
        let end = parse.await;
        taken?;
        end.map_err(|_| malformed(&call, "parsing the list failed"))
    }
}
