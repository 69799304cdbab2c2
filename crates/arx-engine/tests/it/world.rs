//! A state directory, simulators, and a process that can be stopped and started again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arx_connectors::ALL;
use arx_engine::{Driver, Embedded, NewRun, Report, RunError, Silent, Workflow, bindings};
use arx_gateway::{Budgets, ConnectorSpec, Environment, Gateway};
use arx_journal::{Clock, Journal, JournalOptions, StateDir, SystemClock, World};
use arx_sim::{Options, Simulators};
use arx_types::RunId;
use arx_workflow::bundle::{Bundle, parse};
use arx_workflow::host::{HostOptions, Limits};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

/// A workflow of the library.
#[derive(Clone, Copy)]
pub struct Library {
    pub manifest: &'static str,
    pub source: &'static str,
}

pub const ESCALATION: Library = Library {
    manifest: include_str!("../../../../library/workflows/critical-vuln-escalation/arx.yaml"),
    source: include_str!("../../../../library/workflows/critical-vuln-escalation/workflow.py"),
};
pub const PATCHES: Library = Library {
    manifest: include_str!("../../../../library/workflows/patch-verification/arx.yaml"),
    source: include_str!("../../../../library/workflows/patch-verification/workflow.py"),
};

pub struct TestWorld {
    pub simulators: Simulators,
    pub state: TempDir,
    pub manifest: String,
    pub source: String,
    pub overrides: Vec<(String, String)>,
}

impl TestWorld {
    pub async fn new(scenario: &str, faults: &str) -> Self {
        Self::of(ESCALATION, scenario, faults).await
    }

    pub async fn of(library: Library, scenario: &str, faults: &str) -> Self {
        let options = Options {
            scenario: scenario.parse().unwrap(),
            faults: faults.parse().unwrap(),
            ..Options::default()
        };
        Self {
            simulators: arx_sim::start(options).await.unwrap(),
            state: TempDir::new().unwrap(),
            manifest: library.manifest.to_owned(),
            source: library.source.to_owned(),
            overrides: Vec::new(),
        }
    }

    /// Has lost updates looked up without the wait that a real instance needs.
    pub fn settle_at_once(&mut self) {
        let patient = "\"incidents:update\"] }";
        assert!(self.manifest.contains(patient));
        let hasty = "\"incidents:update\"], settle_for: 200ms, settings: { in_flight_ms: 50 } }";
        self.manifest = self.manifest.replace(patient, hasty);
    }

    /// One process: opens the journal, and resumes what is unfinished or begins a run.
    pub async fn process(&self, options: JournalOptions) -> Result<Report, RunError> {
        let (driver, workflow) = self.driver(options);
        let world = World::live();
        let unfinished = {
            let (name, world) = (workflow.name.clone(), world.clone());
            driver
                .journal
                .read(move |reader| reader.unfinished_run(&name, &world))
                .await?
                .map(|run| run.id)
        };
        let fresh = unfinished.is_none();
        let id = unfinished.unwrap_or_else(|| RunId::from_parts(1, rand::random()));
        let run = NewRun { id, world, actor: "tester".to_owned(), dry_run: false };
        if fresh {
            driver.engine.begin(&workflow, &run).await?;
        }
        let (_keep, interrupted) = watch::channel(false);
        driver.drive(&run, &workflow, interrupted).await
    }

    pub async fn run(&self) -> Report {
        self.process(JournalOptions::default()).await.unwrap()
    }

    pub fn driver(&self, options: JournalOptions) -> (Driver, Workflow) {
        let specs: Vec<&'static ConnectorSpec> = ALL.iter().map(|entry| entry.spec).collect();
        let catalogue: Vec<_> = specs.iter().map(|spec| (spec.name, spec.operations)).collect();
        let manifest = parse("arx.yaml", &self.manifest, &catalogue).unwrap();
        let manifest = manifest.with_overrides(&self.overrides).unwrap();
        let bound = bindings(&manifest, |name| {
            ALL.iter().find(|entry| entry.spec.name == name).map(|entry| (entry.new)())
        });
        let bundle = Bundle::new(manifest, self.manifest.clone(), self.source.clone());
        let workflow = Workflow::new(&bundle, &specs).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let state = StateDir::open(self.state.path()).unwrap();
        let journal = Journal::open_with(&state, clock, options).unwrap();
        let environment = Environment::from_pairs(self.simulators.environment());
        let gateway = Gateway::new(journal.clone(), bound, &environment, &Budgets::default());
        assert_eq!(gateway.setup_errors(), &[]);
        let driver = Driver {
            engine: Arc::new(Embedded::new(journal.clone())),
            journal,
            gateway: Arc::new(gateway),
            host: host(),
            observer: Arc::new(Silent),
        };
        (driver, workflow)
    }

    /// Accepted writes by key: how many incidents and how many issues each effect has.
    pub fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for entry in self.simulators.ledger() {
            if entry.operation.ends_with("create") {
                *effects.entry(effect_key(entry.key.as_ref())).or_default() += 1;
            }
        }
        effects
    }

    pub async fn verify(&self) -> arx_audit::LogReport {
        let (driver, _) = self.driver(JournalOptions::default());
        driver.journal.verify(Vec::new()).await.unwrap()
    }
}

/// The incident key, or the effect key in an issue's marker property.
fn effect_key(key: Option<&Value>) -> String {
    let key = key.unwrap();
    let marked = key.pointer("/value/effect_key").or_else(|| key.get("effect_key"));
    marked.unwrap_or(key).as_str().unwrap_or_else(|| panic!("no effect key in {key}")).to_owned()
}

fn host() -> HostOptions {
    let tests = std::env::current_exe().unwrap();
    let program: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples/workflow_host");
    HostOptions { program, args: Vec::new(), limits: Limits::default() }
}
