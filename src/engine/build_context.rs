//! What a build is made of.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};

use super::ContextStream;
use crate::model::{SourceFile, SourceFileKind};

/// The files a build sees. An engine asks for them in the form it can use, and again where it has to begin anew. The Dockerfile
/// is no part of them: an image that copies them all does not have it.
pub trait BuildContext: Send + Sync + 'static {
    /// All as one tar archive, and each of `extra` (path, content) in place of what is there under that name.
    fn archive(&self, extra: &[(&str, &str)]) -> ContextStream;

    /// The files one by one, in any order, without folders; none where one has a name that is not UTF-8. Blocks.
    ///
    /// # Errors
    /// They cannot be read.
    fn files(&self) -> io::Result<Option<Vec<SourceFile>>>;

    /// What reads their contents. Blocks.
    fn reader(&self) -> Box<dyn ContextReader + '_>;
}

/// Reads the files of a build. It belongs to a thread.
pub trait ContextReader {
    /// Gives `take` the content of the regular file at `path`, in pieces of any size. Blocks.
    ///
    /// # Errors
    /// Those of `take`, and when the file cannot be read.
    fn read(&mut self, path: &str, take: &mut Take<'_>) -> io::Result<()>;
}

/// Who is given the content of a file, piece by piece.
pub type Take<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// Plain files in memory, by their paths.
#[derive(Debug, Clone, Default)]
pub struct MemoryContext(pub Vec<(String, Vec<u8>)>);

impl MemoryContext {
    fn write(&self, extra: &[(&str, &str)]) -> io::Result<Bytes> {
        let mut builder = tar::Builder::new(Vec::new());
        let files = self
            .0
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()));
        let files = files.filter(|(path, _)| extra.iter().all(|(name, _)| name != path));
        let extra = extra.iter().map(|(name, text)| (*name, text.as_bytes()));
        for (path, content) in files.chain(extra) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content)?;
        }
        builder.into_inner().map(Bytes::from)
    }
}

impl BuildContext for MemoryContext {
    fn archive(&self, extra: &[(&str, &str)]) -> ContextStream {
        let archive = self.write(extra);
        stream::once(async { archive }).boxed()
    }

    fn files(&self) -> io::Result<Option<Vec<SourceFile>>> {
        let file = |(path, content): &(String, Vec<u8>)| SourceFile {
            path: path.clone(),
            kind: SourceFileKind::Plain,
            size_bytes: content.len() as u64,
            modified_at: 0,
        };
        Ok(Some(self.0.iter().map(file).collect()))
    }

    fn reader(&self) -> Box<dyn ContextReader + '_> {
        Box::new(self)
    }
}

impl ContextReader for &MemoryContext {
    fn read(&mut self, path: &str, take: &mut Take<'_>) -> io::Result<()> {
        let found = self.0.iter().find(|(name, _)| name == path);
        let (_, content) = found.ok_or(io::ErrorKind::NotFound)?;
        take(content)
    }
}
