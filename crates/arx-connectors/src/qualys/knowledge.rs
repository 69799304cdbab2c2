//! The KnowledgeBase: what a QID means, and which CVEs it covers.
//!
//! Detections name QIDs alone, so that none can leave before its QID is known. Facts are kept in
//! the cache between runs and asked for in batches; detections wait here meanwhile, in bounded
//! number. A KnowledgeBase that this account may not read leaves detections under their QIDs; one
//! that cannot be *reached* leaves them out, because a detection under a name that it does not
//! keep would page twice.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arx_gateway::{Call, CallError, Pushback, Request, Response};
use arx_types::{Asset, Finding, FindingSink};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Kind, one_line};
use super::settings::Settings;
use super::versions::{self, Versions};
use super::wire::{self, Detection};
use super::xml::{Xml, XmlError};

/// Under which facts are cached.
const CACHE_KIND: &str = "qualys.kb";
/// QIDs of one request.
pub(super) const BATCH_QIDS: usize = 200;
/// Detections that wait for facts at most.
pub(super) const WAITING_MAX: usize = 20_000;
/// Facts that one read keeps; beyond that they are looked up again.
const FACTS_MAX: usize = 20_000;
/// Largest reply of the KnowledgeBase.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often one batch is asked for when its reply breaks off or names too few QIDs.
const TRIES_MAX: u32 = 4;
/// How often one batch waits for a limit that is told inside HTTP 200.
const PAUSES_MAX: u32 = 100;
/// Pause before a batch is asked for again.
const PAUSE: Duration = Duration::from_millis(250);
/// Longest text that is kept of a fact.
const TEXT_CHARS_MAX: usize = 2_000;
/// The highest of Qualys' severities.
const SEVERITY_MAX: u8 = 5;
/// CVEs of one QID that are kept.
const CVES_MAX: usize = 500;

/// What a QID means.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Fact {
    pub(super) cves: Vec<String>,
    pub(super) title: String,
    pub(super) severity: u8,
    pub(super) cvss_tenths: Option<u8>,
    pub(super) solution: String,
    pub(super) diagnosis: String,
    pub(super) patchable: bool,
    pub(super) public_exploit: bool,
    pub(super) known_exploited: bool,
}

/// What is known of QIDs: kept, cached, or asked for.
pub(super) struct Facts<'a> {
    call: Call<'a>,
    settings: &'a Settings,
    versions: &'a Versions,
    /// `None` for QIDs that the KnowledgeBase does not know.
    pub(super) known: HashMap<u32, Option<Arc<Fact>>>,
    /// QIDs that neither memory nor cache knows.
    pub(super) unknown: BTreeSet<u32>,
    pub(super) trouble: Trouble,
}

/// Detections on their way to the sink, by way of the KnowledgeBase.
pub(super) struct Knowledge<'a> {
    facts: Facts<'a>,
    sink: Arc<dyn FindingSink>,
    min_severity: u8,
    waiting: Vec<Detection>,
    pub(super) findings: u64,
    pub(super) left_out: u64,
}

/// Whether the KnowledgeBase answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does, so far.
    #[default]
    None,
    /// It does not answer this account.
    Refused(String),
    /// It does not answer.
    Unreachable(String),
}

impl<'a> Knowledge<'a> {
    pub(super) fn new(facts: Facts<'a>, sink: Arc<dyn FindingSink>, min_severity: u8) -> Self {
        Self { facts, sink, min_severity, waiting: Vec::new(), findings: 0, left_out: 0 }
    }

    /// What kept facts away, if anything did.
    pub(super) fn trouble(&self) -> &Trouble {
        &self.facts.trouble
    }

