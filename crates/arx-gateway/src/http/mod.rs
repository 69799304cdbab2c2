//! The only way to a vendor: requests that carry a permit, a credential and a place in the
//! vendor's rate budget.
//!
//! INVARIANT (no permit, no byte): every method that sends takes a `&Permit` for this vendor.
//! INVARIANT (credentials stay home): a request goes to the endpoint's origin or not at all;
//! redirects to another origin are refused; plain http is for loopback.

mod auth;
mod budget;
mod client;
mod request;

use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arx_journal::{Journal, JournalError};
use rand::Rng as _;
use reqwest::Method;
use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use secrecy::ExposeSecret as _;
use tokio::time::Instant;
use url::{Host, Url};

pub use budget::{Budget, Health, RateLimit, WAIT_MAX};
pub use client::check_trust_store;
pub(crate) use client::{Client, client_for};
pub use request::{
    BODY_BYTES_MAX, REQUEST_TIMEOUT, Replay, Request, Response, STREAM_BYTES_MAX, StreamingResponse,
};

use crate::connector::{
    Auth, CallError, Connector, ConnectorSpec, Endpoint, EndpointError, Pushback,
};
use crate::credentials::{Secrets, Variables};
use crate::permit::Permit;
use request::RequestBody;

/// How often a request is tried when the vendor cannot be reached or fails.
const ATTEMPTS_MAX: u32 = 5;
/// First pause between attempts; doubles each time, with full jitter.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(20);
/// Longest that one request waits for a vendor that keeps asking to wait.
const PUSHBACK_TOTAL_MAX: Duration = Duration::from_secs(2 * 3600);
/// Redirects within the endpoint's origin that are followed for a safe request.
const REDIRECTS_MAX: usize = 3;
/// Largest error reply that is read for its message.
const ERROR_BYTES_MAX: usize = 1024 * 1024;

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The permit is for another vendor; nothing was sent.
    #[error("the permit is for `{permitted}`, not for `{connector}`")]
    NotPermitted {
        /// What the permit names.
        permitted: String,
        /// Whom the request was for.
        connector: &'static str,
    },
    /// The path leaves the endpoint; nothing was sent.
    #[error("`{path}` is not a path of the configured endpoint")]
    BadPath {
        /// The path.
        path: String,
    },
    /// While the request waited for its turn, the workflow was stopped or another process took its
    /// run over; nothing was sent.
    #[error("the workflow was stopped, or its run taken over, before the request was sent")]
    Withdrawn,
    /// The request waited for its turn longer than what it was built on is good for; nothing was
    /// sent.
    #[error("the request waited too long for its turn and was not sent")]
    Stale,
    /// No connection; nothing was sent.
    #[error("{why}")]
    Unreachable {
        /// What went wrong last.
        why: String,
    },
    /// A request that may have an effect was sent, and what became of it is not known.
    #[error("{why}")]
    Ambiguous {
        /// What went wrong.
        why: String,
        /// Status of the vendor's reply, where a whole one came: the vendor has then ended its
        /// work on the request, whatever came of it.
        status: Option<u16>,
    },
    /// A safe request failed at the vendor as often as it was tried.
    #[error("status {status} after {attempts} attempts: {message}")]
    Unavailable {
        /// Last status.
        status: u16,
        /// How often it was tried.
        attempts: u32,
        /// The vendor's last words.
        message: String,
    },
    /// The token endpoint gave no token.
    #[error("no access token (status {status}): {message}")]
    TokenRefused {
        /// Status of the token endpoint.
        status: u16,
        /// Its words.
        message: String,
    },
    /// A variable that holds the credential has no value; nothing was sent.
    #[error("{variables} not set")]
    NoCredential {
        /// The variables.
        variables: String,
    },
    /// The reply broke off.
    #[error("the reply broke off: {why}")]
    Interrupted {
        /// What went wrong.
        why: String,
    },
    /// The reply is larger than the request allows.
    #[error("the reply is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The vendor points to another host; a credential is not sent there.
    #[error("redirected to `{host}`; set the variable to the address meant")]
    RedirectedAway {
        /// The other host.
        host: String,
    },
}

