//! `arx register`: a version of a workflow enters the record, with what it changes.
//!
//! INVARIANT (nothing unsound is registered): whatever `arx check` calls wrong is refused. It must
//! never start a run, and never pretend that something will.

mod changes;

use std::process::ExitCode;

use arx_audit::LeafKind;
use arx_journal::{Journal, JournalError, LeafDraft, LeafFilter, WorkflowVersion};
use arx_policy::Policy;
use arx_types::Digest;
use arx_workflow::bundle::{Bundle, parse};
use jiff::Zoned;
use serde_json::json;

use super::{check, lookup, policy};
use crate::bundles::{self, Found};
use crate::command_error::CommandError;
use crate::context::{Context, catalogue};
use crate::output::{Paint, printable};
use crate::summary::shortened;
use changes::{Change, Version};

/// Fire times that are shown.
const TIMES_SHOWN: usize = 5;
/// Registrations that are looked through for the one before.
const REGISTERED_MAX: usize = 10_000;
/// Changes that stand in the leaf; it counts all of them.
const CHANGES_RECORDED_MAX: usize = 200;
/// The longest words for one side of a change in the leaf, in characters.
const WORDS_RECORDED_MAX: usize = 200;

/// What may be typed after `arx register`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx register --config arx.yaml\n  \
    arx register --config critical-vuln-escalation --json\n\n\
    Registering again shows what changed and calls out what became wider: more operations, higher\n\
    limits, fewer people asked. Nothing runs by itself yet: let cron call `arx run`.")]
pub(crate) struct Args {
    /// The arx.yaml, its directory, or a workflow of the library.
    #[arg(long, value_name = "FILE")]
    config: String,
}

/// What was registered before.
struct Before {
    bundle: Bundle,
    policy: Policy,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let found = bundles::find(&args.config)?;
    let review = check::reviewed(ctx, &found).await?;
    check::refuse_errors(&review)?;
    let compiled = policy::compiled(&found)?;
    let manifest = &found.bundle.manifest;
    let next = match &manifest.schedule {
        Some(schedule) => arx_engine::schedule::next(schedule, ctx.clock().now(), TIMES_SHOWN)
            .map_err(CommandError::config)?,
        None => Vec::new(),
    };

    let journal = ctx.journal()?;
    let before = last_registered(journal, &manifest.metadata.name).await?;
    let is_new = before.as_ref().is_none_or(|before| before.bundle.version != found.bundle.version);
    let changes = match &before {
        Some(before) => changes::between(
            &Version { bundle: &before.bundle, policy: &before.policy },
            &Version { bundle: &found.bundle, policy: &compiled },
        ),
        None => Vec::new(),
    };
    if is_new {
        let previous = before.as_ref().map(|before| before.bundle.version);
        record(ctx, journal, &found, &compiled, previous, &changes).await?;
    }
    let registered = Registered { found, policy: compiled, is_new, before, changes, next };
    tell(ctx, &registered, &args.config);
    Ok(ExitCode::SUCCESS)
}

/// The version that was registered last, where this program still understands it.
async fn last_registered(journal: &Journal, name: &str) -> Result<Option<Before>, CommandError> {
    let name = name.to_owned();
    let version = journal
        .read(move |reader| {
            let filter = LeafFilter {
                kind: Some(LeafKind::Register),
                limit: REGISTERED_MAX,
                ..LeafFilter::default()
            };
            for stored in reader.leaves(&filter)? {
                let Some(workflow) = stored.decode()?.workflow else { continue };
                if workflow.name != name {
                    continue;
                }
                let digest: Result<Digest, _> = serde_json::from_value(json!(workflow.version));
                return match digest {
                    Ok(digest) => reader.workflow_version(&digest),
                    Err(_) => Ok(None),
                };
            }
            Ok::<_, JournalError>(None)
        })
        .await?;
    let Some(WorkflowVersion { manifest: yaml, source, .. }) = version else { return Ok(None) };
    let Ok(manifest) = parse("arx.yaml", &yaml, &catalogue()) else { return Ok(None) };
    let compiled = Policy::compile(&manifest.policy, &manifest.bound());
    let bundle = Bundle::new(manifest, yaml, source);
    Ok(compiled.ok().map(|policy| Before { bundle, policy }))
}

