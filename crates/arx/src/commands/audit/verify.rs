//! `arx audit verify`: everything derived again from what is stored.
//!
//! What is wrong with the database and what is wrong with the record are told apart, and so is what
//! a disk did from what a person did, where the evidence says: a disk to replace is no crime, and a
//! changed leaf is no broken disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use arx_audit::{Cause, Finding, FindingKind, LogReport};
use arx_journal::{Damage, Journal, JournalError};
use serde_json::json;

use super::files;
use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::{Paint, printable};

/// Findings of one kind that a person is shown; `--json` lists all.
const SHOWN_MAX: usize = 20;

/// What may be typed after `arx audit verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx audit verify\n  \
    arx audit verify --checkpoint /mnt/evidence/arx-checkpoint.txt\n  \
    arx audit verify --json\n\n\
    Exit codes: 0 everything holds, 1 something does not.\n\
    Without a checkpoint that was kept elsewhere nobody can tell a log that its operator wrote anew.")]
pub(super) struct Args {
    /// A checkpoint that was kept elsewhere; the log must still begin with it.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    checkpoint: Vec<PathBuf>,
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let earlier = args
        .checkpoint
        .iter()
        .map(|path| files::read_checkpoint(path))
        .collect::<Result<Vec<_>, _>>()?;
    let journal = lookup::journal(ctx)?;
    let damage = scrub(journal).await?;
    let report = journal.verify(earlier).await?;
    let holds = damage.is_empty() && report.is_ok();
    let causes = damage.iter().map(|damage| damage.cause);
    let cause = Cause::of_all(causes.chain(report.findings.iter().map(Finding::cause)));
    if ctx.is_json() {
        ctx.output().document(&json!({
            "ok": holds,
            "record_holds": report.is_ok(),
            "leaves": report.size,
            "root": report.root,
            "vkey": journal.vkey(),
            "checkpoints": report.n_checkpoints,
            "signed_leaves": report.signed_size,
            "checkpoints_given": args.checkpoint.len(),
            "leaves_of_kind": report.n_of_kind,
            "findings": report.findings,
            "findings_left_out": report.n_left_out,
            "storage": damage,
            "looks_like": cause,
        }));
    } else {
        let paint = ctx.output().paint();
        let mut text = head(&report, journal.vkey(), args.checkpoint.len(), paint);
        text.push_str(&storage(&damage, paint));
        text.push_str(&findings(&report, paint));
        text.push_str(&cause.map(|cause| looks_like(cause, paint)).unwrap_or_default());
        if holds && args.checkpoint.is_empty() {
            let note = "  a log that its operator wrote anew is found with a checkpoint kept elsewhere:\n  \
                        arx audit checkpoint -o FILE, then arx audit verify --checkpoint FILE\n";
            text.push_str(&paint.dim(note));
        }
        ctx.output().data(&text);
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A database that is too damaged to be asked is one more thing to tell, beside the record.
async fn scrub(journal: &Journal) -> Result<Vec<Damage>, JournalError> {
    match journal.scrub().await {
        Err(error @ JournalError::Corrupt { .. }) => Ok(vec![Damage {
            cause: Cause::Corruption,
            table: None,
            row: None,
            leaf: None,
            message: error.to_string(),
        }]),
        scrubbed => scrubbed,
    }
}

fn head(report: &LogReport, vkey: &str, n_given: usize, paint: Paint) -> String {
    let holds = report.is_ok();
    let word = match holds {
        true => paint.green("the record holds"),
        false => paint.red("the record does not hold"),
    };
    let kinds: Vec<String> =
        report.n_of_kind.iter().map(|(kind, n)| format!("{} {n}", kind.as_str())).collect();
    let unsigned = report.size.saturating_sub(report.signed_size);
    let mut text = format!("{word}\n  leaves       {}", report.size);
    if !kinds.is_empty() {
        text.push_str(&paint.dim(&format!("   {}", kinds.join(" · "))));
    }
    text.push_str(&format!("\n  checkpoints  {} agree", report.n_checkpoints));
    if holds && n_given > 0 {
        text.push_str(&format!(", {n_given} of them given"));
    }
    if unsigned > 0 {
        text.push_str(&format!("; the last {unsigned} leaves are not signed yet"));
    }
    text.push_str(&format!("\n  root         {}\n  key          {vkey}\n", report.root));
    text
}

fn storage(damage: &[Damage], paint: Paint) -> String {
    let mut text = String::new();
    for (title, is_torn) in
        [("the database is damaged", true), ("the tables do not say what the log says", false)]
    {
        let of_sort = damage.iter().filter(|damage| (damage.cause == Cause::Corruption) == is_torn);
        let lines: Vec<&str> = of_sort.flat_map(|damage| damage.message.lines()).collect();
        if lines.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", paint.red(title)));
        for line in lines.iter().take(SHOWN_MAX) {
            text.push_str(&format!("  {}\n", printable(line)));
        }
        if let Some(more) = lines.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    text
}

/// What it all looks like, and what to do first.
fn looks_like(cause: Cause, paint: Paint) -> String {
    let (title, why, advice) = match cause {
        Cause::Corruption => (
            "it looks like corruption",
            "something is there that no program wrote: a torn page, a wrong checksum, a flipped bit",
            "stop ARX, copy the state directory aside, check the disk and the memory, restore both \
             arx.db and audit.key from a backup, and verify that with a checkpoint kept elsewhere",
        ),
        Cause::Tampering => (
            "it looks like tampering",
            "everything can be read and is whole, and contradicts what was recorded",
            "stop ARX and change nothing; work on a copy: export the evidence of the runs named, \
             compare with a backup and with a checkpoint kept elsewhere, and ask who had access",
        ),
        Cause::Unclear => (
            "it may be damage, tampering, an older backup or a fault of ARX",
            "nothing here tells one from the other",
            "stop ARX, copy the state directory aside, and compare with a checkpoint kept elsewhere",
        ),
    };
    format!("\n{}\n  why: {why}\n  to do: {advice}\n", paint.red(title))
}

fn findings(report: &LogReport, paint: Paint) -> String {
    let mut by_kind: BTreeMap<FindingKind, Vec<String>> = BTreeMap::new();
    for finding in &report.findings {
        by_kind.entry(finding.kind()).or_default().push(finding.to_string());
    }
    let mut text = String::new();
    for (kind, messages) in by_kind {
        let (title, advice) = words(kind);
        text.push_str(&format!("\n{}\n", paint.red(title)));
        for message in messages.iter().take(SHOWN_MAX) {
            text.push_str(&format!("  {}\n", printable(message)));
        }
        if let Some(more) = messages.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
            text.push_str(&format!("  and {more} more\n"));
        }
        text.push_str(&format!("  to do: {advice}\n"));
    }
    if report.n_left_out > 0 {
        text.push_str(&format!("\nand {} more findings\n", report.n_left_out));
    }
    text
}

/// What a kind of finding means, and what to do about it.
fn words(kind: FindingKind) -> (&'static str, &'static str) {
    match kind {
        FindingKind::Unreadable => (
            "unreadable: damage, or not this format",
            "treat it as damage to the disk first: copy the state directory aside, restore a backup",
        ),
        FindingKind::Tampered => (
            "tampered: something was changed, removed, added or reordered",
            "stop ARX, keep the state directory as it is, and ask who had access; compare with a \
             backup and with exported evidence",
        ),
        FindingKind::Truncated => (
            "truncated: the log is shorter than a signed checkpoint says",
            "leaves are missing at the end: an older backup was restored, or somebody cut them off; \
             find the newest copy of the state directory",
        ),
        FindingKind::BadSignature => (
            "bad signature: a checkpoint is not signed by this log's key",
            "the checkpoint belongs to another log, or was forged; compare the key with the one \
             that was kept elsewhere",
        ),
        FindingKind::Unproven => (
            "unproven: nothing contradicts it, and nothing proves it",
            "ask for a newer bundle, made with --since and the checkpoint that you have",
        ),
        FindingKind::Invariant => (
            "not allowed: the record is intact and tells of something that the gate must never do",
            "report it as a fault of ARX with the leaf's number, and stop the workflow until it is \
             understood: arx stop WORKFLOW",
        ),
    }
}