/// A vendor's endpoint with its credential and rate budget.
pub struct GovernedHttp {
    connector: Arc<dyn Connector>,
    endpoint: Endpoint,
    client: Client,
    user: Option<String>,
    secrets: Mutex<Secrets>,
    token: tokio::sync::Mutex<Option<auth::Token>>,
    budget: Arc<Budget>,
    journal: Journal,
}

impl GovernedHttp {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        endpoint: Endpoint,
        variables: &Variables,
        secrets: Secrets,
        budget: Arc<Budget>,
        client: Client,
        journal: Journal,
    ) -> Result<Self, EndpointError> {
        let user = match &endpoint.auth {
            Auth::Basic { user, .. } => variables.get(user).map(str::to_owned),
            Auth::Authorization { .. } | Auth::ClientCredentials { .. } => None,
        };
        Ok(Self {
            connector,
            endpoint,
            client,
            user,
            secrets: Mutex::new(secrets),
            token: tokio::sync::Mutex::default(),
            budget,
            journal,
        })
    }

    /// The catalogue entry of the vendor.
    #[must_use]
    pub fn spec(&self) -> &'static ConnectorSpec {
        self.connector.spec()
    }

    /// The endpoint's base address.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.endpoint.base
    }

    /// Sends a request and reads the whole reply. Any status that is not a passing failure of
    /// the vendor comes back as a reply, 4xx included.
    ///
    /// # Errors
    /// See [`HttpError`]; for [`Replay::Once`] an uncertain outcome is [`HttpError::Ambiguous`].
    pub async fn send(&self, permit: &Permit, request: Request) -> Result<Response, HttpError> {
        let bytes_max = request.body_bytes_max;
        let mut attempts = Attempts::default();
        loop {
            let reply = self.open_with(permit, &request, &mut attempts).await?;
            match (reply.collect(bytes_max).await, request.replay) {
                (Ok(reply), _) => return Ok(reply),
                (Err(error @ HttpError::TooLarge { .. }), Replay::Safe) => return Err(error),
                (Err(error), Replay::Safe) => attempts.after_failure(error).await?,
                (Err(error), Replay::Once) => {
                    return Err(HttpError::Ambiguous { why: error.to_string(), status: None });
                }
            }
        }
    }

    /// Sends a request and returns once the reply begins; the body is read piece by piece.
    ///
    /// # Errors
    /// As [`Self::send`]. A body that breaks off is the caller's to deal with.
    pub async fn open(
        &self,
        permit: &Permit,
        request: Request,
    ) -> Result<StreamingResponse, HttpError> {
        self.open_with(permit, &request, &mut Attempts::default()).await
    }

    /// Closes the vendor's budget for a while, for protocols that ask to wait inside a 200.
    pub fn pause(&self, pushback: Pushback) {
        match pushback {
            Pushback::For(wait) => self.budget.close_for(wait),
            Pushback::Unspecified => self.budget.close_for(Duration::from_secs(2)),
        }
    }

    /// Drops the access token, for protocols that refuse it inside a 200.
    pub async fn expire_token(&self) {
        *self.token.lock().await = None;
    }

    /// Makes sure of an access token where the endpoint needs one.
    ///
    /// # Errors
    /// When the token endpoint refuses or cannot be reached.
    pub async fn ensure_token(&self, permit: &Permit) -> Result<(), HttpError> {
        self.check_permit(permit)?;
        self.authorization(None).await.map(drop)
    }

    /// `text` without any secret value.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).scrub(text)
    }

    pub(crate) fn call_error(&self, error: HttpError) -> CallError {
        let vendor = self.spec().title;
        let message = self.scrub(&error.to_string());
        match error {
            HttpError::NotPermitted { .. } | HttpError::BadPath { .. } | HttpError::Withdrawn => {
                CallError::Refused { vendor, status: None, message }
            }
            HttpError::TokenRefused { status, .. } if (400..500).contains(&status) => {
                CallError::Credential { vendor, variables: self.credential_names(), message }
            }
            HttpError::NoCredential { variables } => {
                CallError::Credential { vendor, variables, message }
            }
            HttpError::Stale
            | HttpError::Unreachable { .. }
            | HttpError::Unavailable { .. }
            | HttpError::TokenRefused { .. }
            | HttpError::Interrupted { .. } => CallError::Unreachable { vendor, message },
            HttpError::TooLarge { .. } => CallError::Malformed { vendor, message },
            HttpError::RedirectedAway { .. } => {
                CallError::Refused { vendor, status: None, message }
            }
            HttpError::Ambiguous { .. } => CallError::OutcomeUnknown { vendor, message },
        }
    }

    pub(crate) fn refusal(&self, status: u16, message: &str) -> CallError {
        let vendor = self.spec().title;
        let message = self.scrub(message);
        match status {
            401 | 403 => {
                CallError::Credential { vendor, variables: self.credential_names(), message }
            }
            _ => CallError::Refused { vendor, status: Some(status), message },
        }
    }

    fn credential_names(&self) -> String {
        match &self.endpoint.auth {
            Auth::Basic { user, password } => format!("{user} and {password}"),
            Auth::Authorization { credential, .. } => (*credential).to_owned(),
            Auth::ClientCredentials { client_id, client_secret, .. } => {
                format!("{client_id} and {client_secret}")
            }
        }
    }

    fn check_permit(&self, permit: &Permit) -> Result<(), HttpError> {
        let connector = self.spec().name;
        if permit.operation().connector == connector {
            return Ok(());
        }
        Err(HttpError::NotPermitted { permitted: permit.operation().to_string(), connector })
    }

    async fn open_with(
        &self,
        permit: &Permit,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<StreamingResponse, HttpError> {
        self.check_permit(permit)?;
        let mut url = self.resolve(request)?;
        let mut redirects = 0;
        let mut renewed = false;
        loop {
            let place = self.budget.turn().await;
            // A turn can be hours away; what happens meanwhile holds for what was permitted before.
            if request.replay == Replay::Once && self.is_withdrawn(permit).await {
                return Err(HttpError::Withdrawn);
            }
            let authorization = self.authorization(None).await?;
            if request.fresh_until.is_some_and(|until| tokio::time::Instant::now() > until) {
                return Err(HttpError::Stale);
            }
            let sent = self.transmit(&url, request, &authorization).await;
            let reply = match sent {
                Ok(reply) => reply,
                Err(Failure { connected, why }) => {
                    drop(place);
                    self.budget.answered(self.journal.clock().now(), Err(why.clone()));
                    if connected && request.replay == Replay::Once {
                        return Err(HttpError::Ambiguous { why, status: None });
                    }
                    attempts.after_failure(HttpError::Unreachable { why }).await?;
                    continue;
                }
            };
            let status = reply.status().as_u16();
            let answer = match status {
                401 | 403 | 429 | 500.. => Err(format!("status {status}")),
                _ => Ok(()),
            };
            self.budget.answered(self.journal.clock().now(), answer);
            if let Some(reading) = self.connector.budget(reply.headers()) {
                self.budget.observe(reading);
            }
            let streaming = StreamingResponse {
                status,
                headers: reply.headers().clone(),
                body: Box::pin(reply.bytes_stream()),
                pause_max: request.timeout,
                bytes_read: 0,
                _place: place,
            };
            if (200..300).contains(&status) {
                return Ok(streaming);
            }
            let headers = streaming.headers.clone();
            let body = match streaming.collect(ERROR_BYTES_MAX).await {
                Ok(reply) => reply.body,
                Err(_) => bytes::Bytes::new(),
            };
            if (300..400).contains(&status) && status != 304 {
                url = self.redirected(request, &url, &headers)?;
                redirects += 1;
                if redirects <= REDIRECTS_MAX {
                    continue;
                }
            }
            if status == 401
                && !renewed
                && matches!(self.endpoint.auth, Auth::ClientCredentials { .. })
            {
                renewed = true;
                self.authorization(Some(authorization.generation)).await?;
                continue;
            }
            let pushback = self.connector.pushback(status, &headers, &body);
            if let Some(pushback) = pushback {
                if status < 500 || request.replay == Replay::Safe {
                    let failure = self.unavailable(status, &body, attempts.failures);
                    attempts.after_pushback(pushback, &self.budget, failure)?;
                    continue;
                }
                self.pause(pushback);
            }
            if status >= 500 {
                let failure = self.unavailable(status, &body, attempts.failures + 1);
                match request.replay {
                    Replay::Once => {
                        let why = format!("status {status}: {}", request::excerpt(&body));
                        return Err(HttpError::Ambiguous { why, status: Some(status) });
                    }
                    Replay::Safe => attempts.after_failure(failure).await?,
                }
                continue;
            }
            let body = futures_util::stream::once(async move { Ok(body) });
            return Ok(StreamingResponse {
                status,
                headers,
                body: Box::pin(body),
                pause_max: request.timeout,
                bytes_read: 0,
                _place: None,
            });
        }
    }

    /// Whether a write that was permitted must not be sent any more: its workflow is stopped, or
    /// its run is another process's by now. A journal that cannot tell withdraws it, too.
    ///
    /// INVARIANT (fencing): asked right before every request that may have an effect.
    async fn is_withdrawn(&self, permit: &Permit) -> bool {
        let (Some(effect), Some(tenure)) = (permit.effect(), permit.tenure()) else { return false };
        let workflow = effect.as_str().split('/').next().unwrap_or_default().to_owned();
        let tenure = tenure.clone();
        let stop = self.journal.read(move |reader| {
            reader.check_lease(&tenure.run, tenure.epoch)?;
            reader.active_stop(&workflow)
        });
        !matches!(stop.await, Ok::<_, JournalError>(None))
    }

    fn unavailable(&self, status: u16, body: &[u8], attempts: u32) -> HttpError {
        HttpError::Unavailable { status, attempts, message: self.scrub(&request::excerpt(body)) }
    }

    fn resolve(&self, request: &Request) -> Result<Url, HttpError> {
        let bad = || HttpError::BadPath { path: request.path.clone() };
        if !(request.path.is_empty() || request.path.starts_with(['/', '?'])) {
            return Err(bad());
        }
        let base = self.endpoint.base.as_str().trim_end_matches('/');
        let mut url = Url::parse(&format!("{base}{}", request.path)).map_err(|_| bad())?;
        if url.origin() != self.endpoint.base.origin() {
            return Err(bad());
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    fn redirected(
        &self,
        request: &Request,
        from: &Url,
        headers: &HeaderMap,
    ) -> Result<Url, HttpError> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|text| from.join(text).ok());
        match target {
            Some(url)
                if url.origin() == self.endpoint.base.origin() && request.method == Method::GET =>
            {
                Ok(url)
            }
            _ => Err(elsewhere(from, headers)),
        }
    }

    async fn transmit(
        &self,
        url: &Url,
        request: &Request,
        authorization: &Authorization,
    ) -> Result<reqwest::Response, Failure> {
        let mut builder = self
            .client
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .header(reqwest::header::AUTHORIZATION, authorization.header.clone());
        if let RequestBody::Bytes { content_type, bytes } = &request.body {
            if !request.headers.contains_key(reqwest::header::CONTENT_TYPE) {
                builder = builder.header(reqwest::header::CONTENT_TYPE, *content_type);
            }
            builder = builder.body(bytes.clone());
        }
        // The client's read timeout bounds pauses inside the body; this one bounds the wait for
        // the reply's head.
        match tokio::time::timeout(request.timeout, builder.send()).await {
            Ok(sent) => sent
                .map_err(|error| Failure { connected: !error.is_connect(), why: describe(&error) }),
            Err(_) => Err(Failure { connected: true, why: "no reply in time".to_owned() }),
        }
    }

    /// The `Authorization` header; with `stale`, a new token unless someone renewed it already.
    async fn authorization(&self, stale: Option<u64>) -> Result<Authorization, HttpError> {
        let Auth::ClientCredentials { .. } = &self.endpoint.auth else {
            let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (header, encoded) =
                auth::header(&self.endpoint.auth, &secrets, self.user.as_deref()).ok_or_else(
                    || HttpError::NoCredential { variables: self.credential_names() },
                )?;
            self.remember(encoded);
            return Ok(Authorization { header, generation: 0 });
        };
        let mut slot = self.token.lock().await;
        let generation = slot.as_ref().map_or(0, |token| token.generation);
        let usable = slot.as_ref().is_some_and(auth::Token::is_fresh) && stale != Some(generation);
        if !usable {
            let token = self.fetch_token(generation + 1).await?;
            self.remember(token.secret());
            *slot = Some(token);
        }
        let token = slot.as_ref().and_then(|token| Some((token.header()?, token.generation)));
        let (header, generation) = token.ok_or_else(|| HttpError::TokenRefused {
            status: 200,
            message: "the access token cannot be sent in a header".to_owned(),
        })?;
        Ok(Authorization { header, generation })
    }

    fn remember(&self, secret: secrecy::SecretString) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !secrets.knows(&secret) {
            secrets.remember(secret);
        }
    }

    async fn fetch_token(&self, generation: u64) -> Result<auth::Token, HttpError> {
        let Auth::ClientCredentials { token_url, client_id, client_secret, form } =
            &self.endpoint.auth
        else {
            return Err(HttpError::NoCredential { variables: self.credential_names() });
        };
        let no_credential = || HttpError::NoCredential { variables: self.credential_names() };
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let id = secrets.get(client_id).ok_or_else(no_credential)?;
        let secret = secrets.get(client_secret).ok_or_else(no_credential)?;
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", id.expose_secret()),
            ("client_secret", secret.expose_secret()),
        ];
        fields.extend(form.iter().map(|(name, value)| (*name, value.as_str())));
        let mut attempts = Attempts::default();
        loop {
            let issued_at = Instant::now();
            let sent =
                self.client.post(token_url.clone()).timeout(REQUEST_TIMEOUT).form(&fields).send();
            let failure = match sent.await {
                Err(error) => HttpError::Unreachable { why: describe(&error) },
                Ok(reply) => {
                    let status = reply.status().as_u16();
                    // A credential is sent to the token endpoint that was configured, and not on.
                    if (300..400).contains(&status) {
                        return Err(elsewhere(token_url, reply.headers()));
                    }
                    if let Some(pushback) = self.connector.pushback(status, reply.headers(), b"") {
                        let failure = self.unavailable(status, b"", attempts.failures);
                        attempts.after_pushback(pushback, &self.budget, failure)?;
                        tokio::time::sleep(attempts.last_wait).await;
                        continue;
                    }
                    match auth::read_token(reply, generation, issued_at).await {
                        Err(error @ HttpError::TokenRefused { status, .. }) if status >= 500 => {
                            error
                        }
                        Err(
                            error @ (HttpError::Interrupted { .. } | HttpError::Unreachable { .. }),
                        ) => error,
                        decided => return decided,
                    }
                }
            };
            attempts.after_failure(failure).await?;
        }
    }
}