    /// Takes detections; those whose QIDs are known go on, the rest wait.
    pub(super) async fn take(&mut self, detections: Vec<Detection>) -> Result<(), CallError> {
        self.facts.recall(detections.iter().map(|detection| detection.qid)).await;
        let known = &self.facts.known;
        let (known, waiting): (Vec<_>, Vec<_>) =
            detections.into_iter().partition(|detection| known.contains_key(&detection.qid));
        self.emit(known).await?;
        self.waiting.extend(waiting);
        if self.facts.unknown.len() >= BATCH_QIDS || self.waiting.len() >= WAITING_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Learns what is still unknown and lets every detection go.
    pub(super) async fn flush(&mut self) -> Result<(), CallError> {
        self.facts.learn().await;
        if let Trouble::Refused(_) = self.facts.trouble {
            let unknown = std::mem::take(&mut self.facts.unknown);
            self.facts.known.extend(unknown.into_iter().map(|qid| (qid, None)));
        }
        let waiting = std::mem::take(&mut self.waiting);
        let known = &self.facts.known;
        let (known, unknown): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|detection| known.contains_key(&detection.qid));
        self.left_out += unknown.len() as u64;
        self.emit(known).await?;
        if self.facts.known.len() > FACTS_MAX {
            self.facts.known.clear();
        }
        Ok(())
    }

