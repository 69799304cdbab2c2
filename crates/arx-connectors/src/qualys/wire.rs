//! What Qualys sends: the list of detections, and the answer that stands for every error.
//!
//! Detections leave host by host, once their host's closing tag has been read; a document that
//! breaks off tells up to which host it was good.

use std::sync::Arc;

use arx_types::Severity;

use super::answer::{self, Answer, one_line};
use super::xml::{Bounded, Xml, XmlError};

/// Largest element that stands for one host.
const HOST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Largest part of a document outside its hosts.
const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Detections that are handed on at once.
const BATCH_DETECTIONS: usize = 1024;
/// Most tags of one host that are kept.
const TAGS_MAX: usize = 200;

pub(super) const DETECTIONS_ROOT: &str = "HOST_LIST_VM_DETECTION_OUTPUT";
pub(super) const HOSTS_ROOT: &str = "HOST_LIST_OUTPUT";

/// Which detections count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) min_severity: u8,
    pub(super) statuses: Vec<&'static str>,
}

/// The statuses of a detection.
pub(super) const STATUSES: &[&str] = &["New", "Active", "Re-Opened", "Fixed"];

/// A host, shared by its detections.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) tags: Vec<(String, String)>,
}

/// One detection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Detection {
    pub(super) id: String,
    pub(super) qid: u32,
    /// 1–5; 0 where the detection has none.
    pub(super) severity: u8,
    pub(super) first_seen: String,
    pub(super) host: Arc<Host>,
}

/// What Qualys' number means in words.
pub(super) fn severity(number: u8) -> Severity {
    match number {
        1 => Severity::Informational,
        2 => Severity::Low,
        3 => Severity::Medium,
        4 => Severity::High,
        5 => Severity::Critical,
        _ => Severity::None,
    }
}

/// What a page was, up to where it could be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageEnd {
    /// Hosts that were read to their closing tag.
    pub(super) hosts: u64,
    /// The last of them.
    pub(super) last_host: Option<u64>,
    /// Whether their ids only grew.
    pub(super) ascending: bool,
    /// Detections that name no QID.
    pub(super) nameless: u64,
    pub(super) ended: Ended,
}

/// How a page ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Ended {
    /// At the closing root tag.
    Whole(Option<Warning>),
    /// It is an answer, not a list.
    Answer(Answer),
    /// It is another document; its root.
    Foreign(String),
    /// Before the closing root tag.
    Broken(String),
    /// At something that is not read from anyone.
    Refused(&'static str),
    /// Nobody takes the detections any more.
    #[default]
    Abandoned,
}

/// A `WARNING`: there is more, at another address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Warning {
    pub(super) code: String,
    pub(super) text: String,
    pub(super) url: String,
}

/// What is read of each host of a list.
pub(super) trait Hosts {
    /// Reads a host whose opening tag has been read, up to its closing tag; its id, where it is a
    /// number.
    fn read_host<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<Option<u64>, XmlError>;

    /// Hands on what has been read; false when nobody takes it any more.
    fn flush(&mut self) -> bool;

    /// Whether nobody takes hosts any more.
    fn is_abandoned(&self) -> bool;
}

/// Reads a list of hosts, up to where it can be read.
pub(super) fn read_list<R: Bounded>(source: R, root: &str, hosts: &mut impl Hosts) -> PageEnd {
    let mut end = PageEnd { ascending: true, ..PageEnd::default() };
    let ended = match read_frame(source, root, hosts, &mut end) {
        Ok(ended) => ended,
        Err(XmlError::Broken(why)) => Ended::Broken(why),
        Err(XmlError::Refused(why)) => Ended::Refused(why),
    };
    end.ended = if hosts.flush() { ended } else { Ended::Abandoned };
    end
}

