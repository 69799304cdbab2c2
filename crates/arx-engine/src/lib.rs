//! Durable execution: what a run did is recorded step by step, so that a run that is killed at any
//! instant goes on where it was.
//!
//! This crate knows no vendor. It drives a workflow's host process, asks the gate for every call,
//! and records what the workflow saw. Start at [`Driver::drive`] for the life of a run and at
//! [`Engine`] for what durability means.

pub mod approvals;
mod calls;
mod compose;
mod driver;
mod engine;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod notices;
mod objects;
mod observer;
pub mod provenance;
pub mod registry;
mod report;
pub mod schedule;
pub mod settle;
pub mod start;
pub mod stops;

pub use compose::bindings;
pub use driver::{Driver, RunError};
pub use engine::{Embedded, Engine, EngineError, NewRun, RecordedStep, StepKey};
pub use observer::{Observer, Silent};
pub use report::{Counts, Report, SourceReport, TimeSaved};

use std::sync::Arc;

use arx_policy::Policy;
use arx_types::Digest;
use arx_workflow::host::ObjectSpec;
use serde_json::Value;

/// Names of the functions that workflows see as `arx.<name>`, for checks.
#[must_use]
pub fn functions() -> Vec<String> {
    objects::Objects::FUNCTIONS.map(str::to_owned).to_vec()
}

/// A workflow, checked and ready to run.
#[derive(Clone)]
pub struct Workflow {
    /// Its name, with which its effect keys begin.
    pub name: String,
    /// Digest of the bundle.
    pub version: Digest,
    /// Text of `arx.yaml`.
    pub manifest: String,
    /// Name of the workflow file, for tracebacks.
    pub file: String,
    /// Text of the workflow file.
    pub source: String,
    /// The compiled policy.
    pub policy: Arc<Policy>,
    /// `inputs`, with overrides.
    pub inputs: Value,
    /// The bound connectors as the workflow sees them.
    pub objects: Vec<ObjectSpec>,
    /// What one unit of work saves a person.
    pub time_saved: Option<TimeSaved>,
}
