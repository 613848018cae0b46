//! How a data directory that was restored takes its place: made beside, then moved in, so that a crash at any moment leaves
//! the old one or the new one. It works where the data directory is a file system of its own, too, for all of it happens
//! within.
//!
//! ```text
//! .restoring                   being made; means nothing, the next restore removes it
//! .restore-clearing.STAMP      whole: what was there before moves to before-restore.STAMP
//! .restore-placing             what was there before is out of the way: what is in here moves up
//! ```
//! Each step begins with a rename, and is done again from its beginning after a crash: by the next start of a server, which
//! looks before it opens anything, or the next restore.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::StoreError;
use super::lock::{self, DataDirLock};

const MAKING: &str = ".restoring";
const CLEARING: &str = ".restore-clearing.";
const PLACING: &str = ".restore-placing";
/// What was there before a restore is kept under this name.
const KEPT: &str = "before-restore.";
/// What belongs to the place and not to what is in it. The storage of apps does, for a backup has it only by choice, and its
/// files are not ours to move: what a backup has of it, the server puts in place by folder.
const STAYS: [&str; 4] = [lock::FILE, "run", "lost+found", "storage"];

/// A data directory that is being restored; no server can start on it while this lives.
#[derive(Debug)]
pub struct Restoring {
    data_dir: PathBuf,
    _lock: DataDirLock,
}

impl Restoring {
    /// Takes the data directory, which is made if it is missing, finishes a restore that was cut short when it was whole,
    /// and makes the empty folder to restore into. Blocks, as all of this.
    ///
    /// # Errors
    /// `InUse` where a server runs, `ReadOnly`, `DiskFull`, `File`.
    pub fn begin(data_dir: &Path) -> Result<Restoring, StoreError> {
        let failed = |error| StoreError::file("the data directory", error);
        private_folder(data_dir).map_err(failed)?;
        let lock = DataDirLock::take(data_dir)?;
        finish(data_dir)?;
        let making = data_dir.join(MAKING);
        remove(&making)
            .and_then(|()| private_folder(&making))
            .map_err(failed)?;
        Ok(Restoring {
            data_dir: data_dir.to_owned(),
            _lock: lock,
        })
    }

    /// The folder to restore into.
    pub fn folder(&self) -> PathBuf {
        self.data_dir.join(MAKING)
    }

    /// Whether there is anything in the data directory that a restore would put aside.
    ///
    /// # Errors
    /// `File`.
    pub fn is_used(&self) -> Result<bool, StoreError> {
        let entries = entries(&self.data_dir);
        let mut entries = entries.map_err(|error| StoreError::file("the data directory", error))?;
        Ok(entries.any(|name| moves(&name)))
    }

    /// Puts what was restored in place, for whoever the data directory belongs to, and returns where what was there before
    /// is kept. `stamp` tells this restore from others.
    ///
    /// # Errors
    /// `ReadOnly`, `DiskFull`, `File`. Where it had begun to move, the next start goes on.
    pub fn place(self, stamp: &str) -> Result<Option<PathBuf>, StoreError> {
        let failed = |error| StoreError::file("the restored data directory", error);
        let making = self.folder();
        // Of the checks that were made in there.
        remove(&making.join(lock::FILE)).map_err(failed)?;
        give_to_owner(&self.data_dir, &making).map_err(failed)?;
        // Files of any number and size: the whole file system at once instead of each.
        File::open(&making)
            .and_then(|folder| rustix::fs::syncfs(folder).map_err(io::Error::from))
            .map_err(failed)?;
        let is_used = self.is_used()?;
        fs::rename(&making, self.data_dir.join(format!("{CLEARING}{stamp}"))).map_err(failed)?;
        sync(&self.data_dir).map_err(failed)?;
        finish(&self.data_dir)?;
        Ok(is_used.then(|| self.data_dir.join(format!("{KEPT}{stamp}"))))
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        // Placed, there is none; given up, nobody needs it.
        let _ = remove(&self.folder());
    }
}

/// Goes on with a restore that was whole when it was cut short. The caller has the lock.
///
/// # Errors
/// `ReadOnly`, `DiskFull`, `File`.
pub(super) fn finish(data_dir: &Path) -> Result<(), StoreError> {
    let clear_and_place = || {
        if let Some(name) = entries(data_dir)?.find(|name| name.starts_with(CLEARING)) {
            let stamp = name.strip_prefix(CLEARING).unwrap_or_default();
            clear(data_dir, &data_dir.join(format!("{KEPT}{stamp}")))?;
            fs::rename(data_dir.join(&name), data_dir.join(PLACING))?;
            sync(data_dir)?;
        }
        let placing = data_dir.join(PLACING);
        if placing.is_dir() {
            for name in entries(&placing)? {
                fs::rename(placing.join(&name), data_dir.join(&name))?;
            }
            sync(data_dir)?;
            fs::remove_dir(&placing)?;
            sync(data_dir)?;
        }
        Ok(())
    };
    clear_and_place().map_err(|error| StoreError::file("the restored data directory", error))
}

