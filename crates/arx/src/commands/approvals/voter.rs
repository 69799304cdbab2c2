//! Who votes, and whether the policy asks them.
//!
//! The command line cannot check who somebody is; it records what they say. What it does check:
//! that a policy which names people gets a vote of one of these, that a policy which names nobody
//! gets none, and that a role is not taken for a person, so that one person stays one vote.

use crate::command_error::CommandError;
use crate::commands::lookup;

/// What stands before a role in the list of approvers.
const ROLE: &str = "role";
/// What may stand before a person.
const USER: &str = "user";

/// Somebody who votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Voter {
    /// Who.
    pub(super) name: String,
    /// In which role, in their own words.
    pub(super) role: Option<String>,
}

/// As whom somebody may vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The policy names them.
    Named,
    /// The policy asks a role, and nobody can check here who has it.
    Role(String),
}

/// Why somebody may not vote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAsked {
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
}

impl Voter {
    /// Reads `NAME`, `ROLE:NAME`, or `role:ROLE`, which is `actor` in that role.
    pub(super) fn parse(text: &str, actor: &str) -> Result<Self, CommandError> {
        let text = lookup::person(text)?;
        let Some((before, after)) = text.split_once(':') else {
            return Ok(Self { name: text, role: None });
        };
        if before == USER && !after.trim().is_empty() {
            return Ok(Self { name: after.trim().to_owned(), role: None });
        }
        let (role, name) = if before == ROLE { (after, actor) } else { (before, after) };
        if role.trim().is_empty() || name.trim().is_empty() {
            return Err(CommandError::user(format!("`{text}` names no person"))
                .hint("write --as NAME, --as ROLE:NAME, or --as role:ROLE"));
        }
        Ok(Self { name: name.trim().to_owned(), role: Some(role.trim().to_owned()) })
    }

    /// Whether the approvers of a request include this voter.
    pub(super) fn standing(&self, approvers: &[String]) -> Result<Standing, NotAsked> {
        if approvers.is_empty() {
            return Err(NotAsked::Nobody);
        }
        let roles: Vec<&str> = approvers
            .iter()
            .filter_map(|entry| entry.split_once(':'))
            .filter(|(kind, _)| *kind == ROLE)
            .map(|(_, role)| role)
            .collect();
        let is_named = approvers.iter().any(|entry| {
            let person = entry.split_once(':').filter(|(kind, _)| *kind == USER);
            person.map_or(entry.as_str(), |(_, name)| name) == self.name
        });
        let role = match &self.role {
            Some(claimed) => roles.iter().find(|role| *role == claimed),
            None => roles.first(),
        };
        match role {
            _ if is_named => Ok(Standing::Named),
            Some(role) => Ok(Standing::Role((*role).to_owned())),
            None => Err(NotAsked::Other { who: self.name.clone(), approvers: approvers.to_vec() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, Voter};

    #[track_caller]
    fn parses(text: &str, name: &str, role: Option<&str>) {
        let voter = Voter::parse(text, "me").unwrap();
        assert_eq!((voter.name.as_str(), voter.role.as_deref()), (name, role));
    }

    #[track_caller]
    fn may(who: &str, approvers: &[&str], expected: Result<Standing, &str>) {
        let approvers: Vec<String> = approvers.iter().map(|entry| (*entry).to_owned()).collect();
        let standing = Voter::parse(who, "me").unwrap().standing(&approvers);
        let standing = standing.map_err(|refusal| refusal.to_string());
        assert_eq!(standing, expected.map_err(str::to_owned));
    }

    #[test]
    fn a_voter_is_a_person() {
        parses("bob", "bob", None);
        parses(" bob@example.com ", "bob@example.com", None);
        parses("approver:bob", "bob", Some("approver"));
        parses("role:approver", "me", Some("approver"));
        parses("user:bob", "bob", None);
        for text in ["", " ", ":bob", "approver:", "role:", "user:", "a\u{1b}b"] {
            assert!(Voter::parse(text, "me").is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_policy_says_who_is_asked() {
        let role = || Ok(Standing::Role("approver".to_owned()));
        may("bob", &["role:approver"], role());
        may("approver:bob", &["role:approver"], role());
        may("bob", &["bob"], Ok(Standing::Named));
        may("bob", &["user:bob"], Ok(Standing::Named));
        may("user:bob", &["bob"], Ok(Standing::Named));
        may("approver:bob", &["bob"], Ok(Standing::Named));
        may("bob", &["carol", "role:approver"], role());
        may("bob", &["carol", "dave"], Err("`bob` is not among the approvers: carol, dave"));
        may(
            "auditor:bob",
            &["role:approver"],
            Err("`bob` is not among the approvers: role:approver"),
        );
        may(
            "bob",
            &[],
            Err("the policy names no approver, so nobody may decide; the request waits until it \
                 expires"),
        );
    }
}
