//! A queue of bytes that keeps so much in memory and the rest in a file without a name.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// How much a spool may hold.
#[derive(Debug, Clone)]
pub(super) struct SpoolLimits {
    /// In memory, bytes.
    pub(super) memory_bytes: u64,
    /// In memory and on disk together, bytes; beyond it the writer has to wait.
    pub(super) total_bytes: u64,
    /// Where the file is made.
    pub(super) folder: PathBuf,
}

/// Bytes are written to the file, and read from it, in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;

/// What a piece in memory takes beside its bytes. Without it, a client that sends them one by one has some sixty times as much
/// kept as the limit says.
const PIECE_COST_BYTES: u64 = 64;

/// A first-in, first-out queue: `front` is oldest, then the file from `read_at` to `write_at`, then `back`.
#[derive(Debug)]
pub(super) struct Spool {
    limits: SpoolLimits,
    front: VecDeque<Bytes>,
    front_bytes: u64,
    file: Option<Arc<File>>,
    read_at: u64,
    write_at: u64,
    back: BytesMut,
}

impl Spool {
    pub(super) fn new(limits: SpoolLimits) -> Self {
        Self {
            limits,
            front: VecDeque::new(),
            front_bytes: 0,
            file: None,
            read_at: 0,
            write_at: 0,
            back: BytesMut::new(),
        }
    }

    fn on_disk_bytes(&self) -> u64 {
        self.write_at.saturating_sub(self.read_at)
    }

    fn len_bytes(&self) -> u64 {
        self.front_bytes
            .saturating_add(self.on_disk_bytes())
            .saturating_add(self.back.len() as u64)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    /// Whether more may be pushed; one push may go over the limit.
    pub(super) fn has_room(&self) -> bool {
        self.len_bytes() < self.limits.total_bytes
    }

    /// Appends; waits for the disk where memory is full.
    pub(super) async fn push(&mut self, bytes: Bytes) -> io::Result<()> {
        let nothing_behind = self.on_disk_bytes() == 0 && self.back.is_empty();
        let cost = PIECE_COST_BYTES.saturating_mul(self.front.len() as u64);
        if nothing_behind && self.front_bytes.saturating_add(cost) < self.limits.memory_bytes {
            self.front_bytes = self.front_bytes.saturating_add(bytes.len() as u64);
            self.front.push_back(bytes);
            return Ok(());
        }
        self.back.extend_from_slice(&bytes);
        if self.back.len() >= PIECE_BYTES {
            let piece = self.back.split().freeze();
            let file = self.file().await?;
            let at = self.write_at;
            self.write_at = at.saturating_add(piece.len() as u64);
            off_thread(move || file.write_all_at(&piece, at)).await?;
        }
        Ok(())
    }

    /// Takes the oldest bytes, some or all; `None` when there are none.
    pub(super) async fn pop(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(bytes) = self.front.pop_front() {
            self.front_bytes = self.front_bytes.saturating_sub(bytes.len() as u64);
            return Ok(Some(bytes));
        }
        let on_disk = self.on_disk_bytes();
        if on_disk > 0 {
            let file = self.file().await?;
            let at = self.read_at;
            let size = usize::try_from(on_disk).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let bytes = off_thread(move || {
                let mut bytes = vec![0; size];
                file.read_exact_at(&mut bytes, at)?;
                Ok(Bytes::from(bytes))
            })
            .await?;
            self.read_at = at.saturating_add(bytes.len() as u64);
            if self.read_at == self.write_at {
                // All read: the file gives its space back.
                self.file = None;
                (self.read_at, self.write_at) = (0, 0);
            }
            return Ok(Some(bytes));
        }
        if self.back.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.back.split().freeze()))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits.clone());
    }

    async fn file(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let folder = self.limits.folder.clone();
        let file = Arc::new(off_thread(move || nameless(&folder)).await?);
        self.file = Some(file.clone());
        Ok(file)
    }
}

/// A file that is gone with its last user, also after a crash.
fn nameless(folder: &std::path::Path) -> io::Result<File> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    let path = folder.join(format!(".spool.{number:016x}"));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

async fn off_thread<T, F>(work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(memory_bytes: u64, total_bytes: u64, folder: &tempfile::TempDir) -> Spool {
        Spool::new(SpoolLimits {
            memory_bytes,
            total_bytes,
            folder: folder.path().to_owned(),
        })
    }

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in_however_reads_and_writes_mix() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(100_000, u64::MAX, &folder);
        let piece = |n: u32| Bytes::from(n.to_be_bytes().repeat(10_000));
        let (mut written, mut read) = (Vec::new(), Vec::new());
        for n in 0..120 {
            let bytes = piece(n);
            written.extend_from_slice(&bytes);
            spool.push(bytes).await.unwrap();
            if n % 3 == 0 || (60..90).contains(&n) {
                read.extend_from_slice(&spool.pop().await.unwrap().unwrap());
            }
        }
        while let Some(bytes) = spool.pop().await.unwrap() {
            read.extend_from_slice(&bytes);
        }
        assert!(read == written);
        assert!(spool.is_empty());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// A client that sent its input byte by byte had many times the limit kept in memory.
    #[tokio::test]
    async fn small_pieces_count_for_what_they_take() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(10 * PIECE_COST_BYTES, u64::MAX, &folder);
        for _ in 0..1000 {
            spool.push(Bytes::from_static(b"x")).await.unwrap();
        }
        assert!(spool.front.len() <= 10, "{}", spool.front.len());
        let mut read = 0;
        while let Some(bytes) = spool.pop().await.unwrap() {
            read += bytes.len();
        }
        assert_eq!(read, 1000);
    }

    #[tokio::test]
    async fn a_full_spool_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = spool(10, 20, &folder);
        spool.push(Bytes::from_static(b"0123456789")).await.unwrap();
        assert!(spool.has_room());
        spool.push(Bytes::from_static(b"0123456789")).await.unwrap();
        assert!(!spool.has_room());
        spool.pop().await.unwrap();
        assert!(spool.has_room());
    }
}
