//! The levers behind the vendors' backs: what operators, other people and time would do.
//!
//! Nothing done here appears in the ledger, which holds what clients wrote.

use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use crate::estate::Detection;
use crate::pagerduty::{Status, incident_url};
use crate::wave::Expected;
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

/// A ticket as the people who work on it see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketView {
    /// The vendor's id.
    pub sys_id: String,
    /// E.g. `INC0010101`.
    pub number: String,
    /// The table it is in.
    pub table: String,
    /// Stored value of its state.
    pub state: String,
    /// How often it was changed.
    pub mod_count: u64,
    /// Its work notes, oldest first.
    pub work_notes: Vec<String>,
    /// What a verifier with sound settings should make of it; none where it was not part of the
    /// scenario's patch wave.
    pub expected: Option<Expected>,
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

    /// Requests that reached a vendor since the start, those that a fault struck included.
    pub fn requests(&self, vendor: Vendor) -> u64 {
        self.world.shared.requests(vendor)
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

    /// Every ticket of every table, oldest first.
    pub fn tickets(&self) -> Vec<TicketView> {
        self.world.servicenow.with_state(|state| state.tickets(&self.world.shared.wave))
    }

    /// A colleague changes fields of a ticket, by its number; false when there is none.
    ///
    /// `work_notes` and `comments` add an entry, as they do for clients.
    pub fn edit_ticket(&self, number: &str, fields: &[(&str, &str)]) -> bool {
        let shared = &self.world.shared;
        self.world.servicenow.with_state(|state| state.edit_number(shared, number, fields))
    }

    /// Sends a ticket back to the state that waits for verification.
    pub fn reopen_ticket(&self, number: &str) -> bool {
        let table = self.tickets().into_iter().find(|ticket| ticket.number == number);
        let state = table.map(|ticket| crate::servicenow::pending_state(&ticket.table));
        state.is_some_and(|state| {
            let fields = [("state", state), ("close_code", ""), ("close_notes", "")];
            self.edit_ticket(number, &fields)
        })
    }

    /// The account may read a field of a ticket and not write it; the reply does not say so.
    pub fn ignore_ticket_field(&self, number: &str, field: &str) -> bool {
        self.world.servicenow.with_state(|state| state.ignore_field(number, field))
    }

    /// Hides a ticket from the account, or shows it again.
    pub fn restrict_ticket(&self, number: &str, is_restricted: bool) -> bool {
        self.world.servicenow.with_state(|state| state.restrict(number, is_restricted))
    }

    /// Deletes the configuration item of a ticket; the reference stays.
    pub fn delete_ci(&self, number: &str) -> bool {
        self.world.servicenow.with_state(|state| state.delete_item(number))
    }

    /// Adds a choice, or changes the label of one: `("incident", "state", "15", "Check patch")`.
    pub fn set_choice(&self, table: &str, element: &str, value: &str, label: &str) {
        let at = self.world.shared.now();
        self.world.servicenow.with_state(|state| {
            state.set_choice(at, [table, element, value], Some(label));
        });
    }

    /// Takes a choice out of use.
    pub fn remove_choice(&self, table: &str, element: &str, value: &str) {
        let at = self.world.shared.now();
        self.world.servicenow.with_state(|state| {
            state.set_choice(at, [table, element, value], None);
        });
    }

    /// Whether the ServiceNow account may close (7) what it may resolve (6).
    pub fn set_can_close(&self, can_close: bool) {
        self.world.servicenow.with_state(|state| state.can_close = can_close);
    }

    /// `glide.invalid_query.returns_no_rows`: a query with a bad term finds nothing at all.
    pub fn set_strict_queries(&self, is_strict: bool) {
        self.world.servicenow.with_state(|state| state.has_strict_queries = is_strict);
    }

    /// Qualys scans a host of the patch wave again, by its name or address, and finds every
    /// detection as it was. Gives how many records that were.
    pub fn rescan(&self, host: &str, is_authenticated: bool) -> usize {
        let at = self.world.shared.now().as_second();
        let mut all = self.world.shared.wave.scanned();
        let found = all.iter_mut().filter(|scanned| scanned.is_called(host));
        found
            .map(|scanned| {
                scanned.scanned = Some(at);
                if is_authenticated {
                    scanned.authenticated = Some(at);
                }
                for detection in &mut scanned.detections {
                    detection.last_test = at;
                    if detection.status != "Fixed" {
                        detection.last_found = at;
                    }
                }
            })
            .count()
    }

    /// Sets what the latest scan says of a QID on a host of the patch wave, as tested at a time:
    /// `New`, `Active`, `Re-Opened` or `Fixed`. False when there is no such host, QID or status.
    pub fn set_detection(&self, host: &str, qid: u32, status: &str, tested: Timestamp) -> bool {
        let known = ["New", "Active", "Re-Opened", "Fixed"].into_iter().find(|s| *s == status);
        let estate = &self.world.shared.estate;
        let index = estate.qids.iter().position(|entry| entry.qid == qid);
        let (Some(status), Some(index)) = (known, index) else { return false };
        let at = tested.as_second();
        let mut all = self.world.shared.wave.scanned();
        let Some(host) = all.iter_mut().find(|scanned| scanned.is_called(host)) else {
            return false;
        };
        let next = host.host_id * 1_000 + host.detections.len() as u64;
        let fixed = (status == "Fixed").then_some(at);
        match host.detections.iter_mut().find(|detection| detection.qid == index) {
            Some(detection) => {
                (detection.status, detection.last_test) = (status, at);
                detection.last_fixed = fixed.or(detection.last_fixed);
                if fixed.is_none() {
                    detection.last_found = at;
                }
            }
            None => host.detections.push(Detection {
                id: next,
                qid: index,
                port: None,
                status,
                first_found: at,
                last_found: at,
                last_test: at,
                last_fixed: fixed,
                times_found: 1,
            }),
        }
        true
    }

    /// Every CrowdStrike token issued so far stops working.
    pub fn expire_crowdstrike_tokens(&self) {
        self.world.crowdstrike.expire_tokens();
    }

    /// Whether the CrowdStrike client has the scope `Hosts: READ`.
    pub fn set_crowdstrike_scope(&self, may_read_hosts: bool) {
        self.world.crowdstrike.set_scope(may_read_hosts);
    }

    /// Puts a sensor's connection at `online`, `offline` or `unknown`, by host name or id.
    /// Gives how many records that were.
    pub fn set_sensor_state(&self, host: &str, state: &str) -> usize {
        let known = ["online", "offline", "unknown"].into_iter().find(|known| *known == state);
        let mut all = self.world.shared.wave.sensors();
        let found = all.iter_mut().filter(|sensor| sensor.is_called(host));
        known.map_or(0, |state| found.map(|sensor| sensor.state = Some(state)).count())
    }

    /// Cuts a host off the network, or lets it back: `contained`, `normal`, ….
    pub fn set_containment(&self, host: &str, status: &str) -> usize {
        const STATUSES: [&str; 4] =
            ["normal", "containment_pending", "contained", "lift_containment_pending"];
        let known = STATUSES.into_iter().find(|known| *known == status);
        let mut all = self.world.shared.wave.sensors();
        let found = all.iter_mut().filter(|sensor| sensor.is_called(host));
        known.map_or(0, |status| found.map(|sensor| sensor.status = status).count())
    }
}
