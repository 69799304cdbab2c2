//! RFC 8785 canonical JSON, and digests over it.
//!
//! Never digest JSON in this product that did not pass here: two parties must get the same bytes
//! from the same value. Start at [`canonical`].

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;
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
    serde_json_canonicalizer::to_vec(&value).map_err(CanonicalError::Encode)
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
