//! Reads against a server that answers as each test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arx_gateway::GateError;
use arx_testkit::TestGate;
use arx_types::FindingSink;
use serde_json::{Value, json};

use super::{detection, host, knowledge_base, list, vuln};
use crate::qualys::Qualys;
use crate::scripted::{Asked, Kept, Reply, Scripted};

const LIST: &str = "/fo/asset/host/vm/detection/";
const KNOWLEDGE: &str = "/fo/knowledge_base/vuln/";

struct World {
    server: Scripted,
    gate: TestGate,
}

/// What a read came to: its value or error, and the rows as `id names`.
struct Outcome {
    value: Result<Value, GateError>,
    rows: Vec<String>,
}

impl Outcome {
    #[track_caller]
    fn value(&self) -> &Value {
        self.value.as_ref().expect("a value")
    }

    #[track_caller]
    fn error(&self) -> String {
        self.value.as_ref().expect_err("an error").to_string()
    }

    #[track_caller]
    fn why(&self) -> &str {
        assert_eq!(self.value()["complete"], json!(false));
        self.value()["why"].as_str().expect("a reason")
    }

    #[track_caller]
    fn assert_rows(&self, expected: &[&str]) {
        assert_eq!(self.value()["complete"], json!(true), "{}", self.value());
        assert_eq!(self.rows, expected);
    }
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

    async fn read(&self, params: Value) -> Outcome {
        let kept = Arc::new(Kept::default());
        let sink: Arc<dyn FindingSink> = kept.clone();
        let value = self.gate.read("qualys.findings:read", params, Some(sink)).await;
        let rows = kept.rows().into_iter().map(|(id, names)| format!("{id} {names}")).collect();
        Outcome { value, rows }
    }
}

/// Reads once from a server that answers detection lists with `list`.
async fn read(list: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Outcome, World) {
    let world = World::new(json!({}), move |asked| {
        if asked.line.contains(KNOWLEDGE) { facts(asked) } else { list(asked) }
    })
    .await;
    (world.read(json!({})).await, world)
}

