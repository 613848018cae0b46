//! The tree of a commit as detection reads it.

use mini_buildpacks::{Tree, TreeError};

use super::{CommitTree, GitError};

impl Tree for CommitTree {
    fn files(&self) -> Result<Vec<String>, TreeError> {
        Ok(CommitTree::files(self))
    }

    fn read(&self, path: &str, limit_bytes: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let limit_bytes = limit_bytes as u64;
        if let Some(size_bytes) = self.size_bytes(path).filter(|size| *size > limit_bytes) {
            return Err(TreeError::TooLarge {
                path: path.to_owned(),
                size_bytes,
                limit_bytes,
            });
        }
        CommitTree::read(self, path, limit_bytes).map_err(|error| {
            let source = match error {
                GitError::Io(source) => source,
                other => std::io::Error::other(other),
            };
            TreeError::Read {
                path: path.to_owned(),
                source,
            }
        })
    }
}
