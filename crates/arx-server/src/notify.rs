//! Tells people what waits for them: delivers the outbox of the journal to Slack and to a signed
//! webhook.
//!
//! INVARIANT (a link decides nothing): a message leads to a page where somebody signs in and
//! decides; nothing is decided by following a link.
//! INVARIANT (at least once, and the same): a message that was sent and not noted is sent again
//! with the same identifier and the same bytes; one that was noted is never sent again.
//!
//! Start at [`Notifier::run`]. `docs/notifications.md` is what a receiver must know.

mod message;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arx_gateway::Environment;
use arx_gateway::webhook::{Webhook, WebhookError};
use arx_journal::{Journal, JournalError, Notification, Target};
use hmac::{Hmac, Mac as _};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use tokio::sync::watch;
use url::Url;

/// Variable with the address of a Slack incoming webhook.
pub const SLACK_URL: &str = "ARX_NOTIFY_SLACK_URL";
/// Variable with the address of a service that takes signed JSON.
pub const WEBHOOK_URL: &str = "ARX_NOTIFY_WEBHOOK_URL";
/// Variable with the secret that such messages are signed with.
pub const WEBHOOK_SECRET: &str = "ARX_NOTIFY_WEBHOOK_SECRET";

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long messages that were taken are nobody else's: all of one claim may time out.
const CLAIMED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// The pause after the first failure; each further one doubles it.
const PAUSE_FIRST: SignedDuration = SignedDuration::from_secs(5);
/// The longest pause.
const PAUSE_MAX: SignedDuration = SignedDuration::from_mins(30);
/// After so many attempts a message is given up.
const ATTEMPTS_MAX: u32 = 50;
/// The fewest characters of a secret to sign with.
const SECRET_CHARS_MIN: usize = 16;

/// Why notifications cannot be set up. Never the value of a variable.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// An address is none to write to.
    #[error(transparent)]
    Address(#[from] WebhookError),
    /// There is no secret to sign with, or one that would be guessed.
    #[error("{WEBHOOK_URL} needs {WEBHOOK_SECRET}, of at least {SECRET_CHARS_MIN} characters")]
    Secret,
}

/// Where messages go, and where the links in them lead.
#[derive(Clone, Debug)]
pub struct Settings {
    slack: Option<Webhook>,
    webhook: Option<(Webhook, SecretString)>,
    public_url: Url,
}

impl Settings {
    /// The targets that the variables of this process name.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub fn of_process(public_url: Url) -> Result<Self, NotifyError> {
        Self::new(&Environment::named(&[SLACK_URL, WEBHOOK_URL, WEBHOOK_SECRET]), public_url)
    }

    /// The targets that some variables name.
    ///
    /// # Errors
    /// See [`NotifyError`].
    pub fn new(environment: &Environment, public_url: Url) -> Result<Self, NotifyError> {
        let slack = environment.secret(SLACK_URL).cloned();
        let slack = slack.map(|address| Webhook::new(SLACK_URL, address)).transpose()?;
        let webhook = match environment.secret(WEBHOOK_URL).cloned() {
            None => None,
            Some(address) => {
                let secret = environment.secret(WEBHOOK_SECRET).cloned();
                let long = |secret: &SecretString| {
                    secret.expose_secret().chars().count() >= SECRET_CHARS_MIN
                };
                let secret = secret.filter(long).ok_or(NotifyError::Secret)?;
                Some((Webhook::new(WEBHOOK_URL, address)?, secret))
            }
        };
        Ok(Self { slack, webhook, public_url })
    }

    /// The targets that are set up.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        let is_set = |target: &Target| match target {
            Target::Slack => self.slack.is_some(),
            Target::Webhook => self.webhook.is_some(),
        };
        Target::ALL.into_iter().filter(is_set).collect()
    }
}

/// Delivers the outbox.
#[derive(Clone)]
pub struct Notifier {
    journal: Journal,
    settings: Settings,
}

impl Notifier {
    /// For the outbox of a journal.
    #[must_use]
    pub fn new(journal: Journal, settings: Settings) -> Self {
        Self { journal, settings }
    }

