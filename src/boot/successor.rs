//! A new server in place of this one, started by this one: what `systemctl reload mini` does by SIGUSR2, the signal by which
//! other servers, too, replace their program while they run.
//!
//! The program is the file this one was started from, as it is now: an upgrade puts a new file in its place first. It gets
//! the same words and `--takeover`, and everything else goes the way of [`super::takeover`]: as long as it is not ready,
//! this server goes on.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::systemd;
use crate::commands::program_of;
use crate::store::NewFile;

/// What became of a new server, for whoever has asked for it: `<data_dir>/run/successor.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It serves, and this server leaves.
    Serves,
    /// It has ended or was never started; this server goes on.
    Ended {
        /// How it ended.
        why: String,
    },
}

impl Outcome {
    fn file(data_dir: &Path) -> PathBuf {
        data_dir.join("run").join("successor.json")
    }

    /// Writes it down.
    pub(super) fn tell(&self, data_dir: &Path) {
        let told = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|text| NewFile::put(&Outcome::file(data_dir), &text));
        if let Err(error) = told {
            tracing::warn!(%error, "what became of the new server could not be written down");
        }
    }

    /// What was written down since [`Outcome::forget`]; `None` as long as it is open.
    pub(super) fn read(data_dir: &Path) -> Option<Outcome> {
        serde_json::from_slice(&fs::read(Outcome::file(data_dir)).ok()?).ok()
    }

    /// Forgets what became of an earlier one.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn forget(data_dir: &Path) -> io::Result<()> {
        match fs::remove_file(Outcome::file(data_dir)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Starts it. How it fares is written to the log, and as an [`Outcome`].
pub(super) fn start(data_dir: &Path) {
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
            let why = format!("it could not be started: {error}");
            Outcome::Ended { why }.tell(data_dir);
            return;
        }
    };
    let data_dir = data_dir.to_owned();
    tokio::spawn(async move {
        match child.wait().await {
            Ok(status) => {
                tracing::error!(%status, "the new server has ended; what it said is above");
                // `systemctl status` shows it, and whoever has asked for the reload reads it there.
                systemd::status(&format!(
                    "the new server has ended ({status}), this one goes on"
                ));
                let why = format!("it has ended ({status})");
                Outcome::Ended { why }.tell(&data_dir);
            }
            Err(error) => tracing::warn!(%error, "the new server cannot be waited for"),
        }
    });
}

fn program() -> io::Result<PathBuf> {
    program_of("self")
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
    fn the_new_server_is_told_to_take_over_once() {
        let check = |own: &[&str], expected: &[&str]| {
            assert_eq!(words(own.iter().map(OsString::from)), expected);
        };
        check(&["server", "--dev"], &["server", "--dev", "--takeover"]);
        check(&["server", "--takeover"], &["server", "--takeover"]);
    }
}
