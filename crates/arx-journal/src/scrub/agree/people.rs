//! Whether people, sessions, tokens and links are those that the log tells of.

use std::collections::{BTreeMap, BTreeSet};

use arx_audit::Leaf;

use super::{Found, each, text};
use crate::scrub::Damage;
use crate::{JournalError, Reader};

/// What the log says of who may ask.
#[derive(Default)]
pub(super) struct ToldPeople {
    people: BTreeMap<String, ToldPerson>,
    tokens: BTreeMap<String, ToldToken>,
    links: BTreeMap<String, ToldLink>,
    /// Who signed in, by the leaf.
    sessions: BTreeMap<u64, String>,
}

struct ToldPerson {
    seq: u64,
    role: String,
    is_disabled: bool,
    has_password: bool,
    /// The leaf that ended every session before it.
    ended: u64,
}

struct ToldToken {
    seq: u64,
    person: String,
    role: String,
    expires_at: String,
    is_revoked: bool,
}

struct ToldLink {
    seq: u64,
    person: Option<String>,
    is_used: bool,
}

impl ToldPeople {
    pub(super) fn hear(&mut self, leaf: &Leaf, status: &str) {
        let (seq, word) = (leaf.seq, |field| text(leaf, field).unwrap_or_default().to_owned());
        let name = word("person");
        match status {
            "person_added" => {
                let told = ToldPerson {
                    seq,
                    role: word("role"),
                    is_disabled: false,
                    has_password: false,
                    ended: seq,
                };
                self.people.insert(name, told);
            }
            "role_changed" => self.change(&name, seq, |told| told.role = word("role")),
            "person_disabled" => self.change(&name, seq, |told| told.is_disabled = true),
            "person_enabled" => self.change(&name, seq, |told| told.is_disabled = false),
            "password_set" => self.change(&name, seq, |told| told.has_password = true),
            "password_cleared" => self.change(&name, seq, |told| told.has_password = false),
            "signed_in" => {
                self.sessions.insert(seq, name);
            }
            "link_made" => {
                let person = text(leaf, "person").map(str::to_owned);
                self.links.insert(word("link"), ToldLink { seq, person, is_used: false });
            }
            "link_used" => {
                let person = Some(name);
                self.links.insert(word("link"), ToldLink { seq, person, is_used: true });
            }
            "token_made" => {
                let told = ToldToken {
                    seq,
                    person: name,
                    role: word("role"),
                    expires_at: word("expires_at"),
                    is_revoked: false,
                };
                self.tokens.insert(word("token"), told);
            }
            "token_revoked" => {
                if let Some(told) = self.tokens.get_mut(&word("token")) {
                    (told.seq, told.is_revoked) = (seq, true);
                }
            }
            _ => {}
        }
    }

    fn change(&mut self, name: &str, seq: u64, f: impl FnOnce(&mut ToldPerson)) {
        if let Some(told) = self.people.get_mut(name) {
            f(told);
            (told.seq, told.ended) = (seq, seq);
        }
    }
}

fn said(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

impl Reader<'_> {
    pub(super) fn people_agree(&self, told: &ToldPeople) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "people", list: Vec::new() };
        let mut seen = BTreeMap::new();
        let sql = "SELECT n, name, role, disabled_at IS NOT NULL, password_hash IS NOT NULL \
                   FROM people";
        each(self, sql, &[], |row| {
            let name: String = row.get(1)?;
            match told.people.get(&name) {
                None => found.untold(&name),
                Some(told) => {
                    let mut compare = |column, row: &str, said: &str| {
                        found.compare(&name, told.seq, column, row, said);
                    };
                    compare("role", row.get_ref(2)?.as_str()?, &told.role);
                    compare("disabled", said(row.get(3)?), said(told.is_disabled));
                    compare("has a password", said(row.get(4)?), said(told.has_password));
                }
            }
            seen.insert(row.get::<_, i64>(0)?, name);
            Ok(())
        })?;
        let names: BTreeSet<&String> = seen.values().collect();
        for (name, told) in &told.people {
            if !names.contains(name) {
                found.gone(name, told.seq, "");
            }
        }
        found.list.extend(self.sessions_agree(told, &seen)?);
        found.list.extend(self.tokens_agree(told, &seen)?);
        found.list.extend(self.links_agree(told, &seen)?);
        Ok(found.list)
    }

    fn sessions_agree(
        &self,
        told: &ToldPeople,
        people: &BTreeMap<i64, String>,
    ) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "sessions", list: Vec::new() };
        each(self, "SELECT seq, person FROM sessions", &[], |row| {
            let key = row.get::<_, i64>(0)?.to_string();
            let began = key.parse().ok().and_then(|seq: u64| Some((seq, told.sessions.get(&seq)?)));
            match began {
                Some((seq, name)) if people.get(&row.get(1)?) == Some(name) => {
                    if let Some(told) = told.people.get(name).filter(|told| told.ended > seq) {
                        let says = format!("is still there, leaf {} ended it", told.ended);
                        found.add(&key, Some(told.ended), says);
                    }
                }
                _ => found.untold(&key),
            }
            Ok(())
        })?;
        Ok(found.list)
    }

    fn tokens_agree(
        &self,
        told: &ToldPeople,
        people: &BTreeMap<i64, String>,
    ) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "tokens", list: Vec::new() };
        let sql = "SELECT id, person, role, expires_at, revoked_at IS NOT NULL FROM tokens";
        each(self, sql, &[], |row| {
            let id: String = row.get(0)?;
            let Some(told) = told.tokens.get(&id) else {
                found.untold(&id);
                return Ok(());
            };
            let person = people.get(&row.get(1)?).map(String::as_str);
            let expires_at = row.get::<_, crate::column::Micros>(3)?.0.to_string();
            let mut compare = |column, row: &str, said: &str| {
                found.compare(&id, told.seq, column, row, said);
            };
            compare("person", person.unwrap_or_default(), &told.person);
            compare("role", row.get_ref(2)?.as_str()?, &told.role);
            compare("expires_at", &expires_at, &told.expires_at);
            compare("revoked", said(row.get(4)?), said(told.is_revoked));
            Ok(())
        })?;
        Ok(found.list)
    }

    /// A link that was replaced is gone; one that was used stays, so that it is not used again.
    fn links_agree(
        &self,
        told: &ToldPeople,
        people: &BTreeMap<i64, String>,
    ) -> Result<Vec<Damage>, JournalError> {
        let mut found = Found { table: "links", list: Vec::new() };
        each(self, "SELECT id, person, used_at IS NOT NULL FROM links", &[], |row| {
            let id: String = row.get(0)?;
            let Some(told) = told.links.get(&id) else {
                found.untold(&id);
                return Ok(());
            };
            let person: Option<i64> = row.get(1)?;
            let person = person.and_then(|n| people.get(&n)).map(String::as_str);
            let mut compare = |column, row: &str, said: &str| {
                found.compare(&id, told.seq, column, row, said);
            };
            compare(
                "person",
                person.unwrap_or_default(),
                told.person.as_deref().unwrap_or_default(),
            );
            compare("used", said(row.get(2)?), said(told.is_used));
            Ok(())
        })?;
        Ok(found.list)
    }
}
