//! `arx serve`: the scheduler, the workers, the API and the console, until somebody stops them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arx_engine::registry::{self, Review};
use arx_journal::{JournalError, World};
use arx_server::daemon::{Daemon, Handle, Options};
use arx_server::identity::{Identity, JOIN_PATH};
use arx_server::launch::Launch;
use arx_server::notify::{self, Notifier};
use arx_server::{App, web};
use arx_workflow::bundle::{CatchUp, Overlap, Schedule};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use super::register::refused;
use crate::bundles;
use crate::command_error::CommandError;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::launch::{self, of_launch, specs};
use crate::library;

/// What a person is told who asks the daemon to stop.
const STOPPING: &str = "stopping; runs under way end or are parked (again to stop at once)";
/// The most runs at once that may be asked for; each has a process of its own.
const WORKERS_MAX: u16 = 256;

/// What may be typed after `arx serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    arx serve --simulate\n  \
    arx serve --listen 127.0.0.1:7717\n  \
    arx serve --listen 0.0.0.0:7717 --tls-cert arx.pem --tls-key arx.key --public-url https://arx.example.com\n\n\
    Runs what `arx register` registered. The first start prints a link with which the first admin\n\
    chooses a name and a password; `arx users add` makes links for others.")]
pub(crate) struct Args {
    /// The address of the console and the API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7717")]
    listen: SocketAddr,
    /// Run against embedded simulators that play a scenario, every minute.
    #[arg(
        long,
        value_name = "SCENARIO",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "default"
    )]
    simulate: Option<String>,
    /// Runs that are driven at once.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX))
    )]
    workers: u16,
    /// What people type into their browser, where a name or a proxy stands before the address.
    #[arg(long, value_name = "URL", env = "ARX_PUBLIC_URL")]
    public_url: Option<Url>,
    /// The certificate chain for TLS, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, as PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Answer others than this machine without TLS, because a proxy before it has TLS.
    #[arg(long)]
    plain_http: bool,
}

/// Does it.
pub(crate) async fn run(ctx: &Context, args: Args) -> Result<ExitCode, CommandError> {
    let interrupt = Interrupt::listen(ctx.output(), STOPPING)?;
    let world = launch::world(args.simulate.as_deref())?;
    let tls = tls(&args)?;
    refuse_in_the_clear(&args)?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        CommandError::config(format!("cannot listen at {}: {error}", args.listen))
            .hint("another program may listen there; choose another --listen")
    })?;
    let listen = listener.local_addr().unwrap_or(args.listen);
    let place = launch::place(ctx)?;
    let (journal, process) = (place.journal.clone(), Arc::clone(&place.process));
    let launch = Launch::open(place, world.clone()).await.map_err(of_launch)?;
    let handle = Handle::new(journal.clone(), Arc::clone(&process), launch.budgets().clone());
    let schedule = args.simulate.as_ref().map(|_| every_minute());
    if schedule.is_some() {
        register_library(ctx, &world).await?;
    }
    let options = Options { workers: usize::from(args.workers), schedule, ..Options::default() };
    let daemon = Daemon::new(&handle, launch, options);
    let identity = Arc::new(Identity::new(journal.clone()));
    let settings = web::Settings { listen, public_url: args.public_url, tls: tls.is_some() };
    let notifier = Notifier::new(journal.clone(), notify_settings(&settings)?);
    announce(ctx, &settings, &identity, &world).await?;
    let app = App { journal, process, world, daemon: handle, identity };
    let router = web::router(app, settings);
    let telling = tokio::spawn(notifier.run(interrupt.watch()));
    let mut working = tokio::spawn(daemon.run(interrupt.watch()));
    let failed =
        |why: tokio::task::JoinError| CommandError::internal(format!("the daemon failed: {why}"));
    // A console that goes on without the daemon would look as if all were well.
    tokio::select! {
        served = web::serve(listener, router, tls, interrupt.asked()) => {
            served.map_err(|error| CommandError::internal(error.to_string()))?;
            working.await.map_err(failed)?;
        }
        ended = &mut working => ended.map_err(failed)?,
    }
    telling.await.map_err(|error| CommandError::internal(format!("the outbox failed: {error}")))?;
    ctx.journal()?.checkpoint().await?;
    Ok(ExitCode::SUCCESS)
}

