//! Randomness that a failing test can be run with again.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng as _};

/// The variable that replaces the seed of every generator.
const SEED_VARIABLE: &str = "ARX_TEST_SEED";

/// A generator that prints its seed when the test that holds it fails.
#[derive(Debug)]
pub struct SeededRng {
    name: String,
    seed: u64,
    rng: StdRng,
}

/// A generator with a seed made of its name, or with that of `ARX_TEST_SEED`.
#[must_use]
pub fn seeded_rng(name: &str) -> SeededRng {
    #[expect(clippy::disallowed_methods, reason = "it is for tests, which clap does not start")]
    let given = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
    SeededRng::new(name, given.unwrap_or_else(|| seed_of(name)))
}

impl SeededRng {
    /// A generator with a given seed, for tests that go through many.
    #[must_use]
    pub fn new(name: &str, seed: u64) -> Self {
        Self { name: name.to_owned(), seed, rng: StdRng::seed_from_u64(seed) }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        self.rng.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }
}

impl Drop for SeededRng {
    #[expect(clippy::print_stderr, reason = "the seed belongs beside the failure it replays")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("`{}` failed with {SEED_VARIABLE}={}", self.name, self.seed);
        }
    }
}

fn seed_of(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
