//! The archive on its way in. Only what mini writes is taken, under names that are known beforehand: no path of an archive
//! ever becomes a path on the disk, and nothing but plain files is looked at.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use rustix::fs::statvfs;
use tar::EntryType;

use super::BackupError;
use super::envelope::{Opened, reading};
use super::manifest::{FileFacts, Head, Manifest, hexadecimal};
use super::part::Part;
use super::storage::{Fault, FolderInside, look, refuse_long};
use crate::engine::BROUGHT;
use crate::git::{Incoming, References};
use crate::model::{AppName, Secret, StorageName};

/// Free space that is left alone, bytes.
const RESERVE_BYTES: u64 = 64 << 20;
/// zstd's window, as a power of two: what level 3 asks for is 2^21. A larger one is memory that others make us take.
const WINDOW_LOG: u32 = 23;
/// What may follow the last entry: the end of a tar archive, bytes.
const TRAILER_LIMIT: u64 = 1 << 20;

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) head: Head,
    pub(super) manifest: Manifest,
    /// The folders of the storage that were brought.
    pub(super) storage: Vec<FolderInside>,
}

/// Unpacks an archive into the folder `into`, which is there and empty, as a data directory. Every digest has been compared
/// when this returns. Blocks.
///
/// # Errors
/// Why it cannot be used; what was unpacked by then is left in the folder.
pub(super) fn unpack(
    source: impl Read,
    passphrase: &Secret,
    into: &Path,
) -> Result<Unpacked, BackupError> {
    let opened = Opened::begin(source, passphrase)?;
    let mut decoder = zstd::Decoder::new(opened).map_err(reading)?;
    decoder.window_log_max(WINDOW_LOG).map_err(reading)?;
    let mut unpacker = Unpacker {
        into: into.to_owned(),
        head: None,
        files: BTreeMap::new(),
        manifest: None,
        repository: None,
        folder: None,
        storage: Vec::new(),
    };
    let mut tar = tar::Archive::new(decoder);
    for entry in tar.entries().map_err(reading)?.raw(true) {
        let mut entry = entry.map_err(tar_reading)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(hostile(&path, "is no plain file"));
        }
        let part = Part::of(&path).ok_or_else(|| hostile(&path, "is no file of mini"))?;
        let bytes = entry.header().entry_size().map_err(tar_reading)?;
        if bytes > part.limit() {
            return Err(hostile(&path, "is longer than mini makes it"));
        }
        unpacker.take(&path, part, bytes, &mut entry)?;
    }
    // The last chunk proves that nothing was cut off, so all is read to the end.
    let mut trailer = tar.into_inner().take(TRAILER_LIMIT + 1);
    let left = io::copy(&mut trailer, &mut io::sink()).map_err(reading)?;
    if left > TRAILER_LIMIT {
        return Err(hostile("its end", "goes on where it should end"));
    }
    unpacker.finish()
}

/// Failures of the layers below keep their kind; what tar itself finds wrong is damage before it was sealed.
fn tar_reading(error: io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::Other => BackupError::Unsound(error.to_string()),
        _ => reading(error),
    }
}

fn hostile(path: &str, what: &str) -> BackupError {
    let shown: String = path.chars().filter(|c| !c.is_control()).take(120).collect();
    BackupError::Hostile(format!("`{shown}` {what}"))
}

struct Unpacker {
    into: PathBuf,
    head: Option<Head>,
    files: BTreeMap<String, FileFacts>,
    manifest: Option<Manifest>,
    repository: Option<Repository>,
    folder: Option<Folder>,
    storage: Vec<FolderInside>,
}

/// The folder of the storage whose pieces are coming.
struct Folder {
    name: StorageName,
    tried: u32,
    place: PathBuf,
    file: File,
}

/// The repository whose files are coming.
struct Repository {
    app: AppName,
    head: String,
    incoming: Option<Incoming>,
    shallow: Option<String>,
}

