//! The risk score: four addends, then clamped into the band of the operation's class.

use arx_types::{Access, Operation, OperationSpec, RiskClass, RiskFactor, RiskScore, Target};

/// Writes of the last hour beyond which one more adds nothing to the score.
pub const WRITES_COUNTED_MAX: u32 = 100;

/// The score of one call. `writes_last_hour` counts the workflow's writes before this one.
///
/// It never falls when `writes_last_hour` or the target's weight rises, and always lies in the
/// band of the class.
#[must_use]
pub fn score(
    operation: &Operation,
    spec: &OperationSpec,
    target: Target,
    writes_last_hour: u32,
) -> RiskScore {
    let factor = |name: &str, points, on: &str| RiskFactor {
        name: name.to_owned(),
        points,
        on: on.to_owned(),
    };
    let (frequency, frequency_on) = match spec.access {
        Access::Read => (0, "a read".to_owned()),
        Access::Write => (
            frequency_points(writes_last_hour),
            match writes_last_hour {
                WRITES_COUNTED_MAX.. => {
                    format!("{WRITES_COUNTED_MAX} or more writes in the last hour")
                }
                few => format!("{few} writes in the last hour"),
            },
        ),
    };
    let (target, target_on) = if spec.targeted {
        target_points(target)
    } else {
        (0, "the operation has no target environment")
    };
    let factors = vec![
        factor("operation", verb_points(operation.verb()), operation.verb()),
        factor("connector", connector_points(&operation.connector), &operation.connector),
        RiskFactor { name: "frequency".to_owned(), points: frequency, on: frequency_on },
        factor("target", target, target_on),
    ];
    let sum: u32 = factors.iter().map(|factor| u32::from(factor.points)).sum();
    let raw = u8::try_from(sum.min(100)).unwrap_or(100);
    let (low, high) = band(spec.class);
    RiskScore { class: spec.class, raw, score: raw.clamp(low, high), factors }
}

fn verb_points(verb: &str) -> u8 {
    match verb {
        "read" | "list" | "get" => 10,
        "search" => 15,
        "create" => 25,
        "write" | "update" => 30,
        "execute" => 40,
        "isolate" | "contain" => 45,
        "delete" | "remove" | "quarantine" => 50,
        _ => 45,
    }
}

fn connector_points(connector: &str) -> u8 {
    match connector {
        "okta" | "palo_alto" => 35,
        "crowdstrike" => 30,
        "sentinel" => 25,
        "wiz" => 20,
        "splunk" | "servicenow" => 15,
        "jira" | "pagerduty" => 10,
        "slack" => 5,
        _ => 15,
    }
}

fn frequency_points(writes_last_hour: u32) -> u8 {
    match writes_last_hour {
        0..10 => 0,
        10..25 => 3,
        25..50 => 6,
        50..WRITES_COUNTED_MAX => 10,
        WRITES_COUNTED_MAX.. => 15,
    }
}

fn target_points(target: Target) -> (u8, &'static str) {
    match target {
        Target::None => (0, "no target"),
        Target::Dev => (0, "dev"),
        Target::Staging => (5, "staging"),
        Target::Unknown => (10, "unknown"),
        Target::Production => (20, "production"),
    }
}

fn band(class: RiskClass) -> (u8, u8) {
    match class {
        RiskClass::Low => (0, 49),
        RiskClass::Medium => (25, 79),
        RiskClass::High => (60, 100),
        RiskClass::Critical => (85, 100),
    }
}
