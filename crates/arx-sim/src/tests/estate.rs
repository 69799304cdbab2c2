//! Scenarios: their grammar, the company's numbers, and the facts about real CVEs.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Bed, texts};
use crate::estate::{Cvss, Estate, Severity, time};
use crate::{Options, Scenario};

#[track_caller]
fn check(text: &str, expected: Result<Scenario, &str>) {
    let found = text.parse::<Scenario>().map_err(|error| error.to_string());
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
        (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
        (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
    }
}

#[test]
fn scenario_grammar() {
    let size = crate::GeneratedScenario::default;
    check("default", Ok(Scenario::Default));
    check("awkward", Ok(Scenario::Awkward));
    check("empty", Ok(Scenario::Empty));
    check("generated", Ok(Scenario::Generated(size())));
    check("generated:", Ok(Scenario::Generated(size())));
    check(
        "generated:seed=7, findings=10,critical=50",
        Ok(Scenario::Generated(crate::GeneratedScenario {
            seed: 7,
            findings: 10,
            critical: 50,
            ..size()
        })),
    );
    check("", Err("unknown scenario ``"));
    check("default:x", Err("unknown scenario `default:x`"));
    check("generated:rows=3", Err("unknown parameter `rows`"));
    check("generated:findings=many", Err("bad value `many` for `findings`"));
    check("generated:cves=0", Err("from 1 to 200000"));
    check("generated:critical=101", Err("from 0 to 100"));
}

#[test]
fn times() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_794_700_800, "2026-11-15T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
    ] {
        assert_eq!(time(seconds), expected);
        assert_eq!(time(seconds).parse::<jiff::Timestamp>().unwrap().as_second(), seconds);
    }
}

