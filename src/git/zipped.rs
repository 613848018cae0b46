//! A zip archive into a commit. Its directory is at its end, so it is kept in a file of the commit's own while it is read; the
//! directory itself is read entry by entry, whatever size it says it has.
//!
//! Numbers in comments are sections of PKWARE's APPNOTE.TXT 6.3.10. Written here because libraries hold the whole directory in
//! memory before anybody could count it, and let one of two entries of the same name win silently: what is refused has to be seen.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::GitError;
use super::taken::{
    AGAIN, PATH_LIMIT_BYTES, Taken, inside, other_kind, shown, too_large, too_many, unreadable,
};

/// What the parts begin with (4.3.7, 4.3.12, 4.3.14 to 4.3.16).
const FILE: u32 = 0x0403_4b50;
const ENTRY: u32 = 0x0201_4b50;
const WIDE_END: u32 = 0x0606_4b50;
const WIDE_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;
/// Lengths without what varies.
const FILE_BYTES: usize = 30;
const ENTRY_BYTES: usize = 46;
const WIDE_END_BYTES: usize = 56;
const WIDE_LOCATOR_BYTES: usize = 20;
const END_BYTES: usize = 22;
/// A comment behind the end is no longer.
const COMMENT_BYTES: u64 = 0xffff;
/// What stands for "in the wide part" (4.4.1.4).
const WIDE_16: u64 = 0xffff;
const WIDE_32: u64 = 0xffff_ffff;
/// The extra field with wide sizes (4.5.3).
const WIDE_FIELD: u64 = 1;
/// Bits of an entry's flags: encrypted, strongly so, with a masked directory (4.4.4).
const ENCRYPTED: u64 = 1 | (1 << 6) | (1 << 13);
/// Who made an entry (4.4.2.2): the two whose modes are those of Unix, and DOS.
const UNIX: u64 = 3;
const DARWIN: u64 = 19;
const DOS: u64 = 0;
/// Kinds of files in such a mode (`inode(7)`).
const KIND: u64 = 0o170_000;
const FOLDER: u64 = 0o040_000;
const REGULAR: u64 = 0o100_000;
const SYMLINK: u64 = 0o120_000;
/// What an archive may have for each entry beside the contents, when it is decided how much is kept of one.
const HEADERS_BYTES: u64 = 1024;

/// Whether an archive that begins so is a zip archive (4.3.7, 4.3.16).
pub fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Takes all files and links.
///
/// # Errors
/// It is damaged, encrypted or packed in an unusual way, has entries that overlap, holds more than may be taken, a path twice, or
/// something that leads out.
pub(super) fn unpack(archive: &mut dyn Read, taken: &mut Taken<'_>) -> Result<(), GitError> {
    let zip = Zip::kept(archive, taken)?;
    let directory = zip.directory()?;
    let limit = taken.limits().entries;
    if directory.entries > (limit as u64).saturating_mul(2) {
        return Err(too_many(limit));
    }
    let mut source = BufReader::new(zip.part(directory.at, directory.length));
    let mut held_bytes: u64 = 0;
    for _ in 0..directory.entries {
        let entry = Entry::read(&mut source)?;
        taken.count()?;
        // Entries that share bytes would have them unpacked again and again, for hours in a few megabytes.
        held_bytes = held_bytes.saturating_add(entry.held_bytes());
        if held_bytes > directory.at {
            return Err(damaged("its entries overlap"));
        }
        take(&zip, &directory, &entry, taken)?;
    }
    match source.fill_buf().map_err(unreadable)? {
        [] => Ok(()),
        _ => Err(damaged("its directory has more in it than it says")),
    }
}

