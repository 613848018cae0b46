//! The last lines of a log, read from its end.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::files::rotated;

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// A file that is being read and how far it has been; none where there is no file yet.
pub(super) type Place = Option<(File, u64)>;

/// The last `num` whole lines of the log at `path` and of the file before it, and where they end.
pub(super) fn last_lines(path: &Path, num: usize) -> io::Result<(Vec<u8>, Place)> {
    let Some(file) = open(path)? else {
        // It has just been rotated away, or there never was one.
        let before = open(&rotated(path))?;
        let before = before.map(|file| last_of(&file, num)).transpose()?;
        return Ok((before.unwrap_or_default().lines, None));
    };
    let mut found = last_of(&file, num)?;
    if found.count < num
        && let Some(before) = open(&rotated(path))?
        && before.metadata()?.ino() != file.metadata()?.ino()
    {
        let mut lines = last_of(&before, num - found.count)?.lines;
        lines.append(&mut found.lines);
        found.lines = lines;
    }
    Ok((found.lines, Some((file, found.end))))
}

pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Found {
    lines: Vec<u8>,
    count: usize,
    /// Where the last whole line ends.
    end: u64,
}

fn last_of(file: &File, num: usize) -> io::Result<Found> {
    let size = file.metadata()?.len();
    let mut from = size;
    let mut read = Vec::new();
    // One line feed more than lines are wanted: the one before the first of them.
    let mut feeds = 0;
    while from > 0 && feeds <= num {
        let length = from.min(BLOCK_BYTES as u64);
        from -= length;
        let mut block = vec![0; usize::try_from(length).unwrap_or(BLOCK_BYTES)];
        file.read_exact_at(&mut block, from)?;
        feeds += block.iter().filter(|byte| **byte == b'\n').count();
        block.append(&mut read);
        read = block;
    }
    let whole = read
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let unfinished = read.len() - whole;
    read.truncate(whole);
    let surplus = feeds.saturating_sub(num);
    let begin = match surplus {
        0 => 0,
        surplus => {
            let mut ends = read.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
            ends.nth(surplus - 1).map_or(0, |(at, _)| at + 1)
        }
    };
    Ok(Found {
        lines: read.split_off(begin),
        count: feeds.min(num),
        end: size - unfinished as u64,
    })
}
