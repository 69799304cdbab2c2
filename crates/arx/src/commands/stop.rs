//! `arx stop`: a workflow acts no more, from the next call on.
//!
//! The stop and its leaf are one transaction; the gate asks for it in the transaction that decides,
//! so that nothing of a running process has to be told.

use std::process::ExitCode;

use arx_audit::{LeafKind, Workflow};
use arx_journal::{JournalError, LeafDraft, RunFilter};
use arx_types::RunStatus;
use serde_json::json;

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::output::printable;

/// What stands for every version of a workflow in a leaf.
pub(super) const EVERY_VERSION: &str = "*";

/// What may be typed after `arx stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx stop critical-vuln-escalation --reason 'paging storm, INC-4211'\n  \
    arx start critical-vuln-escalation\n\n\
    New runs are refused, and the gate denies every further call of running ones. What a vendor\n\
    has already accepted stands. `arx start` lifts the stop.")]
pub(crate) struct Args {
    /// The workflow's name.
    workflow: String,
    /// Why; it stands in the record and in every denial.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let reason = match &args.reason {
        Some(text) => lookup::reason(text)?,
        None => "no reason given".to_owned(),
    };
    let journal = ctx.journal()?;
    let name = lookup::workflow(journal, &args.workflow).await?;
    let (workflow, by) = (name.clone(), ctx.actor().to_owned());
    let (stopped, stop, under_way) = journal
        .write(move |tx| {
            let stopped = tx.stop_workflow(&workflow, &by, &reason)?;
            if stopped {
                let leaf = leaf(&by, &workflow, "stopped").with("reason", reason.as_str());
                tx.append_leaf(leaf)?;
            }
            let stop = tx.active_stop(&workflow)?;
            let filter = RunFilter { workflow: Some(workflow), ..RunFilter::default() };
            let under_way: Vec<_> = tx
                .runs(&RunFilter { status: Some(RunStatus::Running), ..filter })?
                .into_iter()
                .map(|run| run.id.to_string())
                .collect();
            Ok::<_, JournalError>((stopped, stop, under_way))
        })
        .await?;
    lookup::sign(journal).await?;
    let stop = stop.ok_or_else(|| CommandError::internal("the stop is not in the record"))?;
    if ctx.is_json() {
        ctx.output().document(&json!({
            "workflow": name,
            "stopped": true,
            "changed": stopped,
            "at": stop.at,
            "by": stop.by,
            "reason": stop.reason,
            "running": under_way,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let head = match stopped {
        true => format!("{} is {}", paint.bold(&name), paint.red("stopped")),
        false => format!(
            "{} is stopped already, since {} by {}: {}",
            paint.bold(&name),
            stop.at,
            printable(&stop.by),
            printable(&stop.reason)
        ),
    };
    let mut text = format!("{head}\n");
    for run in &under_way {
        text.push_str(&format!("  {run} is under way: its further calls are denied\n"));
    }
    text.push_str(&format!("  new runs are refused until: arx start {name}\n"));
    ctx.output().data(&text);
    Ok(ExitCode::SUCCESS)
}

/// The leaf of a stop or of its end.
pub(super) fn leaf(by: &str, workflow: &str, status: &str) -> LeafDraft {
    let mut leaf = LeafDraft::new(LeafKind::Stop, by).status(status);
    leaf.workflow = Some(Workflow { name: workflow.to_owned(), version: EVERY_VERSION.to_owned() });
    leaf
}
