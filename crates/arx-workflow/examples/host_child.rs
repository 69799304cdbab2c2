//! The smallest program that can be a workflow's process; the tests start it.

fn main() -> std::process::ExitCode {
    arx_workflow::host::child_main()
}
