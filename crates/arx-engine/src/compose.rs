//! From a bundle to what runs: the workflow with its policy, and the connectors it binds.

use std::sync::Arc;
use std::time::Duration;

use arx_gateway::{Binding, Connector, ConnectorSpec, RateLimit};
use arx_policy::{Policy, PolicyError};
use arx_workflow::bundle::{Bundle, Manifest};
use arx_workflow::host::ObjectSpec;
use serde_json::Value;

use crate::{TimeSaved, Workflow};

impl Workflow {
    /// The workflow of a bundle.
    ///
    /// # Errors
    /// What is wrong with its policy; a bundle that was parsed has none.
    pub fn new(
        bundle: &Bundle,
        catalogue: &[&'static ConnectorSpec],
    ) -> Result<Self, Vec<PolicyError>> {
        let manifest = &bundle.manifest;
        let policy = Policy::compile(&manifest.policy, &manifest.bound())?;
        let bound = catalogue.iter().filter(|spec| manifest.connectors.contains_key(spec.name));
        let objects = bound.map(|spec| ObjectSpec {
            connector: spec.name.to_owned(),
            operations: spec.operations.iter().map(|operation| operation.name.to_owned()).collect(),
        });
        Ok(Self {
            name: manifest.metadata.name.clone(),
            version: bundle.version,
            manifest: bundle.yaml_text.clone(),
            file: manifest.entrypoint.clone(),
            source: bundle.workflow_text.clone(),
            policy: Arc::new(policy),
            inputs: manifest.config(),
            objects: objects.collect(),
            time_saved: manifest
                .metadata
                .time_saved
                .as_ref()
                .map(|saved| TimeSaved { per: saved.per.clone(), minutes: saved.minutes.into() }),
        })
    }
}

/// The connectors that a manifest binds, made anew for one run or daemon.
#[must_use]
pub fn bindings(
    manifest: &Manifest,
    connector: impl Fn(&str) -> Option<Arc<dyn Connector>>,
) -> Vec<Binding> {
    let bound = manifest.connectors.iter().filter_map(|(name, binding)| {
        Some(Binding {
            connector: connector(name)?,
            optional: binding.optional,
            rate: binding
                .rate
                .map(|rate| RateLimit { requests: rate.requests, per: rate.per.as_duration() }),
            settle_for: binding.settle_for.map(|period| -> Duration { period.as_duration() }),
            settings: Value::Object(
                binding.settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            ),
        })
    });
    bound.collect()
}
