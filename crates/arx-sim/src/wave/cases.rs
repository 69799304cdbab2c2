//! One ticket of the wave with everything that hangs on it, told as a change to the plain case.
//!
//! [`Case::plain`] is a host that was patched, rescanned by an agent and found fixed, with one
//! healthy sensor; the other functions say what is different.

use super::{Expected, HOUR, MINUTE, Scanned, Seen, Sensor, hex_id, platform_of};
use crate::estate::{DAY, Detection, Estate};
use crate::faults::mix;

/// Scanner ids of the wave's hosts start above those of any estate.
const HOST_ID_FIRST: u64 = 9_000_000;
const DETECTION_ID_FIRST: u64 = 900_000_000;

pub(crate) const DOMAIN: &str = "harbourline.example";

/// The machine a ticket is about.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub name: String,
    pub ip: String,
    pub agent: String,
    pub os: &'static str,
}

/// How a ticket refers to its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ci {
    /// A configuration item of these names.
    Item {
        name: String,
        fqdn: String,
        ip: String,
        environment: &'static str,
    },
    /// A reference to an item that is gone.
    Deleted,
    /// The name, in a text field.
    Text(String),
    None,
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Position in the wave; every id comes from it.
    pub n: u64,
    pub table: &'static str,
    pub host: Host,
    pub ci: Ci,
    pub title: String,
    pub description: String,
    /// The description is filled up to so many bytes when it is answered.
    pub padded_bytes: usize,
    pub cve: String,
    pub qid: String,
    /// Stored value of its state; `None`: the table's own pending state.
    pub state: Option<&'static str>,
    pub work_end: Option<i64>,
    pub patched_at: Option<i64>,
    /// When its history says that it entered the state.
    pub entered: Option<i64>,
    pub opened: i64,
    /// Fields of this record that the account may read and not write.
    pub ignored: &'static [&'static str],
    /// The account may not read the record at all.
    pub is_restricted: bool,
    pub scanned: Vec<Scanned>,
    pub sensors: Vec<Sensor>,
    pub expected: Expected,
}

impl Case {
    /// Host number `n`, patched a day ago, fixed and healthy.
    pub fn plain(n: u64, at: i64, name: &str, os: &'static str) -> Self {
        let chance = mix(0xCA5E, 1, n);
        let patched = at - 20 * HOUR - (chance % 20) as i64 * HOUR - (chance >> 8) as i64 % 60 * 60;
        let host = Host {
            name: name.to_owned(),
            ip: format!("10.{}.{}.{}", 40 + n / 62_500, n / 250 % 250, 2 + n % 250),
            agent: agent_id(n),
            os,
        };
        let fqdn = format!("{name}.{DOMAIN}");
        Self {
            table: "incident",
            ci: Ci::Item {
                name: name.to_owned(),
                fqdn: fqdn.clone(),
                ip: host.ip.clone(),
                environment: "Production",
            },
            title: String::new(),
            description: String::new(),
            padded_bytes: 0,
            cve: String::new(),
            qid: String::new(),
            state: None,
            work_end: Some(patched),
            patched_at: None,
            entered: Some(patched + 25 * MINUTE),
            opened: patched - 6 * DAY,
            ignored: &[],
            is_restricted: false,
            scanned: vec![scanned(n, at, &host, &fqdn)],
            sensors: vec![sensor(n, 0, at, &host)],
            expected: Expected::Verified,
            n,
            host,
        }
    }

    pub fn patched(&self) -> i64 {
        self.work_end.or(self.patched_at).or(self.entered).unwrap_or(self.opened + 6 * DAY)
    }

    pub fn titled(mut self, title: &str) -> Self {
        self.title = title.replace("{host}", &self.host.name);
        self
    }

    pub fn described(mut self, text: &str) -> Self {
        self.description = text.replace("{host}", &self.host.name);
        self
    }

    pub fn cve(mut self, cve: &str) -> Self {
        self.cve = cve.to_owned();
        self
    }

