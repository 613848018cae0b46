//! Owns containers and images: the port `ContainerEngine` and its two engines, Docker on this host and one in memory.
//! Must not know the store, deploys, routes or any rule about which process should run.

mod build_context;
#[doc(hidden)]
pub mod contract;
mod docker;
mod lines;
mod memory;
mod spec;
mod storage;

pub use build_context::{BuildContext, ContextReader, MemoryContext, Take};
pub use docker::{DockerEngine, DockerSettings, InvalidSubnet, Subnet};
pub use lines::Lines;
pub use memory::MemoryEngine;
pub use spec::{
    AppImage, BuildCacheUse, BuildEvent, BuildMemory, BuildSpec, Change, ContextStream,
    EngineError, EngineVersion, FolderStream, GroupSpec, ImageFacts, KEPT_PREFIX, KeptImage,
    Limits, LogLine, LogQuery, LogStream, OneOffIo, OneOffSpec, Process, ProcessId, ProcessState,
    Stream, TerminalSize,
};
pub use storage::{BROUGHT, STORAGE, ensure_folder};

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::model::{AppName, ImageId, StorageName};

/// What mini needs of whatever runs containers. Every method may fail with [`EngineError::Unavailable`] when the engine
/// does not answer; dropping a future or stream stops waiting, and what that leaves behind is said at each method.
#[async_trait]
pub trait ContainerEngine: Send + Sync + 'static {
    /// The engine's name and version.
    async fn version(&self) -> Result<EngineVersion, EngineError>;

    /// All app processes of this installation, in whatever state. One-off and build containers are not among them.
    async fn observe(&self) -> Result<Vec<Process>, EngineError>;

    /// An endless stream that yields whenever something of ours may have changed (a container started, died, was
    /// removed) and after the connection to the engine was lost or made again. Carries no facts: look with `observe`.
    fn changes(&self) -> BoxStream<'static, Change>;

    /// Makes ahead of its first start what an app needs beside its image: its network. Quick where that is there. If
    /// cancelled, it goes on by itself.
    async fn prepare(&self, app: &AppName) -> Result<(), EngineError>;

    /// Starts process number `index` (from 1) of a group: makes the app's network where it is missing, creates the
    /// container and starts it. A container of the same name that is not running is replaced; one that runs is returned
    /// as it is. If cancelled, the container may exist and will be seen by `observe`.
    async fn start(&self, group: &GroupSpec, index: u16) -> Result<Process, EngineError>;

    /// Starts an exited process again, in the same container: its log goes on. Its address may change.
    async fn restart(&self, id: &ProcessId) -> Result<(), EngineError>;

    /// Asks a process to end (SIGTERM), and after `grace` ends it (SIGKILL). Fine when it is gone already.
    async fn stop(&self, id: &ProcessId, grace: Duration) -> Result<(), EngineError>;

    /// Removes a process, running or not, with its anonymous volumes. Fine when it is gone already.
    async fn remove(&self, id: &ProcessId) -> Result<(), EngineError>;

    /// The log of a process, oldest first.
    async fn logs(&self, id: &ProcessId, query: LogQuery) -> Result<LogStream, EngineError>;

    /// The addresses on which something listens inside a process, with the port; to tell a user where their app listens
    /// when it is not where it should. Empty where it cannot be found out.
    async fn listening(&self, id: &ProcessId) -> Result<Vec<SocketAddr>, EngineError>;

    /// All that is known of a process, as `docker inspect` prints it; with the values of its environment.
    ///
    /// # Errors
    /// `Gone`.
    async fn inspect(&self, id: &ProcessId) -> Result<serde_json::Value, EngineError>;

    /// Builds an image from `context`. The stream ends with `Done` or an error; dropping it cancels the build.
    async fn build(
        &self,
        spec: &BuildSpec,
        context: Arc<dyn BuildContext>,
    ) -> Result<BoxStream<'static, Result<BuildEvent, EngineError>>, EngineError>;

    /// Makes sure a base image is here, pulling it where it is missing; the stream yields lines of progress and ends.
    async fn pull(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError>;

    /// Asks the registry for an image, also where one of that name is here: the name may stand for another one by now. The
    /// stream is that of [`ContainerEngine::pull`].
    async fn fetch(
        &self,
        reference: &str,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError>;

    /// Takes one image out of an archive that `docker save` wrote: the one that is called `wanted`. The others are not kept,
    /// and whatever names the archive brings, no name that was here before stands for another image afterwards.
    ///
    /// # Errors
    /// `Archive` when it is no such archive, ends too early, or has no image of that name.
    async fn load(&self, archive: ContextStream, wanted: &str) -> Result<KeptImage, EngineError>;

    /// Gives an image that is here a name of ours.
    async fn keep(&self, image: &ImageId) -> Result<KeptImage, EngineError>;

    /// Facts about an image by id or reference; `None` when it is not here.
    async fn image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError>;

    /// Removes the images of an app whose ids are not in `keep`; never one that carries no label of ours. Returns how
    /// many were removed.
    async fn prune_images(&self, app: &AppName, keep: &[ImageId]) -> Result<usize, EngineError>;

    /// The images of this installation, of one app or of all, those of apps that are gone as well.
    async fn images(&self, app: Option<&AppName>) -> Result<Vec<AppImage>, EngineError>;

    /// Removes these images of an app; never one that is used, that carries no label of ours, or that somebody has given a
    /// tag of their own. Returns those that were removed.
    async fn remove_images(
        &self,
        app: &AppName,
        ids: &[ImageId],
    ) -> Result<Vec<ImageId>, EngineError>;

    /// Whether [`BuildSpec::memory_limit_bytes`] holds here, as far as that is known without a build and from the last one.
    async fn build_memory(&self) -> BuildMemory;

    /// What the cache of the builder takes. Slow where the engine counts everything else as well.
    async fn build_cache(&self) -> Result<BuildCacheUse, EngineError>;

    /// Removes of the builder's cache what was not used for longest, whoever filled it, until it takes no more than this;
    /// nothing that a build is using. Returns what was freed, bytes.
    async fn shrink_build_cache(&self, keep_bytes: u64) -> Result<u64, EngineError>;

    /// Runs a one-off process to its end and returns its exit status (128 + signal when it was killed by one). The
    /// container is removed afterwards, also when the future is dropped.
    async fn run(&self, spec: &OneOffSpec, io: OneOffIo) -> Result<u8, EngineError>;

    /// The apps of which anything is there: a container of any kind, a network or an image of this installation.
    async fn apps(&self) -> Result<BTreeSet<AppName>, EngineError>;

    /// Removes everything of an app: containers of any kind, its network, its images but for those to `keep`. Images keep the
    /// name that their app had when they were built, so one of this name may be of an app that is called something else now.
    async fn remove_app(&self, app: &AppName, keep: &[ImageId]) -> Result<(), EngineError>;

    /// The folder of the storage of this name as a tar, with the owners and modes of all that is in it; `storage` is in front of
    /// each path. A file that becomes shorter meanwhile cuts the tar off there, without an error. Dropped, nothing is left.
    ///
    /// # Errors
    /// `Gone` if there is no such folder.
    async fn read_storage(&self, name: &StorageName) -> Result<FolderStream, EngineError>;

    /// Puts in place what a restore has brought for the folders of the storage. Processes that see one of them are ended before.
    /// A process that is started waits for that, so this is only for those that run already. Interrupted, the next call goes on.
    async fn settle_storage(&self) -> Result<(), EngineError>;

    /// Removes what earlier runs of the server left behind: one-off containers with no one waiting.
    async fn remove_leftovers(&self) -> Result<(), EngineError>;
}
