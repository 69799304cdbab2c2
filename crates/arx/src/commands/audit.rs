//! `arx audit`: the record, checked, shown and given away.
//!
//! It must never repair what it finds: whatever is wrong is told, with what to do, and stays.

mod files;
mod log;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use arx_audit::verify_checkpoint;
use clap::Subcommand;
use serde_json::json;

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Derive every leaf, the tree and the signatures again, and tell what does not hold.
    Verify(verify::Args),
    /// Show leaves, the newest first.
    Log(log::Args),
    /// Write the evidence of one run into a file that anyone can check offline.
    Export(Export),
    /// Sign the log as it is and write the checkpoint into a file, to be kept elsewhere.
    Checkpoint(Checkpoint),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx audit export --run run_01J... -o evidence.json\n  \
    arx audit export --run run_01J... -o evidence.json --since checkpoint-january.txt\n  \
    arx-verify evidence.json\n\n\
    The file holds every leaf of the run, the proof that each is in the log, the signed\n\
    checkpoint and the public key. No payload of a vendor is in it, and no secret.")]
struct Export {
    /// The run.
    #[arg(long, value_name = "RUN")]
    run: String,
    /// The file; `-` is standard output. An existing file is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Prove too that the log still begins with this checkpoint, which was kept elsewhere.
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx audit checkpoint -o /mnt/evidence/arx-checkpoint.txt\n  \
    arx audit verify --checkpoint /mnt/evidence/arx-checkpoint.txt\n\n\
    Keep it where whoever operates ARX cannot change it. A log that is cut or written anew no\n\
    longer begins with it. A checkpoint that is in the file already is replaced only if the log\n\
    still begins with that one.")]
struct Checkpoint {
    /// The file, outside of the state directory; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::Verify(args) => verify::run(ctx, args).await,
        What::Log(args) => log::run(ctx, args).await,
        What::Export(args) => export(ctx, args).await,
        What::Checkpoint(args) => checkpoint(ctx, args).await,
    }
}

async fn export(ctx: &Context, args: Export) -> Result<ExitCode, CommandError> {
    let journal = lookup::journal(ctx)?;
    let run = lookup::run(journal, &args.run).await?;
    let earlier = args.since.as_deref().map(files::read_checkpoint).transpose()?;
    let bundle = journal.export(&run.id, earlier).await?;
    let bytes = bundle.write().map_err(|error| CommandError::internal(error.to_string()))?;
    let is_stdout = files::is_stdout(&args.output);
    files::write(ctx, &args.output, &bytes)?;
    if is_stdout {
        return Ok(ExitCode::SUCCESS);
    }
    let file = args.output.display().to_string();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "file": file,
            "run": run.id,
            "leaves": bundle.entries.len(),
            "bytes": bytes.len(),
            "origin": bundle.origin,
            "vkey": bundle.vkey,
            "checkpoint": bundle.checkpoint,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    ctx.output().data(&format!(
        "{} leaves of {} with their proofs in {file}\n  \
         check it anywhere: arx-verify {file} --key '{}'",
        bundle.entries.len(),
        run.id,
        bundle.vkey,
    ));
    Ok(ExitCode::SUCCESS)
}

async fn checkpoint(ctx: &Context, args: Checkpoint) -> Result<ExitCode, CommandError> {
    let journal = lookup::journal(ctx)?;
    let is_stdout = files::is_stdout(&args.output);
    if !is_stdout {
        files::refuse_inside(&args.output, ctx.state_dir())?;
        if args.output.exists() {
            let earlier = files::read_checkpoint(&args.output)?;
            let report = journal.verify(vec![earlier]).await?;
            if let Some(finding) = report.findings.first() {
                return Err(CommandError::denied(format!(
                    "the log does not hold against the checkpoint in `{}`: {finding}",
                    args.output.display()
                ))
                .code("ARX-E062")
                .hint("keep that file: it is evidence; `arx audit verify --checkpoint FILE` tells more"));
            }
        }
    }
    let signed = journal.checkpoint().await?.ok_or_else(|| {
        CommandError::missing("the audit log is empty, so there is nothing to sign")
            .hint("a run or a registration begins it")
    })?;
    files::write(ctx, &args.output, signed.note.as_bytes())?;
    if is_stdout {
        return Ok(ExitCode::SUCCESS);
    }
    let place = std::path::absolute(&args.output).unwrap_or_else(|_| args.output.clone());
    let place = place.display().to_string();
    let (size, kept) = (signed.size, place.clone());
    journal.write(move |tx| tx.note_kept_checkpoint(size, &kept)).await?;
    let root = verify_checkpoint(journal.vkey(), &signed.note)
        .map_err(|error| CommandError::internal(error.to_string()))?
        .root
        .to_string();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "file": place,
            "leaves": signed.size,
            "root": root,
            "at": signed.at,
            "vkey": journal.vkey(),
            "checkpoint": signed.note,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    ctx.output().data(&format!(
        "{} leaves signed, checkpoint in {place}\n  root  {root}\n  key   {}\n  \
         keep both where whoever operates ARX cannot change them\n  \
         check later: arx audit verify --checkpoint {place}",
        signed.size,
        journal.vkey(),
    ));
    Ok(ExitCode::SUCCESS)
}
