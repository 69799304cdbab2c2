//! Who votes, and whether the policy asks them.
//!
//! A request from the console or the API says who asks and what they may. The command line says
//! what it likes: while nobody is known it is recorded as said, and from then on it must name
//! somebody who is known and enabled. A policy that names nobody gets no vote, and a role is not
//! taken for a person, so that one person stays one vote.

use arx_journal::people::folded;
use arx_journal::{JournalError, Reader};
use arx_types::{Role, TokenId};

/// What stands before a role in the list of approvers.
const ROLE: &str = "role";
/// What may stand before a person.
const USER: &str = "user";

/// Somebody who votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// Who.
    pub name: String,
    /// In which role, in their own words.
    pub role: Option<String>,
    /// How they are known to be who they say.
    pub proof: Proof,
}

/// How somebody is known to be who they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Whoever has the state directory says so.
    Said,
    /// They signed in, and may do this at the most.
    Session(Role),
    /// A token of theirs was sent, which may do this at the most.
    Token(TokenId, Role),
}

/// As whom somebody may vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The policy names them.
    Named,
    /// The policy asks a role; whether they have it was checked, where anybody is known.
    Role { role: String, checked: bool },
}

/// Why somebody may not vote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The policy names no approver.
    #[error(
        "the policy names no approver, so nobody may decide; the request waits until it expires"
    )]
    Nobody,
    /// The policy names others.
    #[error("`{who}` is not among the approvers: {}", approvers.join(", "))]
    Other {
        /// Who tried.
        who: String,
        /// Who is asked.
        approvers: Vec<String>,
    },
    /// People are known, and this is none of them, or one who may do nothing.
    #[error("`{who}` is nobody who is known here and enabled")]
    Unknown {
        /// Who tried.
        who: String,
    },
    /// They may not decide anything, or not with this token.
    #[error("`{who}` is {has} here, and cannot decide")]
    Lesser {
        /// Who tried.
        who: String,
        /// What they may do.
        has: Role,
    },
}

impl Voter {
    /// Somebody whom the command line names: `NAME`, `ROLE:NAME`, `user:NAME`, or `role:ROLE`,
    /// which is `actor` in that role. None where it names no person.
    #[must_use]
    pub fn said(text: &str, actor: &str) -> Option<Self> {
        let text = text.trim();
        let voter = |name: &str, role: Option<&str>| {
            let (name, role) = (name.trim(), role.map(str::trim));
            (!name.is_empty() && role != Some("")).then(|| Self {
                name: name.to_owned(),
                role: role.map(str::to_owned),
                proof: Proof::Said,
            })
        };
        match text.split_once(':') {
            None => voter(text, None),
            Some((USER, name)) => voter(name, None),
            Some((ROLE, role)) => voter(actor, Some(role)),
            Some((role, name)) => voter(name, Some(role)),
        }
    }

    /// Somebody whose request was authenticated.
    #[must_use]
    pub fn proven(name: &str, proof: Proof) -> Self {
        Self { name: name.to_owned(), role: None, proof }
    }

    /// The voter under the name that the record has, and as whom they may vote.
    pub(super) fn standing(
        &self,
        reader: &Reader<'_>,
        approvers: &[String],
    ) -> Result<Result<(Self, Standing), NotAsked>, JournalError> {
        if approvers.is_empty() {
            return Ok(Err(NotAsked::Nobody));
        }
        let person = reader.person(&self.name)?.filter(arx_journal::Person::is_enabled);
        let most = match (&self.proof, &person) {
            (Proof::Said, Some(person)) => Some(person.role),
            (Proof::Session(most) | Proof::Token(_, most), Some(person)) => {
                Some(person.role.min(*most))
            }
            (Proof::Said, None) if !reader.knows_people()? => None,
            (_, None) => return Ok(Err(NotAsked::Unknown { who: self.name.clone() })),
        };
        let name = person.map_or_else(|| self.name.clone(), |person| person.name);
        let known = Self { name, ..self.clone() };
        Ok(known.asked(approvers, most).map(|standing| (known, standing)))
    }

    /// Whether the approvers include this voter, who may do this at the most; nobody knows what,
    /// where nobody is known.
    fn asked(&self, approvers: &[String], most: Option<Role>) -> Result<Standing, NotAsked> {
        let is_named = approvers.iter().any(|entry| {
            let person = entry.split_once(':').filter(|(kind, _)| *kind == USER);
            let name = person.map_or(entry.as_str(), |(_, name)| name);
            folded(name) == folded(&self.name)
        });
        let mut roles = approvers
            .iter()
            .filter_map(|entry| entry.split_once(':'))
            .filter(|(kind, _)| *kind == ROLE)
            .map(|(_, role)| role)
            .filter(|role| self.role.as_deref().is_none_or(|claimed| claimed == *role))
            .filter(|role| match most {
                // Each role includes those before it; a word that is none here is nobody's.
                Some(most) => Role::parse(role).is_some_and(|asked| most >= asked),
                None => true,
            });
        if is_named && most.is_none_or(|most| most >= Role::Approver) {
            return Ok(Standing::Named);
        }
        if let Some(role) = roles.next() {
            return Ok(Standing::Role { role: role.to_owned(), checked: most.is_some() });
        }
        let who = self.name.clone();
        Err(match most {
            Some(has) if is_named => NotAsked::Lesser { who, has },
            _ => NotAsked::Other { who, approvers: approvers.to_vec() },
        })
    }
}