    /// Hands detections to the sink as findings, away from the async threads.
    async fn emit(&mut self, detections: Vec<Detection>) -> Result<(), CallError> {
        if detections.is_empty() {
            return Ok(());
        }
        let facts: Vec<_> = detections
            .iter()
            .map(|detection| self.facts.known.get(&detection.qid).cloned().flatten())
            .collect();
        let sink = Arc::clone(&self.sink);
        let min_severity = self.min_severity;
        let emitted = tokio::task::spawn_blocking(move || {
            let names: Vec<String> =
                detections.iter().map(|detection| format!("QID-{}", detection.qid)).collect();
            let findings: Vec<Finding<'_>> = detections
                .iter()
                .zip(&facts)
                .zip(&names)
                .filter_map(|((detection, fact), name)| {
                    finding(detection, fact.as_deref(), name, min_severity)
                })
                .collect();
            sink.accept(&findings).map(|()| findings.len() as u64)
        });
        match emitted.await {
            Ok(n) => self.findings += n?,
            Err(_) => {
                return Err(CallError::Malformed {
                    vendor: self.facts.call.http.spec().title,
                    message: "building findings failed".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl<'a> Facts<'a> {
    pub(super) fn new(call: Call<'a>, settings: &'a Settings, versions: &'a Versions) -> Self {
        Self {
            call,
            settings,
            versions,
            known: HashMap::new(),
            unknown: BTreeSet::new(),
            trouble: Trouble::None,
        }
    }

    /// Looks QIDs up that are new, in the cache; the rest become unknown.
    pub(super) async fn recall(&mut self, qids: impl Iterator<Item = u32>) {
        let is_new = |qid: &u32| !self.known.contains_key(qid) && !self.unknown.contains(qid);
        let qids: BTreeSet<u32> = qids.filter(is_new).collect();
        if qids.is_empty() {
            return;
        }
        let keys: Vec<String> = qids.iter().map(u32::to_string).collect();
        let kept = self.call.cache.get(CACHE_KIND, &keys, self.settings.kb_max_age).await;
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "asking the KnowledgeBase for what may be cached");
            Default::default()
        });
        for (key, value) in kept {
            // An entry of another shape is as good as none.
            let fact = serde_json::from_slice::<Fact>(&value).ok();
            if let (Ok(qid), Some(fact)) = (key.parse::<u32>(), fact) {
                self.known.insert(qid, Some(Arc::new(fact)));
            }
        }
        self.unknown.extend(qids.into_iter().filter(|qid| !self.known.contains_key(qid)));
    }

    /// Asks the KnowledgeBase for everything unknown.
    pub(super) async fn learn(&mut self) {
        while self.trouble == Trouble::None && !self.unknown.is_empty() {
            let batch: BTreeSet<u32> = self.unknown.iter().copied().take(BATCH_QIDS).collect();
            match self.ask(&batch).await {
                Ok(facts) => self.remember(batch, facts).await,
                Err(trouble) => {
                    tracing::warn!(?trouble, "the KnowledgeBase has no answer");
                    self.trouble = trouble;
                }
            }
        }
    }

    async fn remember(&mut self, batch: BTreeSet<u32>, facts: HashMap<u32, Fact>) {
        let entries: Vec<_> = facts
            .iter()
            .filter_map(|(qid, fact)| Some((qid.to_string(), serde_json::to_vec(fact).ok()?)))
            .collect();
        if let Err(error) = self.call.cache.put(CACHE_KIND, entries).await {
            tracing::warn!(%error, "facts of the KnowledgeBase are not kept");
        }
        let mut facts = facts;
        for qid in batch {
            self.unknown.remove(&qid);
            self.known.insert(qid, facts.remove(&qid).map(Arc::new));
        }
    }

    /// Asks for one batch. QIDs that the reply does not name are not in the KnowledgeBase,
    /// unless the reply says that it was truncated.
    async fn ask(&self, batch: &BTreeSet<u32>) -> Result<HashMap<u32, Fact>, Trouble> {
        let mut facts = HashMap::new();
        let mut wanted = batch.clone();
        let (mut tries, mut pauses) = (0, 0);
        loop {
            tries += 1;
            let response = self.request(&wanted).await?;
            let (give_up, again) = match read_knowledge(&response.body) {
                Ok(Reply::Facts { facts: more, truncated }) => {
                    wanted.retain(|qid| !more.contains_key(qid));
                    let before = facts.len();
                    facts.extend(more.into_iter().filter(|(qid, _)| batch.contains(qid)));
                    if !truncated || wanted.is_empty() {
                        return Ok(facts);
                    }
                    if facts.len() > before {
                        tries = 0;
                    }
                    ("the reply is truncated and does not go on".to_owned(), None)
                }
                Ok(Reply::Answer(answer)) => match answer.kind() {
                    Kind::Wait(pushback) => {
                        pauses += 1;
                        tries = if pauses > PAUSES_MAX { TRIES_MAX } else { 0 };
                        (answer.message(), Some(pushback))
                    }
                    Kind::Internal(pushback) => (answer.message(), Some(pushback)),
                    Kind::Account | Kind::Refused => {
                        return Err(self.refusal(response.status, Some(&answer), &response));
                    }
                },
                Ok(Reply::Foreign(root)) => {
                    return Err(Trouble::Unreachable(format!(
                        "expected a KnowledgeBase, got a document `{root}`"
                    )));
                }
                Err(XmlError::Broken(why)) => (why, Some(Pushback::For(PAUSE))),
                Err(XmlError::Refused(why)) => return Err(Trouble::Unreachable(why.to_owned())),
            };
            if tries >= TRIES_MAX {
                return Err(Trouble::Unreachable(self.call.http.scrub(&give_up)));
            }
            if let Some(pushback) = again {
                self.call.http.pause(pushback);
            }
        }
    }

    async fn request(&self, qids: &BTreeSet<u32>) -> Result<Response, Trouble> {
        let ids = qids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let fixed = self.settings.kb_api_version.as_deref();
        loop {
            let version = self.versions.current(fixed);
            let request = Request::get(&format!("/api/{version}/fo/knowledge_base/vuln/"))
                .query("action", "list")
                .query("details", "All")
                .query("ids", ids.as_str())
                .header("x-requested-with", super::REQUESTED_WITH)
                .timeout(self.settings.timeout)
                .body_bytes_max(BODY_BYTES_MAX);
            let sent = self.call.http.send(self.call.permit, request).await;
            let response =
                sent.map_err(|error| Trouble::Unreachable(self.call.failed(error).to_string()))?;
            if response.is_success() {
                return Ok(response);
            }
            if versions::is_gone(response.status) && self.versions.advance(fixed, &version) {
                continue;
            }
            let answer = Answer::of_body(&response.body);
            return Err(self.refusal(response.status, answer.as_ref(), &response));
        }
    }

    /// What a refusal means: an account that is not accepted any more will be again, one that may
    /// not read the KnowledgeBase will not.
    fn refusal(&self, status: u16, answer: Option<&Answer>, response: &Response) -> Trouble {
        let words = answer.map_or_else(|| response.excerpt(), Answer::message);
        let words = self.call.http.scrub(&words);
        let message = if status < 400 { words } else { format!("status {status}: {words}") };
        let account = match answer {
            Some(answer) => answer.kind() == Kind::Account && !answer.is_about_entitlement(),
            None => status == 401,
        };
        if account { Trouble::Unreachable(message) } else { Trouble::Refused(message) }
    }
}

/// A detection with what its QID means. Without a severity of its own it has the QID's.
pub(super) fn finding<'a>(
    detection: &'a Detection,
    fact: Option<&'a Fact>,
    qid_name: &'a str,
    min_severity: u8,
) -> Option<Finding<'a>> {
    let number = match (detection.severity, fact) {
        (0, Some(fact)) => fact.severity.min(SEVERITY_MAX),
        (own, _) => own,
    };
    if number != 0 && number < min_severity {
        return None;
    }
    let text = |of: fn(&Fact) -> &String| fact.map(of).map(String::as_str).unwrap_or_default();
    let cves = fact.map(|fact| fact.cves.as_slice()).unwrap_or_default();
    let vulnerabilities = if cves.is_empty() {
        vec![qid_name.into()]
    } else {
        cves.iter().map(|cve| cve.as_str().into()).collect()
    };
    Some(Finding {
        id: detection.id.as_str().into(),
        vulnerabilities,
        aliases: Vec::new(),
        asset: Asset {
            id: detection.host.id.as_str().into(),
            name: detection.host.name.as_str().into(),
            kind: "HOST".into(),
            tags: detection
                .host
                .tags
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            ..Asset::default()
        },
        severity: wire::severity(number),
        qualys_severity: number,
        cvss_tenths: fact.and_then(|fact| fact.cvss_tenths),
        epss_millionths: None,
        known_exploited: fact.is_some_and(|fact| fact.known_exploited),
        public_exploit: fact.is_some_and(|fact| fact.public_exploit),
        title: text(|fact| &fact.title).into(),
        description: text(|fact| &fact.diagnosis).into(),
        remediation: text(|fact| &fact.solution).into(),
        first_seen: detection.first_seen.as_str().into(),
        ..Finding::default()
    })
}

/// What a reply of the KnowledgeBase is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Facts { facts: HashMap<u32, Fact>, truncated: bool },
    Answer(Answer),
    Foreign(String),
}

