//! What a create leaves behind, and how it is found again when its reply was lost.
//!
//! Jira has no idempotency key. Every create therefore carries a [`Marker`]: a label, which can
//! be searched for, and an issue property, which proves. The search learns of an issue only after
//! seconds or minutes, so it proves no absence; reading an issue by its key is always up to date.
//! Keys are numbered in the order of creation, so an issue that was created after some moment is
//! among the keys that follow the highest one of that moment, and [`Walk`] reads them all.

use std::sync::atomic::{AtomicBool, Ordering};

use arx_gateway::{Call, CallError, Request, Response};
use arx_types::EffectKey;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::malformed;
use super::site::{Deployment, Site};
use super::wire::{self, Complaint, Issue};

/// The issue property that names the effect.
pub(super) const PROPERTY: &str = "io.arx.effect";
/// Hexadecimal digits of the effect key's SHA-256 in the label.
const LABEL_DIGITS: usize = 16;
/// Most candidates of a label search.
const CANDIDATES_MAX: usize = 50;
/// Issues that are asked for when only the highest key is wanted, should the order be ignored.
const HIGHEST_LOOKED_AT: usize = 20;
/// Keys in one bulk read, the vendor's limit.
const BATCH_BULK: u64 = 100;
/// Keys in one round of single reads.
const BATCH_SINGLE: u64 = 40;
/// Most keys that one walk reads in either direction.
const WALK_KEYS_MAX: u64 = 3_000;
/// Fewest keys that a walk back reads, whatever the issues say of their age.
const WALK_BACK_ROUNDS_MIN: u64 = 2;
/// How much older than the intent an issue must be to end the walk back: an hour that somebody set
/// a clock wrong by, and some minutes.
const AGE_MARGIN: SignedDuration = SignedDuration::from_mins(70);

/// How a ticket is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    effect: String,
    pub label: String,
}

/// What a reply tells about whose issue it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Ours,
    NotOurs,
    /// The reply does not show the property. Where asking for it finds none, this holds.
    AskElse(bool),
}

impl Marker {
    pub fn new(effect: &EffectKey) -> Self {
        let digest = hex::encode(Sha256::digest(effect.as_str().as_bytes()));
        let digits = digest.get(..LABEL_DIGITS).unwrap_or(&digest);
        Self { effect: effect.as_str().to_owned(), label: format!("arx-{digits}") }
    }

    /// The property as it goes into the create.
    pub fn property(&self) -> Value {
        json!({"key": PROPERTY, "value": {"effect_key": self.effect}})
    }

    /// Whose issue this is, as far as a reply shows.
    pub fn evidence(&self, issue: &Value) -> Evidence {
        let properties = issue.get("properties").and_then(Value::as_object);
        let property =
            properties.and_then(|all| all.get(PROPERTY)).filter(|value| !value.is_null());
        if let Some(property) = property {
            return if self.is_in(property) { Evidence::Ours } else { Evidence::NotOurs };
        }
        let labelled =
            wire::labels(issue).is_some_and(|labels| labels.contains(&self.label.as_str()));
        match properties {
            // The label is ours alone: who copies a ticket copies it, but later, and the oldest
            // ticket is taken.
            Some(_) if labelled => Evidence::Ours,
            Some(_) => Evidence::NotOurs,
            None => Evidence::AskElse(labelled),
        }
    }

    /// Whether a property's value names the effect.
    fn is_in(&self, property: &Value) -> bool {
        let value = property.get("value").unwrap_or(property);
        value.get("effect_key").and_then(Value::as_str) == Some(&self.effect)
    }

    /// Whether an issue is the effect's, asking for the property where the reply does not tell.
    async fn owns(&self, call: Call<'_>, site: &Site, issue: &Value) -> Result<bool, CallError> {
        let otherwise = match self.evidence(issue) {
            Evidence::Ours => return Ok(true),
            Evidence::NotOurs => return Ok(false),
            Evidence::AskElse(otherwise) => otherwise,
        };
        let Some(Issue { key, .. }) = Issue::read(issue) else { return Ok(false) };
        let path = format!("{}/issue/{key}/properties/{PROPERTY}", site.api);
        let reply = get(call, Request::get(&path)).await?;
        if reply.is_success() {
            let property: Option<Value> = reply.json().ok();
            return Ok(property.map_or(otherwise, |property| self.is_in(&property)));
        }
        if reply.status == 404 {
            return Ok(otherwise);
        }
        Err(call.refused(&reply, &Complaint::of(&reply).message()))
    }

    /// The oldest of `issues` that is the effect's.
    async fn oldest(
        &self,
        call: Call<'_>,
        site: &Site,
        issues: &[Value],
    ) -> Result<Option<(Issue, Value)>, CallError> {
        let mut ours = Vec::new();
        for issue in issues {
            if self.owns(call, site, issue).await?
                && let Some(names) = Issue::read(issue)
            {
                ours.push((names, issue.clone()));
            }
        }
        Ok(ours.into_iter().min_by_key(|(names, _)| names.age()))
    }

