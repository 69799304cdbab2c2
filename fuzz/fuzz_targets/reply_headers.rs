//! What the headers of a reply say of the vendor's rate budget.
//!
//! Whatever they say: no vendor makes a reply that succeeded into one that asks to wait, and what
//! is waited for is a length of time.
#![no_main]

use arx_connectors::ALL;
use arx_gateway::{HeaderMap, Pushback};
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &[
    "retry-after",
    "date",
    "ratelimit-remaining",
    "ratelimit-reset",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-limit",
    "x-ratelimit-retryafter",
    "x-ratelimit-towait-sec",
    "x-ratelimit-window-sec",
    "ratelimit-reason",
    "x-concurrency-limit-limit",
];

fuzz_target!(|bytes: &[u8]| {
    let (head, body) = match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(at) => bytes.split_at(at),
        None => (bytes, &[][..]),
    };
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some((choice, value)) = line.split_first() else { continue };
        let name = NAMES[usize::from(choice.wrapping_sub(b'a')) % NAMES.len()];
        if let Ok(value) = value.try_into() {
            headers.append(name, value);
        }
    }
    for known in ALL {
        let connector = (known.new)();
        for status in [200, 409, 429, 503] {
            let pushback = connector.pushback(status, &headers, body);
            if status == 429 && known.spec.name != "qualys" {
                assert!(pushback.is_some(), "{} is not left alone", known.spec.name);
            }
            // Qualys alone says inside a 200 that one has to wait.
            if status == 200 && known.spec.name != "qualys" {
                assert!(pushback.is_none(), "{} succeeded", known.spec.name);
            }
            if let Some(Pushback::For(wait)) = pushback {
                let _ = wait.checked_add(wait);
            }
        }
        if let Some(reading) = connector.budget(&headers) {
            let _ = reading.reset_in.as_secs();
        }
    }
});
