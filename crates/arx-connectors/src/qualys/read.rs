//! `findings:read`: every open detection, and the check of the account.

use std::sync::Arc;

use arx_gateway::{Call, CallError, Request, Response};
use serde_json::{Value, json};

use super::Qualys;
use super::answer::{Answer, Kind};
use super::knowledge::{Facts, Knowledge, Trouble};
use super::pages::{DETECTIONS, PageRequest, Pager, Parser, Taker};
use super::refusal::{answered, malformed, refused};
use super::settings::Settings;
use super::versions;
use super::wire::{self, Detection, Filter};
use super::xml::Xml;

/// Largest reply to a credential check.
const PROBE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Reads all detections that the parameters ask for.
pub(super) async fn findings(call: Call<'_>, qualys: &Qualys) -> Result<Value, CallError> {
    let filter = Filter::from_params(call.params).map_err(|message| call.parameters(message))?;
    let settings = Settings::read(call.settings).map_err(|message| call.parameters(message))?;
    let sink = call.findings.ok_or_else(|| call.parameters("has nowhere to put findings"))?;
    let _turn = qualys.stream.lock().await;
    let facts = Facts::new(call, &settings, &qualys.kb_versions);
    let knowledge = Knowledge::new(facts, Arc::clone(sink), filter.min_severity);
    let mut findings = Findings { filter: &filter, knowledge };
    let mut pager = Pager::of_detections(call, &qualys.detection_versions, &settings);
    let walked = pager.walk(first(&filter, &settings), &mut findings).await;
    if !matches!(walked, Err(CallError::Sink(_))) {
        findings.knowledge.flush().await?;
    }
    let began = pager.pages > 0 || pager.hosts > 0;
    let why = match walked {
        Ok(why) => why,
        Err(error) if matches!(error, CallError::Sink(_)) || !began => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    Ok(report(&findings.knowledge, &pager, why))
}

/// The first page of all detections that count.
fn first(filter: &Filter, settings: &Settings) -> PageRequest {
    let mut query = vec![
        ("action", "list".to_owned()),
        ("truncation_limit", settings.truncation_limit.to_string()),
        ("severities", filter.severities()),
        ("status", filter.statuses.join(",")),
        ("show_results", "0".to_owned()),
        ("show_igs", "0".to_owned()),
    ];
    if settings.show_tags {
        query.push(("show_tags", "1".to_owned()));
    }
    PageRequest::first(query)
}

/// Detections on their way to the sink.
struct Findings<'a> {
    filter: &'a Filter,
    knowledge: Knowledge<'a>,
}

impl Taker for Findings<'_> {
    type Batch = Vec<Detection>;

    fn parser(&self) -> Parser<Self::Batch> {
        let filter = self.filter.clone();
        Box::new(move |pieces, hand_on| wire::read_page(pieces, &filter, hand_on))
    }

    async fn take(&mut self, batch: Self::Batch) -> Result<(), CallError> {
        self.knowledge.take(batch).await
    }
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
        let request = Request::get(&format!("/api/{version}{}", DETECTIONS.path))
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

fn report(knowledge: &Knowledge<'_>, pager: &Pager<'_>, why: Option<String>) -> Value {
    let mut whys: Vec<String> = why.into_iter().collect();
    let mut warnings = Vec::new();
    match knowledge.trouble() {
        Trouble::None => {}
        Trouble::Refused(message) => warnings.push(format!(
            "this account may not read the KnowledgeBase ({message}); findings have their \
             QID for a name where no CVE was known already"
        )),
        Trouble::Unreachable(message) if knowledge.left_out > 0 => whys.push(format!(
            "the KnowledgeBase cannot be read ({message}); {} detections whose CVEs are not \
             known were left out",
            knowledge.left_out
        )),
        Trouble::Unreachable(_) => {}
    }
    if pager.nameless > 0 {
        whys.push(format!("{} detections name no QID", pager.nameless));
    }
    let why = (!whys.is_empty()).then(|| whys.join("; "));
    json!({
        "complete": why.is_none(),
        "why": why,
        "warnings": warnings,
        "pages": pager.pages,
        "findings": knowledge.findings,
    })
}
