//! The files of a commit, read where they lie: nothing is checked out.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::repositories::{find_commit, open};
use super::walk::{self, File, FileKind};
use super::{GitError, TreeLimits, TreeReader, context};
use crate::model::{CommitId, SourceFile};

/// The files of a commit; implements `mini_buildpacks::Tree`. Cheap to clone.
#[derive(Clone)]
pub struct CommitTree {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    repository: gix::ThreadSafeRepository,
    pub(super) files: Vec<File>,
    by_path: HashMap<Vec<u8>, usize>,
    total_bytes: u64,
    warnings: Vec<String>,
    /// Seconds since 1970: the one time every entry of the context has.
    pub(super) committed_at: u64,
}

impl CommitTree {
    /// Reads and checks the whole list of files; blocking.
    pub(super) fn read_from(
        path: &Path,
        commit: &CommitId,
        limits: TreeLimits,
    ) -> Result<Self, GitError> {
        let mut repository = open(path)?;
        repository.object_cache_size_if_unset(4 << 20);
        let (root, committed_at) = {
            let found = find_commit(&repository, commit)?;
            let root = found.tree_id().map_err(GitError::reading)?.detach();
            let seconds = found.time().map(|time| time.seconds).unwrap_or(0);
            (root, u64::try_from(seconds).unwrap_or(0))
        };
        let walked = walk::walk(&repository, root, limits)?;
        let by_path = walked
            .files
            .iter()
            .enumerate()
            .map(|(index, file)| (file.path.clone(), index))
            .collect();
        Ok(Self {
            inner: Arc::new(Inner {
                repository: repository.into_sync(),
                files: walked.files,
                by_path,
                total_bytes: walked.total_bytes,
                warnings: walked.warnings,
                committed_at,
            }),
        })
    }

    /// Every file and symlink, relative to the root, in git's order; names that are not UTF-8 are given lossily.
    pub fn files(&self) -> Vec<String> {
        self.inner.files.iter().map(File::name).collect()
    }

    /// The size in bytes of the file or symlink at `path`; `None` where there is none.
    pub fn size_bytes(&self, path: &str) -> Option<u64> {
        self.inner.file(path).map(|file| file.size_bytes)
    }

    /// The content of the regular file at `path`; `None` where there is none, or a symlink (links are never followed).
    /// Blocking.
    ///
    /// # Errors
    /// `Unusable` when it has more than `limit_bytes`, found out without reading it.
    pub fn read(&self, path: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, GitError> {
        let Some(file) = self.inner.file(path) else {
            return Ok(None);
        };
        if file.kind == FileKind::Symlink {
            return Ok(None);
        }
        if file.size_bytes > limit_bytes {
            return Err(GitError::unusable(
                format!(
                    "`{path}` has {} bytes, more than the {limit_bytes} that are read",
                    file.size_bytes
                ),
                "make it smaller, commit, and push again",
            ));
        }
        let repository = self.inner.repository.to_thread_local();
        walk::content(&repository, file).map(Some)
    }

    /// Sum of all file sizes.
    pub fn total_bytes(&self) -> u64 {
        self.inner.total_bytes
    }

    /// Things the owner should know, which stop nothing: symlinks that lead out of the tree.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// The build context as a tar: the files below `directory` (`.` for all) that `keep` accepts, and `extra` files (path,
    /// content) added or replaced. Paths are relative to `directory`.
    ///
    /// Entries come in git's order with fixed owner, modes 0644 or 0755 and the commit's time, so the same commit gives
    /// the same bytes. Symlinks stay symlinks. Dropping the stream ends the thread behind it; a failure is its last item.
    pub fn context(
        &self,
        directory: &str,
        keep: Box<dyn Fn(&str) -> bool + Send>,
        extra: Vec<(String, Vec<u8>)>,
    ) -> BoxStream<'static, Result<Bytes, std::io::Error>> {
        context::stream(self.inner.clone(), prefix_of(directory), keep, extra)
    }

    /// The files and links below `directory` (`.` for all) that `keep` accepts, in git's order; none where one has a name or a
    /// target that is not UTF-8. Paths are relative to `directory`. Blocking.
    ///
    /// # Errors
    /// A link cannot be read.
    pub fn source_files(
        &self,
        directory: &str,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Option<Vec<SourceFile>>, GitError> {
        self.reader(directory).list(keep)
    }

    /// What reads the files below `directory` one by one.
    pub fn reader(&self, directory: &str) -> TreeReader {
        TreeReader::new(self.inner.clone(), prefix_of(directory))
    }
}

/// What the paths below a directory begin with.
fn prefix_of(directory: &str) -> String {
    match directory {
        "." => String::new(),
        directory => format!("{directory}/"),
    }
}

impl Inner {
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        let index = self.by_path.get(path.as_bytes())?;
        self.files.get(*index)
    }

    pub(super) fn repository(&self) -> gix::Repository {
        self.repository.to_thread_local()
    }
}

impl fmt::Debug for CommitTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitTree")
            .field("files", &self.inner.files.len())
            .field("total_bytes", &self.inner.total_bytes)
            .finish_non_exhaustive()
    }
}
