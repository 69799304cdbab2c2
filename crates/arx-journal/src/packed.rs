//! JSON and bytes as the journal keeps them: compressed where that helps, with a checksum that
//! every read compares.
//!
//! Packing is done by the caller, before its write is queued, and unpacking after its read: the
//! one writer thread never compresses.

#[cfg(test)]
mod tests;

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::JournalError;

/// The most bytes a packed value may unpack to.
pub const UNPACKED_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Shorter values are kept as they are; compressing them would cost more than it saves.
const COMPRESS_BYTES_MIN: usize = 256;

/// The first byte of a packed value says how the rest is written.
const PLAIN: u8 = 0;
const LZ4: u8 = 1;
/// The form and the checksum, which come before the content.
const HEAD_BYTES: usize = 5;

/// A value ready to be stored, or as it was stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed(Vec<u8>);

impl Packed {
    /// Packs the JSON form of a value.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when the value has no JSON form or is larger than
    /// [`UNPACKED_BYTES_MAX`].
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, JournalError> {
        let json = serde_json::to_vec(value)
            .map_err(|error| JournalError::Invalid { what: "value", reason: error.to_string() })?;
        Self::bytes(&json)
    }

    /// Packs bytes.
    ///
    /// # Errors
    /// [`JournalError::Invalid`] when there are more than [`UNPACKED_BYTES_MAX`].
    pub fn bytes(bytes: &[u8]) -> Result<Self, JournalError> {
        let invalid = |reason: String| JournalError::Invalid { what: "value", reason };
        if bytes.len() > UNPACKED_BYTES_MAX {
            let reason = format!("{} bytes are more than {UNPACKED_BYTES_MAX}", bytes.len());
            return Err(invalid(reason));
        }
        Ok(match bytes.len() < COMPRESS_BYTES_MIN {
            true => Self::framed(PLAIN, bytes),
            false => Self::framed(LZ4, &lz4_flex::compress_prepend_size(bytes)),
        })
    }

    fn framed(form: u8, content: &[u8]) -> Self {
        let mut packed = Vec::with_capacity(content.len() + HEAD_BYTES);
        packed.push(form);
        packed.extend_from_slice(&checksum(form, content).to_le_bytes());
        packed.extend_from_slice(content);
        Self(packed)
    }

    /// Reads the JSON value back.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when it is not what was packed.
    pub fn unpack<T: DeserializeOwned>(&self) -> Result<T, JournalError> {
        serde_json::from_slice(&self.unpack_bytes()?).map_err(|error| corrupt(&error.to_string()))
    }

    /// Reads the bytes back.
    ///
    /// # Errors
    /// [`JournalError::Corrupt`] when they are not what was packed.
    pub fn unpack_bytes(&self) -> Result<Vec<u8>, JournalError> {
        let (head, content) =
            self.0.split_first_chunk::<HEAD_BYTES>().ok_or_else(|| corrupt("it is cut off"))?;
        let [form, sum @ ..] = *head;
        if u32::from_le_bytes(sum) != checksum(form, content) {
            return Err(corrupt("its checksum is wrong"));
        }
        match form {
            PLAIN => Ok(content.to_vec()),
            LZ4 => decompress(content, UNPACKED_BYTES_MAX),
            _ => Err(corrupt("it is of an unknown form")),
        }
    }

    /// How many bytes it takes in the journal.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Shows the size only: what is packed may be long, and is nobody's business in a log.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}

impl ToSql for Packed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(&self.0)))
    }
}

impl FromSql for Packed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Blob(bytes) => Ok(Self(bytes.to_vec())),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

fn checksum(form: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[form]);
    hasher.update(content);
    hasher.finalize()
}

/// Reads an LZ4 block that its unpacked length precedes, as four little-endian bytes.
fn decompress(block: &[u8], limit: usize) -> Result<Vec<u8>, JournalError> {
    let length = block.first_chunk().map_or(0, |length| u32::from_le_bytes(*length));
    if usize::try_from(length).is_ok_and(|length| length > limit) {
        return Err(corrupt("it is larger than any that is written"));
    }
    lz4_flex::decompress_size_prepended(block).map_err(|error| corrupt(&error.to_string()))
}

fn corrupt(reason: &str) -> JournalError {
    JournalError::corrupt(format!("a packed value cannot be read: {reason}"))
}
