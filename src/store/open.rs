//! What happens when a data directory is opened: lock, the rest of a restore, soundness, migrations, key, instance id, threads.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use tokio::sync::watch;

use super::changes::Changes;
use super::connection::{self, Durability};
use super::desired::{self, Memory};
use super::lock::DataDirLock;
use super::seal::{self, Place, Seal};
use super::worker::Worker;
use super::{Inner, NewFile, StoreError, copies, migrate, restored};

pub(super) const DATABASE: &str = "mini.db";
const INSTANCE: &str = "instance";
const READERS: usize = 2;

/// A sealed text that only the right key opens.
const KEY_CHECK: Place<'static> = Place {
    table: "meta",
    app: 0,
    key: "key_check",
};
const KEY_CHECK_TEXT: &[u8] = b"this key belongs to this database";

/// See [`super::Store::open`].
pub(super) fn open(data_dir: &Path) -> Result<Inner, StoreError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(data_dir)
        .map_err(|error| StoreError::file("the data directory", error))?;
    let lock = DataDirLock::take(data_dir)?;
    restored::finish(data_dir)?;
    copies::go_back_unasked(data_dir, &super::databases())?;
    let path = data_dir.join(DATABASE);
    refuse_lost(data_dir, &path)?;

    let mut writer = connection::open_writer(&path, Durability::Full)?;
    // A newer schema is told first: it may use what our SQLite finds odd.
    migrate::version(&writer, migrate::state())?;
    connection::check(&writer)?;
    migrate::bring_forward(&mut writer, &path, migrate::state())?;
    let (seal, instance) = identify(&mut writer, data_dir)?;

    let readers = (0..READERS)
        .map(|_| {
            let finish: Box<dyn FnOnce(Connection) + Send> = Box::new(drop);
            connection::open_reader(&path).map(|connection| (connection, finish))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let finish = Box::new(move |connection| {
        connection::close_writer(connection);
        drop(lock);
    });
    let changes = Changes::watch(&writer, |table| desired::TABLES.contains(&table))?;
    let no_thread = |error| StoreError::file("a thread", error);
    Ok(Inner {
        readers: Worker::start("store-read", readers, None).map_err(no_thread)?,
        writer: Worker::start(
            "store-write",
            vec![(writer, finish)],
            Some(Arc::clone(&changes)),
        )
        .map_err(no_thread)?,
        seal: Arc::new(seal),
        changes,
        desired: Memory::default(),
        instance,
        path,
        pages: Arc::default(),
        key_removals: watch::Sender::default(),
    })
}

/// See [`super::Store::check_schema`].
pub(super) fn check_schema(data_dir: &Path) -> Result<(), StoreError> {
    let _lock = DataDirLock::take(data_dir)?;
    restored::finish(data_dir)?;
    let databases = super::databases();
    copies::go_back_unasked(data_dir, &databases)?;
    for (name, migrations) in databases {
        let path = data_dir.join(name);
        if path.exists() {
            let connection = connection::open_writer(&path, Durability::Full)?;
            migrate::version(&connection, migrations)?;
            connection::close_writer(connection);
        }
    }
    Ok(())
}

/// A data directory that was in use keeps its `instance` file. To begin anew beside it, as SQLite does with a file that
/// is missing or empty, would forget every app without a word.
fn refuse_lost(data_dir: &Path, path: &Path) -> Result<(), StoreError> {
    let is_empty = fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    if is_empty && data_dir.join(INSTANCE).exists() {
        return Err(StoreError::Damaged(format!(
            "{DATABASE} is missing or empty in a data directory that was in use; to begin anew on purpose, remove the file `{INSTANCE}` too"
        )));
    }
    Ok(())
}

/// The key that belongs to the database, and its instance id; both are made when the database is new.
fn identify(connection: &mut Connection, data_dir: &Path) -> Result<(Seal, String), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let meta = |name: &str| -> Result<Option<Vec<u8>>, StoreError> {
        Ok(transaction
            .query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .optional()?)
    };
    let remember = |name: &str, value: &[u8]| {
        transaction.execute(
            "INSERT INTO meta (name, value) VALUES (?1, ?2)",
            rusqlite::params![name, value],
        )
    };
    let seal = match (meta(KEY_CHECK.key)?, Seal::load(data_dir)?) {
        (None, key) => {
            // A key without a check is from a first start that was cut short.
            let key = match key {
                Some(key) => key,
                None => Seal::create(data_dir)?,
            };
            remember(KEY_CHECK.key, &key.close(KEY_CHECK, KEY_CHECK_TEXT)?)?;
            key
        }
        (Some(check), Some(key)) => {
            let opened = key.open(KEY_CHECK, &check);
            if opened.is_none_or(|text| text.as_slice() != KEY_CHECK_TEXT) {
                return Err(StoreError::Key(
                    "keys/config.key is not the key this database was encrypted with".to_owned(),
                ));
            }
            key
        }
        (Some(_), None) => {
            return Err(StoreError::Key(
                "keys/config.key is missing, and the config vars in the database are encrypted with it"
                    .to_owned(),
            ));
        }
    };
    let instance = match meta(INSTANCE)? {
        Some(id) => String::from_utf8(id)
            .map_err(|_| StoreError::damaged_row("the instance id is not text"))?,
        None => {
            let id = random_id()?;
            remember(INSTANCE, id.as_bytes())?;
            id
        }
    };
    transaction.commit()?;
    let file = data_dir.join(INSTANCE);
    if fs::read(&file).ok().as_deref() != Some(instance.as_bytes()) {
        NewFile::put(&file, instance.as_bytes())
            .map_err(|error| StoreError::file(INSTANCE, error))?;
    }
    Ok((seal, instance))
}

/// Six characters of lower-case base 36.
fn random_id() -> Result<String, StoreError> {
    let mut bytes = [0_u8; 8];
    seal::fill(&mut bytes)?;
    let mut number = u64::from_le_bytes(bytes);
    let mut id = String::with_capacity(6);
    for _ in 0..6 {
        id.extend(char::from_digit((number % 36) as u32, 36));
        number /= 36;
    }
    Ok(id)
}
