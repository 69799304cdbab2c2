//! What a workflow may do, as sentences: "may create incidents in PagerDuty, at most 50 an hour,
//! then asks".

use arx_connectors::ALL;
use arx_engine::registry::standing::{self, Denial, Says};
use arx_gateway::ConnectorSpec;
use arx_policy::{Beyond, Policy};
use arx_types::{Access, Operation, OperationSpec};
use serde::Serialize;
use utoipa::ToSchema;

/// What a workflow may do with one operation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Permission {
    /// The operation, such as `pagerduty.incidents:create`.
    pub(crate) operation: String,
    /// The vendor's name for people.
    pub(crate) vendor: String,
    /// `permitted`, `depends on the call`, `put to a human` or `denied`.
    pub(crate) says: String,
    /// The whole of it as a sentence.
    pub(crate) sentence: String,
    /// Whether it writes.
    pub(crate) writes: bool,
    /// The declared risk class.
    pub(crate) class: String,
}

/// The catalogue of all vendors.
pub(crate) fn specs() -> Vec<&'static ConnectorSpec> {
    ALL.iter().map(|vendor| vendor.spec).collect()
}

/// What a policy lets a workflow do, the widest first; what is not bound is left out, and what is
/// bound and denied is told.
pub(crate) fn all(policy: &Policy) -> Vec<Permission> {
    let mut permissions = Vec::new();
    for vendor in ALL {
        for spec in vendor.spec.operations {
            let operation = Operation::new(vendor.spec.name, spec.name);
            let standing = standing::of(policy, &operation, spec);
            if matches!(standing.denial, Some(Denial::Unbound)) {
                continue;
            }
            permissions.push(Permission {
                sentence: sentence(policy, &operation, spec, vendor.spec.title, &standing),
                operation: operation.to_string(),
                vendor: vendor.spec.title.to_owned(),
                says: standing.says.as_str().to_owned(),
                writes: spec.access == Access::Write,
                class: spec.class.to_string(),
            });
        }
    }
    // What changes something at a vendor is what people look for.
    permissions.sort_by_key(|permission| (permission.says == "denied", !permission.writes));
    permissions
}

fn sentence(
    policy: &Policy,
    operation: &Operation,
    spec: &OperationSpec,
    vendor: &str,
    standing: &standing::Standing,
) -> String {
    let what = format!("{} in {vendor}", deed(spec.name));
    let mut text = match (standing.says, &standing.denial) {
        (Says::Denied, Some(Denial::Rule(rule))) => {
            return format!("may not {what}: rule {rule} denies it");
        }
        (Says::Denied, _) => return format!("may not {what}"),
        (Says::Escalated, _) => format!("asks before it may {what}"),
        (Says::Depends, _) => format!("may {what}, or is asked about, as the call has it"),
        (Says::Permitted, _) => format!("may {what}"),
    };
    if spec.access == Access::Read {
        return text;
    }
    for limit in policy.limits().iter().filter(|limit| limit.matches(operation)) {
        let beyond = match limit.beyond() {
            Beyond::Escalate => "then asks",
            Beyond::Deny => "then is denied",
        };
        let per = match limit.window().to_string().as_str() {
            "1h" => "an hour".to_owned(),
            "1d" | "24h" => "a day".to_owned(),
            other => format!("in {other}"),
        };
        text.push_str(&format!(", at most {} {per}, {beyond}", limit.max()));
    }
    text
}

/// `create incidents` for `incidents:create`.
fn deed(operation: &str) -> String {
    let (resource, verb) = operation.rsplit_once(':').unwrap_or(("", operation));
    let verb = match verb {
        "update" => "change",
        "execute" => "start",
        verb => verb,
    };
    format!("{verb} {}", resource.replace(['_', '.'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_read_as_sentences() {
        let text =
            include_str!("../../../../../library/workflows/critical-vuln-escalation/arx.yaml");
        let catalogue: Vec<_> = specs().iter().map(|spec| (spec.name, spec.operations)).collect();
        let manifest = arx_workflow::bundle::parse("arx.yaml", text, &catalogue).unwrap();
        let policy = Policy::compile(&manifest.policy, &manifest.bound()).unwrap();
        let sentences: Vec<String> =
            all(&policy).into_iter().map(|permission| permission.sentence).collect();
        insta::assert_snapshot!(sentences.join("\n"), @r"
        may create incidents in PagerDuty, at most 50 an hour, then asks
        may create issues in Jira, at most 1000 an hour, then asks
        may read findings in Wiz
        may read findings in Qualys
        ");
    }
}
