//! Logs: on standard error, warnings alone unless asked for more.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. A filter that makes no sense leaves the default, and says so.
pub(crate) fn start(verbose: u8, filter: Option<&str>, colours: bool) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
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
        .with_target(verbose > 1)
        .finish();
    // Only this function sets one.
    let _ = tracing::subscriber::set_global_default(subscriber);
    if let Some(error) = refused {
        tracing::warn!("ARX_LOG is not a filter: {error}");
    }
}
