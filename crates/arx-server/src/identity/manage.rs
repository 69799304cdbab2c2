//! Adding people and tokens, changing and ending them. Whether the caller may is for the caller
//! to check, where it is about other people; what is about somebody's own tokens is checked here.

use std::time::Duration;

use arx_journal::people::{self, Token};
use arx_journal::{JournalError, PeopleError, Person};
use arx_types::{LinkId, Role, TokenId};
use jiff::Timestamp;
use rand::Rng as _;
use secrecy::SecretString;

use super::{
    Caller, Identity, LINK_PREFIX, LINK_TTL, NewToken, TOKEN_PREFIX, TOKEN_TTL_MAX, Via, later,
    secret,
};

/// A one-time link that was made; its secret is shown this once.
#[derive(Debug)]
pub struct Invitation {
    /// Who it is for; nobody yet for the very first admin.
    pub person: Option<Person>,
    /// The secret at the end of the link.
    pub secret: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why a caller cannot make or end a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A token that got out must not outlive itself.
    #[error("a token cannot make tokens; sign in for that")]
    ByToken,
    /// The role is more than the caller has.
    #[error("a token for {wanted} needs somebody who is one")]
    Role {
        /// The role asked for.
        wanted: Role,
    },
    /// It would live too long.
    #[error("a token lives at most {} days", TOKEN_TTL_MAX.as_secs() / 86_400)]
    Long,
    /// Anything else that is wrong.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Identity {
    /// The link for the very first admin, while nobody is known; an earlier one ends.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn first_link(&self, by: &str) -> Result<Option<Invitation>, PeopleError> {
        let (by, (secret, new)) = (by.to_owned(), self.new_link());
        let expires_at = new.expires_at;
        let made = self.journal.try_write(move |tx| tx.make_first_link(&new, &by)).await?;
        Ok(made.then_some(Invitation { person: None, secret, expires_at }))
    }

    /// Adds somebody, with the link that lets them choose a password.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn add(&self, by: &str, name: &str, role: Role) -> Result<Invitation, PeopleError> {
        let (by, name, (secret, new)) = (by.to_owned(), name.to_owned(), self.new_link());
        let expires_at = new.expires_at;
        let person = self
            .journal
            .try_write(move |tx| {
                let person = tx.add_person(&name, role, &by)?;
                tx.make_link(&name, &new, &by)?;
                Ok::<_, PeopleError>(person)
            })
            .await?;
        Ok(Invitation { person: Some(person), secret, expires_at })
    }

    /// Takes somebody's password away, and gives the link that lets them choose another.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn reset(&self, by: &str, name: &str) -> Result<Invitation, PeopleError> {
        let (by, name, (secret, new)) = (by.to_owned(), name.to_owned(), self.new_link());
        let expires_at = new.expires_at;
        let person = self
            .journal
            .try_write(move |tx| {
                let person = tx.clear_password(&name, &by)?;
                tx.make_link(&name, &new, &by)?;
                Ok::<_, PeopleError>(person)
            })
            .await?;
        Ok(Invitation { person: Some(person), secret, expires_at })
    }

    /// Gives somebody another role.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn set_role(&self, by: &str, name: &str, role: Role) -> Result<Person, PeopleError> {
        let (by, name) = (by.to_owned(), name.to_owned());
        self.journal.try_write(move |tx| tx.set_role(&name, role, &by)).await
    }

    /// Lets somebody do nothing any more.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn disable(&self, by: &str, name: &str) -> Result<Person, PeopleError> {
        let (by, name) = (by.to_owned(), name.to_owned());
        self.journal.try_write(move |tx| tx.disable_person(&name, &by)).await
    }

    /// Lets somebody who was disabled act again.
    ///
    /// # Errors
    /// See [`PeopleError`].
    pub async fn enable(&self, by: &str, name: &str) -> Result<Person, PeopleError> {
        let (by, name) = (by.to_owned(), name.to_owned());
        self.journal.try_write(move |tx| tx.enable_person(&name, &by)).await
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub async fn people(&self) -> Result<Vec<Person>, JournalError> {
        self.journal.read(|reader| reader.people()).await
    }

    /// Somebody's tokens, or everybody's; newest first.
    ///
    /// # Errors
    /// When the journal cannot be asked.
    pub async fn tokens(&self, name: Option<&str>) -> Result<Vec<Token>, JournalError> {
        let name = name.map(str::to_owned);
        self.journal.read(move |reader| reader.tokens(name.as_deref())).await
    }

    /// Makes a token for whoever is signed in, for no more than they may do.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn new_token(
        &self,
        caller: &Caller,
        label: &str,
        role: Role,
        expires_in: Duration,
    ) -> Result<NewToken, TokenError> {
        if let Via::Token { .. } = caller.via {
            return Err(TokenError::ByToken);
        }
        if role > caller.role {
            return Err(TokenError::Role { wanted: role });
        }
        self.token_for(&caller.name, &caller.name, label, role, expires_in).await
    }

    /// Makes a token for anybody, for no more than they may do.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn token_for(
        &self,
        by: &str,
        name: &str,
        label: &str,
        role: Role,
        expires_in: Duration,
    ) -> Result<NewToken, TokenError> {
        if expires_in > TOKEN_TTL_MAX {
            return Err(TokenError::Long);
        }
        let (by, name) = (by.to_owned(), name.to_owned());
        let (secret, digest) = secret::fresh(TOKEN_PREFIX);
        let expires_at = later(self.now(), expires_in);
        let id = TokenId::from_parts(self.unix_ms(), rand::rng().random());
        let label = label.to_owned();
        let new = people::NewToken { id: id.clone(), digest, label, role, expires_at };
        self.journal.try_write(move |tx| tx.make_token(&name, &new, &by)).await?;
        Ok(NewToken { id, secret, role, expires_at })
    }

    /// Ends a token: one's own, or anybody's for an admin. Somebody else's looks as if it were
    /// not there.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn revoke_token(&self, caller: &Caller, id: &TokenId) -> Result<Token, TokenError> {
        let (id, caller) = (id.clone(), caller.clone());
        let revoke = move |tx: &mut arx_journal::Tx<'_>| {
            let token = tx.token(&id)?;
            let is_own = token.is_some_and(|token| token.person == caller.name);
            if !is_own && caller.role < Role::Admin {
                return Err(PeopleError::NoToken { id });
            }
            tx.revoke_token(&id, &caller.name)
        };
        Ok(self.journal.try_write(revoke).await?)
    }

    fn new_link(&self) -> (SecretString, people::NewLink) {
        let (secret, digest) = secret::fresh(LINK_PREFIX);
        let id = LinkId::from_parts(self.unix_ms(), rand::rng().random());
        (secret, people::NewLink { id, digest, expires_at: later(self.now(), LINK_TTL) })
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.now().as_millisecond()).unwrap_or(0)
    }
}
