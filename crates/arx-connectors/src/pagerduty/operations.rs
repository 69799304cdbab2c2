//! PagerDuty's catalogue, and the parameters of what is implemented.

use arx_gateway::{Call, CallError};
use arx_types::{Access, OperationSpec, RiskClass};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::text;

/// Opens an incident.
pub(super) const CREATE: &str = "incidents:create";
/// Reads incidents.
pub(super) const READ: &str = "incidents:read";

/// Longest title; the vendor documents none, and other clients are refused beyond it.
const TITLE_UNITS_MAX: usize = 255;
/// Longest details.
const DETAILS_UNITS_MAX: usize = 32_000;
/// Longest identifier that is sent or put into a path.
const ID_BYTES_MAX: usize = 64;

const fn named_only(
    name: &'static str,
    class: RiskClass,
    access: Access,
    summary: &'static str,
) -> OperationSpec {
    OperationSpec { name, class, access, targeted: false, implemented: false, summary }
}

/// Every operation.
pub(super) const OPERATIONS: &[OperationSpec] = &[
    OperationSpec {
        name: CREATE,
        class: RiskClass::Medium,
        access: Access::Write,
        targeted: false,
        implemented: true,
        summary: "Open an incident, which pages whoever is on call",
    },
    OperationSpec {
        name: READ,
        class: RiskClass::Low,
        access: Access::Read,
        targeted: false,
        implemented: true,
        summary: "Read an incident by id, or all incidents that carry a key",
    },
    named_only(
        "incidents:update",
        RiskClass::Medium,
        Access::Write,
        "Change an incident's priority, title or assignment",
    ),
    named_only(
        "incidents:resolve",
        RiskClass::High,
        Access::Write,
        "Resolve an incident, which stops the paging",
    ),
    named_only(
        "incidents:merge",
        RiskClass::High,
        Access::Write,
        "Merge incidents, which closes all but one",
    ),
    named_only("services:read", RiskClass::Low, Access::Read, "Read services"),
    named_only(
        "services:update",
        RiskClass::High,
        Access::Write,
        "Change a service: whom it pages, whether it is on",
    ),
    named_only(
        "services:delete",
        RiskClass::Critical,
        Access::Write,
        "Delete a service with its integrations",
    ),
    named_only(
        "escalation_policies:update",
        RiskClass::High,
        Access::Write,
        "Change who is paged, and in what order",
    ),
];

/// Parameters of [`CREATE`], as a workflow writes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateParams {
    title: String,
    #[serde(default)]
    details: Option<String>,
    #[serde(default)]
    pub priority: Option<String>,
    #[serde(default)]
    urgency: Option<Urgency>,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    escalation_policy: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Urgency {
    #[default]
    High,
    Low,
}

/// Parameters of [`READ`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadParams {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub incident_key: Option<String>,
    #[serde(default)]
    pub service: Option<String>,
}

/// An incident to be opened.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    title: String,
    details: Option<String>,
    urgency: Urgency,
    pub service: String,
    pub incident_key: String,
    /// Id of the priority; left out where it cannot be had.
    pub priority: Option<String>,
    pub escalation_policy: Option<String>,
}

impl Draft {
    /// The incident that the parameters ask for; its priority is still a name, kept apart.
    pub fn new(
        params: CreateParams,
        incident_key: &str,
        default_service: Option<&str>,
    ) -> Result<Self, String> {
        let title = text::one_line(&params.title, TITLE_UNITS_MAX);
        if title.is_empty() {
            return Err("`title` is empty".to_owned());
        }
        let details = params.details.map(|details| text::lines(&details, DETAILS_UNITS_MAX));
        Ok(Self {
            title,
            details: details.filter(|details| !details.trim().is_empty()),
            urgency: params.urgency.unwrap_or_default(),
            service: service_of(params.service.as_deref(), default_service)?,
            incident_key: incident_key.to_owned(),
            priority: None,
            escalation_policy: match params.escalation_policy {
                Some(id) => Some(checked_id("escalation_policy", &id)?),
                None => None,
            },
        })
    }

    /// The request's body.
    pub fn body(&self) -> Value {
        let urgency = match self.urgency {
            Urgency::High => "high",
            Urgency::Low => "low",
        };
        let mut incident = json!({
            "type": "incident",
            "title": self.title,
            "service": {"id": self.service, "type": "service_reference"},
            "urgency": urgency,
            "incident_key": self.incident_key,
        });
        let mut set = |name: &str, value: Value| {
            if let Some(fields) = incident.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        if let Some(details) = &self.details {
            set("body", json!({"type": "incident_body", "details": details}));
        }
        if let Some(id) = &self.priority {
            set("priority", json!({"id": id, "type": "priority_reference"}));
        }
        if let Some(id) = &self.escalation_policy {
            set("escalation_policy", json!({"id": id, "type": "escalation_policy_reference"}));
        }
        json!({ "incident": incident })
    }
}

/// Reads parameters; the message of an error names the parameter.
pub(super) fn params<T: DeserializeOwned>(call: Call<'_>) -> Result<T, CallError> {
    if !call.params.is_object() {
        return Err(call.parameters("parameters are given by name"));
    }
    T::deserialize(call.params).map_err(|error| call.parameters(error.to_string()))
}

/// The service meant: the one given, else the configured one.
pub(super) fn service_of(given: Option<&str>, configured: Option<&str>) -> Result<String, String> {
    match given.filter(|id| !id.trim().is_empty()).or(configured) {
        Some(id) => checked_id("service", id),
        None => Err("no `service` is given and PAGERDUTY_SERVICE_ID is not set".to_owned()),
    }
}

/// An identifier that is safe in a path and in a query.
pub(super) fn checked_id(name: &str, id: &str) -> Result<String, String> {
    let id = id.trim();
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(fit) {
        let shown = text::one_line(id, 80);
        return Err(format!("`{name}`: `{shown}` is not an id; write one such as `PABC123`"));
    }
    Ok(id.to_owned())
}
