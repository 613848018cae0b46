//! Copies of databases whose newer form has not proved itself: `copies/unproven` has their names, one a line.
//!
//! It is written before a database is brought forward, and becomes `copies/proven` when the server that did so is about to let
//! users in. Until then nobody was told of anything that is only in the newer form, so that an older mini which finds it puts these
//! copies back without being asked: an upgrade that a loss of power has cut short was none.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::NewFile;

const UNPROVEN: &str = "unproven";
const PROVEN: &str = "proven";

/// Notes that the copy of this name is what a database was, just before it is brought forward. On the disk when this returns.
pub(super) fn add(folder: &Path, copy: &str) -> io::Result<()> {
    let mut names = names(folder)?;
    if names.is_empty() {
        remove(&folder.join(PROVEN))?;
    }
    names.push(copy.to_owned());
    NewFile::put(&folder.join(UNPROVEN), names.join("\n").as_bytes())
}

/// The copies that may be put back without being asked.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    listed(&folder.join(UNPROVEN))
}

/// The newer form is the one that counts from now on.
pub(super) fn trust(folder: &Path) -> io::Result<()> {
    if !folder.join(UNPROVEN).exists() {
        return Ok(());
    }
    moved(folder, UNPROVEN, PROVEN)
}

/// It is not after all. Nothing happens, and the answer is `false`, unless `is_meant` a copy that was noted last.
pub(super) fn doubt(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<bool> {
    if names(folder)?.iter().any(|name| is_meant(name)) {
        return Ok(true);
    }
    if !listed(&folder.join(PROVEN))?
        .iter()
        .any(|name| is_meant(name))
    {
        return Ok(false);
    }
    moved(folder, PROVEN, UNPROVEN).map(|()| true)
}

fn moved(folder: &Path, from: &str, to: &str) -> io::Result<()> {
    fs::rename(folder.join(from), folder.join(to))?;
    File::open(folder)?.sync_all()
}

fn listed(path: &Path) -> io::Result<Vec<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(text?.lines().map(str::to_owned).collect()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
