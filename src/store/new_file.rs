//! A file that is there whole or not at all, for everybody who writes one: beside its place, to the disk, then renamed
//! into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// What stands behind the name of a file that is being written; a dot stands before it.
const ENDING: &str = ".part";

/// A file that is being written. What was at its place stays there until [`NewFile::finish`]; dropped before that, it
/// leaves nothing. A crash leaves a file beside, under a name that [`NewFile::leftover_of`] knows; the next one for the same
/// place removes it.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    beside: PathBuf,
    place: PathBuf,
    is_kept: bool,
}

impl NewFile {
    /// Begins it, with mode 0600.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(place: &Path) -> io::Result<NewFile> {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let beside = place.with_file_name(format!(".{name}{ENDING}"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        // Where a file system has no locks, what is left over there stays.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(NewFile {
            file,
            beside,
            place: place.to_owned(),
            is_kept: false,
        })
    }

    /// Writes a whole one at once.
    ///
    /// # Errors
    /// What the system says; what was there before is then untouched.
    pub fn put(place: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = NewFile::begin(place)?;
        file.write_all(content)?;
        file.finish()
    }

    /// The file to which one that a crash has left unfinished belongs: of `.a.part` it is `a`.
    pub fn leftover_of(name: &str) -> Option<&str> {
        name.strip_prefix('.')?.strip_suffix(ENDING)
    }

    /// Removes what crashes have left in a folder of files that `is_meant` knows by their names; what somebody still writes stays.
    ///
    /// # Errors
    /// What the system says of the folder; a file that cannot be opened or removed is somebody else's.
    pub fn remove_leftovers(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let whole = name.to_str().and_then(NewFile::leftover_of);
            if whole.is_some_and(&is_meant)
                && let Ok(file) = File::open(entry.path())
                && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Where it will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The file as it is so far, for its mode.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it in its place, in the place of what is there; returns when all of it is on the disk.
    ///
    /// # Errors
    /// What the system says; then what was there before is untouched, or, where only the folder could not be written to
    /// the disk, the new file is there.
    pub fn finish(mut self) -> io::Result<()> {
        let folder = match self.place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.place)?;
        self.is_kept = true;
        File::open(folder)?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = fs::remove_file(&self.beside)
        {
            tracing::warn!(%error, "a file that was not finished could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_when_it_is_finished_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        let names = || -> Vec<String> {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        let mut file = NewFile::begin(&place).unwrap();
        file.write_all(b"half").unwrap();
        let beside = names();
        assert_eq!(NewFile::leftover_of(&beside[0]), Some("a"));
        // As a crash leaves it.
        std::mem::forget(file);
        let mut file = NewFile::begin(&place).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!place.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        drop(NewFile::begin(&place).unwrap());
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        NewFile::put(&place, b"another").unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"another");
        assert_eq!(names(), ["a"]);
    }

    #[test]
    fn what_a_crash_has_left_is_removed_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in [".a.age.part", ".b.part", "c.age"] {
            fs::write(path(name), "x").unwrap();
        }
        let mut written = NewFile::begin(&path("d.age")).unwrap();
        let is_meant = |name: &str| name.ends_with(".age");
        NewFile::remove_leftovers(folder.path(), is_meant).unwrap();
        assert!(!path(".a.age.part").exists());
        assert!(path(".b.part").exists() && path("c.age").exists());
        written.write_all(b"whole").unwrap();
        written.finish().unwrap();
        assert_eq!(fs::read(path("d.age")).unwrap(), b"whole");
    }

    #[test]
    fn only_what_is_unfinished_is_a_leftover() {
        for name in ["a", ".a", "a.part", ".hidden"] {
            assert_eq!(NewFile::leftover_of(name), None, "{name}");
        }
    }
}
