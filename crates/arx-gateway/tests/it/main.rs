//! The gate over a connector that does what a test says, and governed HTTP over a server that
//! answers what a test says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken test environment fails the test at once"
)]

mod fake;
mod gate;
mod http;
