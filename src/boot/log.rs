//! The server's own log, on standard error.

use tracing_subscriber::EnvFilter;

/// What is logged when neither `MINI_LOG` nor `RUST_LOG` says otherwise.
const FILTER: &str = "info";

/// Starts the log. A filter that cannot be read is told and replaced by the default.
pub(super) fn start(is_json: bool) {
    let wanted = ["MINI_LOG", "RUST_LOG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().map(|value| (name, value)));
    let (filter, mistake) = match &wanted {
        None => (EnvFilter::new(FILTER), None),
        Some((name, value)) => match value.parse::<EnvFilter>() {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(FILTER), Some(format!("{name}: {error}"))),
        },
    };
    // bollard writes whole requests at its finer levels, the environment of containers included.
    let filter = match "bollard=warn".parse() {
        Ok(capped) => filter.add_directive(capped),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // The other way round of `try_init` is a panic; a log that is there already is as good.
    let _ = if is_json {
        builder.json().try_init()
    } else {
        builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init()
    };
    if let Some(mistake) = mistake {
        tracing::warn!("the filter of the log could not be read, `{FILTER}` is used: {mistake}");
    }
}
