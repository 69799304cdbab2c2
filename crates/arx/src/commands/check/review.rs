//! What is wrong or odd in a bundle, found from its texts alone.
//!
//! A call that can never pass is an error; what merely does nothing, or more than it needs, is a
//! warning.

use std::collections::BTreeSet;

use arx_engine::registry::standing::{self, Denial, Says, Standing};
use arx_policy::{Effect, Policy, RuleDef};
use arx_types::{Access, Operation};
use arx_workflow::Diagnostic;
use arx_workflow::host::Checked;
use jiff::Timestamp;
use serde::Serialize;

use crate::bundles::Found;
use crate::launch::specs;

/// Whether a bundle can do its work in spite of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum Severity {
    /// It cannot.
    Error,
    /// It can, and somebody should look.
    Warning,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::commands) struct Finding {
    pub(super) severity: Severity,
    pub(super) file: String,
    /// From 1; 0 where the whole file is meant.
    line: u32,
    column: u32,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn place(&self) -> String {
        match self.line {
            0 => self.file.clone(),
            line => format!("{}:{line}:{}", self.file, self.column),
        }
    }

    pub(super) fn diagnostic(&self) -> Diagnostic {
        Diagnostic {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            code: self.code.to_owned(),
            message: self.message.clone(),
            hint: self.hint.clone(),
        }
    }
}

/// An operation that the workflow names or arx.yaml binds.
#[derive(Clone, Debug, Serialize)]
pub(in crate::commands) struct Reviewed {
    pub(super) operation: Operation,
    pub(super) says: &'static str,
    pub(super) called: bool,
    pub(super) writes: bool,
    /// Whether a limit bounds it.
    pub(super) limited: bool,
    /// Whether some rule speaks of it.
    pub(super) ruled: bool,
    /// Whether any call of it can pass.
    pub(super) can_pass: bool,
}

/// What was found in a bundle.
#[derive(Clone, Debug)]
pub(in crate::commands) struct Review {
    pub(super) findings: Vec<Finding>,
    pub(super) operations: Vec<Reviewed>,
}

impl Review {
    pub(super) fn n_errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// Reviews a bundle whose files are right in themselves.
pub(super) fn review(found: &Found, policy: &Policy, checked: &Checked, now: Timestamp) -> Review {
    let mut reviewer = Reviewer { found, findings: Vec::new() };
    let catalogue = standing::operations(&specs());
    let mut called = BTreeSet::new();
    for call in &checked.operations {
        let Ok(operation) = call.operation.parse::<Operation>() else { continue };
        let Some(spec) = catalogue.get(&operation) else { continue };
        reviewer.call(&operation, &standing::of(policy, &operation, spec), call.line, call.column);
        called.insert(operation);
    }
    let mut operations = Vec::new();
    let mut may_escalate = false;
    for (operation, spec) in &catalogue {
        let is_called = called.contains(operation);
        let is_bound = policy.is_bound(operation) && spec.implemented;
        if !is_called && !is_bound {
            continue;
        }
        let standing = standing::of(policy, operation, spec);
        if is_bound && !is_called {
            reviewer.unused(operation);
        }
        may_escalate |= is_called && standing.may_escalate;
        operations.push(Reviewed {
            operation: operation.clone(),
            says: standing.says.as_str(),
            called: is_called,
            writes: spec.access == Access::Write,
            limited: standing.limited,
            ruled: standing.denial != Some(Denial::NoRule),
            can_pass: standing.says != Says::Denied,
        });
    }
    reviewer.rules(policy, &catalogue.keys().cloned().collect::<Vec<_>>());
    if may_escalate && standing::nobody_may_approve(policy.def()) {
        reviewer.nobody_may_approve();
    }
    reviewer.schedule(now);
    let mut findings = reviewer.findings;
    findings.sort_by(|a, b| {
        (a.severity == Severity::Warning, &a.file, a.line, a.column).cmp(&(
            b.severity == Severity::Warning,
            &b.file,
            b.line,
            b.column,
        ))
    });
    Review { findings, operations }
}

struct Reviewer<'f> {
    found: &'f Found,
    findings: Vec<Finding>,
}

