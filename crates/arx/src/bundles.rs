//! Finds a bundle by what a person typed: a `workflow.py`, a directory, an `arx.yaml`, or a name of
//! the library.
//!
//! INVARIANT (paths win by their look alone): what has a slash or is a directory or file here is a
//! path; everything else is a name of the library. Nothing is ever downloaded.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use arx_workflow::bundle::{self, Bundle};
use arx_workflow::host::{self, Checked, HostError, HostOptions, Limits, ObjectSpec, Script};

use crate::command_error::CommandError;
use crate::context::catalogue;
use crate::library;

/// The largest file of a bundle that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The name of the manifest.
const MANIFEST: &str = "arx.yaml";

/// A bundle as it was found, parsed.
#[derive(Debug)]
pub(crate) struct Found {
    /// The bundle, without overrides.
    pub(crate) bundle: Bundle,
    /// The manifest's name as the user would write it, for diagnostics.
    pub(crate) manifest_file: String,
    /// The workflow file's name as the user would write it, for diagnostics.
    pub(crate) workflow_file: String,
}

/// The two texts of a bundle and their names.
struct Texts {
    manifest_file: String,
    yaml: String,
    /// The directory that the entrypoint is in, unless the library has it.
    directory: Option<PathBuf>,
    /// The workflow that was asked for by its own path; it must be the entrypoint.
    asked: Option<PathBuf>,
    library: Option<&'static str>,
}

/// Finds and parses a bundle.
///
/// # Errors
/// When there is none, or `arx.yaml` is not right: every mistake with its place.
pub(crate) fn find(what: &str) -> Result<Found, CommandError> {
    let texts = locate(what)?;
    let manifest = bundle::parse(&texts.manifest_file, &texts.yaml, &catalogue())
        .map_err(CommandError::diagnostics)?;
    let (workflow_file, source) = match (&texts.directory, texts.library) {
        (Some(directory), _) => {
            let path = directory.join(&manifest.entrypoint);
            if let Some(asked) = &texts.asked
                && asked.file_name() != path.file_name()
            {
                return Err(CommandError::config(format!(
                    "`{}` names `{}` as its entrypoint, not `{}`",
                    texts.manifest_file,
                    manifest.entrypoint,
                    asked.display()
                ))
                .hint(format!(
                    "set `entrypoint` in {}, or run the directory",
                    texts.manifest_file
                )));
            }
            (shown(&path), read(&path)?)
        }
        (None, source) => {
            (format!("{what}/{}", manifest.entrypoint), source.unwrap_or_default().to_owned())
        }
    };
    Ok(Found {
        bundle: Bundle::new(manifest, texts.yaml, source),
        manifest_file: texts.manifest_file,
        workflow_file,
    })
}

fn locate(what: &str) -> Result<Texts, CommandError> {
    let path = Path::new(what);
    if path.is_dir() {
        let manifest = path.join(MANIFEST);
        return of_files(&manifest, path, None);
    }
    let looks_like_a_path = what.contains('/') || path.is_file();
    if !looks_like_a_path {
        let Some(workflow) = library::find(what) else {
            let hint = format!("workflows of the library: {}", library::names());
            return Err(CommandError::user(format!(
                "there is no file, directory or library workflow `{what}`"
            ))
            .hint(hint));
        };
        return Ok(Texts {
            manifest_file: format!("{what}/{MANIFEST}"),
            yaml: workflow.manifest.to_owned(),
            directory: None,
            asked: None,
            library: Some(workflow.source),
        });
    }
    if !path.exists() {
        return Err(CommandError::user(format!("there is no `{what}`")));
    }
    let directory = path.parent().map(Path::to_owned).unwrap_or_default();
    let is_manifest = path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    if is_manifest {
        return of_files(path, &directory, None);
    }
    let manifest = directory.join(MANIFEST);
    if !manifest.is_file() {
        return Err(CommandError::config(format!("there is no `arx.yaml` beside `{what}`")).hint(
            "a workflow needs an arx.yaml that says what it may call; `arx init` makes one",
        ));
    }
    of_files(&manifest, &directory, Some(path.to_owned()))
}

fn of_files(
    manifest: &Path,
    directory: &Path,
    asked: Option<PathBuf>,
) -> Result<Texts, CommandError> {
    Ok(Texts {
        manifest_file: shown(manifest),
        yaml: read(manifest)?,
        directory: Some(directory.to_owned()),
        asked,
        library: None,
    })
}

fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    text.strip_prefix("./").map(str::to_owned).unwrap_or(text)
}

fn read(path: &Path) -> Result<String, CommandError> {
    let failed = |why: &dyn std::fmt::Display| {
        CommandError::config(format!("cannot read `{}`: {why}", path.display()))
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(&format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8 text"))
}

/// How a workflow's process is started: this program, under another name.
pub(crate) fn host_options() -> Result<HostOptions, CommandError> {
    let program = std::env::current_exe()
        .map_err(|error| CommandError::internal(format!("cannot find this program: {error}")))?;
    Ok(HostOptions { program, args: vec![crate::WORKFLOW_HOST.into()], limits: Limits::default() })
}

/// The connectors that a manifest binds, as its workflow sees them.
pub(crate) fn objects(manifest: &bundle::Manifest) -> Vec<ObjectSpec> {
    let names = |connector: &str| {
        let vendor = arx_connectors::ALL.iter().find(|vendor| vendor.spec.name == connector);
        let operations = vendor.map_or(&[] as &[_], |vendor| vendor.spec.operations);
        operations.iter().map(|operation| operation.name.to_owned()).collect()
    };
    let connectors = manifest.connectors.keys();
    connectors
        .map(|connector| ObjectSpec { connector: connector.clone(), operations: names(connector) })
        .collect()
}

/// Checks the workflow file without running it.
///
/// # Errors
/// Every mistake in it with its place, or why it could not be checked.
pub(crate) async fn check(found: &Found, now: &str) -> Result<Checked, CommandError> {
    let manifest = &found.bundle.manifest;
    let script = Script {
        file: &found.workflow_file,
        source: &found.bundle.workflow_text,
        config: &manifest.config(),
        now,
        objects: &objects(manifest),
        functions: &arx_engine::functions(),
    };
    host::check(&host_options()?, script).await.map_err(|error| match error {
        HostError::Load(diagnostics) => CommandError::diagnostics(diagnostics),
        other => CommandError::internal(other.to_string()),
    })
}
