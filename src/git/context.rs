//! A tree as a tar stream, made on a blocking thread into a bounded channel.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::large_files::LargeFiles;
use super::tree::Inner;
use super::walk::{self, File, FileKind};

/// Bytes of one item of the stream at most.
const CHUNK_BYTES: usize = 64 * 1024;

/// Items between the thread and the reader: 512 KiB in flight.
const CHUNKS: usize = 8;

/// A file larger than this is streamed from git itself, for gix decodes whole objects. Blocks from 128 KiB on get pages
/// of their own from glibc, until one was freed: from then on the heap of every thread keeps as much for the next
/// (mallopt(3), M_MMAP_THRESHOLD). Whole files read up to 32 MiB: 37 to 40 MiB resident after 31 pushes of an 800 KB file,
/// and 30 with glibc held to its first threshold (MALLOC_MMAP_THRESHOLD_).
pub(super) const WHOLE_LIMIT_BYTES: u64 = 96 << 10;

type Keep = Box<dyn Fn(&str) -> bool + Send>;

pub(super) fn stream(
    tree: Arc<Inner>,
    prefix: String,
    keep: Keep,
    extra: Vec<(String, Vec<u8>)>,
) -> BoxStream<'static, Result<Bytes, io::Error>> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writer = Chunks {
            buffer: BytesMut::new(),
            sender: sender.clone(),
        };
        let written = write_all(&tree, &prefix, &keep, &extra, &mut writer);
        let written = written.and_then(|()| writer.flush());
        if let Err(error) = written {
            // Fails only when the reader is gone, which is one of the ways to get here.
            let _ = sender.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver).boxed()
}

fn write_all(
    tree: &Inner,
    prefix: &str,
    keep: &Keep,
    extra: &[(String, Vec<u8>)],
    writer: &mut Chunks,
) -> io::Result<()> {
    let repository = tree.repository();
    let mut large_files = None;
    let mut archive = Archive {
        builder: tar::Builder::new(writer),
        time: tree.committed_at,
        folders: HashSet::new(),
    };
    let replaced: HashSet<&[u8]> = extra.iter().map(|(path, _)| path.as_bytes()).collect();
    for file in &tree.files {
        let Some(path) = file.path.strip_prefix(prefix.as_bytes()) else {
            continue;
        };
        if replaced.contains(path) || !keep(&String::from_utf8_lossy(path)) {
            continue;
        }
        archive.folders_of(path)?;
        if file.kind != FileKind::Symlink && file.size_bytes > WHOLE_LIMIT_BYTES {
            let contents = match &mut large_files {
                Some(contents) => contents,
                None => large_files.insert(LargeFiles::open(repository.git_dir())?),
            };
            archive.large_file(path, file, contents)?;
            continue;
        }
        let content = walk::content(&repository, file).map_err(io::Error::other)?;
        match file.kind {
            FileKind::Symlink => archive.symlink(path, &content)?,
            FileKind::Plain => archive.file(path, 0o644, &content)?,
            FileKind::Executable => archive.file(path, 0o755, &content)?,
        }
    }
    for (path, content) in extra {
        archive.folders_of(path.as_bytes())?;
        archive.file(path.as_bytes(), 0o644, content)?;
    }
    archive.builder.finish()
}

/// The tar being written: one owner, one time, each folder before its first file.
struct Archive<'w> {
    builder: tar::Builder<&'w mut Chunks>,
    time: u64,
    folders: HashSet<Vec<u8>>,
}

impl Archive<'_> {
    fn header(&self, kind: tar::EntryType, mode: u32, size_bytes: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header.set_size(size_bytes);
        header
    }

    fn folders_of(&mut self, path: &[u8]) -> io::Result<()> {
        for (index, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let folder = path.get(..index).unwrap_or_default();
            if self.folders.insert(folder.to_vec()) {
                let mut header = self.header(tar::EntryType::Directory, 0o755, 0);
                self.builder
                    .append_data(&mut header, as_path(folder), io::empty())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8], mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Regular, mode, content.len() as u64);
        self.builder
            .append_data(&mut header, as_path(path), content)
    }

    fn symlink(&mut self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Symlink, 0o777, 0);
        self.builder
            .append_link(&mut header, as_path(path), as_path(target))
    }

    fn large_file(
        &mut self,
        path: &[u8],
        file: &File,
        contents: &mut LargeFiles,
    ) -> io::Result<()> {
        let mode = if file.kind == FileKind::Executable {
            0o755
        } else {
            0o644
        };
        let mut header = self.header(tar::EntryType::Regular, mode, file.size_bytes);
        contents.read(file, |content| {
            self.builder
                .append_data(&mut header, as_path(path), content)
        })
    }
}

/// Collects small writes into items of the stream; fails once its reader is gone.
struct Chunks {
    buffer: BytesMut,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.buffer.reserve(CHUNK_BYTES);
        }
        // No more than there is room for: a buffer that grows is a buffer copied.
        let room = CHUNK_BYTES.saturating_sub(self.buffer.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = self.buffer.split().freeze();
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
