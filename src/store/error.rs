//! Why the store did not do what was asked, and what a person is told about it.

use std::io;

use rusqlite::ErrorCode;

use crate::model::{AppName, Kind, Problem};

/// Why the store did not do what was asked. Nothing was changed: a transaction happens whole or not at all.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name is taken; `by` says by what, where that helps.
    #[error("{name} is taken")]
    Taken {
        /// The name.
        name: String,
        /// The app that has it.
        by: Option<AppName>,
    },
    /// No such row.
    #[error("{what} does not exist")]
    NotFound {
        /// What was sought.
        what: String,
    },
    /// Another process works on this data directory.
    #[error("the data directory is in use by another mini")]
    InUse {
        /// Its process id, where the lock file tells.
        pid: Option<u32>,
    },
    /// The database was written by a newer mini.
    #[error("the database has schema {found}, this mini knows up to {known}")]
    Newer {
        /// Schema version found.
        found: i64,
        /// Newest schema version known.
        known: i64,
        /// The version of the mini that wrote it, where the database tells.
        by: Option<String>,
    },
    /// There is no copy of a database from before a newer mini brought it forward.
    #[error("there is no copy of {database} that this mini can read")]
    NoCopy {
        /// Its file.
        database: String,
        /// Newest schema version known.
        known: usize,
    },
    /// The file is not a database, or damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file or its folder cannot be written.
    #[error("the database cannot be written: {0}")]
    ReadOnly(String),
    /// The encryption key is missing, unreadable, or not the one the values were encrypted with; the text says what to do.
    #[error("{0}")]
    Key(String),
    /// The disk is full.
    #[error("no space is left on the disk")]
    DiskFull,
    /// A file beside the database could not be read or written.
    #[error("{file} cannot be used")]
    File {
        /// Which, relative to the data directory.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("the database failed")]
    Sql(#[source] rusqlite::Error),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The situation behind a failed use of `file`, a name relative to the data directory.
    pub(super) fn file(file: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly(format!("{file}: {source}"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::DiskFull,
            _ => StoreError::File {
                file: file.to_owned(),
                source,
            },
        }
    }

    /// A row that mini never writes like this.
    pub(super) fn damaged_row(what: impl Into<String>) -> Self {
        StoreError::Damaged(what.into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error;
        match &error {
            Error::SqliteFailure(failure, text) => {
                let text = || text.clone().unwrap_or_else(|| failure.to_string());
                match failure.code {
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                        StoreError::Damaged(text())
                    }
                    ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
                        StoreError::ReadOnly(text())
                    }
                    ErrorCode::DiskFull => StoreError::DiskFull,
                    // All our foreign keys refer to apps.
                    ErrorCode::ConstraintViolation
                        if failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY =>
                    {
                        StoreError::NotFound {
                            what: "the app".to_owned(),
                        }
                    }
                    _ => StoreError::Sql(error),
                }
            }
            Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..) => {
                StoreError::damaged_row("a row holds a value mini never writes")
            }
            _ => StoreError::Sql(error),
        }
    }
}

