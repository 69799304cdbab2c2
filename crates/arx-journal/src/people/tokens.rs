//! API tokens: what a program of somebody's proves itself with.

use arx_types::{Digest, Role, TokenId};
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::{PeopleError, of_person};
use crate::column::{Bytes32, Micros, Text, Worded, signed};
use crate::{JournalError, Reader, Tx};

/// The longest name of a token, in bytes.
pub const LABEL_BYTES_MAX: usize = 100;
/// The most tokens of one person that can be used at a time.
const TOKENS_MAX: usize = 100;
/// The most tokens that one listing returns.
const TOKENS_LISTED_MAX: usize = 10_000;

/// A token about to be given out.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its identifier, which is no secret.
    pub id: TokenId,
    /// The digest of its secret.
    pub digest: Digest,
    /// What it is for.
    pub label: String,
    /// The most that it may do.
    pub role: Role,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A token as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its identifier.
    pub id: TokenId,
    /// Whose it is.
    pub person: String,
    /// What it is for.
    pub label: String,
    /// What it may do now: no more than it was made for, and no more than its person may.
    pub role: Role,
    /// Whether its person is disabled; it does nothing then.
    pub is_disabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Since when it does nothing.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to within the time that the caller touches it.
    pub last_used_at: Option<Timestamp>,
}

impl Token {
    /// Whether it proves anything at this time.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        !self.is_disabled && self.revoked_at.is_none() && now < self.expires_at
    }
}

const COLUMNS: &str = "id, name, label, tokens.role, people.role, disabled_at IS NOT NULL, \
                       tokens.created_at, expires_at, revoked_at, last_used_at";

fn read_token(row: &Row<'_>) -> rusqlite::Result<Token> {
    let of_token = row.get::<_, Worded<Role>>(3)?.0;
    let of_person = row.get::<_, Worded<Role>>(4)?.0;
    Ok(Token {
        id: row.get::<_, Text<TokenId>>(0)?.0,
        person: row.get(1)?,
        label: row.get(2)?,
        role: of_token.min(of_person),
        is_disabled: row.get(5)?,
        created_at: row.get::<_, Micros>(6)?.0,
        expires_at: row.get::<_, Micros>(7)?.0,
        revoked_at: row.get::<_, Option<Micros>>(8)?.map(|at| at.0),
        last_used_at: row.get::<_, Option<Micros>>(9)?.map(|at| at.0),
    })
}

impl Tx<'_> {
    /// Gives somebody a token, for no more than they may do themselves.
    pub fn make_token(
        &mut self,
        name: &str,
        new: &NewToken,
        by: &str,
    ) -> Result<Token, PeopleError> {
        let known = self.enabled(name)?;
        let (name, has) = (known.person.name, known.person.role);
        if new.role > has {
            return Err(PeopleError::Role { name, has, wanted: new.role });
        }
        let label = new.label.trim();
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || label.chars().any(char::is_control)
        {
            return Err(PeopleError::Refused {
                what: "a token's name is 1 to 100 printable bytes",
            });
        }
        let now = self.now();
        // Kept to the microsecond; the leaf says the same.
        let expires_at = Micros(new.expires_at).whole();
        if expires_at <= now {
            return Err(PeopleError::Refused { what: "the token would end at once" });
        }
        let sql = "SELECT count(*) FROM tokens \
                   WHERE person = ?1 AND revoked_at IS NULL AND expires_at > ?2";
        let n_tokens: i64 =
            self.row(sql, params![known.n, Micros(now)], |row| row.get(0))?.unwrap_or(0);
        if n_tokens >= signed(TOKENS_MAX as u64) {
            return Err(PeopleError::Refused { what: "one person has at most 100 tokens" });
        }
        self.execute(
            "INSERT INTO tokens (id, digest, person, label, role, created_at, expires_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                new.id.as_str(),
                Bytes32(new.digest),
                known.n,
                label,
                new.role.as_str(),
                Micros(now),
                Micros(expires_at),
            ],
        )?;
        let leaf = of_person(by, "token_made", &name)
            .with("token", new.id.as_str())
            .with("label", label)
            .with("role", new.role.as_str())
            .with("expires_at", expires_at.to_string());
        self.tell(leaf)?;
        self.token(&new.id)?.ok_or_else(|| PeopleError::NoToken { id: new.id.clone() })
    }

    /// Ends a token; nothing changes when it is revoked already.
    pub fn revoke_token(&mut self, id: &TokenId, by: &str) -> Result<Token, PeopleError> {
        let missing = || PeopleError::NoToken { id: id.clone() };
        let token = self.token(id)?.ok_or_else(missing)?;
        if token.revoked_at.is_some() {
            return Ok(token);
        }
        let sql = "UPDATE tokens SET revoked_at = ?2 WHERE id = ?1";
        self.execute(sql, params![id.as_str(), Micros(self.now())])?;
        let leaf = of_person(by, "token_revoked", &token.person);
        self.tell(leaf.with("token", id.as_str()).with("label", token.label))?;
        self.token(id)?.ok_or_else(missing)
    }

    /// Notes that a token is in use.
    pub fn touch_token(&mut self, id: &TokenId) -> Result<(), JournalError> {
        let sql = "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1";
        self.execute(sql, params![id.as_str(), Micros(self.now())]).map(drop)
    }
}

impl Reader<'_> {
    /// A token by its identifier.
    pub fn token(&self, id: &TokenId) -> Result<Option<Token>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens JOIN people ON people.n = tokens.person WHERE id = ?1"
        );
        self.row(&sql, [id.as_str()], read_token)
    }

    /// A token by the digest of its secret; whether it is good is for the caller to see.
    pub fn token_by_digest(&self, digest: &Digest) -> Result<Option<Token>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens JOIN people ON people.n = tokens.person \
             WHERE digest = ?1"
        );
        self.row(&sql, [Bytes32(*digest)], read_token)
    }

    /// Tokens, newest first; of one person or all.
    pub fn tokens(&self, name: Option<&str>) -> Result<Vec<Token>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tokens JOIN people ON people.n = tokens.person \
             WHERE ?1 IS NULL OR folded = ?1 ORDER BY tokens.created_at DESC, id DESC LIMIT ?2"
        );
        let name = name.map(super::folded);
        self.rows(&sql, params![name, signed(TOKENS_LISTED_MAX as u64)], read_token)
    }
}