/// The base scores as published beside these vectors.
#[test]
fn cvss_scores() {
    for (vector, base, exploitability, impact) in [
        ("AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10.0, 3.9, 6.0),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, 3.9, 5.9),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:L", 9.4, 3.9, 5.5),
        ("AV:N/AC:H/PR:N/UI:N/S:C/C:H/I:H/A:H", 9.0, 2.2, 6.0),
        ("AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 8.8, 2.8, 5.9),
        ("AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:H", 8.1, 2.2, 5.9),
        ("AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8, 1.8, 5.9),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5, 3.9, 3.6),
        ("AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H", 7.2, 1.2, 5.9),
        ("AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:H/A:N", 5.9, 2.2, 3.6),
        ("AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.0, 3.9, 0.0),
    ] {
        let expected = Cvss { base, exploitability, impact };
        assert_eq!(Cvss::from_vector(vector), Some(expected), "{vector}");
    }
    assert_eq!(Cvss::from_vector(""), None);
    assert_eq!(Cvss::from_vector("AV:N/AC:L"), None);
}

#[test]
fn severities_follow_scores() {
    let estate = Estate::new(&Scenario::Default, 0);
    for weakness in &estate.weaknesses {
        let Some(cvss) = Cvss::from_vector(&weakness.vector) else { continue };
        let expected = match cvss.base {
            s if s >= 9.0 => Severity::Critical,
            s if s >= 7.0 => Severity::High,
            _ => Severity::Medium,
        };
        assert_eq!(weakness.severity, expected, "{}", weakness.name);
    }
}

#[test]
fn company_size() {
    let estate = Estate::new(&Scenario::Default, 0);
    assert_eq!(estate.assets.len(), 300);
    let ids: BTreeSet<u128> =
        (0..estate.n_findings()).filter_map(|i| estate.finding(i)).map(|f| f.id).collect();
    assert_eq!(ids.len(), estate.n_findings(), "finding ids are unique");
    let again = Estate::new(&Scenario::Default, 0);
    for index in 0..estate.n_findings() {
        assert_eq!(estate.finding(index).map(|f| f.id), again.finding(index).map(|f| f.id));
    }
}

/// Whatever the seed, each critical entry of the company's tables is found somewhere, open.
#[test]
fn no_seed_loses_a_vulnerability() {
    for seed in 0..200 {
        let estate = Estate::new(&Scenario::Default, seed);
        let findings: Vec<_> =
            (0..estate.n_findings()).filter_map(|index| estate.finding(index)).collect();
        for (index, weakness) in estate.weaknesses.iter().enumerate() {
            let found = findings.iter().any(|finding| finding.weakness == index);
            assert!(found, "seed {seed}: {} {}", weakness.name, weakness.path);
        }
        for (index, qid) in estate.qids.iter().enumerate() {
            let found = (0..estate.hosts.len())
                .any(|host| estate.detections(host).iter().any(|d| d.qid == index));
            assert!(found, "seed {seed}: {}", qid.title);
        }
    }
}

/// What a client that merges both scanners by CVE ends up with.
async fn qualifying(bed: &Bed) -> (BTreeSet<String>, usize) {
    const QUERY: &str =
        "query P($filterBy: VulnerabilityFindingFilters, $first: Int, $after: String) {
        vulnerabilityFindings(filterBy: $filterBy, first: $first, after: $after) {
            nodes { id name vulnerabilityExternalId } pageInfo { hasNextPage endCursor } } }";
    let token = bed.wiz_token().await;
    let mut found = BTreeSet::new();
    let mut n_findings = 0;
    let mut after = serde_json::Value::Null;
    loop {
        let variables =
            json!({ "filterBy": { "severity": ["CRITICAL"] }, "first": 100, "after": after });
        let answer = bed.wiz(&token, QUERY, variables).await.expect(200);
        let nodes = answer.at("/data/vulnerabilityFindings/nodes");
        for node in nodes.as_array().unwrap() {
            n_findings += 1;
            let text = |name: &str| node[name].as_str().unwrap_or_default().to_uppercase();
            let (name, external) = (text("name"), text("vulnerabilityExternalId"));
            found.insert(if external.starts_with("CVE-") { external } else { name });
        }
        if answer.at("/data/vulnerabilityFindings/pageInfo/hasNextPage") != true {
            break;
        }
        after = answer.at("/data/vulnerabilityFindings/pageInfo/endCursor");
    }
    let detections = bed
        .qualys("/api/5.0/fo/asset/host/vm/detection/?action=list&severities=5&truncation_limit=0")
        .await
        .expect(200);
    for qid in texts(&detections.body, "QID").into_iter().collect::<BTreeSet<_>>() {
        let path = format!("/api/3.0/fo/knowledge_base/vuln/?action=list&ids={qid}");
        let entry = bed.qualys(&path).await.expect(200);
        let cves = entry
            .body
            .split_once("<CVE_LIST>")
            .map_or(Vec::new(), |(_, list)| texts(list.split_once("</CVE_LIST>").unwrap().0, "ID"));
        let cves: Vec<String> =
            cves.iter().filter(|id| !id.is_empty()).map(|id| id.to_uppercase()).collect();
        if cves.is_empty() {
            found.insert(format!("QID-{qid}"));
        }
        found.extend(cves);
    }
    (found, n_findings)
}

#[tokio::test]
async fn default_scenario_merges_to_twenty_one() {
    let bed = Bed::default().await;
    let (found, n_findings) = qualifying(&bed).await;
    insta::assert_snapshot!(found.into_iter().collect::<Vec<_>>().join("\n"), @r"
    CVE-2020-1472
    CVE-2021-31207
    CVE-2021-34473
    CVE-2021-34523
    CVE-2021-44228
    CVE-2021-45046
    CVE-2022-22965
    CVE-2023-20198
    CVE-2023-22515
    CVE-2023-23397
    CVE-2023-2868
    CVE-2023-34362
    CVE-2023-46604
    CVE-2023-4966
    CVE-2024-1709
    CVE-2024-27198
    CVE-2024-3094
    CVE-2024-3400
    END OF LIFE: CENTOS LINUX 7
    GHSA-73QR-PFMQ-6RP8
    QID-9100014
    ");
    assert!((501..800).contains(&n_findings), "{n_findings}");
}

#[tokio::test]
async fn fixed_vulnerabilities_disappear_and_reappear() {
    let bed = Bed::default().await;
    let (before, _) = qualifying(&bed).await;
    assert!(bed.control.fix("cve-2024-1709") > 1);
    assert_eq!(bed.control.fix("CVE-1999-0001"), 0);
    let (fixed, _) = qualifying(&bed).await;
    assert_eq!(before.difference(&fixed).collect::<Vec<_>>(), ["CVE-2024-1709"]);
    bed.control.unfix("CVE-2024-1709");
    assert_eq!(qualifying(&bed).await.0, before);
}

#[tokio::test]
async fn empty_scenario_finds_nothing() {
    let options = Options { scenario: Scenario::Empty, ..Options::default() };
    let (found, n) = qualifying(&Bed::start(options).await).await;
    assert_eq!((found.len(), n), (0, 0));
}

#[tokio::test]
async fn generated_scenario_has_the_size_asked_for() {
    let scenario = "generated:findings=700,detections=333,cves=40,assets=20".parse().unwrap();
    let bed = Bed::start(Options { scenario, ..Options::default() }).await;
    let (found, n) = qualifying(&bed).await;
    assert_eq!((found.len(), n), (40, 700));
    let detections =
        bed.qualys("/api/5.0/fo/asset/host/vm/detection/?action=list&truncation_limit=0").await;
    assert_eq!(texts(&detections.body, "QID").len(), 333);
}
