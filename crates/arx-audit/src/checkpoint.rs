//! Signed checkpoints: C2SP tlog-checkpoint inside a C2SP signed note, Ed25519.
//!
//! A checkpoint says "the log called `origin` had `size` leaves under this root". The key's name
//! is the log's origin. This module must never show the private key, and never makes randomness
//! itself. Start at [`SigningKey`] and [`verify_checkpoint`].

#[cfg(test)]
mod tests;

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::VerifyingKey;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use signed_note::{
    Note, NoteError, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList,
};
use tlog_tiles::checkpoint::Checkpoint as NoteBody;

use crate::{INTEGER_MAX, tree::Hash};

/// The most bytes of a signed checkpoint that are read; a plain one has about 200.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;
/// The signature type of Ed25519 in signed notes.
const ALG_ED25519: u8 = 1;
/// The parts of `name+id+key`; the key, being base64, may hold a plus itself.
const VKEY_PARTS: usize = 3;
/// The parts of `PRIVATE+KEY+name+id+key`.
const SKEY_PARTS: usize = 5;
/// How many bytes of the public key's digest name the log.
const LOG_ID_BYTES: usize = 4;

/// What a verified checkpoint says.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The name of the log, equal to the name of the key.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root hash of the tree of that many leaves.
    pub root: Hash,
}

/// Why a key is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The private key's text is not one that this crate writes. The text is never shown.
    #[error("signing key is malformed: {0}")]
    Signing(&'static str),
    /// The public key's text is malformed, or its parts do not belong together.
    #[error("public key `{vkey}` is malformed: {reason}")]
    Public {
        /// The text.
        vkey: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// Why a checkpoint is refused.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The public key to check with is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The text is not a signed note.
    #[error("checkpoint is not a signed note")]
    NotANote,
    /// The note is signed by others, or by nobody.
    #[error("checkpoint is not signed by `{name}`")]
    OtherKey {
        /// The name and id of the key that was expected.
        name: String,
    },
    /// The signature is wrong: the text or the signature was changed.
    #[error("signature of the checkpoint by `{name}` does not verify")]
    Signature {
        /// The name and id of the key.
        name: String,
    },
    /// The signed text is not a checkpoint.
    #[error("signed text is not a checkpoint")]
    Body,
    /// The checkpoint is of another log than the key.
    #[error("checkpoint is of the log `{origin}`, the key of `{name}`")]
    Origin {
        /// The origin line.
        origin: String,
        /// The name of the key.
        name: String,
    },
    /// The checkpoint cannot be signed.
    #[error("checkpoint cannot be signed: {0}")]
    Sign(#[source] NoteError),
}

/// The key that signs a log's checkpoints; its name is the log's origin.
pub struct SigningKey {
    signer: StandardSigner,
    skey: SecretString,
    vkey: String,
}

impl SigningKey {
    /// Makes the key of a new log from 32 secret random bytes that the caller provides.
    ///
    /// The log's origin becomes `arx/` and eight hexadecimal digits derived from the public key.
    pub fn generate(seed: [u8; 32]) -> Result<Self, KeyError> {
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let id: String =
            Sha256::digest(public.as_bytes()).iter().take(LOG_ID_BYTES).map(hex_byte).collect();
        let origin = format!("arx/{id}");
        let mut encoded = [&[ALG_ED25519], public.as_bytes().as_slice()].concat();
        let key_id = signed_note::key_id(&origin, &encoded);
        encoded = [&[ALG_ED25519], seed.as_slice()].concat();
        let skey = format!("PRIVATE+KEY+{origin}+{key_id:08x}+{}", BASE64_STANDARD.encode(encoded));
        Self::parse(&SecretString::from(skey))
    }

    /// Reads a key from the text of [`SigningKey::encode`]; white space around it is ignored.
    pub fn parse(text: &SecretString) -> Result<Self, KeyError> {
        let text = text.expose_secret().trim();
        let signer = StandardSigner::new(text)
            .map_err(|_| KeyError::Signing("it is not `PRIVATE+KEY+name+id+key`"))?;
        // The signer keeps its key to itself, and checked that the text holds exactly this one.
        let seed = key_bytes(text.splitn(SKEY_PARTS, '+').last());
        let seed = seed.ok_or(KeyError::Signing("the key has the wrong length"))?;
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let vkey = signed_note::new_ed25519_verifier_key(signer.name(), &public);
        Ok(Self { signer, skey: SecretString::from(text.to_owned()), vkey })
    }

    /// Returns the text to keep in a file that only its owner can read.
    pub fn encode(&self) -> &SecretString {
        &self.skey
    }

    /// Returns the public key as text, to be given to whoever checks the log.
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    /// Returns the log's origin, which is the key's name.
    pub fn origin(&self) -> &str {
        self.signer.name()
    }

    /// Signs that the log has this size and root; returns the note.
    pub fn sign_checkpoint(&self, size: u64, root: Hash) -> Result<String, CheckpointError> {
        let body =
            NoteBody::new(self.origin(), size, root, "").map_err(|_| CheckpointError::Body)?;
        let mut note = Note::new(&body.to_bytes(), &[]).map_err(CheckpointError::Sign)?;
        note.add_sigs(&[&self.signer]).map_err(CheckpointError::Sign)?;
        String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::NotANote)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("vkey", &self.vkey).finish_non_exhaustive()
    }
}

/// Checks the signature of a checkpoint and reads it.
///
/// Signatures by other keys, such as those of witnesses, are allowed and ignored.
pub fn verify_checkpoint(vkey: &str, note: &str) -> Result<Checkpoint, CheckpointError> {
    let verifier = parse_vkey(vkey)?;
    let name = format!("{}+{:08x}", verifier.name(), verifier.key_id());
    let origin_expected = verifier.name().to_owned();
    if note.len() > NOTE_BYTES_MAX {
        return Err(CheckpointError::NotANote);
    }
    let note = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::NotANote)?;
    let known = VerifierList::new(vec![Box::new(verifier)]);
    note.verify(&known).map_err(|error| match error {
        NoteError::UnverifiedNote => CheckpointError::OtherKey { name: name.clone() },
        _ => CheckpointError::Signature { name: name.clone() },
    })?;
    let body = NoteBody::from_bytes(note.text()).map_err(|_| CheckpointError::Body)?;
    if body.origin() != origin_expected {
        let origin = body.origin().to_owned();
        return Err(CheckpointError::Origin { origin, name: origin_expected });
    }
    if body.size() > INTEGER_MAX {
        return Err(CheckpointError::Body);
    }
    Ok(Checkpoint { origin: origin_expected, size: body.size(), root: *body.hash() })
}

