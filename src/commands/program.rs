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
}
