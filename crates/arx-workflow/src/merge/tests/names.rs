//! The canonical form of names.

use crate::merge::name::{Registry, canonical};

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    assert_eq!(canonical(text).as_deref(), expected);
    if let Some(name) = expected {
        assert_eq!(canonical(name).as_deref(), expected, "canonical is canonical");
        assert!(name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'), "{name}");
    }
}

#[test]
fn names_have_one_form() {
    check("CVE-2021-44228", Some("CVE-2021-44228"));
    check("cve-2021-44228 ", Some("CVE-2021-44228"));
    check("\tCve-2021-1234567\n", Some("CVE-2021-1234567"));
    check("ghsa-C9CP-9c75-9V8C", Some("GHSA-c9cp-9c75-9v8c"));
    check("GHSA-c9cp-9c75-9v8c", Some("GHSA-c9cp-9c75-9v8c"));
    check("qid-12345", Some("QID-12345"));
    check("RHSA-2024:1234", Some("RHSA-2024:1234"));
    check("eol  ubuntu 18.04", Some("EOL-UBUNTU-18.04"));
}

#[test]
fn what_only_looks_like_a_name_of_a_registry_is_the_vendors() {
    check("CVE-2021-", Some("CVE-2021-"));
    check("cve-21-44228", Some("CVE-21-44228"));
    check("cve-2021-123", Some("CVE-2021-123"));
    check("CVE-2021-44228-x", Some("CVE-2021-44228-X"));
    check("CVE-2021-12345678901234567890", Some("CVE-2021-12345678901234567890"));
    check("ghsa-c9cp-9c75", Some("GHSA-C9CP-9C75"));
    check("ghsa-c9cp-9c75-9v8c-aaaa", Some("GHSA-C9CP-9C75-9V8C-AAAA"));
    for name in ["CVE-2021-", "CVE-2021-44228-X", "GHSA-C9CP-9C75", "QID-12345"] {
        assert_eq!(Registry::of(name), Registry::Vendor, "{name}");
    }
    assert_eq!(Registry::of("CVE-2021-44228"), Registry::Cve);
    assert_eq!(Registry::of("GHSA-c9cp-9c75-9v8c"), Registry::Ghsa);
}

#[test]
fn nothing_and_placeholders_are_no_names() {
    for text in ["", "  ", "-", "--", "n/a", "N/A ", "None", "null", "unknown", "..."] {
        check(text, None);
    }
}

#[test]
fn what_cannot_stand_in_a_name_is_replaced_and_still_told_apart() {
    let slash = canonical("npm/left-pad").unwrap();
    assert!(slash.starts_with("NPM_LEFT-PAD-"), "{slash}");
    let names = ["npm/left-pad", "npm_left-pad", "npm%left-pad", "漏洞-1", "漏洞-2", "漏洞 1"];
    let mut forms: Vec<_> = names.iter().map(|name| canonical(name).unwrap()).collect();
    forms.iter().for_each(|form| check(form, Some(form)));
    forms.sort();
    forms.dedup();
    assert_eq!(forms.len(), names.len());

    let long = canonical(&"x".repeat(1000)).unwrap();
    let longer = canonical(&"x".repeat(1001)).unwrap();
    assert_eq!(long.len(), 120);
    check(&long, Some(&long));
    assert_ne!(long, longer);
}
