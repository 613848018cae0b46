//! What a restore has brought for the folders of the storage.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ensure_folder;
use crate::model::{StorageName, Timestamp};

/// Where a restore lays what a backup holds of the folders, in the data directory: `NAME.tar` for each, as Docker reads and
/// writes it. The server puts each in place before anything sees the folder.
pub const BROUGHT: &str = "restored-storage";

/// What a restore has brought for one folder, on its way to its place. Interrupted at any moment, it goes on from there:
///
/// ```text
/// restored-storage/NAME.tar      is unpacked into storage/.NAME.STAMP, again from its beginning after a crash
/// restored-storage/NAME.placing  it is unpacked whole: what was there moves to storage/NAME.before-STAMP, .NAME.STAMP to NAME
/// ```
///
/// Nothing in a folder is ever moved or removed by itself: the server may not, for it is not the owner.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Brought {
    storage: PathBuf,
    name: String,
    /// When it was laid there.
    at: (i64, i64),
    is_unpacked: bool,
}

impl Brought {
    /// What was brought for the folder `name` and is not in its place yet. Blocks, as all of this.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::engine) fn find(
        storage: &Path,
        name: &StorageName,
    ) -> io::Result<Option<Brought>> {
        let mut brought = Brought {
            storage: storage.to_owned(),
            name: name.to_string(),
            at: (0, 0),
            is_unpacked: true,
        };
        for is_unpacked in [true, false] {
            brought.is_unpacked = is_unpacked;
            match fs::symlink_metadata(brought.mark()) {
                Ok(facts) => {
                    // It tells one restore from another, and moves with the file.
                    brought.at = (facts.mtime(), facts.mtime_nsec());
                    return Ok(Some(brought));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The names of all folders for which something was brought.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::engine) fn all(storage: &Path) -> io::Result<BTreeSet<StorageName>> {
        let data_dir = storage.parent().unwrap_or(Path::new("/"));
        let entries = match fs::read_dir(data_dir.join(BROUGHT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let file = entry?.file_name();
            let name = file.to_str().and_then(|file| file.rsplit_once('.'));
            names.extend(name.and_then(|(name, _)| name.parse::<StorageName>().ok()));
        }
        Ok(names)
    }

    fn mark(&self) -> PathBuf {
        let ending = match self.is_unpacked {
            true => "placing",
            false => "tar",
        };
        let data_dir = self.storage.parent().unwrap_or(Path::new("/"));
        data_dir
            .join(BROUGHT)
            .join(format!("{}.{ending}", self.name))
    }

    fn made(&self) -> PathBuf {
        let (seconds, nanoseconds) = self.at;
        self.storage
            .join(format!(".{}.{seconds}-{nanoseconds:09}", self.name))
    }

    /// The archive, where it is not unpacked yet.
    pub(in crate::engine) fn archive(&self) -> Option<PathBuf> {
        (!self.is_unpacked).then(|| self.mark())
    }

    /// The folder to unpack it into.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::engine) fn begin(&self) -> io::Result<PathBuf> {
        let made = self.made();
        ensure_folder(&made)?;
        Ok(made)
    }

    /// Puts what was unpacked in place, for good. What was there is kept beside: where that is, unless it was empty.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::engine) fn place(mut self) -> io::Result<Option<PathBuf>> {
        let (made, place) = (self.made(), self.storage.join(&self.name));
        if !self.is_unpacked {
            let folder = File::open(&self.storage)?;
            // Files of any number and size: the whole file system at once instead of each.
            rustix::fs::syncfs(&folder)?;
            let from = self.mark();
            self.is_unpacked = true;
            let to = self.mark();
            fs::rename(from, &to)?;
            sync(to.parent())?;
        }
        let at = Timestamp::from_second(self.at.0).unwrap_or_default();
        let kept = at.strftime("%Y%m%dT%H%M%SZ");
        let kept = self.storage.join(format!("{}.before-{kept}", self.name));
        if made.is_dir() {
            match fs::remove_dir(&place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => fs::rename(&place, &kept)?,
            }
            fs::rename(&made, &place)?;
            sync(Some(&self.storage))?;
        }
        fs::remove_file(self.mark())?;
        Ok(kept.is_dir().then_some(kept))
    }
}

fn sync(folder: Option<&Path>) -> io::Result<()> {
    File::open(folder.unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> StorageName {
        "data".parse().unwrap()
    }

    /// A data directory with what a restore has brought, and what was there before.
    fn data_dir(before: Option<&str>) -> tempfile::TempDir {
        let data_dir = tempfile::tempdir().unwrap();
        let laid = data_dir.path().join(BROUGHT);
        fs::create_dir(&laid).unwrap();
        fs::write(laid.join("data.tar"), "a tar").unwrap();
        let folder = data_dir.path().join("storage/data");
        fs::create_dir_all(&folder).unwrap();
        if let Some(before) = before {
            fs::write(folder.join("file"), before).unwrap();
        }
        data_dir
    }

    fn find(data_dir: &Path) -> Option<Brought> {
        Brought::find(&data_dir.join("storage"), &name()).unwrap()
    }

    /// As Docker would.
    fn unpack(brought: &Brought) {
        assert_eq!(fs::read(brought.archive().unwrap()).unwrap(), b"a tar");
        fs::write(brought.begin().unwrap().join("file"), "new").unwrap();
    }

    fn content(data_dir: &Path) -> String {
        fs::read_to_string(data_dir.join("storage/data/file")).unwrap()
    }

    #[test]
    fn what_was_there_is_kept_beside_unless_it_was_empty() {
        let folder = data_dir(Some("old"));
        let all = Brought::all(&folder.path().join("storage")).unwrap();
        assert_eq!(all, BTreeSet::from([name()]));
        let brought = find(folder.path()).unwrap();
        unpack(&brought);
        let kept = brought.place().unwrap().unwrap();
        assert_eq!(content(folder.path()), "new");
        assert_eq!(fs::read(kept.join("file")).unwrap(), b"old");
        assert!(find(folder.path()).is_none());

        let folder = data_dir(None);
        let brought = find(folder.path()).unwrap();
        unpack(&brought);
        assert_eq!(brought.place().unwrap(), None);
        assert_eq!(content(folder.path()), "new");
        let left = fs::read_dir(folder.path().join("storage")).unwrap();
        assert_eq!(left.count(), 1);
    }

    #[test]
    fn cut_short_anywhere_it_goes_on_to_the_same_end() {
        for step in 0..5 {
            let folder = data_dir(Some("old"));
            let path = folder.path();
            let brought = find(path).unwrap();
            if step > 0 {
                unpack(&brought);
            }
            let (made, place) = (brought.made(), path.join("storage/data"));
            let kept = path.join("storage/data.kept");
            if step > 1 {
                let laid = path.join(BROUGHT);
                fs::rename(laid.join("data.tar"), laid.join("data.placing")).unwrap();
            }
            if step > 2 {
                fs::rename(&place, &kept).unwrap();
            }
            if step > 3 {
                fs::rename(&made, &place).unwrap();
            }
            // The next server.
            let brought = find(path).unwrap();
            assert_eq!(brought.made(), made, "after {step} steps");
            assert_eq!(brought.archive().is_some(), step < 2);
            if step < 2 {
                unpack(&brought);
            }
            let told = brought.place().unwrap();
            assert_eq!(content(path), "new", "after {step} steps");
            let kept = told.unwrap_or(kept);
            assert_eq!(
                fs::read(kept.join("file")).unwrap(),
                b"old",
                "after {step} steps"
            );
            assert!(find(path).is_none());
        }
    }
}
