//! Databases that are brought forward: the copy made before, and the way back to it.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::*;
use crate::store::{connection, copies, migrate};

const DATABASE: &str = "mini.db";

/// A folder as the mini of an earlier schema leaves it, with one app.
fn earlier(schema: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = raw(folder.path());
    migrate::migrate(&mut connection, &migrate::STATE[..schema]).unwrap();
    connection
        .execute("INSERT INTO apps (name, created_at) VALUES ('shop', 1)", [])
        .unwrap();
    connection
        .execute(
            "UPDATE meta SET value = x'303031' WHERE name = 'migrated_by'",
            [],
        )
        .unwrap();
    connection::close_writer(connection);
    folder
}

fn raw(folder: &Path) -> Connection {
    connection::open_writer(&folder.join(DATABASE), connection::Durability::Full).unwrap()
}

/// The files of `copies`, by what they are: `schema-9`, `newer-schema-10`.
fn kept(folder: &Path) -> Vec<String> {
    let mut kept: Vec<String> = fs::read_dir(folder.join("copies"))
        .map(|entries| {
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| name.ends_with(".db"))
                .map(|name| name.split('.').nth(1).unwrap().to_owned())
                .collect()
        })
        .unwrap_or_default();
    kept.sort();
    kept
}

fn apps(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare("SELECT name FROM apps ORDER BY id")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// The mini that knows `schema` has its database back.
fn restore(folder: &Path, schema: usize) -> Result<Vec<copies::Restored>, StoreError> {
    copies::restore(folder, &[(DATABASE, &migrate::STATE[..schema])])
}

#[tokio::test]
async fn a_database_is_copied_before_it_is_brought_forward_and_comes_back() {
    let folder = earlier(9);
    let store = Store::open(folder.path()).unwrap();
    store.create_app(&parse("later"), at(1)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(kept(folder.path()), ["schema-9"]);
    let copy = fs::read_dir(folder.path().join("copies")).unwrap().next();
    let copy = copy.unwrap().unwrap().path();
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds what the database holds");
    }

    // The older mini is told who can read it, and goes back.
    let newer = migrate::version(&raw(folder.path()), &migrate::STATE[..9]).unwrap_err();
    assert!(
        matches!(&newer, StoreError::Newer { found, known: 9, by: Some(by) }
            if *found == migrate::STATE.len() as i64 && by == crate::VERSION),
        "{newer:?}"
    );
    let text = Problem::from(newer).to_terminal();
    assert!(
        text.contains(&format!("install mini {} again", crate::VERSION)),
        "{text}"
    );
    let restored = restore(folder.path(), 9).unwrap();
    assert_eq!((restored.len(), restored[0].schema), (1, 9));
    let connection = raw(folder.path());
    assert_eq!(
        migrate::version(&connection, &migrate::STATE[..9]).unwrap(),
        9
    );
    assert_eq!(apps(&connection), ["shop"]);
    let aside = Connection::open(folder.path().join(&restored[0].set_aside)).unwrap();
    assert_eq!(apps(&aside), ["shop", "later"]);
    drop((connection, aside));

    // And forward again, from where it is.
    assert_eq!(restore(folder.path(), 9).unwrap(), []);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.apps().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_only_in_the_log_of_a_killed_server_is_copied_and_set_aside() {
    let folder = earlier(9);
    // Neither closed: its rows are in the write-ahead log, and the file of the log is there.
    let killed = raw(folder.path());
    killed
        .execute(
            "INSERT INTO apps (name, created_at) VALUES ('logged', 1)",
            [],
        )
        .unwrap();
    let scene = tempfile::tempdir().unwrap();
    for name in ["mini.db", "mini.db-wal"] {
        fs::copy(folder.path().join(name), scene.path().join(name)).unwrap();
    }
    drop(killed);
    drop(Store::open(scene.path()).unwrap());
    let restored = loop {
        // The store is closed by and by.
        match restore(scene.path(), 9) {
            Err(StoreError::InUse { .. }) => std::thread::yield_now(),
            restored => break restored.unwrap(),
        }
    };
    assert_eq!(apps(&raw(scene.path())), ["shop", "logged"]);
    let aside = Connection::open(scene.path().join(&restored[0].set_aside)).unwrap();
    assert_eq!(apps(&aside), ["shop", "logged"]);
}

#[test]
fn only_the_newest_copies_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let mut connection = raw(folder.path());
    migrate::migrate(&mut connection, migrate::STATE).unwrap();
    for schema in [3, 4, 4, 5, 6] {
        copies::keep(&path, schema).unwrap();
    }
    assert_eq!(kept(folder.path()), ["schema-4", "schema-5", "schema-6"]);
    // What is no copy stays, and what was cut short goes.
    fs::write(folder.path().join("copies/mini.notes.db"), "mine").unwrap();
    fs::write(folder.path().join("copies/unfinished"), "half").unwrap();
    copies::keep(&path, 7).unwrap();
    assert!(!folder.path().join("copies/unfinished").exists());
    assert_eq!(
        kept(folder.path()),
        ["notes", "schema-5", "schema-6", "schema-7"]
    );
}

#[test]
fn without_a_copy_nothing_is_changed() {
    let folder = earlier(10);
    let error = restore(folder.path(), 9).unwrap_err();
    assert!(
        matches!(&error, StoreError::NoCopy { known: 9, .. }),
        "{error:?}"
    );
    assert_eq!(
        migrate::version(&raw(folder.path()), migrate::STATE).unwrap(),
        10
    );
    // A copy that is newer too is none.
    copies::keep(&folder.path().join(DATABASE), 10).unwrap();
    assert!(restore(folder.path(), 9).is_err());
}

#[test]
fn a_copy_that_cannot_be_made_stops_the_upgrade() {
    let folder = earlier(9);
    fs::write(folder.path().join("copies"), "in the way").unwrap();
    assert!(Store::open(folder.path()).is_err());
    let connection = raw(folder.path());
    assert_eq!(migrate::version(&connection, migrate::STATE).unwrap(), 9);
    drop(connection);
    fs::remove_file(folder.path().join("copies")).unwrap();
    drop(Store::open(folder.path()).unwrap());
}

#[test]
fn the_names_of_copies_are_read_as_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let connection = raw(folder.path());
    let path: PathBuf = folder.path().join(DATABASE);
    let before = Timestamp::now().as_second();
    copies::keep(&path, 9).unwrap();
    connection.pragma_update(None, "user_version", 10).unwrap();
    drop(connection);
    let restored = restore(folder.path(), 9).unwrap();
    let copied_at = restored[0].copied_at.as_second();
    assert!((before..=Timestamp::now().as_second()).contains(&copied_at));
    assert!(
        restored[0]
            .set_aside
            .starts_with("copies/mini.newer-schema-10.")
    );
}

