//! Simulated clock, seeded randomness, hermetic environments; for tests only.
