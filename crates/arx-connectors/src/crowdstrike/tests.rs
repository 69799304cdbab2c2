//! Addresses, queries, replies as they come and as they break, and reads from a scripted tenant.

mod recorded;
mod simulated;
mod tenant;

use arx_types::{Connection, Sensor};
use proptest::prelude::*;
use serde_json::json;

use super::read::{filter, other_forms};
use super::wire::{Device, Envelope, State, Word};
use super::*;

#[test]
fn an_address_may_be_a_url_a_host_or_a_region() {
    #[track_caller]
    fn check(text: Option<&str>, expected: &str) {
        let shown = match endpoint(text, &Value::Null) {
            Ok(Endpoint { base, auth: Auth::ClientCredentials { token_url, .. } }) => {
                format!("{base} {token_url}")
            }
            Ok(_) => "another scheme".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }
    let us1 = "https://api.crowdstrike.com/ https://api.crowdstrike.com/oauth2/token";
    let eu1 = "https://api.eu-1.crowdstrike.com/ https://api.eu-1.crowdstrike.com/oauth2/token";
    check(None, us1);
    check(Some("api.crowdstrike.com"), us1);
    check(Some("https://api.crowdstrike.com/oauth2/token"), us1);
    check(Some("EU-1"), eu1);
    check(Some("https://api.eu-1.crowdstrike.com/?x=1#y"), eu1);
    check(
        Some("http://127.0.0.1:9/falcon/"),
        "http://127.0.0.1:9/falcon http://127.0.0.1:9/falcon/oauth2/token",
    );
    check(
        Some("http://api.crowdstrike.com"),
        "CS_BASE_URL is plain http to another machine; write `https://`",
    );
    check(
        Some("https://falcon.us-2.crowdstrike.com"),
        "CS_BASE_URL is the console's address; the API's is `https://api.us-2.crowdstrike.com`",
    );
    check(Some("https://me:secret@h"), "CS_BASE_URL must not hold a user name or password");
    check(
        Some("not a host"),
        "CS_BASE_URL is not an address; write it as `https://host` or `https://host/path`",
    );
}

#[test]
fn settings_name_the_child_tenant() {
    #[track_caller]
    fn check(settings: Value, expected: &str) {
        let shown = match endpoint(None, &settings) {
            Ok(Endpoint { auth: Auth::ClientCredentials { form, .. }, .. }) => format!("{form:?}"),
            Ok(_) => "another scheme".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }
    check(Value::Null, "[]");
    check(json!({ "member_cid": null }), "[]");
    check(json!({ "member_cid": "abc123" }), r#"[("member_cid", "abc123")]"#);
    check(
        json!({ "member_cid": "a&b" }),
        "connectors.crowdstrike.settings needs letters and digits for `member_cid`",
    );
    check(
        json!({ "region": "us-2" }),
        "connectors.crowdstrike.settings has no `region`; there is `member_cid`",
    );
    check(json!([]), "connectors.crowdstrike.settings must be a mapping");
}

#[test]
fn waits_are_instants() {
    #[track_caller]
    fn check(status: u16, headers: &[(&'static str, &str)], expected: Option<Pushback>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header"));
        }
        assert_eq!(CrowdStrike.pushback(status, &map, b""), expected, "{headers:?}");
    }
    let date = ("date", "Mon, 16 Dec 2019 00:58:00 GMT"); // 1576457880
    let wait = |seconds| Some(Pushback::For(Duration::from_secs(seconds)));
    check(429, &[date, ("x-ratelimit-retryafter", "1576457897")], wait(17));
    check(429, &[date, ("x-ratelimit-retryafter", "1576457800")], wait(1));
    check(429, &[date, ("x-ratelimit-retryafter", "17")], Some(Pushback::Unspecified));
    check(429, &[date, ("x-ratelimit-retryafter", "soon")], Some(Pushback::Unspecified));
    check(429, &[("x-ratelimit-retryafter", "1576457897")], Some(Pushback::Unspecified));
    check(429, &[("retry-after", "3")], wait(3));
    check(429, &[], Some(Pushback::Unspecified));
    check(200, &[date, ("x-ratelimit-retryafter", "1576457897")], None);
    check(403, &[date], None);
}

#[test]
fn names_are_searched_for_in_their_other_forms() {
    #[track_caller]
    fn check(names: &[&str], expected: &[&str]) {
        let forms = other_forms(names);
        assert_eq!(forms.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }
    check(&["web01"], &["WEB01", "WEB01.*", "web01.*"]);
    check(&["Web01"], &["WEB01", "WEB01.*", "Web01.*", "web01", "web01.*"]);
    check(&["Web01.a.B"], &["WEB01", "WEB01.A.B", "Web01", "web01", "web01.a.b"]);
    check(&["10.0.0.1"], &[]);
    check(&[], &[]);
}

#[test]
fn a_query_asks_for_any_of_its_names() {
    assert_eq!(filter(["a", "b-1.c"].into_iter()), "hostname:'a',hostname:'b-1.c'");
}

#[test]
fn records_say_what_they_say_and_no_more() {
    #[track_caller]
    fn check(record: Value, expected: Sensor) {
        let device: Device = serde_json::from_value(record).expect("a record");
        assert_eq!(device.sensor(), expected);
    }
    let bare = Sensor { id: "a".to_owned(), ..Sensor::default() };
    check(json!({ "device_id": "a" }), bare.clone());
    check(
        json!({ "device_id": "a", "hostname": null, "status": 7, "last_seen": {}, "tags": [{}] }),
        bare.clone(),
    );
    check(
        json!({
            "device_id": "a", "hostname": " WEB01 ", "last_seen": "2026-01-02T03:04:05Z",
            "agent_version": "6.54.16702.0", "status": "normal", "reduced_functionality_mode": "no",
            "major_version": 10,
        }),
        Sensor {
            hostname: "WEB01".to_owned(),
            last_seen: Some("2026-01-02T03:04:05Z".parse().expect("a time")),
            version: "6.54.16702.0".to_owned(),
            reduced_functionality: Some(false),
            contained: Some(false),
            ..bare.clone()
        },
    );
    for (word, expected) in
        [("yes", Some(true)), ("No", Some(false)), ("", None), ("unknown", None)]
    {
        check(
            json!({ "device_id": "a", "reduced_functionality_mode": word }),
            Sensor { reduced_functionality: expected, ..bare.clone() },
        );
    }
    let contained = [
        ("contained", Some(true)),
        ("containment_pending", Some(true)),
        ("lift_containment_pending", Some(true)),
        ("normal", Some(false)),
        ("", None),
        ("isolated", None),
    ];
    for (word, expected) in contained {
        check(
            json!({ "device_id": "a", "status": word }),
            Sensor { contained: expected, ..bare.clone() },
        );
    }
    let state = |word| {
        serde_json::from_value::<State>(json!({ "id": "a", "state": word })).expect("a state")
    };
    assert_eq!(state(json!("online")).connection(), Connection::Online);
    assert_eq!(state(json!("Offline")).connection(), Connection::Offline);
    assert_eq!(state(json!("unknown")).connection(), Connection::Unknown);
    assert_eq!(state(Value::Null).connection(), Connection::Unknown);
}

#[test]
fn envelopes_come_in_several_shapes() {
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let shown = match Envelope::<Word>::read(body.as_bytes()) {
            Err(_) => "unreadable".to_owned(),
            Ok(reply) if !reply.is_reply() => "no reply".to_owned(),
            Ok(reply) => match reply.complaint() {
                Some(complaint) => format!("{}: {}", complaint.code, complaint.words),
                None => {
                    format!("{:?} of {:?}", reply.resources.as_ref().map(Vec::len), reply.total())
                }
            },
        };
        assert_eq!(shown, expected);
    }
    check(
        r#"{"resources":["a"],"errors":null,"meta":{"pagination":{"total":3}}}"#,
        "Some(1) of Some(3)",
    );
    check(r#"{"resources":null,"errors":[],"meta":null}"#, "None of None");
    check("[null,[],null]", "unreadable");
    check(r#"{"resources":null,"errors":null,"meta":null}"#, "no reply");
    check(r#"{"resources":null,"meta":{"query_time":0.1}}"#, "None of None");
    check(r#"{"meta":{},"errors":[{"code":403,"message":"denied"}]}"#, "403: denied");
    check(r#"{"errors":[{"code":"500"},{"code":0,"message":" a\n b "}]}"#, "500: code 500; a b");
    check(r#"{"errors":[{}]}"#, "0: code ");
    check("{}", "no reply");
    check("[]", "unreadable");
    check(r#"{"resources":["a"#, "unreadable");
}

proptest! {
    #[test]
    fn any_bytes_are_a_reply_or_none(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = serde_json::from_slice::<Envelope<Device>>(&body);
    }

    #[test]
    fn any_record_is_read(
        key in "device_id|hostname|status|last_seen|reduced_functionality_mode|agent_version",
        text in any::<String>(), number in any::<f64>(),
    ) {
        for value in [json!(text), json!(number), json!([text]), json!({ "a": text }), json!(true)] {
            let body = json!({ "resources": [{ key.clone(): value }] }).to_string();
            let reply: Envelope<Device> = serde_json::from_str(&body).expect("a reply");
            for device in reply.resources.unwrap_or_default() {
                let _ = (device.sensor(), device.device_id.id());
            }
        }
    }

    #[test]
    fn no_name_leaves_its_quotes(names in prop::collection::vec(any::<String>(), 0..4)) {
        let usable: Vec<&str> =
            names.iter().filter_map(|name| crate::hostname::usable(name)).collect();
        for form in other_forms(&usable) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
            prop_assert!(!form.is_empty() && form.chars().all(plain));
        }
    }
}