    /// The oldest ticket that the search shows for the effect.
    pub async fn search(
        &self,
        call: Call<'_>,
        site: &Site,
        project: &str,
    ) -> Result<Option<(Issue, Value)>, CallError> {
        let jql = format!("project = {} AND labels = {}", quoted(project), quoted(&self.label));
        let (found, _) = search(call, site, &jql, CANDIDATES_MAX).await?;
        // Whatever the vendor made of the query, an issue that shows its labels shows ours.
        let labelled = |issue: &&Value| {
            wire::labels(issue).is_none_or(|labels| labels.contains(&self.label.as_str()))
        };
        let candidates: Vec<Value> = found.iter().filter(labelled).cloned().collect();
        self.oldest(call, site, &candidates).await
    }
}

/// The highest key number that the search shows in a project, with the vendor's clock; 0 in a
/// project without issues.
///
/// # Errors
/// When the search fails, or shows keys of another project: one that was renamed answers to its
/// old key, but its issues cannot be numbered by it.
pub(super) async fn highest(
    call: Call<'_>,
    site: &Site,
    project: &str,
) -> Result<(u64, Option<Timestamp>), CallError> {
    let jql = format!("project = {} ORDER BY key DESC", quoted(project));
    let (found, date) = search(call, site, &jql, HIGHEST_LOOKED_AT).await?;
    let issues: Vec<Issue> = found.iter().filter_map(Issue::read).collect();
    let highest = issues.iter().filter_map(|issue| issue.number_in(project)).max();
    match (highest, issues.first()) {
        (Some(number), _) => Ok((number, date)),
        (None, None) => Ok((0, date)),
        (None, Some(other)) => Err(CallError::Malformed {
            vendor: super::SPEC.title,
            message: format!(
                "project `{project}` shows `{}`; write the project's present key",
                crate::text::one_line(&other.key, 80)
            ),
        }),
    }
}

/// Searches by JQL, in the words of the edition.
async fn search(
    call: Call<'_>,
    site: &Site,
    jql: &str,
    results_max: usize,
) -> Result<(Vec<Value>, Option<Timestamp>), CallError> {
    let fields = json!(["labels", "status", "created"]);
    let classic = json!({"jql": jql, "fields": fields, "maxResults": results_max});
    let attempts = match site.deployment {
        Deployment::Cloud => {
            let mut body = classic.clone();
            if let Some(members) = body.as_object_mut() {
                members.insert("properties".to_owned(), json!([PROPERTY]));
            }
            vec![("/search/jql", body), ("/search", classic)]
        }
        Deployment::DataCenter => vec![("/search", classic)],
    };
    let mut last = None;
    for (path, body) in attempts {
        let request = Request::post(&format!("{}{path}", site.api)).replay_safe().json(&body);
        let reply = get(call, request).await?;
        if reply.is_success() {
            let body: Option<Value> = reply.json().ok();
            let found = body.as_ref().and_then(|body| wire::list(body, &["issues"]));
            let found = found.ok_or_else(|| malformed(call, "a list of issues", &reply))?;
            return Ok((found.clone(), date(&reply)));
        }
        let gone = matches!(reply.status, 404 | 405 | 410);
        last = Some(call.refused(&reply, &Complaint::of(&reply).message()));
        if !gone {
            break;
        }
    }
    Err(last.unwrap_or_else(|| call.parameters("there is no search")))
}

/// A reading of all keys that an effect's issue can have.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub site: &'a Site,
    pub project: &'a str,
    pub marker: &'a Marker,
    /// A key number that was taken before the create was sent, where one is known.
    pub floor: Option<u64>,
    /// The highest key number known now; the walk goes on until no more are found.
    pub top: u64,
    /// When the create was intended, by the vendor's clock.
    pub intended_at: Timestamp,
    /// Set once the vendor turns out not to read in bulk.
    pub no_bulk: &'a AtomicBool,
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Walked {
    Found(Issue),
    /// Every key that the issue can have was read, and none is the effect's.
    Nowhere {
        from: u64,
        to: u64,
    },
    /// There are more keys than a walk reads.
    GaveUp,
}

