//! A reader of the lines that are added to a log, across its rotations.

use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::tail::{Place, open};

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Reads a log on from some place. A slow reader reads the files; it slows nobody. One that is behind by more than a
/// whole file misses those between.
#[derive(Debug)]
pub struct Follower {
    reading: Reading,
    ticks: watch::Receiver<u64>,
}

#[derive(Debug, Default)]
struct Reading {
    path: PathBuf,
    place: Place,
    /// The beginning of a line whose end has not been written.
    unfinished: Vec<u8>,
}

impl Follower {
    pub(super) fn new(path: PathBuf, place: Place, ticks: watch::Receiver<u64>) -> Follower {
        let unfinished = Vec::new();
        Follower {
            reading: Reading {
                path,
                place,
                unfinished,
            },
            ticks,
        }
    }

    /// The next whole lines, as soon as there are any; `None` when the log has been moved or removed. To be dropped when
    /// cancelled.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            // Before the look: what is written during it is waited for no more.
            self.ticks.mark_unchanged();
            let is_last_look = self.ticks.has_changed().is_err();
            let mut reading = std::mem::take(&mut self.reading);
            let (reading, lines) = spawn_blocking(move || {
                let lines = reading.more();
                (reading, lines)
            })
            .await
            .map_err(io::Error::other)?;
            self.reading = reading;
            let lines = lines?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if is_last_look {
                return Ok(None);
            }
            // An end is looked at once more.
            let _ = self.ticks.changed().await;
        }
    }
}

impl Reading {
    /// Whole lines that have been added, at most some 64 KiB of them; none if there is nothing new.
    fn more(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if self.place.is_none() {
                self.place = open(&self.path)?.map(|file| (file, 0));
            }
            let Some((file, at)) = &mut self.place else {
                return Ok(Vec::new());
            };
            let mut block = vec![0; BLOCK_BYTES];
            let length = file.read_at(&mut block, *at)?;
            *at += length as u64;
            if length > 0 {
                block.truncate(length);
                self.unfinished.append(&mut block);
                if let Some(feed) = self.unfinished.iter().rposition(|byte| *byte == b'\n') {
                    let rest = self.unfinished.split_off(feed + 1);
                    return Ok(std::mem::replace(&mut self.unfinished, rest));
                }
                continue;
            }
            if !self.is_over()? {
                return Ok(Vec::new());
            }
        }
    }

    /// Whether another file has taken the place of the one that is read, of which all has been read. That one is let go
    /// then.
    fn is_over(&mut self) -> io::Result<bool> {
        let Some((file, at)) = &self.place else {
            return Ok(false);
        };
        let metadata = file.metadata()?;
        let is_current = open(&self.path)?
            .map(|current| current.metadata())
            .transpose()?
            .is_none_or(|current| {
                current.ino() == metadata.ino() && current.dev() == metadata.dev()
            });
        if is_current || file.metadata()?.len() > *at {
            // What was written between the last read and the rotation is read first.
            return Ok(!is_current);
        }
        self.place = None;
        self.unfinished.clear();
        Ok(true)
    }
}
