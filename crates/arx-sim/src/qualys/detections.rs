//! Host list detection and host list: pages of hosts, ascending by id.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::parameters::{Parameters, Ranges};
use super::{Call, Problem, xml};
use crate::estate::{Asset, DAY, Detection, Qid, TODAY, push_time, time, uuid};
use crate::faults::mix;
use crate::http::Reply;
use crate::wave::Scanned;
use crate::world::Shared;

const ROOT: &str = "HOST_LIST_VM_DETECTION_OUTPUT";
/// Hosts on a page unless `truncation_limit` says otherwise.
const HOSTS_DEFAULT: u64 = 1_000;
/// A piece of the stream is sent once it is this large.
const CHUNK_BYTES: usize = 256 * 1024;
/// A comment keeps the connection alive after this many hosts.
const KEEP_ALIVE_HOSTS: usize = 100;

const STATUSES: [&str; 4] = ["New", "Active", "Re-Opened", "Fixed"];

#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "action", "truncation_limit", "ids", "id_min", "id_max", "ips", "qids", "severities", "status",
    "include_ignored", "include_disabled", "filter_superseded_qids", "show_results", "show_igs",
    "show_tags", "show_qds", "detection_updated_since", "detection_updated_before",
    "max_days_since_detection_updated", "vm_scan_since", "no_vm_scan_since", "vm_scan_date_after",
    "vm_scan_date_before", "output_format", "echo_request", "os_pattern", "show_asset_id",
    "network_ids",
];

#[rustfmt::skip]
const KNOWN_HOSTS: &[&str] = &[
    "action", "truncation_limit", "ids", "id_min", "id_max", "ips", "details", "vm_scan_since",
    "no_vm_scan_since", "vm_scan_date_after", "vm_scan_date_before", "show_tags", "echo_request",
    "show_asset_id", "show_cloud_tags", "show_trurisk", "network_ids", "os_pattern",
];

/// Which hosts are asked for.
struct HostFilter {
    ids: Option<Ranges>,
    id_min: u64,
    id_max: u64,
    ips: Option<Addresses>,
    scanned_after: Option<i64>,
    scanned_before: Option<i64>,
    os: Option<String>,
    networks: Option<Ranges>,
}

/// Single addresses and ranges of them.
struct Addresses {
    single: BTreeSet<Ipv4Addr>,
    ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
}

impl Addresses {
    fn of(all: Vec<(Ipv4Addr, Ipv4Addr)>) -> Self {
        let (single, ranges): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(low, high)| low == high);
        Self { single: single.into_iter().map(|(ip, _)| ip).collect(), ranges }
    }

    fn holds(&self, ip: &str) -> bool {
        ip.parse().is_ok_and(|ip: Ipv4Addr| {
            self.single.contains(&ip)
                || self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&ip))
        })
    }
}

