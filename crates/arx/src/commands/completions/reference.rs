//! Writes `docs/cli.md` from what clap knows, and fails when the file says something else.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

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
    fn check(command: &Command, path: &str, above: &str) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            assert!(sub.get_about().is_some(), "{path} does not say what it does");
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_taught = help.contains(&path) || above.contains(&path);
            assert!(is_taught || sub.has_subcommands(), "{path} has no example");
            check(sub, &path, &help);
        }
    }
    check(&crate::Cli::command(), "arx", "");
}

#[test]
fn every_code_is_explained() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let page = std::fs::read_to_string(format!("{root}/docs/errors.md")).unwrap();
    let mut used = BTreeSet::new();
    codes_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut used);
    assert!(used.len() > 20, "{used:?}");
    let mut explained = BTreeSet::new();
    codes_in(&page, &mut explained);
    let missing: Vec<_> = used.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/errors.md does not explain {missing:?}");
    let unused: Vec<_> = explained.difference(&used).collect();
    assert!(unused.is_empty(), "docs/errors.md explains what nothing says: {unused:?}");
}

fn codes_below(directory: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_below(&path, codes);
        } else if path.file_name().is_some_and(|name| name != "reference.rs") {
            codes_in(&std::fs::read_to_string(&path).unwrap_or_default(), codes);
        }
    }
}

/// The codes of the command line and of bundles; those of files have pages of their own.
fn codes_in(text: &str, codes: &mut BTreeSet<String>) {
    for prefix in ["ARX-E", "ARX-B"] {
        for (at, _) in text.match_indices(prefix) {
            let code: String = text[at..].chars().take(prefix.len() + 3).collect();
            if code[prefix.len()..].chars().all(|c| c.is_ascii_digit()) {
                codes.insert(code);
            }
        }
    }
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
        let _ = write!(text, "{}\n\n", sentence(&about.to_string()));
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
        let mut meaning = sentence(&help.map(ToString::to_string).unwrap_or_default());
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

/// Clap takes the full stop off a first line.
fn sentence(help: &str) -> String {
    let help = help.trim().replace('\n', " ");
    if help.is_empty() || help.ends_with(['.', '!', '?']) { help } else { format!("{help}.") }
}

fn block(text: &mut String, help: &str) {
    let _ = write!(text, "```\n{}\n```\n\n", help.trim_end());
}
