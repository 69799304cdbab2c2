//! The decision itself, small enough to be read at a glance and tested over all its inputs.

use serde::{Deserialize, Serialize};

use super::criteria::Mode;

/// What one source says of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It speaks for it.
    Yes,
    /// It speaks against it.
    No,
    /// It cannot tell.
    Unknown,
}

impl Answer {
    /// Every answer.
    pub const ALL: [Self; 3] = [Self::Yes, Self::No, Self::Unknown];
}

/// What follows for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The patch is proven.
    Verified,
    /// The patch is disproven, or the host is not as a patched host must be.
    Failed,
    /// The evidence does not suffice.
    Inconclusive,
    /// The ticket itself cannot be worked on; nothing is written to it.
    Unusable,
}

/// What follows from what the sources say. `is_complete` says whether the ticket names a host,
/// what was patched on it, and when: without them no source can speak for the patch.
#[must_use]
pub fn outcome(mode: Mode, is_complete: bool, scanner: Answer, sensor: Answer) -> Outcome {
    use Answer::{No, Unknown, Yes};
    if !is_complete {
        return Outcome::Inconclusive;
    }
    match (mode, scanner, sensor) {
        (_, No, _) | (_, _, No) => Outcome::Failed,
        (Mode::Both, Yes, Yes) => Outcome::Verified,
        (Mode::Either, Yes, Yes | Unknown) | (Mode::Either, Unknown, Yes) => Outcome::Verified,
        (Mode::Both, Unknown, Yes | Unknown)
        | (Mode::Both, Yes, Unknown)
        | (Mode::Either, Unknown, Unknown) => Outcome::Inconclusive,
    }
}
