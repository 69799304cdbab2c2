//! Qualys' lists of detections and of hosts, as `findings:read` and `scans:read` read them.
//!
//! Whatever the bytes: the same in pieces as at once; cut short, a part of the whole that never
//! looks like a whole; no host that nobody asked for; a next page that leads on in the same list.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    arx_connectors::fuzzing::qualys::detections(body);
    arx_connectors::fuzzing::qualys::hosts(body);
});
