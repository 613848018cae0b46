//! Copies of a database file, whole and as of one moment, while it is written: for backups, and before a migration.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{Store, StoreError, migrate, row};
use crate::model::{AppId, AppName, CommitId, ReleaseStatus, ReleaseVersion};

/// The pages of one step: all of them, so that no write of another connection makes the copy begin anew. Writers are not
/// held up by it, for the file is in WAL mode (<https://sqlite.org/backup.html>).
const ALL_PAGES: std::ffi::c_int = -1;

/// Copies the database file `from` to the new file `to` (0600), by SQLite's backup API: one moment of it, sound, without a
/// write-ahead log beside it, and on the disk when this returns. Others may write `from` meanwhile. Blocks.
///
/// # Errors
/// `Damaged` if `from` is no database, `DiskFull`, `ReadOnly`, or `File`, also where `to` is there already; then no new
/// file is left behind.
pub fn copy_database(from: &Path, to: &Path) -> Result<(), StoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let failed = |error| StoreError::file(&name, error);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(failed)?;
    let copied = copy(from, to).and_then(|()| {
        let folder = to.parent().unwrap_or(Path::new("/"));
        File::open(to)
            .and_then(|file| file.sync_all())
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(failed)
    });
    if copied.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(to);
        let _ = fs::remove_file(beside(to, "-journal"));
    }
    copied
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let source = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    source.busy_timeout(std::time::Duration::from_secs(5))?;
    let mut target = Connection::open(to)?;
    // The copy is written once and synced at the end; a journal of it would be written for nothing.
    target.pragma_update(None, "journal_mode", "OFF")?;
    target.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&source, &mut target)?;
    let mut tries = 0;
    loop {
        match backup.step(ALL_PAGES)? {
            StepResult::Done => break,
            // Another process recovers the log just now; it takes moments.
            StepResult::Busy | StepResult::Locked if tries < 100 => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            _ => {
                return Err(StoreError::file(
                    "the copy of the database",
                    io::Error::from(io::ErrorKind::ResourceBusy),
                ));
            }
        }
    }
    drop(backup);
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Reads a database file of ours from beginning to end, compares its parts, and returns its schema version. Nothing is
/// changed. Blocks.
///
/// # Errors
/// `Damaged` with the first thing that is wrong; `Newer` if this mini does not know its schema.
pub fn check_database(path: &Path) -> Result<usize, StoreError> {
    if !path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(StoreError::Damaged(format!("{name} is missing")));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let version = migrate::version(&connection, migrate::state())?;
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Damaged(verdict));
    }
    connection.close().map_err(|(_, error)| error)?;
    Ok(version)
}

/// The newest schema of `mini.db` that this mini knows.
pub fn newest_schema() -> usize {
    migrate::state().len()
}

/// What a copy says of an app, without a key: enough to know which commits it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedApp {
    /// Its id.
    pub id: AppId,
    /// Its name.
    pub name: AppName,
    /// The release that serves.
    pub current: Option<ReleaseVersion>,
    /// Its releases with the commit each was made from.
    pub releases: Vec<(ReleaseVersion, Option<CommitId>)>,
}

/// The apps in a copy of the database. Blocks.
///
/// # Errors
/// `Damaged` if a row does not read.
pub fn apps_of_copy(path: &Path) -> Result<Vec<CopiedApp>, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut apps: BTreeMap<i64, CopiedApp> = BTreeMap::new();
    let mut named = connection.prepare("SELECT id, name FROM apps")?;
    let mut rows = named.query([])?;
    while let Some(found) = rows.next()? {
        let id = AppId(found.get("id")?);
        let app = CopiedApp {
            id,
            name: row::text(found, "name")?,
            current: None,
            releases: Vec::new(),
        };
        apps.insert(id.0, app);
    }
    let mut made = connection
        .prepare("SELECT app_id, version, status, commit_id FROM releases ORDER BY 1, 2")?;
    let mut rows = made.query([])?;
    while let Some(found) = rows.next()? {
        let Some(app) = apps.get_mut(&found.get::<_, i64>("app_id")?) else {
            continue;
        };
        let version = ReleaseVersion(found.get("version")?);
        let status: ReleaseStatus = row::text(found, "status")?;
        if status == ReleaseStatus::Current {
            app.current = Some(version);
        }
        app.releases
            .push((version, row::optional_text(found, "commit_id")?));
    }
    Ok(apps.into_values().collect())
}

impl Store {
    /// Copies the open database to the new file `to`, as [`copy_database`] does. It has every write that was answered
    /// before the call.
    ///
    /// # Errors
    /// As [`copy_database`]; `Closed`.
    pub async fn copy_to(&self, to: PathBuf) -> Result<(), StoreError> {
        let from = self.inner.path.clone();
        // Not on the writer's thread: commits go on.
        tokio::task::spawn_blocking(move || copy_database(&from, &to))
            .await
            .map_err(|_| StoreError::Closed)?
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_made_while_it_is_written_is_one_moment_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        let app = |number: u32| format!("app-{number}").parse().unwrap();
        for number in 0..20 {
            let now = crate::model::Timestamp::UNIX_EPOCH;
            store.create_app(&app(number), now).await.unwrap();
        }
        let writer = store.clone();
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(async move {
            let mut number = 20;
            while stopped.try_recv().is_err() {
                let now = crate::model::Timestamp::UNIX_EPOCH;
                writer.create_app(&app(number), now).await.unwrap();
                number += 1;
            }
            number
        });
        let mut before = 20;
        for copy in 0..5 {
            let path = folder.path().join(format!("{copy}.db"));
            store.copy_to(path.clone()).await.unwrap();
            assert!(!beside(&path, "-wal").exists());
            assert_eq!(check_database(&path).unwrap(), newest_schema());
            let connection = Connection::open(&path).unwrap();
            let count =
                |query: &str| -> u32 { connection.query_row(query, [], |row| row.get(0)).unwrap() };
            let found = count("SELECT count(*) FROM apps");
            assert!(found >= before, "{found} apps after {before}");
            // They were written one after another: none is missing in between.
            assert_eq!(count("SELECT max(id) FROM apps"), found);
            before = found;
        }
        stop.send(()).unwrap();
        assert!(writing.await.unwrap() >= before);
    }

    #[test]
    fn what_is_no_database_is_not_copied_and_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(
            &from,
            "these are more bytes than a header of SQLite has".repeat(40),
        )
        .unwrap();
        let error = copy_database(&from, &to).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
        assert!(!to.exists());

        fs::write(&to, "precious").unwrap();
        let error = copy_database(&from, &to).unwrap_err();
        assert!(matches!(error, StoreError::File { .. }), "{error:?}");
        assert_eq!(fs::read(&to).unwrap(), b"precious");

        assert!(matches!(
            check_database(&from).unwrap_err(),
            StoreError::Damaged(_)
        ));
        let missing = check_database(&folder.path().join("no"));
        assert!(matches!(missing.unwrap_err(), StoreError::Damaged(_)));
    }
}
