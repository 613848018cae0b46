//! Docker on this host, through its socket.

mod attach;
mod build;
mod build_lines;
mod build_progress;
mod cgroups;
mod changes;
mod cleaning;
mod connection;
mod container;
mod disk;
mod errors;
mod file_sync;
mod folders;
mod images;
mod invocation;
mod json_lines;
mod labels;
mod listening;
mod logs;
mod networks;
mod observed;
mod one_off;
mod options;
mod processes;
mod same_image;
mod seen;
mod session;
mod sources;
mod step_memory;
mod subnets;
mod task_stream;
mod upgrade;

pub use subnets::{InvalidSubnet, Subnet};

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use self::connection::Connection;
use self::networks::Networks;
use self::seen::Seen;
use super::{
    AppImage, BuildCacheUse, BuildContext, BuildEvent, BuildMemory, BuildSpec, Change,
    ContainerEngine, ContextStream, EngineError, EngineVersion, FolderStream, GroupSpec,
    ImageFacts, KeptImage, LogQuery, LogStream, OneOffIo, OneOffSpec, Process, ProcessId,
};
use crate::model::{AppName, ImageId, StorageName};

/// How Docker is reached, and which part of it is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSettings {
    /// Path of Docker's socket; none takes `DOCKER_HOST`, else `/var/run/docker.sock`.
    pub socket: Option<String>,
    /// The name of this installation, in labels and names: letters, digits and `-`. Two servers on one Docker need two.
    pub instance: String,
    /// Out of which range the networks of apps are cut, 64 addresses each.
    pub network_pool: Subnet,
    /// The folder with the folders that containers may see.
    pub storage: PathBuf,
}

impl DockerSettings {
    /// The usual settings for an installation of this name.
    pub fn new(instance: impl Into<String>) -> Self {
        Self {
            socket: None,
            instance: instance.into(),
            network_pool: Subnet::DEFAULT_POOL,
            storage: PathBuf::from("/nonexistent"),
        }
    }
}

/// The engine on Docker, or on Podman's socket that speaks Docker's API. Clones share everything.
#[derive(Clone)]
pub struct DockerEngine {
    inner: Arc<Inner>,
}

struct Inner {
    instance: String,
    storage: PathBuf,
    connection: Connection,
    networks: Networks,
    /// The ENTRYPOINT of images seen.
    entrypoints: Mutex<HashMap<ImageId, Arc<[String]>>>,
    seen: Seen,
    /// The step of the last build with a limit of memory that could not be watched.
    unwatched: Mutex<Option<String>>,
    /// Held while an archive is taken in, so that two do not put each other's names back.
    loading: tokio::sync::Mutex<()>,
    /// Held while a folder of the storage is put back.
    settling: tokio::sync::Mutex<()>,
}

