//! Reads from a faithful simulator, whole and misbehaving.

use std::sync::Arc;

use arx_sim::{Options, Simulators};
use arx_testkit::TestGate;
use serde_json::{Value, json};

use crate::crowdstrike::CrowdStrike;

/// Names as configuration items have them, one of each kind that there is in the patch wave.
const NAMES: &[&str] = &[
    "pay-app-21",
    "fleet-gw-03",
    "DATA-HUB-04.HARBOURLINE.EXAMPLE",
    "WS-quay-17",
    "book-web-13",
    "dc-berth-04",
    "pay-app-24",
    "data-hub-05",
    "pay-app-26",
    "fleet-gw-05",
    "iot-crane-03",
    "web^NQactive=true",
    "nobody-knows-it",
];

async fn simulators(faults: &str) -> Simulators {
    let faults = faults.parse().expect("faults");
    arx_sim::start(Options { faults, ..Options::default() }).await.expect("simulators")
}

async fn read(simulators: &Simulators) -> Result<Value, String> {
    let connector = Arc::new(CrowdStrike);
    let gate = TestGate::new(connector, simulators.environment(), Value::Null, None).await;
    let hosts = NAMES.iter().map(|name| json!({ "id": name, "name": name, "names": [name] }));
    let params = json!({ "hosts": hosts.collect::<Vec<_>>() });
    let value = gate.read("crowdstrike.hosts:read", params, None).await;
    value.map_err(|error| error.to_string())
}

/// A line for each host: what its sensors say.
fn shown(value: &Value) -> String {
    let word = |value: &Value| match value {
        Value::Null => "untold".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let hosts = value["hosts"].as_array().expect("hosts").iter().map(|host| {
        let sensors = host["sensors"].as_array().expect("sensors").iter().map(|sensor| {
            format!(
                "; {} is {}, reduced {}, contained {}",
                word(&sensor["hostname"]),
                word(&sensor["connection"]),
                word(&sensor["reduced_functionality"]),
                word(&sensor["contained"])
            )
        });
        let unread = host["unread"].as_str().map(|why| format!("; unread: {why}"));
        let sensors = sensors.collect::<String>();
        format!("{}{sensors}{}", word(&host["host"]), unread.unwrap_or_default())
    });
    hosts.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sensor_of_the_wave_is_told_as_it_is() {
    let simulators = simulators("").await;
    let value = read(&simulators).await.expect("a value");
    insta::assert_snapshot!(shown(&value), @"
    pay-app-21; pay-app-21 is online, reduced false, contained false
    fleet-gw-03; fleet-gw-03.harbourline.example is online, reduced false, contained false
    DATA-HUB-04.HARBOURLINE.EXAMPLE; data-hub-04 is online, reduced false, contained false
    WS-quay-17; WS-QUAY-17 is online, reduced false, contained false
    book-web-13; book-web-13 is online, reduced false, contained false; book-web-13 is offline, reduced false, contained false
    dc-berth-04; dc-berth-04 is online, reduced false, contained true
    pay-app-24; pay-app-24 is online, reduced true, contained false
    data-hub-05; data-hub-05 is online, reduced untold, contained false
    pay-app-26; pay-app-26 is unknown, reduced false, contained false
    fleet-gw-05; fleet-gw-05 is online, reduced false, contained false; fleet-gw-05 is online, reduced false, contained false
    iot-crane-03
    web^NQactive=true; unread: none of its names is one that can be searched for
    nobody-knows-it
    ");
    assert_eq!(value["complete"], json!(true));
    simulators.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_change_nothing_but_time() {
    let plain = simulators("").await;
    let expected = shown(&read(&plain).await.expect("a value"));
    plain.shutdown().await;
    let cases = [
        "crowdstrike:429=0@2",
        "crowdstrike:429-bare@3",
        "crowdstrike:500@2x2",
        "crowdstrike:503@3",
        "crowdstrike:reset@3",
        "crowdstrike:truncate@2",
        "crowdstrike:cut@3",
        "crowdstrike:expire-token@3",
        "crowdstrike:token-life=1s",
    ];
    let outcomes = cases.map(|faults| async move {
        let simulators = simulators(faults).await;
        let value = read(&simulators).await.expect(faults);
        simulators.shutdown().await;
        (faults, value)
    });
    for (faults, value) in futures_util::future::join_all(outcomes).await {
        assert_eq!(shown(&value), expected, "{faults}");
        assert_eq!(value["complete"], json!(true), "{faults}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_the_scope_is_told() {
    let simulators = simulators("").await;
    simulators.control().set_crowdstrike_scope(false);
    let error = read(&simulators).await.expect_err("refused");
    assert!(error.contains("CS_CLIENT_ID and CS_CLIENT_SECRET"), "{error}");
    assert!(error.contains("`Hosts: READ`"), "{error}");
    simulators.control().set_crowdstrike_scope(true);
    simulators.control().expire_crowdstrike_tokens();
    read(&simulators).await.expect("a value");
    simulators.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_region_is_named() {
    let simulators = simulators("crowdstrike:wrong-region=eu-1").await;
    let error = read(&simulators).await.expect_err("refused");
    let expected = "in region eu-1; set CS_BASE_URL to `https://api.eu-1.crowdstrike.com`";
    assert!(error.contains(expected), "{error}");
    simulators.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_inside_a_success_are_no_answer() {
    let simulators = simulators("crowdstrike.devices.details:errors-in-200").await;
    let value = read(&simulators).await.expect("a value");
    assert_eq!(value["complete"], json!(false));
    let unread = |host: usize| value["hosts"][host]["unread"].is_string();
    assert!((0..10).all(unread), "{}", shown(&value));
    simulators.shutdown().await;
}
