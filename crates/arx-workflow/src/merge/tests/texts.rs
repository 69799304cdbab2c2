//! Which texts, assets and owners are kept, and in which order.

use std::collections::BTreeMap;

use arx_types::{Asset, Finding, Severity};

use super::{asset, finding, fold, ids, merged, pretty};
use crate::merge::{Merged, Thresholds, Vulnerability, merge};

const CVE: &str = "CVE-2024-39474";
const OTHER_CVE: &str = "CVE-2024-36891";

/// The one vulnerability of these findings, whatever their order.
#[track_caller]
fn one(findings: &[Finding<'static>]) -> Vulnerability {
    let mut findings: Vec<_> = findings.to_vec();
    for (at, finding) in findings.iter_mut().enumerate() {
        finding.id = at.to_string().into();
    }
    let forwards = merge(vec![fold("wiz", &findings)], &Thresholds::default()).unwrap();
    findings.reverse();
    let backwards = merge(vec![fold("wiz", &findings)], &Thresholds::default()).unwrap();
    assert_eq!(forwards, backwards);
    assert_eq!(forwards.vulnerabilities.len(), 1);
    forwards.vulnerabilities.into_iter().next().unwrap()
}

fn titled(title: &'static str) -> Finding<'static> {
    Finding { title: title.into(), ..finding("", &[CVE]) }
}

#[test]
fn a_title_is_more_than_an_id() {
    assert_eq!(one(&[titled("")]).title, CVE);
    assert_eq!(one(&[titled("log4j-core-1.2-something-long"), titled(CVE)]).title, CVE);
    assert_eq!(one(&[titled(CVE), titled("Log4j RCE")]).title, "Log4j RCE");
    assert_eq!(one(&[titled("a b"), titled(" a c ")]).title, "a b");
}

#[test]
fn the_longest_description_is_kept_and_cut_between_characters() {
    let described = |text: String| Finding { description: text.into(), ..finding("", &[CVE]) };
    let long = "é".repeat(3000);
    let kept = one(&[described("short".into()), described(long.clone())]).description;
    assert_eq!(kept, "é".repeat(2048));
    let kept = one(&[described(format!("x{long}")), described("b".into())]).description;
    assert_eq!(kept, format!("x{}", "é".repeat(2047)));
    assert_eq!(one(&[described("bb".into()), described("ab".into())]).description, "ab");
}

#[test]
fn a_text_about_one_vulnerability_beats_a_text_about_several() {
    let whole = Finding {
        title: "Monthly security update of everything".into(),
        description: "a very long text about every vulnerability of the month".into(),
        remediation: "install the update".into(),
        ..finding("1", &[CVE, OTHER_CVE])
    };
    let part = Finding {
        title: "Use after free".into(),
        description: "short".into(),
        ..finding("1", &[CVE])
    };
    let merged = merged(&[part], &[whole]);
    let texts = |v: &Vulnerability| {
        (v.id.clone(), v.title.clone(), v.description.clone(), v.remediation.clone())
    };
    insta::assert_debug_snapshot!(merged.vulnerabilities.iter().map(texts).collect::<Vec<_>>(), @r#"
    [
        (
            "CVE-2024-36891",
            "Monthly security update of everything",
            "a very long text about every vulnerability of the month",
            "install the update",
        ),
        (
            "CVE-2024-39474",
            "Use after free",
            "short",
            "install the update",
        ),
    ]
    "#);
}

#[test]
fn lists_are_distinct_sorted_and_bounded() {
    let findings: Vec<_> = (0..60)
        .map(|at| Finding {
            package: format!("pkg-{:02}", at % 30).into(),
            fixed_version: format!("{}.0", at % 2).into(),
            url: format!("https://scanner.example/{at:02}").into(),
            ..finding("", &[CVE])
        })
        .collect();
    let kept = one(&findings);
    let first = |n: usize, form: fn(usize) -> String| (0..n).map(form).collect::<Vec<_>>();
    assert_eq!(kept.packages, first(20, |at| format!("pkg-{at:02}")));
    assert_eq!(kept.fixed_versions, ["0.0", "1.0"]);
    assert_eq!(kept.urls, first(10, |at| format!("https://scanner.example/{at:02}")));
}

#[test]
fn first_seen_is_the_earliest_whatever_its_precision() {
    let seen = |text: &'static str| Finding { first_seen: text.into(), ..finding("", &[CVE]) };
    let earliest = |texts: &[&'static str]| {
        one(&texts.iter().map(|text| seen(text)).collect::<Vec<_>>())
            .first_seen
            .map(|time| time.to_string())
    };
    assert_eq!(earliest(&["", "yesterday"]), None);
    assert_eq!(
        earliest(&["2024-08-28T03:02:01.5Z", "2024-08-28T03:02:01Z", ""]).as_deref(),
        Some("2024-08-28T03:02:01Z")
    );
    assert_eq!(
        earliest(&["2024-08-28T00:00:00Z", "2024-08-28T01:00:00+02:00"]).as_deref(),
        Some("2024-08-27T23:00:00Z")
    );
}

#[test]
fn scores_are_the_highest_that_any_source_gives() {
    let scored = |cvss_tenths, epss_millionths, severity| Finding {
        cvss_tenths,
        epss_millionths,
        severity,
        ..finding("", &[CVE])
    };
    let kept = one(&[
        scored(Some(98), None, Severity::Low),
        scored(None, Some(975_320), Severity::Critical),
        scored(Some(75), Some(1), Severity::None),
        Finding { known_exploited: true, ..finding("", &[CVE]) },
    ]);
    assert_eq!(
        (kept.cvss, kept.epss, kept.severity),
        (Some(9.8), Some(0.97532), Severity::Critical)
    );
    assert!(kept.known_exploited && !kept.public_exploit);
    assert_eq!(one(&[scored(Some(255), Some(u32::MAX), Severity::Critical)]).cvss, Some(10.0));
}

#[test]
fn the_assets_that_matter_most_come_first() {
    let on = |id: &str, business_impact, internet_facing| Finding {
        asset: Asset {
            name: format!("host {id}").into(),
            business_impact,
            internet_facing,
            ..asset(id)
        },
        ..finding("", &[CVE])
    };
    let mut findings = vec![
        on("d", 0, false),
        on("c", 0, true),
        on("b", 1, false),
        on("a2", 3, false),
        on("a1", 3, false),
        on("e", 3, true),
        on("e", 3, true),
    ];
    let names = |v: &Vulnerability| v.assets.iter().map(|a| a.id.clone()).collect::<Vec<_>>();
    let kept = one(&findings);
    assert_eq!(names(&kept), ["e", "a1", "a2", "b", "c", "d"]);
    assert_eq!((kept.asset_count, kept.findings), (6, 7));

    findings.extend((0..40).map(|at| on(&format!("z{at:02}"), 0, false)));
    let kept = one(&findings);
    assert_eq!((kept.asset_count, kept.assets.len()), (46, 10));
    assert_eq!(names(&kept)[..7], ["e", "a1", "a2", "b", "c", "d", "z00"]);
}

#[test]
fn owners_of_all_assets_are_named() {
    let owned = |at: usize| Finding {
        asset: Asset {
            subscription: format!("subscription {}", at % 2).into(),
            projects: vec![format!("project {at:02}").into(), "shared".into(), "".into()],
            tags: vec![("team".into(), format!("team {at}").into())],
            ..asset(&at.to_string())
        },
        ..finding("", &[CVE])
    };
    let kept = one(&(0..3).map(owned).collect::<Vec<_>>());
    assert_eq!(kept.projects, ["project 00", "project 01", "project 02", "shared"]);
    assert_eq!(kept.subscriptions, ["subscription 0", "subscription 1"]);
    assert_eq!(kept.assets[0].tags, BTreeMap::from([("team".into(), "team 0".into())]));
    let kept = one(&(0..80).map(owned).collect::<Vec<_>>());
    assert_eq!((kept.projects.len(), kept.subscriptions.len()), (50, 2));
}

#[test]
fn what_pages_say_differently_of_one_asset_is_joined() {
    let said = |name: &'static str, projects: &[&'static str], business_impact| Finding {
        asset: Asset {
            name: name.into(),
            projects: projects.iter().map(|p| (*p).into()).collect(),
            business_impact,
            ..asset("one")
        },
        ..finding("", &[CVE])
    };
    let kept = one(&[said("web-2", &["b"], 1), said("", &["a", "b"], 9), said("web-1", &[], 0)]);
    assert_eq!(kept.asset_count, 1);
    let asset = &kept.assets[0];
    assert_eq!((asset.name.as_str(), asset.business_impact), ("web-1", 3));
    assert_eq!(asset.projects, ["a", "b"]);
}

#[test]
fn an_asset_without_an_identifier_goes_by_its_name() {
    let named = |id: &'static str, name: &'static str| Finding {
        asset: Asset { id: id.into(), name: name.into(), ..Asset::default() },
        ..finding("", &[CVE])
    };
    let kept = one(&[named("", "web"), named(" ", "web"), named("", "db"), named("", "")]);
    assert_eq!((kept.asset_count, kept.findings), (2, 4));
    assert_eq!(kept.assets[0].id, "db");
}

#[test]
fn the_most_severe_come_first() {
    let row = |id: &str, name, severity, cvss_tenths| Finding {
        severity,
        cvss_tenths,
        ..finding(id, &[name])
    };
    let findings = [
        row("1", "CVE-2024-0001", Severity::High, Some(99)),
        row("2", "CVE-2024-0004", Severity::Critical, None),
        row("3", "CVE-2024-0003", Severity::Critical, Some(91)),
        row("4", "CVE-2024-0002", Severity::Critical, Some(91)),
        row("5", "CVE-2024-0005", Severity::Critical, Some(100)),
    ];
    let thresholds =
        Thresholds { severities: vec![Severity::Critical, Severity::High], ..Default::default() };
    let merged = merge(vec![fold("wiz", &findings)], &thresholds).unwrap();
    let order: Vec<_> = ids(&merged).into_iter().map(|(id, _)| &id[12..]).collect();
    assert_eq!(order, ["5", "2", "3", "4", "1"]);
}

#[test]
fn what_a_workflow_sees() {
    let low = Finding { severity: Severity::Low, ..finding("2", &[OTHER_CVE]) };
    let merged: Merged = merged(&[finding("1", &[CVE]), low], &[]);
    let mut seen = merged.visible();
    assert_eq!(seen["id"], merged.id.to_string());
    let fields = seen.as_object_mut().unwrap();
    fields.shift_remove("id");
    insta::assert_snapshot!(pretty(&seen), @r#"
    {
      "complete": true,
      "findings_read": 2,
      "merged": 2,
      "qualifying": 1,
      "below_threshold": 1,
      "sources": [
        {
          "source": "qualys",
          "findings_read": 0,
          "duplicates": 0,
          "complete": true
        },
        {
          "source": "wiz",
          "findings_read": 2,
          "duplicates": 0,
          "complete": true
        }
      ]
    }
    "#);
    let text = serde_json::to_string(&merged).unwrap();
    assert_eq!(serde_json::from_str::<Merged>(&text).unwrap(), merged);
}
