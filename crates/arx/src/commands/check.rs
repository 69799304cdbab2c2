//! `arx check`: what can be said of a bundle before it runs, and the maturity level it reaches.

mod maturity;
mod review;

use std::process::ExitCode;

use serde_json::json;

use super::{lookup, policy};
use crate::bundles::{self, Found};
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::{Paint, printable, printable_lines};

pub(super) use review::{Review, Severity};

/// What may be typed after `arx check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx check critical-vuln-escalation\n  \
    arx check ./my-workflow --json\n\n\
    Exit codes: 0 nothing is wrong (there may be warnings), 2 something is.\n\n\
    Levels: L3 Enforced, every operation is ruled and recorded. L4 Governed, there is an owner,\n\
    named approvers and a limit on every write. L5 Accountable, evidence can be exported and a\n\
    checkpoint is kept outside (`arx audit checkpoint -o FILE`).")]
pub(crate) struct Args {
    /// A bundle's directory, its arx.yaml or workflow file, or a workflow of the library.
    #[arg(value_name = "BUNDLE")]
    bundle: String,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let found = bundles::find(&args.bundle)?;
    let review = reviewed(ctx, &found).await?;
    let kept = maturity::kept(ctx).await;
    let levels = maturity::levels(&found.bundle.manifest, &review, kept);
    let reached = maturity::reached(&levels);
    let n_errors = review.n_errors();
    if ctx.is_json() {
        ctx.output().document(&json!({
            "workflow": found.bundle.manifest.metadata.name,
            "version": found.bundle.version,
            "ok": n_errors == 0,
            "findings": review.findings,
            "operations": review.operations,
            "maturity": {
                "level": reached.map(|level| level.id),
                "name": reached.map(|level| level.name),
                "levels": levels,
            },
        }));
    } else {
        ctx.output().data(&shown(&found, &review, &levels, ctx.output().paint()));
    }
    Ok(if n_errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// Everything that can be found without running: diagnostics of both files are an error already.
pub(super) async fn reviewed(ctx: &Context, found: &Found) -> Result<Review, CommandError> {
    let checked = bundles::check(found, &ctx.clock().now().to_string()).await?;
    let compiled = policy::compiled(found)?;
    Ok(review::review(found, &compiled, &checked, ctx.clock().now()))
}

fn shown(found: &Found, review: &Review, levels: &[maturity::Level], paint: Paint) -> String {
    let name = &found.bundle.manifest.metadata.name;
    let mut text = format!("{}  version {}\n", paint.bold(name), found.bundle.version.short());
    for finding in &review.findings {
        let label = match finding.severity {
            Severity::Error => paint.red("error"),
            Severity::Warning => paint.yellow("warning"),
        };
        let place = printable(&finding.place()).into_owned();
        let message = printable_lines(&finding.message);
        text.push_str(&format!("\n{place}: {label}[{}]: {message}\n", finding.code));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{} {}\n", paint.cyan("hint:"), printable_lines(hint)));
        }
    }
    text.push('\n');
    let width = review.operations.iter().map(|one| one.operation.to_string().len()).max();
    let width = width.unwrap_or(0);
    for one in &review.operations {
        let operation = one.operation.to_string();
        let mut says = one.says.to_owned();
        if one.limited {
            says.push_str(", limited");
        }
        let called = match one.called {
            true => String::new(),
            false => paint.dim("  bound and never called"),
        };
        text.push_str(&format!("  {operation:<width$}  {says}{called}\n"));
    }
    text.push('\n');
    text.push_str(&maturity::shown(levels, paint));
    match (review.n_errors(), review.findings.len()) {
        (0, 0) => text.push_str(&format!("\n{}\n", paint.green("nothing is wrong"))),
        (0, n) => text.push_str(&format!("\n{n} to look at, nothing is wrong\n")),
        (n, _) => text.push_str(&format!("\n{}\n", paint.red(&format!("{n} wrong")))),
    }
    text
}

/// What stops a bundle from being registered: the same that `arx check` calls wrong.
pub(super) fn refuse_errors(review: &Review) -> Result<(), CommandError> {
    let errors = review.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let diagnostics: Vec<_> = errors.map(review::Finding::diagnostic).collect();
    if diagnostics.is_empty() { Ok(()) } else { Err(CommandError::diagnostics(diagnostics)) }
}

/// Checkpoints are of a journal; without one there is none.
async fn kept_checkpoint(ctx: &Context) -> Option<arx_journal::KeptCheckpoint> {
    // A journal that cannot be opened is for other commands to complain about.
    let journal = lookup::present(ctx).ok().flatten()?;
    journal.read(|reader| reader.kept_checkpoint()).await.ok().flatten()
}
