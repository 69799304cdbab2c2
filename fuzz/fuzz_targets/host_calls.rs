//! What workflow code can hand to the host: calls of connectors and of `arx.*`, in any order and
//! with any arguments, through the gate and its journal.
//!
//! Whatever they are: every call ends with an answer or with an exception that says why, what the
//! policy denies is denied, nothing waits for a vendor that was never asked, and no decision goes
//! unrecorded.
#![no_main]

use std::sync::LazyLock;

use arx_connectors::ALL;
use arx_engine::fuzzing::Door;
use arx_fuzz::json;
use libfuzzer_sys::fuzz_target;

const WORDS: &str = "
    arx.merge arx.episodes arx.verify wiz.findings:read qualys.scans:read
    servicenow.incidents:read servicenow.incidents:update crowdstrike.hosts:read
    crowdstrike.hosts:contain pagerduty.incidents:create jira.issues:create jira.issues:read
    jira.issues:burn recorded:arx.merge recorded:arx.episodes recorded:arx.verify
    recorded:servicenow.incidents:read recorded:wiz.findings:read recorded:qualys.scans:read args
    $dataset $merge $evidence effect covers target production title labels arx
    w/CVE-2026-0001/1/page w/a x/y severities CRITICAL min_cvss qualys_min_severity require
    verification both evidence tickets scans sensors hosts complete why warnings id host table
    resolve merge episodes key vulnerabilities /
";

static KNOWN: LazyLock<Vec<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

static DOOR: LazyLock<Door> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("arx-fuzz-{}", std::process::id()));
    Door::open(&directory, ALL.iter().map(|known| (known.new)()).collect())
});

fuzz_target!(|bytes: &[u8]| DOOR.play(&json::value(bytes, &KNOWN)));
