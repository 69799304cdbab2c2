//! What Wiz can be asked for, and how risky each is.

use arx_types::{Access, OperationSpec, RiskClass};

/// Reads open vulnerability findings.
pub(super) const FINDINGS_READ: &str = "findings:read";

/// Every operation that a rule can name.
pub(super) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec {
        name: FINDINGS_READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Reads open vulnerability findings, page by page.",
    },
    OperationSpec::named(
        "findings:update",
        RiskClass::Medium,
        Access::Write,
        "Changes the status of vulnerability findings.",
    ),
    OperationSpec::named("issues:read", RiskClass::Low, Access::Read, "Reads issues."),
    OperationSpec::named(
        "issues:update",
        RiskClass::Medium,
        Access::Write,
        "Changes status or notes of issues.",
    ),
    OperationSpec::named(
        "ignore_rules:create",
        RiskClass::High,
        Access::Write,
        "Hides the findings that match a rule.",
    ),
    OperationSpec::named("projects:create", RiskClass::Medium, Access::Write, "Creates a project."),
    OperationSpec::named(
        "projects:write",
        RiskClass::Medium,
        Access::Write,
        "Changes a project's scope.",
    ),
    OperationSpec::named("projects:delete", RiskClass::High, Access::Write, "Deletes a project."),
    OperationSpec::named("scans:execute", RiskClass::High, Access::Write, "Rescans a resource."),
];
