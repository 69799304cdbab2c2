//! `scans:read`: what the scanner last saw of some hosts, and of some vulnerabilities on them.
//!
//! Detections are asked for by address, in batches. The list of detections leaves out hosts that
//! have none, and hosts may be known by name alone: what is still open after it is looked up in
//! the list of hosts. A host that could not be read whole says so; it never looks clean.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use arx_gateway::{Call, CallError};
use arx_types::{DetectionStatus, HostDetection, HostNames, HostScan, ScannedHost};
use serde_json::{Value, json};

use super::Qualys;
use super::hosts::{self, Asked, Keep, Match, Recognised, Row};
use super::knowledge::{BATCH_QIDS, Facts, Trouble, WAITING_MAX};
use super::pages::{PageRequest, Pager, Parser, Taker};
use super::settings::Settings;
use super::wire::{DETECTIONS_ROOT, HOSTS_ROOT, STATUSES};
use crate::hostname;
use crate::params::Params;

/// Vulnerabilities of one read.
const VULNERABILITIES_MAX: usize = 50_000;
/// Addresses, or host ids, of one request, so that it fits into an address.
const HOSTS_PER_CALL: usize = 200;
/// QIDs of one request; more are told apart here.
const QIDS_PER_CALL: usize = 200;
/// Failed lists after which no more are asked for.
const FAILURES_MAX: usize = 3;
/// QIDs whose meaning is kept; beyond that they are looked up again.
const MEANINGS_MAX: usize = 500_000;
/// Reasons that are told for one read.
const WHYS_MAX: usize = 5;

/// Reads what the scanner saw of the hosts asked for.
pub(super) async fn scans(call: Call<'_>, qualys: &Qualys) -> Result<Value, CallError> {
    let (hosts, wanted) = parameters(call.params).map_err(|message| call.parameters(message))?;
    let settings = Settings::read(call.settings).map_err(|message| call.parameters(message))?;
    let _turn = qualys.stream.lock().await;
    let mut read = Read::new(call, qualys, &settings, &hosts, wanted);
    read.by_address().await?;
    read.in_host_list().await;
    read.by_id().await?;
    read.seen.settle().await;
    match read.first.take() {
        Some(error) if read.answers == 0 => Err(error),
        _ => Ok(read.report(&hosts)),
    }
}

/// The vulnerabilities that are asked for.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    qids: HashSet<u32>,
    cves: HashSet<String>,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.qids.is_empty() && self.cves.is_empty()
    }
}

pub(super) fn parameters(params: &Value) -> Result<(Vec<HostNames>, Wanted), String> {
    let mut params = Params::of(params)?;
    let hosts = hostname::hosts(params.value("hosts"))?;
    let names = params.strings("vulnerabilities")?;
    params.finish()?;
    if names.len() > VULNERABILITIES_MAX {
        return Err(format!(
            "`vulnerabilities` names {}; at most {VULNERABILITIES_MAX}",
            names.len()
        ));
    }
    let mut wanted = Wanted::default();
    for name in names {
        let upper = name.trim().to_ascii_uppercase();
        let qid = upper.strip_prefix("QID-").map(str::parse::<u32>);
        match qid {
            Some(Ok(qid)) => {
                wanted.qids.insert(qid);
            }
            None if upper.starts_with("CVE-") => {
                wanted.cves.insert(upper);
            }
            _ => {
                let name = crate::text::one_line(&name, 80);
                return Err(format!("`vulnerabilities` holds `{name}`; write `CVE-…` or `QID-…`"));
            }
        }
    }
    Ok((hosts, wanted))
}

