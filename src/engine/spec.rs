//! The values that cross the engine port.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::model::{
    AppName, ConfigVars, ContainerOption, DeployId, ImageId, ProcessCommand, ProcessType,
    ReleaseVersion, Secret, StorageMount, Timestamp,
};

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine does not answer at all.
    #[error("Docker does not answer at {socket}")]
    Unavailable {
        /// Where it was sought.
        socket: String,
        /// The failure beneath.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image is neither here nor to be had.
    #[error("the image {image} was not found")]
    ImageMissing {
        /// Its reference.
        image: String,
        /// What the engine or the registry said.
        said: String,
    },
    /// The process, container or image does not exist (any more).
    #[error("{what} does not exist")]
    Gone {
        /// What was sought.
        what: String,
    },
    /// The engine's disk is full.
    #[error("no space is left on the disk of Docker")]
    DiskFull {
        /// What the engine said.
        said: String,
    },
    /// A build step ended with an error, or the Dockerfile is wrong.
    #[error("{said}")]
    BuildFailed {
        /// The step that failed, as written in the Dockerfile, where known.
        step: Option<String>,
        /// What the builder said.
        said: String,
    },
    /// The builder's cache knows of a layer that is gone, as where somebody has cleaned up Docker meanwhile.
    #[error("{said}")]
    CacheLost {
        /// What the builder said.
        said: String,
    },
    /// A step of a build used more memory than it may, and the build was stopped.
    #[error("the build needed more than {} MiB of memory", limit_bytes >> 20)]
    BuildOutOfMemory {
        /// The step.
        step: String,
        /// What it may use.
        limit_bytes: u64,
    },
    /// The build has secrets, and the engine has no BuildKit to ask for them.
    #[error("the build has secrets ({}), which only BuildKit can be given", ids.join(", "))]
    NoSecrets {
        /// By which steps mount them.
        ids: Vec<String>,
    },
    /// The container could not be started: its command was not found, is not executable, or a limit is not possible.
    #[error("{said}")]
    CannotStart {
        /// What the engine said.
        said: String,
    },
    /// An archive with images is not what it should be.
    #[error("{why}")]
    Archive {
        /// What is wrong with it.
        why: String,
    },
    /// Anything else the engine refused.
    #[error("Docker refused: {said}")]
    Refused {
        /// What the engine said.
        said: String,
    },
}

/// The engine's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineVersion {
    /// `Docker`, `Podman Engine`, `memory`.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The API version spoken with it.
    pub api: String,
}

/// The engine's handle for one process: a container id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub String);

impl ProcessId {
    /// The first twelve characters, as Docker shortens an id.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// One process as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The engine's handle.
    pub id: ProcessId,
    /// The app, from its label.
    pub app: AppName,
    /// The release, from its label.
    pub release: ReleaseVersion,
    /// The process type, from its label.
    pub process_type: ProcessType,
    /// Its number within the type, from 1.
    pub index: u16,
    /// How it stands.
    pub state: ProcessState,
    /// Its address inside the app's network while it runs.
    pub address: Option<IpAddr>,
    /// When it was started last.
    pub started_at: Option<Timestamp>,
}

/// How a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessState {
    /// Created, not started yet.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited {
        /// Its exit status.
        code: i64,
        /// Whether the kernel ended it for want of memory.
        is_out_of_memory: bool,
        /// When.
        at: Option<Timestamp>,
    },
    /// Being removed, or in a state that only removal ends.
    Dead,
}

/// Something of ours may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change;

/// Limits of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes; none is no limit.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: u32,
}

/// All processes of one type of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseVersion,
    /// The type.
    pub process_type: ProcessType,
    /// What to run.
    pub image: ImageId,
    /// A line for `/bin/sh -c`, or none for the image's own command.
    pub command: ProcessCommand,
    /// The whole environment: config vars, `PORT`, and what mini adds.
    pub environment: ConfigVars,
    /// Limits.
    pub limits: Limits,
    /// How long it has to end after SIGTERM.
    pub stop_grace: Duration,
    /// The folders of the storage it sees.
    pub mounts: Vec<StorageMount>,
    /// What its containers have beside, or in place of, what all have.
    pub options: Vec<ContainerOption>,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// The app.
    pub app: AppName,
    /// The deploy it belongs to.
    pub deploy: DeployId,
    /// The release it is made for: the image's label says so. A build that changes nothing gives the image that was there
    /// before, with the label it has.
    pub release: ReleaseVersion,
    /// The tag the image gets: `mini/<app>:<deploy>`.
    pub tag: String,
    /// The Dockerfile's text. The image does not get it, whatever is copied into it.
    pub dockerfile: String,
    /// Build arguments; not secret.
    pub arguments: BTreeMap<String, String>,
    /// Secrets by the id that steps mount them with. They are in no layer and no history of the image.
    pub secrets: BTreeMap<String, Secret>,
    /// The stage to build; the last when none.
    pub target: Option<String>,
    /// How much memory a step may use, bytes; none for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Whether no step may be taken from the cache.
    pub is_without_cache: bool,
    /// The name of a kept image that this one is made of ([`KeptImage::name`]): it is kept as long as this one.
    pub source: Option<String>,
}