fn parameter(asked: &Asked, name: &str) -> Option<String> {
    let (_, query) = asked.line.split_once('?')?;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Facts for the QIDs asked for: those below 100 have the CVE of their number.
fn facts(asked: &Asked) -> Reply {
    let ids = parameter(asked, "ids").unwrap_or_default();
    let of = |id: &str| {
        let qid: u32 = id.parse().expect("a QID");
        let cve = format!("<CVE_LIST><CVE><ID>CVE-2024-{qid:04}</ID></CVE></CVE_LIST>");
        vuln(qid, if qid < 100 { &cve } else { "" })
    };
    Reply::ok(knowledge_base(&ids.split(',').map(of).collect::<String>()))
}

fn hosts(ids: impl IntoIterator<Item = u64>) -> String {
    ids.into_iter().map(|id| host(id, &detection(1, ""))).collect()
}

fn answer(status: u16, code: u32, text: &str) -> Reply {
    Reply::new(
        status,
        format!(
            "<SIMPLE_RETURN><RESPONSE><CODE>{code}</CODE><TEXT>{text}</TEXT></RESPONSE></SIMPLE_RETURN>"
        ),
    )
}

/// Hosts 1 to 6, two to a page, each page naming the next at a host of its own choosing.
fn three_pages(asked: &Asked) -> Reply {
    let first = parameter(asked, "id_min").map_or(1, |id| id.parse().expect("a host id"));
    let warning = format!(
        "<WARNING><CODE>1980</CODE><TEXT>2 record limit exceeded.</TEXT><URL><![CDATA[\
         \nhttps://qualysapi.elsewhere.example.com/api/5.0{LIST}?action=list&status=New,Active,Re-Opened\
         &never_sent=1&id_min={} \n]]></URL></WARNING>",
        first + 2
    );
    Reply::ok(list(&hosts(first..first + 2), if first < 5 { &warning } else { "" }))
}

const SIX: [&str; 6] = [
    "1/1 CVE-2024-0001",
    "2/1 CVE-2024-0001",
    "3/1 CVE-2024-0001",
    "4/1 CVE-2024-0001",
    "5/1 CVE-2024-0001",
    "6/1 CVE-2024-0001",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_read_at_the_configured_host() {
    let (outcome, world) = read(three_pages).await;
    outcome.assert_rows(&SIX);
    assert_eq!(
        outcome.value(),
        &json!({ "complete": true, "why": null, "warnings": [], "pages": 3, "findings": 6 })
    );
    let lines: Vec<_> = world.server.asked().into_iter().map(|asked| asked.line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1000&severities=5&status=New%2CActive%2CRe-Opened&show_results=0&show_igs=0
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&status=New%2CActive%2CRe-Opened&never_sent=1&id_min=3
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&status=New%2CActive%2CRe-Opened&never_sent=1&id_min=5
        GET /api/3.0/fo/knowledge_base/vuln/?action=list&details=All&ids=1
        ");
    for asked in world.server.asked() {
        assert!(asked.header("x-requested-with").is_some(), "{}", asked.line);
        // corp_ab1:canary-password
        assert_eq!(
            asked.header("authorization"),
            Some("Basic Y29ycF9hYjE6Y2FuYXJ5LXBhc3N3b3Jk"),
            "{}",
            asked.line
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_go_on_is_incomplete() {
    let stuck = |url: &'static str| {
        move |_: &Asked| {
            Reply::ok(list(&hosts([1]), &format!("<WARNING><CODE>1980</CODE>{url}</WARNING>")))
        }
    };
    let (outcome, _) = read(stuck("")).await;
    assert_eq!(outcome.why(), "a page is truncated and does not say where the next one is");
    assert_eq!(outcome.rows, ["1/1 CVE-2024-0001"]);
    let (outcome, _) =
        read(stuck("<URL>/api/5.0/fo/asset/host/vm/detection/?action=list&amp;id_min=9</URL>"))
            .await;
    assert_eq!(outcome.why(), "the next page begins where this one began");
    let (outcome, world) =
        read(stuck("<URL>https://h/api/2.0/fo/scan/?action=launch&amp;id_min=9</URL>")).await;
    assert_eq!(outcome.why(), "the address of the next page is not one of a list of detections");
    assert!(world.server.asked_for("launch").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_breaks_off_is_asked_for_again_from_where_it_was_good() {
    let body = list(&hosts(1..=6), "");
    let at = body.find("<ID>4").expect("the fourth host");
    let (outcome, world) = read(move |asked| match parameter(asked, "id_min").as_deref() {
        None => Reply::ok(body.clone()).cut_at(at),
        Some("4") => Reply::ok(list(&hosts(4..=6), "")),
        other => panic!("{other:?}"),
    })
    .await;
    outcome.assert_rows(&SIX);
    assert_eq!(world.server.asked_for(LIST).len(), 2);

    // Cut before the first host: the same page again, but not for ever.
    let (outcome, world) = read(|_| Reply::ok(list(&hosts([1]), "")).cut_at(100)).await;
    insta::assert_snapshot!(outcome.error(), @"Qualys sent a reply that cannot be read: the list breaks off: syntax error: DOCTYPE not closed: `>` not found before end of input");
    assert_eq!(world.server.asked_for(LIST).len(), 4);

    // With some hosts read, what is there is given, and said to be incomplete.
    let body = list(&hosts(1..=2), "");
    let at = body.find("<ID>2").expect("the second host");
    let (outcome, _) = read(move |asked| match parameter(asked, "id_min") {
        None => Reply::ok(body.clone()).cut_at(at),
        Some(_) => Reply::ok(body.clone()).cut_at(60),
    })
    .await;
    assert_eq!(outcome.rows, ["1/1 CVE-2024-0001"]);
    assert!(outcome.why().contains("the list breaks off"), "{}", outcome.why());
}

/// Answers the first `times` lists with `trouble`.
fn troubled(
    times: usize,
    trouble: impl Fn() -> Reply + Send + Sync,
) -> impl Fn(&Asked) -> Reply + Send + Sync {
    let n = AtomicUsize::new(0);
    move |asked| {
        if n.fetch_add(1, Ordering::SeqCst) < times { trouble() } else { three_pages(asked) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_trouble_costs_nothing_but_time() {
    let again = "This API cannot be run again for another 1 second.";
    read(troubled(1, || answer(409, 1960, "until 1 instance has finished")))
        .await
        .0
        .assert_rows(&SIX);
    read(troubled(1, move || answer(409, 1965, again))).await.0.assert_rows(&SIX);
    read(troubled(1, move || answer(200, 1965, again))).await.0.assert_rows(&SIX);
    read(troubled(2, || answer(200, 999, "internal error"))).await.0.assert_rows(&SIX);
    read(troubled(1, || Reply::new(503, ""))).await.0.assert_rows(&SIX);
    let too_many = || Reply::new(429, "").header("retry-after", "0");
    read(troubled(2, too_many)).await.0.assert_rows(&SIX);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_inside_200_are_errors() {
    let error = async |reply: Reply| read(move |_| reply.clone()).await.0.error();
    insta::assert_snapshot!(error(answer(200, 2001, "This account has expired.")).await, @"Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2001: This account has expired");
    insta::assert_snapshot!(error(answer(401, 2000, "Bad Login/Password")).await, @"Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2000: Bad Login/Password");
    insta::assert_snapshot!(error(Reply::new(401, "")).await, @"Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: (empty reply)");
    insta::assert_snapshot!(error(answer(400, 1905, "parameter x has invalid value")).await, @"Qualys refused the request with status 400: code 1905: parameter x has invalid value");
    insta::assert_snapshot!(error(answer(200, 1901, "canary-password is no parameter")).await, @"Qualys refused the request: code 1901: [redacted] is no parameter");
    insta::assert_snapshot!(error(Reply::ok("<html>sign in</html>")).await, @"Qualys sent a reply that cannot be read: expected a list of detections, got a document `html`");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><HOST_LIST_VM_DETECTION_OUTPUT/>";
    insta::assert_snapshot!(error(Reply::ok(bomb)).await, @"Qualys sent a reply that cannot be read: the document declares entities");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_fine() {
    let empty = "<HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><DATETIME/></RESPONSE></HOST_LIST_VM_DETECTION_OUTPUT>";
    let (outcome, world) = read(move |_| Reply::ok(empty)).await;
    outcome.assert_rows(&[]);
    assert!(world.server.asked_for(KNOWLEDGE).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_platform_is_read_in_its_version() {
    let world = World::new(json!({}), |asked| {
        if !asked.line.contains("/api/2.0/") {
            Reply::new(404, "<html>no such page</html>")
        } else if asked.line.contains(KNOWLEDGE) {
            facts(asked)
        } else {
            Reply::ok(list(&hosts([1]), ""))
        }
    })
    .await;
    world.read(json!({})).await.assert_rows(&["1/1 CVE-2024-0001"]);
    world.read(json!({})).await.assert_rows(&["1/1 CVE-2024-0001"]);
    let lists = world.server.asked_for(LIST);
    assert_eq!(lists.len(), 3, "what is missing is asked for once");

    let fixed = World::new(json!({ "api_version": "4.0" }), |_| Reply::new(404, "gone")).await;
    insta::assert_snapshot!(fixed.read(json!({})).await.error(), @"Qualys refused the request with status 404: no list of detections in version 4.0; `api_version` in the settings names the version to use");
    assert_eq!(fixed.server.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_asked_for_in_batches_and_once() {
    let world = World::new(json!({}), |asked| {
        if asked.line.contains(KNOWLEDGE) {
            return facts(asked);
        }
        let many: String = (1..=450).map(|qid| detection(qid, "")).collect();
        Reply::ok(list(&host(1, &many), ""))
    })
    .await;
    let outcome = world.read(json!({})).await;
    assert_eq!(outcome.rows.len(), 450);
    assert!(outcome.rows.contains(&"1/99 CVE-2024-0099".to_owned()));
    assert!(
        outcome.rows.contains(&"1/100 QID-100".to_owned()),
        "a QID without a CVE has its own name"
    );
    assert_eq!(world.server.asked_for(KNOWLEDGE).len(), 3);
    let again = world.read(json!({})).await;
    assert_eq!(again.rows, outcome.rows);
    assert_eq!(world.server.asked_for(KNOWLEDGE).len(), 3, "kept between reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knowledge_base_that_is_refused_leaves_qids() {
    let world = World::new(json!({}), |asked| {
        if asked.line.contains(KNOWLEDGE) {
            answer(403, 2012, "User license does not include the KnowledgeBase")
        } else {
            three_pages(asked)
        }
    })
    .await;
    let outcome = world.read(json!({})).await;
    assert_eq!(outcome.rows.first().map(String::as_str), Some("1/1 QID-1"));
    assert_eq!(outcome.value()["complete"], json!(true));
    insta::assert_snapshot!(outcome.value()["warnings"][0].as_str().expect("a warning"), @"this account may not read the KnowledgeBase (status 403: code 2012: User license does not include the KnowledgeBase); findings have their QID for a name where no CVE was known already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_knowledge_base_that_breaks_off_leaves_detections_out() {
    let world = World::new(json!({}), |asked| {
        if asked.line.contains(KNOWLEDGE) {
            let reply = facts(asked);
            let at = reply.body.len() - 40;
            reply.cut_at(at)
        } else {
            three_pages(asked)
        }
    })
    .await;
    let outcome = world.read(json!({})).await;
    assert!(outcome.rows.is_empty(), "a name that does not last would page twice");
    insta::assert_snapshot!(outcome.why(), @"the KnowledgeBase cannot be read (syntax error: tag not closed: `>` not found before end of input); 6 detections whose CVEs are not known were left out");
    assert_eq!(world.server.asked_for(KNOWLEDGE).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_lapses_before_the_knowledge_base_leaves_detections_out() {
    let world = World::new(json!({}), |asked| {
        if asked.line.contains(KNOWLEDGE) {
            answer(200, 2001, "This account has expired.")
        } else {
            three_pages(asked)
        }
    })
    .await;
    let outcome = world.read(json!({})).await;
    assert!(outcome.rows.is_empty());
    insta::assert_snapshot!(outcome.why(), @"the KnowledgeBase cannot be read (code 2001: This account has expired); 6 detections whose CVEs are not known were left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_knowledge_base_is_asked_for_the_rest() {
    let world = World::new(json!({}), |asked| {
        if !asked.line.contains(KNOWLEDGE) {
            return Reply::ok(list(&host(1, &[detection(1, ""), detection(2, "")].concat()), ""));
        }
        let ids = parameter(asked, "ids").expect("ids");
        let first: u32 = ids.split(',').next().expect("an id").parse().expect("a QID");
        let cve = format!("<CVE_LIST><CVE><ID>CVE-2024-{first:04}</ID></CVE></CVE_LIST>");
        let warning = "</VULN_LIST><WARNING><CODE>1980</CODE><URL>https://h/x</URL></WARNING>";
        let body = knowledge_base(&vuln(first, &cve)).replace("</VULN_LIST>", warning);
        Reply::ok(body)
    })
    .await;
    world.read(json!({})).await.assert_rows(&["1/1 CVE-2024-0001", "1/2 CVE-2024-0002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_one_light_call() {
    let probe = async |about: Reply, list: Reply| {
        let world = World::new(json!({}), move |asked| {
            if asked.line.contains("/msp/about.php") { about.clone() } else { list.clone() }
        })
        .await;
        let result = crate::scripted::probe(&world.gate).await;
        let lines: Vec<_> = world.server.asked().into_iter().map(|asked| asked.line).collect();
        format!("{result:?} after\n{}", lines.join("\n"))
    };
    let about = || Reply::ok("<?xml version=\"1.0\"?><ABOUT><API-VERSION/></ABOUT>");
    let none = || Reply::new(404, "");
    let empty = || Reply::ok(list("", ""));
    insta::assert_snapshot!(probe(about(), none()).await, @r"
        Ok(()) after
        GET /msp/about.php
        ");
    insta::assert_snapshot!(probe(none(), empty()).await, @r"
        Ok(()) after
        GET /msp/about.php
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        ");
    insta::assert_snapshot!(probe(Reply::ok("<html/>"), empty()).await, @r"
        Ok(()) after
        GET /msp/about.php
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        ");
    insta::assert_snapshot!(probe(answer(200, 2001, "This account has expired."), none()).await, @r#"
        Err("Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2001: This account has expired") after
        GET /msp/about.php
        "#);
    insta::assert_snapshot!(probe(Reply::new(401, "no"), none()).await, @r#"
        Err("Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: no") after
        GET /msp/about.php
        "#);
    insta::assert_snapshot!(probe(none(), answer(403, 2012, "no API access")).await, @r#"
        Err("Qualys does not accept QUALYS_USERNAME and QUALYS_PASSWORD: code 2012: no API access") after
        GET /msp/about.php
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        "#);
    insta::assert_snapshot!(probe(none(), Reply::ok("<html/>")).await, @r#"
        Err("Qualys sent a reply that cannot be read: expected XML, got <html/>") after
        GET /msp/about.php
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        "#);
    insta::assert_snapshot!(probe(none(), none()).await, @r#"
        Err("Qualys refused the request with status 404: (empty reply)") after
        GET /msp/about.php
        GET /api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        GET /api/2.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        GET /api/4.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        GET /api/3.0/fo/asset/host/vm/detection/?action=list&truncation_limit=1&severities=5&show_results=0
        "#);
}