/// One read on its way.
struct Read<'a> {
    call: Call<'a>,
    qualys: &'a Qualys,
    settings: &'a Settings,
    asked: Arc<Asked>,
    hosts: &'a [HostNames],
    keep: Keep,
    /// QIDs that are asked for at the vendor; empty for all.
    qids: String,
    seen: Seen<'a>,
    /// Records of the host list whose detections were not asked for yet.
    listed: Vec<Recognised>,
    failures: usize,
    answers: usize,
    /// The first error; the read's own, where nothing was answered.
    first: Option<CallError>,
    /// Whether the platform has no list of hosts.
    is_unlisted: bool,
    whys: BTreeSet<String>,
    warnings: BTreeSet<String>,
}

impl<'a> Read<'a> {
    fn new(
        call: Call<'a>,
        qualys: &'a Qualys,
        settings: &'a Settings,
        hosts: &'a [HostNames],
        wanted: Wanted,
    ) -> Self {
        let asked = Arc::new(Asked::new(hosts));
        let is_by_qid = wanted.cves.is_empty();
        let keep = match (wanted.is_empty(), is_by_qid) {
            (true, _) => Keep::Nothing,
            (_, true) => Keep::Qids(Arc::new(wanted.qids.clone())),
            _ => Keep::Everything,
        };
        let qids: BTreeSet<u32> = wanted.qids.iter().copied().collect();
        let qids =
            if is_by_qid && qids.len() <= QIDS_PER_CALL { joined(&qids) } else { String::new() };
        let mut unread = vec![None; hosts.len()];
        let known = asked.known();
        for (host, unread) in unread.iter_mut().enumerate() {
            if !known.contains(&host) {
                *unread =
                    Some("no name, address or agent is known by which it can be found".to_owned());
            }
        }
        Self {
            call,
            qualys,
            settings,
            keep,
            qids,
            hosts,
            seen: Seen {
                facts: Facts::new(call, settings, &qualys.kb_versions),
                asked: Arc::clone(&asked),
                wanted,
                meanings: HashMap::new(),
                unexplained: HashSet::new(),
                waiting: Vec::new(),
                records: Vec::new(),
                place_of: HashMap::new(),
                of_host: vec![Vec::new(); hosts.len()],
                unread,
                keep: Keep::Nothing,
                only: None,
                undetermined: BTreeMap::new(),
            },
            asked,
            listed: Vec::new(),
            failures: 0,
            answers: 0,
            first: None,
            is_unlisted: false,
            whys: BTreeSet::new(),
            warnings: BTreeSet::new(),
        }
    }

    /// Asks for the detections of every host that has an address.
    async fn by_address(&mut self) -> Result<(), CallError> {
        if !matches!(self.keep, Keep::Nothing) {
            for (ips, hosts) in self.by_ip(|_| true) {
                self.detections(("ips", ips), &hosts).await?;
            }
        }
        Ok(())
    }

    /// Looks hosts that are still open up in the list of hosts: by address, and then by anything.
    ///
    /// One address may stand in several networks, and of its hosts the list of detections leaves
    /// out those without any: where nothing but the address speaks for a record, another is looked
    /// for as well.
    async fn in_host_list(&mut self) {
        let open: HashSet<usize> = self.open().chain(self.seen.by_address_alone()).collect();
        for (ips, hosts) in self.by_ip(|host| open.contains(&host)) {
            self.host_list(Some(("ips", ips)), &hosts).await;
        }
        // Found by address, they have no detection that was asked for; the request said so.
        let is_asked = !matches!(self.keep, Keep::Nothing);
        for record in std::mem::take(&mut self.listed) {
            self.seen.place(&record);
        }
        let open: Vec<usize> = self.open().filter(|host| self.asked.is_findable(*host)).collect();
        if !open.is_empty() {
            self.host_list(None, &open).await;
        }
        if !is_asked {
            for record in std::mem::take(&mut self.listed) {
                self.seen.place(&record);
            }
        }
    }

