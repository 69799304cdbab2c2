//! Where the live world's effects happen: at vendors, or at simulators on this machine.
//!
//! INVARIANT (no page is taken for another): effects that simulators took must never stand for
//! real ones, so the live world of one state directory belongs to one of the two for good.

use crate::{JournalError, Reader, Tx};

/// The key in `meta`.
const KEY: &str = "live_endpoints";
const LOOPBACK: &str = "loopback";
const REMOTE: &str = "remote";

impl Tx<'_> {
    /// Claims the live world for vendors on this machine or for others, unless it is claimed.
    /// Gives whether it is theirs.
    pub fn claim_live_world(&mut self, is_loopback: bool) -> Result<bool, JournalError> {
        let asked = if is_loopback { LOOPBACK } else { REMOTE };
        self.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
            [KEY, asked],
        )?;
        Ok(self.live_world()?.as_deref() == Some(asked))
    }
}

impl Reader<'_> {
    fn live_world(&self) -> Result<Option<String>, JournalError> {
        self.row("SELECT value FROM meta WHERE key = ?1", [KEY], |row| row.get(0))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fixture, write};

    #[test]
    fn the_live_world_belongs_to_whoever_claims_it_first() {
        let fixture = Fixture::new();
        let (journal, _) = fixture.with_run();
        let claim = |is_loopback| write(&journal, move |tx| tx.claim_live_world(is_loopback));
        assert!(claim(true).unwrap());
        assert!(claim(true).unwrap());
        assert!(!claim(false).unwrap());
        assert!(claim(true).unwrap());
    }
}
