//! The thread that makes lines of records and adds them to the logs.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mini_proxy::{AccessBatch, AccessLog};

use super::files::Files;
use super::line::LineWriter;
use super::{UNROUTED, lock};

/// How many batches are written together at most.
const BATCHES: usize = 16;
/// How many logs keep the memory their lines were made in.
const KEPT_BUFFERS: usize = 64;
/// At most so much of it each, bytes.
const KEPT_BYTES: usize = 256 * 1024;
/// How long to be silent about a trouble that goes on.
const SILENCE: Duration = Duration::from_secs(60);

/// Writes until `records` ends.
pub(super) fn run(mut records: AccessLog, files: &Mutex<Files>) {
    let mut lines = Lines::default();
    let mut troubles = Troubles::default();
    while let Some(first) = records.blocking_next() {
        let mut files = lock(files);
        troubles.lost += lines.add(&first, &files);
        for _ in 1..BATCHES {
            let Some(next) = records.try_next() else {
                break;
            };
            troubles.lost += lines.add(&next, &files);
        }
        lines.append_to(&mut files, &mut troubles);
        drop(files);
        troubles.report();
    }
}

/// Lines by the name of their log.
#[derive(Default)]
struct Lines {
    by_log: HashMap<String, Vec<u8>>,
    writer: LineWriter,
}

impl Lines {
    /// Answers how many records are missing before these.
    fn add(&mut self, batch: &AccessBatch, files: &Files) -> u64 {
        for record in batch.iter() {
            let name = record.service.as_deref().unwrap_or(UNROUTED);
            let Some(owner) = files.owner(name, record.at) else {
                continue;
            };
            if !self.by_log.contains_key(owner) {
                self.by_log.insert(owner.to_owned(), Vec::new());
            }
            if let Some(lines) = self.by_log.get_mut(owner) {
                self.writer.write(&record, lines);
            }
        }
        batch.dropped()
    }

    fn append_to(&mut self, files: &mut Files, troubles: &mut Troubles) {
        for (name, lines) in &mut self.by_log {
            if lines.is_empty() {
                continue;
            }
            if let Err(error) = files.append(name, lines) {
                troubles.failed = Some((name.clone(), error));
            }
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
        }
        if self.by_log.len() > KEPT_BUFFERS {
            self.by_log.clear();
        }
    }
}

/// What went wrong and was not told yet. A full disk fails every write: told once a minute, it is told enough.
#[derive(Default)]
struct Troubles {
    lost: u64,
    failed: Option<(String, std::io::Error)>,
    told_at: Option<Instant>,
}

impl Troubles {
    fn report(&mut self) {
        let is_silent = self.told_at.is_some_and(|told| told.elapsed() < SILENCE);
        if is_silent || (self.lost == 0 && self.failed.is_none()) {
            return;
        }
        self.told_at = Some(Instant::now());
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            tracing::warn!(
                requests = lost,
                "requests are missing in the access logs: they came faster than the disk takes them"
            );
        }
        if let Some((log, error)) = self.failed.take() {
            tracing::warn!(%log, %error, "an access log cannot be written");
        }
    }
}
