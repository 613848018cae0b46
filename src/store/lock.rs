//! The lock that keeps two servers out of one data directory.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// The name of its file.
pub(super) const FILE: &str = "mini.lock";
/// How long a process that was killed may take to be gone. It gives memory and files back, which takes a moment after the kill
/// where there is much of them or the machine is busy.
const END_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);
/// SIGKILL in the masks of proc_pid_status(5): signals count from 1.
const KILL: u64 = 1 << 8;

/// The sole right to a data directory. The kernel gives it back when this is dropped or the process ends, in whatever
/// way; the file `mini.lock` stays and means nothing by itself.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Takes the lock, and writes the process id into its file for whoever finds it taken. A process that had it and was killed
    /// is waited for until it is gone, and its sockets with it: who starts a server right after the kill, gets one. Blocks.
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
        let end = Instant::now() + END_WITHIN;
        loop {
            let is_taken = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => false,
                Err(Errno::WOULDBLOCK) => true,
                Err(errno) => return Err(failed(errno.into())),
            };
            let mut text = String::new();
            // The id only tells whether to wait, and helps the reader; without it the message is still true.
            let _ = file
                .seek(SeekFrom::Start(0))
                .and_then(|_| file.read_to_string(&mut text));
            let named: Option<u32> = text.trim().parse().ok();
            let mut holders = match is_taken {
                true => holders(&file),
                false => Vec::new(),
            };
            if holders.is_empty() {
                holders.extend(named);
            }
            let mut standings = holders.iter().map(|pid| Standing::of(*pid));
            let is_left = match is_taken {
                // It dies, or has just died and a child of it has not begun its own program yet, which closes the file.
                true => !standings.any(|standing| standing == Standing::Lives),
                // Its sockets may still be open.
                false => standings.any(|standing| standing == Standing::Ends),
            };
            if is_left && Instant::now() < end {
                sleep(LOOK);
            } else if is_taken {
                let pid = holders.first().copied();
                return Err(StoreError::InUse { pid });
            } else {
                break;
            }
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(DataDirLock { _file: file })
    }
}

/// The processes that hold a lock on a file, as far as the kernel tells us.
fn holders(file: &File) -> Vec<u32> {
    let Ok(inode) = file.metadata().map(|facts| facts.ino()) else {
        return Vec::new();
    };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    listed_holders(&locks, inode)
}

/// The same, from proc_locks(5): `1: FLOCK  ADVISORY  WRITE 2511 fd:01:393236 0 EOF`. The device in there is not what stat(2) says
/// on every file system, so the number of the inode has to do.
fn listed_holders(locks: &str, inode: u64) -> Vec<u32> {
    let holder = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().filter(|kind| *kind == "FLOCK")?;
        let pid = words.nth(2)?.parse().ok()?;
        let (_, number) = words.next()?.rsplit_once(':')?;
        (number.parse() == Ok(inode)).then_some(pid)
    };
    locks.lines().filter_map(holder).collect()
}

/// How it stands with a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Lives,
    /// It was killed, or ends by itself, and has not given everything back yet.
    Ends,
    Gone,
}

impl Standing {
    fn of(pid: u32) -> Standing {
        match fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => Standing::read(&status),
            Err(_) => Standing::Gone,
        }
    }

    /// Reads proc_pid_status(5).
    fn read(status: &str) -> Standing {
        let line = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
        };
        let is_over = line("State").is_some_and(|state| state.starts_with(['Z', 'X']));
        let is_killed = ["SigPnd", "ShdPnd"].iter().any(|name| {
            let mask = line(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
            mask.is_some_and(|mask| mask & KILL != 0)
        });
        match is_over {
            // Its first thread is. Alone, that only waits for its parent to ask how it ended.
            true if line("Threads") == Some("1") => Standing::Gone,
            true => Standing::Ends,
            // One that has no memory any more is about to close its files.
            false if is_killed || line("VmSize").is_none() => Standing::Ends,
            false => Standing::Lives,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    use super::*;

    /// Takes the lock as a server does, with so much memory that the kernel is busy with it for a while once it is killed.
    const HOLDER: &str = "import fcntl, sys, time\n\
        memory = b'x' * (256 << 20)\n\
        lock = open(sys.argv[1], 'w')\n\
        fcntl.flock(lock, fcntl.LOCK_EX)\n\
        lock.write(sys.argv[2])\n\
        lock.flush()\n\
        print('locked', flush=True)\n\
        time.sleep(600)";

    #[test]
    fn a_server_that_is_started_right_after_the_kill_of_another_is_not_told_that_it_is_in_use() {
        // Killed before it has written its name, it left that of the one before, or none.
        for written in ["", "4194304000"] {
            let folder = tempfile::tempdir().unwrap();
            let mut holder = Command::new("python3")
                .args(["-c", HOLDER])
                .arg(folder.path().join(FILE))
                .arg(written)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut line = String::new();
            let mut said = std::io::BufReader::new(holder.stdout.take().unwrap());
            said.read_line(&mut line).unwrap();
            assert_eq!(line, "locked\n");
            let error = DataDirLock::take(folder.path()).unwrap_err();
            assert!(
                matches!(error, StoreError::InUse { pid: Some(pid) } if pid == holder.id()),
                "{error:?}"
            );
            holder.kill().unwrap();
            let lock = DataDirLock::take(folder.path());
            holder.wait().unwrap();
            lock.unwrap();
        }
    }

    #[test]
    fn holders_are_read_off_the_locks_of_the_kernel() {
        let locks = "1: FLOCK  ADVISORY  WRITE 2511 fd:01:77 0 EOF\n\
            2: POSIX  ADVISORY  WRITE 12 fd:01:77 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 2512 fd:01:78 0 EOF\n\
            3: -> FLOCK  ADVISORY  WRITE 2513 fd:01:77 0 EOF\n\
            4: FLOCK  ADVISORY  WRITE -1 fd:01:77 0 EOF\n";
        assert_eq!(listed_holders(locks, 77), [2511]);
        assert_eq!(listed_holders("", 77), [0_u32; 0]);
    }

    #[test]
    fn a_process_is_ending_from_the_kill_until_its_last_thread_is_gone() {
        let check =
            |state: &str, threads: &str, pending: &str, memory: &str, expected: Standing| {
                let status = format!(
                    "Name:\tmini\nState:\t{state}\nPid:\t7\n{memory}Threads:\t{threads}\n\
                 SigPnd:\t{pending}\nShdPnd:\t0000000000000000\n"
                );
                assert_eq!(Standing::read(&status), expected, "{status}");
            };
        use Standing::{Ends, Gone, Lives};
        let (none, kill) = ("0000000000000000", "0000000000000100");
        let memory = "VmSize:\t  123456 kB\n";
        check("S (sleeping)", "9", none, memory, Lives);
        check("S (sleeping)", "9", "0000000000004000", memory, Lives);
        check("R (running)", "9", kill, memory, Ends);
        check("D (disk sleep)", "9", none, "", Ends);
        check("Z (zombie)", "3", none, "", Ends);
        check("Z (zombie)", "1", kill, "", Gone);
        assert_eq!(Standing::of(std::process::id()), Lives);
    }

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