fn clear(data_dir: &Path, kept: &Path) -> io::Result<()> {
    for name in entries(data_dir)?.filter(|name| moves(name)) {
        private_folder(kept)?;
        fs::rename(data_dir.join(&name), kept.join(&name))?;
    }
    if kept.is_dir() {
        sync(kept)?;
    }
    sync(data_dir)
}

fn moves(name: &str) -> bool {
    let is_ours = name == MAKING || name == PLACING || name.starts_with(CLEARING);
    !is_ours && !name.starts_with(KEPT) && !STAYS.contains(&name)
}

/// The names in a folder, read before anything is moved. One that is not UTF-8 is none of ours and stays.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = String> + use<>> {
    let names = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()))
}

fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(facts) if facts.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Root restores for the user whose server it is.
fn give_to_owner(data_dir: &Path, folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(data_dir)?;
    let made_by = fs::metadata(folder)?;
    if (owner.uid(), owner.gid()) == (made_by.uid(), made_by.gid()) {
        return Ok(());
    }
    give(folder, owner.uid(), owner.gid())
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    lchown(path, Some(user), Some(group))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, name: &str, content: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn content(folder: &Path, name: &str) -> Option<String> {
        fs::read_to_string(folder.join(name)).ok()
    }

    fn used(folder: &Path) {
        put(folder, "mini.db", "old");
        put(folder, "mini.db-wal", "old log");
        put(folder, "repos/a.git/HEAD", "old");
        put(folder, "run/server.json", "{}");
    }

    fn made(folder: &Path) {
        put(folder, "mini.db", "new");
        put(folder, "keys/config.key", "new");
        put(folder, "repos/b.git/HEAD", "new");
    }

    fn assert_placed(data_dir: &Path, kept: &Path) {
        assert_eq!(content(data_dir, "mini.db").as_deref(), Some("new"));
        assert_eq!(content(data_dir, "mini.db-wal"), None);
        assert_eq!(
            content(data_dir, "repos/b.git/HEAD").as_deref(),
            Some("new")
        );
        assert_eq!(content(data_dir, "repos/a.git/HEAD"), None);
        assert_eq!(content(data_dir, "run/server.json").as_deref(), Some("{}"));
        assert_eq!(content(kept, "mini.db-wal").as_deref(), Some("old log"));
        assert_eq!(content(kept, "repos/a.git/HEAD").as_deref(), Some("old"));
        let left = fs::read_dir(data_dir).unwrap();
        let left = left.filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with(".restor")
        });
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_was_there_before_is_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        used(folder.path());
        let restoring = Restoring::begin(folder.path()).unwrap();
        assert!(restoring.is_used().unwrap());
        made(&restoring.folder());
        let kept = restoring.place("1").unwrap().unwrap();
        assert_placed(folder.path(), &kept);
    }

    #[test]
    fn a_fresh_folder_is_not_used_and_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("mini");
        let restoring = Restoring::begin(&data_dir).unwrap();
        assert!(!restoring.is_used().unwrap());
        let error = Restoring::begin(&data_dir).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
        made(&restoring.folder());
        assert_eq!(restoring.place("1").unwrap(), None);
        assert_eq!(content(&data_dir, "mini.db").as_deref(), Some("new"));
    }

    #[test]
    fn given_up_it_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        used(folder.path());
        let restoring = Restoring::begin(folder.path()).unwrap();
        made(&restoring.folder());
        drop(restoring);
        assert_eq!(content(folder.path(), "mini.db").as_deref(), Some("old"));
        assert!(!folder.path().join(MAKING).exists());
    }

    /// Every state that a crash can leave between two of the moves.
    #[test]
    fn a_crash_in_between_is_finished_by_the_next_who_comes() {
        let names_before = ["mini.db", "mini.db-wal", "repos"];
        for moved in 0..=names_before.len() {
            let folder = tempfile::tempdir().unwrap();
            let (data_dir, kept) = (folder.path(), folder.path().join("before-restore.7"));
            used(data_dir);
            made(&data_dir.join(format!("{CLEARING}7")));
            for name in &names_before[..moved] {
                private_folder(&kept).unwrap();
                fs::rename(data_dir.join(name), kept.join(name)).unwrap();
            }
            finish(data_dir).unwrap();
            assert_placed(data_dir, &kept);
        }
        let names_after = ["keys", "mini.db", "repos"];
        for moved in 0..=names_after.len() {
            let folder = tempfile::tempdir().unwrap();
            let (data_dir, kept) = (folder.path(), folder.path().join("before-restore.7"));
            used(&kept);
            fs::rename(kept.join("run"), data_dir.join("run")).unwrap();
            made(&data_dir.join(PLACING));
            for name in &names_after[..moved] {
                fs::rename(data_dir.join(PLACING).join(name), data_dir.join(name)).unwrap();
            }
            finish(data_dir).unwrap();
            assert_placed(data_dir, &kept);
        }
    }
}
