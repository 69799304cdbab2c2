//! Identifiers: newtypes with a text prefix.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The longest effect key accepted, in bytes (PagerDuty's `dedup_key` limit is 255).
pub const EFFECT_KEY_BYTES_MAX: usize = 255;

/// Why a text is not the identifier it should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text does not have the form of this kind of identifier.
    #[error("`{text}` is not {expected}")]
    Malformed {
        /// What was given.
        text: String,
        /// What would have been accepted.
        expected: &'static str,
    },
}

macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// An identifier from the time it is made at and random bits given by the caller.
            #[must_use]
            pub fn from_parts(unix_ms: u64, random: u128) -> Self {
                Self(format!(concat!($prefix, "{}"), Ulid::from_parts(unix_ms, random)))
            }

            /// The text form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                match text.strip_prefix($prefix).map(Ulid::from_string) {
                    Some(Ok(id)) => Ok(Self(format!(concat!($prefix, "{}"), id))),
                    _ => Err(IdError::Malformed { text: text.to_owned(), expected: $expected }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

prefixed_id!(
    /// One execution of a workflow, `run_01J…`.
    RunId,
    "run_",
    "a run id such as `run_01JABCDEFGHJKMNPQRSTVWXYZ0`"
);
prefixed_id!(
    /// One request put to a human, `apr_01J…`.
    ApprovalId,
    "apr_",
    "an approval id such as `apr_01JABCDEFGHJKMNPQRSTVWXYZ0`"
);
prefixed_id!(
    /// One API token, `tok_01J…`; not its secret.
    TokenId,
    "tok_",
    "a token id such as `tok_01JABCDEFGHJKMNPQRSTVWXYZ0`"
);
prefixed_id!(
    /// One one-time link, `lnk_01J…`; not its secret.
    LinkId,
    "lnk_",
    "a link id such as `lnk_01JABCDEFGHJKMNPQRSTVWXYZ0`"
);

/// What an effect *is*, across runs: `critical-vuln-escalation/CVE-2026-0001/1/page`.
///
/// Two calls with one key are one intent; the second never reaches the vendor once the first is
/// done. Printable ASCII without spaces, at most [`EFFECT_KEY_BYTES_MAX`] bytes, so that it can
/// travel as a PagerDuty `incident_key` and inside a Jira property.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EffectKey(String);

impl EffectKey {
    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EffectKey {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > EFFECT_KEY_BYTES_MAX || !printable {
            return Err(IdError::Malformed {
                text: text.chars().take(80).collect(),
                expected: "an effect key: 1 to 255 printable ASCII characters without spaces",
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EffectKey {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EffectKey> for String {
    fn from(key: EffectKey) -> String {
        key.0
    }
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
