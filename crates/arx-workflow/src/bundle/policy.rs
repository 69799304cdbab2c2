//! The `policy:` section: its form, and whether it speaks of operations that exist.
//!
//! What a policy *means* is checked by [`arx_policy::Policy::compile`]; this module gives its
//! findings a line and a column.

use std::collections::BTreeMap;

use arx_policy::{
    ApprovalsDef, Beyond, ConditionError, Effect, EscalateAfter, Glob, LimitDef, Policy, PolicyDef,
    PolicyError, PolicyErrorKind, RuleDef, literals,
};
use arx_types::{Access, OperationSpec};

use super::decode::Decoder;
use super::diagnostic::{Code, nearest, quote, suggest};
use super::manifest::ConnectorBinding;
use super::yaml::{Mark, Node};

pub(super) const POLICY_KEYS: [&str; 5] =
    ["hitl", "risk_threshold", "rules", "limits", "approvals"];
pub(super) const RULE_KEYS: [&str; 5] = ["name", "effect", "connector", "operation", "when"];
pub(super) const LIMIT_KEYS: [&str; 4] = ["operation", "max", "per", "beyond"];
pub(super) const APPROVALS_KEYS: [&str; 5] =
    ["approvers", "expires", "quorum", "escalate_to", "escalate_after"];
pub(super) const ESCALATE_AFTER_KEYS: [&str; 3] = ["medium", "high", "critical"];
pub(super) const GLOB_HINT: &str = "a glob is made of names, `*` and `{a,b}`";

/// The most approvers.
const APPROVERS_MAX: usize = 100;
/// The longest approver.
const APPROVER_BYTES_MAX: usize = 200;

/// A policy with the place of each of its rules and limits: one that does not decode is left out,
/// and the numbers of the rest no longer say where they stand.
struct Placed<'n> {
    node: &'n Node,
    def: PolicyDef,
    rules: Vec<&'n Node>,
    limits: Vec<&'n Node>,
}

pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    node: &Node,
    connectors: &BTreeMap<String, ConnectorBinding>,
) -> Option<PolicyDef> {
    let fields = decoder.map(node, "`policy`", &POLICY_KEYS)?;
    let mut placed =
        Placed { node, def: PolicyDef::default(), rules: Vec::new(), limits: Vec::new() };
    if let Some(hitl) = fields.optional("hitl").and_then(|node| decoder.boolean(node)) {
        placed.def.hitl = hitl;
    }
    if let Some(node) = fields.optional("risk_threshold") {
        let high = i64::from(arx_policy::RISK_THRESHOLD_MAX);
        let threshold = decoder.integer(node, 0, high).and_then(|value| u8::try_from(value).ok());
        placed.def.risk_threshold = threshold.unwrap_or(placed.def.risk_threshold);
    }
    let rules = fields.optional("rules").and_then(|node| decoder.items(node, "rules"));
    for node in rules.unwrap_or_default().iter().take(arx_policy::RULES_MAX + 1) {
        if let Some(rule) = rule(decoder, node) {
            placed.def.rules.push(rule);
            placed.rules.push(node);
        }
    }
    let limits = fields.optional("limits").and_then(|node| decoder.items(node, "limits"));
    for node in limits.unwrap_or_default().iter().take(arx_policy::LIMITS_MAX + 1) {
        if let Some(limit) = limit(decoder, node) {
            placed.def.limits.push(limit);
            placed.limits.push(node);
        }
    }
    if let Some(node) = fields.optional("approvals") {
        placed.def.approvals = approvals(decoder, node);
    }

    let bound = connectors.iter().map(|(name, binding)| (name.clone(), binding.operations.clone()));
    if let Err(errors) = Policy::compile(&placed.def, &bound.collect()) {
        for error in errors {
            report(decoder, &placed, &error);
        }
    }
    for (rule, node) in placed.def.rules.iter().zip(&placed.rules) {
        check_rule(decoder, rule, node);
    }
    for (limit, node) in placed.def.limits.iter().zip(&placed.limits) {
        check_limit(decoder, limit, node);
    }
    Some(placed.def)
}

fn rule(decoder: &mut Decoder<'_>, node: &Node) -> Option<RuleDef> {
    let what = "a rule";
    let fields = decoder.map(node, what, &RULE_KEYS)?;
    let name = decoder.required(&fields, what, "name").and_then(|node| decoder.text(node));
    let effects = Effect::ALL.map(|effect| (effect.as_str(), effect));
    let effect =
        decoder.required(&fields, what, "effect").and_then(|node| decoder.word(node, &effects));
    let connector =
        decoder.required(&fields, what, "connector").and_then(|node| decoder.text(node));
    let operation =
        decoder.required(&fields, what, "operation").and_then(|node| decoder.text(node));
    let when = match fields.optional("when") {
        Some(node) => Some(decoder.text(node)?),
        None => None,
    };
    Some(RuleDef {
        name: name?,
        effect: effect?,
        connector: connector?,
        operation: operation?,
        when,
    })
}

