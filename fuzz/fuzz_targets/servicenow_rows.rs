//! Rows of ServiceNow's Table API, and its refusals.
//!
//! Whatever the bytes: a row for every record and its stored values unchanged, no row beside an
//! error or from a web page, messages of one line that name a place.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| arx_connectors::fuzzing::servicenow::rows(body));
