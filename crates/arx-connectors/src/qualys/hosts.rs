//! Host records of either list, and which of the hosts that were asked for each may be.
//!
//! A record is known by its agent, its address or its names. A server that ignores what was asked
//! for costs nothing but time: what nobody asked for is read past.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use arx_types::{DetectionStatus, HostNames, ScannedHost};
use jiff::Timestamp;

use super::pages::Parser;
use super::wire::{self, Hosts, PageEnd};
use super::xml::{Bounded, Xml, XmlError};
use crate::hostname::{self, NameIndex};

/// Length to which Windows cuts NetBIOS names.
const NETBIOS_LETTERS: usize = 15;
/// Hosts, and detections, that are handed on at once.
const BATCH_MAX: usize = 256;
/// Detections that are kept of one host; more are not read.
const ROWS_MAX: usize = 20_000;

/// The hosts that are asked for, by everything they are known by.
#[derive(Debug)]
pub(super) struct Asked {
    by_ip: HashMap<IpAddr, Vec<usize>>,
    by_agent: HashMap<String, Vec<usize>>,
    names: NameIndex,
    /// Usable names of each.
    named: Vec<Vec<String>>,
    /// Hosts with a name, an agent or an address that a request cannot name.
    findable: HashSet<usize>,
    /// Hosts with an address.
    addressed: HashSet<usize>,
}

/// What a host was recognised by, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum By {
    Agent,
    Ip,
    Dns,
    NetBios,
}

impl By {
    fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Ip => "ip",
            Self::Dns => "dns",
            Self::NetBios => "netbios",
        }
    }
}

/// One host that a record may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    /// The host, by its place among those asked for.
    pub(super) host: usize,
    matched_by: Vec<String>,
    contradicts: Vec<String>,
}

impl Match {
    /// Whether nothing but an address says so, and nothing says otherwise.
    pub(super) fn is_by_address_alone(&self) -> bool {
        self.contradicts.is_empty() && self.matched_by == [By::Ip.as_str()]
    }
}

/// A record that may be a host that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recognised {
    pub(super) id: String,
    /// The hosts that it may be.
    pub(super) matches: Vec<Match>,
    /// Those of them of which it can be only one.
    pub(super) contested: Vec<usize>,
    scanned_at: Option<Timestamp>,
    authenticated_at: Option<Timestamp>,
    pub(super) rows: Vec<Row>,
    /// Why its detections are not all there.
    pub(super) unread: Option<String>,
}

/// A detection, before it is known what its QID means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) qid: u32,
    /// `None` for a word that is no status.
    pub(super) status: Option<DetectionStatus>,
    pub(super) tested_at: Option<Timestamp>,
    pub(super) fixed_at: Option<Timestamp>,
}

impl Recognised {
    /// The record as one host's, without detections.
    pub(super) fn of(&self, matched: &Match) -> ScannedHost {
        ScannedHost {
            id: self.id.clone(),
            matched_by: matched.matched_by.clone(),
            contradicts: matched.contradicts.clone(),
            scanned_at: self.scanned_at,
            authenticated_at: self.authenticated_at,
            detections: Vec::new(),
            unexplained: 0,
        }
    }
}

