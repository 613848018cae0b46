//! Owns the bare repositories: creating them, git's own receive-pack and upload-pack as child processes, reading trees.
//! Must not know apps beyond their names, nor what a push is good for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::model::{AppName, BranchName, CommitId};

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` is not installed or too old.
    #[error("{0}")]
    Missing(String),
    /// The commit or the repository does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The branch is not where the caller believed.
    #[error("the branch has moved")]
    Moved,
    /// The tree holds something that cannot be built: a submodule, too much, a link that leaves the tree.
    #[error("{what}")]
    Unusable {
        /// What it is.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// Reading or writing failed.
    #[error("the repository could not be read or written")]
    Io(#[from] std::io::Error),
    /// Anything else git said.
    #[error("git failed: {0}")]
    Failed(String),
}

/// The folder with all repositories. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repositories {
    root: PathBuf,
}

/// Limits of what may be built.
#[derive(Debug, Clone, Copy)]
pub struct TreeLimits {
    /// Sum of all file sizes, bytes.
    pub total_bytes: u64,
    /// Number of entries.
    pub entries: usize,
}

#[allow(unused_variables, missing_docs, clippy::todo)]
impl Repositories {
    /// `<data_dir>/repos`; made if missing. Installs the hook scripts into `<data_dir>/hooks` (one directory for all).
    pub fn open(data_dir: &Path, limits: TreeLimits) -> Result<Repositories, GitError> {
        todo!()
    }
    /// `git --version`, for `doctor` and the check at start (2.29 at least, for proc-receive).
    pub async fn version() -> Result<String, GitError> {
        todo!()
    }
    pub fn path(&self, app: &AppName) -> PathBuf {
        todo!()
    }
    /// Makes the bare repository if it is missing.
    pub async fn create(&self, app: &AppName) -> Result<(), GitError> {
        todo!()
    }
    pub async fn rename(&self, from: &AppName, to: &AppName) -> Result<(), GitError> {
        todo!()
    }
    pub async fn remove(&self, app: &AppName) -> Result<(), GitError> {
        todo!()
    }
    /// The commit a branch is at.
    pub async fn tip(
        &self,
        app: &AppName,
        branch: &BranchName,
    ) -> Result<Option<CommitId>, GitError> {
        todo!()
    }
    /// Moves a branch from `from` (none: must not exist) to `to`; `Moved` if it is elsewhere.
    pub async fn move_branch(
        &self,
        app: &AppName,
        branch: &BranchName,
        from: Option<&CommitId>,
        to: &CommitId,
    ) -> Result<(), GitError> {
        todo!()
    }
    /// The child for a fetch.
    pub fn upload_pack(&self, app: &AppName, protocol: Option<&str>) -> tokio::process::Command {
        todo!()
    }
    /// The child for a push; `environment` reaches the hooks.
    pub fn receive_pack(
        &self,
        app: &AppName,
        protocol: Option<&str>,
        environment: &BTreeMap<String, String>,
    ) -> tokio::process::Command {
        todo!()
    }
    /// The tree of a commit, checked against the limits, for detection. Blocking work is done off the async threads.
    pub async fn tree(&self, app: &AppName, commit: &CommitId) -> Result<CommitTree, GitError> {
        todo!()
    }
    /// First line of the commit's message, for release descriptions.
    pub async fn subject(&self, app: &AppName, commit: &CommitId) -> Result<String, GitError> {
        todo!()
    }
}

/// The files of a commit; implements `mini_buildpacks::Tree`.
#[derive(Clone)]
pub struct CommitTree {}

#[allow(unused_variables, clippy::todo)]
impl CommitTree {
    /// The build context as a tar: the files `keep` accepts, and `extra` files (path, content) added or replaced.
    pub fn context(
        &self,
        keep: Box<dyn Fn(&str) -> bool + Send>,
        extra: Vec<(String, Vec<u8>)>,
    ) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        todo!()
    }
}

#[allow(unused)]
fn keep_imports(_: BranchName) {}
