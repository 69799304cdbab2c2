//! CrowdStrike's ids, device records, online states and errors.
//!
//! Whatever the bytes: ids that fit into an address, texts of bounded length, and no negative
//! fact that was not told.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| arx_connectors::fuzzing::crowdstrike::replies(body));
