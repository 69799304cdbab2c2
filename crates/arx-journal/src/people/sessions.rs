//! Sessions: somebody who proved who they are, for a while.

use arx_types::{Digest, Role};
use jiff::Timestamp;
use rusqlite::params;

use super::{PeopleError, of_person};
use crate::column::{Bytes32, Micros, Worded, signed};
use crate::{JournalError, Reader, Tx};

/// The most sessions that one person has; the oldest ends when another begins.
pub const SESSIONS_MAX: usize = 20;

/// A session about to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The digest of its cookie.
    pub digest: Digest,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// Where it was asked for from, e.g. an address.
    pub from: Option<String>,
}

/// A session of somebody who is enabled. Whether it is over is for the caller to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub person: String,
    /// What they may do now.
    pub role: Role,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to within the time that the caller touches it.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Begins a session, with a leaf that says who signed in. Sessions that are over are removed.
    pub fn start_session(&mut self, name: &str, new: &NewSession) -> Result<(), PeopleError> {
        let known = self.enabled(name)?;
        let now = self.now();
        self.execute("DELETE FROM sessions WHERE expires_at <= ?1", [Micros(now)])?;
        self.execute(
            "DELETE FROM sessions WHERE person = ?1 AND seq IN (SELECT seq FROM sessions \
             WHERE person = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?2)",
            params![known.n, signed(SESSIONS_MAX as u64 - 1)],
        )?;
        let name = &known.person.name;
        let leaf = of_person(name, "signed_in", name);
        let seq = self.tell(match &new.from {
            Some(from) => leaf.with("address", from.as_str()),
            None => leaf,
        })?;
        self.execute(
            "INSERT INTO sessions (digest, person, created_at, last_seen_at, expires_at, seq) \
             VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
            params![Bytes32(new.digest), known.n, Micros(now), Micros(new.expires_at), signed(seq)],
        )?;
        Ok(())
    }

    /// Notes that a session is in use.
    pub fn touch_session(&mut self, digest: &Digest) -> Result<(), JournalError> {
        let sql = "UPDATE sessions SET last_seen_at = ?2 WHERE digest = ?1";
        self.execute(sql, params![Bytes32(*digest), Micros(self.now())]).map(drop)
    }

    /// Ends a session; false when there is none.
    pub fn end_session(&mut self, digest: &Digest) -> Result<bool, JournalError> {
        let sql = "SELECT name FROM people JOIN sessions ON sessions.person = people.n \
                   WHERE digest = ?1";
        let name: Option<String> = self.row(sql, [Bytes32(*digest)], |row| row.get(0))?;
        let Some(name) = name else { return Ok(false) };
        self.execute("DELETE FROM sessions WHERE digest = ?1", [Bytes32(*digest)])?;
        self.tell(of_person(&name, "signed_out", &name))?;
        Ok(true)
    }

    pub(super) fn end_sessions(&mut self, person: i64) -> Result<(), JournalError> {
        self.execute("DELETE FROM sessions WHERE person = ?1", [person]).map(drop)
    }
}

impl Reader<'_> {
    /// A session by the digest of its cookie, while its person is enabled.
    pub fn session(&self, digest: &Digest) -> Result<Option<Session>, JournalError> {
        self.row(
            "SELECT name, role, sessions.created_at, last_seen_at, expires_at FROM sessions \
             JOIN people ON people.n = sessions.person \
             WHERE digest = ?1 AND disabled_at IS NULL",
            [Bytes32(*digest)],
            |row| {
                Ok(Session {
                    person: row.get(0)?,
                    role: row.get::<_, Worded<Role>>(1)?.0,
                    created_at: row.get::<_, Micros>(2)?.0,
                    last_seen_at: row.get::<_, Micros>(3)?.0,
                    expires_at: row.get::<_, Micros>(4)?.0,
                })
            },
        )
    }
}
