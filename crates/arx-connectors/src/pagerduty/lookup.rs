//! Finds every incident that ever carried a key on a service.

use arx_gateway::{Call, CallError, Request};
use serde_json::Value;

use super::wire::{Incident, Page};
use super::{complaint, malformed, with_headers};

/// Largest page.
const PAGE: usize = 100;
/// The vendor pages no further than 10,000 incidents.
const PAGES_MAX: usize = 100;

/// A look-up of one key on one service, over all statuses and all time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub incident_key: &'a str,
    pub service: &'a str,
}

impl Search<'_> {
    /// Every incident with the key, the oldest first.
    ///
    /// # Errors
    /// When not all of them can be read: half an answer proves no absence.
    pub async fn run(self, call: Call<'_>) -> Result<Vec<Incident>, CallError> {
        // A blank key would mean every open incident of the account.
        if self.incident_key.trim().is_empty() {
            return Err(call.parameters("`incident_key` is empty"));
        }
        let mut found = Vec::new();
        for page in 0..PAGES_MAX {
            let request = with_headers(self.request(page), call);
            let reply = call.http.send(call.permit, request).await.map_err(|e| call.failed(e))?;
            if !reply.is_success() {
                return Err(call.refused(&reply, &complaint(&reply).message()));
            }
            let body: Option<Value> = reply.json().ok();
            let list = body.and_then(|body| Page::read(&body, "incidents", PAGE));
            let list = list.ok_or_else(|| malformed(call, "a list of incidents", &reply))?;
            found.extend(self.matching(&list.items));
            if !list.more {
                found.sort_by_key(Incident::age);
                found.dedup_by(|a, b| a.id == b.id);
                return Ok(found);
            }
        }
        let message = format!("more than {} incidents match one key", PAGE * PAGES_MAX);
        Err(CallError::Malformed { vendor: super::SPEC.title, message })
    }

    pub(super) fn request(self, page: usize) -> Request {
        let request = Request::get("/incidents")
            .query("incident_key", self.incident_key)
            .query("service_ids[]", self.service)
            .query("statuses[]", "triggered")
            .query("statuses[]", "acknowledged")
            .query("statuses[]", "resolved")
            .query("date_range", "all")
            .query("limit", PAGE.to_string());
        if page == 0 { request } else { request.query("offset", (page * PAGE).to_string()) }
    }

    /// The incidents of a page that really carry the key on the service, whatever the vendor
    /// made of the query.
    pub(super) fn matching(self, items: &[Value]) -> impl Iterator<Item = Incident> {
        items.iter().filter_map(Incident::read).filter(move |incident| {
            incident.incident_key.as_deref() == Some(self.incident_key)
                && incident.service.as_deref().is_none_or(|service| service == self.service)
        })
    }
}
