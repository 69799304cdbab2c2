//! `arx sim`.

use std::process::ExitCode;

use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Does it.
pub(crate) async fn run(_ctx: &Context, _args: Args) -> Result<ExitCode, CommandError> {
    Err(CommandError::internal("this command is not built yet"))
}
