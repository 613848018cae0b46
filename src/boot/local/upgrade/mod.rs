//! `mini upgrade`: a new program in the place of the one that serves, and the one before again if the new one is not well.
//!
//! | what fails | what is left |
//! | --- | --- |
//! | the new program does not run, or refuses the settings | nothing was changed |
//! | the new server does not get ready | the old one serves on, with its database as it was ([`crate::boot::takeover`]) |
//! | the new server serves, but does not answer | it is stopped, program and database are put back, the old one is started |

mod program;
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use self::program::Installed;
use self::running::Running;
use crate::boot::say;
use crate::boot::successor::Outcome;
use crate::engine::Stream;
use crate::model::{Kind, Problem};

/// The longest a takeover can last with the default settings: the build timeout (15 min) for pushes that go on, what a server may
/// take to get ready, and as much again for settings that allow more.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const LOOK: Duration = Duration::from_millis(100);
/// How long the new server is watched, and how often it is asked in that time.
const TRIALS: u32 = 5;
const BETWEEN_TRIALS: Duration = Duration::from_secs(1);

/// Replace the server that runs by a new program, and go back if that is not well
///
/// With FILE: checks that it runs here and takes the settings, puts it in the place of the program of the running server (which
/// is kept beside it with the ending `.previous`), and has the server replaced. Without FILE the program in place is the new one
/// already, put there by a package or a playbook. The new server takes over all sockets, so that no visitor and no push
/// notices. Where it does not get ready or does not answer, the program and the database from before are put back.
#[derive(Debug, Args)]
pub(in crate::boot) struct Upgrade {
    /// The new program
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Upgrade {
    pub(in crate::boot) fn run(&self, data_dir: &Path) -> Result<(), Problem> {
        let _only_one = running::lock(data_dir)?;
        let server = Running::find(data_dir)?;
        let installed = match &self.file {
            Some(file) => Some(put_in_place(file, &server)?),
            None => None,
        };
        let result = replace(&server, data_dir);
        match (&result, installed) {
            (Ok(_), _) | (Err(_), None) => {}
            (Err(_), Some(installed)) => {
                installed.put_back()?;
                line("the program from before is back in its place");
            }
        }
        match result {
            Ok(()) => Ok(()),
            Err(Failure::StillOld(why)) => Err(Problem::new(
                Kind::Unavailable,
                "mini was not upgraded; the server from before serves on",
                why,
                "See the log of the server: `journalctl -u mini`",
            )),
            Err(Failure::Unwell(why)) => Err(self.go_back(&server, data_dir, &why)),
        }
    }

    /// The server from before is gone and the new one not well: that from before is started again, where systemd can do that.
    fn go_back(&self, server: &Running, data_dir: &Path, why: &str) -> Problem {
        let what = "The new server is not well";
        let restore = format!(
            "mini database:restore-copy --data-dir {}",
            data_dir.display()
        );
        let Some(unit) = server.unit().filter(|_| self.file.is_some()) else {
            return Problem::new(
                Kind::Unavailable,
                what,
                why,
                format!(
                    "Put the program from before in place, stop the server, `{restore}`, start it again"
                ),
            );
        };
        line(format!("{what}: {why}; going back"));
        let steps = [
            (
                PathBuf::from("systemctl"),
                vec!["stop".to_owned(), unit.to_owned()],
            ),
            (
                server.program().to_owned(),
                restore.split(' ').skip(1).map(str::to_owned).collect(),
            ),
            (
                PathBuf::from("systemctl"),
                vec!["start".to_owned(), unit.to_owned()],
            ),
        ];
        for (program, words) in steps {
            let status = Command::new(&program).args(&words).status();
            if !status.is_ok_and(|status| status.success()) {
                return Problem::new(
                    Kind::Unavailable,
                    "The new server is not well, and the one from before could not be started",
                    format!("`{} {}` failed", program.display(), words.join(" ")),
                    "See the log of the server: `journalctl -u mini`",
                );
            }
        }
        Problem::new(
            Kind::Unavailable,
            "mini was not upgraded; the server from before was started again",
            format!("the new one was not well: {why}"),
            "See the log of the server: `journalctl -u mini`",
        )
    }
}

/// How an upgrade fails once the server was asked.
enum Failure {
    /// The server from before serves on.
    StillOld(String),
    /// The new one has taken over, and is not well.
    Unwell(String),
}

/// Checks a program and puts it where the server's is.
fn put_in_place(file: &Path, server: &Running) -> Result<Installed, Problem> {
    let version = program::version(file)?;
    server.check_settings(file)?;
    let installed = Installed::put(file, server.program())?;
    line(format!(
        "{} is now {version}; before it was {}",
        server.program().display(),
        server.version()
    ));
    Ok(installed)
}

fn replace(server: &Running, data_dir: &Path) -> Result<(), Failure> {
    let answers_before = server.answers_visitors();
    let old = Failure::StillOld;
    Outcome::forget(data_dir).map_err(|error| old(error.to_string()))?;
    server
        .ask_for_successor()
        .map_err(|error| old(error.to_string()))?;
    line(
        "the server was asked to replace itself; it finishes pushes and commands that go on before",
    );
    wait(server, data_dir)?;
    let new = Running::find(data_dir)
        .map_err(|_| Failure::Unwell("both servers have ended".to_owned()))?;
    for _ in 0..TRIALS {
        let unwell = match new.answers(data_dir) {
            Err(why) => Some(why),
            Ok(()) if answers_before && !new.answers_visitors() => {
                Some("its proxy does not answer".to_owned())
            }
            Ok(()) if !new.is_alive() => Some("it has ended".to_owned()),
            Ok(()) => None,
        };
        if let Some(why) = unwell {
            return Err(Failure::Unwell(why));
        }
        sleep(BETWEEN_TRIALS);
    }
    line(format!(
        "mini {} serves, process {}",
        new.version(),
        new.pid()
    ));
    Ok(())
}

/// Waits until the server has said what became of its successor.
fn wait(server: &Running, data_dir: &Path) -> Result<(), Failure> {
    let end = Instant::now() + LIMIT;
    loop {
        match Outcome::read(data_dir) {
            Some(Outcome::Serves) => return Ok(()),
            Some(Outcome::Ended { why }) => {
                return Err(Failure::StillOld(format!("the new server: {why}")));
            }
            // It may have ended just after it was relieved, or with the whole service: who serves now is looked at next.
            None if !server.is_alive() => return Ok(()),
            None if Instant::now() > end => {
                return Err(Failure::StillOld(format!(
                    "nothing has come of it within {LIMIT:?}"
                )));
            }
            None => sleep(LOOK),
        }
    }
}

fn line(text: impl AsRef<str>) {
    say(Stream::Stdout, &format!("{}\n", text.as_ref()));
}
