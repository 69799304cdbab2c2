//! The parent's side: starting the process, playing the game, saying why it died.

use std::collections::HashSet;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

use super::frame::{self, FrameError, FromChild, Outcome, OwnedScript, PROTOCOL, ToChild};
use super::{CallId, CalledOperation, Event, Exception, HostOptions, Limits, Reply, Script, Walls};
use crate::Diagnostic;

/// The longest script accepted.
const SOURCE_BYTES_MAX: usize = 1 << 20;
/// How long the process may take to raise its walls and check the script.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a process that closed its pipe may take to end before it is killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is kept of standard error, to say why a process died.
const STDERR_BYTES_MAX: usize = 16 << 10;
/// What is read from the pipe at once.
const READ_BYTES: usize = 64 << 10;

/// Why a workflow could not be run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The script cannot run; nothing of it has run.
    #[error("{}", first_of(.0))]
    Load(Vec<Diagnostic>),
    /// The process could not be started.
    #[error("cannot start the workflow's process: {0}")]
    Spawn(#[source] std::io::Error),
    /// The process died; the run fails and nothing else does.
    #[error("{reason}")]
    Crashed {
        /// Why, for people.
        reason: String,
    },
    /// The process broke the protocol, as only a taken-over process would; it was killed.
    #[error("the workflow's process broke the protocol: {reason}")]
    Protocol {
        /// How.
        reason: String,
    },
    /// The caller broke the rules of the game; nothing was sent.
    #[error("{reason}")]
    Misuse {
        /// How.
        reason: &'static str,
    },
}

fn first_of(diagnostics: &[Diagnostic]) -> String {
    match diagnostics {
        [] => "the workflow cannot run".into(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}\n(and {} more)", rest.len()),
    }
}

/// A script that passed the checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The operations that its text names, each once, in order of appearance.
    pub operations: Vec<CalledOperation>,
    /// The host functions that its text names.
    pub functions: Vec<String>,
}

/// Checks a script without running it, in a process of its own.
///
/// # Errors
/// [`HostError::Load`] with everything that is wrong with it.
pub async fn check(options: &HostOptions, script: Script<'_>) -> Result<Checked, HostError> {
    let (host, checked) = open(options, script, true).await?;
    host.stop().await;
    Ok(checked)
}

/// A running workflow.
///
/// Dropping it kills the process.
#[derive(Debug)]
pub struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Bytes read and not yet decoded.
    buffer: Vec<u8>,
    stderr: JoinHandle<Vec<u8>>,
    limits: Limits,
    walls: Walls,
    rules: Rules,
}

/// What the process may say next.
#[derive(Debug)]
pub(super) struct Rules {
    names: HashSet<String>,
    pending: HashSet<u32>,
    n_calls: usize,
    n_calls_max: usize,
    stage: Stage,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Runs,
    Blocked,
    Ended,
}

impl Host {
    /// Starts a process, has it check the script, and lets it run.
    ///
    /// # Errors
    /// [`HostError::Load`] when the script cannot run; otherwise as [`Host::next`].
    pub async fn start(options: &HostOptions, script: Script<'_>) -> Result<Self, HostError> {
        Ok(open(options, script, false).await?.0)
    }

    /// The walls that stand around the process.
    #[must_use]
    pub fn walls(&self) -> Walls {
        self.walls
    }

    /// The next thing that the workflow does. Cancel-safe.
    ///
    /// # Errors
    /// [`HostError::Crashed`] or [`HostError::Protocol`]; the process is gone then.
    /// [`HostError::Misuse`] while [`Event::Blocked`] is unanswered, or after the end.
    pub async fn next(&mut self) -> Result<Event, HostError> {
        match self.rules.stage {
            Stage::Runs => {}
            Stage::Blocked => {
                return Err(HostError::Misuse { reason: "a call must be resolved first" });
            }
            Stage::Ended => return Err(HostError::Misuse { reason: "the workflow has ended" }),
        }
        let message = self.receive().await?;
        match self.rules.accept(message) {
            Ok(event) => Ok(event),
            Err(reason) => {
                self.kill().await;
                Err(HostError::Protocol { reason })
            }
        }
    }

