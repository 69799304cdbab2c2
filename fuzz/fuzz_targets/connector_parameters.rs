//! What workflow code can pass to the operations of every connector, and `settings` of arx.yaml.
//!
//! Whatever the value: a refusal is one line of words; what is taken makes a request in which no
//! value can be more than a value, an effect can be found again, and every length fits.
#![no_main]

use std::sync::LazyLock;

use arx_connectors::{ALL, fuzzing};
use arx_fuzz::json;
use arx_gateway::Variables;
use libfuzzer_sys::fuzz_target;

/// Names and values that the parameters know.
const WORDS: &str = "
    severities project_ids page_size CRITICAL min_severity statuses New hosts vulnerabilities
    CVE-2026-0001 QID-38170 id name names ips agent_ids web-01.example.com 10.0.0.1 table
    incident pending_state max_tickets fields state host cmdb_ci patched_at agent_id resolve
    close_code close_notes repatch assignment_group notes_only number expect field mod_count note
    0123456789abcdef0123456789abcdef incident_key service title details priority urgency high low
    escalation_policy P1 summary description priority_fallback issue_type project labels
    components assignee link url https://example.com/a|b heading text bullets key effect_key SEC
    SEC-12 ^ javascript: {code} sys_id work_notes PSVC
";

static KNOWN: LazyLock<Vec<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let params = json::value(rest, &KNOWN);
    let chosen = usize::from(*choice) % (fuzzing::OPERATIONS.len() + 1);
    match fuzzing::OPERATIONS.get(chosen) {
        Some(operation) => fuzzing::parameters(operation, &params),
        None => {
            fuzzing::qualys::settings(&params);
            for known in ALL {
                let made = (known.new)().endpoint(&Variables::default(), &params);
                let shown = made.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(!shown.chars().any(char::is_control), "no line of words: {shown:?}");
            }
        }
    }
});
