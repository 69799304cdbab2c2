//! Limits, and what a read that exceeds them leaves behind.

use std::sync::Arc;

use arx_types::{Finding, FindingSink as _, SinkError};

use super::{Recorded, finding, fold_recorded};
use crate::merge::dataset::Limits;
use crate::merge::{Fold, LineageRecorder, NAMES_PER_FINDING_MAX};

#[track_caller]
fn check(limits: Limits, findings: &[Finding<'_>], expected: Result<(), &str>) {
    let fold = Fold::with_limits("wiz", Arc::new(Recorded::default()), limits);
    let taken = fold.accept(findings).map_err(|error| error.to_string());
    assert_eq!(taken.as_ref().map_err(String::as_str).copied(), expected);
    let dataset = fold.finish(true).unwrap();
    assert_eq!(dataset.complete(), expected.is_ok(), "a refused page makes a read incomplete");
}

#[test]
fn a_read_has_limits() {
    let rows = [
        finding("1", &["CVE-2024-0001"]),
        finding("2", &["CVE-2024-0002"]),
        finding("3", &["CVE-2024-0001", "CVE-2024-0002"]),
        finding("3", &["CVE-2024-0001", "CVE-2024-0002"]),
    ];
    let enough = Limits { findings: 4, assets: 3, names: 2, identities: 3 };
    check(enough, &rows, Ok(()));
    check(Limits { findings: 3, ..enough }, &rows, Err("more than 3 findings; narrow the read"));
    check(Limits { assets: 2, ..enough }, &rows, Err("more than 2 assets; narrow the read"));
    check(
        Limits { names: 1, ..enough },
        &rows,
        Err("more than 1 names of vulnerabilities; narrow the read"),
    );
    check(
        Limits { identities: 2, ..enough },
        &rows,
        Err("more than 2 combinations of vulnerabilities; narrow the read"),
    );
}

#[test]
fn a_finding_has_a_limit_of_names() {
    let names: Vec<_> = (0..=NAMES_PER_FINDING_MAX).map(|n| format!("CVE-2024-{n:05}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    check(Limits::default(), &[finding("1", &names[1..])], Ok(()));
    let expected = Err("more than 1024 names of vulnerabilities in one finding; narrow the read");
    check(Limits::default(), &[finding("1", &names)], expected);
}

struct Full;

impl LineageRecorder for Full {
    fn record(&self, _: Vec<u8>) -> Result<(), SinkError> {
        Err(SinkError::NotRecorded { reason: "disk full".to_owned() })
    }
}

#[test]
fn what_cannot_be_recorded_is_not_read() {
    let fold = Fold::new("wiz", Arc::new(Full));
    let page: Vec<_> = (0..3000).map(|id| finding(&id.to_string(), &["CVE-2024-0001"])).collect();
    let error = fold.accept(&page).unwrap_err();
    assert_eq!(error, SinkError::NotRecorded { reason: "disk full".to_owned() });

    let fold = Fold::new("wiz", Arc::new(Full));
    fold.accept(&page[..1]).unwrap();
    assert_eq!(fold.finish(true).unwrap_err(), error, "lines wait until there are enough");
}

#[test]
fn a_finished_fold_takes_nothing_more() {
    let fold = Fold::new("wiz", Arc::new(Recorded::default()));
    fold.finish(true).unwrap();
    let expected = "cannot record findings: the read is over";
    assert_eq!(fold.accept(&[finding("1", &[])]).unwrap_err().to_string(), expected);
    assert_eq!(fold.finish(true).unwrap_err().to_string(), expected);
}

#[test]
fn an_incomplete_read_makes_the_merge_incomplete() {
    let complete = |reads: &[(&str, bool)]| {
        let datasets = reads.iter().map(|(source, complete)| {
            Fold::new(source, Arc::new(Recorded::default())).finish(*complete).unwrap()
        });
        super::merge(datasets.collect(), &super::Thresholds::default()).unwrap().complete()
    };
    assert!(complete(&[("wiz", true), ("qualys", true)]));
    assert!(!complete(&[("wiz", true), ("qualys", false)]));
    assert!(!complete(&[("wiz", true), ("wiz", false)]));
    assert!(!complete(&[]), "nothing read is nothing known");
}

#[test]
fn long_pages_are_recorded_in_chunks() {
    let recorded = Arc::new(Recorded::default());
    let page: Vec<_> =
        (0..5000).map(|id| finding(&format!("{id:0100}"), &["CVE-2024-0001"])).collect();
    fold_recorded("wiz", &page, &recorded);
    let lines = recorded.lines();
    assert_eq!(lines.len(), page.len());
    assert!(lines.iter().zip(&page).all(|(line, row)| line.digest == row.digest("wiz")));
}
