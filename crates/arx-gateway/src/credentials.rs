//! Credentials and configuration variables.
//!
//! This is the one place that reads the environment. Secret values leave it only inside an
//! `Authorization` header or a token request, and [`Secrets::scrub`] removes them from any text
//! that a vendor may have echoed.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use crate::connector::{ConnectorSpec, Variable};

/// Shortest secret that is searched for in texts; shorter ones would redact ordinary words.
const SCRUB_BYTES_MIN: usize = 6;
/// What stands in a text where a secret was.
const REDACTED: &str = "[redacted]";

/// Where variables come from.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, SecretString>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process that the given connectors name, and no others.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn of_process<'a>(specs: impl IntoIterator<Item = &'a ConnectorSpec>) -> Self {
        let names = specs.into_iter().flat_map(|spec| spec.variables).map(|variable| variable.name);
        Self::from_pairs(
            names.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))),
        )
    }

    /// The variables of this process with these names, and no others.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn named(names: &[&str]) -> Self {
        let set = names.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?)));
        Self::from_pairs(set.map(|(name, value)| (name.to_owned(), value)))
    }

    /// The value of a variable.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// Given variables, e.g. those of the simulators.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let trimmed = pairs.into_iter().map(|(name, value)| (name, value.trim().to_owned()));
        let set = trimmed.filter(|(_, value)| !value.is_empty());
        Self { values: set.map(|(name, value)| (name, SecretString::from(value))).collect() }
    }

    /// Names of the required variables of a connector that are not set.
    #[must_use]
    pub fn missing(&self, spec: &ConnectorSpec) -> Vec<&'static str> {
        let unset =
            |variable: &&Variable| variable.required && !self.values.contains_key(variable.name);
        spec.variables.iter().filter(unset).map(|variable| variable.name).collect()
    }

    pub(crate) fn split(&self, spec: &ConnectorSpec) -> (Variables, Secrets) {
        let mut variables = Variables::default();
        let mut secrets = Secrets::default();
        for variable in spec.variables {
            let Some(value) = self.values.get(variable.name) else { continue };
            variables.set.insert(variable.name);
            if variable.secret {
                secrets.values.insert(variable.name, value.clone());
            } else {
                variables.values.insert(variable.name, value.expose_secret().to_owned());
            }
        }
        (variables, secrets)
    }
}

/// A connector's variables without the values of the secret ones.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    set: std::collections::BTreeSet<&'static str>,
    values: BTreeMap<&'static str, String>,
}

impl Variables {
    /// The value of a variable that is not secret.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether a variable has a value, secret or not.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains(name)
    }
}

/// The secret values of one connector.
#[derive(Clone, Default)]
pub(crate) struct Secrets {
    values: BTreeMap<&'static str, SecretString>,
    /// Secrets that come from secrets: access tokens, encoded headers.
    derived: Vec<SecretString>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Secrets {
    pub(crate) fn get(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    pub(crate) fn remember(&mut self, derived: SecretString) {
        // A token lives for minutes to hours; the latest few are all that a reply can echo.
        const DERIVED_MAX: usize = 4;
        if self.derived.len() >= DERIVED_MAX {
            self.derived.remove(0);
        }
        self.derived.push(derived);
    }

    pub(crate) fn knows(&self, secret: &SecretString) -> bool {
        self.values
            .values()
            .chain(&self.derived)
            .any(|known| known.expose_secret() == secret.expose_secret())
    }

    /// `text` with every secret value, plain or in Base64, replaced.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in self.values.values().chain(&self.derived) {
            let plain = secret.expose_secret();
            if plain.len() < SCRUB_BYTES_MIN {
                continue;
            }
            clean = clean.replace(plain, REDACTED);
            clean = clean.replace(&STANDARD.encode(plain), REDACTED);
        }
        clean
    }
}
