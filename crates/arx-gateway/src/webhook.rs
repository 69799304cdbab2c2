//! Messages to a service that people chose, such as a chat: the only bytes that leave without a
//! permit, because they act on no vendor.
//!
//! INVARIANT (the address is a secret): whoever knows it can write there, so no error, log or
//! `Debug` shows it. It comes from the environment and never from an argument.
//! INVARIANT (there or nowhere): https, or http on loopback; a redirect is a failure.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::http::{Client, client_for, describe, parse_base};

/// The most bytes of a message.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long one message may take.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait that a service may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Somewhere to write to.
#[derive(Clone)]
pub struct Webhook {
    address: SecretString,
    client: Client,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Webhook")
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The variable does not hold an address to write to.
    #[error("{variable} {problem}")]
    Address {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it, without what it holds.
        problem: String,
    },
    /// The service did not take it.
    #[error("the service answered {status}")]
    Refused {
        /// What it said.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The service could not be asked, or did not answer in time.
    #[error("the service cannot be reached: {reason}")]
    Unreachable {
        /// Why, without the address.
        reason: String,
    },
    /// It cannot be sent as it is.
    #[error("the message cannot be sent: {reason}")]
    Message {
        /// Why not.
        reason: &'static str,
    },
}

impl Webhook {
    /// Somewhere to write to, from the variable that holds its address.
    ///
    /// # Errors
    /// [`WebhookError::Address`] when it is none.
    pub fn new(variable: &'static str, address: SecretString) -> Result<Self, WebhookError> {
        let problem = |problem: String| WebhookError::Address { variable, problem };
        let url = parse_base(variable, address.expose_secret())
            .map_err(|error| problem(error.problem))?;
        let client = client_for(&url).map_err(|error| problem(describe(&error.without_url())))?;
        Ok(Self { address, client })
    }

    /// Sends one message of JSON. It was taken when this returns `Ok`; after an error it may have
    /// been.
    ///
    /// # Errors
    /// See [`WebhookError`].
    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(), WebhookError> {
        if body.len() > MESSAGE_BYTES_MAX {
            return Err(WebhookError::Message { reason: "it is too long" });
        }
        let unreachable = |reason| WebhookError::Unreachable { reason };
        let url = Url::parse(self.address.expose_secret())
            .map_err(|_| unreachable("its address does not parse".to_owned()))?;
        let mut request = self
            .client
            .post(url)
            .timeout(MESSAGE_TIMEOUT)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| WebhookError::Message {
                reason: "a header does not take its value",
            })?;
            request = request.header(HeaderName::from_static(name), value);
        }
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| unreachable(describe(&error.without_url())))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = asked
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        Err(WebhookError::Refused { status: status.as_u16(), retry_after })
    }
}
