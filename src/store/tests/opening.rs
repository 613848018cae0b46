//! Data directories that are new, in use, newer, damaged, or without their key.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use super::*;

fn refusal(folder: &Path) -> StoreError {
    Store::open(folder).err().expect("the folder is refused")
}

/// A folder with an app and a config var in it, closed.
async fn used() -> TempDir {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    let set = vars(&[("TOKEN", "hunter2")]);
    fixture
        .store
        .set_config(shop.id, set, vec![])
        .await
        .unwrap();
    fixture.store.close().await.unwrap();
    fixture.folder
}

/// That the refusal names a next step and shows nothing of the folder's place.
fn check_problem(error: StoreError, folder: &Path) {
    let text = Problem::from(error).to_terminal();
    assert!(text.contains("next: "), "{text}");
    assert!(!text.contains(&folder.display().to_string()), "{text}");
}

#[tokio::test]
async fn the_instance_id_is_made_once() {
    let fixture = Fixture::new();
    let id = fixture.store.instance();
    assert!(
        id.len() == 6
            && id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
        "{id}"
    );
    let file = fixture.folder.path().join("instance");
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    fs::remove_file(&file).unwrap();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.instance(), id);
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_until_it_is_closed() {
    let fixture = Fixture::new();
    let error = refusal(fixture.folder.path());
    assert!(
        matches!(error, StoreError::InUse { pid } if pid == Some(std::process::id())),
        "{error:?}"
    );
    check_problem(error, fixture.folder.path());
    fixture.reopened().await;
}

#[tokio::test]
async fn closing_leaves_one_database_file() {
    let folder = used().await;
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["instance", "keys", "mini.db", "mini.lock"]);
}

#[tokio::test]
async fn what_was_not_closed_is_still_there() {
    let fixture = Fixture::new();
    fixture.app("shop").await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["mini.db", "mini.db-wal", "instance", "keys/config.key"] {
        let to = copy.path().join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(fixture.folder.path().join(name), to).unwrap();
    }
    let store = Store::open(copy.path()).unwrap();
    assert_eq!(
        store.apps().await.unwrap(),
        fixture.store.apps().await.unwrap()
    );
}

#[tokio::test]
async fn a_newer_database_is_refused_and_unchanged() {
    let folder = used().await;
    let path = folder.path().join("mini.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", 4000)
        .unwrap();
    drop(connection);
    let error = refusal(folder.path());
    assert!(
        matches!(error, StoreError::Newer { found: 4000, .. }),
        "{error:?}"
    );
    check_problem(error, folder.path());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let apps: i64 = connection
        .query_row("SELECT count(*) FROM apps", [], |row| row.get(0))
        .unwrap();
    assert_eq!(apps, 1);
}

#[tokio::test]
async fn a_newer_journal_is_refused_naming_the_version_that_wrote_it() {
    let folder = used().await;
    drop(EventLog::open(folder.path()).unwrap());
    let path = folder.path().join("events.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA user_version = 4000; UPDATE meta SET value = x'392e312e30' WHERE name = 'migrated_by'",
        )
        .unwrap();
    drop(connection);
    let error = EventLog::open(folder.path()).err().unwrap();
    let text = Problem::from(error).to_terminal();
    assert!(text.contains("install mini 9.1.0 again"), "{text}");
    assert!(path.exists() && !folder.path().join("events.db.damaged").exists());
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("no database", |path| {
            fs::write(
                path,
                "not a database, but long enough to be looked at\n".repeat(9),
            )
            .unwrap()
        }),
        ("cut short", |path| {
            let length = fs::metadata(path).unwrap().len();
            OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(length / 2)
                .unwrap();
        }),
        ("a page overwritten", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all_at(&[0xa5; 4096], 4096).unwrap();
        }),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("lost", |path| fs::remove_file(path).unwrap()),
    ];
    for (what, harm) in harms {
        let folder = used().await;
        harm(&folder.path().join("mini.db"));
        let error = refusal(folder.path());
        assert!(matches!(error, StoreError::Damaged(_)), "{what}: {error:?}");
        check_problem(error, folder.path());
        let again = refusal(folder.path());
        assert!(
            matches!(again, StoreError::Damaged(_)),
            "{what}, again: {again:?}"
        );
    }
}

#[tokio::test]
async fn an_unknown_word_in_a_row_is_damage() {
    let fixture = Fixture::new();
    let shop = fixture.app("shop").await;
    fixture.store.add_deploy(&deploy(shop.id, 1)).await.unwrap();
    let spoil = fixture.store.write(|tx| {
        tx.execute_batch(
            "PRAGMA ignore_check_constraints = ON; UPDATE deploys SET status = 'odd'",
        )?;
        Ok(())
    });
    spoil.await.unwrap();
    let read = fixture.store.deploys(shop.id, 1).await;
    assert!(
        matches!(read, Err(StoreError::Damaged(ref why)) if why.contains("status")),
        "{read:?}"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_key_is_refused_and_the_right_one_put_back_is_taken() {
    let folder = used().await;
    let path = folder.path().join("keys/config.key");
    let right = fs::read(&path).unwrap();
    let check = |what: &str| {
        let error = refusal(folder.path());
        assert!(matches!(error, StoreError::Key(_)), "{what}: {error:?}");
        check_problem(error, folder.path());
    };
    fs::remove_file(&path).unwrap();
    check("missing");
    check("still missing");
    fs::write(&path, [7; 32]).unwrap();
    check("wrong");
    fs::write(&path, &right[..31]).unwrap();
    check("short");
    fs::write(&path, &right).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let shop = store.app(&parse("shop")).await.unwrap().unwrap();
    assert_eq!(
        store.config(shop.id).await.unwrap(),
        vars(&[("TOKEN", "hunter2")])
    );
}

/// Permissions do not stop root, who runs the tests in a container; `/proc` lets nobody make a folder.
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused() {
    let error = refusal(Path::new("/proc/sys/mini"));
    assert!(
        matches!(error, StoreError::ReadOnly(_) | StoreError::File { .. }),
        "{error:?}"
    );
    if rustix::process::geteuid().is_root() {
        println!("skipped in part: as root no permission makes a folder read-only");
        return;
    }
    let folder = used().await;
    let lock = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    fs::remove_file(folder.path().join("mini.lock")).unwrap();
    lock(0o500);
    let error = refusal(folder.path());
    lock(0o700);
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    check_problem(error, folder.path());

    let path = folder.path().join("mini.db");
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    let error = refusal(folder.path());
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
}
