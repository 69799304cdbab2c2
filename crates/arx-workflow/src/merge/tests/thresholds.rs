//! What qualifies, and how thresholds are read.

use std::slice::from_ref;

use arx_types::{Finding, Severity};
use serde_json::{Value, json};

use super::{finding, fold};
use crate::merge::{Require, Thresholds, merge};

const CVE: &str = "CVE-2024-39474";

/// What is said of one vulnerability under `thresholds`: `None` when it qualifies.
#[track_caller]
fn check(thresholds: Value, findings: &[Finding<'_>], expected: Option<&str>) {
    let thresholds = Thresholds::from_params(&thresholds).unwrap();
    let findings: Vec<_> = findings
        .iter()
        .enumerate()
        .map(|(at, given)| Finding { id: at.to_string().into(), ..given.clone() })
        .collect();
    let merged = merge(vec![fold("scanner", &findings)], &thresholds).unwrap();
    let why = merged.below_threshold.first().map(|below| below.why.as_str());
    assert_eq!(why, expected);
    assert_eq!(merged.vulnerabilities.len() + merged.below_threshold.len(), 1);
}

fn words(severity: Severity) -> Finding<'static> {
    Finding { severity, ..finding("", &[CVE]) }
}

fn qualys(qualys_severity: u8) -> Finding<'static> {
    Finding { qualys_severity, ..words(Severity::None) }
}

#[test]
fn severity_is_judged_on_the_scale_of_its_source() {
    let low = Some("severity HIGH is not among CRITICAL");
    check(json!({}), &[words(Severity::Critical)], None);
    check(json!({}), &[words(Severity::High)], low);
    check(json!({"severities": ["high", "Medium"]}), &[words(Severity::High)], None);
    check(json!({}), &[qualys(5)], None);
    check(json!({}), &[qualys(4)], Some("Qualys severity 4 is under 5"));
    check(json!({"qualys_min_severity": 4}), &[qualys(4)], None);
    // A word that Qualys' connector adds does not count as a word.
    let both = Finding { severity: Severity::Critical, ..qualys(3) };
    check(json!({}), &[both], Some("Qualys severity 3 is under 5"));
    // One finding is enough.
    check(json!({}), &[words(Severity::High), qualys(5)], None);
    check(json!({}), &[words(Severity::Low), words(Severity::Critical)], None);
    check(json!({"severities": ["NONE"]}), &[words(Severity::None)], None);
    check(
        json!({"severities": ["NONE", "HIGH"]}),
        &[qualys(1), words(Severity::Low)],
        Some("severity LOW is not among HIGH, NONE and Qualys severity 1 is under 5"),
    );
}

#[test]
fn a_missing_cvss_is_not_a_low_one() {
    let scored = |cvss_tenths| Finding { cvss_tenths, ..words(Severity::Critical) };
    check(json!({"min_cvss": 9.8}), &[scored(Some(98))], None);
    check(json!({"min_cvss": 9.8}), &[scored(Some(97))], Some("CVSS 9.7 is under 9.8"));
    check(json!({"min_cvss": 9.8}), &[scored(None)], None);
    check(json!({"min_cvss": 9.8}), &[scored(Some(10)), scored(Some(99))], None);
    check(json!({"min_cvss": null}), &[scored(Some(0))], None);
}

#[test]
fn any_of_the_required_signs_is_enough_and_unknown_is_none() {
    let plain = words(Severity::Critical);
    let listed = Finding { known_exploited: true, ..plain.clone() };
    let exploit = Finding { public_exploit: true, ..plain.clone() };
    let likely = Finding { epss_millionths: Some(700_000), ..plain.clone() };
    let require = |require: Value| json!({ "require": require });
    check(require(json!({})), from_ref(&plain), None);
    check(require(json!({"known_exploited": false})), from_ref(&plain), None);
    check(require(json!({"known_exploited": true})), from_ref(&listed), None);
    check(
        require(json!({"known_exploited": true})),
        from_ref(&exploit),
        Some("it is not listed as known exploited"),
    );
    check(require(json!({"epss_at_least": 0.7})), from_ref(&likely), None);
    let why = "it is not given an EPSS that high";
    check(require(json!({"epss_at_least": 0.71})), from_ref(&likely), Some(why));
    check(require(json!({"epss_at_least": 0})), from_ref(&plain), Some(why));
    let any = json!({"known_exploited": true, "public_exploit": true, "epss_at_least": 0.5});
    for sign in [listed, exploit, likely] {
        check(require(any.clone()), &[plain.clone(), sign], None);
    }
    check(
        require(any),
        &[plain],
        Some(
            "it is not listed as known exploited or known to have an exploit or given an EPSS that high",
        ),
    );
}

#[test]
fn thresholds_are_read_from_json() {
    assert_eq!(Thresholds::from_params(&Value::Null), Ok(Thresholds::default()));
    assert_eq!(Thresholds::default().severities, [Severity::Critical]);
    let inputs = json!({
        "qualys_enabled": true,
        "severities": ["HIGH", "critical", "high"],
        "min_cvss": 7,
        "qualys_min_severity": 4,
        "require": {"known_exploited": true, "epss_at_least": 0.5},
    });
    let expected = Thresholds {
        severities: vec![Severity::Critical, Severity::High],
        min_cvss: Some(7.0),
        qualys_min_severity: 4,
        require: Require { known_exploited: true, public_exploit: false, epss_at_least: Some(0.5) },
    };
    assert_eq!(Thresholds::from_inputs(&inputs), Ok(expected.clone()));
    let text = serde_json::to_string(&expected).unwrap();
    assert_eq!(serde_json::from_str::<Thresholds>(&text).unwrap(), expected);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    #[track_caller]
    fn check(params: Value, expected: &str) {
        assert_eq!(Thresholds::from_params(&params).unwrap_err().to_string(), expected);
    }
    let list = "a list of CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL or NONE, at least one";
    check(json!({"severity": []}), "unknown threshold `severity`; did you mean `severities`?");
    check(
        json!({"require": {"kev": true}}),
        "unknown threshold `require.kev`; did you mean `epss_at_least`?",
    );
    check(json!([]), "`thresholds` is `[]`, but must be an object of thresholds");
    for given in [json!([]), json!("CRITICAL"), json!(["CRITICAL", "SEVERE"]), json!([5])] {
        let expected = format!("`severities` is `{given}`, but must be {list}");
        check(json!({ "severities": given }), &expected);
    }
    check(json!({"min_cvss": "9"}), "`min_cvss` is `\"9\"`, but must be a CVSS score from 0 to 10");
    check(json!({"min_cvss": 11}), "`min_cvss` is `11`, but must be a CVSS score from 0 to 10");
    for given in [json!(0), json!(6), json!(4.5), json!(true)] {
        let expected =
            format!("`qualys_min_severity` is `{given}`, but must be a whole number from 1 to 5");
        check(json!({ "qualys_min_severity": given }), &expected);
    }
    check(
        json!({"require": {"public_exploit": "yes"}}),
        "`require.public_exploit` is `\"yes\"`, but must be true or false",
    );
    check(
        json!({"require": {"epss_at_least": 70}}),
        "`require.epss_at_least` is `70`, but must be a probability, 0 to 1",
    );
    check(json!({"require": true}), "`require` is `true`, but must be an object of requirements");
}