impl DockerEngine {
    /// An engine for these settings. Asks nothing of Docker yet: as long as it does not answer, every call is
    /// `Unavailable`, and once it does they work.
    pub fn connect(settings: DockerSettings) -> Self {
        let DockerSettings {
            socket,
            instance,
            network_pool,
            storage,
        } = settings;
        Self {
            inner: Arc::new(Inner {
                connection: Connection::new(socket),
                networks: Networks::new(&instance, network_pool),
                instance,
                storage,
                entrypoints: Mutex::default(),
                seen: Seen::default(),
                unwatched: Mutex::default(),
                loading: tokio::sync::Mutex::default(),
                settling: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Where Docker is sought: the path of its socket.
    pub fn socket(&self) -> &str {
        self.inner.connection.socket()
    }
}

#[async_trait]
impl ContainerEngine for DockerEngine {
    async fn version(&self) -> Result<EngineVersion, EngineError> {
        self.inner.connection.greet().await
    }

    async fn observe(&self) -> Result<Vec<Process>, EngineError> {
        self.inner.observe().await
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        changes::changes(Arc::clone(&self.inner))
    }

    async fn prepare(&self, app: &AppName) -> Result<(), EngineError> {
        // A task of its own, which keeps hold of the networks until Docker has answered, also when nobody waits any more:
        // else the network of an app that is destroyed meanwhile could come after its removal.
        let (inner, app) = (Arc::clone(&self.inner), app.clone());
        let made = tokio::spawn(async move { inner.prepare(&app).await });
        made.await.unwrap_or_else(|panic| {
            Err(EngineError::Refused {
                said: format!("the network could not be made: {panic}"),
            })
        })
    }

    async fn start(&self, group: &GroupSpec, index: u16) -> Result<Process, EngineError> {
        self.inner.start(group, index).await
    }

    async fn restart(&self, id: &ProcessId) -> Result<(), EngineError> {
        self.inner.restart(id).await
    }

    async fn stop(&self, id: &ProcessId, grace: Duration) -> Result<(), EngineError> {
        self.inner.stop(id, grace).await
    }

    async fn remove(&self, id: &ProcessId) -> Result<(), EngineError> {
        self.inner.remove(id).await
    }

    async fn logs(&self, id: &ProcessId, query: LogQuery) -> Result<LogStream, EngineError> {
        Arc::clone(&self.inner).logs(id, query).await
    }

    async fn listening(&self, id: &ProcessId) -> Result<Vec<SocketAddr>, EngineError> {
        self.inner.listening(id).await
    }

    async fn inspect(&self, id: &ProcessId) -> Result<serde_json::Value, EngineError> {
        self.inner.inspect(id).await
    }

    async fn build(
        &self,
        spec: &BuildSpec,
        context: Arc<dyn BuildContext>,
    ) -> Result<BoxStream<'static, Result<BuildEvent, EngineError>>, EngineError> {
        Arc::clone(&self.inner).build(spec, context).await
    }

    async fn pull(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        Arc::clone(&self.inner).pull(reference).await
    }

    async fn fetch(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        Arc::clone(&self.inner).fetch(reference).await
    }

    async fn load(&self, archive: ContextStream, wanted: &str) -> Result<KeptImage, EngineError> {
        // A task of its own, so that the names are put back also when nobody waits any more.
        let (inner, wanted) = (Arc::clone(&self.inner), wanted.to_owned());
        let loaded = tokio::spawn(async move { inner.load(archive, &wanted).await });
        loaded.await.unwrap_or_else(|panic| {
            Err(EngineError::Refused {
                said: format!("the archive could not be loaded: {panic}"),
            })
        })
    }

    async fn keep(&self, image: &ImageId) -> Result<KeptImage, EngineError> {
        self.inner.keep(image).await
    }

    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        self.inner.image(reference).await
    }

    async fn prune_images(&self, app: &AppName, keep: &[ImageId]) -> Result<usize, EngineError> {
        self.inner.prune_images(app, keep).await
    }

    async fn images(&self, app: Option<&AppName>) -> Result<Vec<AppImage>, EngineError> {
        self.inner.images(app).await
    }

    async fn remove_images(
        &self,
        app: &AppName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageId>, EngineError> {
        self.inner.remove_images(app, ids).await
    }

    async fn build_memory(&self) -> BuildMemory {
        self.inner.build_memory().await
    }

    async fn build_cache(&self) -> Result<BuildCacheUse, EngineError> {
        self.inner.build_cache().await
    }

    async fn shrink_build_cache(&self, keep_bytes: u64) -> Result<u64, EngineError> {
        self.inner.shrink_build_cache(keep_bytes).await
    }

    async fn run(&self, spec: &OneOffSpec, io: OneOffIo) -> Result<u8, EngineError> {
        Arc::clone(&self.inner).run(spec, io).await
    }

    async fn apps(&self) -> Result<BTreeSet<AppName>, EngineError> {
        self.inner.apps().await
    }

    async fn remove_app(&self, app: &AppName, keep: &[ImageId]) -> Result<(), EngineError> {
        self.inner.remove_app(app, keep).await
    }

    async fn read_storage(&self, name: &StorageName) -> Result<FolderStream, EngineError> {
        Arc::clone(&self.inner).read_storage(name).await
    }

    async fn settle_storage(&self) -> Result<(), EngineError> {
        self.inner.settle_all_storage().await
    }

    async fn remove_leftovers(&self) -> Result<(), EngineError> {
        self.inner.remove_leftovers().await
    }
}

/// Sixteen hexadecimal digits that no other call gives, for names that must not meet.
fn random_word() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:016x}", hasher.finish())
}