fn limit(decoder: &mut Decoder<'_>, node: &Node) -> Option<LimitDef> {
    let what = "a limit";
    let fields = decoder.map(node, what, &LIMIT_KEYS)?;
    let operation =
        decoder.required(&fields, what, "operation").and_then(|node| decoder.text(node));
    let max = decoder.required(&fields, what, "max");
    let max = max.and_then(|node| decoder.integer(node, 0, u32::MAX.into()));
    let per = decoder.required(&fields, what, "per").and_then(|node| decoder.period(node));
    let words = Beyond::ALL.map(|beyond| (beyond.as_str(), beyond));
    let beyond =
        decoder.required(&fields, what, "beyond").and_then(|node| decoder.word(node, &words));
    Some(LimitDef {
        operation: operation?,
        max: u32::try_from(max?).ok()?,
        per: per?,
        beyond: beyond?,
    })
}

fn approvals(decoder: &mut Decoder<'_>, node: &Node) -> ApprovalsDef {
    let mut approvals = ApprovalsDef::default();
    let Some(fields) = decoder.map(node, "`approvals`", &APPROVALS_KEYS) else { return approvals };
    if let Some(list) = fields.optional("approvers") {
        approvals.approvers = people(decoder, node, list, "approvers");
    }
    if let Some(list) = fields.optional("escalate_to") {
        approvals.escalate_to = people(decoder, node, list, "escalate_to");
    }
    if let Some(node) = fields.optional("escalate_after") {
        escalate_after(decoder, node, &mut approvals.escalate_after);
    }
    if let Some(expires) = fields.optional("expires").and_then(|node| decoder.period(node)) {
        approvals.expires = expires;
    }
    let quorum = fields.optional("quorum");
    let quorum = quorum.and_then(|node| decoder.integer(node, 0, u32::MAX.into()));
    if let Some(quorum) = quorum.and_then(|quorum| u32::try_from(quorum).ok()) {
        approvals.quorum = quorum;
    }
    approvals
}

/// People and roles who may be asked.
fn people(decoder: &mut Decoder<'_>, of: &Node, list: &Node, what: &str) -> Vec<String> {
    let listed = decoder.items(list, what).unwrap_or_default();
    if listed.len() > APPROVERS_MAX {
        let message = format!("more than {APPROVERS_MAX} entries");
        decoder.report(of.at, Code::TooMany, message, None);
    }
    let mut people = Vec::new();
    for node in listed.iter().take(APPROVERS_MAX) {
        let Some(person) = decoder.text(node) else { continue };
        let printable = !person.chars().any(|c| c.is_control() || c.is_whitespace());
        if person.is_empty() || person.len() > APPROVER_BYTES_MAX || !printable {
            let message = format!("{} is neither a person nor a role", quote(&person));
            let hint = "write `alice@example.com` or `role:approver`".to_owned();
            decoder.report(node.at, Code::BadName, message, Some(hint));
        } else {
            people.push(person);
        }
    }
    people
}

fn escalate_after(decoder: &mut Decoder<'_>, node: &Node, after: &mut EscalateAfter) {
    let Some(fields) = decoder.map(node, "`escalate_after`", &ESCALATE_AFTER_KEYS) else { return };
    let classes = [&mut after.medium, &mut after.high, &mut after.critical];
    for (key, period) in ESCALATE_AFTER_KEYS.into_iter().zip(classes) {
        if let Some(given) = fields.optional(key).and_then(|node| decoder.period(node)) {
            *period = given;
        }
    }
}

/// A rule that spells out a name must spell one that exists; a pattern may match nothing, for
/// a rule may well deny what no connector offers yet.
fn check_rule(decoder: &mut Decoder<'_>, rule: &RuleDef, node: &Node) {
    let Ok(connectors) = Glob::new(&rule.connector) else { return };
    for name in literals(&rule.connector).unwrap_or_default() {
        if decoder.operations_of(&name).is_none() {
            decoder.unknown_connector(node.locate("connector"), &name);
        }
    }
    let names = decoder.catalogue.iter().map(|(name, _)| *name);
    let names: Vec<&str> = names.filter(|name| connectors.is_match(name)).collect();
    check_operations(decoder, node.locate("operation"), &rule.operation, &names, false);
}

