//! What is recorded, and that anyone can recompute the digests from it.

use std::borrow::Cow;
use std::sync::Arc;

use arx_types::{Asset, Finding, Severity};

use super::{Line, Recorded, also_called, audit, finding, fold_recorded};
use crate::merge::{Merged, Thresholds, merge};

/// The example of `docs/merging.md`.
fn example() -> (String, Merged) {
    let on = |host: &'static str| Asset {
        id: Cow::Owned(format!("asset-{host}")),
        name: host.into(),
        ..Asset::default()
    };
    let wiz = [
        Finding {
            asset: on("web-1"),
            cvss_tenths: Some(100),
            ..also_called(finding("w-1", &["cve-2021-44228 "]), &["GHSA-JFH8-C2JP-5V3Q"])
        },
        Finding { asset: on("web-2"), ..finding("w-2", &["GHSA-jfh8-c2jp-5v3q"]) },
    ];
    let qualys = [Finding {
        asset: on("web-1"),
        severity: Severity::None,
        qualys_severity: 5,
        ..also_called(finding("q-1", &["CVE-2021-44228", "CVE-2021-45046"]), &["QID-376157"])
    }];
    let recorded = Arc::new(Recorded::default());
    let datasets =
        vec![fold_recorded("wiz", &wiz, &recorded), fold_recorded("qualys", &qualys, &recorded)];
    let merged = merge(datasets, &Thresholds::default()).unwrap();
    let lines = String::from_utf8(recorded.0.lock().unwrap().clone()).unwrap();
    audit(&recorded.lines(), &merged);
    (lines, merged)
}

#[test]
fn the_worked_example_of_the_specification_is_true() {
    let (lines, merged) = example();
    let page = include_str!("../../../../../docs/merging.md");
    assert!(page.contains(&lines), "lines:\n{lines}");
    assert_eq!(merged.vulnerabilities.len(), 2);
    for vulnerability in &merged.vulnerabilities {
        let row = format!("| `{}` | `{}` |", vulnerability.id, vulnerability.lineage);
        assert!(page.contains(&row), "{row}");
    }
    let id = format!("`{}`", merged.id);
    assert!(page.contains(&id), "{id}");
    for decision in &merged.aliases {
        let into = decision.into.as_deref().unwrap_or("itself");
        let row = format!("| `{}` | `{into}` | {} |", decision.name, decision.why);
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn lines_are_json_whatever_is_in_them() {
    let odd = "a \"quoted\" \\ back\u{0}slash\n\u{1f}é漏\u{7f}";
    let recorded = Arc::new(Recorded::default());
    let row = Finding {
        asset: Asset { id: odd.into(), ..Asset::default() },
        ..also_called(finding(odd, &[odd]), &["GHSA-JFH8-C2JP-5V3Q", " "])
    };
    fold_recorded(odd, std::slice::from_ref(&row), &recorded);
    let [line] = recorded.lines().try_into().unwrap();
    assert_eq!((line.source.as_str(), line.id.as_str(), line.asset.as_str()), (odd, odd, odd));
    assert_eq!(line.digest, row.digest(odd));
    assert_eq!(line.aliases, ["GHSA-jfh8-c2jp-5v3q"]);
}

#[test]
fn every_row_is_recorded_even_when_read_again() {
    let recorded = Arc::new(Recorded::default());
    let rows = [finding("1", &["CVE-2024-0001"]), finding("1", &["CVE-2024-0002"])];
    let merged = merge(vec![fold_recorded("wiz", &rows, &recorded)], &Thresholds::default());
    let lines: Vec<Line> = recorded.lines();
    assert_eq!(lines.len(), 2);
    audit(&lines, &merged.unwrap());
}
