//! What Qualys can be asked for, and how risky each is.

use arx_types::{Access, OperationSpec, RiskClass};

/// Reads detections on hosts, with the CVEs of each from the KnowledgeBase.
pub(super) const FINDINGS_READ: &str = "findings:read";
/// Reads what the last scans of given hosts saw of given vulnerabilities.
pub(super) const SCANS_READ: &str = "scans:read";

/// Every operation that a rule can name.
pub(super) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec {
        name: FINDINGS_READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Reads detections on hosts, with the CVEs of each from the KnowledgeBase.",
    },
    OperationSpec::named(
        "findings:update",
        RiskClass::Medium,
        Access::Write,
        "Ignores or reopens detections.",
    ),
    OperationSpec {
        name: SCANS_READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Reads when hosts were last scanned and what became of vulnerabilities on them.",
    },
    OperationSpec::named("scans:execute", RiskClass::High, Access::Write, "Launches a scan.")
        .targeted(),
    OperationSpec::named("scans:cancel", RiskClass::High, Access::Write, "Cancels a running scan.")
        .targeted(),
    OperationSpec::named(
        "scans:delete",
        RiskClass::High,
        Access::Write,
        "Deletes a scan's results.",
    ),
    OperationSpec::named(
        "hosts:update",
        RiskClass::Medium,
        Access::Write,
        "Changes a host's attributes.",
    )
    .targeted(),
    OperationSpec::named(
        "hosts:delete",
        RiskClass::Critical,
        Access::Write,
        "Purges a host and everything known of it.",
    )
    .targeted(),
];
