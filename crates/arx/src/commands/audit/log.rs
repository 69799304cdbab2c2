//! `arx audit log`: leaves as people and programs read them.

use std::process::ExitCode;

use arx_audit::{Leaf, LeafKind};
use arx_journal::audit::LEAVES_LISTED_MAX;
use arx_journal::{Journal, JournalError, LeafFilter, StoredLeaf};
use arx_types::RunId;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::command_error::CommandError;
use crate::commands::lookup;
use crate::context::Context;
use crate::output::{Paint, printable};

/// Leaves that a person is shown unless they ask for more.
const SHOWN_DEFAULT: usize = 50;

/// What may be typed after `arx audit log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx audit log\n  \
    arx audit log --run run_01J... --kind decision --limit 1000\n  \
    arx audit log --kind approval --json")]
pub(super) struct Args {
    /// Of this run.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Of this kind.
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// At most so many, the newest.
    #[arg(long, value_name = "N", default_value_t = SHOWN_DEFAULT)]
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Run,
    Decision,
    Approval,
    Intent,
    Outcome,
    Merge,
    Episode,
    Register,
    Stop,
    Settle,
    Schedule,
    Identity,
}

impl Kind {
    fn of_leaf(self) -> LeafKind {
        match self {
            Self::Run => LeafKind::Run,
            Self::Decision => LeafKind::Decision,
            Self::Approval => LeafKind::Approval,
            Self::Intent => LeafKind::Intent,
            Self::Outcome => LeafKind::Outcome,
            Self::Merge => LeafKind::Merge,
            Self::Episode => LeafKind::Episode,
            Self::Register => LeafKind::Register,
            Self::Stop => LeafKind::Stop,
            Self::Settle => LeafKind::Settle,
            Self::Schedule => LeafKind::Schedule,
            Self::Identity => LeafKind::Identity,
        }
    }
}

/// Does it.
pub(super) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let journal = lookup::journal(ctx)?;
    let run = match &args.run {
        Some(text) => Some(lookup::run(journal, text).await?.id),
        None => None,
    };
    if args.limit == 0 {
        return Err(CommandError::user("a limit of none shows nothing"));
    }
    let leaves = newest(journal, run, args.kind.map(Kind::of_leaf), args.limit).await?;
    if ctx.is_json() {
        let listed: Vec<Value> = leaves.iter().map(as_json).collect();
        ctx.output().document(&json!({ "leaves": listed }));
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let width = leaves.first().map_or(1, |leaf| leaf.seq.to_string().len());
    let lines: Vec<String> = leaves.iter().map(|leaf| line(leaf, width, paint)).collect();
    ctx.output().data(&if lines.is_empty() {
        "no such leaves".to_owned()
    } else {
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

/// The newest leaves, a page at a time.
async fn newest(
    journal: &Journal,
    run: Option<RunId>,
    kind: Option<LeafKind>,
    limit: usize,
) -> Result<Vec<StoredLeaf>, JournalError> {
    let mut leaves: Vec<StoredLeaf> = Vec::new();
    while leaves.len() < limit {
        let page = LeafFilter {
            run: run.clone(),
            kind,
            before: leaves.last().map(|leaf| leaf.seq),
            limit: (limit - leaves.len()).min(LEAVES_LISTED_MAX),
        };
        let found = journal.read(move |reader| reader.leaves(&page)).await?;
        if found.is_empty() {
            break;
        }
        leaves.extend(found);
    }
    Ok(leaves)
}

/// The leaf as it is; one that is no leaf is shown by its error, and `arx audit verify` tells more.
fn as_json(stored: &StoredLeaf) -> Value {
    serde_json::from_slice(&stored.bytes)
        .unwrap_or_else(|error| json!({ "seq": stored.seq, "error": error.to_string() }))
}

fn line(stored: &StoredLeaf, width: usize, paint: Paint) -> String {
    let seq = stored.seq;
    match stored.decode() {
        Err(error) => format!("{seq:>width$}  {}", paint.red(&printable(&error.to_string()))),
        Ok(leaf) => {
            let at = paint.dim(&format!("{:.3}", leaf.at));
            let kind = format!("{:<8}", leaf.kind.as_str());
            format!("{seq:>width$}  {at}  {kind}  {}", about(&leaf, paint))
        }
    }
}

/// What a leaf says, in one line.
fn about(leaf: &Leaf, paint: Paint) -> String {
    let mut parts = Vec::new();
    if let Some(verdict) = leaf.verdict {
        let word = verdict.as_str();
        parts.push(match verdict {
            arx_audit::Verdict::Permit => paint.green(word),
            arx_audit::Verdict::Escalate => paint.yellow(word),
            arx_audit::Verdict::Deny => paint.red(word),
        });
    }
    if let Some(status) = &leaf.status {
        parts.push(printable(status).into_owned());
    }
    match &leaf.action {
        Some(action) => {
            parts.push(printable(&format!("{}.{}", action.connector, action.operation)).into());
            if let Some(key) = &action.effect_key {
                parts.push(printable(key).into_owned());
            }
        }
        None => {
            if let Some(workflow) = &leaf.workflow {
                parts.push(printable(&workflow.name).into_owned());
            }
        }
    }
    if let Some(rule) = &leaf.rule {
        parts.push(paint.dim(&printable(&format!("by {rule}"))));
    }
    if let Some(risk) = &leaf.risk {
        parts.push(paint.dim(&format!("risk {}", risk.score)));
    }
    for field in ["approval", "person", "label", "reason", "why", "error"] {
        let text = leaf.detail.as_ref().and_then(|detail| detail.get(field)?.as_str());
        if let Some(text) = text {
            parts.push(paint.dim(&printable(text)));
        }
    }
    parts.push(paint.dim(&printable(&format!("({})", leaf.actor))));
    parts.join("  ")
}
