//! What a person wants to know first: what ran, what it did, what waits for them, and that it can
//! be proven.

use arx_journal::{ApprovalState, JournalError, Reader, World};
use arx_types::RunStatus;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::approval::{self, ApprovalHead};
use super::audit::CheckpointView;
use super::effect::{self, EffectView};
use super::run::{self, RunView};
use super::workflow::{self, Library, StopView};
use super::{COUNT_MAX, Count};
use crate::daemon::VendorHealth;
use crate::web::times::At;

/// Entries of each list on the overview.
const SHOWN: usize = 8;
/// Over how long saved time is added up.
const SAVED_OVER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The overview.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Where runs of this daemon have their effects.
    pub(crate) world: String,
    /// Requests that wait for a human, the newest first.
    pub(crate) waiting: Vec<ApprovalHead>,
    /// How many wait.
    pub(crate) n_waiting: Count,
    /// Effects that a human must settle.
    pub(crate) attention: Vec<EffectView>,
    /// How many need that.
    pub(crate) n_attention: Count,
    /// The newest runs.
    pub(crate) runs: Vec<RunView>,
    /// How many runs are in which state; of those that are not over, and those that failed.
    pub(crate) n_running: Count,
    /// Runs that wait for approval.
    pub(crate) n_parked: Count,
    /// Runs that failed.
    pub(crate) n_failed: Count,
    /// The next fires.
    pub(crate) next: Vec<NextFire>,
    /// Stops that hold.
    pub(crate) stops: Vec<StopView>,
    /// Minutes saved in the last 30 days.
    pub(crate) minutes_saved: u64,
    /// Vendors that were asked anything since the daemon's start.
    pub(crate) vendors: Vec<VendorView>,
    /// Leaves of the audit log.
    pub(crate) leaves: u64,
    /// The newest checkpoint.
    pub(crate) checkpoint: Option<CheckpointView>,
}

/// A fire to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct NextFire {
    /// The workflow.
    pub(crate) workflow: String,
    /// When.
    pub(crate) at: At,
}

/// How a vendor answers, and what is left of its rate budget.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VendorView {
    /// The connector.
    pub(crate) connector: String,
    /// Its name for people.
    pub(crate) title: String,
    /// The host that is asked.
    pub(crate) host: String,
    /// Requests that the budget allows; absent where there is no limit.
    pub(crate) limit: Option<u32>,
    /// In so many seconds.
    pub(crate) limit_seconds: Option<u64>,
    /// Requests of them that may be sent now.
    pub(crate) available: Option<u32>,
    /// Until when the vendor asked to be left alone.
    pub(crate) held_until: Option<At>,
    /// When it last answered well.
    pub(crate) last_success: Option<At>,
    /// When a request last failed.
    pub(crate) last_failure_at: Option<At>,
    /// How.
    pub(crate) last_failure: Option<String>,
}

impl VendorView {
    pub(crate) fn of(health: VendorHealth) -> Self {
        let (failed_at, failure) = health.last_failure.unzip();
        let (limit, limit_seconds) = health.limit.unzip();
        Self {
            connector: health.connector,
            title: health.title,
            host: health.host,
            limit,
            limit_seconds,
            available: health.available,
            held_until: health.held_until.map(At),
            last_success: health.last_success.map(At),
            last_failure_at: failed_at.map(At),
            last_failure: failure,
        }
    }

    /// Whether the last word of it was a failure.
    pub(crate) fn is_failing(&self) -> bool {
        self.last_failure_at.is_some_and(|failed| self.last_success.is_none_or(|ok| ok < failed))
    }
}

/// Reads the overview.
pub(crate) fn read(
    reader: &Reader<'_>,
    library: &Library,
    world: &World,
    vendors: Vec<VendorView>,
    now: Timestamp,
) -> Result<Overview, JournalError> {
    let pending = Some(ApprovalState::Pending);
    let attention = effect::attention(reader)?;
    let n_runs = |status| Ok::<_, JournalError>(Count::of(reader.n_runs(status, COUNT_MAX + 1)?));
    let newest = run::Asked { limit: SHOWN, ..run::Asked::default() };
    let stops = reader.stops()?;
    Ok(Overview {
        world: world.to_string(),
        waiting: approval::list(reader, pending, None, SHOWN, now)?.items,
        n_waiting: Count::of(reader.n_approvals(ApprovalState::Pending, COUNT_MAX + 1)?),
        attention: attention.into_iter().take(SHOWN).collect(),
        n_attention: Count::of(reader.n_effects_needing_attention(COUNT_MAX + 1)?),
        runs: run::list(reader, &newest)?.items,
        n_running: n_runs(RunStatus::Running)?,
        n_parked: n_runs(RunStatus::Parked)?,
        n_failed: n_runs(RunStatus::Failed)?,
        next: workflow::next_fires(reader, library, now, SHOWN)?
            .into_iter()
            .map(|(workflow, at)| NextFire { workflow, at })
            .collect(),
        stops: stops.iter().filter(|stop| stop.lifted_at.is_none()).map(StopView::of).collect(),
        minutes_saved: reader.minutes_saved(now.saturating_sub(SAVED_OVER).unwrap_or(now))?,
        vendors,
        leaves: reader.tree_size()?,
        checkpoint: reader.last_checkpoint()?.as_ref().map(CheckpointView::of),
    })
}
