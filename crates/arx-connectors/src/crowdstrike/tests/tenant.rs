//! Reads from a tenant that answers as each test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arx_gateway::GateError;
use arx_testkit::TestGate;
use serde_json::{Value, json};

use crate::crowdstrike::CrowdStrike;
use crate::scripted::{Asked, Reply, Scripted};

const TOKEN: &str = "/oauth2/token";
const QUERY: &str = "/devices/queries/devices/v1";
const DEVICES: &str = "/devices/entities/devices/v2";
const STATES: &str = "/devices/entities/online-state/v1";

const SECRET: &str = "canary-client-secret";
const ID: &str = "canary-client-id";

struct World {
    server: Scripted,
    gate: TestGate,
}

impl World {
    async fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let server = Scripted::start(answer).await;
        let environment = BTreeMap::from([
            ("CS_CLIENT_ID".to_owned(), ID.to_owned()),
            ("CS_CLIENT_SECRET".to_owned(), SECRET.to_owned()),
            ("CS_BASE_URL".to_owned(), server.url.clone()),
        ]);
        let gate = TestGate::new(Arc::new(CrowdStrike), environment, Value::Null, None).await;
        Self { server, gate }
    }

    async fn read(&self, hosts: Value) -> Result<Value, GateError> {
        self.gate.read("crowdstrike.hosts:read", json!({ "hosts": hosts }), None).await
    }

    fn n(&self, path: &str) -> usize {
        self.server.asked_for(path).len()
    }
}

/// Hosts with one name each, which is their id too.
fn named(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "id": name, "name": name, "names": [name] })).collect()
}

fn token() -> Reply {
    Reply::new(201, r#"{"access_token":"canary-token","expires_in":1799,"token_type":"bearer"}"#)
}

fn envelope(resources: Value, total: usize) -> Reply {
    let meta = json!({ "query_time": 0.1, "pagination": { "total": total } });
    Reply::ok(json!({ "meta": meta, "resources": resources, "errors": null }).to_string())
}

fn trouble(status: u16, code: u16, message: &str) -> Reply {
    let errors = json!([{ "code": code, "message": message }]);
    Reply::new(status, json!({ "meta": {}, "resources": [], "errors": errors }).to_string())
}

fn parameters(asked: &Asked, name: &str) -> Vec<String> {
    let query = asked.line.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
}

/// The texts that a query searches for.
fn searched(asked: &Asked) -> Vec<String> {
    let filter = parameters(asked, "filter").pop().expect("a filter");
    let text = |part: &str| {
        let text = part.strip_prefix("hostname:'").and_then(|part| part.strip_suffix('\''));
        text.unwrap_or_else(|| panic!("`{part}` is no search for a host")).to_owned()
    };
    filter.split(',').map(text).collect()
}

fn device(id: &str, hostname: &str) -> Value {
    json!({ "device_id": id, "hostname": hostname, "last_seen": "2100-01-01T00:00:00Z",
        "status": "normal", "reduced_functionality_mode": "no", "agent_version": "7.1" })
}

/// A tenant whose searches tell cases apart and whose sensors are all online.
fn tenant(fleet: Vec<Value>) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        if asked.line.contains(TOKEN) {
            return token();
        }
        assert_eq!(asked.header("authorization"), Some("Bearer canary-token"));
        if asked.line.contains(QUERY) {
            let searched = searched(asked);
            assert!(searched.len() <= 20, "{searched:?}");
            let matches = |device: &&Value| {
                let name = device["hostname"].as_str().unwrap_or_default();
                searched.iter().any(|text| match text.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == text,
                })
            };
            let ids: Vec<&Value> =
                fleet.iter().filter(matches).map(|device| &device["device_id"]).collect();
            envelope(json!(ids), ids.len())
        } else if asked.line.contains(DEVICES) {
            let body: Value = serde_json::from_str(&asked.body).expect("JSON");
            let ids = body["ids"].as_array().expect("ids");
            assert!(ids.len() <= 5000);
            let records: Vec<&Value> =
                fleet.iter().filter(|device| ids.contains(&device["device_id"])).collect();
            envelope(json!(records), records.len())
        } else {
            assert!(asked.line.starts_with("GET /devices/entities/online-state/v1?"));
            let ids = parameters(asked, "ids");
            assert!(ids.len() <= 100);
            let states: Vec<Value> =
                ids.iter().map(|id| json!({ "id": id, "state": "online" })).collect();
            envelope(json!(states), states.len())
        }
    }
}

