//! Puts the parts together. The one place that names them all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mini_proxy::ProxyHandle;
use mini_proxy::acme::{Acme, AcmeSettings};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::front::Front;
use super::settings::Settings;
use crate::backup::{self, Backups, Source};
use crate::commands::{self, Platform};
use crate::deploy::{DeployParts, DeploySettings, Deploys};
use crate::engine::{ContainerEngine, DockerEngine, DockerSettings, STORAGE};
use crate::events::Journal;
use crate::git::Repositories;
use crate::model::{Kind, Problem, StandardPorts};
use crate::reconcile::{Orders, Parts, ReconcileTask, Reconciler, Rules};
use crate::ssh::{SshDoors, SshServer, SshSettings};
use crate::store::{Store, StoreError};

/// What is open once the data directory is ours.
pub(super) struct Stores {
    pub store: Store,
    pub journal: Journal,
    pub repositories: Repositories,
}

impl Stores {
    /// Opens the data directory, which must be there.
    pub(super) async fn open(settings: &Settings) -> Result<Stores, Problem> {
        Stores::open_after(settings, |_| Ok(())).await
    }

    /// The same after another server had it that has failed: databases that it has brought forward are put back.
    pub(super) async fn take_back(settings: &Settings) -> Result<Stores, Problem> {
        let put_back = |data_dir: &Path| {
            for restored in Store::restore_copies(data_dir).map_err(in_use)? {
                tracing::warn!(
                    database = restored.database,
                    schema = restored.schema,
                    set_aside = restored.set_aside,
                    "put back to what it was before the new server brought it forward"
                );
            }
            Ok(())
        };
        Stores::open_after(settings, put_back).await
    }

    async fn open_after(
        settings: &Settings,
        before: impl FnOnce(&Path) -> Result<(), Problem> + Send + 'static,
    ) -> Result<Stores, Problem> {
        let (data_dir, upload) = (settings.data_dir.clone(), settings.upload);
        let open = move || {
            before(&data_dir)?;
            let store = Store::open(&data_dir).map_err(in_use)?;
            if let Err(error) = backup::remove_leftovers(&data_dir) {
                tracing::warn!(%error, "copies of a backup that was cut short could not be removed");
            }
            let journal = Journal::open(&data_dir)?;
            let repositories = Repositories::open(&data_dir, upload)?;
            Ok(Stores {
                store,
                journal,
                repositories,
            })
        };
        let opened = tokio::task::spawn_blocking(open).await;
        opened.unwrap_or_else(|panic| {
            Err(Problem::new(
                Kind::Internal,
                "The data directory could not be opened",
                panic.to_string(),
                "",
            ))
        })
    }
}

/// What to do about a data directory that has a server.
fn in_use(error: StoreError) -> Problem {
    let is_in_use = matches!(error, StoreError::InUse { .. });
    let problem = Problem::from(error);
    if !is_in_use {
        return problem;
    }
    let next = "stop that server first, take over from it with `mini server --takeover`, or give this one another --data-dir";
    Problem {
        next: next.to_owned(),
        ..problem
    }
}

/// The parts that run, but SSH and API.
pub(super) struct Running {
    pub platform: Platform,
    pub reconcile: ReconcileTask,
    pub acme: Option<Acme>,
    /// Builds again what is gone; ends when it is dropped.
    pub images: AbortOnDropHandle<()>,
    /// Makes backups when they are due; ends when it is dropped.
    pub backups: AbortOnDropHandle<()>,
}

