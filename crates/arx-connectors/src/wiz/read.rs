//! `findings:read`: pages are decoded while the next one travels.
//!
//! The cursor of the next page stands in the last bytes of a page, so that the next request goes
//! out before the page is decoded. What the decoder then says of the page counts: errors beside
//! data, or another cursor, undo the shortcut and never the check.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arx_gateway::{Call, CallError, Pushback, Request, Response};
use arx_types::{Digest, FindingSink, SinkError};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::refusal::{Kind, Refusal};
use super::wire::{self, FIELD_SETS, Next, NoPage, Wanted};

/// Pages that are decoded at once; beyond that the reader waits for the oldest. Each keeps a thread
/// and its memory.
const DECODING_MAX: usize = 4;
/// Bodies below this size are decoded before the next page is asked for: nothing is gained.
const SHORTCUT_BYTES_MIN: usize = 32 * 1024;
/// Largest page in bytes.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most pages of one read.
const PAGES_MAX: usize = 100_000;
/// The vendor's gateway cuts a request at about 120 s.
const PAGE_TIMEOUT: Duration = Duration::from_secs(125);
/// How often one page is asked for again after it failed inside HTTP 200.
const FAILURES_MAX: u32 = 4;
/// How often one page waits for a rate limit that is told inside HTTP 200.
const RATE_PAUSES_MAX: u32 = 100;
/// First pause before a page is asked for again; doubles each time.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause that the vendor did not ask for.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Reads all open findings that the parameters ask for.
pub(super) async fn findings(call: Call<'_>, field_set: &AtomicUsize) -> Result<Value, CallError> {
    let wanted = Wanted::from_params(call.params).map_err(|message| call.parameters(message))?;
    let sink = call.findings.ok_or_else(|| call.parameters("has nowhere to put findings"))?;
    let reader = Reader { call, sink: Arc::clone(sink), wanted: Arc::new(wanted), field_set };
    let mut progress = Progress::default();
    let why = match reader.read(&mut progress).await {
        Ok(why) => why,
        Err(error @ CallError::Sink(_)) => return Err(error),
        Err(error) if progress.pages == 0 => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    Ok(json!({
        "complete": why.is_none(),
        "why": why,
        "pages": progress.pages,
        "findings": progress.findings,
    }))
}

/// What has been read so far.
#[derive(Default)]
struct Progress {
    pages: u64,
    findings: u64,
}

/// A decoded page whose findings the sink has taken.
struct Taken {
    findings: u64,
    next: Next,
}

/// Why a page was not taken.
enum Failure {
    NoPage(NoPage),
    Sink(SinkError),
}

/// A page that is being decoded.
struct Decoding {
    after: Option<String>,
    expected: Next,
    task: JoinHandle<Result<Taken, Failure>>,
}

/// A page whose successor is known.
enum Fetched {
    Taken(Taken),
    /// Not decoded yet; the successor is what its last bytes say.
    Body(Bytes, Next),
}

/// How often one page has been asked for.
#[derive(Default)]
struct Tries {
    failures: u32,
    pauses: u32,
    renewed: bool,
    /// The shortcut was wrong about this page once.
    decode_first: bool,
}

struct Reader<'a> {
    call: Call<'a>,
    sink: Arc<dyn FindingSink>,
    wanted: Arc<Wanted>,
    field_set: &'a AtomicUsize,
}

