//! Runs over simulators: whole, resumed, and stopped at every write of the journal.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken test environment fails the test at once"
)]

mod crash;
mod escalation;
mod leases;
mod patches;
mod record;
mod storage;
mod world;
