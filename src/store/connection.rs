//! How a database file is opened: settings of the connection, and the check that it is sound.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// How many prepared statements a connection keeps; more than the store has.
const STATEMENTS: usize = 96;

/// How much of the file each reader keeps, KiB; SQLite's default is 2000, for each. The system has the file in memory
/// anyway, and reading a page from there takes microseconds.
const READER_CACHE_KIB: i64 = 256;

/// How much a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// A commit is on the disk when it returns.
    Full,
    /// A loss of power may undo the last commits; the file stays sound.
    Relaxed,
}

/// Opens a file for writing, in WAL mode, making it if it is missing.
///
/// # Errors
/// `Damaged` if it is not a database, `ReadOnly` if it cannot be written.
pub(super) fn open_writer(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settle(&connection)?;
    // SQLite opens a file it may not write as read-only, without a word.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(StoreError::ReadOnly(
            path.file_name()
                .map(|name| format!("{} is read-only", name.to_string_lossy()))
                .unwrap_or_default(),
        ));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    set_durability(&connection, durability)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

/// Says how much the commits that follow wait for the disk; not to be called within a transaction. In WAL mode a commit
/// that waits takes all those before it to the disk as well (<https://sqlite.org/pragma.html#pragma_synchronous>).
///
/// # Errors
/// A database error.
pub(super) fn set_durability(
    connection: &Connection,
    durability: Durability,
) -> Result<(), StoreError> {
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    Ok(connection.pragma_update(None, "synchronous", synchronous)?)
}

/// Opens a file that [`open_writer`] has made, for reading.
///
/// # Errors
/// A database error.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settle(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

fn settle(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}

/// Reads the whole file and compares its parts.
///
/// # Errors
/// `Damaged` with the first thing that is wrong.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged(verdict))
    }
}

/// Leaves one file behind: what is in the write-ahead log moves into it.
pub(super) fn close_writer(connection: Connection) {
    let tidied = connection
        .execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")
        .and_then(|()| connection.close().map_err(|(_, error)| error));
    if let Err(error) = tidied {
        // Nothing is lost: the next open reads the log.
        tracing::warn!(%error, "the database was not tidied on close");
    }
}
