//! The JSON Schema of `arx.yaml`, for editors.

use super::manifest::Manifest;

/// The schema as it is committed to `docs/spec/arx.schema.json`.
///
/// It knows the form; names of connectors and operations, globs and conditions are only checked
/// by [`super::parse`].
#[must_use]
pub fn schema_text() -> String {
    let schema = schemars::schema_for!(Manifest);
    // A schema is a JSON value already, so this has no way to fail.
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
