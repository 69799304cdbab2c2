//! Worlds: live effects and simulated ones never meet.

use std::fmt;
use std::str::FromStr;

use arx_types::RunMode;

use crate::JournalError;

const LIVE: &str = "live";
const SIMULATE: &str = "simulate:";

/// The namespace that effects, episodes and limits are kept apart by: `live`, or
/// `simulate:<scenario>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct World(String);

impl World {
    /// The real vendors.
    #[must_use]
    pub fn live() -> Self {
        Self(LIVE.to_owned())
    }

    /// The simulators, playing a scenario.
    #[must_use]
    pub fn simulate(scenario: &str) -> Self {
        Self(format!("{SIMULATE}{scenario}"))
    }

    /// The text form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the real one.
    #[must_use]
    pub fn mode(&self) -> RunMode {
        if self.0 == LIVE { RunMode::Live } else { RunMode::Simulate }
    }

    /// The scenario that the simulators play, in a simulated world.
    #[must_use]
    pub fn scenario(&self) -> Option<&str> {
        self.0.strip_prefix(SIMULATE)
    }
}

impl FromStr for World {
    type Err = JournalError;

    fn from_str(text: &str) -> Result<Self, JournalError> {
        if text == LIVE || text.starts_with(SIMULATE) {
            return Ok(Self(text.to_owned()));
        }
        let reason = format!("`{text}` is not `live` or `simulate:<scenario>`");
        Err(JournalError::Invalid { what: "world", reason })
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