    /// Asks for the detections of hosts that the list of hosts knows.
    async fn by_id(&mut self) -> Result<(), CallError> {
        let listed = std::mem::take(&mut self.listed);
        self.seen.only = Some(self.open().collect());
        for batch in listed.chunks(HOSTS_PER_CALL) {
            let ids: BTreeSet<&str> = batch.iter().map(|record| record.id.as_str()).collect();
            let ids = ids.into_iter().collect::<Vec<_>>().join(",");
            let hosts: Vec<usize> =
                batch.iter().flat_map(|record| &record.matches).map(|found| found.host).collect();
            self.detections(("ids", ids), &hosts).await?;
        }
        for record in &listed {
            self.seen.place(record);
        }
        Ok(())
    }

    /// Hosts without a record and without a reason for it.
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let found = self.seen.of_host.iter().zip(&self.seen.unread).enumerate();
        found
            .filter(|(_, (records, unread))| records.is_empty() && unread.is_none())
            .map(|(n, _)| n)
    }

    /// Addresses in batches, each with its hosts. A host's addresses stay together.
    fn by_ip(&self, is_meant: impl Fn(usize) -> bool) -> Vec<(String, Vec<usize>)> {
        let mut batches: Vec<(BTreeSet<Ipv4Addr>, Vec<usize>)> = Vec::new();
        for (host, names) in self.hosts.iter().enumerate().filter(|(host, _)| is_meant(*host)) {
            let ips: BTreeSet<Ipv4Addr> =
                names.ips.iter().filter_map(|ip| ip.trim().parse().ok()).collect();
            if ips.is_empty() {
                continue;
            }
            match batches.last_mut() {
                Some((batch, hosts)) if batch.len() + ips.len() <= HOSTS_PER_CALL => {
                    batch.extend(ips);
                    hosts.push(host);
                }
                _ => batches.push((ips, vec![host])),
            }
        }
        batches.into_iter().map(|(ips, hosts)| (joined(&ips), hosts)).collect()
    }

    /// Reads the detections of some hosts. Only what no further request can change is an error.
    async fn detections(
        &mut self,
        which: (&str, String),
        hosts: &[usize],
    ) -> Result<(), CallError> {
        if self.failures >= FAILURES_MAX {
            self.lose(hosts, "not asked, because earlier requests failed");
            return Ok(());
        }
        let mut query = vec![
            ("action", "list".to_owned()),
            ("truncation_limit", self.settings.truncation_limit.to_string()),
            which,
            ("status", STATUSES.join(",")),
            // Someone's choice not to be told of a weakness does not make it go away.
            ("include_ignored", "1".to_owned()),
            ("include_disabled", "1".to_owned()),
            ("show_results", "0".to_owned()),
            ("show_igs", "0".to_owned()),
        ];
        if !self.qids.is_empty() {
            query.push(("qids", self.qids.clone()));
        }
        let versions = &self.qualys.detection_versions;
        let mut pager = Pager::of_detections(self.call, versions, self.settings);
        self.seen.keep = self.keep.clone();
        let walked = pager.walk(PageRequest::first(query), &mut self.seen).await;
        match walked {
            Ok(None) => self.answers += 1,
            Ok(Some(why)) => {
                self.answers += 1;
                self.lose(hosts, &why);
            }
            Err(error @ CallError::Credential { .. }) => return Err(error),
            Err(error) => {
                self.failures += 1;
                self.answers += usize::from(pager.pages > 0 || pager.hosts > 0);
                self.lose(hosts, &error.to_string());
                self.first.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// Reads the list of hosts for some of them.
    async fn host_list(&mut self, which: Option<(&str, String)>, hosts: &[usize]) {
        if self.is_unlisted {
            return;
        }
        if self.failures >= FAILURES_MAX {
            self.lose(hosts, "not asked, because earlier requests failed");
            return;
        }
        let mut query = vec![
            ("action", "list".to_owned()),
            ("truncation_limit", self.settings.truncation_limit.to_string()),
            // `Basic` does not tell when a host was scanned.
            ("details", "All".to_owned()),
        ];
        query.extend(which);
        let mut pager = Pager::of_hosts(self.call, &self.qualys.host_versions, self.settings);
        let mut listed = Listed {
            asked: Arc::clone(&self.asked),
            open: hosts.iter().copied().collect(),
            found: BTreeMap::new(),
        };
        let walked = pager.walk(PageRequest::first(query), &mut listed).await;
        self.listed.extend(listed.found.into_values());
        match walked {
            Ok(None) => self.answers += 1,
            Ok(Some(why)) => {
                self.answers += 1;
                self.lose(hosts, &why);
            }
            Err(CallError::Refused { status: Some(status), message, .. })
                if super::versions::is_gone(status) =>
            {
                self.is_unlisted = true;
                self.answers += 1;
                self.warnings.insert(format!(
                    "hosts that have no detections cannot be looked up and count as unknown: {message}"
                ));
            }
            Err(error) => {
                self.failures += 1;
                self.lose(hosts, &error.to_string());
                self.first.get_or_insert(error);
            }
        }
    }

    /// Says of hosts that they could not be read.
    fn lose(&mut self, hosts: &[usize], why: &str) {
        if self.whys.len() < WHYS_MAX {
            self.whys.insert(why.to_owned());
        }
        for host in hosts {
            self.seen.lose(*host, || why.to_owned());
        }
    }

    fn report(mut self, hosts: &[HostNames]) -> Value {
        if self.is_unlisted {
            for host in self.open().collect::<Vec<_>>() {
                self.seen.lose(host, || {
                    "not found by its addresses, and the list of hosts cannot be asked".to_owned()
                });
            }
        }
        let trouble = match &self.seen.facts.trouble {
            Trouble::None => None,
            Trouble::Refused(message) => {
                Some(format!("this account may not read the KnowledgeBase ({message})"))
            }
            Trouble::Unreachable(message) => {
                Some(format!("the KnowledgeBase cannot be read ({message})"))
            }
        };
        if let Some(trouble) = trouble {
            let open = std::mem::take(&mut self.seen.undetermined);
            if !open.is_empty() {
                self.whys.insert(trouble.clone());
            }
            for (place, n) in open {
                let hosts = self.seen.records.get(place).map(|slot| slot.hosts.clone());
                for host in hosts.unwrap_or_default() {
                    self.seen.lose(host, || {
                        format!("{trouble}; {n} of its detections may be of a CVE asked for")
                    });
                }
            }
        }
        let Seen { mut records, of_host, unread, .. } = self.seen;
        for slot in &mut records {
            slot.sort();
        }
        let told = hosts.iter().zip(of_host).zip(unread).enumerate();
        let told = told.map(|(host, ((names, places), unread))| {
            let of = |place: usize| records.get(place)?.record_of(host);
            let mut records: Vec<ScannedHost> = places.into_iter().filter_map(of).collect();
            records.sort_by(|a, b| a.id.len().cmp(&b.id.len()).then_with(|| a.id.cmp(&b.id)));
            HostScan { host: names.id.clone(), records, unread }
        });
        let why = self.whys.into_iter().collect::<Vec<_>>().join("; ");
        json!({
            "evidence": "scans",
            "hosts": told.collect::<Vec<_>>(),
            "complete": why.is_empty(),
            "why": (!why.is_empty()).then_some(why),
            "warnings": self.warnings,
        })
    }
}

fn joined<T: ToString>(items: &BTreeSet<T>) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// Hosts that the list of hosts knows.
struct Listed {
    asked: Arc<Asked>,
    open: HashSet<usize>,
    /// By id, so that a page that is asked for again names none twice.
    found: BTreeMap<String, Recognised>,
}

impl Taker for Listed {
    type Batch = Vec<Recognised>;

    fn parser(&self) -> Parser<Self::Batch> {
        hosts::parser(HOSTS_ROOT, Arc::clone(&self.asked), Keep::Nothing)
    }

    async fn take(&mut self, batch: Self::Batch) -> Result<(), CallError> {
        for mut record in batch {
            record.matches.retain(|found| self.open.contains(&found.host));
            record.contested.retain(|host| self.open.contains(host));
            if !record.matches.is_empty() {
                self.found.insert(record.id.clone(), record);
            }
        }
        Ok(())
    }
}

/// Records that were found so far, and detections that wait for what their QIDs mean.
struct Seen<'a> {
    facts: Facts<'a>,
    asked: Arc<Asked>,
    wanted: Wanted,
    keep: Keep,
    /// Hosts that records are given to; all where it is not told.
    only: Option<HashSet<usize>>,
    /// Those of the vulnerabilities asked for that a QID stands for.
    meanings: HashMap<u32, Vec<String>>,
    /// QIDs that the KnowledgeBase does not know.
    unexplained: HashSet<u32>,
    /// Detections by the place of their record.
    waiting: Vec<(usize, Row)>,
    /// By the place of their record: how many detections may be of any CVE.
    undetermined: BTreeMap<usize, usize>,
    records: Vec<Slot>,
    place_of: HashMap<String, usize>,
    /// Places of the records that may be each host.
    of_host: Vec<Vec<usize>>,
    unread: Vec<Option<String>>,
}

/// One record, once for every host that it may be.
struct Slot {
    hosts: Vec<usize>,
    records: Vec<(Match, ScannedHost)>,
    detections: Vec<HostDetection>,
    unexplained: usize,
}

impl Slot {
    /// Puts the detections into an order of their own: they came in the order in which their QIDs
    /// were understood, which depends on what was cached, and the same facts are to look the same.
    fn sort(&mut self) {
        self.detections.sort_by(|a, b| {
            let by_check = a.check.len().cmp(&b.check.len()).then_with(|| a.check.cmp(&b.check));
            let rest = |row: &HostDetection| (row.status, row.tested_at, row.fixed_at);
            by_check.then_with(|| rest(a).cmp(&rest(b)))
        });
    }

    fn record_of(&self, host: usize) -> Option<ScannedHost> {
        let (_, record) = self.records.iter().find(|(found, _)| found.host == host)?;
        Some(ScannedHost {
            detections: self.detections.clone(),
            unexplained: self.unexplained,
            ..record.clone()
        })
    }
}

impl Taker for Seen<'_> {
    type Batch = Vec<Recognised>;

    fn parser(&self) -> Parser<Self::Batch> {
        hosts::parser(DETECTIONS_ROOT, Arc::clone(&self.asked), self.keep.clone())
    }

    async fn take(&mut self, batch: Self::Batch) -> Result<(), CallError> {
        let mut fresh = Vec::new();
        for mut record in batch {
            let rows = std::mem::take(&mut record.rows);
            if let Some(only) = &self.only {
                record.matches.retain(|found| only.contains(&found.host));
                record.contested.retain(|host| only.contains(host));
            }
            if record.matches.is_empty() {
                continue;
            }
            // A record that comes again, in a page that was asked for twice, is one record.
            if let Some(place) = self.place(&record) {
                fresh.extend(rows.into_iter().map(|row| (place, row)));
            }
        }
        if !self.wanted.cves.is_empty() {
            let meanings = &self.meanings;
            let new =
                fresh.iter().map(|(_, row)| row.qid).filter(|qid| !meanings.contains_key(qid));
            self.facts.recall(new).await;
            self.understand();
        }
        for (place, row) in fresh {
            self.sort(place, row);
        }
        if self.facts.unknown.len() >= BATCH_QIDS || self.waiting.len() >= WAITING_MAX {
            self.settle().await;
        }
        Ok(())
    }
}

