//! `arx-verify`: checks an evidence bundle offline.
//!
//! It depends on `arx-audit` alone, opens no connection, and reads only the files that are named
//! on its command line. Exit 0: everything holds. Exit 1: something does not. Exit 2: bad usage,
//! or a file that cannot be opened.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use arx_audit::{
    BundleChecks, BundleReport, Finding, bundle::BUNDLE_BYTES_MAX, origin_of, verify_bundle,
};
use serde::Serialize;

const HELP: &str = "\
Check an ARX evidence bundle offline.

Usage: arx-verify [OPTIONS] BUNDLE

Arguments:
  BUNDLE               the file written by `arx audit export`, or - for standard input

Options:
  --key VKEY           the log's public key, known from elsewhere: proves who signed,
                       not only that nothing was changed since
  --checkpoint FILE    a checkpoint of the same log kept from earlier: the bundle must prove
                       that the log still begins with it
  --json               print one JSON document
  -h, --help           print this
  -V, --version        print the version

Exit: 0 everything holds, 1 something does not, 2 bad usage or a file that cannot be read.
";
const EXIT_OK: u8 = 0;
const EXIT_FINDINGS: u8 = 1;
const EXIT_USAGE: u8 = 2;
/// The most bytes of a checkpoint file.
const CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let mut err = io::stderr().lock();
    let code = match run(std::env::args_os().skip(1), &mut out) {
        Ok(code) => code,
        Err(Stop::Usage(message)) => {
            // There is nowhere left to report a failure to write this.
            let _ = writeln!(err, "error: {message}");
            let _ = writeln!(err, "hint: arx-verify --help");
            EXIT_USAGE
        }
        Err(Stop::Write(source)) => {
            let _ = writeln!(err, "error: cannot write the result: {source}");
            EXIT_USAGE
        }
    };
    ExitCode::from(code)
}

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    bundle: PathBuf,
    key: Option<String>,
    checkpoint: Option<PathBuf>,
    is_json: bool,
}

/// What the command line may be.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Verify(Options),
    Help,
    Version,
}

/// Why there is no verdict.
#[derive(Debug)]
enum Stop {
    Usage(String),
    Write(io::Error),
}

impl From<io::Error> for Stop {
    fn from(source: io::Error) -> Self {
        Self::Write(source)
    }
}

/// The one document that `--json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    report: Option<&'a BundleReport>,
    findings: &'a [Finding],
}

