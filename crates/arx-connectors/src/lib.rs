//! The vendors that ARX speaks to, one folder each.
//!
//! A connector declares its catalogue and its auth scheme, builds requests and reads replies. It
//! never holds a secret and never opens a connection: [`arx_gateway::GovernedHttp`] does both,
//! and only for a permit. Start at [`ALL`].

pub mod crowdstrike;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hostname;
pub mod jira;
pub mod pagerduty;
mod params;
pub mod qualys;
#[cfg(test)]
mod scripted;
pub mod servicenow;
mod text;
pub mod wiz;

use std::sync::Arc;

use arx_gateway::{Connector, ConnectorSpec};

/// One vendor: its catalogue entry and how to make its connector.
#[derive(Clone, Copy)]
pub struct Registration {
    /// Everything known without talking to the vendor.
    pub spec: &'static ConnectorSpec,
    /// Makes a connector. One serves one endpoint: what it learns of it (ids, schemas) it keeps.
    pub new: fn() -> Arc<dyn Connector>,
}

/// Every vendor.
pub const ALL: &[Registration] = &[
    Registration { spec: &wiz::SPEC, new: || Arc::new(wiz::Wiz::default()) },
    Registration { spec: &qualys::SPEC, new: || Arc::new(qualys::Qualys::default()) },
    Registration { spec: &pagerduty::SPEC, new: || Arc::new(pagerduty::PagerDuty::default()) },
    Registration { spec: &jira::SPEC, new: || Arc::new(jira::Jira::default()) },
    Registration { spec: &servicenow::SPEC, new: || Arc::new(servicenow::ServiceNow::default()) },
    Registration { spec: &crowdstrike::SPEC, new: || Arc::new(crowdstrike::CrowdStrike) },
];
