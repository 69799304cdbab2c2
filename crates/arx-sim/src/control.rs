//! The levers behind the vendors' backs: what operators, other people and time would do.
//!
//! Nothing done here appears in the ledger, which holds what clients wrote.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use crate::pagerduty::{Status, incident_url};
use crate::world::World;
use crate::{Faults, Vendor};

/// Changes the world while a client is talking to it.
#[derive(Clone)]
pub struct Control {
    world: Arc<World>,
}

/// An incident as the pager's operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentView {
    /// The vendor's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `triggered`, `acknowledged` or `resolved`.
    pub status: String,
    /// The key that makes a create idempotent.
    pub incident_key: Option<String>,
    /// The service it is on.
    pub service: String,
    /// `high` or `low`.
    pub urgency: String,
    /// Where people look at it.
    pub html_url: String,
}

/// An issue as the project's members see it.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueView {
    /// E.g. `SEC-12`.
    pub key: String,
    /// Its summary.
    pub summary: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its status' name.
    pub status: String,
    /// Its properties.
    pub properties: serde_json::Map<String, serde_json::Value>,
}

impl Control {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Puts other faults in force, with fresh counters.
    pub fn set_faults(&self, faults: Faults) {
        self.world.shared.faults.replace(faults);
    }

    /// Takes a vendor down: every request to it is reset, until it is brought back.
    pub fn set_down(&self, vendor: Vendor, is_down: bool) {
        self.world.shared.set_down(vendor, is_down);
    }

    /// Moves the vendors' clock forward: tokens expire, the search index catches up.
    pub fn advance(&self, by: Duration) {
        self.world.shared.advance(by);
    }

    /// Fixes a vulnerability everywhere, so that both scanners stop reporting it.
    ///
    /// `id` is a CVE, a GHSA, another name, or `QID-n`. Gives how many weaknesses and QIDs it was.
    pub fn fix(&self, id: &str) -> usize {
        self.world.shared.estate.set_fixed(id, true)
    }

    /// Lets a fixed vulnerability reappear.
    pub fn unfix(&self, id: &str) -> usize {
        self.world.shared.estate.set_fixed(id, false)
    }

    /// Every Wiz token issued so far stops working.
    pub fn expire_wiz_tokens(&self) {
        self.world.wiz.expire_tokens();
    }

    /// Whether Jira takes the API token for expired; then reads are anonymous and see nothing.
    pub fn set_jira_token_expired(&self, is_expired: bool) {
        self.world.jira.with_state(|state| state.is_token_expired = is_expired);
    }

    /// Every incident, oldest first.
    pub fn incidents(&self) -> Vec<IncidentView> {
        self.world.pagerduty.with_state(|state| {
            state
                .incidents
                .all()
                .iter()
                .map(|incident| IncidentView {
                    id: incident.id.clone(),
                    title: incident.title.clone(),
                    status: incident.status.name().to_owned(),
                    incident_key: incident.incident_key.clone(),
                    service: incident.service.clone(),
                    urgency: incident.urgency.clone(),
                    html_url: incident_url(&incident.id),
                })
                .collect()
        })
    }

    /// Resolves an incident, by its id; false when there is none.
    pub fn resolve_incident(&self, id: &str) -> bool {
        self.change_incident(id, |incident| incident.status = Status::Resolved)
    }

    /// Makes an incident older, by whole days.
    pub fn age_incident(&self, id: &str, days: u32) -> bool {
        let hours = i64::from(days) * 24;
        self.change_incident(id, |incident| {
            let older = incident.created_at.checked_sub(hours.hours());
            incident.created_at = older.unwrap_or(Timestamp::UNIX_EPOCH);
        })
    }

    /// Whether the PagerDuty account has priorities at all.
    pub fn set_pagerduty_priorities(&self, has_priorities: bool) {
        self.world.pagerduty.with_state(|state| state.has_priorities = has_priorities);
    }

    /// Every issue, oldest first.
    pub fn issues(&self) -> Vec<IssueView> {
        self.world.jira.with_state(|state| {
            state
                .issues
                .all()
                .iter()
                .map(|issue| IssueView {
                    key: issue.key.clone(),
                    summary: issue.summary.clone(),
                    labels: issue.labels.clone(),
                    status: issue.status.clone(),
                    properties: issue.properties.clone(),
                })
                .collect()
        })
    }

    /// Someone edits a label away; false when the issue does not have it.
    pub fn remove_label(&self, key: &str, label: &str) -> bool {
        self.world.jira.with_state(|state| {
            let Some(issue) = state.issues.find_mut(key) else { return false };
            let before = issue.labels.len();
            issue.labels.retain(|known| known != label);
            issue.labels.len() < before
        })
    }

    /// Moves an issue to a status (`To Do`, `In Progress`, `Done`); false when there is no such
    /// issue.
    pub fn set_issue_status(&self, key: &str, status: &str) -> bool {
        self.world.jira.with_state(|state| {
            state.issues.find_mut(key).map(|issue| issue.status = status.to_owned()).is_some()
        })
    }

    /// Which priorities the Jira projects allow, by name; `Blocker` is among the default ones.
    pub fn set_jira_priorities(&self, names: &[&str]) {
        self.world.jira.with_state(|state| {
            state.priorities = names.iter().map(|name| (*name).to_owned()).collect();
        });
    }

    /// Whether the create screen has the priority field.
    pub fn set_jira_priority_field(&self, is_on_screen: bool) {
        self.world.jira.with_state(|state| state.has_priority_field = is_on_screen);
    }

    /// Makes a Jira field required on create, e.g. `customfield_10010` (a select).
    pub fn require_jira_field(&self, field: &str) {
        self.world.jira.with_state(|state| state.required_fields.insert(field.to_owned()));
    }

    fn change_incident(
        &self,
        id: &str,
        change: impl FnOnce(&mut crate::pagerduty::Incident),
    ) -> bool {
        self.world.pagerduty.with_state(|state| state.incidents.get_mut(id).map(change).is_some())
    }
}
