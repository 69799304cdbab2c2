//! Puts runs together: world, simulators, credentials, gate, driver.
//!
//! INVARIANT (configuration first): what is missing or refused is said for all vendors at once,
//! before a run is begun.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arx_connectors::ALL;
use arx_engine::start::{self, Readiness};
use arx_engine::{
    Driver, Embedded, Engine, EngineError, NewRun, Observer, Report, RunError, Workflow,
};
use arx_gateway::{Budgets, CallError, ConnectorSpec, Environment, Gateway, SetupError};
use arx_journal::{Journal, JournalError, Lease, Process, Stop, World};
use arx_sim::{Scenario, Simulators};
use arx_types::{Digest, RunId};
use arx_workflow::bundle::Manifest;
use arx_workflow::host::HostOptions;
use serde_json::Value;
use tokio::sync::watch;

/// What runs of a state directory have in common, whatever their world.
#[derive(Clone)]
pub struct Place {
    /// The record.
    pub journal: Journal,
    /// This process, as others see it who share the state directory.
    pub process: Arc<Process>,
    /// The directory that holds everything.
    pub state_dir: PathBuf,
    /// How a workflow's process is started.
    pub host: HostOptions,
}

/// A world that runs can be driven in.
pub struct Launch {
    place: Place,
    engine: Arc<dyn Engine>,
    world: World,
    simulators: Option<Simulators>,
    /// One process at a time plays a scenario, because its ledger is the vendors' memory.
    _scenario_lock: Option<File>,
    budgets: Budgets,
}

/// A gate whose vendors accept their credentials, and what the reader of the run should know.
pub struct Ready {
    /// The gate.
    pub gateway: Arc<Gateway>,
    /// What is not as it should be, and does not stop the start.
    pub warnings: Vec<String>,
}

/// Why a run cannot be started or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Variables without a value, or with one that makes no endpoint.
    #[error("not every vendor is configured")]
    Missing(Vec<SetupError>),
    /// Vendors that do not accept their credential.
    #[error("not every vendor accepts its credential")]
    Refused(Vec<CallError>),
    /// Somebody stopped the workflow.
    #[error("`{}` is stopped since {} by `{}`: {}", .0.workflow, .0.at, .0.by, .0.reason)]
    Stopped(Box<Stop>),
    /// The effects that the journal knows happened elsewhere.
    #[error(
        "this state directory remembers pages and tickets at {past}; they must not stand for \
         those at {now}"
    )]
    OtherVendors {
        /// Where effects happened so far.
        past: &'static str,
        /// Where they would happen now.
        now: &'static str,
    },
    /// No scenario has this name.
    #[error("{0}")]
    Scenario(String),
    /// Another process plays the scenario.
    #[error("another process plays the scenario `{scenario}` in this state directory")]
    ScenarioTaken {
        /// The scenario.
        scenario: String,
    },
    /// The version that a run started with is not understood by this program.
    #[error("{0}")]
    NotUnderstood(String),
    /// The simulators do not start.
    #[error("cannot start the simulators: {0}")]
    Simulators(String),
    /// The run cannot be begun, gone on with, or its end be recorded.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<EngineError> for LaunchError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Stopped { stop } => Self::Stopped(stop),
            error => Self::Run(RunError::Engine(error)),
        }
    }
}

impl From<JournalError> for LaunchError {
    fn from(error: JournalError) -> Self {
        Self::Run(RunError::from(error))
    }
}

/// The catalogue entries of every connector.
#[must_use]
pub fn specs() -> Vec<&'static ConnectorSpec> {
    ALL.iter().map(|vendor| vendor.spec).collect()
}

/// The world of a simulated scenario.
///
/// # Errors
/// [`LaunchError::Scenario`] when there is none of that name.
pub fn simulated(scenario: &str) -> Result<World, LaunchError> {
    let parsed: Result<Scenario, _> = scenario.parse();
    parsed.map_err(|error| LaunchError::Scenario(error.to_string()))?;
    Ok(World::simulate(scenario))
}