/// A build context: chunks of a tar archive.
pub type ContextStream = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// A folder of the storage: chunks of a tar archive.
pub type FolderStream = BoxStream<'static, Result<Bytes, EngineError>>;

/// What a build says while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEvent {
    /// A step begins, or was found in the cache.
    Step {
        /// As the builder names it: `[2/5] RUN npm ci`.
        name: String,
        /// Whether the cache had it.
        is_cached: bool,
    },
    /// One line of output, without its end.
    Line(String),
    /// A step whose memory cannot be seen, so that its limit does not hold.
    Unwatched {
        /// As the builder names it.
        step: String,
    },
    /// The image is there.
    Done(ImageId),
}

/// Facts about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its id.
    pub id: ImageId,
    /// TCP ports it exposes, ascending.
    pub exposed_ports: Vec<u16>,
    /// Whether it has a command or entry point of its own.
    pub has_command: bool,
    /// Size in bytes.
    pub size_bytes: u64,
    /// What registries know it by: `name@sha256:...`. None for an image that never was in one.
    pub digests: Vec<String>,
}

/// An image that was given a name of ours, so that a build finds it whatever becomes of its other names. Removed with the
/// last image that was built of it ([`BuildSpec::source`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptImage {
    /// Its id.
    pub id: ImageId,
    /// The name, which begins with [`KEPT_PREFIX`].
    pub name: String,
}

/// How the names of kept images begin. No registry is ever asked for one.
pub const KEPT_PREFIX: &str = "mini-source/";

/// An image of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppImage {
    /// Its id.
    pub id: ImageId,
    /// The app, from its label.
    pub app: AppName,
    /// Size in bytes, with the layers it shares with others.
    pub size_bytes: u64,
    /// Whether a container was made from it, by whomever.
    #[serde(skip)]
    pub is_used: bool,
}

/// Whether a limit of memory holds for the steps of builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildMemory {
    /// It does.
    Watched {
        /// What counts it: `cgroups of version 2`.
        by: String,
    },
    /// What they use cannot be seen.
    Unwatched {
        /// Why.
        why: String,
        /// What to do about it.
        remedy: String,
    },
}

/// What the cache of the builder takes. It is that of all who build with this engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BuildCacheUse {
    /// Bytes, without what images have as well.
    pub bytes: u64,
    /// What of them no build is using.
    pub removable_bytes: u64,
}

/// Which lines of a log are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Only the last so many lines; all when none.
    pub tail: Option<usize>,
    /// Go on with new lines until the process ends.
    pub follow: bool,
    /// Only lines after this moment.
    pub since: Option<Timestamp>,
}

/// Where a line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of a process's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the engine received it.
    pub at: Timestamp,
    /// Where it was written.
    pub stream: Stream,
    /// The line without its end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Lines of a log.
pub type LogStream = BoxStream<'static, Result<LogLine, EngineError>>;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A process that runs once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOffSpec {
    /// The app.
    pub app: AppName,
    /// The release.
    pub release: ReleaseVersion,
    /// What it is for, in its name and label: `run`, `release`.
    pub purpose: &'static str,
    /// What to run.
    pub image: ImageId,
    /// The words of the command.
    pub command: Vec<String>,
    /// The whole environment.
    pub environment: ConfigVars,
    /// Limits.
    pub limits: Limits,
    /// Size of the terminal it gets; none for no terminal.
    pub terminal: Option<TerminalSize>,
    /// Whether standard input is given; otherwise it is at its end from the start.
    pub has_stdin: bool,
    /// The folders of the storage it sees.
    pub mounts: Vec<StorageMount>,
    /// What its container has beside, or in place of, what all have.
    pub options: Vec<ContainerOption>,
}

/// The ends of a one-off process.
pub struct OneOffIo {
    /// Bytes for its standard input; closed when the sender is dropped.
    pub stdin: mpsc::Receiver<Bytes>,
    /// Its output.
    pub output: mpsc::Sender<(Stream, Bytes)>,
    /// Changes of the terminal's size.
    pub resize: watch::Receiver<Option<TerminalSize>>,
}
