//! The file that a process was started from.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// What the kernel adds to the name of a program whose file was replaced (proc_pid_exe(5)).
const DELETED: &[u8] = b" (deleted)";

/// The file that the program of a process has, or had before another was put in its place.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn program_of(process: &str) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe")).map(|link| without_mark(&link))
}

/// What the name of a program ends with that serves on trial: `mini upgrade` has laid it beside the one it is to replace.
pub const NEXT: &str = ".next";

/// Where a program has its place, or is to have it.
pub fn place_of(program: &Path) -> PathBuf {
    let name = program.as_os_str().as_bytes();
    let name = name.strip_suffix(NEXT.as_bytes()).unwrap_or(name);
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

/// What starts the program of this process again, whatever becomes of its file.
///
/// # Errors
/// When the kernel does not say which that is.
pub fn own_program() -> io::Result<PathBuf> {
    use rustix::process::{DumpableBehavior, dumpable_behavior};
    match dumpable_behavior() {
        Ok(DumpableBehavior::Dumpable) => Ok(format!("/proc/{}/exe", std::process::id()).into()),
        // Given capabilities by its file, it may not be looked at by its own children (proc_pid_exe(5)).
        _ => std::env::current_exe(),
    }
}

fn without_mark(link: &Path) -> PathBuf {
    let name = link.as_os_str().as_bytes();
    let name = name.strip_suffix(DELETED).unwrap_or(name);
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_found_by_its_name() {
        let check = |link: &str, expected: &str| {
            assert_eq!(without_mark(Path::new(link)), Path::new(expected));
        };
        check("/usr/bin/mini (deleted)", "/usr/bin/mini");
        check("/usr/bin/mini", "/usr/bin/mini");
    }

    #[test]
    fn a_program_on_trial_has_a_place() {
        let check = |program: &str| {
            assert_eq!(place_of(Path::new(program)), Path::new("/usr/bin/mini"));
        };
        check("/usr/bin/mini.next");
        check("/usr/bin/mini");
    }

    #[test]
    fn the_own_program_can_be_started_by_a_child() {
        let own = fs::metadata(own_program().unwrap()).unwrap();
        let exe = fs::metadata(std::env::current_exe().unwrap()).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((own.dev(), own.ino()), (exe.dev(), exe.ino()));
    }
}
