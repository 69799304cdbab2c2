//! Qualys over the wire: rules, errors, filters, truncation, documents.

use axum::http::Method;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::tests::{Bed, Headers, texts};

const DETECTIONS: &str = "/api/5.0/fo/asset/host/vm/detection/?action=list";
const VULNS: &str = "/api/3.0/fo/knowledge_base/vuln/?action=list";

/// Every tag closes, in order, and the root is as expected.
#[track_caller]
fn well_formed(xml: &str, root: &str) {
    let mut reader = Reader::from_str(xml);
    let (mut open, mut roots) = (Vec::new(), Vec::new());
    loop {
        match reader.read_event().unwrap() {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if open.is_empty() {
                    roots.push(name.clone());
                }
                open.push(name);
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!((open.len(), roots), (0, vec![root.to_owned()]));
}

/// A refused request: status, Qualys code, and what its text says.
async fn refused(bed: &Bed, path: &str, status: u16, code: &str, says: &str) {
    let answer = bed.qualys(path).await.expect(status);
    well_formed(&answer.body, "SIMPLE_RETURN");
    assert_eq!(texts(&answer.body, "CODE"), [code], "{path}");
    let text = texts(&answer.body, "TEXT").remove(0);
    assert!(text.contains(says), "{path}: {text}");
}

#[tokio::test]
async fn errors_by_their_codes() {
    let bed = Bed::default().await;
    for (query, code, says) in [
        ("&colour=red", "1901", "Unrecognized parameter(s): colour"),
        ("&tag_set_by=name", "1901", "tag_set_by"),
        (
            "&ids=abc123",
            "1905",
            "parameter ids has invalid value: abc123 (neither a positive integer nor a range: abc123)",
        ),
        ("&ids=9-2", "1905", "parameter ids has invalid value: 9-2"),
        ("&status=Open", "1905", "parameter status has invalid value: Open"),
        ("&show_igs=yes", "1905", "show_igs"),
        ("&truncation_limit=-5", "1905", "truncation_limit"),
        ("&output_format=CSV", "1905", "output_format"),
        ("&ips=localhost", "1905", "ips"),
        ("&vm_scan_since=yesterday", "1905", "vm_scan_since"),
        (
            "&detection_updated_since=2026-01-01&max_days_since_detection_updated=3",
            "1904",
            "only one of",
        ),
    ] {
        refused(&bed, &format!("{DETECTIONS}{query}"), 400, code, says).await;
    }
    let bare = DETECTIONS.replace("?action=list", "");
    refused(&bed, &bare, 400, "1903", "action").await;
    refused(&bed, &format!("{bare}?action=launch"), 400, "1905", "action").await;
    refused(&bed, &format!("{VULNS}&ids=x"), 400, "1905", "ids").await;
}

#[tokio::test]
async fn credentials_and_the_mandatory_header() {
    let bed = Bed::default().await;
    let headers = bed.qualys_headers();
    let basic = headers[0].1.as_str();
    let cases: [(Headers, u16, &str); 3] = [
        (&[("authorization", basic)], 400, "1903"),
        (&[("authorization", "Basic eDp5"), ("x-requested-with", "t")], 401, "2000"),
        (&[("x-requested-with", "t")], 401, "2000"),
    ];
    for (headers, status, code) in cases {
        let answer = bed.send(Method::GET, DETECTIONS, headers, None).await.unwrap();
        assert_eq!(texts(&answer.expect(status).body, "CODE"), [code]);
    }
    // The old probe knows no such rule.
    let probe = bed.send(Method::GET, "/msp/about.php", &[("authorization", basic)], None).await;
    well_formed(&probe.unwrap().expect(200).body, "ABOUT");
}

#[tokio::test]
async fn a_session_stands_for_the_password() {
    let bed = Bed::default().await;
    let form = format!(
        "action=login&username={}&password={}",
        bed.var("QUALYS_USERNAME"),
        bed.var("QUALYS_PASSWORD")
    );
    let path = "/api/2.0/fo/session/";
    let headers = [("x-requested-with", "t")];
    let login = bed.send(Method::POST, path, &headers, Some(form)).await.unwrap().expect(200);
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let headers = [("x-requested-with", "t"), ("cookie", cookie.as_str())];
    let get = || bed.send(Method::GET, DETECTIONS, &headers, None);
    get().await.unwrap().expect(200);
    let out = Some("action=logout".to_owned());
    bed.send(Method::POST, path, &headers, out).await.unwrap().expect(200);
    get().await.unwrap().expect(401);
}

#[tokio::test]
async fn versions_are_those_that_exist() {
    let bed = Bed::default().await;
    for (path, status) in [
        ("/api/2.0/fo/asset/host/vm/detection/?action=list", 200),
        ("/api/4.0/fo/asset/host/vm/detection/?action=list", 200),
        ("/api/6.0/fo/asset/host/vm/detection/?action=list", 404),
        ("/api/5.0/fo/knowledge_base/vuln/?action=list", 404),
        ("/api/2.0/fo/knowledge_base/vuln/?action=list", 200),
        ("/api/3.0/fo/scan/?action=list", 200),
        ("/api/5.0/fo/Asset/host/?action=list", 404),
        ("/api/2.0/fo/report/?action=list", 404),
    ] {
        bed.qualys(path).await.expect(status);
    }
}

/// Walks every page by path and query, as a careful client does.
async fn walk(bed: &Bed, first: &str) -> (Vec<String>, Vec<String>, usize) {
    let (mut path, mut hosts, mut qids, mut pages) = (first.to_owned(), Vec::new(), Vec::new(), 0);
    loop {
        let page = bed.qualys(&path).await.expect(200);
        well_formed(&page.body, "HOST_LIST_VM_DETECTION_OUTPUT");
        pages += 1;
        let (list, warning) = match page.body.split_once("<WARNING>") {
            Some((list, warning)) => (list, Some(warning)),
            None => (page.body.as_str(), None),
        };
        hosts.extend(texts(list, "ID"));
        qids.extend(texts(list, "QID"));
        let Some(warning) = warning else { return (hosts, qids, pages) };
        assert_eq!(texts(warning, "CODE"), ["1980"]);
        let url = texts(warning, "URL").remove(0);
        path = url.strip_prefix(&bed.url).unwrap().to_owned();
    }
}

#[tokio::test]
async fn truncated_pages_add_up() {
    let bed = Bed::default().await;
    let (hosts, qids, pages) = walk(&bed, DETECTIONS).await;
    assert_eq!(pages, 1);
    assert!(hosts.len() > 150, "{}", hosts.len());
    let mut ascending = hosts.clone();
    ascending.sort_by_key(|id| id.parse::<u64>().unwrap());
    ascending.dedup();
    assert_eq!(ascending, hosts, "hosts ascend, each once");
    for limit in [1, 17, hosts.len(), 1_000] {
        let found = walk(&bed, &format!("{DETECTIONS}&truncation_limit={limit}")).await;
        assert_eq!((found.0, found.1), (hosts.clone(), qids.clone()), "{limit}");
        assert_eq!(found.2, hosts.len().div_ceil(limit), "no empty last page");
    }
}

#[tokio::test]
async fn detection_filters_narrow() {
    let bed = Bed::default().await;
    let count = async |query: &str| walk(&bed, &format!("{DETECTIONS}{query}")).await.1.len();
    let all = count("").await;
    assert_eq!(count("&status=New,Active,Re-Opened").await, all);
    let fixed = count("&status=Fixed").await;
    assert!(fixed > 0);
    assert_eq!(count("&status=New,Active,Re-Opened,Fixed").await, all + fixed);
    assert!(count("&show_igs=1").await > all);
    let (five, four) = (count("&severities=5").await, count("&severities=4").await);
    assert_eq!(count("&severities=4,5").await, five + four);
    assert_eq!(count("&severities=4-5").await, five + four);
    assert!(five > 50 && four > 50);
    assert_eq!(count("&qids=9100014").await, 1);
    let (exchange, _) = (count("&qids=9100005").await, ());
    assert_eq!(exchange, 4);
    assert_eq!(count("&qids=9100014&ips=10.24.1.109").await, 1);
    assert_eq!(count("&qids=9100014&ips=10.1.1.1").await, 0);
    assert!(count("&os_pattern=windows").await < all);
    let (old, new) = (
        count("&detection_updated_before=2026-11-14").await,
        count("&detection_updated_since=2026-11-14").await,
    );
    assert_eq!(old + new, all);
    assert_eq!(
        count("&vm_scan_since=2026-11-14").await + count("&no_vm_scan_since=2026-11-14").await,
        all
    );
}

#[tokio::test]
async fn nothing_found_is_only_a_date() {
    let bed = Bed::default().await;
    let answer = bed.qualys(&format!("{DETECTIONS}&ids=1")).await.expect(200);
    well_formed(&answer.body, "HOST_LIST_VM_DETECTION_OUTPUT");
    assert!(!answer.body.contains("HOST_LIST>"));
    assert_eq!(texts(&answer.body, "DATETIME").len(), 1);
    let answer = bed.qualys(&format!("{VULNS}&ids=1")).await.expect(200);
    assert!(!answer.body.contains("VULN_LIST>"));
}

#[tokio::test]
async fn documents_carry_what_real_ones_carry() {
    let bed = Bed::default().await;
    let answer = bed.qualys(&format!("{DETECTIONS}&truncation_limit=150&show_tags=1")).await;
    assert_eq!(answer.header("content-type"), "application/xml");
    assert_eq!(answer.header("x-ratelimit-limit"), "300");
    assert_eq!(answer.header("x-concurrency-limit-limit"), "2");
    assert!(answer.body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n<!DOCTYPE HOST_LIST_VM_DETECTION_OUTPUT SYSTEM \"http"));
    assert!(answer.body.contains("<!-- keep-alive for HOST_LIST_VM_DETECTION_OUTPUT -->"));
    assert!(answer.body.contains("<URL><![CDATA[\nhttp"));
    assert!(answer.body.contains("<TAG>"));
    let lean = bed.qualys(&format!("{DETECTIONS}&show_results=0")).await;
    assert!(!lean.body.contains("<RESULTS>"));
    let echo = bed.qualys(&format!("{DETECTIONS}&ids=1&echo_request=1")).await;
    assert!(echo.body.contains("<REQUEST>"));
    well_formed(&echo.body, "HOST_LIST_VM_DETECTION_OUTPUT");
}

#[tokio::test]
async fn a_post_form_asks_the_same() {
    let bed = Bed::default().await;
    let headers = bed.qualys_headers();
    let mut headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    let body = Some("action=list&severities=3&severities=5".to_owned());
    let path = "/api/5.0/fo/asset/host/vm/detection/";
    let answer = bed.send(Method::POST, path, &headers, body).await.unwrap().expect(200);
    let only_five = bed.qualys(&format!("{DETECTIONS}&severities=5")).await;
    assert_eq!(texts(&answer.body, "QID"), texts(&only_five.body, "QID"), "the last value counts");
}

#[tokio::test]
async fn the_knowledge_base_maps_qids_to_cves() {
    let bed = Bed::default().await;
    let cves = async |qid: u32| -> Option<Vec<String>> {
        let answer = bed.qualys(&format!("{VULNS}&ids={qid}")).await.expect(200);
        well_formed(&answer.body, "KNOWLEDGE_BASE_VULN_LIST_OUTPUT");
        assert_eq!(texts(&answer.body, "QID"), [qid.to_string()]);
        let (_, list) = answer.body.split_once("<CVE_LIST>")?;
        Some(texts(list.split_once("</CVE_LIST>").unwrap().0, "ID"))
    };
    assert_eq!(cves(9_100_001).await.unwrap(), ["CVE-2021-44228", "CVE-2021-45046"]);
    assert_eq!(cves(9_100_003).await.unwrap(), ["cve-2023-34362"]);
    assert_eq!(cves(9_100_005).await.unwrap().len(), 3);
    assert_eq!(cves(9_100_014).await.unwrap(), [""], "an empty id");
    assert_eq!(cves(9_100_020).await, None);
    let many = bed.qualys(&format!("{VULNS}&ids=9100001,9100003-9100005,7")).await;
    assert_eq!(texts(&many.body, "QID").len(), 4);
    let by_cve = bed.qualys(&format!("{VULNS}&cve=CVE-2023-4966")).await;
    assert_eq!(texts(&by_cve.body, "QID"), ["9100004"]);
    let ids = bed.qualys(&format!("{VULNS}&details=None")).await;
    assert_eq!(texts(&ids.body, "QID").len(), 22);
    assert!(!ids.body.contains("<TITLE>"));
}

#[tokio::test]
async fn hosts_and_scans() {
    let bed = Bed::default().await;
    let hosts =
        bed.qualys("/api/5.0/fo/asset/host/?action=list&details=None&truncation_limit=0").await;
    well_formed(&hosts.body, "HOST_LIST_OUTPUT");
    let ids = texts(&hosts.body, "ID");
    assert!(ids.len() > 200);
    let path = format!("/api/5.0/fo/asset/host/?action=list&ids={}", ids[0]);
    let one = bed.qualys(&path).await;
    assert_eq!(texts(&one.body, "IP").len(), 1);
    let page = bed.qualys("/api/5.0/fo/asset/host/?action=list&truncation_limit=5").await;
    well_formed(&page.body, "HOST_LIST_OUTPUT");
    assert!(texts(&page.body, "URL")[0].ends_with(&format!("&id_min={}", ids[5])));

    let scans = bed.qualys("/api/3.0/fo/scan/?action=list").await;
    well_formed(&scans.body, "SCAN_LIST_OUTPUT");
    assert_eq!(texts(&scans.body, "REF").len(), 5, "those of the last 30 days");
    let finished = bed.qualys("/api/3.0/fo/scan/?action=list&state=Finished&type=API").await;
    assert_eq!(texts(&finished.body, "TITLE"), ["Rescan after patch"]);
    assert_eq!(texts(&finished.body, "PROCESSED"), ["1"]);
    let old = bed.qualys("/api/3.0/fo/scan/?action=list&launched_before_datetime=2026-10-10").await;
    assert_eq!(texts(&old.body, "REF").len(), 1);
}

#[tokio::test]
async fn errors_inside_200_and_foreign_links() {
    let bed =
        Bed::faulty("qualys:simple-return@1,qualys:simple-return=999@2,qualys:foreign-url@3").await;
    refused(&bed, DETECTIONS, 200, "2001", "This account has expired.").await;
    refused(&bed, DETECTIONS, 200, "999", "Internal error").await;
    let page = bed.qualys(&format!("{DETECTIONS}&truncation_limit=3")).await;
    assert!(texts(&page.body, "URL")[0].starts_with("https://qualysapi.attacker.example/api/5.0/"));
}
