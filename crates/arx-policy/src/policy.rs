//! The policy, compiled, and the decision.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arx_types::{Access, Decision, Digest, Operation, OperationSpec, RiskScore, Target, Verdict};
use globset::{GlobSet, GlobSetBuilder};
use jiff::Timestamp;
use serde_json::Value;

use crate::condition::{Condition, ConditionError, Facts};
use crate::def::{Beyond, Effect, PolicyDef};
use crate::glob::{Glob, GlobError, build};
use crate::{Period, score};

/// The most rules of a policy.
pub const RULES_MAX: usize = 500;
/// The most limits of a policy.
pub const LIMITS_MAX: usize = 100;
/// The highest threshold: a score never exceeds it, so it escalates nothing.
pub const RISK_THRESHOLD_MAX: u8 = 100;
/// The longest name of a rule, in bytes.
const RULE_NAME_BYTES_MAX: usize = 100;
/// The most people that one approval can ask for.
const QUORUM_MAX: u32 = 20;
/// Changes when the same text would decide otherwise, so that the digest does too.
const SEMANTICS_VERSION: u32 = 1;

/// What [`Policy::decide`] is asked.
///
/// Every fact comes from the caller, who reads clocks and counts; the same request always gets
/// the same answer.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is to be called.
    pub operation: &'a Operation,
    /// Its catalogue entry; `None` for an operation that no catalogue has.
    pub spec: Option<&'a OperationSpec>,
    /// The parameters of the call, `params` in conditions.
    pub params: &'a Value,
    /// The environment that the call acts on.
    pub target: Target,
    /// Facts about the run (`id`, `workflow`, `mode`, …), `run` in conditions.
    pub run: &'a Value,
    /// The time of the call, `now` in conditions.
    pub now: Timestamp,
    /// Writes by this workflow in the last hour, without this one.
    pub writes_last_hour: u32,
    /// For each of [`Policy::limits`], how many permitted writes its window holds, without this
    /// one. A count that is missing is taken for an exceeded limit.
    pub limit_counts: &'a [u32],
}

/// A checked policy, ready to decide.
pub struct Policy {
    def: PolicyDef,
    version: Digest,
    bound: BTreeMap<String, GlobSet>,
    /// One glob per rule, in the order of the rules.
    connectors: GlobSet,
    /// One glob per rule, in the order of the rules.
    operations: GlobSet,
    rules: Vec<Rule>,
    limits: Vec<Limit>,
    cel: Arc<cel::Env>,
}

struct Rule {
    name: String,
    effect: Effect,
    when: Option<Condition>,
}

/// A limit on writes in a sliding window.
#[derive(Clone, Debug)]
pub struct Limit {
    glob: Glob,
    operation: String,
    max: u32,
    per: Period,
    beyond: Beyond,
}

impl Limit {
    /// Whether writes of this operation count against the limit.
    #[must_use]
    pub fn matches(&self, operation: &Operation) -> bool {
        self.glob.is_match(&operation.to_string())
    }

    /// The glob as it is written, which is the limit's name.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// How many writes pass in one window.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    /// The length of the window.
    #[must_use]
    pub fn window(&self) -> Period {
        self.per
    }

    /// What happens to the next one.
    #[must_use]
    pub fn beyond(&self) -> Beyond {
        self.beyond
    }
}

/// One thing wrong with a policy.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{path}: {kind}")]
pub struct PolicyError {
    /// Where: `rules[2].operation`, relative to `policy`, or `connectors.wiz.operations[0]`,
    /// relative to the whole file.
    pub path: String,
    /// What.
    pub kind: PolicyErrorKind,
}

