//! A page of Wiz findings, from the reply's bytes to the merge.
//!
//! Whatever the bytes: nothing that was not asked for, nothing without an identifier, no data
//! beside errors, no end of the list while there is more, and no finding lost on its way.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    arx_fuzz::fold_and_merge("wiz", |sink| arx_connectors::fuzzing::wiz::page(body, sink));
});
