//! Passwords: what one must be like, and the slow hash that is kept of it.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use arx_journal::JournalError;
use arx_journal::people::folded;
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// The most bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// What OWASP asks of Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// Hashes made at once; each takes its memory.
const HASHES_MAX: usize = 2;
/// Hashes that may wait; further callers are told to come back.
const HASHES_WAITING_MAX: usize = 64;

/// Why a password is none to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It would be guessed.
    #[error("a password has at least {PASSWORD_CHARS_MIN} characters")]
    Short,
    /// It is more than anybody types.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    Long,
    /// It is the first guess.
    #[error("a password is not the person's name")]
    Name,
}

/// Too many hashes are being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many people are signing in at this moment, try again")]
pub struct Busy;

/// Why no hash was made.
#[derive(Debug)]
pub(super) enum HashError {
    Busy(Busy),
    Journal(JournalError),
}

impl From<Busy> for HashError {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

impl From<JournalError> for HashError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Whether somebody may have a password.
pub(super) fn check(password: &SecretString, name: &str) -> Result<(), PasswordError> {
    let password = password.expose_secret();
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(PasswordError::Short);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Long);
    }
    if folded(password) == folded(name) {
        return Err(PasswordError::Name);
    }
    Ok(())
}

/// Makes hashes on threads that may take their time, a few at once.
pub(super) struct Hasher {
    room: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Hasher {
    pub(super) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(HASHES_MAX)),
            waiting: Arc::new(Semaphore::new(HASHES_WAITING_MAX)),
        }
    }

    /// The hash of a password, as a PHC string.
    pub(super) async fn hash(&self, password: SecretString) -> Result<SecretString, HashError> {
        self.work(move || hash(&password)).await
    }

    /// Whether a password is the one of a hash. Without a hash it is not, after the same work.
    pub(super) async fn verify(
        &self,
        password: SecretString,
        hash: Option<SecretString>,
    ) -> Result<bool, HashError> {
        if password.expose_secret().len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let work = move || match hash {
            Some(hash) => verify(&password, &hash),
            None => self::hash(&password).map(|_| false),
        };
        self.work(work).await
    }

    async fn work<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, HashError> {
        let waiting = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| Busy)?;
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Given back when the work ends, not when its caller stops waiting.
            let (_waiting, _room) = (waiting, room);
            f()
        });
        let panicked =
            |error: tokio::task::JoinError| JournalError::Panicked { reason: error.to_string() };
        Ok(done.await.map_err(panicked)??)
    }
}

fn argon2() -> Result<Argon2<'static>, JournalError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &SecretString) -> Result<SecretString, JournalError> {
    let mut salt = [0; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(broken)?;
    let hash = argon2()?.hash_password(password.expose_secret().as_bytes(), &salt);
    Ok(SecretString::from(hash.map_err(broken)?.to_string()))
}

fn verify(password: &SecretString, hash: &SecretString) -> Result<bool, JournalError> {
    let hash = PasswordHash::new(hash.expose_secret()).map_err(broken)?;
    match argon2()?.verify_password(password.expose_secret().as_bytes(), &hash) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(broken(error)),
    }
}

/// A hash that this program did not make, or parameters that it cannot use. Neither error quotes
/// what it was given.
fn broken(error: impl std::fmt::Display) -> JournalError {
    JournalError::Invalid { what: "password hash", reason: error.to_string() }
}
