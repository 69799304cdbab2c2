//! What the real service sent, where the recordings are at hand.

use std::path::PathBuf;

use serde_json::Value;

use crate::crowdstrike::wire::{Device, Envelope, Word};

/// The replies of a recording: address, status and body.
#[expect(clippy::disallowed_methods, reason = "only tests read recordings, where there are any")]
fn replies(name: &str) -> Option<Vec<(String, u64, String)>> {
    let Ok(samples) = std::env::var("ARX_SAMPLES") else {
        println!("skipped: ARX_SAMPLES not set");
        return None;
    };
    let path = PathBuf::from(samples).join("crowdstrike").join(name);
    let text = std::fs::read_to_string(&path).expect("the recording");
    let har: Value = serde_json::from_str(&text).expect("JSON");
    let of = |entry: &Value| {
        let url = entry["request"]["url"].as_str().unwrap_or_default().to_owned();
        let status = entry["response"]["status"].as_u64().unwrap_or_default();
        let body = entry["response"]["content"]["text"].as_str().unwrap_or_default().to_owned();
        (url, status, body)
    };
    Some(har["log"]["entries"].as_array().expect("entries").iter().map(of).collect())
}

#[test]
fn recorded_ids_and_records_are_read() {
    let Some(replies) = replies("iterateDevicesFilter_1804154722.recording.har") else { return };
    let (mut ids, mut hostnames) = (Vec::new(), Vec::new());
    for (url, status, body) in replies {
        if url.contains("/queries/") {
            assert_eq!(status, 200);
            let reply: Envelope<Word> = serde_json::from_str(&body).expect("ids");
            assert_eq!((reply.total(), reply.complaint()), (Some(2), None));
            let page = reply.resources.expect("ids");
            ids.extend(page.iter().filter_map(|id| id.id().map(str::to_owned)));
        } else if url.contains("/entities/") {
            let reply: Envelope<Device> = serde_json::from_str(&body).expect("records");
            assert_eq!(reply.complaint(), None);
            for device in reply.resources.expect("records") {
                let sensor = device.sensor();
                assert!(ids.contains(&sensor.id), "{}", sensor.id);
                assert!(sensor.last_seen.is_some());
                // A record of 2019 tells nothing of reduced functionality.
                assert_eq!((sensor.contained, sensor.reduced_functionality), (Some(false), None));
                hostnames.push(sensor.hostname);
            }
        }
    }
    assert_eq!(hostnames, ["Sample-Detect-3", "Sample-Detect-2"]);
}

#[test]
fn a_recorded_refusal_says_why() {
    let Some(replies) = replies("authenticateError_941398650.recording.har") else { return };
    let (_, status, body) = &replies[0];
    let reply: Envelope<Word> = serde_json::from_str(body).expect("a reply");
    let complaint = reply.complaint().expect("a complaint");
    assert_eq!(*status, 403);
    assert_eq!(
        (complaint.code, complaint.words.as_str()),
        (403, "Failed to issue access token - Not Authorized")
    );
}
