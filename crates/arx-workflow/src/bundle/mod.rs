//! `arx.yaml`: parsing, validation and its JSON Schema.