/// What can be wrong with a policy.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PolicyErrorKind {
    /// A text is not a glob.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A text is not a condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// Two rules have one name.
    #[error("there is another rule named `{name}`")]
    DuplicateRule {
        /// The name.
        name: String,
    },
    /// A name is empty, too long or not printable.
    #[error("a rule needs a printable name of at most {RULE_NAME_BYTES_MAX} bytes")]
    RuleName,
    /// A number is out of its range.
    #[error("`{value}` is out of range: {low} to {high}")]
    OutOfRange {
        /// What was given.
        value: u64,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
    },
    /// A length of time is zero where that means nothing.
    #[error("a duration of zero")]
    ZeroPeriod,
    /// A list is too long.
    #[error("more than {limit} entries")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl Policy {
    /// Checks and compiles a policy together with the operations bound in `arx.yaml`
    /// (connector → names or globs).
    ///
    /// # Errors
    /// Everything that is wrong, not the first thing alone.
    pub fn compile(
        def: &PolicyDef,
        bound: &BTreeMap<String, Vec<String>>,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Errors::default();
        errors.check_numbers(def);

        let mut bound_sets = BTreeMap::new();
        for (connector, operations) in bound {
            let mut set = GlobSetBuilder::new();
            for (i, operation) in operations.iter().enumerate() {
                let path = format_args!("connectors.{connector}.operations[{i}]");
                if let Some(glob) = errors.take(path, build(operation)) {
                    set.add(glob);
                }
            }
            let path = format_args!("connectors.{connector}.operations");
            bound_sets.extend(errors.build_set(path, &set).map(|set| (connector.clone(), set)));
        }

        let mut names = BTreeSet::new();
        let mut connectors = GlobSetBuilder::new();
        let mut operations = GlobSetBuilder::new();
        let mut rules = Vec::new();
        for (i, rule) in def.rules.iter().enumerate().take(RULES_MAX) {
            let printable = rule.name.chars().all(|c| !c.is_control());
            if rule.name.trim().is_empty() || rule.name.len() > RULE_NAME_BYTES_MAX || !printable {
                errors.add(format_args!("rules[{i}].name"), PolicyErrorKind::RuleName);
            } else if !names.insert(rule.name.as_str()) {
                let name = rule.name.clone();
                errors
                    .add(format_args!("rules[{i}].name"), PolicyErrorKind::DuplicateRule { name });
            }
            let connector =
                errors.take(format_args!("rules[{i}].connector"), build(&rule.connector));
            let operation =
                errors.take(format_args!("rules[{i}].operation"), build(&rule.operation));
            if let (Some(connector), Some(operation)) = (connector, operation) {
                connectors.add(connector);
                operations.add(operation);
            }
            let when = rule.when.as_deref().and_then(|source| {
                errors.take(format_args!("rules[{i}].when"), Condition::compile(source))
            });
            rules.push(Rule { name: rule.name.clone(), effect: rule.effect, when });
        }
        let connectors = errors.build_set(format_args!("rules"), &connectors);
        let operations = errors.build_set(format_args!("rules"), &operations);

        let mut limits = Vec::new();
        for (i, limit) in def.limits.iter().enumerate().take(LIMITS_MAX) {
            let glob =
                errors.take(format_args!("limits[{i}].operation"), Glob::new(&limit.operation));
            limits.extend(glob.map(|glob| Limit {
                glob,
                operation: limit.operation.clone(),
                max: limit.max,
                per: limit.per,
                beyond: limit.beyond,
            }));
        }

        match (connectors, operations) {
            (Some(connectors), Some(operations)) if errors.list.is_empty() => Ok(Self {
                version: version(def, bound),
                def: def.clone(),
                bound: bound_sets,
                connectors,
                operations,
                rules,
                limits,
                cel: Arc::new(cel::Env::stdlib()),
            }),
            _ => Err(errors.list),
        }
    }

    /// The policy as it was written.
    #[must_use]
    pub fn def(&self) -> &PolicyDef {
        &self.def
    }

    /// The limits, in the order in which [`Request::limit_counts`] counts them.
    #[must_use]
    pub fn limits(&self) -> &[Limit] {
        &self.limits
    }

    /// The identity of the policy: a digest of everything that [`Policy::compile`] was given.
    #[must_use]
    pub fn version(&self) -> Digest {
        self.version
    }

    /// Whether `arx.yaml` binds this operation.
    #[must_use]
    pub fn is_bound(&self, operation: &Operation) -> bool {
        self.bound.get(&operation.connector).is_some_and(|set| set.is_match(&operation.name))
    }

    /// Decides one call.
    ///
    /// Every step is taken even when an earlier one already denies, so that the reasons are
    /// complete; the most restrictive verdict wins, and the first step that gave it is named.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let operation = request.operation;
        let mut tally = Tally::default();

        // 1. Known and bound.
        let Some(spec) = request.spec else {
            tally.add(Verdict::Deny, None, format!("no catalogue has an operation `{operation}`"));
            return tally.into_decision(None);
        };
        let risk = score(operation, spec, request.target, request.writes_last_hour);
        if !self.is_bound(operation) {
            tally.add(Verdict::Deny, None, format!("`{operation}` is not bound in arx.yaml"));
        }

        let matches = self.matching_rules(request, &risk, &mut tally.reasons);

        // 2. Deny rules.
        for rule in &matches.deny {
            let reason = format!("rule `{}` denies `{operation}`", rule.name);
            tally.add(Verdict::Deny, Some(&rule.name), reason);
        }
        if !spec.implemented {
            let reason =
                format!("`{operation}` is only named in the catalogue and cannot be called");
            tally.add(Verdict::Deny, None, reason);
        }

        // 3. Something must permit or escalate.
        if matches.permit.is_empty() && matches.escalate.is_empty() {
            let reason = format!("no permit or escalate rule matches `{operation}`");
            tally.add(Verdict::Deny, None, reason);
        }
        for (rule, reason) in &matches.permit {
            tally.add(Verdict::Permit, Some(&rule.name), reason.clone());
        }

        // 4. Escalate rules.
        for rule in &matches.escalate {
            let reason = format!("rule `{}` escalates `{operation}`", rule.name);
            tally.add(Verdict::Escalate, Some(&rule.name), reason);
        }

        // 5. Limits.
        if spec.access == Access::Write {
            self.check_limits(request, &mut tally);
        }

        // 6. Threshold.
        let threshold = self.def.risk_threshold;
        if risk.score > threshold {
            let reason = format!("risk score {} is above the threshold of {threshold}", risk.score);
            tally.add(Verdict::Escalate, Some("risk_threshold"), reason);
        } else {
            tally.reasons.push(format!(
                "risk score {} is not above the threshold of {threshold}",
                risk.score
            ));
        }

        // 7. What nothing held back is permitted.
        tally.into_decision(Some(risk))
    }

    /// The rules that match, by what they mean; what conditions said goes to `reasons`.
    fn matching_rules<'p>(
        &'p self,
        request: &Request<'_>,
        risk: &RiskScore,
        reasons: &mut Vec<String>,
    ) -> Matches<'p> {
        let operation = request.operation;
        let by_connector = self.connectors.matches(&operation.connector);
        let by_operation = self.operations.matches(&operation.name);
        let mut facts = Facts::new(&self.cel, request, risk);
        let mut matches = Matches::default();
        for place in by_connector {
            if by_operation.binary_search(&place).is_err() {
                continue;
            }
            let Some(rule) = self.rules.get(place) else { continue };
            // With `hitl: false` an escalate rule *is* a permit rule, in error handling too:
            // otherwise a condition that fails would open what it was meant to narrow.
            let effect = match rule.effect {
                Effect::Escalate if !self.def.hitl => Effect::Permit,
                effect => effect,
            };
            match rule.when.as_ref().map(|when| when.holds(&mut facts)) {
                None | Some(Ok(true)) => {}
                Some(Ok(false)) => {
                    reasons.push(format!("the condition of rule `{}` is false", rule.name));
                    continue;
                }
                Some(Err(error)) => {
                    let (counts, as_match) = match effect {
                        Effect::Deny | Effect::Escalate => ("a match", true),
                        Effect::Permit => ("no match", false),
                    };
                    reasons.push(format!(
                        "the condition of rule `{}` cannot be evaluated ({error}), which counts as {counts}",
                        rule.name
                    ));
                    if !as_match {
                        continue;
                    }
                }
            }
            match effect {
                Effect::Deny => matches.deny.push(rule),
                Effect::Escalate => matches.escalate.push(rule),
                Effect::Permit if rule.effect == Effect::Escalate => matches.permit.push((
                    rule,
                    format!(
                        "rule `{}` would escalate, but `hitl: false` makes it a permit",
                        rule.name
                    ),
                )),
                Effect::Permit => {
                    let reason = format!("rule `{}` permits `{operation}`", rule.name);
                    matches.permit.push((rule, reason));
                }
            }
        }
        matches
    }

    fn check_limits(&self, request: &Request<'_>, tally: &mut Tally) {
        let name = request.operation.to_string();
        for (i, limit) in self.limits.iter().enumerate() {
            if !limit.glob.is_match(&name) {
                continue;
            }
            let Limit { operation, max, per, .. } = limit;
            let reason = match request.limit_counts.get(i) {
                Some(count) if count < max => {
                    tally
                        .reasons
                        .push(format!("{count} of {max} per {per} passed on `{operation}`"));
                    continue;
                }
                Some(_) => format!("the limit of {max} per {per} on `{operation}` is reached"),
                None => format!("what passed under the limit on `{operation}` is not known"),
            };
            let verdict = match limit.beyond {
                Beyond::Escalate => Verdict::Escalate,
                Beyond::Deny => Verdict::Deny,
            };
            tally.add(verdict, Some(&format!("limit {operation}")), reason);
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("version", &self.version).field("def", &self.def).finish()
    }
}