/// Whether the names that a glob spells out are operations of at least one of the connectors,
/// and, where it `must_match`, whether a pattern matches any.
pub(super) fn check_operations(
    decoder: &mut Decoder<'_>,
    at: Mark,
    glob: &str,
    connectors: &[&str],
    must_match: bool,
) {
    let known: Vec<&str> = connectors
        .iter()
        .filter_map(|connector| decoder.operations_of(connector))
        .flat_map(|operations| operations.iter().map(|operation| operation.name))
        .collect();
    // An unknown connector was reported already.
    let (false, Ok(pattern)) = (known.is_empty(), Glob::new(glob)) else { return };
    let of = match connectors {
        [only] => format!("`{only}` has"),
        _ => "the rule's connectors have".to_owned(),
    };
    match literals(glob) {
        Some(names) => {
            let missing: Vec<String> =
                names.into_iter().filter(|name| !known.contains(&name.as_str())).collect();
            for name in missing {
                let message = format!("{of} no operation {}", quote(&name));
                let hint = suggest(&name, known.iter().copied());
                decoder.report(at, Code::UnknownOperation, message, hint);
            }
        }
        None if must_match && !known.iter().any(|name| pattern.is_match(name)) => {
            let message = format!("{of} no operation that matches {}", quote(glob));
            let hint = suggest(glob, known.iter().copied());
            decoder.report(at, Code::UnknownOperation, message, hint);
        }
        None => {}
    }
}

/// A limit counts writes; one that none can reach would be a false comfort.
fn check_limit(decoder: &mut Decoder<'_>, limit: &LimitDef, node: &Node) {
    let at = node.locate("operation");
    let Ok(glob) = Glob::new(&limit.operation) else { return };
    let all = |spec: fn(&OperationSpec) -> bool| -> Vec<String> {
        let connectors = decoder.catalogue.iter();
        connectors
            .flat_map(|(connector, operations)| {
                let operations = operations.iter().filter(|operation| spec(operation));
                operations.map(move |operation| format!("{connector}.{}", operation.name))
            })
            .collect()
    };
    let known = all(|_| true);
    let writes = all(|operation| operation.access == Access::Write);
    let mut misspelled = false;
    for name in literals(&limit.operation).unwrap_or_default() {
        if !known.contains(&name) {
            misspelled = true;
            let message = format!("there is no operation {}", quote(&name));
            let near = nearest(&name, known.iter().map(String::as_str));
            let hint = near.map_or_else(
                || "write `connector.operation`, e.g. `pagerduty.incidents:create`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            decoder.report(at, Code::UnknownOperation, message, Some(hint));
        }
    }
    if !misspelled && !writes.iter().any(|name| glob.is_match(name)) {
        let message =
            format!("{} matches no write, and limits count writes", quote(&limit.operation));
        let hint = Some("reads are bounded by the vendor's rate budget".to_owned());
        decoder.report(at, Code::LimitWithoutWrite, message, hint);
    }
}

fn report(decoder: &mut Decoder<'_>, placed: &Placed<'_>, error: &PolicyError) {
    let entry = |list: &[&Node], rest: &str| {
        let (place, rest) = rest.split_once(']')?;
        let node = list.get(place.parse::<usize>().ok()?)?;
        Some(node.locate(rest.trim_start_matches('.')))
    };
    let at = if let Some(rest) = error.path.strip_prefix("rules[") {
        entry(&placed.rules, rest)
    } else if let Some(rest) = error.path.strip_prefix("limits[") {
        entry(&placed.limits, rest)
    } else {
        Some(placed.node.locate(&error.path))
    };
    let (code, hint) = match &error.kind {
        PolicyErrorKind::Glob(_) => (Code::BadGlob, Some(GLOB_HINT.to_owned())),
        PolicyErrorKind::Condition(condition) => (Code::BadCondition, condition_hint(condition)),
        PolicyErrorKind::DuplicateRule { .. } => {
            let hint = "decisions are recorded under the rule's name; give each its own";
            (Code::DuplicateRule, Some(hint.to_owned()))
        }
        PolicyErrorKind::RuleName => (Code::BadName, None),
        PolicyErrorKind::OutOfRange { .. } => (Code::OutOfRange, None),
        PolicyErrorKind::ZeroPeriod => (Code::BadDuration, None),
        PolicyErrorKind::TooMany { .. } => (Code::TooMany, None),
    };
    decoder.report(at.unwrap_or(placed.node.at), code, error.kind.to_string(), hint);
}

fn condition_hint(error: &ConditionError) -> Option<String> {
    match error {
        ConditionError::Unknown { name, known, .. } => suggest(name, known.iter().copied()),
        ConditionError::Syntax { .. } => {
            Some("a condition is a CEL expression such as `target == 'production'`".to_owned())
        }
        ConditionError::TooLarge { .. } => Some("split the rule in two".to_owned()),
    }
}
