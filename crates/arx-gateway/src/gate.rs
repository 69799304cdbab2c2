//! The pipeline: bind, score, decide, record, permit, send, settle, record.
//!
//! INVARIANT (intent before effect): a write is sent only after its decision and its intent are
//! on disk, in one transaction.
//! INVARIANT (one effect per intent): an effect that is done is answered from the record; one
//! that may have happened is looked up at the vendor before anything is sent.
//! INVARIANT (fail closed): what cannot be decided or recorded does not happen.

mod admit;
mod preflight;
mod send;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arx_journal::Journal;
use arx_types::{EffectKey, OperationSpec, RunId};

pub use preflight::{CHECK_OPERATION, Checked};

use crate::action::{Action, EffectReply, GateError, Reply, RunContext};
use crate::credentials::Environment;
use crate::vendors::{Binding, Budgets, SetupError, Vendor};
use admit::Admission;

/// How often one write may be sent again after it provably did not happen.
const SENDS_MAX: u32 = 4;

/// The gate of one workflow in one world.
pub struct Gateway {
    journal: Journal,
    bindings: BTreeMap<&'static str, Binding>,
    vendors: BTreeMap<&'static str, Vendor>,
    setup_errors: Vec<SetupError>,
    in_flight: EffectLocks,
    rehearsal: Rehearsal,
}

impl Gateway {
    /// Joins bound connectors with the environment. Nothing is sent, and connectors that cannot
    /// be set up are kept as errors: see [`Self::setup_errors`].
    #[must_use]
    pub fn new(
        journal: Journal,
        bindings: Vec<Binding>,
        environment: &Environment,
        budgets: &Budgets,
    ) -> Self {
        let bindings: BTreeMap<_, _> =
            bindings.into_iter().map(|binding| (binding.connector.spec().name, binding)).collect();
        let mut vendors = BTreeMap::new();
        let mut setup_errors = Vec::new();
        for (name, binding) in &bindings {
            match Vendor::open(binding, environment, budgets, &journal) {
                Ok(vendor) => drop(vendors.insert(*name, vendor)),
                Err(error) => setup_errors.push(error),
            }
        }
        let (in_flight, rehearsal) = (EffectLocks::default(), Rehearsal::default());
        Self { journal, bindings, vendors, setup_errors, in_flight, rehearsal }
    }

    /// Connectors that cannot be used, and why.
    #[must_use]
    pub fn setup_errors(&self) -> &[SetupError] {
        &self.setup_errors
    }

    /// Whether every vendor is on this machine, as simulators are.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.vendors.values().all(Vendor::is_loopback)
    }

    /// Whether the workflow goes on without this connector.
    #[must_use]
    pub fn is_optional(&self, connector: &str) -> bool {
        self.bindings.get(connector).is_some_and(|binding| binding.optional)
    }

    /// The catalogue entry of an operation, if its connector is bound and has it.
    #[must_use]
    pub fn operation(&self, operation: &arx_types::Operation) -> Option<&'static OperationSpec> {
        let binding = self.bindings.get(operation.connector.as_str())?;
        binding.connector.spec().operation(&operation.name)
    }

    /// Makes one call: decides, records, and only then acts.
    ///
    /// # Errors
    /// See [`GateError`]. Whatever the error, the decision that led to it is recorded, unless it
    /// says that nothing could be recorded; then nothing was sent either.
    pub async fn call(&self, ctx: &Arc<RunContext>, action: Action) -> Result<Reply, GateError> {
        let action = &Arc::new(action);
        let spec = self.operation(&action.operation);
        let Some(effect) = &action.effect else {
            return self.read(ctx, action, spec).await;
        };
        // Two calls of one run for one effect: the second waits and finds the first one's record.
        let _alone = self.in_flight.hold(effect, &action.covers).await;
        let mut sends = 0;
        // Every covered effect is looked up once at most: it is settled then, or the call ends.
        for _ in 0..SENDS_MAX as usize + action.covers.len() {
            if sends == SENDS_MAX {
                break;
            }
            match self.admit(ctx, action, spec).await? {
                Admission::Recorded(reply) => return Ok(reply),
                Admission::DryRun { decision } => {
                    let covered_by = self.rehearsal.take(&ctx.run, effect, &action.covers);
                    let value = rehearsed(covered_by.as_ref().unwrap_or(effect), &decision);
                    let effect = EffectReply { key: effect.clone(), new: true, covered_by };
                    return Ok(Reply { value, effect: Some(effect) });
                }
                Admission::Permitted { permit, intent } => {
                    sends += 1;
                    if let Some(reply) = self.write(ctx, action, &permit, intent).await? {
                        return Ok(reply);
                    }
                }
                Admission::Unsettled { permit, intent } => {
                    sends += 1;
                    if let Some(reply) = self.settle(ctx, &permit, intent, None).await? {
                        return Ok(reply);
                    }
                }
                Admission::CoverUnsettled { permit, intent } => {
                    self.settle(ctx, &permit, intent, None).await?;
                }
            }
        }
        Err(GateError::Call(crate::CallError::Unreachable {
            vendor: self.title(&action.operation.connector),
            message: format!("the request provably had no effect {SENDS_MAX} times"),
        }))
    }

    fn vendor(&self, connector: &str) -> Result<&Vendor, GateError> {
        self.vendors.get(connector).ok_or_else(|| {
            let why = self.setup_errors.iter().find(|error| error.connector() == connector);
            GateError::Unavailable {
                connector: connector.to_owned(),
                why: why.map_or_else(|| "it is not bound".to_owned(), ToString::to_string),
            }
        })
    }

    fn title(&self, connector: &str) -> &'static str {
        self.bindings.get(connector).map_or("the vendor", |binding| binding.connector.spec().title)
    }
}