/// Reads a reply of the KnowledgeBase.
pub(super) fn read_knowledge(body: &[u8]) -> Result<Reply, XmlError> {
    if let Some(answer) = Answer::of_body(body) {
        return Ok(Reply::Answer(answer));
    }
    let mut xml = Xml::open(body, body.len())?;
    if xml.name() != "KNOWLEDGE_BASE_VULN_LIST_OUTPUT" {
        return Ok(Reply::Foreign(one_line(xml.name())));
    }
    let mut facts = HashMap::new();
    let mut truncated = false;
    while xml.child()? {
        if xml.name() != "RESPONSE" {
            xml.skip()?;
            continue;
        }
        while xml.child()? {
            match xml.name() {
                "VULN_LIST" => {
                    while xml.child()? {
                        if xml.name() == "VULN" {
                            facts.extend(read_fact(&mut xml)?);
                        } else {
                            xml.skip()?;
                        }
                    }
                }
                "WARNING" => {
                    let warning = wire::read_warning(&mut xml)?;
                    truncated |= warning.code == "1980" || !warning.url.is_empty();
                }
                _ => xml.skip()?,
            }
        }
    }
    Ok(Reply::Facts { facts, truncated })
}

fn read_fact(xml: &mut Xml<&[u8]>) -> Result<Option<(u32, Fact)>, XmlError> {
    let mut qid = None;
    let mut fact = Fact::default();
    let (mut cvss2, mut cvss3) = (None, None);
    while xml.child()? {
        match xml.name() {
            "QID" => qid = xml.text()?.parse().ok(),
            "TITLE" => fact.title = plain(xml.text()?).replace('\n', " "),
            "SEVERITY_LEVEL" => fact.severity = xml.text()?.parse().unwrap_or_default(),
            "PATCHABLE" => fact.patchable = xml.text()? == "1",
            "DIAGNOSIS" => fact.diagnosis = plain(xml.text()?),
            "SOLUTION" => fact.solution = plain(xml.text()?),
            "CVSS" => cvss2 = read_base_score(xml)?,
            "CVSS_V3" => cvss3 = read_base_score(xml)?,
            "CVE_LIST" => {
                while xml.child()? {
                    while xml.child()? {
                        if xml.name() != "ID" {
                            xml.skip()?;
                            continue;
                        }
                        let id = xml.text()?;
                        let is_new = !id.is_empty() && !fact.cves.iter().any(|cve| cve == id);
                        if is_new && fact.cves.len() < CVES_MAX {
                            fact.cves.push(id.to_owned());
                        }
                    }
                }
            }
            "CORRELATION" => {
                while xml.child()? {
                    let is_exploits = xml.name() == "EXPLOITS";
                    while xml.child()? {
                        fact.public_exploit |= is_exploits;
                        xml.skip()?;
                    }
                }
            }
            "THREAT_INTELLIGENCE" => {
                while xml.child()? {
                    let word = xml.text()?.to_ascii_lowercase();
                    fact.public_exploit |= word.contains("exploit_public")
                        || word.contains("public_exploit")
                        || word.contains("exploit_kit");
                    fact.known_exploited |= word.contains("cisa_known_exploited");
                }
            }
            _ => xml.skip()?,
        }
    }
    fact.cvss_tenths = cvss3.or(cvss2);
    Ok(qid.map(|qid| (qid, fact)))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
fn read_base_score(xml: &mut Xml<&[u8]>) -> Result<Option<u8>, XmlError> {
    let mut score = None;
    while xml.child()? {
        if xml.name() == "BASE" {
            let number = xml.text()?.parse::<f64>().ok();
            let number = number.filter(|number| (0.0..=10.0).contains(number));
            score = number.map(|number| (number * 10.0).round() as u8);
        } else {
            xml.skip()?;
        }
    }
    Ok(score)
}

/// The words of an HTML fragment, with its line breaks, in bounded length.
pub(super) fn plain(html: &str) -> String {
    let mut lines = String::new();
    let mut rest = html;
    while let Some((text, tail)) = rest.split_once('<') {
        lines.push_str(text);
        // A `<` that opens no tag is itself.
        let opens_tag = tail.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        if !opens_tag {
            lines.push('<');
            rest = tail;
            continue;
        }
        match tail.split_once('>') {
            Some((tag, after)) => {
                let name = tag.trim_start_matches('/').to_ascii_lowercase();
                let breaks = ["p", "br", "li", "ul", "ol", "div", "tr", "dl", "dd", "dt"];
                let name = name.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
                lines.push(if breaks.contains(&name) { '\n' } else { ' ' });
                rest = after;
            }
            // Without a `>` no tag ends, and none that follows does.
            None => {
                lines.push('<');
                lines.push_str(tail);
                rest = "";
            }
        }
    }
    lines.push_str(rest);
    let text = lines
        .replace("&nbsp;", " ")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&apos;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    text.chars().take(TEXT_CHARS_MAX).collect()
}
