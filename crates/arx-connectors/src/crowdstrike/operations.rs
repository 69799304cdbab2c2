//! What CrowdStrike can be asked for, and how risky each is.

use arx_types::{Access, OperationSpec, RiskClass};

/// Reads what the sensors on hosts report of themselves.
pub(super) const HOSTS_READ: &str = "hosts:read";

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
    OperationSpec::named(
        "hosts:contain",
        RiskClass::Critical,
        Access::Write,
        "Cuts a host off from the network.",
    )
    .targeted(),
    OperationSpec::named(
        "hosts:lift_containment",
        RiskClass::Critical,
        Access::Write,
        "Lets a contained host back onto the network.",
    )
    .targeted(),
    OperationSpec::named(
        "hosts:update",
        RiskClass::Medium,
        Access::Write,
        "Changes a host's tags.",
    )
    .targeted(),
    OperationSpec::named(
        "hosts:hide",
        RiskClass::High,
        Access::Write,
        "Hides a host and its detections.",
    )
    .targeted(),
    OperationSpec::named(
        "hosts:delete",
        RiskClass::Critical,
        Access::Write,
        "Removes a host and uninstalls its sensor.",
    )
    .targeted(),
    OperationSpec::named(
        "host_groups:update",
        RiskClass::High,
        Access::Write,
        "Changes which hosts a policy is for.",
    ),
    OperationSpec::named(
        "policies:update",
        RiskClass::Critical,
        Access::Write,
        "Changes what sensors prevent.",
    ),
    OperationSpec::named(
        "policies:delete",
        RiskClass::Critical,
        Access::Write,
        "Deletes a policy of sensors.",
    ),
    OperationSpec::named("detections:read", RiskClass::Low, Access::Read, "Reads detections."),
    OperationSpec::named(
        "detections:update",
        RiskClass::Medium,
        Access::Write,
        "Assigns or closes detections.",
    ),
    OperationSpec::named(
        "sessions:execute",
        RiskClass::Critical,
        Access::Write,
        "Runs commands on a host in real time.",
    )
    .targeted(),
    OperationSpec::named(
        "scans:execute",
        RiskClass::High,
        Access::Write,
        "Launches a scan on a host.",
    )
    .targeted(),
    OperationSpec::named(
        "quarantine:update",
        RiskClass::High,
        Access::Write,
        "Releases or deletes quarantined files.",
    )
    .targeted(),
];