    /// Resolves one pending call. Only after [`Event::Blocked`], and once.
    ///
    /// A reply that cannot cross (nested too deep, too long) raises `ValueError` in the workflow.
    /// Not cancel-safe: a host whose `resolve` was dropped must be stopped.
    ///
    /// # Errors
    /// [`HostError::Misuse`] when it is not the caller's turn or the call is not pending.
    pub async fn resolve(&mut self, call: CallId, reply: Reply) -> Result<(), HostError> {
        if self.rules.stage != Stage::Blocked {
            return Err(HostError::Misuse { reason: "a call is resolved only after `Blocked`" });
        }
        if !self.rules.pending.remove(&call.0) {
            return Err(HostError::Misuse { reason: "the call is not pending" });
        }
        self.rules.stage = Stage::Runs;
        let too_much = |message: &str| Outcome::Raise {
            exception: Exception::ValueError,
            message: message.to_owned(),
        };
        let outcome = match reply {
            Reply::Value(value) if !frame::is_shallow(&value) => {
                too_much("the reply nests too deep to be handed to a workflow")
            }
            Reply::Value(value) => Outcome::Value(value),
            Reply::Raise { exception, message } => Outcome::Raise { exception, message },
        };
        let bytes = match frame::encode(&ToChild::Resolve { id: call.0, outcome }) {
            Err(FrameError::TooLong { .. }) => {
                let outcome = too_much("the reply is too long to be handed to a workflow");
                frame::encode(&ToChild::Resolve { id: call.0, outcome })
            }
            other => other,
        };
        self.send(bytes).await
    }

    /// Ends the process, whatever it is doing.
    pub async fn stop(mut self) {
        self.kill().await;
    }

    async fn receive(&mut self) -> Result<FromChild, HostError> {
        loop {
            match frame::decode(&self.buffer) {
                Ok(Some((message, taken))) => {
                    self.buffer.drain(..taken);
                    return Ok(message);
                }
                Ok(None) => {}
                Err(error) => {
                    self.kill().await;
                    return Err(HostError::Protocol { reason: error.to_string() });
                }
            }
            self.buffer.reserve(READ_BYTES);
            match self.stdout.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(self.crashed().await),
                Ok(_) => {}
            }
        }
    }

    async fn send(&mut self, bytes: Result<Vec<u8>, FrameError>) -> Result<(), HostError> {
        let sent = match bytes {
            Ok(bytes) => self.stdin.write_all(&bytes).await.is_ok(),
            Err(error) => return Err(HostError::Protocol { reason: error.to_string() }),
        };
        if sent { Ok(()) } else { Err(self.crashed().await) }
    }

    async fn kill(&mut self) {
        self.rules.stage = Stage::Ended;
        // An error means that it has ended already.
        let _ = self.child.kill().await;
    }

    async fn crashed(&mut self) -> HostError {
        self.rules.stage = Stage::Ended;
        let status = match tokio::time::timeout(EXIT_TIMEOUT, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                self.kill().await;
                None
            }
        };
        let stderr = match tokio::time::timeout(EXIT_TIMEOUT, &mut self.stderr).await {
            Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(Err(_)) | Err(_) => String::new(),
        };
        HostError::Crashed { reason: reason_of_death(status, &stderr, &self.limits) }
    }
}

impl Rules {
    /// The rules for a process that may call these names, and no more often than that.
    pub(super) fn new(names: HashSet<String>, n_calls_max: usize) -> Self {
        Self { names, pending: HashSet::new(), n_calls: 0, n_calls_max, stage: Stage::Runs }
    }

    /// INVARIANT (no trust): a message becomes an event only if it keeps the rules.
    pub(super) fn accept(&mut self, message: FromChild) -> Result<Event, String> {
        match message {
            FromChild::Call { id, name, params } => {
                self.n_calls += 1;
                if self.n_calls > self.n_calls_max {
                    return Err(format!("more than {} calls", self.n_calls_max));
                }
                if !self.names.contains(&name) {
                    return Err("a call of a name it was not given".into());
                }
                if !self.pending.insert(id) {
                    return Err("two calls with one id".into());
                }
                if !params.values().all(frame::is_shallow) {
                    return Err("parameters nested too deep".into());
                }
                Ok(Event::Call { id: CallId(id), name, params })
            }
            FromChild::Blocked if self.pending.is_empty() => Err("it waits for no call".into()),
            FromChild::Blocked => {
                self.stage = Stage::Blocked;
                Ok(Event::Blocked)
            }
            FromChild::Item { report } => Ok(Event::Item(report)),
            FromChild::Note { report } => Ok(Event::Note(report)),
            FromChild::Log { level, text } => Ok(Event::Log { level, text }),
            FromChild::Progress { done, total, label } => {
                Ok(Event::Progress { done, total, label })
            }
            FromChild::Done { value } => {
                self.stage = Stage::Ended;
                Ok(Event::Done(value))
            }
            FromChild::Raised(raised) => {
                self.stage = Stage::Ended;
                Ok(Event::Raised(raised))
            }
            FromChild::Hello { .. } | FromChild::Ready { .. } | FromChild::Rejected { .. } => {
                Err("a second handshake".into())
            }
        }
    }
}

async fn open(
    options: &HostOptions,
    script: Script<'_>,
    check_only: bool,
) -> Result<(Host, Checked), HostError> {
    let mut host = spawn(options, script)?;
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, host.greet(script, check_only));
    match handshake.await {
        Ok(Ok(checked)) => Ok((host, checked)),
        Ok(Err(error)) => {
            host.kill().await;
            Err(error)
        }
        Err(_) => {
            host.kill().await;
            let seconds = HANDSHAKE_TIMEOUT.as_secs();
            let reason = format!("the workflow's process was not ready within {seconds} s");
            Err(HostError::Crashed { reason })
        }
    }
}

