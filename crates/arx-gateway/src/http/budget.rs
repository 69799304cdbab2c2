//! One vendor's rate budget, shared by the whole process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::connector::BudgetReading;

/// At most so many requests in any window of this length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Requests in one window.
    pub requests: u32,
    /// Length of the window.
    pub per: Duration,
}

/// Longest wait for a budget that a vendor's headers can impose; a header that says more is
/// taken as this, and the next reply says the rest.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Decides when the next request to one vendor may be sent.
///
/// The limit is kept as a sliding window of send times, so that no window of the vendor's,
/// wherever it begins, ever holds more than the limit.
#[derive(Debug)]
pub struct Budget {
    limit: Option<RateLimit>,
    in_flight: Arc<Semaphore>,
    state: Mutex<State>,
    health: Mutex<Health>,
}

/// How a vendor has answered lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// When it last answered a request, if it ever did.
    pub last_success: Option<Timestamp>,
    /// When it last failed to, and how.
    pub last_failure: Option<(Timestamp, String)>,
}

#[derive(Debug, Default)]
struct State {
    sent: VecDeque<Instant>,
    closed_until: Option<Instant>,
}

impl Budget {
    /// A budget of `limit`, with at most `in_flight_max` requests at once.
    #[must_use]
    pub fn new(limit: Option<RateLimit>, in_flight_max: usize) -> Self {
        Self {
            limit,
            in_flight: Arc::new(Semaphore::new(in_flight_max.max(1))),
            state: Mutex::default(),
            health: Mutex::default(),
        }
    }

    /// The limit that is kept, if any.
    #[must_use]
    pub fn limit(&self) -> Option<RateLimit> {
        self.limit
    }

    /// Waits for a turn. The place is held until the reply is read.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed; were it, running without a place is the safe answer
        // for the caller and the sliding window still holds.
        let place = Arc::clone(&self.in_flight).acquire_owned().await.ok();
        while let Some(wait) = self.claim(Instant::now()) {
            tokio::time::sleep(wait).await;
        }
        place
    }

    /// Records a send now, or tells how long to wait before asking again.
    fn claim(&self, now: Instant) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = state.closed_until {
            if until > now {
                return Some(until - now);
            }
            state.closed_until = None;
        }
        let limit = self.limit?;
        while state.sent.front().is_some_and(|sent| now.duration_since(*sent) >= limit.per) {
            state.sent.pop_front();
        }
        if state.sent.len() >= limit.requests.max(1) as usize {
            let oldest = state.sent.front().copied().unwrap_or(now);
            return Some((oldest + limit.per).saturating_duration_since(now));
        }
        state.sent.push_back(now);
        None
    }

    /// Keeps how a request went.
    pub(crate) fn answered(&self, at: Timestamp, answer: Result<(), String>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(()) => health.last_success = Some(at),
            Err(why) => health.last_failure = Some((at, why)),
        }
    }

    /// How the vendor has answered lately.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests may be sent now, where there is a limit, and for how long none may.
    #[must_use]
    pub fn left(&self) -> (Option<u32>, Option<Duration>) {
        let now = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let closed_for = state.closed_until.and_then(|until| until.checked_duration_since(now));
        let left = self.limit.map(|limit| {
            let in_window = |sent: &&Instant| now.duration_since(**sent) < limit.per;
            let n_sent = state.sent.iter().filter(in_window).count();
            limit.requests.saturating_sub(u32::try_from(n_sent).unwrap_or(u32::MAX))
        });
        (left, closed_for.filter(|wait| !wait.is_zero()))
    }

    /// Closes the budget for a while.
    pub(crate) fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait.min(WAIT_MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed_until.is_none_or(|present| present < until) {
            state.closed_until = Some(until);
        }
    }

    /// Takes in what reply headers say: an exhausted budget is not asked again before its reset.
    pub(crate) fn observe(&self, reading: BudgetReading) {
        if reading.remaining == 0 && !reading.reset_in.is_zero() {
            self.close_for(reading.reset_in);
        }
    }
}