/// Returns the origin that a public key's text names, after checking that it is a key.
pub fn origin_of(vkey: &str) -> Result<String, KeyError> {
    Ok(parse_vkey(vkey)?.name().to_owned())
}

fn parse_vkey(vkey: &str) -> Result<StandardVerifier, KeyError> {
    let refuse = |reason| KeyError::Public { vkey: vkey.to_owned(), reason };
    let verifier = StandardVerifier::new(vkey).map_err(|error| match error {
        signed_note::VerifierError::Format => refuse("it is not `name+id+key`"),
        signed_note::VerifierError::Alg => refuse("it is not an Ed25519 key"),
        signed_note::VerifierError::Id => refuse("its id is not that of its name and key"),
    })?;
    // A weak key accepts forged signatures, so having one is no proof of anything. Only one
    // spelling of a key is accepted, so that two keys can be compared as text.
    let key = key_bytes(vkey.splitn(VKEY_PARTS, '+').last());
    let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok());
    let key = key.ok_or_else(|| refuse("it is not an Ed25519 key"))?;
    if key.is_weak() {
        return Err(refuse("it is a weak key"));
    }
    if signed_note::new_ed25519_verifier_key(verifier.name(), &key) != vkey {
        return Err(refuse("it is not in its canonical spelling"));
    }
    Ok(verifier)
}

/// Reads the 32 bytes of a key behind the byte that says of which sort it is.
fn key_bytes(part: Option<&str>) -> Option<[u8; 32]> {
    let bytes = BASE64_STANDARD.decode(part?).ok()?;
    bytes.get(1..)?.try_into().ok()
}

fn hex_byte(byte: &u8) -> String {
    format!("{byte:02x}")
}