/// The mini that knows `schema` starts.
fn starts(folder: &Path, schema: usize) -> usize {
    let known = &migrate::STATE[..schema];
    copies::go_back_unasked(folder, &[(DATABASE, known)]).unwrap();
    migrate::version(&raw(folder), migrate::STATE).unwrap()
}

/// A newer mini opens it; what it writes is one more app.
async fn brought_forward(folder: &Path, serves: bool) {
    let store = Store::open(folder).unwrap();
    if serves {
        store.trust_schema().await.unwrap();
    }
    let later = format!("later-{}", store.apps().await.unwrap().len());
    store.create_app(&parse(&later), at(1)).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_a_newer_mini_left_that_never_served_is_put_back_unasked() {
    let folder = earlier(9);
    brought_forward(folder.path(), false).await;
    assert_eq!(starts(folder.path(), 9), 9);
    assert_eq!(apps(&raw(folder.path())), ["shop"]);
    // The newer one, cut short as often as it may be.
    for _ in 0..2 {
        brought_forward(folder.path(), false).await;
        assert_eq!(
            starts(folder.path(), migrate::STATE.len()),
            migrate::STATE.len()
        );
    }
    assert_eq!(starts(folder.path(), 9), 9);
}

#[tokio::test]
async fn what_a_newer_mini_has_served_with_is_put_back_only_after_it_was_doubted() {
    let folder = earlier(9);
    let begun = Timestamp::now();
    brought_forward(folder.path(), true).await;
    let newest = migrate::STATE.len();
    assert_eq!(starts(folder.path(), 9), newest);
    let later = Timestamp::from_second(begun.as_second() + 3600).unwrap();
    assert!(!Store::doubt_schema(folder.path(), later).unwrap());
    assert_eq!(starts(folder.path(), 9), newest);
    assert!(Store::doubt_schema(folder.path(), begun).unwrap());
    assert_eq!(starts(folder.path(), 9), 9);
    assert_eq!(apps(&raw(folder.path())), ["shop"]);
}

#[tokio::test]
async fn only_the_copy_of_the_step_that_was_cut_short_is_put_back_unasked() {
    let folder = earlier(9);
    // Long ago, and it served; then another step, which is cut short.
    let mut connection = raw(folder.path());
    copies::keep(&folder.path().join(DATABASE), 9).unwrap();
    copies::trust(&folder.path().join(DATABASE)).unwrap();
    migrate::migrate(&mut connection, &migrate::STATE[..11]).unwrap();
    connection::close_writer(connection);
    brought_forward(folder.path(), false).await;
    let newest = migrate::STATE.len();
    assert_eq!(
        starts(folder.path(), 9),
        newest,
        "this would be the work of months"
    );
    assert_eq!(starts(folder.path(), 11), 11);
}
