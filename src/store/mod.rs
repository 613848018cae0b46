//! Owns all SQL: the database files, their migrations, and transactions named after what they mean.
//! Must not know containers, git, or when a transaction ought to happen.
//!
//! | what `Store` can do | file |
//! | --- | --- |
//! | open, close, instance id | `mod`, `open` |
//! | bring a database forward, keep a copy of what it was, go back to it | `migrate`, `copies`, `unproven` |
//! | apps: create, list, rename, destroy, branch, stop | `apps` |
//! | domains of apps and of the server | `domains` |
//! | routes and redirects | `routes` |
//! | certificates, their keys sealed | `certificates`, `seal` |
//! | orders for certificates, our account at the authority | `orders` |
//! | how apps are built | `builder` |
//! | config vars, sealed, of an app and of all apps | `config`, `seal` |
//! | apps that take no new source | `app_locks` |
//! | scale, requests to restart | `scale` |
//! | releases: add, promote, prune | `releases` |
//! | deploys: add, step, finish, list | `deploys` |
//! | the rows of a deploy and of its release, together | `pipeline` |
//! | SSH keys | `keys` |
//! | what repositories elsewhere ask for | `git_credentials`, `git_ssh` |
//! | how much there is of everything | `census` |
//! | settings of the proxy, by app | `proxy_settings` |
//! | apps that are closed, passwords they ask for, pages of their own | `maintenance`, `http_auth`, `proxy_pages` |
//! | until when requests for an app wait | `pauses` |
//! | for which apps certificates are ordered | `automatic` |
//! | everything for the reconciler, and when it has changed | `desired`, `changes`, `part` |
//! | ports of the host that lead to apps | `ports` |
//! | copies of the whole, while it is written | `copy` |
//! | a data directory that is put back | `restored` |
//! | the schedule of backups and a record of each | `backups` |
//!
//! `event_log` is the second database, the rows of the journal in `crate::events`.
//!
//! Moments are stored in whole microseconds; what a method returns is what a later read returns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Transaction;
use tokio::sync::watch;

mod app_creation;
mod app_locks;
mod apps;
mod automatic;
mod backups;
mod builder;
mod census;
mod certificates;
mod changes;
mod clone;
mod config;
mod connection;
mod copies;
mod copy;
mod deploys;
mod desired;
mod domains;
mod error;
mod event_log;
mod git_credentials;
mod git_ssh;
mod http_auth;
mod keys;
mod lock;
mod maintenance;
mod migrate;
mod named_values;
mod new_file;
#[cfg(debug_assertions)]
mod next_schema;
mod open;
mod orders;
mod part;
mod pauses;
mod pipeline;
mod ports;
mod process_settings;
mod proxy;
mod proxy_pages;
mod proxy_settings;
mod releases;
mod restored;
mod routes;
mod row;
mod scale;
mod seal;
mod storage;
mod unproven;
mod worker;

pub use census::Census;
pub use certificates::CertificatePem;
pub use copies::Restored;
pub use copy::{CopiedApp, apps_of_copy, check_database, copy_database, newest_schema};
pub use desired::Desired;
pub use error::StoreError;
pub(crate) use event_log::{Change, EventLog, EventReader, EventRow};
pub use new_file::NewFile;
pub use orders::OrderBook;
pub use part::Part;
pub use restored::Restoring;

use worker::Worker;

use crate::model::Timestamp;

/// The database of an installation. Cheap to clone; the file closes with [`Store::close`], or by and by when the last
/// clone is gone.
///
/// A write that has been called for happens, whole or not at all, even when its caller stops waiting. A read sees every
/// write that was answered before it. It is on the disk when it is answered, but for those that say "soon": what nobody
/// was told yet need not wait for the disk (the steps of a deploy on its way). These survive the end of the process, and
/// are on the disk with the next write that is not one of them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Worker,
    readers: Worker,
    seal: Arc<seal::Seal>,
    changes: Arc<changes::Changes>,
    desired: desired::Memory,
    instance: String,
    /// Where `mini.db` is.
    path: PathBuf,
    pages: Arc<proxy_pages::Kept>,
    /// Changes with every SSH key that is removed.
    key_removals: watch::Sender<u64>,
}