impl Reviewer<'_> {
    fn call(&mut self, operation: &Operation, standing: &Standing, line: u32, column: u32) {
        let file = self.found.workflow_file.clone();
        let mut add = |severity, code, message: String, hint: String| {
            let (file, hint) = (file.clone(), Some(hint));
            self.findings.push(Finding { severity, file, line, column, code, message, hint });
        };
        match &standing.denial {
            None => {}
            Some(Denial::NoRule) => add(
                Severity::Error,
                "ARX-B001",
                format!("no rule lets `{operation}` pass, so every call is denied"),
                format!(
                    "add under policy.rules: {{ name: {}, effect: permit, connector: {}, operation: \"{}\" }}",
                    operation.name.replace(':', "-"),
                    operation.connector,
                    operation.name
                ),
            ),
            Some(Denial::Unbound) => add(
                Severity::Error,
                "ARX-B002",
                format!("`{operation}` is not bound in arx.yaml, so every call is denied"),
                format!(
                    "add \"{}\" to connectors.{}.operations",
                    operation.name, operation.connector
                ),
            ),
            Some(Denial::Named) => add(
                Severity::Error,
                "ARX-B003",
                format!("`{operation}` is only named in the catalogue and cannot be called"),
                "it is named so that denying it is on record; leave the call out".to_owned(),
            ),
            Some(Denial::Rule(rule)) => add(
                Severity::Warning,
                "ARX-B004",
                format!("rule `{rule}` denies every call of `{operation}`"),
                "the workflow gets a PermissionError each time; leave the call or the rule out"
                    .to_owned(),
            ),
        }
    }

    fn warn(&mut self, needle: &str, code: &'static str, message: String, hint: &str) {
        let (line, column) = place(&self.found.bundle.yaml_text, needle);
        self.findings.push(Finding {
            severity: Severity::Warning,
            file: self.found.manifest_file.clone(),
            line,
            column,
            code,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    fn unused(&mut self, operation: &Operation) {
        self.warn(
            &format!("{}:", operation.connector),
            "ARX-B005",
            format!("`{operation}` is bound and the workflow never calls it"),
            "bind no more than is called",
        );
    }

    /// Rules that can never do what they say. A deny rule may well name what nothing offers yet.
    fn rules(&mut self, policy: &Policy, catalogue: &[Operation]) {
        let def = policy.def();
        for rule in &def.rules {
            let reached: Vec<&Operation> = catalogue
                .iter()
                .filter(|operation| {
                    policy.is_bound(operation) && standing::matches(rule, operation)
                })
                .collect();
            let denied = |operation: &&Operation| {
                def.rules.iter().any(|other| denies_always(other, operation))
            };
            match rule.effect {
                Effect::Deny => {}
                Effect::Permit | Effect::Escalate if reached.is_empty() => self.warn(
                    &rule.name,
                    "ARX-B006",
                    format!("rule `{}` matches no operation that is bound", rule.name),
                    "mend its globs, bind the operation, or remove the rule",
                ),
                Effect::Permit | Effect::Escalate if reached.iter().all(denied) => self.warn(
                    &rule.name,
                    "ARX-B006",
                    format!("rule `{}` never counts: all that it matches is denied", rule.name),
                    "remove it, or narrow the rule that denies",
                ),
                Effect::Permit | Effect::Escalate => {}
            }
        }
    }

    fn nobody_may_approve(&mut self) {
        self.warn(
            "policy:",
            "ARX-B007",
            "calls may be put to a human, and the policy names no approver".to_owned(),
            "add policy.approvals.approvers; without one such calls wait until they expire",
        );
    }

    fn schedule(&mut self, now: Timestamp) {
        let Some(schedule) = &self.found.bundle.manifest.schedule else { return };
        let Err(why) = arx_engine::schedule::next(schedule, now, 1) else { return };
        let (line, column) = place(&self.found.bundle.yaml_text, "cron:");
        self.findings.push(Finding {
            severity: Severity::Error,
            file: self.found.manifest_file.clone(),
            line,
            column,
            code: "ARX-B008",
            message: why,
            hint: Some("choose a time that comes, e.g. \"0 */2 * * *\"".to_owned()),
        });
    }
}

fn denies_always(rule: &RuleDef, operation: &Operation) -> bool {
    rule.effect == Effect::Deny && rule.when.is_none() && standing::matches(rule, operation)
}

/// Where a text first stands on a line that is no comment, from 1 in characters; 0 where it does not.
fn place(yaml: &str, needle: &str) -> (u32, u32) {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    for (n, line) in yaml.lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        if let Some((before, _)) = line.split_once(needle) {
            return (small(n + 1), small(before.chars().count() + 1));
        }
    }
    (0, 0)
}
