//! Puts the parts together. The one place that names them all.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mini_proxy::{Listeners, Proxy, ProxySettings};

use super::listeners::Bound;
use super::settings::Settings;
use crate::access_log::AccessLogs;
use crate::commands::{self, Platform, ServerFacts};
use crate::deploy::{DeployParts, DeploySettings, Deploys};
use crate::engine::{ContainerEngine, DockerEngine, DockerSettings};
use crate::events::Journal;
use crate::git::Repositories;
use crate::model::{Kind, Problem, Timestamp};
use crate::reconcile::{Parts, ReconcileTask, Reconciler, Rules};
use crate::ssh::{SshDoors, SshServer, SshSettings};
use crate::store::Store;

/// What is open once the data directory is ours.
pub(super) struct Stores {
    pub store: Store,
    pub journal: Journal,
    pub repositories: Repositories,
    pub access_logs: AccessLogs,
}

impl Stores {
    /// Opens the data directory, which must be there. Blocks.
    pub(super) fn open(settings: &Settings) -> Result<Stores, Problem> {
        let store = Store::open(&settings.data_dir)?;
        let journal = Journal::open(&settings.data_dir)?;
        let repositories = Repositories::open(&settings.data_dir, settings.upload)?;
        let access_logs = AccessLogs::open(&settings.data_dir, settings.access_log_bytes);
        Ok(Stores {
            store,
            journal,
            repositories,
            access_logs: access_logs.map_err(no_access_log)?,
        })
    }
}

/// The parts that run.
pub(super) struct Running {
    pub platform: Platform,
    pub proxy: Proxy,
    pub reconcile: ReconcileTask,
    pub ssh_listeners: Vec<std::net::TcpListener>,
    pub metrics_listeners: Vec<std::net::TcpListener>,
}

/// Starts proxy and reconciler on sockets that listen already, and settles what a crash left. SSH is started after that,
/// with [`ssh`].
pub(super) async fn start(
    settings: &Settings,
    stores: Stores,
    bound: Bound,
    proxy_settings: ProxySettings,
) -> Result<Running, Problem> {
    let Stores {
        store,
        journal,
        repositories,
        access_logs,
    } = stores;
    let facts = ServerFacts {
        data_dir: settings.data_dir.clone(),
        ssh: bound
            .ssh
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect(),
        http: bound.http.iter().map(Listeners::local_address).collect(),
        metrics: bound
            .metrics
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect(),
        https: bound.https.iter().map(Listeners::local_address).collect(),
        base_domains: settings.base_domains.clone(),
        started_at: Timestamp::now(),
    };
    let engine: Arc<dyn ContainerEngine> = Arc::new(DockerEngine::connect(DockerSettings {
        socket: settings.docker_socket.clone(),
        instance: store.instance(),
        network_pool: settings.network_pool,
    }));
    let listeners = bound.http.into_iter().chain(bound.https).collect();
    let proxy = Proxy::start(listeners, proxy_settings).map_err(|error| {
        Problem::new(
            Kind::Unavailable,
            "The proxy could not be started",
            error.to_string(),
            "",
        )
    })?;
    let apps = store.apps().await?;
    let names = apps.into_iter().map(|app| app.name);
    if let Err(error) = access_logs.keep_only(names).await {
        tracing::warn!(%error, "access logs of apps that are gone could not be cleared away");
    }
    if settings.has_access_log {
        let records = proxy.handle().access_log(settings.access_log);
        access_logs.write(records).map_err(no_access_log)?;
    }
    let (reconciler, reconcile) = Reconciler::start(Parts {
        store: store.clone(),
        engine: Arc::clone(&engine),
        proxy: proxy.handle(),
        rules: Rules {
            stop_grace: settings.stop_grace,
            drain: settings.drain,
            limits: settings.limits,
            restart_limit: settings.restart_limit,
            base_domains: settings.base_domains.clone(),
            https_port: facts.https.first().map(SocketAddr::port),
        },
        http_port: facts.http.first().map(SocketAddr::port),
    });
    let deploys = Deploys::new(DeployParts {
        store: store.clone(),
        journal: journal.clone(),
        engine: Arc::clone(&engine),
        repositories: repositories.clone(),
        reconciler: reconciler.clone(),
        settings: deploy_settings(settings),
    });
    deploys.recover().await?;
    Ok(Running {
        platform: Platform {
            store,
            journal,
            engine,
            repositories,
            deploys,
            reconciler,
            proxy: proxy.handle(),
            access_logs,
            facts: Arc::new(facts),
        },
        proxy,
        reconcile,
        ssh_listeners: bound.ssh,
        metrics_listeners: bound.metrics,
    })
}

fn no_access_log(error: std::io::Error) -> Problem {
    Problem::new(
        Kind::Unavailable,
        "The access log could not be opened",
        error.to_string(),
        "Check that `logs` in the data directory may be written, or turn it off: `access-log = false`",
    )
}

fn deploy_settings(settings: &Settings) -> DeploySettings {
    DeploySettings {
        data_dir: settings.data_dir.clone(),
        build_timeout: settings.build_timeout,
        builds_at_once: settings.builds_at_once,
        keep_releases: settings.keep_releases,
        disk_floor: settings.disk_floor,
        checks: settings.checks,
        limits: settings.limits,
        image_mirrors: settings.image_mirrors.clone(),
    }
}

/// Starts SSH.
pub(super) fn ssh(
    settings: &Settings,
    platform: &Platform,
    listeners: Vec<std::net::TcpListener>,
) -> Result<SshServer, Problem> {
    let mut ssh_settings = SshSettings::new(PathBuf::from(&settings.data_dir));
    ssh_settings.creates_apps = settings.creates_apps;
    let for_words = platform.clone();
    let doors = SshDoors {
        registry: Arc::new(platform.store.clone()),
        repositories: platform.repositories.clone(),
        pushes: Arc::new(platform.deploys.clone()),
        run: Arc::new(move |text, session| {
            let platform = for_words.clone();
            Box::pin(async move { commands::run_words(&platform, &text, session).await })
        }),
        takes_terminal: Arc::new(commands::takes_terminal),
    };
    SshServer::start(listeners, ssh_settings, doors).map_err(|error| {
        let why = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        Problem::new(
            Kind::Unavailable,
            format!("SSH could not be started: {error}"),
            why,
            "",
        )
    })
}
