//! `hosts:read`: from host names to sensor ids, to their records, to whether they are connected.
//!
//! Everything is asked for in batches, so that calls grow with batches and not with hosts. What
//! comes back is compared with what was asked for, because a search may match more than it was
//! told to. A batch that cannot be read costs its own hosts and no others, and says so of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use arx_gateway::{Call, CallError, Pushback, Request};
use arx_types::{Connection, HostNames, HostSensors, Sensor};
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::refusal;
use super::wire::{Device, Envelope, State, Word};
use crate::hostname::{self, NameIndex};
use crate::params::Params;

const QUERY_PATH: &str = "/devices/queries/devices/v1";
const DEVICES_PATH: &str = "/devices/entities/devices/v2";
const STATES_PATH: &str = "/devices/entities/online-state/v1";

/// Properties of one query.
const QUERY_PROPERTIES_MAX: usize = 20;
/// Ids of one reply to a query.
const QUERY_LIMIT: usize = 5_000;
/// Ids of one query that can be reached by paging.
const QUERY_REACH: usize = 10_000;
/// Ids that one read looks at.
const IDS_MAX: usize = 200_000;
/// Ids of one request for records; the vendor takes 5,000, whose records are too much to hold.
const DEVICES_BATCH: usize = 500;
/// Ids of one request for online states, which go into its address.
const STATES_BATCH: usize = 100;
/// Requests at once.
const CONCURRENCY: usize = 4;
/// How often one request is made whose reply cannot be read or complains of a passing failure.
const TRIES_MAX: u32 = 3;
/// Pause before such a request is made again.
const PAUSE: Duration = Duration::from_millis(250);
/// Failed requests after which no more are made.
const FAILURES_MAX: usize = 3;
/// How long ago a host's sensors were seen, where it is searched for in other forms of its names:
/// a record that was left behind by a host that was set up again hides no living one.
const SILENT: SignedDuration = SignedDuration::from_hours(24);

/// The cheapest request that shows that the credential is accepted and may read hosts.
pub(super) async fn probe(call: Call<'_>) -> Result<(), CallError> {
    let request = Request::get(QUERY_PATH).query("limit", "1");
    Reader::new(call).ask::<Word>(request).await.map(drop)
}

/// Reads what the sensors on hosts report.
pub(super) async fn hosts(call: Call<'_>) -> Result<Value, CallError> {
    let hosts = asked(call.params).map_err(|message| call.parameters(message))?;
    Reader::new(call).read(&hosts).await
}

pub(super) fn asked(params: &Value) -> Result<Vec<HostNames>, String> {
    let mut params = Params::of(params)?;
    let hosts = hostname::hosts(params.value("hosts"))?;
    params.finish()?;
    Ok(hosts)
}

/// A text to search for, and the hosts that it is searched for.
type Wanted = (String, Vec<usize>);

/// What one search came to.
#[derive(Default)]
struct Found {
    /// Sensor ids, each with the hosts that it may be of.
    ids: Vec<(String, Vec<usize>)>,
    /// Hosts that could not be searched for, and why.
    lost: Vec<(Vec<usize>, String)>,
}

struct Reader<'a> {
    call: Call<'a>,
    failures: Mutex<Failures>,
}

/// What failed so far.
#[derive(Default)]
struct Failures {
    count: usize,
    answers: usize,
    /// The first error of a request, while nothing was answered; it is the read's own then.
    first: Option<CallError>,
    /// An error after which no request can succeed.
    fatal: Option<CallError>,
}

/// What is known of the hosts so far.
struct Picture {
    index: NameIndex,
    sensors: Vec<BTreeMap<String, Sensor>>,
    unread: Vec<Option<String>>,
    /// Ids whose records were asked for.
    seen: BTreeSet<String>,
    missing: usize,
    whys: BTreeSet<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(call: Call<'a>) -> Self {
        Self { call, failures: Mutex::default() }
    }