fn take(
    zip: &Zip,
    directory: &Directory,
    entry: &Entry,
    taken: &mut Taken<'_>,
) -> Result<(), GitError> {
    if entry.name.ends_with(b"/") || entry.kind() == FOLDER {
        inside(&entry.name)?;
        return Ok(());
    }
    let Some(path) = inside(&entry.name)? else {
        return Ok(());
    };
    if taken.has(&path) {
        return Err(damaged(&format!("it has `{}` twice", shown(&path))));
    }
    let mut content = zip.content(directory, entry)?;
    match entry.kind() {
        SYMLINK => {
            let mut target = Vec::new();
            let mut limited = (&mut content).take(PATH_LIMIT_BYTES as u64 + 1);
            limited.read_to_end(&mut target).map_err(unreadable)?;
            if target.len() > PATH_LIMIT_BYTES {
                return Err(damaged(&format!("the link `{}` is too long", shown(&path))));
            }
            content.finish()?;
            taken.symlink(path, &target)
        }
        REGULAR | 0 => {
            let (is_executable, size_bytes) = (entry.is_executable(), entry.size_bytes);
            taken.file(path, is_executable, size_bytes, &mut content)?;
            content.finish()
        }
        _ => Err(other_kind(&path)),
    }
}

/// An archive that is here whole.
struct Zip {
    file: File,
    length: u64,
}

/// Where the directory is.
struct Directory {
    at: u64,
    length: u64,
    entries: u64,
}

impl Zip {
    /// Keeps the archive while it is read. What is packed is no larger than the contents may be, but for headers.
    fn kept(archive: &mut dyn Read, taken: &Taken<'_>) -> Result<Self, GitError> {
        let mut file = taken.writer().scratch()?;
        let limits = taken.limits();
        let headers = HEADERS_BYTES.saturating_mul(limits.entries as u64);
        let limit = limits.total_bytes.saturating_add(headers);
        let length = io::copy(&mut archive.take(limit.saturating_add(1)), &mut file);
        let length = length.map_err(unreadable)?;
        if length > limit {
            return Err(too_large(limits.total_bytes));
        }
        Ok(Self { file, length })
    }

