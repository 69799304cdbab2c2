//! `arx workflows`: what is registered, when it runs next, and what became of its fires.

use std::process::ExitCode;

use arx_engine::registry::{self, Registered};
use arx_engine::schedule;
use arx_journal::{
    Fire, FireState, Journal, JournalError, Registration, Stop, WorkflowVersion, World,
};
use arx_workflow::bundle::Schedule;
use clap::Subcommand;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::lookup;
use super::register::refused;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::launch::{self, specs};
use crate::output::printable;

/// Fires that are shown.
const FIRES_SHOWN: usize = 20;
/// Versions that are shown, registered ones and such as were only run.
const VERSIONS_SHOWN: usize = 10;
/// Fire times that are shown.
const TIMES_SHOWN: usize = 5;

/// What may be typed after `arx workflows`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show what is registered and when it runs next.
    #[command(after_help = "Example:\n  arx workflows list --json")]
    List,
    /// Show one workflow: its versions, next times, and what became of the last ones.
    #[command(after_help = "Example:\n  arx workflows show critical-vuln-escalation")]
    Show {
        /// The workflow's name.
        workflow: String,
        /// Fires of a simulated scenario.
        #[command(flatten)]
        world: InWorld,
    },
    /// Let a workflow run only when a person asks. What is due meanwhile is nobody's.
    #[command(after_help = "Example:\n  arx workflows pause critical-vuln-escalation")]
    Pause {
        /// The workflow's name.
        workflow: String,
    },
    /// End a pause.
    #[command(after_help = "Example:\n  arx workflows resume critical-vuln-escalation")]
    Resume {
        /// The workflow's name.
        workflow: String,
    },
    /// Ask the daemon for a run now.
    #[command(after_help = "Example:\n  arx workflows run critical-vuln-escalation")]
    Run {
        /// The workflow's name.
        workflow: String,
        /// In a simulated scenario.
        #[command(flatten)]
        world: InWorld,
    },
    /// Take a workflow off the schedule. What is under way goes on.
    #[command(after_help = "Example:\n  arx workflows unregister critical-vuln-escalation")]
    Unregister {
        /// The workflow's name.
        workflow: String,
    },
}

#[derive(Debug, clap::Args)]
struct InWorld {
    /// The scenario that `arx serve --simulate` plays.
    #[arg(
        long,
        value_name = "SCENARIO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default"
    )]
    simulate: Option<String>,
}