fn read_frame<R: Bounded>(
    source: R,
    root: &str,
    hosts: &mut impl Hosts,
    end: &mut PageEnd,
) -> Result<Ended, XmlError> {
    let mut xml = Xml::open(source, FRAME_BYTES_MAX)?;
    match xml.name() {
        name if name == root => {}
        answer::ROOT => {
            let mut answer = Answer::default();
            answer.read(&mut xml)?;
            return Ok(Ended::Answer(answer));
        }
        other => return Ok(Ended::Foreign(one_line(other))),
    }
    let mut warning = None;
    while xml.child()? {
        if xml.name() != "RESPONSE" {
            xml.skip()?;
            continue;
        }
        while xml.child()? {
            match xml.name() {
                "HOST_LIST" => read_hosts(&mut xml, hosts, end)?,
                "WARNING" => warning = Some(read_warning(&mut xml)?),
                _ => xml.skip()?,
            }
        }
    }
    Ok(Ended::Whole(warning))
}

fn read_hosts<R: Bounded>(
    xml: &mut Xml<R>,
    hosts: &mut impl Hosts,
    end: &mut PageEnd,
) -> Result<(), XmlError> {
    xml.allow(HOST_BYTES_MAX);
    while !hosts.is_abandoned() && xml.child()? {
        if xml.name() == "HOST" {
            let number = hosts.read_host(xml)?;
            end.hosts += 1;
            end.ascending &= number.is_some() && number > end.last_host;
            end.last_host = number.or(end.last_host);
        } else {
            xml.skip()?;
        }
        xml.allow(HOST_BYTES_MAX);
    }
    xml.allow(FRAME_BYTES_MAX);
    if hosts.is_abandoned() { Err(XmlError::Broken("abandoned".to_owned())) } else { Ok(()) }
}

/// Reads a page of detections and hands them on in batches; `hand_on` answers false when nobody
/// takes them any more.
pub(super) fn read_page<R: Bounded>(
    source: R,
    filter: &Filter,
    hand_on: impl FnMut(Vec<Detection>) -> bool,
) -> PageEnd {
    let mut page = PageReader { filter, hand_on, batch: Vec::new(), abandoned: false, nameless: 0 };
    let end = read_list(source, DETECTIONS_ROOT, &mut page);
    PageEnd { nameless: page.nameless, ..end }
}

struct PageReader<'f, F> {
    filter: &'f Filter,
    hand_on: F,
    batch: Vec<Detection>,
    abandoned: bool,
    nameless: u64,
}

impl<F: FnMut(Vec<Detection>) -> bool> Hosts for PageReader<'_, F> {
    fn read_host<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<Option<u64>, XmlError> {
        let mut names = Names::default();
        let mut id = String::new();
        let mut tags = Vec::new();
        let mut rows = Vec::new();
        while xml.child()? {
            match xml.name() {
                "ID" => xml.text()?.clone_into(&mut id),
                "IP" => xml.text()?.clone_into(&mut names.ip),
                "IPV6" => xml.text()?.clone_into(&mut names.ipv6),
                "DNS" => xml.text()?.clone_into(&mut names.dns),
                "DNS_DATA" => names.read_dns(xml)?,
                "NETBIOS" => xml.text()?.clone_into(&mut names.netbios),
                "TAGS" | "CLOUD_PROVIDER_TAGS" => read_tags(xml, &mut tags)?,
                "DETECTION_LIST" => {
                    while xml.child()? {
                        if xml.name() == "DETECTION" {
                            self.read_detection(xml, &mut rows)?;
                        } else {
                            xml.skip()?;
                        }
                    }
                }
                _ => xml.skip()?,
            }
        }
        let number = id.parse::<u64>().ok();
        let name = names.best(&id);
        if id.is_empty() {
            id.clone_from(&name);
        }
        let host = Arc::new(Host { id, name, tags });
        self.batch.extend(rows.into_iter().map(|row| row.on(&host)));
        if self.batch.len() >= BATCH_DETECTIONS {
            self.flush();
        }
        Ok(number)
    }

    fn flush(&mut self) -> bool {
        if !self.batch.is_empty() && !self.abandoned {
            self.abandoned = !(self.hand_on)(std::mem::take(&mut self.batch));
        }
        !self.abandoned
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned
    }
}

