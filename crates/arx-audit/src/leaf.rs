//! One entry of the audit log.
//!
//! A leaf's bytes are its RFC 8785 canonical JSON and nothing else: [`Leaf::encode`] writes them,
//! [`Leaf::decode`] refuses any other spelling of the same content, so that a leaf has exactly one
//! hash. A leaf must never hold a secret or a vendor's payload; those appear as digests.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::canonical::{INTEGER_MAX, is_exact_integer, serialize_sorted};

/// The version of the leaf schema that this crate writes and reads.
pub const LEAF_VERSION: u32 = 1;
/// The most bytes one encoded leaf may have.
pub const LEAF_BYTES_MAX: usize = 256 * 1024;
/// Enough for most leaves, so that their bytes are not moved while they are written.
const USUAL_BYTES: usize = 1024;
/// How deep `detail` may nest.
const DETAIL_DEPTH_MAX: usize = 32;
/// The characters of a SHA-256 digest in hexadecimal.
const DIGEST_CHARS: usize = 64;

/// One entry of the audit log.
///
/// INVARIANT (sorted fields): the fields of this struct and of those inside it are declared in the
/// order of their names, because the canonical encoding writes them in that order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// The call to a vendor that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Who caused it: a person, a schedule, the gate itself.
    pub actor: String,
    /// When it was recorded; kept to the microsecond.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// Anything else worth recording; integers only, never a secret.
    #[serde(default, serialize_with = "sorted", skip_serializing_if = "Option::is_none")]
    pub detail: Option<Map<String, Value>>,
    /// What is recorded.
    pub kind: LeafKind,
    /// Where it came from, as references such as `merge:<sha256>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lineage: Vec<String>,
    /// The version of the policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// The digest of the redacted result kept in the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_sha256: Option<String>,
    /// The risk score with its factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// The rule, limit or threshold that made the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The run it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The position in the log, from 0, and so the index in the Merkle tree.
    pub seq: u64,
    /// How it ended, in the words of the specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The version of this schema, [`LEAF_VERSION`].
    pub v: u32,
    /// What the policy said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The workflow it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Workflow>,
}

/// What a leaf records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafKind {
    /// A run started, parked, resumed or ended.
    Run,
    /// The policy's verdict on one call.
    Decision,
    /// An approval was asked for, given, refused, or expired.
    Approval,
    /// An effect is about to be sent.
    Intent,
    /// How a call ended.
    Outcome,
    /// Findings were merged, or tickets held against their evidence.
    Merge,
    /// A vulnerability's episode opened or closed.
    Episode,
    /// A workflow version was registered.
    Register,
    /// A workflow was stopped.
    Stop,
    /// An effect of unknown outcome was settled.
    Settle,
    /// A workflow was due: it fired, or was skipped.
    Schedule,
    /// Who may ask changed: a person, a token, a link; or somebody signed in or out.
    Identity,
}

/// The workflow of a run, with the version that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Its name.
    pub name: String,
    /// The digest or label of its exact source.
    pub version: String,
}

/// One call to a vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The connector's name.
    pub connector: String,
    /// The key under which the effect happens at most once; absent for reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect_key: Option<String>,
    /// The operation, such as `incidents:create`.
    pub operation: String,
    /// The digest of the canonical parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params_sha256: Option<String>,
}

/// What the policy said about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It may go ahead.
    Permit,
    /// A human must approve it.
    Escalate,
    /// It must not happen.
    Deny,
}

/// The risk score of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// The class of the operation.
    pub class: RiskClass,
    /// What each factor added.
    pub factors: BTreeMap<String, u32>,
    /// The score before it was clamped by class.
    pub raw: u32,
    /// The score that was compared with the threshold.
    pub score: u32,
}

/// The risk class of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RiskClass {
    /// Reading.
    Low,
    /// Writing that is easily undone.
    Medium,
    /// Writing that is felt.
    High,
    /// Writing that may do harm.
    Critical,
}

