//! A new server in place of this one, started by this one: what `systemctl reload mini` does by SIGUSR2, the signal by which
//! other servers, too, replace their program while they run.
//!
//! The program is the one that `mini upgrade` has asked for, else the file this one was started from, as it is now. It gets
//! the same words and `--takeover`, and everything else goes the way of [`super::takeover`]: as long as it is not ready,
//! this server goes on.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};

use super::apart::Apart;
use super::systemd;
use crate::commands::{NEXT, program_of};
use crate::store::{NewFile, Store, StoreError};

/// What became of a new server, for whoever has asked for it: `<data_dir>/run/successor.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It is to be started.
    Asked {
        /// The process that waits for it. Once that is gone, nobody asks any more.
        by: i32,
        /// The program, where it is not the one this server was started from.
        program: Option<PathBuf>,
    },
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

    /// What was written down last.
    pub(super) fn read(data_dir: &Path) -> Option<Outcome> {
        serde_json::from_slice(&fs::read(Outcome::file(data_dir)).ok()?).ok()
    }

    /// Forgets what became of an earlier one, and says which program is to be started next; the signal is for the caller
    /// to send. The folder belongs to the server's user, and who asks may be root: no link in there is followed.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn ask(data_dir: &Path, program: Option<&Path>) -> io::Result<()> {
        let asked = Outcome::Asked {
            by: std::process::id().cast_signed(),
            program: program.map(Path::to_owned),
        };
        let mut file = NewFile::begin(&Outcome::file(data_dir))?;
        // The server reads it, whatever our own mask is.
        file.file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
        file.write_all(&serde_json::to_vec(&asked)?)?;
        file.finish()
    }

    /// The program that somebody waits for now.
    fn asked(data_dir: &Path) -> Option<PathBuf> {
        let Some(Outcome::Asked { by, program }) = Outcome::read(data_dir) else {
            return None;
        };
        let is_alive =
            Pid::from_raw(by).is_some_and(|by| !matches!(test_kill_process(by), Err(Errno::SRCH)));
        program.filter(|_| is_alive)
    }
}

/// Where a server that is newer than this one has served on this data directory, and its upgrade was cut short before it had its
/// place: that one goes on in this process. Returns if there is no such server, or it cannot be started.
pub(super) fn leave_to_newer(data_dir: &Path) {
    let Some(next) = newer(data_dir) else { return };
    tracing::warn!(
        program = %next.display(),
        "an upgrade was cut short, and its databases are of the newer mini, which is started in place of this one; \
         `mini upgrade` finishes it"
    );
    let error = std::process::Command::new(&next)
        .args(std::env::args_os().skip(1))
        .exec();
    tracing::error!(%error, program = %next.display(), "it could not be started");
}

fn newer(data_dir: &Path) -> Option<PathBuf> {
    let mut next = program_of("self").ok()?.into_os_string();
    next.push(NEXT);
    let next = PathBuf::from(next);
    if !next.is_file() {
        return None;
    }
    let is_beyond = matches!(Store::check_schema(data_dir), Err(StoreError::Newer { .. }));
    is_beyond.then_some(next)
}

/// Starts it. How it fares is written to the log, and as an [`Outcome`].
pub(super) fn start(data_dir: &Path) {
    systemd::status("");
    let program = match Outcome::asked(data_dir) {
        Some(asked) => Ok(asked),
        None => program_of("self"),
    };
    let data_dir = data_dir.to_owned();
    tokio::spawn(async move {
        let started = match program {
            Ok(program) => Successor::start(&program).await,
            Err(error) => Err(error),
        };
        let why = match started {
            Ok(successor) => successor.ended().await,
            Err(error) => {
                tracing::error!(%error, "the new server could not be started; this one goes on");
                let why = format!("it could not be started: {error}");
                Outcome::Ended { why }.tell(&data_dir);
                return;
            }
        };
        tracing::error!(why, "the new server has ended; what it said is above");
        // `systemctl status` shows it, and whoever has asked for the reload reads it there.
        systemd::status(&format!("the new server: {why}, this one goes on"));
        Outcome::Ended { why }.tell(&data_dir);
    });
}

/// A new server that was started.
enum Successor {
    Child(Child),
    Apart(Apart),
}

impl Successor {
    async fn start(program: &Path) -> io::Result<Successor> {
        tracing::info!(program = %program.display(), "starting a new server, which is to take over");
        let words = words(std::env::args_os().skip(1));
        // Systemd watches whichever process is the server; the number in there is this one's.
        let without = "WATCHDOG_PID";
        if systemd::is_there() {
            let apart = Apart::start(program, words, without).await?;
            return Ok(Successor::Apart(apart));
        }
        let child = Command::new(program)
            .args(words)
            .env_remove(without)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Successor::Child(child))
    }

    /// Resolves when it has ended, with how.
    async fn ended(self) -> String {
        match self {
            Successor::Apart(apart) => {
                apart.ended().await;
                "it has ended".to_owned()
            }
            Successor::Child(mut child) => match child.wait().await {
                Ok(status) => format!("it has ended ({status})"),
                Err(error) => format!("it cannot be waited for: {error}"),
            },
        }
    }
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

    #[test]
    fn a_program_is_asked_for_as_long_as_somebody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        let program = Path::new("/usr/local/bin/mini.next");
        assert_eq!(Outcome::asked(folder.path()), None);
        Outcome::ask(folder.path(), Some(program)).unwrap();
        assert_eq!(Outcome::asked(folder.path()).as_deref(), Some(program));
        Outcome::ask(folder.path(), None).unwrap();
        assert_eq!(Outcome::asked(folder.path()), None);
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let left = Outcome::Asked {
            by: ended.id().cast_signed(),
            program: Some(program.to_owned()),
        };
        left.tell(folder.path());
        assert_eq!(Outcome::asked(folder.path()), None);
        Outcome::Serves.tell(folder.path());
        assert_eq!(Outcome::asked(folder.path()), None);
    }
}
