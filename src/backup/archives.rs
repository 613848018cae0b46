//! Where archives are kept, whichever kind of place it is: put one there, read it, list, remove.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::BackupError;
use super::create::run;
use super::s3::{Bucket, Download, S3Access, Sending, Upload};
use crate::model::{BackupPlace, Timestamp};
use crate::store::NewFile;

/// The ending of an archive.
pub(super) const ENDING: &str = ".age";

/// A file in a place for archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name there.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// When it was put there.
    pub changed_at: Option<Timestamp>,
}

/// A place for archives. Cheap to clone.
#[derive(Clone)]
pub struct Archives(Place);

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Bucket(Box<Bucket>),
}

impl Archives {
    /// A place. Nothing is looked at yet.
    ///
    /// # Errors
    /// `Bucket` where the settings do not lead there.
    pub fn at(place: &BackupPlace, access: &S3Access) -> Result<Archives, BackupError> {
        Ok(Archives(match place {
            BackupPlace::Folder(folder) => Place::Folder(folder.clone()),
            BackupPlace::Bucket(bucket) => Place::Bucket(Box::new(Bucket::open(bucket, access)?)),
        }))
    }

    /// Makes a folder where it is missing, and sees that archives can be put there. Leaves nothing.
    ///
    /// # Errors
    /// `Write`, `Bucket`.
    pub async fn prepare(&self) -> Result<(), BackupError> {
        match &self.0 {
            Place::Folder(folder) => {
                let folder = folder.clone();
                run(move || prepare_folder(&folder)).await
            }
            Place::Bucket(bucket) => bucket.probe().await,
        }
    }

    /// Begins an archive.
    ///
    /// # Errors
    /// `Write`, also where there is one of this name already; `Bucket`.
    pub async fn begin(&self, name: &str) -> Result<NewArchive, BackupError> {
        match &self.0 {
            Place::Folder(folder) => {
                let place = folder.join(name);
                let file = run(move || new_file(&place)).await?;
                Ok(NewArchive {
                    out: ArchiveWriter::File(file),
                    sending: None,
                })
            }
            Place::Bucket(bucket) => {
                let (upload, sending) = bucket.upload(name).await?;
                Ok(NewArchive {
                    out: ArchiveWriter::Upload(upload),
                    sending: Some(sending),
                })
            }
        }
    }

    /// Begins to read an archive.
    ///
    /// # Errors
    /// `Read`, `Bucket`.
    pub async fn read(&self, name: &str) -> Result<ArchiveReader, BackupError> {
        match &self.0 {
            Place::Folder(folder) => {
                let path = folder.join(name);
                let file = run(move || File::open(&path).map_err(BackupError::Read)).await?;
                Ok(ArchiveReader::File(BufReader::new(file)))
            }
            Place::Bucket(bucket) => Ok(ArchiveReader::Download(bucket.download(name).await?)),
        }
    }

    /// The archives here whose names begin like this, by name.
    ///
    /// # Errors
    /// `Read`, `Bucket`.
    pub async fn list(&self, beginning: &str) -> Result<Vec<Kept>, BackupError> {
        let mut kept = match &self.0 {
            Place::Folder(folder) => {
                let (folder, beginning) = (folder.clone(), beginning.to_owned());
                run(move || list_folder(&folder, &beginning).map_err(BackupError::Read)).await?
            }
            Place::Bucket(bucket) => bucket.list(beginning).await?,
        };
        kept.retain(|kept| kept.name.ends_with(ENDING));
        Ok(kept)
    }

    /// Removes an archive; fine where there is none.
    ///
    /// # Errors
    /// `Write`, `Bucket`.
    pub async fn remove(&self, name: &str) -> Result<(), BackupError> {
        match &self.0 {
            Place::Folder(folder) => {
                let path = folder.join(name);
                run(move || gone(fs::remove_file(&path)).map_err(BackupError::Write)).await
            }
            Place::Bucket(bucket) => bucket.remove(name).await,
        }
    }