impl HostFilter {
    fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let ips = parameters.last("ips").map(|text| {
            let parse = |ip: &str| {
                ip.trim()
                    .parse::<Ipv4Addr>()
                    .map_err(|_| Problem::invalid("ips", text, "not an IP address"))
            };
            let range = |part: &str| {
                let (low, high) = part.split_once('-').unwrap_or((part, part));
                let (low, high) = (parse(low)?, parse(high)?);
                if low > high {
                    Err(Problem::invalid("ips", text, "not a range"))
                } else {
                    Ok((low, high))
                }
            };
            text.split(',').map(range).collect::<Result<Vec<_>, _>>()
        });
        let since = match parameters.date("vm_scan_since")? {
            Some(at) => Some(at),
            None => parameters.date("vm_scan_date_after")?,
        };
        let before = match parameters.date("no_vm_scan_since")? {
            Some(at) => Some(at),
            None => parameters.date("vm_scan_date_before")?,
        };
        Ok(Self {
            ids: parameters.ranges("ids")?,
            id_min: parameters.number("id_min")?.unwrap_or(0),
            id_max: parameters.number("id_max")?.unwrap_or(u64::MAX),
            ips: ips.transpose()?.map(Addresses::of),
            networks: parameters.ranges("network_ids")?,
            scanned_after: since,
            scanned_before: before,
            os: parameters.last("os_pattern").map(str::to_lowercase),
        })
    }

    fn keeps(&self, asset: &Asset, host_id: u64, scanned: i64) -> bool {
        self.keeps_host(host_id, &asset.ip, 0, Some(scanned), asset.os)
    }

    fn keeps_scanned(&self, host: &Scanned) -> bool {
        self.keeps_host(host.host_id, &host.ip, host.network, host.scanned, host.os)
    }

    fn keeps_host(
        &self,
        host_id: u64,
        ip: &str,
        network: u64,
        scanned: Option<i64>,
        os: &str,
    ) -> bool {
        (self.id_min..=self.id_max).contains(&host_id)
            && self.ids.as_ref().is_none_or(|ids| ids.contains(host_id))
            && self.ips.as_ref().is_none_or(|ips| ips.holds(ip))
            && self.networks.as_ref().is_none_or(|networks| networks.contains(network))
            && self.scanned_after.is_none_or(|after| scanned.is_some_and(|at| at >= after))
            && self.scanned_before.is_none_or(|before| scanned.is_some_and(|at| at < before))
            && self.os.as_ref().is_none_or(|wanted| os.to_lowercase().contains(wanted.as_str()))
    }
}

/// Which detections are asked for, and what is shown of them.
struct DetectionFilter {
    qids: Option<Ranges>,
    severities: Option<Ranges>,
    statuses: Vec<String>,
    has_info: bool,
    has_results: bool,
    has_tags: bool,
    has_qds: bool,
    updated_after: Option<i64>,
    updated_before: Option<i64>,
}

impl DetectionFilter {
    fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let days = parameters.number("max_days_since_detection_updated")?;
        let since = parameters.date("detection_updated_since")?;
        if days.is_some() && since.is_some() {
            return Err(Problem::new(
                400,
                1904,
                "Please specify only one of these parameters: detection_updated_since, max_days_since_detection_updated",
            ));
        }
        let statuses = parameters.words("status", &STATUSES)?;
        for switch in ["include_ignored", "include_disabled", "filter_superseded_qids"] {
            // The estate has nothing ignored, disabled or superseded: both answers are the same.
            parameters.flag(switch, false)?;
        }
        Ok(Self {
            qids: parameters.ranges("qids")?,
            severities: parameters.ranges("severities")?,
            // Sources disagree whether fixed ones are among the default: here they are not.
            statuses: match statuses {
                Some(statuses) => statuses.into_iter().map(str::to_owned).collect(),
                None => ["New", "Active", "Re-Opened"].map(str::to_owned).to_vec(),
            },
            has_info: parameters.flag("show_igs", false)?,
            has_results: parameters.flag("show_results", true)?,
            has_tags: parameters.flag("show_tags", false)?,
            has_qds: parameters.flag("show_qds", false)?,
            updated_after: since.or(days.map(|days| TODAY - days as i64 * DAY)),
            updated_before: parameters.date("detection_updated_before")?,
        })
    }

    fn keeps(&self, detection: &Detection, qid: &Qid) -> bool {
        let updated = detection.last_fixed.unwrap_or(detection.last_test);
        let is_wanted = if qid.kind == "Info" {
            self.has_info
        } else {
            self.statuses.iter().any(|status| status == detection.status)
        };
        is_wanted
            && self.qids.as_ref().is_none_or(|qids| qids.contains(u64::from(qid.qid)))
            && self.severities.as_ref().is_none_or(|s| s.contains(u64::from(qid.severity)))
            && self.updated_after.is_none_or(|after| updated >= after)
            && self.updated_before.is_none_or(|before| updated < before)
    }
}