/// Why a leaf cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// The bytes are not JSON of the leaf schema.
    #[error("leaf is not JSON of the leaf schema: {source}")]
    Parse {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The leaf cannot be written as canonical JSON.
    #[error("leaf cannot be written as canonical JSON: {source}")]
    Encode {
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The bytes say the right thing in the wrong spelling.
    #[error("leaf is not in its canonical form")]
    NotCanonical,
    /// The schema version is not known.
    #[error("leaf has schema version `{found}`, expected `{LEAF_VERSION}`")]
    Version {
        /// The version it has.
        found: u32,
    },
    /// The leaf is larger than any reader accepts.
    #[error("leaf has {bytes} bytes, at most {LEAF_BYTES_MAX} are allowed")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// A number is not an integer within 2^53 - 1.
    #[error("leaf field `{field}` holds `{number}`, which is not an integer within 2^53-1")]
    Number {
        /// The field of `detail`, or `seq`.
        field: String,
        /// The number.
        number: String,
    },
    /// `detail` nests too deep.
    #[error("leaf field `{field}` nests deeper than {DETAIL_DEPTH_MAX} levels")]
    TooDeep {
        /// The field of `detail`.
        field: String,
    },
    /// A digest is not 64 lower-case hexadecimal characters.
    #[error("leaf field `{field}` is not a SHA-256 digest in lower-case hexadecimal")]
    Digest {
        /// The field.
        field: &'static str,
    },
    /// The name of a risk factor is not ASCII, so the map would not be in canonical order.
    #[error("leaf field `risk.factors` has a name that is not ASCII")]
    FactorName,
    /// A field that every leaf must fill is empty.
    #[error("leaf field `{field}` is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
}

impl Leaf {
    /// Makes a leaf with every optional field absent.
    ///
    /// `seq` may be set later by whoever serialises the writers. What is below a microsecond in
    /// `at` is cut off.
    pub fn new(seq: u64, at: Timestamp, kind: LeafKind, actor: impl Into<String>) -> Self {
        Self {
            v: LEAF_VERSION,
            seq,
            at: Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at),
            kind,
            run: None,
            workflow: None,
            policy_version: None,
            actor: actor.into(),
            action: None,
            verdict: None,
            rule: None,
            risk: None,
            lineage: Vec::new(),
            result_sha256: None,
            status: None,
            detail: None,
        }
    }

    /// Returns the leaf's one canonical encoding.
    ///
    /// Refuses whatever a reader would refuse, so a leaf that was written can be read.
    pub fn encode(&self) -> Result<Vec<u8>, LeafError> {
        self.check()?;
        // Without floats, and with sorted fields, this is the RFC 8785 form; a test holds it
        // against the general encoder, which is several times slower.
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut bytes, self).map_err(|source| LeafError::Encode { source })?;
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLarge { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a leaf, and refuses bytes that are not exactly what [`Leaf::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LEAF_BYTES_MAX {
            return Err(LeafError::TooLarge { bytes: bytes.len() });
        }
        let leaf: Self =
            serde_json::from_slice(bytes).map_err(|source| LeafError::Parse { source })?;
        if leaf.encode()? != bytes {
            return Err(LeafError::NotCanonical);
        }
        Ok(leaf)
    }

    fn check(&self) -> Result<(), LeafError> {
        if self.v != LEAF_VERSION {
            return Err(LeafError::Version { found: self.v });
        }
        if self.seq > INTEGER_MAX {
            return Err(LeafError::Number { field: "seq".into(), number: self.seq.to_string() });
        }
        if self.actor.is_empty() {
            return Err(LeafError::Empty { field: "actor" });
        }
        if let Some(risk) = &self.risk
            && !risk.factors.keys().all(|name| name.is_ascii())
        {
            return Err(LeafError::FactorName);
        }
        check_digest("result_sha256", self.result_sha256.as_deref())?;
        let params = self.action.as_ref().and_then(|action| action.params_sha256.as_deref());
        check_digest("action.params_sha256", params)?;
        let Some(detail) = &self.detail else { return Ok(()) };
        detail.iter().try_for_each(|(field, value)| check_detail(field, value, 1))
    }
}

fn check_digest(field: &'static str, digest: Option<&str>) -> Result<(), LeafError> {
    let Some(digest) = digest else { return Ok(()) };
    let is_hex = digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex && digest.len() == DIGEST_CHARS { Ok(()) } else { Err(LeafError::Digest { field }) }
}

fn check_detail(field: &str, value: &Value, depth: usize) -> Result<(), LeafError> {
    if depth > DETAIL_DEPTH_MAX {
        return Err(LeafError::TooDeep { field: field.to_owned() });
    }
    match value {
        Value::Number(number) if !is_exact_integer(number) => {
            Err(LeafError::Number { field: field.to_owned(), number: number.to_string() })
        }
        Value::Array(items) => {
            items.iter().try_for_each(|item| check_detail(field, item, depth + 1))
        }
        Value::Object(fields) => {
            fields.iter().try_for_each(|(name, item)| check_detail(name, item, depth + 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

impl LeafKind {
    /// Returns the word that stands in the leaf.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Decision => "decision",
            Self::Approval => "approval",
            Self::Intent => "intent",
            Self::Outcome => "outcome",
            Self::Merge => "merge",
            Self::Episode => "episode",
            Self::Register => "register",
            Self::Stop => "stop",
            Self::Settle => "settle",
            Self::Schedule => "schedule",
            Self::Identity => "identity",
        }
    }
}

fn sorted<S: Serializer>(detail: &Option<Map<String, Value>>, to: S) -> Result<S::Ok, S::Error> {
    match detail {
        Some(fields) => serialize_sorted(fields, to),
        None => to.serialize_none(),
    }
}

/// RFC 3339 in UTC with exactly six digits of a second, so one instant has one spelling.
mod micros {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{at:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format_args!("`{text}` is not a time")))
    }
}