/// Whom to tell what waits; nobody, where no variable says so.
fn notify_settings(settings: &web::Settings) -> Result<notify::Settings, CommandError> {
    let base = settings.base().parse().map_err(|error| {
        CommandError::internal(format!("links would lead to no address: {error}"))
    })?;
    notify::Settings::of_process(base).map_err(|error| CommandError::config(error.to_string()))
}

/// How often a simulation runs: it is watched and not waited for.
fn every_minute() -> Schedule {
    Schedule {
        cron: "* * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        overlap: Overlap::Forbid,
        catch_up: CatchUp::None,
        jitter: arx_policy::Period::default(),
    }
}

/// Registers every workflow of the library that is not registered, and runs those that never ran
/// in this world.
async fn register_library(ctx: &Context, world: &World) -> Result<(), CommandError> {
    let journal = ctx.journal()?;
    for workflow in library::ALL {
        let found = bundles::find(workflow.name)?;
        let review = registry::review(journal, found.bundle, &specs()).await.map_err(refused)?;
        if let Review { registered: None, .. } = &review {
            registry::register(journal, &review, ctx.actor()).await.map_err(refused)?;
        }
        let (name, of) = (workflow.name.to_owned(), world.clone());
        let fires = journal.read(move |reader| reader.fires(&name, &of, None, 1)).await?;
        if fires.is_empty() {
            let fire = registry::fire_now(journal, world, workflow.name, ctx.actor()).await;
            fire.map_err(refused)?;
        }
    }
    Ok(())
}

/// Passwords and tokens must not travel in the clear to other machines unless somebody says so.
fn refuse_in_the_clear(args: &Args) -> Result<(), CommandError> {
    if is_local(args.listen.ip()) || args.tls_cert.is_some() || args.plain_http {
        return Ok(());
    }
    Err(CommandError::config(format!(
        "{} is reached by other machines, and passwords would travel there in the clear",
        args.listen
    ))
    .code("ARX-E070")
    .hint("give --tls-cert and --tls-key, or --plain-http where a proxy before it has TLS"))
}

fn is_local(address: IpAddr) -> bool {
    address.is_loopback()
}

/// The certificate and the key that were given.
fn tls(args: &Args) -> Result<Option<Arc<ServerConfig>>, CommandError> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let failed = |path: &Path, why: &dyn std::fmt::Display| {
        CommandError::config(format!("cannot use `{}` for TLS: {why}", path.display()))
            .code("ARX-E071")
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| failed(certificate, &error))?
        .collect();
    let chain = chain.map_err(|error| failed(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| failed(certificate, &error))?;
    Ok(Some(Arc::new(config)))
}

/// Tells where it is reached, and the very first admin how to begin.
async fn announce(
    ctx: &Context,
    settings: &web::Settings,
    identity: &Identity,
    world: &World,
) -> Result<(), CommandError> {
    let url = settings.base();
    let first = identity
        .first_link(ctx.actor())
        .await
        .map_err(|error| CommandError::internal(error.to_string()))?;
    let begin = first.map(|first| format!("{url}{JOIN_PATH}{}", first.secret.expose_secret()));
    let n_registered = {
        let registered = ctx.journal()?.read(|reader| reader.registrations()).await;
        registered.map_err(|error: JournalError| error)?.len()
    };
    if ctx.is_json() {
        ctx.output().document(&json!({
            "url": url,
            "world": world.as_str(),
            "registered": n_registered,
            "first_sign_in": begin,
        }));
        return Ok(());
    }
    let output = ctx.output();
    let paint = output.paint();
    output.data(&format!("{} {url}", paint.bold("console at")));
    if let Some(begin) = begin {
        output.data(&format!("  first sign-in  {begin}"));
        output.data("                 this link works once, for a day; keep it to yourself");
    }
    output.data(&format!("  workflows      {n_registered} registered"));
    if let Some(scenario) = world.scenario() {
        output.data(&format!("  vendors        simulated, scenario `{scenario}`, every minute"));
    }
    output.note(&output.paint_notes().dim("Ctrl-C stops it"));
    Ok(())
}
