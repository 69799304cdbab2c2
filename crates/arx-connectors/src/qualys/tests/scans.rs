//! Rescans, from a server that answers as each test says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arx_gateway::GateError;
use arx_testkit::TestGate;
use arx_types::HostNames;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{knowledge_base, list, vuln};
use crate::qualys::Qualys;
use crate::qualys::hosts::{Asked as Hosts, Keep, read};
use crate::qualys::wire::{DETECTIONS_ROOT, Ended, HOSTS_ROOT};
use crate::scripted::{Asked, Reply, Scripted};

const DETECTIONS: &str = "/fo/asset/host/vm/detection/?";
const HOSTS: &str = "/fo/asset/host/?";
const KNOWLEDGE: &str = "/fo/knowledge_base/vuln/?";

/// A host of the scanner's: its id, what it is known by, its detections.
#[derive(Clone)]
struct Record {
    id: u64,
    ip: &'static str,
    known_by: String,
    detections: String,
}

impl Record {
    /// A host at an address, known by a DNS name.
    fn new(id: u64, ip: &'static str, dns: &str) -> Self {
        Self { id, ip, known_by: format!("<DNS>{dns}</DNS>"), detections: String::new() }
    }

    fn with(mut self, fields: &str) -> Self {
        self.known_by.push_str(fields);
        self
    }

    fn detected(mut self, qid: u32, status: &str) -> Self {
        self.detections.push_str(&format!(
            "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY>\
             <STATUS>{status}</STATUS><LAST_FOUND_DATETIME>2026-01-01T00:00:00Z</LAST_FOUND_DATETIME>\
             <LAST_TEST_DATETIME>2026-01-02T00:00:00Z</LAST_TEST_DATETIME>{}</DETECTION>",
            if status == "Fixed" {
                "<LAST_FIXED_DATETIME>2026-01-03T00:00:00Z</LAST_FIXED_DATETIME>"
            } else {
                ""
            }
        ));
        self
    }

    fn xml(&self, has_detections: bool) -> String {
        let list = format!("<DETECTION_LIST>{}</DETECTION_LIST>", self.detections);
        format!(
            "<HOST><ID>{}</ID><IP>{}</IP><TRACKING_METHOD>IP</TRACKING_METHOD>{}\
             <LAST_VM_SCANNED_DATE>2026-01-02T00:00:00Z</LAST_VM_SCANNED_DATE>{}</HOST>",
            self.id,
            self.ip,
            self.known_by,
            if has_detections { &list } else { "" }
        )
    }
}

fn parameter(asked: &Asked, name: &str) -> Option<String> {
    let (_, query) = asked.line.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn host_list(records: &str) -> String {
    list(records, "").replace("HOST_LIST_VM_DETECTION_OUTPUT", HOSTS_ROOT)
}

/// QID n has the CVEs `CVE-2026-000n` and, from 5 on, `CVE-2026-0009` too.
fn facts(asked: &Asked) -> Reply {
    let ids = parameter(asked, "ids").unwrap_or_default();
    let of = |id: &str| {
        let qid: u32 = id.parse().expect("a QID");
        let more = if qid >= 5 { "<CVE><ID>CVE-2026-0009</ID></CVE>" } else { "" };
        vuln(qid, &format!("<CVE_LIST><CVE><ID>cve-2026-{qid:04}</ID></CVE>{more}</CVE_LIST>"))
    };
    Reply::ok(knowledge_base(&ids.split(',').map(of).collect::<String>()))
}

/// A scanner that answers as documented: hosts without detections are left out of their list.
fn scanner(estate: Vec<Record>) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    move |asked| {
        if asked.line.contains(KNOWLEDGE) {
            return facts(asked);
        }
        let given = |name: &str| {
            parameter(asked, name)
                .map(|text| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>())
        };
        let (ips, ids) = (given("ips"), given("ids"));
        assert!(asked.line.len() < 6_000, "{} bytes of address", asked.line.len());
        let is_meant = |record: &&Record| {
            ips.as_ref().is_none_or(|ips| ips.contains(record.ip))
                && ids.as_ref().is_none_or(|ids| ids.contains(&record.id.to_string()))
        };
        let meant = estate.iter().filter(is_meant);
        if asked.line.contains(DETECTIONS) {
            assert_eq!(parameter(asked, "status").as_deref(), Some("New,Active,Re-Opened,Fixed"));
            let found = meant.filter(|record| !record.detections.is_empty());
            Reply::ok(list(&found.map(|record| record.xml(true)).collect::<String>(), ""))
        } else {
            Reply::ok(host_list(&meant.map(|record| record.xml(false)).collect::<String>()))
        }
    }
}

