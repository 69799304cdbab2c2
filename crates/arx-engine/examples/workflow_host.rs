//! The workflow's process of this crate's tests.

fn main() -> std::process::ExitCode {
    arx_workflow::host::child_main()
}
