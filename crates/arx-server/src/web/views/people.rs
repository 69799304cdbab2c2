//! People and tokens, without anything that would let somebody in.

use arx_journal::people::{Person, Token};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::identity::{Caller, Via};
use crate::web::times::At;

/// A person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// Their name.
    pub(crate) name: String,
    /// `viewer`, `approver` or `admin`.
    pub(crate) role: String,
    /// Whether they chose a password, and so can sign in.
    pub(crate) has_password: bool,
    /// Since when they are known.
    pub(crate) created_at: At,
    /// Who added them.
    pub(crate) created_by: String,
    /// Since when they may do nothing.
    pub(crate) disabled_at: Option<At>,
}

impl PersonView {
    pub(crate) fn of(person: &Person) -> Self {
        Self {
            name: person.name.clone(),
            role: person.role.as_str().to_owned(),
            has_password: person.has_password,
            created_at: person.created_at.into(),
            created_by: person.created_by.clone(),
            disabled_at: person.disabled_at.map(At),
        }
    }
}

/// An API token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    /// Its identifier, which is no secret.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) person: String,
    /// What it is for.
    pub(crate) label: String,
    /// What it may do now.
    pub(crate) role: String,
    /// Whether it is good now.
    pub(crate) good: bool,
    /// When it was made.
    pub(crate) created_at: At,
    /// When it ends.
    pub(crate) expires_at: At,
    /// Since when it does nothing.
    pub(crate) revoked_at: Option<At>,
    /// When it was last used, to the minute.
    pub(crate) last_used_at: Option<At>,
}

impl TokenView {
    pub(crate) fn of(token: &Token, now: Timestamp) -> Self {
        Self {
            id: token.id.to_string(),
            person: token.person.clone(),
            label: token.label.clone(),
            role: token.role.as_str().to_owned(),
            good: token.is_good(now),
            created_at: token.created_at.into(),
            expires_at: token.expires_at.into(),
            revoked_at: token.revoked_at.map(At),
            last_used_at: token.last_used_at.map(At),
        }
    }
}

/// Whoever asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MeView {
    /// Their name.
    pub(crate) name: String,
    /// What they may do by this way.
    pub(crate) role: String,
    /// `session` or `token`.
    pub(crate) via: String,
    /// Which token, where it is one.
    pub(crate) token: Option<String>,
}

impl MeView {
    pub(crate) fn of(caller: &Caller) -> Self {
        let (via, token) = match &caller.via {
            Via::Session { .. } => ("session", None),
            Via::Token { id } => ("token", Some(id.to_string())),
        };
        Self {
            name: caller.name.clone(),
            role: caller.role.as_str().to_owned(),
            via: via.to_owned(),
            token,
        }
    }
}