impl Store {
    /// Opens or creates `<data_dir>/mini.db` and `<data_dir>/keys/config.key` (0600), migrating forward, and keeps every
    /// other store out of the folder until it is closed. Reads the whole file to find damage. Blocks: call it before the
    /// runtime, or off its threads.
    ///
    /// # Errors
    /// `InUse`, `Newer`, `Damaged`, `ReadOnly`, `Key`, `DiskFull` or `File`. Nothing but the lock file and, in a folder
    /// that was new, a key that the next call uses is left behind.
    pub fn open(data_dir: &Path) -> Result<Store, StoreError> {
        open::open(data_dir).map(|inner| Store {
            inner: Arc::new(inner),
        })
    }

    /// Puts the databases of `data_dir` that a newer mini has brought forward back to the copies it made before, and says which
    /// those were; none where this mini can read them as they are. What was written since the copy is lost, but for the newer
    /// file, which is set aside in `<data_dir>/copies`. Blocks.
    ///
    /// # Errors
    /// `InUse` while a server runs; `NoCopy` with nothing changed; `Damaged`, `DiskFull`, `ReadOnly`, `File`.
    pub fn restore_copies(data_dir: &Path) -> Result<Vec<Restored>, StoreError> {
        copies::restore(data_dir, &databases())
    }

    /// Whether this mini can read the databases of `data_dir`, after those were put back that a newer mini has brought forward
    /// without ever serving with them. Blocks.
    ///
    /// # Errors
    /// `Newer`; `InUse` while a server runs; `Damaged`, `DiskFull`, `ReadOnly`, `File`.
    pub fn check_schema(data_dir: &Path) -> Result<(), StoreError> {
        open::check_schema(data_dir)
    }

    /// Says that this mini is about to serve with the databases as they are: if they were brought forward, an older mini
    /// does not put them back unasked any more.
    ///
    /// # Errors
    /// `ReadOnly`, `DiskFull`, `File`.
    pub async fn trust_schema(&self) -> Result<(), StoreError> {
        let path = self.inner.path.clone();
        tokio::task::spawn_blocking(move || copies::trust(&path))
            .await
            .map_err(|_| StoreError::Closed)?
    }

    /// Has an older mini put the databases back unasked that were brought forward since `since`, although a server has served
    /// with them; the answer is whether there are any. A server may run on the data directory. Blocks.
    ///
    /// # Errors
    /// `ReadOnly`, `DiskFull`, `File`.
    pub fn doubt_schema(data_dir: &Path, since: Timestamp) -> Result<bool, StoreError> {
        copies::doubt(&data_dir.join(open::DATABASE), since)
    }

    /// Finishes what is queued, closes the file, and lets another store into the folder. Every later call on any clone
    /// is answered with `Closed`.
    ///
    /// # Errors
    /// None so far.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.readers.close().await;
        self.inner.desired.clear();
        self.inner.writer.close().await;
        Ok(())
    }

    /// The id of this installation: six characters of `a-z0-9`, made once and kept; also in `<data_dir>/instance`. It
    /// tells our containers from those of another mini on the same Docker.
    pub fn instance(&self) -> String {
        self.inner.instance.clone()
    }

    /// Changes whenever something was written that [`Store::desired`] answers; whoever waits for it cannot miss a write,
    /// whichever command it came from.
    pub fn desired_changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.told()
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.write(job).await
    }

    /// A write that a loss of power may take back until a later one of [`Store::write`] is answered.
    async fn write_soon<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.write_soon(job).await
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.read(job).await
    }
}

/// Every database of a data directory, with what this mini knows of it.
fn databases() -> [(&'static str, &'static [&'static str]); 2] {
    [
        (open::DATABASE, migrate::state()),
        (event_log::DATABASE, migrate::events()),
    ]
}

#[cfg(test)]
pub(crate) use tests::fixtures::{dumped_events, laid_out_events};

#[cfg(test)]
mod tests;
