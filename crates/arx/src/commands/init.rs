//! `arx init`: a new bundle that passes `arx check` as it is.
//!
//! It must never write over a file: what is there stays, and the command says so.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arx_workflow::bundle::parse;
use arx_workflow::host;
use serde_json::json;

use super::lookup;
use crate::bundles;
use crate::command_error::CommandError;
use crate::context::{Context, catalogue};
use crate::library;

/// What stands for the new workflow's name in the starter's files.
const NAME: &str = "starter-workflow";
const STARTER_MANIFEST: &str = include_str!("init/starter/arx.yaml");
const STARTER_SOURCE: &str = include_str!("init/starter/workflow.py");
const STARTER_README: &str = include_str!("init/starter/README.md");
/// The longest name; the format's own limit.
const NAME_BYTES_MAX: usize = 63;

/// What may be typed after `arx init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx init my-escalation\n  \
    arx init my-escalation --from critical-vuln-escalation --dir ./workflows/my-escalation\n  \
    arx check ./my-escalation && arx run ./my-escalation --simulate")]
pub(crate) struct Args {
    /// The new workflow's name, in kebab-case.
    #[arg(value_name = "NAME")]
    name: String,
    /// Begin with a copy of this workflow of the library.
    #[arg(long, value_name = "LIBRARY NAME")]
    from: Option<String>,
    /// Where to put it; a new directory of the workflow's name otherwise.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    check_name(&args.name)?;
    let (manifest, source, readme) = match &args.from {
        None => {
            let named = |text: &str| text.replace(NAME, &args.name);
            (named(STARTER_MANIFEST), named(STARTER_SOURCE), named(STARTER_README))
        }
        Some(from) => copied(from, &args.name)?,
    };
    let parsed = parse("arx.yaml", &manifest, &catalogue()).map_err(CommandError::diagnostics)?;
    let stub = host::stub(&bundles::objects(&parsed));
    let directory = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let files =
        [("README.md", readme), ("arx.yaml", manifest), ("workflow.py", source), ("arx.pyi", stub)];
    let written = write(&directory, &files)?;
    let shown = directory.display().to_string();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "workflow": args.name,
            "directory": shown,
            "from": args.from,
            "files": written,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let mut text = format!("{} in {shown}\n", paint.bold(&args.name));
    for file in &written {
        text.push_str(&format!("  {file}\n"));
    }
    let here = if directory.is_absolute() || shown.starts_with('.') {
        shown
    } else {
        format!("./{shown}")
    };
    text.push_str(&format!("\nnext\n  arx check {here}\n  arx run {here} --simulate\n"));
    // A limit names what is worth asking about: a write.
    if let Some(limit) = parsed.policy.limits.first() {
        let operation = &limit.operation;
        text.push_str(&format!("  arx policy explain --config {here} {operation}\n"));
    }
    ctx.output().data(&text);
    Ok(ExitCode::SUCCESS)
}

fn check_name(name: &str) -> Result<(), CommandError> {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if starts_well && name.len() <= NAME_BYTES_MAX && name.split('-').all(word) {
        return Ok(());
    }
    Err(CommandError::user(format!("`{name}` is not a workflow's name"))
        .hint("lower-case letters, digits and single dashes, e.g. `my-escalation`"))
}

/// The files of a library workflow under another name.
fn copied(from: &str, name: &str) -> Result<(String, String, String), CommandError> {
    let Some(workflow) = library::find(from) else {
        let known = library::ALL.iter().map(|workflow| workflow.name);
        let error = CommandError::user(format!("the library has no workflow `{from}`"));
        return Err(match lookup::nearest(from, known) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("it has: {}", library::names())),
        });
    };
    // The name stands once as `name:`, and where texts speak of it.
    let renamed = |text: &str| text.replace(workflow.name, name);
    let readme = format!(
        "# {name}\n\nA copy of `{from}` to be made one's own.\n\n```\narx check .\n\
         arx run . --simulate\n```\n\n\
         - `arx.yaml`: what it may call, under which policy, with which inputs.\n\
         - `workflow.py`: what it does.\n\
         - `arx.pyi`: what editors know of the names that ARX gives.\n"
    );
    Ok((renamed(workflow.manifest), workflow.source.to_owned(), readme))
}

/// Writes every file, or none.
fn write(directory: &Path, files: &[(&str, String)]) -> Result<Vec<String>, CommandError> {
    let failed = |path: &Path, error: &io::Error| {
        CommandError::internal(format!("cannot write `{}`: {error}", path.display()))
            .code("ARX-E063")
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let present: Vec<String> = files
        .iter()
        .map(|(name, _)| directory.join(name))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    if !present.is_empty() {
        return Err(CommandError::user(format!("there is `{}` already", present.join("`, `")))
            .hint("choose another --dir; nothing was written"));
    }
    let mut written = Vec::new();
    for (name, text) in files {
        let path = directory.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&path, &error))?;
        written.push((*name).to_owned());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn a_name_is_in_kebab_case() {
        for name in ["a", "my-escalation", "patch-2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in
            ["", "-", "a-", "2fast", "My-Escalation", "a--b", "../x", "a b", &"a".repeat(64)]
        {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