fn run(args: impl Iterator<Item = OsString>, out: &mut dyn Write) -> Result<u8, Stop> {
    let options = match parse(args)? {
        Command::Verify(options) => options,
        Command::Help => {
            out.write_all(HELP.as_bytes())?;
            return Ok(EXIT_OK);
        }
        Command::Version => {
            writeln!(out, "arx-verify {}", env!("CARGO_PKG_VERSION"))?;
            return Ok(EXIT_OK);
        }
    };
    if let Some(key) = &options.key {
        origin_of(key).map_err(|error| Stop::Usage(error.to_string()))?;
    }
    let bundle = read(&options.bundle, BUNDLE_BYTES_MAX)?;
    let checkpoint = match &options.checkpoint {
        Some(path) => {
            let bytes = read(path, CHECKPOINT_BYTES_MAX)?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Stop::Usage(format!("`{}` is not text", path.display())))?;
            Some(text)
        }
        None => None,
    };
    let checks = BundleChecks {
        pinned_vkey: options.key.as_deref(),
        earlier_checkpoint: checkpoint.as_deref(),
    };
    let result = verify_bundle(&bundle, checks);
    if options.is_json {
        let (report, findings) = match &result {
            Ok(report) => (Some(report), [].as_slice()),
            Err(findings) => (None, findings.as_slice()),
        };
        let answer = Answer { ok: result.is_ok(), report, findings };
        serde_json::to_writer_pretty(&mut *out, &answer).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        match &result {
            Ok(report) => print_report(report, out)?,
            Err(findings) => print_findings(&options.bundle, findings, out)?,
        }
    }
    Ok(if result.is_ok() { EXIT_OK } else { EXIT_FINDINGS })
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, Stop> {
    let usage = |message: String| Err(Stop::Usage(message));
    let mut options = Options::default();
    let mut bundle = None;
    let mut only_files = false;
    let mut args = args;
    while let Some(arg) = args.next() {
        let text = arg.to_str().filter(|_| !only_files).unwrap_or_default();
        let (flag, inline) = match text.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
            _ => (text, None),
        };
        match flag {
            "-h" | "--help" => return Ok(Command::Help),
            "-V" | "--version" => return Ok(Command::Version),
            "--json" if inline.is_none() => options.is_json = true,
            "--" => only_files = true,
            "--key" | "--checkpoint" => {
                let Some(value) = inline.or_else(|| args.next()) else {
                    return usage(format!("`{flag}` needs a value"));
                };
                if flag == "--checkpoint" {
                    options.checkpoint = Some(value.into());
                } else if let Ok(key) = value.into_string() {
                    options.key = Some(key);
                } else {
                    return usage("the value of `--key` is not text".to_owned());
                }
            }
            _ if flag.starts_with('-') && flag != "-" => {
                return usage(format!("unknown option `{text}`"));
            }
            _ if bundle.is_some() => {
                return usage(format!("one bundle at a time: `{}`", arg.display()));
            }
            _ => bundle = Some(PathBuf::from(arg)),
        }
    }
    let Some(bundle) = bundle else { return usage("which bundle?".to_owned()) };
    Ok(Command::Verify(Options { bundle, ..options }))
}

/// Reads a whole file of limited size.
fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Stop> {
    let refuse = |why: &dyn std::fmt::Display| {
        Stop::Usage(format!("cannot read `{}`: {why}", path.display()))
    };
    let file: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|source| refuse(&source))?)
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| refuse(&error))?;
    if bytes.len() > bytes_max {
        return Err(refuse(&format_args!("it has more than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn print_report(report: &BundleReport, out: &mut dyn Write) -> io::Result<()> {
    let BundleReport { run, origin, vkey, size, root, n_leaves, n_counted, .. } = report;
    let mut say = |what: &str, text: String| line(what, &text, out);
    let kinds: Vec<String> =
        report.n_of_kind.iter().map(|(kind, n)| format!("{} {n}", kind.as_str())).collect();
    say("verified", format!("{n_leaves} leaves of {run}: {}", kinds.join(", ")))?;
    say("log", format!("{origin}, checkpoint {size}, root {root}"))?;
    say("key", vkey.clone())?;
    say(
        "origin",
        if report.is_key_pinned {
            "proved: this is the key you named".to_owned()
        } else {
            "NOT proved: the key came with the bundle; name the one you know with --key".to_owned()
        },
    )?;
    say(
        "history",
        match report.consistent_from {
            Some(earlier) => format!("the log still begins with checkpoint {earlier}"),
            None => {
                "NOT compared with an earlier checkpoint; name one with --checkpoint".to_owned()
            }
        },
    )?;
    say(
        "complete",
        if *n_counted == 0 {
            "NOT proved: no leaf counts the leaves of the run".to_owned()
        } else {
            format!("the first {n_counted} leaves of the run are all here, as a later one counts")
        },
    )
}

fn print_findings(bundle: &Path, findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    line("FAILED", &format!("{}: {} problems", bundle.display(), findings.len()), out)?;
    findings.iter().try_for_each(|it| line(&it.kind().to_string(), &it.to_string(), out))
}

/// Prints one line that stays one line and leaves the terminal alone, whatever a bundle holds.
fn line(what: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let is_harmful =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let text: String =
        text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    writeln!(out, "{what:<15}{text}")
}

#[cfg(test)]
mod tests;
