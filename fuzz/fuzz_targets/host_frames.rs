//! What a workflow's process says over its pipe, once a workflow has taken it over.
//!
//! Whatever the bytes: half a frame is nothing, both ends read one frame alike, what breaks the
//! rules of the game becomes no event, and a value comes back from Python as it went in.
#![no_main]

use arx_fuzz::json;
use arx_workflow::host::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    fuzzing::says(bytes);
    fuzzing::passes_through(json::value(bytes, &["$dataset", "$merge", "effect", "covers"]));
});
