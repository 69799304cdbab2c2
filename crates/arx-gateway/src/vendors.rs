//! The vendors of one workflow: each connector joined with its endpoint, credential and budget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arx_journal::Journal;
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use crate::cache::JournalCache;
use crate::connector::{Call, CallError, Connector, ConnectorSpec, EndpointError};
use crate::credentials::{Environment, Variables};
use crate::http::{
    Budget, Client, GovernedHttp, Health, RateLimit, client_for, describe, is_loopback,
};
use crate::permit::Permit;

/// What `arx.yaml` says of one connector.
#[derive(Clone)]
pub struct Binding {
    /// The connector.
    pub connector: Arc<dyn Connector>,
    /// Whether the workflow goes on without it.
    pub optional: bool,
    /// Overrides the vendor's documented limit, on any host.
    pub rate: Option<RateLimit>,
    /// Overrides how long an unknown outcome is looked for.
    pub settle_for: Option<Duration>,
    /// Vendor settings such as an API version.
    pub settings: Value,
}

/// Why a connector cannot be used; nothing was sent.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SetupError {
    /// Required variables have no value.
    #[error("{title} needs {}", names.join(", "))]
    Missing {
        /// The connector's name.
        connector: &'static str,
        /// The vendor's name for people.
        title: &'static str,
        /// The variables, each of which must be set.
        names: Vec<&'static str>,
    },
    /// A variable's value makes no endpoint.
    #[error("{title}: {source}")]
    Endpoint {
        /// The connector's name.
        connector: &'static str,
        /// The vendor's name for people.
        title: &'static str,
        /// The variable and what is wrong with it.
        source: EndpointError,
    },
}

impl SetupError {
    /// The connector's name.
    #[must_use]
    pub fn connector(&self) -> &'static str {
        match self {
            Self::Missing { connector, .. } | Self::Endpoint { connector, .. } => connector,
        }
    }
}

/// Budgets by connector and host, each with the vendor's name for people.
type BudgetsByHost = BTreeMap<(&'static str, String), (&'static str, Arc<Budget>)>;

/// What is left of one vendor's budget, and how the vendor has answered lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorReading {
    /// The connector's name.
    pub connector: &'static str,
    /// The vendor's name for people.
    pub title: &'static str,
    /// The host and port that are asked.
    pub host: String,
    /// The limit that is kept, if any.
    pub limit: Option<RateLimit>,
    /// Requests that may be sent now, where there is a limit.
    pub left: Option<u32>,
    /// For how long nothing is sent, because the vendor asked for it.
    pub closed_for: Option<Duration>,
    /// How it has answered.
    pub health: Health,
}

/// The rate budgets of this process, one for each vendor host, shared by every run, and the
/// connections that they are spent on.
#[derive(Clone, Default)]
pub struct Budgets {
    by_host: Arc<Mutex<BudgetsByHost>>,
    /// By whether they use TLS: reading the trust store anew for each run would cost more than the
    /// run.
    clients: Arc<Mutex<BTreeMap<bool, Client>>>,
}

impl Budgets {
    fn get(&self, spec: &ConnectorSpec, host: &str, limit: Option<RateLimit>) -> Arc<Budget> {
        let mut by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, budget) = by_host
            .entry((spec.name, host.to_owned()))
            .or_insert_with(|| (spec.title, Arc::new(Budget::new(limit, spec.in_flight_max))));
        Arc::clone(budget)
    }

    fn client(&self, base: &Url) -> Result<Client, EndpointError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let is_tls = base.scheme() != "http";
        if let Some(client) = clients.get(&is_tls) {
            return Ok(client.clone());
        }
        let client = client_for(base).map_err(|error| EndpointError {
            variable: "SSL_CERT_FILE",
            problem: format!("or the system's trust store cannot be used: {}", describe(&error)),
        })?;
        clients.insert(is_tls, client.clone());
        Ok(client)
    }

    /// How it stands with every vendor that was asked anything.
    #[must_use]
    pub fn readings(&self) -> Vec<VendorReading> {
        let by_host = self.by_host.lock().unwrap_or_else(PoisonError::into_inner);
        by_host
            .iter()
            .map(|((connector, host), (title, budget))| {
                let (left, closed_for) = budget.left();
                VendorReading {
                    connector,
                    title,
                    host: host.clone(),
                    limit: budget.limit(),
                    left,
                    closed_for,
                    health: budget.health(),
                }
            })
            .collect()
    }
}

