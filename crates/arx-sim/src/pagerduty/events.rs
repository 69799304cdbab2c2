//! The Events API: triggers are merged by `dedup_key`, and always answered 202.

use serde_json::{Value, json};

use super::PagerDuty;
use super::account::SERVICES;
use super::incidents::{Incident, Status, incident_id};
use crate::faults::mix;
use crate::http::{Reply, Request};
use crate::ledger::lock;

const BODY_BYTES_MAX: usize = 512 * 1024;
const SUMMARY_CHARS_MAX: usize = 1_024;
const KEY_CHARS_MAX: usize = 255;
const ROUTING_KEY_CHARS: usize = 32;

impl PagerDuty {
    pub(super) fn enqueue(&self, req: &Request) -> Reply {
        if req.body.len() > BODY_BYTES_MAX {
            return invalid("the event is larger than 512 KB");
        }
        let Some(event) = req.json().filter(Value::is_object) else {
            return invalid("the event is not a JSON object");
        };
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let Some(routing_key) = text("/routing_key") else {
            return invalid("'routing_key' is missing or blank");
        };
        if routing_key.chars().count() != ROUTING_KEY_CHARS {
            return invalid("Length of 'routing_key' is incorrect (should be 32 characters)");
        }
        if text("/dedup_key").is_some_and(|key| key.chars().count() > KEY_CHARS_MAX) {
            return invalid("'dedup_key' is too long (maximum is 255 characters)");
        }
        let action = text("/event_action").unwrap_or_default();
        if !matches!(action, "trigger" | "acknowledge" | "resolve") {
            return invalid(
                "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
            );
        }
        let Some(service) = SERVICES.iter().find(|service| service.routing_key == routing_key)
        else {
            return invalid("Invalid routing key");
        };
        if action == "trigger"
            && let Err(error) = check_payload(&event)
        {
            return invalid(error);
        }

        let mut state = lock(&self.state);
        let number = state.incidents.next_number();
        let made = format!("{:032x}", mix(self.shared.seed, 24, number));
        let Some(key) = text("/dedup_key").or((action == "trigger").then_some(made.as_str()))
        else {
            return invalid("'dedup_key' is missing or blank");
        };
        let accepted = json!({
            "status": "success",
            "message": "Event processed",
            "dedup_key": key,
        });
        let known = state.incidents.open_with_key(service.id, key).map(|found| found.id.clone());
        let (operation, incident) = match (action, known) {
            ("trigger", None) => {
                let now = self.shared.now();
                let incident = Incident {
                    id: incident_id(self.shared.seed, number),
                    number,
                    title: text("/payload/summary").unwrap_or_default().to_owned(),
                    status: Status::Triggered,
                    incident_key: None,
                    alert_keys: vec![key.to_owned()],
                    service: service.id.to_owned(),
                    priority: None,
                    urgency: "high".to_owned(),
                    escalation_policy: None,
                    assignee: None,
                    details: event.pointer("/payload/custom_details").cloned(),
                    created_at: now,
                    updated_at: now,
                    notes: Vec::new(),
                };
                state.incidents.push(incident.clone());
                ("events.trigger", Some(incident))
            }
            // Merged into the open one, or about nothing that is open.
            ("trigger", Some(_)) | (_, None) => ("", None),
            (_, Some(id)) => {
                let incident = state.incidents.get_mut(&id).map(|incident| {
                    incident.status =
                        if action == "resolve" { Status::Resolved } else { Status::Acknowledged };
                    incident.updated_at = self.shared.now();
                    incident.clone()
                });
                let is_resolve = action == "resolve";
                (if is_resolve { "events.resolve" } else { "events.acknowledge" }, incident)
            }
        };
        let reply = Reply::json(202, &accepted);
        match incident {
            Some(incident) => {
                self.shared.record(incident.write(operation));
                reply.committed()
            }
            None => reply,
        }
    }
}

fn check_payload(event: &Value) -> Result<(), &'static str> {
    let text = |name: &str| event.pointer(&format!("/payload/{name}")).and_then(Value::as_str);
    match text("summary") {
        None | Some("") => return Err("'payload.summary' is missing or blank"),
        Some(summary) if summary.chars().count() > SUMMARY_CHARS_MAX => {
            return Err("'summary' is too long (maximum is 1024 characters)");
        }
        Some(_) => {}
    }
    if text("source").is_none_or(str::is_empty) {
        return Err("'payload.source' is missing or blank");
    }
    if !matches!(text("severity"), Some("critical" | "error" | "warning" | "info")) {
        return Err(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        );
    }
    Ok(())
}

fn invalid(error: &str) -> Reply {
    Reply::json(
        400,
        &json!({
            "status": "invalid event",
            "message": "Event object is invalid",
            "errors": [error],
        }),
    )
}
