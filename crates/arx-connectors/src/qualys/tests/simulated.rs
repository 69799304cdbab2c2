//! Reads from a faithful simulator that misbehaves on demand.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::qualys::Qualys;
use crate::scripted::{Outcome, read_simulated};

async fn read(faults: &str) -> Outcome {
    let settings = json!({ "truncation_limit": 40 });
    let params = json!({ "min_severity": 4 });
    read_simulated(Arc::new(Qualys::default()), faults, settings, params).await
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_change_nothing_but_time() {
    let plain = read("").await;
    let value = plain.value.expect("a value");
    assert_eq!(value["complete"], json!(true), "{value}");
    assert!(value["pages"].as_u64() > Some(2), "{value}");
    assert_eq!(value["findings"], json!(plain.rows.len()));
    assert!(plain.rows.iter().any(|(_, names)| names.contains("CVE-")));
    // One QID with several CVEs, and one without any.
    assert!(plain.rows.iter().any(|(_, names)| names.contains(' ')));
    assert!(plain.rows.iter().any(|(_, names)| names.starts_with("QID-")));

    let cases = [
        "qualys:409-concurrency@2",
        "qualys:409-rate=1@2",
        "qualys:429=0@2",
        "qualys:500@2x2",
        "qualys:503@2",
        "qualys:reset@2",
        "qualys:truncate@2",
        "qualys:cut@2",
        "qualys:truncate@3",
        "qualys:cut@3",
        "qualys:foreign-url",
        "qualys:simple-return=999@2",
        "qualys:simple-return=1960@2",
        "qualys:latency=5ms%50",
    ];
    let outcomes = join_all(cases.map(read)).await;
    for (faults, outcome) in cases.into_iter().zip(outcomes) {
        let mut got = outcome.value.expect(faults);
        // A page that broke off is finished by another request and counts as one.
        got["pages"] = value["pages"].clone();
        assert_eq!(got, value, "{faults}");
        assert_eq!(outcome.rows, plain.rows, "{faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_not_accepted_is_named() {
    for faults in ["qualys:simple-return=2001", "qualys:simple-return=2012"] {
        let error = read(faults).await.value.expect_err(faults);
        assert!(error.to_string().contains("QUALYS_USERNAME and QUALYS_PASSWORD"), "{error}");
    }
}

/// Hosts of the patch wave: by address, by name alone, by agent alone, known and unknown.
fn wave() -> Value {
    let host = |id: &str, name: &str, ip: &str| {
        let list = |text: &str| if text.is_empty() { json!([]) } else { json!([text]) };
        json!({ "id": id, "name": id, "names": list(name), "ips": list(ip) })
    };
    json!([
        host("by-address", "pay-app-21", "10.40.0.3"),
        host("by-name", "PAY-APP-22.harbourline.example", ""),
        host("moved", "ws-roam-08", "10.40.0.10"),
        host("active", "pay-app-23", ""),
        host("reopened", "lin-ops-35", ""),
        host("two-networks", "lab-gate-01", "10.40.0.26"),
        host("taken-over", "lab-gate-02", "10.40.0.27"),
        host("unlisted", "book-web-15", ""),
        host("unknown", "iot-crane-02", "10.40.0.25"),
    ])
}

async fn rescan(faults: &str) -> Value {
    let faults = faults.parse().expect("faults");
    let options = arx_sim::Options { faults, ..arx_sim::Options::default() };
    let simulators = arx_sim::start(options).await.expect("simulators");
    let settings = json!({ "truncation_limit": 40 });
    let connector = Arc::new(Qualys::default());
    let gate =
        arx_testkit::TestGate::new(connector, simulators.environment(), settings, None).await;
    let vulnerabilities =
        ["CVE-2021-44228", "CVE-2021-45046", "CVE-2024-6387", "CVE-2021-4034", "CVE-2022-22965"];
    let params = json!({ "hosts": wave(), "vulnerabilities": vulnerabilities });
    let value = gate.read("qualys.scans:read", params, None).await.expect("a value");
    simulators.shutdown().await;
    value
}

/// A line for each host: its records with their detections.
fn rescanned(value: &Value) -> String {
    let words = |value: &Value| {
        let words = value.as_array().expect("a list").iter().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join("+")
    };
    let hosts = value["hosts"].as_array().expect("hosts").iter().map(|host| {
        let records = host["records"].as_array().expect("records").iter().map(|record| {
            let detections = record["detections"].as_array().expect("detections").iter();
            let detections = detections.map(|detection| {
                let is_dated = detection["tested_at"].is_string();
                assert!(is_dated, "{detection}");
                format!(
                    ", {} {} {}",
                    words(&json!([detection["check"]])),
                    words(&detection["vulnerabilities"]),
                    words(&json!([detection["status"]]))
                )
            });
            assert!(record["scanned_at"].is_string(), "{record}");
            format!(
                "; {} by {} not [{}]{}",
                words(&json!([record["id"]])),
                words(&record["matched_by"]),
                words(&record["contradicts"]),
                detections.collect::<String>()
            )
        });
        let records = records.collect::<String>();
        format!("{}{records}{}", words(&json!([host["host"]])), words(&json!([host["unread"]])))
    });
    hosts.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wave_is_told_as_the_scanner_saw_it() {
    let value = rescan("").await;
    assert_eq!((&value["complete"], &value["warnings"]), (&json!(true), &json!([])));
    let expected = rescanned(&value);
    insta::assert_snapshot!(expected, @"
    by-address; 9000010 by ip+dns not [], QID-9100001 CVE-2021-44228+CVE-2021-45046 Fixed
    by-name; 9000040 by dns not [], QID-9100001 CVE-2021-44228+CVE-2021-45046 Fixed, QID-9100002 CVE-2022-22965 Fixed
    moved
    active; 9000140 by dns not [], QID-9100015 CVE-2024-6387 Active
    reopened; 9000150 by dns not [], QID-9100016 CVE-2021-4034 Re-Opened
    two-networks; 9000240 by ip not [], QID-9100015 CVE-2024-6387 Fixed; 9000241 by ip not [], QID-9100015 CVE-2024-6387 Fixed
    taken-over; 9000250 by ip not [printer-lobby-2+printer-lobby-2.harbourline.example], QID-9100015 CVE-2024-6387 Fixed
    unlisted; 9000260 by dns not []
    unknown
    ");

    let cases = [
        "qualys:409-concurrency@2",
        "qualys:409-rate=1@2",
        "qualys:500@2x2",
        "qualys:reset@3",
        "qualys:truncate@2",
        "qualys:cut@3",
        "qualys:foreign-url",
        "qualys:simple-return=999@2",
        "qualys:simple-return=1960@3",
    ];
    let outcomes = join_all(cases.map(rescan)).await;
    for (faults, value) in cases.into_iter().zip(outcomes) {
        assert_eq!(rescanned(&value), expected, "{faults}");
        assert_eq!(value["complete"], json!(true), "{faults}");
    }
}
