//! A door for the fuzzer: everything that workflow code can hand to the host.
//!
//! Compiled under `cfg(fuzzing)` alone. The calls pass the gate with every connector bound and no
//! credential set, so that each is decided and recorded and none can be sent.
#![expect(clippy::expect_used, reason = "a promise that is broken ends the fuzzer")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arx_gateway::{Binding, Budgets, Connector, Environment, Gateway, RunContext};
use arx_journal::{
    Claim, Journal, NewRun, Packed, Process, StateDir, SystemClock, WorkflowVersion, World,
};
use arx_policy::{Policy, PolicyDef};
use arx_types::{Digest, RunId};
use arx_workflow::host::Exception;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::calls::{Calls, Finished};
use crate::engine::{RecordedStep, StepKey};
use crate::objects::Objects;
use crate::observer::Silent;
use crate::report::Gathered;

/// Calls of one game.
const CALLS_MAX: usize = 8;
/// What stands before the name of a call that is already recorded.
const RECORDED: &str = "recorded:";
/// The connector whose every call the policy denies.
const DENIED: &str = "crowdstrike.";

/// A run that can be asked for anything.
pub struct Door {
    runtime: Runtime,
    journal: Journal,
    gateway: Arc<Gateway>,
    policy: Arc<Policy>,
    epoch: u64,
}

impl Door {
    /// A run over a journal in an empty directory.
    pub fn open(directory: &Path, connectors: Vec<Arc<dyn Connector>>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let state = StateDir::open(directory).expect("a state directory");
        let journal = Journal::open(&state, Arc::new(SystemClock)).expect("a journal");
        let bound: BTreeMap<String, Vec<String>> = connectors
            .iter()
            .map(|connector| (connector.spec().name.to_owned(), vec!["*".to_owned()]))
            .collect();
        let def: PolicyDef = serde_json::from_value(json!({
            "risk_threshold": 60,
            "rules": [
                {"name": "denied", "effect": "deny", "connector": "crowdstrike", "operation": "*"},
                {"name": "any", "effect": "permit", "connector": "*", "operation": "*",
                 "when": "!has(params.title) || size(params.title) < 20"},
                {"name": "asked", "effect": "escalate", "connector": "jira", "operation": "*",
                 "when": "params.labels.exists(label, label == 'arx') || target == 'production'"},
            ],
            "limits": [{"operation": "pagerduty.*", "max": 3, "per": "1h", "beyond": "deny"}],
            "approvals": {"approvers": ["role:approver"]},
        }))
        .expect("a policy");
        let policy = Arc::new(Policy::compile(&def, &bound).expect("a policy that compiles"));
        let version = WorkflowVersion {
            digest: Digest::of_bytes(b"w"),
            name: "w".to_owned(),
            manifest: String::new(),
            source: String::new(),
            policy_version: policy.version().to_string(),
        };
        let run = NewRun {
            id: RunId::from_parts(1, 1),
            workflow: version.name.clone(),
            version: version.digest,
            policy_version: version.policy_version.clone(),
            world: World::live(),
            actor: "fuzzer".to_owned(),
            inputs: Packed::json(&json!({})).expect("packs"),
            args: Packed::json(&json!({})).expect("packs"),
        };
        let process = Process::register(&state).expect("a process");
        let claim = journal.write_blocking(move |tx| {
            tx.put_workflow_version(&version)?;
            tx.start_run(&run)?;
            tx.claim_run(&run.id, &process, Duration::MAX)
        });
        let Ok(Claim::Granted(lease)) = claim else { unreachable!("a new run is nobody's") };
        let bindings = connectors
            .into_iter()
            .map(|connector| Binding {
                connector,
                optional: false,
                rate: None,
                settle_for: None,
                settings: Value::Null,
            })
            .collect();
        let nothing = Environment::from_pairs([]);
        let gateway = Gateway::new(journal.clone(), bindings, &nothing, &Budgets::default());
        Self {
            runtime: runtime.expect("a runtime"),
            journal,
            gateway: Arc::new(gateway),
            policy,
            epoch: lease.epoch,
        }
    }

    /// Makes calls in turn: `[[name, params], …]`. A name after `recorded:` is that of a call whose
    /// result is on record, and its parameters are the result.
    pub fn play(&self, game: &Value) {
        let ctx = RunContext {
            run: RunId::from_parts(1, 1),
            epoch: self.epoch,
            workflow: "w".to_owned(),
            version: Digest::of_bytes(b"w"),
            policy: Arc::clone(&self.policy),
            world: World::live(),
            actor: "fuzzer".to_owned(),
            dry_run: false,
        };
        let objects = Objects::new(self.journal.clone(), Arc::new(Silent));
        let calls = Calls::new(Arc::clone(&self.gateway), ctx, objects, CALLS_MAX);
        let mut gathered = Gathered::default();
        for call in game.as_array().into_iter().flatten().take(CALLS_MAX) {
            let name = call.get(0).and_then(Value::as_str).unwrap_or_default();
            let argument = call.get(1).cloned().unwrap_or_default();
            if let Some(name) = name.strip_prefix(RECORDED) {
                recorded(&calls, &mut gathered, name, &argument);
                continue;
            }
            let params = match argument {
                Value::Object(params) => params,
                other => Map::from_iter([("args".to_owned(), other)]),
            };
            let finished = self.runtime.block_on(calls.perform(name, &params));
            let is_host = name.starts_with("arx.");
            match finished {
                Finished::Value(text) => {
                    assert!(is_host, "`{name}` was answered without a credential: {text}");
                    recorded(&calls, &mut gathered, name, &parsed(&text));
                }
                Finished::Raise { exception, message } => {
                    assert!(!message.trim().is_empty(), "`{name}` raised without a reason");
                    let is_denied = exception == Exception::PermissionError;
                    let is_bad = exception == Exception::ValueError;
                    // What is malformed never comes before the policy; all else is denied.
                    let is_closed = !name.starts_with(DENIED) || is_denied || is_bad;
                    assert!(is_closed, "`{name}` came past a rule that denies: {message}");
                }
                Finished::Waiting(_) => {
                    assert!(!is_host && !name.starts_with(DENIED), "`{name}` waits for a human");
                }
                Finished::Attention { effect, why } => {
                    unreachable!("nothing was sent, and `{effect}` may have happened: {why}")
                }
                Finished::Lost(error) => unreachable!("`{name}` was not recorded: {error}"),
            }
        }
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a result is JSON")
}

/// Shows the workflow a result that is on record.
fn recorded(calls: &Calls, gathered: &mut Gathered, name: &str, result: &Value) {
    let step = RecordedStep {
        operation: name.to_owned(),
        payload: result.to_string().into(),
        key: StepKey { content: Digest::of_bytes(name.as_bytes()), occurrence: 0 },
        position: 0,
        raised: false,
    };
    calls.remember(name, &Map::new(), &step);
    let _ = calls.reveal(gathered, &step);
}
