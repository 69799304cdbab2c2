//! Writes `docs/spec/openapi.json` anew.

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/openapi.json");
    std::fs::write(path, arx_server::web::openapi())
}
