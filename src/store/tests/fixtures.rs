//! Databases as released minis have left them: each opens, and everything in it reads as it was written.
//!
//! `fixtures/NNN.sql` holds the database of schema NNN, with rows in every table, as SQL. Before a release with a new schema:
//! extend [`fill`], run `MINI_WRITE_FIXTURE=1 cargo nextest run -p mini store::tests::fixtures`, and add the file to [`FIXTURES`].

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use self::dump::{dump, empty_tables, schema};
use self::fill::{fill, read};
use super::*;
use crate::store::migrate;

mod dump;
mod fill;

/// Schema, and the database as SQL.
const FIXTURES: &[(usize, &str)] = &[
    (10, include_str!("fixtures/010.sql")),
    (14, include_str!("fixtures/014.sql")),
    (17, include_str!("fixtures/017.sql")),
    (20, include_str!("fixtures/020.sql")),
];
/// The same of `events.db`; what is in them is read by `crate::events`, which makes them, too.
const EVENT_FIXTURES: &[(usize, &str)] = &[
    (1, include_str!("../../events/fixtures/001.sql")),
    (2, include_str!("../../events/fixtures/002.sql")),
];
/// What the sealed values of all fixtures are sealed with.
const KEY: [u8; 32] = [7; 32];

/// A data directory with the database of a fixture.
fn laid_out(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::write(folder.path().join("keys/config.key"), KEY).unwrap();
    let connection = Connection::open(folder.path().join("mini.db")).unwrap();
    connection
        .pragma_update(None, "foreign_keys", false)
        .unwrap();
    connection.execute_batch(sql).unwrap();
    folder
}

/// A data directory with the journal of a fixture.
pub(crate) fn laid_out_events(sql: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("events.db")).unwrap();
    connection.execute_batch(sql).unwrap();
    folder
}

/// The journal of a data directory as a fixture, and its schema. Nobody has it open.
pub(crate) fn dumped_events(data_dir: &Path) -> (usize, String) {
    let connection = Connection::open(data_dir.join("events.db")).unwrap();
    (migrate::EVENTS.len(), dump(&connection))
}

#[tokio::test]
async fn every_released_database_is_brought_forward_and_reads_as_it_was_written() {
    for (number, sql) in FIXTURES {
        let fresh = tempfile::tempdir().unwrap();
        let expected = read(&fill(fresh.path(), *number).await).await;
        assert!(expected.contains("hunter2") && expected.contains("key of a certificate"));
        let folder = laid_out(sql);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(read(&store).await, expected, "schema {number}");
    }
}

#[test]
fn no_migration_has_changed_since_its_fixture_was_made() {
    for (number, sql) in FIXTURES {
        let folder = laid_out(sql);
        let released = Connection::open(folder.path().join("mini.db")).unwrap();
        let mut now = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut now, &migrate::STATE[..*number]).unwrap();
        assert_eq!(
            schema(&now),
            schema(&released),
            "schema {number} was released; what it lacks is the next migration, not a change of this one"
        );
        assert_eq!(
            migrate::version(&released, migrate::STATE).unwrap(),
            *number
        );
        assert_eq!(
            empty_tables(&released),
            Vec::<String>::new(),
            "schema {number}"
        );
    }
}

#[test]
fn no_migration_of_the_journal_has_changed_since_its_fixture_was_made() {
    for (number, sql) in EVENT_FIXTURES {
        let folder = laid_out_events(sql);
        let released = Connection::open(folder.path().join("events.db")).unwrap();
        let mut now = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut now, &migrate::EVENTS[..*number]).unwrap();
        assert_eq!(
            schema(&now),
            schema(&released),
            "schema {number} was released"
        );
        assert_eq!(
            migrate::version(&released, migrate::EVENTS).unwrap(),
            *number
        );
        assert_eq!(empty_tables(&released), Vec::<String>::new());
    }
    let newest = EVENT_FIXTURES.last().map(|(number, _)| *number);
    assert_eq!(newest, Some(migrate::EVENTS.len()));
}

#[tokio::test]
async fn a_fixture_is_made_of_a_database_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = fill(folder.path(), migrate::STATE.len()).await;
    let expected = read(&store).await;
    assert!(expected.contains("a long passphrase") && expected.contains("REGION=north"));
    assert!(expected.contains("key of the server") && expected.contains("rake seed"));
    store.close().await.unwrap();
    let connection = Connection::open(folder.path().join("mini.db")).unwrap();
    let sql = dump(&connection);
    let again = Store::open(laid_out(&sql).path()).unwrap();
    assert_eq!(read(&again).await, expected);
    let empty = empty_tables(&connection);
    assert_eq!(empty, Vec::<String>::new(), "extend `fill`");
    if std::env::var_os("MINI_WRITE_FIXTURE").is_some() {
        let file = format!("src/store/tests/fixtures/{:03}.sql", migrate::STATE.len());
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(file), sql).unwrap();
    }
}
