//! Where objects are collected that come another way than by a push: a repository beside that of the app, which sees all that
//! is there. git leaves a pack that it could not finish where it is, and in the app's own repository nobody would clear it away:
//! whoever breaks off often enough would fill the disk. Here it goes with the folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::GitError;

/// Objects on their way into a repository. Dropped, none of them are left; what a crash leaves is removed at the next start,
/// as every folder there is whose name begins with a dot.
#[derive(Debug)]
pub(super) struct Intake {
    folder: PathBuf,
    /// The repository they are for.
    target: PathBuf,
}

impl Intake {
    /// Makes the repository `folder`, on the file system of `target`. Blocks, as everything here.
    ///
    /// # Errors
    /// `NotFound` without a repository at `target`; `Io`.
    pub(super) fn open(folder: PathBuf, target: PathBuf) -> Result<Self, GitError> {
        if !target.join("HEAD").is_file() {
            return Err(GitError::NotFound("the repository".to_owned()));
        }
        fs::create_dir(&folder)?;
        let intake = Self { folder, target };
        let path = |name: &str| intake.folder.join(name);
        fs::create_dir_all(path("objects/info"))?;
        fs::create_dir(path("refs"))?;
        fs::write(path("HEAD"), "ref: refs/heads/main\n")?;
        fs::write(path("config"), "[core]\n\tbare = true\n")?;
        // gitrepository-layout(5): one folder of objects for each line.
        let mut alternate = intake.target.join("objects").into_os_string();
        alternate.push("\n");
        fs::write(
            path("objects/info/alternates"),
            alternate.as_encoded_bytes(),
        )?;
        match fs::copy(intake.target.join("shallow"), path("shallow")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(intake),
        }
    }

    /// Where git is to put what it takes in.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// Moves all objects to where they belong.
    ///
    /// # Errors
    /// `Io`; then some may be there already, which nothing reaches.
    pub(super) fn keep(self) -> Result<(), GitError> {
        let (from, to) = (self.folder.join("objects"), self.target.join("objects"));
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if name != "info" {
                self.move_all(&name, &to.join(&name))?;
            }
        }
        Ok(())
    }

    fn move_all(&self, folder: &OsStr, to: &Path) -> io::Result<()> {
        // The folder alone: a repository that was removed meanwhile must not come back as a stump of one.
        match fs::create_dir(to) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join("objects").join(folder))? {
            names.push(entry?.file_name());
        }
        // A pack is seen by its index, which therefore comes last.
        names.sort_by_key(|name| Path::new(name).extension() == Some(OsStr::new("idx")));
        for name in names {
            let is_object = !name.as_encoded_bytes().starts_with(b"tmp_")
                && Path::new(&name).extension() != Some(OsStr::new("keep"));
            if is_object {
                let from = self.folder.join("objects").join(folder).join(&name);
                fs::rename(from, to.join(&name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %error, "left until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_was_removed_meanwhile_does_not_come_back() {
        let root = tempfile::tempdir().unwrap();
        let (folder, target) = (root.path().join(".in"), root.path().join("shop.git"));
        let repository = || {
            fs::create_dir_all(target.join("objects")).unwrap();
            fs::write(target.join("HEAD"), "").unwrap();
        };
        let taken_in = || {
            let intake = Intake::open(folder.clone(), target.clone()).unwrap();
            fs::create_dir(folder.join("objects/ab")).unwrap();
            fs::write(folder.join("objects/ab/cd"), "x").unwrap();
            intake
        };
        repository();
        taken_in().keep().unwrap();
        assert_eq!(fs::read(target.join("objects/ab/cd")).unwrap(), b"x");
        let intake = taken_in();
        fs::remove_dir_all(&target).unwrap();
        assert!(intake.keep().is_err());
        assert!(!target.exists());
        assert!(!folder.exists());
    }
}
