//! What every request sees: the services and what they share.
//!
//! A service is a pure function of a request and its own state; it never touches a socket.
//! A further vendor is one module, one variant of [`crate::Vendor`] and one line here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use crate::crowdstrike::CrowdStrike;
use crate::estate::Estate;
use crate::faults::{Armed, Fault};
use crate::http::{Reply, Request, Route};
use crate::jira::Jira;
use crate::ledger::{Ledger, Write};
use crate::pagerduty::PagerDuty;
use crate::qualys::Qualys;
use crate::servicenow::{self, ServiceNow};
use crate::wave::Wave;
use crate::wiz::Wiz;
use crate::{Options, SimError, Vendor};

/// What all services share.
pub(crate) struct Shared {
    pub estate: Estate,
    pub wave: Wave,
    pub ledger: Ledger,
    pub faults: Armed,
    pub seed: u64,
    down: [AtomicBool; Vendor::ALL.len()],
    requests: [AtomicU64; Vendor::ALL.len()],
    /// Where the vendors' clock stands still, if it does.
    pinned: Option<Timestamp>,
    /// How far the vendors' clock is ahead, in milliseconds.
    ahead_ms: AtomicI64,
}

impl Shared {
    /// The vendors' time.
    pub fn now(&self) -> Timestamp {
        let ahead = self.ahead_ms.load(Ordering::Relaxed).milliseconds();
        let now = self.pinned.unwrap_or_else(real_time);
        now.checked_add(ahead).unwrap_or(now)
    }

    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX / 4);
        self.ahead_ms.fetch_add(by, Ordering::Relaxed);
    }

    /// Puts an accepted write into the ledger; callers hold the lock that made it true.
    pub fn record(&self, write: Write) {
        self.ledger.append(self.now(), write);
    }

    /// Counts a request as it arrives.
    pub fn count(&self, vendor: Vendor) {
        if let Some(requests) = self.requests.get(vendor as usize) {
            requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn requests(&self, vendor: Vendor) -> u64 {
        self.requests.get(vendor as usize).map_or(0, |requests| requests.load(Ordering::Relaxed))
    }

    pub fn is_down(&self, vendor: Vendor) -> bool {
        self.down.get(vendor as usize).is_some_and(|down| down.load(Ordering::Relaxed))
    }

    pub fn set_down(&self, vendor: Vendor, is_down: bool) {
        if let Some(down) = self.down.get(vendor as usize) {
            down.store(is_down, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the vendors keep their own time")]
fn real_time() -> Timestamp {
    Timestamp::now()
}

/// Why a service refuses a request it would otherwise answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refusal {
    TooMany {
        after_s: u64,
    },
    /// A limit that the vendor documents was exceeded.
    OverLimit {
        after_s: u64,
    },
    ServerError,
    Unavailable,
}

/// One simulated vendor.
pub(crate) trait Service: Send + Sync {
    fn vendor(&self) -> Vendor;
    /// Whether a path is this vendor's.
    fn claims(&self, path: &str) -> bool;
    fn routes(&self) -> &'static [Route];
    /// Tells operations of one endpoint apart by the request's body.
    fn refine(&self, operation: &'static str, _req: &Request) -> &'static str {
        operation
    }
    /// `open` holds the segments that the route's pattern left open.
    fn answer(&self, req: &Request, operation: &str, open: &[&str], faults: &[Fault]) -> Reply;
    /// The vendor's own words for a path it does not have.
    fn missing(&self, req: &Request) -> Reply;
    /// The vendor's own words for a refusal.
    fn refuse(&self, req: &Request, refusal: Refusal) -> Reply;
}

pub(crate) struct World {
    pub shared: Arc<Shared>,
    pub wiz: Wiz,
    pub qualys: Qualys,
    pub pagerduty: PagerDuty,
    pub jira: Jira,
    pub crowdstrike: CrowdStrike,
    pub servicenow: ServiceNow,
}

impl World {
    pub fn new(options: &Options) -> Result<Self, SimError> {
        let estate = Estate::new(&options.scenario, options.seed);
        let ledger = Ledger::open(options.ledger.as_deref())?;
        // A second process on one ledger must see the same scans at the same times.
        let started = options.now.unwrap_or_else(real_time);
        let at = servicenow::wave_time(&ledger).unwrap_or(started);
        let shared = Arc::new(Shared {
            wave: Wave::new(&options.scenario, &estate, at),
            estate,
            ledger,
            faults: Armed::new(options.faults.clone(), options.seed),
            seed: options.seed,
            down: Default::default(),
            requests: Default::default(),
            pinned: options.now,
            ahead_ms: AtomicI64::new(0),
        });
        Ok(Self {
            wiz: Wiz::new(shared.clone()),
            qualys: Qualys::new(shared.clone()),
            pagerduty: PagerDuty::new(shared.clone()),
            jira: Jira::new(shared.clone(), options.jira),
            crowdstrike: CrowdStrike::new(shared.clone()),
            servicenow: ServiceNow::new(shared.clone()),
            shared,
        })
    }

    pub fn services(&self) -> [&dyn Service; Vendor::ALL.len()] {
        [&self.wiz, &self.qualys, &self.pagerduty, &self.jira, &self.crowdstrike, &self.servicenow]
    }
}
