//! Faithful loopback simulators of Wiz, Qualys, PagerDuty, Jira, CrowdStrike and ServiceNow.
//!
//! One port speaks the wire formats of all of them, over http and https, keeps an effect ledger of
//! every accepted write, and misbehaves on demand. It is written from the vendors' documentation
//! and shares no type with the connectors, so that an error in one is not an error in both.
//! It never listens beyond loopback and holds no real credential.
//!
//! Start at [`start`]; `docs/simulators.md` describes scenarios and faults.

#![recursion_limit = "256"]

mod control;
mod crowdstrike;
mod environment;
mod estate;
mod faults;
mod http;
mod jira;
mod ledger;
mod pagerduty;
mod qualys;
mod rows;
mod server;
mod servicenow;
mod tls;
mod wave;
mod wiz;
mod world;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use control::{Control, IncidentView, IssueView, TicketView};
pub use estate::{GeneratedScenario, Scenario, ScenarioError};
pub use faults::{FaultError, Faults};
pub use ledger::Entry;
pub use wave::Expected;

/// A simulated vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// Wiz, cloud security findings by GraphQL.
    Wiz,
    /// Qualys VMDR, host detections by XML.
    Qualys,
    /// PagerDuty, incidents.
    PagerDuty,
    /// Jira, Cloud or Data Center.
    Jira,
    /// CrowdStrike Falcon, host sensors.
    CrowdStrike,
    /// ServiceNow, tickets by the Table API.
    ServiceNow,
}

impl Vendor {
    /// Every simulated vendor.
    pub const ALL: [Self; 6] =
        [Self::Wiz, Self::Qualys, Self::PagerDuty, Self::Jira, Self::CrowdStrike, Self::ServiceNow];

    /// The vendor's name in specifications and ledgers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wiz => "wiz",
            Self::Qualys => "qualys",
            Self::PagerDuty => "pagerduty",
            Self::Jira => "jira",
            Self::CrowdStrike => "crowdstrike",
            Self::ServiceNow => "servicenow",
        }
    }

    fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no simulated vendor has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown vendor `{0}`; simulated: {known}", known = Vendor::names())]
pub struct UnknownVendor(pub String);

impl FromStr for Vendor {
    type Err = UnknownVendor;

    fn from_str(text: &str) -> Result<Self, UnknownVendor> {
        let found = Self::ALL.into_iter().find(|vendor| vendor.name() == text);
        found.ok_or_else(|| UnknownVendor(text.to_owned()))
    }
}

/// Which Jira is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JiraDeployment {
    /// Cloud: API v3, Basic with e-mail and API token, ADF, `/search/jql`.
    #[default]
    Cloud,
    /// Data Center: API v2, Bearer personal access token, plain text, classic `/search`.
    DataCenter,
}

/// How to start the simulators.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Which company the scanners look at.
    pub scenario: Scenario,
    /// What goes wrong.
    pub faults: Faults,
    /// Where all chance comes from.
    pub seed: u64,
    /// The effect ledger's file; an existing one is continued.
    pub ledger: Option<PathBuf>,
    /// Whether [`Simulators::environment`] names https addresses.
    pub tls_urls: bool,
    /// Which Jira is simulated.
    pub jira: JiraDeployment,
    /// The vendors' time, which then stands still until [`Control::advance`]; none: the real time.
    pub now: Option<Timestamp>,
}

/// Why the simulators did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The port is taken or not permitted.
    #[error("cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The ledger file cannot be read or written.
    #[error("cannot use ledger `{}`: {source}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The ledger file holds something else.
    #[error("ledger `{}` line {line} is not a ledger entry: {source}", path.display())]
    LedgerLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// The environment file cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library refused the certificate.
    #[error("cannot set up tls: {0}")]
    Tls(#[from] rustls::Error),
}

/// The running simulators; they stop when this is dropped or shut down.
pub struct Simulators {
    address: SocketAddr,
    tls_urls: bool,
    jira: JiraDeployment,
    ca_pem: String,
    world: Arc<world::World>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts all simulators on one loopback port of the calling Tokio runtime.
pub async fn start(options: Options) -> Result<Simulators, SimError> {
    let listen = |source| SimError::Listen { port: options.port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let tls = tls::generate()?;
    let world = Arc::new(world::World::new(&options)?);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(server::run(listener, tls.acceptor, world.clone(), stopped));
    Ok(Simulators {
        address,
        tls_urls: options.tls_urls,
        jira: options.jira,
        ca_pem: tls.ca_pem,
        world,
        stop,
        task,
    })
}

impl Simulators {
    /// Where the simulators listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base address that [`Simulators::environment`] uses, without a trailing slash.
    pub fn url(&self) -> String {
        let scheme = if self.tls_urls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate of the authority that signed the https certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Every accepted write so far, oldest first.
    pub fn ledger(&self) -> Vec<Entry> {
        self.world.shared.ledger.entries_since(0)
    }

    /// The accepted writes after the first `n`: for following along without copying them all.
    pub fn ledger_since(&self, n: usize) -> Vec<Entry> {
        self.world.shared.ledger.entries_since(n)
    }

    /// The levers a test pulls behind the vendors' backs.
    pub fn control(&self) -> Control {
        Control::new(self.world.clone())
    }

    /// Stops listening and drops every connection.
    pub async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        // The task only fails when it was aborted, which is the end that is wanted.
        let _ = (&mut self.task).await;
    }

    /// Writes the environment as lines a shell can source, the authority's certificate beside it.
    ///
    /// With https addresses the file also names the certificate, as `SSL_CERT_FILE`.
    pub fn write_env_file(&self, path: &Path) -> Result<(), SimError> {
        environment::write(self, path)
    }
}

impl Drop for Simulators {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Simulators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulators").field("address", &self.address).finish_non_exhaustive()
    }
}
