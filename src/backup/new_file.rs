//! A file that is there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::BackupError;

/// A file that is written beside its place (0600) and renamed into it when it is whole and on the disk. Dropped before
/// that, it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    beside: PathBuf,
    place: PathBuf,
    is_kept: bool,
}

impl NewFile {
    /// Begins it.
    ///
    /// # Errors
    /// `Write`, also where there is a file at `place` already.
    pub fn begin(place: &Path) -> Result<NewFile, BackupError> {
        if place.exists() {
            let error = io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there already", place.display()),
            );
            return Err(BackupError::Write(error));
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let beside = place.with_file_name(format!(".{name}.part"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::Write(error));
            }
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .map_err(BackupError::Write)?;
        Ok(NewFile {
            file,
            beside,
            place: place.to_owned(),
            is_kept: false,
        })
    }

    /// Where it will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// `Write`; then nothing is left.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let folder = match self.place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.beside, &self.place))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(BackupError::Write)?;
        self.is_kept = true;
        Ok(())
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
            tracing::warn!(%error, "half a backup could not be removed");
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
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let mut file = NewFile::begin(&place).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(count(), 0);
        let mut file = NewFile::begin(&place).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!place.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"whole");
        assert!(NewFile::begin(&place).is_err());
        assert_eq!(count(), 1);
    }

    #[test]
    fn a_full_disk_leaves_nothing_and_says_so() {
        // The one device that is always full.
        let mut file = File::options().write(true).open("/dev/full").unwrap();
        let error = file.write_all(&[0; 10]).unwrap_err();
        let problem = crate::model::Problem::from(BackupError::Write(error));
        assert_eq!(problem.what, "The backup could not be written");
        assert!(problem.next.contains("free some space"), "{problem:?}");
    }
}
