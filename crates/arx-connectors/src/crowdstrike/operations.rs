//! What CrowdStrike can be asked for, and how risky each is.

use arx_types::{Access, OperationSpec, RiskClass};

/// Reads what the sensors on hosts report of themselves.
pub(super) const HOSTS_READ: &str = "hosts:read";

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
        name: HOSTS_READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Reads the health of the sensors on hosts.",
    },
    named(
        "hosts:contain",
        RiskClass::Critical,
        Access::Write,
        true,
        "Cuts a host off from the network.",
    ),
    named(
        "hosts:lift_containment",
        RiskClass::Critical,
        Access::Write,
        true,
        "Lets a contained host back onto the network.",
    ),
    named("hosts:update", RiskClass::Medium, Access::Write, true, "Changes a host's tags."),
    named("hosts:hide", RiskClass::High, Access::Write, true, "Hides a host and its detections."),
    named(
        "hosts:delete",
        RiskClass::Critical,
        Access::Write,
        true,
        "Removes a host and uninstalls its sensor.",
    ),
    named(
        "host_groups:update",
        RiskClass::High,
        Access::Write,
        false,
        "Changes which hosts a policy is for.",
    ),
    named(
        "policies:update",
        RiskClass::Critical,
        Access::Write,
        false,
        "Changes what sensors prevent.",
    ),
    named(
        "policies:delete",
        RiskClass::Critical,
        Access::Write,
        false,
        "Deletes a policy of sensors.",
    ),
    named("detections:read", RiskClass::Low, Access::Read, false, "Reads detections."),
    named(
        "detections:update",
        RiskClass::Medium,
        Access::Write,
        false,
        "Assigns or closes detections.",
    ),
    named(
        "sessions:execute",
        RiskClass::Critical,
        Access::Write,
        true,
        "Runs commands on a host in real time.",
    ),
    named("scans:execute", RiskClass::High, Access::Write, true, "Launches a scan on a host."),
    named(
        "quarantine:update",
        RiskClass::High,
        Access::Write,
        true,
        "Releases or deletes quarantined files.",
    ),
];
