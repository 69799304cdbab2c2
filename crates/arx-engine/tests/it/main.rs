//! Runs over simulators: whole, resumed, and stopped at every write of the journal.

mod crash;
mod escalation;
mod world;
