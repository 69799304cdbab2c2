//! `arx approvals`: what waits for a human, and what the human says.
//!
//! INVARIANT (no yes by default): only a vote that the journal accepts approves anything, and its
//! leaf is written in the same transaction.

mod show;
mod vote;

use std::process::ExitCode;

use arx_journal::{Approval, ApprovalAction, ApprovalState, CastVote, JournalError};
use arx_types::ApprovalId;
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::lookup;
use crate::command_error::CommandError;
use crate::context::Context;

/// What may be typed after `arx approvals`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what waits: every action with its preview, risk and the rule that asked.
    List(List),
    /// Say yes to what an approval asks for, or to some of it.
    Approve(Approve),
    /// Say no; one no is enough.
    Deny(Deny),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx approvals list\n  \
    arx approvals list --run run_01J... --state all --json\n\n\
    An approval is bound to the digest of workflow version, policy version, operation and\n\
    parameters: a changed policy or workflow asks anew. It is used once and expires, never into a yes.")]
struct List {
    /// Of this run alone.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// In this state.
    #[arg(long, value_name = "STATE", default_value = "pending")]
    state: StateFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateFilter {
    /// It waits for votes.
    Pending,
    /// Decided, and not all used yet.
    Approved,
    /// Every action was denied.
    Denied,
    /// Its time is over.
    Expired,
    /// Its run was cancelled.
    Cancelled,
    /// Everything that was approved was used.
    Used,
    /// Whatever its state.
    All,
}

impl StateFilter {
    fn takes(self, state: ApprovalState) -> bool {
        match self {
            Self::All => true,
            Self::Pending => state == ApprovalState::Pending,
            Self::Approved => state == ApprovalState::Approved,
            Self::Denied => state == ApprovalState::Denied,
            Self::Expired => state == ApprovalState::Expired,
            Self::Cancelled => state == ApprovalState::Cancelled,
            Self::Used => state == ApprovalState::Used,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx approvals approve apr_01J... --as bob\n  \
    arx approvals approve apr_01J... --as approver:bob --only 0 2\n  \
    arx runs resume run_01J...\n\n\
    WHO is a name (bob), a name in a role (approver:bob), or a role (role:approver: you, as\n\
    ARX_ACTOR or USER names you). Nobody decides on a run that they started. Once anybody was\n\
    added with `arx users add`, WHO is one of them, and has the role that the policy asks.")]
struct Approve {
    /// The approval.
    #[arg(value_name = "APPROVAL")]
    approval: String,
    /// Who says so.
    #[arg(long = "as", value_name = "WHO")]
    who: String,
    /// Only these actions, by the number that `list` shows.
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',')]
    only: Option<Vec<u32>>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    arx approvals deny apr_01J... --as bob --reason 'change freeze until Monday'\n\n\
    The workflow gets a PermissionError for each denied action and goes on with its other items.")]
struct Deny {
    /// The approval.
    #[arg(value_name = "APPROVAL")]
    approval: String,
    /// Who says so.
    #[arg(long = "as", value_name = "WHO")]
    who: String,
    /// Why; it stands in the record and in the run's report.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Only these actions, by the number that `list` shows.
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',')]
    only: Option<Vec<u32>>,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.what {
        What::List(args) => list(ctx, args).await,
        What::Approve(args) => {
            let ballot = vote::Ballot {
                approval: args.approval,
                voter: vote::voter(ctx, &args.who)?,
                vote: arx_journal::Vote::Approve,
                only: args.only,
            };
            vote::cast(ctx, ballot).await
        }
        What::Deny(args) => {
            let ballot = vote::Ballot {
                approval: args.approval,
                voter: vote::voter(ctx, &args.who)?,
                vote: arx_journal::Vote::Deny { reason: lookup::reason(&args.reason)? },
                only: args.only,
            };
            vote::cast(ctx, ballot).await
        }
    }
}

/// An approval with everything that is known of it.
struct Shown {
    approval: Approval,
    /// Each with what is shown of it: an action that cannot be shown cannot be decided.
    actions: Vec<(ApprovalAction, Value)>,
    votes: Vec<CastVote>,
}

impl Shown {
    /// Where it stands now: what nobody has marked as expired yet is worthless all the same.
    fn state(&self, now: Timestamp) -> ApprovalState {
        state_now(&self.approval, now)
    }
}

fn state_now(approval: &Approval, now: Timestamp) -> ApprovalState {
    match approval.state {
        ApprovalState::Pending | ApprovalState::Approved if approval.expires_at <= now => {
            ApprovalState::Expired
        }
        state => state,
    }
}

async fn list(ctx: &Context, args: List) -> Result<ExitCode, CommandError> {
    let Some(journal) = lookup::present(ctx)? else {
        if ctx.is_json() {
            ctx.output().document(&json!({ "approvals": [] }));
        } else {
            let state = ctx.state_dir().display();
            ctx.output().data(&format!("nothing waits: there is no journal in `{state}`"));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let run = match &args.run {
        Some(text) => Some(lookup::run(journal, text).await?.id),
        None => None,
    };
    let now = ctx.clock().now();
    let filter = args.state;
    let shown = journal
        .read(move |reader| {
            let mut approvals = reader.approvals(run.as_ref(), None)?;
            approvals.retain(|approval| filter.takes(state_now(approval, now)));
            approvals
                .into_iter()
                .map(|approval| {
                    let actions = reader
                        .approval_actions(&approval.id)?
                        .into_iter()
                        .map(|action| {
                            let preview = action.action.preview.unpack()?;
                            Ok((action, preview))
                        })
                        .collect::<Result<Vec<_>, JournalError>>()?;
                    let votes = reader.votes(&approval.id)?;
                    Ok::<_, JournalError>(Shown { approval, actions, votes })
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    if ctx.is_json() {
        let listed: Vec<_> = shown.iter().map(|shown| show::json(shown, now)).collect();
        ctx.output().document(&json!({ "approvals": listed }));
        return Ok(ExitCode::SUCCESS);
    }
    if shown.is_empty() {
        ctx.output().data(match args.state {
            StateFilter::Pending => "nothing waits for approval",
            _ => "no approval is in that state",
        });
        return Ok(ExitCode::SUCCESS);
    }
    let paint = ctx.output().paint();
    let texts: Vec<String> = shown.iter().map(|shown| show::text(shown, now, paint)).collect();
    ctx.output().data(&texts.join("\n"));
    Ok(ExitCode::SUCCESS)
}

/// An approval's identifier as it was typed.
fn parse_id(text: &str) -> Result<ApprovalId, CommandError> {
    text.trim().parse().map_err(|_| missing(text))
}

fn missing(text: &str) -> CommandError {
    CommandError::missing(format!("there is no approval `{text}`"))
        .hint("`arx approvals list` shows what waits")
}
