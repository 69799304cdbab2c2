//! Workflows: registered or ever run, with schedule, permissions, versions, fires and stops.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arx_engine::schedule::Timetable;
use arx_journal::registrations::Registration;
use arx_journal::{Fire, JournalError, Reader, RunFilter, Stop, WorkflowVersion, World};
use arx_policy::Policy;
use arx_types::{Digest, RunStatus};
use arx_workflow::bundle::{self, Manifest, Schedule};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Page;
use super::permission::{self, Permission};
use super::run::RunView;
use crate::daemon::Handle;
use crate::web::times::At;

/// Fire times that are shown.
const NEXT_SHOWN: usize = 5;
/// Versions that are shown.
const VERSIONS_SHOWN: usize = 20;
/// Versions of workflows whose texts are kept understood.
const KNOWN_MAX: usize = 4096;

/// A version of a workflow, understood.
pub(crate) struct Known {
    pub(crate) manifest: Manifest,
    pub(crate) policy: Option<Policy>,
    permissions: Vec<Permission>,
    /// The schedule by which it runs here.
    schedule: Option<Schedule>,
    timetable: Option<Timetable>,
    /// The next time of the schedule that was computed last.
    next: Mutex<Option<(Timestamp, Timestamp)>>,
}

impl Known {
    fn of(version: &WorkflowVersion, daemon: &Handle) -> Option<Self> {
        let specs = permission::specs();
        let catalogue: Vec<_> = specs.iter().map(|spec| (spec.name, spec.operations)).collect();
        let manifest = bundle::parse("arx.yaml", &version.manifest, &catalogue).ok()?;
        let policy = Policy::compile(&manifest.policy, &manifest.bound()).ok();
        let schedule = manifest.schedule.as_ref().map(|own| daemon.schedule(own));
        let timetable = schedule.as_ref().and_then(|schedule| Timetable::new(schedule).ok());
        let permissions = policy.as_ref().map(permission::all).unwrap_or_default();
        Some(Self { manifest, policy, permissions, schedule, timetable, next: Mutex::new(None) })
    }

    /// The next times of its schedule.
    fn times(&self, now: Timestamp, n: usize) -> Vec<At> {
        let times = self.timetable.as_ref().map(|timetable| timetable.next(now, n));
        times.into_iter().flatten().map(|time| At(time.timestamp())).collect()
    }

    /// The next time of its schedule; asked for a thousand workflows at once.
    fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let timetable = self.timetable.as_ref()?;
        let mut kept = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        match *kept {
            Some((since, next)) if since <= now && now < next => Some(next),
            _ => {
                let next = timetable.next(now, 1).first()?.timestamp();
                *kept = Some((now, next));
                Some(next)
            }
        }
    }
}

/// Versions that were understood before; a version never changes.
pub(crate) struct Library {
    daemon: Handle,
    known: Mutex<HashMap<Digest, Option<Arc<Known>>>>,
}

impl Library {
    /// An empty one, for the schedules of this daemon.
    pub(crate) fn new(daemon: Handle) -> Self {
        Self { daemon, known: Mutex::default() }
    }

    /// A version, understood; `None` where this program does not understand it.
    pub(crate) fn version(
        &self,
        reader: &Reader<'_>,
        digest: &Digest,
    ) -> Result<Option<Arc<Known>>, JournalError> {
        let lock = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(digest) {
            return Ok(known.clone());
        }
        let known = reader.workflow_version(digest)?;
        let known = known.and_then(|version| Known::of(&version, &self.daemon)).map(Arc::new);
        let mut all = lock();
        if all.len() >= KNOWN_MAX {
            all.clear();
        }
        all.insert(*digest, known.clone());
        Ok(known)
    }
}

/// A workflow in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WorkflowHead {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) description: Option<String>,
    /// Who answers for it.
    pub(crate) owner: Option<String>,
    /// The registration, where its schedule is run by this daemon.
    pub(crate) registered: Option<RegistrationView>,
    /// The stop that holds, where one does.
    pub(crate) stopped: Option<StopView>,
    /// When its schedule fires next.
    pub(crate) next: Option<At>,
    /// Its newest run.
    pub(crate) last_run: Option<RunView>,
}

/// That a workflow's schedule is run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RegistrationView {
    /// The version that runs.
    pub(crate) version: String,
    /// Since when.
    pub(crate) at: At,
    /// Who registered it.
    pub(crate) by: String,
    /// Since when the schedule is paused.
    pub(crate) paused_at: Option<At>,
    /// Who paused it.
    pub(crate) paused_by: Option<String>,
}

impl RegistrationView {
    fn of(registration: &Registration) -> Self {
        Self {
            version: registration.version.to_string(),
            at: registration.registered_at.into(),
            by: registration.registered_by.clone(),
            paused_at: registration.paused.as_ref().map(|(at, _)| At(*at)),
            paused_by: registration.paused.as_ref().map(|(_, by)| by.clone()),
        }
    }
}