impl Launch {
    /// Opens a world. A simulated one starts its simulators on a free loopback port.
    ///
    /// # Errors
    /// When its simulators cannot be had.
    pub async fn open(place: Place, world: World) -> Result<Self, LaunchError> {
        let (simulators, scenario_lock) = match world.scenario() {
            None => (None, None),
            Some(scenario) => {
                let ledger = ledger(&place.state_dir, scenario);
                let lock = lock(&ledger, scenario)?;
                (Some(simulators(ledger, scenario).await?), Some(lock))
            }
        };
        let engine = Embedded::new(place.journal.clone(), Arc::clone(&place.process));
        let (engine, budgets) = (Arc::new(engine), Budgets::default());
        Ok(Self { place, engine, world, simulators, _scenario_lock: scenario_lock, budgets })
    }

    /// That nobody stopped a workflow and no other process drives it, as far as one look tells;
    /// beginning a run has the last word.
    ///
    /// # Errors
    /// [`LaunchError::Stopped`], and [`EngineError::Held`] in [`LaunchError::Run`].
    pub async fn may_begin(
        place: &Place,
        world: &World,
        workflow: &str,
    ) -> Result<(), LaunchError> {
        let name = workflow.to_owned();
        let stop = place.journal.read(move |reader| reader.active_stop(&name)).await?;
        if let Some(stop) = stop {
            return Err(LaunchError::Stopped(Box::new(stop)));
        }
        Ok(start::refuse_driven(&place.journal, &place.process, workflow, world).await?)
    }

    /// Where runs have their effects.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The record.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.place.journal
    }

    /// The rate budgets that all runs share.
    #[must_use]
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The gate of a workflow, and what of its connectors is not ready.
    #[must_use]
    pub fn gateway(&self, manifest: &Manifest, inputs: &Value) -> (Gateway, Readiness) {
        // A connector that is set aside gets no variables, so that nothing is ever sent to it.
        let used = ALL.iter().map(|vendor| vendor.spec).filter(|spec| {
            manifest.connectors.contains_key(spec.name)
                && !start::is_set_aside(manifest, inputs, spec.name)
        });
        let environment = match &self.simulators {
            None => Environment::of_process(used),
            Some(simulators) => {
                let names: Vec<&str> =
                    used.flat_map(|spec| spec.variables).map(|variable| variable.name).collect();
                let mut pairs = simulators.environment();
                pairs.retain(|name, _| names.contains(&name.as_str()));
                Environment::from_pairs(pairs)
            }
        };
        let bindings = arx_engine::bindings(manifest, |name| {
            ALL.iter().find(|vendor| vendor.spec.name == name).map(|vendor| (vendor.new)())
        });
        let journal = self.place.journal.clone();
        let gateway = Gateway::new(journal, bindings, &environment, &self.budgets);
        let readiness = start::readiness(&gateway, manifest, inputs, &specs());
        (gateway, readiness)
    }

    /// The gate of a workflow, with every credential tried in the name of `who`.
    ///
    /// # Errors
    /// [`LaunchError::Missing`] and [`LaunchError::Refused`], for all vendors at once.
    pub async fn ready(
        &self,
        manifest: &Manifest,
        inputs: &Value,
        who: &str,
    ) -> Result<Ready, LaunchError> {
        let (gateway, readiness) = self.gateway(manifest, inputs);
        if !readiness.missing.is_empty() {
            return Err(LaunchError::Missing(readiness.missing));
        }
        let mut warnings: Vec<String> = readiness
            .left_out
            .iter()
            .map(|error| format!("going on without it: {error}"))
            .collect();
        tracing::info!("trying the credential of every vendor");
        let mut refused = Vec::new();
        for check in gateway.check_credentials(who, &self.world).await? {
            let Err(error) = check.result else { continue };
            if check.optional {
                warnings.push(format!("optional: {error}"));
            } else if stops_the_start(&error) {
                refused.push(error);
            } else {
                warnings.push(error.to_string());
            }
        }
        if !refused.is_empty() {
            return Err(LaunchError::Refused(refused));
        }
        Ok(Ready { gateway: Arc::new(gateway), warnings })
    }

    /// Refuses to let effects at simulators stand for effects at vendors: the live world of one
    /// state directory belongs to one of the two. A dry run has no effects and claims nothing.
    ///
    /// # Errors
    /// [`LaunchError::OtherVendors`].
    pub async fn hold_to_endpoints(&self, ready: &Ready, dry_run: bool) -> Result<(), LaunchError> {
        if dry_run || self.world.scenario().is_some() {
            return Ok(());
        }
        let is_loopback = ready.gateway.is_loopback();
        if self.place.journal.write(move |tx| tx.claim_live_world(is_loopback)).await? {
            return Ok(());
        }
        let (past, now) = if is_loopback {
            ("real vendors", "vendors on this machine")
        } else {
            ("vendors on this machine, such as `arx sim`", "real ones")
        };
        Err(LaunchError::OtherVendors { past, now })
    }

    /// Begins a run that is not recorded yet.
    ///
    /// # Errors
    /// When the workflow is stopped or driven already, or nothing can be recorded.
    pub async fn begin(&self, workflow: &Workflow, run: &NewRun) -> Result<Lease, LaunchError> {
        Ok(self.engine.begin(workflow, run).await?)
    }

    /// Goes on with a recorded run.
    ///
    /// # Errors
    /// As [`Launch::begin`].
    pub async fn resume(&self, run: &RunId, who: &str) -> Result<Lease, LaunchError> {
        Ok(self.engine.resume(run, who).await?)
    }

    /// Drives a run under a lease until it ends, parks, needs attention or is interrupted.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    pub async fn drive(
        &self,
        ready: &Ready,
        workflow: &Workflow,
        (run, lease): (&NewRun, &Lease),
        observer: Arc<dyn Observer>,
        interrupted: watch::Receiver<bool>,
    ) -> Result<Report, LaunchError> {
        let driver = Driver {
            journal: self.place.journal.clone(),
            engine: Arc::clone(&self.engine),
            gateway: Arc::clone(&ready.gateway),
            host: self.place.host.clone(),
            observer,
        };
        let mut report = driver.drive(run, lease, workflow, interrupted).await?;
        report.warnings.splice(0..0, ready.warnings.iter().cloned());
        Ok(report)
    }
}