    async fn read(&self, hosts: &[HostNames]) -> Result<Value, CallError> {
        let mut picture = Picture {
            index: NameIndex::new(hosts),
            sensors: vec![BTreeMap::new(); hosts.len()],
            unread: vec![None; hosts.len()],
            seen: BTreeSet::new(),
            missing: 0,
            whys: BTreeSet::new(),
            warnings: Vec::new(),
        };
        let names: Vec<Vec<&str>> = hosts
            .iter()
            .map(|host| host.names.iter().filter_map(|name| hostname::usable(name)).collect())
            .collect();
        for ((unread, usable), host) in picture.unread.iter_mut().zip(&names).zip(hosts) {
            if usable.is_empty() {
                *unread = Some(if host.names.is_empty() {
                    "no host name is known".to_owned()
                } else {
                    "none of its names is one that can be searched for".to_owned()
                });
            }
        }

        let as_given = names.iter().map(|names| names.iter().map(|&name| name.to_owned()));
        self.look(&mut picture, wanted(as_given)).await?;
        let is_silent = |sensor: &Sensor| {
            sensor.last_seen.is_some_and(|at| self.call.now.duration_since(at) > SILENT)
        };
        let again = names.iter().zip(&picture.sensors).zip(&picture.unread);
        let again = again.map(|((names, sensors), unread)| {
            let is_open = unread.is_none() && sensors.values().all(is_silent);
            if is_open { other_forms(names) } else { BTreeSet::new() }
        });
        let again = wanted(again);
        self.look(&mut picture, again).await?;
        self.connections(&mut picture).await?;
        Ok(report(hosts, picture))
    }

    /// Searches for texts, and reads the records of what is found.
    async fn look(&self, picture: &mut Picture, wanted: Vec<Wanted>) -> Result<(), CallError> {
        let batches = wanted.chunks(QUERY_PROPERTIES_MAX).map(|batch| self.search(batch.to_vec()));
        let searches: Vec<_> = batches.collect();
        let mut searches = stream::iter(searches).buffered(CONCURRENCY);
        let mut ids: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        while let Some(found) = searches.next().await {
            for (hosts, why) in found.lost {
                picture.lose(hosts, &why);
            }
            for (id, hosts) in found.ids {
                if picture.seen.contains(&id) {
                    continue;
                }
                if ids.len() < IDS_MAX || ids.contains_key(&id) {
                    ids.entry(id).or_default().extend(hosts);
                } else {
                    picture.lose(hosts, "more sensors match than one read may look at");
                }
            }
        }
        drop(searches);
        self.check()?;

        picture.seen.extend(ids.keys().cloned());
        let ids: Vec<(String, BTreeSet<usize>)> = ids.into_iter().collect();
        let batches = ids.chunks(DEVICES_BATCH);
        let requests: Vec<_> = batches.clone().map(|batch| self.devices(batch)).collect();
        let mut replies = stream::iter(requests).buffered(CONCURRENCY).zip(stream::iter(batches));
        while let Some((reply, batch)) = replies.next().await {
            match reply {
                Ok(devices) => {
                    picture.missing += batch.len().saturating_sub(devices.len());
                    for device in devices {
                        picture.place(&device);
                    }
                }
                Err(why) => {
                    let hosts: BTreeSet<usize> =
                        batch.iter().flat_map(|(_, hosts)| hosts.iter().copied()).collect();
                    picture.lose(hosts, &why);
                }
            }
        }
        drop(replies);
        self.check()
    }

    /// Searches for some texts. Where more match than can be reached, it searches for fewer.
    async fn search(&self, batch: Vec<Wanted>) -> Found {
        let mut found = Found::default();
        let mut open = vec![batch];
        while let Some(batch) = open.pop() {
            let hosts: Vec<usize> = batch.iter().flat_map(|(_, hosts)| hosts).copied().collect();
            match self.query(&batch).await {
                Ok(Some(ids)) => {
                    found.ids.extend(ids.into_iter().map(|id| (id, hosts.clone())));
                }
                Ok(None) if batch.len() > 1 => {
                    let (left, right) = batch.split_at(batch.len() / 2);
                    open.extend([right.to_vec(), left.to_vec()]);
                }
                Ok(None) => {
                    let text = batch.first().map(|(text, _)| text.as_str()).unwrap_or_default();
                    let why = format!("more than {QUERY_REACH} sensors match `{text}`");
                    found.lost.push((hosts, why));
                }
                Err(why) => found.lost.push((hosts, why)),
            }
        }
        found
    }

    /// The ids that match any of some texts; `None` where there are more than can be reached.
    async fn query(&self, batch: &[Wanted]) -> Result<Option<Vec<String>>, String> {
        let filter = filter(batch.iter().map(|(text, _)| text.as_str()));
        let mut ids = Vec::new();
        loop {
            let mut request = Request::get(QUERY_PATH)
                .query("filter", filter.as_str())
                .query("limit", QUERY_LIMIT.to_string());
            if !ids.is_empty() {
                request = request.query("offset", ids.len().to_string());
            }
            let reply = self.attempt::<Word>(request).await?;
            let total = reply.total();
            let page = reply.resources.unwrap_or_default();
            let n_page = page.len();
            for word in page {
                let id = word.id().ok_or_else(|| self.odd("a sensor id is none"))?;
                ids.push(id.to_owned());
            }
            // A full page without a total may be one of many.
            let total = total.unwrap_or(ids.len() + usize::from(n_page >= QUERY_LIMIT));
            if total > QUERY_REACH {
                return Ok(None);
            }
            if ids.len() >= total {
                let distinct: BTreeSet<&String> = ids.iter().collect();
                // Without an order of its own a list can shift between two pages.
                return if distinct.len() < ids.len() {
                    Err(self.odd("the pages of a search overlap"))
                } else {
                    Ok(Some(ids))
                };
            }
            if n_page == 0 || ids.len() >= QUERY_REACH {
                return Err(self.odd(&format!("{total} sensors match and {} are told", ids.len())));
            }
        }
    }

