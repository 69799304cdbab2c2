use arx_types::{Access, Operation, OperationSpec, RiskClass, Target};
use insta::assert_snapshot;

use super::{CONTAIN, CREATE, READ, spec};
use crate::score;

#[track_caller]
fn check(
    connector: &str,
    spec: OperationSpec,
    target: Target,
    writes: u32,
    (raw, clamped): (u8, u8),
) {
    let risk = score(&Operation::new(connector, spec.name), &spec, target, writes);
    assert_eq!((risk.raw, risk.score), (raw, clamped), "{risk:?}");
    assert_eq!(risk.factors.len(), 4, "every factor is recorded");
}

#[test]
fn scores_follow_the_tables() {
    let class = RiskClass::High;
    let write = |name| spec(name, class, Access::Write, false);
    // By verb, on a connector of 15 points; HIGH lifts to at least 60.
    for (name, points) in [
        ("x:read", 10),
        ("x:list", 10),
        ("x:get", 10),
        ("x:search", 15),
        ("x:create", 25),
        ("x:write", 30),
        ("x:update", 30),
        ("x:execute", 40),
        ("x:isolate", 45),
        ("x:contain", 45),
        ("x:delete", 50),
        ("x:remove", 50),
        ("x:quarantine", 50),
        ("x:frobnicate", 45),
        ("x:read:delete", 50),
        ("x:delete:read", 10),
    ] {
        check("other", write(name), Target::None, 0, (points + 15, (points + 15).max(60)));
    }
    for (connector, points) in [
        ("okta", 35),
        ("palo_alto", 35),
        ("crowdstrike", 30),
        ("sentinel", 25),
        ("wiz", 20),
        ("splunk", 15),
        ("servicenow", 15),
        ("jira", 10),
        ("pagerduty", 10),
        ("slack", 5),
        ("other", 15),
        ("Okta", 15),
    ] {
        check(connector, write("x:delete"), Target::None, 0, (50 + points, (50 + points).max(60)));
    }
    for (writes, points) in [
        (0, 0),
        (9, 0),
        (10, 3),
        (24, 3),
        (25, 6),
        (49, 6),
        (50, 10),
        (99, 10),
        (100, 15),
        (u32::MAX, 15),
    ] {
        check("pagerduty", CREATE, Target::None, writes, (35 + points, 35 + points));
        check("wiz", READ, Target::None, writes, (30, 30));
    }
}

#[test]
fn targets_count_only_where_the_operation_has_one() {
    let targeted = OperationSpec { targeted: true, ..CREATE };
    for (target, points) in [
        (Target::None, 0),
        (Target::Dev, 0),
        (Target::Staging, 5),
        (Target::Unknown, 10),
        (Target::Production, 20),
    ] {
        check("pagerduty", targeted, target, 0, (35 + points, 35 + points));
        check("pagerduty", CREATE, target, 0, (35, 35));
    }
}

#[test]
fn classes_clamp_both_ways() {
    let classed = |class| OperationSpec { class, ..CONTAIN };
    // 45 + 35 + 15 + 20 is above 100 before anything is clamped.
    check("okta", classed(RiskClass::Low), Target::Production, 100, (100, 49));
    check("okta", classed(RiskClass::Medium), Target::Production, 100, (100, 79));
    check("okta", classed(RiskClass::High), Target::Production, 100, (100, 100));
    check("okta", classed(RiskClass::Critical), Target::Production, 100, (100, 100));
    let read = |class| OperationSpec { class, ..READ };
    check("slack", read(RiskClass::Low), Target::None, 0, (15, 15));
    check("slack", read(RiskClass::Medium), Target::None, 0, (15, 25));
    check("slack", read(RiskClass::High), Target::None, 0, (15, 60));
    check("slack", read(RiskClass::Critical), Target::None, 0, (15, 85));
}

#[test]
fn factors_say_what_they_measured() {
    let risk = score(&Operation::new("crowdstrike", CONTAIN.name), &CONTAIN, Target::Unknown, 12);
    let factors: Vec<_> = risk
        .factors
        .iter()
        .map(|factor| format!("{} {} ({})", factor.name, factor.points, factor.on))
        .collect();
    assert_snapshot!(factors.join("\n"), @r#"
    operation 45 (contain)
    connector 30 (crowdstrike)
    frequency 3 (12 writes in the last hour)
    target 10 (unknown)
    "#);
}