/// An agent's identifier, however it is written.
fn agent(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Whether a NetBIOS name may be that of a host name.
fn is_netbios_of(netbios: &str, name: &str) -> bool {
    let label = hostname::short(name);
    let cut = label.get(..NETBIOS_LETTERS).filter(|_| netbios.len() == NETBIOS_LETTERS);
    netbios.eq_ignore_ascii_case(label) || cut.is_some_and(|cut| netbios.eq_ignore_ascii_case(cut))
}

impl Asked {
    pub(super) fn new(hosts: &[HostNames]) -> Self {
        let mut by_ip: HashMap<IpAddr, Vec<usize>> = HashMap::new();
        let mut by_agent: HashMap<String, Vec<usize>> = HashMap::new();
        for (host, names) in hosts.iter().enumerate() {
            for ip in names.ips.iter().filter_map(|ip| ip.trim().parse().ok()) {
                by_ip.entry(ip).or_default().push(host);
            }
            for id in names.agent_ids.iter().map(|id| agent(id)).filter(|id| !id.is_empty()) {
                by_agent.entry(id).or_default().push(host);
            }
        }
        let usable = |name: &String| {
            hostname::usable(name).filter(|name| !hostname::is_address(name)).map(str::to_owned)
        };
        let named: Vec<Vec<String>> =
            hosts.iter().map(|host| host.names.iter().filter_map(usable).collect()).collect();
        let with_name = named.iter().enumerate().filter(|(_, names)| !names.is_empty());
        let with_agent = by_agent.values().flatten().copied();
        let with_ipv6 = by_ip.iter().filter(|(ip, _)| ip.is_ipv6()).flat_map(|(_, hosts)| hosts);
        let findable =
            with_name.map(|(host, _)| host).chain(with_agent).chain(with_ipv6.copied()).collect();
        let addressed = by_ip.values().flatten().copied().collect();
        Self { by_ip, by_agent, names: NameIndex::new(hosts), named, findable, addressed }
    }

    /// Hosts that can be recognised at all.
    pub(super) fn known(&self) -> HashSet<usize> {
        self.by_ip.values().flatten().chain(&self.findable).copied().collect()
    }

    /// Whether a host can be recognised by something else than an address that is asked for.
    pub(super) fn is_findable(&self, host: usize) -> bool {
        self.findable.contains(&host)
    }

    /// Which hosts a record may be, and those of them of which it can be only one.
    fn recognise(&self, identity: &Identity) -> (Vec<Match>, Vec<usize>) {
        let mut evidence: BTreeMap<usize, BTreeSet<By>> = BTreeMap::new();
        let agent = agent(&identity.agent);
        for host in self.by_agent.get(&agent).into_iter().flatten() {
            evidence.entry(*host).or_default().insert(By::Agent);
        }
        let ips = [&identity.ip, &identity.ipv6].into_iter().filter_map(|ip| ip.parse().ok());
        for host in ips.filter_map(|ip: IpAddr| self.by_ip.get(&ip)).flatten() {
            evidence.entry(*host).or_default().insert(By::Ip);
        }

        let dns: Vec<&str> = [&identity.dns, &identity.fqdn, &identity.hostname]
            .into_iter()
            .filter_map(|name| hostname::usable(name))
            .filter(|name| !hostname::is_address(name))
            .collect();
        let netbios = hostname::usable(&identity.netbios);
        let claims = self.names.claims(dns.iter().copied().chain(netbios));
        // A record that has the agent or the address of one host is not another's because it
        // shares a label with that one.
        let is_settled = !evidence.is_empty();
        let is_qualified = dns.iter().any(|name| hostname::is_qualified(name));
        let is_in_full = |host: &usize| {
            let asked = self.named.get(*host).map(Vec::as_slice).unwrap_or_default();
            let told = dns.iter().copied().chain(netbios);
            let is_of_record = |name: &&str| !is_qualified || hostname::is_qualified(name);
            let mut told = told.filter(is_of_record);
            let is_short = !asked.iter().any(|name| hostname::is_qualified(name));
            (is_qualified || is_short)
                && told.any(|name| asked.iter().any(|asked| asked.eq_ignore_ascii_case(name)))
        };
        for host in claims.hosts {
            if !is_settled || is_in_full(&host) {
                evidence.entry(host).or_default();
            }
        }
        let contested = if is_settled { Vec::new() } else { claims.contested };

        let matches = evidence.into_iter().map(|(host, mut by)| {
            let asked = self.named.get(host).map(Vec::as_slice).unwrap_or_default();
            if asked.iter().any(|name| dns.iter().any(|dns| hostname::alike(name, dns))) {
                by.insert(By::Dns);
            }
            if let Some(netbios) = netbios
                && asked.iter().any(|name| hostname::short(name).eq_ignore_ascii_case(netbios))
            {
                by.insert(By::NetBios);
            }
            let is_alone = by.len() == 1 && by.contains(&By::Ip);
            let is_cut = netbios
                .is_some_and(|netbios| asked.iter().any(|name| is_netbios_of(netbios, name)));
            let mut contradicts: BTreeSet<String> = BTreeSet::new();
            if is_alone && !asked.is_empty() && !is_cut {
                contradicts.extend(dns.iter().copied().chain(netbios).map(str::to_owned));
            }
            // A label may be had in every domain: it is not enough where the addresses differ.
            let is_known_otherwise = by.contains(&By::Agent) || by.contains(&By::Ip);
            if !is_known_otherwise
                && !is_in_full(&host)
                && self.addressed.contains(&host)
                && hostname::is_address(&identity.ip)
            {
                contradicts.insert(identity.ip.clone());
            }
            Match {
                host,
                matched_by: by.into_iter().map(|by| by.as_str().to_owned()).collect(),
                contradicts: contradicts.into_iter().collect(),
            }
        });
        (matches.collect(), contested)
    }
}

/// What a record is known by.
#[derive(Debug, Default)]
struct Identity {
    id: String,
    ip: String,
    ipv6: String,
    dns: String,
    fqdn: String,
    hostname: String,
    netbios: String,
    agent: String,
}

/// Which detections are kept while a list is read.
#[derive(Debug, Clone)]
pub(super) enum Keep {
    /// None: the list has none, or none is asked for.
    Nothing,
    /// Those of some QIDs.
    Qids(Arc<HashSet<u32>>),
    /// All, because what their QIDs mean is found out later.
    Everything,
}

/// What reads a page of either list.
pub(super) fn parser(root: &'static str, asked: Arc<Asked>, keep: Keep) -> Parser<Vec<Recognised>> {
    Box::new(move |pieces, hand_on| read(pieces, root, &asked, &keep, hand_on))
}

/// Reads a page of either list, and hands on the hosts that were asked for.
pub(super) fn read<R: Bounded>(
    source: R,
    root: &str,
    asked: &Asked,
    keep: &Keep,
    hand_on: &mut dyn FnMut(Vec<Recognised>) -> bool,
) -> PageEnd {
    let mut reader =
        RecordReader { asked, keep, hand_on, batch: Vec::new(), n_rows: 0, is_abandoned: false };
    wire::read_list(source, root, &mut reader)
}

struct RecordReader<'a> {
    asked: &'a Asked,
    keep: &'a Keep,
    hand_on: &'a mut dyn FnMut(Vec<Recognised>) -> bool,
    batch: Vec<Recognised>,
    n_rows: usize,
    is_abandoned: bool,
}

