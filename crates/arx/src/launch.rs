//! Puts a run together: world, simulators, credentials, gate, driver.
//!
//! INVARIANT (configuration first): what is missing or refused is said for all vendors at once,
//! before a run is begun.

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use arx_connectors::ALL;
use arx_engine::start::{self, Readiness};
use arx_engine::{Driver, Embedded, Engine, EngineError, NewRun, Report, Workflow};
use arx_gateway::{Budgets, CallError, Checked, ConnectorSpec, Environment, Gateway, SetupError};
use arx_journal::{Journal, Lease, World};
use arx_sim::{Scenario, Simulators};
use arx_types::{Digest, RunId, RunStatus};
use arx_workflow::bundle::Manifest;
use arx_workflow::host::HostError;
use serde_json::Value;

use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::progress::Progress;

/// A world that runs can be driven in.
pub(crate) struct Launch<'c> {
    ctx: &'c Context,
    journal: Journal,
    engine: Arc<dyn Engine>,
    world: World,
    simulators: Option<Simulators>,
    /// One process at a time plays a scenario, because its ledger is the vendors' memory.
    _scenario_lock: Option<File>,
    budgets: Budgets,
}

/// A gate whose vendors accept their credentials, and what the reader of the run should know.
pub(crate) struct Ready {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) warnings: Vec<String>,
}

/// The catalogue entries of every connector.
pub(crate) fn specs() -> Vec<&'static ConnectorSpec> {
    ALL.iter().map(|vendor| vendor.spec).collect()
}

/// The world of a simulated scenario.
pub(crate) fn simulated(scenario: &str) -> Result<World, CommandError> {
    scenario
        .parse::<Scenario>()
        .map_err(|error| CommandError::user(error.to_string()))
        .map(|_| World::simulate(scenario))
}

impl<'c> Launch<'c> {
    /// Opens a world for a workflow that nobody stopped and no other process drives. A simulated
    /// world starts its simulators on a free loopback port.
    pub(crate) async fn open(
        ctx: &'c Context,
        world: World,
        workflow: &str,
    ) -> Result<Self, CommandError> {
        let journal = ctx.journal()?.clone();
        refuse_stopped(&journal, workflow).await?;
        let process = ctx.process()?;
        start::refuse_driven(&journal, process, workflow, &world).await.map_err(of_engine)?;
        let (simulators, scenario_lock) = match world.scenario() {
            None => (None, None),
            Some(scenario) => {
                let lock = lock(ctx, scenario)?;
                (Some(simulators(ctx, scenario).await?), Some(lock))
            }
        };
        let engine = Arc::new(Embedded::new(journal.clone(), Arc::clone(process)));
        let budgets = Budgets::default();
        Ok(Self { ctx, journal, engine, world, simulators, _scenario_lock: scenario_lock, budgets })
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The gate of a workflow, and what of its connectors is not ready.
    pub(crate) fn gateway(&self, manifest: &Manifest, inputs: &Value) -> (Gateway, Readiness) {
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
        let gateway = Gateway::new(self.journal.clone(), bindings, &environment, &self.budgets);
        let readiness = start::readiness(&gateway, manifest, inputs, &specs());
        (gateway, readiness)
    }

    /// The gate of a workflow, with every credential tried.
    pub(crate) async fn ready(
        &self,
        manifest: &Manifest,
        inputs: &Value,
    ) -> Result<Ready, CommandError> {
        let (gateway, readiness) = self.gateway(manifest, inputs);
        if !readiness.missing.is_empty() {
            return Err(missing(&readiness.missing));
        }
        let mut warnings: Vec<String> = readiness
            .left_out
            .iter()
            .map(|error| format!("going on without it: {error}"))
            .collect();
        tracing::info!("trying the credential of every vendor");
        let checked = gateway.check_credentials(self.ctx.actor(), &self.world).await?;
        let mut refused = Vec::new();
        for check in &checked {
            let Err(error) = &check.result else { continue };
            if check.optional {
                warnings.push(format!("optional: {error}"));
            } else if stops_the_start(error) {
                refused.push(check);
            } else {
                warnings.push(error.to_string());
            }
        }
        if !refused.is_empty() {
            return Err(refusal(&refused));
        }
        Ok(Ready { gateway: Arc::new(gateway), warnings })
    }

    /// Refuses to let effects at simulators stand for effects at vendors: the live world of one
    /// state directory belongs to one of the two. A dry run has no effects and claims nothing.
    pub(crate) async fn hold_to_endpoints(
        &self,
        ready: &Ready,
        dry_run: bool,
    ) -> Result<(), CommandError> {
        if dry_run || self.world.scenario().is_some() {
            return Ok(());
        }
        let is_loopback = ready.gateway.is_loopback();
        if self.journal.write(move |tx| tx.claim_live_world(is_loopback)).await? {
            return Ok(());
        }
        let (past, now) = if is_loopback {
            ("real vendors", "vendors on this machine")
        } else {
            ("vendors on this machine, such as `arx sim`", "real ones")
        };
        Err(CommandError::config(format!(
            "this state directory remembers pages and tickets at {past}; they must not stand for \
             those at {now}"
        ))
        .code("ARX-E022")
        .hint("use another --state-dir (or ARX_HOME) for one of the two"))
    }

    /// Begins a run that is not recorded yet.
    pub(crate) async fn begin(
        &self,
        workflow: &Workflow,
        run: &NewRun,
    ) -> Result<Lease, CommandError> {
        self.engine.begin(workflow, run).await.map_err(of_engine)
    }

    /// Goes on with a recorded run.
    pub(crate) async fn resume(&self, run: &RunId) -> Result<Lease, CommandError> {
        self.engine.resume(run, self.ctx.actor()).await.map_err(of_engine)
    }

    /// Drives a run under a lease until it ends, parks, needs attention or is interrupted.
    pub(crate) async fn drive(
        &self,
        ready: &Ready,
        workflow: &Workflow,
        (run, lease): (&NewRun, &Lease),
        progress: &Arc<Progress>,
        interrupt: &Interrupt,
    ) -> Result<Report, CommandError> {
        let driver = Driver {
            journal: self.journal.clone(),
            engine: Arc::clone(&self.engine),
            gateway: Arc::clone(&ready.gateway),
            host: bundles::host_options()?,
            observer: Arc::clone(progress) as Arc<dyn arx_engine::Observer>,
        };
        let driven = driver.drive(run, lease, workflow, interrupt.watch()).await;
        progress.clear();
        let mut report = driven.map_err(of_run)?;
        report.warnings.splice(0..0, ready.warnings.iter().cloned());
        Ok(report)
    }
}

/// Refuses a workflow that somebody stopped.
async fn refuse_stopped(journal: &Journal, workflow: &str) -> Result<(), CommandError> {
    let name = workflow.to_owned();
    let stop = journal.read(move |reader| reader.active_stop(&name)).await?;
    let Some(stop) = stop else { return Ok(()) };
    Err(CommandError::denied(format!(
        "`{workflow}` is stopped since {} by `{}`: {}",
        stop.at, stop.by, stop.reason
    ))
    .code("ARX-E031")
    .hint(format!("`arx start {workflow}` lets it act again")))
}

/// The simulators of a scenario, with the memory that earlier runs left.
async fn simulators(ctx: &Context, scenario: &str) -> Result<Simulators, CommandError> {
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::internal(format!("cannot start the simulators: {error}"))
    };
    let parsed: Scenario =
        scenario.parse().map_err(|error| CommandError::user(format!("{error}")))?;
    let ledger = Some(ledger(ctx, scenario));
    let options = arx_sim::Options { scenario: parsed, ledger, ..arx_sim::Options::default() };
    arx_sim::start(options).await.map_err(|error| failed(&error))
}

