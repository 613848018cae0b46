//! Copies of the databases, made before a newer mini brings them forward, and the way back to them.
//!
//! They are `<data_dir>/copies/mini.schema-10.20261121T194025Z.db`: which database, its schema, when. Each schema has one,
//! the newest; [`KEPT`] schemas have one. What is put aside when a copy comes back has `newer` in front of `schema`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::connection::{self, Durability};
use super::copy::copy_database;
use super::lock::DataDirLock;
use super::{StoreError, migrate, unproven};
use crate::model::Timestamp;

const FOLDER: &str = "copies";
/// How many schemas have a copy.
const KEPT: usize = 3;
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// A copy that is being made.
const UNFINISHED: &str = "unfinished";

/// A database that was put back to what it was before a newer mini brought it forward.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// Its file, relative to the data directory.
    pub database: String,
    /// The schema it has again.
    pub schema: usize,
    /// When the copy was made: what was written later is not in it.
    pub copied_at: Timestamp,
    /// Where the newer database is now, relative to the data directory.
    pub set_aside: String,
}

/// One copy on the disk.
struct Copy {
    schema: usize,
    copied_at: Timestamp,
    path: PathBuf,
}

/// Copies the database file `path`, which has the schema `schema` and is about to be brought forward, and clears away older copies.
/// The copy is on the disk, was read whole, and is noted as unproven when this returns. One that was cut short is replaced by the next.
///
/// # Errors
/// `DiskFull`, `ReadOnly`, `File`, `Damaged`; then there is no new copy, and the older ones are all there.
pub(super) fn keep(path: &Path, schema: usize) -> Result<(), StoreError> {
    let place = Place::of(path);
    place.make_folder()?;
    let now = Timestamp::now();
    let beside = place.folder.join(UNFINISHED);
    let copied = copy(path, &beside, &place).and_then(|()| {
        let name = place.name("schema", schema, now);
        place.put(&beside, &place.folder.join(&name))?;
        unproven::add(&place.folder, &name).map_err(|error| StoreError::file(FOLDER, error))
    });
    if copied.is_err() {
        // What is left of it would only take space; the error is told either way.
        let _ = fs::remove_file(&beside);
    }
    copied?;
    tracing::info!(
        database = place.stem,
        schema,
        "copied before it is brought forward"
    );
    place.clear_away()
}