impl Reader<'_> {
    /// Reads to the end. `Some` says why the read is incomplete.
    async fn read(&self, progress: &mut Progress) -> Result<Option<String>, CallError> {
        let mut decoding = VecDeque::new();
        let walked = self.walk(&mut decoding, progress).await;
        // Pages on their way are taken whatever ended the walk, so that what was counted is
        // what the sink holds.
        let mut drained = Ok(());
        while let Some(page) = decoding.pop_front() {
            let settled = self.settle(page, progress).await;
            drained = drained.and(settled);
        }
        let why = walked?;
        drained?;
        Ok(why.map(str::to_owned))
    }

    async fn walk(
        &self,
        decoding: &mut VecDeque<Decoding>,
        progress: &mut Progress,
    ) -> Result<Option<&'static str>, CallError> {
        let mut after = None;
        let mut seen = HashSet::new();
        for _ in 0..PAGES_MAX {
            let fetched = self.page(after.as_deref(), Tries::default()).await?;
            let next = match fetched {
                Fetched::Taken(page) => {
                    progress.add(&page);
                    page.next
                }
                Fetched::Body(body, next) => {
                    decoding.push_back(Decoding {
                        after,
                        expected: next.clone(),
                        task: self.decode(body),
                    });
                    if decoding.len() >= DECODING_MAX
                        && let Some(oldest) = decoding.pop_front()
                    {
                        self.settle(oldest, progress).await?;
                    }
                    next
                }
            };
            let cursor = match next {
                Next::End => return Ok(None),
                Next::Lost(why) => return Ok(Some(why)),
                Next::After(cursor) => cursor,
            };
            if !seen.insert(Digest::of_bytes(cursor.as_bytes())) {
                return Ok(Some("the cursor of the next page has been used before"));
            }
            after = Some(cursor);
        }
        Ok(Some("there are more pages than one read may have; narrow the read"))
    }

    /// Waits for a page that is being decoded; one that fails is asked for again.
    async fn settle(&self, page: Decoding, progress: &mut Progress) -> Result<(), CallError> {
        let taken = match page.task.await {
            Ok(Ok(taken)) => taken,
            Ok(Err(failure)) => {
                let mut tries = Tries { decode_first: true, ..Tries::default() };
                let response = empty_response();
                self.recover(failure, &response, &mut tries).await?;
                match self.page(page.after.as_deref(), tries).await? {
                    Fetched::Taken(taken) => taken,
                    Fetched::Body(..) => return Err(self.malformed("the page was not decoded")),
                }
            }
            Err(_) => return Err(self.malformed("decoding a page failed")),
        };
        progress.add(&taken);
        if taken.next == page.expected {
            return Ok(());
        }
        Err(self.malformed("a page names two different next pages"))
    }

    /// Asks for one page until it is there or there is no hope left.
    async fn page(&self, after: Option<&str>, mut tries: Tries) -> Result<Fetched, CallError> {
        loop {
            let fields = self.fields();
            let request = Request::post("")
                .json(&self.wanted.query(fields, after))
                .header("accept", "application/json")
                .replay_safe()
                .timeout(PAGE_TIMEOUT)
                .body_bytes_max(PAGE_BYTES_MAX);
            let sent = self.call.http.send(self.call.permit, request).await;
            let response = sent.map_err(|error| self.call.failed(error))?;
            if !response.is_success() {
                let body: Value = response.json().unwrap_or_default();
                let errors = body.get("errors").unwrap_or(&Value::Null);
                let refusal = Refusal::of(response.status, errors, &response);
                self.answer(refusal, &mut tries).await?;
                continue;
            }
            if !tries.decode_first
                && response.body.len() >= SHORTCUT_BYTES_MIN
                && let Some(next @ (Next::End | Next::After(_))) = wire::peek_next(&response.body)
            {
                return Ok(Fetched::Body(response.body, next));
            }
            match self.decode(response.body.clone()).await {
                Ok(Ok(taken)) => return Ok(Fetched::Taken(taken)),
                Ok(Err(failure)) => self.recover(failure, &response, &mut tries).await?,
                Err(_) => return Err(self.malformed("decoding a page failed")),
            }
        }
    }

    /// Decodes a page away from the async threads and hands its findings to the sink.
    fn decode(&self, body: Bytes) -> JoinHandle<Result<Taken, Failure>> {
        let wanted = Arc::clone(&self.wanted);
        let sink = Arc::clone(&self.sink);
        tokio::task::spawn_blocking(move || {
            // A page with a broken character loses that character, not the page.
            let text = match std::str::from_utf8(&body) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => String::from_utf8_lossy(&body),
            };
            let page = wire::decode(&text, &wanted).map_err(Failure::NoPage)?;
            sink.accept(&page.findings).map_err(Failure::Sink)?;
            Ok(Taken { findings: page.findings.len() as u64, next: page.next })
        })
    }

    async fn recover(
        &self,
        failure: Failure,
        response: &Response,
        tries: &mut Tries,
    ) -> Result<(), CallError> {
        match failure {
            Failure::Sink(error) => Err(error.into()),
            Failure::NoPage(NoPage::Errors(errors)) => {
                self.answer(Refusal::of(response.status, &errors, response), tries).await
            }
            Failure::NoPage(NoPage::Malformed(message)) => {
                tries.failures += 1;
                if tries.failures >= FAILURES_MAX {
                    return Err(self.malformed(&message));
                }
                self.pause(tries.failures);
                Ok(())
            }
        }
    }

    /// Does what a refusal asks for, or gives it back as the error that ends the read.
    async fn answer(&self, refusal: Refusal, tries: &mut Tries) -> Result<(), CallError> {
        let give_up = match refusal.kind {
            Kind::Unauthenticated => {
                let give_up = tries.renewed;
                tries.renewed = true;
                if !give_up {
                    self.call.http.expire_token().await;
                }
                give_up
            }
            Kind::RateLimited => {
                tries.pauses += 1;
                match refusal.retry_after {
                    Some(wait) => self.call.http.pause(Pushback::For(wait)),
                    None => self.pause(tries.pauses),
                }
                tries.pauses > RATE_PAUSES_MAX
            }
            Kind::Internal => {
                tries.failures += 1;
                self.pause(tries.failures);
                tries.failures >= FAILURES_MAX
            }
            Kind::Schema => !self.ask_for_less(&refusal.message),
            Kind::Unauthorized | Kind::Refused => true,
        };
        if give_up { Err(refusal.into_error(&self.call)) } else { Ok(()) }
    }

    fn fields(&self) -> &'static str {
        let chosen = self.field_set.load(Ordering::Relaxed);
        FIELD_SETS.get(chosen).or(FIELD_SETS.last()).copied().unwrap_or_default()
    }

    /// Goes on with a smaller field set, remembered for this tenant; false when there is none.
    fn ask_for_less(&self, message: &str) -> bool {
        let chosen = self.field_set.load(Ordering::Relaxed);
        if chosen + 1 >= FIELD_SETS.len() {
            return false;
        }
        let message = self.call.http.scrub(message);
        tracing::warn!(%message, "the tenant's schema lacks a field; asking for fewer");
        self.field_set.store(chosen + 1, Ordering::Relaxed);
        true
    }

    /// Closes the budget for longer each time, which delays the next request to the vendor.
    fn pause(&self, n: u32) {
        let wait = PAUSE_FIRST.saturating_mul(1 << n.saturating_sub(1).min(10)).min(PAUSE_MAX);
        self.call.http.pause(Pushback::For(wait));
    }

    fn malformed(&self, message: &str) -> CallError {
        let message = self.call.http.scrub(message);
        CallError::Malformed { vendor: self.call.http.spec().title, message }
    }
}

impl Progress {
    fn add(&mut self, page: &Taken) {
        self.pages += 1;
        self.findings += page.findings;
    }
}

/// Stands for a reply whose headers are gone when its page turns out to hold errors.
fn empty_response() -> Response {
    Response { status: 200, headers: Default::default(), body: Bytes::new() }
}
