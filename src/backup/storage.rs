//! Folders of the storage in an archive: each as the tar that Docker makes of it, in pieces. A folder is read while its app may
//! write. Where a file becomes shorter under Docker's hands, its tar ends there, and the folder is read once more: what counts is
//! the last try, `storage/NAME/TRY/0000000` and so on.

use std::io::{self, Read, Write};
use std::path::{Component, Path};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use serde::Serialize;
use tar::EntryType;
use tokio::runtime::Handle;

use super::BackupError;
use super::archive::{Archive, PIECE_BYTES};
use crate::engine::{ContainerEngine, EngineError, FolderStream};
use crate::model::StorageName;

/// How often a folder is read until it holds still.
const TRIES: u32 = 3;
/// What is in front of every path in the tar of a folder.
const ROOT: &str = "storage";
/// What a tar is made of, bytes; two blocks of zeros are its end (POSIX, pax interchange format).
const BLOCK_BYTES: u64 = 512;
/// The longest name or attribute that an entry has, bytes: the kernel's paths end at 4096, and its attributes at 64 KiB.
const LONGEST_FACT: u64 = 256 << 10;

/// A folder of the storage in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FolderInside {
    /// Its name.
    pub name: StorageName,
    /// How many files there are.
    pub files: u64,
    /// Their length in all, bytes.
    pub bytes: u64,
}

/// What is wrong with the tar of a folder.
#[derive(Debug)]
pub(super) enum Fault {
    /// It could not be read to its end.
    Cut(io::Error),
    /// It holds what is no part of a folder.
    Hostile(String),
}

/// Adds a folder. Blocks, within a runtime; holds some pieces.
///
/// # Errors
/// `Engine`, `Write`; `Storage` where its files change faster than they are read, or are such as cannot be put back.
pub(super) fn add<W: Write>(
    archive: &mut Archive<W>,
    engine: &dyn ContainerEngine,
    name: &StorageName,
) -> Result<Option<FolderInside>, BackupError> {
    let runtime = Handle::current();
    let mut why = String::new();
    for number in 0..TRIES {
        let stream = match runtime.block_on(engine.read_storage(name)) {
            Err(EngineError::Gone { .. }) => return Ok(None),
            stream => stream.map_err(BackupError::Engine)?,
        };
        let mut pieces = Pieces {
            source: Streamed {
                runtime: runtime.clone(),
                stream,
                piece: Bytes::new(),
            },
            archive,
            folder: format!("storage/{name}/{number}"),
            count: 0,
            piece: Vec::with_capacity(PIECE_BYTES),
            failed: None,
        };
        let looked = look(name, &mut pieces);
        if let Some(error) = pieces.failed.take() {
            return Err(error);
        }
        match looked {
            Ok(folder) => {
                pieces.pass_on()?;
                return Ok(Some(folder));
            }
            Err(Fault::Hostile(what)) => {
                why = what;
                break;
            }
            Err(Fault::Cut(error)) => {
                why = format!("its files change while they are read: {error}")
            }
        }
    }
    Err(BackupError::Storage {
        name: name.to_string(),
        why,
    })
}

/// Reads the tar of a folder to its end.
pub(super) fn look(name: &StorageName, source: impl Read) -> Result<FolderInside, Fault> {
    let mut folder = FolderInside {
        name: name.clone(),
        files: 0,
        bytes: 0,
    };
    let mut tar = tar::Archive::new(Counted { source, bytes: 0 });
    let mut end = 0;
    for entry in tar.entries().map_err(Fault::Cut)? {
        let mut entry = entry.map_err(Fault::Cut)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refuse = |what: &str| {
            let shown: String = path.chars().filter(|c| !c.is_control()).take(120).collect();
            Fault::Hostile(format!("`{shown}` in the storage {name} {what}"))
        };
        if !is_inside(&path) {
            return Err(refuse("is not in there"));
        }
        match entry.header().entry_type() {
            EntryType::Regular => {
                folder.files += 1;
                folder.bytes = folder.bytes.saturating_add(entry.size());
            }
            EntryType::Directory | EntryType::Symlink | EntryType::Fifo => {}
            EntryType::Link => {
                let to = entry.link_name_bytes().unwrap_or_default();
                if !is_inside(&String::from_utf8_lossy(&to)) {
                    return Err(refuse("is a second name of what is not in there"));
                }
            }
            _ => return Err(refuse("is neither file nor folder nor link")),
        }
        io::copy(&mut entry, &mut io::sink()).map_err(Fault::Cut)?;
        let length = entry
            .size()
            .div_ceil(BLOCK_BYTES)
            .saturating_mul(BLOCK_BYTES);
        end = entry.raw_file_position().saturating_add(length);
    }
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(Fault::Cut)?;
    // Where it ends just behind a file, nothing else says that more was to come.
    match rest.bytes < end.saturating_add(2 * BLOCK_BYTES) {
        true => Err(Fault::Cut(io::ErrorKind::UnexpectedEof.into())),
        false => Ok(folder),
    }
}