    fn part(&self, at: u64, length: u64) -> Part<'_> {
        Part {
            file: &self.file,
            at,
            left: length,
        }
    }

    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, GitError> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map_err(unreadable)?;
        Ok(bytes)
    }

    /// Finds the end of the archive (4.3.16), and by it the directory.
    fn directory(&self) -> Result<Directory, GitError> {
        let tail_at = self.length.saturating_sub(END_BYTES as u64 + COMMENT_BYTES);
        let tail_length = usize::try_from(self.length - tail_at).unwrap_or_default();
        let tail = self.read(tail_at, tail_length)?;
        // The last place from which the archive ends where it says.
        let found = (0..tail.len()).rev().find_map(|at| {
            let end = tail.get(at..)?;
            let comment = number(end, 20, 2)?;
            let is_end = number(end, 0, 4)? == u64::from(END)
                && END_BYTES as u64 + comment == end.len() as u64;
            is_end.then_some((tail_at + at as u64, end))
        });
        let Some((end_at, end)) = found else {
            return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
        };
        let field = |at, length| number(end, at, length).unwrap_or_default();
        let narrow = Directory {
            at: field(16, 4),
            length: field(12, 4),
            entries: field(10, 2),
        };
        // 65,535 entries have room in the narrow end, and some programs (Python's zipfile) then write no other.
        let is_wide = narrow.at == WIDE_32
            || narrow.length == WIDE_32
            || (narrow.entries == WIDE_16 && self.has_locator(end_at)?);
        let (directory, ends_at) = match is_wide {
            true => self.wide_directory(end_at)?,
            false => (narrow, end_at),
        };
        // Nothing in front of the archive and nothing between its parts that another reader could take for them.
        if directory.at.checked_add(directory.length) != Some(ends_at) {
            return Err(damaged("its directory is not where it says"));
        }
        Ok(directory)
    }

    /// Whether what leads to a wide end stands in front of the narrow one, where its place is (4.3.15).
    fn has_locator(&self, end_at: u64) -> Result<bool, GitError> {
        let Some(at) = end_at.checked_sub(WIDE_LOCATOR_BYTES as u64) else {
            return Ok(false);
        };
        Ok(number(&self.read(at, 4)?, 0, 4) == Some(WIDE_LOCATOR.into()))
    }

    /// The directory by the wide end, which stands before the other (4.3.14, 4.3.15), and where that wide end is.
    fn wide_directory(&self, end_at: u64) -> Result<(Directory, u64), GitError> {
        let lost = || damaged("its end is not whole");
        let locator_at = end_at.checked_sub(WIDE_LOCATOR_BYTES as u64);
        let locator = self.read(locator_at.ok_or_else(lost)?, WIDE_LOCATOR_BYTES)?;
        if number(&locator, 0, 4) != Some(WIDE_LOCATOR.into()) {
            return Err(lost());
        }
        let at = number(&locator, 8, 8).ok_or_else(lost)?;
        let end = self.read(at, WIDE_END_BYTES)?;
        if number(&end, 0, 4) != Some(WIDE_END.into()) {
            return Err(lost());
        }
        let field = |at| number(&end, at, 8).unwrap_or_default();
        let directory = Directory {
            at: field(48),
            length: field(40),
            entries: field(32),
        };
        Ok((directory, at))
    }

    /// What is packed in an entry, which the header in front of it has to agree with (4.3.7).
    fn content<'z>(
        &'z self,
        directory: &Directory,
        entry: &Entry,
    ) -> Result<Content<'z>, GitError> {
        let name = shown(&entry.name);
        let header = self.read(entry.at, FILE_BYTES)?;
        let field = |at, length| number(&header, at, length).unwrap_or_default();
        let name_bytes = field(26, 2);
        let name_at = entry.at.saturating_add(FILE_BYTES as u64);
        let begins_at = name_at.saturating_add(name_bytes + field(28, 2));
        let ends_at = begins_at.checked_add(entry.packed_bytes);
        let is_inside = ends_at.is_some_and(|end| end <= directory.at);
        let is_same = field(0, 4) == u64::from(FILE)
            && field(8, 2) == entry.method
            && name_bytes == entry.raw_name.len() as u64
            && self.read(name_at, entry.raw_name.len())? == entry.raw_name;
        if !is_inside || !is_same {
            return Err(damaged(&format!("`{name}` is not where it says")));
        }
        let part = BufReader::new(self.part(begins_at, entry.packed_bytes));
        let source = match entry.method {
            0 => Source::Stored(part),
            8 => Source::Deflated(DeflateDecoder::new(part)),
            _ => {
                return Err(GitError::unusable(
                    format!("`{name}` in the archive is packed in a way that is not read"),
                    "make it with the usual method (deflate), as `zip -r` does, and send it again",
                ));
            }
        };
        Ok(Content {
            source,
            name,
            left: entry.size_bytes,
            sum: Crc::new(),
            expected: entry.sum,
        })
    }
}

/// A part of the archive.
struct Part<'z> {
    file: &'z File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let into = into.get_mut(..room).unwrap_or_default();
        let length = self.file.read_at(into, self.at)?;
        self.at = self.at.saturating_add(length as u64);
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}

/// What a file or a link has in it, summed while it is read.
struct Content<'z> {
    source: Source<'z>,
    name: String,
    left: u64,
    sum: Crc,
    expected: u64,
}

enum Source<'z> {
    Stored(BufReader<Part<'z>>),
    Deflated(DeflateDecoder<BufReader<Part<'z>>>),
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Stored(part) => part.read(into),
            Source::Deflated(decoder) => decoder.read(into),
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let into = into.get_mut(..room).unwrap_or_default();
        let length = self.source.read(into)?;
        self.sum.update(into.get(..length).unwrap_or_default());
        self.left = self.left.saturating_sub(length as u64);
        Ok(length)
    }
}

