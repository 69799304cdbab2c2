//! Credentials and reachability, checked for all vendors at once before any work starts.

use std::time::{Duration, Instant};

use arx_audit::LeafKind;
use arx_journal::{JournalError, LeafDraft, World};
use arx_types::Operation;
use futures_util::future::join_all;
use serde_json::Value;

use super::Gateway;
use crate::connector::CallError;
use crate::permit::Permit;

/// The name a credential check has in the audit log. Every connector has it; it changes nothing
/// and reads nothing of the vendor's data, so no rule is asked.
pub const CHECK_OPERATION: &str = "connection:check";

/// What a check found out about one vendor.
#[derive(Debug)]
pub struct Checked {
    /// The connector's name.
    pub connector: &'static str,
    /// The vendor's name for people.
    pub title: &'static str,
    /// Whether the workflow goes on without it.
    pub optional: bool,
    /// The base address that requests go to.
    pub endpoint: String,
    /// How long the check took, with its retries.
    pub took: Duration,
    /// Whether the vendor accepts the credential.
    pub result: Result<(), CallError>,
}

impl Gateway {
    /// Asks every vendor at once whether it accepts the credential it would be sent.
    ///
    /// # Errors
    /// When the checks cannot be recorded; nothing was sent then.
    pub async fn check_credentials(
        &self,
        actor: &str,
        world: &World,
    ) -> Result<Vec<Checked>, JournalError> {
        let checks = self.vendors.iter().map(|(name, vendor)| async move {
            let operation = Operation::new(name, CHECK_OPERATION);
            let mut leaf = LeafDraft::new(LeafKind::Decision, actor)
                .about(&operation, None, None)
                .status("credential check");
            leaf.verdict = Some(arx_audit::Verdict::Permit);
            if world.scenario().is_some() {
                leaf = leaf.with("world", world.as_str());
            }
            let recorded = self.journal.write(move |tx| tx.append_leaf(leaf)).await?;
            let permit = Permit::mint(None, operation, None, recorded.seq);
            let call = vendor.call(&permit, &Value::Null, None, recorded.at);
            let began = Instant::now();
            let result = vendor.connector.probe(call).await;
            Ok(Checked {
                endpoint: vendor.endpoint(),
                took: began.elapsed(),
                connector: name,
                title: vendor.connector.spec().title,
                optional: self.is_optional(name),
                result: result.map_err(|error| vendor.scrub_error(error)),
            })
        });
        join_all(checks).await.into_iter().collect()
    }
}
