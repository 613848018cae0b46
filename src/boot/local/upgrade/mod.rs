//! `mini upgrade`: a new program in the place of the one that serves, and the one before again if the new one is not well.
//!
//! | what fails, or is cut short by a kill or a loss of power | what is left |
//! | --- | --- |
//! | the new program does not run, or refuses the settings | nothing was changed |
//! | the new server does not get ready | the old one serves on, with its database as it was ([`crate::boot::takeover`]) |
//! | the new server serves, but does not answer | it is stopped, the old one is started and puts the database back |
//! | all of it before the new server was ready | the old program starts, and puts the database back ([`Store::check_schema`]) |
//! | all of it after that, and before the new program has its place | the old program starts; if it cannot read the database any more, it leaves the process to the new one ([`crate::boot::successor`]) |
//! | `mini upgrade` alone | whichever serves goes on; the next `mini upgrade` finishes what was begun |

mod program;
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use self::program::Candidate;
use self::running::Running;
use crate::boot::say;
use crate::boot::successor::Outcome;
use crate::commands::place_of;
use crate::engine::Stream;
use crate::model::{Kind, Problem, Timestamp};
use crate::store::Store;

/// The longest a takeover can last with the default settings: the build timeout (15 min) for pushes that go on, what a server may
/// take to get ready, and as much again for settings that allow more.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const LOOK: Duration = Duration::from_millis(100);
/// How long a server may take to be there when the one before it has ended without a word.
const COME_BACK_WITHIN: Duration = Duration::from_secs(30);
/// How long the new server is watched, and how often it is asked in that time.
const TRIALS: u32 = 5;
const BETWEEN_TRIALS: Duration = Duration::from_secs(1);

/// Replace the server that runs by a new program, and go back if that is not well
///
/// With FILE: checks that it runs here and takes the settings, and has the server replaced by it. Once it has served well for some
/// seconds it is put in the place of the program before, which is kept beside it with the ending `.previous`. Without FILE the
/// program in place is the new one already, put there by a package or a playbook. The new server takes over all sockets, so
/// that no visitor and no push notices. Where it does not get ready or does not answer, the program and the database from before
/// are back. An upgrade that was cut short is finished first.
#[derive(Debug, Args)]
pub(in crate::boot) struct Upgrade {
    /// The new program
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Upgrade {
    pub(in crate::boot) fn run(&self, data_dir: &Path) -> Result<(), Problem> {
        let _only_one = running::lock(data_dir)?;
        let mut server = Running::find(data_dir)?;
        if let Some(left) = Candidate::left(server.program()) {
            left.put()?;
            line("finished an upgrade that was cut short");
            server = Running::find(data_dir)?;
        }
        let begun = Timestamp::now();
        let candidate = match &self.file {
            Some(file) => Some(lay(file, &server)?),
            None => None,
        };
        match (replace(&server, candidate.as_ref(), data_dir), candidate) {
            (Ok(()), None) => Ok(()),
            (Ok(()), Some(candidate)) => candidate.put(),
            (Err(Failure::StillOld(why)), candidate) => {
                if let Some(candidate) = candidate {
                    candidate.withdraw()?;
                }
                Err(Problem::new(
                    Kind::Unavailable,
                    "mini was not upgraded; the server from before serves on",
                    why,
                    "See the log of the server: `journalctl -u mini`",
                ))
            }
            (Err(Failure::Unwell(why)), None) => Err(Problem::new(
                Kind::Unavailable,
                "The new server is not well",
                why,
                format!(
                    "Put the program from before in place, stop the server, `mini database:restore-copy --data-dir {}`, start it again",
                    data_dir.display()
                ),
            )),
            (Err(Failure::Unwell(why)), Some(candidate)) => {
                Err(go_back(&server, candidate, data_dir, begun, &why))
            }
        }
    }
}

/// The server from before is gone and the new one not well: that from before is started again, where systemd can do that. Its
/// program is in place.
fn go_back(
    server: &Running,
    candidate: Candidate,
    data_dir: &Path,
    begun: Timestamp,
    why: &str,
) -> Problem {
    let what = "The new server is not well";
    let log = "See the log of the server: `journalctl -u mini`";
    line(format!("{what}: {why}; going back"));
    // First, so that from here on each start of the one before is right.
    if let Err(error) = Store::doubt_schema(data_dir, begun) {
        return Problem::from(error);
    }
    let Some(unit) = server.unit() else {
        return Problem::new(
            Kind::Unavailable,
            what,
            why,
            "Stop it and start the server as before; the program in place is the one from before, and puts the databases back itself",
        );
    };
    let restarted = Command::new("systemctl").args(["restart", unit]).status();
    if !restarted.is_ok_and(|status| status.success()) {
        return Problem::new(
            Kind::Unavailable,
            "The new server is not well, and the one from before could not be started",
            format!("`systemctl restart {unit}` failed"),
            log,
        );
    }
    if let Err(problem) = candidate.withdraw() {
        return problem;
    }
    Problem::new(
        Kind::Unavailable,
        "mini was not upgraded; the server from before was started again",
        format!("the new one was not well: {why}"),
        log,
    )
}

/// How an upgrade fails once the server was asked.
enum Failure {
    /// The server from before serves on.
    StillOld(String),
    /// The new one has taken over, and is not well.
    Unwell(String),
}

/// Checks a program and lays it beside the server's.
fn lay(file: &Path, server: &Running) -> Result<Candidate, Problem> {
    let version = program::version(file)?;
    server.check_settings(file)?;
    let place = place_of(server.program());
    let candidate = Candidate::lay(file, &place)?;
    line(format!(
        "{} is to be {version}; it is {} now",
        place.display(),
        server.version()
    ));
    Ok(candidate)
}

fn replace(
    server: &Running,
    candidate: Option<&Candidate>,
    data_dir: &Path,
) -> Result<(), Failure> {
    let answers_before = server.answers_visitors();
    let old = Failure::StillOld;
    Outcome::ask(data_dir, candidate.map(Candidate::file))
        .map_err(|error| old(error.to_string()))?;
    server
        .ask_for_successor()
        .map_err(|error| old(error.to_string()))?;
    line(
        "the server was asked to replace itself; it finishes pushes and commands that go on before",
    );
    wait(server, data_dir)?;
    let new = come(server, data_dir)?;
    if candidate.is_some_and(|candidate| !new.is(candidate.file())) {
        let why = "it ended while it was to be replaced, and was started again";
        return Err(old(why.to_owned()));
    }
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
            _ if !server.is_alive() => return Ok(()),
            _ if Instant::now() > end => {
                return Err(Failure::StillOld(format!(
                    "nothing has come of it within {LIMIT:?}"
                )));
            }
            _ => sleep(LOOK),
        }
    }
}

/// The server after this one: at once where that was said, and after a while where this one was killed.
fn come(before: &Running, data_dir: &Path) -> Result<Running, Failure> {
    let end = Instant::now() + COME_BACK_WITHIN;
    loop {
        match Running::find(data_dir) {
            Ok(new) if new.pid() != before.pid() => return Ok(new),
            _ if Instant::now() > end => {
                return Err(Failure::Unwell("both servers have ended".to_owned()));
            }
            _ => sleep(LOOK),
        }
    }
}

fn line(text: impl AsRef<str>) {
    say(Stream::Stdout, &format!("{}\n", text.as_ref()));
}
