//! What holds for any findings.

use std::collections::BTreeSet;
use std::sync::Arc;

use arx_types::{Asset, Finding, FindingSink as _, Severity};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use super::{Recorded, also_called, audit, finding};
use crate::merge::{Disposition, Fold, LineageRecorder, Merged, Require, Thresholds, merge};

/// Names as vendors write them: few, so that findings meet.
const NAMES: [&str; 12] = [
    "CVE-2024-0001",
    "cve-2024-0001 ",
    "CVE-2024-0002",
    "Cve-2024-0003",
    "GHSA-aaaa-aaaa-aaaa",
    "ghsa-AAAA-aaaa-aaaa",
    "GHSA-bbbb-bbbb-bbbb",
    "QID-1",
    "qid-2",
    "EOL ubuntu",
    "",
    "n/a",
];
const SOURCES: [&str; 2] = ["wiz", "qualys"];

/// A finding and the source that reports it.
type Row = (usize, Finding<'static>);

fn assets() -> impl Strategy<Value = Asset<'static>> {
    let texts = || select(vec!["", "a", "b"]);
    (select(vec!["", "1", "2", "3"]), texts(), texts(), vec(texts(), 0..3), 0..4_u8, any::<bool>())
        .prop_map(|(id, name, subscription, projects, business_impact, internet_facing)| Asset {
            id: id.into(),
            name: name.into(),
            subscription: subscription.into(),
            tags: projects.iter().map(|tag| ("team".into(), (*tag).into())).collect(),
            projects: projects.into_iter().map(Into::into).collect(),
            business_impact,
            internet_facing,
            ..Asset::default()
        })
}

fn rows() -> impl Strategy<Value = Row> {
    let severities = vec![Severity::None, Severity::High, Severity::Critical];
    let names = (
        subsequence(NAMES.to_vec(), 0..3),
        subsequence(NAMES.to_vec(), 0..3),
        select(vec!["", "1", "2", "3", "4", "5", "6", "7", "8"]),
    );
    let scores = (select(severities), 0..6_u8, any::<Option<u8>>(), any::<Option<u32>>());
    let texts = vec(select(vec!["", "a b", "CVE-2024-0001", "1.0", "2024-08-28T03:02:01Z"]), 5);
    (0..SOURCES.len(), names, assets(), scores, any::<[bool; 2]>(), texts).prop_map(
        |(source, (names, aliases, id), asset, scores, flags, texts)| {
            let finding = Finding {
                asset,
                severity: scores.0,
                qualys_severity: scores.1,
                cvss_tenths: scores.2,
                epss_millionths: scores.3,
                known_exploited: flags[0],
                public_exploit: flags[1],
                title: texts[0].into(),
                description: texts[1].into(),
                package: texts[2].into(),
                url: texts[3].into(),
                first_seen: texts[4].into(),
                ..also_called(finding(id, &names), &aliases)
            };
            (source, finding)
        },
    )
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    (any::<bool>(), any::<Option<bool>>(), 1..6_u8, any::<bool>()).prop_map(
        |(high, scored, qualys_min_severity, known_exploited)| Thresholds {
            severities: if high { vec![Severity::High] } else { vec![Severity::Critical] },
            min_cvss: scored.map(|low| if low { 2.0 } else { 9.0 }),
            qualys_min_severity,
            require: Require { known_exploited, ..Require::default() },
        },
    )
}

/// Reads all rows: in pages of `page` rows on `n_threads` threads.
fn read(rows: &[Row], page: usize, n_threads: usize, thresholds: &Thresholds) -> Merged {
    let recorded = Arc::new(Recorded::default());
    let folds =
        SOURCES.map(|source| Fold::new(source, Arc::clone(&recorded) as Arc<dyn LineageRecorder>));
    std::thread::scope(|scope| {
        for thread in 0..n_threads {
            let folds = &folds;
            scope.spawn(move || {
                for (source, fold) in folds.iter().enumerate() {
                    let of_source = rows.iter().filter(|row| row.0 == source);
                    let findings: Vec<_> = of_source.map(|row| row.1.clone()).collect();
                    let pages = findings.chunks(page).skip(thread).step_by(n_threads);
                    pages.for_each(|page| fold.accept(page).unwrap());
                }
            });
        }
    });
    let datasets = folds.iter().map(|fold| fold.finish(true).unwrap()).collect();
    let merged = merge(datasets, thresholds).unwrap();
    audit(&recorded.lines(), &merged);
    merged
}

