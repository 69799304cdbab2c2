//! Whole runs of the library's workflows: a state directory, simulators, and a process that can
//! be stopped and started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arx_connectors::ALL;
use arx_engine::{Driver, Embedded, NewRun, Report, RunError, Silent, Workflow, bindings, start};
use arx_gateway::{Budgets, ConnectorSpec, Environment, Gateway};
use arx_journal::{Clock, Journal, JournalOptions, Process, StateDir, World};
use arx_sim::{Options, Simulators};
use arx_types::RunId;
use arx_workflow::bundle::{Bundle, parse};
use arx_workflow::host::{HostOptions, Limits};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::SimClock;

/// A workflow of the library.
#[derive(Clone, Copy, Debug)]
pub struct Library {
    /// The text of its `arx.yaml`.
    pub manifest: &'static str,
    /// The text of its `workflow.py`.
    pub source: &'static str,
    /// Bindings of the manifest, and what makes them look up lost writes without the wait that a
    /// real vendor needs.
    hasty: &'static [(&'static str, &'static str)],
}

/// Pages and tickets critical vulnerabilities.
pub const ESCALATION: Library = Library {
    manifest: include_str!("../../../library/workflows/critical-vuln-escalation/arx.yaml"),
    source: include_str!("../../../library/workflows/critical-vuln-escalation/workflow.py"),
    hasty: &[("\"issues:create\"] }", "\"issues:create\"]")],
};
/// Verifies patches.
pub const PATCHES: Library = Library {
    manifest: include_str!("../../../library/workflows/patch-verification/arx.yaml"),
    source: include_str!("../../../library/workflows/patch-verification/workflow.py"),
    hasty: &[("\"incidents:update\"] }", "\"incidents:update\"]")],
};

impl Library {
    /// The manifest with lost writes looked up soon: simulators that live on this machine have
    /// nothing on its way for long.
    #[must_use]
    pub fn hasty_manifest(&self) -> String {
        let mut manifest = self.manifest.to_owned();
        for (patient, binding) in self.hasty {
            assert!(manifest.contains(patient), "`{patient}` is not in the manifest");
            let hasty = format!("{binding}, settle_for: 5s, settings: {{ in_flight_ms: 50 }} }}");
            manifest = manifest.replace(patient, &hasty);
        }
        manifest
    }
}

/// One company, and one state directory of whoever works for it.
pub struct TestWorld {
    /// The vendors.
    pub simulators: Simulators,
    /// The state directory.
    pub state: TempDir,
    /// The text of `arx.yaml`.
    pub manifest: String,
    /// The text of `workflow.py`.
    pub source: String,
    /// Inputs that are set otherwise than in the manifest.
    pub overrides: Vec<(String, String)>,
    /// Variables that are set otherwise than the simulators say.
    pub variables: BTreeMap<String, String>,
    /// The journal's clock, which runs along with time.
    pub clock: Arc<SimClock>,
    /// The workflow's process.
    pub host: HostOptions,
    library: Library,
}

impl TestWorld {
    /// The escalation in a scenario under faults.
    pub async fn new(scenario: &str, faults: &str) -> Self {
        Self::of(ESCALATION, scenario, faults).await
    }

    /// A workflow of the library in a scenario under faults.
    pub async fn of(library: Library, scenario: &str, faults: &str) -> Self {
        let options = Options {
            scenario: scenario.parse().expect("a scenario"),
            faults: faults.parse().expect("faults"),
            ..Options::default()
        };
        Self::with(library, options).await
    }

    /// A workflow of the library among simulators of any sort.
    pub async fn with(library: Library, options: Options) -> Self {
        Self {
            simulators: arx_sim::start(options).await.expect("simulators"),
            state: TempDir::new().expect("a temporary directory"),
            manifest: library.manifest.to_owned(),
            source: library.source.to_owned(),
            overrides: Vec::new(),
            variables: BTreeMap::new(),
            clock: Arc::new(SimClock::running()),
            host: host_beside_tests(),
            library,
        }
    }

    /// Has lost writes looked up without the wait that a real vendor needs.
    pub fn settle_at_once(&mut self) {
        self.manifest = self.library.hasty_manifest();
    }

    /// One process: opens the journal, and resumes what is unfinished or begins a run.
    ///
    /// # Errors
    /// As [`Driver::drive`], and where the journal does not open.
    pub async fn process(&self, options: JournalOptions) -> Result<Report, RunError> {
        let (driver, workflow) = self.open(options)?;
        self.drive(driver, workflow).await
    }

