//! People: who may ask for what. Sessions, API tokens and one-time links are how they prove it.
//!
//! INVARIANT (nothing in the clear): a password is kept as the hash that the caller made of it, a
//! cookie, token or link as its SHA-256 digest. Neither hash nor digest stands in a leaf.
//! INVARIANT (told): every change of who may ask is written together with its leaf.
//! INVARIANT (somebody can): the last admin is neither disabled nor given a lesser role.
//!
//! How long a session may idle and what a password must look like is for the caller to know.

mod links;
mod name;
mod sessions;
#[cfg(test)]
mod tests;
mod tokens;

use arx_audit::LeafKind;
use arx_types::{LinkId, Role, TokenId};
use jiff::Timestamp;
use rusqlite::{Row, params};
use secrecy::{ExposeSecret as _, SecretString};

use crate::column::{Micros, Word, Worded, signed};
use crate::{JournalError, LeafDraft, Reader, Tx};

pub use links::{Link, NewLink};
pub use name::{NAME_BYTES_MAX, folded, name_of};
pub use sessions::{NewSession, SESSIONS_MAX, Session};
pub use tokens::{LABEL_BYTES_MAX, NewToken, Token};

/// The most people that one journal knows.
pub const PEOPLE_MAX: usize = 10_000;

/// Somebody who may ask for things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Their name, as the record shows it.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Whether they chose a password, and so can sign in.
    pub has_password: bool,
    /// Since when they are known.
    pub created_at: Timestamp,
    /// Who added them.
    pub created_by: String,
    /// Since when they may do nothing.
    pub disabled_at: Option<Timestamp>,
}

impl Person {
    /// Whether they may do anything at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }
}

/// Why something about people was not done; nothing of it stays.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeopleError {
    /// Nobody can have this name.
    #[error("`{name}` cannot be a person's name: {reason}")]
    Name {
        /// What was given.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// Somebody has it.
    #[error("there is somebody called `{name}` already")]
    Taken {
        /// The name.
        name: String,
    },
    /// Nobody has it.
    #[error("nobody is called `{name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// They may do nothing.
    #[error("`{name}` is disabled")]
    Disabled {
        /// The name.
        name: String,
    },
    /// Without them nobody could manage anything.
    #[error("`{name}` is the last admin")]
    LastAdmin {
        /// The name.
        name: String,
    },
    /// A role that one person cannot give away.
    #[error("`{name}` is {has}, and cannot have a token for {wanted}")]
    Role {
        /// The person.
        name: String,
        /// Their role.
        has: Role,
        /// The role asked for.
        wanted: Role,
    },
    /// Nothing is wrong with what was typed, but it is too much, too long or too late.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: &'static str,
    },
    /// The link is no more good.
    #[error("the link was used already, was replaced by a newer one, or is too old")]
    Link,
    /// There is no such token.
    #[error("there is no token `{id}`")]
    NoToken {
        /// What was asked for.
        id: TokenId,
    },
    /// The record could not be kept or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Word for Role {
    const KIND: &'static str = "role";
    fn of_word(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

const COLUMNS: &str =
    "name, role, password_hash IS NOT NULL, created_at, created_by, disabled_at, n";

fn read_person(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        n: row.get(6)?,
        person: Person {
            name: row.get(0)?,
            role: row.get::<_, Worded<Role>>(1)?.0,
            has_password: row.get(2)?,
            created_at: row.get::<_, Micros>(3)?.0,
            created_by: row.get(4)?,
            disabled_at: row.get::<_, Option<Micros>>(5)?.map(|at| at.0),
        },
    })
}

/// A person with the number of their row.
struct Known {
    n: i64,
    person: Person,
}

impl Reader<'_> {
    /// Whether anybody was ever added: from then on roles are checked.
    pub fn knows_people(&self) -> Result<bool, JournalError> {
        let found = self.row("SELECT 1 FROM people LIMIT 1", [], |_| Ok(()))?;
        Ok(found.is_some())
    }

    /// Somebody by name, in any case of letters.
    pub fn person(&self, name: &str) -> Result<Option<Person>, JournalError> {
        Ok(self.known(name)?.map(|known| known.person))
    }

    /// Everybody by name, at most [`PEOPLE_MAX`].
    pub fn people(&self) -> Result<Vec<Person>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM people ORDER BY folded LIMIT ?1");
        let limit = signed(PEOPLE_MAX as u64);
        self.rows(&sql, [limit], |row| read_person(row).map(|known| known.person))
    }

    /// The hash of somebody's password, where they may sign in.
    pub fn password_hash(&self, name: &str) -> Result<Option<SecretString>, JournalError> {
        let sql = "SELECT password_hash FROM people WHERE folded = ?1 AND disabled_at IS NULL";
        let hash: Option<Option<String>> = self.row(sql, [folded(name)], |row| row.get(0))?;
        Ok(hash.flatten().map(SecretString::from))
    }

    fn known(&self, name: &str) -> Result<Option<Known>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM people WHERE folded = ?1");
        self.row(&sql, [folded(name)], read_person)
    }

    fn existing(&self, name: &str) -> Result<Known, PeopleError> {
        self.known(name)?.ok_or_else(|| PeopleError::Unknown { name: name.trim().to_owned() })
    }

    fn enabled(&self, name: &str) -> Result<Known, PeopleError> {
        let known = self.existing(name)?;
        if !known.person.is_enabled() {
            return Err(PeopleError::Disabled { name: known.person.name });
        }
        Ok(known)
    }

    /// That somebody else stays who can do what an admin can. Where this one has a password, the
    /// other must have one too: nobody signs in without.
    fn check_not_last(&self, known: &Known) -> Result<(), PeopleError> {
        if known.person.role != Role::Admin || !known.person.is_enabled() {
            return Ok(());
        }
        let sql = "SELECT 1 FROM people WHERE role = 'admin' AND disabled_at IS NULL AND n <> ?1 \
                   AND (password_hash IS NOT NULL OR NOT ?2) LIMIT 1";
        let other = self.row(sql, params![known.n, known.person.has_password], |_| Ok(()))?;
        match other {
            Some(()) => Ok(()),
            None => Err(PeopleError::LastAdmin { name: known.person.name.clone() }),
        }
    }
}

