//! The files: appended to, rotated, moved and removed.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::process::{Resource, getrlimit};
use tokio::sync::watch;

use crate::model::AppName;

use super::UNROUTED;

/// Of the file descriptors this process may have, one in so many may be an open log; connections need the others.
const SHARE_OF_DESCRIPTORS: u64 = 8;
/// How many logs are open at most however many descriptors there are.
const MOST_OPEN: u64 = 16_384;
/// How long it is remembered that an app has gone: longer than its last request can take.
const PAST_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// All logs of the folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    max_bytes: u64,
    most_open: usize,
    open: HashMap<String, LogFile>,
    /// Told whenever lines were added to a log that somebody follows.
    followers: HashMap<String, watch::Sender<u64>>,
    past: HashMap<String, Past>,
}

#[derive(Debug)]
struct LogFile {
    file: File,
    bytes: u64,
}

impl LogFile {
    /// Whether it is the file of this path.
    fn is_at(&self, path: &Path) -> bool {
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
            (Ok(_) | Err(_), _) => false,
        }
    }
}

/// An app that had this name.
#[derive(Debug)]
struct Past {
    /// Requests that began until then were its own.
    until: SystemTime,
    /// Its name now; none if it is destroyed.
    now: Option<String>,
}

/// `<folder>/<name>.log`
fn path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// The file that was full last, beside the one that is written.
pub(super) fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

impl Files {
    pub(super) fn open(folder: PathBuf, max_bytes: u64) -> io::Result<Files> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o700))?;
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most_open = (descriptors / SHARE_OF_DESCRIPTORS).clamp(1, MOST_OPEN);
        Ok(Files {
            folder,
            max_bytes,
            most_open: usize::try_from(most_open).unwrap_or(1),
            open: HashMap::new(),
            followers: HashMap::new(),
            past: HashMap::new(),
        })
    }

    /// Whose log a request belongs to that began `at` and was answered under this name; none if nobody's any more.
    pub(super) fn owner<'a>(&'a self, name: &'a str, at: SystemTime) -> Option<&'a str> {
        match self.past.get(name) {
            Some(past) if at <= past.until => past.now.as_deref(),
            Some(_) | None => Some(name),
        }
    }

    /// Appends whole lines to a log, in a new file wherever the present one would grow above the limit.
    pub(super) fn append(&mut self, name: &str, mut lines: &[u8]) -> io::Result<()> {
        // The name comes from the route table, whose services are apps; it is about to be a file's name.
        if name != UNROUTED && name.parse::<AppName>().is_err() {
            return Err(ErrorKind::InvalidFilename.into());
        }
        while !lines.is_empty() {
            let max_bytes = self.max_bytes;
            let path = path(&self.folder, name);
            let log = self.log(name)?;
            let room = max_bytes.saturating_sub(log.bytes);
            let fit = whole_lines(lines, room, log.bytes == 0);
            let (now, later) = lines.split_at_checked(fit).unwrap_or((lines, &[]));
            if now.is_empty() {
                let is_current = log.is_at(&path);
                self.open.remove(name);
                // Not so after a takeover: the other server has put a new file in its place.
                if is_current {
                    fs::rename(&path, rotated(&path))?;
                }
                continue;
            }
            if let Err(error) = log.file.write_all(now) {
                // A part of it may be there: the size is looked up anew with the next lines.
                self.open.remove(name);
                return Err(error);
            }
            log.bytes += now.len() as u64;
            lines = later;
        }
        self.tell(name);
        Ok(())
    }

    fn log(&mut self, name: &str) -> io::Result<&mut LogFile> {
        if !self.open.contains_key(name) {
            if self.open.len() >= self.most_open {
                // So many apps at once are rare, and which will be asked next cannot be known.
                self.open.clear();
            }
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path(&self.folder, name))?;
            let bytes = file.metadata()?.len();
            self.open.insert(name.to_owned(), LogFile { file, bytes });
        }
        self.open
            .get_mut(name)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn tell(&mut self, name: &str) {
        if let Some(follower) = self.followers.get(name) {
            if follower.receiver_count() == 0 {
                self.followers.remove(name);
            } else {
                follower.send_modify(|times| *times = times.wrapping_add(1));
            }
        }
    }

    /// The path of a log, and what changes when lines are added to it; that ends when the log is moved or removed.
    pub(super) fn subscribe(&mut self, name: &str) -> (PathBuf, watch::Receiver<u64>) {
        let follower = self.followers.entry(name.to_owned()).or_default();
        (path(&self.folder, name), follower.subscribe())
    }

    pub(super) fn remove(&mut self, name: &str, until: SystemTime) -> io::Result<()> {
        self.leave(name, None, until);
        let path = path(&self.folder, name);
        remove_file(&rotated(&path))?;
        remove_file(&path)
    }

    pub(super) fn rename(&mut self, old: &str, new: &str, until: SystemTime) -> io::Result<()> {
        self.leave(old, Some(new), until);
        self.past.remove(new);
        self.open.remove(new);
        let (from, to) = (path(&self.folder, old), path(&self.folder, new));
        // A log of an app that had the new name before would be read as this one's.
        remove_file(&to)?;
        remove_file(&rotated(&to))?;
        for (from, to) in [(rotated(&from), rotated(&to)), (from, to)] {
            match fs::rename(from, to) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn leave(&mut self, name: &str, now: Option<&str>, until: SystemTime) {
        self.open.remove(name);
        self.followers.remove(name);
        let oldest = until.checked_sub(PAST_KEPT);
        self.past
            .retain(|_, past| oldest.is_none_or(|oldest| past.until > oldest));
        // Who had been renamed to this name has it no more.
        for past in self.past.values_mut() {
            if past.now.as_deref() == Some(name) {
                past.now = now.map(str::to_owned);
            }
        }
        let now = now.map(str::to_owned);
        self.past.insert(name.to_owned(), Past { until, now });
    }

    /// Removes all logs but those of these names.
    pub(super) fn keep_only(&mut self, names: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let name = file_name.to_str().and_then(|file_name| {
                let file_name = file_name.strip_suffix(".1").unwrap_or(file_name);
                file_name.strip_suffix(".log")
            });
            if name.is_some_and(|name| !names.contains(name)) {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// How many bytes of `lines` fit into `room`: whole lines, and at least one where `at_least_one`.
fn whole_lines(lines: &[u8], room: u64, at_least_one: bool) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    if lines.len() <= room {
        return lines.len();
    }
    let within = lines.get(..room).unwrap_or(lines);
    let end = |position: usize| position + 1;
    match within.iter().rposition(|byte| *byte == b'\n') {
        Some(position) => end(position),
        None if at_least_one => {
            let first = lines.iter().position(|byte| *byte == b'\n');
            first.map_or(lines.len(), end)
        }
        None => 0,
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
