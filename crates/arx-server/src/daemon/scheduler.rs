//! Which registered workflows are due, and the record of it.
//!
//! INVARIANT (once due, once fired): the times since the last recorded one are looked at, whatever
//! the clock did; each becomes one row, or part of one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arx_engine::registry::{self, Registered};
use arx_engine::schedule::{Due, Timetable};
use arx_journal::{Fire, Journal, JournalError, NewFire, Registration, World};
use arx_types::Digest;
use arx_workflow::bundle::Schedule;
use jiff::Timestamp;

use crate::launch::specs;

/// Who causes what a schedule causes.
pub(crate) const ACTOR: &str = "schedule";

/// A registered workflow, ready to be asked for its times.
pub(super) struct Entry {
    pub(super) registration: Registration,
    /// `None` where this program does not understand the version.
    pub(super) registered: Option<Arc<Registered>>,
    timetable: Option<Timetable>,
    /// Until here nothing is due; spares asking the timetable at every look.
    quiet_until: Option<Timestamp>,
}

/// The registered workflows of a state directory, in one world.
pub(super) struct Scheduler {
    journal: Journal,
    world: World,
    /// Stands for every schedule; a simulation is watched and not waited for.
    instead: Option<Schedule>,
    entries: BTreeMap<String, Entry>,
    versions: HashMap<Digest, Option<Arc<Registered>>>,
}

impl Scheduler {
    pub(super) fn new(journal: Journal, world: World, instead: Option<Schedule>) -> Self {
        Self { journal, world, instead, entries: BTreeMap::new(), versions: HashMap::new() }
    }

    pub(super) fn entry(&self, workflow: &str) -> Option<&Entry> {
        self.entries.get(workflow)
    }

    /// The timetable by which a workflow runs here, where it has one.
    pub(super) fn timetable(&self, workflow: &str) -> Option<&Timetable> {
        self.entries.get(workflow)?.timetable.as_ref()
    }

    /// Reads what is registered; a version is parsed once.
    pub(super) async fn reload(&mut self) -> Result<(), JournalError> {
        let registrations = self.journal.read(|reader| reader.registrations()).await?;
        let mut entries = BTreeMap::new();
        for registration in registrations {
            let registered = self.version(&registration).await?;
            let before = self.entries.remove(&registration.workflow);
            let entry = match before {
                Some(before) if before.registration == registration => before,
                _ => Entry {
                    timetable: self.timetable_of(&registration, registered.as_deref()),
                    quiet_until: None,
                    registration,
                    registered,
                },
            };
            entries.insert(entry.registration.workflow.clone(), entry);
        }
        self.versions.retain(|version, _| {
            entries.values().any(|entry| entry.registration.version == *version)
        });
        self.entries = entries;
        Ok(())
    }

    async fn version(
        &mut self,
        registration: &Registration,
    ) -> Result<Option<Arc<Registered>>, JournalError> {
        let digest = registration.version;
        if let Some(known) = self.versions.get(&digest) {
            return Ok(known.clone());
        }
        let read = registry::version(&self.journal, &digest, &specs()).await?;
        let registered = match read {
            Ok(registered) => Some(Arc::new(registered)),
            Err(_) => {
                let workflow = &registration.workflow;
                tracing::warn!(%workflow, version = %digest, "the registered version is not understood");
                None
            }
        };
        self.versions.insert(digest, registered.clone());
        Ok(registered)
    }

    fn timetable_of(
        &self,
        registration: &Registration,
        registered: Option<&Registered>,
    ) -> Option<Timetable> {
        let own = registered?.bundle.manifest.schedule.as_ref()?;
        let schedule = self.instead.as_ref().unwrap_or(own);
        match Timetable::new(schedule) {
            Ok(timetable) => Some(timetable),
            Err(reason) => {
                let workflow = &registration.workflow;
                tracing::warn!(%workflow, %reason, "the schedule is never due here");
                None
            }
        }
    }

    /// Records every time that has come since the last recorded one, of all workflows in one
    /// transaction.
    pub(super) async fn record_due(&mut self, now: Timestamp) -> Result<(), JournalError> {
        let mut loud = Vec::new();
        for (name, entry) in &mut self.entries {
            let Some(timetable) = &entry.timetable else { continue };
            let is_quiet = entry.quiet_until.is_some_and(|until| now < until);
            if entry.registration.paused.is_some() || is_quiet {
                continue;
            }
            loud.push((name.clone(), timetable.clone(), entry.registration.clone()));
        }
        if loud.is_empty() {
            return Ok(());
        }
        let world = self.world.clone();
        let due = self.journal.read(move |reader| {
            let mut found = Vec::new();
            for (name, timetable, registration) in loud {
                let after = reader
                    .last_due(&name, &world)?
                    .map_or(registration.due_after, |last| last.max(registration.due_after));
                let due = timetable.due(&name, after, now);
                let last = due.last().map_or(after, |due| due.last);
                let next = timetable.next(last, 1).first().map(|next| next.timestamp());
                found.push((name, registration, due, next));
            }
            Ok::<_, JournalError>(found)
        });
        let due = due.await?;
        let quiet: Vec<_> = due.iter().map(|(name, _, _, next)| (name.clone(), *next)).collect();
        let fires: Vec<(Registration, NewFire)> = due
            .into_iter()
            .flat_map(|(name, registration, due, _)| {
                let world = &self.world;
                let fires = due.into_iter().map(move |due| new_fire(world, &name, due));
                fires.map(move |fire| (registration.clone(), fire)).collect::<Vec<_>>()
            })
            .collect();
        if !fires.is_empty() {
            self.record(fires).await?;
        }
        // Only once they are recorded: what could not be recorded now is due at the next look.
        for (name, next) in quiet {
            if let Some(entry) = self.entries.get_mut(&name) {
                entry.quiet_until = next;
            }
        }
        Ok(())
    }

    async fn record(&self, fires: Vec<(Registration, NewFire)>) -> Result<(), JournalError> {
        self.journal
            .write(move |tx| {
                for (registration, fire) in &fires {
                    // Whoever registered, paused or took it off in the meantime decides.
                    if tx.registration(&registration.workflow)?.as_ref() != Some(registration) {
                        continue;
                    }
                    let recorded = tx.put_fire(fire)?;
                    if let (Some(n), Some(reason)) = (recorded, &fire.skipped) {
                        tx.append_leaf(registry::skipped_leaf(registration, fire, n, reason))?;
                    }
                }
                Ok(())
            })
            .await
    }

    /// Fires that wait and may begin, at most `limit`.
    pub(super) async fn waiting(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Fire>, JournalError> {
        let world = self.world.clone();
        self.journal.read(move |reader| reader.waiting_fires(&world, now, limit)).await
    }
}

fn new_fire(world: &World, workflow: &str, due: Due) -> NewFire {
    NewFire {
        world: world.clone(),
        workflow: workflow.to_owned(),
        cause: due.cause,
        due_at: due.first,
        last_due_at: due.last,
        n_due: due.n,
        not_before: due.not_before,
        actor: ACTOR.to_owned(),
        skipped: due.skipped,
    }
}
