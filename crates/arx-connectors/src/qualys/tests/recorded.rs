//! What the real service sent, where the recordings are at hand.

use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// The reply bodies of a recording, with status and address.
#[expect(clippy::disallowed_methods, reason = "only tests read recordings, where there are any")]
fn bodies(name: &str) -> Option<Vec<(u64, String, String)>> {
    let Ok(samples) = std::env::var("ARX_SAMPLES") else {
        println!("skipped: ARX_SAMPLES not set");
        return None;
    };
    let path = PathBuf::from(samples).join("qualys").join(name);
    let text = std::fs::read_to_string(&path).expect("the recording");
    let har: Value = serde_json::from_str(&text).expect("JSON");
    let entries = har["log"]["entries"].as_array().expect("entries");
    let of = |entry: &Value| {
        let text = entry["response"]["content"]["text"].as_str().unwrap_or_default();
        let url = entry["request"]["url"].as_str().unwrap_or_default();
        let status = entry["response"]["status"].as_u64().unwrap_or_default();
        (status, url.to_owned(), text.to_owned())
    };
    Some(entries.iter().map(of).collect())
}

#[test]
fn no_detections_is_no_failure() {
    let Some(bodies) = bodies("iterateHostDetections_31119415.har") else { return };
    let (_, _, body) = bodies.iter().find(|(_, url, _)| url.contains("detection")).expect("a list");
    let (detections, end) = read_all(body);
    assert_eq!((detections.len(), end.ended), (0, Ended::Whole(None)));
}

#[test]
fn a_host_list_is_not_a_list_of_detections() {
    let Some(bodies) = bodies("iterateHostDetections_31119415.har") else { return };
    let (_, _, body) =
        bodies.iter().find(|(_, url, _)| !url.contains("detection")).expect("a list");
    assert_eq!(read_all(body).1.ended, Ended::Foreign("HOST_LIST_OUTPUT".to_owned()));
}

#[test]
fn an_expired_account_is_told_with_status_200() {
    let Some(bodies) = bodies("verifyAuthenticationExpired_3066582617.har") else { return };
    let (status, _, body) = &bodies[0];
    assert_eq!(*status, 200);
    let answer = Answer::of_body(body.as_bytes()).expect("an answer");
    assert_eq!(
        (answer.kind(), answer.message().as_str()),
        (Kind::Account, "code 2001: This account has expired")
    );
    assert!(matches!(read_all(body).1.ended, Ended::Answer(_)));
}

#[test]
fn a_bad_id_is_a_refusal() {
    let Some(bodies) = bodies("iterateHostDetectionsBadId_4219405639.har") else { return };
    let answer = Answer::of_body(bodies[0].2.as_bytes()).expect("an answer");
    assert_eq!(answer.kind(), Kind::Refused);
    assert_eq!(
        answer.message(),
        "code 1905: parameter ids has invalid value: abc123 (neither a positive integer nor a range: abc123)"
    );
}

#[test]
fn a_recorded_knowledge_base_is_read() {
    let Some(bodies) = bodies("iterateVulnerabilities_939003581.har") else { return };
    let Ok(Reply::Facts { facts, truncated }) = read_knowledge(bodies[0].2.as_bytes()) else {
        panic!("no facts");
    };
    assert!(!truncated);
    let fact = facts.get(&316_760).expect("the fact");
    assert_eq!(fact.cves, ["CVE-2020-3403"]);
    assert_eq!((fact.severity, fact.patchable), (3, true));
    assert!(fact.title.starts_with("Cisco IOS XE Software Command Injection"));
    assert!(!fact.diagnosis.contains('<'), "{}", fact.diagnosis);
}