impl Unpacker {
    fn take(
        &mut self,
        path: &str,
        part: Part,
        bytes: u64,
        content: &mut impl Read,
    ) -> Result<(), BackupError> {
        if self.head.is_none() && part != Part::Head {
            return Err(BackupError::NotABackup(
                "it does not begin by saying what it is".to_owned(),
            ));
        }
        if self.manifest.is_some() || self.files.contains_key(path) {
            return Err(hostile(path, "comes where it cannot be"));
        }
        self.require_room(bytes)?;
        let mut content = Digesting {
            source: content,
            context: Context::new(&SHA256),
        };
        match part {
            Part::Head => self.head = Some(Head::read(&whole(&mut content, bytes)?)?),
            Part::Manifest => {
                let list = whole(&mut content, bytes)?;
                let manifest = serde_json::from_slice(&list).map_err(|_| {
                    BackupError::Unsound("the list of its files does not read".to_owned())
                })?;
                self.manifest = Some(manifest);
                self.end_folder()?;
                return self.end_repository();
            }
            Part::File(name, _) => self.write(name, &mut content)?,
            Part::RepositoryHead(app) => {
                self.end_repository()?;
                let head = text(whole(&mut content, bytes)?)?;
                self.repository = Some(Repository {
                    app,
                    head,
                    incoming: None,
                    shallow: None,
                });
            }
            Part::References(app) => {
                let list = text(whole(&mut content, bytes)?)?;
                let place = self.into.join("repos").join(format!("{app}.git"));
                folder(&self.into.join("repos"))?;
                let repository = self.repository(path, &app)?;
                let failed = |source| git(&app, source);
                let references = References::from_text(&repository.head, &list)
                    .map_err(|error| BackupError::Hostile(error.to_string()))?;
                let incoming = Incoming::begin(&place, references).map_err(failed)?;
                repository.incoming = Some(incoming);
            }
            Part::Pack(app) => {
                let piece = whole(&mut content, bytes)?;
                let incoming = &mut self.repository(path, &app)?.incoming;
                let incoming = incoming
                    .as_mut()
                    .ok_or_else(|| hostile(path, "comes where it cannot be"))?;
                incoming.write(&piece).map_err(|source| git(&app, source))?;
            }
            Part::Shallow(app) => {
                let list = text(whole(&mut content, bytes)?)?;
                self.repository(path, &app)?.shallow = Some(list);
            }
            Part::Storage(name, tried) => {
                let piece = whole(&mut content, bytes)?;
                let failed = |error| BackupError::file(format!("{BROUGHT}/{name}.tar"), error);
                let folder = self.folder(path, &name, tried)?;
                folder.file.write_all(&piece).map_err(failed)?;
            }
        }
        let facts = FileFacts {
            bytes,
            sha256: hexadecimal(content.context.finish().as_ref()),
        };
        self.files.insert(path.to_owned(), facts);
        Ok(())
    }

    fn repository(&mut self, path: &str, app: &AppName) -> Result<&mut Repository, BackupError> {
        self.repository
            .as_mut()
            .filter(|repository| repository.app == *app)
            .ok_or_else(|| hostile(path, "comes where it cannot be"))
    }

    fn end_repository(&mut self) -> Result<(), BackupError> {
        let Some(repository) = self.repository.take() else {
            return Ok(());
        };
        match repository.incoming {
            Some(incoming) => incoming
                .finish(repository.shallow.as_deref())
                .map_err(|source| git(&repository.app, source)),
            None => Err(BackupError::Unsound(format!(
                "the repository of {} has no references",
                repository.app
            ))),
        }
    }

