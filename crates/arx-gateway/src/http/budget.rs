//! One vendor's rate budget, shared by the whole process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
