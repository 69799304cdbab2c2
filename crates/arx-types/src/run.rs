//! States of runs and effects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a run touches the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunMode {
    /// Real vendors.
    Live,
    /// Embedded simulators. Effects and episodes are kept apart from live ones.
    Simulate,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Started and not ended; its process may be alive or dead.
    Running,
    /// Waits for an approval.
    Parked,
    /// Every item succeeded.
    Succeeded,
    /// The run or at least one item failed.
    Failed,
    /// An effect's outcome is unknown and a human must say what happened.
    NeedsAttention,
    /// Stopped by a signal; resumes.
    Interrupted,
    /// Cancelled by a human; never resumes.
    Cancelled,
}

impl RunStatus {
    /// The word used in records and in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Parked => "parked",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::NeedsAttention => "needs_attention",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run may still go on.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        match self {
            Self::Running | Self::Parked | Self::NeedsAttention | Self::Interrupted => true,
            Self::Succeeded | Self::Failed | Self::Cancelled => false,
        }
    }

    /// The status of a recorded word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Running,
            Self::Parked,
            Self::Succeeded,
            Self::Failed,
            Self::NeedsAttention,
            Self::Interrupted,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an effect stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectState {
    /// The intent is on disk; the request may or may not have been sent. An intent found in this
    /// state by anyone but its sender is of unknown outcome.
    Intended,
    /// It happened; the result is recorded.
    Done,
    /// The vendor refused it, or it provably never happened; it may be tried again.
    Failed,
    /// Whether it happened could not be found out; a human decides.
    Unknown,
}

impl EffectState {
    /// The word used in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a recorded word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Intended, Self::Done, Self::Failed, Self::Unknown]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}
