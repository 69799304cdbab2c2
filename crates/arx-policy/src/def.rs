//! The `policy:` section of `arx.yaml`, as data.

use arx_types::RiskClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Period;

/// Who may do what, how often, and when a human is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyDef {
    /// Human in the loop. With `false` no rule escalates: an `escalate` rule then counts as a
    /// `permit` rule. Limits and the threshold still stand.
    pub hitl: bool,
    /// A call whose risk score is above this needs an approval.
    #[schemars(range(min = 0, max = 100))]
    pub risk_threshold: u8,
    /// What is denied, permitted or put to a human. What no rule matches is denied.
    pub rules: Vec<RuleDef>,
    /// How many writes pass in a window of time.
    pub limits: Vec<LimitDef>,
    /// Who decides what is put to a human.
    pub approvals: ApprovalsDef,
}

impl Default for PolicyDef {
    fn default() -> Self {
        Self {
            hitl: true,
            risk_threshold: 70,
            rules: Vec::new(),
            limits: Vec::new(),
            approvals: ApprovalsDef::default(),
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDef {
    /// A name, unique in the policy; decisions are recorded under it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// What a match means.
    pub effect: Effect,
    /// A glob over connector names: `*` is any text, `{a,b}` is a choice.
    pub connector: String,
    /// A glob over operation names such as `findings:read`.
    pub operation: String,
    /// A CEL expression over `operation, params, risk, target, run, now`; the rule matches only
    /// where it is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// What a matching rule means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The call is refused, whatever else matches.
    Deny,
    /// The call may pass.
    Permit,
    /// The call may pass once a human approves it.
    Escalate,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 3] = [Self::Deny, Self::Permit, Self::Escalate];

    /// The word in `arx.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Permit => "permit",
            Self::Escalate => "escalate",
        }
    }
}

/// How many writes pass in a sliding window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitDef {
    /// A glob over `connector.operation`, e.g. `pagerduty.incidents:create`. Only writes count.
    pub operation: String,
    /// How many pass.
    pub max: u32,
    /// The length of the window.
    pub per: Period,
    /// What happens to the next one.
    pub beyond: Beyond,
}

/// What happens beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Beyond {
    /// A human is asked.
    Escalate,
    /// The call is refused.
    Deny,
}

impl Beyond {
    /// Every answer.
    pub const ALL: [Self; 2] = [Self::Escalate, Self::Deny];

    /// The word in `arx.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Escalate => "escalate",
            Self::Deny => "deny",
        }
    }
}

/// Who decides escalated calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalsDef {
    /// People (`alice@example.com`) or roles (`role:approver`). With none, nobody may approve, and
    /// an escalated call waits until it expires.
    pub approvers: Vec<String>,
    /// How long an approval is waited for. What expires is denied.
    pub expires: Period,
    /// How many different people must approve.
    #[schemars(range(min = 1, max = 20))]
    pub quorum: u32,
    /// Who is asked as well once the approvers took too long. With none, nobody is; nor where
    /// there are no approvers.
    pub escalate_to: Vec<String>,
    /// How long the approvers may take before others are asked; they are reminded half way.
    pub escalate_after: EscalateAfter,
}

/// How long the approvers may take, by the highest risk class of what they are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EscalateAfter {
    /// MEDIUM, and LOW.
    pub medium: Period,
    /// HIGH.
    pub high: Period,
    /// CRITICAL.
    pub critical: Period,
}

impl EscalateAfter {
    /// The time for a class.
    #[must_use]
    pub fn of(&self, class: RiskClass) -> Period {
        match class {
            RiskClass::Low | RiskClass::Medium => self.medium,
            RiskClass::High => self.high,
            RiskClass::Critical => self.critical,
        }
    }
}

impl Default for EscalateAfter {
    fn default() -> Self {
        Self {
            medium: Period::from_secs(4 * 3600),
            high: Period::HOUR,
            critical: Period::from_secs(15 * 60),
        }
    }
}

impl Default for ApprovalsDef {
    fn default() -> Self {
        Self {
            approvers: Vec::new(),
            expires: Period::HOUR,
            quorum: 1,
            escalate_to: vec!["role:admin".to_owned()],
            escalate_after: EscalateAfter::default(),
        }
    }
}
