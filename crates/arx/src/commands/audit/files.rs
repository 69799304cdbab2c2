//! Files that evidence is written to and read from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::command_error::CommandError;
use crate::context::Context;

/// The longest checkpoint that is read.
const CHECKPOINT_BYTES_MAX: u64 = 16 * 1024;

/// Whether a file name stands for standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Puts a file in its place whole or not at all, or prints it.
pub(super) fn write(ctx: &Context, path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    if is_stdout(path) {
        ctx.output().data(&String::from_utf8_lossy(bytes));
        return Ok(());
    }
    place(path, bytes).map_err(|error| {
        CommandError::internal(format!("cannot write `{}`: {error}", path.display()))
            .code("ARX-E063")
    })
}

fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What is left of a failed attempt would only confuse.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// A checkpoint that was kept elsewhere.
pub(super) fn read_checkpoint(path: &Path) -> Result<String, CommandError> {
    let failed = |why: &dyn std::fmt::Display| {
        CommandError::user(format!("cannot read `{}`: {why}", path.display()))
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(CHECKPOINT_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| failed(&error))?;
    if text.len() as u64 > CHECKPOINT_BYTES_MAX || !text.contains("\n\n\u{2014} ") {
        return Err(failed(&"it is not a signed checkpoint")
            .hint("`arx audit checkpoint -o FILE` writes one"));
    }
    Ok(text)
}

/// A checkpoint beside the log that it holds to account proves nothing.
pub(super) fn refuse_inside(path: &Path, state: &Path) -> Result<(), CommandError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let is_inside = match (parent.canonicalize(), state.canonicalize()) {
        (Ok(parent), Ok(state)) => parent.starts_with(state),
        _ => false,
    };
    if is_inside {
        return Err(CommandError::user(
            "a checkpoint inside of the state directory proves nothing: whoever changes the log \
             can change it too",
        )
        .hint("write it to another machine's disk, a ticket, or a colleague"));
    }
    Ok(())
}
