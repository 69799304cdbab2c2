//! References in leaves.

use std::collections::BTreeSet;

use super::{LINEAGE_NAMED_MAX, named};

fn references(n: usize) -> BTreeSet<String> {
    let vulnerabilities =
        (1..n).map(|n| format!("vulnerability:CVE-2026-{n:05}:{}", "0".repeat(64)));
    vulnerabilities.chain(["merge:00".to_owned()]).collect()
}

#[test]
fn a_leaf_names_few_references_and_commits_to_many() {
    let few = references(LINEAGE_NAMED_MAX);
    assert_eq!(named(few.clone()), few.into_iter().collect::<Vec<_>>());
    let many = named(references(5_000));
    assert_eq!(many.len(), 2, "{many:?}");
    assert_eq!(many[0], "merge:00");
    assert!(many[1].starts_with("vulnerabilities:4999:"), "{many:?}");
    assert_ne!(many, named(references(5_001)));
}