/// Walks the hosts and writes the document piece by piece.
struct Pages {
    shared: Arc<Shared>,
    hosts: HostFilter,
    detections: DetectionFilter,
    next: usize,
    n_hosts: u64,
    limit: u64,
    /// The link to the next page, without its `id_min`.
    link: String,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Head(String),
    Body,
    Done,
}

pub(super) fn list(call: &Call<'_>, parameters: &Parameters) -> Result<Reply, Problem> {
    parameters.only(KNOWN)?;
    if let Some(format) = parameters.last("output_format")
        && format != "XML"
    {
        return Err(Problem::invalid("output_format", format, "only XML is simulated"));
    }
    let limit = parameters.number("truncation_limit")?.unwrap_or(HOSTS_DEFAULT);
    let mut head = xml::open(call, ROOT);
    if parameters.flag("echo_request", false)? {
        head = head.replace(
            "  <RESPONSE>\n",
            &format!(
                "  <REQUEST>\n    <DATETIME>{}</DATETIME>\n    <RESOURCE>{}{}</RESOURCE>\n  </REQUEST>\n  <RESPONSE>\n",
                call.now(),
                call.origin,
                call.path
            ),
        );
    }
    let pages = Pages {
        shared: call.shared.clone(),
        hosts: HostFilter::read(parameters)?,
        detections: DetectionFilter::read(parameters)?,
        next: 0,
        n_hosts: 0,
        limit: if limit == 0 { u64::MAX } else { limit },
        link: next_link(call, parameters),
        stage: Stage::Head(head),
    };
    Ok(Reply::xml_stream(Box::pin(stream::unfold(pages, |mut pages| async move {
        pages.piece().map(|piece| (Bytes::from(piece), pages))
    }))))
}

/// Absolute, and with a parameter that the client never sent.
fn next_link(call: &Call<'_>, parameters: &Parameters) -> String {
    let origin =
        if call.has_foreign_links { "https://qualysapi.attacker.example" } else { call.origin };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.without("id_min") {
        query.append_pair(name, value);
    }
    if parameters.last("output_format").is_none() {
        query.append_pair("output_format", "XML");
    }
    format!("{origin}{}?{}", call.path, query.finish())
}

impl Pages {
    /// The next piece of the document; `None` after its end.
    fn piece(&mut self) -> Option<String> {
        let mut out = String::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        match std::mem::replace(&mut self.stage, Stage::Body) {
            Stage::Done => {
                self.stage = Stage::Done;
                return None;
            }
            Stage::Head(head) => out.push_str(&head),
            Stage::Body => {}
        }
        let shared = self.shared.clone();
        let estate = &shared.estate;
        while out.len() < CHUNK_BYTES {
            let host = self.next;
            self.next += 1;
            let Some(asset) = estate.hosts.get(host).and_then(|a| estate.assets.get(*a)) else {
                // The wave's hosts follow: their ids are above those of the estate.
                let wave = shared.wave.scanned();
                let Some(scanned) = wave.get(host - estate.hosts.len()) else {
                    self.finish(&mut out, None);
                    return Some(out);
                };
                if !self.hosts.keeps_scanned(scanned) {
                    continue;
                }
                let mut found = scanned.detections.clone();
                self.keep_wanted(&mut found);
                if found.is_empty() {
                    continue;
                }
                if self.n_hosts == self.limit {
                    self.finish(&mut out, Some(scanned.host_id));
                    return Some(out);
                }
                self.start_host(&mut out);
                push_scanned(&mut out, scanned);
                self.push_detections(&mut out, &found);
                continue;
            };
            let host_id = asset.host_id.unwrap_or(0);
            if !self.hosts.keeps(asset, host_id, last_scan(host_id)) {
                continue;
            }
            let mut found = estate.detections(host);
            self.keep_wanted(&mut found);
            if found.is_empty() {
                continue;
            }
            if self.n_hosts == self.limit {
                self.finish(&mut out, Some(host_id));
                return Some(out);
            }
            self.start_host(&mut out);
            self.push_host(&mut out, asset, host_id, &found);
        }
        Some(out)
    }

