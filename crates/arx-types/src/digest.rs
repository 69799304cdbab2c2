//! SHA-256 digests of canonical JSON (RFC 8785), the identity of parameters, policies and results.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Enough for most values, so that their bytes are not moved while they are written.
const USUAL_BYTES: usize = 512;

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of bytes as they are.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of the RFC 8785 canonical form of `value`.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are not strings, a float that is not
    /// finite).
    pub fn of_json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Self::of_json_sized(value).map(|(digest, _)| digest)
    }

    /// As [`Digest::of_json`], with the length of the canonical form in bytes.
    ///
    /// # Errors
    /// As [`Digest::of_json`].
    pub fn of_json_sized(value: &impl Serialize) -> Result<(Self, usize), serde_json::Error> {
        let mut canonical = Vec::with_capacity(USUAL_BYTES);
        serde_json_canonicalizer::to_writer(value, &mut canonical)?;
        Ok((Self::of_bytes(&canonical), canonical.len()))
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}
