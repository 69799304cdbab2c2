//! Workflow bundles, the sandboxed Python host, and the objects that workflows see.
//!
//! This crate reaches no network, and reads no file but through the text it is given; it knows
//! connectors only as names with operations. Start at [`bundle`] for `arx.yaml`, at [`host`] for
//! the life of a `workflow.py`, at [`merge`] for how findings become vulnerabilities, at [`verify`]
//! for how a patch is proven.

pub mod bundle;
mod diagnostic;
pub mod host;
pub mod merge;
pub mod verify;

pub use diagnostic::Diagnostic;
