//! `arx completions`: what a shell needs to complete `arx`.

#[cfg(test)]
mod reference;

use std::process::ExitCode;

use clap::{CommandFactory as _, Subcommand as _};
use clap_complete::Shell;

use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx completions bash > ~/.local/share/bash-completion/completions/arx\n  \
    arx completions zsh > ~/.zfunc/_arx\n  \
    arx completions fish > ~/.config/fish/completions/arx.fish")]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut offered(), "arx", &mut script);
    let script = String::from_utf8_lossy(&script);
    if ctx.is_json() {
        let shell = args.shell.to_string();
        ctx.output().document(&serde_json::json!({ "shell": shell, "script": script }));
    } else {
        ctx.output().data(&script);
    }
    Ok(ExitCode::SUCCESS)
}

/// The program without what is hidden: shells would offer it all the same.
fn offered() -> clap::Command {
    let whole = crate::Cli::command();
    let shown = whole.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let command = clap::Command::new("arx").version(env!("CARGO_PKG_VERSION")).args(shown);
    super::Command::augment_subcommands(command)
}
