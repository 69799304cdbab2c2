//! `arx policy`: what a policy says of one call, and what it would have said of past ones.

mod explain;
mod replay;

use std::process::ExitCode;

use arx_policy::Policy;
use clap::Subcommand;

use crate::bundles::Found;
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Decide one call as the gate would, with every reason and every factor; nothing is sent.
    Explain(explain::Args),
    /// Decide past calls anew under another policy, and show those that would end otherwise.
    Replay(replay::Args),
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::Explain(args) => explain::run(ctx, args).await,
        What::Replay(args) => replay::run(ctx, args).await,
    }
}

/// The policy of a bundle, compiled.
pub(super) fn compiled(found: &Found) -> Result<Policy, CommandError> {
    let manifest = &found.bundle.manifest;
    Policy::compile(&manifest.policy, &manifest.bound()).map_err(|errors| {
        let mut error = CommandError::config("the policy does not compile");
        for one in errors {
            error = error.detail(one.to_string());
        }
        error
    })
}