/// The error of a redirect that is not followed.
fn elsewhere(from: &Url, headers: &HeaderMap) -> HttpError {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let host = match location.and_then(|text| from.join(text).ok()) {
        Some(url) => url.host_str().unwrap_or("an address without a host").to_owned(),
        None => "nowhere".to_owned(),
    };
    HttpError::RedirectedAway { host }
}

/// The header that proves who sends a request.
struct Authorization {
    header: reqwest::header::HeaderValue,
    generation: u64,
}

/// Why a request has no reply; without a connection nothing was sent.
struct Failure {
    connected: bool,
    why: String,
}

/// Counts what one request has been through.
#[derive(Default)]
struct Attempts {
    failures: u32,
    pushbacks: u32,
    waited: Duration,
    last_wait: Duration,
}

impl Attempts {
    /// Pauses before the next attempt, or gives the failure back when there were enough.
    async fn after_failure(&mut self, failure: HttpError) -> Result<(), HttpError> {
        self.failures += 1;
        if self.failures >= ATTEMPTS_MAX {
            return Err(failure);
        }
        tokio::time::sleep(backoff(self.failures)).await;
        Ok(())
    }

    /// Closes the budget as the vendor asks. Being asked to wait is no failure, but it ends.
    fn after_pushback(
        &mut self,
        pushback: Pushback,
        budget: &Budget,
        failure: HttpError,
    ) -> Result<(), HttpError> {
        self.pushbacks += 1;
        self.last_wait = match pushback {
            Pushback::For(wait) => wait.min(WAIT_MAX),
            Pushback::Unspecified => backoff(self.pushbacks + 1),
        };
        self.waited += self.last_wait.max(Duration::from_millis(10));
        if self.waited > PUSHBACK_TOTAL_MAX {
            return Err(failure);
        }
        budget.close_for(self.last_wait);
        Ok(())
    }
}