impl InWorld {
    fn world(&self) -> Result<World, CommandError> {
        launch::world(self.simulate.as_deref())
    }
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let who = ctx.actor();
    match args.what {
        What::List => list(ctx).await?,
        What::Show { workflow, world } => show(ctx, &workflow, &world.world()?).await?,
        What::Pause { workflow } => {
            let changed = registry::pause(lookup::journal(ctx)?, &workflow, who).await;
            told(ctx, &workflow, "paused", changed.map_err(refused)?);
        }
        What::Resume { workflow } => {
            let changed = registry::resume(lookup::journal(ctx)?, &workflow, who).await;
            told(ctx, &workflow, "on schedule", changed.map_err(refused)?);
        }
        What::Unregister { workflow } => {
            registry::unregister(lookup::journal(ctx)?, &workflow, who).await.map_err(refused)?;
            told(ctx, &workflow, "unregistered", true);
        }
        What::Run { workflow, world } => {
            let journal = lookup::journal(ctx)?;
            let fire = registry::fire_now(journal, &world.world()?, &workflow, who).await;
            let fire = fire.map_err(refused)?;
            if ctx.is_json() {
                ctx.output().document(&json!({ "workflow": workflow, "fire": fire }));
            } else {
                let name = ctx.output().paint().bold(&workflow);
                ctx.output().data(&format!("{name} runs as soon as `arx serve` can start it"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn told(ctx: &Context, workflow: &str, state: &str, changed: bool) {
    if ctx.is_json() {
        let document = json!({ "workflow": workflow, "state": state, "changed": changed });
        return ctx.output().document(&document);
    }
    let already = if changed { "" } else { " already" };
    ctx.output().data(&format!("{} is {state}{already}", ctx.output().paint().bold(workflow)));
}

/// A registration with what its version says; the version may not be understood any more.
struct Known {
    registration: Registration,
    registered: Option<Registered>,
    stop: Option<Stop>,
}

impl Known {
    async fn read(journal: &Journal, registration: Registration) -> Result<Self, JournalError> {
        let name = registration.workflow.clone();
        let stop = journal.read(move |reader| reader.active_stop(&name)).await?;
        let registered = registry::version(journal, &registration.version, &specs()).await?.ok();
        Ok(Self { registration, registered, stop })
    }

    fn schedule(&self) -> Option<&Schedule> {
        self.registered.as_ref()?.bundle.manifest.schedule.as_ref()
    }

    /// The next times; none while it is paused or stopped.
    fn next(&self, ctx: &Context, n: usize) -> Vec<Zoned> {
        if self.registration.paused.is_some() || self.stop.is_some() {
            return Vec::new();
        }
        let next = |schedule| schedule::next(schedule, ctx.clock().now(), n).ok();
        self.schedule().and_then(next).unwrap_or_default()
    }

    fn state(&self) -> String {
        match (&self.stop, &self.registration.paused) {
            (Some(stop), _) => format!("stopped by {}: {}", stop.by, stop.reason),
            (None, Some((since, by))) => format!("paused since {since} by {by}"),
            (None, None) if self.registered.is_none() => {
                "its version is not understood by this program; register it anew".to_owned()
            }
            (None, None) => match self.schedule() {
                None => "runs when a person asks".to_owned(),
                Some(schedule) => format!("{} {}", schedule.cron, schedule.timezone),
            },
        }
    }

    fn json(&self, ctx: &Context) -> Value {
        let next = self.next(ctx, TIMES_SHOWN);
        json!({
            "workflow": self.registration.workflow,
            "version": self.registration.version,
            "registered_at": self.registration.registered_at,
            "registered_by": self.registration.registered_by,
            "schedule": self.schedule(),
            "paused": self.registration.paused.is_some(),
            "stopped": self.stop.is_some(),
            "next": next.iter().map(|time| time.timestamp()).collect::<Vec<_>>(),
        })
    }
}

async fn list(ctx: &Context) -> Result<(), CommandError> {
    let mut known = Vec::new();
    if let Some(journal) = lookup::present(ctx)? {
        for registration in journal.read(|reader| reader.registrations()).await? {
            known.push(Known::read(journal, registration).await?);
        }
    }
    if ctx.is_json() {
        let listed: Vec<Value> = known.iter().map(|known| known.json(ctx)).collect();
        ctx.output().document(&json!({ "workflows": listed }));
        return Ok(());
    }
    if known.is_empty() {
        ctx.output().data("nothing is registered: arx register --config arx.yaml");
        return Ok(());
    }
    let paint = ctx.output().paint();
    let mut text = String::new();
    for known in &known {
        let name = paint.bold(&printable(&known.registration.workflow));
        let version = known.registration.version.short();
        text.push_str(&format!("{name}  version {version}\n  {}\n", printable(&known.state())));
        if let Some(next) = known.next(ctx, 1).first() {
            text.push_str(&format!("  next {}\n", next.strftime("%a %Y-%m-%d %H:%M %Z")));
        }
    }
    ctx.output().data(&text);
    Ok(())
}

async fn show(ctx: &Context, workflow: &str, world: &World) -> Result<(), CommandError> {
    let journal = lookup::journal(ctx)?;
    let (name, of) = (workflow.to_owned(), world.clone());
    let (registration, fires, versions) = journal
        .read(move |reader| {
            let fires = reader.fires(&name, &of, None, FIRES_SHOWN)?;
            let versions = reader.versions(&name, VERSIONS_SHOWN)?;
            Ok::<_, JournalError>((reader.registration(&name)?, fires, versions))
        })
        .await?;
    let registration = registration.ok_or_else(|| {
        refused(registry::RegistryError::NotRegistered { workflow: workflow.to_owned() })
    })?;
    let known = Known::read(journal, registration).await?;
    if ctx.is_json() {
        let mut document = known.json(ctx);
        if let Some(fields) = document.as_object_mut() {
            fields.insert("fires".to_owned(), fires.iter().map(fire_json).collect());
            let version = |(version, since): &(WorkflowVersion, Timestamp)| {
                json!({
                    "version": version.digest,
                    "policy_version": version.policy_version,
                    "since": since,
                })
            };
            fields.insert("versions".to_owned(), versions.iter().map(version).collect());
        }
        ctx.output().document(&document);
        return Ok(());
    }
    let Registration { registered_at, registered_by, version, .. } = &known.registration;
    let mut text = format!(
        "{}  version {}\n  {}\n  registered {registered_at} by {}\n",
        ctx.output().paint().bold(&printable(workflow)),
        version.short(),
        printable(&known.state()),
        printable(registered_by),
    );
    for (n, time) in known.next(ctx, TIMES_SHOWN).iter().enumerate() {
        let label = if n == 0 { "next" } else { "" };
        text.push_str(&format!("  {label:<5}{}\n", time.strftime("%a %Y-%m-%d %H:%M %Z")));
    }
    text.push_str("\nversions\n");
    for (version, since) in &versions {
        let now = if version.digest == known.registration.version { "  registered" } else { "" };
        text.push_str(&format!("  {since:.0}  {}{now}\n", version.digest.short()));
    }
    if !fires.is_empty() {
        text.push_str("\nlast fires\n");
    }
    for fire in &fires {
        let what = match (&fire.run, &fire.reason) {
            (Some(run), _) => run.to_string(),
            (None, Some(reason)) => printable(reason).into_owned(),
            (None, None) => String::new(),
        };
        let times = if fire.n_due > 1 { format!(" ({} times)", fire.n_due) } else { String::new() };
        let state = fire.state.as_str();
        text.push_str(&format!("  {}{times}  {state:<8}  {what}\n", fire.last_due_at));
    }
    ctx.output().data(&text);
    Ok(())
}

fn fire_json(fire: &Fire) -> Value {
    json!({
        "fire": fire.n,
        "cause": fire.cause.as_str(),
        "due_at": fire.due_at,
        "last_due_at": fire.last_due_at,
        "n_due": fire.n_due,
        "by": fire.actor,
        "state": fire.state.as_str(),
        "waiting": fire.state == FireState::Waiting,
        "reason": fire.reason,
        "run": fire.run,
        "decided_at": fire.decided_at,
    })
}
