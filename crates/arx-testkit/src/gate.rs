//! A gate that permits everything, because tests too may reach a vendor in no other way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arx_gateway::{
    Action, Binding, Budgets, Connector, Environment, GateError, Gateway, Reply, RunContext,
};
use arx_journal::{
    Claim, Clock, Journal, NewRun, Packed, Process, StateDir, WorkflowVersion, World,
};
use arx_policy::{Policy, PolicyDef};
use arx_types::{Digest, FindingSink, Operation, RunId, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::SimClock;

/// The workflow that every test call is made by; effect keys begin with it.
pub const WORKFLOW: &str = "test";

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// One connector behind a gate whose policy permits everything, over a journal in a temporary
/// directory.
pub struct TestGate {
    /// The gate.
    pub gateway: Gateway,
    /// The run that calls are made for.
    pub ctx: Arc<RunContext>,
    /// The record.
    pub journal: Journal,
    /// The record's clock, which runs along with time.
    pub clock: Arc<SimClock>,
    directory: TempDir,
}

impl TestGate {
    /// A gate over a connector configured by these variables.
    pub async fn new(
        connector: Arc<dyn Connector>,
        environment: BTreeMap<String, String>,
        settings: Value,
        settle_for: Option<Duration>,
    ) -> Self {
        let permit_all = json!({
            "risk_threshold": 100,
            "rules": [{ "name": "all", "effect": "permit", "connector": "*", "operation": "*" }],
        });
        Self::under(permit_all, connector, environment, settings, settle_for).await
    }

    /// A gate under a policy of its own.
    pub async fn under(
        policy: Value,
        connector: Arc<dyn Connector>,
        environment: BTreeMap<String, String>,
        settings: Value,
        settle_for: Option<Duration>,
    ) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let clock = Arc::new(SimClock::running());
        let state = StateDir::open(directory.path()).expect("a state directory");
        let of_journal = Arc::clone(&clock) as Arc<dyn Clock>;
        let journal = Journal::open(&state, of_journal).expect("a journal");
        let def: PolicyDef = serde_json::from_value(policy).expect("a policy");
        let bound = BTreeMap::from([(connector.spec().name.to_owned(), vec!["*".to_owned()])]);
        let policy = Policy::compile(&def, &bound).expect("a policy that compiles");
        let mut ctx = RunContext {
            run: RunId::from_parts(1, 1),
            epoch: 0,
            workflow: WORKFLOW.to_owned(),
            version: Digest::of_bytes(b"test"),
            policy: Arc::new(policy),
            world: World::live(),
            actor: "test".to_owned(),
            dry_run: false,
        };
        let version = WorkflowVersion {
            digest: ctx.version,
            name: WORKFLOW.to_owned(),
            manifest: String::new(),
            source: String::new(),
            policy_version: ctx.policy.version().to_string(),
        };
        let run = NewRun {
            id: ctx.run.clone(),
            workflow: WORKFLOW.to_owned(),
            version: ctx.version,
            policy_version: version.policy_version.clone(),
            world: ctx.world.clone(),
            actor: ctx.actor.clone(),
            inputs: Packed::json(&json!({})).expect("packs"),
            args: Packed::json(&json!({})).expect("packs"),
        };
        let process = Process::register(&state).expect("a process");
        let claim = journal.write(move |tx| {
            tx.put_workflow_version(&version)?;
            tx.start_run(&run)?;
            tx.claim_run(&run.id, &process, LEASE)
        });
        match claim.await.expect("a run") {
            Claim::Granted(lease) => ctx.epoch = lease.epoch,
            Claim::Held(lease) => unreachable!("a new run is nobody's: {lease:?}"),
        }
        let binding = Binding { connector, optional: false, rate: None, settle_for, settings };
        let environment = Environment::from_pairs(environment);
        let gateway =
            Gateway::new(journal.clone(), vec![binding], &environment, &Budgets::default());
        assert_eq!(gateway.setup_errors(), &[], "the connector is configured");
        Self { gateway, ctx: Arc::new(ctx), journal, clock, directory }
    }

    /// Reads.
    ///
    /// # Errors
    /// As the gate.
    pub async fn read(
        &self,
        operation: &str,
        params: Value,
        findings: Option<Arc<dyn FindingSink>>,
    ) -> Result<Value, GateError> {
        let mut action = action(operation, params);
        action.findings = findings;
        Ok(self.gateway.call(&self.ctx, action).await?.value)
    }

    /// Writes under the effect key `test/<effect>`.
    ///
    /// # Errors
    /// As the gate.
    pub async fn write(
        &self,
        operation: &str,
        params: Value,
        effect: &str,
    ) -> Result<Reply, GateError> {
        let mut action = action(operation, params);
        action.effect = Some(format!("{WORKFLOW}/{effect}").parse().expect("an effect key"));
        self.gateway.call(&self.ctx, action).await
    }

    /// Another process claims the run; this gate's is known to be dead.
    pub async fn take_over(&self) -> Arc<Process> {
        let state = StateDir::open(self.state_dir()).expect("a state directory");
        let other = Arc::new(Process::register(&state).expect("a process"));
        let (run, process) = (self.ctx.run.clone(), Arc::clone(&other));
        let claim = self.journal.write(move |tx| tx.claim_run(&run, &process, LEASE));
        let claimed = claim.await.expect("a claim");
        assert!(matches!(claimed, Claim::Granted(_)), "{claimed:?}");
        other
    }

    /// Where the journal is.
    #[must_use]
    pub fn state_dir(&self) -> &std::path::Path {
        self.directory.path()
    }
}

/// An action without an effect.
#[must_use]
pub fn action(operation: &str, params: Value) -> Action {
    Action {
        operation: operation.parse::<Operation>().expect("an operation"),
        params,
        target: Target::None,
        effect: None,
        covers: Vec::new(),
        lineage: Vec::new(),
        findings: None,
    }
}
