//! The files of a commit as a build sees them.

use std::io;
use std::sync::Arc;

use mini_buildpacks::dockerignore::Dockerignore;

use crate::engine::{BuildContext, ContextReader, ContextStream, Take};
use crate::git::{CommitTree, TreeReader};
use crate::model::SourceFile;

/// What of a commit is built: the files below a directory, but for those that are ignored.
pub(super) struct Source {
    tree: CommitTree,
    directory: String,
    ignored: Arc<Dockerignore>,
}

impl Source {
    pub(super) fn new(tree: CommitTree, directory: String, ignored: Dockerignore) -> Self {
        Self {
            tree,
            directory,
            ignored: Arc::new(ignored),
        }
    }
}

impl BuildContext for Source {
    fn archive(&self, extra: &[(&str, &str)]) -> ContextStream {
        let ignored = Arc::clone(&self.ignored);
        let extra = extra.iter();
        let extra = extra.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        self.tree.context(
            &self.directory,
            Box::new(move |path| !ignored.is_ignored(path)),
            extra.collect(),
        )
    }

    fn files(&self) -> io::Result<Option<Vec<SourceFile>>> {
        self.tree
            .source_files(&self.directory, |path| !self.ignored.is_ignored(path))
            .map_err(io::Error::other)
    }

    fn reader(&self) -> Box<dyn ContextReader + '_> {
        Box::new(Reader(self.tree.reader(&self.directory)))
    }
}

struct Reader(TreeReader);

impl ContextReader for Reader {
    fn read(&mut self, path: &str, take: &mut Take<'_>) -> io::Result<()> {
        self.0.read(path, take)
    }
}
