//! How often somebody may try: five times for a name and twenty times from an address, and then
//! ever longer in between.
//!
//! It is kept in memory and bounded: a restart forgives, a flood of names pushes out those that
//! failed the least. Time is the journal's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arx_types::Digest;
use jiff::{SignedDuration, Timestamp};

use super::name_digest;

/// Attempts for one name before waiting begins.
const FREE_FOR_NAME: u32 = 5;
/// Attempts from one address before waiting begins; an office has one address.
const FREE_FROM_ADDRESS: u32 = 20;
/// The first wait; each further failure doubles it.
const WAIT_FIRST: SignedDuration = SignedDuration::from_secs(15);
/// The longest wait.
const WAIT_MAX: SignedDuration = SignedDuration::from_mins(15);
/// What failed so long ago is forgotten.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// Names and addresses remembered at once.
const REMEMBERED_MAX: usize = 20_000;
/// The bits of an IPv6 address that one customer has.
const IPV6_PREFIX: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Name(Digest),
    Address(IpAddr),
}

impl Key {
    fn n_free(self) -> u32 {
        match self {
            Self::Name(_) => FREE_FOR_NAME,
            Self::Address(_) => FREE_FROM_ADDRESS,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    n: u32,
    last: Timestamp,
}

/// One attempt under way.
pub(super) struct Attempt([Key; 2]);

/// What is remembered of attempts that failed.
pub(super) struct Attempts {
    failed: Mutex<HashMap<Key, Failures>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self { failed: Mutex::new(HashMap::new()) }
    }

    /// Counts an attempt as failed, or says how long to wait before the next one. Waiting is not
    /// prolonged by not waiting.
    pub(super) fn begin(
        &self,
        name: &str,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<Attempt, SignedDuration> {
        let keys = [Key::Name(name_digest(name)), Key::Address(network(from))];
        let mut failed = self.lock();
        for key in keys {
            if let Some(failures) = failed.get_mut(&key) {
                // A clock that was set back must not make anybody wait for it to catch up.
                failures.last = failures.last.min(now);
                if now.duration_since(failures.last) >= FORGOTTEN_AFTER {
                    failed.remove(&key);
                }
            }
        }
        let wait = keys.iter().filter_map(|key| wait(*key, failed.get(key)?, now)).max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        for key in keys {
            make_room(&mut failed, key, now);
            let failures = failed.entry(key).or_insert(Failures { n: 0, last: now });
            *failures = Failures { n: failures.n.saturating_add(1), last: now };
        }
        Ok(Attempt(keys))
    }

    /// The attempt was right: its name starts anew. The address does not, or whoever has one
    /// account could try all others.
    pub(super) fn succeeded(&self, attempt: &Attempt) {
        let [name, address] = attempt.0;
        let mut failed = self.lock();
        failed.remove(&name);
        take_back(&mut failed, address);
    }

    /// The attempt was never judged.
    pub(super) fn undo(&self, attempt: &Attempt) {
        let mut failed = self.lock();
        attempt.0.into_iter().for_each(|key| take_back(&mut failed, key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        // Nothing that holds this lock can leave it half-changed.
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(key: Key, failures: &Failures, now: Timestamp) -> Option<SignedDuration> {
    let over = failures.n.checked_sub(key.n_free())?;
    let factor = 1_i32.checked_shl(over).unwrap_or(i32::MAX).max(1);
    let wait = WAIT_FIRST.checked_mul(factor).unwrap_or(WAIT_MAX).min(WAIT_MAX);
    let left = wait - now.duration_since(failures.last);
    left.is_positive().then_some(left)
}

fn take_back(failed: &mut HashMap<Key, Failures>, key: Key) {
    if let Some(failures) = failed.get_mut(&key) {
        failures.n = failures.n.saturating_sub(1);
        if failures.n == 0 {
            failed.remove(&key);
        }
    }
}

/// Forgets what is old, and then what matters the least.
fn make_room(failed: &mut HashMap<Key, Failures>, key: Key, now: Timestamp) {
    if failed.len() < REMEMBERED_MAX || failed.contains_key(&key) {
        return;
    }
    failed.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN_AFTER);
    if failed.len() < REMEMBERED_MAX {
        return;
    }
    let least = failed.iter().min_by_key(|(_, failures)| (failures.n, failures.last));
    if let Some(key) = least.map(|(key, _)| *key) {
        failed.remove(&key);
    }
}

/// The part of an address that belongs to one customer.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (Ipv6Addr::BITS - IPV6_PREFIX);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}
