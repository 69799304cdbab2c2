//! The gate: every connector call is bound, scored, decided, recorded and only then sent.
//!
//! This crate knows no vendor by name. Start at [`Gateway::call`] for the pipeline, at
//! [`Connector`] for what a vendor must offer, at [`GovernedHttp`] for how bytes leave; what is
//! told to people leaves by [`webhook`]. Tests of
//! connectors pass the same gate, under a policy that permits all: `arx_testkit::TestGate`.

mod action;
mod cache;
mod connector;
mod credentials;
mod gate;
pub mod http;
mod permit;
mod vendors;
pub mod webhook;

pub use action::{Action, EffectReply, EscalatedAction, Escalation, GateError, Reply, RunContext};
pub use cache::{Cache, CacheError};
pub use connector::{
    Auth, BudgetReading, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError,
    Pushback, Settlement, Variable,
};
pub use credentials::{Environment, Variables};
pub use gate::{CHECK_OPERATION, Checked, Gateway};
pub use http::{Budget, GovernedHttp, Health, HttpError, RateLimit, Replay, Request, Response};
pub use permit::Permit;
pub use reqwest::header::HeaderMap;
pub use vendors::{Binding, Budgets, SetupError, VendorReading};