impl<F> PageReader<'_, F> {
    fn read_detection<R: Bounded>(
        &mut self,
        xml: &mut Xml<R>,
        rows: &mut Vec<Row>,
    ) -> Result<(), XmlError> {
        let mut row = Row::default();
        let mut counts = true;
        while xml.child()? {
            match xml.name() {
                "QID" => row.qid = xml.text()?.parse().ok(),
                "TYPE" => counts &= !xml.text()?.eq_ignore_ascii_case("Info"),
                "SEVERITY" => row.severity = xml.text()?.parse().unwrap_or_default(),
                "PORT" => xml.text()?.clone_into(&mut row.port),
                "PROTOCOL" => xml.text()?.clone_into(&mut row.protocol),
                "INSTANCE" => xml.text()?.clone_into(&mut row.instance),
                "STATUS" => {
                    let status = xml.text()?;
                    let asked = |known: &&str| known.eq_ignore_ascii_case(status);
                    counts &= status.is_empty() || self.filter.statuses.iter().any(asked);
                }
                "FIRST_FOUND_DATETIME" => xml.text()?.clone_into(&mut row.first_seen),
                "IS_IGNORED" | "IS_DISABLED" => counts &= !matches!(xml.text()?, "1" | "true"),
                _ => xml.skip()?,
            }
        }
        counts &= row.severity == 0 || row.severity >= self.filter.min_severity;
        if counts {
            if row.qid.is_some() {
                rows.push(row);
            } else {
                self.nameless += 1;
            }
        }
        Ok(())
    }
}

/// A detection before its host is known.
#[derive(Default)]
struct Row {
    qid: Option<u32>,
    severity: u8,
    port: String,
    protocol: String,
    instance: String,
    first_seen: String,
}

impl Row {
    fn on(self, host: &Arc<Host>) -> Detection {
        let qid = self.qid.unwrap_or_default();
        let mut id = format!("{}/{qid}", host.id);
        if !(self.port.is_empty() && self.protocol.is_empty() && self.instance.is_empty()) {
            for part in [&self.port, &self.protocol, &self.instance] {
                id.push('/');
                id.push_str(part);
            }
        }
        Detection {
            id,
            qid,
            severity: self.severity.min(5),
            first_seen: self.first_seen,
            host: Arc::clone(host),
        }
    }
}

/// The names of a host, best first.
#[derive(Default)]
struct Names {
    dns: String,
    fqdn: String,
    hostname: String,
    netbios: String,
    ip: String,
    ipv6: String,
}

impl Names {
    fn read_dns<R: Bounded>(&mut self, xml: &mut Xml<R>) -> Result<(), XmlError> {
        while xml.child()? {
            match xml.name() {
                "FQDN" => xml.text()?.clone_into(&mut self.fqdn),
                "HOSTNAME" => xml.text()?.clone_into(&mut self.hostname),
                _ => xml.skip()?,
            }
        }
        Ok(())
    }

    fn best(self, id: &str) -> String {
        let names = [self.dns, self.fqdn, self.hostname, self.netbios, self.ip, self.ipv6];
        let best = names.into_iter().find(|name| !name.is_empty());
        best.unwrap_or_else(|| format!("host {id}"))
    }
}

/// Tags of either kind: a `NAME` alone, or a `NAME` with its `VALUE`.
fn read_tags<R: Bounded>(
    xml: &mut Xml<R>,
    tags: &mut Vec<(String, String)>,
) -> Result<(), XmlError> {
    while xml.child()? {
        let (mut name, mut value) = (String::new(), String::new());
        while xml.child()? {
            match xml.name() {
                "NAME" => xml.text()?.clone_into(&mut name),
                "VALUE" => xml.text()?.clone_into(&mut value),
                _ => xml.skip()?,
            }
        }
        if !name.is_empty() && tags.len() < TAGS_MAX {
            tags.push((name, value));
        }
    }
    Ok(())
}

/// Reads a `WARNING`.
pub(super) fn read_warning<R: Bounded>(xml: &mut Xml<R>) -> Result<Warning, XmlError> {
    let mut warning = Warning::default();
    while xml.child()? {
        match xml.name() {
            "CODE" => xml.text()?.clone_into(&mut warning.code),
            "TEXT" => warning.text = one_line(xml.text()?),
            "URL" => xml.text()?.clone_into(&mut warning.url),
            _ => xml.skip()?,
        }
    }
    Ok(warning)
}
