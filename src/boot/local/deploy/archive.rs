//! The files as a packed tar, piece by piece into a channel: never more of them in memory than waits for the connection.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{Mode, OFlags};
use tokio::sync::mpsc::Sender;

use super::files::Chosen;
use crate::model::{Kind, Problem};

/// Bytes of a piece at most.
const PIECE_BYTES: usize = 64 * 1024;

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// To its end.
    Whole,
    /// The other side takes no more; it says why itself.
    Unwanted,
}

/// Packs the files. The compressor's checksum is at the very end: an archive that breaks off is none.
///
/// # Errors
/// A file cannot be read, or shrinks while it is read. Then the end of the archive is never sent.
pub(super) fn pack(chosen: &Chosen, pieces: Sender<Bytes>) -> Result<Packed, Problem> {
    let out = Pieces {
        buffer: BytesMut::new(),
        to: Some(pieces),
    };
    let mut builder = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
    for path in &chosen.paths {
        let path = Path::new(OsStr::from_bytes(path));
        if let Err(error) = add(&mut builder, &chosen.root, path) {
            // Dropped, the compressor would finish what it has begun.
            let out = builder.get_mut().get_mut();
            let is_unwanted = out.is_unwanted();
            out.to = None;
            if is_unwanted {
                return Ok(Packed::Unwanted);
            }
            return Err(unreadable(&chosen.root.join(path), &error));
        }
    }
    let finished = builder.into_inner().and_then(GzEncoder::finish);
    let flushed = finished.and_then(|mut out| out.flush());
    Ok(if flushed.is_ok() {
        Packed::Whole
    } else {
        Packed::Unwanted
    })
}

fn add(builder: &mut tar::Builder<impl Write>, root: &Path, path: &Path) -> io::Result<()> {
    let full = root.join(path);
    let found = fs::symlink_metadata(&full)?;
    if found.is_symlink() {
        let target: PathBuf = fs::read_link(&full)?;
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        return builder.append_link(&mut header, path, target);
    }
    // Whatever takes its place meanwhile: a pipe is not waited for, a link not followed.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(&full, flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is neither a file nor a link"));
    }
    let mode = if found.permissions().mode() & 0o111 == 0 {
        0o644
    } else {
        0o755
    };
    let size_bytes = found.len();
    let mut header = header(tar::EntryType::Regular, mode, size_bytes);
    let mut content = Exactly {
        rest: size_bytes,
        file,
    };
    builder.append_data(&mut header, path, &mut content)
}

fn header(kind: tar::EntryType, mode: u32, size_bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size_bytes);
    header
}

/// As many bytes of a file as it had when it was opened: what it grows by is left out, and one that shrinks is an error.
struct Exactly {
    rest: u64,
    file: File,
}

impl Read for Exactly {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.rest).map_or(into.len(), |rest| rest.min(into.len()));
        let into = into.get_mut(..most).unwrap_or_default();
        let length = self.file.read(into)?;
        if length == 0 && self.rest > 0 && !into.is_empty() {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.rest = self.rest.saturating_sub(length as u64);
        Ok(length)
    }
}

/// Collects small writes into pieces.
struct Pieces {
    buffer: BytesMut,
    /// `None` once nothing more is to be sent.
    to: Option<Sender<Bytes>>,
}

impl Pieces {
    fn is_unwanted(&self) -> bool {
        self.to.as_ref().is_none_or(Sender::is_closed)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= PIECE_BYTES {
            self.flush()?;
        }
        let room = PIECE_BYTES.saturating_sub(self.buffer.len());
        let part = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        let sent = self.to.as_ref().map(|to| to.blocking_send(piece));
        match sent {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        Kind::Invalid,
        "Nothing was deployed: a file could not be packed",
        format!("{}: {error}", path.display()),
        "Leave it out with a line in .dockerignore or .gitignore, or let yourself read it, and deploy again",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::mpsc;

    use super::*;

    fn chosen(root: &Path, paths: &[&str]) -> Chosen {
        let paths: BTreeSet<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        Chosen {
            root: root.to_owned(),
            paths,
            total_bytes: 0,
            warnings: Vec::new(),
        }
    }

    /// Packs, and gives what was sent of it.
    fn packed(chosen: &Chosen) -> (Result<Packed, Problem>, Vec<u8>) {
        let (pieces, mut sent) = mpsc::channel::<Bytes>(4);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            while let Some(piece) = sent.blocking_recv() {
                all.extend_from_slice(&piece);
            }
            all
        });
        let result = pack(chosen, pieces);
        (result, reader.join().unwrap())
    }

    #[test]
    fn files_links_and_modes_arrive_with_relative_paths() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let long = format!("{}/x", "folder/".repeat(30).trim_end_matches('/'));
        fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
        fs::write(root.join(&long), "deep").unwrap();
        fs::write(root.join("run"), vec![b'x'; 300_000]).unwrap();
        fs::set_permissions(root.join("run"), PermissionsExt::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("run", root.join("link")).unwrap();
        let (result, sent) = packed(&chosen(root, &["link", "run", &long]));
        assert_eq!(result.unwrap(), Packed::Whole);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(sent.as_slice()));
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            let link = entry
                .link_name()
                .unwrap()
                .map(|link| link.display().to_string());
            found.push((path, header.mode().unwrap(), header.size().unwrap(), link));
        }
        found.sort();
        assert_eq!(
            found,
            [
                (long, 0o644, 4, None),
                ("link".to_owned(), 0o777, 0, Some("run".to_owned())),
                ("run".to_owned(), 0o755, 300_000, None),
            ]
        );
    }

    #[test]
    fn what_breaks_off_never_looks_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("a"), vec![b'x'; 100]).unwrap();
        for (missing, why) in [
            ("none", "No such file"),
            ("pipe", "neither a file nor a link"),
        ] {
            if missing == "pipe" {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), mode).unwrap();
            }
            let (result, sent) = packed(&chosen(root, &["a", missing]));
            let problem = result.unwrap_err();
            assert!(problem.why.contains(why), "{problem}");
            let mut plain = Vec::new();
            let read = flate2::read::GzDecoder::new(sent.as_slice()).read_to_end(&mut plain);
            assert!(read.is_err(), "{} bytes", plain.len());
        }
    }

    #[test]
    fn a_server_that_takes_no_more_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), vec![b'x'; 100]).unwrap();
        let (pieces, sent) = mpsc::channel(1);
        drop(sent);
        let result = pack(&chosen(folder.path(), &["a"]), pieces);
        assert_eq!(result.unwrap(), Packed::Unwanted);
    }
}
