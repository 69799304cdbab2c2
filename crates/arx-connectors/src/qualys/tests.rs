//! Documents as they come and as they break, addresses, answers and parameters.

mod paging;
mod recorded;
mod scans;
mod simulated;

use std::sync::Arc;

use arx_gateway::HeaderMap;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::json;
use tokio::sync::mpsc;

use super::answer::Kind;
use super::knowledge::{self, Fact, Reply, plain, read_knowledge};
use super::pages::{DETECTIONS, PageRequest};
use super::wire::{Detection, Ended, Filter, PageEnd, Warning, read_page};
use super::xml::Pieces;
use super::*;

/// The default filter.
pub(super) fn critical() -> Filter {
    Filter::from_params(&json!({})).expect("defaults")
}

/// Reads a document that arrives in pieces of the given sizes, the last of them repeated.
fn read_in(body: &[u8], sizes: &[usize], filter: &Filter) -> (Vec<Detection>, PageEnd) {
    let (sender, receiver) = mpsc::channel(body.len() + 1);
    let mut rest = body;
    let mut sizes = sizes.iter().copied();
    let mut size = usize::MAX;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size).max(1);
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        sender.try_send(Ok(Bytes::copy_from_slice(piece))).expect("room");
        rest = tail;
    }
    drop(sender);
    let mut detections = Vec::new();
    let end = read_page(Pieces::new(receiver), filter, |batch| {
        detections.extend(batch);
        true
    });
    (detections, end)
}

pub(super) fn read_all(body: &str) -> (Vec<Detection>, PageEnd) {
    read_in(body.as_bytes(), &[], &critical())
}

/// A list of hosts.
pub(super) fn list(hosts: &str, warning: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM "https://qualysapi.example.com/x.dtd">
<!-- This report was generated with an evaluation version //-->
<HOST_LIST_VM_DETECTION_OUTPUT>
  <REQUEST><DATETIME>2026-01-01T00:00:00Z</DATETIME><RESOURCE>x</RESOURCE></REQUEST>
  <RESPONSE>
    <DATETIME>2026-01-01T00:00:00Z</DATETIME>
<!-- keep-alive for HOST_LIST_VM_DETECTION_OUTPUT -->
    <HOST_LIST>{hosts}</HOST_LIST>
    {warning}
  </RESPONSE>
</HOST_LIST_VM_DETECTION_OUTPUT>
<!-- CONFIDENTIAL AND PROPRIETARY INFORMATION. //-->
"#
    )
}

pub(super) fn host(id: u64, detections: &str) -> String {
    format!(
        "<HOST><ID>{id}</ID><IP>10.0.0.1</IP><DNS><![CDATA[ web-{id}.example.com\n]]></DNS>\
         <NETBIOS>WEB</NETBIOS><DETECTION_LIST>{detections}</DETECTION_LIST></HOST>"
    )
}

pub(super) fn detection(qid: u32, more: &str) -> String {
    format!(
        "<DETECTION><QID>{qid}</QID><TYPE>Confirmed</TYPE><SEVERITY>5</SEVERITY>{more}\
         <RESULTS><![CDATA[ <b>&nosuch; ]]></RESULTS><STATUS>Active</STATUS></DETECTION>"
    )
}

