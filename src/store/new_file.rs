//! A file that is there whole or not at all, for everybody who writes one: beside its place, to the disk, then renamed
//! into it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
    fn only_what_is_unfinished_is_a_leftover() {
        for name in ["a", ".a", "a.part", ".hidden"] {
            assert_eq!(NewFile::leftover_of(name), None, "{name}");
        }
    }
}
