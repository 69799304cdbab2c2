//! The checks of a `workflow.py`, on the stack that the workflow's process has.
//!
//! Whatever the text: every mistake has a code, a place inside it and one line of words; what is
//! taken calls nothing that is not bound.
#![no_main]

use arx_workflow::host::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let source = String::from_utf8_lossy(bytes).into_owned();
    let checked = std::thread::Builder::new().stack_size(fuzzing::STACK_BYTES);
    let checked = checked.spawn(move || fuzzing::load(&source)).expect("a thread");
    checked.join().expect("the checks do not panic");
});