fn copy(from: &Path, to: &Path, place: &Place) -> Result<(), StoreError> {
    remove(to)?;
    copy_database(from, to)?;
    place
        .give(to)
        .map_err(|error| StoreError::file(FOLDER, error))?;
    let copy = Connection::open(to)?;
    connection::check(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Puts back those databases of a data directory that are newer than this mini, each to the copy with the newest schema that
/// this mini knows. The newer ones are set aside in `copies`. No server may run on the data directory. An empty answer says
/// that there was nothing to do.
///
/// # Errors
/// `InUse`; `NoCopy` if there is none, with nothing changed; `Damaged`, `DiskFull`, `ReadOnly`, `File`. Cut short, it is done
/// again from the beginning by the next call.
pub(super) fn restore(
    data_dir: &Path,
    databases: &[(&str, &[&str])],
) -> Result<Vec<Restored>, StoreError> {
    let _lock = DataDirLock::take(data_dir)?;
    go_back(data_dir, databases, |_| true)
}

/// Puts those databases back that a newer mini has brought forward without ever serving with them, to the copies it made just
/// before; what needs other copies stays. The caller has the lock.
///
/// # Errors
/// `Damaged`, `DiskFull`, `ReadOnly`, `File`.
pub(super) fn go_back_unasked(
    data_dir: &Path,
    databases: &[(&str, &[&str])],
) -> Result<(), StoreError> {
    let names =
        unproven::names(&data_dir.join(FOLDER)).map_err(|error| StoreError::file(FOLDER, error))?;
    if names.is_empty() {
        return Ok(());
    }
    let is_unproven = |copy: &Copy| {
        let name = copy.path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| names.iter().any(|unproven| unproven == name))
    };
    match go_back(data_dir, databases, is_unproven) {
        Ok(restored) => {
            for restored in restored {
                tracing::warn!(
                    database = restored.database,
                    schema = restored.schema,
                    set_aside = restored.set_aside,
                    "put back to what it was before a newer mini brought it forward, which never served"
                );
            }
            Ok(())
        }
        // It is refused when it is opened, with the reason.
        Err(StoreError::NoCopy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// See [`super::Store::trust_schema`]; `path` is a database.
pub(super) fn trust(path: &Path) -> Result<(), StoreError> {
    unproven::trust(&Place::of(path).folder).map_err(|error| StoreError::file(FOLDER, error))
}

/// See [`super::Store::doubt_schema`]; `path` is a database.
pub(super) fn doubt(path: &Path, since: Timestamp) -> Result<bool, StoreError> {
    let is_meant = |name: &str| {
        // `mini.schema-10.TIME.db`, in whole seconds.
        let stem = name.split('.').next().unwrap_or_default();
        read_name(name, stem, "schema").is_some_and(|(_, at)| at.as_second() >= since.as_second())
    };
    unproven::doubt(&Place::of(path).folder, is_meant)
        .map_err(|error| StoreError::file(FOLDER, error))
}

fn go_back(
    data_dir: &Path,
    databases: &[(&str, &[&str])],
    may_be_used: impl Fn(&Copy) -> bool,
) -> Result<Vec<Restored>, StoreError> {
    let mut newer = Vec::new();
    for (database, migrations) in databases {
        let path = data_dir.join(database);
        if !path.exists() {
            continue;
        }
        let connection = connection::open_writer(&path, Durability::Full)?;
        let Err(StoreError::Newer { found, .. }) = migrate::version(&connection, migrations) else {
            continue;
        };
        let place = Place::of(&path);
        let copy = place
            .copies()?
            .into_iter()
            .filter(|copy| copy.schema <= migrations.len() && may_be_used(copy))
            .max_by_key(|copy| (copy.schema, copy.copied_at));
        let Some(copy) = copy else {
            return Err(StoreError::NoCopy {
                database: (*database).to_owned(),
                known: migrations.len(),
            });
        };
        newer.push((*database, path, place, copy, connection, found));
    }
    newer
        .into_iter()
        .map(|(database, path, place, copy, connection, found)| {
            let aside = place.set_aside(connection, &path, found)?;
            place.bring_back(&copy, &path)?;
            place.clear_away()?;
            Ok(Restored {
                database: database.to_owned(),
                schema: copy.schema,
                copied_at: copy.copied_at,
                set_aside: format!("{FOLDER}/{aside}"),
            })
        })
        .collect()
}

/// The copies of one database.
struct Place {
    folder: PathBuf,
    /// `mini` or `events`.
    stem: String,
    /// Who owns the database, for who restores may be root.
    owner: Option<(u32, u32)>,
}

impl Place {
    fn of(path: &Path) -> Place {
        let data_dir = path.parent().unwrap_or(Path::new("."));
        let stem = path.file_stem().unwrap_or_default();
        Place {
            folder: data_dir.join(FOLDER),
            stem: stem.to_string_lossy().into_owned(),
            owner: fs::metadata(path).ok().map(|file| (file.uid(), file.gid())),
        }
    }

    fn name(&self, word: &str, schema: impl std::fmt::Display, at: Timestamp) -> String {
        format!("{}.{word}-{schema}.{}.db", self.stem, at.strftime(TIME))
    }

    fn make_folder(&self) -> Result<(), StoreError> {
        let made = DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.folder)
            .and_then(|()| self.give(&self.folder));
        made.map_err(|error| StoreError::file(FOLDER, error))
    }

    /// An empty file that only its owner reads, in place of one that may be there.
    fn create(&self, path: &Path) -> Result<(), StoreError> {
        let created = match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .and_then(|_| self.give(path)),
        };
        created.map_err(|error| StoreError::file(FOLDER, error))
    }

    /// Gives a file to the owner of the database, where we are not that one.
    fn give(&self, path: &Path) -> io::Result<()> {
        let is_root = rustix::process::geteuid().is_root();
        match self.owner {
            Some((user, group)) if is_root => {
                std::os::unix::fs::chown(path, Some(user), Some(group))
            }
            _ => Ok(()),
        }
    }

    /// Moves a whole file to its place, for good.
    fn put(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let put = File::open(from)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(from, to))
            .and_then(|()| sync_folder(to));
        put.map_err(|error| StoreError::file(FOLDER, error))
    }

    /// All that can be read off the names; other files are none of ours.
    fn copies(&self) -> Result<Vec<Copy>, StoreError> {
        self.named("schema")
    }

    fn named(&self, word: &str) -> Result<Vec<Copy>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::file(FOLDER, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| StoreError::file(FOLDER, error))?;
            let name = entry.file_name();
            if let Some((schema, copied_at)) = name
                .to_str()
                .and_then(|name| read_name(name, &self.stem, word))
            {
                found.push(Copy {
                    schema,
                    copied_at,
                    path: entry.path(),
                });
            }
        }
        found.sort_by_key(|copy| (copy.schema, copy.copied_at));
        Ok(found)
    }

    /// Leaves the newest copy of each of the newest schemas, and the newest of what was set aside.
    fn clear_away(&self) -> Result<(), StoreError> {
        let mut kept: Vec<usize> = Vec::new();
        for copy in self.copies()?.into_iter().rev() {
            let is_first = !kept.contains(&copy.schema);
            if is_first && kept.len() < KEPT {
                kept.push(copy.schema);
            } else {
                remove(&copy.path)?;
            }
        }
        let mut set_aside = self.named("newer-schema")?;
        set_aside.sort_by_key(|copy| copy.copied_at);
        set_aside.pop();
        set_aside.iter().try_for_each(|copy| remove(&copy.path))
    }

    /// Gives the newer database a second name beside the copies, once all of it is in its one file: a log that stayed behind
    /// would be taken for that of the older one.
    fn set_aside(
        &self,
        connection: Connection,
        path: &Path,
        found: i64,
    ) -> Result<String, StoreError> {
        connection::close_writer(connection);
        for end in ["-wal", "-shm"] {
            let mut log = path.as_os_str().to_owned();
            log.push(end);
            if fs::metadata(&log).is_ok_and(|file| file.len() > 0) {
                return Err(StoreError::file(
                    &format!("{}.db{end}", self.stem),
                    io::Error::other("what is in it could not be moved into the database"),
                ));
            }
            remove(Path::new(&log))?;
        }
        self.make_folder()?;
        let name = self.name("newer-schema", found, Timestamp::now());
        let aside = self.folder.join(&name);
        remove(&aside)?;
        fs::hard_link(path, aside).map_err(|error| StoreError::file(FOLDER, error))?;
        Ok(name)
    }

    fn bring_back(&self, copy: &Copy, path: &Path) -> Result<(), StoreError> {
        let beside = self.folder.join(UNFINISHED);
        self.create(&beside)?;
        let written = File::open(&copy.path).and_then(|mut from| {
            let mut to = OpenOptions::new().write(true).open(&beside)?;
            io::copy(&mut from, &mut to).map(drop)
        });
        written.map_err(|error| StoreError::file(FOLDER, error))?;
        self.put(&beside, path)
    }
}

/// `mini.schema-10.20261121T194025Z.db`
fn read_name(name: &str, stem: &str, word: &str) -> Option<(usize, Timestamp)> {
    let rest = name.strip_prefix(stem)?.strip_prefix('.')?;
    let rest = rest.strip_prefix(word)?.strip_prefix('-')?;
    let (schema, time) = rest.strip_suffix(".db")?.split_once('.')?;
    let time = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    let at = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some((schema.parse().ok()?, at))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::file(FOLDER, error))
        }
        _ => Ok(()),
    }
}

fn sync_folder(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("/")))?.sync_all()
}