    /// Delivers until it is asked to stop; at once where nobody is to be told anything.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        if self.settings.targets().is_empty() {
            return;
        }
        while !*stop.borrow_and_update() {
            if let Err(error) = self.deliver().await {
                tracing::error!(%error, "the outbox cannot be read or written");
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
        }
    }

    /// Delivers what is due now, to every target at once; gives how many messages arrived.
    ///
    /// # Errors
    /// When the outbox cannot be read or written.
    pub async fn deliver(&self) -> Result<usize, JournalError> {
        let (slack, webhook) =
            tokio::join!(self.deliver_to(Target::Slack), self.deliver_to(Target::Webhook));
        Ok(slack? + webhook?)
    }

    async fn deliver_to(&self, target: Target) -> Result<usize, JournalError> {
        let now = self.journal.clock().now();
        let due = move |reader: &arx_journal::Reader<'_>| reader.notification_due(target, now);
        if !self.settings.targets().contains(&target) || !self.journal.read(due).await? {
            return Ok(0);
        }
        let until = now.checked_add(CLAIMED_FOR).unwrap_or(Timestamp::MAX);
        let claimed = self.journal.write(move |tx| tx.claim_notifications(target, until)).await?;
        let mut n_arrived = 0;
        // Once one was not taken, the others wait as long: they go to the same place.
        let mut down: Option<(String, Option<Duration>)> = None;
        for message in claimed {
            let sent = match &down {
                None => self.send(&message).await,
                Some(_) => Ok(()),
            };
            match (sent, &down) {
                (Ok(()), None) => {
                    let id = message.id.clone();
                    self.journal.write(move |tx| tx.deliver_notification(&id)).await?;
                    n_arrived += 1;
                }
                (Err(error), _) => {
                    let (target, kind) = (target.as_str(), message.kind.as_str());
                    tracing::warn!(target, kind, %error, "a notification did not arrive");
                    let wait = match &error {
                        WebhookError::Refused { retry_after, .. } => *retry_after,
                        WebhookError::Address { .. }
                        | WebhookError::Unreachable { .. }
                        | WebhookError::Message { .. } => None,
                    };
                    self.put_off(&message, error.to_string(), wait).await?;
                    down = Some((error.to_string(), wait));
                }
                (Ok(()), Some((reason, wait))) => {
                    self.put_off(&message, reason.clone(), *wait).await?;
                }
            }
        }
        Ok(n_arrived)
    }

    async fn put_off(
        &self,
        message: &Notification,
        reason: String,
        wait: Option<Duration>,
    ) -> Result<(), JournalError> {
        let now = self.journal.clock().now();
        let asked = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
        let pause = pause(message.attempts).max(asked.unwrap_or(SignedDuration::ZERO));
        let next = now.checked_add(pause).ok().filter(|_| message.attempts < ATTEMPTS_MAX);
        let id = message.id.clone();
        self.journal.write(move |tx| tx.fail_notification(&id, &reason, next)).await
    }

    async fn send(&self, message: &Notification) -> Result<(), WebhookError> {
        let unreadable = |_| WebhookError::Message { reason: "its payload does not read" };
        let payload = message.payload.unpack().map_err(unreadable)?;
        let body = |value| {
            serde_json::to_vec(&value)
                .map_err(|_| WebhookError::Message { reason: "it is no JSON" })
        };
        let base = &self.settings.public_url;
        match (message.target, &self.settings.slack, &self.settings.webhook) {
            (Target::Slack, Some(slack), _) => {
                slack.post(&[], body(message::slack(message, &payload, base))?).await
            }
            (Target::Webhook, _, Some((webhook, secret))) => {
                let body = body(message::generic(message, &payload, base))?;
                let signature = signature(secret, self.journal.clock().now(), &body);
                let headers =
                    [("x-arx-signature", signature), ("x-arx-delivery", message.id.clone())];
                webhook.post(&headers, body).await
            }
            (Target::Slack, None, _) | (Target::Webhook, _, None) => {
                Err(WebhookError::Message { reason: "its target is not set up" })
            }
        }
    }
}

/// How long to wait after the n-th attempt.
fn pause(attempts: u32) -> SignedDuration {
    let factor = 1_i32.checked_shl(attempts.saturating_sub(1)).unwrap_or(i32::MAX).max(1);
    PAUSE_FIRST.checked_mul(factor).unwrap_or(PAUSE_MAX).min(PAUSE_MAX)
}

/// `t=<unix>,v1=<hex>`: the HMAC-SHA-256 of the time, a dot and the body.
fn signature(secret: &SecretString, at: Timestamp, body: &[u8]) -> String {
    let at = at.as_second();
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    // A key of any length is accepted.
    let signed = mac.map(|mac| {
        let mac = mac.chain_update(at.to_string()).chain_update(b".").chain_update(body);
        hex::encode(mac.finalize().into_bytes())
    });
    format!("t={at},v1={}", signed.unwrap_or_default())
}
