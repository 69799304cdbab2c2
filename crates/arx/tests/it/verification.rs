//! Patch verification by the binary: twice, killed, and without what it needs.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::home::{Home, PATCHES, Simulators, TICKETS};

#[test]
fn a_second_run_writes_nothing() {
    let home = Home::new();
    let first = home.arx(&["run", PATCHES, "--simulate", "--json"]).code(0).json();
    assert_eq!(first["status"], "succeeded");
    assert_eq!(first["tickets_read"], first["items"].as_array().unwrap().len());
    let count = |report: &Value, what: &str| report["counts"][what].as_u64().unwrap();
    let decided = count(&first, "verified") + count(&first, "flagged");
    assert!(decided > 10 && count(&first, "inconclusive") > 10, "{first:#}");
    assert_eq!(first["time_saved_minutes"], 20 * decided);
    for item in first["items"].as_array().unwrap() {
        for field in ["host", "patched", "qualys", "crowdstrike", "reason", "did", "url"] {
            assert!(item[field].is_string(), "no {field} in {item:#}");
        }
    }

    let ledger = home.state().join("sim/default.jsonl");
    let before = std::fs::read_to_string(&ledger).unwrap();
    let second = home.arx(&["run", PATCHES, "--simulate", "--json"]).code(0).json();
    assert_eq!(count(&second, "verified") + count(&second, "flagged"), 0);
    assert_eq!(count(&second, "inconclusive"), count(&first, "inconclusive"));
    assert_eq!(std::fs::read_to_string(&ledger).unwrap(), before);
    home.arx(&["audit", "verify"]).code(0);
}

#[test]
fn the_summary_tells_each_ticket() {
    let home = Home::new();
    let run = home.arx(&["run", PATCHES, "--simulate=awkward"]).code(1);
    for said in [
        "tickets read             38   pending verification",
        "verified  resolved",
        "flagged  flagged for re-patching",
        "inconclusive  noted",
        "qualys       CVE-2021-44228 fixed, scanned ",
        "crowdstrike  the sensor runs in reduced functionality mode",
        "crowdstrike  2 living sensors carry the name",
        "`state` kept its value `15` instead of `6`: the account may not write it",
        "its state `16` no longer exists",
    ] {
        assert!(run.stdout.contains(said), "no `{said}` in:\n{}", run.stdout);
    }
    let id = home.runs()[0]["run_id"].as_str().unwrap().to_owned();
    let shown = home.arx(&["runs", "show", &id, "--ticket", "inc0010113"]).code(0);
    assert!(shown.stdout.contains("hashes to") && shown.stdout.contains("holds"));
    assert!(!shown.stdout.contains("NOT hold") && !shown.stdout.contains("no recorded result"));
    let missing = home.arx(&["runs", "show", &id, "--ticket", "INC0000001"]);
    missing.code(1).says("verified no ticket `INC0000001`");
}

/// A dry run says what would be done, and nothing is.
#[test]
fn a_dry_run_writes_nothing() {
    let home = Home::new();
    let run = home.arx(&["run", PATCHES, "--simulate", "--dry-run"]).code(0);
    for said in ["verified  would be resolved", "would be flagged", "would be noted"] {
        assert!(run.stdout.contains(said), "no `{said}` in:\n{}", run.stdout);
    }
    let ledger = std::fs::read_to_string(home.state().join("sim/default.jsonl"));
    assert_eq!(ledger.unwrap_or_default(), "");
}

#[test]
fn what_is_missing_is_named_for_all_vendors_at_once() {
    let home = Home::new();
    let run = home.arx(&["run", PATCHES]).code(2);
    for name in ["SNOW_INSTANCE", "SNOW_PASSWORD", "QUALYS_URL", "CS_CLIENT_ID", "CS_CLIENT_SECRET"]
    {
        assert!(run.stderr.contains(name), "no {name} in:\n{}", run.stderr);
    }
    let bad = home.arx(&["run", PATCHES, "--simulate", "--set", "verification=all"]);
    bad.code(2).says("is not one of");
    let bad = home.arx(&["run", PATCHES, "--simulate", "--set", "sensor_max_age=soon"]);
    bad.code(2).says("`soon` is not a duration");
}

/// What does not fit the instance is found before anything is written, and is configuration.
#[test]
fn what_the_instance_does_not_have_is_configuration() {
    for (set, said) in [
        ("servicenow.pending_state=Waiting", "`Waiting`"),
        ("servicenow.resolve.close_code=Nonsense", "`Nonsense`"),
        ("servicenow.repatch.assignment_group=Nobody", "`Nobody`"),
        ("servicenow.table=", "`table` is empty"),
        ("servicenow.table=incident^x", "incident^x"),
    ] {
        let home = Home::new();
        let run = home.arx(&["run", PATCHES, "--simulate", "--set", set]).code(2);
        assert!(run.stdout.contains("configuration: "), "{set}: {}", run.stdout);
        assert!(run.stdout.contains(said), "{set}: {}", run.stdout);
        let ledger = home.state().join("sim/default.jsonl");
        assert_eq!(std::fs::read_to_string(ledger).unwrap_or_default(), "", "{set}");
    }
}

/// Killed in the midst of its writes and run again, it writes to every ticket once.
#[test]
fn a_killed_run_writes_to_every_ticket_once() {
    // The read-back keeps the run alive after its first write.
    let faults = "servicenow.table.get:latency=700ms";
    let mut simulators = Simulators::new(TICKETS, faults);
    let home = Home::at(&simulators);
    let patient = "\"incidents:update\"] }";
    let hasty = "\"incidents:update\"], settle_for: 1s, settings: { in_flight_ms: 1000 } }";
    let bundle = home.bundle_of(PATCHES, &[(patient, hasty)]);
    let run = home.start(&["run", &bundle]);
    simulators.wait_for("table.update");
    run.kill();
    let again = home.arx(&["run", &bundle, "--json"]).code(0).json();
    assert_eq!(again["tickets_read"], 8, "{again:#}");
    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for write in simulators.writes() {
        *writes.entry(write["key"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(writes.len(), 8, "{writes:?}");
    assert!(writes.values().all(|n| *n == 1), "{writes:?}");
    home.arx(&["audit", "verify"]).code(0);
}