#[track_caller]
fn check(hosts: &str, expected: &[&str]) {
    let (detections, end) = read_all(&list(hosts, ""));
    assert_eq!(end.ended, Ended::Whole(None));
    let shown: Vec<String> = detections
        .iter()
        .map(|d| format!("{} QID {} severity {} on {}", d.id, d.qid, d.severity, d.host.name))
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn detections_are_told_apart_by_port_protocol_and_instance() {
    check(
        &host(
            7,
            &[
                detection(1, ""),
                detection(1, "<PORT>443</PORT><PROTOCOL>tcp</PROTOCOL>"),
                detection(1, "<PORT>443</PORT><PROTOCOL>tcp</PROTOCOL><INSTANCE>a</INSTANCE>"),
            ]
            .concat(),
        ),
        &[
            "7/1 QID 1 severity 5 on web-7.example.com",
            "7/1/443/tcp/ QID 1 severity 5 on web-7.example.com",
            "7/1/443/tcp/a QID 1 severity 5 on web-7.example.com",
        ],
    );
}

#[test]
fn what_was_not_asked_for_is_left_out() {
    let one = ["7/1 QID 1 severity 5 on web-7.example.com"];
    let with = |more: &str| host(7, &detection(1, more));
    check(&with("<IS_IGNORED>0</IS_IGNORED><IS_DISABLED>0</IS_DISABLED>"), &one);
    check(&with("<IS_IGNORED>1</IS_IGNORED>"), &[]);
    check(&with("<IS_DISABLED>1</IS_DISABLED>"), &[]);
    check(&with("").replace("Active", "Fixed"), &[]);
    check(&with("").replace("Active", "re-opened"), &one);
    check(&with("").replace("Active", ""), &one);
    check(&with("").replace("Confirmed", "Info"), &[]);
    check(&with("").replace("Confirmed", "Potential"), &one);
    check(&with("").replace("<SEVERITY>5", "<SEVERITY>4"), &[]);
    // Without a severity of its own a detection has that of its QID.
    check(
        &with("").replace("<SEVERITY>5</SEVERITY>", ""),
        &["7/1 QID 1 severity 0 on web-7.example.com"],
    );
}

#[test]
fn hosts_have_the_best_name_there_is() {
    let name = |fields: &str| {
        let host = format!(
            "<HOST><ID>7</ID>{fields}<DETECTION_LIST>{}</DETECTION_LIST></HOST>",
            detection(1, "")
        );
        read_all(&list(&host, "")).0[0].host.name.clone()
    };
    assert_eq!(name("<IP>10.0.0.1</IP><DNS/><NETBIOS>WEB</NETBIOS>"), "WEB");
    assert_eq!(name("<IP>10.0.0.1</IP><DNS_DATA><FQDN>a.b</FQDN></DNS_DATA>"), "a.b");
    assert_eq!(name("<IP>10.0.0.1</IP>"), "10.0.0.1");
    assert_eq!(name("<IPV6>fe80::1</IPV6>"), "fe80::1");
    assert_eq!(name("<DNS>a&amp;b &#x41;</DNS>"), "a&b A");
    assert_eq!(name(""), "host 7");
}

#[test]
fn tags_of_both_kinds_are_kept() {
    let host = "<HOST><ID>7</ID><TAGS><TAG><TAG_ID>1</TAG_ID><NAME><![CDATA[Prod]]></NAME></TAG></TAGS>\
         <CLOUD_PROVIDER_TAGS><CLOUD_TAG><NAME>team</NAME><VALUE>pay</VALUE></CLOUD_TAG>\
         </CLOUD_PROVIDER_TAGS><DETECTION_LIST><DETECTION><QID>1</QID></DETECTION></DETECTION_LIST></HOST>";
    let (detections, _) = read_all(&list(host, ""));
    let tags = [("Prod", ""), ("team", "pay")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(detections[0].host.tags, tags);
}

#[test]
fn documents_end_as_they_say() {
    #[track_caller]
    fn check(body: &str, expected: &str) {
        let ended = read_all(body).1.ended;
        let shown = match &ended {
            Ended::Whole(Some(warning)) => format!("{} {}", warning.code, warning.url),
            Ended::Answer(answer) => format!("answer, {}", answer.message()),
            Ended::Broken(_) => "broken".to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }
    check(&list("", ""), "Whole(None)");
    check(
        "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME>x</DATETIME></RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>",
        "Whole(None)",
    );
    check(
        &list(
            "",
            "<WARNING><CODE>1980</CODE><TEXT>more</TEXT><URL><![CDATA[\n https://h/x \n]]></URL></WARNING>",
        ),
        "1980 https://h/x",
    );
    check(
        "<!DOCTYPE SIMPLE_RETURN SYSTEM \"https://h/x.dtd\"><SIMPLE_RETURN><RESPONSE><CODE>2001</CODE>\
         <TEXT>This account has expired.</TEXT></RESPONSE></SIMPLE_RETURN>",
        "answer, code 2001: This account has expired",
    );
    check("<html><body>sign in</body></html>", r#"Foreign("html")"#);
    check(&format!("<{}>", "a".repeat(1000)), &format!("Foreign(\"{}…\")", "a".repeat(299)));
    check("", "broken");
    check("Service Unavailable", "broken");
    check("{\"error\":1}", "broken");
    check(
        &list(&host(1, &detection(1, "&nosuch;")), ""),
        r#"Refused("the document refers to an entity that XML does not define")"#,
    );
    let declared = list("", "").replace(
        "SYSTEM \"https://qualysapi.example.com/x.dtd\"",
        "[<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]",
    );
    check(&declared, r#"Refused("the document declares entities")"#);
    let external = list("", "").replace(
        "SYSTEM \"https://qualysapi.example.com/x.dtd\"",
        "[<!ENTITY xxe SYSTEM \"file:///etc/passwd\">]",
    );
    check(&external, r#"Refused("the document declares entities")"#);
}

#[test]
fn one_host_is_bounded_and_many_are_not() {
    let large = format!("<RESULTS>{}</RESULTS>", "x".repeat(9 * 1024 * 1024));
    let several = [1, 2, 3].map(|id| host(id, &detection(1, &large))).concat();
    let (detections, end) = read_all(&list(&several, ""));
    assert_eq!((detections.len(), end.ended), (3, Ended::Whole(None)));

    let twice = host(1, &detection(1, &format!("{large}{large}")));
    let (detections, end) = read_all(&list(&twice, ""));
    assert_eq!(detections.len(), 0);
    assert_eq!(end.ended, Ended::Refused("an element of the document is too large"));

    let endless = format!("<HOST_LIST_VM_DETECTION_OUTPUT><!--{}", "x".repeat(2 * 1024 * 1024));
    assert_eq!(
        read_all(&endless).1.ended,
        Ended::Refused("an element of the document is too large")
    );
}

#[test]
fn a_reader_that_nobody_listens_to_stops() {
    let hosts: String = (1..5000).map(|id| host(id, &detection(1, ""))).collect();
    let body = list(&hosts, "");
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(Ok(Bytes::from(body))).expect("room");
    let end = read_page(Pieces::new(receiver), &critical(), |_| false);
    assert_eq!(end.ended, Ended::Abandoned);
}

proptest! {
    #[test]
    fn any_bytes_are_a_page_or_a_reason(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_in(&body, &[], &critical());
        let _ = Answer::of_body(&body);
        let _ = read_knowledge(&body);
    }

    #[test]
    fn any_markup_is_a_page_or_a_reason(body in "[<>/&;!a-zA-Z\\[\\]\\-?\"'= ]{0,200}") {
        let framed = list(&body, "");
        let _ = read_in(framed.as_bytes(), &[], &critical());
        let _ = read_knowledge(framed.as_bytes());
        let _ = plain(&body);
    }

    #[test]
    fn any_chunking_gives_the_same_findings(
        ids in prop::collection::btree_set(1_u64..100_000, 0..20),
        sizes in prop::collection::vec(1_usize..64, 1..200),
    ) {
        let hosts: String = ids.iter().map(|id| host(*id, &detection(9, "<PORT>1</PORT>"))).collect();
        let body = list(&hosts, "<WARNING><URL>https://h/é</URL></WARNING>");
        let whole = read_in(body.as_bytes(), &[], &critical());
        prop_assert_eq!(whole.0.len(), ids.len());
        prop_assert!(whole.1.ascending);
        prop_assert_eq!(read_in(body.as_bytes(), &sizes, &critical()), whole);
    }

    #[test]
    fn any_cut_is_seen(cut in 0.0..1.0_f64, n in 1_u64..6) {
        let hosts: String = (1..=n).map(|id| host(id, &detection(9, ""))).collect();
        let body = list(&hosts, "");
        let end = body.find("</HOST_LIST_VM_DETECTION_OUTPUT>").expect("the closing tag");
        let at = (end as f64 * cut) as usize;
        let (detections, page) = read_in(&body.as_bytes()[..at], &[], &critical());
        prop_assert!(matches!(page.ended, Ended::Broken(_)), "{:?}", page.ended);
        // Every host that was read whole is there, and no other.
        let whole = body[..at].matches("</HOST>").count();
        prop_assert_eq!(detections.len(), whole);
        prop_assert_eq!(page.last_host, (whole > 0).then_some(whole as u64));
    }
}

#[test]
fn the_next_page_keeps_scheme_host_and_call() {
    let here = PageRequest { version: None, query: Vec::new(), id_min: 100 };
    #[track_caller]
    fn check(here: &PageRequest, url: &str, expected: &str) {
        let warning = Warning { url: url.to_owned(), ..Warning::default() };
        let shown = match here.after(&DETECTIONS, &warning) {
            Ok(next) => {
                let query: Vec<_> = next.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("{} {}", next.version.unwrap_or_default(), query.join("&"))
            }
            Err(why) => why,
        };
        assert_eq!(shown, expected, "{url}");
    }
    let path = "/api/2.0/fo/asset/host/vm/detection/";
    let unusable = "the address of the next page is not one of a list of detections";
    check(
        &here,
        &format!("https://evil.example.com{path}?action=list&x=1&id_min=101"),
        "2.0 action=list&x=1&id_min=101",
    );
    check(&here, &format!("{path}?id_min=101"), "2.0 action=list&id_min=101");
    check(
        &here,
        &format!("http://h/qualys{path}?action=list&id_min=101"),
        "2.0 action=list&id_min=101",
    );
    check(
        &here,
        &format!("https://h{path}?action=list&amp;id_min=101"),
        "2.0 action=list&id_min=101",
    );
    check(
        &here,
        "https://h/api/5.0/fo/asset/host/vm/detection?id_min=101",
        "5.0 action=list&id_min=101",
    );
    check(
        &here,
        &format!("https://h{path}?action=list&id_min=1&id_min=101"),
        "2.0 action=list&id_min=1&id_min=101",
    );
    check(
        &here,
        &format!("https://h{path}?action=list&id_min=100"),
        "the next page begins where this one began",
    );
    check(
        &here,
        &format!("https://h{path}?action=list&id_min=99"),
        "the next page begins where this one began",
    );
    check(
        &here,
        &format!("https://h{path}?action=list"),
        "the address of the next page names no id_min",
    );
    check(&here, &format!("https://h{path}?action=launch&id_min=101"), unusable);
    check(&here, "https://h/api/2.0/fo/scan/?action=launch&id_min=101", unusable);
    check(&here, "https://h/api/../../etc/fo/asset/host/vm/detection/?id_min=101", unusable);
    check(&here, "", "a page is truncated and does not say where the next one is");
}

#[test]
fn answers_say_what_can_be_done() {
    #[track_caller]
    fn check(body: &str, expected: Option<Kind>) {
        assert_eq!(
            Answer::of_body(body.as_bytes()).map(|answer| answer.kind()),
            expected,
            "{body}"
        );
    }
    let answer = |code: u32, text: &str, items: &str| {
        format!(
            "<SIMPLE_RETURN><RESPONSE><DATETIME/><CODE>{code}</CODE><TEXT>{text}</TEXT>{items}\
             </RESPONSE></SIMPLE_RETURN>"
        )
    };
    let item = |key: &str, value: &str| {
        format!("<ITEM_LIST><ITEM><KEY>{key}</KEY><VALUE>{value}</VALUE></ITEM></ITEM_LIST>")
    };
    let wait = |seconds| Some(Kind::Wait(Pushback::For(Duration::from_secs(seconds))));
    check(
        &answer(
            1960,
            "again until 1 currently running instance has finished",
            &item("CALLS_TO_FINISH", "1"),
        ),
        Some(Kind::Wait(Pushback::Unspecified)),
    );
    check(&answer(1965, "x", &item("SECONDS_TO_WAIT", "68")), wait(68));
    check(
        &answer(
            1965,
            "This API cannot be run again for another 23 hours, 57 minutes and 54 seconds.",
            "",
        ),
        wait(23 * 3600 + 57 * 60 + 54),
    );
    check(&answer(1965, "This API cannot be run again for another 1 second.", ""), wait(1));
    check(&answer(1965, "later", ""), Some(Kind::Wait(Pushback::Unspecified)));
    check(
        &answer(999, "internal", ""),
        Some(Kind::Internal(Pushback::For(Duration::from_millis(250)))),
    );
    for code in [2000, 2001, 2002, 2003, 2011, 2012] {
        check(&answer(code, "account", ""), Some(Kind::Account));
    }
    for code in [1901, 1903, 1904, 1905, 1907, 1908, 1920, 1922] {
        check(&answer(code, "parameter", ""), Some(Kind::Refused));
    }
    check("<SIMPLE_RETURN><RESPONSE><CODE>2000</CODE><TE", Some(Kind::Account));
    check("<html/>", None);
    check("", None);
}

#[test]
fn what_an_answer_says_is_one_line_that_a_terminal_only_shows() {
    let body = b"<SIMPLE_RETURN><RESPONSE><CODE>1</CODE><TEXT>no\0\x1b[31m\nmore</TEXT></RESPONSE>\
                 </SIMPLE_RETURN>";
    let answer = Answer::of_body(body).expect("an answer");
    assert_eq!(answer.message(), "code 1: no [31m more");
    let broken = read_page(&b"<SIMPLE_RETURN><a\x1b></b>"[..], &critical(), |_| true);
    let Ended::Broken(why) = broken.ended else { panic!("{broken:?}") };
    assert!(!why.chars().any(char::is_control), "{why:?}");
}

#[test]
fn being_asked_to_wait_is_heard() {
    #[track_caller]
    fn check(
        status: u16,
        headers: &[(&'static str, &str)],
        body: &str,
        expected: Option<Pushback>,
    ) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        assert_eq!(Qualys::default().pushback(status, &headers, body.as_bytes()), expected);
    }
    let code = |code: u32| {
        format!("<SIMPLE_RETURN><RESPONSE><CODE>{code}</CODE></RESPONSE></SIMPLE_RETURN>")
    };
    let wait = |seconds| Some(Pushback::For(Duration::from_secs(seconds)));
    check(409, &[], &code(1960), Some(Pushback::Unspecified));
    check(409, &[("x-ratelimit-towait-sec", "42")], &code(1965), wait(42));
    check(409, &[("x-ratelimit-towait-sec", "0")], &code(1965), Some(Pushback::Unspecified));
    check(409, &[("x-ratelimit-towait-sec", "42")], "", wait(42));
    // Other conflicts do not pass by waiting.
    check(409, &[], &code(1920), None);
    check(409, &[], &code(2003), None);
    check(409, &[], "", None);
    check(429, &[("retry-after", "3")], "", wait(3));
    check(429, &[], "", Some(Pushback::Unspecified));
    check(400, &[], &code(1965), Some(Pushback::Unspecified));
    check(400, &[], &code(1905), None);
}

#[test]
fn rate_headers_are_read() {
    let reading = |remaining: &'static str, to_wait: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining", remaining.parse().expect("a value"));
        headers.insert("x-ratelimit-towait-sec", to_wait.parse().expect("a value"));
        Qualys::default().budget(&headers)
    };
    let of = |remaining, seconds| {
        Some(BudgetReading { remaining, reset_in: Duration::from_secs(seconds) })
    };
    assert_eq!(reading("299", "0"), of(299, 0));
    assert_eq!(reading("0", "1800"), of(0, 1800));
    assert_eq!(reading("x", "0"), None);
    assert_eq!(Qualys::default().budget(&HeaderMap::new()), None);
}

#[test]
fn parameters_and_settings_are_checked() {
    let filter = |params: Value| {
        let read = Filter::from_params(&params);
        read.map(|f| format!("{} {}", f.severities(), f.statuses.join(","))).unwrap_or_else(|e| e)
    };
    assert_eq!(filter(json!(null)), "5 New,Active,Re-Opened");
    assert_eq!(filter(json!({ "min_severity": 3 })), "3,4,5 New,Active,Re-Opened");
    assert_eq!(filter(json!({ "statuses": ["fixed", "New", "NEW"] })), "5 Fixed,New");
    assert_eq!(
        filter(json!({ "min_severity": 6 })),
        "`min_severity` must be a whole number from 1 to 5"
    );
    assert_eq!(
        filter(json!({ "severity": 5 })),
        "no parameter `severity`; there are min_severity and statuses"
    );
    assert_eq!(
        filter(json!({ "statuses": ["Open"] })),
        "`statuses` must be a list of New, Active, Re-Opened, Fixed"
    );

    let settings = |settings: Value| Settings::read(&settings);
    assert_eq!(settings(json!(null)), Ok(Settings::default()));
    assert_eq!(
        settings(json!({ "api_version": 4, "kb_api_version": 2.0, "truncation_limit": 0 })),
        Ok(Settings {
            api_version: Some("4.0".to_owned()),
            kb_api_version: Some("2.0".to_owned()),
            truncation_limit: 0,
            ..Settings::default()
        })
    );
    assert_eq!(
        settings(json!({ "api_version": "../x" })),
        Err("`api_version` must be a version such as `5.0`".to_owned())
    );
    assert_eq!(
        settings(json!({ "timeout": 3 })).expect_err("unknown").split(';').next(),
        Some("no setting `timeout`")
    );
}

#[test]
fn addresses_lose_what_is_not_theirs() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = base(text).map_or_else(|error| error.to_string(), |url| url.to_string());
        assert_eq!(shown, expected);
    }
    check("https://qualysapi.qg2.apps.qualys.eu", "https://qualysapi.qg2.apps.qualys.eu/");
    check("https://qualysapi.qualys.com/api/2.0/fo/", "https://qualysapi.qualys.com/");
    check("https://gateway.example.com/qualys/?x=1#y", "https://gateway.example.com/qualys");
    check("https://gateway.example.com/apis", "https://gateway.example.com/apis");
    check(
        "http://qualys.example.com",
        "QUALYS_URL is plain http to another machine; write `https://`",
    );
}

#[test]
fn versions_go_on_to_the_next_one_served() {
    let versions = Versions::new(&["5.0", "2.0"]);
    assert_eq!(versions.current(None), "5.0");
    assert_eq!(versions.current(Some("4.0")), "4.0");
    assert!(!versions.advance(Some("4.0"), "4.0"), "a fixed version is the only one");
    assert!(versions.advance(None, "5.0"));
    assert_eq!(versions.current(None), "2.0");
    assert!(!versions.advance(None, "2.0"));
    assert_eq!(versions.current(None), "5.0");
}

pub(super) fn vuln(qid: u32, more: &str) -> String {
    format!("<VULN><QID>{qid}</QID><SEVERITY_LEVEL>5</SEVERITY_LEVEL>{more}</VULN>")
}

pub(super) fn knowledge_base(vulns: &str) -> String {
    format!(
        "<?xml version=\"1.0\" ?><KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE><DATETIME>x</DATETIME>\
         <!-- keep-alive --><VULN_LIST>{vulns}</VULN_LIST></RESPONSE></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>"
    )
}

#[track_caller]
fn fact_of(more: &str) -> Fact {
    match read_knowledge(knowledge_base(&vuln(10052, more)).as_bytes()) {
        Ok(Reply::Facts { mut facts, .. }) => facts.remove(&10052).expect("the fact"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn facts_of_the_knowledge_base_are_read() {
    let fact = fact_of(
        "<TITLE><![CDATA[ OpenSSL  Flaw ]]></TITLE><PATCHABLE>1</PATCHABLE>\
         <CVE_LIST><CVE><ID><![CDATA[ CVE-2020-3403 ]]></ID><URL>u</URL></CVE><CVE><ID></ID></CVE>\
         <CVE><ID>CVE-2020-3404</ID></CVE><CVE><ID>CVE-2020-3403</ID></CVE></CVE_LIST>\
         <VENDOR_REFERENCE_LIST><VENDOR_REFERENCE><ID>v</ID></VENDOR_REFERENCE></VENDOR_REFERENCE_LIST>\
         <DIAGNOSIS><![CDATA[A flaw.<P>\n<BR>Worse &quot;still&quot;, a &lt; b.]]></DIAGNOSIS>\
         <SOLUTION>Upgrade.</SOLUTION>\
         <CORRELATION><EXPLOITS><EXPLT_SRC><SRC_NAME>x</SRC_NAME></EXPLT_SRC></EXPLOITS></CORRELATION>\
         <CVSS><BASE source=\"service\">7.5</BASE></CVSS>\
         <CVSS_V3><BASE>9.8</BASE><TEMPORAL>8.5</TEMPORAL></CVSS_V3>\
         <THREAT_INTELLIGENCE><THREAT_INTEL id=\"18\"><![CDATA[Cisa_Known_Exploited_Vulns]]></THREAT_INTEL>\
         </THREAT_INTELLIGENCE><DISCOVERY><REMOTE>1</REMOTE></DISCOVERY>",
    );
    insta::assert_debug_snapshot!(fact, @r#"
        Fact {
            cves: [
                "CVE-2020-3403",
                "CVE-2020-3404",
            ],
            title: "OpenSSL Flaw",
            severity: 5,
            cvss_tenths: Some(
                98,
            ),
            solution: "Upgrade.",
            diagnosis: "A flaw.\nWorse \"still\", a < b.",
            patchable: true,
            public_exploit: true,
            known_exploited: true,
        }
        "#);
}

#[test]
fn facts_may_lack_anything() {
    let bare = Fact { severity: 5, ..Fact::default() };
    assert_eq!(fact_of(""), bare);
    assert_eq!(fact_of("<CVE_LIST/><CVSS/><CVSS_V3><BASE/></CVSS_V3><CORRELATION/>"), bare);
    assert_eq!(fact_of("<CVSS><BASE>-</BASE></CVSS>"), bare);
    assert_eq!(
        fact_of("<CVSS><BASE>9.3</BASE></CVSS><CVSS_V3><BASE></BASE></CVSS_V3>").cvss_tenths,
        Some(93)
    );
    assert!(
        !fact_of("<CORRELATION><EXPLOITS/><MALWARE><X/></MALWARE></CORRELATION>").public_exploit
    );
    // Ids that nobody knows give a reply without a list.
    let none = "<KNOWLEDGE_BASE_VULN_LIST_OUTPUT><RESPONSE/></KNOWLEDGE_BASE_VULN_LIST_OUTPUT>";
    assert_eq!(
        read_knowledge(none.as_bytes()),
        Ok(Reply::Facts { facts: Default::default(), truncated: false })
    );
}

#[test]
fn html_becomes_text() {
    assert_eq!(plain("a<P>\n<BR>b <i>c</i>&nbsp;d"), "a\nb c d");
    assert_eq!(plain("1 < 2 and <b"), "1 < 2 and <b");
    assert_eq!(plain("&amp;lt;"), "&lt;");
    assert_eq!(plain("<b>a</b> <c <1 <d"), "a <c <1 <d");
    assert_eq!(plain("é".repeat(5000).as_str()).chars().count(), 2000);
}

#[test]
fn a_detection_is_named_by_its_cves_or_else_by_its_qid() {
    let host =
        Arc::new(wire::Host { id: "7".to_owned(), name: "web".to_owned(), tags: Vec::new() });
    let of = |severity: u8, fact: Option<&Fact>, least: u8| {
        let row = Detection {
            id: "7/1".to_owned(),
            qid: 1,
            severity,
            first_seen: String::new(),
            host: Arc::clone(&host),
        };
        let found = knowledge::finding(&row, fact, "QID-1", least);
        found.map(|f| {
            format!("{} {} {}", f.vulnerabilities.join(" "), f.severity.as_str(), f.qualys_severity)
        })
    };
    let fact = Fact {
        cves: vec!["CVE-2024-1".to_owned(), "CVE-2024-2".to_owned()],
        severity: 4,
        ..Fact::default()
    };
    assert_eq!(of(5, Some(&fact), 5).as_deref(), Some("CVE-2024-1 CVE-2024-2 CRITICAL 5"));
    assert_eq!(of(5, Some(&Fact::default()), 5).as_deref(), Some("QID-1 CRITICAL 5"));
    assert_eq!(of(5, None, 5).as_deref(), Some("QID-1 CRITICAL 5"));
    assert_eq!(of(0, Some(&fact), 4).as_deref(), Some("CVE-2024-1 CVE-2024-2 HIGH 4"));
    assert_eq!(of(0, Some(&fact), 5), None);
    let beyond = Fact { severity: 200, ..fact };
    assert_eq!(of(0, Some(&beyond), 5).as_deref(), Some("CVE-2024-1 CVE-2024-2 CRITICAL 5"));
}
