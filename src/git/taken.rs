//! What is taken out of an archive of source into a commit, and what is not: the same for every kind of archive.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::Bound;

use super::made::CommitWriter;
use super::symlink::leaves_tree;
use super::{GitError, TreeLimits};

/// Longest path or target of a link, bytes (`PATH_MAX` of Linux).
pub(super) const PATH_LIMIT_BYTES: usize = 4096;
pub(super) const AGAIN: &str = "make it anew, for example with `tar c .`, and send it again";

/// A commit that gets the files of an archive. Paths are those that [`inside`] gives.
pub(super) struct Taken<'w> {
    writer: &'w mut CommitWriter,
    limits: TreeLimits,
    /// The places of all files and links, none of which is in another one.
    written: BTreeSet<Vec<u8>>,
    count: usize,
    total_bytes: u64,
}

impl<'w> Taken<'w> {
    pub(super) fn new(writer: &'w mut CommitWriter, limits: TreeLimits) -> Self {
        Self {
            writer,
            limits,
            written: BTreeSet::new(),
            count: 0,
            total_bytes: 0,
        }
    }

    /// What may be taken at all.
    pub(super) fn limits(&self) -> TreeLimits {
        self.limits
    }

    /// The commit that gets it.
    pub(super) fn writer(&self) -> &CommitWriter {
        self.writer
    }

    /// Whether a file or link of this path is there.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.written.contains(&place(path))
    }

    /// Counts an entry, whatever it is.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn count(&mut self) -> Result<(), GitError> {
        self.count = self.count.saturating_add(1);
        let entries = self.limits.entries;
        if self.count > entries.saturating_mul(2) || self.written.len() > entries {
            return Err(too_many(entries));
        }
        Ok(())
    }

    /// The place of a file or link.
    ///
    /// # Errors
    /// What would be a folder by one path is a file or link by another: git keeps the later of the two, and nobody would see it.
    fn free_place(&self, path: &[u8]) -> Result<Vec<u8>, GitError> {
        let place = place(path);
        let is_within = |inner: &[u8], outer: &[u8]| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        // The nearest in front is what this would be in: between them is only what is in that, too, and there is no such thing.
        let to = (Bound::Unbounded, Bound::Included(place.as_slice()));
        let before = self.written.range::<[u8], _>(to).next_back();
        let from = (Bound::Excluded(place.as_slice()), Bound::Unbounded);
        let after = self.written.range::<[u8], _>(from).next();
        let file = match (before, after) {
            (Some(before), _) if is_within(&place, before) => path.get(..before.len()),
            (_, Some(after)) if is_within(after, &place) => Some(path),
            _ => None,
        };
        match file {
            None => Ok(place),
            Some(file) => Err(GitError::unusable(
                format!(
                    "the archive has `{}` as a file and as a folder",
                    shown(file)
                ),
                AGAIN,
            )),
        }
    }

    /// Takes a file of exactly `size_bytes`.
    ///
    /// # Errors
    /// All together are too large; `content` cannot be read, or has less; there is a folder of that name, or it is in a file.
    pub(super) fn file(
        &mut self,
        path: Vec<u8>,
        is_executable: bool,
        size_bytes: u64,
        content: &mut dyn Read,
    ) -> Result<(), GitError> {
        let place = self.free_place(&path)?;
        self.total_bytes = self.total_bytes.saturating_add(size_bytes);
        if self.total_bytes > self.limits.total_bytes {
            return Err(too_large(self.limits.total_bytes));
        }
        self.writer
            .file(&path, is_executable, size_bytes, content)
            .map_err(|error| match error {
                // git has ended, which is no fault of the archive.
                GitError::Io(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    unreadable(error)
                }
                other => other,
            })?;
        self.written.insert(place);
        Ok(())
    }

    /// Takes a symlink.
    ///
    /// # Errors
    /// It leads out; there is a folder of that name, or it is in a file.
    pub(super) fn symlink(&mut self, path: Vec<u8>, target: &[u8]) -> Result<(), GitError> {
        if leaves_tree(&path, target) {
            return Err(leaves(&path, target));
        }
        let place = self.free_place(&path)?;
        self.writer.symlink(&path, target)?;
        self.written.insert(place);
        Ok(())
    }

    /// Takes another name of a file that is there.
    ///
    /// # Errors
    /// It is not; there is a folder of that name, or it is in a file.
    pub(super) fn link(&mut self, path: Vec<u8>, target: &[u8]) -> Result<(), GitError> {
        let inside = inside(target)?.filter(|target| self.has(target));
        let inside = inside.ok_or_else(|| leaves(&path, target))?;
        let place = self.free_place(&path)?;
        self.writer.copy(&inside, &path)?;
        self.written.insert(place);
        Ok(())
    }

    /// The end.
    ///
    /// # Errors
    /// There was no file.
    pub(super) fn finish(self) -> Result<(), GitError> {
        if self.written.is_empty() {
            return Err(GitError::unusable("there is no file in the archive", AGAIN));
        }
        Ok(())
    }
}

/// A path as it is put in order: what is in a folder follows it at once, for no path has this byte in it.
fn place(path: &[u8]) -> Vec<u8> {
    let byte = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    path.iter().map(byte).collect()
}

/// A path below the root, without `.` and empty parts; `None` for what belongs to a repository, not to the source.
pub(super) fn inside(path: &[u8]) -> Result<Option<Vec<u8>>, GitError> {
    let path = trimmed(path.to_vec());
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    let leads_out = path.first() == Some(&b'/') || parts.contains(&&b".."[..]);
    if leads_out || path.len() > PATH_LIMIT_BYTES || path.contains(&0) {
        return Err(GitError::unusable(
            format!(
                "the archive has the path `{}`, which does not stay inside it",
                shown(&path)
            ),
            AGAIN,
        ));
    }
    let is_of_git = parts.iter().any(|part| part.eq_ignore_ascii_case(b".git"));
    Ok((!is_of_git && !parts.is_empty()).then(|| parts.join(&b'/')))
}

pub(super) fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// A path as it is told to people.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// The refusal of more entries than these.
pub(super) fn too_many(entries: usize) -> GitError {
    GitError::unusable(
        format!("the archive has more than {entries} files and folders"),
        "leave out what the app does not need (node_modules is the usual case), and send it again",
    )
}

/// The refusal of more than so much.
pub(super) fn too_large(total_bytes: u64) -> GitError {
    GitError::unusable(
        format!("the archive has more than {} MiB", total_bytes >> 20),
        "leave out what the app does not need, and send it again",
    )
}

/// The refusal of a device and its like.
pub(super) fn other_kind(path: &[u8]) -> GitError {
    GitError::unusable(
        format!(
            "`{}` in the archive is neither a file nor a folder nor a link",
            shown(path)
        ),
        AGAIN,
    )
}

fn leaves(path: &[u8], target: &[u8]) -> GitError {
    GitError::unusable(
        format!(
            "the link `{}` in the archive leads to `{}`, which is not inside it",
            shown(path),
            shown(target)
        ),
        AGAIN,
    )
}

/// The refusal of an archive that cannot be read.
pub(super) fn unreadable(error: io::Error) -> GitError {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    };
    GitError::unusable(format!("the archive cannot be read: {why}"), AGAIN)
}
