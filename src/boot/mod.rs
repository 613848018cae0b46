//! Owns settings, wiring, signals and the order of shutdown, and the `mini` program around all that.
//! Must not decide anything about apps: it knows everyone, and leaves the rest to them.

mod authorized_keys;
mod layers;
mod listeners;
mod port_holder;
mod program;
mod ready;
mod settings;
mod terminal;
mod wiring;

pub use program::run;

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use self::settings::{ServerArguments, Settings};
use crate::model::Problem;

/// `mini server`: reads the settings, starts everything, and serves until it is told to stop. Returns the exit status.
fn server(words: Vec<String>) -> u8 {
    let words = std::iter::once("mini server".to_owned()).chain(words);
    let arguments = match ServerArguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let text = error.render().to_string();
            program::print(error.use_stderr(), &text);
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = match settings::read(&arguments, variables) {
        Ok(settings) => settings,
        Err(mistakes) => {
            let mut text = " !     mini was not started: its settings are wrong\n".to_owned();
            for mistake in mistakes {
                text.push_str(&format!(" !     - {mistake}\n"));
            }
            text.push_str(" !     next: correct them; `mini server --check-config` reads them again\n");
            program::print(true, &text);
            return 2;
        }
    };
    if arguments.check_config {
        program::print(false, &format!("{settings:#?}\n"));
        return 0;
    }
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(serve(settings));
            // A blocking read that never ends (a terminal) must not hold up the end.
            runtime.shutdown_timeout(Duration::from_secs(1));
            code
        }
        Err(error) => {
            program::print(true, &format!(" !     mini was not started: {error}\n"));
            1
        }
    }
}

async fn serve(settings: Settings) -> u8 {
    let (mut terminate, mut interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                program::print(true, &format!(" !     mini was not started: {error}\n"));
                return 1;
            }
        };
    // A terminal that is closed is no reason to stop serving.
    let hangup = signal(SignalKind::hangup());
    let server = tokio::select! {
        started = wiring::start(settings) => match started {
            Ok(server) => server,
            Err(problems) => return fail(&problems),
        },
        _ = terminate.recv() => return 0,
        _ = interrupt.recv() => return 130,
    };
    let announced = match ready::announce(&server.facts, &server.ssh_fingerprint) {
        Ok(announced) => announced,
        Err(error) => {
            tracing::warn!(%error, "cannot say that mini is ready");
            server.stop().await;
            return 1;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: requests in flight finish, apps keep running; a second signal ends it at once");
    let code = tokio::select! {
        () = server.stop() => 0,
        _ = terminate.recv() => 1,
        _ = interrupt.recv() => 1,
    };
    drop((announced, hangup));
    code
}

fn fail(problems: &[Problem]) -> u8 {
    let text: String = problems.iter().map(Problem::to_terminal).collect();
    program::print(true, &text);
    1
}

/// The operator's log: `MINI_LOG`, else `RUST_LOG`, else what an operator wants to know.
fn log_to_stderr() {
    let filter = ["MINI_LOG", "RUST_LOG"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new("info,russh=warn,bollard=warn,gix=warn"));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .with_target(false)
        .init();
    // Whoever reads the log sees at once where it begins.
    let _ = std::io::stderr().flush();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "mini starts");
}