#[derive(Default)]
struct Matches<'p> {
    deny: Vec<&'p Rule>,
    permit: Vec<(&'p Rule, String)>,
    escalate: Vec<&'p Rule>,
}

/// The most restrictive verdict so far, and all reasons.
struct Tally {
    verdict: Verdict,
    rule: Option<String>,
    reasons: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { verdict: Verdict::Permit, rule: None, reasons: Vec::with_capacity(4) }
    }
}

impl Tally {
    // INVARIANT (most restrictive wins): the verdict only ever rises, and `Verdict` is ordered
    // PERMIT < ESCALATE < DENY.
    fn add(&mut self, verdict: Verdict, rule: Option<&str>, reason: String) {
        self.reasons.push(reason);
        if verdict > self.verdict {
            self.verdict = verdict;
            self.rule = rule.map(str::to_owned);
        } else if verdict == Verdict::Permit
            && self.verdict == Verdict::Permit
            && self.rule.is_none()
        {
            self.rule = rule.map(str::to_owned);
        }
    }

    fn into_decision(self, risk: Option<RiskScore>) -> Decision {
        Decision { verdict: self.verdict, rule: self.rule, reasons: self.reasons, risk }
    }
}

#[derive(Default)]
struct Errors {
    list: Vec<PolicyError>,
}