/// The simulators of a scenario, with the memory that earlier runs left.
async fn simulators(ledger: PathBuf, scenario: &str) -> Result<Simulators, LaunchError> {
    let scenario: Scenario =
        scenario.parse().map_err(|error: <Scenario as std::str::FromStr>::Err| {
            LaunchError::Scenario(error.to_string())
        })?;
    let options =
        arx_sim::Options { scenario, ledger: Some(ledger), ..arx_sim::Options::default() };
    arx_sim::start(options).await.map_err(|error| LaunchError::Simulators(error.to_string()))
}

/// Where the simulators of a scenario keep what was done to them.
#[must_use]
pub fn ledger(state_dir: &Path, scenario: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = if scenario.chars().all(is_plain) {
        scenario.to_owned()
    } else {
        let kind = scenario.split(':').next().unwrap_or_default();
        format!("{kind}-{}", Digest::of_bytes(scenario.as_bytes()).short())
    };
    state_dir.join("sim").join(format!("{name}.jsonl"))
}

/// Whether a failed credential check stops the start: a vendor that cannot be reached fails what
/// needs it and nothing else; one that says no will go on saying no.
fn stops_the_start(error: &CallError) -> bool {
    match error {
        CallError::Credential { .. }
        | CallError::Refused { .. }
        | CallError::Configuration { .. }
        | CallError::Moved { .. }
        | CallError::Parameters { .. }
        | CallError::Malformed { .. } => true,
        CallError::Unreachable { .. } | CallError::OutcomeUnknown { .. } | CallError::Sink(_) => {
            false
        }
    }
}

/// The one place for a process that plays a scenario.
fn lock(ledger: &Path, scenario: &str) -> Result<File, LaunchError> {
    let path = ledger.with_extension("lock");
    let failed = |error: std::io::Error| {
        LaunchError::Simulators(format!("cannot lock `{}`: {error}", path.display()))
    };
    let directory = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Err(TryLockError::WouldBlock) => {
            Err(LaunchError::ScenarioTaken { scenario: scenario.to_owned() })
        }
    }
}
