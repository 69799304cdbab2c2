//! Qualys' KnowledgeBase and its `SIMPLE_RETURN`, from the reply's bytes to the merge.
//!
//! Whatever the bytes: bounded texts, scores within their scales, a fact that is kept as it was
//! read, and no finding lost on its way.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    arx_fuzz::fold_and_merge("qualys", |sink| {
        arx_connectors::fuzzing::qualys::knowledge(body, sink);
    });
});
