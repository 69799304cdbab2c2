//! A state directory, simulators, and a process that can be stopped and started again.

pub use arx_testkit::world::{PATCHES, TestWorld};
