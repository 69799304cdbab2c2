//! Time, as the journal sees it.
//!
//! [`SystemClock`] is the only place in the product that asks the system for the time; everything
//! that records or compares an instant takes a [`Clock`], so that tests can say what time it is.

use jiff::Timestamp;

/// Tells the time.
///
/// It may step backwards (an administrator or NTP may set it); whoever needs an order uses the
/// positions and sequence numbers of the journal, never two readings of a clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where everyone else's time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