/// What a write returns that was only decided. Workflows go on with the usual names of what they
/// would have made, so that the calls that follow are decided too.
fn rehearsed(effect: &EffectKey, decision: &arx_types::Decision) -> serde_json::Value {
    serde_json::json!({
        "dry_run": true,
        "verdict": decision.verdict,
        "id": "dry-run",
        "key": "dry-run",
        "number": 0,
        "status": "dry-run",
        "url": format!("dry-run:{effect}"),
    })
}

/// What the dry run under way has covered so far. No effect of a dry run is on record, and yet it
/// has to tell of one page for many what the real run would tell.
#[derive(Default)]
struct Rehearsal {
    covering: Mutex<(Option<RunId>, BTreeMap<EffectKey, EffectKey>)>,
}

impl Rehearsal {
    /// Takes note of what an effect would cover, and says what covers it.
    fn take(&self, run: &RunId, effect: &EffectKey, covers: &[EffectKey]) -> Option<EffectKey> {
        let mut known = self.covering.lock().unwrap_or_else(PoisonError::into_inner);
        // Of one run at a time, so that a gate that outlives many runs does not grow.
        if known.0.as_ref() != Some(run) {
            *known = (Some(run.clone()), BTreeMap::new());
        }
        for covered in covers {
            known.1.entry(covered.clone()).or_insert_with(|| effect.clone());
        }
        known.1.get(effect).cloned()
    }
}

/// One lock for each effect in flight in this process.
#[derive(Default)]
struct EffectLocks {
    locks: Mutex<BTreeMap<EffectKey, Arc<tokio::sync::Mutex<()>>>>,
}

impl EffectLocks {
    /// Waits until nobody else in this process is about the effect or those that it covers.
    async fn hold(&self, key: &EffectKey, covers: &[EffectKey]) -> Held<'_> {
        // In one order for everybody, so that two groups never wait for each other.
        let keys: BTreeSet<EffectKey> = std::iter::once(key).chain(covers).cloned().collect();
        // Dropped last where the caller stops waiting: then it cleans up after the others.
        let mut held = Held { locks: self, keys, guards: Vec::new() };
        let locks: Vec<_> = {
            let mut locks = self.locks();
            held.keys.iter().map(|key| Arc::clone(locks.entry(key.clone()).or_default())).collect()
        };
        for lock in locks {
            held.guards.push(lock.lock_owned().await);
        }
        held
    }

    fn locks(&self) -> MutexGuard<'_, BTreeMap<EffectKey, Arc<tokio::sync::Mutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Effects that one call is about, until it is dropped.
struct Held<'l> {
    locks: &'l EffectLocks,
    keys: BTreeSet<EffectKey>,
    guards: Vec<tokio::sync::OwnedMutexGuard<()>>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.guards.clear();
        let mut locks = self.locks.locks();
        for key in &self.keys {
            // One that nobody holds or waits for has one owner: the map.
            if locks.get(key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
                locks.remove(key);
            }
        }
    }
}
