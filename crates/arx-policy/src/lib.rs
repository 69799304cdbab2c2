//! Rules, limits, risk score and threshold to a verdict with reasons.
//!
//! A [`PolicyDef`] is the `policy:` section of `arx.yaml`; [`Policy::compile`] checks all of it
//! once, and [`Policy::decide`] answers one call. Deciding is a pure function of its [`Request`]:
//! this crate never does I/O, never reads a clock, and never counts anything itself. It never
//! turns doubt into a permit: what is unknown, unmatched or in error denies.
//!
//! Start at [`Policy::decide`]; the order of its steps is normative (`docs/spec/arx-yaml.md`).

mod condition;
mod def;
mod glob;
mod period;
mod policy;
mod score;

#[cfg(test)]
mod tests;

pub use condition::ConditionError;
pub use def::{ApprovalsDef, Beyond, Effect, EscalateAfter, LimitDef, PolicyDef, RuleDef};
pub use glob::{Glob, GlobError, literals};
pub use period::{PERIOD_DAYS_MAX, Period, PeriodError};
pub use policy::{
    LIMITS_MAX, Limit, Policy, PolicyError, PolicyErrorKind, RISK_THRESHOLD_MAX, RULES_MAX, Request,
};
pub use score::{WRITES_COUNTED_MAX, score};