    fn keep_wanted(&self, found: &mut Vec<Detection>) {
        found.retain(|detection| {
            let qid = self.shared.estate.qids.get(detection.qid);
            qid.is_some_and(|qid| self.detections.keeps(detection, qid))
        });
    }

    fn start_host(&mut self, out: &mut String) {
        if self.n_hosts == 0 {
            out.push_str("    <HOST_LIST>\n");
        } else if self.n_hosts.is_multiple_of(KEEP_ALIVE_HOSTS as u64) {
            out.push_str(&format!("<!-- keep-alive for {ROOT} -->\n"));
        }
        self.n_hosts += 1;
        out.push_str("      <HOST>\n");
    }

    fn finish(&mut self, out: &mut String, next_id: Option<u64>) {
        if self.n_hosts > 0 {
            out.push_str("    </HOST_LIST>\n");
        }
        if let Some(id) = next_id {
            // The vendor pads the address with newlines.
            out.push_str(&format!(
                "    <WARNING>\n      <CODE>1980</CODE>\n      <TEXT>{} record limit exceeded. Use URL to get next batch of results.</TEXT>\n      <URL><![CDATA[\n{}&id_min={id}\n]]></URL>\n    </WARNING>\n",
                self.limit, self.link
            ));
        }
        out.push_str(&xml::close(ROOT));
        self.stage = Stage::Done;
    }

    fn push_host(&self, out: &mut String, asset: &Asset, host_id: u64, found: &[Detection]) {
        push_identity(out, asset, host_id);
        if self.detections.has_tags
            && let Some(project) = self.shared.estate.project_of(asset)
        {
            out.push_str(&format!(
                "        <TAGS>\n          <TAG>\n            <TAG_ID><![CDATA[{}]]></TAG_ID>\n            <NAME>{}</NAME>\n          </TAG>\n        </TAGS>\n",
                7_000_000 + asset.project,
                xml::cdata(project.name)
            ));
        }
        self.push_detections(out, found);
    }

    fn push_detections(&self, out: &mut String, found: &[Detection]) {
        out.push_str("        <DETECTION_LIST>\n");
        for detection in found {
            if let Some(qid) = self.shared.estate.qids.get(detection.qid) {
                self.push_detection(out, detection, qid);
            }
        }
        out.push_str("        </DETECTION_LIST>\n      </HOST>\n");
    }

    fn push_detection(&self, out: &mut String, detection: &Detection, qid: &Qid) {
        use std::fmt::Write as _;
        let tagged = |out: &mut String, tag: &str, at: i64| {
            out.push_str("            <");
            out.push_str(tag);
            out.push('>');
            push_time(out, at);
            out.push_str("</");
            out.push_str(tag);
            out.push_str(">\n");
        };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "          <DETECTION>\n            <UNIQUE_VULN_ID>{}</UNIQUE_VULN_ID>\n            <QID>{}</QID>\n            <TYPE>{}</TYPE>\n            <SEVERITY>{}</SEVERITY>\n",
            detection.id, qid.qid, qid.kind, qid.severity
        );
        if let Some(port) = detection.port {
            let _ = write!(
                out,
                "            <PORT>{port}</PORT>\n            <PROTOCOL>tcp</PROTOCOL>\n"
            );
        }
        out.push_str("            <SSL>0</SSL>\n");
        if self.detections.has_results {
            let _ = writeln!(out, "            <RESULTS>{}</RESULTS>", xml::cdata(&qid.results));
        }
        if qid.kind != "Info" {
            let _ = writeln!(out, "            <STATUS>{}</STATUS>", detection.status);
        }
        tagged(out, "FIRST_FOUND_DATETIME", detection.first_found);
        tagged(out, "LAST_FOUND_DATETIME", detection.last_found);
        if self.detections.has_qds {
            let _ = writeln!(
                out,
                "            <QDS severity=\"{}\">{}</QDS>",
                if qid.severity == 5 { "CRITICAL" } else { "HIGH" },
                u32::from(qid.severity) * 19
            );
        }
        let _ = writeln!(out, "            <TIMES_FOUND>{}</TIMES_FOUND>", detection.times_found);
        tagged(out, "LAST_TEST_DATETIME", detection.last_test);
        tagged(out, "LAST_UPDATE_DATETIME", detection.last_test);
        if let Some(at) = detection.last_fixed {
            tagged(out, "LAST_FIXED_DATETIME", at);
        }
        out.push_str(
            "            <IS_IGNORED>0</IS_IGNORED>\n            <IS_DISABLED>0</IS_DISABLED>\n",
        );
        tagged(out, "LAST_PROCESSED_DATETIME", detection.last_test);
        out.push_str("          </DETECTION>\n");
    }
}

