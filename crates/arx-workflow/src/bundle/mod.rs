//! `arx.yaml`: parsing, validation and its JSON Schema.
//!
//! [`parse`] turns the text into a [`Manifest`] or into every mistake it can find, each with line,
//! column, code and hint. This module never reads a file, never knows a vendor (catalogues are
//! given to it), and never lets a bundle through that it does not fully understand: an unknown
//! key is an error. The format is specified in `docs/spec/arx-yaml.md`.

mod cron;
mod decode;
mod diagnostic;
mod inputs;
mod manifest;
mod policy;
mod schema;
mod yaml;

#[cfg(test)]
mod tests;

use arx_types::{Digest, OperationSpec};

use crate::Diagnostic;

pub use diagnostic::Code;
pub use inputs::{Input, InputKind};
pub use manifest::{
    ApiVersion, CatchUp, ConnectorBinding, Kind, Manifest, Metadata, Overlap, Rate, RateError,
    Schedule, TimeSaved,
};
pub use schema::schema_text;

/// One workflow, complete: what `arx.yaml` says and the Python beside it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// What `arx.yaml` says.
    pub manifest: Manifest,
    /// `arx.yaml` as it was read.
    pub yaml_text: String,
    /// The entrypoint as it was read.
    pub workflow_text: String,
    /// The identity of this version: it changes with any byte of either text.
    pub version: Digest,
}

impl Bundle {
    /// A bundle of a parsed manifest and the texts it was made from.
    #[must_use]
    pub fn new(manifest: Manifest, yaml_text: String, workflow_text: String) -> Self {
        // Digests of fixed length, so that no byte can move from one text to the other.
        let texts =
            [Digest::of_bytes(yaml_text.as_bytes()), Digest::of_bytes(workflow_text.as_bytes())];
        let version = Digest::of_bytes(&texts.map(|digest| digest.0).concat());
        Self { manifest, yaml_text, workflow_text, version }
    }
}

/// Parses and checks `arx.yaml` against the catalogues of all connectors.
///
/// # Errors
/// Every mistake that could be found, in the order of the text.
pub fn parse(
    file_name: &str,
    yaml_text: &str,
    catalogue: &[(&str, &[OperationSpec])],
) -> Result<Manifest, Vec<Diagnostic>> {
    let mut decoder = decode::Decoder { file: file_name, catalogue, diagnostics: Vec::new() };
    let manifest = match yaml::parse(yaml_text) {
        Ok(root) => decode::manifest(&mut decoder, &root),
        Err(error) => {
            decoder.report(error.at, error.code, error.message, None);
            None
        }
    };
    let mut diagnostics = decoder.diagnostics;
    diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    match manifest {
        Some(manifest) if diagnostics.is_empty() => Ok(manifest),
        _ => Err(diagnostics),
    }
}