/// Where the simulators of a scenario keep what was done to them.
pub(crate) fn ledger(ctx: &Context, scenario: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = if scenario.chars().all(is_plain) {
        scenario.to_owned()
    } else {
        let kind = scenario.split(':').next().unwrap_or_default();
        format!("{kind}-{}", Digest::of_bytes(scenario.as_bytes()).short())
    };
    ctx.state_dir().join("sim").join(format!("{name}.jsonl"))
}

/// Every variable that has no value, for all vendors at once.
fn missing(errors: &[SetupError]) -> CommandError {
    let mut report = CommandError::config("not every vendor is configured")
        .code("ARX-E020")
        .hint("set these variables in the environment, or try the workflow with --simulate");
    for error in errors {
        report = report.detail(error.to_string());
    }
    report
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

fn refusal(refused: &[&Checked]) -> CommandError {
    let mut report = CommandError::config("not every vendor accepts its credential")
        .code("ARX-E021")
        .hint("`arx doctor` checks them again");
    for check in refused {
        if let Err(error) = &check.result {
            report = report.detail(error.to_string());
        }
    }
    report
}

fn of_run(error: arx_engine::RunError) -> CommandError {
    use arx_engine::RunError;
    match error {
        RunError::Host(HostError::Load(diagnostics)) => CommandError::diagnostics(diagnostics),
        RunError::Host(error) => CommandError::internal(error.to_string()),
        RunError::Engine(error) => of_engine(error),
    }
}

/// Why a run cannot be begun, gone on with or given up.
pub(crate) fn of_engine(error: EngineError) -> CommandError {
    match error {
        EngineError::Journal(error) => error.into(),
        error @ EngineError::Held { .. } => {
            CommandError::denied(error.to_string()).code("ARX-E030").hint(
                "wait for its end, or interrupt that process with Ctrl-C; its run can be resumed",
            )
        }
        error @ EngineError::NoRun { .. } => CommandError::missing(error.to_string()),
    }
}

/// The one place for a process that plays a scenario.
fn lock(ctx: &Context, scenario: &str) -> Result<File, CommandError> {
    let path = ledger(ctx, scenario).with_extension("lock");
    let failed = |error: std::io::Error| {
        CommandError::internal(format!("cannot lock `{}`: {error}", path.display()))
    };
    let directory = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(directory).map_err(failed)?;
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(failed(error)),
        Err(TryLockError::WouldBlock) => Err(CommandError::denied(format!(
            "another process plays the scenario `{scenario}` in this state directory"
        ))
        .code("ARX-E030")
        .hint("wait for it, or use another --state-dir")),
    }
}

/// The exit code that a report stands for.
pub(crate) fn exit_code(report: &Report) -> u8 {
    match report.status {
        RunStatus::Succeeded => 0,
        RunStatus::Failed if report.is_configuration() => 2,
        RunStatus::Running | RunStatus::Failed | RunStatus::Cancelled => 1,
        RunStatus::Parked => 3,
        RunStatus::NeedsAttention => 4,
        RunStatus::Interrupted => crate::interrupt::INTERRUPTED,
    }
}
