//! Logs: on standard error, warnings alone unless asked for more.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line, with the run that it is about.
    Json,
}

/// Starts logging at the level that is usual for what runs, or at more. A filter that makes no
/// sense leaves the default, and says so.
pub(crate) fn start(
    usual: LevelFilter,
    verbose: u8,
    filter: Option<&str>,
    format: Format,
    colours: bool,
) {
    let asked = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let level = asked.max(usual);
    let default = || EnvFilter::default().add_directive(level.into());
    let (filter, refused) = match filter.filter(|text| !text.trim().is_empty()) {
        None => (default(), None),
        Some(text) => match EnvFilter::builder().parse(text) {
            Ok(filter) => (filter, None),
            Err(error) => (default(), Some(error)),
        },
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(verbose > 1);
    // Only this function sets one.
    let _ = match format {
        Format::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        Format::Json => {
            let subscriber = subscriber.json().flatten_event(true).with_target(true);
            tracing::subscriber::set_global_default(subscriber.finish())
        }
    };
    if let Some(error) = refused {
        tracing::warn!("ARX_LOG is not a filter: {error}");
    }
}