    /// What a process does once everything is put together.
    ///
    /// # Errors
    /// As [`Driver::drive`].
    pub async fn drive(&self, driver: Driver, workflow: Workflow) -> Result<Report, RunError> {
        let world = World::live();
        let unfinished = start::unfinished(&driver.journal, &workflow.name, &world, false).await?;
        let unfinished = unfinished.into_iter().next().map(|run| run.id);
        let fresh = unfinished.is_none();
        let id = unfinished.unwrap_or_else(|| RunId::from_parts(1, rand::random()));
        let run = NewRun { id, world, actor: "tester".to_owned(), dry_run: false, fire: None };
        let lease = if fresh {
            driver.engine.begin(&workflow, &run).await?
        } else {
            driver.engine.resume(&run.id, &run.actor).await?
        };
        let (_keep, interrupted) = watch::channel(false);
        driver.drive(&run, &lease, &workflow, interrupted).await
    }

    /// One process that nothing stops.
    pub async fn run(&self) -> Report {
        self.process(JournalOptions::default()).await.expect("a run that can be recorded")
    }

    /// As [`TestWorld::open`], for a journal that opens.
    #[must_use]
    pub fn driver(&self, options: JournalOptions) -> (Driver, Workflow) {
        self.open(options).expect("a journal that opens")
    }

    /// What a process puts together before it drives a run.
    ///
    /// # Errors
    /// Where the journal does not open.
    pub fn open(&self, options: JournalOptions) -> Result<(Driver, Workflow), RunError> {
        let specs: Vec<&'static ConnectorSpec> = ALL.iter().map(|entry| entry.spec).collect();
        let catalogue: Vec<_> = specs.iter().map(|spec| (spec.name, spec.operations)).collect();
        let manifest = parse("arx.yaml", &self.manifest, &catalogue).expect("a manifest");
        let manifest = manifest.with_overrides(&self.overrides).expect("inputs that it has");
        let bound = bindings(&manifest, |name| {
            ALL.iter().find(|entry| entry.spec.name == name).map(|entry| (entry.new)())
        });
        let bundle = Bundle::new(manifest, self.manifest.clone(), self.source.clone());
        let workflow = Workflow::new(&bundle, &specs).expect("a policy that compiles");
        let journal = self.journal(options)?;
        let mut variables = self.simulators.environment();
        variables.extend(self.variables.clone());
        let environment = Environment::from_pairs(variables);
        let gateway = Gateway::new(journal.clone(), bound, &environment, &Budgets::default());
        assert_eq!(gateway.setup_errors(), &[], "every connector is configured");
        let driver = Driver {
            engine: Arc::new(Embedded::new(journal.clone(), self.register())),
            journal,
            gateway: Arc::new(gateway),
            host: self.host.clone(),
            observer: Arc::new(Silent),
        };
        Ok((driver, workflow))
    }

    /// The record.
    ///
    /// # Errors
    /// As [`Journal::open_with`].
    pub fn journal(&self, options: JournalOptions) -> Result<Journal, RunError> {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Ok(Journal::open_with(&StateDir::open(self.state.path())?, clock, options)?)
    }

    /// Another process that shares the state directory.
    #[must_use]
    pub fn register(&self) -> Arc<Process> {
        let state = StateDir::open(self.state.path()).expect("a state directory");
        Arc::new(Process::register(&state).expect("a process"))
    }

    /// Accepted writes by key: how many incidents and how many issues each effect has.
    #[must_use]
    pub fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for entry in self.simulators.ledger() {
            if entry.operation.ends_with("create") {
                let key = entry.key.as_ref().and_then(effect_key).expect("an effect key");
                *effects.entry(key.to_owned()).or_default() += 1;
            }
        }
        effects
    }

    /// What a check of the whole audit log says.
    pub async fn verify(&self) -> arx_audit::LogReport {
        let journal = self.journal(JournalOptions::default()).expect("a journal that opens");
        journal.verify(Vec::new()).await.expect("a log that can be read")
    }
}

/// The effect key that a ledger entry's key holds: the incident key, or the one in an issue's
/// marker property.
#[must_use]
pub fn effect_key(key: &Value) -> Option<&str> {
    let marked = key.pointer("/value/effect_key").or_else(|| key.get("effect_key"));
    marked.unwrap_or(key).as_str()
}

/// The example `workflow_host` that lies beside the tests of a crate that has it.
fn host_beside_tests() -> HostOptions {
    let tests = std::env::current_exe().expect("a program");
    let built = tests.parent().and_then(Path::parent).expect("tests lie in a directory");
    let program: PathBuf = built.join("examples/workflow_host");
    HostOptions { program, args: Vec::new(), limits: Limits::default() }
}
