//! Tests that start a workflow's process.

mod host;