/// A stop.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StopView {
    /// The workflow.
    pub(crate) workflow: String,
    /// Since when.
    pub(crate) at: At,
    /// Who stopped it.
    pub(crate) by: String,
    /// Why.
    pub(crate) reason: String,
    /// Until when.
    pub(crate) lifted_at: Option<At>,
    /// Who lifted it.
    pub(crate) lifted_by: Option<String>,
}

impl StopView {
    pub(crate) fn of(stop: &Stop) -> Self {
        Self {
            workflow: stop.workflow.clone(),
            at: stop.at.into(),
            by: stop.by.clone(),
            reason: stop.reason.clone(),
            lifted_at: stop.lifted_at.map(At),
            lifted_by: stop.lifted_by.clone(),
        }
    }
}

/// A workflow with everything that is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WorkflowDetail {
    /// The workflow.
    #[serde(flatten)]
    pub(crate) head: WorkflowHead,
    /// Whether this program understands its version.
    pub(crate) understood: bool,
    /// When it runs.
    pub(crate) schedule: Option<ScheduleView>,
    /// What it may do.
    pub(crate) permissions: Vec<Permission>,
    /// What bounds it.
    pub(crate) limits: Vec<String>,
    /// Who decides what it asks.
    pub(crate) approvals: Option<ApprovalsView>,
    /// Its versions, newest first.
    pub(crate) versions: Vec<VersionView>,
}

/// When a workflow runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    /// The cron expression.
    pub(crate) cron: String,
    /// The time zone that it is in.
    pub(crate) timezone: String,
    /// What happens when the run before is not over: `forbid` or `queue`.
    pub(crate) overlap: String,
    /// What happens after a downtime: `latest`, `all` or `none`.
    pub(crate) catch_up: String,
    /// Its own cron expression, where this daemon was told to run everything by another one.
    pub(crate) instead_of: Option<String>,
    /// The next times.
    pub(crate) next: Vec<At>,
}

/// Who decides.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalsView {
    /// Who is asked.
    pub(crate) approvers: Vec<String>,
    /// How many must say yes.
    pub(crate) quorum: u32,
    /// How long a request is good.
    pub(crate) expires: String,
    /// Calls with a higher score are put to a human.
    pub(crate) risk_threshold: u8,
}

/// A version of a workflow.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// The digest of the bundle.
    pub(crate) version: String,
    /// The digest of its policy.
    pub(crate) policy_version: String,
    /// When it was recorded first.
    pub(crate) recorded_at: At,
}

/// A time at which a workflow was due, and what came of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FireView {
    /// Its number.
    pub(crate) n: u64,
    /// Why it was due: its schedule, a time that was missed, or somebody.
    pub(crate) cause: String,
    /// When it was due.
    pub(crate) due_at: At,
    /// How many times of the schedule it stands for.
    pub(crate) n_due: u64,
    /// Who asked for it, where somebody did.
    pub(crate) actor: String,
    /// Where it stands.
    pub(crate) state: String,
    /// Why it was skipped.
    pub(crate) reason: Option<String>,
    /// The run that it became.
    pub(crate) run: Option<String>,
}

impl FireView {
    pub(crate) fn of(fire: &Fire) -> Self {
        Self {
            n: fire.n,
            cause: fire.cause.as_str().to_owned(),
            due_at: fire.due_at.into(),
            n_due: fire.n_due,
            actor: fire.actor.clone(),
            state: fire.state.as_str().to_owned(),
            reason: fire.reason.clone(),
            run: fire.run.as_ref().map(ToString::to_string),
        }
    }
}

/// The names of all workflows, registered or ever run, in order.
fn names(reader: &Reader<'_>) -> Result<BTreeSet<String>, JournalError> {
    let mut names: BTreeSet<String> = reader.workflow_names()?.into_iter().collect();
    names.extend(reader.registrations()?.into_iter().map(|registration| registration.workflow));
    Ok(names)
}

/// Whether a workflow is known here.
pub(crate) fn is_known(reader: &Reader<'_>, name: &str) -> Result<bool, JournalError> {
    Ok(reader.registration(name)?.is_some() || !reader.versions(name, 1)?.is_empty())
}

