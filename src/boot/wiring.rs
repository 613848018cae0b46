//! Puts the parts together, in the order in which each needs the one before, and takes them apart the other way round.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mini_proxy::{Proxy, ProxySettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::{authorized_keys, listeners};
use crate::commands::{self, Platform, ServerFacts};
use crate::deploy::{DeployParts, DeploySettings, Deploys};
use crate::engine::{ContainerEngine, DockerEngine, DockerSettings, Limits};
use crate::events::Journal;
use crate::git::{Repositories, TreeLimits};
use crate::http::{self, ApiSocket};
use crate::model::{CheckPolicy, Kind, Problem, Timestamp};
use crate::reconcile::{Parts, ReconcileTask, Reconciler, Rules};
use crate::ssh::{SshDoors, SshServer, SshSettings};
use crate::store::Store;

/// Entries of a tree that may be built (DECISIONS of the project).
const TREE_ENTRIES: usize = 100_000;
/// How long pushes and commands may go on after the server was told to stop.
const SSH_DRAIN: Duration = Duration::from_secs(10);

/// A running server.
pub(super) struct Server {
    pub(super) facts: Arc<ServerFacts>,
    pub(super) ssh_fingerprint: String,
    ssh: SshServer,
    api: JoinHandle<()>,
    api_stop: CancellationToken,
    deploys: Deploys,
    reconcile: ReconcileTask,
    proxy: Proxy,
    journal: Journal,
    store: Store,
    drain: Duration,
}

/// Starts everything. On an error nothing is left running, and nothing that ran before was touched.
pub(super) async fn start(settings: Settings) -> Result<Server, Vec<Problem>> {
    let one = |problem: Problem| vec![problem];
    let data_dir = std::path::absolute(&settings.data_dir)
        .map_err(|error| one(Problem::new(Kind::Invalid, "the data directory has no path", error.to_string(), "")))?;
    let (store, journal, repositories) = open_state(&settings, &data_dir).await.map_err(one)?;
    authorized_keys::add(&store, &settings.authorized_keys).await.map_err(one)?;

    let proxy_settings = ProxySettings::default();
    let sockets =
        listeners::open(&settings.ssh_listen, &settings.http_listen, proxy_settings.threads)?;
    let http: Vec<SocketAddr> =
        sockets.http.iter().map(mini_proxy::Listeners::local_address).collect();
    let proxy = Proxy::start(sockets.http, proxy_settings)
        .map_err(|error| one(unavailable("the proxy could not be started", &error)))?;

    let docker = DockerSettings {
        socket: settings.docker_socket.clone(),
        ..DockerSettings::new(store.instance())
    };
    let engine: Arc<dyn ContainerEngine> = Arc::new(DockerEngine::connect(docker));
    if let Err(error) = engine.remove_leftovers().await {
        tracing::warn!(%error, "Docker is not there yet; mini goes on without and looks again");
    }

    let limits = Limits { memory_bytes: settings.memory_limit, pids: settings.pids_limit };
    let rules = Rules {
        stop_grace: settings.stop_grace,
        drain: settings.drain,
        limits,
        restart_limit: 10,
        base_domains: settings.base_domains.clone(),
    };
    let url_port = http.first().map(SocketAddr::port);
    let (reconciler, reconcile) = Reconciler::start(Parts {
        store: store.clone(),
        engine: engine.clone(),
        proxy: proxy.handle(),
        rules,
        url_port,
    });
    let deploys = Deploys::new(DeployParts {
        store: store.clone(),
        journal: journal.clone(),
        engine: engine.clone(),
        repositories: repositories.clone(),
        reconciler: reconciler.clone(),
        settings: deploy_settings(&settings, &data_dir, limits),
    });
    deploys.recover().await.map_err(one)?;

    let ssh_addresses = sockets.ssh.iter().filter_map(|socket| socket.local_addr().ok()).collect();
    let facts = Arc::new(ServerFacts {
        data_dir: data_dir.clone(),
        ssh: ssh_addresses,
        http,
        base_domains: settings.base_domains.clone(),
        started_at: Timestamp::now(),
    });
    let platform = Platform {
        store: store.clone(),
        journal: journal.clone(),
        engine,
        repositories: repositories.clone(),
        deploys: deploys.clone(),
        reconciler,
        facts: facts.clone(),
    };
    let api_stop = CancellationToken::new();
    let socket = ApiSocket::bind(&data_dir)
        .map_err(|error| one(unavailable("the API socket in the data directory could not be made", &error)))?;
    let api = tokio::spawn(http::serve(socket, platform.clone(), api_stop.clone()));
    let ssh_settings =
        SshSettings { creates_apps: settings.creates_apps, ..SshSettings::new(&data_dir) };
    let doors = doors(platform);
    let ssh = SshServer::start(sockets.ssh, ssh_settings, doors)
        .map_err(|error| one(unavailable("the SSH server could not be started", &error)))?;
    Ok(Server {
        facts,
        ssh_fingerprint: ssh.fingerprint().to_owned(),
        ssh,
        api,
        api_stop,
        deploys,
        reconcile,
        proxy,
        journal,
        store,
        drain: settings.drain,
    })
}

