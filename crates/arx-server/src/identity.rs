//! People, their roles, sessions and tokens: who asks, and what they may.
//!
//! INVARIANT (nothing in the clear): passwords are kept as Argon2id hashes; sessions, API tokens
//! and one-time links as SHA-256 digests of random values. None of them is ever logged.

use arx_journal::Journal;

/// What somebody may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything but credentials and people's tokens.
    Viewer,
    /// Also decide approvals.
    Approver,
    /// Also register, stop, start, run, cancel, settle, and manage people.
    Admin,
}

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// A browser's session. Every request that changes something must carry its CSRF token.
    Session {
        /// What forms of this session must carry.
        csrf: String,
    },
    /// An API token, which browsers never send by themselves.
    Token {
        /// Which one.
        id: String,
    },
}

/// Knows who people are.
pub struct Identity {
    journal: Journal,
}

impl Identity {
    /// The people of a journal.
    #[must_use]
    pub fn new(journal: Journal) -> Self {
        Self { journal }
    }

    /// Where they are recorded.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}
