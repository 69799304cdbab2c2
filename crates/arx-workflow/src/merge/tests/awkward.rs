//! The awkward cases of real scanners, one by one.

use super::{also_called, finding, fold, ids, merged, pretty};
use crate::merge::{Thresholds, merge};

const CVE: &str = "CVE-2024-39474";
const OTHER_CVE: &str = "CVE-2024-36891";
const GHSA: &str = "GHSA-c9cp-9c75-9v8c";
const OTHER_GHSA: &str = "GHSA-33c5-9fx5-fvjm";

#[track_caller]
fn check(wiz: &[(&[&str], &[&str])], qualys: &[(&[&str], &[&str])], expected: &[(&str, u64)]) {
    let rows = |given: &[(&[&str], &[&str])]| {
        let row = |(at, (names, aliases)): (usize, &(&[&str], &[&str]))| {
            also_called(finding(&format!("row-{at}"), names), aliases)
        };
        given.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    let (wiz, qualys) = (rows(wiz), rows(qualys));
    let merged = merged(&wiz, &qualys);
    assert_eq!(ids(&merged), expected);
    let grouped: u64 = merged.groups.iter().map(|group| group.findings).sum();
    assert_eq!(grouped, (wiz.len() + qualys.len()) as u64);
}

#[test]
fn spelling_does_not_matter() {
    check(
        &[(&["cve-2024-39474"], &[]), (&[" CVE-2024-39474 "], &[])],
        &[(&[CVE], &[])],
        &[(CVE, 3)],
    );
    check(&[(&["ghsa-C9CP-9c75-9v8c"], &[])], &[(&[GHSA], &[])], &[(GHSA, 2)]);
    check(&[(&[CVE, "cve-2024-39474"], &["Cve-2024-39474"])], &[], &[(CVE, 1)]);
}

#[test]
fn a_ghsa_with_one_cve_is_that_cve() {
    check(&[(&[GHSA], &[CVE])], &[], &[(CVE, 1)]);
    check(&[(&[CVE], &[GHSA]), (&[GHSA], &[])], &[], &[(CVE, 2)]);
    // Whichever source knows it.
    check(&[(&[GHSA], &[])], &[(&[CVE], &[GHSA])], &[(CVE, 2)]);
    check(&[(&[GHSA], &[])], &[], &[(GHSA, 1)]);
}

#[test]
fn a_ghsa_with_two_cves_stays_on_its_own() {
    check(
        &[(&[CVE], &[GHSA]), (&[OTHER_CVE], &[GHSA]), (&[GHSA], &[])],
        &[],
        &[(OTHER_CVE, 1), (CVE, 1), (GHSA, 1)],
    );
    check(&[(&[GHSA], &[CVE, OTHER_CVE])], &[], &[(GHSA, 1)]);
    // A finding that says which one it means is believed.
    check(
        &[(&[GHSA], &[CVE]), (&[GHSA], &[OTHER_CVE]), (&[GHSA], &[])],
        &[],
        &[(OTHER_CVE, 1), (CVE, 1), (GHSA, 1)],
    );
}

#[test]
fn two_cves_are_never_one() {
    check(&[(&[CVE], &[OTHER_CVE])], &[], &[(CVE, 1)]);
    check(&[(&[CVE], &[OTHER_CVE]), (&[OTHER_CVE], &[])], &[], &[(OTHER_CVE, 1), (CVE, 1)]);
    check(
        &[(&[CVE], &[GHSA]), (&[OTHER_CVE], &[OTHER_GHSA]), (&[GHSA], &[OTHER_GHSA])],
        &[],
        &[(OTHER_CVE, 1), (CVE, 2)],
    );
}

#[test]
fn a_vendors_name_is_what_it_is_given_for() {
    check(&[], &[(&["QID-1"], &[CVE]), (&["qid-1"], &[])], &[(CVE, 2)]);
    check(&[(&["WIZ-7"], &[GHSA])], &[(&["QID-1"], &[GHSA])], &[(GHSA, 2)]);
    // Through a GHSA to its CVE.
    check(&[(&["WIZ-7"], &[GHSA])], &[(&[CVE], &[GHSA])], &[(CVE, 2)]);
    check(&[(&["WIZ-7"], &[GHSA]), (&["WIZ-7"], &[OTHER_GHSA])], &[], &[("WIZ-7", 2)]);
    // Two GHSAs of one CVE are no contradiction.
    check(
        &[(&["WIZ-7"], &[GHSA]), (&["WIZ-7"], &[OTHER_GHSA])],
        &[(&[CVE], &[GHSA]), (&[CVE], &[OTHER_GHSA])],
        &[(CVE, 4)],
    );
    check(
        &[(&["EOL-ubuntu-18.04"], &[])],
        &[(&["QID-105000"], &[])],
        &[("EOL-UBUNTU-18.04", 1), ("QID-105000", 1)],
    );
}

#[test]
fn one_qid_with_several_cves_is_each_of_them() {
    check(&[(&[CVE], &[])], &[(&[CVE, OTHER_CVE], &["QID-10052"])], &[(OTHER_CVE, 1), (CVE, 2)]);
    // Names of the whole are names of none of its parts.
    check(
        &[],
        &[(&[CVE, OTHER_CVE], &["QID-10052"]), (&["QID-10052"], &[])],
        &[(OTHER_CVE, 1), (CVE, 1), ("QID-10052", 1)],
    );
    // Two names that turn out to be one are one.
    check(&[(&[CVE], &[GHSA])], &[(&[CVE, GHSA], &[])], &[(CVE, 2)]);
}

#[test]
fn a_finding_that_names_nothing_stands_for_itself() {
    check(
        &[(&[], &[]), (&["", "n/a"], &[" "])],
        &[(&["-"], &[])],
        &[("QUALYS-FINDING-ROW-0", 1), ("WIZ-FINDING-ROW-0", 1), ("WIZ-FINDING-ROW-1", 1)],
    );
    check(&[(&[], &[GHSA, CVE])], &[], &[(CVE, 1)]);
    check(&[(&[""], &["WIZ-7", GHSA])], &[], &[(GHSA, 1)]);
    let row = finding("", &[]);
    let digest = row.digest("wiz").short().to_uppercase();
    assert_eq!(ids(&merged(&[row], &[])), [(format!("WIZ-FINDING-{digest}").as_str(), 1)]);
}

#[test]
fn rows_without_an_identifier_are_told_apart_by_their_content() {
    let rows = [finding("", &[CVE]), finding("", &[OTHER_CVE]), finding("", &[CVE])];
    let merged = merged(&rows, &[]);
    assert_eq!(ids(&merged), [(OTHER_CVE, 1), (CVE, 1)]);
    assert_eq!(merged.sources[1].duplicates, 1);
}

#[test]
fn a_row_read_twice_counts_once() {
    let row = finding("row", &[CVE]);
    let merged = merged(&[row.clone(), row.clone(), row.clone()], &[row]);
    assert_eq!(ids(&merged), [(CVE, 2)], "sources share no row identifiers");
    assert_eq!((merged.findings_read, merged.sources[1].duplicates), (2, 2));
}

#[test]
fn a_row_that_changed_between_pages_counts_once() {
    let before = finding("row", &[CVE]);
    let after = finding("row", &[OTHER_CVE]);
    let first = merged(&[before.clone(), after.clone()], &[]);
    let second = merged(&[after.clone(), before.clone()], &[]);
    assert_eq!(first, second);
    let kept = if before.digest("wiz") < after.digest("wiz") { CVE } else { OTHER_CVE };
    assert_eq!(ids(&first), [(kept, 1)]);
}

#[test]
fn two_reads_of_one_source_are_one() {
    let rows = [
        also_called(finding("1", &[CVE]), &[GHSA]),
        finding("2", &[GHSA]),
        finding("3", &[OTHER_CVE]),
    ];
    let whole = merge(vec![fold("wiz", &rows)], &Thresholds::default()).unwrap();
    let parts = vec![fold("wiz", &rows[1..]), fold("wiz", &rows[..2])];
    let mut united = merge(parts, &Thresholds::default()).unwrap();
    assert_eq!(united.sources[0].duplicates, 1);
    united.sources[0].duplicates = 0;
    assert_eq!(united, whole);
}

#[test]
fn reasons_say_why() {
    let wiz = [also_called(finding("1", &[GHSA]), &[CVE]), finding("2", &[CVE])];
    let qualys = [also_called(finding("1", &[CVE, OTHER_CVE]), &["QID-10052"])];
    let merged = merged(&wiz, &qualys);
    let reasons: Vec<_> = merged.vulnerabilities.iter().map(|v| &v.merged_because).collect();
    insta::assert_snapshot!(pretty(&reasons), @r#"
    [
      [
        "qualys names CVE-2024-36891",
        "QID-10052 of qualys covers 2 vulnerabilities"
      ],
      [
        "qualys and wiz name CVE-2024-39474",
        "GHSA-c9cp-9c75-9v8c is another name of CVE-2024-39474, says wiz",
        "QID-10052 of qualys covers 2 vulnerabilities"
      ]
    ]
    "#);
    assert_eq!(merged.vulnerabilities[1].aliases, [GHSA]);
    insta::assert_snapshot!(pretty(&merged.aliases), @r#"
    [
      {
        "name": "GHSA-c9cp-9c75-9v8c",
        "into": "CVE-2024-39474",
        "why": "wiz gives it as a name of CVE-2024-39474"
      },
      {
        "name": "QID-10052",
        "into": null,
        "why": "qualys uses it for several vulnerabilities at once"
      }
    ]
    "#);
}

#[test]
fn ambiguity_is_recorded() {
    let wiz = [
        also_called(finding("1", &[CVE]), &[GHSA]),
        also_called(finding("2", &[OTHER_CVE]), &[GHSA]),
        also_called(finding("3", &[CVE]), &["CVE-2020-35522"]),
    ];
    let merged = merged(&wiz, &[]);
    assert!(merged.vulnerabilities.iter().all(|v| v.aliases.is_empty()));
    insta::assert_snapshot!(pretty(&merged.aliases), @r#"
    [
      {
        "name": "CVE-2020-35522",
        "into": null,
        "why": "wiz gives it beside CVE-2024-39474; two CVEs are never one"
      },
      {
        "name": "CVE-2024-39474",
        "into": null,
        "why": "wiz gives it beside CVE-2020-35522; two CVEs are never one"
      },
      {
        "name": "GHSA-c9cp-9c75-9v8c",
        "into": null,
        "why": "wiz gives it for CVE-2024-36891 and CVE-2024-39474; it stays on its own"
      }
    ]
    "#);
}
