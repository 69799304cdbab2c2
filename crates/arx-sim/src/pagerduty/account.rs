//! The simulated account: services, priorities, people. Nothing here changes.

use serde_json::{Value, json};

/// The service that pages security operations.
pub(crate) const SERVICE_ID: &str = "PSECOPS";
/// A user of the account, for the `From` header.
pub(crate) const FROM_EMAIL: &str = "arx@harbourline.example";
/// Where people would look at an incident.
const SITE: &str = "https://harbourline.pagerduty.example";

pub(super) struct Account {
    pub id: &'static str,
    pub name: &'static str,
    pub policy: &'static str,
    /// The Events API integration.
    pub routing_key: &'static str,
}

pub(super) struct User {
    pub id: &'static str,
    pub name: &'static str,
    pub email: &'static str,
}

#[rustfmt::skip]
pub(super) const SERVICES: &[Account] = &[
    Account { id: SERVICE_ID, name: "Security Operations", policy: "PESCSEC", routing_key: "51a0c0de51a0c0de51a0c0de00000001" },
    Account { id: "PPAYMTS", name: "Payments", policy: "PESCPAY", routing_key: "51a0c0de51a0c0de51a0c0de00000002" },
    Account { id: "PBOOKNG", name: "Booking", policy: "PESCBKG", routing_key: "51a0c0de51a0c0de51a0c0de00000003" },
    Account { id: "PFLEETT", name: "Fleet Tracking", policy: "PESCFLT", routing_key: "51a0c0de51a0c0de51a0c0de00000004" },
];

pub(super) const ESCALATION_POLICIES: &[(&str, &str)] = &[
    ("PESCSEC", "Security on call"),
    ("PESCPAY", "Payments on call"),
    ("PESCBKG", "Booking on call"),
    ("PESCFLT", "Fleet on call"),
];

/// Most severe first.
pub(super) const PRIORITIES: &[(&str, &str, &str)] = &[
    ("PSLWBL8", "P1", "Drop everything"),
    ("PSLWBL9", "P2", "Today"),
    ("PSLWBLA", "P3", "This week"),
    ("PSLWBLB", "P4", "When there is time"),
    ("PSLWBLC", "P5", "For the record"),
];

#[rustfmt::skip]
pub(super) const USERS: &[User] = &[
    User { id: "PUSRARX", name: "ARX", email: FROM_EMAIL },
    User { id: "PUSRMIR", name: "Mira Castellan", email: "mira.castellan@harbourline.example" },
    User { id: "PUSRTOB", name: "Tobias Wren", email: "tobias.wren@harbourline.example" },
];

pub(crate) fn incident_url(id: &str) -> String {
    format!("{SITE}/incidents/{id}")
}

pub(super) fn reference(origin: &str, kind: &str, path: &str, id: &str, summary: &str) -> Value {
    json!({
        "id": id,
        "type": format!("{kind}_reference"),
        "summary": summary,
        "self": format!("{origin}/{path}/{id}"),
        "html_url": format!("{SITE}/{path}/{id}"),
    })
}

pub(super) fn policy_reference(origin: &str, id: &str) -> Value {
    let name = ESCALATION_POLICIES.iter().find(|(policy, _)| *policy == id);
    let name = name.map_or("", |(_, name)| *name);
    reference(origin, "escalation_policy", "escalation_policies", id, name)
}

pub(super) fn priority_json(origin: &str, priority: &(&str, &str, &str)) -> Value {
    let (id, name, description) = priority;
    json!({
        "id": id,
        "type": "priority",
        "summary": name,
        "self": format!("{origin}/priorities/{id}"),
        "html_url": null,
        "account_id": "PACCHRB",
        "color": "a8171c",
        "created_at": "2024-02-06T16:34:44Z",
        "updated_at": "2024-02-06T16:34:44Z",
        "name": name,
        "description": description,
    })
}

pub(super) fn service_json(origin: &str, service: &Account) -> Value {
    json!({
        "id": service.id,
        "type": "service",
        "summary": service.name,
        "self": format!("{origin}/services/{}", service.id),
        "html_url": format!("{SITE}/service-directory/{}", service.id),
        "name": service.name,
        "description": null,
        "status": "active",
        "auto_resolve_timeout": null,
        "acknowledgement_timeout": null,
        "created_at": "2024-02-06T16:40:02Z",
        "escalation_policy": policy_reference(origin, service.policy),
        "incident_urgency_rule": { "type": "constant", "urgency": "severity_based" },
        "teams": [],
        "integrations": [],
    })
}

pub(super) fn user_json(origin: &str, user: &User) -> Value {
    json!({
        "id": user.id,
        "type": "user",
        "summary": user.name,
        "self": format!("{origin}/users/{}", user.id),
        "html_url": format!("{SITE}/users/{}", user.id),
        "name": user.name,
        "email": user.email,
        "time_zone": "Etc/UTC",
        "role": "user",
        "job_title": null,
        "teams": [],
    })
}

pub(super) fn policy_json(origin: &str, policy: &(&str, &str)) -> Value {
    let (id, name) = policy;
    json!({
        "id": id,
        "type": "escalation_policy",
        "summary": name,
        "self": format!("{origin}/escalation_policies/{id}"),
        "html_url": format!("{SITE}/escalation_policies/{id}"),
        "name": name,
        "num_loops": 2,
        "escalation_rules": [],
        "services": [],
        "teams": [],
    })
}
