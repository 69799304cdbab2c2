//! Reads from a faithful simulator that misbehaves on demand.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

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
