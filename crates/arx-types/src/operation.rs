//! Operations: what a workflow may ask of a connector, and how risky that is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Risk class of an operation, declared in its connector's catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RiskClass {
    /// Reads.
    Low,
    /// Writes that are easily undone.
    Medium,
    /// Writes that interrupt someone's work.
    High,
    /// Writes that can take a service down or destroy data.
    Critical,
}

impl RiskClass {
    /// The word used in records: `LOW`, `MEDIUM`, `HIGH` or `CRITICAL`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for RiskClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an operation changes anything at the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Changes nothing; may be repeated freely.
    Read,
    /// Has an effect; needs an effect key.
    Write,
}

/// One entry of a connector's catalogue.
///
/// The class is a field and not an option: an operation without a risk class does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationSpec {
    /// `resource:verb`, e.g. `findings:read`.
    pub name: &'static str,
    /// Declared risk class.
    pub class: RiskClass,
    /// Read or write.
    pub access: Access,
    /// Whether the operation acts on a host or service that has an environment
    /// (dev, staging, production); the risk score then counts the target.
    pub targeted: bool,
    /// False for operations that the catalogue only names, so that refusing them is a decision
    /// with a record. They have no implementation and cannot be permitted.
    pub implemented: bool,
    /// One sentence for people.
    pub summary: &'static str,
}

impl OperationSpec {
    /// An operation that is only named, so that refusing it is a decision with a record.
    #[must_use]
    pub const fn named(
        name: &'static str,
        class: RiskClass,
        access: Access,
        summary: &'static str,
    ) -> Self {
        Self { name, class, access, targeted: false, implemented: false, summary }
    }

    /// The same on a host or service that has an environment.
    #[must_use]
    pub const fn targeted(mut self) -> Self {
        self.targeted = true;
        self
    }
}

/// A connector's operation, written `pagerduty.incidents:create`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Operation {
    /// The connector's name, `pagerduty`.
    pub connector: String,
    /// `resource:verb`, `incidents:create`.
    pub name: String,
}

impl Operation {
    /// An operation from its two halves.
    #[must_use]
    pub fn new(connector: &str, name: &str) -> Self {
        Self { connector: connector.to_owned(), name: name.to_owned() }
    }

    /// The verb after the last `:`, `create`.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or_default()
    }
}

/// Why a text is not an operation.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not an operation; write `connector.resource:verb`, e.g. `jira.issues:create`")]
pub struct OperationError {
    /// What was given.
    pub text: String,
}

impl FromStr for Operation {
    type Err = OperationError;

    fn from_str(text: &str) -> Result<Self, OperationError> {
        let error = || OperationError { text: text.to_owned() };
        let (connector, name) = text.split_once('.').ok_or_else(error)?;
        let (resource, verb) = name.rsplit_once(':').ok_or_else(error)?;
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:".contains(&b))
        };
        if !(word(connector) && word(resource) && word(verb)) {
            return Err(error());
        }
        Ok(Self::new(connector, name))
    }
}

impl TryFrom<String> for Operation {
    type Error = OperationError;

    fn try_from(text: String) -> Result<Self, OperationError> {
        text.parse()
    }
}

impl From<Operation> for String {
    fn from(operation: Operation) -> String {
        operation.to_string()
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.connector, self.name)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
