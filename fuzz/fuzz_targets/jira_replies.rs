//! Jira's issues, create metadata and refusals, and the create request that follows from them.
//!
//! Whatever the bytes: a ticket is ours only where it says so, a request that gives way comes to
//! an end, and its project and summary are never given up.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| arx_connectors::fuzzing::jira::replies(body));