impl Hosts for RecordReader<'_> {
    fn read_host<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<Option<u64>, XmlError> {
        let mut identity = Identity::default();
        let mut tracking = String::new();
        let (mut last_scan, mut scanned, mut authenticated) = (None, None, None);
        let mut rows = Rows::default();
        while xml.child()? {
            match xml.name() {
                "ID" => xml.text()?.clone_into(&mut identity.id),
                "IP" => xml.text()?.clone_into(&mut identity.ip),
                "IPV6" => xml.text()?.clone_into(&mut identity.ipv6),
                "DNS" => xml.text()?.clone_into(&mut identity.dns),
                "DNS_DATA" => {
                    while xml.child()? {
                        match xml.name() {
                            "FQDN" => xml.text()?.clone_into(&mut identity.fqdn),
                            "HOSTNAME" => xml.text()?.clone_into(&mut identity.hostname),
                            _ => xml.skip()?,
                        }
                    }
                }
                "NETBIOS" => xml.text()?.clone_into(&mut identity.netbios),
                "QG_HOSTID" => xml.text()?.clone_into(&mut identity.agent),
                "TRACKING_METHOD" => xml.text()?.clone_into(&mut tracking),
                "LAST_VM_SCANNED_DATE" => scanned = time(xml.text()?),
                "LAST_VM_AUTH_SCANNED_DATE" => authenticated = time(xml.text()?),
                "LAST_SCAN_DATETIME" | "LAST_VULN_SCAN_DATETIME" => last_scan = time(xml.text()?),
                "DETECTION_LIST" if !matches!(self.keep, Keep::Nothing) => {
                    while xml.child()? {
                        if xml.name() == "DETECTION" {
                            rows.read(xml, self.keep)?;
                        } else {
                            xml.skip()?;
                        }
                    }
                }
                _ => xml.skip()?,
            }
        }
        let number = identity.id.parse::<u64>().ok();
        let (matches, contested) = self.asked.recognise(&identity);
        if !matches.is_empty() {
            let is_agent = tracking.to_ascii_lowercase().contains("agent");
            let scanned_at = scanned.or(last_scan);
            let by_agent = scanned.filter(|_| is_agent);
            self.n_rows += rows.rows.len();
            self.batch.push(Recognised {
                id: if identity.id.is_empty() { identity.ip } else { identity.id },
                matches,
                contested,
                scanned_at,
                // What an agent reports it has seen from inside.
                authenticated_at: authenticated.max(by_agent),
                rows: rows.rows,
                unread: rows.unread,
            });
        }
        if self.batch.len() >= BATCH_MAX || self.n_rows >= BATCH_MAX {
            self.flush();
        }
        Ok(number)
    }

    fn flush(&mut self) -> bool {
        if !self.batch.is_empty() && !self.is_abandoned {
            self.n_rows = 0;
            self.is_abandoned = !(self.hand_on)(std::mem::take(&mut self.batch));
        }
        !self.is_abandoned
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }
}

