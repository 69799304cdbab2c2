//! Random secrets, and what is kept of them.
//!
//! A secret is 256 random bits, so that its digest needs no salt and no work to be safe. The
//! prefixes let scanners of repositories and logs find one that got out.

use arx_types::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use rand::RngCore as _;
use secrecy::SecretString;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// What a session's cookie begins with.
pub const SESSION_PREFIX: &str = "arxs_";
/// What an API token begins with.
pub const TOKEN_PREFIX: &str = "arxt_";
/// What a one-time link begins with.
pub const LINK_PREFIX: &str = "arxl_";

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Their characters in base64.
const SECRET_CHARS: usize = 43;
/// What is said of a cookie to make its CSRF token.
const CSRF_OF: &[u8] = b"arx csrf 1";

/// A new secret, with the digest to keep.
pub(super) fn fresh(prefix: &str) -> (SecretString, Digest) {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes));
    let digest = Digest::of_bytes(secret.as_bytes());
    (SecretString::from(secret), digest)
}

/// The digest to look a secret up by; none where it is no secret of this kind. Comparing digests
/// of secrets tells nobody who guesses how near they came.
pub(super) fn digest_of(prefix: &str, secret: &str) -> Option<Digest> {
    let random = secret.strip_prefix(prefix)?;
    let is_base64 = random.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    (random.len() == SECRET_CHARS && is_base64).then(|| Digest::of_bytes(secret.as_bytes()))
}

/// What the forms of a session carry. It follows from the cookie, which another site cannot read,
/// and the cookie does not follow from it.
pub(super) fn csrf_of(cookie: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(cookie.as_bytes()) {
        Ok(mac) => hex::encode(mac.chain_update(CSRF_OF).finalize().into_bytes()),
        // A key of any length is accepted; nothing would match what is random.
        Err(_) => hex::encode(rand::random::<[u8; SECRET_BYTES]>()),
    }
}

/// Compares without telling by the time it takes where two differ.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