/// A host's last scan, within the two days before the estate's today.
fn last_scan(host_id: u64) -> i64 {
    TODAY - (mix(0x5CA7, host_id, 0) % 172_800) as i64
}

fn push_identity(out: &mut String, asset: &Asset, host_id: u64) {
    use std::fmt::Write as _;
    let stem = asset.name.replace('/', "-");
    let scanned = time(last_scan(host_id));
    let agent = uuid(u128::from(host_id) << 40);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "        <ID>{host_id}</ID>\n        <ASSET_ID>{}</ASSET_ID>\n        <IP>{}</IP>\n        <TRACKING_METHOD>AGENT</TRACKING_METHOD>\n        <NETWORK_ID>0</NETWORK_ID>\n        <OS>{}</OS>\n        <DNS>{}</DNS>\n        <DNS_DATA>\n          <HOSTNAME>{}</HOSTNAME>\n          <DOMAIN>{}</DOMAIN>\n          <FQDN>{}</FQDN>\n        </DNS_DATA>\n",
        host_id + 20_000_000,
        asset.ip,
        xml::cdata(asset.os),
        xml::cdata(&format!("{stem}.harbourline.example")),
        xml::cdata(&stem),
        xml::cdata("harbourline.example"),
        xml::cdata(&format!("{stem}.harbourline.example")),
    );
    if asset.os.contains("Windows") {
        let _ = writeln!(out, "        <NETBIOS>{}</NETBIOS>", xml::cdata(&stem.to_uppercase()));
    }
    let _ = write!(
        out,
        "        <QG_HOSTID>{}</QG_HOSTID>\n        <LAST_SCAN_DATETIME>{scanned}</LAST_SCAN_DATETIME>\n        <LAST_VM_SCANNED_DATE>{scanned}</LAST_VM_SCANNED_DATE>\n        <LAST_VM_SCANNED_DURATION>142</LAST_VM_SCANNED_DURATION>\n        <LAST_VM_AUTH_SCANNED_DATE>{scanned}</LAST_VM_AUTH_SCANNED_DATE>\n",
        xml::cdata(&agent),
    );
}

