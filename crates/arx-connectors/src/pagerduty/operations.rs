//! PagerDuty's catalogue, and the parameters of what is implemented.

use arx_types::{Access, OperationSpec, RiskClass};
use serde_json::{Value, json};

use crate::params::Params;
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
    OperationSpec::named(
        "incidents:update",
        RiskClass::Medium,
        Access::Write,
        "Change an incident's priority, title or assignment",
    ),
    OperationSpec::named(
        "incidents:resolve",
        RiskClass::High,
        Access::Write,
        "Resolve an incident, which stops the paging",
    ),
    OperationSpec::named(
        "incidents:merge",
        RiskClass::High,
        Access::Write,
        "Merge incidents, which closes all but one",
    ),
    OperationSpec::named("services:read", RiskClass::Low, Access::Read, "Read services"),
    OperationSpec::named(
        "services:update",
        RiskClass::High,
        Access::Write,
        "Change a service: whom it pages, whether it is on",
    ),
    OperationSpec::named(
        "services:delete",
        RiskClass::Critical,
        Access::Write,
        "Delete a service with its integrations",
    ),
    OperationSpec::named(
        "escalation_policies:update",
        RiskClass::High,
        Access::Write,
        "Change who is paged, and in what order",
    ),
];

#[derive(Clone, Copy, Debug, Default)]
enum Urgency {
    #[default]
    High,
    Low,
}

/// What [`READ`] looks for.
#[derive(Debug)]
pub(super) enum Wanted {
    /// One incident.
    Id(String),
    /// Every incident with a key on a service.
    Key { incident_key: String, service: String },
}

impl Wanted {
    pub fn read(params: &Value, default_service: Option<&str>) -> Result<Self, String> {
        let mut params = Params::of(params)?;
        let id = params.string("id")?;
        let incident_key = params.string("incident_key")?;
        let service = params.string("service")?;
        params.finish()?;
        match (id, incident_key) {
            (Some(id), None) => Ok(Self::Id(checked_id("id", &id)?)),
            (None, Some(incident_key)) => {
                let service = service_of(service.as_deref(), default_service)?;
                Ok(Self::Key { incident_key, service })
            }
            _ => Err("give either `id` or `incident_key`".to_owned()),
        }
    }
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
    /// The incident that the parameters of [`CREATE`] ask for, and the name of the priority that
    /// it should have.
    pub fn read(
        params: &Value,
        incident_key: &str,
        default_service: Option<&str>,
    ) -> Result<(Self, Option<String>), String> {
        let mut params = Params::of(params)?;
        let title = params.string("title")?.map(|title| text::one_line(&title, TITLE_UNITS_MAX));
        let details = params.string("details")?;
        let priority = params.string("priority")?;
        let urgency = match params.string("urgency")?.as_deref() {
            None | Some("high") => Urgency::High,
            Some("low") => Urgency::Low,
            Some(_) => return Err("`urgency` is neither `high` nor `low`".to_owned()),
        };
        let service = params.string("service")?;
        let escalation_policy = params.string("escalation_policy")?;
        params.finish()?;
        let draft = Self {
            title: title.filter(|title| !title.is_empty()).ok_or("`title` is missing")?,
            details: details.map(|details| text::lines(&details, DETAILS_UNITS_MAX)),
            urgency,
            service: service_of(service.as_deref(), default_service)?,
            incident_key: incident_key.to_owned(),
            priority: None,
            escalation_policy: match escalation_policy {
                Some(id) => Some(checked_id("escalation_policy", &id)?),
                None => None,
            },
        };
        Ok((draft, priority))
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

/// The service meant: the one given, else the configured one.
fn service_of(given: Option<&str>, configured: Option<&str>) -> Result<String, String> {
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