impl Seen<'_> {
    /// Hosts whose one record is theirs by nothing but its address.
    fn by_address_alone(&self) -> impl Iterator<Item = usize> + '_ {
        let is_alone = |host: usize, place: usize| {
            let found = self.records.get(place)?.records.iter().find(|(m, _)| m.host == host);
            found.map(|(found, _)| found.is_by_address_alone())
        };
        let found = self.of_host.iter().zip(&self.unread).enumerate();
        found.filter_map(move |(host, (places, unread))| match (places.as_slice(), unread) {
            ([place], None) if is_alone(host, *place) == Some(true) => Some(host),
            _ => None,
        })
    }

    /// Gives a record to the hosts that it may be; `None` where it has been given before.
    fn place(&mut self, record: &Recognised) -> Option<usize> {
        let place = self.records.len();
        if self.place_of.contains_key(&record.id) {
            return None;
        }
        self.place_of.insert(record.id.clone(), place);
        let records: Vec<_> =
            record.matches.iter().map(|found| (found.clone(), record.of(found))).collect();
        let hosts: Vec<usize> = record.matches.iter().map(|found| found.host).collect();
        for host in &hosts {
            if let Some(places) = self.of_host.get_mut(*host) {
                places.push(place);
            }
            if let Some(why) = &record.unread {
                self.lose(*host, || why.clone());
            }
        }
        for host in &record.contested {
            self.lose(*host, || {
                let n = record.contested.len();
                format!("record {} may be any of {n} hosts that were asked for", record.id)
            });
        }
        self.records.push(Slot { hosts, records, detections: Vec::new(), unexplained: 0 });
        Some(place)
    }

    /// Keeps a detection whose QID is understood, drops it where nobody asked for it, and lets it
    /// wait otherwise.
    fn sort(&mut self, place: usize, row: Row) {
        let mut vulnerabilities = match self.meanings.get(&row.qid) {
            Some(cves) => cves.clone(),
            None if self.wanted.cves.is_empty() => Vec::new(),
            None if self.facts.trouble == Trouble::None => {
                self.waiting.push((place, row));
                return;
            }
            // What it means will not be known; by its own name it counts all the same.
            None => {
                *self.undetermined.entry(place).or_default() += 1;
                Vec::new()
            }
        };
        if !self.wanted.cves.is_empty()
            && row.status != Some(DetectionStatus::Fixed)
            && self.unexplained.contains(&row.qid)
            && let Some(slot) = self.records.get_mut(place)
        {
            slot.unexplained += 1;
        }
        let check = format!("QID-{}", row.qid);
        if self.wanted.qids.contains(&row.qid) {
            vulnerabilities.push(check.clone());
        }
        if vulnerabilities.is_empty() {
            return;
        }
        let Some(slot) = self.records.get_mut(place) else { return };
        match row.status {
            Some(status) => slot.detections.push(HostDetection {
                check,
                vulnerabilities,
                status,
                tested_at: row.tested_at,
                fixed_at: row.fixed_at,
            }),
            None => {
                for host in slot.hosts.clone() {
                    self.lose(host, || {
                        format!("the status of {check} on it is not one that is known")
                    });
                }
            }
        }
    }

    /// Learns what QIDs mean and lets their detections go; those stay whose QIDs remain unknown.
    async fn settle(&mut self) {
        self.facts.learn().await;
        self.understand();
        for (place, row) in std::mem::take(&mut self.waiting) {
            self.sort(place, row);
        }
    }

    /// Keeps of facts what was asked for.
    fn understand(&mut self) {
        if self.meanings.len() > MEANINGS_MAX {
            self.meanings.clear();
            self.unexplained.clear();
        }
        for (qid, fact) in self.facts.known.drain() {
            if fact.is_none() {
                self.unexplained.insert(qid);
            }
            let cves: BTreeSet<String> = fact
                .iter()
                .flat_map(|fact| &fact.cves)
                .map(|cve| cve.trim().to_ascii_uppercase())
                .filter(|cve| self.wanted.cves.contains(cve))
                .collect();
            self.meanings.insert(qid, cves.into_iter().collect());
        }
    }

    fn lose(&mut self, host: usize, why: impl FnOnce() -> String) {
        if let Some(unread) = self.unread.get_mut(host) {
            unread.get_or_insert_with(why);
        }
    }
}