/// One connector, ready to be called.
pub(crate) struct Vendor {
    pub(crate) connector: Arc<dyn Connector>,
    http: GovernedHttp,
    variables: Variables,
    settings: Value,
    cache: JournalCache,
    pub(crate) settle_for: Duration,
}

impl Vendor {
    pub(crate) fn open(
        binding: &Binding,
        environment: &Environment,
        budgets: &Budgets,
        journal: &Journal,
    ) -> Result<Self, SetupError> {
        let spec = binding.connector.spec();
        let names = environment.missing(spec);
        if !names.is_empty() {
            return Err(SetupError::Missing { connector: spec.name, title: spec.title, names });
        }
        let endpoint_error =
            |source| SetupError::Endpoint { connector: spec.name, title: spec.title, source };
        let (variables, secrets) = environment.split(spec);
        let endpoint =
            binding.connector.endpoint(&variables, &binding.settings).map_err(endpoint_error)?;
        let host = endpoint.base.host_str().unwrap_or_default().to_ascii_lowercase();
        let documented =
            !is_loopback(&endpoint.base) && spec.hosts.iter().any(|suffix| host.ends_with(suffix));
        let limit = binding.rate.or(spec.rate.filter(|_| documented));
        let authority = format!("{host}:{}", endpoint.base.port_or_known_default().unwrap_or(0));
        let budget = budgets.get(spec, &authority, limit);
        let client = budgets.client(&endpoint.base).map_err(endpoint_error)?;
        let http = GovernedHttp::new(
            Arc::clone(&binding.connector),
            endpoint,
            &variables,
            secrets,
            budget,
            client,
            journal.clone(),
        )
        .map_err(endpoint_error)?;
        Ok(Self {
            connector: Arc::clone(&binding.connector),
            http,
            variables,
            settings: binding.settings.clone(),
            cache: JournalCache::new(journal.clone(), spec.name),
            settle_for: binding.settle_for.unwrap_or(spec.settle_for),
        })
    }

    /// Whether it is on this machine, as simulators are.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(self.http.base())
    }

    /// The base address, without user, password or query, which a URL may carry.
    pub(crate) fn endpoint(&self) -> String {
        let mut base = self.http.base().clone();
        // Both fail only for addresses without a host, which no endpoint is.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        base.set_query(None);
        base.to_string()
    }

    pub(crate) fn call<'a>(
        &'a self,
        permit: &'a Permit,
        params: &'a Value,
        findings: Option<&'a Arc<dyn arx_types::FindingSink>>,
        now: Timestamp,
    ) -> Call<'a> {
        Call {
            permit,
            http: &self.http,
            operation: &permit.operation().name,
            params,
            effect: permit.effect(),
            findings,
            settings: &self.settings,
            cache: &self.cache,
            variables: &self.variables,
            now,
        }
    }

    /// `text` without any of this vendor's secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.http.scrub(text)
    }

    /// A value whose texts hold none of this vendor's secrets.
    pub(crate) fn scrub_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.scrub(&text)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.scrub_value(item)).collect())
            }
            Value::Object(fields) => Value::Object(
                fields.into_iter().map(|(key, item)| (key, self.scrub_value(item))).collect(),
            ),
            other => other,
        }
    }

    pub(crate) fn scrub_error(&self, error: CallError) -> CallError {
        match error {
            CallError::Parameters { operation, message } => {
                CallError::Parameters { operation, message: self.scrub(&message) }
            }
            CallError::Configuration { message } => {
                CallError::Configuration { message: self.scrub(&message) }
            }
            CallError::Refused { vendor, status, message } => {
                CallError::Refused { vendor, status, message: self.scrub(&message) }
            }
            CallError::Moved { vendor, message } => {
                CallError::Moved { vendor, message: self.scrub(&message) }
            }
            CallError::Credential { vendor, variables, message } => {
                CallError::Credential { vendor, variables, message: self.scrub(&message) }
            }
            CallError::Unreachable { vendor, message } => {
                CallError::Unreachable { vendor, message: self.scrub(&message) }
            }
            CallError::Malformed { vendor, message } => {
                CallError::Malformed { vendor, message: self.scrub(&message) }
            }
            CallError::OutcomeUnknown { vendor, message } => {
                CallError::OutcomeUnknown { vendor, message: self.scrub(&message) }
            }
            CallError::Sink(error) => CallError::Sink(error),
        }
    }
}
