//! The patch wave: tickets that wait for verification, and what the scanner and the sensors say
//! of their hosts.
//!
//! ServiceNow, Qualys and CrowdStrike are three views of one [`Case`], as they would be of one
//! host. Times lie before the wave's own moment, which a restart on a ledger keeps, so that a
//! second process sees the same scans; only sensors that are alive follow the vendors' clock.
//! Start at [`Wave::new`].

mod cases;
mod generated;
mod harbourline;

use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;

use crate::estate::{AssetKind, Detection, Estate, Scenario, TODAY};
use crate::faults::mix;
use crate::ledger::lock;

pub(crate) use cases::{Case, Ci, DOMAIN};

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3_600;

/// What a verifier with sound settings should make of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expected {
    /// Scanner and sensor agree that it is fixed.
    Verified,
    /// One of them says that it is not.
    Failed,
    /// Something is missing or ambiguous.
    Inconclusive,
    /// The ticket itself cannot be worked on.
    Unusable,
}

/// A host record of the scanner.
#[derive(Debug, Clone)]
pub(crate) struct Scanned {
    pub host_id: u64,
    pub ip: String,
    pub tracking: &'static str,
    pub network: u64,
    pub os: &'static str,
    /// Fully qualified; empty where the scanner never learned it.
    pub dns: String,
    pub netbios: String,
    pub agent: String,
    pub scanned: Option<i64>,
    pub authenticated: Option<i64>,
    pub detections: Vec<Detection>,
}

/// When a sensor was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// So many seconds before whenever it is asked.
    Ago(i64),
    /// At a fixed time.
    At(i64),
}

/// A record of the endpoint sensor's vendor.
#[derive(Debug, Clone)]
pub(crate) struct Sensor {
    pub aid: String,
    pub hostname: String,
    pub platform: &'static str,
    pub os: &'static str,
    pub ip: String,
    pub seen: Seen,
    pub first_seen: i64,
    /// `online`, `offline`, `unknown`; `None`: the reply leaves the sensor out.
    pub state: Option<&'static str>,
    /// `yes`, `no`, the empty text; `None`: the record has no such field.
    pub reduced: Option<&'static str>,
    /// Network containment: `normal`, `contained`, …
    pub status: &'static str,
    pub version: &'static str,
}

/// The tickets with their hosts, scans and sensors.
pub(crate) struct Wave {
    /// The wave's moment, a whole hour, in seconds since the epoch.
    pub at: i64,
    pub cases: Vec<Case>,
    /// Ascending by host id.
    scanned: Mutex<Vec<Scanned>>,
    sensors: Mutex<Vec<Sensor>>,
}

impl Wave {
    pub fn new(scenario: &Scenario, estate: &Estate, at: Timestamp) -> Self {
        let at = at.as_second().div_euclid(HOUR) * HOUR;
        let cases = match scenario {
            Scenario::Default => {
                let mut cases = harbourline::cases(estate, at);
                cases.retain(|case| case.expected != Expected::Unusable);
                cases
            }
            Scenario::Awkward => harbourline::cases(estate, at),
            Scenario::Generated(size) => generated::cases(size, estate, at),
            Scenario::Empty => Vec::new(),
        };
        let mut scanned: Vec<Scanned> =
            cases.iter().flat_map(|case| case.scanned.iter().cloned()).collect();
        scanned.sort_unstable_by_key(|host| host.host_id);
        let mut sensors: Vec<Sensor> =
            cases.iter().flat_map(|case| case.sensors.iter().cloned()).collect();
        if matches!(scenario, Scenario::Default | Scenario::Awkward) {
            sensors.extend(estate_sensors(estate, at));
        }
        Self { at, cases, scanned: Mutex::new(scanned), sensors: Mutex::new(sensors) }
    }

    /// The scanner's records of the wave's hosts.
    pub fn scanned(&self) -> MutexGuard<'_, Vec<Scanned>> {
        lock(&self.scanned)
    }

    pub fn sensors(&self) -> MutexGuard<'_, Vec<Sensor>> {
        lock(&self.sensors)
    }
}

impl Scanned {
    /// Whether people may call the host so: its address, or its name, short or whole.
    pub fn is_called(&self, name: &str) -> bool {
        let short = self.dns.split('.').next().unwrap_or_default();
        [self.ip.as_str(), &self.dns, short, &self.netbios]
            .iter()
            .any(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))
    }
}

impl Sensor {
    pub fn is_called(&self, name: &str) -> bool {
        let short = self.hostname.split('.').next().unwrap_or_default();
        self.hostname.eq_ignore_ascii_case(name)
            || short.eq_ignore_ascii_case(name)
            || self.aid == name
    }

    pub fn last_seen(&self, now: Timestamp) -> i64 {
        match self.seen {
            Seen::Ago(seconds) => now.as_second() - seconds,
            Seen::At(at) => at,
        }
    }
}

/// 32 hexadecimal digits, as both ServiceNow and CrowdStrike number things.
pub(crate) fn hex_id(kind: u64, n: u64) -> String {
    format!("{:016x}{:016x}", mix(0x1D, kind, n), mix(0xD1, kind, n))
}

pub(crate) fn platform_of(os: &str) -> &'static str {
    if os.contains("Windows") { "Windows" } else { "Linux" }
}

/// Every other machine of the company that can carry a sensor has a healthy one.
fn estate_sensors(estate: &Estate, at: i64) -> Vec<Sensor> {
    let carries = |os: &str| {
        ["Ubuntu", "Windows", "Red Hat", "CentOS"].iter().any(|name| os.starts_with(name))
    };
    let all = estate.assets.iter().enumerate();
    all.filter(|(_, asset)| {
        matches!(asset.kind, AssetKind::VirtualMachine | AssetKind::Unmanaged) && carries(asset.os)
    })
    .map(|(index, asset)| {
        let chance = mix(0xC5, 1, index as u64);
        Sensor {
            aid: hex_id(0xA1D, index as u64),
            hostname: if asset.os.contains("Windows") {
                asset.name.to_uppercase()
            } else {
                asset.name.clone()
            },
            platform: platform_of(asset.os),
            os: asset.os,
            ip: asset.ip.clone(),
            seen: Seen::Ago(90 + (chance % 600) as i64),
            first_seen: at.min(TODAY) - (chance % 400) as i64 * 86_400,
            state: Some("online"),
            reduced: Some("no"),
            status: "normal",
            version: "7.18.17106.0",
        }
    })
    .collect()
}
