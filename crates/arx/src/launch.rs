//! What a command needs to start runs, and how it tells why one cannot be started.

use arx_engine::{EngineError, Report, RunError};
use arx_gateway::SetupError;
use arx_journal::World;
use arx_server::launch::{LaunchError, Place};
use arx_types::RunStatus;
use arx_workflow::host::HostError;

use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;

pub(crate) use arx_server::launch::specs;

/// What runs of this command's state directory have in common.
pub(crate) fn place(ctx: &Context) -> Result<Place, CommandError> {
    Ok(Place {
        journal: ctx.journal()?.clone(),
        process: std::sync::Arc::clone(ctx.process()?),
        state_dir: ctx.state_dir().to_owned(),
        host: bundles::host_options()?,
    })
}

/// The world of a simulated scenario, or the live one.
pub(crate) fn world(simulate: Option<&str>) -> Result<World, CommandError> {
    match simulate {
        None => Ok(World::live()),
        Some(scenario) => arx_server::launch::simulated(scenario).map_err(of_launch),
    }
}

/// Why a run cannot be started or gone on with.
pub(crate) fn of_launch(error: LaunchError) -> CommandError {
    let message = error.to_string();
    match error {
        LaunchError::Missing(errors) => missing(message, &errors),
        LaunchError::Refused(errors) => {
            let report = CommandError::config(message)
                .code("ARX-E021")
                .hint("`arx doctor` checks them again");
            errors.iter().fold(report, |report, error| report.detail(error.to_string()))
        }
        LaunchError::Stopped(stop) => CommandError::denied(message)
            .code("ARX-E031")
            .hint(format!("`arx start {}` lets it act again", stop.workflow)),
        LaunchError::OtherVendors { .. } => CommandError::config(message)
            .code("ARX-E022")
            .hint("use another --state-dir (or ARX_HOME) for one of the two"),
        LaunchError::Scenario(_) => CommandError::user(message),
        LaunchError::NotUnderstood(_) => CommandError::config(message),
        LaunchError::ScenarioTaken { .. } => CommandError::denied(message)
            .code("ARX-E030")
            .hint("wait for it, or use another --state-dir"),
        LaunchError::Simulators(_) => CommandError::internal(message),
        LaunchError::Run(RunError::Host(HostError::Load(diagnostics))) => {
            CommandError::diagnostics(diagnostics)
        }
        LaunchError::Run(RunError::Host(error)) => CommandError::internal(error.to_string()),
        LaunchError::Run(RunError::Engine(error)) => of_engine(error),
    }
}

/// Every variable that has no value, for all vendors at once.
fn missing(message: String, errors: &[SetupError]) -> CommandError {
    let report = CommandError::config(message)
        .code("ARX-E020")
        .hint("set these variables in the environment, or try the workflow with --simulate");
    errors.iter().fold(report, |report, error| report.detail(error.to_string()))
}

/// Why a run cannot be begun, gone on with or given up.
pub(crate) fn of_engine(error: EngineError) -> CommandError {
    match error {
        EngineError::Journal(error) => error.into(),
        error @ EngineError::Held { .. } => {
            CommandError::denied(error.to_string()).code("ARX-E030").hint(
                "wait for its end, or interrupt that process with Ctrl-C; its run can be resumed",
            )
        }
        EngineError::Stopped { stop } => of_launch(LaunchError::Stopped(stop)),
        error @ EngineError::NoRun { .. } => CommandError::missing(error.to_string()),
    }
}

/// The exit code that a report stands for.
pub(crate) fn exit_code(report: &Report) -> u8 {
    match report.status {
        RunStatus::Succeeded => 0,
        RunStatus::Failed if report.is_configuration() => 2,
        RunStatus::Running | RunStatus::Failed | RunStatus::Cancelled => 1,
        RunStatus::Parked => 3,
        RunStatus::NeedsAttention => 4,
        RunStatus::Interrupted => crate::interrupt::INTERRUPTED,
    }
}
