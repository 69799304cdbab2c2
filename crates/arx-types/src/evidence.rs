//! What verifying a patch rests on: what a ticket claims, what the scanner saw since, and what
//! the sensor on the host says.
//!
//! Connectors state facts in these words and decide nothing; what they are not told they leave
//! out, because a fact that is missing is not the same as one that is negative.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A host as a ticket names it, with everything that other systems may know it by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostNames {
    /// Identifies the host among those of one run; other systems' facts refer to it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Host names, short or fully qualified, in any case, each once.
    #[serde(default)]
    pub names: Vec<String>,
    /// IP addresses.
    #[serde(default)]
    pub ips: Vec<String>,
    /// Identifiers of a scanner's agent on it.
    #[serde(default)]
    pub agent_ids: Vec<String>,
}

/// A ticket that waits for verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The ticket system's identifier.
    pub id: String,
    /// What people call it, `INC0010023`.
    pub number: String,
    /// Its first line, shortened.
    pub title: String,
    /// Where people read it.
    pub url: String,
    /// Stored value of its state when it was read.
    pub state: String,
    /// How often it had been changed when it was read; a write expects it unchanged.
    pub mod_count: String,
    /// Its host, by [`HostNames::id`]; none where the ticket names none that is known.
    pub host: Option<String>,
    /// Environment of the host: `dev`, `staging`, `production` or `unknown`.
    pub environment: String,
    /// What was patched: `CVE-2021-44228` or `QID-38170`, in upper case, each once, sorted.
    pub vulnerabilities: Vec<String>,
    /// When it was patched, at the latest.
    pub patched_at: Option<Timestamp>,
    /// Where that time is from, in words, such as `work_end`.
    pub patched_at_source: String,
    /// What is missing and which setting would help, in words; empty where nothing is.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Why the ticket cannot be worked on at all, so that nothing is written to it.
    pub unusable: Option<String>,
}

/// What a scanner says of one host that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostScan {
    /// The host, by [`HostNames::id`].
    pub host: String,
    /// Every record of the scanner's that may be this host; more than one is ambiguous.
    pub records: Vec<ScannedHost>,
    /// Why the scanner could not be asked about it.
    pub unread: Option<String>,
}

/// One host record of a scanner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScannedHost {
    /// The scanner's identifier of it.
    pub id: String,
    /// What it was recognised by: `agent`, `ip`, `dns`, `netbios`.
    pub matched_by: Vec<String>,
    /// Names of the record that contradict those of the host asked for.
    #[serde(default)]
    pub contradicts: Vec<String>,
    /// End of its last vulnerability scan.
    pub scanned_at: Option<Timestamp>,
    /// End of its last authenticated vulnerability scan; scans by an agent are authenticated.
    pub authenticated_at: Option<Timestamp>,
    /// Detections of the vulnerabilities asked for, in every status.
    pub detections: Vec<HostDetection>,
    /// Open detections of which the scanner does not say what they stand for: any of them may be
    /// one of the vulnerabilities.
    #[serde(default)]
    pub unexplained: usize,
}

/// One detection of one weakness on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDetection {
    /// The scanner's check that detected it, `QID-38170`.
    pub check: String,
    /// Those of the vulnerabilities asked for that it stands for.
    pub vulnerabilities: Vec<String>,
    /// Its status.
    pub status: DetectionStatus,
    /// When it was last tested for.
    pub tested_at: Option<Timestamp>,
    /// When it was last seen to be fixed.
    pub fixed_at: Option<Timestamp>,
}

/// Status of a detection, in Qualys's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DetectionStatus {
    /// Seen for the first time.
    New,
    /// Seen again.
    Active,
    /// Seen again after it had been fixed.
    #[serde(rename = "Re-Opened")]
    ReOpened,
    /// Tested for and no longer there.
    Fixed,
}

impl DetectionStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::New, Self::Active, Self::ReOpened, Self::Fixed];

    /// The scanner's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Active => "Active",
            Self::ReOpened => "Re-Opened",
            Self::Fixed => "Fixed",
        }
    }
}

/// What the endpoint sensor's vendor says of one host that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSensors {
    /// The host, by [`HostNames::id`].
    pub host: String,
    /// Every sensor record that carries one of its names, the latest seen first.
    pub sensors: Vec<Sensor>,
    /// Why the vendor could not be asked about it.
    pub unread: Option<String>,
}

/// One sensor record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensor {
    /// The vendor's identifier of it.
    pub id: String,
    /// The host name that it reports.
    pub hostname: String,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// Whether it is connected now.
    pub connection: Connection,
    /// Whether it runs in reduced functionality mode; `None` where the vendor does not say.
    pub reduced_functionality: Option<bool>,
    /// Whether the host is, or is about to be, cut off from the network; `None` where the vendor
    /// does not say.
    pub contained: Option<bool>,
    /// Version of the sensor.
    pub version: String,
}

/// Whether a sensor is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// It is.
    Online,
    /// It is not.
    Offline,
    /// The vendor cannot tell, or did not.
    #[default]
    Unknown,
}
