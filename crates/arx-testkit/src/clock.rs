//! A clock that a test sets: it stands still, or runs along with real time from where it was set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arx_journal::{Clock, SystemClock};
use jiff::Timestamp;

/// 2026-01-01T00:00:00Z, in microseconds.
const START: i64 = 1_767_225_600_000_000;

/// A clock that a test sets. It counts microseconds, as the journal does.
#[derive(Debug)]
pub struct SimClock {
    /// Its time; of one that runs, its time when it began to.
    now: AtomicI64,
    /// Since when it runs.
    running: Option<Instant>,
}

impl SimClock {
    /// A clock at the first instant of 2026, the same in every test.
    #[must_use]
    pub fn new() -> Self {
        Self { now: AtomicI64::new(START), running: None }
    }

    /// A clock at an instant.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.as_microsecond()), running: None }
    }

    /// A clock that shows the real time and goes on from there, until it is moved.
    #[must_use]
    pub fn running() -> Self {
        let now = SystemClock.now().as_microsecond();
        Self { now: AtomicI64::new(now), running: Some(Instant::now()) }
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(micros(by), Ordering::SeqCst);
    }

    /// Moves back, as a clock does that was ahead and is set right.
    pub fn step_back(&self, by: Duration) {
        self.now.fetch_sub(micros(by), Ordering::SeqCst);
    }

    /// Jumps, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.as_microsecond() - self.elapsed(), Ordering::SeqCst);
    }

    /// How long it has been running.
    fn elapsed(&self) -> i64 {
        self.running.map_or(0, |since| micros(since.elapsed()))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let now = self.now.load(Ordering::SeqCst).saturating_add(self.elapsed());
        Timestamp::from_microsecond(now).unwrap_or(Timestamp::MAX)
    }
}