/// Starts the reconciler for a proxy that runs, and settles what a crash left. SSH is started after that, with [`ssh`].
pub(super) async fn start(
    settings: &Settings,
    stores: Stores,
    front: &Front,
    leaving: watch::Receiver<bool>,
) -> Result<Running, Problem> {
    let Stores {
        store,
        journal,
        repositories,
    } = stores;
    let facts = front.facts.clone();
    let engine: Arc<dyn ContainerEngine> = Arc::new(DockerEngine::connect(DockerSettings {
        socket: settings.docker_socket.clone(),
        instance: store.instance(),
        network_pool: settings.network_pool,
        storage: settings.data_dir.join(STORAGE),
    }));
    let settling = Arc::clone(&engine);
    tokio::spawn(async move {
        if let Err(error) = settling.settle_storage().await {
            tracing::error!(%error, "what a restore has brought of the storage is not in its place; apps that need it do not start");
        }
    });
    let (reconciler, reconcile) = Reconciler::start(Parts {
        store: store.clone(),
        engine: Arc::clone(&engine),
        proxy: front.proxy.handle(),
        used_before: front.used_before.subscribe(),
        rules: Rules {
            stop_grace: settings.stop_grace,
            drain: settings.drain,
            limits: settings.limits,
            restart_limit: settings.restart_limit,
            base_domains: settings.base_domains.clone(),
            has_wildcards: facts
                .certificate_authority
                .as_ref()
                .is_some_and(|authority| authority.has_wildcards),
            https_port: facts.https.first().map(SocketAddr::port),
            standard: StandardPorts {
                http: facts.http.clone(),
                https: facts.https.clone(),
            },
        },
        passed_ports: front.take_passed_ports(),
        http_port: facts.http.first().map(SocketAddr::port),
    });
    let names = store.apps().await?.into_iter().map(|app| app.name);
    if let Err(error) = front.access_logs.keep_only(names).await {
        tracing::warn!(%error, "access logs of apps that are gone could not be cleared away");
    }
    let deploys = Deploys::new(DeployParts {
        store: store.clone(),
        journal: journal.clone(),
        engine: Arc::clone(&engine),
        repositories: repositories.clone(),
        reconciler: reconciler.clone(),
        settings: deploy_settings(settings),
    });
    deploys.recover().await?;
    let (keeper, kept_from) = (deploys.clone(), leaving.clone());
    let images = tokio::spawn(async move { keeper.keep_images(kept_from).await });
    let source = Source {
        data_dir: facts.data_dir.clone(),
        store: store.clone(),
        repositories: repositories.clone(),
        settings_file: facts.settings_file.clone(),
        engine: Arc::clone(&engine),
    };
    let backups = Backups::new(source, settings.backup_access.clone());
    let (keeper, kept_from) = (backups.clone(), leaving.clone());
    let keeping = tokio::spawn(async move { keeper.keep(kept_from).await });
    let acme = match settings.automatic.settings() {
        Some(automatic) => Some(acme(automatic, &store, &reconciler, front.proxy.handle()).await?),
        None => None,
    };
    Ok(Running {
        platform: Platform {
            store,
            journal,
            engine,
            repositories,
            deploys,
            reconciler,
            proxy: front.proxy.handle(),
            backups,
            access_logs: front.access_logs.clone(),
            facts: Arc::new(facts),
            leaving,
        },
        reconcile,
        acme,
        images: AbortOnDropHandle::new(images),
        backups: AbortOnDropHandle::new(keeping),
    })
}

/// Begins to look after automatic certificates.
async fn acme(
    settings: AcmeSettings,
    store: &Store,
    reconciler: &Reconciler,
    proxy: ProxyHandle,
) -> Result<Acme, Problem> {
    let orders = Orders::open(store.clone(), reconciler.clone()).await?;
    let wake = reconciler.names_changed();
    Acme::start(settings, Arc::new(orders), proxy, wake).map_err(|error| {
        let why = std::error::Error::source(&error)
            .map(ToString::to_string)
            .unwrap_or_default();
        Problem::new(
            Kind::Invalid,
            format!("Automatic certificates cannot be had: {error}"),
            why,
            "Check acme-ca-file, or install the system's roots: `apt-get install ca-certificates`",
        )
    })
}

fn deploy_settings(settings: &Settings) -> DeploySettings {
    DeploySettings {
        data_dir: settings.data_dir.clone(),
        build_limits: settings.build_limits,
        build_cache_budget_bytes: settings.build_cache_budget_bytes,
        builds_at_once: settings.builds_at_once,
        keep_releases: settings.keep_releases,
        disk_floor: settings.disk_floor,
        checks: settings.checks,
        limits: settings.limits,
        image_mirrors: settings.image_mirrors.clone(),
        versions: settings.versions.clone(),
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
