mod compile;
mod conditions;
mod decide;
mod periods;
mod properties;
mod scores;

use std::collections::BTreeMap;

use arx_types::{Access, Operation, OperationSpec, RiskClass, Target};
use serde_json::{Value, json};

use crate::{Beyond, Effect, LimitDef, Period, Policy, PolicyDef, Request, RuleDef};

pub(crate) const fn spec(
    name: &'static str,
    class: RiskClass,
    access: Access,
    targeted: bool,
) -> OperationSpec {
    OperationSpec { name, class, access, targeted, implemented: true, summary: "For tests." }
}

pub(crate) const CREATE: OperationSpec =
    spec("incidents:create", RiskClass::Medium, Access::Write, false);
pub(crate) const READ: OperationSpec = spec("findings:read", RiskClass::Low, Access::Read, false);
pub(crate) const CONTAIN: OperationSpec =
    spec("hosts:contain", RiskClass::Critical, Access::Write, true);

pub(crate) fn rule(name: &str, effect: Effect, connector: &str, operation: &str) -> RuleDef {
    RuleDef {
        name: name.to_owned(),
        effect,
        connector: connector.to_owned(),
        operation: operation.to_owned(),
        when: None,
    }
}

pub(crate) fn when(rule: RuleDef, condition: &str) -> RuleDef {
    RuleDef { when: Some(condition.to_owned()), ..rule }
}

pub(crate) fn limit(operation: &str, max: u32, beyond: Beyond) -> LimitDef {
    LimitDef { operation: operation.to_owned(), max, per: Period::HOUR, beyond }
}

pub(crate) fn bound() -> BTreeMap<String, Vec<String>> {
    [
        ("wiz", vec!["findings:*"]),
        ("pagerduty", vec!["incidents:create", "incidents:read"]),
        ("crowdstrike", vec!["hosts:{read,contain}"]),
    ]
    .into_iter()
    .map(|(name, operations)| {
        (name.to_owned(), operations.into_iter().map(str::to_owned).collect())
    })
    .collect()
}

#[track_caller]
pub(crate) fn compile(def: &PolicyDef) -> Policy {
    Policy::compile(def, &bound()).unwrap()
}

/// One call, with facts that a test changes where it needs to.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub operation: Operation,
    pub spec: Option<OperationSpec>,
    pub params: Value,
    pub target: Target,
    pub run: Value,
    pub writes: u32,
    pub counts: Vec<u32>,
}

impl Call {
    pub(crate) fn new(connector: &str, spec: OperationSpec) -> Self {
        Self {
            operation: Operation::new(connector, spec.name),
            spec: Some(spec),
            params: json!({"severity": "CRITICAL", "assets": ["a", "b"], "cvss": 9.8}),
            target: Target::None,
            run: json!({"id": "run_1", "workflow": "w", "mode": "live"}),
            writes: 0,
            counts: vec![0; 8],
        }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            operation: &self.operation,
            spec: self.spec.as_ref(),
            params: &self.params,
            target: self.target,
            run: &self.run,
            now: "2026-03-02T10:30:00Z".parse().unwrap(),
            writes_last_hour: self.writes,
            limit_counts: &self.counts,
        }
    }
}