fn without_duplicates(mut merged: Merged) -> Merged {
    merged.sources.iter_mut().for_each(|source| source.duplicates = 0);
    merged
}

proptest! {
    #[test]
    fn order_pages_and_threads_do_not_matter(
        (rows, shuffled) in vec(rows(), 0..40)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        pages in [1..9_usize, 1..9_usize],
        thresholds in thresholds(),
    ) {
        let one = read(&rows, pages[0], 1, &thresholds);
        let other = read(&shuffled, pages[1], 3, &thresholds);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn reading_again_changes_nothing_but_the_count(
        rows in vec(rows(), 1..30),
        again in vec(any::<Index>(), 0..30),
        thresholds in thresholds(),
    ) {
        let mut longer = rows.clone();
        longer.extend(again.iter().map(|index| index.get(&rows).clone()));
        let once = read(&rows, 7, 1, &thresholds);
        let twice = read(&longer, 7, 1, &thresholds);
        let duplicates = |merged: &Merged| merged.sources.iter().map(|s| s.duplicates).sum::<u64>();
        prop_assert_eq!(duplicates(&twice), duplicates(&once) + again.len() as u64);
        prop_assert_eq!(without_duplicates(once), without_duplicates(twice));
    }

    #[test]
    fn reading_in_parts_changes_nothing(
        rows in vec(rows(), 0..30),
        at in any::<Index>(),
        thresholds in thresholds(),
    ) {
        let whole = read(&rows, 7, 1, &thresholds);
        let (left, right) = rows.split_at(at.index(rows.len() + 1));
        let parts = [right, left];
        let datasets = parts.iter().flat_map(|part| {
            SOURCES.iter().enumerate().map(|(source, name)| {
                let of_source = part.iter().filter(|row| row.0 == source);
                super::fold(name, &of_source.map(|row| row.1.clone()).collect::<Vec<_>>())
            })
        });
        prop_assert_eq!(merge(datasets.collect(), &thresholds).unwrap(), whole);
    }

    #[test]
    fn every_finding_is_disposed_of_once(
        rows in vec(rows(), 0..40),
        thresholds in thresholds(),
        outcomes in vec(select(vec![
            Disposition::Paged,
            Disposition::Grouped,
            Disposition::AlreadyOpen,
            Disposition::Failed,
            Disposition::BelowThreshold,
        ]), 16),
    ) {
        let merged = read(&rows, 7, 1, &thresholds);
        let outcome = |id: &str| outcomes[id.bytes().map(usize::from).sum::<usize>() % 16];
        let conservation = merged.conservation(outcome);
        prop_assert!(conservation.balanced, "{conservation:?}");
        prop_assert_eq!(conservation.findings_read, merged.findings_read);
        if merged.vulnerabilities.iter().all(|v| outcome(&v.id) == Disposition::BelowThreshold) {
            prop_assert_eq!(conservation.below_threshold, merged.findings_read);
        }
        let paged = merged.vulnerabilities.iter().filter(|v| outcome(&v.id) == Disposition::Paged);
        prop_assert_eq!(conservation.paged > 0, paged.count() > 0);
    }

    #[test]
    fn no_two_cves_become_one(rows in vec(rows(), 0..40)) {
        let everything = Thresholds {
            severities: vec![Severity::None, Severity::High, Severity::Critical],
            qualys_min_severity: 1,
            ..Thresholds::default()
        };
        let merged = read(&rows, 7, 1, &everything);
        prop_assert!(merged.below_threshold.is_empty());
        for decision in &merged.aliases {
            prop_assert!(decision.into.is_none() || !decision.name.starts_with("CVE-"));
        }
        let ids: BTreeSet<_> = merged.vulnerabilities.iter().map(|v| v.id.as_str()).collect();
        prop_assert_eq!(ids.len(), merged.vulnerabilities.len());
        for vulnerability in &merged.vulnerabilities {
            prop_assert!(vulnerability.aliases.iter().all(|alias| !ids.contains(alias.as_str())));
        }
    }
}