    pub fn expecting(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    pub fn named(mut self, ci_name: &str, ci_fqdn: &str) -> Self {
        if let Ci::Item { name, fqdn, .. } = &mut self.ci {
            *name = ci_name.to_owned();
            *fqdn = ci_fqdn.to_owned();
        }
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn scan(mut self, change: impl FnOnce(&mut Scanned)) -> Self {
        if let Some(first) = self.scanned.first_mut() {
            change(first);
        }
        self
    }

    pub fn sensor(mut self, change: impl FnOnce(&mut Sensor)) -> Self {
        if let Some(first) = self.sensors.first_mut() {
            change(first);
        }
        self
    }

    /// The scanner has a detection of this QID, last tested by its latest scan.
    pub fn detected(mut self, estate: &Estate, qid: u32, status: &'static str) -> Self {
        let Some(index) = estate.qids.iter().position(|known| known.qid == qid) else {
            return self;
        };
        let port = estate.qids.get(index).and_then(|qid| qid.port);
        let (patched, n) = (self.patched(), self.n);
        if let Some(host) = self.scanned.first_mut() {
            let tested = host.scanned.unwrap_or(patched - DAY);
            // Seen on every scan until the patch, unless it is there still.
            let is_fixed = status == "Fixed";
            let found = if is_fixed { patched - DAY } else { tested };
            host.detections.push(Detection {
                id: DETECTION_ID_FIRST + n * 100 + host.detections.len() as u64,
                qid: index,
                port,
                status,
                first_found: if status == "New" { tested } else { patched - 40 * DAY },
                last_found: found,
                last_test: tested,
                last_fixed: (is_fixed || status == "Re-Opened").then_some(if is_fixed {
                    tested
                } else {
                    tested - 12 * DAY
                }),
                times_found: if status == "New" { 1 } else { 14 },
            });
        }
        self
    }

    /// A further sensor record of the same host name.
    pub fn second_sensor(mut self, at: i64, change: impl FnOnce(&mut Sensor)) -> Self {
        let mut second = sensor(self.n, self.sensors.len() as u64, at, &self.host);
        if let Some(first) = self.sensors.first() {
            second.hostname.clone_from(&first.hostname);
        }
        change(&mut second);
        self.sensors.push(second);
        self
    }

    /// A further record of the scanner's.
    pub fn second_scan(mut self, change: impl FnOnce(&mut Scanned)) -> Self {
        if let Some(mut second) = self.scanned.first().cloned() {
            second.host_id += 1;
            for detection in &mut second.detections {
                detection.id += 50;
            }
            change(&mut second);
            self.scanned.push(second);
        }
        self
    }
}

fn agent_id(n: u64) -> String {
    crate::estate::uuid((u128::from(mix(0xA6E, 1, n)) << 64) | u128::from(mix(0xA6E, 2, n)))
}

fn scanned(n: u64, at: i64, host: &Host, fqdn: &str) -> Scanned {
    let end = at - 2 * HOUR - (mix(0xCA5E, 2, n) % 240) as i64 * MINUTE;
    let is_windows = host.os.contains("Windows");
    Scanned {
        host_id: HOST_ID_FIRST + n * 10,
        ip: host.ip.clone(),
        tracking: "AGENT",
        network: 0,
        os: host.os,
        dns: fqdn.to_lowercase(),
        netbios: if is_windows { host.name.to_uppercase() } else { String::new() },
        agent: host.agent.clone(),
        scanned: Some(end),
        authenticated: Some(end),
        detections: Vec::new(),
    }
}

fn sensor(n: u64, nth: u64, at: i64, host: &Host) -> Sensor {
    let chance = mix(0xCA5E, 3 + nth, n);
    Sensor {
        aid: hex_id(0x5E50 + nth, n),
        hostname: host.name.clone(),
        platform: platform_of(host.os),
        os: host.os,
        ip: host.ip.clone(),
        seen: Seen::Ago(60 + (chance % 420) as i64),
        first_seen: at - (30 + (chance >> 16) as i64 % 300) * DAY,
        state: Some("online"),
        reduced: Some("no"),
        status: "normal",
        version: "7.18.17106.0",
    }
}
