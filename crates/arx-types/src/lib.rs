//! The words of the product: operations and their risk classes, verdicts, runs, steps, effects,
//! findings and vulnerabilities.
//!
//! This crate does no I/O, reads no clock and no environment, and knows no vendor.
//! Start at [`Operation`] (what a workflow may ask for) and [`Verdict`] (what the gate answers).

mod digest;
mod evidence;
mod finding;
mod ids;
mod operation;
mod role;
mod run;
mod verdict;

#[cfg(test)]
mod tests;

pub use digest::Digest;
pub use evidence::{
    Connection, DetectionStatus, HostDetection, HostNames, HostScan, HostSensors, ScannedHost,
    Sensor, Ticket,
};
pub use finding::{Asset, Finding, FindingSink, Severity, SinkError};
pub use ids::{ApprovalId, EffectKey, IdError, LinkId, RunId, TokenId};
pub use operation::{Access, Operation, OperationError, OperationSpec, RiskClass};
pub use role::Role;
pub use run::{EffectState, RunMode, RunStatus};
pub use verdict::{Decision, RiskFactor, RiskScore, Target, Verdict};
