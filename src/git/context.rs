//! A tree as a tar stream, made on a blocking thread into a bounded channel.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::child;
use super::tree::Inner;
use super::walk::{self, File, FileKind};

/// Bytes of one item of the stream.
const CHUNK_BYTES: usize = 128 * 1024;

/// Items between the thread and the reader: 1 MiB in flight.
const CHUNKS: usize = 8;

/// A file larger than this is streamed from `git cat-file` instead of being read whole: gix decodes whole objects.
const WHOLE_LIMIT_BYTES: u64 = 32 << 20;

type Keep = Box<dyn Fn(&str) -> bool + Send>;

pub(super) fn stream(
    tree: Arc<Inner>,
    keep: Keep,
    extra: Vec<(String, Vec<u8>)>,
) -> BoxStream<'static, Result<Bytes, io::Error>> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writer = Chunks {
            buffer: BytesMut::with_capacity(CHUNK_BYTES),
            sender: sender.clone(),
        };
        let written = write_all(&tree, &keep, &extra, &mut writer).and_then(|()| writer.flush());
        if let Err(error) = written {
            // Fails only when the reader is gone, which is one of the ways to get here.
            let _ = sender.blocking_send(Err(error));
        }
    });
    ReceiverStream::new(receiver).boxed()
}

fn write_all(
    tree: &Inner,
    keep: &Keep,
    extra: &[(String, Vec<u8>)],
    writer: &mut Chunks,
) -> io::Result<()> {
    let repository = tree.repository();
    let mut archive = Archive {
        builder: tar::Builder::new(writer),
        time: tree.committed_at,
        folders: HashSet::new(),
    };
    let replaced: HashSet<&[u8]> = extra.iter().map(|(path, _)| path.as_bytes()).collect();
    for file in &tree.files {
        if replaced.contains(file.path.as_slice()) || !keep(&file.name()) {
            continue;
        }
        archive.folders_of(&file.path)?;
        if file.kind != FileKind::Symlink && file.size_bytes > WHOLE_LIMIT_BYTES {
            archive.large_file(file, repository.git_dir())?;
            continue;
        }
        let content = walk::content(&repository, file).map_err(io::Error::other)?;
        match file.kind {
            FileKind::Symlink => archive.symlink(&file.path, &content)?,
            FileKind::Plain => archive.file(&file.path, 0o644, &content)?,
            FileKind::Executable => archive.file(&file.path, 0o755, &content)?,
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

    fn large_file(&mut self, file: &File, repository: &Path) -> io::Result<()> {
        let mode = if file.kind == FileKind::Executable {
            0o755
        } else {
            0o644
        };
        let mut child = child::blocking_git()
            .arg("--git-dir")
            .arg(repository)
            .args(["cat-file", "blob"])
            .arg(file.id.to_hex().to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let written = match child.stdout.take() {
            Some(content) => {
                let mut content = Exactly {
                    inner: content,
                    left_bytes: file.size_bytes,
                };
                let mut header = self.header(tar::EntryType::Regular, mode, file.size_bytes);
                self.builder
                    .append_data(&mut header, as_path(&file.path), &mut content)
            }
            None => Err(io::Error::other("git gave no output")),
        };
        // Its output is closed by now, so it ends by itself; the signal is for the case that the reader left midway.
        let _ = child.kill();
        child.wait()?;
        written
    }
}

/// Reads exactly so many bytes: fewer is an error, since the tar has promised them; more are not read.
struct Exactly<R> {
    inner: R,
    left_bytes: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted =
            usize::try_from(self.left_bytes).map_or(buffer.len(), |left| left.min(buffer.len()));
        let Some(space) = buffer.get_mut(..wanted).filter(|space| !space.is_empty()) else {
            return Ok(0);
        };
        let count = self.inner.read(space)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left_bytes = self.left_bytes.saturating_sub(count as u64);
        Ok(count)
    }
}

/// Collects small writes into items of the stream; fails once its reader is gone.
struct Chunks {
    buffer: BytesMut,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
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
