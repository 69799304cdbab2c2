//! A home of one test, with commands that see nothing but it, and simulators beside it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A company of three vulnerabilities, so that a whole run takes no time.
pub const SMALL: &str = "generated:seed=3,findings=12,detections=0,cves=3,assets=4";
/// The workflow that everything is tried with.
pub const WORKFLOW: &str = "critical-vuln-escalation";
/// The other workflow of the library.
pub const PATCHES: &str = "patch-verification";
/// Eight tickets over as many hosts.
pub const TICKETS: &str = "generated:seed=3,findings=0,detections=0,tickets=8";
/// How long anything may take that should take moments.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a command left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one JSON document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error says something.
    #[track_caller]
    pub fn says(self, expected: &str) -> Self {
        assert!(self.stderr.contains(expected), "no `{expected}` in:\n{}", self.stderr);
        self
    }
}

/// Directories and variables of one test.
pub struct Home {
    directory: TempDir,
    pub variables: BTreeMap<String, String>,
}

impl Home {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), variables: BTreeMap::new() }
    }

    /// A home whose variables point at simulators.
    pub fn at(simulators: &Simulators) -> Self {
        Self { variables: simulators.variables.clone(), ..Self::new() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A command that sees this home and no other variable.
    #[expect(clippy::disallowed_types, reason = "the binary is what is tested")]
    pub fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_arx"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("ARX_HOME", self.state())
            .env("USER", "tester")
            .envs(&self.variables)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn arx(&self, args: &[&str]) -> Finished {
        let output = self.command(args).output().unwrap();
        Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command that goes on beside the test.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut child =
            self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        Running { child: Some(child), says, said: String::new() }
    }

    /// Writes the library's workflow as a bundle of this home, with some texts replaced.
    pub fn bundle(&self, replacements: &[(&str, &str)]) -> String {
        self.bundle_of(WORKFLOW, replacements)
    }

    /// The same of another workflow of the library.
    pub fn bundle_of(&self, workflow: &str, replacements: &[(&str, &str)]) -> String {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../library/workflows");
        let bundle = self.path().join("bundle");
        std::fs::create_dir_all(&bundle).unwrap();
        for file in ["arx.yaml", "workflow.py"] {
            let mut text = std::fs::read_to_string(library.join(workflow).join(file)).unwrap();
            for (from, to) in replacements {
                text = text.replace(from, to);
            }
            std::fs::write(bundle.join(file), text).unwrap();
        }
        bundle.display().to_string()
    }

    /// The bundle whose unknown outcomes are settled within seconds.
    pub fn impatient_bundle(&self) -> String {
        let jira = "jira: { operations: [\"issues:create\"]";
        let pagerduty = "pagerduty: { operations: [\"incidents:create\"]";
        let hasty = |binding: &str, more: &str| {
            binding.replace("{ operations", &format!("{{ settle_for: 1s, {more} operations"))
        };
        let hasty_jira = hasty(jira, "settings: { in_flight_ms: 3000 },");
        self.bundle(&[(jira, &hasty_jira), (pagerduty, &hasty(pagerduty, ""))])
    }

    /// The recorded runs, the oldest first.
    pub fn runs(&self) -> Vec<Value> {
        let listed = self.arx(&["runs", "list", "--json"]).code(0).json();
        let mut runs = listed["runs"].as_array().unwrap().clone();
        runs.reverse();
        runs
    }
}

/// A command under way; it is killed when the test is done with it.
pub struct Running {
    child: Option<Child>,
    says: BufReader<ChildStderr>,
    said: String,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends the process as a power cut would.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    }

    /// Waits until standard error says something.
    pub fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "no `{text}` in:\n{}", self.said);
            self.said.push_str(&line);
        }
    }

    /// Waits for the end, and says how long that took.
    pub fn finish(mut self) -> (Finished, Duration) {
        let began = Instant::now();
        self.says.read_to_string(&mut self.said).unwrap();
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let finished = Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: std::mem::take(&mut self.said),
        };
        (finished, began.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// `arx sim` in a process of its own, which outlives every kill of its clients.
pub struct Simulators {
    home: TempDir,
    child: Child,
    says: BufReader<ChildStderr>,
    pub variables: BTreeMap<String, String>,
}

impl Simulators {
    pub fn new(scenario: &str, faults: &str) -> Self {
        let home = Home::new();
        let (environment, ledger) = (home.path().join("env"), home.path().join("ledger.jsonl"));
        let mut child = home
            .command(&["sim", "--scenario", scenario, "--faults", faults, "--env-file"])
            .arg(&environment)
            .arg("--ledger")
            .arg(&ledger)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut announced = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut announced).unwrap();
        let says = BufReader::new(child.stderr.take().unwrap());
        if !announced.starts_with("simulators at http://127.0.0.1:") {
            let said: Vec<_> = says.lines().map_while(Result::ok).collect();
            panic!("`arx sim` did not start: {announced} {said:?}");
        }
        let text = std::fs::read_to_string(&environment).unwrap();
        let variables = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        Self { home: home.directory, child, says, variables }
    }

    /// Waits until the simulators say that they opened another incident.
    pub fn wait_for_write(&mut self) {
        self.wait_for("incidents.create");
    }

    /// Waits until the simulators say that they accepted another such write.
    pub fn wait_for(&mut self, operation: &str) {
        let until = Instant::now() + PATIENCE;
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "the simulators ended");
            if line.contains(operation) {
                return;
            }
            assert!(Instant::now() < until, "no write within {PATIENCE:?}");
        }
    }

    /// Every accepted write.
    pub fn writes(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.ledger()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The certificate of the authority that theirs is signed by.
    pub fn authority(&self) -> PathBuf {
        self.home.path().join("env.ca.pem")
    }

    pub fn ledger(&self) -> PathBuf {
        self.home.path().join("ledger.jsonl")
    }

    /// How many incidents and issues each effect has.
    pub fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for write in self.writes() {
            if write["operation"].as_str().unwrap().ends_with("create") {
                let key = &write["key"];
                let key = key.pointer("/value/effect_key").unwrap_or(key).as_str().unwrap();
                *effects.entry(key.to_owned()).or_default() += 1;
            }
        }
        effects
    }

    /// Checks that every effect happened once, and how many there are.
    #[track_caller]
    pub fn happened_once(&self, n_effects: usize) {
        let effects = self.effects();
        assert!(effects.values().all(|n| *n == 1), "{effects:#?}");
        assert_eq!(effects.len(), n_effects, "{effects:#?}");
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
