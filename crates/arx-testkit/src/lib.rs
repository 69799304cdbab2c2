//! What tests share: a clock that says what it is told, randomness that replays, and a place of
//! their own.
//!
//! For tests only: nothing that ships may depend on it. Start at [`TestEnv`], at [`TestGate`] for
//! a connector, or at [`world::TestWorld`] for whole runs.
#![expect(clippy::expect_used, reason = "a broken test environment fails the test at once")]

mod clock;
mod environment;
mod gate;
mod randomness;
pub mod world;

#[cfg(test)]
mod tests;

pub use clock::SimClock;
pub use environment::TestEnv;
pub use gate::{TestGate, WORKFLOW, action};
pub use randomness::{SeededRng, seeded_rng};
