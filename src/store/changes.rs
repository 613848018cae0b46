//! Which tables were written. Triggers that the writer's connection has for itself tell, so that no statement can forget
//! to: they fire for cascades too, and for tables without a rowid, of which SQLite's update hook knows nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use tokio::sync::watch;

use super::StoreError;

/// Counts, for each table, the transactions that wrote it.
#[derive(Debug)]
pub(super) struct Changes {
    tables: Vec<Table>,
    /// Changes with every transaction that wrote a table of those that are told of.
    told: watch::Sender<u64>,
}

#[derive(Debug)]
struct Table {
    name: String,
    is_told_of: bool,
    /// Written by the transaction that goes on.
    is_touched: AtomicBool,
    /// Transactions that wrote it.
    writes: AtomicU64,
}

impl Changes {
    /// Begins to watch what `writer` writes to the tables it has now. [`Changes::told`] tells of those that `is_told_of`
    /// says.
    ///
    /// # Errors
    /// A database error.
    pub(super) fn watch(
        writer: &Connection,
        is_told_of: impl Fn(&str) -> bool,
    ) -> Result<Arc<Changes>, StoreError> {
        let names: Vec<String> = writer
            .prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut triggers = String::new();
        for (index, name) in names.iter().enumerate() {
            for event in ["INSERT", "UPDATE", "DELETE"] {
                triggers.push_str(&format!(
                    "CREATE TEMP TRIGGER {name}_{event} AFTER {event} ON main.{name} \
                     BEGIN SELECT mini_touched({index}); END;"
                ));
            }
        }
        let tables = names.into_iter().map(|name| Table {
            is_told_of: is_told_of(&name),
            name,
            is_touched: AtomicBool::new(false),
            writes: AtomicU64::new(0),
        });
        let changes = Arc::new(Changes {
            tables: tables.collect(),
            told: watch::Sender::default(),
        });
        let noted = Arc::clone(&changes);
        // Innocuous, for without that a trigger may not call it (`trusted_schema` is off).
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        writer.create_scalar_function("mini_touched", 1, flags, move |call| {
            let index = usize::try_from(call.get::<i64>(0)?).unwrap_or(usize::MAX);
            if let Some(table) = noted.tables.get(index) {
                table.is_touched.store(true, Ordering::Relaxed);
            }
            Ok(0)
        })?;
        writer.execute_batch(&triggers)?;
        Ok(changes)
    }

    /// A transaction has ended: what it wrote can be read now. Also after one that was rolled back, for which others read
    /// once in vain.
    pub(super) fn settle(&self) {
        let mut is_told = false;
        for table in &self.tables {
            if table.is_touched.swap(false, Ordering::Relaxed) {
                table.writes.fetch_add(1, Ordering::Release);
                is_told |= table.is_told_of;
            }
        }
        if is_told {
            self.told
                .send_modify(|times| *times = times.wrapping_add(1));
        }
    }

    /// How often any of these tables was written. Asked before a read, it is the same later only if the read is still
    /// true.
    pub(super) fn writes(&self, tables: &[&str]) -> u64 {
        let named = self.tables.iter();
        let named = named.filter(|table| tables.contains(&table.name.as_str()));
        named
            .map(|table| table.writes.load(Ordering::Acquire))
            .sum()
    }

    /// Changes after a table was written that is told of.
    pub(super) fn told(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_noted_however_they_come_and_go() {
        let writer = Connection::open_in_memory().unwrap();
        writer
            .execute_batch(
                "PRAGMA trusted_schema = off; PRAGMA foreign_keys = on; \
                 CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT; \
                 CREATE TABLE two (id INTEGER PRIMARY KEY REFERENCES one (id) ON DELETE CASCADE) STRICT, WITHOUT ROWID; \
                 CREATE TABLE three (a TEXT) STRICT;",
            )
            .unwrap();
        let changes = Changes::watch(&writer, |name| name != "three").unwrap();
        let mut told = changes.told();
        let mut check = |sql: &str, expected: [u64; 3], is_told: bool| {
            writer.execute_batch(sql).unwrap();
            changes.settle();
            let found = ["one", "two", "three"].map(|name| changes.writes(&[name]));
            assert_eq!(found, expected, "{sql}");
            assert_eq!(told.has_changed().unwrap(), is_told, "{sql}");
            told.mark_unchanged();
        };
        check("SELECT * FROM one", [0, 0, 0], false);
        check("INSERT INTO one VALUES (1), (2)", [1, 0, 0], true);
        check("REPLACE INTO two VALUES (1)", [1, 1, 0], true);
        check("UPDATE two SET id = 2", [1, 2, 0], true);
        check("DELETE FROM one WHERE id = 1", [2, 2, 0], true);
        check("DELETE FROM one WHERE id = 2", [3, 3, 0], true);
        check("INSERT INTO three VALUES ('a')", [3, 3, 1], false);
        check("DELETE FROM three", [3, 3, 2], false);
        assert_eq!(changes.writes(&["one", "three"]), 5);
    }
}
