//! `arx doctor`: what of this machine and its configuration works, before a run needs it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arx_connectors::ALL;
use arx_engine::start;
use arx_gateway::{Binding, Budgets, CallError, ConnectorSpec, Environment, Gateway};
use arx_journal::{JournalError, LeafFilter, World};
use arx_workflow::bundle::Manifest;
use arx_workflow::host::{Host, Script, Walls};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::output::{Paint, printable};

/// The clock may be this far behind the last record before it is called wrong.
const CLOCK_BEHIND_MAX: Duration = Duration::from_secs(60);
/// The smallest workflow there is.
const NOTHING: &str = "async def main():\n    pass\n";

/// What may be typed after `arx doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx doctor --config critical-vuln-escalation\n  \
    arx doctor --config ./my-workflow --json\n\n\
    Exit codes: 0 all that is needed works, 1 something is broken, 2 bad usage or configuration.")]
pub(crate) struct Args {
    /// Check what this bundle needs: an arx.yaml, a directory, or a workflow of the library.
    /// Without it, every vendor that has any variable set.
    #[arg(long, value_name = "BUNDLE")]
    config: Option<String>,
}

/// How well something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// Something is not as it should be, and runs go on.
    Warning,
    /// A run would fail.
    Broken,
    /// Nobody asked for it.
    Unused,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    health: Health,
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Facts about a vendor.
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<Value>,
}

impl Finding {
    fn new(what: &str, health: Health, said: impl Into<String>) -> Self {
        Self { what: what.to_owned(), health, said: said.into(), hint: None, vendor: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let interrupt = Interrupt::listen(ctx.output(), "stopping")?;
    let manifest = match &args.config {
        Some(what) => Some(bundles::find(what)?.bundle.manifest),
        None => None,
    };
    let mut findings = interrupt.unless(machine(ctx)).await?;
    findings.extend(interrupt.unless(vendors(ctx, manifest.as_ref())).await?);
    let is_broken = findings.iter().any(|finding| finding.health == Health::Broken);
    if ctx.is_json() {
        ctx.output().document(&json!({ "healthy": !is_broken, "findings": findings }));
    } else {
        let paint = ctx.output().paint();
        for finding in &findings {
            ctx.output().data(&line(finding, paint));
        }
    }
    Ok(ExitCode::from(u8::from(is_broken)))
}

fn line(finding: &Finding, paint: Paint) -> String {
    let mark = match finding.health {
        Health::Ok => paint.green("ok     "),
        Health::Warning => paint.yellow("warning"),
        Health::Broken => paint.red("broken "),
        Health::Unused => paint.dim("unused "),
    };
    let mut text = format!("{mark}  {:<16} {}", printable(&finding.what), printable(&finding.said));
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("\n{:>26}{} {}", "", paint.cyan("hint:"), printable(hint)));
    }
    text
}

/// What has nothing to do with vendors.
async fn machine(ctx: &Context) -> Result<Vec<Finding>, CommandError> {
    let mut findings = Vec::new();
    findings.push(state(ctx));
    if let Ok(journal) = ctx.journal() {
        findings.push(clock(ctx, journal).await?);
    }
    findings.push(walls(ctx).await?);
    findings.push(match arx_gateway::http::check_trust_store() {
        Ok(()) => Finding::new("trust store", Health::Ok, "certificates can be verified"),
        Err(why) => Finding::new("trust store", Health::Broken, why)
            .hint("install ca-certificates, or name a bundle with SSL_CERT_FILE"),
    });
    Ok(findings)
}

fn state(ctx: &Context) -> Finding {
    let place = ctx.state_dir().display().to_string();
    match ctx.journal() {
        Ok(_) => Finding::new("state directory", Health::Ok, format!("{place} is writable")),
        Err(error) => {
            let finding = Finding::new("state directory", Health::Broken, error.to_string());
            match error.first_hint() {
                Some(hint) => finding.hint(hint),
                None => finding,
            }
        }
    }
}