impl Content<'_> {
    /// Whether it had as much as it says, and what it says.
    fn finish(mut self) -> Result<(), GitError> {
        let mut more = [0];
        let is_longer = self.source.read(&mut more).map_err(unreadable)? > 0;
        if is_longer || self.left > 0 {
            return Err(damaged(&format!(
                "`{}` has another size than it says",
                self.name
            )));
        }
        if u64::from(self.sum.sum()) != self.expected {
            return Err(damaged(&format!("`{}` is damaged", self.name)));
        }
        Ok(())
    }
}

/// An entry of the directory (4.3.12).
struct Entry {
    /// As it is in the archive.
    raw_name: Vec<u8>,
    /// With `/` between folders.
    name: Vec<u8>,
    method: u64,
    sum: u64,
    packed_bytes: u64,
    size_bytes: u64,
    /// Of Unix; 0 for none.
    mode: u64,
    at: u64,
}

impl Entry {
    fn read(source: &mut impl Read) -> Result<Self, GitError> {
        let mut head = [0; ENTRY_BYTES];
        source.read_exact(&mut head).map_err(unreadable)?;
        let field = |at, length| number(&head, at, length).unwrap_or_default();
        if field(0, 4) != u64::from(ENTRY) {
            return Err(damaged("its directory is not whole"));
        }
        let rest = |length: u64, source: &mut dyn Read| {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            source.read_exact(&mut bytes).map_err(unreadable)?;
            Ok::<_, GitError>(bytes)
        };
        let raw_name = rest(field(28, 2), source)?;
        let extra = rest(field(30, 2), source)?;
        rest(field(32, 2), source)?;
        let made_by = field(5, 1);
        let mut entry = Self {
            name: raw_name.clone(),
            raw_name,
            method: field(10, 2),
            sum: field(16, 4),
            packed_bytes: field(20, 4),
            size_bytes: field(24, 4),
            mode: match made_by {
                UNIX | DARWIN => field(40, 2),
                _ => 0,
            },
            at: field(42, 4),
        };
        if field(8, 2) & ENCRYPTED != 0 {
            return Err(GitError::unusable(
                format!("`{}` in the archive needs a password", shown(&entry.name)),
                "make it without one, and send it again",
            ));
        }
        // Some programs of Windows write their own separator, against 4.4.17.1.
        if made_by == DOS && !entry.name.contains(&b'/') {
            for byte in entry.name.iter_mut().filter(|byte| **byte == b'\\') {
                *byte = b'/';
            }
        }
        entry.widen(&extra)?;
        Ok(entry)
    }

    /// Takes from the extra field what had no room in the entry, in this order (4.5.3).
    fn widen(&mut self, extra: &[u8]) -> Result<(), GitError> {
        let lost = || damaged("its directory is not whole");
        let places = [&mut self.size_bytes, &mut self.packed_bytes, &mut self.at];
        let mut wanted = places
            .into_iter()
            .filter(|value| **value == WIDE_32)
            .peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        let mut rest = extra;
        while let Some((id, length)) = number(rest, 0, 2).zip(number(rest, 2, 2)) {
            let length = usize::try_from(length).map_err(|_| lost())?;
            let field = rest.get(4..4 + length).ok_or_else(lost)?;
            if id == WIDE_FIELD {
                for (place, value) in wanted.zip((0..).step_by(8)) {
                    *place = number(field, value, 8).ok_or_else(lost)?;
                }
                return Ok(());
            }
            rest = rest.get(4 + length..).unwrap_or_default();
        }
        Err(lost())
    }

    /// What is its own in the archive, in front of the directory; at least that.
    fn held_bytes(&self) -> u64 {
        let header = (FILE_BYTES + self.raw_name.len()) as u64;
        self.packed_bytes.saturating_add(header)
    }

    fn kind(&self) -> u64 {
        self.mode & KIND
    }

    fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// The number in `length` bytes from `at`, the lowest byte first (4.4.1.1).
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
    Some(bytes.iter().rev().fold(0, add))
}

fn damaged(why: &str) -> GitError {
    GitError::unusable(format!("the archive cannot be read: {why}"), AGAIN)
}

#[cfg(test)]
mod tests;
