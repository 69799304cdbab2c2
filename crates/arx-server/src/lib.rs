//! The daemon: workflows run on schedule, people decide and look, while nobody sits at a terminal.
//!
//! Everything that is asked of it is a record in the journal first: a fire, a vote, a stop. The
//! daemon acts on the journal, so that the command line, the API and the console say the same
//! thing in the same way, and a restart loses nothing. It must never decide what the policy
//! decides, and never reach a vendor but through the gate.
//!
//! Start at [`daemon`] for what runs, at [`identity`] for who may ask, at [`web`] for how.

pub mod daemon;
pub mod identity;
pub mod launch;
pub mod notify;
pub mod web;

use std::sync::Arc;

use arx_journal::{Journal, Process, World};

/// What every request and every worker is given.
#[derive(Clone)]
pub struct App {
    /// The record.
    pub journal: Journal,
    /// This process, as others see it who share the state directory.
    pub process: Arc<Process>,
    /// Where runs of this daemon have their effects.
    pub world: World,
    /// The scheduler and the workers.
    pub daemon: daemon::Handle,
    /// Who may ask.
    pub identity: Arc<identity::Identity>,
}
