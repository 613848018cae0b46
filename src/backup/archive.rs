//! The archive on its way out: tar, compressed by zstd, sealed. Nothing is held but the piece in hand.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::BackupError;
use super::envelope::Sealed;
use super::manifest::{FileFacts, HEAD, Head, MANIFEST, Manifest, hexadecimal};
use crate::model::{AppName, Secret, Timestamp};

/// zstd's own default: packs are compressed already, databases shrink to a third.
const LEVEL: i32 = 3;
/// The longest piece of what comes without a length known before; each is an entry of its own.
pub(super) const PIECE_BYTES: usize = 4 << 20;

/// An archive that is being written.
pub(super) struct Archive<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, Sealed<W>>>,
    files: BTreeMap<String, FileFacts>,
    made_at: u64,
}

impl<W: Write> Archive<W> {
    /// Begins with the head.
    ///
    /// # Errors
    /// `Write`, `Randomness`.
    pub(super) fn begin(out: W, passphrase: &Secret, head: &Head) -> Result<Self, BackupError> {
        let sealed = Sealed::begin(out, passphrase)?;
        let encoder = zstd::Encoder::new(sealed, LEVEL).map_err(BackupError::Write)?;
        let made_at = head.created_at.as_second();
        let mut archive = Self {
            tar: tar::Builder::new(encoder),
            files: BTreeMap::new(),
            made_at: u64::try_from(made_at).unwrap_or_default(),
        };
        archive.add(HEAD, &json(head)?)?;
        Ok(archive)
    }

    /// Adds a file of this content.
    ///
    /// # Errors
    /// `Write`.
    pub(super) fn add(&mut self, path: &str, content: &[u8]) -> Result<(), BackupError> {
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.append(path, bytes, content)
    }

    /// Adds a file as it is on the disk, which nobody writes meanwhile.
    ///
    /// # Errors
    /// `File`, `Write`.
    pub(super) fn add_file(&mut self, path: &str, from: &Path) -> Result<(), BackupError> {
        let failed = |error| BackupError::file(path, error);
        let file = File::open(from).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        self.append(path, bytes, file)
    }

    /// Adds what comes as entries `FOLDER/0000000` and so on.
    ///
    /// # Errors
    /// `File` if it cannot be read, `Write`.
    pub(super) fn add_pieces(
        &mut self,
        folder: &str,
        mut source: impl Read,
    ) -> Result<(), BackupError> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        for number in 0.. {
            piece.clear();
            let limit = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
            source
                .by_ref()
                .take(limit)
                .read_to_end(&mut piece)
                .map_err(|error| BackupError::file(folder, error))?;
            if piece.is_empty() {
                break;
            }
            self.add(&format!("{folder}/{number:07}"), &piece)?;
        }
        Ok(())
    }

    /// Writes the list of all files and the end. Returns how many files there are and how long they are in all, bytes.
    ///
    /// # Errors
    /// `Write`.
    pub(super) fn finish(
        mut self,
        without_repository: Vec<AppName>,
    ) -> Result<(W, Manifest), BackupError> {
        let manifest = Manifest {
            files: std::mem::take(&mut self.files),
            without_repository,
        };
        self.add(MANIFEST, &json(&manifest)?)?;
        let out = self
            .tar
            .into_inner()
            .and_then(zstd::Encoder::finish)
            .and_then(Sealed::finish)
            .map_err(BackupError::Write)?;
        Ok((out, manifest))
    }

    fn append(&mut self, path: &str, bytes: u64, content: impl Read) -> Result<(), BackupError> {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).map_err(BackupError::Write)?;
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(self.made_at);
        header.set_cksum();
        let mut content = Digested {
            source: content.take(bytes),
            context: Context::new(&SHA256),
            bytes: 0,
        };
        self.tar
            .append(&header, &mut content)
            .map_err(BackupError::Write)?;
        if content.bytes != bytes {
            let error = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(BackupError::file(path, error));
        }
        let facts = FileFacts {
            bytes,
            sha256: hexadecimal(content.context.finish().as_ref()),
        };
        self.files.insert(path.to_owned(), facts);
        Ok(())
    }
}

/// What is read, with its digest so far.
struct Digested<R> {
    source: R,
    context: Context,
    bytes: u64,
}

impl<R: Read> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.context.update(buffer.get(..count).unwrap_or_default());
        self.bytes += u64::try_from(count).unwrap_or_default();
        Ok(count)
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, BackupError> {
    serde_json::to_vec_pretty(value).map_err(|error| BackupError::Write(error.into()))
}

/// The head of an archive that is made now.
pub(super) fn head(schema: usize, created_at: Timestamp) -> Head {
    Head {
        format: super::manifest::WITHOUT_STORAGE,
        mini: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        created_at,
        host: host(),
    }
}

/// The name of this machine.
pub(super) fn host() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}
