//! The files of a commit one by one, for a reader that chooses which it wants and when.

use std::io;
use std::sync::Arc;

use super::GitError;
use super::context::WHOLE_LIMIT_BYTES;
use super::large_files::LargeFiles;
use super::tree::Inner;
use super::walk::{self, FileKind};
use crate::model::{SourceFile, SourceFileKind};

/// Bytes of a large file that are given on at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads files of a commit, below one directory of it. It belongs to a thread.
pub struct TreeReader {
    tree: Arc<Inner>,
    prefix: String,
    repository: gix::Repository,
    large_files: Option<LargeFiles>,
}

impl TreeReader {
    pub(super) fn new(tree: Arc<Inner>, prefix: String) -> Self {
        Self {
            repository: tree.repository(),
            tree,
            prefix,
            large_files: None,
        }
    }

    /// The files and links that `keep` accepts; none where a name or a target is not UTF-8.
    pub(super) fn list(
        &self,
        keep: impl Fn(&str) -> bool,
    ) -> Result<Option<Vec<SourceFile>>, GitError> {
        let mut files = Vec::new();
        for file in &self.tree.files {
            let Some(path) = file.path.strip_prefix(self.prefix.as_bytes()) else {
                continue;
            };
            if !keep(&String::from_utf8_lossy(path)) {
                continue;
            }
            let Ok(path) = String::from_utf8(path.to_vec()) else {
                return Ok(None);
            };
            let kind = match file.kind {
                FileKind::Plain => SourceFileKind::Plain,
                FileKind::Executable => SourceFileKind::Executable,
                FileKind::Symlink => {
                    match String::from_utf8(walk::content(&self.repository, file)?) {
                        Ok(target) => SourceFileKind::Symlink(target),
                        Err(_) => return Ok(None),
                    }
                }
            };
            files.push(SourceFile {
                path,
                kind,
                size_bytes: file.size_bytes,
                modified_at: self.tree.committed_at,
            });
        }
        Ok(Some(files))
    }

    /// Gives `take` the content of the file at `path`, in pieces. Blocks.
    ///
    /// # Errors
    /// Those of `take`, and when there is no such file or git does not give it.
    pub fn read(
        &mut self,
        path: &str,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = self.tree.file(&format!("{}{path}", self.prefix));
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        if file.size_bytes <= WHOLE_LIMIT_BYTES {
            let content = walk::content(&self.repository, file).map_err(io::Error::other)?;
            return take(&content);
        }
        let large_files = match &mut self.large_files {
            Some(large_files) => large_files,
            None => {
                let opened = LargeFiles::open(self.repository.git_dir())?;
                self.large_files.insert(opened)
            }
        };
        large_files.read(file, |content| {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match content.read(&mut piece)? {
                    0 => return Ok(()),
                    count => take(piece.get(..count).unwrap_or_default())?,
                }
            }
        })
    }
}