async fn record(
    ctx: &Context,
    journal: &Journal,
    found: &Found,
    policy: &Policy,
    previous: Option<Digest>,
    changes: &[Change],
) -> Result<(), CommandError> {
    let bundle = &found.bundle;
    let manifest = &bundle.manifest;
    let policy_version = policy.version().to_string();
    let version = WorkflowVersion {
        digest: bundle.version,
        name: manifest.metadata.name.clone(),
        manifest: bundle.yaml_text.clone(),
        source: bundle.workflow_text.clone(),
        policy_version: policy_version.clone(),
    };
    let mut leaf = LeafDraft::new(LeafKind::Register, ctx.actor()).status("registered");
    leaf.workflow = Some(arx_audit::Workflow {
        name: manifest.metadata.name.clone(),
        version: bundle.version.to_string(),
    });
    leaf.policy_version = Some(policy_version);
    if let Some(owner) = &manifest.metadata.owner {
        leaf = leaf.with("owner", owner.as_str());
    }
    if let Some(schedule) = &manifest.schedule {
        leaf = leaf.with("schedule", schedule.cron.as_str());
        leaf = leaf.with("timezone", schedule.timezone.as_str());
    }
    if let Some(previous) = previous {
        let listed: Vec<_> = changes.iter().take(CHANGES_RECORDED_MAX).map(in_leaf).collect();
        leaf = leaf
            .with("previous", previous.to_string())
            .with("n_changes", changes.len())
            .with("n_wider", changes.iter().filter(|change| change.wider).count())
            .with("changes", listed);
    }
    journal
        .write(move |tx| {
            tx.put_workflow_version(&version)?;
            tx.append_leaf(leaf).map(drop)
        })
        .await?;
    lookup::sign(journal).await?;
    Ok(())
}

/// A change as a leaf says it: what and where, without the values of inputs.
fn in_leaf(change: &Change) -> serde_json::Value {
    match change.what {
        "input" | "connector" => json!({ "what": change.what, "name": change.name }),
        _ => json!({
            "what": change.what,
            "name": change.name,
            "was": shortened(&change.was, WORDS_RECORDED_MAX),
            "now": shortened(&change.now, WORDS_RECORDED_MAX),
            "wider": change.wider,
        }),
    }
}

struct Registered {
    found: Found,
    policy: Policy,
    is_new: bool,
    before: Option<Before>,
    changes: Vec<Change>,
    next: Vec<Zoned>,
}

fn tell(ctx: &Context, registered: &Registered, typed: &str) {
    let Registered { found, policy, is_new, before, changes, next } = registered;
    let manifest = &found.bundle.manifest;
    let n_wider = changes.iter().filter(|change| change.wider).count();
    if ctx.is_json() {
        let times: Vec<String> = next.iter().map(|time| time.timestamp().to_string()).collect();
        ctx.output().document(&json!({
            "workflow": manifest.metadata.name,
            "version": found.bundle.version,
            "policy_version": policy.version(),
            "registered": is_new,
            "previous": before.as_ref().map(|before| before.bundle.version),
            "changes": changes,
            "wider": n_wider > 0,
            "schedule": manifest.schedule,
            "next": times,
            "runs_by_itself": false,
        }));
        return;
    }
    let paint = ctx.output().paint();
    let name = paint.bold(&manifest.metadata.name);
    let version = found.bundle.version.short();
    let mut text = match is_new {
        true => format!("{name} {}, version {version}\n", paint.green("registered")),
        false => format!("{name} is registered already in this version, {version}\n"),
    };
    text.push_str(&format!("  policy     {}\n", policy.version().short()));
    if let Some(before) = before.as_ref().filter(|_| *is_new) {
        text.push_str(&format!("  before     {}\n", before.bundle.version.short()));
        text.push_str(&differences(changes, paint));
    }
    match &manifest.schedule {
        None => text.push_str("  schedule   none\n"),
        Some(schedule) => {
            text.push_str(&format!("  schedule   {} {}\n", schedule.cron, schedule.timezone));
            for (n, time) in next.iter().enumerate() {
                let label = if n == 0 { "next" } else { "" };
                text.push_str(&format!(
                    "  {label:<9}  {}\n",
                    time.strftime("%a %Y-%m-%d %H:%M %Z")
                ));
            }
        }
    }
    text.push_str(
        "\nNothing runs by itself: that needs the daemon, which is not part of this version.\n",
    );
    let what = bundle_path(found, typed);
    match &manifest.schedule {
        Some(schedule) => {
            text.push_str(&format!(
                "From cron it works today:\n  {}  arx run {what}\n",
                schedule.cron
            ));
            if schedule.timezone != "UTC" {
                text.push_str(&format!(
                    "  where cron keeps its own time zone; most take a line CRON_TZ={} before\n",
                    schedule.timezone
                ));
            }
        }
        None => text.push_str(&format!("Run it with: arx run {what}\n")),
    }
    ctx.output().data(&text);
}

fn differences(changes: &[Change], paint: Paint) -> String {
    if changes.is_empty() {
        return "  changes    none that matter to permissions, limits or schedule\n".to_owned();
    }
    let mut text = String::new();
    for (n, change) in changes.iter().enumerate() {
        let label = if n == 0 { "changes" } else { "" };
        let mark = if change.wider { format!("  {}", paint.red("WIDER")) } else { String::new() };
        let (name, was, now) =
            (printable(&change.name), printable(&change.was), printable(&change.now));
        text.push_str(&format!("  {label:<9}  {} {name}: {was} -> {now}{mark}\n", change.what));
    }
    text
}

/// What to type after `arx run`, from anywhere.
fn bundle_path(found: &Found, typed: &str) -> String {
    if found.from_library {
        return typed.to_owned();
    }
    let path = std::path::absolute(typed).unwrap_or_else(|_| typed.into());
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
