//! Versions of one call, newest first, and which of them this platform serves.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The versions of one call.
#[derive(Debug)]
pub(super) struct Versions {
    known: &'static [&'static str],
    chosen: AtomicUsize,
}

impl Versions {
    /// Versions in the order in which they are tried.
    pub(super) const fn new(known: &'static [&'static str]) -> Self {
        Self { known, chosen: AtomicUsize::new(0) }
    }

    /// The version to use: the one that the settings fix, else the last that was not missing.
    pub(super) fn current<'a>(&self, fixed: Option<&'a str>) -> Cow<'a, str> {
        let chosen = self.known.get(self.chosen.load(Ordering::Relaxed));
        let chosen = chosen.or(self.known.first()).copied().unwrap_or_default();
        fixed.map_or(Cow::Borrowed(chosen), Cow::Borrowed)
    }

    /// Goes on to the version after `missing`, which the platform does not serve; false when
    /// there is none left, and then the next read begins at the first again.
    pub(super) fn advance(&self, fixed: Option<&str>, missing: &str) -> bool {
        if fixed.is_some() {
            return false;
        }
        let at = self.known.iter().position(|known| *known == missing).unwrap_or_default();
        let has_next = at + 1 < self.known.len();
        self.chosen.store(if has_next { at + 1 } else { 0 }, Ordering::Relaxed);
        has_next
    }
}

/// Whether a status says that this version of a call is not served.
pub(super) fn is_gone(status: u16) -> bool {
    matches!(status, 404 | 405 | 410 | 501)
}