/// A host of the patch wave: what the scanner never learned, the record leaves out.
fn push_scanned(out: &mut String, host: &Scanned) {
    let mut tag = |name: &str, text: &str, is_cdata: bool| {
        if !text.is_empty() {
            let text = if is_cdata { xml::cdata(text) } else { text.to_owned() };
            out.push_str(&format!("        <{name}>{text}</{name}>\n"));
        }
    };
    tag("ID", &host.host_id.to_string(), false);
    tag("ASSET_ID", &(host.host_id + 20_000_000).to_string(), false);
    tag("IP", &host.ip, false);
    tag("TRACKING_METHOD", host.tracking, false);
    tag("NETWORK_ID", &host.network.to_string(), false);
    tag("OS", host.os, true);
    tag("DNS", &host.dns, true);
    if let Some((name, domain)) = host.dns.split_once('.') {
        let [name, domain, whole] = [name, domain, &host.dns].map(xml::cdata);
        let data = format!(
            "\n          <HOSTNAME>{name}</HOSTNAME>\n          <DOMAIN>{domain}</DOMAIN>\n          <FQDN>{whole}</FQDN>\n        "
        );
        tag("DNS_DATA", &data, false);
    }
    tag("NETBIOS", &host.netbios, true);
    tag("QG_HOSTID", &host.agent, true);
    if let Some(at) = host.scanned {
        tag("LAST_SCAN_DATETIME", &time(at), false);
        tag("LAST_VM_SCANNED_DATE", &time(at), false);
        tag("LAST_VM_SCANNED_DURATION", "142", false);
    }
    if let Some(at) = host.authenticated {
        tag("LAST_VM_AUTH_SCANNED_DATE", &time(at), false);
    }
}

/// One host of a host list.
enum Listed<'w> {
    Asset(&'w Asset, u64),
    Scanned(&'w Scanned),
}

impl Listed<'_> {
    fn id(&self) -> u64 {
        match self {
            Self::Asset(_, id) => *id,
            Self::Scanned(host) => host.host_id,
        }
    }

    fn push(&self, out: &mut String) {
        match self {
            Self::Asset(asset, id) => push_identity(out, asset, *id),
            Self::Scanned(host) => push_scanned(out, host),
        }
    }
}

/// Host list: `details=None` gives ids alone.
pub(super) fn hosts(call: &Call<'_>, parameters: &Parameters) -> Result<Reply, Problem> {
    const ROOT: &str = "HOST_LIST_OUTPUT";
    parameters.only(KNOWN_HOSTS)?;
    let details = parameters.words("details", &["Basic", "Basic/AGs", "All", "All/AGs", "None"])?;
    let is_ids_only = details.is_some_and(|details| details == ["None"]);
    let filter = HostFilter::read(parameters)?;
    let limit = match parameters.number("truncation_limit")?.unwrap_or(HOSTS_DEFAULT) {
        0 => usize::MAX,
        n => n as usize,
    };
    let estate = &call.shared.estate;
    let assets = estate.hosts.iter().filter_map(|a| estate.assets.get(*a)).filter_map(|asset| {
        let id = asset.host_id?;
        filter.keeps(asset, id, last_scan(id)).then_some(Listed::Asset(asset, id))
    });
    let wave = call.shared.wave.scanned();
    let wave = wave.iter().filter(|host| filter.keeps_scanned(host)).map(Listed::Scanned);
    let mut found = assets.chain(wave);

    let mut out = xml::open(call, ROOT);
    let list = if is_ids_only { "ID_SET" } else { "HOST_LIST" };
    let mut n = 0;
    for host in found.by_ref().take(limit) {
        if n == 0 {
            out.push_str(&format!("    <{list}>\n"));
        }
        n += 1;
        if is_ids_only {
            out.push_str(&format!("      <ID>{}</ID>\n", host.id()));
        } else {
            out.push_str("      <HOST>\n");
            host.push(&mut out);
            out.push_str("      </HOST>\n");
        }
    }
    if n > 0 {
        out.push_str(&format!("    </{list}>\n"));
    }
    if let Some(next) = found.next() {
        out.push_str(&format!(
            "    <WARNING>\n      <CODE>1980</CODE>\n      <TEXT>{limit} record limit exceeded. Use URL to get next batch of results.</TEXT>\n      <URL><![CDATA[{}&id_min={}]]></URL>\n    </WARNING>\n",
            next_link(call, parameters).replace("&output_format=XML", ""),
            next.id()
        ));
    }
    out.push_str(&xml::close(ROOT));
    Ok(Reply::xml(200, out))
}