/// The detections of one host.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    unread: Option<String>,
}

impl Rows {
    fn read<R: Bounded>(&mut self, xml: &mut Xml<R>, keep: &Keep) -> Result<(), XmlError> {
        let (mut qid, mut is_info, mut status) = (None, false, String::new());
        let (mut tested, mut found, mut fixed) = (None, None, None);
        while xml.child()? {
            match xml.name() {
                "QID" => qid = xml.text()?.parse::<u32>().ok(),
                "TYPE" => is_info = xml.text()?.eq_ignore_ascii_case("Info"),
                "STATUS" => xml.text()?.clone_into(&mut status),
                "LAST_TEST_DATETIME" => tested = time(xml.text()?),
                "LAST_FOUND_DATETIME" => found = time(xml.text()?),
                "LAST_FIXED_DATETIME" => fixed = time(xml.text()?),
                _ => xml.skip()?,
            }
        }
        if is_info {
            return Ok(());
        }
        let is_kept = match (keep, qid) {
            (Keep::Nothing, _) => false,
            (Keep::Qids(wanted), Some(qid)) => wanted.contains(&qid),
            // What names no QID may be anything.
            (Keep::Everything, _) | (Keep::Qids(_), None) => true,
        };
        if !is_kept {
            return Ok(());
        }
        let known =
            DetectionStatus::ALL.iter().find(|known| known.as_str().eq_ignore_ascii_case(&status));
        match qid {
            _ if self.rows.len() >= ROWS_MAX => {
                self.lose(format!("it has more than {ROWS_MAX} detections"));
            }
            Some(qid) => {
                let tested_at = tested.or(found);
                self.rows.push(Row { qid, status: known.copied(), tested_at, fixed_at: fixed });
            }
            None => self.lose("one of its detections names no QID".to_owned()),
        }
        Ok(())
    }

    fn lose(&mut self, why: String) {
        self.unread.get_or_insert(why);
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
