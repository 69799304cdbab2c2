//! What Qualys can be asked for, and how risky each is.

use arx_types::{Access, OperationSpec, RiskClass};

/// Reads detections on hosts, with the CVEs of each from the KnowledgeBase.
pub(super) const FINDINGS_READ: &str = "findings:read";
/// Reads what the last scans of given hosts saw of given vulnerabilities.
pub(super) const SCANS_READ: &str = "scans:read";

const fn named(
    name: &'static str,
    class: RiskClass,
    access: Access,
    targeted: bool,
    summary: &'static str,
) -> OperationSpec {
    OperationSpec { name, class, access, targeted, implemented: false, summary }
}

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
    named(
        "findings:update",
        RiskClass::Medium,
        Access::Write,
        false,
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
    named("scans:execute", RiskClass::High, Access::Write, true, "Launches a scan."),
    named("scans:cancel", RiskClass::High, Access::Write, true, "Cancels a running scan."),
    named("scans:delete", RiskClass::High, Access::Write, false, "Deletes a scan's results."),
    named("hosts:update", RiskClass::Medium, Access::Write, true, "Changes a host's attributes."),
    named(
        "hosts:delete",
        RiskClass::Critical,
        Access::Write,
        true,
        "Purges a host and everything known of it.",
    ),
];
