//! Simulated clock, seeded randomness, hermetic environments; for tests only.
#![expect(clippy::expect_used, reason = "a broken test environment fails the test at once")]

mod gate;

pub use gate::{TestGate, WORKFLOW};
