//! The Python host, from outside: scripts in, events out.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod check;
mod distrust;
mod each;
mod escape;
mod game;

use std::collections::VecDeque;
use std::path::PathBuf;

use arx_workflow::host::{
    CallId, Event, Exception, Host, HostError, HostOptions, Limits, ObjectSpec, Raised, Reply,
    Script,
};
use serde_json::{Map, Value, json};

const NOW: &str = "2026-03-04T05:06:07.25Z";

/// The program that `cargo test` builds beside the tests.
pub fn child_program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/host_child");
    assert!(program.exists(), "{} is built by `cargo build --examples`", program.display());
    program
}

pub fn options() -> HostOptions {
    HostOptions { program: child_program(), args: vec![], limits: Limits::default() }
}

pub fn objects() -> Vec<ObjectSpec> {
    let object = |connector: &str, operations: &[&str]| ObjectSpec {
        connector: connector.to_owned(),
        operations: operations.iter().map(|&name| name.to_owned()).collect(),
    };
    vec![
        object("wiz", &["findings:read", "findings:update"]),
        object("pagerduty", &["incidents:create", "incidents:read"]),
        object("jira", &["issues:create", "issues:read", "issues:links:create", "issues:import"]),
    ]
}

/// A call as a test sees it.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: CallId,
    pub name: String,
    pub params: Map<String, Value>,
}

/// Everything that a finished workflow did.
#[derive(Debug, Default)]
pub struct Story {
    /// `call NAME`, `blocked`, `item ..`, `log ..`, in order.
    pub events: Vec<String>,
    pub items: Vec<Value>,
    pub notes: Vec<Value>,
    pub logs: Vec<String>,
    pub done: Option<Value>,
    pub raised: Option<Raised>,
}

impl Story {
    #[track_caller]
    pub fn value(self) -> Value {
        match self.raised {
            None => self.done.unwrap(),
            Some(raised) => panic!("raised {raised:?}"),
        }
    }
}

pub struct Workflow {
    pub options: HostOptions,
    pub objects: Vec<ObjectSpec>,
    pub functions: Vec<String>,
    pub config: Value,
    pub source: String,
}

impl Workflow {
    pub fn new(source: impl Into<String>) -> Self {
        Self {
            options: options(),
            objects: objects(),
            functions: vec!["merge".into(), "episodes".into()],
            config: json!({}),
            source: source.into(),
        }
    }

    pub fn script(&self) -> Script<'_> {
        Script {
            file: "workflow.py",
            source: &self.source,
            config: &self.config,
            now: NOW,
            objects: &self.objects,
            functions: &self.functions,
        }
    }

    pub async fn start(&self) -> Result<Host, HostError> {
        Host::start(&self.options, self.script()).await
    }

    /// Plays to the end: `choose` says which pending call is resolved next, `answer` with what.
    pub async fn play(
        &self,
        mut choose: impl FnMut(&VecDeque<Call>) -> usize,
        mut answer: impl FnMut(&Call) -> Reply,
    ) -> Result<Story, HostError> {
        let mut host = self.start().await?;
        let mut story = Story::default();
        let mut pending = VecDeque::new();
        loop {
            match host.next().await? {
                Event::Call { id, name, params } => {
                    story.events.push(format!("call {name}"));
                    pending.push_back(Call { id, name, params });
                }
                Event::Blocked => {
                    story.events.push("blocked".into());
                    let call = pending.remove(choose(&pending)).unwrap();
                    host.resolve(call.id, answer(&call)).await?;
                }
                Event::Item(report) => {
                    story.events.push(format!("item {}", report["id"]));
                    story.items.push(Value::Object(report));
                }
                Event::Note(report) => story.notes.push(Value::Object(report)),
                Event::Log { level, text } => story.logs.push(format!("{level}: {text}")),
                Event::Progress { done, total, label } => {
                    story.logs.push(format!("progress: {done}/{total:?} {label}"));
                }
                Event::Done(value) => {
                    story.done = Some(value);
                    return Ok(story);
                }
                Event::Raised(raised) => {
                    story.raised = Some(raised);
                    return Ok(story);
                }
            }
        }
    }

    /// Plays to the end, first come, first served, each call answered with its own parameters.
    pub async fn echo(&self) -> Result<Story, HostError> {
        self.play(|_| 0, |call| Reply::Value(Value::Object(call.params.clone()))).await
    }
}

pub fn raise(exception: Exception, message: &str) -> Reply {
    Reply::Raise { exception, message: message.to_owned() }
}
