//! The rows of the journal, in a database of their own: events come by the thousand, and losing the last of them to a
//! power cut is bearable.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use super::connection::{self, Durability};
use super::worker::Worker;
use super::{StoreError, migrate, row};
use crate::model::Timestamp;

pub(super) const DATABASE: &str = "events.db";

/// Above this size the file is not read whole at each start to find damage; a damaged page then shows when it is used.
const CHECKED_BYTES: u64 = 64 * 1024 * 1024;

/// One stored event of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    /// Its number within the subject.
    pub(crate) seq: u64,
    /// When it was emitted.
    pub(crate) at: Timestamp,
    /// What happened, as JSON.
    pub(crate) body: String,
}

/// What is stored of a subject.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Number and body size in bytes of each event, oldest first.
    pub(crate) sizes: Vec<(u64, u64)>,
    /// The body of the newest.
    pub(crate) newest: Option<String>,
}

/// One change of the log; they happen in order.
#[derive(Debug)]
pub(crate) enum Change {
    /// An event comes.
    Add(String, EventRow),
    /// The events of a subject before this number go.
    DropBefore(String, u64),
    /// All events of a subject go.
    Forget(String),
}

/// The writing side; blocks, so it belongs to a thread.
pub(crate) struct EventLog {
    connection: Connection,
}

impl EventLog {
    /// Opens or creates `<data_dir>/events.db`, for writing and for reading. A damaged file is renamed to
    /// `events.db.damaged` (an older one of that name goes) and a new one begun, with a warning in the log.
    ///
    /// # Errors
    /// `Newer`, `ReadOnly`, `DiskFull`, `File`.
    pub(crate) fn open(data_dir: &Path) -> Result<(EventLog, EventReader), StoreError> {
        let path = data_dir.join(DATABASE);
        let connection = match open_sound(&path) {
            Err(StoreError::Damaged(why)) => {
                tracing::warn!(%why, "{DATABASE} is damaged; it is set aside as {DATABASE}.damaged and begun anew");
                set_aside(&path).map_err(|error| StoreError::file(DATABASE, error))?;
                open_sound(&path)?
            }
            opened => opened?,
        };
        let finish: Box<dyn FnOnce(Connection) + Send> = Box::new(drop);
        let worker = Worker::start(
            "events-read",
            vec![(connection::open_reader(&path)?, finish)],
            None,
        )
        .map_err(|error| StoreError::file("a thread", error))?;
        Ok((EventLog { connection }, EventReader { worker }))
    }

    /// What is stored of a subject.
    ///
    /// # Errors
    /// Only if the database fails.
    pub(crate) fn kept(&self, subject: &str) -> Result<Kept, StoreError> {
        let sizes = self
            .connection
            .prepare_cached(
                "SELECT seq, octet_length(body) FROM events WHERE subject = ?1 ORDER BY seq",
            )?
            .query_and_then([subject], |found| {
                Ok((number(found.get(0)?)?, number(found.get(1)?)?))
            })?
            .collect::<Result<_, StoreError>>()?;
        let newest = self
            .connection
            .prepare_cached("SELECT body FROM events WHERE subject = ?1 ORDER BY seq DESC LIMIT 1")?
            .query_and_then([subject], |found| found.get(0))?
            .next()
            .transpose()?;
        Ok(Kept { sizes, newest })
    }

    /// Makes all changes in one transaction. An event whose number is stored already changes nothing.
    ///
    /// # Errors
    /// If the database fails; then none was made.
    pub(crate) fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let tx = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            match change {
                Change::Add(subject, event) => tx
                    .prepare_cached(
                        "INSERT OR IGNORE INTO events (subject, seq, at, body) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute(params![subject, column(event.seq), row::micros(event.at), event.body])?,
                Change::DropBefore(subject, seq) => tx
                    .prepare_cached("DELETE FROM events WHERE subject = ?1 AND seq < ?2")?
                    .execute(params![subject, column(*seq)])?,
                Change::Forget(subject) => tx
                    .prepare_cached("DELETE FROM events WHERE subject = ?1")?
                    .execute([subject])?,
            };
        }
        Ok(tx.commit()?)
    }

    /// Closes the file.
    pub(crate) fn close(self) {
        connection::close_writer(self.connection);
    }
}

/// The reading side, with a thread of its own.
pub(crate) struct EventReader {
    worker: Worker,
}

impl EventReader {
    /// At most `limit` events of a subject from number `from` on, in order. Sees all that was applied before the call.
    ///
    /// # Errors
    /// `Closed`, or if the database fails.
    pub(crate) async fn page(
        &self,
        subject: &str,
        from: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let subject = subject.to_owned();
        self.worker
            .read(move |tx| {
                tx.prepare_cached(
                    "SELECT seq, at, body FROM events WHERE subject = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3",
                )?
                .query_and_then(params![subject, column(from), limit], |found| {
                    Ok(EventRow {
                        seq: number(found.get(0)?)?,
                        at: row::moment(found.get(1)?)?,
                        body: found.get(2)?,
                    })
                })?
                .collect()
            })
            .await
    }

    /// Answers what was asked so far and closes the file.
    pub(crate) async fn close(&self) {
        self.worker.close().await;
    }
}

/// A number of ours as SQLite has them, which end at 2^63 - 1.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| StoreError::damaged_row("an event has a negative number"))
}

fn open_sound(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = connection::open_writer(path, Durability::Relaxed)?;
    let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size <= CHECKED_BYTES {
        connection::check(&connection)?;
    }
    migrate::bring_forward(&mut connection, path, migrate::events())?;
    Ok(connection)
}

/// Renames the file and its write-ahead log, so that they still belong together.
fn set_aside(path: &Path) -> io::Result<()> {
    let with = |end: &str| {
        let mut name = OsString::from(path);
        name.push(end);
        PathBuf::from(name)
    };
    for (from, to) in [
        ("", ".damaged"),
        ("-wal", ".damaged-wal"),
        ("-shm", ".damaged-shm"),
    ] {
        match fs::rename(with(from), with(to)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