impl Server {
    /// Stops everything: no new callers, pushes and requests in flight finish, apps keep running.
    pub(super) async fn stop(self) {
        // Visitors are served to the end of their requests while the rest is taken apart.
        let proxy = tokio::spawn(self.proxy.shutdown(self.drain));
        if !self.ssh.shutdown(SSH_DRAIN).await {
            tracing::warn!("some SSH sessions were cut; a deploy that went on is marked interrupted");
        }
        self.deploys.stop().await;
        self.api_stop.cancel();
        let _ = self.api.await;
        self.reconcile.stop().await;
        let _ = proxy.await;
        self.journal.close().await;
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the database was not closed cleanly; nothing is lost, it is checked at the next start");
        }
    }
}

async fn open_state(
    settings: &Settings,
    data_dir: &std::path::Path,
) -> Result<(Store, Journal, Repositories), Problem> {
    let version = Repositories::version().await;
    version.map_err(|error| unavailable("git cannot be used", &error))?;
    let limits = TreeLimits { total_bytes: settings.push_limit, entries: TREE_ENTRIES };
    let data_dir = data_dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(&data_dir)?;
        let journal = Journal::open(&data_dir)?;
        let repositories = Repositories::open(&data_dir, limits)
            .map_err(|error| unavailable("the repositories cannot be used", &error))?;
        Ok((store, journal, repositories))
    });
    opened.await.unwrap_or_else(|panic| Err(unavailable("the data directory could not be opened", &panic)))
}

fn deploy_settings(
    settings: &Settings,
    data_dir: &std::path::Path,
    limits: Limits,
) -> DeploySettings {
    DeploySettings {
        data_dir: data_dir.to_owned(),
        build_timeout: settings.build_timeout,
        builds_at_once: settings.builds_at_once,
        keep_releases: settings.keep_releases,
        disk_floor: settings.disk_floor,
        checks: CheckPolicy {
            listen_within: settings.check_timeout,
            uptime: settings.check_uptime,
        },
        limits,
        image_mirrors: settings.image_mirrors.clone(),
    }
}

fn doors(platform: Platform) -> SshDoors {
    let words = platform.clone();
    SshDoors {
        registry: Arc::new(platform.store.clone()),
        repositories: platform.repositories.clone(),
        pushes: Arc::new(platform.deploys.clone()),
        run: Arc::new(move |text, session| {
            let platform = words.clone();
            Box::pin(async move { commands::run_words(&platform, &text, session).await })
        }),
        takes_terminal: Arc::new(commands::takes_terminal),
    }
}

fn unavailable(what: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why.push_str(": ");
        why.push_str(&cause.to_string());
        source = cause.source();
    }
    Problem::new(Kind::Unavailable, what, why, "`mini doctor` checks what mini needs")
}
