//! What detection reads from: a set of paths and their contents, wherever they come from.

use std::collections::BTreeMap;

/// A repository as detection sees it: file paths and file contents, nothing else.
///
/// Implemented here for a directory ([`crate::DirTree`]) and for a map in memory ([`MapTree`]); the server implements it for a
/// git tree. An implementation never follows a symlink out of the repository: such an entry is listed, if at all, but reads as
/// absent.
pub trait Tree {
    /// Every file, as a path relative to the root with `/` between components. Directories are not listed. Names that are not
    /// UTF-8 are given lossily (and then read as absent). Order does not matter.
    fn files(&self) -> Result<Vec<String>, TreeError>;

    /// The content of one regular file, `None` where there is none (absent, a directory, a symlink that leaves the tree).
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] when the file has more than `limit_bytes`; it must be found out without reading the whole file.
    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError>;

    /// At most the first `limit_bytes` of a regular file, whatever its size: a lock file says on its first lines by which
    /// version it was written. An implementation that can should not read further; this one reads a file of up to 16 MiB whole.
    ///
    /// # Errors
    /// [`TreeError::Read`]. A file that is too large even for that reads as absent.
    fn beginning(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        const MOST_BYTES: usize = 16 << 20;
        match self.read(path, MOST_BYTES) {
            Ok(Some(mut content)) => {
                content.truncate(limit_bytes);
                Ok(Some(content))
            }
            Err(TreeError::TooLarge { .. }) => Ok(None),
            other => other,
        }
    }
}

/// Why a [`Tree`] could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The root itself is not a directory that can be read.
    #[error("{path} cannot be read as a directory")]
    Root {
        /// The path as it was given.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is there but cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Relative path of the file.
        path: String,
        /// What the system (or the object store) said.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than the reader was willing to take.
    #[error("{path} has {size_bytes} bytes, more than the {limit_bytes} that are read")]
    TooLarge {
        /// Relative path of the file.
        path: String,
        /// Its size, or the limit plus one where the whole size is not known.
        size_bytes: u64,
        /// The limit that was asked for.
        limit_bytes: u64,
    },
    /// The repository has more files than detection is willing to list.
    #[error("more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: usize,
    },
}

/// One directory of a tree as a tree of its own.
pub struct Subdirectory<'a> {
    tree: &'a dyn Tree,
    prefix: String,
}

impl<'a> Subdirectory<'a> {
    /// The files below `directory`, `.` for all of them.
    #[must_use]
    pub fn new(tree: &'a dyn Tree, directory: &str) -> Self {
        let prefix = match directory {
            "." => String::new(),
            directory => format!("{directory}/"),
        };
        Self { tree, prefix }
    }
}

impl Tree for Subdirectory<'_> {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        let files = self.tree.files()?.into_iter();
        let inside = files.filter_map(|path| Some(path.strip_prefix(&self.prefix)?.to_owned()));
        Ok(inside.collect())
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        self.tree
            .read(&format!("{}{path}", self.prefix), limit_bytes)
    }
}

/// A tree in memory, for tests and for callers that already hold the few files that matter.
#[derive(Debug, Default, Clone)]
pub struct MapTree {
    files: BTreeMap<String, Vec<u8>>,
}

impl MapTree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, or replaces it.
    #[must_use]
    pub fn with(mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), content.into());
        self
    }
}

impl Tree for MapTree {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        Ok(self.files.keys().cloned().collect())
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        match self.files.get(path) {
            Some(content) if content.len() > limit_bytes => Err(TreeError::TooLarge {
                path: path.to_owned(),
                size_bytes: content.len() as u64,
                limit_bytes: limit_bytes as u64,
            }),
            other => Ok(other.cloned()),
        }
    }
}
