//! People, their roles, sessions and tokens: who asks, and what they may.
//!
//! INVARIANT (nothing in the clear): passwords are kept as Argon2id hashes; sessions, API tokens
//! and one-time links as SHA-256 digests of random values. None of them is ever logged.
//! INVARIANT (no fixation): every sign-in makes a session of its own; nothing that a browser
//! brought along becomes one.
//!
//! Start at [`Identity::sign_in`] for people, at [`Identity::token`] for programs, at
//! [`Identity::join`] for how somebody comes to have a password. `docs/identity.md` is what an
//! operator must know.

mod attempts;
mod manage;
mod password;
mod secret;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use arx_journal::people::{self, PeopleError};
use arx_journal::{Journal, JournalError};
use arx_types::{Digest, TokenId};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use attempts::Attempts;
use password::{HashError, Hasher};

pub use arx_types::Role;
pub use manage::{Invitation, TokenError};
pub use password::{Busy, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, PasswordError};
pub use secret::{LINK_PREFIX, SESSION_PREFIX, TOKEN_PREFIX};

/// How long a session lives without being used.
pub const SESSION_IDLE: Duration = Duration::from_hours(12);
/// How long a session lives at the most.
pub const SESSION_MAX: Duration = Duration::from_hours(7 * 24);
/// How long a one-time link can be used.
pub const LINK_TTL: Duration = Duration::from_hours(24);
/// How long a token lives at the most.
pub const TOKEN_TTL_MAX: Duration = Duration::from_hours(366 * 24);
/// The path of a one-time link, before its secret.
pub const JOIN_PATH: &str = "/join/";
/// How exactly it is known when a session or a token was last used.
const TOUCHED_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Somebody whose request has been authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Their name, as the record shows it.
    pub name: String,
    /// What they may do: the person's role, and no more than the token allows.
    pub role: Role,
    /// How they proved who they are.
    pub via: Via,
}

/// How somebody proved who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Via {
    /// A browser's session. Every request that changes something must carry its CSRF token.
    Session {
        /// What forms of this session must carry; [`Caller::has_csrf`] compares it.
        csrf: String,
    },
    /// An API token, which browsers never send by themselves.
    Token {
        /// Which one.
        id: TokenId,
    },
}

impl std::fmt::Debug for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session { .. } => f.write_str("Session"),
            Self::Token { id } => write!(f, "Token({id})"),
        }
    }
}

impl Caller {
    /// Whether a request that changes something is meant: it carries the session's CSRF token, or
    /// comes with an API token, which no other site can make a browser send.
    #[must_use]
    pub fn has_csrf(&self, given: Option<&str>) -> bool {
        match (&self.via, given) {
            (Via::Session { csrf }, Some(given)) => secret::is_same(csrf, given),
            (Via::Session { .. }, None) => false,
            (Via::Token { .. }, _) => true,
        }
    }
}

/// A session that has begun.
#[derive(Debug)]
pub struct NewSession {
    /// What the browser keeps.
    pub cookie: SecretString,
    /// Whose it is.
    pub caller: Caller,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// A token that was made; its secret is shown this once.
#[derive(Debug)]
pub struct NewToken {
    /// Which one.
    pub id: TokenId,
    /// What the program sends.
    pub secret: SecretString,
    /// What it may do at the most.
    pub role: Role,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a one-time link is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Who; the very first admin chooses a name.
    pub name: Option<String>,
    /// What they will be.
    pub role: Role,
}

/// Why somebody is not signed in. Nothing in it tells whether the name is known.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name and password do not belong together, or belong to nobody.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many have failed for this name or from this address; even the right one waits.
    #[error("too many attempts, try again in {} s", wait.as_secs().max(1))]
    Wait {
        /// How long.
        wait: SignedDuration,
    },
    /// Too many are signing in at this moment.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why a one-time link did not give somebody a password.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The password is none to have.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The link is no more good, or the name cannot be had.
    #[error(transparent)]
    People(PeopleError),
    /// Too many are signing in at this moment.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl From<HashError> for SignInError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy(busy) => Self::Busy(busy),
            HashError::Journal(error) => Self::Journal(error),
        }
    }
}

impl From<HashError> for JoinError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy(busy) => Self::Busy(busy),
            HashError::Journal(error) => Self::Journal(error),
        }
    }
}

impl From<PeopleError> for JoinError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Journal(error) => Self::Journal(error),
            error => Self::People(error),
        }
    }
}

/// Knows who people are.
pub struct Identity {
    journal: Journal,
    hasher: Hasher,
    attempts: Attempts,
}

