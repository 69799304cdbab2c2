//! PagerDuty's incidents, priorities and refusals.
//!
//! Whatever the bytes: only an incident with our key on our service is adopted, only the vendor's
//! own words make a duplicate, and an empty page has no next one.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| arx_connectors::fuzzing::pagerduty::replies(body));