impl Errors {
    fn add(&mut self, path: fmt::Arguments<'_>, kind: PolicyErrorKind) {
        self.list.push(PolicyError { path: path.to_string(), kind });
    }

    fn take<T, E>(&mut self, path: fmt::Arguments<'_>, result: Result<T, E>) -> Option<T>
    where
        PolicyErrorKind: From<E>,
    {
        result.map_err(|error| self.add(path, error.into())).ok()
    }

    fn build_set(&mut self, path: fmt::Arguments<'_>, set: &GlobSetBuilder) -> Option<GlobSet> {
        let refused = |error: globset::Error| GlobError::Refused {
            glob: error.glob().unwrap_or_default().to_owned(),
            reason: error.kind().to_string(),
        };
        self.take(path, set.build().map_err(refused))
    }

    fn check_numbers(&mut self, def: &PolicyDef) {
        let mut range = |path, value: u64, low, high| {
            if !(low..=high).contains(&value) {
                self.add(path, PolicyErrorKind::OutOfRange { value, low, high });
            }
        };
        let threshold = u64::from(def.risk_threshold);
        range(format_args!("risk_threshold"), threshold, 0, RISK_THRESHOLD_MAX.into());
        range(format_args!("approvals.quorum"), def.approvals.quorum.into(), 1, QUORUM_MAX.into());
        if def.approvals.expires.is_zero() {
            self.add(format_args!("approvals.expires"), PolicyErrorKind::ZeroPeriod);
        }
        let after = &def.approvals.escalate_after;
        let after = [("medium", after.medium), ("high", after.high), ("critical", after.critical)];
        for (class, _) in after.into_iter().filter(|(_, after)| after.is_zero()) {
            let path = format_args!("approvals.escalate_after.{class}");
            self.add(path, PolicyErrorKind::ZeroPeriod);
        }
        for (i, limit) in def.limits.iter().enumerate() {
            if limit.per.is_zero() {
                self.add(format_args!("limits[{i}].per"), PolicyErrorKind::ZeroPeriod);
            }
        }
        if def.rules.len() > RULES_MAX {
            self.add(format_args!("rules"), PolicyErrorKind::TooMany { limit: RULES_MAX });
        }
        if def.limits.len() > LIMITS_MAX {
            self.add(format_args!("limits"), PolicyErrorKind::TooMany { limit: LIMITS_MAX });
        }
    }
}

fn version(def: &PolicyDef, bound: &BTreeMap<String, Vec<String>>) -> Digest {
    let identity = (SEMANTICS_VERSION, def, bound);
    // Serialising cannot fail: these types hold strings, integers and booleans under string keys.
    // Should that ever change, the debug form still tells two policies apart.
    Digest::of_json(&identity)
        .unwrap_or_else(|_| Digest::of_bytes(format!("{identity:?}").as_bytes()))
}
