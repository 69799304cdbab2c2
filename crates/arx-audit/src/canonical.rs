//! RFC 8785 canonical JSON, and digests over it.
//!
//! Never digest JSON in this product that did not pass here: two parties must get the same bytes
//! from the same value. Start at [`canonical`].

#[cfg(test)]
mod tests;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The largest integer, either sign, that every JSON reader holds exactly (2^53 - 1).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a value has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// The value cannot be written as JSON at all.
    #[error("value cannot be written as canonical JSON")]
    Encode(#[source] serde_json::Error),
    /// RFC 8785 writes every number as a double, so two different integers of this size would get
    /// the same bytes and the same digest.
    #[error(
        "integer `{number}` is beyond 2^53-1 and has no exact canonical form; write it as a string"
    )]
    IntegerRange {
        /// The offending number.
        number: String,
    },
}

/// Encodes a value as RFC 8785 canonical JSON.
///
/// Floats are allowed here, as parameters and results of a vendor may hold them; a [`crate::Leaf`]
/// refuses them. As everywhere in `serde_json`, a float that is no number becomes `null`.
pub fn canonical<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(CanonicalError::Encode)?;
    check_integers(&value)?;
    let bytes = if has_float(&value) {
        serde_json_canonicalizer::to_vec(&value)
    } else {
        serde_json::to_vec(&Sorted(&value))
    };
    bytes.map_err(CanonicalError::Encode)
}

/// Returns the SHA-256 of the bytes in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Says whether a number is an integer that canonical JSON keeps exactly.
pub(crate) fn is_exact_integer(number: &serde_json::Number) -> bool {
    match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => n <= INTEGER_MAX,
        (None, Some(n)) => n.unsigned_abs() <= INTEGER_MAX,
        (None, None) => false,
    }
}

/// Writes a value with its keys in the order of RFC 8785.
///
/// For a value without floats that is all there is to its canonical form, and this is many times
/// faster than the general encoder, which the tests hold it against: every governed call pays for
/// several encodings.
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => to.collect_seq(items.iter().map(Sorted)),
            Value::Object(fields) => serialize_sorted(fields, to),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                self.0.serialize(to)
            }
        }
    }
}

/// Writes an object with its keys in the order of RFC 8785, which compares UTF-16 code units.
pub(crate) fn serialize_sorted<S: Serializer>(
    fields: &Map<String, Value>,
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_unstable_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    to.collect_map(fields.into_iter().map(|(key, value)| (key, Sorted(value))))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(fields) => fields.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn check_integers(value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) if !number.is_f64() && !is_exact_integer(number) => {
            Err(CanonicalError::IntegerRange { number: number.to_string() })
        }
        Value::Array(items) => items.iter().try_for_each(check_integers),
        Value::Object(fields) => fields.values().try_for_each(check_integers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}
