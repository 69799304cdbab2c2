//! Writes `docs/cli.md` from what clap knows, and fails when the file says something else.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

/// Set it to write the file instead of comparing it.
const UPDATE: &str = "ARX_UPDATE_DOCS";

const HEAD: &str = "# Command line\n\n\
    <!-- Generated from the program: ARX_UPDATE_DOCS=1 cargo test -p arx reference -->\n\n\
    `arx --help` and `arx <command> --help` say the same in a terminal.\n\
    `--json` prints one JSON document on standard output; progress, warnings and logs go to standard error.\n\
    Errors have a code, explained in [errors.md](errors.md).\n\n";

#[test]
fn the_reference_is_what_the_program_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let generated = reference();
    #[expect(clippy::disallowed_methods, reason = "no credential: a switch of this test alone")]
    let update = std::env::var_os(UPDATE).is_some();
    if update {
        std::fs::write(path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/cli.md is not what the program says: {UPDATE}=1 cargo test -p arx reference"
    );
}

#[test]
fn every_command_teaches_by_example() {
    fn check(command: &Command, path: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path} does not say what it does");
            if sub.has_subcommands() {
                check(sub, &path);
            }
            let mut with_help = std::iter::once(sub).chain(sub.get_subcommands());
            let taught = with_help.any(|command| {
                command.get_after_help().is_some_and(|help| help.to_string().contains("arx "))
            });
            let inherited =
                command.get_after_help().is_some_and(|help| help.to_string().contains(path.trim()));
            assert!(taught || inherited, "{path} has no example");
        }
    }
    check(&crate::Cli::command(), "arx");
}

fn reference() -> String {
    let mut cli = crate::Cli::command();
    cli.build();
    let mut text = HEAD.to_owned();
    let globals: Vec<&Arg> =
        cli.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()).collect();
    text.push_str("## Options of every command\n\n");
    options(&mut text, &globals);
    if let Some(help) = cli.get_after_help() {
        block(&mut text, &help.to_string());
    }
    for command in cli.get_subcommands() {
        describe(&mut text, command, "arx");
    }
    format!("{}\n", text.trim_end())
}

fn describe(text: &mut String, command: &Command, parent: &str) {
    if command.is_hide_set() || command.get_name() == "help" {
        return;
    }
    let path = format!("{parent} {}", command.get_name());
    let _ = write!(text, "## {path}\n\n");
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = write!(text, "{}\n\n", about.to_string().trim());
    }
    let mut usage = command.clone();
    let usage = usage.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let _ = write!(text, "```\n{usage}\n```\n\n");
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    options(text, &own);
    if let Some(help) = command.get_after_help() {
        block(text, &help.to_string());
    }
    for sub in command.get_subcommands() {
        describe(text, sub, &path);
    }
}

fn options(text: &mut String, arguments: &[&Arg]) {
    if arguments.is_empty() {
        return;
    }
    text.push_str("| option | meaning |\n|---|---|\n");
    for arg in arguments {
        let mut names = Vec::new();
        if let Some(short) = arg.get_short() {
            names.push(format!("-{short}"));
        }
        if let Some(long) = arg.get_long() {
            names.push(format!("--{long}"));
        }
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let values = arg.get_value_names().unwrap_or_default();
        let values: Vec<String> = values.iter().map(|name| format!("<{name}>")).collect();
        let mut spelled = names.join(", ");
        if takes_value && !values.is_empty() {
            if !spelled.is_empty() {
                spelled.push(' ');
            }
            spelled.push_str(&values.join(" "));
        }
        let help = arg.get_long_help().or_else(|| arg.get_help());
        let mut meaning = help.map(ToString::to_string).unwrap_or_default().replace('\n', " ");
        let possible: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if takes_value && !possible.is_empty() {
            let _ = write!(meaning, " One of {}.", possible.join(", "));
        }
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy().into()).collect();
        if takes_value && !defaults.is_empty() && !arg.is_hide_default_value_set() {
            let _ = write!(meaning, " Default: `{}`.", defaults.join(" "));
        }
        if let Some(variable) = arg.get_env() {
            let _ = write!(meaning, " Variable: `{}`.", variable.to_string_lossy());
        }
        let meaning = meaning.replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {} |", spelled.replace('|', "\\|"), meaning.trim());
    }
    text.push('\n');
}

fn block(text: &mut String, help: &str) {
    let _ = write!(text, "```\n{}\n```\n\n", help.trim_end());
}