impl From<StoreError> for Problem {
    /// The three lines for a person. What SQLite or the system said in detail is not part of them; it goes to the log,
    /// for it is lost here.
    fn from(error: StoreError) -> Self {
        let what = error.to_string();
        if let StoreError::Sql(_) | StoreError::File { .. } | StoreError::Damaged(_) = &error {
            tracing::error!(?error, "the store failed");
        }
        let (kind, what, why, next) = match error {
            StoreError::Taken { by, .. } => (
                Kind::Taken,
                what,
                by.map(|app| format!("the app {app} has it"))
                    .unwrap_or_default(),
                "choose another, or free this one first".to_owned(),
            ),
            StoreError::NotFound { .. } => (Kind::NotFound, what, String::new(), String::new()),
            StoreError::InUse { pid } => (
                Kind::Busy,
                what,
                match pid {
                    Some(pid) => format!("the process {pid} holds its lock, mini.lock"),
                    None => "another process holds its lock, mini.lock".to_owned(),
                },
                "stop that server first, or give this one another --data-dir".to_owned(),
            ),
            StoreError::Newer { found, known, by } => (
                Kind::Internal,
                "the database was written by a newer mini".to_owned(),
                format!(
                    "it has schema {found}, this mini {} knows up to {known}",
                    crate::VERSION
                ),
                format!(
                    "install {} again, which can read it; or go back to the copy made before the upgrade, without what was written \
                     since: `mini database:restore-copy`",
                    by.map_or("the newer mini".to_owned(), |by| format!("mini {by}"))
                ),
            ),
            StoreError::NoCopy { known, .. } => (
                Kind::NotFound,
                what,
                format!("it knows schemas up to {known}, and `copies` in the data directory has none of those"),
                "install the newer mini again, or restore a backup".to_owned(),
            ),
            StoreError::Damaged(why) => (
                Kind::Internal,
                "the database is damaged".to_owned(),
                why,
                "stop mini, keep a copy of the data directory, and restore mini.db from a backup; nothing was changed"
                    .to_owned(),
            ),
            StoreError::ReadOnly(why) => (
                Kind::Unavailable,
                "the database cannot be written".to_owned(),
                why,
                "give the user mini runs as write access to the data directory and all in it"
                    .to_owned(),
            ),
            StoreError::Key(why) => (
                Kind::Internal,
                "the encrypted config vars cannot be read".to_owned(),
                why,
                "put the keys/config.key that belongs to this database back, from the same backup as mini.db"
                    .to_owned(),
            ),
            StoreError::DiskFull => (
                Kind::Unavailable,
                what,
                "the database could not grow".to_owned(),
                "free some space on the disk of the data directory, then try again".to_owned(),
            ),
            StoreError::File { source, .. } => (
                Kind::Internal,
                what,
                source.to_string(),
                "look at the data directory and who may write there".to_owned(),
            ),
            StoreError::Sql(_) => (
                Kind::Internal,
                what,
                "an unexpected answer of SQLite".to_owned(),
                "try again; the server's log has the details".to_owned(),
            ),
            StoreError::Closed => (
                Kind::Unavailable,
                what,
                "the server is stopping".to_owned(),
                "try again once it has started".to_owned(),
            ),
        };
        Problem::new(kind, what, why, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, OpenFlags};

    #[test]
    fn a_write_to_a_read_only_file_is_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
        let connection =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let error = connection.execute("INSERT INTO t VALUES (1)", []);
        assert!(matches!(
            StoreError::from(error.unwrap_err()),
            StoreError::ReadOnly(_)
        ));
    }

    #[test]
    fn a_full_database_is_a_full_disk() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (a); PRAGMA max_page_count = 2")
            .unwrap();
        let error = connection.execute("INSERT INTO t VALUES (zeroblob(100000))", []);
        assert!(matches!(
            StoreError::from(error.unwrap_err()),
            StoreError::DiskFull
        ));
    }

    #[test]
    fn io_errors_become_their_situation() {
        let check = |kind: io::ErrorKind, is_expected: fn(&StoreError) -> bool| {
            let error = StoreError::file("mini.lock", kind.into());
            assert!(is_expected(&error), "{kind:?} became {error:?}");
        };
        check(io::ErrorKind::PermissionDenied, |e| {
            matches!(e, StoreError::ReadOnly(_))
        });
        check(io::ErrorKind::ReadOnlyFilesystem, |e| {
            matches!(e, StoreError::ReadOnly(_))
        });
        check(io::ErrorKind::StorageFull, |e| {
            matches!(e, StoreError::DiskFull)
        });
        check(io::ErrorKind::NotADirectory, |e| {
            matches!(e, StoreError::File { .. })
        });
    }

    #[test]
    fn a_problem_names_no_sql() {
        let connection = Connection::open_in_memory().unwrap();
        let error = connection.execute("SELECT secret FROM nowhere", []);
        let problem = Problem::from(StoreError::from(error.unwrap_err()));
        assert!(!problem.to_terminal().contains("nowhere"), "{problem:?}");
    }
}