/// Exponential back-off with full jitter above a quarter of the step.
fn backoff(n_failures: u32) -> Duration {
    let step = BACKOFF_FIRST.saturating_mul(1 << n_failures.saturating_sub(1).min(10));
    let step = step.min(BACKOFF_MAX);
    step.mul_f64(rand::rng().random_range(0.25..1.0))
}

/// The usual way to ask for a pause: 429, with or without `Retry-After` (RFC 9110 section
/// 10.2.3), or 503 with it.
#[must_use]
pub fn standard_pushback(status: u16, headers: &HeaderMap) -> Option<Pushback> {
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let wait = after.and_then(|text| retry_after(text, date));
    match (status, wait) {
        (429 | 503, Some(wait)) => Some(Pushback::For(wait)),
        (429, None) => Some(Pushback::Unspecified),
        _ => None,
    }
}

/// The wait that a `Retry-After` value means: seconds, or an HTTP date, which is compared with
/// the reply's own `Date` so that the two clocks need not agree.
fn retry_after(text: &str, date: Option<&str>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let sent = jiff::fmt::rfc2822::parse(date?.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(sent)).unwrap_or_default())
}

/// An error with its causes, without the address (a path can name a person's ticket).
pub(crate) fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            let separator = if text.is_empty() { "" } else { ": " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{words}");
        }
        if is_unknown_issuer(cause) {
            text.push_str(UNTRUSTED);
        }
        source = cause.source();
    }
    if text.is_empty() { "the request failed".to_owned() } else { text }
}

