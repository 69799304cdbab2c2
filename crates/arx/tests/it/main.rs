//! The binary, end to end: hermetic homes, simulators on loopback, nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so by panicking"
)]

mod authoring;
mod configuration;
mod daemon;
mod durability;
mod governance;
mod home;
mod network;
mod outcomes;
mod people;
mod record;
mod running;
mod secrets;
mod storage;
mod verification;
