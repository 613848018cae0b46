//! The lock that keeps two servers out of one data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// The name of its file.
pub(super) const FILE: &str = "mini.lock";

/// The sole right to a data directory. The kernel gives it back when this is dropped or the process ends, in whatever
/// way; the file `mini.lock` stays and means nothing by itself.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the lock, and writes the process id into its file for whoever finds it taken.
    ///
    /// # Errors
    /// `InUse` if another open store has it, in this process or another; `ReadOnly`, `DiskFull` or `File`.
    pub(super) fn take(data_dir: &Path) -> Result<DataDirLock, StoreError> {
        let failed = |error| StoreError::file(FILE, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(data_dir.join(FILE))
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The id only helps the reader; without it the message is still true.
                let _ = file.read_to_string(&mut text);
                return Err(StoreError::InUse {
                    pid: text.trim().parse().ok(),
                });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(DataDirLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holds_it_and_the_next_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDirLock::take(folder.path()).unwrap();
        let error = DataDirLock::take(folder.path()).unwrap_err();
        assert!(
            matches!(error, StoreError::InUse { pid: Some(pid) } if pid == std::process::id()),
            "{error:?}"
        );
        drop(first);
        DataDirLock::take(folder.path()).unwrap();
    }
}
