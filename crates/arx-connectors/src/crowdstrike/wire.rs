//! What CrowdStrike sends: one envelope around ids, device records and online states.
//!
//! `errors` may be null, a list may be absent, and any field of a record may be missing or of
//! another kind than documented; a fact that is not told stays untold.

use arx_gateway::Response;
use arx_types::{Connection, Sensor};
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::text::{is_object, one_line};

/// Longest text that is kept of a reply.
const TEXT_UNITS_MAX: usize = 255;
/// Errors of one reply that are told.
const ERRORS_TOLD_MAX: usize = 3;
/// Longest identifier; the vendor's have 32.
const ID_BYTES_MAX: usize = 64;

/// A reply.
#[derive(Debug, Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct Envelope<T> {
    meta: Option<Meta>,
    pub(super) resources: Option<Vec<T>>,
    errors: Option<Vec<Fault>>,
}

/// What a reply tells of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta {
    pagination: Option<Pagination>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pagination {
    total: Word,
}

/// One error of a reply.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fault {
    code: Word,
    message: Word,
}

/// A text, also one that arrives as a number; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word(pub(super) Option<String>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }))
    }
}

impl Word {
    fn text(&self) -> &str {
        self.0.as_deref().unwrap_or_default().trim()
    }

    fn is(&self, word: &str) -> bool {
        self.text().eq_ignore_ascii_case(word)
    }

    fn time(&self) -> Option<Timestamp> {
        self.text().parse().ok()
    }

    /// An identifier, where it is one.
    pub(super) fn id(&self) -> Option<&str> {
        let id = self.text();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (!id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(plain)).then_some(id)
    }
}

/// A device record, as much of it as is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Device {
    pub(super) device_id: Word,
    hostname: Word,
    status: Word,
    reduced_functionality_mode: Word,
    last_seen: Word,
    agent_version: Word,
}

impl Device {
    /// The host name that it reports.
    pub(super) fn hostname(&self) -> &str {
        self.hostname.text()
    }

    /// What it says of its sensor.
    pub(super) fn sensor(&self) -> Sensor {
        let contained = ["contained", "containment_pending", "lift_containment_pending"];
        Sensor {
            id: self.device_id.text().to_owned(),
            hostname: one_line(self.hostname(), TEXT_UNITS_MAX),
            last_seen: self.last_seen.time(),
            connection: Connection::Unknown,
            reduced_functionality: truth(&self.reduced_functionality_mode, &["yes"], "no"),
            contained: truth(&self.status, &contained, "normal"),
            version: one_line(self.agent_version.text(), TEXT_UNITS_MAX),
        }
    }
}

fn truth(word: &Word, yes: &[&str], no: &str) -> Option<bool> {
    if yes.iter().any(|yes| word.is(yes)) { Some(true) } else { word.is(no).then_some(false) }
}

/// An online state.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct State {
    pub(super) id: Word,
    state: Word,
    last_seen: Word,
}

impl State {
    pub(super) fn connection(&self) -> Connection {
        if self.state.is("online") {
            Connection::Online
        } else if self.state.is("offline") {
            Connection::Offline
        } else {
            Connection::Unknown
        }
    }

    pub(super) fn last_seen(&self) -> Option<Timestamp> {
        self.last_seen.time()
    }
}

impl<T: DeserializeOwned> Envelope<T> {
    /// The reply in a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let reply = serde_json::from_slice(body)?;
        if is_object(body) { Ok(reply) } else { Err(serde_json::Error::custom("no object")) }
    }
}

impl<T> Envelope<T> {
    /// Whether it is one at all, and not some other object.
    pub(super) fn is_reply(&self) -> bool {
        self.meta.is_some() || self.resources.is_some() || self.errors.is_some()
    }

    /// How many there are in all, as far as the reply says.
    pub(super) fn total(&self) -> Option<usize> {
        let pagination = self.meta.as_ref()?.pagination.as_ref()?;
        pagination.total.text().parse().ok()
    }

    /// What the reply complains of.
    pub(super) fn complaint(&self) -> Option<Complaint> {
        let errors = self.errors.as_deref().filter(|errors| !errors.is_empty())?;
        let told = errors.iter().take(ERRORS_TOLD_MAX).map(|error| {
            let message = one_line(error.message.text(), TEXT_UNITS_MAX);
            if message.is_empty() { format!("code {}", error.code.text()) } else { message }
        });
        Some(Complaint {
            code: errors.iter().find_map(|error| error.code.text().parse().ok()).unwrap_or(0),
            words: told.collect::<Vec<_>>().join("; "),
        })
    }
}

/// The errors of a reply: the first code that is one, and the words of the first few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: u16,
    pub(super) words: String,
}

/// The words of a reply that is a refusal.
pub(super) fn words(response: &Response) -> String {
    let told = Envelope::<Word>::read(&response.body).ok().and_then(|reply| reply.complaint());
    told.map_or_else(|| response.excerpt(), |complaint| complaint.words)
}