/// What helps against a certificate of a company's own authority.
const UNTRUSTED: &str =
    " (no authority that this machine trusts signed it; SSL_CERT_FILE names a file of such)";

/// Whether a certificate was refused for who signed it, as a company's own are.
fn is_unknown_issuer(cause: &(dyn std::error::Error + 'static)) -> bool {
    // I/O errors hold each other and name no such error as their source.
    let mut held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    while let Some(error) = held {
        if let Some(refused) = error.downcast_ref::<rustls::Error>() {
            let unknown = rustls::CertificateError::UnknownIssuer;
            return *refused == rustls::Error::InvalidCertificate(unknown);
        }
        held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    }
    false
}

/// Whether an address is this machine, where plain http and self-made certificates are fine.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Parses the value of a variable that holds an address: https, or http on loopback.
///
/// # Errors
/// What is wrong with it and what to write instead. User information in the address is refused,
/// because addresses are shown.
pub fn parse_base(variable: &'static str, text: &str) -> Result<Url, EndpointError> {
    let error = |problem: &str| EndpointError { variable, problem: problem.to_owned() };
    let url = Url::parse(text).map_err(|_| {
        error("is not an address; write it as `https://host` or `https://host/path`")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("must not hold a user name or password"));
    }
    if url.host().is_none() {
        return Err(error("names no host; write it as `https://host`"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(error("is plain http to another machine; write `https://`")),
        _ => Err(error("must begin with `https://`")),
    }
}
