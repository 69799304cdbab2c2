//! One-time links: how somebody comes to choose a password.
//!
//! INVARIANT (used once): a link is used up in the transaction that keeps the password. Another
//! link for the same person makes the earlier one worthless, and the link for the very first
//! admin is worthless once anybody is known.

use arx_types::{Digest, LinkId, Role};
use jiff::Timestamp;
use rusqlite::params;
use secrecy::SecretString;

use super::{Known, PeopleError, Person, of_link};
use crate::column::{Bytes32, Micros, Text, Worded};
use crate::{JournalError, Reader, Tx};

/// A link about to be given out.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Its identifier, which is no secret.
    pub id: LinkId,
    /// The digest of its secret.
    pub digest: Digest,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A link that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its identifier.
    pub id: LinkId,
    /// Who it is for; the very first admin chooses a name.
    pub person: Option<String>,
    /// What they will be.
    pub role: Role,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Makes a link for somebody who is known.
    pub fn make_link(&mut self, name: &str, new: &NewLink, by: &str) -> Result<(), PeopleError> {
        let known = self.enabled(name)?;
        self.put_link(Some(&known), known.person.role, new, by)
    }

    /// Makes a link for the very first admin, while nobody is known; false when somebody is.
    pub fn make_first_link(&mut self, new: &NewLink, by: &str) -> Result<bool, PeopleError> {
        if self.knows_people()? {
            return Ok(false);
        }
        self.put_link(None, Role::Admin, new, by)?;
        Ok(true)
    }

    fn put_link(
        &mut self,
        known: Option<&Known>,
        role: Role,
        new: &NewLink,
        by: &str,
    ) -> Result<(), PeopleError> {
        self.withdraw_links(known.map(|known| known.n))?;
        self.execute(
            "INSERT INTO links (id, digest, person, role, created_at, created_by, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.id.as_str(),
                Bytes32(new.digest),
                known.map(|known| known.n),
                role.as_str(),
                Micros(self.now()),
                by,
                Micros(new.expires_at),
            ],
        )?;
        let name = known.map(|known| known.person.name.as_str());
        let leaf = of_link(by, "link_made", &new.id, name).with("role", role.as_str());
        self.tell(leaf.with("expires_at", new.expires_at.to_string()))?;
        Ok(())
    }

    /// Removes what was never used of somebody's links, or of those for the first admin.
    pub(super) fn withdraw_links(&mut self, person: Option<i64>) -> Result<(), JournalError> {
        let sql = "DELETE FROM links WHERE person IS ?1 AND used_at IS NULL";
        self.execute(sql, [person]).map(drop)
    }

    /// Uses a link up: its person now has this password. The first admin is added by the way.
    ///
    /// # Errors
    /// [`PeopleError::Link`] when it is no more good, [`PeopleError::Name`] when it is for
    /// somebody else.
    pub fn use_link(
        &mut self,
        digest: &Digest,
        name: &str,
        hash: &SecretString,
    ) -> Result<Person, PeopleError> {
        let link = self.link(digest, self.now())?.ok_or(PeopleError::Link)?;
        let person = match &link.person {
            Some(person) if super::folded(person) == super::folded(name) => person.clone(),
            Some(_) => {
                let reason = "the link is for somebody else";
                return Err(PeopleError::Name { name: name.trim().to_owned(), reason });
            }
            None => {
                let name = super::name_of(name)?;
                self.add_person(&name, link.role, &name)?.name
            }
        };
        let known = self.enabled(&person)?;
        let sql = "UPDATE links SET used_at = ?2, person = ?3 WHERE id = ?1";
        self.execute(sql, params![link.id.as_str(), Micros(self.now()), known.n])?;
        self.tell(of_link(&person, "link_used", &link.id, Some(&person)))?;
        self.set_password(&known, hash)?;
        Ok(self.existing(&person)?.person)
    }
}

impl Reader<'_> {
    /// A link by the digest of its secret, if it can be used at this time.
    pub fn link(&self, digest: &Digest, now: Timestamp) -> Result<Option<Link>, JournalError> {
        let sql = "SELECT id, name, coalesce(people.role, links.role), expires_at FROM links \
                   LEFT JOIN people ON people.n = links.person \
                   WHERE digest = ?1 AND used_at IS NULL AND expires_at > ?2 \
                   AND disabled_at IS NULL";
        let link = self.row(sql, params![Bytes32(*digest), Micros(now)], |row| {
            Ok(Link {
                id: row.get::<_, Text<LinkId>>(0)?.0,
                person: row.get(1)?,
                role: row.get::<_, Worded<Role>>(2)?.0,
                expires_at: row.get::<_, Micros>(3)?.0,
            })
        })?;
        match link {
            Some(link) if link.person.is_none() && self.knows_people()? => Ok(None),
            link => Ok(link),
        }
    }
}