impl Identity {
    /// The people of a journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal, hasher: Hasher::new(), attempts: Attempts::new() }
    }

    /// Where they are recorded.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn now(&self) -> Timestamp {
        self.journal.clock().now()
    }

    /// Begins a session for somebody who knows their password.
    ///
    /// An unknown name costs the same work as a known one. Every attempt counts as failed until
    /// it succeeds, so that many at once are no way around the limit.
    ///
    /// # Errors
    /// See [`SignInError`].
    pub async fn sign_in(
        &self,
        name: &str,
        password: SecretString,
        from: IpAddr,
    ) -> Result<NewSession, SignInError> {
        let attempt = self
            .attempts
            .begin(name, from, self.now())
            .map_err(|wait| SignInError::Wait { wait })?;
        let name = name.to_owned();
        let known = name.clone();
        let hash = self.journal.read(move |reader| reader.password_hash(&known)).await;
        let hash = hash.inspect_err(|_| self.attempts.undo(&attempt))?;
        let right = self.hasher.verify(password, hash.clone()).await;
        let right = right.inspect_err(|_| self.attempts.undo(&attempt))?;
        let Some(hash) = hash.filter(|_| right) else {
            tracing::warn!(%from, "a sign-in failed");
            return Err(SignInError::Wrong);
        };
        let (cookie, new) = self.session_from(Some(from));
        let expires_at = new.expires_at;
        let person = self
            .journal
            .try_write(move |tx| {
                // Whoever changed it meanwhile meant this one not to work any more.
                let still = tx.password_hash(&name)?;
                if still.is_none_or(|still| still.expose_secret() != hash.expose_secret()) {
                    return Err(SignInError::Wrong);
                }
                tx.start_session(&name, &new).map_err(|error| match error {
                    PeopleError::Journal(error) => SignInError::Journal(error),
                    _ => SignInError::Wrong,
                })?;
                tx.person(&name)?.ok_or(SignInError::Wrong)
            })
            .await?;
        self.attempts.succeeded(&attempt);
        Ok(new_session(cookie, person, expires_at))
    }

    /// Who a session's cookie belongs to, while the session lasts.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub async fn session(&self, cookie: &str) -> Result<Option<Caller>, JournalError> {
        let Some(digest) = secret::digest_of(SESSION_PREFIX, cookie) else { return Ok(None) };
        let now = self.now();
        let found = self.journal.read(move |reader| reader.session(&digest)).await?;
        let idle = SignedDuration::try_from(SESSION_IDLE).unwrap_or(SignedDuration::ZERO);
        let Some(session) = found else { return Ok(None) };
        let unseen = now.duration_since(session.last_seen_at);
        if now >= session.expires_at || unseen >= idle {
            return Ok(None);
        }
        if unseen >= TOUCHED_EVERY {
            self.journal.write(move |tx| tx.touch_session(&digest)).await?;
        }
        let via = Via::Session { csrf: secret::csrf_of(cookie) };
        Ok(Some(Caller { name: session.person, role: session.role, via }))
    }

    /// Ends a session; nothing happens when there is none.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn sign_out(&self, cookie: &str) -> Result<(), JournalError> {
        let Some(digest) = secret::digest_of(SESSION_PREFIX, cookie) else { return Ok(()) };
        self.journal.write(move |tx| tx.end_session(&digest)).await.map(drop)
    }

    /// Who an API token belongs to, while it is good.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub async fn token(&self, bearer: &str) -> Result<Option<Caller>, JournalError> {
        let Some(digest) = secret::digest_of(TOKEN_PREFIX, bearer) else { return Ok(None) };
        let now = self.now();
        let found = self.journal.read(move |reader| reader.token_by_digest(&digest)).await?;
        let Some(token) = found.filter(|token| token.is_good(now)) else { return Ok(None) };
        if token.last_used_at.is_none_or(|used| now.duration_since(used) >= TOUCHED_EVERY) {
            let id = token.id.clone();
            self.journal.write(move |tx| tx.touch_token(&id)).await?;
        }
        let via = Via::Token { id: token.id };
        Ok(Some(Caller { name: token.person, role: token.role, via }))
    }

    /// What a one-time link is for, while it can be used; looking uses nothing up.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub async fn link(&self, link: &str) -> Result<Option<Invited>, JournalError> {
        let Some(digest) = secret::digest_of(LINK_PREFIX, link) else { return Ok(None) };
        let now = self.now();
        let found = self.journal.read(move |reader| reader.link(&digest, now)).await?;
        Ok(found.map(|link| Invited { name: link.person, role: link.role }))
    }

    /// Uses a one-time link up: its person has this password from now on, every earlier session
    /// of theirs ends, and one begins.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub async fn join(
        &self,
        link: &str,
        name: &str,
        password: SecretString,
    ) -> Result<NewSession, JoinError> {
        let digest = secret::digest_of(LINK_PREFIX, link).ok_or(PeopleError::Link)?;
        let name = match self.link(link).await?.ok_or(PeopleError::Link)?.name {
            Some(known) if people::folded(&known) == people::folded(name) => known,
            Some(_) | None => people::name_of(name)?,
        };
        password::check(&password, &name)?;
        let hash = self.hasher.hash(password).await?;
        let (cookie, new) = self.session_from(None);
        let expires_at = new.expires_at;
        let person = self
            .journal
            .try_write(move |tx| {
                let person = tx.use_link(&digest, &name, &hash)?;
                tx.start_session(&person.name, &new)?;
                Ok::<_, JoinError>(person)
            })
            .await?;
        Ok(new_session(cookie, person, expires_at))
    }

    fn session_from(&self, from: Option<IpAddr>) -> (SecretString, people::NewSession) {
        let (cookie, digest) = secret::fresh(SESSION_PREFIX);
        let expires_at = later(self.now(), SESSION_MAX);
        let from = from.map(|from| from.to_canonical().to_string());
        (cookie, people::NewSession { digest, expires_at, from })
    }
}

fn new_session(
    cookie: SecretString,
    person: arx_journal::Person,
    expires_at: Timestamp,
) -> NewSession {
    let via = Via::Session { csrf: secret::csrf_of(cookie.expose_secret()) };
    NewSession { cookie, caller: Caller { name: person.name, role: person.role, via }, expires_at }
}

/// An end that no calendar holds is none: what ends then is over at once.
fn later(now: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(now)
}

/// What a name looks like in memory, where it may be a password that was typed into the wrong
/// field.
fn name_digest(name: &str) -> Digest {
    Digest::of_bytes(people::folded(name).as_bytes())
}