impl Tx<'_> {
    /// Adds somebody, who has no password yet.
    pub fn add_person(&mut self, name: &str, role: Role, by: &str) -> Result<Person, PeopleError> {
        let name = name_of(name)?;
        if let Some(known) = self.known(&name)? {
            return Err(PeopleError::Taken { name: known.person.name });
        }
        let sql = "SELECT count(*) FROM people";
        let n_people: i64 = self.row(sql, [], |row| row.get(0))?.unwrap_or(0);
        if n_people >= signed(PEOPLE_MAX as u64) {
            return Err(PeopleError::Refused { what: "there are too many people already" });
        }
        self.execute(
            "INSERT INTO people (name, folded, role, created_at, created_by) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![name, folded(&name), role.as_str(), Micros(self.now()), by],
        )?;
        self.tell(of_person(by, "person_added", &name).with("role", role.as_str()))?;
        Ok(self.existing(&name)?.person)
    }

    /// Gives somebody another role, and ends their sessions.
    pub fn set_role(&mut self, name: &str, role: Role, by: &str) -> Result<Person, PeopleError> {
        let known = self.existing(name)?;
        if known.person.role == role {
            return Ok(known.person);
        }
        self.check_not_last(&known)?;
        let sql = "UPDATE people SET role = ?2 WHERE n = ?1";
        self.execute(sql, params![known.n, role.as_str()])?;
        self.end_sessions(known.n)?;
        let leaf = of_person(by, "role_changed", &known.person.name);
        self.tell(leaf.with("from", known.person.role.as_str()).with("role", role.as_str()))?;
        Ok(self.existing(name)?.person)
    }

    /// Lets somebody do nothing any more: their sessions and links end, their tokens do nothing.
    pub fn disable_person(&mut self, name: &str, by: &str) -> Result<Person, PeopleError> {
        let known = self.existing(name)?;
        if !known.person.is_enabled() {
            return Ok(known.person);
        }
        self.check_not_last(&known)?;
        let sql = "UPDATE people SET disabled_at = ?2 WHERE n = ?1";
        self.execute(sql, params![known.n, Micros(self.now())])?;
        self.end_sessions(known.n)?;
        self.withdraw_links(Some(known.n))?;
        self.tell(of_person(by, "person_disabled", &known.person.name))?;
        Ok(self.existing(name)?.person)
    }

    /// Lets somebody who was disabled do again what their role allows.
    pub fn enable_person(&mut self, name: &str, by: &str) -> Result<Person, PeopleError> {
        let known = self.existing(name)?;
        if known.person.is_enabled() {
            return Ok(known.person);
        }
        self.execute("UPDATE people SET disabled_at = NULL WHERE n = ?1", [known.n])?;
        self.tell(of_person(by, "person_enabled", &known.person.name))?;
        Ok(self.existing(name)?.person)
    }

    /// Takes somebody's password away, and ends their sessions; a new link gives them another.
    pub fn clear_password(&mut self, name: &str, by: &str) -> Result<Person, PeopleError> {
        let known = self.enabled(name)?;
        self.execute("UPDATE people SET password_hash = NULL WHERE n = ?1", [known.n])?;
        self.end_sessions(known.n)?;
        self.tell(of_person(by, "password_cleared", &known.person.name))?;
        Ok(self.existing(name)?.person)
    }

    /// Keeps the hash of the password that somebody chose, and ends their sessions.
    fn set_password(&mut self, known: &Known, hash: &SecretString) -> Result<(), PeopleError> {
        let sql = "UPDATE people SET password_hash = ?2 WHERE n = ?1";
        self.execute(sql, params![known.n, hash.expose_secret()])?;
        self.end_sessions(known.n)?;
        let name = &known.person.name;
        self.tell(of_person(name, "password_set", name))?;
        Ok(())
    }

    fn tell(&mut self, leaf: LeafDraft) -> Result<u64, JournalError> {
        self.append_leaf(leaf).map(|leaf| leaf.seq)
    }
}

/// A leaf about somebody.
fn of_person(by: &str, status: &str, name: &str) -> LeafDraft {
    LeafDraft::new(LeafKind::Identity, by).status(status).with("person", name)
}

/// A leaf about a link, which may be for nobody yet.
fn of_link(by: &str, status: &str, id: &LinkId, name: Option<&str>) -> LeafDraft {
    let leaf = LeafDraft::new(LeafKind::Identity, by).status(status).with("link", id.as_str());
    match name {
        Some(name) => leaf.with("person", name),
        None => leaf,
    }
}