#[expect(clippy::disallowed_types, reason = "this is the workflow's process")]
fn spawn(options: &HostOptions, script: Script<'_>) -> Result<Host, HostError> {
    let mut command = tokio::process::Command::new(&options.program);
    command
        .args(&options.args)
        .env_clear()
        // One heap arena, so that the limit on address space is the limit on memory.
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Its own group: Ctrl-C is for the parent, which decides what becomes of the run.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(HostError::Spawn)?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(HostError::Spawn(std::io::Error::other("no pipes")));
    };
    Ok(Host {
        child,
        stdin,
        stdout,
        buffer: Vec::new(),
        stderr: tokio::spawn(last_words(stderr)),
        limits: options.limits.clone(),
        walls: Walls::default(),
        rules: Rules::new(
            frame::callable_names(script.objects, script.functions),
            options.limits.n_calls_max,
        ),
    })
}

impl Host {
    async fn greet(&mut self, script: Script<'_>, check_only: bool) -> Result<Checked, HostError> {
        if script.source.len() > SOURCE_BYTES_MAX {
            return Err(HostError::Load(vec![Diagnostic {
                file: script.file.to_owned(),
                line: 0,
                column: 0,
                code: "ARX-W008".into(),
                message: format!("the file is longer than {SOURCE_BYTES_MAX} bytes"),
                hint: Some("move data into the `inputs` of arx.yaml".into()),
            }]));
        }
        let setup = ToChild::Setup { protocol: PROTOCOL, limits: self.limits.clone() };
        self.send(frame::encode(&setup)).await?;
        match self.receive().await? {
            FromChild::Hello { protocol: PROTOCOL, walls } => self.walls = walls,
            _ => return Err(HostError::Protocol { reason: "it did not say hello".into() }),
        }
        let script = OwnedScript {
            file: script.file.to_owned(),
            source: script.source.to_owned(),
            config: script.config.clone(),
            now: script.now.to_owned(),
            objects: script.objects.to_vec(),
            functions: script.functions.to_vec(),
        };
        self.send(frame::encode(&ToChild::Start { check_only, script })).await?;
        match self.receive().await? {
            FromChild::Ready { operations, functions } => Ok(Checked { operations, functions }),
            FromChild::Rejected { diagnostics } => Err(HostError::Load(diagnostics)),
            _ => Err(HostError::Protocol { reason: "it did not check the script".into() }),
        }
    }
}

/// Keeps the start of what the process writes to standard error, and drains the rest.
async fn last_words(mut stderr: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        match stderr.read(&mut chunk).await {
            Ok(0) | Err(_) => return kept,
            Ok(n) => {
                let left = STDERR_BYTES_MAX - kept.len().min(STDERR_BYTES_MAX);
                kept.extend(chunk.iter().take(n.min(left)));
            }
        }
    }
}

fn reason_of_death(status: Option<ExitStatus>, stderr: &str, limits: &Limits) -> String {
    let memory = limits.address_space_bytes >> 20;
    if stderr.contains("memory allocation of") || stderr.contains("annot allocate memory") {
        return format!("the workflow used more than {memory} MiB of memory");
    }
    if stderr.contains("overflowed its stack") {
        return "the workflow recursed too deep".into();
    }
    if let Some(text) = signal_text(status, limits) {
        return text;
    }
    let how = match status.and_then(|status| status.code()) {
        Some(code) => format!("ended with code {code}"),
        None => "was killed".into(),
    };
    // The process is not trusted, so what it says is shown as one short printable line.
    let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    if line.is_empty() {
        format!("the workflow's process {how}")
    } else {
        format!("the workflow's process {how}: {line}")
    }
}

#[cfg(unix)]
fn signal_text(status: Option<ExitStatus>, limits: &Limits) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;

    use rustix::process::Signal;

    let signal = Signal::from_named_raw(status?.signal()?)?;
    Some(match signal {
        Signal::XCPU => {
            format!("the workflow used more than {} s of processor time", limits.cpu_seconds)
        }
        Signal::SYS => "the workflow's process tried a forbidden system call".into(),
        Signal::SEGV | Signal::BUS => "the workflow's process crashed in the interpreter".into(),
        Signal::KILL => "the workflow's process was killed from outside".into(),
        other => format!("the workflow's process was ended by signal {}", other.as_raw()),
    })
}

#[cfg(not(unix))]
fn signal_text(_status: Option<ExitStatus>, _limits: &Limits) -> Option<String> {
    None
}

/// What a JSON reply looks like to [`Host::resolve`]; for callers that build replies from values.
impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}
