//! Owns the access logs: one file of JSON lines for each app, written, rotated, read back and followed.
//! Must not know who reads them, nor what an app is beyond its name.
//!
//! The proxy hands over records in batches; one thread of this module makes lines of them and appends those to
//! `<data_dir>/logs/access/<app>.log`. When a file is full it becomes `<app>.log.1`, in place of the one before.

mod files;
mod follow;
mod line;
mod tail;
mod writer;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mini_proxy::AccessLog;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::model::AppName;

use files::Files;
pub use follow::Follower;

/// Requests that began so long after a rename may still be recorded under the old name; the routes follow within
/// milliseconds.
const RENAME_GRACE: Duration = Duration::from_secs(10);

/// Whose requests a log is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogName {
    /// Those of an app.
    App(AppName),
    /// Those that no app answered: unknown hosts and requests that are none.
    Unrouted,
}

impl LogName {
    /// The name of its file without the ending. No app can be called `_unrouted`.
    fn as_str(&self) -> &str {
        match self {
            LogName::App(app) => app.as_str(),
            LogName::Unrouted => UNROUTED,
        }
    }
}

const UNROUTED: &str = "_unrouted";

/// The access logs of an installation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLogs {
    files: Arc<Mutex<Files>>,
    writer: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

impl AccessLogs {
    /// Opens or makes `<data_dir>/logs/access` (0700). A file holds at most `max_bytes`; each log has two. Blocks.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub fn open(data_dir: &Path, max_bytes: u64) -> io::Result<AccessLogs> {
        let files = Files::open(data_dir.join("logs").join("access"), max_bytes)?;
        Ok(AccessLogs {
            files: Arc::new(Mutex::new(files)),
            writer: Arc::default(),
        })
    }

    /// Writes what the proxy records, on a thread of its own that ends with `records`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn write(&self, records: AccessLog) -> io::Result<()> {
        let files = Arc::clone(&self.files);
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || {
                writer::run(records, &files);
                let _ = ended.send(());
            })?;
        *lock(&self.writer) = Some(end);
        Ok(())
    }

    /// Whether anything is written.
    pub fn is_on(&self) -> bool {
        lock(&self.writer).is_some()
    }

    /// Waits until all records are written. The proxy must have shut down.
    pub async fn close(&self) {
        let end = lock(&self.writer).take();
        if let Some(end) = end {
            let _ = end.await;
        }
    }

    /// The last `num` lines, oldest first, and a reader of those that come after them.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(&self, name: &LogName, num: usize) -> io::Result<(Vec<u8>, Follower)> {
        let (files, name) = (Arc::clone(&self.files), name.clone());
        blocking(move || {
            let (path, ticks) = lock(&files).subscribe(name.as_str());
            let (lines, place) = tail::last_lines(&path, num)?;
            Ok((lines, Follower::new(path, place, ticks)))
        })
        .await
    }

    /// Removes the log of an app that is gone. Records of requests that it was still answering go nowhere.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub async fn remove(&self, app: &AppName) -> io::Result<()> {
        let (files, app) = (Arc::clone(&self.files), app.clone());
        blocking(move || lock(&files).remove(app.as_str(), SystemTime::now())).await
    }

    /// Gives the log of an app to its new name. Who follows it under the old one comes to the end.
    ///
    /// # Errors
    /// If a file cannot be moved.
    pub async fn rename(&self, old: &AppName, new: &AppName) -> io::Result<()> {
        let (files, old, new) = (Arc::clone(&self.files), old.clone(), new.clone());
        let until = SystemTime::now() + RENAME_GRACE;
        blocking(move || lock(&files).rename(old.as_str(), new.as_str(), until)).await
    }

    /// Removes the logs of all apps but these: a server that was killed while it destroyed an app leaves one.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub async fn keep_only(&self, apps: impl Iterator<Item = AppName>) -> io::Result<()> {
        let files = Arc::clone(&self.files);
        let mut names: HashSet<String> = apps.map(String::from).collect();
        names.insert(UNROUTED.to_owned());
        blocking(move || lock(&files).keep_only(&names)).await
    }
}

async fn blocking<T: Send + 'static>(
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(job).await.map_err(io::Error::other)?
}

/// A panic while one of these locks was held leaves nothing half done that the next write would not mend.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
