//! What the gate decides, and the score it decides with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::RiskClass;

/// The gate's answer to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The call goes to the vendor.
    Permit,
    /// A human decides; the run parks until then.
    Escalate,
    /// The call never reaches the vendor.
    Deny,
}

impl Verdict {
    /// The word used in records: `PERMIT`, `ESCALATE` or `DENY`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "PERMIT",
            Self::Escalate => "ESCALATE",
            Self::Deny => "DENY",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The environment that an operation acts on, where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The operation has no target environment.
    #[default]
    None,
    /// Development.
    Dev,
    /// Staging.
    Staging,
    /// It has one, and nobody knows which.
    Unknown,
    /// Production.
    Production,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "dev" => Ok(Self::Dev),
            "staging" => Ok(Self::Staging),
            "unknown" => Ok(Self::Unknown),
            "production" => Ok(Self::Production),
            _ => Err(format!(
                "`{text}` is not a target; write `none`, `dev`, `staging`, `unknown` or `production`"
            )),
        }
    }
}

/// One addend of a risk score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskFactor {
    /// `operation`, `connector`, `frequency` or `target`.
    pub name: String,
    /// Points added.
    pub points: u8,
    /// What it was measured on, e.g. `create` or `12 writes in the last hour`.
    pub on: String,
}

/// A risk score with the way it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskScore {
    /// The operation's declared class.
    pub class: RiskClass,
    /// The sum of the factors, at most 100.
    pub raw: u8,
    /// `raw` clamped into the band of the class; this one is compared with the threshold.
    pub score: u8,
    /// The addends of `raw`.
    pub factors: Vec<RiskFactor>,
}

/// A verdict with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// The rule, limit or threshold that decided, e.g. `page`, `limit pagerduty.incidents:create`
    /// or `risk_threshold`; `None` where no rule matched.
    pub rule: Option<String>,
    /// Every reason, in the order of evaluation, as sentences for people.
    pub reasons: Vec<String>,
    /// The score, present unless the operation is unknown.
    pub risk: Option<RiskScore>,
}
