//! The arx command.
fn main() {}