impl Walk<'_> {
    /// Reads every key that the issue can have.
    ///
    /// # Errors
    /// When any of them cannot be read: half an answer proves no absence.
    pub async fn run(&self, call: Call<'_>) -> Result<Walked, CallError> {
        let start = self.floor.unwrap_or(self.top);
        let (found, to) = match self.forward(call, start).await? {
            Some(ended) => ended,
            None => return Ok(Walked::GaveUp),
        };
        if let Some(issue) = found {
            return Ok(Walked::Found(issue));
        }
        if self.floor.is_some() {
            return Ok(Walked::Nowhere { from: start + 1, to });
        }
        match self.back(call, start).await? {
            Back::Found(issue) => Ok(Walked::Found(issue)),
            Back::Began(from) => Ok(Walked::Nowhere { from, to }),
            Back::GaveUp => Ok(Walked::GaveUp),
        }
    }

    /// From `start` upwards until a whole batch beyond the highest known key is empty. Keys have
    /// gaps, where creates failed or issues were moved.
    async fn forward(
        &self,
        call: Call<'_>,
        start: u64,
    ) -> Result<Option<(Option<Issue>, u64)>, CallError> {
        let mut from = start + 1;
        while from <= start + WALK_KEYS_MAX {
            let to = from + self.batch() - 1;
            let issues = self.read(call, from, to).await?;
            if let Some((issue, _)) = self.marker.oldest(call, self.site, &issues).await? {
                return Ok(Some((Some(issue), to)));
            }
            if issues.is_empty() && to >= self.top {
                return Ok(Some((None, to)));
            }
            from = to + 1;
        }
        Ok(None)
    }

    /// From `start` downwards until the issues are older than the intent.
    async fn back(&self, call: Call<'_>, start: u64) -> Result<Back, CallError> {
        let mut to = start;
        let mut rounds = 0;
        while to > 0 && start - to < WALK_KEYS_MAX {
            let from = to.saturating_sub(self.batch() - 1).max(1);
            let issues = self.read(call, from, to).await?;
            if let Some((issue, _)) = self.marker.oldest(call, self.site, &issues).await? {
                return Ok(Back::Found(issue));
            }
            rounds += 1;
            let limit = self.intended_at.saturating_sub(AGE_MARGIN).unwrap_or(Timestamp::MIN);
            let older = issues.iter().filter_map(created).any(|created| created < limit);
            if older && rounds >= WALK_BACK_ROUNDS_MIN {
                return Ok(Back::Began(from));
            }
            to = from - 1;
        }
        Ok(if to == 0 { Back::Began(1) } else { Back::GaveUp })
    }

    fn batch(&self) -> u64 {
        let single =
            self.site.deployment == Deployment::DataCenter || self.no_bulk.load(Ordering::Relaxed);
        if single { BATCH_SINGLE } else { BATCH_BULK }
    }

    /// The issues that exist among the keys `from..=to`.
    async fn read(&self, call: Call<'_>, from: u64, to: u64) -> Result<Vec<Value>, CallError> {
        let keys: Vec<String> = (from..=to).map(|n| format!("{}-{n}", self.project)).collect();
        if self.batch() == BATCH_BULK
            && let Some(issues) = self.read_bulk(call, &keys).await?
        {
            return Ok(issues);
        }
        let mut issues = Vec::new();
        for keys in keys.chunks(BATCH_SINGLE as usize) {
            let reads = keys.iter().map(|key| self.read_single(call, key));
            issues.extend(try_join_all(reads).await?.into_iter().flatten());
        }
        Ok(issues)
    }

    /// `None` when the vendor does not read in bulk.
    async fn read_bulk(
        &self,
        call: Call<'_>,
        keys: &[String],
    ) -> Result<Option<Vec<Value>>, CallError> {
        let body = json!({
            "issueIdsOrKeys": keys,
            "fields": ["labels", "created"],
            "properties": [PROPERTY],
        });
        let path = format!("{}/issue/bulkfetch", self.site.api);
        let reply = get(call, Request::post(&path).replay_safe().json(&body)).await?;
        if reply.is_success() {
            let body: Option<Value> = reply.json().ok();
            let issues = body.as_ref().and_then(|body| wire::list(body, &["issues"]));
            let issues = issues.ok_or_else(|| malformed(call, "a list of issues", &reply))?;
            return Ok(Some(issues.clone()));
        }
        match reply.status {
            400 => Ok(None),
            404 | 405 | 501 => {
                self.no_bulk.store(true, Ordering::Relaxed);
                Ok(None)
            }
            _ => Err(call.refused(&reply, &Complaint::of(&reply).message())),
        }
    }

    async fn read_single(&self, call: Call<'_>, key: &str) -> Result<Option<Value>, CallError> {
        let request = Request::get(&format!("{}/issue/{key}", self.site.api))
            .query("fields", "labels,created")
            .query("properties", PROPERTY);
        let reply = get(call, request).await?;
        if reply.is_success() {
            let issue: Option<Value> = reply.json().ok();
            return issue.map(Some).ok_or_else(|| malformed(call, "an issue", &reply));
        }
        match reply.status {
            404 | 410 => Ok(None),
            _ => Err(call.refused(&reply, &Complaint::of(&reply).message())),
        }
    }
}

enum Back {
    Found(Issue),
    Began(u64),
    GaveUp,
}

/// A text as a value of JQL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// When an issue was created. Jira writes offsets without a colon.
pub(super) fn created(issue: &Value) -> Option<Timestamp> {
    let text = issue.pointer("/fields/created")?.as_str()?;
    let offset = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text);
    text.parse().ok().or_else(|| offset.ok()?.to_timestamp().ok())
}

/// The vendor's clock when it replied.
fn date(reply: &Response) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::parse(reply.header("date")?).ok()?;
    Some(parsed.timestamp())
}

async fn get(call: Call<'_>, request: Request) -> Result<Response, CallError> {
    call.http.send(call.permit, request).await.map_err(|error| call.failed(error))
}