struct World {
    server: Scripted,
    gate: TestGate,
}

impl World {
    async fn new(
        settings: Value,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Scripted::start(answer).await;
        let environment = BTreeMap::from([
            ("QUALYS_URL".to_owned(), server.url.clone()),
            ("QUALYS_USERNAME".to_owned(), "corp_ab1".to_owned()),
            ("QUALYS_PASSWORD".to_owned(), "canary-password".to_owned()),
        ]);
        let gate = TestGate::new(Arc::new(Qualys::default()), environment, settings, None).await;
        Self { server, gate }
    }

    async fn read(&self, hosts: &[Value], vulnerabilities: &[&str]) -> Result<Value, GateError> {
        let params = json!({ "hosts": hosts, "vulnerabilities": vulnerabilities });
        self.gate.read("qualys.scans:read", params, None).await
    }

    fn n(&self, path: &str) -> usize {
        self.server.asked_for(path).len()
    }
}

/// A host that is asked for.
fn wanted(id: &str, names: &[&str], ips: &[&str]) -> Value {
    json!({ "id": id, "name": id, "names": names, "ips": ips })
}

/// What a read says of each host, a line each: its records, and why it could not be read.
fn shown(value: &Value) -> Vec<String> {
    let texts = |value: &Value| {
        let texts = value.as_array().expect("a list").iter();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect::<Vec<_>>().join("+")
    };
    let show = |host: &Value| {
        let records = host["records"].as_array().expect("records").iter().map(|record| {
            let detections = record["detections"].as_array().expect("detections").iter();
            let detections = detections.map(|detection| {
                let text = |key: &str| detection[key].as_str().expect("a text").to_owned();
                format!(
                    " {} {} {}",
                    text("check"),
                    texts(&detection["vulnerabilities"]),
                    text("status")
                )
            });
            let contradicts = texts(&record["contradicts"]);
            let contradicts =
                if contradicts.is_empty() { contradicts } else { format!(" not {contradicts}") };
            format!(
                " [{} by {}{contradicts}:{}]",
                record["id"].as_str().expect("an id"),
                texts(&record["matched_by"]),
                detections.collect::<Vec<_>>().join(",")
            )
        });
        let records = records.collect::<String>();
        let unread = host["unread"].as_str().map(|why| format!(" unread: {why}"));
        format!("{}{records}{}", host["host"].as_str().expect("id"), unread.unwrap_or_default())
    };
    value["hosts"].as_array().expect("hosts").iter().map(show).collect()
}

