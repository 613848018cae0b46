//! A new server in place of this one, started by this one: what `systemctl reload mini` does by SIGUSR2, the signal by which
//! other servers, too, replace their program while they run.
//!
//! The program is the file this one was started from, as it is now: an upgrade puts a new file in its place first. It gets
//! the same words and `--takeover`, and everything else goes the way of [`super::takeover`]: as long as it is not ready,
//! this server goes on.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::systemd;

/// What the kernel adds to the name of a program whose file was replaced (proc_pid_exe(5)).
const DELETED: &[u8] = b" (deleted)";

/// Starts it. How it fares is written to the log.
pub(super) fn start() {
    systemd::status("");
    let started = program().and_then(|program| {
        tracing::info!(program = %program.display(), "starting a new server, which is to take over");
        Command::new(&program)
            .args(words(std::env::args_os().skip(1)))
            // Systemd watches whichever process is the server; the number in there is this one's.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .spawn()
    });
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%error, "the new server could not be started; this one goes on");
            return;
        }
    };
    tokio::spawn(async move {
        match child.wait().await {
            Ok(status) => {
                tracing::error!(%status, "the new server has ended; what it said is above");
                // `systemctl status` shows it, and whoever has asked for the reload reads it there.
                systemd::status(&format!(
                    "the new server has ended ({status}), this one goes on"
                ));
            }
            Err(error) => tracing::warn!(%error, "the new server cannot be waited for"),
        }
    });
}

fn program() -> io::Result<PathBuf> {
    std::fs::read_link("/proc/self/exe").map(|link| without_mark(&link))
}

fn without_mark(link: &Path) -> PathBuf {
    let name = link.as_os_str().as_bytes();
    let name = name.strip_suffix(DELETED).unwrap_or(name);
    PathBuf::from(OsString::from_vec(name.to_vec()))
}

/// This server's own words, with `--takeover` if it is not among them.
fn words(own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let takeover = OsStr::new("--takeover");
    let mut words: Vec<OsString> = own.collect();
    if !words.iter().any(|word| word == takeover) {
        words.push(takeover.to_owned());
    }
    words
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
    fn the_new_server_is_told_to_take_over_once() {
        let check = |own: &[&str], expected: &[&str]| {
            assert_eq!(words(own.iter().map(OsString::from)), expected);
        };
        check(&["server", "--dev"], &["server", "--dev", "--takeover"]);
        check(&["server", "--takeover"], &["server", "--takeover"]);
    }
}