/// Refuses a tar of others that says names so long that there is no memory for them; `look` would read them whole.
pub(super) fn refuse_long(name: &StorageName, source: impl Read) -> Result<(), Fault> {
    let mut tar = tar::Archive::new(source);
    for entry in tar.entries().map_err(Fault::Cut)?.raw(true) {
        let entry = entry.map_err(Fault::Cut)?;
        let is_fact = matches!(
            entry.header().entry_type(),
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader
        );
        if is_fact && entry.size() > LONGEST_FACT {
            let what = format!("a name in the storage {name} is longer than names can be");
            return Err(Fault::Hostile(what));
        }
    }
    Ok(())
}

fn is_inside(path: &str) -> bool {
    let path = Path::new(path);
    path.starts_with(ROOT)
        && path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// What Docker sends, for who reads on a thread of its own.
struct Streamed {
    runtime: Handle,
    stream: FolderStream,
    piece: Bytes,
}

impl Read for Streamed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece
            .copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Passes on what is read through it to an archive.
struct Pieces<'a, W: Write> {
    source: Streamed,
    archive: &'a mut Archive<W>,
    folder: String,
    count: usize,
    piece: Vec<u8>,
    failed: Option<BackupError>,
}

impl<W: Write> Pieces<'_, W> {
    fn pass_on(&mut self) -> Result<(), BackupError> {
        let path = format!("{}/{:07}", self.folder, self.count);
        self.archive.add(&path, &self.piece)?;
        self.count += 1;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Read for Pieces<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.piece.len();
        let limit = buffer.len().min(room);
        let buffer = buffer.get_mut(..limit).unwrap_or_default();
        let count = self.source.read(buffer)?;
        self.piece
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        if self.piece.len() == PIECE_BYTES
            && let Err(error) = self.pass_on()
        {
            self.failed = Some(error);
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(count)
    }
}

/// Knows how much it has read, bytes.
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += u64::try_from(count).unwrap_or_default();
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> StorageName {
        "data".parse().unwrap()
    }

    /// Some entries and the end of a tar; a link has its target for content.
    fn tar(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o640);
            // As it is: `set_path` would refuse what is to be refused later.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            if matches!(kind, EntryType::Link | EntryType::Symlink) {
                header.set_size(0);
                header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content.as_bytes());
                header.set_cksum();
                tar.append(&header, io::empty()).unwrap();
            } else {
                header.set_size(content.len() as u64);
                header.set_cksum();
                tar.append(&header, content.as_bytes()).unwrap();
            }
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn a_folder_is_counted() {
        let whole = tar(&[
            (EntryType::Directory, "storage/", ""),
            (EntryType::Regular, "storage/a", "hello"),
            (EntryType::Directory, "storage/d/", ""),
            (EntryType::Regular, "storage/d/b", "you"),
            (EntryType::Link, "storage/c", "storage/a"),
            (EntryType::Symlink, "storage/l", "/etc/passwd"),
            (EntryType::Fifo, "storage/f", ""),
        ]);
        let folder = look(&name(), whole.as_slice()).unwrap();
        assert_eq!((folder.files, folder.bytes), (2, 8));
        refuse_long(&name(), whole.as_slice()).unwrap();
    }

    #[test]
    fn one_that_was_cut_off_is_never_taken_for_whole() {
        let whole = tar(&[
            (EntryType::Regular, "storage/a", &"x".repeat(700)),
            (EntryType::Regular, "storage/zeros", &"\0".repeat(3000)),
        ]);
        for length in 0..whole.len() {
            let looked = look(&name(), &whole[..length]);
            assert!(matches!(looked, Err(Fault::Cut(_))), "{length}: {looked:?}");
        }
        look(&name(), whole.as_slice()).unwrap();
    }

    #[test]
    fn what_would_leave_the_folder_or_is_no_file_is_refused() {
        for (kind, path, content) in [
            (EntryType::Regular, "/etc/passwd", "x"),
            (EntryType::Regular, "etc/passwd", "x"),
            (EntryType::Regular, "storage/../etc/passwd", "x"),
            (EntryType::Regular, "storagex", "x"),
            (EntryType::Link, "storage/a", "/etc/passwd"),
            (EntryType::Link, "storage/a", "storage/../etc/passwd"),
            (EntryType::Link, "storage/a", ""),
            (EntryType::Block, "storage/sda", ""),
            (EntryType::Char, "storage/mem", ""),
            (EntryType::XGlobalHeader, "storage/x", ""),
        ] {
            let looked = look(&name(), tar(&[(kind, path, content)]).as_slice());
            assert!(
                matches!(looked, Err(Fault::Hostile(_))),
                "{path}: {looked:?}"
            );
        }
        let long = "y".repeat(usize::try_from(LONGEST_FACT).unwrap() + 1);
        let long = tar(&[(EntryType::GNULongName, "storage/x", &long)]);
        let refused = refuse_long(&name(), long.as_slice());
        assert!(matches!(refused, Err(Fault::Hostile(_))), "{refused:?}");
    }
}
