//! The gate: every connector call is bound, scored, decided, recorded and only then sent.
//!
//! This crate knows no vendor by name. Start at [`Connector`] for what a vendor must offer, at
//! [`GovernedHttp`] for how bytes leave.

mod cache;
mod connector;
mod credentials;
pub mod http;
mod permit;

pub use cache::{Cache, CacheError};
pub use connector::{
    Auth, BudgetReading, Call, CallError, Connector, ConnectorSpec, Endpoint, EndpointError,
    Pushback, Settlement, Variable,
};
pub use credentials::{Environment, Variables};
pub use http::{Budget, GovernedHttp, HttpError, RateLimit, Replay, Request, Response};
pub use permit::Permit;
pub use reqwest::header::HeaderMap;