    /// The folder that a piece belongs to. A later try takes the place of one before.
    fn folder(
        &mut self,
        path: &str,
        name: &StorageName,
        tried: u32,
    ) -> Result<&mut Folder, BackupError> {
        let failed = |error| BackupError::file(format!("{BROUGHT}/{name}.tar"), error);
        let is_other = self
            .folder
            .as_ref()
            .is_none_or(|folder| folder.name != *name);
        if is_other {
            self.end_folder()?;
            if self.storage.iter().any(|folder| folder.name == *name) {
                return Err(hostile(path, "comes where it cannot be"));
            }
            let folders = self.into.join(BROUGHT);
            folder(&folders)?;
            let place = folders.join(format!("{name}.tar"));
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&place)
                .map_err(failed)?;
            self.folder = Some(Folder {
                name: name.clone(),
                tried,
                place,
                file,
            });
        }
        let folder = self.folder.as_mut();
        let folder = folder.ok_or_else(|| hostile(path, "comes where it cannot be"))?;
        match tried.cmp(&folder.tried) {
            Ordering::Equal => {}
            Ordering::Less => return Err(hostile(path, "comes where it cannot be")),
            Ordering::Greater => {
                folder.tried = tried;
                folder.file.rewind().map_err(failed)?;
                folder.file.set_len(0).map_err(failed)?;
            }
        }
        Ok(folder)
    }

    /// Reads what was brought of a folder, so that Docker is given nothing else than files of one.
    fn end_folder(&mut self) -> Result<(), BackupError> {
        let Some(Folder {
            name, place, file, ..
        }) = self.folder.take()
        else {
            return Ok(());
        };
        drop(file);
        let failed = |error| BackupError::file(format!("{BROUGHT}/{name}.tar"), error);
        let open = || File::open(&place).map(io::BufReader::new).map_err(failed);
        let refused = |fault| match fault {
            Fault::Cut(error) => {
                BackupError::Unsound(format!("the folder {name} of the storage: {error}"))
            }
            Fault::Hostile(what) => BackupError::Hostile(what),
        };
        refuse_long(&name, open()?).map_err(refused)?;
        let folder = look(&name, open()?).map_err(refused)?;
        self.storage.push(folder);
        Ok(())
    }

    fn write(&self, name: &str, content: &mut impl Read) -> Result<(), BackupError> {
        let path = self.into.join(name);
        if let Some(parent) = path.parent() {
            folder(parent)?;
        }
        let failed = |error| BackupError::file(name, error);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut piece = vec![0; 64 << 10];
        loop {
            let count = content.read(&mut piece).map_err(reading)?;
            match piece.get(..count) {
                Some(read) if count > 0 => file.write_all(read).map_err(failed)?,
                _ => break,
            }
        }
        file.sync_all().map_err(failed)
    }

    /// An archive of a few KiB may say that it holds terabytes.
    fn require_room(&self, bytes: u64) -> Result<(), BackupError> {
        let facts =
            statvfs(&self.into).map_err(|errno| BackupError::file("the disk", errno.into()))?;
        let free = facts.f_bavail.saturating_mul(facts.f_frsize);
        if bytes.saturating_add(RESERVE_BYTES) > free {
            return Err(BackupError::TooLarge);
        }
        Ok(())
    }

    fn finish(self) -> Result<Unpacked, BackupError> {
        let (Some(head), Some(manifest)) = (self.head, self.manifest) else {
            return Err(BackupError::Unsound(
                "it ends without the list of its files".to_owned(),
            ));
        };
        for (path, facts) in &manifest.files {
            if self.files.get(path) != Some(facts) {
                return Err(BackupError::Unsound(format!(
                    "`{path}` is missing or not as it was when the backup was made"
                )));
            }
        }
        if self.files.len() != manifest.files.len() {
            return Err(BackupError::Unsound(
                "it holds files that its list does not name".to_owned(),
            ));
        }
        for needed in ["mini.db", "keys/config.key"] {
            if !self.files.contains_key(needed) {
                return Err(BackupError::Unsound(format!("{needed} is missing")));
            }
        }
        Ok(Unpacked {
            head,
            manifest,
            storage: self.storage,
        })
    }
}

/// Reads on, and counts into a digest.
struct Digesting<'a, R> {
    source: &'a mut R,
    context: Context,
}

impl<R: Read> Read for Digesting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.context.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn whole(content: &mut impl Read, bytes: u64) -> Result<Vec<u8>, BackupError> {
    let mut all = Vec::new();
    content.read_to_end(&mut all).map_err(reading)?;
    match u64::try_from(all.len()) {
        Ok(length) if length == bytes => Ok(all),
        _ => Err(BackupError::Truncated),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, BackupError> {
    String::from_utf8(bytes)
        .map_err(|_| BackupError::Hostile("a list in it is not text".to_owned()))
}

fn folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(path)
        .map_err(|error| BackupError::file("the folder to unpack into", error))
}

fn git(app: &AppName, source: crate::git::GitError) -> BackupError {
    BackupError::Git {
        app: app.to_string(),
        source,
    }
}

/// Removes what is in a folder, and the folder.
pub(super) fn discard(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path) {
        tracing::debug!(%error, "a folder could not be removed");
    }
}
