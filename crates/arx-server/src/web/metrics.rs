//! What a monitoring system asks for, in Prometheus' text format. No name of a person, a finding
//! or a secret is in it.

use std::time::Duration;

use arx_journal::{ApprovalState, JournalError, Reader};
use arx_types::RunStatus;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Problem, Web};

/// What is counted in the record is counted no further than this.
const COUNTED_MAX: u32 = 100_000;

/// Upper ends of the buckets that answers are counted in, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

type Labels = Vec<(String, String)>;

/// What is counted while the server runs.
pub(crate) struct Metrics {
    requests: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let seconds = || Histogram::new(BUCKETS);
        Self { requests: Family::default(), seconds: Family::new_with_constructor(seconds) }
    }

    /// One request was answered.
    pub(crate) fn answered(
        &self,
        route: &str,
        method: &Method,
        status: StatusCode,
        took: Duration,
    ) {
        // Methods that we do not have are one label, so that nobody can make endless many.
        let known = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
        let method = if known.contains(method) { method.as_str() } else { "other" };
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut labels = vec![label("route", route), label("method", method)];
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
        labels.push(label("status", status.as_str()));
        self.requests.get_or_create(&labels).inc();
    }
}

/// What the record says at this moment.
struct Recorded {
    runs: Vec<(RunStatus, u32)>,
    approvals: u32,
    attention: u32,
    leaves: u64,
}

const STATUSES: [RunStatus; 7] = [
    RunStatus::Running,
    RunStatus::Parked,
    RunStatus::Succeeded,
    RunStatus::Failed,
    RunStatus::NeedsAttention,
    RunStatus::Interrupted,
    RunStatus::Cancelled,
];

fn recorded(reader: &Reader<'_>) -> Result<Recorded, JournalError> {
    let count = |status| Ok((status, reader.n_runs(status, COUNTED_MAX)?));
    Ok(Recorded {
        runs: STATUSES.into_iter().map(count).collect::<Result<_, JournalError>>()?,
        approvals: reader.n_approvals(ApprovalState::Pending, COUNTED_MAX)?,
        attention: reader.n_effects_needing_attention(COUNTED_MAX)?,
        leaves: reader.tree_size()?,
    })
}

/// `/metrics`.
pub(crate) async fn show(State(web): State<Web>) -> Result<Response, Problem> {
    let recorded = web.read(recorded).await?;
    let mut registry = Registry::with_prefix("arx");
    let runs = Family::<Labels, Gauge>::default();
    for (status, n) in recorded.runs {
        let label = vec![("status".to_owned(), status.as_str().to_owned())];
        runs.get_or_create(&label).set(n.into());
    }
    registry.register("runs", "Runs by status, counted up to 100000", runs);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge("approvals_waiting", "Requests that wait for a human", recorded.approvals.into());
    gauge(
        "effects_needing_attention",
        "Effects that a human must settle",
        recorded.attention.into(),
    );
    let daemon = web.app.daemon.status();
    gauge("fires_waiting", "Fires that wait to begin their run", daemon.waiting as u64);
    gauge("workers_busy", "Workers that drive a run", daemon.busy as u64);
    gauge("workers", "Workers in all", daemon.workers as u64);
    gauge("audit_leaves", "Leaves of the audit log", recorded.leaves);
    let vendors = web.app.daemon.vendors();
    let available = Family::<Labels, Gauge>::default();
    for vendor in vendors {
        if let Some(tokens) = vendor.available {
            let label = vec![("connector".to_owned(), vendor.connector)];
            available.get_or_create(&label).set(tokens.into());
        }
    }
    registry.register("vendor_budget", "Requests that may be sent at once now", available);
    let metrics = &web.metrics;
    registry.register("http_requests", "Requests answered", metrics.requests.clone());
    registry.register("http_request_seconds", "Time to the answer", metrics.seconds.clone());
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "ARX-E005", "the metrics do not encode")
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `/healthz`: the process answers.
pub(crate) async fn health() -> &'static str {
    "ok\n"
}

/// How long ago the daemon may have looked at the record; it looks every second.
const LOOKED_WITHIN: SignedDuration = SignedDuration::from_secs(15);

/// `/readyz`: the record can be read, and the daemon looks at it.
pub(crate) async fn ready(State(web): State<Web>) -> Response {
    let unready = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    let status = web.app.daemon.status();
    let is_fresh = |at: Timestamp| web.now().duration_since(at).abs() < LOOKED_WITHIN;
    if !status.ready || !status.looked_at.is_some_and(is_fresh) {
        return unready("the daemon has not looked at the record, or cannot\n");
    }
    match web.app.journal.read(|reader| reader.tree_size()).await {
        Ok(_) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            unready("the record cannot be read\n")
        }
    }
}