    /// The records of some ids.
    async fn devices(&self, batch: &[(String, BTreeSet<usize>)]) -> Result<Vec<Device>, String> {
        let ids: Vec<&str> = batch.iter().map(|(id, _)| id.as_str()).collect();
        let request = Request::post(DEVICES_PATH).json(&json!({ "ids": ids })).replay_safe();
        let reply = self.attempt::<Device>(request).await?;
        let mut open: BTreeSet<&str> = ids.into_iter().collect();
        let mut devices = reply.resources.unwrap_or_default();
        // A record that nobody asked for is left out, and one that comes twice is one.
        devices.retain(|device| device.device_id.id().is_some_and(|id| open.remove(id)));
        Ok(devices)
    }

    /// Learns which of the sensors are connected.
    async fn connections(&self, picture: &mut Picture) -> Result<(), CallError> {
        let ids: BTreeSet<String> =
            picture.sensors.iter().flat_map(BTreeMap::keys).cloned().collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let requests: Vec<_> = ids.chunks(STATES_BATCH).map(|batch| self.states(batch)).collect();
        let mut replies = stream::iter(requests).buffered(CONCURRENCY);
        let mut states: BTreeMap<String, (Connection, Option<Timestamp>)> = BTreeMap::new();
        let mut batches = ids.chunks(STATES_BATCH);
        while let Some(reply) = replies.next().await {
            let batch = batches.next().unwrap_or_default();
            match reply {
                Ok(more) => states.extend(more),
                Err(why) => {
                    let why = format!("whether sensors are connected cannot be read: {why}");
                    for (sensors, unread) in picture.sensors.iter().zip(&mut picture.unread) {
                        if batch.iter().any(|id| sensors.contains_key(id)) {
                            unread.get_or_insert_with(|| why.clone());
                        }
                    }
                    picture.whys.insert(why);
                }
            }
        }
        for (id, sensor) in picture.sensors.iter_mut().flatten() {
            if let Some((connection, last_seen)) = states.get(id) {
                sensor.connection = *connection;
                // The record's own time lags.
                sensor.last_seen = sensor.last_seen.max(*last_seen);
            }
        }
        // Without some states the rest still holds; a credential that is refused does not.
        self.lock().fatal.take().map_or(Ok(()), Err)
    }

    async fn states(
        &self,
        batch: &[String],
    ) -> Result<Vec<(String, (Connection, Option<Timestamp>))>, String> {
        let mut request = Request::get(STATES_PATH);
        for id in batch {
            request = request.query("ids", id.as_str());
        }
        let reply = self.attempt::<State>(request).await?;
        let states = reply.resources.unwrap_or_default();
        let states = states.into_iter().filter_map(|state| {
            let id = state.id.id().filter(|id| batch.iter().any(|asked| asked == id))?;
            Some((id.to_owned(), (state.connection(), state.last_seen())))
        });
        Ok(states.collect())
    }

    /// Makes one request of many: its failure is counted, and after some none is made.
    async fn attempt<T: DeserializeOwned>(&self, request: Request) -> Result<Envelope<T>, String> {
        {
            let failures = self.lock();
            if failures.fatal.is_some() || failures.count >= FAILURES_MAX {
                return Err("not asked, because earlier requests failed".to_owned());
            }
        }
        let answer = self.ask(request).await;
        let mut failures = self.lock();
        match answer {
            Ok(reply) => {
                failures.answers += 1;
                Ok(reply)
            }
            Err(error) => {
                failures.count += 1;
                let why = error.to_string();
                if matches!(error, CallError::Credential { .. }) {
                    failures.fatal.get_or_insert(error);
                } else {
                    failures.first.get_or_insert(error);
                }
                Err(why)
            }
        }
    }