/// What a read says of each host: its sensors as `id name connection`, or why there are none.
fn shown(value: &Value) -> Vec<String> {
    let hosts = value["hosts"].as_array().expect("hosts");
    let show = |host: &Value| {
        let sensors = host["sensors"].as_array().expect("sensors").iter().map(|sensor| {
            let text = |key: &str| sensor[key].as_str().expect("a text").to_owned();
            format!("{} {} {}", text("id"), text("hostname"), text("connection"))
        });
        let sensors = sensors.collect::<Vec<_>>().join(", ");
        let unread = host["unread"].as_str().map(|why| format!(" unread: {why}"));
        format!(
            "{}: {sensors}{}",
            host["host"].as_str().expect("an id"),
            unread.unwrap_or_default()
        )
    };
    hosts.iter().map(show).collect()
}

/// Reads hosts of one name each from a fleet.
async fn check(fleet: Vec<Value>, names: &[&str], expected: &[&str]) {
    let world = World::new(tenant(fleet)).await;
    let value = world.read(named(names)).await.expect("a value");
    assert_eq!(shown(&value), expected);
    assert_eq!(value["complete"], json!(true), "{value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_found_by_name_in_any_case_short_or_qualified() {
    let fleet = || {
        vec![
            device("a1", "WEB01"),
            device("b1", "db01.corp.example"),
            device("c1", "App01.corp.example"),
            device("d1", "mail01.other.example"),
        ]
    };
    check(fleet(), &["WEB01"], &["WEB01: a1 WEB01 online"]).await;
    check(fleet(), &["web01"], &["web01: a1 WEB01 online"]).await;
    check(fleet(), &["web01.corp.example"], &["web01.corp.example: a1 WEB01 online"]).await;
    check(fleet(), &["db01"], &["db01: b1 db01.corp.example online"]).await;
    check(fleet(), &["DB01.CORP.EXAMPLE"], &["DB01.CORP.EXAMPLE: b1 db01.corp.example online"])
        .await;
    check(fleet(), &["app01.corp.example"], &["app01.corp.example: "]).await;
    check(fleet(), &["mail01.corp.example"], &["mail01.corp.example: "]).await;
    check(fleet(), &["nothing", "web01"], &["nothing: ", "web01: a1 WEB01 online"]).await;
    check(fleet(), &[], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_a_query_could_misread_are_not_asked_for() {
    let world = World::new(tenant(vec![device("a1", "web01"), device("b1", "")])).await;
    let hosts = json!([
        { "id": "1", "name": "x", "names": ["", "web01'),hostname:('x"] },
        { "id": "2", "name": "x", "names": [] },
        { "id": "3", "name": "x", "names": ["a'b", "web01"] },
    ]);
    let value = world.read(hosts).await.expect("a value");
    assert_eq!(
        shown(&value),
        [
            "1:  unread: none of its names is one that can be searched for",
            "2:  unread: no host name is known",
            "3: a1 web01 online",
        ]
    );
    let asked: Vec<_> = world.server.asked_for(QUERY).iter().flat_map(searched).collect();
    assert_eq!(asked, ["web01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_a_name_is_told_the_latest_first() {
    let seen = |id: &str, at: &str| {
        let mut device = device(id, "web01");
        device["last_seen"] = json!(at);
        device
    };
    let mut silent = device("a4", "web01");
    silent["last_seen"] = Value::Null;
    let fleet = vec![
        seen("a1", "2025-01-01T00:00:00Z"),
        silent,
        seen("a2", "2026-01-01T00:00:00Z"),
        seen("a3", "2025-06-01T00:00:00Z"),
        device("z", "web011"),
    ];
    check(
        fleet,
        &["web01"],
        &["web01: a2 web01 online, a3 web01 online, a1 web01 online, a4 web01 online"],
    )
    .await;
}

/// A host that was set up again may have another spelling of its name since.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fell_silent_hides_no_living_one() {
    let mut old = device("a1", "web01.corp.example");
    old["last_seen"] = json!("2025-01-01T00:00:00Z");
    let name = "web01.corp.example";
    check(
        vec![old.clone(), device("a2", "WEB01")],
        &[name],
        &["web01.corp.example: a2 WEB01 online, a1 web01.corp.example online"],
    )
    .await;
    check(vec![old], &[name], &["web01.corp.example: a1 web01.corp.example online"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_record_is_not_given_to_two_domains() {
    let fleet = vec![device("a1", "WEB01")];
    let world = World::new(tenant(fleet)).await;
    let value = world.read(named(&["web01.a.example", "web01.b.example"])).await.expect("a value");
    let why = "unread: the sensor `WEB01` may be of any of 2 hosts that were asked for";
    assert_eq!(
        shown(&value),
        [
            format!("web01.a.example: a1 WEB01 online {why}"),
            format!("web01.b.example: a1 WEB01 online {why}"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_grow_with_batches() {
    let names: Vec<String> = (0..250).map(|n| format!("host-{n:04}")).collect();
    let fleet = names.iter().enumerate().map(|(n, name)| device(&format!("{n:032x}"), name));
    let world = World::new(tenant(fleet.collect())).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let value = world.read(named(&names)).await.expect("a value");
    assert!(shown(&value).iter().all(|line| line.ends_with("online")));
    let calls = [TOKEN, QUERY, DEVICES, STATES].map(|path| world.n(path));
    assert_eq!(calls, [1, 13, 1, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_of_a_connection_is_unknown() {
    let fleet = vec![device("a1", "web01"), device("b1", "db01"), device("c1", "app01")];
    let whole = tenant(fleet);
    let world = World::new(move |asked| {
        if !asked.line.contains(STATES) {
            return whole(asked);
        }
        let states = json!([
            { "id": "a1", "state": "offline", "last_seen": "2100-02-01T00:00:00Z" },
            { "id": "b1", "state": "unknown" },
            { "id": "elsewhere", "state": "online" },
        ]);
        envelope(states, 3)
    })
    .await;
    let value = world.read(named(&["web01", "db01", "app01"])).await.expect("a value");
    assert_eq!(
        shown(&value),
        ["web01: a1 web01 offline", "db01: b1 db01 unknown", "app01: c1 app01 unknown"]
    );
    assert_eq!(value["hosts"][0]["sensors"][0]["last_seen"], json!("2100-02-01T00:00:00Z"));
    assert_eq!(value["hosts"][1]["sensors"][0]["last_seen"], json!("2100-01-01T00:00:00Z"));

    let whole = tenant(vec![device("a1", "web01")]);
    let world = World::new(move |asked| {
        if asked.line.contains(STATES) { trouble(400, 400, "no such ids") } else { whole(asked) }
    })
    .await;
    let value = world.read(named(&["web01"])).await.expect("a value");
    let why = value["why"].as_str().expect("a reason");
    assert_eq!(shown(&value), [format!("web01: a1 web01 unknown unread: {why}")]);
    insta::assert_snapshot!(value["why"], @r#""whether sensors are connected cannot be read: CrowdStrike refused the request with status 400: no such ids""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_nobody_asked_for_are_left_out() {
    let other = device("zz", "web01");
    let whole = tenant(vec![device("a1", "web01"), device("b1", "db01")]);
    let world = World::new(move |asked| {
        if asked.line.contains(QUERY) {
            // The search matches more than it was told to.
            envelope(json!(["a1", "b1", "gone"]), 3)
        } else if asked.line.contains(DEVICES) {
            let mut reply: Value = serde_json::from_str(&whole(asked).body).expect("JSON");
            reply["resources"].as_array_mut().expect("records").push(other.clone());
            Reply::ok(reply.to_string())
        } else {
            whole(asked)
        }
    })
    .await;
    let value = world.read(named(&["web01"])).await.expect("a value");
    assert_eq!(shown(&value), ["web01: a1 web01 online"]);
    insta::assert_snapshot!(value["warnings"][0], @r#""1 sensors that were found have no record; they may have been hidden meanwhile""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_paged_and_too_long_ones_divided() {
    let fleet: Vec<Value> = (0..6_000).map(|n| device(&format!("{n:032x}"), "web01")).collect();
    let ids: Vec<Value> = fleet.iter().map(|device| device["device_id"].clone()).collect();
    let whole = tenant(fleet);
    let world = World::new(move |asked| {
        if !asked.line.contains(QUERY) {
            return whole(asked);
        }
        let searched = searched(asked);
        let offset = parameters(asked, "offset").pop().map_or(0, |text| text.parse().unwrap());
        assert!(offset < 10_000, "refused by the vendor");
        match searched.as_slice() {
            [one] if one == "web01" => {
                envelope(json!(ids.iter().skip(offset).take(5_000).collect::<Vec<_>>()), ids.len())
            }
            many if many.iter().any(|text| text == "everything") => envelope(json!([]), 1_000_000),
            many if many.iter().any(|text| text == "web01") => envelope(json!([]), 10_001),
            _ => envelope(json!([]), 0),
        }
    })
    .await;
    let hosts = named(&["db01", "everything", "web01"]);
    let value = world.read(hosts).await.expect("a value");
    let hosts = value["hosts"].as_array().expect("hosts");
    assert_eq!(hosts[2]["sensors"].as_array().expect("sensors").len(), 6_000);
    assert_eq!(hosts[1]["unread"], json!("more than 10000 sensors match `everything`"));
    assert_eq!(
        (&hosts[0]["unread"], &hosts[0]["sensors"], &hosts[2]["unread"]),
        (&Value::Null, &json!([]), &Value::Null)
    );
    assert_eq!(value["complete"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_does_not_go_on_costs_its_hosts() {
    for (first, rest) in [(json!(["a1"]), json!([])), (json!(["a1"]), json!(["a1"]))] {
        let whole = tenant(vec![device("a1", "web01")]);
        let world = World::new(move |asked| match parameters(asked, "offset").pop() {
            Some(_) => envelope(rest.clone(), 2),
            None if asked.line.contains(QUERY) => envelope(first.clone(), 2),
            None => whole(asked),
        })
        .await;
        let value = world.read(named(&["web01"])).await.expect("a value");
        let unread = value["hosts"][0]["unread"].as_str().expect("a reason");
        assert!(unread.starts_with("CrowdStrike sent a reply that cannot be read"), "{unread}");
        assert_eq!(value["complete"], json!(false));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_costs_its_own_hosts() {
    let names: Vec<String> = (0..40).map(|n| format!("host-{n:02}")).collect();
    let fleet = names.iter().enumerate().map(|(n, name)| device(&format!("{n:02}"), name));
    let whole = tenant(fleet.collect());
    let world = World::new(move |asked| {
        if asked.line.contains("host-00") && asked.line.contains(QUERY) {
            trouble(200, 400, "invalid filter")
        } else {
            whole(asked)
        }
    })
    .await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let value = world.read(named(&names)).await.expect("a value");
    let shown = shown(&value);
    let unread = "unread: CrowdStrike refused the request: invalid filter";
    assert!(shown[..20].iter().all(|line| line.ends_with(unread)), "{shown:?}");
    assert!(shown[20..].iter().all(|line| line.ends_with("online")), "{shown:?}");
    assert_eq!(value["why"], json!("CrowdStrike refused the request: invalid filter"));
}

/// The error of a read in which `answer` answers everything but token requests.
async fn error(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (String, World) {
    let world =
        World::new(move |asked| if asked.line.contains(TOKEN) { token() } else { answer(asked) })
            .await;
    let names: Vec<String> = (0..200).map(|n| format!("host-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = world.read(named(&names)).await.expect_err("an error").to_string();
    (error, world)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_not_retried() {
    let denied = |_: &Asked| trouble(403, 403, "access denied, authorization failed");
    let (words, world) = error(denied).await;
    insta::assert_snapshot!(words, @"CrowdStrike does not accept CS_CLIENT_ID and CS_CLIENT_SECRET: access denied, authorization failed; the API client needs the scope `Hosts: READ`, and this machine's address must be among those that the tenant allows, where it restricts them");
    assert!(world.n(QUERY) <= 4, "those under way and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_renewed_once() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tokens);
    let whole = tenant(vec![device("a1", "web01")]);
    let world = World::new(move |asked| {
        if asked.line.contains(TOKEN) {
            let n = count.fetch_add(1, Ordering::SeqCst);
            let name = if n == 0 { "canary-stale" } else { "canary-token" };
            return Reply::new(
                201,
                json!({ "access_token": name, "expires_in": 1799 }).to_string(),
            );
        }
        if asked.header("authorization") == Some("Bearer canary-stale") {
            return trouble(401, 401, "access denied, invalid bearer token");
        }
        whole(asked)
    })
    .await;
    let value = world.read(named(&["web01"])).await.expect("a value");
    assert_eq!(shown(&value), ["web01: a1 web01 online"]);
    assert_eq!(tokens.load(Ordering::SeqCst), 2);

    let stale = |_: &Asked| trouble(401, 401, "access denied, invalid bearer token canary-token");
    let (words, world) = error(stale).await;
    insta::assert_snapshot!(words, @"CrowdStrike does not accept CS_CLIENT_ID and CS_CLIENT_SECRET: access denied, invalid bearer token [redacted]");
    assert!(world.n(QUERY) <= 8, "each of those under way twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_as_long_as_it_says() {
    // A life of nothing is renewed for every request, and requests that it serves still succeed.
    let whole = tenant(vec![device("a1", "web01")]);
    let world = World::new(move |asked| {
        if asked.line.contains(TOKEN) {
            return Reply::new(201, r#"{"access_token":"canary-token","expires_in":0}"#);
        }
        whole(asked)
    })
    .await;
    let value = world.read(named(&["web01"])).await.expect("a value");
    assert_eq!(shown(&value), ["web01: a1 web01 online"]);
    assert_eq!(world.n(TOKEN), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_another_region_is_named_and_not_followed() {
    let elsewhere = |location: &'static str| {
        move |_: &Asked| {
            Reply::new(308, "").header("location", location).header("x-cs-region", "us-2")
        }
    };
    let us2 = "https://api.us-2.crowdstrike.com/devices/queries/devices/v1?limit=1";
    let (words, world) = error(elsewhere(us2)).await;
    insta::assert_snapshot!(words, @"CrowdStrike refused the request: the tenant is in region us-2; set CS_BASE_URL to `https://api.us-2.crowdstrike.com`");
    assert!(world.n(QUERY) <= 7, "a wrong region is asked a few times at most");
    let (words, _) = error(elsewhere("https://evil.example/x")).await;
    insta::assert_snapshot!(words, @"CrowdStrike refused the request: redirected to `evil.example`, which is not followed; set CS_BASE_URL to the address of the tenant's region");

    let token = World::new(move |_| {
        Reply::new(308, "").header("location", "https://api.eu-1.crowdstrike.com/oauth2/token")
    })
    .await;
    let words = crate::scripted::probe(&token.gate).await.expect_err("refused");
    insta::assert_snapshot!(words, @"CrowdStrike refused the request: the tenant is in region eu-1; set CS_BASE_URL to `https://api.eu-1.crowdstrike.com`");
    assert_eq!(token.server.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_shows_no_secret() {
    let probe = async |reply: Reply| {
        let world = World::new(move |_| reply.clone()).await;
        crate::scripted::probe(&world.gate).await.expect_err("refused")
    };
    let unknown = format!("Failed to generate access token for clientID={ID}.");
    insta::assert_snapshot!(probe(trouble(400, 400, &unknown)).await, @"CrowdStrike does not accept CS_CLIENT_ID and CS_CLIENT_SECRET: no access token (status 400): Failed to generate access token for clientID=[redacted].");
    insta::assert_snapshot!(probe(trouble(403, 403, "Failed to issue access token - Not Authorized")).await, @"CrowdStrike does not accept CS_CLIENT_ID and CS_CLIENT_SECRET: no access token (status 403): Failed to issue access token - Not Authorized");
    insta::assert_snapshot!(probe(trouble(403, 403, &format!("access denied, authorization failed {SECRET}"))).await, @"CrowdStrike does not accept CS_CLIENT_ID and CS_CLIENT_SECRET: no access token (status 403): access denied, authorization failed [redacted]; this machine's address may not be among those that the tenant allows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_asks_for_one_id() {
    let world =
        World::new(
            |asked| {
                if asked.line.contains(TOKEN) { token() } else { envelope(json!(["a1"]), 9) }
            },
        )
        .await;
    crate::scripted::probe(&world.gate).await.expect("accepted");
    let lines: BTreeSet<_> = world.server.asked().into_iter().map(|asked| asked.line).collect();
    let expected = ["GET /devices/queries/devices/v1?limit=1", "POST /oauth2/token"];
    assert_eq!(lines, expected.map(str::to_owned).into());
    let form = world.server.asked_for(TOKEN).remove(0).body;
    assert!(form.contains(&format!("client_id={ID}&client_secret={SECRET}")), "{form}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_pass_are_asked_for_again() {
    let bad = [
        trouble(200, 500, "internal"),
        trouble(200, 401, "access denied, invalid bearer token"),
        Reply::ok(r#"{"meta":{},"resources":["#),
        Reply::ok("<html>sign in</html>"),
        Reply::ok("{}"),
        Reply::new(429, "").header("retry-after", "0"),
        Reply::new(500, ""),
    ];
    for bad in bad {
        let whole = tenant(vec![device("a1", "web01")]);
        let n = AtomicUsize::new(0);
        let reply = bad.clone();
        let world = World::new(move |asked| {
            if asked.line.contains(QUERY) && n.fetch_add(1, Ordering::SeqCst) == 0 {
                reply.clone()
            } else {
                whole(asked)
            }
        })
        .await;
        let value = world.read(named(&["web01"])).await.expect("a value");
        assert_eq!(shown(&value), ["web01: a1 web01 online"], "{bad:?}");
        assert_eq!(value["complete"], json!(true));
    }
    let (words, world) = error(|_| Reply::ok("<html>sign in</html>")).await;
    insta::assert_snapshot!(words, @"CrowdStrike sent a reply that cannot be read: expected value at line 1 column 1: <html>sign in</html>");
    assert!(world.n(QUERY) <= 18, "{}", world.n(QUERY));
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_checked_before_anything_is_sent() {
    let world = World::new(|_| Reply::new(500, "")).await;
    let read = async |params: Value| {
        let error = world.gate.read("crowdstrike.hosts:read", params, None).await;
        error.expect_err("refused").to_string()
    };
    insta::assert_snapshot!(read(json!({})).await, @"crowdstrike.hosts:read: `hosts` is missing; write a list of hosts");
    insta::assert_snapshot!(read(json!({ "hosts": ["web01"] })).await, @"crowdstrike.hosts:read: `hosts` must be a list of hosts, each with `id`, `name`, `names`, `ips` and `agent_ids`");
    insta::assert_snapshot!(read(json!({ "hosts": [], "ids": [] })).await, @"crowdstrike.hosts:read: no parameter `ids`; there are hosts");
    assert_eq!(world.server.asked().len(), 0);
}