/// A page of workflows by name.
pub(crate) fn list(
    reader: &Reader<'_>,
    library: &Library,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<WorkflowHead>, JournalError> {
    let names = names(reader)?;
    let wanted = names.iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
    let some: Vec<&String> = wanted.take(limit + 1).collect();
    let page = Page::cut(some, limit, |name| (*name).clone());
    let mut items = Vec::with_capacity(page.items.len());
    for name in page.items {
        items.push(head(reader, library, name, now)?.0);
    }
    Ok(Page { items, next: page.next })
}

fn head(
    reader: &Reader<'_>,
    library: &Library,
    name: &str,
    now: Timestamp,
) -> Result<(WorkflowHead, Option<Arc<Known>>), JournalError> {
    let registration = reader.registration(name)?;
    let newest = RunFilter { workflow: Some(name.to_owned()), limit: 1, ..RunFilter::default() };
    let last = reader.runs(&newest)?.into_iter().next();
    let digest = match (&registration, &last) {
        (Some(registration), _) => Some(registration.version),
        (None, Some(run)) => Some(run.version),
        (None, None) => reader.versions(name, 1)?.first().map(|(version, _)| version.digest),
    };
    let known = match digest {
        Some(digest) => library.version(reader, &digest)?,
        None => None,
    };
    let metadata = known.as_ref().map(|known| &known.manifest.metadata);
    let runs = registration.as_ref().is_some_and(|registration| registration.paused.is_none());
    let head = WorkflowHead {
        name: name.to_owned(),
        description: metadata.and_then(|metadata| metadata.description.clone()),
        owner: metadata.and_then(|metadata| metadata.owner.clone()),
        registered: registration.as_ref().map(RegistrationView::of),
        stopped: reader.active_stop(name)?.as_ref().map(StopView::of),
        next: known.as_ref().filter(|_| runs).and_then(|known| known.next(now)).map(At),
        last_run: last.as_ref().map(RunView::of),
    };
    Ok((head, known))
}

/// A workflow with everything that is known of it; `None` where none is called that.
pub(crate) fn detail(
    reader: &Reader<'_>,
    library: &Library,
    name: &str,
    now: Timestamp,
) -> Result<Option<WorkflowDetail>, JournalError> {
    if !is_known(reader, name)? {
        return Ok(None);
    }
    let (head, known) = head(reader, library, name, now)?;
    let versions = reader.versions(name, VERSIONS_SHOWN)?;
    let versions = versions.into_iter().map(|(version, at)| VersionView {
        version: version.digest.to_string(),
        policy_version: version.policy_version,
        recorded_at: at.into(),
    });
    let known = known.as_deref();
    let policy = known.and_then(|known| known.policy.as_ref());
    let limits = policy.map(|policy| {
        let of = |limit: &arx_policy::Limit| {
            let (operation, max, per) = (limit.operation(), limit.max(), limit.window());
            format!("{operation}: at most {max} in {per}, beyond: {}", limit.beyond().as_str())
        };
        policy.limits().iter().map(of).collect()
    });
    let schedule = known.and_then(|known| {
        let own = known.manifest.schedule.as_ref()?;
        let schedule = known.schedule.as_ref()?;
        Some(ScheduleView {
            instead_of: (schedule.cron != own.cron).then(|| own.cron.clone()),
            cron: schedule.cron.clone(),
            timezone: schedule.timezone.clone(),
            overlap: word(&schedule.overlap),
            catch_up: word(&schedule.catch_up),
            next: known.times(now, NEXT_SHOWN),
        })
    });
    Ok(Some(WorkflowDetail {
        understood: known.is_some(),
        schedule,
        permissions: known.map(|known| known.permissions.clone()).unwrap_or_default(),
        limits: limits.unwrap_or_default(),
        approvals: policy.map(|policy| {
            let def = policy.def();
            ApprovalsView {
                approvers: def.approvals.approvers.clone(),
                quorum: def.approvals.quorum,
                expires: def.approvals.expires.to_string(),
                risk_threshold: def.risk_threshold,
            }
        }),
        versions: versions.collect(),
        head,
    }))
}

/// The word that `arx.yaml` has for a choice.
fn word(choice: &impl Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A page of a workflow's fires, newest first.
pub(crate) fn fires(
    reader: &Reader<'_>,
    world: &World,
    name: &str,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<FireView>, JournalError> {
    let found = reader.fires(name, world, before, limit + 1)?;
    let page = Page::cut(found, limit, |fire| fire.n.to_string());
    Ok(page.map(|fire| FireView::of(&fire)))
}

/// The next fires of all registered workflows.
pub(crate) fn next_fires(
    reader: &Reader<'_>,
    library: &Library,
    now: Timestamp,
    n: usize,
) -> Result<Vec<(String, At)>, JournalError> {
    let mut next = Vec::new();
    for registration in reader.registrations()? {
        if registration.paused.is_some() {
            continue;
        }
        let known = library.version(reader, &registration.version)?;
        if let Some(at) = known.and_then(|known| known.next(now)) {
            next.push((registration.workflow, At(at)));
        }
    }
    next.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    next.truncate(n);
    Ok(next)
}

/// Runs of a workflow that are under way now.
pub(crate) fn under_way(reader: &Reader<'_>, name: &str) -> Result<Vec<String>, JournalError> {
    let running = reader.runs(&RunFilter {
        workflow: Some(name.to_owned()),
        status: Some(RunStatus::Running),
        limit: 10,
        ..RunFilter::default()
    })?;
    Ok(running.into_iter().map(|run| run.id.to_string()).collect())
}