    /// Makes a request, again where its reply cannot be read or tells of a passing failure.
    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<Envelope<T>, CallError> {
        let call = &self.call;
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = call.http.send(call.permit, request.clone()).await;
            let response = sent.map_err(|error| refusal::failed(call, error))?;
            if !response.is_success() {
                return Err(refusal::refused(call, &response));
            }
            let (error, is_passing) = match Envelope::<T>::read(&response.body) {
                Ok(reply) if !reply.is_reply() => {
                    let message = format!("expected a list, got {}", response.excerpt());
                    (refusal::malformed(call, &message), true)
                }
                Ok(reply) => match reply.complaint() {
                    None => return Ok(reply),
                    Some(complaint) => {
                        if complaint.code == 401 {
                            call.http.expire_token().await;
                        }
                        let is_passing = matches!(complaint.code, 401 | 429 | 500..);
                        (refusal::complained(call, &complaint), is_passing)
                    }
                },
                Err(error) => {
                    let message = format!("{error}: {}", response.excerpt());
                    (refusal::malformed(call, &message), true)
                }
            };
            if !is_passing || tries >= TRIES_MAX {
                return Err(error);
            }
            call.http.pause(Pushback::For(PAUSE));
        }
    }

    /// The error of the whole read: a credential that is refused, or nothing but failures.
    fn check(&self) -> Result<(), CallError> {
        let mut failures = self.lock();
        if let Some(error) = failures.fatal.take() {
            return Err(error);
        }
        match failures.first.take() {
            Some(error) if failures.answers == 0 => Err(error),
            _ => Ok(()),
        }
    }

    fn odd(&self, message: &str) -> String {
        refusal::malformed(&self.call, message).to_string()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Picture {
    /// Says of hosts that they could not be read.
    fn lose(&mut self, hosts: impl IntoIterator<Item = usize>, why: &str) {
        self.whys.insert(why.to_owned());
        for host in hosts {
            if let Some(unread) = self.unread.get_mut(host) {
                unread.get_or_insert_with(|| why.to_owned());
            }
        }
    }

    /// Gives a record to the hosts that it may be of.
    fn place(&mut self, device: &Device) {
        let claims = self.index.claims([device.hostname()]);
        if claims.hosts.is_empty() {
            return;
        }
        let sensor = device.sensor();
        for host in &claims.contested {
            if let Some(unread) = self.unread.get_mut(*host) {
                unread.get_or_insert_with(|| {
                    format!(
                        "the sensor `{}` may be of any of {} hosts that were asked for",
                        sensor.hostname,
                        claims.contested.len()
                    )
                });
            }
        }
        for host in claims.hosts {
            if let Some(sensors) = self.sensors.get_mut(host) {
                sensors.insert(sensor.id.clone(), sensor.clone());
            }
        }
    }
}

/// Texts to search for, each once, with the hosts that they are searched for.
fn wanted(by_host: impl Iterator<Item = impl IntoIterator<Item = String>>) -> Vec<Wanted> {
    let mut hosts_of: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (host, texts) in by_host.enumerate() {
        for text in texts {
            let hosts = hosts_of.entry(text).or_default();
            if hosts.last() != Some(&host) {
                hosts.push(host);
            }
        }
    }
    hosts_of.into_iter().collect()
}

/// How else names may be written. Searches can tell cases apart, and a record may have the short
/// name or, where the short name was asked for, any domain.
pub(super) fn other_forms(names: &[&str]) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    for name in names {
        let short = hostname::short(name);
        for form in [name, short] {
            forms.extend([form.to_owned(), form.to_ascii_lowercase(), form.to_ascii_uppercase()]);
        }
        if !hostname::is_qualified(name) && !hostname::is_address(name) {
            let lower = short.to_ascii_lowercase();
            let upper = short.to_ascii_uppercase();
            forms.extend([short, &lower, &upper].map(|label| format!("{label}.*")));
        }
    }
    for name in names {
        forms.remove(*name);
    }
    forms
}

/// The query that matches any of some texts. They hold nothing that the query language reads but
/// the `*` that was added here.
pub(super) fn filter<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.map(|text| format!("hostname:'{text}'")).collect::<Vec<_>>().join(",")
}

fn report(hosts: &[HostNames], mut picture: Picture) -> Value {
    if picture.missing > 0 {
        picture.warnings.push(format!(
            "{} sensors that were found have no record; they may have been hidden meanwhile",
            picture.missing
        ));
    }
    let read = hosts.iter().zip(picture.sensors).zip(picture.unread);
    let read = read.map(|((host, sensors), unread)| {
        let mut sensors: Vec<Sensor> = sensors.into_values().collect();
        sensors.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.id.cmp(&b.id)));
        HostSensors { host: host.id.clone(), sensors, unread }
    });
    let why = picture.whys.into_iter().collect::<Vec<_>>().join("; ");
    json!({
        "evidence": "sensors",
        "hosts": read.collect::<Vec<_>>(),
        "complete": why.is_empty(),
        "why": (!why.is_empty()).then_some(why),
        "warnings": picture.warnings,
    })
}
