//! Scenario names and their parameters.

use std::str::FromStr;

/// Largest sizes of a generated estate; beyond them indexes or memory would suffer.
const ROWS_MAX: u64 = 50_000_000;
const CVES_MAX: u64 = 200_000;
const ASSETS_MAX: u64 = 500_000;
const TICKETS_MAX: u64 = 20_000;

/// Which company the scanners look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scenario {
    /// A company of 300 assets with real published vulnerabilities.
    #[default]
    Default,
    /// The same company, with tickets that no account can work on.
    Awkward,
    /// Any number of made-up rows, computed as they are read.
    Generated(GeneratedScenario),
    /// Nothing found anywhere.
    Empty,
}

/// The size of a generated estate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedScenario {
    /// Where all chance comes from.
    pub seed: u64,
    /// Wiz findings.
    pub findings: u64,
    /// Qualys detections.
    pub detections: u64,
    /// Distinct CVEs.
    pub cves: u64,
    /// Assets; all are Qualys hosts too.
    pub assets: u64,
    /// Percentage of CVEs that are critical (Qualys severity 5); the others are high.
    pub critical: u64,
    /// Tickets that wait for a patch to be verified, each with a host of its own.
    pub tickets: u64,
}

impl Default for GeneratedScenario {
    fn default() -> Self {
        Self {
            seed: 1,
            findings: 100_000,
            detections: 20_000,
            cves: 1_000,
            assets: 5_000,
            critical: 100,
            tickets: 0,
        }
    }
}

/// Why a scenario was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No scenario of that name.
    #[error(
        "unknown scenario `{0}`; known: default, awkward, empty, generated:seed=N,findings=N,detections=N,cves=N,assets=N,critical=P,tickets=N"
    )]
    Unknown(String),
    /// No such parameter.
    #[error(
        "unknown parameter `{0}` of the generated scenario; known: seed, findings, detections, cves, assets, critical, tickets"
    )]
    UnknownParameter(String),
    /// Not a number, or out of bounds.
    #[error("bad value `{value}` for `{name}`: write a whole number from {min} to {max}")]
    BadValue {
        /// The parameter.
        name: String,
        /// The value as written.
        value: String,
        /// The least that is accepted.
        min: u64,
        /// The most that is accepted.
        max: u64,
    },
}

impl FromStr for Scenario {
    type Err = ScenarioError;

    fn from_str(text: &str) -> Result<Self, ScenarioError> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        match (name, parameters) {
            ("default", "") => Ok(Self::Default),
            ("awkward", "") => Ok(Self::Awkward),
            ("empty", "") => Ok(Self::Empty),
            ("generated", parameters) => generated(parameters).map(Self::Generated),
            _ => Err(ScenarioError::Unknown(text.to_owned())),
        }
    }
}

fn generated(parameters: &str) -> Result<GeneratedScenario, ScenarioError> {
    let mut size = GeneratedScenario::default();
    for parameter in parameters.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let (slot, min, max) = match name {
            "seed" => (&mut size.seed, 0, u64::MAX),
            "findings" => (&mut size.findings, 0, ROWS_MAX),
            "detections" => (&mut size.detections, 0, ROWS_MAX),
            "cves" => (&mut size.cves, 1, CVES_MAX),
            "assets" => (&mut size.assets, 1, ASSETS_MAX),
            "critical" => (&mut size.critical, 0, 100),
            "tickets" => (&mut size.tickets, 0, TICKETS_MAX),
            _ => return Err(ScenarioError::UnknownParameter(name.to_owned())),
        };
        *slot = value.parse().ok().filter(|n| (min..=max).contains(n)).ok_or_else(|| {
            ScenarioError::BadValue { name: name.to_owned(), value: value.to_owned(), min, max }
        })?;
    }
    Ok(size)
}