    /// Removes what a crash has left of archives that were never finished, where `is_ours` knows the name they would have.
    ///
    /// # Errors
    /// `Write`, `Bucket`.
    pub(super) async fn clear_unfinished(
        &self,
        beginning: &str,
        is_ours: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<(), BackupError> {
        match &self.0 {
            Place::Folder(folder) => {
                let folder = folder.clone();
                run(move || clear_folder(&folder, is_ours).map_err(BackupError::Write)).await
            }
            Place::Bucket(bucket) => bucket.clear_unfinished(beginning, is_ours).await,
        }
    }
}

/// An archive that is being put somewhere.
pub struct NewArchive {
    out: ArchiveWriter,
    sending: Option<Sending>,
}

impl NewArchive {
    /// Has it written by `make`, and puts it in its place when that is done. Where either fails, nothing of it is left.
    ///
    /// # Errors
    /// Why it could not be made, or not be put there; its length otherwise.
    pub async fn fill<T, F>(
        self,
        make: impl FnOnce(ArchiveWriter) -> F,
    ) -> Result<(T, u64), BackupError>
    where
        F: Future<Output = Result<(ArchiveWriter, T), BackupError>>,
    {
        let made = make(self.out).await;
        let Some(sending) = self.sending else {
            let (out, made) = made?;
            return Ok((made, run(move || out.finish()).await?));
        };
        match made {
            Ok((out, made)) => {
                run(move || out.finish()).await?;
                Ok((made, sending.finish().await?))
            }
            // Where the writing end broke because of the sending one, that one knows why.
            Err(error) => match sending.finish().await {
                Err(BackupError::Canceled) | Ok(_) => Err(error),
                Err(why) => Err(why),
            },
        }
    }
}

/// What an archive is written to. Off the async threads.
pub enum ArchiveWriter {
    /// A file.
    File(NewFile),
    /// An object of a bucket.
    Upload(Upload),
}

impl ArchiveWriter {
    /// The length, where it is known here.
    fn finish(self) -> Result<u64, BackupError> {
        match self {
            ArchiveWriter::File(file) => {
                let bytes = file.file().metadata().map_err(BackupError::Write)?.len();
                file.finish().map_err(BackupError::Write)?;
                Ok(bytes)
            }
            ArchiveWriter::Upload(upload) => {
                upload.end();
                Ok(0)
            }
        }
    }
}

impl Write for ArchiveWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            ArchiveWriter::File(file) => file.write(bytes),
            ArchiveWriter::Upload(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            ArchiveWriter::File(file) => file.flush(),
            ArchiveWriter::Upload(upload) => upload.flush(),
        }
    }
}

/// What an archive is read from. Off the async threads.
pub enum ArchiveReader {
    /// A file.
    File(BufReader<File>),
    /// An object of a bucket.
    Download(Download),
}

impl Read for ArchiveReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            ArchiveReader::File(file) => file.read(buffer),
            ArchiveReader::Download(download) => download.read(buffer),
        }
    }
}

/// A file for a new archive. Blocks.
///
/// # Errors
/// `Write`, also where there is a file at `place` already.
pub fn new_file(place: &Path) -> Result<NewFile, BackupError> {
    if place.exists() {
        let error = io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is there already", place.display()),
        );
        return Err(BackupError::Write(error));
    }
    NewFile::begin(place).map_err(BackupError::Write)
}

fn prepare_folder(folder: &Path) -> Result<(), BackupError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)
        .map_err(BackupError::Write)?;
    // Given up at once, it leaves nothing.
    new_file(&folder.join("mini-probe.age")).map(drop)
}

fn list_folder(folder: &Path, beginning: &str) -> io::Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let facts = entry.metadata()?;
        if name.starts_with(beginning) && facts.is_file() {
            kept.push(Kept {
                name,
                bytes: facts.len(),
                changed_at: facts.modified().ok().and_then(|at| at.try_into().ok()),
            });
        }
    }
    kept.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kept)
}

fn clear_folder(folder: &Path, is_ours: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let whole = name.to_str().and_then(NewFile::leftover_of);
        if whole.is_some_and(&is_ours) {
            gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_leaves_nothing_and_says_so() {
        // The one device that is always full.
        let mut file = File::options().write(true).open("/dev/full").unwrap();
        let error = file.write_all(&[0; 10]).unwrap_err();
        let problem = crate::model::Problem::from(BackupError::Write(error));
        assert_eq!(problem.what, "The backup could not be written");
        assert!(problem.next.contains("free some space"), "{problem:?}");
    }

    #[tokio::test]
    async fn what_a_crash_has_left_is_removed_where_it_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            ".mini-a.age.part",
            ".mini-b.age.part",
            "mini-a.age",
            "mini-a.age.part",
        ];
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("mini-d.age")).unwrap();
        let place = BackupPlace::Folder(folder.path().to_owned());
        let archives = Archives::at(&place, &S3Access::default()).unwrap();
        let cleared = archives.clear_unfinished("mini-a", |name| name == "mini-a.age");
        cleared.await.unwrap();
        let there = |name: &&str| folder.path().join(name).exists();
        assert_eq!(names.iter().filter(|name| there(name)).count(), 3);
        assert!(!there(&names[0]));
        let listed = archives.list("mini-").await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(
            (listed[0].name.as_str(), listed[0].bytes),
            ("mini-a.age", 1)
        );
        archives.remove("mini-a.age").await.unwrap();
        archives.remove("mini-a.age").await.unwrap();
        assert!(archives.list("mini-").await.unwrap().is_empty());
    }
}
