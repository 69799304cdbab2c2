//! One module for each command: `Args` is what may be typed, `run` does it.

mod approvals;
mod audit;
mod check;
mod completions;
mod doctor;
mod effects;
mod init;
mod lookup;
mod policy;
mod register;
mod run;
mod runs;
mod serve;
mod sim;
mod start;
mod stop;
mod tokens;
mod users;
mod workflows;

use std::process::ExitCode;

use clap::Subcommand;
use tracing_subscriber::filter::LevelFilter;

use crate::command_error::CommandError;
use crate::context::Context;

/// What `arx` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow now.
    Run(run::Args),
    /// Look at runs; resume or cancel one.
    Runs(runs::Args),
    /// Validate, version and schedule a workflow.
    Register(register::Args),
    /// Run what is registered; the API and the console.
    Serve(serve::Args),
    /// Look at registered workflows; pause, resume, run or unregister one.
    Workflows(workflows::Args),
    /// Stop a workflow: no new runs, and every further call of running ones is denied.
    Stop(stop::Args),
    /// Let a stopped workflow act again.
    Start(start::Args),
    /// Decide what waits for a human.
    Approvals(approvals::Args),
    /// Look at what was done to vendors; settle what is unknown.
    Effects(effects::Args),
    /// Manage the people who may sign in.
    Users(users::Args),
    /// Manage what programs prove themselves with to the API.
    Tokens(tokens::Args),
    /// Verify, read and export the audit log.
    Audit(audit::Args),
    /// Explain a verdict; replay past decisions under another policy.
    Policy(policy::Args),
    /// Check a bundle without running it.
    Check(check::Args),
    /// Make a new workflow.
    Init(init::Args),
    /// Check credentials, reachability and this machine.
    Doctor(doctor::Args),
    /// Run the simulators of all vendors alone.
    Sim(sim::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
}

impl Command {
    /// Whether it may read what vendors have, and so hold much memory.
    pub(crate) fn runs_workflows(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Runs(_) | Self::Serve(_))
    }

    /// What it logs unless it is asked for more.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self {
            // Nobody watches it, so that its log is what there is to look at.
            Self::Serve(_) => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        }
    }
}

/// Runs a command.
pub(crate) async fn run(ctx: &Context, command: Command) -> Result<ExitCode, CommandError> {
    match command {
        Command::Run(args) => run::run(ctx, args).await,
        Command::Runs(args) => runs::run(ctx, args).await,
        Command::Register(args) => register::run(ctx, args).await,
        Command::Serve(args) => serve::run(ctx, args).await,
        Command::Workflows(args) => workflows::run(ctx, args).await,
        Command::Stop(args) => stop::run(ctx, args).await,
        Command::Start(args) => start::run(ctx, args).await,
        Command::Approvals(args) => approvals::run(ctx, args).await,
        Command::Effects(args) => effects::run(ctx, args).await,
        Command::Users(args) => users::run(ctx, args).await,
        Command::Tokens(args) => tokens::run(ctx, args).await,
        Command::Audit(args) => audit::run(ctx, args).await,
        Command::Policy(args) => policy::run(ctx, args).await,
        Command::Check(args) => check::run(ctx, args).await,
        Command::Init(args) => init::run(ctx, args).await,
        Command::Doctor(args) => doctor::run(ctx, args).await,
        Command::Sim(args) => sim::run(ctx, args).await,
        Command::Completions(args) => completions::run(ctx, args).await,
    }
}
