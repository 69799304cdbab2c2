//! Writes the JSON Schema of `arx.yaml` to `docs/spec/arx.schema.json`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/spec/arx.schema.json");
    std::fs::write(path, arx_workflow::bundle::schema_text())
}