async fn clock(ctx: &Context, journal: &arx_journal::Journal) -> Result<Finding, CommandError> {
    let filter = LeafFilter { limit: 1, ..LeafFilter::default() };
    let last = journal
        .read(move |reader| {
            let leaves = reader.leaves(&filter)?;
            leaves.first().map(|leaf| Ok::<_, JournalError>(leaf.decode()?.at)).transpose()
        })
        .await?;
    let now = ctx.clock().now();
    let behind = last.map(|last| last.duration_since(now).unsigned_abs());
    let is_behind = last.is_some_and(|last| last > now);
    Ok(match behind {
        Some(behind) if is_behind && behind > CLOCK_BEHIND_MAX => Finding::new(
            "clock",
            Health::Broken,
            format!("{now} is {} s behind the last record", behind.as_secs()),
        )
        .hint("set the clock; approvals and limits go by it"),
        _ => Finding::new("clock", Health::Ok, now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
    })
}

async fn walls(ctx: &Context) -> Result<Finding, CommandError> {
    let now = ctx.clock().now().to_string();
    let script = Script {
        file: "nothing.py",
        source: NOTHING,
        config: &json!({}),
        now: &now,
        objects: &[],
        functions: &[],
    };
    let began = Instant::now();
    let host = match Host::start(&bundles::host_options()?, script).await {
        Ok(host) => host,
        Err(error) => {
            return Ok(Finding::new("workflow host", Health::Broken, error.to_string()));
        }
    };
    let took = began.elapsed().as_millis();
    let Walls { rlimits, landlock, seccomp } = host.walls();
    host.stop().await;
    let named = [("limits", rlimits), ("landlock", landlock), ("seccomp", seccomp)];
    let standing: Vec<&str> =
        named.iter().filter(|(_, stands)| *stands).map(|(name, _)| *name).collect();
    let absent: Vec<&str> =
        named.iter().filter(|(_, stands)| !*stands).map(|(name, _)| *name).collect();
    if absent.is_empty() {
        let said = format!("starts in {took} ms behind {}", standing.join(", "));
        return Ok(Finding::new("workflow host", Health::Ok, said));
    }
    let said = format!("starts in {took} ms; this system has no {}", absent.join(", "));
    Ok(Finding::new("workflow host", Health::Warning, said)
        .hint("the interpreter itself still gives workflows no file, socket or variable"))
}

/// Every vendor: variables, endpoint, credential.
async fn vendors(ctx: &Context, manifest: Option<&Manifest>) -> Result<Vec<Finding>, CommandError> {
    let Ok(journal) = ctx.journal() else { return Ok(Vec::new()) };
    let bindings = match manifest {
        Some(manifest) => arx_engine::bindings(manifest, |name| {
            ALL.iter().find(|vendor| vendor.spec.name == name).map(|vendor| (vendor.new)())
        }),
        None => ALL
            .iter()
            .map(|vendor| Binding {
                connector: (vendor.new)(),
                optional: true,
                rate: None,
                settle_for: None,
                settings: json!({}),
            })
            .collect(),
    };
    let inputs = manifest.map(Manifest::config).unwrap_or_default();
    let is_set_aside = |spec: &ConnectorSpec| {
        manifest.is_some_and(|manifest| start::is_set_aside(manifest, &inputs, spec.name))
    };
    let specs: Vec<&'static ConnectorSpec> =
        bindings.iter().map(|binding| binding.connector.spec()).collect();
    let used = specs.iter().copied().filter(|spec| !is_set_aside(spec));
    let environment = Environment::of_process(used);
    let gateway = Gateway::new(journal.clone(), bindings, &environment, &Budgets::default());
    let checked = gateway.check_credentials(ctx.actor(), &World::live()).await?;

    let mut findings = Vec::new();
    for spec in specs {
        let missing = environment.missing(spec);
        let n_required = spec.variables.iter().filter(|variable| variable.required).count();
        let is_optional = gateway.is_optional(spec.name);
        let check = checked.iter().find(|check| check.connector == spec.name);
        let setup = gateway.setup_errors().iter().find(|error| error.connector() == spec.name);
        let mut finding = match (check, setup) {
            _ if is_set_aside(spec) => {
                Finding::new(spec.name, Health::Unused, "set aside by the inputs")
            }
            (Some(check), _) => match &check.result {
                Ok(()) => {
                    let took = check.took.as_millis();
                    let said = format!("{} accepts the credential in {took} ms", check.endpoint);
                    Finding::new(spec.name, Health::Ok, said)
                }
                Err(error) => of_check(spec, error, is_optional && manifest.is_some()),
            },
            (None, Some(_)) if is_optional && missing.len() == n_required => {
                let names = missing.join(", ");
                Finding::new(spec.name, Health::Unused, format!("not configured: {names}"))
            }
            (None, Some(error)) => Finding::new(spec.name, Health::Broken, error.to_string()),
            (None, None) => Finding::new(spec.name, Health::Unused, "not configured"),
        };
        finding.vendor = Some(json!({
            "variables": spec
                .variables
                .iter()
                .map(|variable| json!({
                    "name": variable.name,
                    "required": variable.required,
                    "missing": missing.contains(&variable.name),
                }))
                .collect::<Vec<_>>(),
            "endpoint": check.map(|check| check.endpoint.clone()),
            "latency_ms": check.map(|check| u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX)),
        }));
        findings.push(finding);
    }
    Ok(findings)
}

fn of_check(spec: &ConnectorSpec, error: &CallError, is_optional: bool) -> Finding {
    let health = if is_optional { Health::Warning } else { Health::Broken };
    let finding = Finding::new(spec.name, health, error.to_string());
    match error {
        CallError::Unreachable { .. } => {
            finding.hint("check the address, HTTPS_PROXY and NO_PROXY, and the firewall")
        }
        CallError::Credential { .. }
        | CallError::Refused { .. }
        | CallError::Configuration { .. }
        | CallError::Moved { .. }
        | CallError::Parameters { .. }
        | CallError::Malformed { .. }
        | CallError::OutcomeUnknown { .. }
        | CallError::Sink(_) => finding,
    }
}