/// Reads from an estate.
async fn check(estate: Vec<Record>, hosts: &[Value], vulnerabilities: &[&str], expected: &[&str]) {
    let world = World::new(json!({}), scanner(estate)).await;
    let value = world.read(hosts, vulnerabilities).await.expect("a value");
    assert_eq!(shown(&value), expected);
    assert_eq!(value["complete"], json!(true), "{value}");
    assert_eq!(value["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_is_told_of_what_was_asked_for() {
    let estate = || {
        vec![
            Record::new(1, "10.0.0.1", "web01.corp.example")
                .detected(1, "Fixed")
                .detected(2, "New")
                .detected(3, "Active")
                .detected(4, "Re-Opened")
                .detected(5, "Active")
                .detected(6, "Fixed"),
        ]
    };
    let host = [wanted("a", &["web01"], &["10.0.0.1"])];
    check(
        estate(),
        &host,
        &["QID-1", "qid-4", "QID-77"],
        &["a [1 by ip+dns: QID-1 QID-1 Fixed, QID-4 QID-4 Re-Opened]"],
    )
    .await;
    check(
        estate(),
        &host,
        &["CVE-2026-0002", "CVE-2026-0003", "cve-2026-0009"],
        &["a [1 by ip+dns: QID-2 CVE-2026-0002 New, QID-3 CVE-2026-0003 Active, \
           QID-5 CVE-2026-0009 Active, QID-6 CVE-2026-0009 Fixed]"],
    )
    .await;
    check(
        estate(),
        &host,
        &["CVE-2026-0005", "CVE-2026-0009", "QID-5"],
        &["a [1 by ip+dns: QID-5 CVE-2026-0005+CVE-2026-0009+QID-5 Active, \
           QID-6 CVE-2026-0009 Fixed]"],
    )
    .await;
    check(estate(), &host, &[], &["a [1 by ip+dns:]"]).await;
    check(estate(), &[], &["QID-1"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_those_of_the_scanner() {
    let read = async |record: Record| {
        let world = World::new(json!({}), scanner(vec![record.detected(1, "Fixed")])).await;
        let host = [wanted("a", &[], &["10.0.0.1"])];
        let value = world.read(&host, &["QID-1"]).await.expect("a value");
        let record = value["hosts"][0]["records"][0].clone();
        let detection = &record["detections"][0];
        assert_eq!(detection["tested_at"], json!("2026-01-02T00:00:00Z"));
        assert_eq!(detection["fixed_at"], json!("2026-01-03T00:00:00Z"));
        (record["scanned_at"].clone(), record["authenticated_at"].clone())
    };
    let record = || Record::new(1, "10.0.0.1", "");
    let (scan, older) = (json!("2026-01-02T00:00:00Z"), json!("2025-12-01T00:00:00Z"));
    let authenticated =
        "<LAST_VM_AUTH_SCANNED_DATE>2025-12-01T00:00:00Z</LAST_VM_AUTH_SCANNED_DATE>";
    let agent = "<TRACKING_METHOD>Cloud Agent</TRACKING_METHOD>";
    assert_eq!(read(record()).await, (scan.clone(), Value::Null));
    assert_eq!(read(record().with(authenticated)).await, (scan.clone(), older));
    assert_eq!(read(record().with(agent)).await, (scan.clone(), scan.clone()));
    assert_eq!(read(record().with(agent).with(authenticated)).await, (scan.clone(), scan));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_recognised_by_agent_address_or_name() {
    let one = |record: Record| vec![record.detected(1, "Active")];
    let agent = "<QG_HOSTID>AAAA-bbbb-0001</QG_HOSTID>";
    let host = json!({ "id": "a", "name": "a", "names": ["web01.corp.example"],
        "ips": ["10.0.0.1"], "agent_ids": ["aaaabbbb0001"] });
    let is = async |record: Record, expected: &str| {
        check(one(record), std::slice::from_ref(&host), &["QID-1"], &[expected]).await;
    };
    let q = "QID-1 QID-1 Active";
    is(
        Record::new(1, "10.0.0.1", "web01.corp.example")
            .with(agent)
            .with("<NETBIOS>WEB01</NETBIOS>"),
        &format!("a [1 by agent+ip+dns+netbios: {q}]"),
    )
    .await;
    // A short name of the scanner's is as good.
    is(Record::new(1, "10.0.0.1", "WEB01"), &format!("a [1 by ip+dns: {q}]")).await;
    is(
        Record::new(1, "10.0.0.1", "").with("<DNS_DATA><FQDN>Web01.corp.example</FQDN></DNS_DATA>"),
        &format!("a [1 by ip+dns: {q}]"),
    )
    .await;
    // Another domain, and no other evidence than the address.
    is(
        Record::new(1, "10.0.0.1", "web01.other.example"),
        &format!("a [1 by ip not web01.other.example: {q}]"),
    )
    .await;
    is(
        Record::new(1, "10.0.0.1", "").with("<NETBIOS>DB01</NETBIOS>"),
        &format!("a [1 by ip not DB01: {q}]"),
    )
    .await;
    // An agent outweighs a name, and a record without a name contradicts none.
    is(
        Record::new(1, "10.0.0.1", "web09.corp.example").with(agent),
        &format!("a [1 by agent+ip: {q}]"),
    )
    .await;
    is(Record::new(1, "10.0.0.1", ""), &format!("a [1 by ip: {q}]")).await;
    // By name or agent alone, through the list of hosts.
    is(Record::new(1, "10.0.9.9", "WEB01.corp.example"), &format!("a [1 by dns: {q}]")).await;
    is(Record::new(1, "10.0.9.9", "").with(agent), &format!("a [1 by agent: {q}]")).await;
    is(Record::new(1, "10.0.9.9", "web01.other.example"), "a").await;
    is(Record::new(1, "10.0.9.9", "web011.corp.example"), "a").await;

    // Windows cuts names; that is no contradiction, and no evidence either.
    let long = [wanted("a", &["application-server-01"], &["10.0.0.1"])];
    let netbios = Record::new(1, "10.0.0.1", "").with("<NETBIOS>APPLICATION-SER</NETBIOS>");
    check(one(netbios.clone()), &long, &["QID-1"], &[&format!("a [1 by ip: {q}]")]).await;
    let long = [wanted("a", &["application-server-01"], &[])];
    check(one(netbios), &long, &["QID-1"], &["a"]).await;

    // An address of the newer kind is not asked for, and recognised all the same.
    let v6 = Record::new(1, "", "").with("<IPV6>2001:db8::1</IPV6>");
    let host = [wanted("a", &[], &["2001:DB8:0::1"])];
    check(one(v6), &host, &["QID-1"], &[&format!("a [1 by ip: {q}]")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_records_are_all_told() {
    let estate = vec![
        Record::new(10, "10.0.0.1", "web01")
            .with("<NETWORK_ID>1</NETWORK_ID>")
            .detected(1, "Fixed"),
        Record::new(9, "10.0.0.1", "web01")
            .with("<NETWORK_ID>2</NETWORK_ID>")
            .detected(1, "Active"),
    ];
    check(
        estate,
        &[wanted("a", &["web01"], &["10.0.0.1"])],
        &["QID-1"],
        &["a [9 by ip+dns: QID-1 QID-1 Active] [10 by ip+dns: QID-1 QID-1 Fixed]"],
    )
    .await;
}

/// One address in two networks, where the list of detections knows only one of the hosts.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_alone_is_no_host() {
    let estate = || {
        vec![
            Record::new(1, "10.0.0.1", "web01").with("<NETWORK_ID>1</NETWORK_ID>"),
            Record::new(2, "10.0.0.1", "").with("<NETWORK_ID>2</NETWORK_ID>").detected(1, "Fixed"),
        ]
    };
    for vulnerability in ["QID-1", "CVE-2026-0001"] {
        check(
            estate(),
            &[wanted("a", &["web01"], &["10.0.0.1"])],
            &[vulnerability],
            &[&format!("a [1 by ip+dns:] [2 by ip: QID-1 {vulnerability} Fixed]")],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_label_makes_no_two_hosts_one() {
    let estate = || {
        vec![
            Record::new(1, "10.0.0.1", "web01").detected(1, "Fixed"),
            Record::new(2, "10.0.0.2", "web01").detected(1, "Active"),
        ]
    };
    let (a, b) = ("web01.a.example", "web01.b.example");
    check(
        estate(),
        &[wanted("a", &[a], &["10.0.0.1"]), wanted("b", &[b], &["10.0.0.2"])],
        &["QID-1"],
        &["a [1 by ip+dns: QID-1 QID-1 Fixed]", "b [2 by ip+dns: QID-1 QID-1 Active]"],
    )
    .await;
    // Without an address it may be either.
    let why = "record 1 may be any of 2 hosts that were asked for";
    check(
        vec![Record::new(1, "10.0.0.1", "web01").detected(1, "Fixed")],
        &[wanted("a", &[a], &[]), wanted("b", &[b], &[])],
        &["QID-1"],
        &[
            &format!("a [1 by dns: QID-1 QID-1 Fixed] unread: {why}"),
            &format!("b [1 by dns: QID-1 QID-1 Fixed] unread: {why}"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_without_detections_are_looked_up() {
    let estate = vec![
        Record::new(1, "10.0.0.1", "web01.corp.example").detected(1, "Fixed"),
        Record::new(2, "10.0.0.2", "web02.corp.example"),
        Record::new(3, "10.0.0.3", "web03.corp.example"),
    ];
    let hosts = [
        wanted("one", &["web01"], &["10.0.0.1"]),
        wanted("two", &["web02"], &["10.0.0.2"]),
        wanted("three", &["web03"], &[]),
        wanted("four", &["web04"], &["10.0.0.4"]),
        wanted("five", &[], &["10.0.0.5"]),
        wanted("six", &["not a name"], &["not an address"]),
    ];
    let world = World::new(json!({}), scanner(estate)).await;
    let value = world.read(&hosts, &["QID-1"]).await.expect("a value");
    assert_eq!(
        shown(&value),
        [
            "one [1 by ip+dns: QID-1 QID-1 Fixed]",
            "two [2 by ip+dns:]",
            "three [3 by dns:]",
            "four",
            "five",
            "six unread: no name, address or agent is known by which it can be found",
        ]
    );
    assert_eq!(value["hosts"][1]["records"][0]["scanned_at"], json!("2026-01-02T00:00:00Z"));
    assert_eq!(value["hosts"][2]["records"][0]["scanned_at"], json!("2026-01-02T00:00:00Z"));
    let lines: Vec<_> = world.server.asked().into_iter().map(|asked| asked.line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1000&ips=10.0.0.1%2C10.0.0.2%2C10.0.0.4%2C10.0.0.5&status=New%2CActive%2CRe-Opened%2CFixed&include_ignored=1&include_disabled=1&show_results=0&show_igs=0&qids=1
        GET /api/5.0/fo/asset/host/?action=list&truncation_limit=1000&details=All&ips=10.0.0.2%2C10.0.0.4%2C10.0.0.5
        GET /api/5.0/fo/asset/host/?action=list&truncation_limit=1000&details=All
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1000&ids=3&status=New%2CActive%2CRe-Opened%2CFixed&include_ignored=1&include_disabled=1&show_results=0&show_igs=0&qids=1
        "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_grow_with_batches() {
    let ip = |n: usize| format!("10.1.{}.{}", n / 250, n % 250);
    let ips: Vec<&'static str> = (0..500).map(|n| &*Box::leak(ip(n).into_boxed_str())).collect();
    let estate = ips.iter().enumerate().map(|(n, ip)| {
        Record::new(n as u64 + 1, ip, &format!("host-{n}")).detected(n as u32 % 250 + 1, "Fixed")
    });
    let world = World::new(json!({}), scanner(estate.collect())).await;
    let host = |(n, ip): (usize, &&str)| wanted(&format!("{n}"), &[&format!("host-{n}")], &[ip]);
    let hosts: Vec<Value> = ips.iter().enumerate().map(host).collect();
    let value = world.read(&hosts, &["CVE-2026-0009"]).await.expect("a value");
    let found = shown(&value).iter().filter(|line| line.contains("CVE-2026-0009 Fixed")).count();
    assert_eq!(found, 492);
    assert_eq!([DETECTIONS, HOSTS, KNOWLEDGE].map(|path| world.n(path)), [3, 0, 2]);
    world.read(&hosts, &["CVE-2026-0009"]).await.expect("a value");
    assert_eq!([DETECTIONS, HOSTS, KNOWLEDGE].map(|path| world.n(path)), [6, 0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_what_was_asked_for_changes_nothing() {
    let estate = || {
        (1..=9).map(|n| {
            Record::new(n, "10.0.0.1", &format!("web0{n}")).detected(1, "Fixed").detected(2, "New")
        })
    };
    let all: String = estate().map(|record| record.xml(true)).collect();
    let other = all.replace("<IP>10.0.0.1</IP><TRACKING", "<IP>10.9.9.9</IP><TRACKING");
    let world = World::new(json!({}), move |asked| {
        if asked.line.contains(KNOWLEDGE) { facts(asked) } else { Reply::ok(list(&other, "")) }
    })
    .await;
    let value = world
        .read(&[wanted("a", &["web03"], &["10.0.0.3"])], &["CVE-2026-0002"])
        .await
        .expect("a value");
    assert_eq!(shown(&value), ["a [3 by dns: QID-2 CVE-2026-0002 New]"]);
    let asked: Vec<_> =
        world.server.asked_for(KNOWLEDGE).iter().filter_map(|a| parameter(a, "ids")).collect();
    assert_eq!(asked, ["1,2"]);
}

/// The same facts look the same, whatever of the KnowledgeBase was known before.
#[tokio::test(flavor = "multi_thread")]
async fn detections_have_an_order_of_their_own() {
    let estate = vec![
        Record::new(1, "10.0.0.1", "web01").detected(6, "Active"),
        Record::new(2, "10.0.0.2", "web02")
            .detected(10, "Fixed")
            .detected(5, "Fixed")
            .detected(6, "New")
            .detected(6, "Fixed"),
    ];
    let world = World::new(json!({}), scanner(estate)).await;
    let cve = ["CVE-2026-0009"];
    let first = world.read(&[wanted("a", &[], &["10.0.0.1"])], &cve).await.expect("a value");
    assert_eq!(shown(&first), ["a [1 by ip: QID-6 CVE-2026-0009 Active]"]);
    // Now one of the three QIDs is known at once, and the others are not.
    let b = [wanted("b", &[], &["10.0.0.2"])];
    let cold = world.read(&b, &cve).await.expect("a value");
    let warm = world.read(&b, &cve).await.expect("a value");
    let expected = "b [2 by ip: QID-5 CVE-2026-0009 Fixed, QID-6 CVE-2026-0009 New, \
                    QID-6 CVE-2026-0009 Fixed, QID-10 CVE-2026-0009 Fixed]";
    assert_eq!(
        (shown(&cold), shown(&warm)),
        (vec![expected.to_owned()], vec![expected.to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_followed_and_a_lost_one_is_told() {
    let records = [1, 2].map(|id| {
        Record::new(id, "10.0.0.1", &format!("web0{id}")).detected(id as u32, "Active").xml(true)
    });
    let warning = |address: &str| {
        format!("<WARNING><CODE>1980</CODE><URL><![CDATA[\n{address}\n]]></URL></WARNING>")
    };
    let path = "/api/5.0/fo/asset/host/vm/detection/";
    let (first, second) = (records[0].clone(), records[1].clone());
    let next =
        warning(&format!("https://elsewhere.example{path}?action=list&ips=10.0.0.1&id_min=2"));
    let world = World::new(json!({}), move |asked| match parameter(asked, "id_min") {
        None => Reply::ok(list(&first, &next)),
        Some(_) => {
            assert_eq!(parameter(asked, "ips").as_deref(), Some("10.0.0.1"));
            Reply::ok(list(&second, ""))
        }
    })
    .await;
    let host = [wanted("a", &[], &["10.0.0.1"]), wanted("b", &[], &["10.0.0.2"])];
    let value = world.read(&host[..1], &["QID-1", "QID-2"]).await.expect("a value");
    assert_eq!(shown(&value), ["a [1 by ip: QID-1 QID-1 Active] [2 by ip: QID-2 QID-2 Active]"]);

    let (first, lost) = (records[0].clone(), warning(""));
    let world = World::new(json!({}), move |_| Reply::ok(list(&first, &lost))).await;
    let value = world.read(&host, &["QID-1"]).await.expect("a value");
    let why = "a page is truncated and does not say where the next one is";
    assert_eq!(
        shown(&value),
        [format!("a [1 by ip: QID-1 QID-1 Active] unread: {why}"), format!("b unread: {why}")]
    );
    assert_eq!((&value["complete"], &value["why"]), (&json!(false), &json!(why)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_breaks_off_is_asked_for_again_and_counts_once() {
    let record =
        |id: u64| Record::new(id, "10.0.0.1", &format!("web0{id}")).detected(1, "Active").xml(true);
    let whole = list(&[record(1), record(2)].concat(), "");
    let at = whole.find("<ID>2").expect("the second host");
    let world = World::new(json!({}), move |asked| match parameter(asked, "id_min").as_deref() {
        None => Reply::ok(whole.clone()).cut_at(at),
        Some("2") => Reply::ok(list(&[record(1), record(2)].concat(), "")),
        other => panic!("{other:?}"),
    })
    .await;
    let host = [wanted("a", &[], &["10.0.0.1"])];
    let value = world.read(&host, &["QID-1"]).await.expect("a value");
    assert_eq!(shown(&value), ["a [1 by ip: QID-1 QID-1 Active] [2 by ip: QID-1 QID-1 Active]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_costs_its_own_hosts() {
    let ips: Vec<String> = (0..300).map(|n| format!("10.1.{}.{}", n / 250, n % 250)).collect();
    let hosts: Vec<Value> = ips.iter().map(|ip| wanted(ip, &[], &[ip])).collect();
    let whole = scanner(vec![Record::new(1, "10.1.1.49", "x").detected(1, "Fixed")]);
    let world = World::new(json!({}), move |asked| {
        let refused = "<SIMPLE_RETURN><RESPONSE><CODE>1905</CODE><TEXT>bad canary-password</TEXT>\
                       </RESPONSE></SIMPLE_RETURN>";
        if asked.line.contains("10.1.0.7") { Reply::new(400, refused) } else { whole(asked) }
    })
    .await;
    let value = world.read(&hosts, &["QID-1"]).await.expect("a value");
    let shown = shown(&value);
    let why = "unread: Qualys refused the request with status 400: code 1905: bad [redacted]";
    assert!(shown[..200].iter().all(|line| line.ends_with(why)), "{}", shown[0]);
    assert_eq!(shown[299], "10.1.1.49 [1 by ip: QID-1 QID-1 Fixed]");
    assert_eq!(shown[298], "10.1.1.48");
    assert_eq!(value["complete"], json!(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_failures_is_the_error() {
    let error = async |status: u16, code: u32| {
        let world = World::new(json!({}), move |_| {
            let body =
                format!("<SIMPLE_RETURN><RESPONSE><CODE>{code}</CODE></RESPONSE></SIMPLE_RETURN>");
            Reply::new(status, body)
        })
        .await;
        let host = [wanted("a", &["web01"], &["10.0.0.1"])];
        world.read(&host, &["QID-1"]).await.expect_err("an error").to_string()
    };
    insta::assert_snapshot!(error(401, 2000).await, @"Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2000");
    insta::assert_snapshot!(error(200, 2001).await, @"Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2001");
    insta::assert_snapshot!(error(400, 1905).await, @"Qualys refused the request with status 400: code 1905");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knowledge_base_that_is_refused_leaves_qids() {
    let estate = || {
        vec![
            Record::new(1, "10.0.0.1", "web01").detected(1, "Fixed").detected(2, "Active"),
            Record::new(2, "10.0.0.2", "web02").detected(1, "Fixed"),
            Record::new(3, "10.0.0.3", "web03"),
        ]
    };
    let hosts = ["1", "2", "3"].map(|n| wanted(n, &[], &[&format!("10.0.0.{n}")]));
    let without = |whole: Box<dyn Fn(&Asked) -> Reply + Send + Sync>| {
        move |asked: &Asked| {
            if asked.line.contains(KNOWLEDGE) {
                let body = "<SIMPLE_RETURN><RESPONSE><CODE>2012</CODE><TEXT>not licensed</TEXT>\
                            </RESPONSE></SIMPLE_RETURN>";
                Reply::new(403, body)
            } else {
                whole(asked)
            }
        }
    };
    let world = World::new(json!({}), without(Box::new(scanner(estate())))).await;
    let value = world.read(&hosts, &["QID-1"]).await.expect("a value");
    assert_eq!(
        shown(&value),
        ["1 [1 by ip: QID-1 QID-1 Fixed]", "2 [2 by ip: QID-1 QID-1 Fixed]", "3 [3 by ip:]"]
    );
    assert_eq!((value["complete"].clone(), world.n(KNOWLEDGE)), (json!(true), 0));

    let value = world.read(&hosts, &["QID-1", "CVE-2026-0002"]).await.expect("a value");
    insta::assert_snapshot!(shown(&value).join("\n"), @r#"
        1 [1 by ip: QID-1 QID-1 Fixed] unread: this account may not read the KnowledgeBase (status 403: code 2012: not licensed); 2 of its detections may be of a CVE asked for
        2 [2 by ip: QID-1 QID-1 Fixed] unread: this account may not read the KnowledgeBase (status 403: code 2012: not licensed); 1 of its detections may be of a CVE asked for
        3 [3 by ip:]
        "#);
    insta::assert_snapshot!(value["why"], @r#""this account may not read the KnowledgeBase (status 403: code 2012: not licensed)""#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_without_a_list_of_hosts_is_told() {
    let whole = scanner(vec![Record::new(1, "10.0.0.1", "web01").detected(1, "Fixed")]);
    let world = World::new(json!({}), move |asked| {
        if asked.line.contains(HOSTS) { Reply::new(404, "<html/>") } else { whole(asked) }
    })
    .await;
    let hosts = [
        wanted("a", &["web01"], &["10.0.0.1"]),
        wanted("b", &["web02"], &["10.0.0.2"]),
        wanted("c", &["web03"], &[]),
    ];
    let value = world.read(&hosts, &["QID-1"]).await.expect("a value");
    let unread = "unread: not found by its addresses, and the list of hosts cannot be asked";
    let expected = [
        "a [1 by ip+dns: QID-1 QID-1 Fixed]".to_owned(),
        format!("b {unread}"),
        format!("c {unread}"),
    ];
    assert_eq!(shown(&value), expected);
    insta::assert_snapshot!(value["warnings"][0], @r#""hosts that have no detections cannot be looked up and count as unknown: no list of hosts in version 3.0; `host_api_version` in the settings names the version to use""#);
    assert_eq!(world.n(HOSTS), 4, "each version once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_none_is_told() {
    let estate = vec![
        Record::new(1, "10.0.0.1", "").detected(1, "Zombie").detected(2, "Fixed"),
        Record::new(2, "10.0.0.2", "").detected(3, "Zombie").detected(2, "Fixed"),
    ];
    check(
        estate,
        &[wanted("a", &[], &["10.0.0.1"]), wanted("b", &[], &["10.0.0.2"])],
        &["QID-1", "QID-2"],
        &[
            "a [1 by ip: QID-2 QID-2 Fixed] unread: the status of QID-1 on it is not one that is known",
            "b [2 by ip: QID-2 QID-2 Fixed]",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_checked_before_anything_is_sent() {
    let world = World::new(json!({}), |_| Reply::new(500, "")).await;
    let error = async |params: Value| {
        let error = world.gate.read("qualys.scans:read", params, None).await;
        error.expect_err("refused").to_string()
    };
    insta::assert_snapshot!(error(json!({})).await, @"qualys.scans:read: `hosts` is missing; write a list of hosts");
    insta::assert_snapshot!(error(json!({ "hosts": [], "vulnerabilities": ["GHSA-1"] })).await, @"qualys.scans:read: `vulnerabilities` holds `GHSA-1`; write `CVE-…` or `QID-…`");
    insta::assert_snapshot!(error(json!({ "hosts": [], "vulnerabilities": ["QID-x"] })).await, @"qualys.scans:read: `vulnerabilities` holds `QID-x`; write `CVE-…` or `QID-…`");
    insta::assert_snapshot!(error(json!({ "hosts": [], "since": "" })).await, @"qualys.scans:read: no parameter `since`; there are hosts, vulnerabilities");
    assert_eq!(world.server.asked().len(), 0);
}

fn asked_for(names: &[&str], ips: &[&str]) -> Hosts {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Hosts::new(&[HostNames { names: own(names), ips: own(ips), ..HostNames::default() }])
}

proptest! {
    #[test]
    fn any_markup_is_a_page_or_a_reason(
        body in "[<>/&;!a-zA-Z\\[\\]\\-?\"'= ]{0,200}",
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let asked = asked_for(&["web01"], &["10.0.0.1"]);
        for keep in [Keep::Nothing, Keep::Everything, Keep::Qids(Arc::new(HashSet::from([1])))] {
            let framed = list(&body, "");
            let _ = read(framed.as_bytes(), DETECTIONS_ROOT, &asked, &keep, &mut |_| true);
            let _ = read(bytes.as_slice(), HOSTS_ROOT, &asked, &keep, &mut |_| true);
        }
    }

    #[test]
    fn any_cut_loses_whole_hosts(cut in 0.0..1.0_f64, n in 1_u64..6) {
        let record = |id| Record::new(id, "10.0.0.1", "web01").detected(1, "Fixed").xml(true);
        let body = list(&(1..=n).map(record).collect::<String>(), "");
        let end = body.find("</HOST_LIST_VM_DETECTION_OUTPUT>").expect("the closing tag");
        let at = (end as f64 * cut) as usize;
        let mut found = Vec::new();
        let asked = asked_for(&[], &["10.0.0.1"]);
        let page = read(
            &body.as_bytes()[..at], DETECTIONS_ROOT, &asked, &Keep::Everything,
            &mut |batch| { found.extend(batch); true },
        );
        prop_assert!(matches!(page.ended, Ended::Broken(_)), "{:?}", page.ended);
        prop_assert_eq!(found.len(), body[..at].matches("</HOST>").count());
        prop_assert!(found.iter().all(|record| record.rows.len() == 1));
    }

    #[test]
    fn what_nobody_asked_for_is_never_kept(ids in prop::collection::btree_set(1_u64..999, 0..20)) {
        let record = |id: &u64| {
            Record::new(*id, "10.0.0.2", &format!("host-{id}")).detected(1, "Fixed").xml(true)
        };
        let body = list(&ids.iter().map(record).collect::<String>(), "");
        let mut found = Vec::new();
        let asked = asked_for(&["web01"], &["10.0.0.1"]);
        let page = read(body.as_bytes(), DETECTIONS_ROOT, &asked, &Keep::Everything, &mut |batch| {
            found.extend(batch);
            true
        });
        prop_assert_eq!((found.len(), page.hosts), (0, ids.len() as u64));
    }
}
