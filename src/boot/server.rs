//! `mini server`: start, run, stop, in this order.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use mini_proxy::ProxySettings;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::listeners::Bound;
use super::ready::{self, ServerFile};
use super::settings::{self, Settings, Sources};
use super::wiring::{self, Running, Stores};
use super::{log, say};
use crate::commands::ssh_keys;
use crate::engine::{ContainerEngine, Stream};
use crate::git::Repositories;
use crate::http::{self, ApiSocket};
use crate::model::{Kind, Problem};
use crate::store::Store;

/// How long commands over SSH may go on after a signal. Pushes are over by then: their deploys are cancelled first.
const SSH_DRAIN: Duration = Duration::from_secs(10);
/// How long answers to API requests may take after a signal.
const API_DRAIN: Duration = Duration::from_secs(10);

/// Reads the settings and runs the server until a signal ends it.
pub(super) fn run(flags: &ArgMatches) -> Result<u8, Problem> {
    let settings = settings::read(&Sources {
        flags,
        variable: &|name| std::env::var_os(name),
        file: &|path| fs::read_to_string(path),
    })?;
    if flags.get_flag("check-config") {
        say(Stream::Stdout, "The settings are in order\n");
        return Ok(0);
    }
    log::start(settings.has_json_log);
    make_data_dir(&settings.data_dir)?;
    let stores = Stores::open(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("mini")
        .build()
        .map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                "The server could not be started",
                error.to_string(),
                "The machine may be out of threads or memory",
            )
        })?;
    runtime.block_on(serve(&settings, stores))?;
    // Blocking reads that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    Ok(0)
}

pub(super) fn make_data_dir(path: &Path) -> Result<(), Problem> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .and_then(|()| {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path.join("run"))
        })
        .map_err(|error| {
            Problem::new(
                Kind::Unavailable,
                format!("The data directory {} could not be made", path.display()),
                error.to_string(),
                "Give a folder you may write: `--data-dir DIR`",
            )
        })
}

async fn serve(settings: &Settings, stores: Stores) -> Result<(), Problem> {
    let mut signals = Signals::new()?;
    check_git().await?;
    add_keys(&stores.store, settings).await?;
    let proxy_settings = ProxySettings::default();
    let bound = Bound::bind(settings, proxy_settings.threads)?;
    let running = wiring::start(settings, stores, bound, proxy_settings).await?;
    warn_without_docker(running.platform.engine.as_ref()).await;
    if let Err(error) = running.platform.engine.remove_leftovers().await {
        tracing::warn!(%error, "one-off containers of an earlier run could not be removed");
    }

    let api = ApiSocket::bind(&settings.data_dir).map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "The socket of the API could not be made",
            error.to_string(),
            "Check that the data directory is on a local file system and may be written",
        )
    })?;
    let Running {
        platform,
        proxy,
        reconcile,
        ssh_listeners,
        metrics_listeners,
    } = running;
    let stop_api = CancellationToken::new();
    let api = tokio::spawn(http::serve(api, platform.clone(), stop_api.clone()));
    let metrics = tokio::spawn(http::serve_metrics(
        metrics_listeners,
        platform.clone(),
        stop_api.clone(),
    ));
    let ssh = wiring::ssh(settings, &platform, ssh_listeners)?;
    let file = ServerFile::write(&platform.facts).map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "run/server.json could not be written",
            error.to_string(),
            "",
        )
    })?;
    ready::announce(&platform.facts);
    ready::notify("READY=1");

    signals.next().await;
    tracing::info!("stopping; apps keep running");
    ready::notify("STOPPING=1");
    drop(file);
    stop_api.cancel();
    let orderly = async {
        let ssh = async {
            // Cancelled at once, so that a push learns of it while its connection is there.
            tokio::join!(ssh.shutdown(SSH_DRAIN), platform.deploys.stop());
        };
        let api = tokio::time::timeout(API_DRAIN, async { tokio::join!(api, metrics) });
        let _ = tokio::join!(ssh, api, proxy.shutdown(settings.drain));
        platform.access_logs.close().await;
        reconcile.stop().await;
        platform.journal.close().await;
        if let Err(error) = platform.store.close().await {
            tracing::error!(%error, "the store did not close in order");
        }
    };
    tokio::select! {
        () = orderly => {}
        () = signals.next() => tracing::warn!("ended at once on a second signal"),
    }
    Ok(())
}

/// A server that cannot receive a push is no use to anyone.
async fn check_git() -> Result<(), Problem> {
    let version = Repositories::version().await.map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "mini needs git",
            error.to_string(),
            "Install it: `apt-get install git`",
        )
    })?;
    tracing::debug!(version, "git");
    Ok(())
}

/// Without Docker the server runs all the same, and looks again until it comes.
async fn warn_without_docker(engine: &dyn ContainerEngine) {
    match engine.version().await {
        Ok(version) => tracing::info!(name = version.name, version = version.version, "docker"),
        Err(error) => {
            tracing::warn!(%error, "apps are started when Docker answers; `mini doctor` says more");
        }
    }
}

async fn add_keys(store: &Store, settings: &Settings) -> Result<(), Problem> {
    for path in &settings.authorized_keys {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            Problem::new(
                Kind::Invalid,
                format!("The keys in {shown} could not be read"),
                error.to_string(),
                "Give the file of a public key: `--authorized-key ~/.ssh/id_ed25519.pub`",
            )
        })?;
        let fallback = path.file_stem().unwrap_or_default().to_string_lossy();
        let added = ssh_keys::add_all(store, &text, &fallback)
            .await
            .map_err(|problem| Problem {
                what: format!("The keys in {shown} could not be added"),
                why: problem.what,
                ..problem
            })?;
        for name in added {
            tracing::info!(%name, "an SSH key was added");
        }
    }
    Ok(())
}

/// The signals that end the server. SIGHUP is taken and ignored: a terminal that closes must not take the server along.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    _hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self, Problem> {
        let catch = |kind| {
            signal(kind).map_err(|error| {
                Problem::new(
                    Kind::Internal,
                    "Signals could not be set up",
                    error.to_string(),
                    "",
                )
            })
        };
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            _hang_up: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
